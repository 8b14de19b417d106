# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client of the Redis serialization protocol, version 2 (https://redis.io/docs/reference/protocol-spec/).

Error replies are values, not exceptions: their exact codes are the evidence. No handshake, no retry,
nothing is sent that the caller did not ask for. The peer may be hostile: size, depth and time are bounded.
"""

import collections
import ctypes
import os
import socket
import time

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text

REPLY_BYTES = 64 * 1024 * 1024
LINE_BYTES = 64 * 1024
MAX_DEPTH = 8
_CLONE_NEWNET = 0x40000000

# host and port, or path of a unix socket. tls: None, or a dict with the files "cert" and "key" (both may be None).
# network: path of a network namespace (/proc/PID/ns/net) to connect from, or None for our own.
Endpoint = collections.namedtuple("Endpoint", "host port path tls network")
Endpoint.__new__.__defaults__ = (None, 0, None, None, None)


class Unreachable(ResponseError):
    """No conversation: ``reason`` is ``refused``, ``timeout``, ``closed``, ``not_resp``, ``too_large``, ``tls``."""

    def __init__(self, reason, message, hint=None):
        super().__init__(message, hint)
        self.reason = reason


class ErrorReply(str):
    """An error of the server, without the leading ``-``: ``NOAUTH Authentication required.``"""

    @property
    def code(self):
        """Return the first word, in capitals as servers send it: ``NOAUTH``, ``WRONGPASS``, ``ERR`` …"""
        return self.partition(" ")[0]


class Connection:
    """One conversation.

    :param endpoint: :class:`Endpoint`. :param timeout: seconds for connecting, and for each call as a whole.
    :raises Unreachable: from every method, when there is no answer or it is none of this protocol.
    """

    def __init__(self, endpoint, timeout=5.0):
        self.endpoint = endpoint
        self.timeout = timeout
        self._buffer = bytearray()
        self._at = 0
        self._budget = 0
        self._deadline = time.monotonic() + timeout
        try:
            self._socket = self._open()
        except socket.timeout as error:
            raise Unreachable("timeout", "%s does not answer." % self) from error
        except (OSError, ValueError) as error:
            reason = "tls" if endpoint.tls is not None and not isinstance(error, ConnectionError) else "refused"
            raise Unreachable(reason, "%s cannot be reached: %s." % (self, error)) from error

    def __str__(self):
        where = self.endpoint
        return text(where.path) if where.path else "%s port %d" % (where.host, where.port)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        """End the conversation."""
        self._socket.close()

    def call(self, *words):
        """Send one command (str, bytes or int words) and return its reply.

        Replies: str (simple string), :class:`ErrorReply`, int, bytes (bulk string), list, ``None``.
        """
        return self.pipeline([words])[0]

    def pipeline(self, commands, limit=REPLY_BYTES):
        """Send several commands at once and return their replies in order.

        :param limit: bytes that all replies together may have.
        """
        self._deadline = time.monotonic() + self.timeout
        self._budget = limit
        self._send(b"".join(_encode(words) for words in commands))
        return [self._reply(0) for unused in commands]

    def read(self):
        """Return a reply without sending anything: some refusals come as soon as the connection is there."""
        self._deadline = time.monotonic() + self.timeout
        self._budget = REPLY_BYTES
        return self._reply(0)

    def _open(self):
        endpoint = self.endpoint
        unix = endpoint.path is not None
        family = socket.AF_UNIX if unix else socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        raw = socket_in(endpoint.network, family)
        try:
            raw.settimeout(self.timeout)
            raw.connect(endpoint.path if unix else (endpoint.host, endpoint.port))
            return raw if endpoint.tls is None else _wrap(raw, endpoint.tls)
        except (OSError, ValueError):
            raw.close()
            raise

    def _left(self):
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Unreachable("timeout", "%s does not answer within %g seconds." % (self, self.timeout))
        return left

    def _send(self, data):
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(data)
        except socket.timeout as error:
            raise Unreachable("timeout", "%s does not take what is sent." % self) from error
        except OSError:
            # The peer may have said why before it closed: let the reader find it.
            pass

    def _fill(self):
        if self._at > LINE_BYTES:
            del self._buffer[:self._at]
            self._at = 0
        try:
            self._socket.settimeout(self._left())
            chunk = self._socket.recv(256 * 1024)
        except socket.timeout as error:
            raise Unreachable("timeout", "%s does not answer within %g seconds." % (self, self.timeout)) from error
        except OSError as error:
            raise Unreachable("closed", "%s broke the connection: %s." % (self, error)) from error
        if not chunk:
            raise Unreachable("closed", "%s closed the connection." % self)
        self._budget -= len(chunk)
        if self._budget < 0:
            raise Unreachable("too_large", "%s answers with more than can be taken in." % self)
        self._buffer += chunk

    def _line(self):
        while True:
            end = self._buffer.find(b"\r\n", self._at)
            if end >= 0:
                line = bytes(self._buffer[self._at:end])
                self._at = end + 2
                return line
            if len(self._buffer) - self._at > LINE_BYTES:
                raise self._foreign()
            self._fill()

    def _reply(self, depth):
        # Looking at the kind first ends a talk with an HTTP or SSH server after its first byte.
        while self._at >= len(self._buffer):
            self._fill()
        kind = self._buffer[self._at:self._at + 1]
        if kind not in (b"+", b"-", b":", b"$", b"*") or depth > MAX_DEPTH:
            raise self._foreign()
        rest = self._line()[1:]
        if kind == b"+":
            return text(rest)
        if kind == b"-":
            return ErrorReply(text(rest))
        try:
            number = int(rest)
        except ValueError:
            raise self._foreign() from None
        if kind == b":":
            return number
        if number < 0:
            return None
        if kind == b"*":
            return [self._reply(depth + 1) for unused in range(number)]
        if number > REPLY_BYTES:
            raise Unreachable("too_large", "%s answers with %d bytes." % (self, number))
        while len(self._buffer) - self._at < number + 2:
            self._fill()
        value = bytes(self._buffer[self._at:self._at + number])
        self._at += number + 2
        return value

    def _foreign(self):
        head = text(bytes(self._buffer[self._at:self._at + 40]))
        return Unreachable("not_resp", "%s does not speak the Redis protocol (%r)." % (self, head))


def _encode(words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if not isinstance(word, bytes):
            word = str(word).encode("utf-8", "surrogateescape")
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


def _wrap(raw, files):
    try:
        import ssl
    except ImportError as error:
        raise ValueError("the host's Python has no TLS") from error
    # The peer is a process of this very host, found in /proc: who it is, is known; its certificate is not the question.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if files.get("cert"):
        context.load_cert_chain(files["cert"], files.get("key") or None, password=lambda: files.get("password") or "")
    return context.wrap_socket(raw)


def socket_in(network, family):
    """Return a stream socket that belongs to a network namespace (``None``: our own); see setns(2).

    A socket stays in the namespace it was made in, so the thread goes back at once.
    """
    if network is None:
        return socket.socket(family, socket.SOCK_STREAM)
    libc = ctypes.CDLL(None, use_errno=True)
    ours = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        theirs = os.open(network, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(libc, theirs)
            try:
                return socket.socket(family, socket.SOCK_STREAM)
            finally:
                _setns(libc, ours)
        finally:
            os.close(theirs)
    finally:
        os.close(ours)


def _setns(libc, descriptor):
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
