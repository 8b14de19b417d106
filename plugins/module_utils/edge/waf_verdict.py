# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is a domain behind the WAF, as far as DNS can tell? The decision alone: facts in, judgement out.

DNS proves only which vendor a name leads to. That the vendor filters this very domain, and that nobody
can walk round it, takes the CNAME which the vendor assigned (``expected_cname``) and a probe.
"""

import datetime

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge.domain_names import parse_address
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge.waf_vendors import (
    KINDS,
    VENDORS,
    find_vendor,
)

# What a judgement says of the whole domain.
VERDICTS = ("behind_waf", "switching", "not_behind_waf", "disagreement", "undetermined")

# reason -> (verdict of the finding, severity).
REASONS = {
    "behind_waf": ("benign", "info"),
    "switching": ("undetermined", "medium"),
    "not_behind_waf": ("weak", "high"),
    "address_leak": ("weak", "high"),
    "waf_bypassed": ("weak", "high"),
    "wrong_cname": ("weak", "high"),
    "disagreement": ("undetermined", "high"),
    "partly_behind_waf": ("undetermined", "high"),
    "waf_unseen": ("undetermined", "medium"),
    "other_edge": ("undetermined", "medium"),
    "unknown_address": ("undetermined", "medium"),
    "unknown_target": ("undetermined", "medium"),
    "no_such_domain": ("undetermined", "medium"),
    "no_address": ("undetermined", "medium"),
    "dangling_cname": ("undetermined", "high"),
    "cname_loop": ("undetermined", "medium"),
    "no_answer": ("undetermined", "medium"),
}


class Request:
    """One domain to judge: ``name`` (ASCII), ``expected_cname`` or ``None``, ``origins`` (``ipaddress`` objects)."""

    def __init__(self, name, expected_cname=None, origins=()):
        self.name = name
        self.expected_cname = expected_cname
        self.origins = frozenset(origins)


class Judgement:
    """The answer for one domain.

    ``verdict``: one of :data:`VERDICTS`. ``reason``: a key of :data:`REASONS`. ``message``: sentences for the
    operator. ``to_do``: what would mend it, or ``None``. ``vendor``: ``waf_vendors.Vendor`` or ``None``.
    ``origins_seen``: addresses of the origin that DNS gives away. ``cache``: ``{"seconds", "until", "basis"}``:
    how long a cache may still answer as before, by what ``resolver`` caches hold or by the
    ``authoritative`` TTL; ``None`` where nothing is known.
    """

    def __init__(self, reason, message, to_do=None, vendor=None, origins_seen=(), cache=None):
        self.verdict = reason if reason in VERDICTS else (
            "not_behind_waf" if REASONS[reason][0] == "weak" else "undetermined")
        self.reason = reason
        self.message = message
        self.to_do = to_do
        self.vendor = vendor
        self.origins_seen = sorted(origins_seen)
        self.cache = cache


class _Seen:
    """A path with what it means for the request."""

    def __init__(self, path, request, vendors):
        self.path = path
        self.origins = sorted(address for address, _ttl in path.addresses if parse_address(address) in request.origins)
        owners = [find_vendor(target, vendors) for target in path.targets]
        owners = [vendor for vendor in owners if vendor is not None]
        # A CDN may stand in front of a WAF: the WAF is what counts.
        self.vendor = next((vendor for vendor in owners if vendor.filters), owners[0] if owners else None)
        self.kind = self._kind(request)

    def _kind(self, request):
        assigned = request.expected_cname is not None and request.expected_cname in self.path.targets
        at_waf = assigned or (self.vendor is not None and self.vendor.filters)
        if self.origins:
            return "bypassed" if at_waf else "origin"
        if self.path.end in ("loop", "too_long"):
            return "loop"
        if self.path.end == "nxdomain":
            return "dangling" if self.path.links else "nxdomain"
        if at_waf and request.expected_cname is not None and not assigned:
            return "wrong_cname"
        if at_waf:
            # Whether the WAF's name leads to the WAF, or is switched to bypass, is in what it answers.
            return "waf_unseen" if self.path.end == "unknown" else "waf"
        if self.vendor is not None:
            return "edge"
        if self.path.end == "unknown":
            return "unknown"
        return "address" if self.path.addresses else "nodata"


def judge(request, facts, now, vendors=VENDORS):
    """Return the :class:`Judgement` of one domain.

    :param request: :class:`Request`. :param facts: ``dns_paths.DomainFacts``.
    :param now: ``datetime`` in UTC. :param vendors: the table to match names against.
    """
    seen = {rdtype: [_Seen(path, request, vendors) for path in paths] for rdtype, paths in facts.paths.items()}
    every = [item for items in seen.values() for item in items]
    if not every:
        return Judgement("no_answer", _no_answer(request, facts),
                         "Mend the name servers or the delegation, then ask again.")
    silent = [rdtype for rdtype in sorted(seen) if not seen[rdtype]]
    telling = [item for item in every if item.kind != "nodata"]
    kinds = {item.kind for item in telling}
    origins = {address for item in every for address in item.origins}
    cache = _authoritative_cache(every, now)
    vendor = next((item.vendor for item in telling if item.vendor is not None), None)

    def answer(reason, message, to_do=None):
        return Judgement(reason, message, to_do, vendor, origins, cache)

    if kinds == {"origin"}:
        return answer(
            "not_behind_waf",
            "%s is not behind a WAF: it leads straight to the origin at %s." % (request.name, _listed(origins)),
            _set_cname(request, facts, cache))
    if facts.disputes or any(len({item.kind for item in items}) > 1 for items in seen.values()):
        return answer(
            "disagreement", _disagreement(request, seen),
            "Bring all name servers to the same zone (compare the serials), then ask again.")
    if "bypassed" in kinds:
        return answer(
            "waf_bypassed",
            "%s leads to the WAF's name %s, but that name itself answers with the origin at %s: the WAF is switched to "
            "bypass." % (request.name, _last_target(telling, "bypassed"), _listed(origins)),
            "Switch the protection of %s on at the WAF." % request.name)
    if "origin" in kinds:
        leak, record = "IPv4", "A"
        if any(item.kind == "origin" for item in seen.get("AAAA", [])):
            leak, record = "IPv6", "AAAA"
        return answer(
            "address_leak",
            "%s gives away the origin over %s: its %s record is %s, past what the other address family leads to." % (
                request.name, leak, record, _listed(origins)),
            "Remove the %s record of %s, or point it to the WAF as well." % (record, request.name))
    if "wrong_cname" in kinds:
        return answer(
            "wrong_cname",
            "%s leads to %s (%s), not to %s, which the WAF assigned to this domain." % (
                request.name, _last_target(telling, "wrong_cname"), vendor.title, request.expected_cname),
            _set_cname(request, facts, cache))
    if "waf_unseen" in kinds and kinds <= {"waf", "waf_unseen"}:
        path = next(item.path for item in telling if item.kind == "waf_unseen")
        return answer(
            "waf_unseen",
            "%s leads to the WAF's name %s, but where that name leads could not be asked (%s): it may be switched to "
            "bypass." % (request.name, _last_target(telling, "waf_unseen"), path.detail),
            "Ask again from where the name servers of the WAF can be reached.")
    if kinds == {"waf"} and silent:
        return answer(
            "partly_behind_waf",
            "%s leads to the WAF by its %s record, but no name server answered for %s: whether that goes past the WAF "
            "is not known." % (request.name, "/".join(sorted(set(seen) - set(silent))), "/".join(silent)),
            "Ask again.")
    if kinds == {"waf"}:
        return _behind_or_switching(request, facts, seen, vendor, vendors, now, cache)
    return _neither(request, facts, telling, kinds, vendor, answer, cache)


def _neither(request, facts, telling, kinds, vendor, answer, cache):
    """The cases in which DNS shows neither the WAF alone nor the origin."""
    name = request.name
    remedy = _set_cname(request, facts, cache)
    first = {item.kind: item.path for item in reversed(telling)}
    if kinds & {"waf", "waf_unseen"}:
        other = next(item for item in telling if item.kind not in ("waf", "waf_unseen"))
        return answer(
            "partly_behind_waf",
            "%s leads to the WAF by one address family and elsewhere (%s) by the other: that way may go past the "
            "WAF." % (name, _ending(other.path)), remedy)
    if "loop" in kinds:
        return answer(
            "cname_loop",
            "The CNAMEs of %s lead in a circle or are too many (%s): the site cannot be reached." % (
                name, " → ".join(_shortened_list(first["loop"].targets))),
            "Mend the CNAME records.")
    if "dangling" in kinds:
        return answer(
            "dangling_cname",
            "%s has a CNAME to %s, which does not exist: the site cannot be reached, and who registers that name takes "
            "it over." % (name, first["dangling"].targets[-1]), remedy)
    if kinds == {"nxdomain"}:
        return answer(
            "no_such_domain", "%s does not exist: its name servers say so (NXDOMAIN)." % name,
            "Mend the spelling, or leave the domain out.")
    if "edge" in kinds:
        return answer(
            "other_edge",
            "%s leads to %s (%s): %s. Whether a WAF filters there cannot be told from DNS." % (
                name, vendor.title, _last_target(telling, "edge"), KINDS[vendor.kind]),
            "Look into the vendor's console, and send a probe through the site.")
    if "unknown" in kinds:
        path = first["unknown"]
        return answer(
            "unknown_target",
            "%s has a CNAME to %s, which belongs to no known WAF and could not be followed: %s." % (
                name, path.targets[-1] if path.targets else name, path.detail), remedy)
    if not kinds:
        return answer(
            "no_address", "%s exists but has neither an address nor a CNAME." % name,
            "Mend the spelling, or leave the domain out.")
    addresses = {address for item in telling for address, _ttl in item.path.addresses}
    compared = "cannot be compared, as no origin address was given"
    if request.origins:
        compared = "is none of the given origin addresses"
    return answer(
        "unknown_address",
        "%s leads to %s, without the CNAME of a known WAF. That %s: it may be the origin all the same, or the WAF's "
        "own address." % (name, _listed(addresses), compared), remedy)


def _behind_or_switching(request, facts, seen, vendor, vendors, now, cache):
    stale = []
    for cached in facts.caches:
        if cached.path is None:
            continue
        item = _Seen(cached.path, request, vendors)
        # An absent address is no way past the WAF.
        if item.kind not in ("waf", "waf_unseen", "nodata", "unknown"):
            fresh = [other.path for other in seen.get(cached.rdtype, [])]
            stale.append((_ttl_left(cached.path, fresh), cached, item))
    where = "%s (%s)" % (vendor.title if vendor is not None else "the name that the WAF assigned",
                         _last_target([item for items in seen.values() for item in items], "waf"))
    if not stale:
        proof = "DNS alone proves only the vendor, not that this domain is protected there"
        if request.expected_cname is not None:
            proof = "It is the name that the WAF assigned to this domain"
        return Judgement("behind_waf", "%s leads to %s. %s." % (request.name, where, proof), None, vendor, (), cache)
    seconds = max(left for left, _cached, _item in stale)
    until = _until(now, seconds)
    holders = sorted({cached.resolver for _left, cached, _item in stale})
    return Judgement(
        "switching",
        "%s is being switched: its name servers lead to %s, but %s still %s the old answer (%s) for up to %d s, until "
        "%s." % (
            request.name, where, _listed(holders), "hold" if len(holders) > 1 else "holds",
            "; ".join(sorted({_ending(cached.path) for _left, cached, _item in stale})), seconds, until),
        "Wait until %s, then ask again; keep the origin closed to all but the WAF meanwhile." % until,
        vendor, {address for _left, _cached, item in stale for address in item.origins},
        {"seconds": seconds, "until": until, "basis": "resolver"})


def _ttl_left(old, fresh):
    """Return the seconds for which the first record that differs from the fresh paths stays in the cache."""
    for index, (owner, target, ttl) in enumerate(old.links):
        if not any(path.links[index:index + 1] and path.links[index][:2] == (owner, target) for path in fresh):
            return ttl
    return max([ttl for _address, ttl in old.addresses], default=old.negative_ttl)


def _authoritative_cache(every, now):
    seconds = max(item.path.first_ttl for item in every)
    return {"seconds": seconds, "until": _until(now, seconds), "basis": "authoritative"}


def _until(now, seconds):
    return (now + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _no_answer(request, facts):
    failing = ["%s: %s" % (entry["server"], entry["detail"]) for entry in facts.servers if entry["status"] != "ok"]
    why = failing + facts.problems
    return "No name server of %s gives an answer%s." % (
        request.name, " (%s)" % "; ".join(_shortened_list(why)) if why else "")


def _disagreement(request, seen):
    said = []
    for rdtype in sorted(seen):
        if len(seen[rdtype]) < 2:
            continue
        for item in seen[rdtype]:
            meaning = {"waf": "the WAF", "bypassed": "the WAF, bypassed", "origin": "the origin"}.get(item.kind)
            said.append("%s: %s %s%s" % (", ".join(item.path.servers), rdtype, _ending(item.path),
                                         " (%s)" % meaning if meaning else ""))
    return "The name servers of %s do not agree: %s." % (request.name, "; ".join(_shortened_list(said)))


def _set_cname(request, facts, cache):
    target = request.expected_cname or "the name that the WAF assigned to it (see the WAF's console)"
    text = "Set a CNAME from %s to %s and remove its A and AAAA records." % (request.name, target)
    if facts.zone == request.name:
        text += (" The domain is the apex of its zone, where standard DNS allows no CNAME: use the provider's ALIAS, "
                 "ANAME or flattened CNAME.")
    if cache is not None and cache["seconds"]:
        text += " Caches may then answer the old way for up to %d s." % cache["seconds"]
    return text


def _last_target(items, kind):
    for item in items:
        if item.kind == kind and item.path.targets:
            return item.path.targets[-1]
    return "no name"


def _ending(path):
    if path.addresses and not path.links:
        return _listed(sorted(address for address, _ttl in path.addresses))
    if path.links:
        return path.targets[-1]
    return {"nxdomain": "no such domain", "nodata": "no address"}.get(path.end, path.end)


def _listed(items):
    return ", ".join(_shortened_list(sorted(items)))


def _shortened_list(items, most=6):
    items = list(items)
    return items if len(items) <= most else items[:most] + ["%d more" % (len(items) - most)]
