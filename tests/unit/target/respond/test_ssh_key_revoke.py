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
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import Quarantine
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.ssh_key_revoke import KeyRevocation
from ansible_collections.ecsops.intrusion_response.tests.unit.target import manifest, ssh_samples
from ansible_collections.ecsops.intrusion_response.tests.unit.target.ssh_samples import (
    FINGERPRINTS,
    REDIS_DUMP,
    key,
    write,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="inode flags and owners take root")
KEYS = "/root/.ssh/authorized_keys"
ANNS_KEYS = "/home/ann/.ssh/authorized_keys"
OPERATOR = key(1, "operator") + b"\n"
INTRUDER = key(7, "intruder") + b"\n"
BEHIND = REDIS_DUMP + b"\n" + OPERATOR


@pytest.fixture
def root(tmp_path):
    (tmp_path / "proc").mkdir()
    ssh_samples.host(tmp_path / "root")
    return tmp_path / "root"


def _connection(carried=(), kind="ssh", method="publickey", users=("root",), authority=()):
    connection = ssh_connection.Connection(kind)
    connection.method = method
    connection.address = "10.0.0.1"
    connection.users = set(users)
    connection.source = "the test"
    connection.fingerprints = {authorized_keys.parse_public_key(key(number)).fingerprint for number in carried}
    connection.authority = {authorized_keys.parse_public_key(key(number)).fingerprint for number in authority}
    return connection


UNKNOWN = dict(method=None)
PASSWORD = dict(method="password")
LOCAL = dict(kind="local", method=None)


def _revocation(root, allowed, connection, **more):
    database = accounts.read_accounts(str(root))
    found = ssh_key.survey(database, str(root), str(root.parent / "proc"))
    allowed = authorized_keys.parse_allowed([key(number).decode() for number in allowed])
    ssh_key.judge(found, allowed, connection)
    more.setdefault("other_way", found.other_sources or bool(found.authorities & connection.authority))
    return KeyRevocation(found.files, connection, bool(allowed), **more)


def _run(root, allowed, connection, **more):
    """Return the file's content after a run, and the refusals' rules."""
    revocation = _revocation(root, allowed, connection, **more)
    steps, refused = revocation.decide()
    revocation.apply(steps, Quarantine("test", str(root.parent / "quarantine"), str(root)), str(root))
    return (root / KEYS[1:]).read_bytes(), sorted(item["rule"].split(".")[1] for item in refused)


@pytest.mark.parametrize("name,content,allowed,connection,after,refused", [
    ("no allow-list: nothing goes", OPERATOR + INTRUDER, [], dict(carried=[1]), OPERATOR + INTRUDER, []),
    ("no allow-list, a dump: said, and left", BEHIND, [], dict(carried=[1]), BEHIND, ["rewrite"]),
    ("all allowed", OPERATOR, [1], dict(carried=[1]), OPERATOR, []),
    ("one goes", OPERATOR + INTRUDER, [1], dict(carried=[1]), OPERATOR, []),
    ("comments and odd lines stay", b"# ours\n\nodd\n" + INTRUDER + OPERATOR, [1], dict(carried=[1]),
     b"# ours\n\nodd\n" + OPERATOR, []),
    ("the dump goes", BEHIND, [1], dict(carried=[1]), OPERATOR, []),
    ("all but keys goes with a dump", b"# x\n" + BEHIND + b"# y\n", [1], dict(carried=[1]), OPERATOR, []),
    ("an allowed key amidst the dump stays", BEHIND, [1, 7], dict(carried=[1]), INTRUDER + OPERATOR, []),
    ("no last line end is kept so", INTRUDER + OPERATOR[:-1], [1], dict(carried=[1]), OPERATOR[:-1], []),
    ("options of an allowed key stay", b'from="1.2.3.4" ' + OPERATOR + INTRUDER, [1], dict(carried=[1]),
     b'from="1.2.3.4" ' + OPERATOR, []),
    ("a latin-1 comment of an allowed key stays", REDIS_DUMP + b"\n" + key(1) + b" caf\xe9\n", [1], dict(carried=[1]),
     key(1) + b" caf\xe9\n", []),
    ("an allowed key glued to the dump lets nobody in", b"REDIS0009\xfa," + OPERATOR + OPERATOR, [1], dict(carried=[1]),
     OPERATOR, []),
    # The present connection.
    ("ours is not allowed", OPERATOR + INTRUDER, [2], dict(carried=[1]), OPERATOR, ["connection"]),
    ("ours lies in the dump", BEHIND, [1], dict(carried=[7]), INTRUDER + OPERATOR, ["connection"]),
    ("ours is a certificate of that authority", b"cert-authority " + OPERATOR + INTRUDER, [2], dict(authority=[1]),
     b"cert-authority " + OPERATOR, ["connection"]),
    ("ours came from elsewhere, a key stays", OPERATOR + INTRUDER, [1], dict(carried=[9]), OPERATOR, []),
    ("ours came from elsewhere, none would stay", INTRUDER, [1], dict(carried=[9]), INTRUDER, ["rewrite"]),
    ("a dump only, none would stay", REDIS_DUMP, [1], dict(carried=[9]), REDIS_DUMP, ["rewrite"]),
    ("only an expired key would stay", b'expiry-time="20200101" ' + OPERATOR + INTRUDER, [1], dict(carried=[9]),
     b'expiry-time="20200101" ' + OPERATOR + INTRUDER, ["rewrite"]),
    ("only an authority would stay, ours is a key", b"cert-authority " + OPERATOR + INTRUDER, [1], dict(carried=[9]),
     b"cert-authority " + OPERATOR + INTRUDER, ["rewrite"]),
    ("only a key for another address would stay", b'from="1.2.3.4" ' + OPERATOR + INTRUDER, [1], dict(carried=[9]),
     b'from="1.2.3.4" ' + OPERATOR + INTRUDER, ["rewrite"]),
    ("only a key for our address would stay", b'from="10.0.0.0/8" ' + OPERATOR + INTRUDER, [1], dict(carried=[9]),
     b'from="10.0.0.0/8" ' + OPERATOR, []),
    ("only a key with a forced command would stay", b'command="id" ' + OPERATOR + INTRUDER, [1], dict(carried=[9]),
     b'command="id" ' + OPERATOR + INTRUDER, ["rewrite"]),
    # The key of the connection is not known.
    ("unknown, an allowed key stays", OPERATOR + INTRUDER, [1], UNKNOWN, OPERATOR, []),
    ("unknown, none would stay", INTRUDER, [1], UNKNOWN, INTRUDER, ["rewrite"]),
    ("unknown, only one that sshd refuses would stay", b"frob " + OPERATOR + INTRUDER, [1], UNKNOWN,
     b"frob " + OPERATOR + INTRUDER, ["rewrite"]),
    ("unknown user too", INTRUDER, [1], dict(method=None, users=[]), INTRUDER, ["rewrite"]),
    ("by key, but which is not known", INTRUDER, [1], dict(), INTRUDER, ["rewrite"]),
    # Not by key, or not this account.
    ("by password", INTRUDER, [1], PASSWORD, b"", []),
    ("on the host itself", REDIS_DUMP, [1], LOCAL, b"", []),
    ("logged in as another", INTRUDER, [1], dict(method=None, users=["ann"]), b"", []),
    ("logged in as another, with the same key here", INTRUDER, [1], dict(carried=[7], users=["ann"]), INTRUDER,
     ["connection"]),
])
def test_decision_table(root, name, content, allowed, connection, after, refused):
    write(root, KEYS, content)
    assert _run(root, allowed, _connection(**connection)) == (after, refused)
    # A second run finds nothing to do and refuses the same.
    if refused != ["rewrite"]:
        revocation = _revocation(root, allowed, _connection(**connection))
        assert revocation.decide()[0] == []


def test_one_way_in_is_enough_in_any_of_the_accounts_files(root):
    write(root, KEYS, INTRUDER)
    write(root, KEYS + "2", OPERATOR)
    assert _run(root, [1], _connection([9])) == (b"", [])


def test_in_doubt_the_very_file_must_keep_a_key(root):
    write(root, KEYS, INTRUDER)
    write(root, KEYS + "2", OPERATOR)
    revocation = _revocation(root, [1], _connection(**UNKNOWN))
    steps, refused = revocation.decide()
    assert (steps, len(refused)) == ([], 1)
    assert "present connection" in revocation.not_checked[0]["what"]


LDAP = "/home/ops/.ssh/authorized_keys"


@pytest.mark.parametrize("users,after", [(["ops"], OPERATOR), (["root"], b"")])
def test_the_files_of_a_directory_services_account_are_guarded_too(root, users, after):
    write(root, KEYS, key(2) + b"\n")
    write(root, LDAP, OPERATOR)
    _run(root, [2], _connection(method=None, users=users))
    assert (root / LDAP[1:]).read_bytes() == after
    found = ssh_key.survey(accounts.read_accounts(str(root)), str(root), str(root.parent / "proc"))
    assert (LDAP in [item.path for item in found.files_of(users)]) == (users == ["ops"])


def test_a_file_knows_all_whom_it_lets_in_although_one_was_named(root):
    write(root, "/etc/passwd", ssh_samples.PASSWD + "toor:x:0:0::/root:/bin/sh\n")
    write(root, KEYS, INTRUDER)
    write(root, ANNS_KEYS, INTRUDER)
    found = ssh_key.survey(accounts.read_accounts(str(root)), str(root), str(root.parent / "proc"), ["toor"])
    assert [(item.path, item.accounts) for item in found.files] == [(KEYS, ["root", "toor"])]


@pytest.mark.parametrize("config", ["AuthorizedKeysCommand /usr/bin/keys\n", "TrustedUserCAKeys /etc/ssh/ca\n"])
def test_a_login_that_comes_from_no_file_is_not_endangered(root, config):
    write(root, "/etc/ssh/sshd_config", config)
    write(root, "/etc/ssh/ca", key(3))
    write(root, KEYS, INTRUDER)
    assert _run(root, [1], _connection([9], authority=[3])) == (b"", [])


def test_the_trusted_authorities_of_sshd_are_never_rewritten(root):
    write(root, "/etc/ssh/sshd_config", "TrustedUserCAKeys /etc/ssh/ca\n")
    write(root, "/etc/ssh/ca", INTRUDER)
    assert _revocation(root, [1], _connection([1])).decide() == ([], [])


def test_the_ceiling(root):
    write(root, KEYS, OPERATOR + b"".join(key(number) + b"\n" for number in range(10, 13)))
    write(root, ANNS_KEYS, b"".join(key(number) + b"\n" for number in range(20, 22)))
    with pytest.raises(ResponseError) as caught:
        _revocation(root, [1], _connection([1]), max_keys=4).decide()
    assert "max_keys" in str(caught.value)
    assert len(_revocation(root, [1], _connection([1]), max_keys=5).decide()[0]) == 2


def test_an_account_that_fills_its_own_file_keeps_nobody_elses_keys(root):
    write(root, KEYS, OPERATOR + INTRUDER)
    write(root, ANNS_KEYS, b"".join(key(number) + b"\n" for number in range(20, 29)))
    steps, refused = _revocation(root, [1], _connection([1]), max_keys=5).decide()
    assert [step.item.path for step in steps] == [KEYS]
    assert ["max_keys" in item["message"] for item in refused] == [True]


def test_planning_touches_nothing(root):
    write(root, KEYS, BEHIND)
    before = manifest.manifest(str(root))
    revocation = _revocation(root, [1], _connection([1]))
    steps, refused = revocation.decide()
    action, = revocation.planned(steps)
    assert (action["status"], action["undo"]) == ("planned", None)
    assert manifest.manifest(str(root)) == before
    assert not (root.parent / "quarantine").exists()


def test_the_diff_shows_fingerprints_and_no_bytes_of_the_dump(root):
    write(root, KEYS, b"# ours\x1b[2J\n" + BEHIND)
    revocation = _revocation(root, [1], _connection([1]))
    diff = revocation.planned(revocation.decide()[0])[0]["diff"]
    assert diff["after"] == "%s (ED25519) operator\n" % FINGERPRINTS[1]
    assert diff["before"] == "[%d bytes of a Redis dump, REDIS0010]\n%s (ED25519) intruder\n%s" % (
        len(REDIS_DUMP), FINGERPRINTS[7], diff["after"])


def _apply(root, allowed=(1,), carried=(1,)):
    revocation = _revocation(root, allowed, _connection(carried))
    quarantine = Quarantine("test", str(root.parent / "quarantine"), str(root))
    return quarantine, revocation.apply(revocation.decide()[0], quarantine, str(root))


def test_undo_is_exact(root):
    path = write(root, KEYS, BEHIND, 0o644)
    os.utime(str(path), ns=(10 ** 18, 10 ** 18 + 7))
    before = os.stat(str(path))
    quarantine, (action,) = _apply(root)
    assert (action["status"], path.read_bytes()) == ("done", OPERATOR)
    assert os.stat(str(path)).st_mode == before.st_mode
    assert quarantine.restore(action["undo"]["args"]["item"])
    assert path.read_bytes() == BEHIND
    assert (os.stat(str(path)).st_mode, os.stat(str(path)).st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


@needs_root
def test_an_immutable_file_is_rewritten_and_undo_brings_the_flag_back(root):
    path = str(write(root, KEYS, INTRUDER + OPERATOR))
    os.chown(path, 1000, 1000)
    manifest.set_flags(path, 0x10)
    try:
        quarantine, (action,) = _apply(root)
        assert (root / KEYS[1:]).read_bytes() == OPERATOR
        assert os.stat(path).st_uid == 1000
        quarantine.restore(action["undo"]["args"]["item"])
        assert (root / KEYS[1:]).read_bytes() == INTRUDER + OPERATOR
        assert manifest.flags_of(path) & 0x10
    finally:
        manifest.set_flags(path, 0)


def test_a_file_that_changed_meanwhile_is_left_alone(root):
    path = write(root, KEYS, INTRUDER + OPERATOR)
    revocation = _revocation(root, [1], _connection([1]))
    steps, unused = revocation.decide()
    path.write_bytes(INTRUDER)
    with pytest.raises(ResponseError):
        revocation.apply(steps, Quarantine("test", str(root.parent / "quarantine"), str(root)), str(root))
    assert path.read_bytes() == INTRUDER


def test_a_writer_that_comes_back_at_once_is_told(root, monkeypatch):
    path = write(root, KEYS, INTRUDER + OPERATOR)
    genuine = Quarantine.replace

    def replace(self, *arguments, **more):
        item = genuine(self, *arguments, **more)
        path.write_bytes(BEHIND)
        return item

    monkeypatch.setattr(Quarantine, "replace", replace)
    revocation = _revocation(root, [1], _connection([1]))
    action, = revocation.apply(revocation.decide()[0], Quarantine("test", str(root.parent / "quarantine"), str(root)),
                               str(root))
    assert action["status"] == "done"
    assert [item["what"] for item in revocation.not_checked] == [KEYS]


def test_what_was_done_before_a_failure_stays_on_record(root):
    write(root, KEYS, INTRUDER + OPERATOR)
    later = write(root, ANNS_KEYS, INTRUDER)
    revocation = _revocation(root, [1], _connection([1]))
    steps, unused = revocation.decide()
    later.unlink()
    later.symlink_to("/etc/shadow")
    actions = revocation.apply(steps, Quarantine("test", str(root.parent / "quarantine"), str(root)), str(root))
    assert [item["status"] for item in actions] == ["done", "refused"]
    assert (root / "etc/shadow").read_text() == ssh_samples.SHADOW
