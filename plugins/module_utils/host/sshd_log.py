# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What sshd has logged about a login, out of log files or of the journal's files read as bytes.

``Accepted publickey for USER from ADDRESS port PORT ssh2: TYPE FINGERPRINT`` (auth_log() of OpenSSH's auth.c). No
program of the host is asked; the journal's file format is described at https://systemd.io/JOURNAL_FILE_FORMAT/.
"""

import glob
import os
import re
import stat
import struct
from collections import namedtuple

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files

Message = namedtuple("Message", "result method user address port info")
Message.__doc__ = """``result``: ``Accepted`` or ``Partial`` (one of several methods); ``method``: ``publickey`` …;
``info``: what follows the protocol: type and fingerprint of the key, of a certificate its CA as well."""

LOG_FILES = ("/var/log/auth.log", "/var/log/secure", "/var/log/messages")
JOURNAL_DIRECTORIES = ("/run/log/journal", "/var/log/journal")

# How much of the newest log and of all journal files is searched, from the end: what is older was
# written before any connection that is still open, save for a very busy host.
_LOG_LIMIT = 64 * safe_files.MEBIBYTE
_JOURNAL_LIMIT = 512 * safe_files.MEBIBYTE
_PIECE = 4 * safe_files.MEBIBYTE
_LONGEST_LINE = 4096

# Anchored at the program's name: a user name such as "x Accepted publickey for root …" comes later in a line.
_LOG_LINE = re.compile(
    rb"^(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ "
    rb"(?:sshd|sshd-session|sshd-auth)\[(?P<pid>\d+)\]: (?P<message>(?:Accepted|Partial) .*)$")
_MESSAGE = re.compile(
    r"(?P<result>Accepted|Partial) (?P<method>\S+) for (?P<user>\S+) from (?P<address>\S+) port (?P<port>\d+)"
    r"(?: ssh2)?(?:: (?P<info>.*))?$")

# journal-def.h: ObjectHeader (type, flags, 6 reserved, size) and the head of a DataObject before its
# payload, without and with the compact layout.
_DATA_HEADERS = (64, 72)
_OBJECT_DATA = 1
_COMPRESSED = 0x7


def login_messages(address, port, pids, host_root="/"):
    """Return ``(path of the log or None, list of Message)`` of one connection.

    :param address, port: the client's; where they are ``None``, only ``pids`` tell.
    :param pids: of the sshd processes that serve it.
    """
    client = None if port is None else (_plain_address(address), port)
    for path in _log_files(host_root):
        messages = _from_file(client, pids, path, host_root)
        if messages:
            return path, messages
    budget = _JOURNAL_LIMIT if client is not None else 0
    for path in _journal_files(host_root):
        if budget <= 0:
            break
        searched, messages = _from_journal(client, path, host_root, budget)
        budget -= searched
        if messages:
            return path, messages
    return None, []


def _from_file(client, pids, path, host_root):
    """Return the matching messages of a text log; where lines of our own sshd's pid are found, only those are believed.

    Any local user may write a line to syslog, but not with the pid of our sshd in it at the right moment.
    """
    own = []
    others = []
    left = None
    for line in _lines_backwards(path, host_root):
        if left is not None:
            left -= 1
            if left < 0:
                break
        if b"]: Accepted " not in line and b"]: Partial " not in line:
            continue
        found = _LOG_LINE.match(line)
        message = _message(found.group("message")) if found else None
        if message is None:
            continue
        is_own = int(found.group("pid")) in pids
        if not (_same_client(client, message) if client is not None else is_own):
            continue
        (own if is_own else others).append(message)
        if is_own and message.result == "Accepted" and left is None:
            # A login by two keys leaves a Partial line shortly before.
            left = 500
    return own or others


def _message(raw):
    found = _MESSAGE.match(safe_files.path_text(raw))
    if not found:
        return None
    result, method, user, address, port, info = found.groups()
    return Message(result, method, user, address, int(port), info or "")


def _same_client(client, message):
    return (_plain_address(message.address), message.port) == client


def _plain_address(address):
    address = address.lower()
    return address[7:] if address.startswith("::ffff:") and "." in address else address


def _log_files(host_root):
    """Return the log files and the newest rotated one of each that is not compressed."""
    found = []
    for path in LOG_FILES:
        found.append(path)
        prefix = safe_files.host_path(path, host_root)
        rotated = [name for name in glob.glob(glob.escape(prefix) + "[.-]*") if re.search(r"([.]1|-\d{8})$", name)]
        if rotated:
            found.append(path + max(rotated, key=_modified)[len(prefix):])
    return found


def _journal_files(host_root):
    """Return the journal files, last written first."""
    found = []
    for directory in JOURNAL_DIRECTORIES:
        prefix = safe_files.host_path(directory, host_root)
        for name in glob.glob(os.path.join(glob.escape(prefix), "*", "*.journal")):
            found.append((_modified(name), directory + name[len(prefix):]))
    return [path for unused, path in sorted(found, reverse=True)]


def _modified(path):
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return 0
    return status.st_mtime if stat.S_ISREG(status.st_mode) else 0


def _pieces_backwards(path, host_root, limit, overlap):
    """Yield ``(offset, bytes)`` from the file's end to its start; each piece reaches ``overlap`` into the later one."""
    try:
        descriptor = safe_files.open_regular(path, host_root)
    except ResponseError:
        return
    try:
        size = os.fstat(descriptor).st_size
        end = size
        while end > 0 and size - end < limit:
            start = max(0, end - _PIECE)
            try:
                piece = os.pread(descriptor, end - start + overlap, start)
            except OSError:
                return
            yield start, piece
            end = start
    finally:
        os.close(descriptor)


def _lines_backwards(path, host_root):
    """Yield the lines of a text file, last first."""
    tail = b""
    for start, piece in _pieces_backwards(path, host_root, _LOG_LIMIT, 0):
        lines = (piece + tail).split(b"\n")
        # The first line of a piece may begin in the piece before; what is far too long is no line of sshd's.
        tail = lines.pop(0)[:_LONGEST_LINE] if start else b""
        yield from reversed(lines)


def _from_journal(client, path, host_root, limit):
    """Return ``(bytes searched, messages)`` of the connection in one journal file.

    sshd's message is shorter than what journald compresses (512 bytes), so that it stands there as
    plain bytes; the object's header before it is checked, and gives its length.
    """
    needle = re.compile(rb"MESSAGE=(?:Accepted|Partial) [a-z/-]+ for \S{1,64} from %s port %d(?: ssh2)?" % (
        rb"(?:::ffff:)?" + re.escape(safe_files.path_bytes(client[0])), client[1]))
    found = []
    searched = 0
    head = max(_DATA_HEADERS)
    for _start, piece in _pieces_backwards(path, host_root, limit, _LONGEST_LINE + head):
        searched += min(len(piece), _PIECE)
        for match in needle.finditer(piece):
            payload = _payload(piece, match.start())
            message = _message(payload[len(b"MESSAGE="):]) if payload is not None else None
            if message is not None and _same_client(client, message):
                found.append(message)
        if found:
            break
    return searched, found


def _payload(piece, start):
    """Return a journal data object's whole payload when a header of one stands before ``start``, else ``None``."""
    for length in _DATA_HEADERS:
        if start < length:
            continue
        kind, flags, size = struct.unpack_from("<BB6xQ", piece, start - length)
        if kind == _OBJECT_DATA and not flags & _COMPRESSED and length < size <= length + _LONGEST_LINE:
            return piece[start:start - length + size]
    return None
