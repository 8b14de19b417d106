# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import account
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import accounts
from ansible_collections.ecsops.intrusion_response.tests.unit.target import ssh_samples


def _survey(tmp_path, passwd="", shadow="", allowed=()):
    database = accounts.read_accounts(ssh_samples.host(tmp_path, ssh_samples.PASSWD + passwd,
                                                       ssh_samples.SHADOW + shadow))
    return account.survey(database, allowed)


def _told(findings):
    return sorted((item["rule"].split(".")[1], item["verdict"], item["subject"]["name"]) for item in findings)


@pytest.mark.parametrize("name,passwd,shadow,allowed,expected", [
    ("an ordinary host", "", "", [], []),
    ("a second root", "evil:x:0:0::/home/evil:/bin/bash\n", "evil:$6$s$h:1::::::\n", [],
     [("uid0", "malicious", "evil")]),
    ("an allowed one", "toor:x:0:0::/root:/bin/sh\n", "toor:*:1::::::\n", ["toor"], []),
    ("only glibc sees it", "evil::0:0\n", "", [],
     [("malformed", "suspicious", "/etc/passwd"), ("uid0", "malicious", "evil")]),
    ("written as 00", "evil:x: 00:0::/:/bin/sh\n", "evil:$6$s$h:1::::::\n", [], [("uid0", "malicious", "evil")]),
    ("locked already", "evil:x:0:0::/home/evil:/usr/sbin/nologin\n", "evil:!$6$s$h:1:::::1:\n", [],
     [("uid0_locked", "benign", "evil")]),
    ("half locked: a shell is left", "evil:x:0:0::/home/evil:/bin/sh\n", "evil:!$6$s$h:1:::::1:\n", [],
     [("uid0", "malicious", "evil")]),
    ("half locked: not expired", "evil:x:0:0::/h:/bin/false\n", "evil:!$6$s$h:1::::::\n", [],
     [("uid0", "malicious", "evil")]),
    ("half locked: a password", "evil:x:0:0::/h:/bin/false\n", "evil:$6$s$h:1:::::1:\n", [],
     [("uid0", "malicious", "evil")]),
    ("two of one id", "eve:x:1000:1000::/home/eve:/bin/sh\n", "eve:!:1::::::\n", [],
     [("duplicate_uid", "suspicious", "eve")]),
    ("two of one id, allowed", "eve:x:1000:1000::/home/eve:/bin/sh\n", "eve:!:1::::::\n", ["eve"], []),
    ("an empty password", "eve:x:1002:1002::/home/eve:/bin/sh\n", "eve::1::::::\n", [],
     [("empty_password", "weak", "eve")]),
    ("an empty password in passwd", "eve::1002:1002::/home/eve:/bin/sh\n", "", [], [("empty_password", "weak", "eve")]),
    ("a hash in passwd", "eve:$1$s$h:1002:1002::/home/eve:/bin/sh\n", "", [], [("hash_in_passwd", "weak", "eve")]),
    ("a system account with a password", "svc:x:200:200::/:/bin/sh\n", "svc:$6$s$h:1::::::\n", [],
     [("system_login", "suspicious", "svc")]),
    ("a system account without", "svc:x:200:200::/:/bin/sh\n", "svc:*:1::::::\n", [], []),
    ("a system account without a shell", "svc:x:200:200::/:/sbin/nologin\n", "svc:$6$s$h:1::::::\n", [], []),
    ("NIS", "+::0:0:::\n", "", [], [("nis", "suspicious", "/etc/passwd")]),
    ("a name twice", "ann:x:0:0::/:/bin/sh\n", "", [],
     [("duplicate_name", "suspicious", "/etc/passwd"), ("uid0", "malicious", "ann")]),
    ("no line end", "eve:x:1002:1002:::/bin/sh", "", [], [("no_newline", "undetermined", "/etc/passwd")]),
])
def test_decision_table(tmp_path, name, passwd, shadow, allowed, expected):
    findings, gaps, unknown = _survey(tmp_path, passwd, shadow, allowed)
    assert _told(findings) == expected
    assert gaps == []
    assert [item.name for item in unknown] == [told[2] for told in expected if told[0].startswith("uid0")]


def test_the_hash_itself_is_never_told(tmp_path):
    findings, unused, unknown = _survey(
        tmp_path, "evil:$1$salt$secret:0:0::/h:/bin/sh\nsvc:x:200:200::/:/bin/sh\n",
        "svc:$6$salt$secret:1::::::\nsecret\nsvc:$6$salt$secret\n")
    assert len(findings) >= 4
    assert "$secret" not in repr(findings)


def test_an_allowed_second_root_with_an_empty_password_is_still_weak(tmp_path):
    findings, unused, unknown = _survey(tmp_path, "toor:x:0:0::/root:/bin/sh\n", "toor::1::::::\n", ["toor"])
    assert _told(findings) == [("empty_password", "weak", "toor")]
    assert findings[0]["severity"] == "critical"


def test_without_shadow_passwords_are_a_gap(tmp_path):
    ssh_samples.write(tmp_path, "/etc/passwd", ssh_samples.PASSWD)
    findings, gaps, unknown = account.survey(accounts.read_accounts(str(tmp_path)))
    assert ([item["what"] for item in gaps], findings) == (["accounts in /etc/shadow"], [])


@pytest.mark.parametrize("passwd,gaps", [
    ("evil:x:0:0::/home/evil:/bin/bash\n", ["processes of evil"]),
    ("evil:x:0:0::/home/evil:/usr/sbin/nologin\n", ["processes of evil"]),
    ("evil:x:1500:0::/home/evil:/bin/bash\n", []),
])
def test_the_processes_of_a_second_root_stay_unknown_locked_or_not(tmp_path, passwd, gaps):
    database = accounts.read_accounts(ssh_samples.host(tmp_path, ssh_samples.PASSWD + passwd))
    assert [item["what"] for item in account.blind_spots([database.by_name("evil")])] == gaps
