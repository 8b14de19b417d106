#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask every authoritative name server where the domains lead: to the WAF, or past it."""

DOCUMENTATION = r"""
---
module: waf_dns_info
short_description: Tell whether domains lead to a WAF, by every name server and by caches
version_added: 0.1.0
description:
  - Finds the zone of each domain, asks each of its authoritative name servers itself for C(A) and C(AAAA)
    (UDP, then TCP where the answer does not fit), and follows C(CNAME) records across zones.
  - Compares the answers of the servers, matches the names with a table of WAF and CDN vendors and with the
    CNAME that the WAF assigned, and the addresses with those of the origin.
  - Asks resolvers what their caches still answer, and for how long.
  - DNS alone proves the vendor, not the protection; the messages say so.
  - Reads only. Behaves the same in check mode. Runs on the controller, where the Python package dnspython must be.
extends_documentation_fragment:
  - ecsops.intrusion_response.incident
options:
  domains:
    description:
      - Domains to look at, each a name or a dictionary.
      - A dictionary has C(name), and may have C(expected_cname) (the name that the WAF assigned to this very domain)
        and C(origin_addresses) (addresses of the origin beside O(origin_addresses)).
      - Internationalised names may be written readably. A wildcard, URL or address is told in the result and
        does not stop the others.
    type: list
    elements: raw
    required: true
  origin_addresses:
    description: IPv4 and IPv6 addresses of the origin. A domain that answers with one of them is not behind the WAF.
    type: list
    elements: str
    default: []
  nameservers:
    description:
      - Ask these name servers instead of those that the delegation names, for split DNS and tests.
      - Each is C(192.0.2.1), C(192.0.2.1:53) or C([2001:db8::1]:53).
    type: list
    elements: str
    default: []
  resolvers:
    description:
      - Recursive resolvers, written as in O(nameservers). They find the name servers, and their caches are asked
        what they still answer.
      - Without this option, those of the controller. An empty list asks no cache, which is told as not checked.
    type: list
    elements: str
  port:
    description: Port of authoritative name servers.
    type: int
    default: 53
  timeout:
    description: Seconds to wait for each try. Each server is tried up to three times.
    type: float
    default: 3.0
  per_server:
    description: Questions in flight at one server at the same time.
    type: int
    default: 20
  vendors:
    description: Further vendors. They are matched before those that the collection knows.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Short name of the vendor.
        type: str
        required: true
      kind:
        description:
          - What its edge is. Only V(waf) and V(cdn_waf) count as a WAF.
        type: str
        default: waf
        choices:
          - waf
          - cdn_waf
          - cdn_waf_optional
          - cdn
          - scrubbing
          - load_balancer
          - steering
      suffixes:
        description: Domain names under which its CNAMEs lie. They match whole labels.
        type: list
        elements: str
        required: true
requirements:
  - dnspython 2.3 or later, on the controller
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Are the sites behind the WAF?
  ecsops.intrusion_response.waf_dns_info:
    domains:
      - www.example.com
      - name: shop.example.com
        expected_cname: 0123456789abcdef0123456789abcdef.yundunwaf3.com
    origin_addresses:
      - 203.0.113.10
      - 2001:db8::10
  delegate_to: localhost
  become: false

- name: Ask a server inside, and the resolvers that visitors use
  ecsops.intrusion_response.waf_dns_info:
    domains: [intranet.example.com]
    nameservers: ["10.0.0.53"]
    resolvers: ["192.0.2.53", "[2001:db8::53]:53"]
    vendors:
      - name: own_waf
        kind: waf
        suffixes: [waf.example.net]
  delegate_to: localhost
  become: false
"""

RETURN = r"""
domains:
  description: One entry for each domain.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The domain, internationalised ones as C(xn--).
      type: str
    unicode:
      description: The readable form of an internationalised domain.
      type: str
    zone:
      description: The zone that holds it.
      type: str
    verdict:
      description: V(behind_waf), V(switching), V(not_behind_waf), V(disagreement) or V(undetermined).
      type: str
    reason:
      description: What led to the verdict, such as V(address_leak), V(wrong_cname) or V(no_such_domain).
      type: str
    message:
      description: The verdict in words.
      type: str
    to_do:
      description: What would mend it.
      type: str
    vendor:
      description: The vendor that the name leads to.
      type: str
    vendor_kind:
      description: What that vendor's edge is.
      type: str
    expected_cname:
      description: The CNAME that was expected.
      type: str
    origins_seen:
      description: Addresses of the origin that DNS gives away.
      type: list
      elements: str
    cache:
      description:
        - How long a cache may answer the old way (C(seconds), C(until)), by a resolver or by the authoritative
          TTL (C(basis)).
      type: dict
    paths:
      description: For C(A) and C(AAAA) each different answer with its CNAMEs, addresses, TTLs and servers.
      type: dict
    servers:
      description: Each authoritative server with status, transport, serial of the zone and what it says.
      type: list
      elements: dict
    caches:
      description: What each resolver answers.
      type: list
      elements: dict
verdicts:
  description: Number of domains by verdict.
  returned: success
  type: dict
findings:
  description:
    - One finding for each domain, V(weak) when it is not behind the WAF, V(benign) when it is, else V(undetermined).
  returned: success
  type: list
  elements: dict
actions:
  description: Always empty; the module reads only.
  returned: success
  type: list
  elements: dict
not_checked:
  description: Name servers and caches that gave no answer, and entries that are no domain names, with the reason.
  returned: success
  type: list
  elements: dict
evidence:
  description: Always empty.
  returned: success
  type: list
  elements: dict
summary:
  description: Number of findings by verdict, of actions by status, and of gaps.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.edge import dns_client, waf_dns, waf_vendors
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.incident_module import run_module

ARGUMENT_SPEC = dict(
    domains=dict(type="list", elements="raw", required=True),
    origin_addresses=dict(type="list", elements="str", default=[]),
    nameservers=dict(type="list", elements="str", default=[]),
    resolvers=dict(type="list", elements="str"),
    port=dict(type="int", default=53),
    timeout=dict(type="float", default=3.0),
    per_server=dict(type="int", default=20),
    vendors=dict(type="list", elements="dict", default=[], options=dict(
        name=dict(type="str", required=True),
        kind=dict(type="str", default="waf", choices=list(waf_vendors.KINDS)),
        suffixes=dict(type="list", elements="str", required=True),
    )),
)


def work(params, context):
    """Return the outcome for the module's parameters. Asks nothing of ``context``: there is nothing to change."""
    if dns_client.DNSPYTHON_IMPORT_ERROR is not None:
        raise ResponseError(missing_required_lib("dnspython"), "It is needed on the controller only.")
    settings = waf_dns.Settings(
        params["nameservers"], params["resolvers"], params["timeout"], params["port"], params["per_server"],
        waf_dns.parse_vendors(params["vendors"]))
    return waf_dns.check(params["domains"], params["origin_addresses"], settings)


def main():
    run_module(ARGUMENT_SPEC, work)


if __name__ == "__main__":
    main()
