# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put one question to one DNS server: UDP, then TCP where it must be; EDNS, then without.

Nothing here raises because a server is down or talks nonsense: that is an answer too, told by the
:class:`Reply`. Follows RFC 1035, RFC 6891 (EDNS) and RFC 7766 (TCP). Needs dnspython, on the controller.
"""

import asyncio
import errno
import socket
import traceback

try:
    import dns.asyncquery
    import dns.exception
    import dns.flags
    import dns.message
    import dns.rcode
except ImportError:
    DNSPYTHON_IMPORT_ERROR = traceback.format_exc()
else:
    DNSPYTHON_IMPORT_ERROR = None

# What passes every path without fragments (DNS flag day 2020).
EDNS_PAYLOAD = 1232

# Sockets open at once, well below the usual 1024 descriptors of a process.
_MAX_IN_FLIGHT = 200

# A server that let so many questions go by in a row, and never answered one, is not asked again in this run.
_SILENT_AFTER = 2

# The answer tells that the server does not understand EDNS (RFC 6891 7).
_NO_EDNS_RCODES = ("FORMERR", "NOTIMP", "BADVERS")

_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Server:
    """A name server: ``address`` and ``port`` to ask, ``name`` as the delegation calls it or ``None``."""

    def __init__(self, address, port=53, name=None):
        self.address = address
        self.port = port
        self.name = name

    @property
    def key(self):
        return (self.address, self.port)

    def __str__(self):
        where = self.address
        if self.port != 53:
            where = ("[%s]:%d" if ":" in where else "%s:%d") % self.key
        return "%s (%s)" % (self.name, where) if self.name else where


class Reply:
    """What came back from one server for one question.

    ``status``: ``ok`` (there is a message), ``timeout``, ``refused`` (nothing listens there),
    ``no_route`` (this machine has no way to that address) or ``malformed``. ``message``: the
    ``dns.message.Message`` or ``None``. ``transport``: ``udp`` or ``tcp``. ``edns``: whether the server
    spoke EDNS. ``detail``: a sentence for what is not ``ok``.
    """

    def __init__(self, server, status, message=None, transport="udp", edns=True, detail=None):
        self.server = server
        self.status = status
        self.message = message
        self.transport = transport
        self.edns = edns
        self.detail = detail

    @property
    def rcode(self):
        """Name of the response code, such as ``NOERROR``, or ``None`` without a message."""
        return dns.rcode.to_text(self.message.rcode()) if self.message is not None else None

    @property
    def authoritative(self):
        """Whether the server claims authority (AA) for the answer."""
        return self.message is not None and bool(self.message.flags & dns.flags.AA)


class DnsClient:
    """Asks many servers at once, each only so much at a time.

    :param timeout: seconds to wait for each try. :param per_server: questions in flight at one server.
    Use it inside one event loop.
    """

    def __init__(self, timeout=3.0, per_server=20):
        self.timeout = timeout
        self.per_server = per_server
        self.asked = 0
        self._all = asyncio.Semaphore(_MAX_IN_FLIGHT)
        self._limits = {}
        self._silent = {}

    async def ask(self, server, name, rdtype, recursion=False):
        """Return the :class:`Reply` of ``server``.

        :param name: ``dns.name.Name``. :param rdtype: ``A``, ``AAAA``, ``NS``, ``SOA`` ...
        :param recursion: ask a resolver to find out (RD) instead of an authoritative server what it knows.
        """
        limit = self._limits.setdefault(server.key, asyncio.Semaphore(self.per_server))
        async with limit:
            if self._silent.get(server.key, 0) >= _SILENT_AFTER:
                return Reply(server, "timeout", detail="it let all earlier questions of this run go by")
            async with self._all:
                reply = await self._try_all_ways(server, name, rdtype, recursion)
        if reply.status != "timeout":
            self._silent[server.key] = float("-inf")  # it lives: a later loss is only a loss
        else:
            self._silent[server.key] = self._silent.get(server.key, 0) + 1
        return reply

    async def _try_all_ways(self, server, name, rdtype, recursion):
        query = _query(name, rdtype, recursion, edns=True)
        plain = _query(name, rdtype, recursion, edns=False)
        reply = await self._udp(server, query)
        if reply.status == "ok" and reply.rcode in _NO_EDNS_RCODES:
            reply, query = await self._udp(server, plain), plain
            reply.edns = False
        elif reply.status == "timeout":
            # Lost, or swallowed by something on the way that dislikes EDNS.
            reply = await self._udp(server, plain)
            reply.edns = False
        if reply.status == "ok" and reply.message.flags & dns.flags.TC:
            answer = await self._tcp(server, query)
            if answer.status != "ok":
                answer.detail = "its answer does not fit into UDP, and over TCP %s" % answer.detail
            return answer
        if reply.status == "timeout":
            answer = await self._tcp(server, query)
            if answer.status == "ok":
                return answer
        return reply

    async def _udp(self, server, query):
        loop = asyncio.get_running_loop()
        self.asked += 1
        answer = loop.create_future()
        try:
            # Connected: the kernel drops what comes from elsewhere, and tells when nothing listens.
            transport, _protocol = await loop.create_datagram_endpoint(
                lambda: _Question(query, answer), remote_addr=(server.address, server.port))
        except OSError as error:
            return _failed(server, error, "udp")
        try:
            transport.sendto(query.to_wire())
            message = await asyncio.wait_for(answer, self.timeout)
        except asyncio.TimeoutError:
            return Reply(server, "timeout", detail="it did not answer within %g s" % self.timeout)
        except OSError as error:
            return _failed(server, error, "udp")
        except dns.exception.DNSException as error:
            return Reply(server, "malformed", detail="its answer cannot be read (%s)" % type(error).__name__)
        finally:
            transport.close()
        return Reply(server, "ok", message, edns=message.edns >= 0)

    async def _tcp(self, server, query):
        self.asked += 1
        try:
            message = await dns.asyncquery.tcp(query, server.address, self.timeout, server.port)
        except (dns.exception.Timeout, asyncio.TimeoutError):
            return Reply(server, "timeout", transport="tcp", detail="it did not answer within %g s" % self.timeout)
        except EOFError:
            return Reply(server, "malformed", transport="tcp", detail="it closed the connection without an answer")
        except OSError as error:
            return _failed(server, error, "tcp")
        except dns.exception.DNSException as error:
            return Reply(server, "malformed", transport="tcp",
                         detail="its answer cannot be read (%s)" % type(error).__name__)
        return Reply(server, "ok", message, transport="tcp", edns=message.edns >= 0)


class _Question(asyncio.DatagramProtocol):
    """Waits for the one datagram that answers the question."""

    def __init__(self, query, answer):
        self._query = query
        self._answer = answer

    def datagram_received(self, data, addr):
        if self._answer.done():
            return
        try:
            message = dns.message.from_wire(data, ignore_trailing=True)
        except dns.exception.DNSException as error:
            # Only what carries our id can be the server's answer; anything else may be forged.
            if data[:2] == self._query.id.to_bytes(2, "big"):
                self._answer.set_exception(error)
            return
        if _answers(self._query, message):
            self._answer.set_result(message)

    def error_received(self, exc):
        if not self._answer.done():
            self._answer.set_exception(exc)


def _answers(query, message):
    if message.id != query.id or not message.flags & dns.flags.QR:
        return False
    # A server may leave the question out of an error (RFC 1035 says nothing; some do for REFUSED, FORMERR).
    return message.question == query.question or (not message.question and message.rcode() != dns.rcode.NOERROR)


def _query(name, rdtype, recursion, edns):
    query = dns.message.make_query(name, rdtype, use_edns=0 if edns else False, payload=EDNS_PAYLOAD)
    if not recursion:
        query.flags &= ~dns.flags.RD
    return query


def _failed(server, error, transport):
    if isinstance(error, socket.gaierror):
        return Reply(server, "no_route", transport=transport, detail="its address cannot be used here")
    if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
        return Reply(server, "refused", transport=transport, detail="nothing answers on port %d" % server.port)
    if error.errno in _UNREACHABLE:
        return Reply(server, "no_route", transport=transport,
                     detail="this machine has no way to that address (%s)" % error.strerror)
    return Reply(server, "timeout", transport=transport, detail=str(error.strerror or error))
