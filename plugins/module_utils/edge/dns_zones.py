# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which name servers answer for a name, and what each of them says: zone cut, delegation, views.

The zone cut is found through a resolver (RFC 1034 4.2), then every authoritative server is asked itself.
A server that refers to a deeper zone is followed, so a delegation that no resolver can use is still seen.
"""

import asyncio

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge.dns_client import Server

try:
    import dns.name
    import dns.rdatatype
except ImportError:
    pass  # told by dns_client.DNSPYTHON_IMPORT_ERROR

# Referrals from one zone to a deeper one that are followed for one name.
_MAX_REFERRALS = 8

# CNAMEs followed for one name; unbound stops after 11, BIND after 16.
MAX_CHAIN = 16

ADDRESS_TYPES = ("A", "AAAA")


class Zone:
    """A zone and who answers for it.

    ``name``: ``dns.name.Name`` of the apex, ``None`` where no server told it. ``servers``: list of
    :class:`Server`. ``problems``: sentences about name servers that cannot even be asked.
    """

    def __init__(self, name, servers, problems=()):
        self.name = name
        self.servers = servers
        self.problems = list(problems)

    @property
    def text(self):
        return name_text(self.name) if self.name is not None else None


class View:
    """What one server says about one name and type.

    ``status``: ``ok``; or why it counts for nothing: ``timeout``, ``refused``, ``no_route``, ``malformed``,
    ``servfail``, ``query_refused``, ``not_authoritative``, ``error``. ``links``: ``[(owner, target, ttl)]``
    of the CNAMEs inside the server's zone. ``addresses``: ``[(text, ttl)]``. ``end``: ``addresses``,
    ``nodata``, ``nxdomain``, ``loop``, or ``continues`` when the last target lies in another zone.
    ``negative_ttl``: seconds that a cache may keep the absence.
    """

    def __init__(self, server, status, detail=None, reply=None):
        self.server = server
        self.status = status
        self.detail = detail
        self.reply = reply
        self.links = []
        self.addresses = []
        self.end = None
        self.negative_ttl = 0

    @property
    def key(self):
        """What is said, TTLs and order left out: two servers agree when their keys are equal."""
        return (tuple(link[:2] for link in self.links), tuple(sorted(item[0] for item in self.addresses)), self.end)

    def first_step(self):
        """Return the view cut after its first CNAME, so that the rest is asked for by itself."""
        if not self.links:
            return self
        cut = View(self.server, self.status, self.detail, self.reply)
        cut.links, cut.end = self.links[:1], "continues"
        return cut


def name_text(name):
    """Return a ``dns.name.Name`` as text: lower case, no final dot, odd bytes as ``\\DDD``."""
    if name == dns.name.root:
        return "."
    return name.canonicalize().to_text(omit_final_dot=True)


class Delegations:
    """Finds zones and gathers views; every question is put once, however often it is needed.

    :param client: a ``DnsClient``. :param resolvers: list of :class:`Server` that answer recursively.
    :param nameservers: list of :class:`Server` to ask instead of those that the delegation names.
    :param port: port of the servers that a delegation names.
    """

    def __init__(self, client, resolvers, nameservers=(), port=53):
        self._client = client
        self._resolvers = list(resolvers)
        self._nameservers = list(nameservers)
        self._port = port
        self._tasks = {}

    def _once(self, kind, arguments, start):
        task = self._tasks.get((kind,) + arguments)
        if task is None:
            task = self._tasks[(kind,) + arguments] = asyncio.ensure_future(start(*arguments))
        return task

    async def zone_of(self, name):
        """Return the :class:`Zone` that holds ``name``; its ``servers`` are empty where none is found."""
        if self._nameservers:
            return await self._once("given", (name,), self._given_zone)
        return await self._once("found", (name,), self._find_zone)

    async def views(self, name, rdtype, elsewhere=False):
        """Return ``(zone, [View])`` of every server of the zone that holds ``name``.

        :param elsewhere: ``name`` is the target of a CNAME, so that servers which were given by hand may
            know nothing of it; then the delegation is followed instead.
        """
        zone, views = await self._once("views", (name, rdtype), self._views)
        if elsewhere and self._nameservers and not any(view.status == "ok" for view in views):
            zone = await self._once("found", (name,), self._find_zone)
            return await self._ask_zone(zone, name, rdtype)
        return zone, views

    async def serial(self, zone, server):
        """Return the serial of the zone's SOA at ``server``, or ``None``."""
        if zone.name is None:
            return None
        reply = await self._once("serial", (zone.name, server), self._soa)
        for rrset in reply.message.answer if reply.message is not None else ():
            if rrset.rdtype == dns.rdatatype.SOA and rrset.name == zone.name:
                return rrset[0].serial
        return None

    async def cached(self, resolver, name, rdtype):
        """Return the :class:`View` of a resolver: what its cache, or whom it asks, answers now."""
        reply = await self._ask_resolver(resolver, name, rdtype)
        view = _failed_view(reply)
        if view is not None and view.status == "servfail":
            view.detail = "it says SERVFAIL: it gets no usable answer from the name servers"
        if view is None:
            view = View(resolver, "ok", reply=reply)
            _read_answer(view, reply.message, name, rdtype, dns.name.root)
            if view.end == "continues":
                view.end = "nodata"
        return view

    async def _soa(self, name, server):
        return await self._client.ask(server, name, "SOA")

    async def _views(self, name, rdtype):
        zone = await self.zone_of(name)
        return await self._ask_zone(zone, name, rdtype)

    async def _ask_zone(self, zone, name, rdtype):
        for _depth in range(_MAX_REFERRALS):
            replies = await asyncio.gather(*[self._client.ask(server, name, rdtype) for server in zone.servers])
            deeper = None
            for reply in replies:
                deeper = deeper or _referral(reply, name, zone.name)
            if deeper is None:
                break
            zone = await self._once("referred", (deeper[0], deeper[1]), self._referred_zone)
        return zone, [_view(reply, name, rdtype, zone) for reply in replies]

    async def _given_zone(self, name):
        candidate = name
        while True:
            replies = await asyncio.gather(
                *[self._client.ask(server, candidate, "SOA") for server in self._nameservers])
            known = [reply for reply in replies if reply.authoritative and reply.rcode in ("NOERROR", "NXDOMAIN")]
            for reply in known:
                apex = _apex(reply, candidate)
                if apex is not None:
                    return Zone(apex, self._nameservers)
            # A name that is a CNAME tells no SOA of its own; the name above it does.
            if not known or candidate == dns.name.root:
                return Zone(None, self._nameservers)
            candidate = candidate.parent()

    async def _find_zone(self, name):
        candidate = name
        while True:
            # Nothing, or SERVFAIL, also comes of a zone whose servers are all dead: the zone above then
            # refers to it, and the servers are named.
            reply = await self._recursive(candidate, "NS")
            names = _ns_names(reply.message.answer, candidate) if reply is not None else ()
            if names:
                return await self._once("zone", (candidate, names), self._zone_with)
            if candidate == dns.name.root:
                why = ("no resolver answers this machine" if reply is None
                       else "the resolver %s says %s" % (reply.server, reply.rcode))
                return Zone(None, [], ["%s, so the name servers cannot be found" % why])
            above = candidate.parent()
            apex = _apex(reply, candidate) if reply is not None else None
            candidate = apex if apex is not None and above.is_subdomain(apex) else above

    async def _recursive(self, name, rdtype):
        """Return the first useful reply of the resolvers, else a useless one, else ``None``."""
        return await self._once("recursive", (name, rdtype), self._ask_resolvers)

    async def _ask_resolvers(self, name, rdtype):
        useless = None
        for resolver in self._resolvers:
            reply = await self._ask_resolver(resolver, name, rdtype)
            if reply.rcode in ("NOERROR", "NXDOMAIN"):
                return reply
            if reply.status == "ok":
                useless = reply
        return useless

    async def _ask_resolver(self, resolver, name, rdtype):
        # A resolver is silent, too, while it waits for the dead servers of one domain. A question that
        # needs no recursion is answered at once, be it by REFUSED: that tells whether it lives at all.
        alive = await self._once("alive", (resolver, dns.name.root, "NS"), self._client.ask)
        if alive.message is None:
            return alive
        return await self._client.ask(resolver, name, rdtype, recursion=True)

    async def _zone_with(self, apex, names, glue=()):
        servers, problems = [], []
        known = dict(glue)
        for name in names:
            found = await asyncio.gather(*[self._recursive(name, rdtype) for rdtype in ADDRESS_TYPES])
            addresses = []
            for reply in found:
                if reply is not None:
                    addresses.extend(_addresses(reply.message.answer))
            addresses = addresses or list(known.get(name, ()))
            if not addresses:
                problems.append("the name server %s has no address" % name_text(name))
            servers.extend(Server(address, self._port, name_text(name)) for address in addresses)
        return Zone(apex, servers, problems)

    async def _referred_zone(self, apex, delegation):
        return await self._zone_with(apex, tuple(name for name, _glue in delegation), delegation)


def _view(reply, name, rdtype, zone):
    view = _failed_view(reply)
    if view is not None:
        return view
    if not reply.authoritative:
        return View(reply.server, "not_authoritative", "it is not authoritative for the zone (lame delegation)", reply)
    view = View(reply.server, "ok", reply=reply)
    _read_answer(view, reply.message, name, rdtype, zone.name if zone.name is not None else dns.name.root)
    return view


def _failed_view(reply):
    if reply.status != "ok":
        return View(reply.server, reply.status, reply.detail, reply)
    if reply.rcode == "SERVFAIL":
        return View(reply.server, "servfail", "it says SERVFAIL: its zone is broken, expired or not loaded", reply)
    if reply.rcode == "REFUSED":
        return View(reply.server, "query_refused", "it refuses the question: it does not serve the zone (lame "
                    "delegation), or not to this machine", reply)
    if reply.rcode not in ("NOERROR", "NXDOMAIN"):
        return View(reply.server, "error", "it says %s" % reply.rcode, reply)
    return None


def _read_answer(view, message, name, rdtype, apex):
    """Follow the CNAMEs in the answer as far as the zone ``apex`` reaches: only that far is it believed."""
    wanted = dns.rdatatype.from_text(rdtype)
    cnames, addresses = {}, {}
    for rrset in message.answer:
        if rrset.rdtype == dns.rdatatype.CNAME:
            cnames[rrset.name] = (rrset[0].target, rrset.ttl)
        elif rrset.rdtype == wanted:
            addresses[rrset.name] = [(item.address, rrset.ttl) for item in rrset]
    current, passed = name, set()
    while current in cnames and current.is_subdomain(apex):
        passed.add(current)
        target, ttl = cnames[current]
        view.links.append((name_text(current), name_text(target), ttl))
        current = target
        if current in passed:
            view.end = "loop"
            return
        if len(view.links) >= MAX_CHAIN:
            break
    if current in addresses and current.is_subdomain(apex):
        view.addresses = sorted(addresses[current])
        view.end = "addresses"
        return
    inside = current.is_subdomain(apex)
    if view.links and (not inside or not _denied(message, current)):
        view.end = "continues"
        return
    view.end = "nxdomain" if view.reply.rcode == "NXDOMAIN" else "nodata"
    view.negative_ttl = _negative_ttl(message)


def _denied(message, name):
    """Whether the answer says that ``name`` has no such record, which takes the SOA of its zone (RFC 2308)."""
    return any(rrset.rdtype == dns.rdatatype.SOA and name.is_subdomain(rrset.name) for rrset in message.authority)


def _negative_ttl(message):
    for rrset in message.authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            return min(rrset.ttl, rrset[0].minimum)  # RFC 2308 5
    return 0


def _apex(reply, name):
    """Return the zone apex that the SOA in a reply names, or ``None``."""
    if reply.message is None:
        return None
    sections = list(reply.message.answer) + list(reply.message.authority)
    if any(rrset.rdtype == dns.rdatatype.CNAME for rrset in sections):
        # The SOA that follows is that of the CNAME's target.
        sections = [rrset for rrset in sections if name.is_subdomain(rrset.name)]
    for rrset in sections:
        if rrset.rdtype == dns.rdatatype.SOA and name.is_subdomain(rrset.name):
            return rrset.name
    return None


def _ns_names(rrsets, owner):
    """Return the targets of the NS records that ``owner`` itself has, sorted, as a tuple."""
    names = set()
    for rrset in rrsets:
        if rrset.rdtype == dns.rdatatype.NS and rrset.name == owner:
            names.update(item.target for item in rrset)
    return tuple(sorted(names))


def _addresses(rrsets):
    found = []
    for rrset in rrsets:
        if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            found.extend(item.address for item in rrset)
    return sorted(found)


def _referral(reply, name, apex):
    """Return ``(deeper apex, ((ns name, (glue addresses)), ...))`` if the reply refers there, else ``None``."""
    if reply.rcode != "NOERROR" or reply.authoritative or reply.message.answer:
        return None
    for rrset in reply.message.authority:
        if rrset.rdtype != dns.rdatatype.NS or not name.is_subdomain(rrset.name):
            continue
        if apex is not None and (rrset.name == apex or not rrset.name.is_subdomain(apex)):
            continue  # upward or sideways: a lame server's answer
        if apex is None and rrset.name == dns.name.root:
            continue
        glue = []
        for target in sorted(item.target for item in rrset):
            extra = [extra for extra in reply.message.additional if extra.name == target]
            glue.append((target, tuple(_addresses(extra))))
        return rrset.name, tuple(glue)
    return None
