# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Links that update-alternatives(1) of dpkg, or alternatives(8) of chkconfig, made: no package owns them.

Both keep one record a name: mode, master link, pairs of slave name and slave link, an empty line, then for each
choice its path, its priority and one path a slave.
"""

import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import rooted_paths, safe_files
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import path_text

LINKS = "/etc/alternatives"


def choices(path, records, host_root="/", merged=None):
    """Return the paths among which the link ``path`` is a choice, or ``[]`` when it is none.

    Only when the link itself points into ``/etc/alternatives`` and a record says the same of it.

    :param records: directory of the records, ``/var/lib/dpkg/alternatives`` or ``/var/lib/alternatives``.
    :param merged: :func:`rooted_paths.merged_directories`.
    """
    directory, name = os.path.split(rooted_paths.link_target(path, host_root) or "")
    if directory != LINKS:
        return []
    names = rooted_paths.spellings(path, host_root, merged)
    for links, targets in _records(records, host_root):
        if links.get(name) in names:
            return [choice[name] for choice in targets if choice.get(name)]
    return []


def _records(directory, host_root):
    try:
        descriptor = safe_files.open_directory(directory, host_root)[0]
    except safe_files.FileMissing:
        return
    try:
        names = sorted(os.listdir(descriptor))
    finally:
        os.close(descriptor)
    for name in names:
        try:
            content = safe_files.read_bytes(os.path.join(directory, name), host_root=host_root)
        except ResponseError:
            continue  # gone meanwhile, or no file: no record either way
        yield _parse(name, content)


def _parse(name, content):
    """Return ``({name below /etc/alternatives: link}, [{name: target}])``."""
    head, _empty, tail = content.partition(b"\n\n")
    lines = [path_text(line) for line in head.split(b"\n")]
    if len(lines) < 2:
        return {}, []
    slaves = lines[2::2]
    links = dict(zip([name] + slaves, [lines[1]] + lines[3::2]))
    lines = [path_text(line) for line in tail.split(b"\n")]
    step = 2 + len(slaves)
    targets = []
    for start in range(0, len(lines) - step + 1, step):
        if not lines[start]:
            break
        targets.append(dict(zip([name] + slaves, [lines[start]] + lines[start + 2:start + step])))
    return links, targets
