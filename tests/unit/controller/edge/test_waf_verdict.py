# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The vendor table, and the decision without any DNS: facts in, judgement out."""

import datetime
import ipaddress

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge import waf_verdict
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge.dns_paths import (
    CachedPath,
    DomainFacts,
    Path,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge.waf_vendors import VENDORS, find_vendor

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
ORIGIN = "203.0.113.10"
WAF_NAME = "x.yundunwaf3.com"


@pytest.mark.parametrize("name, vendor", [
    ("abc.yundunwaf1.com", "alibaba_waf"),
    ("www.example.com.a1b2.c.yundunwaf2.com", "alibaba_waf"),
    ("ABC.YUNDUNWAF5.COM.", "alibaba_waf"),
    ("yundunwaf3.com", "alibaba_waf"),
    ("x.alicloudwaf.com", "alibaba_waf"),
    ("notyundunwaf1.com", None),
    ("yundunwaf1.com.evil.example", None),
    ("yundunwafx.com", None),
    ("x.aliyunddos0001.com", "alibaba_antiddos"),
    ("x.aliyunddos00010.com", None),
    ("x.w.kunlunsl.com", "alibaba_cdn"),
    ("x.gds.alibabadns.com", "alibaba_gtm"),
    ("ns1.alibabadns.com", None),
    ("e1.a.akamaiedge.net", "akamai"),
    ("x.akadns.net", "akamai_gtm"),
    ("x.cdn.cloudflare.net", "cloudflare"),
    ("x.c.cdnhwc1.com", "huawei_cdn"),
    ("x.cdnhwc9.com", None),
    ("x.yunduncdn.com", "yundun_cn"),
])
def test_vendor(name, vendor):
    found = find_vendor(name)
    assert (found.name if found else None) == vendor


def test_no_vendor_hides_another():
    for vendor in VENDORS:
        for suffix in vendor.suffixes:
            assert find_vendor("x." + suffix) is vendor


def path(*steps, end=None, ttl=300, address_ttl=60, servers=("ns1",)):
    """Return a path from ``www``: names are CNAMEs, addresses are addresses."""
    links, addresses, owner = [], [], "www"
    for step in steps:
        if step.replace(".", "").isdigit() or ":" in step:
            addresses.append((step, address_ttl if links else ttl))
        else:
            links.append((owner, step, ttl))
            owner = step
    return Path(links, addresses, end or ("addresses" if addresses else "nodata"), servers=servers)


WAF = path(WAF_NAME, "192.0.2.80")
STRAIGHT = path(ORIGIN)
NOTHING = path()
GONE = path(end="nxdomain")


def judge(a, aaaa=(NOTHING,), caches=(), expected=None, disputes=(), origins=(ORIGIN, "2001:db8::10")):
    facts = DomainFacts("www")
    facts.zone = "zone"
    facts.paths = {"A": list(a), "AAAA": list(aaaa)}
    facts.disputes = list(disputes)
    facts.caches = [CachedPath("cache", rdtype, cached) for rdtype, cached in caches]
    request = waf_verdict.Request("www", expected, [ipaddress.ip_address(text) for text in origins])
    return waf_verdict.judge(request, facts, NOW)


@pytest.mark.parametrize("a, aaaa, reason", [
    ([WAF], [WAF], "behind_waf"),
    ([WAF], [NOTHING], "behind_waf"),
    ([NOTHING], [WAF], "behind_waf"),
    ([STRAIGHT], [NOTHING], "not_behind_waf"),
    ([STRAIGHT], [path("2001:db8::10")], "not_behind_waf"),
    ([WAF], [path("2001:db8::10")], "address_leak"),
    ([STRAIGHT], [WAF], "address_leak"),
    ([WAF], [path("2001:db8::99")], "partly_behind_waf"),
    ([WAF], [], "partly_behind_waf"),
    ([path(WAF_NAME, ORIGIN)], [NOTHING], "waf_bypassed"),
    ([path(WAF_NAME, ORIGIN)], [WAF], "waf_bypassed"),
    ([path("x.kunlunsl.com", "192.0.2.1")], [NOTHING], "other_edge"),
    ([path("x.kunlunsl.com", WAF_NAME, "192.0.2.1")], [NOTHING], "behind_waf"),
    ([path("x.aliyunddos0001.com", "192.0.2.1")], [NOTHING], "other_edge"),
    ([path("x.kunlunsl.com", ORIGIN)], [NOTHING], "not_behind_waf"),
    ([path("198.51.100.1")], [NOTHING], "unknown_address"),
    ([path("somewhere.example", end="unknown")], [NOTHING], "unknown_target"),
    ([path(WAF_NAME, end="unknown")], [NOTHING], "waf_unseen"),
    ([path(WAF_NAME, "198.51.100.1")], [path(WAF_NAME, end="unknown")], "waf_unseen"),
    ([path("198.51.100.1")], [path(WAF_NAME, end="unknown")], "partly_behind_waf"),
    ([GONE], [GONE], "no_such_domain"),
    ([path(WAF_NAME, end="nxdomain")], [NOTHING], "dangling_cname"),
    ([path("a", "b", end="loop")], [NOTHING], "cname_loop"),
    ([path("a", end="too_long")], [NOTHING], "cname_loop"),
    ([NOTHING], [NOTHING], "no_address"),
    ([], [], "no_answer"),
    ([WAF, STRAIGHT], [NOTHING], "disagreement"),
    ([WAF, GONE], [NOTHING], "disagreement"),
    ([WAF, NOTHING], [NOTHING], "disagreement"),
    # Addresses of a foreign zone that take turns are no disagreement.
    ([path("cdn.example", "198.51.100.1"), path("cdn.example", "198.51.100.2")], [NOTHING], "unknown_address"),
])
def test_reason(a, aaaa, reason):
    judgement = judge(a, aaaa)
    assert judgement.reason == reason
    assert judgement.message


@pytest.mark.parametrize("a, disputes, reason", [
    ([path("198.51.100.1"), path("198.51.100.2")], [("www", "A")], "disagreement"),
    # All of them give the origin away: that is worse than the disagreement.
    ([STRAIGHT, path("2001:db8::10")], [("www", "A")], "not_behind_waf"),
])
def test_dispute_in_the_own_zone(a, disputes, reason):
    assert judge(a, disputes=disputes).reason == reason


@pytest.mark.parametrize("a, expected, reason", [
    ([WAF], WAF_NAME, "behind_waf"),
    ([WAF], "y.yundunwaf3.com", "wrong_cname"),
    ([path("waf.example", "192.0.2.1")], "waf.example", "behind_waf"),
    ([path("waf.example", ORIGIN)], "waf.example", "waf_bypassed"),
    ([STRAIGHT], WAF_NAME, "not_behind_waf"),
    ([path("198.51.100.1")], WAF_NAME, "unknown_address"),
])
def test_expected_cname(a, expected, reason):
    judgement = judge(a, expected=expected)
    assert judgement.reason == reason
    if reason in ("not_behind_waf", "wrong_cname"):
        assert "Set a CNAME from www to %s" % expected in judgement.to_do


@pytest.mark.parametrize("caches, reason, seconds", [
    ([], "behind_waf", 300),
    ([("A", WAF)], "behind_waf", 300),
    ([("A", NOTHING)], "behind_waf", 300),
    ([("A", None)], "behind_waf", 300),
    ([("A", path(ORIGIN, ttl=77))], "switching", 77),
    ([("AAAA", path("2001:db8::10", ttl=88))], "switching", 88),
    ([("A", path(ORIGIN, ttl=77)), ("AAAA", path("2001:db8::10", ttl=88))], "switching", 88),
    ([("A", path("198.51.100.9", ttl=5))], "switching", 5),
    ([("A", path("old.kunlunsl.com", "198.51.100.9", ttl=44, address_ttl=4000))], "switching", 44),
    # The domain's own record is new, what the WAF's name led to is old: its TTL counts.
    ([("A", path(WAF_NAME, ORIGIN, ttl=299, address_ttl=20))], "switching", 20),
    ([("A", GONE)], "switching", 0),
])
def test_caches(caches, reason, seconds):
    judgement = judge([WAF], caches=caches)
    assert judgement.reason == reason
    assert judgement.cache["seconds"] == seconds
    assert judgement.cache["until"] == (NOW + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_what_cannot_be_told_from_dns_is_never_benign():
    benign = [reason for reason, (verdict, _severity) in waf_verdict.REASONS.items() if verdict == "benign"]
    assert benign == ["behind_waf"]


def test_without_origin_addresses_nothing_is_called_the_origin():
    judgement = judge([STRAIGHT], origins=())
    assert judgement.reason == "unknown_address"
    assert "no origin address was given" in judgement.message
