# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which file tree the path of an executable belongs to, and how to look at it from here.

The exe link is written by d_path() (fs/d_path.c) as seen from the root of whoever reads it, if it can be
reached from there (a process in a chroot of the same mount namespace shows a path of the host), and
else from the top of its own mount namespace. See namespaces(7), mount_namespaces(7), chroot(2).
"""

import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    process_cgroup,
    process_table,
    rooted_paths,
)

HOST = "host"            # the host's own tree: its packages speak for the path
PRIVATE = "private"      # the host's root, with a mount of the process's own where the path lies
CHROOT = "chroot"        # another root in the host's mount namespace; the path is one of the host
CONTAINER = "container"  # another root in another namespace, and a runtime on the host knows it
FOREIGN = "foreign"      # the same, and none does
UNKNOWN = "unknown"      # the namespace or root cannot be read


class View:
    """``realm``: one of the constants; ``root``: directory through which ``path`` is looked up (always with
    :mod:`rooted_paths`: links inside belong to it); ``inner_root``, ``inner_path``: the same as the process itself sees
    it; ``container``: see :func:`process_cgroup.container`."""

    __slots__ = ("realm", "root", "path", "inner_root", "inner_path", "container")

    def __init__(self, realm, root, path, inner_root=None, inner_path=None, container=None):
        self.realm = realm
        self.root = root
        self.path = path
        self.inner_root = inner_root or root
        self.inner_path = inner_path or path
        self.container = container


class Views:
    """Finds the :class:`View` of executables; knows the host's own namespace and root."""

    def __init__(self, proc_root="/proc", host_root="/"):
        self.host_root = host_root
        # PID 1's, not ours: we may run in a private namespace of our own (sudo, systemd-run, a clean view).
        self._namespace = (process_table.read_link("%s/1" % proc_root, "ns/mnt")
                           or process_table.read_link("%s/self" % proc_root, "ns/mnt"))
        self._root_file = _file_of(host_root)

    def view(self, where, path):
        """Return the :class:`View` of ``path`` (an exe link's, without suffix) for the process in ``where``."""
        namespace = process_table.read_link(where, "ns/mnt")
        root_link = process_table.read_link(where, "root")
        root = where + "/root"
        if namespace is None or root_link is None:
            return View(UNKNOWN, self.host_root, path)
        inside = _strip(path, root_link)
        if namespace == self._namespace:
            if root_link == self.host_root.rstrip("/") or root_link == "/" or inside is None:
                # Many daemons lock themselves into an empty directory after they were started from the host's tree.
                return View(HOST, self.host_root, path)
            return View(CHROOT, self.host_root, path, root, inside)
        if _file_of(root) == self._root_file:
            nearest = self._nearest(root, path)
            same = nearest is not None and nearest == self._nearest(self.host_root, path)
            return View(HOST if same else PRIVATE, root, path)
        found = process_cgroup.container(process_cgroup.paths(where), self.host_root)
        realm = CONTAINER if found and found["registered"] else FOREIGN
        return View(realm, root, path if inside is None else inside, container=found)

    @staticmethod
    def _nearest(root, path):
        """Return ``(level, device, inode)`` of the nearest directory above ``path`` that exists below ``root``."""
        directory = os.path.dirname(path)
        while True:
            try:
                found = rooted_paths.status(directory, root)
            except (OSError, ResponseError):
                return None
            if found is not None:
                return (directory, found.st_dev, found.st_ino)
            if directory in ("/", ""):
                return None
            directory = os.path.dirname(directory)


def mount_id(descriptor):
    """Return the id of the mount that an open file is on (``mnt_id`` of /proc/PID/fdinfo, Linux 3.15), or ``None``."""
    content = process_table.read_bytes("/proc/self/fdinfo/%d" % descriptor, 4096) or b""
    for line in content.splitlines():
        if line.startswith(b"mnt_id:"):
            return int(line.split()[1])
    return None


def mount_ids(where):
    """Return the ids of all mounts that a process sees (first column of /proc/PID/mountinfo)."""
    content = process_table.read_bytes(where + "/mountinfo", 16 * 1024 * 1024) or b""
    return {int(line.split(b" ", 1)[0]) for line in content.splitlines() if line[:1].isdigit()}


def _strip(path, root_link):
    """Return ``path`` relative to a root, absolute again, or ``None`` when it lies outside."""
    if root_link == "/":
        return path
    return path[len(root_link):] if path.startswith(root_link + "/") else None


def _file_of(path):
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)
