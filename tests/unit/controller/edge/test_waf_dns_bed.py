# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The situations table: real knot, nsd and unbound, and for each situation the verdict and its reason."""

import datetime

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge import waf_dns

ORIGINS = ("203.0.113.10", "2001:db8::10")
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)


def check(bed, rows, **settings):
    settings.setdefault("resolvers", [bed.cache])
    return waf_dns.check(rows, ORIGINS, waf_dns.Settings(timeout=0.5, port=bed.port, **settings), NOW)


def only(outcome):
    (row,) = outcome.extra["domains"]
    (finding,) = outcome.findings
    assert finding["rule"] == "waf_dns." + row["reason"]
    return row


WAF = "abc0123456789.yundunwaf3.com"

SITUATIONS = [
    # domain, verdict, reason, the message says
    ("www.example.test", "behind_waf", "behind_waf", "DNS alone proves only the vendor"),
    ("WWW.Example.TEST.", "behind_waf", "behind_waf", "www.example.test leads to Alibaba Cloud WAF"),
    ("bücher.example.test", "behind_waf", "behind_waf", "xn--bcher-kva.example.test"),
    ("first.example.test", "behind_waf", "behind_waf", WAF),
    ("viacdn.example.test", "behind_waf", "behind_waf", WAF),
    ({"name": "www.example.test", "expected_cname": WAF + "."}, "behind_waf", "behind_waf", "assigned to this domain"),
    ({"name": "wrong.example.test", "expected_cname": WAF}, "not_behind_waf", "wrong_cname", "not to " + WAF),
    ({"name": "lookalike.example.test", "expected_cname": "abc.notyundunwaf3.com"},
     "behind_waf", "behind_waf", "assigned"),
    ("shop.example.test", "not_behind_waf", "not_behind_waf", "straight to the origin at 2001:db8::10, 203.0.113.10"),
    ("bot_1.example.test", "not_behind_waf", "not_behind_waf", "203.0.113.10"),
    ("example.test", "not_behind_waf", "not_behind_waf", "ALIAS, ANAME or flattened CNAME"),
    ("www.inner.example.test", "not_behind_waf", "not_behind_waf", "203.0.113.10"),
    ({"name": "elsewhere.example.test", "origin_addresses": ["198.51.100.7"]},
     "not_behind_waf", "not_behind_waf", "198.51.100.7"),
    ("leak.example.test", "not_behind_waf", "address_leak", "over IPv6"),
    ("bypass.example.test", "not_behind_waf", "waf_bypassed", "switched to bypass"),
    ("split.example.test", "disagreement", "disagreement", "(the WAF); ns2.example.test"),
    ("cdn.example.test", "undetermined", "other_edge", "DNS does not show"),
    ("lookalike.example.test", "undetermined", "unknown_address", "198.51.100.66"),
    ("elsewhere.example.test", "undetermined", "unknown_address", "none of the given origin addresses"),
    ("big.example.test", "undetermined", "unknown_address", "114 more"),
    ("dangling.example.test", "undetermined", "dangling_cname", "gone.yundunwaf3.com, which does not exist"),
    ("circle1.example.test", "undetermined", "cname_loop", "in a circle"),
    ("far.example.test", "undetermined", "cname_loop", "far.switch.test"),
    ("step1.example.test", "undetermined", "cname_loop", "too many"),
    ("empty.example.test", "undetermined", "no_address", "neither an address nor a CNAME"),
    ("nope.example.test", "undetermined", "no_such_domain", "NXDOMAIN"),
    ("no.such.domain.test", "undetermined", "no_such_domain", "NXDOMAIN"),
    ("www.lame.test", "behind_waf", "behind_waf", WAF),
    ("www.silent.test", "undetermined", "no_answer", "did not answer within 0.5 s"),
    ("www.dead.test", "undetermined", "no_answer", "nothing answers on port"),
    ("www.expired.test", "undetermined", "no_answer", "SERVFAIL"),
    ("www.noaddress.test", "undetermined", "no_answer", "ns.nowhere.test has no address"),
    # One server's misbehaviour each.
    ("noedns.broken.test", "not_behind_waf", "not_behind_waf", "203.0.113.10"),
    ("swallowsedns.broken.test", "not_behind_waf", "not_behind_waf", "203.0.113.10"),
    ("forged.broken.test", "not_behind_waf", "not_behind_waf", "203.0.113.10"),
    ("garbage.broken.test", "undetermined", "no_answer", "cannot be read"),
    ("cached.broken.test", "undetermined", "no_answer", "not authoritative"),
    ("upward.broken.test", "undetermined", "no_answer", "not authoritative"),
    ("notimp.broken.test", "undetermined", "no_answer", "NOTIMP"),
    ("cutoff.broken.test", "undetermined", "no_answer", "does not fit into UDP, and over TCP nothing answers"),
    ("outside.broken.test", "undetermined", "other_edge", "site.kunlunsl.com"),
    # What is no domain name.
    ("203.0.113.10", "undetermined", "bad_name", "is an address"),
    ("2001:db8::10", "undetermined", "bad_name", "is an address"),
    ("https://www.example.test/", "undetermined", "bad_name", "is a URL"),
    ("www.example.test:443", "undetermined", "bad_name", "a port"),
    ("*.example.test", "undetermined", "bad_name", "is a wildcard"),
    ("two..dots.test", "undetermined", "bad_name", "empty label"),
]

FINDING_OF = {"behind_waf": "benign", "not_behind_waf": "weak", "switching": "undetermined",
              "disagreement": "undetermined", "undetermined": "undetermined"}


@pytest.fixture(scope="module")
def judged(bed):
    """All situations, asked in one run as a playbook does; the same domain with other options in a second and third."""
    outcomes = {}
    rows = [row for row, *_rest in SITUATIONS]
    while rows:
        batch, later, names = [], [], set()
        for row in rows:
            name = (row["name"] if isinstance(row, dict) else row).lower().rstrip(".")
            (later if name in names else batch).append(row)
            names.add(name)
        outcome = check(bed, batch)
        found = {repr(written): written for written in batch}
        by_name = {row["name"]: row for row in outcome.extra["domains"]}
        for written in found.values():
            name = written["name"] if isinstance(written, dict) else written
            key = name.lower().rstrip(".").replace("bücher", "xn--bcher-kva")
            outcomes[repr(written)] = (by_name.get(key) or by_name[name],
                                       [item for item in outcome.findings if item["subject"]["name"] in (key, name)])
        rows = later
    return outcomes


@pytest.mark.parametrize("row, verdict, reason, words", SITUATIONS)
def test_situation(judged, row, verdict, reason, words):
    domain, findings = judged[repr(row)]
    assert (domain["verdict"], domain["reason"]) == (verdict, reason)
    (finding,) = findings
    assert finding["verdict"] == FINDING_OF[verdict]
    assert words in finding["message"]


def test_every_server_is_asked_itself_and_told_with_its_serial(bed):
    row = only(check(bed, ["www.example.test"]))
    assert [(server["name"], server["address"], server["serial"], server["status"]) for server in row["servers"]] == [
        ("ns1.example.test", "127.0.53.1", 2026010102, "ok"),
        ("ns2.example.test", "127.0.53.2", 2026010101, "ok"),
    ]
    assert row["paths"]["A"][0]["cnames"] == [{"name": "www.example.test", "target": WAF, "ttl": 300}]
    assert row["paths"]["A"][0]["addresses"] == [{"address": "192.0.2.80", "ttl": 60}]
    assert row["zone"] == "example.test"


def test_a_truncated_answer_is_fetched_whole_over_tcp(bed):
    row = only(check(bed, ["big.example.test"]))
    assert len(row["paths"]["A"][0]["addresses"]) == 120
    assert {server["transport"] for server in row["servers"]} == {"tcp"}


def test_a_lame_server_is_named_and_the_others_count(bed):
    outcome = check(bed, ["www.lame.test"])
    assert only(outcome)["verdict"] == "behind_waf"
    (gap,) = outcome.not_checked
    assert gap["what"] == "the name server ns2.example.test (127.0.53.2:%d) of lame.test" % bed.port
    assert "lame delegation" in gap["reason"]


def test_a_server_without_edns_is_asked_without(bed):
    del bed.misbehaving.edns_seen[:]
    row = only(check(bed, ["noedns.broken.test"], resolvers=[], nameservers=[bed.double]))
    assert row["servers"][0]["edns"] is False
    assert (b"noedns", 0) in bed.misbehaving.edns_seen
    assert (b"noedns", -1) in bed.misbehaving.edns_seen


def test_a_record_of_a_foreign_zone_is_not_believed(bed):
    # The double claims that the CDN's name is the origin's address; the CDN's own server says otherwise.
    row = only(check(bed, ["outside.broken.test"]))
    assert [item["address"] for item in row["paths"]["A"][0]["addresses"]] == ["192.0.2.90"]


def test_given_name_servers_replace_the_delegation(bed):
    row = only(check(bed, ["split.example.test"], nameservers=[bed.secondary]))
    assert row["reason"] == "not_behind_waf"
    assert [server["server"] for server in row["servers"]] == [bed.secondary]
    row = only(check(bed, ["split.example.test"], nameservers=[bed.primary]))
    assert row["reason"] == "behind_waf"


def test_a_target_that_the_given_name_servers_do_not_serve_is_followed_by_the_delegation(bed):
    row = only(check(bed, ["www.example.test"], nameservers=[bed.secondary]))
    assert [item["address"] for item in row["paths"]["A"][0]["addresses"]] == ["192.0.2.80"]


def test_without_any_resolver_the_vendor_is_told_and_the_rest_is_a_gap(bed):
    outcome = check(bed, ["www.example.test"], nameservers=[bed.secondary], resolvers=[])
    # Its name may lead to the origin (bypass): what was not seen is no pass.
    assert (only(outcome)["verdict"], only(outcome)["reason"]) == ("undetermined", "waf_unseen")
    assert [gap["what"] for gap in outcome.not_checked] == ["the addresses of " + WAF, "what caches answer"]


def test_a_dead_resolver_leaves_every_domain_undetermined_and_ends(bed):
    outcome = check(bed, ["www.example.test", "shop.example.test"], resolvers=[bed.silent])
    assert {row["reason"] for row in outcome.extra["domains"]} == {"no_answer"}
    assert all("no resolver answers this machine" in finding["message"] for finding in outcome.findings)
    assert outcome.not_checked


def test_the_second_resolver_serves_when_the_first_is_dead(bed):
    outcome = check(bed, ["www.example.test"], resolvers=[bed.nobody, bed.cache])
    assert only(outcome)["verdict"] == "behind_waf"
    assert any(bed.nobody in gap["what"] for gap in outcome.not_checked)


def test_ipv6_name_servers_are_asked(bed):
    if not bed.ipv6:
        pytest.skip("this machine has no IPv6 loopback")
    row = only(check(bed, ["shop.example.test"], nameservers=["[::1]:%d" % bed.port]))
    assert row["reason"] == "not_behind_waf"
    assert row["servers"][0]["server"] == "[::1]:%d" % bed.port


def test_switching_is_told_until_the_last_cache_has_forgotten(bed):
    old = only(check(bed, ["www.switch.test"]))  # and now the old answer is in the cache
    assert old["verdict"] == "not_behind_waf"
    assert old["cache"]["seconds"] == 600
    assert old["cache"]["basis"] == "authoritative"
    with open(bed.directory + "/switch.test.zone") as stream:
        text = stream.read()
    switched = text.replace("www   600  A    203.0.113.10", "www CNAME %s." % WAF)
    bed.put_zone("switch.test", switched.replace("hostmaster 1 ", "hostmaster 2 "), 2)
    outcome = check(bed, ["www.switch.test"])
    row = only(outcome)
    assert row["verdict"] == "switching"
    assert row["cache"]["basis"] == "resolver"
    assert 0 < row["cache"]["seconds"] <= 600
    until = NOW + datetime.timedelta(seconds=row["cache"]["seconds"])
    assert row["cache"]["until"] == until.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert row["origins_seen"] == ["203.0.113.10"]
    assert outcome.findings[0]["verdict"] == "undetermined"
    bed.put_zone("switch.test", text.replace("hostmaster 1 ", "hostmaster 3 "), 3)


def test_an_own_vendor_counts(bed):
    vendors = waf_dns.parse_vendors([{"name": "own", "kind": "waf", "suffixes": ["notyundunwaf3.com"]}])
    row = only(check(bed, ["lookalike.example.test"], vendors=vendors))
    assert (row["verdict"], row["vendor"]) == ("behind_waf", "own")


def test_a_domain_given_twice_is_asked_once_and_its_options_are_joined(bed):
    outcome = check(bed, ["www.example.test", {"name": "www.example.test.", "expected_cname": WAF}])
    assert only(outcome)["expected_cname"] == WAF


def test_many_domains_do_not_ask_for_the_same_zone_again_and_again(bed):
    # The names exist thanks to nobody: each is an own question, the zone and its servers are not.
    outcome = check(bed, ["host%d.example.test" % number for number in range(300)])
    assert outcome.extra["verdicts"]["undetermined"] == 300
    assert {row["reason"] for row in outcome.extra["domains"]} == {"no_such_domain"}
