# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The three files in which rpm has kept its headers, each read without rpm.

* SQLite, ``rpmdb.sqlite`` (EL9, Fedora 33 and later): table ``Packages``, columns ``hnum``, ``blob``.
* ndb, ``Packages.db`` (SUSE): rpm's own, ``lib/backend/ndb/rpmpkg.c``: slots that point to blobs.
* Berkeley DB, ``Packages`` (EL6 to EL8, Alibaba Cloud Linux 2 and 3): a hash whose values, the headers, mostly lie
  on chains of overflow pages; ``dbinc/db_page.h`` of Berkeley DB 4 and 5.

Each class: ``FILE``; ``entries()`` yields ``(key, header bytes)``; ``get(key)`` returns one again; ``close()``.
"""

import os
import shutil
import struct
import tempfile

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files

try:
    import sqlite3
except ImportError:  # a Python that was built, or packaged, without it
    sqlite3 = None

_MAX_HEADER = 256 * 1024 * 1024


class SqliteStorage:
    """``rpmdb.sqlite``."""

    FILE = "rpmdb.sqlite"

    def __init__(self, path, host_root):
        if sqlite3 is None:
            raise ResponseError("This host's Python cannot read the rpm database %s: it has no module sqlite3." % path,
                                "Set ansible_python_interpreter to the distribution's own Python.")
        os.close(safe_files.open_regular(path, host_root))
        self._path = path
        place = safe_files.host_path(path, host_root)
        copy = None
        try:
            log = safe_files.lstat(path + "-wal", host_root)
            if log is not None and log.st_size > 0:
                # The newest entries are in the write-ahead log, and that is read only by who may write beside it.
                copy = tempfile.mkdtemp(prefix=".ecsops-rpmdb-")
                place = _fold_in(place, os.path.join(copy, self.FILE))
            # immutable: no lock is taken, no file made beside it, nothing of the host's changes.
            self._connection = sqlite3.connect("file:%s?mode=ro&immutable=1" % _quoted(place), uri=True)
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except sqlite3.Error as error:
            raise self._damaged(error)
        finally:
            if copy is not None:
                shutil.rmtree(copy)  # the connection keeps the file

    def entries(self):
        return self._ask("SELECT hnum, blob FROM Packages ORDER BY hnum", ())

    def get(self, key):
        for _key, blob in self._ask("SELECT hnum, blob FROM Packages WHERE hnum = ?", (key,)):
            return blob
        raise ResponseError("The rpm database changed while it was read.", "Run again.")

    def close(self):
        self._connection.close()

    def _ask(self, query, values):
        try:
            for key, blob in self._connection.execute(query, values):
                yield key, bytes(blob)
        except (sqlite3.Error, TypeError) as error:
            raise self._damaged(error)

    def _damaged(self, error):
        return ResponseError("The rpm database %s cannot be read: %s." % (self._path, text(error)),
                             "Wait for a running dnf to end, then run again; else look at it: it is damaged.")


class _FileStorage:
    """A storage that is read at offsets of one file."""

    def __init__(self, path, host_root):
        self._path = path
        self._descriptor = safe_files.open_regular(path, host_root)
        self._size = os.fstat(self._descriptor).st_size
        try:
            self._begin()
        except ResponseError:
            self.close()
            raise

    def close(self):
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _read(self, offset, size):
        data = os.pread(self._descriptor, size, offset) if 0 <= size <= _MAX_HEADER else b""
        if len(data) != size:
            raise self._damaged("it ends too early")
        return data

    def _damaged(self, why):
        return ResponseError("The rpm database %s cannot be read: %s." % (self._path, why),
                             "Wait for a running dnf or zypper to end, then run again; else look at it: it is damaged.")


class NdbStorage(_FileStorage):
    """``Packages.db``: little-endian; a header page of slots, 16 bytes each, the first two taken by the file's own
    header; a slot gives package number, offset and length in blocks of 16 bytes."""

    FILE = "Packages.db"
    _PAGE, _SLOT, _BLOCK = 4096, 16, 16

    def _begin(self):
        magic, _version, _generation, self._slot_pages = struct.unpack("<4sIII", self._read(0, 16))
        if magic != b"RpmP" or self._slot_pages * self._PAGE > self._size:
            raise self._damaged("it does not begin as an ndb database")

    def entries(self):
        slots = self._read(2 * self._SLOT, self._slot_pages * self._PAGE - 2 * self._SLOT)
        for magic, number, offset, blocks in struct.iter_unpack("<4sIII", slots):
            if magic != b"Slot":
                raise self._damaged("a slot lacks its mark")
            if offset:
                yield (number, offset), self._blob(number, offset, blocks)

    def get(self, key):
        return self._blob(key[0], key[1], None)

    def _blob(self, number, offset, blocks):
        magic, owner, _generation, size = struct.unpack("<4sIII", self._read(offset * self._BLOCK, self._BLOCK))
        # Behind the blob come padding and a tail of 12 bytes.
        fits = blocks is None or size + self._BLOCK + 12 <= blocks * self._BLOCK
        if magic != b"BlbS" or owner != number or not fits:
            raise self._damaged("a package is not where its slot says")
        return self._read((offset + 1) * self._BLOCK, size)


class BerkeleyStorage(_FileStorage):
    """``Packages`` as a Berkeley DB hash, of either byte order."""

    FILE = "Packages"
    _HASH_MAGIC = 0x061561
    _PAGE_HEADER = 26
    _HASH_PAGES = (2, 13)  # P_HASH_UNSORTED, P_HASH
    _OVERFLOW_PAGE = 7
    _KEYDATA, _OFFPAGE = 1, 3

    def _begin(self):
        meta = self._read(0, 72)
        for self._order in "<>":
            magic, _version, self._page_size = struct.unpack_from(self._order + "III", meta, 12)
            if magic == self._HASH_MAGIC:
                break
        else:
            raise self._damaged("it does not begin as a Berkeley DB hash")
        if not 512 <= self._page_size <= 65536 or meta[24]:
            raise self._damaged("its pages are of an impossible size, or encrypted")
        last, = struct.unpack_from(self._order + "I", meta, 32)
        self._pages = last + 1
        if self._pages * self._page_size > self._size:
            raise self._damaged("it is shorter than it says")

    def entries(self):
        for number in range(1, self._pages):
            page = self._page(number)
            if page[25] not in self._HASH_PAGES:
                continue
            count, = struct.unpack_from(self._order + "H", page, 20)
            if self._PAGE_HEADER + 2 * count > self._page_size:
                raise self._damaged("page %d says that it holds more than it can" % number)
            offsets = struct.unpack_from("%s%dH" % (self._order, count), page, self._PAGE_HEADER)
            # Keys and values take turns; an item ends where the one before it begins.
            ends = (self._page_size,) + offsets
            for index in range(1, count, 2):
                blob = self._item(page, offsets[index], ends[index])
                if len(blob) > 8:  # key 0 holds the next free number, not a header
                    yield (number, index), blob

    def get(self, key):
        number, index = key
        page = self._page(number)
        offsets = struct.unpack_from("%s%dH" % (self._order, index + 1), page, self._PAGE_HEADER)
        return self._item(page, offsets[index], offsets[index - 1])

    def _page(self, number):
        return self._read(number * self._page_size, self._page_size)

    def _item(self, page, begin, end):
        if not self._PAGE_HEADER <= begin < end <= self._page_size:
            raise self._damaged("an item lies outside of its page")
        if page[begin] == self._KEYDATA:
            return page[begin + 1:end]
        if page[begin] != self._OFFPAGE or end - begin < 12:
            raise self._damaged("an item is of an unknown kind")
        number, size = struct.unpack_from(self._order + "II", page, begin + 4)
        if size > _MAX_HEADER:
            raise self._damaged("an item is larger than any header")
        pieces, left = [], size
        while left > 0:
            page = self._page(number) if 0 < number < self._pages else b""
            if not page or page[25] != self._OVERFLOW_PAGE:
                raise self._damaged("a chain of pages breaks off")
            number, = struct.unpack_from(self._order + "I", page, 16)
            length, = struct.unpack_from(self._order + "H", page, 22)  # hf_offset: bytes used on an overflow page
            if not 0 < length <= self._page_size - self._PAGE_HEADER:
                raise self._damaged("a chain of pages breaks off")
            pieces.append(page[self._PAGE_HEADER:self._PAGE_HEADER + length])
            left -= length
        return b"".join(pieces)[:size]


def _fold_in(place, copy):
    """Copy a database with its write-ahead log, fold the log in, and return the copy's path."""
    for suffix in ("", "-wal"):
        try:
            shutil.copyfile(place + suffix, copy + suffix)
        except FileNotFoundError:
            continue  # a transaction ended meanwhile
    connection = sqlite3.connect(copy)
    try:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    finally:
        connection.close()
    return copy


STORAGES = (SqliteStorage, NdbStorage, BerkeleyStorage)


def _quoted(path):
    """Return a path for a ``file:`` URI of SQLite."""
    return "".join("%%%02x" % byte if byte in b"%?#" or byte > 126 or byte < 33 else chr(byte)
                   for byte in safe_files.path_bytes(path))
