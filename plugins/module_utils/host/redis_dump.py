# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""RDB dumps in files that are none, left by a Redis that was told to save its data there.

After https://rdb.fnordig.de/file_format.html and redis/src/rdb.c: a magic, the data, opcode 0xFF and,
from version 5 on, a CRC-64 of all before it. Redis replaces the whole file, whatever stands before or behind
a dump was written later by somebody else.
"""

import re
import struct
from collections import namedtuple

Dump = namedtuple("Dump", "start end magic complete")
Dump.__doc__ = """An RDB dump's bytes ``start`` to ``end`` (exclusive); ``magic``: ``REDIS0011``;
``complete``: its end was proven by its checksum, else it was put after the last binary line."""


_MAGIC = re.compile(rb"REDIS\d{4}|VALKEY\d{3}")
# A file of nothing but magics would cost the square of its size.
_MAX_DUMPS = 32
# Printable text, tabs and UTF-8 belong in a text file; everything else was not typed by an operator.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def find_dumps(content, counts=None):
    """Return the list of :class:`Dump` in a text file's bytes, in order.

    :param counts: ``counts(offset)`` says whether a magic there may be a dump's head, and not a comment's text.
    A dump's end is where the checksum that closes it is right; without one (truncated, edited,
    ``rdbchecksum no``) it reaches to the end of the last line that holds binary bytes.
    """
    dumps = []
    for found in _MAGIC.finditer(content):
        start = found.start()
        if (dumps and start < dumps[-1].end) or not (counts is None or counts(start)):
            continue
        end = _dump_end(content, start)
        complete = end is not None
        if end is None:
            end = max(found.end(), _last_binary(content, start))
        dumps.append(Dump(start, end, found.group().decode("ascii"), complete))
        if len(dumps) == _MAX_DUMPS:
            break
    return dumps


def is_binary(raw):
    """Whether a line's bytes are no text: control characters, or not UTF-8."""
    body = raw.rstrip(b"\r\n")
    if _CONTROL.search(body):
        return True
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def _last_binary(content, start):
    """Return where the last line with binary bytes ends."""
    end = len(content)
    while end > start:
        begin = content.rfind(b"\n", start, end - 1) + 1 or start
        if is_binary(content[begin:end]):
            return end
        end = begin
    return start


def _dump_end(content, start):
    """Return the offset behind the dump's checksum, or ``None``: opcode 0xFF, then the CRC-64 of all before it."""
    crc = 0
    table = _CRC_TABLE
    offset = start
    for piece in _pieces(content, start):
        for byte in piece:
            crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
        offset += len(piece)
        if content[offset - 1] == 0xFF and offset + 8 <= len(content):
            stored, = struct.unpack_from("<Q", content, offset)
            if stored == crc:
                return offset + 8
    return None


def _pieces(content, start):
    """Yield the content from ``start`` in pieces that end with a byte 0xFF."""
    while True:
        end = content.find(b"\xff", start)
        if end < 0:
            return
        yield content[start:end + 1]
        start = end + 1


def _crc_table():
    # CRC-64 "Jones", reflected, as redis/src/crc64.c.
    table = []
    for byte in range(256):
        crc = byte
        for _unused in range(8):
            crc = (crc >> 1) ^ (0x95AC9329AC4BC9B5 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC_TABLE = _crc_table()
