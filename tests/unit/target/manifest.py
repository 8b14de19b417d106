# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a tree of files is, told without the code under test: for comparing before and after."""

import fcntl
import hashlib
import os
import stat
import struct

IMMUTABLE = 0x10
APPEND_ONLY = 0x20


def flags_of(path):
    """Return the inode flags of a file or directory by FS_IOC_GETFLAGS."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        return struct.unpack_from("=I", fcntl.ioctl(descriptor, 0x80086601, bytes(8)))[0]
    except OSError:
        return 0
    finally:
        os.close(descriptor)


def set_flags(path, flags):
    """Set the inode flags of a file or directory by FS_IOC_SETFLAGS."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.ioctl(descriptor, 0x40086602, struct.pack("=Q", flags))
    finally:
        os.close(descriptor)


def manifest(top):
    """Return path → (type and mode, uid, gid, mtime_ns, xattrs, flags, bytes' hash or target or device)."""
    top = os.fsencode(str(top))
    result = {}
    pending = [b""]
    while pending:
        relative = pending.pop()
        path = os.path.join(top, relative) if relative else top
        found = os.lstat(path)
        content = flags = None
        if stat.S_ISDIR(found.st_mode):
            pending.extend(os.path.join(relative, name) for name in os.listdir(path))
            flags = flags_of(path)
        elif stat.S_ISREG(found.st_mode):
            flags = flags_of(path)
            with open(path, "rb") as stream:
                content = hashlib.sha256(stream.read()).hexdigest()
        elif stat.S_ISLNK(found.st_mode):
            content = os.readlink(path)
        else:
            content = found.st_rdev
        xattrs = {name: os.getxattr(path, name, follow_symlinks=False)
                  for name in os.listxattr(path, follow_symlinks=False)}
        result[relative] = (oct(found.st_mode), found.st_uid, found.st_gid, found.st_mtime_ns, xattrs, flags, content)
    return result
