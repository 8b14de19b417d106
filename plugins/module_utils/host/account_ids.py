# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers of the system accounts that packages name as owners of their files.

From the files of the root in question (passwd(5), group(5)), not through the name service: that would
answer for our own root, load the host's NSS libraries, and ask the network.
"""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import path_text


def user_id(host_root, name):
    """Return the uid of account ``name`` (or of ``#123``, as dpkg-statoverride(1) writes numbers), or ``None``."""
    return _number(host_root, "/etc/passwd", name)


def group_id(host_root, name):
    """Return the gid of group ``name`` (or of ``#123``), or ``None``."""
    return _number(host_root, "/etc/group", name)


def _number(host_root, path, name):
    if name.startswith("#") and name[1:].isdigit():
        return int(name[1:])
    if name == "root":
        # Whatever the file says: an intruder who gives the name another number shall not own the tools.
        return 0
    try:
        lines = path_text(safe_files.read_bytes(path, host_root=host_root)).split("\n")
    except ResponseError:
        return None
    for line in lines:
        parts = line.split(":")
        if parts[0] == name and len(parts) > 2 and parts[2].isdigit():
            return int(parts[2])
    return None
