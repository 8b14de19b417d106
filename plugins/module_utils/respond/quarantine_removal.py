# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking files and whole trees away, and what is never taken away."""

import contextlib
import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import inode_flags
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_metadata import clear_blocking_flags
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import (
    FileMissing,
    open_at,
    path_text,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import quarantine_tree
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_acts import Acts, busy

# No indicator is right that wants one of these away.
PROTECTED_DIRECTORIES = frozenset((
    "/bin", "/boot", "/dev", "/dev/shm", "/etc", "/etc/cron.d", "/etc/init.d", "/etc/systemd", "/etc/systemd/system",
    "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root", "/root/.ssh", "/run", "/sbin", "/srv",
    "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/local", "/usr/local/bin", "/usr/local/lib",
    "/usr/local/sbin", "/usr/sbin", "/usr/share", "/var", "/var/lib", "/var/lib/dpkg", "/var/lib/rpm", "/var/log",
    "/var/run", "/var/spool", "/var/spool/cron", "/var/spool/cron/crontabs", "/var/tmp", "/var/www",
))


class Removal(Acts):
    """Measuring and removing; a part of :class:`quarantine.Quarantine`."""

    def measure(self, path, ceiling=None):
        """Return ``(entries, bytes)`` that :meth:`remove` would move. Touches nothing.

        :param ceiling: give up when there are more entries. :raises ResponseError: as :meth:`remove` would.
        """
        with self._place(path) as (parent, name, real):
            self._refuse_protected(parent, name, real)
            records = quarantine_tree.survey(parent, name, real, ceiling)
        return len(records), sum(record["size"] for record in records if record["type"] == "file")

    def remove(self, path, rule, reason):
        """Move a file, directory tree, symbolic link, FIFO, socket or device node into the quarantine.

        :param path: host path, str or bytes. :param rule: rule id of the finding. :param reason: for the operator.
        :returns: id of the item.
        :raises FileMissing: there is nothing. :raises ResponseError: it cannot be kept or removed; nothing is changed.
        """
        with self._place(path) as (parent, name, real):
            self._refuse_protected(parent, name, real)
            with self._store.locked():
                records = quarantine_tree.survey(parent, name, real, self._left)
                self._keep(parent, name, real, records)
                item = self._begin("remove", parent, real, records, rule, reason)
                self._act(item, parent, lambda: self._unlink_tree(parent, name, real, records))
                return item

    def _refuse_protected(self, parent, name, real):
        found = self._lstat(parent, name, real)
        if found is None:
            raise FileMissing("%s does not exist." % text(real))
        if path_text(real) in PROTECTED_DIRECTORIES:
            raise ResponseError("%s is a part of every system: it is not moved away." % text(real))
        ancestor = self.root
        while ancestor != "/":
            ancestor = os.path.dirname(ancestor)
            holds = os.stat(ancestor) if os.path.exists(ancestor) else None
            if holds and (holds.st_dev, holds.st_ino) == (found.st_dev, found.st_ino):
                raise ResponseError("%s holds the quarantine itself: it is not moved away." % text(real))

    def _unlink_tree(self, parent, name, real, records):
        for record in records:
            if record["flags"] & inode_flags.BLOCKING:
                with _holder(parent, name, record) as (directory, leaf):
                    clear_blocking_flags(directory, leaf)
        for record in reversed(records):
            with _holder(parent, name, record) as (directory, leaf):
                if not quarantine_tree.unchanged(directory, leaf, record):
                    raise busy(real)
                if record["type"] != "directory":
                    _unlink(directory, leaf, record)
                    continue
                try:
                    os.rmdir(leaf, dir_fd=directory)
                except OSError as error:
                    if os.listdir(_own(directory, leaf)):
                        raise busy(real) from error
                    raise


@contextlib.contextmanager
def _holder(parent, name, record):
    directory, leaf = quarantine_tree.holder(parent, name, record["path"])
    try:
        yield directory, leaf
    finally:
        os.close(directory)


def _unlink(directory, leaf, record):
    if record["type"] != "file" or not record["flags"] & inode_flags.BLOCKING or record["nlink"] < 2:
        os.unlink(leaf, dir_fd=directory)
        return
    # The flags were cleared on the inode, which lives on under its other names: they get them back.
    descriptor = open_at(directory, leaf)
    try:
        os.unlink(leaf, dir_fd=directory)
        if os.fstat(descriptor).st_nlink and "link_to" not in record:
            inode_flags.set_flags(descriptor, record["flags"])
    finally:
        os.close(descriptor)


def _own(directory, leaf):
    return b"/proc/self/fd/%d/%s" % (directory, leaf)
