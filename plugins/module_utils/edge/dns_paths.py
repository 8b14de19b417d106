# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a domain leads according to each of its name servers and to caches: the facts, without a verdict."""

import asyncio

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge.dns_zones import (
    ADDRESS_TYPES,
    MAX_CHAIN,
    name_text,
)

try:
    import dns.name
except ImportError:
    pass  # told by dns_client.DNSPYTHON_IMPORT_ERROR

# Different answers followed for one name and type; more only says again that the servers disagree.
_MAX_BRANCHES = 8


class Path:
    """One way from a domain to addresses.

    ``links``: ``[(owner, target, ttl)]`` of all CNAMEs in order. ``addresses``: ``[(text, ttl)]``.
    ``end``: ``addresses``, ``nodata``, ``nxdomain``, ``loop``, ``too_long``, or ``unknown`` when nobody
    answered for the last target (``detail`` says why). ``negative_ttl``: seconds a cache keeps an absence.
    ``servers``: who says so, as text.
    """

    def __init__(self, links=(), addresses=(), end="addresses", detail=None, negative_ttl=0, servers=()):
        self.links = list(links)
        self.addresses = list(addresses)
        self.end = end
        self.detail = detail
        self.negative_ttl = negative_ttl
        self.servers = list(servers)

    @property
    def targets(self):
        """The names that the CNAMEs lead to, in order."""
        return [link[1] for link in self.links]

    @property
    def first_ttl(self):
        """Seconds that a cache may keep what stands at the domain itself."""
        if self.links:
            return self.links[0][2]
        return max([ttl for _address, ttl in self.addresses], default=self.negative_ttl)

    def as_dict(self):
        """Return the path as JSON values."""
        return {
            "cnames": [{"name": owner, "target": target, "ttl": ttl} for owner, target, ttl in self.links],
            "addresses": [{"address": address, "ttl": ttl} for address, ttl in self.addresses],
            "end": self.end,
            "detail": self.detail,
            "servers": self.servers,
        }


class CachedPath:
    """What a resolver (text) answers for one type: ``path``, or ``None`` and the reason in ``detail``."""

    def __init__(self, resolver, rdtype, path, detail=None):
        self.resolver = resolver
        self.rdtype = rdtype
        self.path = path
        self.detail = detail


class DomainFacts:
    """All that was learned about one domain.

    ``zone``: apex as text or ``None``. ``servers``: list of dicts, one a name server. ``problems``: sentences
    about the delegation. ``paths``: type → list of :class:`Path`, one for each different answer; empty where
    no server answered. ``disputes``: ``[(name, type)]`` in the domain's own zone on which servers disagree.
    ``caches``: list of :class:`CachedPath`.
    """

    def __init__(self, name):
        self.name = name
        self.zone = None
        self.servers = []
        self.problems = []
        self.paths = {}
        self.disputes = []
        self.caches = []


class Gatherer:
    """Gathers :class:`DomainFacts`.

    :param delegations: ``dns_zones.Delegations``. :param resolvers: list of ``Server`` whose caches are asked.
    :param is_vendor: function from a name (text) to whether it is an edge vendor's. Those hand out other
        addresses at every turn, so that their servers' answers are put together and not compared.
    """

    def __init__(self, delegations, resolvers, is_vendor):
        self._delegations = delegations
        self._resolvers = resolvers
        self._is_vendor = is_vendor

    async def gather(self, domain):
        """Return the :class:`DomainFacts` of ``domain`` (ASCII text without final dot)."""
        facts = DomainFacts(domain)
        name = dns.name.from_text(domain)
        authoritative = asyncio.gather(*[self._authoritative(facts, name, rdtype) for rdtype in ADDRESS_TYPES])
        cached = asyncio.gather(*[self._cached(resolver, name, rdtype)
                                  for resolver in self._resolvers for rdtype in ADDRESS_TYPES])
        await authoritative
        facts.caches = await cached
        return facts

    async def _authoritative(self, facts, name, rdtype):
        zone, views = await self._delegations.views(name, rdtype)
        facts.zone = zone.text
        facts.problems = zone.problems
        serials = await asyncio.gather(*[self._delegations.serial(zone, view.server) for view in views])
        for view, serial in zip(views, serials):
            _note_server(facts.servers, view, rdtype, serial)
        if any(view.status == "ok" for view in views):
            facts.paths[rdtype] = await self._follow(facts, name, rdtype, zone, views, ())
        else:
            facts.paths[rdtype] = []

    async def _follow(self, facts, name, rdtype, zone, views, passed):
        good = [view for view in views if view.status == "ok"]
        if not good:
            why = "; ".join(sorted({"%s: %s" % (view.server, view.detail) for view in views} | set(zone.problems)))
            return [Path(end="unknown", detail=why)]
        groups = [good] if self._is_vendor(name_text(name)) else _agreeing(good)
        if len(groups) > 1 and zone.text == facts.zone:
            facts.disputes.append((name_text(name), rdtype))
        paths = []
        for group in groups[:_MAX_BRANCHES]:
            paths.extend(await self._extend(facts, rdtype, group, passed + (name_text(name),)))
        return paths[:_MAX_BRANCHES]

    async def _extend(self, facts, rdtype, group, passed):
        """Return the paths that begin with what the views of ``group`` say in common."""
        first = group[0]
        addresses = sorted({address: ttl for view in group for address, ttl in view.addresses}.items())
        servers = sorted({str(view.server) for view in group})
        if len(passed) + len(first.links) > MAX_CHAIN + 1:
            return [Path(first.links, end="too_long", servers=servers)]
        if first.end != "continues":
            return [Path(first.links, addresses, first.end, negative_ttl=first.negative_ttl, servers=servers)]
        passed = passed + tuple(link[1] for link in first.links[:-1])
        target = first.links[-1][1]
        if target in passed:
            return [Path(first.links, end="loop", servers=servers)]
        name = dns.name.from_text(target)
        zone, views = await self._delegations.views(name, rdtype, elsewhere=True)
        rest = await self._follow(facts, name, rdtype, zone, views, passed)
        return [Path(first.links + path.links, path.addresses, path.end, path.detail, path.negative_ttl, servers)
                for path in rest]

    async def _cached(self, resolver, name, rdtype):
        view = await self._delegations.cached(resolver, name, rdtype)
        if view.status != "ok":
            return CachedPath(str(resolver), rdtype, None, view.detail)
        return CachedPath(str(resolver), rdtype, Path(
            view.links, view.addresses, view.end, negative_ttl=view.negative_ttl, servers=[str(resolver)]))


def _agreeing(views):
    """Return the views in groups that say the same."""
    groups = _grouped(views)
    if len(groups) > 1:
        # Servers differ in how many CNAMEs of their own zone they put into one answer. So only the
        # first step is compared; the next is asked for by itself.
        groups = _grouped([view.first_step() for view in views])
    return groups


def _grouped(views):
    groups = {}
    for view in views:
        groups.setdefault(view.key, []).append(view)
    return list(groups.values())


def _note_server(servers, view, rdtype, serial):
    """Put what one server said about one type beside what it said about the other."""
    for entry in servers:
        if entry["server"] == str(view.server):
            break
    else:
        entry = {"server": str(view.server), "name": view.server.name, "address": view.server.address,
                 "status": "ok", "detail": None, "serial": serial, "transport": None, "edns": None, "says": {}}
        servers.append(entry)
    if view.status != "ok":
        entry["status"], entry["detail"] = view.status, view.detail
    elif view.reply is not None:
        entry["transport"] = "tcp" if "tcp" in (entry["transport"], view.reply.transport) else "udp"
        entry["edns"] = view.reply.edns
        entry["says"][rdtype] = [link[1] for link in view.links] + [address for address, _ttl in view.addresses] \
            or [view.end]
