# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""As much of the Redis protocol (RESP2) as staging and verifying need. Runs on the controller and on the hosts."""

import socket


class RedisReplyError(Exception):
    """The server answered with an error; the text is its own (``NOAUTH ...``)."""


class Redis:
    """One connection. Called with a command's words, it returns str, int, list or ``None``."""

    def __init__(self, address, port=6379, timeout=10):
        self._socket = socket.create_connection((address, port), timeout)
        self._stream = self._socket.makefile("rb")

    def __call__(self, *words):
        parts = [str(word).encode() for word in words]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(request)
        return self._reply()

    def _reply(self):
        line = self._stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2].decode("utf-8", "backslashreplace")
        if kind == b"-":
            raise RedisReplyError(rest)
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if int(rest) < 0:
            return None
        if kind == b"$":
            return self._stream.read(int(rest) + 2)[:-2].decode("utf-8", "backslashreplace")
        return [self._reply() for _item in range(int(rest))]


def contents(redis, ignore=()):
    """Return ``{key: [type, value, expires]}`` of every key, in a form that a restart does not change."""
    readers = {
        "string": lambda key: redis("GET", key),
        "hash": lambda key: _pairs(redis("HGETALL", key)),
        "list": lambda key: redis("LRANGE", key, 0, -1),
        "set": lambda key: sorted(redis("SMEMBERS", key)),
        "zset": lambda key: redis("ZRANGE", key, 0, -1, "WITHSCORES"),
    }
    found = {}
    for key in redis("KEYS", "*"):
        if key not in ignore:
            kind = redis("TYPE", key)
            found[key] = [kind, readers[kind](key), redis("TTL", key) > 0]
    return found


def _pairs(flat):
    return sorted([flat[index], flat[index + 1]] for index in range(0, len(flat), 2))
