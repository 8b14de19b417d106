# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One file out of a package file (``.deb``, ``.rpm``), with the mode, owner and time that it is packaged with.

The outer shell is opened by the packager's own ``dpkg-deb`` or ``rpm2cpio``, since Python before 3.14 cannot read
zstd; what they give is only believed after its digest was compared. Follows tar(5) by Python's ``tarfile``,
and for rpm the "new ASCII format" of cpio(5).
"""

import os
import stat
import struct
import tarfile

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import rpm_header
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import path_bytes, path_text

# No program that an intruder replaces is anywhere near it.
MAX_FILE = 256 * 1024 * 1024

_LEAD = 96
_HEADER_MAGIC = b"\x8e\xad\xe8\x01"
_MAX_HEADER = 64 * 1024 * 1024


class Member:
    """A file of a package: ``content`` (bytes), ``mode`` (permission bits), ``user``, ``group`` (names), ``mtime``
    (epoch seconds)."""

    def __init__(self, content, mode, user, group, mtime):
        self.content = content
        self.mode = mode
        self.user = user
        self.group = group
        self.mtime = mtime


def from_deb(tar_path, path):
    """Return the :class:`Member` ``path`` of a package's unpacked ``data.tar``.

    :param tar_path: file that ``dpkg-deb --fsys-tarfile`` wrote.
    :raises ResponseError: it is not in there, or the archive is damaged.
    """
    try:
        with tarfile.open(tar_path, "r:", encoding="utf-8", errors="surrogateescape") as archive:
            wanted = path_text(path).lstrip("/")
            for member in archive:
                name = member.name[2:] if member.name.startswith("./") else member.name
                if name != wanted:
                    continue
                # extractfile() follows a hard link to the member that holds the bytes; a symbolic link is no program.
                if not (member.isreg() or member.islnk()):
                    raise ResponseError("%s is no file in its package." % text(path))
                stream = archive.extractfile(member)
                content = stream.read(MAX_FILE + 1)
                _check_size(path, content)
                return Member(content, stat.S_IMODE(member.mode), member.uname or "root", member.gname or "root",
                              member.mtime)
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise ResponseError("The package of %s cannot be read: %s." % (text(path), text(error)))
    raise ResponseError("%s is not in the package that the repository offers." % text(path))


def from_rpm(header, cpio_path, path):
    """Return the :class:`Member` ``path`` of a package's unpacked payload.

    :param header: the package's :class:`rpm_header.Header` (:func:`read_rpm_header`).
    :param cpio_path: file that ``rpm2cpio`` wrote.
    :raises ResponseError: it is not in there, or the archive is damaged.
    """
    wanted = path_bytes(path).lstrip(b"/")
    inode = mode = mtime = None
    held = {}
    with open(cpio_path, "rb") as stream:
        for name, found, content_at in _cpio_entries(stream, path):
            clean = name[2:] if name.startswith(b"./") else name
            if clean == wanted:
                inode, mode, mtime = found["inode"], found["mode"], found["mtime"]
            # Of hard links only the last in the archive carries the bytes.
            if found["size"]:
                held[found["inode"]] = (content_at, found["size"])
        if inode is None:
            raise ResponseError("%s is not in the package that the repository offers." % text(path))
        if not stat.S_ISREG(mode):
            raise ResponseError("%s is no file in its package." % text(path))
        at, size = held.get(inode, (0, 0))
        stream.seek(at)
        content = stream.read(min(size, MAX_FILE + 1))
        _check_size(path, content)
    user, group = _owner(header, path_bytes(path))
    return Member(content, stat.S_IMODE(mode), user, group, mtime)


def read_rpm_header(rpm_path):
    """Return the :class:`rpm_header.Header` of a package file, which lies behind the lead and the signature's header.

    :raises ResponseError: the file is no package.
    """
    try:
        with open(rpm_path, "rb") as stream:
            stream.seek(_LEAD)
            size = _skip_magic(stream)
            stream.seek(_LEAD + 8 + (size + 7) // 8 * 8)  # the signature's header is padded to 8 bytes
            size = _skip_magic(stream)
            return rpm_header.Header(stream.read(size))
    except (rpm_header.DamagedHeader, struct.error) as error:
        raise ResponseError("%s is not an rpm package: %s." % (text(os.path.basename(rpm_path)), text(error)))


def _skip_magic(stream):
    """Read a header's magic, leave the stream behind it, and return the number of bytes that follow."""
    magic, _reserved = struct.unpack(">4sI", stream.read(8))
    entries, data = struct.unpack(">II", stream.read(8))
    size = 8 + 16 * entries + data
    if magic != _HEADER_MAGIC or size > _MAX_HEADER:
        raise rpm_header.DamagedHeader("no header where one ought to be")
    stream.seek(-8, os.SEEK_CUR)
    return size


def _cpio_entries(stream, path):
    """Yield ``(name, {"inode", "mode", "mtime", "size"}, offset of the bytes)`` of a "newc" archive."""
    while True:
        head = stream.read(110)
        try:
            numbers = [int(head[at:at + 8], 16) for at in range(6, 110, 8)]
        except ValueError:
            numbers = []
        if head[:6] not in (b"070701", b"070702") or len(numbers) != 13:
            raise ResponseError("The package of %s cannot be read: its payload is damaged." % text(path))
        inode, mode, _uid, _gid, _links, mtime, size = numbers[:7]
        name = stream.read(numbers[11])[:-1]
        if name == b"TRAILER!!!":
            return
        content_at = (stream.tell() + 3) // 4 * 4
        yield name, {"inode": inode, "mode": mode, "mtime": mtime, "size": size}, content_at
        stream.seek((content_at + size + 3) // 4 * 4)


def _owner(header, path):
    for number, parts in enumerate(header.paths()):
        if b"".join(parts) == path:
            users, groups = (header.strings(tag) for tag in (rpm_header.FILEUSERNAME, rpm_header.FILEGROUPNAME))
            return path_text(users[number]), path_text(groups[number])
    return "root", "root"


def _check_size(path, content):
    if len(content) > MAX_FILE:
        raise ResponseError("%s is larger than %d bytes in its package." % (text(path), MAX_FILE))
