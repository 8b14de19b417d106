# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One package's header as rpm stores it: an index of tags and a store of their data.

Follows the rpm project's "RPM Package File Structure" (headers, regions) and "Package Tags". All numbers
are big-endian. In a database the header lies without its magic, and what rpm added at installation
(time, states, the signature's digests) lies behind the *immutable region*, the header as it was signed.
"""

import hashlib
import struct

NAME, VERSION, RELEASE, ARCH = 1000, 1001, 1002, 1022
INSTALLTIME, FILESTATES = 1008, 1029
DIRINDEXES, BASENAMES, DIRNAMES = 1116, 1117, 1118
FILEMODES, FILEDIGESTS, FILELINKTOS, FILEFLAGS = 1030, 1035, 1036, 1037
FILEUSERNAME, FILEGROUPNAME = 1039, 1040
FILECAPS, FILEDIGESTALGO = 5010, 5011
SHA1HEADER, SHA256HEADER = 269, 273

# FILEDIGESTALGO: numbers of OpenPGP (RFC 4880, 9.4) → names of hashlib. Headers without it are of the time of MD5.
ALGORITHMS = {1: "md5", 2: "sha1", 3: "ripemd160", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}

_MAGIC = b"\x8e\xad\xe8\x01\x00\x00\x00\x00"
_IMMUTABLE = 63
_ENTRY = struct.Struct(">IIiI")  # tag, type, offset, count
_INTEGERS = {1: "B", 2: "B", 3: "H", 4: "I", 5: "Q"}
_STRING, _BINARY, _STRINGS, _I18N = 6, 7, 8, 9
# rpm's own limits (lib/header.c): more is damage or an attack.
_MAX_ENTRIES = 0xffff
_MAX_DATA = 256 * 1024 * 1024


class DamagedHeader(ValueError):
    """The bytes are not a header."""


class Header:
    """The tags of one header.

    :param blob: bytes as in a database: number of entries, length of the store, entries, store.
    :raises DamagedHeader: they do not fit together.
    """

    def __init__(self, blob):
        if len(blob) < 8:
            raise DamagedHeader("shorter than a header's beginning")
        entries, size = struct.unpack_from(">II", blob)
        self._store_at = 8 + entries * _ENTRY.size
        if entries > _MAX_ENTRIES or size > _MAX_DATA or len(blob) < self._store_at + size:
            raise DamagedHeader("its parts do not fit into it")
        self._blob = blob
        self._end = self._store_at + size
        self._strings = {}
        self._index = {}
        for tag, kind, offset, count in _ENTRY.iter_unpack(blob[8:self._store_at]):
            self._index.setdefault(tag, (kind, offset, count))

    def strings(self, tag):
        """Return the strings of ``tag`` as a list of bytes; empty when it is not there."""
        if tag not in self._strings:
            kind, at, count = self._entry(tag)
            if kind not in (_STRING, _STRINGS, _I18N):
                return []
            found = self._blob[at:self._end].split(b"\0", count)
            if len(found) <= count:
                raise DamagedHeader("the strings of tag %d do not end" % tag)
            self._strings[tag] = found[:count]
        return self._strings[tag]

    def string(self, tag):
        """Return the one string of ``tag`` as str, or ``None``."""
        found = self.strings(tag)
        return found[0].decode("utf-8", "surrogateescape") if found else None

    def integers(self, tag):
        """Return the numbers of ``tag`` as a tuple; empty when it is not there."""
        kind, at, count = self._entry(tag)
        if kind not in _INTEGERS:
            return ()
        layout = struct.Struct(">%d%s" % (count, _INTEGERS[kind]))
        if at + layout.size > self._end:
            raise DamagedHeader("tag %d reaches behind the end" % tag)
        return layout.unpack_from(self._blob, at)

    def integer(self, tag):
        """Return the one number of ``tag``, or ``None``."""
        found = self.integers(tag)
        return found[0] if found else None

    def package(self):
        """Return name-version-release.arch, as ``rpm -q`` prints a package; keys have no architecture."""
        parts = [self.string(tag) for tag in (NAME, VERSION, RELEASE)]
        if None in parts:
            raise DamagedHeader("a package without name, version or release")
        arch = self.string(ARCH)
        return "-".join(parts) + ("." + arch if arch else "")

    def check(self):
        """Read all tags of files once. :raises DamagedHeader: so that no later question can."""
        self.paths()
        for tag in (INSTALLTIME, FILESTATES, FILEMODES, FILEFLAGS, FILEDIGESTALGO):
            self.integers(tag)
        for tag in (FILEDIGESTS, FILELINKTOS, FILEUSERNAME, FILEGROUPNAME, FILECAPS, SHA1HEADER, SHA256HEADER):
            self.strings(tag)
        self._entry(_IMMUTABLE)

    def paths(self):
        """Return ``[(directory with its slash, base name)]`` of all files, as bytes."""
        folders = self.strings(DIRNAMES)
        indexes = self.integers(DIRINDEXES)
        names = self.strings(BASENAMES)
        if len(indexes) != len(names) or (indexes and max(indexes) >= len(folders)):
            raise DamagedHeader("its files and directories do not fit together")
        return [(folders[index], name) for index, name in zip(indexes, names)]

    def vouches_for_itself(self):
        """Compare the header with the digest of it that its signature part carries.

        :return: ``True``, ``False``, or ``None`` when there is none (a package built long ago). The signature over the
            same bytes is not checked: whoever can edit the database can add a key to it. But edits without this
            digest's being made anew do show.
        """
        for tag, algorithm in ((SHA256HEADER, "sha256"), (SHA1HEADER, "sha1")):
            expected = self.string(tag)
            if expected:
                region = self._region()
                return region is not None and hashlib.new(algorithm, region).hexdigest() == expected
        return None

    def _region(self):
        """Return the immutable region as it was when it was signed, magic included, or ``None``."""
        kind, at, count = self._entry(_IMMUTABLE)
        if kind != _BINARY or count != _ENTRY.size or at + count > self._end:
            return None
        # The region's trailer is an entry whose offset tells, negatively, how long the region's index is.
        _tag, _kind, back, _count = _ENTRY.unpack_from(self._blob, at)
        size = at + count - self._store_at
        if back >= 0 or back % _ENTRY.size or 8 - back > self._store_at:
            return None
        return b"".join([_MAGIC, struct.pack(">II", -back // _ENTRY.size, size), self._blob[8:8 - back],
                         self._blob[self._store_at:self._store_at + size]])

    def _entry(self, tag):
        kind, offset, count = self._index.get(tag, (None, 0, 0))
        if not 0 <= offset <= self._end - self._store_at:
            raise DamagedHeader("tag %d lies outside of it" % tag)
        return kind, self._store_at + offset, count
