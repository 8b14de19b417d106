# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the facts about all suspects of one run share: package databases, the own chain, digests, runtimes."""

import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    container_runtimes,
    process_table,
    process_view,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_digests import (
    TOO_LARGE,
    Digests,
)


class Surroundings:
    """What the facts about all suspects of one run share.

    :param packages: callable, root directory → :class:`packages.PackageDatabase` of the system below it.
    """

    def __init__(self, proc_root, host_root, packages):
        self.proc_root = proc_root
        self.host_root = host_root
        self.views = process_view.Views(proc_root, host_root)
        self._packages = packages
        self._databases = {}
        self._digests = {}
        self._boot_time = None
        self._chain = None
        self._runtimes = None

    def database(self, root):
        """Return the package database below ``root``."""
        if root not in self._databases:
            self._databases[root] = self._packages(root)
        return self._databases[root]

    @property
    def boot_time(self):
        """When the kernel booted, or ``None``."""
        if self._boot_time is None:
            self._boot_time = process_table.boot_time(self.proc_root)
        return self._boot_time

    def digest(self, descriptor):
        """Return the SHA-256 of an open file; each file is read once."""
        status = os.fstat(descriptor)
        key = (status.st_dev, status.st_ino, status.st_size)
        if key not in self._digests:
            sha256 = Digests.of_content(descriptor)("sha256")
            # What is too large to be read equals nothing else.
            self._digests[key] = "%s (%d:%d)" % (sha256, key[0], key[1]) if sha256 == TOO_LARGE else sha256
        return self._digests[key]

    def digest_of(self, path):
        """Return the SHA-256 of a program in memory by its exe link, or ``None``."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            return self.digest(descriptor)
        finally:
            os.close(descriptor)

    @property
    def runtimes(self):
        """``[(path, status)]`` of the host's container runtimes."""
        if self._runtimes is None:
            self._runtimes = container_runtimes.on_disk(self.host_root)
        return self._runtimes

    @property
    def chain(self):
        """``{(device, inode): (size, /proc directory)}`` of what this process, its ancestors and PID 1 run."""
        if self._chain is None:
            self._chain = {}
            own = os.getpid()
            for pid in [1, own] + process_table.ancestors(own, self.proc_root):
                where = "%s/%d" % (self.proc_root.rstrip("/"), pid)
                status = process_table.exe_status(where)
                if status is not None:
                    self._chain[status.file] = (status.size, where)
        return self._chain
