# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import ssh_key
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    accounts,
    authorized_keys,
    ssh_connection,
)
from ansible_collections.ecsops.intrusion_response.tests.unit.target import manifest, ssh_samples
from ansible_collections.ecsops.intrusion_response.tests.unit.target.ssh_samples import (
    FINGERPRINTS,
    REDIS_DUMP,
    key,
    write,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="inode flags and owners take root")
KEYS = "/root/.ssh/authorized_keys"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "proc").mkdir()
    ssh_samples.host(tmp_path / "root")
    return tmp_path / "root"


def _survey(root, names=None):
    return ssh_key.survey(accounts.read_accounts(str(root)), str(root), str(root.parent / "proc"), names)


def _judge(root, allowed=(), carried=(), names=None):
    connection = ssh_connection.Connection("ssh")
    connection.fingerprints = {authorized_keys.parse_public_key(key(number)).fingerprint for number in carried}
    found = _survey(root, names)
    return found, ssh_key.judge(found, authorized_keys.parse_allowed([key(number).decode() for number in allowed]),
                                connection)


def _rules(findings):
    return sorted((item["rule"], item["verdict"]) for item in findings)


BEHIND = REDIS_DUMP + b"\n" + key(1, "operator") + b"\n"


@pytest.mark.parametrize("name,content,allowed,carried,expected", [
    ("nothing", b"", [], [], []),
    ("all allowed", key(1) + b"\n" + key(2), [1, 2], [], []),
    ("one not allowed", key(1) + b"\n" + key(2), [1], [], [("ssh_key.not_allowed", "suspicious")]),
    ("no allow-list", key(1), [], [], [("ssh_key.unknown", "undetermined")]),
    ("no allow-list, ours", key(1), [], [1], [("ssh_key.connection", "undetermined")]),
    ("ours is not allowed", key(1), [2], [1], [("ssh_key.connection", "suspicious")]),
    ("ours is allowed", key(1), [1], [1], []),
    ("the operator behind the dump", BEHIND, [1], [1],
     [("ssh_key.in_dump", "malicious"), ("ssh_key.redis_dump", "malicious")]),
    ("the same without a list", BEHIND, [], [1],
     [("ssh_key.connection", "undetermined"), ("ssh_key.in_dump", "malicious"), ("ssh_key.redis_dump", "malicious")]),
    ("an allowed key in the dump", BEHIND, [1, 7], [], [("ssh_key.redis_dump", "malicious")]),
    ("logged in with the dump's key", BEHIND, [1], [7],
     [("ssh_key.connection", "suspicious"), ("ssh_key.redis_dump", "malicious")]),
    ("a key glued to the dump", REDIS_DUMP + key(1), [7], [],
     [("ssh_key.in_dump", "malicious"), ("ssh_key.redis_dump", "malicious")]),
    ("a forced command on an allowed key", b'command="/tmp/x" ' + key(1), [1], [],
     [("ssh_key.forced", "undetermined")]),
    ("binary bytes without a dump", b"\x01\x02\n" + key(1), [1], [], [("ssh_key.binary", "suspicious")]),
    ("a line that is nothing", b"hello\n" + key(1), [1], [], [("ssh_key.odd_line", "undetermined")]),
])
def test_decision_table(root, name, content, allowed, carried, expected):
    write(root, KEYS, content)
    found, findings = _judge(root, allowed, carried)
    assert _rules(found.findings + findings) == expected


def test_what_a_finding_rests_on(root):
    write(root, KEYS, b'command="id",from="6.6.6.6" ' + key(7, "mdrfckr"))
    found, (finding,) = _judge(root, allowed=[1])
    assert finding["subject"] == {"type": "key", "name": FINGERPRINTS[7], "file": KEYS, "line": 1, "accounts": ["root"]}
    assert finding["observables"]["options"] == {"command": "id", "from": "6.6.6.6"}
    assert finding["observables"]["comment"] == "mdrfckr"
    assert finding["remedy"]["module"] == "ecsops.intrusion_response.ssh_key_revoke"
    row, = ssh_key.listing(found)
    assert (row["fingerprint"], row["status"], row["effective"], row["bits"]) == (FINGERPRINTS[7], "unlisted", True,
                                                                                  256)


def _places(root, **more):
    return sorted((item.path, tuple(item.accounts), item.effective) for item in _survey(root, **more).files)


def test_all_accounts_and_both_usual_files(root):
    for path in ("/root/.ssh/authorized_keys2", "/home/ann/.ssh/authorized_keys", "/home/bob/.ssh/authorized_keys"):
        write(root, path, key(1))
    assert _places(root) == [("/home/ann/.ssh/authorized_keys", ("ann",), True),
                             ("/home/bob/.ssh/authorized_keys", ("bob",), True),
                             ("/root/.ssh/authorized_keys2", ("root",), True)]
    assert _places(root, names=["bob"]) == [("/home/bob/.ssh/authorized_keys", ("bob",), True)]


def test_configured_places_and_the_usual_ones_that_do_not_count_now(root):
    write(root, "/etc/ssh/sshd_config", "AuthorizedKeysFile /etc/ssh/keys/%u /etc/ssh/shared\n")
    for path in ("/etc/ssh/keys/ann", "/etc/ssh/shared", KEYS):
        write(root, path, key(1))
    everybody = ("root", "daemon", "nobody", "ann", "bob")
    assert _places(root) == [("/etc/ssh/keys/ann", ("ann",), True), ("/etc/ssh/shared", everybody, True),
                             (KEYS, ("root",), False)]


def test_a_second_sshd_of_the_intruders(root):
    write(root, "/tmp/.x/c", "AuthorizedKeysFile /tmp/.x/keys\n")
    write(root, "/tmp/.x/keys", key(7))
    ssh_samples.process(root.parent / "proc", 66, 1, "/usr/sbin/sshd", cmdline=["/usr/sbin/sshd", "-f", "/tmp/.x/c"],
                        root_link=str(root))
    assert [path for path, names, effective in _places(root)] == ["/tmp/.x/keys"]


def test_a_home_that_is_no_accounts(root):
    write(root, "/home/ghost/.ssh/authorized_keys", key(7))
    assert _places(root) == [("/home/ghost/.ssh/authorized_keys", (), False)]
    found, findings = _judge(root, allowed=[1])
    assert _rules(findings) == [("ssh_key.not_allowed", "suspicious")]


def test_two_accounts_with_one_home_are_one_file(root):
    write(root, "/etc/passwd", ssh_samples.PASSWD + "toor:x:0:0::/root/:/bin/sh\n")
    write(root, KEYS, key(1))
    assert _places(root) == [(KEYS, ("root", "toor"), True)]


def test_a_finding_about_a_file_names_all_whom_it_lets_in(root):
    write(root, "/etc/passwd", ssh_samples.PASSWD + "toor:x:0:0::/root/:/bin/sh\n")
    write(root, KEYS, BEHIND)
    assert _survey(root).findings[0]["subject"]["accounts"] == ["root", "toor"]


def test_an_unknown_account_is_a_slip(root):
    with pytest.raises(ResponseError) as caught:
        _survey(root, ["nobdy"])
    assert "nobdy" in str(caught.value)


@pytest.mark.parametrize("kind", ["link", "dangling link", "directory", "fifo", "linked folder"])
def test_what_is_no_regular_file_is_told_and_not_followed(root, kind):
    write(root, "/etc/secret", key(7))
    ssh = root / "home/ann/.ssh"
    if kind == "linked folder":
        write(root, "/home/bob/stash/authorized_keys", key(7))
        os.chown(str(root / "home/ann"), 1000, 1000) if os.geteuid() == 0 else (root / "home/ann").chmod(0o777)
        ssh.symlink_to("/home/bob/stash")
    else:
        ssh.mkdir()
        target = ssh / "authorized_keys"
        {"link": lambda: target.symlink_to("/etc/secret"), "dangling link": lambda: target.symlink_to("/gone"),
         "directory": target.mkdir, "fifo": lambda: os.mkfifo(str(target))}[kind]()
    found = _survey(root)
    assert found.files == []
    rule = "ssh_key.unreadable" if kind == "linked folder" else "ssh_key.link"
    assert {item["rule"] for item in found.findings} == {rule}
    assert any("ann" in item["what"] for item in found.gaps)


@needs_root
def test_an_immutable_file_is_told(root):
    path = str(write(root, KEYS, key(1)))
    manifest.set_flags(path, 0x10)
    try:
        assert ("ssh_key.immutable", "suspicious") in _rules(_survey(root).findings)
    finally:
        manifest.set_flags(path, 0)


def test_a_file_that_others_may_write_is_weak(root):
    write(root, KEYS, key(1), 0o666)
    assert _rules(_survey(root).findings) == [("ssh_key.writable", "weak")]


def test_too_large_a_file_is_not_passed_over_in_silence(root, monkeypatch):
    monkeypatch.setattr(ssh_key, "FILE_LIMIT", 100)
    write(root, KEYS, key(1) + b"\n" + b"#" * 100)
    found = _survey(root)
    assert _rules(found.findings) == [("ssh_key.unreadable", "undetermined")]
    assert found.gaps


def test_certificate_authorities(root):
    write(root, "/etc/ssh/sshd_config", "TrustedUserCAKeys /etc/ssh/ca.pub\n")
    write(root, "/etc/ssh/ca.pub", key(1) + b"\n" + key(7) + b"\n")
    found, findings = _judge(root, allowed=[1])
    assert _rules(findings) == [("ssh_key.not_allowed", "suspicious")]
    assert findings[0]["remedy"] is None
    assert found.authorities == {authorized_keys.parse_public_key(key(number)).fingerprint for number in (1, 7)}


@pytest.mark.parametrize("config,rules,gaps", [
    ("AuthorizedKeysCommand /usr/bin/sss_ssh_authorizedkeys\n", ["ssh_key.command"],
     ["keys from /usr/bin/sss_ssh_authorizedkeys"]),
    ("Match User ann\nAuthorizedPrincipalsCommand /tmp/x %u\n", ["ssh_key.command"], ["keys from /tmp/x"]),
    ("AuthorizedPrincipalsFile /etc/ssh/principals\n", [], ["names in /etc/ssh/principals"]),
    ("AuthorizedKeysCommand none\nTrustedUserCAKeys none\n", [], []),
])
def test_keys_that_lie_in_no_file(root, config, rules, gaps):
    write(root, "/etc/ssh/sshd_config", config)
    found = _survey(root)
    assert [item["rule"] for item in found.findings] == rules
    assert [item["what"] for item in found.gaps] == gaps
    assert found.other_sources is bool(rules)


@pytest.mark.parametrize("line,what", [
    ("passwd: files systemd", None), ("passwd:\tcompat # sss", None), ("passwd: files sss", "accounts of sss"),
    ("passwd: files [NOTFOUND=return] ldap nis", "accounts of ldap, nis"), ("", None),
])
def test_accounts_of_a_directory_service_are_a_gap(root, line, what):
    write(root, "/etc/nsswitch.conf", line + "\ngroup: files ldap\n")
    assert [item["what"] for item in _survey(root).gaps] == ([what] if what else [])
