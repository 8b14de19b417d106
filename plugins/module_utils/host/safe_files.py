# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of a host that may lie: opened component by component, no link followed that an intruder could turn.

A path is a host path ("/etc/crontab") as str or bytes; ``host_root`` is where that host's root
lies for us. Links, absolute ones too, are resolved below ``host_root``.
"""

import errno
import os
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_digests import new_hash

MEBIBYTE = 1024 * 1024
# Enough for any configuration file; a caller that wants more says so.
DEFAULT_LIMIT = 16 * MEBIBYTE
# The kernel's own limit for links in one path (path_resolution(7)).
MAX_LINKS = 40

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class FileMissing(ResponseError):
    """The path, or a directory on the way to it, does not exist."""


def path_bytes(path):
    """Return a path as bytes, whatever the locale: Python 3.6 in the C locale cannot do it by itself."""
    return path if isinstance(path, bytes) else path.encode("utf-8", "surrogateescape")


def path_text(path):
    """Return a path as str from which :func:`path_bytes` gives the very same bytes back."""
    return path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path


def host_path(path, host_root="/"):
    """Return where ``path`` of the host lies for us, as str; for readers that follow links anyway."""
    if host_root in ("/", ""):
        return path_text(path)
    return os.path.join(host_root, path_text(path).lstrip("/"))


def open_directory(path, host_root="/"):
    """Open a directory of the host without following a link that somebody but root could have placed.

    A link on the way is followed only when root owns it and the directory that holds it and nobody
    else may write there (merged /usr: ``/bin -> usr/bin``).

    :returns: ``(descriptor, real path as bytes)``; the caller closes the descriptor.
    :raises FileMissing: it does not exist. :raises ResponseError: not a directory, or an untrusted link.
    """
    pending = _components(path)
    links = 0
    stack = [os.open(path_bytes(host_root), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
    names = []
    try:
        while pending:
            name = pending.pop(0)
            if name == b"..":
                if names:
                    names.pop()
                    os.close(stack.pop())
                continue
            try:
                stack.append(open_at(stack[-1], name, _DIRECTORY))
                names.append(name)
                continue
            except OSError as error:
                target = None
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    target = _trusted_link(stack[-1], name, path)
                if target is None:
                    raise explain(error, path) from error
            links += 1
            if links > MAX_LINKS:
                raise ResponseError("Too many symbolic links on the way to %s." % text(path))
            if target.startswith(b"/"):
                while names:
                    names.pop()
                    os.close(stack.pop())
            pending = _components(target, allow_parent=True) + pending
        return stack.pop(), b"/" + b"/".join(names)
    finally:
        for descriptor in stack:
            os.close(descriptor)


def open_parent(path, host_root="/"):
    """Open the directory that holds ``path``.

    :returns: ``(descriptor, name, real path)``, the last two as bytes; the caller closes the descriptor.
    :raises ResponseError: as :func:`open_directory`; also when ``path`` is the root itself.
    """
    parts = _components(path)
    if not parts:
        raise ResponseError("The root directory is not a path to work on.")
    descriptor, real = open_directory(b"/" + b"/".join(parts[:-1]), host_root)
    return descriptor, parts[-1], real.rstrip(b"/") + b"/" + parts[-1]


def lstat(path, host_root="/"):
    """Return the ``stat_result`` of the path itself (a link is not followed), or ``None`` when it is missing."""
    try:
        descriptor, name, unused = open_parent(path, host_root)
    except FileMissing:
        return None
    try:
        return lstat_at(descriptor, name)
    except OSError as error:
        raise explain(error, path) from error
    finally:
        os.close(descriptor)


def lstat_at(directory, name):
    """Return the ``stat_result`` of a directory's entry (a link is not followed), or ``None`` when it is missing."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def open_at(directory, name, flags=_FILE):
    """Open a directory's entry, without touching its access time where we may.

    :raises OSError: as open(2); ``ELOOP`` or ``ENOTDIR`` for a link.
    """
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        # O_NOATIME takes the owner or CAP_FOWNER.
        return os.open(name, flags, dir_fd=directory)


def open_regular(path, host_root="/"):
    """Open a regular file for reading and return the descriptor; the caller closes it.

    :raises FileMissing: it does not exist. :raises ResponseError: a link, FIFO, device …, or not readable.
    """
    directory, name, unused = open_parent(path, host_root)
    try:
        return open_regular_at(directory, name, path)
    finally:
        os.close(directory)


def open_regular_at(directory, name, path):
    """Open a directory's entry when it is a regular file; ``path`` is for the message."""
    try:
        # A device may act on being opened: look first, then look again at what was opened.
        before = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISREG(before.st_mode):
            raise ResponseError("%s is not a regular file." % text(path))
        descriptor = open_at(directory, name)
    except OSError as error:
        raise explain(error, path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ResponseError("%s is not a regular file." % text(path))
    return descriptor


def read_bytes(path, limit=DEFAULT_LIMIT, host_root="/", truncate=False):
    """Return the content of a regular file.

    :param limit: bytes to read at most.
    :param truncate: return the first ``limit`` bytes of a longer file rather than raise.
    :raises FileMissing: it does not exist. :raises ResponseError: not regular, not readable, or longer than ``limit``.
    """
    descriptor = open_regular(path, host_root)
    try:
        return read_descriptor(descriptor, limit, path, truncate)
    finally:
        os.close(descriptor)


def read_descriptor(descriptor, limit, path, truncate=False):
    """Return what an open regular file holds from its present offset on, as :func:`read_bytes` does."""
    chunks = []
    left = limit if truncate else limit + 1
    try:
        while left:
            chunk = os.read(descriptor, min(left, MEBIBYTE))
            if not chunk:
                break
            chunks.append(chunk)
            left -= len(chunk)
    except OSError as error:
        raise explain(error, path) from error
    if not truncate and not left:
        raise ResponseError("%s is larger than %d bytes." % (text(path), limit), "Look at it by hand.")
    return b"".join(chunks)


def digest(path, algorithm="sha256", host_root="/", limit=None):
    """Return the hexadecimal digest of a regular file.

    :param limit: raise rather than read a file with more bytes than this.
    :raises FileMissing: it does not exist. :raises ResponseError: as :func:`open_regular`.
    """
    descriptor = open_regular(path, host_root)
    try:
        return digest_descriptor(descriptor, algorithm, path, limit)
    finally:
        os.close(descriptor)


def digest_descriptor(descriptor, algorithm="sha256", path="file", limit=None):
    """Return the hexadecimal digest of an open file from its start; the offset is left at the end."""
    if limit is not None and os.fstat(descriptor).st_size > limit:
        raise ResponseError("%s is larger than %d bytes." % (text(path), limit), "Look at it by hand.")
    state = new_hash(algorithm)
    if state is None:
        raise ResponseError("This host's Python cannot compute %s (FIPS mode?)." % algorithm)
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        while True:
            chunk = os.read(descriptor, MEBIBYTE)
            if not chunk:
                return state.hexdigest()
            state.update(chunk)
    except OSError as error:
        raise explain(error, path) from error


def settle(directory, temporary, name):
    """Give a file its final name in the same directory without ever overwriting what has appeared there.

    :raises FileExistsError: something has. :raises OSError: as link(2).
    """
    try:
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        # FAT and its like have no hard links; a look before the rename is all that can be had there.
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        if lstat_at(directory, name) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        return
    os.unlink(temporary, dir_fd=directory)


def explain(error, path):
    """Return the ResponseError that tells an OSError about ``path`` to the operator."""
    name = text(path)
    if error.errno == errno.ENOENT:
        return FileMissing("%s does not exist." % name)
    if error.errno == errno.ENOTDIR:
        return ResponseError("A part of %s is not a directory." % name)
    if error.errno == errno.ELOOP:
        return ResponseError("%s is a symbolic link, which is not followed." % name)
    if error.errno == errno.EROFS:
        return ResponseError("%s lies on a read-only file system: nothing was changed." % name,
                             "Remount it read-write (look at the kernel log for disk errors first), then run again.")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResponseError("No space left for %s: nothing was removed." % name,
                             "Free some space or point quarantine_root at another file system, then run again.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return ResponseError("%s: %s." % (name, error.strerror), "The collection needs root on the host.")
    return ResponseError("%s: %s." % (name, error.strerror))


def _components(path, allow_parent=False):
    raw = path_bytes(path)
    if b"\0" in raw:
        raise ResponseError("A path holds a NUL byte: %s." % text(raw))
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    if not allow_parent and b".." in parts:
        raise ResponseError("%s: a path with '..' is not accepted." % text(path))
    return parts


def _trusted_link(directory, name, path):
    """Return the target of a link that only root can have placed, ``None`` when it is no link."""
    found = lstat_at(directory, name)
    if found is None or not stat.S_ISLNK(found.st_mode):
        return None
    holder = os.fstat(directory)
    # Who runs this is trusted as root is: unit tests and a login without privileges see only their own files.
    trusted = (0, os.geteuid())
    if found.st_uid not in trusted or holder.st_uid not in trusted or holder.st_mode & 0o022:
        raise ResponseError("%s leads through the symbolic link '%s', which others than root can turn."
                            % (text(path), text(name)), "Look at it by hand: it may be a trap.")
    return os.readlink(name, dir_fd=directory)
