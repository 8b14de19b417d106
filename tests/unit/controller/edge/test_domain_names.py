# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and addresses as people write them: made exact, or refused with a sentence that helps."""

import sys

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge import domain_names
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError


@pytest.mark.parametrize("written, name", [
    ("www.example.com", "www.example.com"),
    (" WWW.Example.COM. ", "www.example.com"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("BÜCHER.example", "xn--bcher-kva.example"),
    ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
    ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("_dmarc.example.com", "_dmarc.example.com"),
    ("3com.example", "3com.example"),
    ("localhost", "localhost"),
    ("a." * 126 + "a", "a." * 126 + "a"),
])
def test_domain(written, name):
    assert domain_names.parse_domain(written) == name


@pytest.mark.parametrize("written, said", [
    ("", "is no domain name"),
    (" ", "is no domain name"),
    (".", "empty label"),
    ("http://www.example.com", "is a URL"),
    ("www.example.com/path", "is a URL"),
    ("192.0.2.1", "is an address"),
    ("[2001:db8::1]", "is an address"),
    ("192.0.2", "ends in a number"),
    ("www.example.com:8080", "a port"),
    ("root@example.com", "a port or user"),
    ("*.example.com", "is a wildcard"),
    ("a..b", "empty label"),
    (".example.com", "empty label"),
    ("-a.example", "has letters that DNS host names do not have"),
    ("a b.example", "has letters"),
    ("a\x1b[31m.example", "has letters"),
    ("a\n.example", "has letters"),
    ("a" * 64 + ".example", "more than 63 letters"),
    ("a." * 127 + "a", "longer than the 253 letters"),
    ("\u2764" * 60 + ".example", "not a valid internationalised"),
])
def test_no_domain(written, said):
    with pytest.raises(ResponseError, match=said) as caught:
        domain_names.parse_domain(written)
    assert "\x1b" not in str(caught.value)


def test_a_name_that_means_two_domains_is_refused_without_the_idna_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "idna", None)
    with pytest.raises(ResponseError, match="different domain in IDNA 2003 and 2008"):
        domain_names.parse_domain("straße.example")
    assert domain_names.parse_domain("bücher.example") == "xn--bcher-kva.example"


@pytest.mark.parametrize("name, readable", [
    ("xn--bcher-kva.example", "bücher.example"),
    ("www.example.com", None),
    ("xn--\xff.example", None),
    ("xn--a-ecp.ru", None),
])
def test_unicode(name, readable):
    assert domain_names.to_unicode(name) == readable


@pytest.mark.parametrize("written, expected", [
    ("192.0.2.1", ("192.0.2.1", 53)),
    ("192.0.2.1:5353", ("192.0.2.1", 5353)),
    ("2001:DB8::1", ("2001:db8::1", 53)),
    ("[2001:db8::1]", ("2001:db8::1", 53)),
    ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
])
def test_server(written, expected):
    assert domain_names.parse_server(written) == expected


@pytest.mark.parametrize("written", [
    "ns1.example.com", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:dns", "", "[192.0.2.1"])
def test_no_server(written):
    with pytest.raises(ResponseError):
        domain_names.parse_server(written)


def test_ipv4_inside_ipv6_is_the_same_address():
    assert domain_names.parse_address("::ffff:192.0.2.1") == domain_names.parse_address("192.0.2.1")


def test_no_address():
    with pytest.raises(ResponseError, match="not an IPv4 or IPv6 address"):
        domain_names.parse_address("example.com")
