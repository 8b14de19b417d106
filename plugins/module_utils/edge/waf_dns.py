# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All domains at once: what to ask in, findings and gaps out."""

import asyncio
import datetime
import math

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge.dns_client import DnsClient, Server
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge.dns_paths import Gatherer
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge.dns_zones import Delegations
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge.domain_names import (
    parse_address,
    parse_domain,
    parse_server,
    to_unicode,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge.waf_vendors import (
    VENDORS,
    Vendor,
    find_vendor,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge.waf_verdict import (
    REASONS,
    VERDICTS,
    Request,
    judge,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import Outcome, finding, gap, subject

try:
    import dns.exception
    import dns.resolver
except ImportError:
    pass  # told by dns_client.DNSPYTHON_IMPORT_ERROR

# Domains in work at once; bounds memory where thousands are given.
_MAX_DOMAINS = 200

# Exploit Public-Facing Application: what an origin without WAF is open to.
_ATTACK = ("T1190",)


class Settings:
    """How to ask.

    :param nameservers: ``["ip", "ip:port", "[v6]:port"]`` to ask instead of discovering the delegation.
    :param resolvers: the same, for recursive questions and their caches; ``None`` means the system's.
    :param port: port of authoritative servers, and of servers given without one.
    :param vendors: further :class:`Vendor` objects, matched before the built-in ones.
    :raises ResponseError: an entry is no server address.
    """

    def __init__(self, nameservers=(), resolvers=None, timeout=3.0, port=53, per_server=20, vendors=()):
        if not math.isfinite(timeout) or timeout <= 0:
            raise ResponseError("'timeout' must be more than 0 seconds, not %g." % timeout)
        if not 0 < port < 65536:
            raise ResponseError("'port' must lie between 1 and 65535, not %d." % port)
        if per_server < 1:
            raise ResponseError("'per_server' must be at least 1, not %d." % per_server)
        self.nameservers = [Server(*parse_server(text, port)) for text in nameservers]
        if resolvers is None:
            resolvers = system_resolvers()
        self.resolvers = [Server(*parse_server(text)) for text in resolvers]
        self.timeout = timeout
        self.port = port
        self.per_server = per_server
        self.vendors = tuple(vendors) + VENDORS


def system_resolvers():
    """Return the resolvers that this machine uses, as ``ip:port`` texts; empty where it has none."""
    try:
        resolver = dns.resolver.Resolver()
    except dns.exception.DNSException:
        return []
    return [("[%s]:%d" if ":" in address else "%s:%d") % (address, resolver.port) for address in resolver.nameservers]


def parse_vendors(rows):
    """Return :class:`Vendor` objects of ``[{"name", "kind", "suffixes"}]``.

    :raises ResponseError: a suffix is no domain name.
    """
    return [Vendor(row["name"], row["name"], row["kind"], [parse_domain(suffix) for suffix in row["suffixes"]])
            for row in rows]


def parse_requests(rows, origin_addresses=()):
    """Return ``([Request], [(written, ResponseError)])`` of what the operator gave.

    :param rows: domain names, or dicts with ``name``, ``expected_cname``, ``origin_addresses``. A domain
        that is given twice is asked once.
    :param origin_addresses: addresses of the origin that hold for all of them.
    :raises ResponseError: an origin address is none: then every verdict would be wrong.
    """
    shared = [parse_address(text) for text in origin_addresses]
    requests, bad = {}, []
    for row in rows:
        row = {"name": row} if not isinstance(row, dict) else row
        unknown = sorted(set(row) - {"name", "expected_cname", "origin_addresses"})
        if unknown or not row.get("name"):
            raise ResponseError("A domain entry has %s." % (
                "no name" if not row.get("name") else "the unknown key %r" % unknown[0]),
                "It may have name, expected_cname and origin_addresses.")
        own = [parse_address(text) for text in row.get("origin_addresses") or []]
        try:
            name = parse_domain(str(row["name"]))
            expected = parse_domain(str(row["expected_cname"])) if row.get("expected_cname") else None
        except ResponseError as error:
            bad.append((str(row["name"]), error))
            continue
        known = requests.setdefault(name, Request(name))
        known.expected_cname = expected or known.expected_cname
        known.origins = known.origins.union(shared, own)
    return list(requests.values()), bad


def check(rows, origin_addresses, settings, now=None):
    """Return the ``Outcome`` for all domains; ``extra["domains"]`` holds one dict for each.

    :param now: ``datetime`` in UTC, for the times until which caches may hold. Raises as
        :func:`parse_requests`; nothing that a name server does raises.
    """
    requests, bad = parse_requests(rows, origin_addresses)
    all_facts = asyncio.run(_gather_all(requests, settings))
    now = now or datetime.datetime.now(datetime.timezone.utc)
    outcome = Outcome()
    outcome.extra["domains"] = []
    for written, error in bad:
        _tell_bad_name(outcome, written, error)
    gaps = _Gaps()
    for request, facts in zip(requests, all_facts):
        _tell(outcome, request, facts, judge(request, facts, now, settings.vendors))
        gaps.note(request, facts)
    if not settings.resolvers:
        gaps.add(("resolvers",), "what caches answer", "this machine has no resolver, and none was given",
                 "Give 'resolvers', at best those that the site's visitors use.")
    outcome.not_checked.extend(gaps.all())
    verdicts = [row["verdict"] for row in outcome.extra["domains"]]
    outcome.extra["verdicts"] = {verdict: verdicts.count(verdict) for verdict in VERDICTS}
    return outcome


async def _gather_all(requests, settings):
    client = DnsClient(settings.timeout, settings.per_server)
    delegations = Delegations(client, settings.resolvers, settings.nameservers, settings.port)
    gatherer = Gatherer(delegations, settings.resolvers, lambda name: find_vendor(name, settings.vendors) is not None)
    room = asyncio.Semaphore(_MAX_DOMAINS)

    async def one(request):
        async with room:
            return await gatherer.gather(request.name)

    return await asyncio.gather(*[one(request) for request in requests])


def _tell(outcome, request, facts, judgement):
    verdict, severity = REASONS[judgement.reason]
    paths = {rdtype: [path.as_dict() for path in found] for rdtype, found in sorted(facts.paths.items())}
    row = {
        "name": request.name,
        "unicode": to_unicode(request.name),
        "zone": facts.zone,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "message": judgement.message,
        "to_do": judgement.to_do,
        "vendor": judgement.vendor.name if judgement.vendor is not None else None,
        "vendor_kind": judgement.vendor.kind if judgement.vendor is not None else None,
        "expected_cname": request.expected_cname,
        "origins_seen": judgement.origins_seen,
        "cache": judgement.cache,
        "paths": paths,
        "servers": sorted(facts.servers, key=lambda entry: entry["server"]),
        "caches": [{"resolver": cached.resolver, "type": cached.rdtype, "detail": cached.detail,
                    "answer": cached.path.as_dict() if cached.path is not None else None} for cached in facts.caches],
    }
    outcome.extra["domains"].append(row)
    observables = {key: row[key] for key in ("zone", "vendor", "expected_cname", "origins_seen", "cache", "paths",
                                             "servers", "caches", "to_do")}
    about = subject("domain", request.name, unicode=row["unicode"])
    outcome.findings.append(finding(
        "waf_dns." + judgement.reason, verdict, severity, about,
        judgement.message if judgement.to_do is None else "%s %s" % (judgement.message, judgement.to_do),
        observables, _ATTACK if verdict == "weak" else ()))


def _tell_bad_name(outcome, written, error):
    outcome.extra["domains"].append({
        "name": written, "verdict": "undetermined", "reason": "bad_name", "message": error.message,
        "to_do": error.hint})
    outcome.findings.append(finding(
        "waf_dns.bad_name", "undetermined", "medium", subject("domain", written), str(error)))
    outcome.not_checked.append(gap("the domain %s" % written, error.message, error.hint))


class _Gaps:
    """Gathers what could not be asked, each once, however many domains it concerns."""

    def __init__(self):
        self.rows = []
        self._known = {}
        self._silent_caches = {}

    def add(self, key, what, reason, hint):
        """Add a gap unless one with this ``key`` is there; return the row."""
        if key not in self._known:
            self._known[key] = gap(what, reason, hint)
            self.rows.append(self._known[key])
        return self._known[key]

    def note(self, request, facts):
        """Take over what failed for one domain."""
        zone = facts.zone or request.name
        for problem in facts.problems:
            self.add((zone, problem), "the name servers of %s" % zone, problem, "Mend the delegation or the resolver.")
        for entry in facts.servers:
            if entry["status"] == "no_route":
                self.add((entry["server"], zone), "the name server %s of %s" % (entry["server"], zone),
                         entry["detail"], "Run from a controller that has a way there.")
            elif entry["status"] != "ok":
                self.add((entry["server"], zone, entry["status"]), "the name server %s of %s" % (entry["server"], zone),
                         entry["detail"],
                         "Mend that server or take it out of the delegation: some visitors depend on it.")
        for path in [path for paths in facts.paths.values() for path in paths if path.end == "unknown" and path.links]:
            self.add(("path", path.targets[-1]), "the addresses of %s" % path.targets[-1], path.detail,
                     "Give 'resolvers' that answer to this machine, so that that zone's name servers can be found.")
        for resolver, detail in sorted({(item.resolver, item.detail) for item in facts.caches if item.path is None}):
            self._silent_caches.setdefault((resolver, detail), []).append(request.name)

    def all(self):
        """Return all gaps."""
        caches = [gap("what the resolver %s holds for %s" % (resolver, ", ".join(names[:3]) + (
            " and %d more" % (len(names) - 3) if len(names) > 3 else "")), detail,
            "Give 'resolvers' that answer to this machine, or mend the domain.")
            for (resolver, detail), names in self._silent_caches.items()]
        return self.rows + caches
