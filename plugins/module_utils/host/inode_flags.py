# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inode flags ("chattr" attributes) by ioctl, after ioctl_iflags(2): the host's chattr may lie or be gone."""

import errno
import fcntl
import os
import platform
import stat
import struct

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError

SECURE_DELETE = 0x00000001
UNDELETE = 0x00000002
COMPRESS = 0x00000004
SYNC = 0x00000008
IMMUTABLE = 0x00000010
APPEND_ONLY = 0x00000020
NO_DUMP = 0x00000040
NO_ATIME = 0x00000080
JOURNAL_DATA = 0x00004000
NO_TAIL = 0x00008000
DIRECTORY_SYNC = 0x00010000
TOP_DIRECTORY = 0x00020000
NO_COPY_ON_WRITE = 0x00800000

# These two stop root from unlinking, renaming or writing.
BLOCKING = IMMUTABLE | APPEND_ONLY

# What chattr(1) lets a user set; the rest (extents, index, encryption …) belongs to the file system.
SETTABLE = (SECURE_DELETE | UNDELETE | COMPRESS | SYNC | IMMUTABLE | APPEND_ONLY | NO_DUMP | NO_ATIME
            | JOURNAL_DATA | NO_TAIL | DIRECTORY_SYNC | TOP_DIRECTORY | NO_COPY_ON_WRITE)

_NOT_SUPPORTED = (errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def _request(number, write):
    # _IOR('f', 1, long) and _IOW('f', 2, long) of linux/fs.h; a few processors number directions otherwise.
    odd = platform.machine().startswith(("ppc", "mips", "sparc", "alpha"))
    if write:
        direction = 0x80000000 if odd else 0x40000000
    else:
        direction = 0x40000000 if odd else 0x80000000
    return direction | (struct.calcsize("l") << 16) | (ord("f") << 8) | number


_GET = _request(1, write=False)
_SET = _request(2, write=True)


class _Opened:
    """A descriptor for a path (regular file or directory, final link not followed), or the one given."""

    def __init__(self, target):
        self._target = target
        self._own = None

    def __enter__(self):
        if isinstance(self._target, int):
            return self._target
        self._own = os.open(self._target, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        return self._own

    def __exit__(self, *unused):
        if self._own is not None:
            os.close(self._own)


def get_flags(target):
    """Return the inode flags of an open descriptor or a path as an int.

    0 where the file system or the file's type has none. Only regular files and directories carry flags;
    a device is never asked, since its driver would receive the ioctl.

    :raises OSError: the path cannot be opened.
    """
    with _Opened(target) as descriptor:
        if not _can_have_flags(descriptor):
            return 0
        # The kernel writes an int although the request is declared as long.
        buffer = bytearray(struct.calcsize("l"))
        try:
            fcntl.ioctl(descriptor, _GET, buffer)
        except OSError as error:
            if error.errno in _NOT_SUPPORTED:
                return 0
            raise
        return struct.unpack_from("=I", buffer)[0]


def set_flags(target, flags):
    """Set the inode flags of an open descriptor or a path; bits outside :data:`SETTABLE` stay as they are.

    :raises ResponseError: the file system refuses. :raises OSError: the path cannot be opened.
    """
    with _Opened(target) as descriptor:
        present = get_flags(descriptor)
        wanted = (present & ~SETTABLE) | (flags & SETTABLE)
        if wanted == present:
            return
        buffer = struct.pack("=I", wanted).ljust(struct.calcsize("l"), b"\0")
        try:
            fcntl.ioctl(descriptor, _SET, buffer)
        except OSError as error:
            raise _explain(error) from error


def clear_flags(target, bits):
    """Clear ``bits``; return the flags as they were before."""
    with _Opened(target) as descriptor:
        before = get_flags(descriptor)
        if before & bits:
            set_flags(descriptor, before & ~bits)
        return before


def _can_have_flags(descriptor):
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _explain(error):
    if error.errno == errno.EPERM:
        return ResponseError("The inode flags cannot be changed: not permitted.",
                             "That takes root with CAP_LINUX_IMMUTABLE; a container often lacks it: run on its host.")
    if error.errno == errno.EROFS:
        return ResponseError("The inode flags cannot be changed: the file system is read-only.",
                             "Remount it read-write, then run again.")
    return ResponseError("The inode flags cannot be changed: %s." % error.strerror)
