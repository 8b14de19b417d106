# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module itself, run as Ansible runs it: arguments in by JSON, one JSON object out."""

import json
import os
import subprocess
import sys

MODULE = os.path.join(os.path.dirname(__file__), *[os.pardir] * 4, "plugins", "modules", "waf_dns_info.py")

BLOCK = "import sys; sys.modules['dns'] = None; sys.modules['dns.name'] = None\n"


def run(arguments, prelude=""):
    code = prelude + ("import json, sys\n"
                      "from ansible.module_utils import basic\n"
                      "basic._ANSIBLE_ARGS = sys.argv[1].encode()\n"
                      "basic._ANSIBLE_PROFILE = 'legacy'\n"
                      "import runpy\n"
                      "runpy.run_path(%r, run_name='__main__')\n" % os.path.abspath(MODULE))
    done = subprocess.run([sys.executable, "-c", code, json.dumps({"ANSIBLE_MODULE_ARGS": arguments})],
                          capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))))
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_check_mode_is_the_same_and_changes_nothing(bed):
    arguments = {"domains": ["shop.example.test"], "origin_addresses": ["203.0.113.10"], "port": bed.port,
                 "resolvers": [bed.cache], "timeout": 2}
    plain = run(arguments)
    planned = run(dict(arguments, _ansible_check_mode=True))
    assert plain["changed"] is planned["changed"] is False
    assert plain["summary"]["weak"] == planned["summary"]["weak"] == 1
    assert plain["actions"] == []
    assert plain["verdicts"]["not_behind_waf"] == 1


def test_without_dnspython_it_says_so():
    result = run({"domains": ["www.example.test"]}, prelude=BLOCK)
    assert result["failed"] is True
    assert "dnspython" in result["msg"]


def test_a_wrong_origin_address_stops_the_run_because_every_verdict_would_be_wrong():
    result = run({"domains": ["www.example.test"], "origin_addresses": ["example.test"], "resolvers": []})
    assert result["failed"] is True
    assert "'example.test' is not an IPv4 or IPv6 address" in result["msg"]


def test_a_name_as_name_server_is_refused():
    result = run({"domains": ["www.example.test"], "nameservers": ["ns1.example.test"], "resolvers": []})
    assert "is not the address of a name server" in result["msg"]


def test_an_entry_with_an_unknown_key_is_refused():
    result = run({"domains": [{"name": "www.example.test", "cname": "x"}], "resolvers": []})
    assert "unknown key 'cname'" in result["msg"]
