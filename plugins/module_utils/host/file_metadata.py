# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that a directory entry is besides its bytes: read as a record of JSON types, put back from one.

ACLs, capabilities and SELinux labels are extended attributes (xattr(7)) and travel as such. The
change time (ctime) is recorded for the reader but no system call can set it.
"""

import base64
import errno
import os
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import inode_flags
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import (
    lstat_at,
    open_at,
    path_bytes,
    path_text,
)

KINDS = (
    ("file", stat.S_ISREG), ("directory", stat.S_ISDIR), ("symlink", stat.S_ISLNK), ("fifo", stat.S_ISFIFO),
    ("socket", stat.S_ISSOCK), ("block device", stat.S_ISBLK), ("character device", stat.S_ISCHR),
)
NODES = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK, "block device": stat.S_IFBLK, "character device": stat.S_IFCHR}

# A new inode gets these from the kernel or the policy; they are replaced, never removed.
_LABELS = ("security.selinux", "security.SMACK64", "security.apparmor")
_NO_XATTR = (errno.EOPNOTSUPP, errno.ENOSYS)


def kind_of(mode):
    """Return the kind of an ``st_mode``: one of the names in :data:`KINDS`."""
    for name, test in KINDS:
        if test(mode):
            return name
    return "unknown"


def read_metadata(directory, name):
    """Return the record of a directory's entry, a final link not followed.

    :param directory: descriptor. :param name: bytes.
    :returns: dict with ``type`` (see :data:`KINDS`), ``mode`` (permission bits), ``uid``, ``gid``, ``size``,
        ``atime_ns``, ``mtime_ns``, ``ctime_ns``, ``dev``, ``ino``, ``nlink``, ``rdev`` (devices), ``target``
        (symlinks), ``xattrs`` (name → base64), ``flags`` (inode flags).
    :raises OSError: the entry is gone or not readable.
    """
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    record = {
        "type": kind_of(found.st_mode), "mode": stat.S_IMODE(found.st_mode), "uid": found.st_uid, "gid": found.st_gid,
        "size": found.st_size, "atime_ns": found.st_atime_ns, "mtime_ns": found.st_mtime_ns,
        "ctime_ns": found.st_ctime_ns, "dev": found.st_dev, "ino": found.st_ino, "nlink": found.st_nlink,
        "xattrs": read_xattrs(directory, name), "flags": 0,
    }
    if record["type"] in ("block device", "character device"):
        record["rdev"] = found.st_rdev
    elif record["type"] == "symlink":
        record["target"] = path_text(os.readlink(name, dir_fd=directory))
    elif record["type"] in ("file", "directory"):
        descriptor = open_at(directory, name)
        try:
            record["flags"] = inode_flags.get_flags(descriptor)
        finally:
            os.close(descriptor)
    return record


def read_xattrs(directory, name):
    """Return all extended attributes of a directory's entry: name → base64; ``{}`` where there are none to have."""
    path = _by_descriptor(directory, name)
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_XATTR:
            return {}
        raise
    result = {}
    for attribute in names:
        try:
            value = os.getxattr(path, attribute, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_XATTR + (errno.ENODATA,):
                continue
            raise
        result[attribute] = base64.b64encode(value).decode("ascii")
    return result


def write_xattrs(directory, name, wanted):
    """Make the extended attributes of a directory's entry exactly those of ``wanted`` (name → base64).

    Others are removed (a directory's default ACL gives every new file one), a security label is left alone.

    :raises ResponseError: an attribute cannot be set.
    """
    path = _by_descriptor(directory, name)
    present = read_xattrs(directory, name)
    for attribute in present:
        if attribute not in wanted and attribute not in _LABELS:
            os.removexattr(path, attribute, follow_symlinks=False)
    for attribute, value in wanted.items():
        if present.get(attribute) == value:
            continue
        try:
            os.setxattr(path, attribute, base64.b64decode(value), follow_symlinks=False)
        except OSError as error:
            raise ResponseError("The extended attribute %s of %s cannot be set: %s."
                                % (text(attribute), text(name), error.strerror)) from error


def apply_metadata(directory, name, record, times=True):
    """Give a directory's entry owner, mode, extended attributes, harmless inode flags and times of a record.

    Immutable and append-only are left to :func:`apply_blocking_flags`, since nothing can be done after them.

    :raises ResponseError, OSError: something cannot be set.
    """
    # chown(2) clears set-id bits and capabilities, and an ACL lives in the group bits: keep this order.
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if (found.st_uid, found.st_gid) != (record["uid"], record["gid"]):
        os.chown(name, record["uid"], record["gid"], dir_fd=directory, follow_symlinks=False)
    if record["type"] != "symlink":
        _chmod(directory, name, record)
    write_xattrs(directory, name, record["xattrs"])
    apply_plain_flags(directory, name, record)
    if times:
        os.utime(name, ns=(record["atime_ns"], record["mtime_ns"]), dir_fd=directory, follow_symlinks=False)


def apply_plain_flags(directory, name, record):
    """Set the recorded inode flags except immutable and append-only; some can only be set on an empty file."""
    _apply_flags(directory, name, record, keep=inode_flags.BLOCKING)


def apply_blocking_flags(directory, name, record):
    """Set immutable and append-only as recorded: the last step of all."""
    _apply_flags(directory, name, record, keep=0)


def clear_blocking_flags(directory, name):
    """Take immutable and append-only off a directory's entry, where it has them; missing entries pass."""
    found = lstat_at(directory, name)
    if found is None or not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return
    descriptor = open_at(directory, name)
    try:
        inode_flags.clear_flags(descriptor, inode_flags.BLOCKING)
    finally:
        os.close(descriptor)


def same_metadata(left, right):
    """Tell whether two records agree in all that :func:`apply_metadata` and the blocking flags can set.

    The access time is left out: looking at a file changes it.
    """
    return (all(left[key] == right[key] for key in ("type", "mode", "uid", "gid", "mtime_ns", "xattrs"))
            and (left["flags"] ^ right["flags"]) & inode_flags.SETTABLE == 0)


def _chmod(directory, name, record):
    # chmod(2) follows links: hold the very entry first, so that none can be slipped in.
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if kind_of(os.fstat(descriptor).st_mode) != record["type"]:
            raise ResponseError("%s was exchanged while it was being put back." % text(name),
                                "Stop what is running on the host first, then run again.")
        os.chmod("/proc/self/fd/%d" % descriptor, record["mode"])
    finally:
        os.close(descriptor)


def _apply_flags(directory, name, record, keep):
    if record["type"] not in ("file", "directory"):
        return
    descriptor = open_at(directory, name)
    try:
        present = inode_flags.get_flags(descriptor)
        wanted = (record["flags"] & ~keep) | (present & keep)
        inode_flags.set_flags(descriptor, wanted)
    finally:
        os.close(descriptor)


def _by_descriptor(directory, name):
    # xattr calls know no dir_fd: the descriptor's own directory in /proc keeps them from a path that is
    # turned meanwhile. The name itself is a single component.
    return b"/proc/self/fd/%d/%s" % (directory, path_bytes(name))
