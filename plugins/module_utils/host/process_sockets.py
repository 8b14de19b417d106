# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sockets of one process, out of the tables of its own network namespace (/proc/PID/net).

Follows proc(5), packet(7) and net/ipv4/tcp_ipv4.c (``get_tcp4_sock``) for the columns; the host-wide
tables of another namespace would not list the sockets of a container.
"""

import binascii
import re
import socket
import struct
import sys

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_table

_TABLE_LIMIT = 16 * 1024 * 1024
_SOCKET = re.compile(r"^socket:\[(\d+)\]$")

# include/net/tcp_states.h
_TCP_STATES = {
    "01": "ESTABLISHED", "02": "SYN_SENT", "03": "SYN_RECV", "04": "FIN_WAIT1", "05": "FIN_WAIT2", "06": "TIME_WAIT",
    "07": "CLOSE", "08": "CLOSE_WAIT", "09": "LAST_ACK", "0A": "LISTEN", "0B": "CLOSING", "0C": "NEW_SYN_RECV",
}
_INET = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6")


def sockets(where, open_files=None):
    """Return the sockets that the process with directory ``where`` has open.

    :param open_files: :func:`process_table.open_files`, if it is known already.
    :return: dicts with ``protocol`` (``tcp``, ``tcp6``, ``udp``, ``udp6``, ``raw``, ``raw6``, ``packet``, ``unix``,
        ``other``), ``inode``, ``fd``, and for the internet ones ``local``, ``remote`` (``address:port``), ``state``
        (TCP only); for unix ones ``path``.
    """
    if open_files is None:
        open_files = process_table.open_files(where)
    wanted = {}
    for descriptor, target in sorted(open_files.items()):
        match = _SOCKET.match(target)
        if match:
            wanted.setdefault(match.group(1), descriptor)
    if not wanted:
        return []
    found = {}
    for protocol in _INET:
        for fields in _rows(where, protocol):
            if len(fields) > 9 and fields[9] in wanted:
                found[fields[9]] = _inet(protocol, fields)
    for fields in _rows(where, "packet"):
        if fields[-1] in wanted:
            found.setdefault(fields[-1], {"protocol": "packet"})
    for fields in _rows(where, "unix"):
        if len(fields) > 6 and fields[6] in wanted:
            # A socket's name may hold a line break and a made-up row: it must not replace what is known by now.
            found.setdefault(fields[6], {"protocol": "unix", "path": text(fields[7]) if len(fields) > 7 else ""})
    result = []
    for inode, descriptor in wanted.items():
        entry = {"fd": descriptor, "inode": int(inode)}
        entry.update(found.get(inode, {"protocol": "other"}))
        result.append(entry)
    return result


def _rows(where, table):
    content = process_table.read_bytes("%s/net/%s" % (where, table), _TABLE_LIMIT) or b""
    for line in content.decode("utf-8", "surrogateescape").split("\n")[1:]:
        fields = line.split()
        if fields:
            yield fields


def _inet(protocol, fields):
    entry = {"protocol": protocol, "local": _endpoint(fields[1]), "remote": _endpoint(fields[2])}
    if protocol.startswith("tcp"):
        entry["state"] = _TCP_STATES.get(fields[3], fields[3])
    return entry


def _endpoint(value):
    """Return ``address:port`` of the kernel's hexadecimal form: 32-bit words in the machine's own byte order."""
    address, _colon, port = value.partition(":")
    raw = binascii.unhexlify(address)
    if sys.byteorder == "little":
        raw = b"".join(struct.pack("<I", word) for word in struct.unpack(">%dI" % (len(raw) // 4), raw))
    if len(raw) == 4:
        return "%s:%d" % (socket.inet_ntop(socket.AF_INET, raw), int(port, 16))
    return "[%s]:%d" % (socket.inet_ntop(socket.AF_INET6, raw), int(port, 16))
