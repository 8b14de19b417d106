# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container runtimes on the host, which run from a sealed copy of themselves in memory (against CVE-2019-5736).

Known by path; whether a process really runs a copy of one is told by its bytes.
"""

import os
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import rooted_paths, safe_files

_NAMES = ("runc", "crun", "youki", "docker-runc", "lxc-attach", "lxc-start", "lxc-execute", "lxc-init")
# Kubernetes distributions and the static archives bring their own.
_DIRECTORIES = ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin",
                "/usr/lib/cri-o-runc/sbin", "/usr/libexec/crio", "/usr/libexec/podman", "/opt/containerd/bin",
                "/var/lib/rancher/k3s/data/current/bin")


def on_disk(host_root="/"):
    """Return ``[(path, os.stat_result)]`` of the runtimes that the host has, each once."""
    found = {}
    for directory in _DIRECTORIES:
        for name in _NAMES:
            path = "%s/%s" % (directory, name)
            # Nearly none of them exists, and following a path safely is dear.
            if not os.path.lexists(safe_files.host_path(path, host_root)):
                continue
            try:
                path = rooted_paths.resolve(path, host_root, follow_final=True)
                status = rooted_paths.status(path, host_root)
            except (OSError, ResponseError):
                continue
            if status is not None and stat.S_ISREG(status.st_mode):
                found[path] = status
    return sorted(found.items())


def only_root_writes(path, host_root="/"):
    """Tell whether nobody but root may have written ``path`` (without links on its way) or may move it."""
    while True:
        found = rooted_paths.status(path, host_root)
        if found is None or found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)
