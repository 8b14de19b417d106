# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import stat
import subprocess
import sys

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import account
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import accounts
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import account_lock
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.account_lock import AccountLock
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import Quarantine
from ansible_collections.ecsops.intrusion_response.tests.unit.target import manifest, ssh_samples
from ansible_collections.ecsops.intrusion_response.tests.unit.target.ssh_samples import PASSWD, SHADOW, write

EVIL = "evil:x:0:0:x:/home/evil:/bin/bash\n"
EVIL_SHADOW = "evil:$6$s$h:19000:0:99999:7:::\n"
EVIL_LOCKED = "evil:x:0:0:x:/home/evil:/usr/sbin/nologin\n"
EVIL_SHADOW_LOCKED = "evil:!$6$s$h:19000:0:99999:7::1:\n"


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    ssh_samples.host(root, PASSWD + EVIL, SHADOW + EVIL_SHADOW)
    write(root, "/usr/sbin/nologin", "x", 0o755)
    write(root, "/etc/.pwd.lock", "")
    return root


def _lock(root, protected=None, names=("evil",)):
    database = accounts.read_accounts(str(root))
    lock = AccountLock(database, protected or {}, str(root))
    return lock, lock.decide([database.by_name(name) for name in names])


def _run(root, protected=None, names=("evil",)):
    lock, (plan, refused) = _lock(root, protected, names)
    quarantine = Quarantine("test", str(root.parent / "quarantine"), str(root))
    return quarantine, lock.apply(plan, quarantine), refused


def _files(root):
    return (root / "etc/passwd").read_bytes().decode("utf-8"), (root / "etc/shadow").read_bytes().decode("utf-8")


@pytest.mark.parametrize("name,passwd,shadow,passwd_after,shadow_after", [
    ("all three ways", EVIL, EVIL_SHADOW, EVIL_LOCKED, EVIL_SHADOW_LOCKED),
    ("already locked", EVIL_LOCKED, EVIL_SHADOW_LOCKED, EVIL_LOCKED, EVIL_SHADOW_LOCKED),
    ("only the password is locked", EVIL, "evil:!$6$s$h:1::::::\n", EVIL_LOCKED, "evil:!$6$s$h:1:::::1:\n"),
    ("an empty password", EVIL, "evil::1::::::\n", EVIL_LOCKED, "evil:!:1:::::1:\n"),
    ("a short shadow line", EVIL, "evil:$6$s$h\n", EVIL_LOCKED, "evil:!$6$s$h::::::1:\n"),
    ("no shadow line", EVIL, "", EVIL_LOCKED, ""),
    ("the password in passwd", "evil::0:0::/home/evil:/bin/sh\n", "", "evil:!:0:0::/home/evil:/usr/sbin/nologin\n", ""),
    ("the hash in passwd", "evil:$1$a$b:0:0::/home/evil:/bin/sh\n", "evil:*:1::::::\n",
     "evil:!$1$a$b:0:0::/home/evil:/usr/sbin/nologin\n", "evil:!*:1:::::1:\n"),
    ("only glibc sees it", "evil::0:0\n", "", "evil:!:0:0:::/usr/sbin/nologin\n", ""),
    ("twice", EVIL + "bin:x:2:2:::\n" + EVIL, EVIL_SHADOW, EVIL_LOCKED + "bin:x:2:2:::\n" + EVIL_LOCKED,
     EVIL_SHADOW_LOCKED),
    ("no last line end", EVIL[:-1], EVIL_SHADOW[:-1], EVIL_LOCKED[:-1], EVIL_SHADOW_LOCKED[:-1]),
    ("odd lines around", "+::0:0:::\nbroken\n" + EVIL + "#\n", EVIL_SHADOW + "x\n\n",
     "+::0:0:::\nbroken\n" + EVIL_LOCKED + "#\n",
     EVIL_SHADOW_LOCKED + "x\n\n"),
    ("a shell with a colon", "evil:x:0:0:x:/home/evil:/bin/sh:x\n", EVIL_SHADOW, EVIL_LOCKED, EVIL_SHADOW_LOCKED),
])
def test_decision_table(root, name, passwd, shadow, passwd_after, shadow_after):
    write(root, "/etc/passwd", PASSWD + passwd)
    write(root, "/etc/shadow", SHADOW + shadow)
    _run(root)
    assert _files(root) == (PASSWD + passwd_after, SHADOW + shadow_after)
    lock, (plan, refused) = _lock(root)
    assert (bool(plan), refused) == (False, [])
    database = accounts.read_accounts(str(root))
    assert account.is_locked(database, database.by_name("evil"))


@pytest.mark.parametrize("protected,names", [
    ({"evil": "the controller logs in as it"}, ["evil"]),
    ({}, ["root"]),
])
def test_who_is_never_locked(root, protected, names):
    before = manifest.manifest(str(root))
    quarantine, actions, refused = _run(root, protected, names)
    assert ([item["status"] for item in refused], actions) == (["refused"], [])
    assert manifest.manifest(str(root)) == before


def test_others_are_locked_although_one_is_protected(root):
    quarantine, actions, refused = _run(root, {"ann": "it is ours"}, ["evil", "ann", "bob"])
    passwd, shadow = _files(root)
    assert "ann:x:1000:1000:Ann,,,:/home/ann:/bin/bash\n" in passwd
    assert "bob:x:1001:1001::/home/bob:/usr/sbin/nologin\n" in passwd
    assert "bob:!:19000:0:99999:7::1:\n" in shadow
    assert EVIL_LOCKED in passwd


@pytest.mark.parametrize("present,expected", [
    (["/usr/sbin/nologin", "/sbin/nologin", "/bin/false"], "/usr/sbin/nologin"),
    (["/sbin/nologin", "/bin/false"], "/sbin/nologin"), (["/bin/false"], "/bin/false"), ([], "/dev/null"),
])
def test_the_shell_is_one_that_the_host_has(root, present, expected):
    (root / "usr/sbin/nologin").unlink()
    for path in present:
        write(root, path, "x", 0o755)
    _run(root)
    assert (root / "etc/passwd").read_text().endswith(":/home/evil:%s\n" % expected)


def _own_files(root, passwd=EVIL):
    write(root, "/etc/passwd", PASSWD + passwd)
    for path in ("/home/evil/.ssh/authorized_keys", "/home/evil/.ssh/authorized_keys2", "/home/evil/notes",
                 "/root/.ssh/authorized_keys",
                 "/home/ann/.ssh/authorized_keys", "/var/spool/cron/crontabs/evil", "/var/spool/cron/evil",
                 "/var/spool/cron/crontabs/root", "/var/spool/cron/tabs/ann"):
        write(root, path, "x")
    lock, (plan, refused) = _lock(root)
    return sorted(path for path, name in plan.removals), [item["what"] for item in lock.not_checked]


CRONTABS = ["/var/spool/cron/crontabs/evil", "/var/spool/cron/evil"]
SHARED = "keys in the home of evil"


@pytest.mark.parametrize("passwd,removals,gaps", [
    (EVIL, ["/home/evil/.ssh/authorized_keys", "/home/evil/.ssh/authorized_keys2"] + CRONTABS, []),
    (EVIL.replace("/home/evil", "/root"), CRONTABS, [SHARED]),
    (EVIL.replace("/home/evil", "/root/"), CRONTABS, [SHARED]),
    (EVIL.replace("/home/evil", "/home/ann"), CRONTABS, [SHARED]),
    (EVIL.replace("/home/evil", "/"), CRONTABS, []),
    (EVIL.replace("/home/evil", ""), CRONTABS, []),
    (EVIL.replace("/home/evil", "relative"), CRONTABS, []),
    (EVIL.replace(":0:0:", ":1500:0:"),
     ["/home/evil/.ssh/authorized_keys", "/home/evil/.ssh/authorized_keys2"] + CRONTABS, []),
])
def test_only_files_of_its_own_go(root, passwd, removals, gaps):
    assert _own_files(root, passwd) == (removals, gaps)


@pytest.mark.parametrize("link,target", [
    ("home/evil", "/root"), ("home/evil/.ssh", "/root/.ssh"), ("home/evil/.ssh", "../../home/ann/.ssh")])
def test_a_link_to_the_operators_keys_takes_nothing_along(root, link, target):
    for path in ("/root/.ssh/authorized_keys", "/home/ann/.ssh/authorized_keys"):
        write(root, path, ssh_samples.key(1))
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(target)
    lock, (plan, refused) = _lock(root)
    assert (plan.removals, len(lock.not_checked), plan.names) == ([], 1, ["evil"])


def test_a_file_with_the_key_of_the_connection_stays(root):
    path = write(root, "/home/evil/.ssh/authorized_keys", ssh_samples.key(1))
    database = accounts.read_accounts(str(root))
    lock = AccountLock(database, {}, str(root), lambda key: key.fingerprint == ssh_samples.FINGERPRINTS[1])
    plan, refused = lock.decide([database.by_name("evil")])
    assert (plan.removals, len(lock.not_checked)) == ([], 1)
    assert path.exists()


@pytest.mark.parametrize("name", ["crontabs", "tabs", "..", "a/b", "."])
def test_a_name_that_is_a_path_takes_nothing_else_along(root, name):
    write(root, "/etc/passwd", PASSWD + EVIL.replace("evil:", name + ":"))
    for path in ("/var/spool/cron/crontabs/root", "/var/spool/cron/tabs/root", "/var/spool/cron/a/b", "/var/spool/b"):
        write(root, path, "x")
    lock, (plan, refused) = _lock(root, names=[name])
    assert plan.removals == []


def test_undo_is_exact(root):
    for path in ("/home/evil/.ssh/authorized_keys", "/var/spool/cron/crontabs/evil"):
        write(root, path, "x")
    for path in ("etc/passwd", "etc/shadow"):
        os.utime(str(root / path), ns=(10 ** 18 + 5, 10 ** 18 + 7))
    before = manifest.manifest(str(root))
    quarantine, actions, refused = _run(root)
    assert [(item["rule"], item["status"], item["subject"]["name"]) for item in actions] == [
        ("account_lock.quarantine", "done", "/home/evil/.ssh/authorized_keys"),
        ("account_lock.quarantine", "done", "/var/spool/cron/crontabs/evil"),
        ("account_lock.lock", "done", "/etc/shadow"), ("account_lock.lock", "done", "/etc/passwd")]
    assert stat.S_IMODE((root / "etc/shadow").stat().st_mode) == 0o640
    assert _files(root) == (PASSWD + EVIL_LOCKED, SHADOW + EVIL_SHADOW_LOCKED)
    for item in reversed(actions):
        quarantine.restore(item["undo"]["args"]["item"])
    assert manifest.manifest(str(root)) == before


def test_planning_touches_nothing_and_shows_no_hash(root):
    before = manifest.manifest(str(root))
    lock, (plan, refused) = _lock(root)
    planned = lock.planned(plan)
    assert manifest.manifest(str(root)) == before
    assert [item["status"] for item in planned] == ["planned", "planned"]
    passwd, shadow = (item["diff"] for item in planned)
    assert (passwd["before"], passwd["after"]) == (EVIL, EVIL_LOCKED)
    assert (shadow["before"], shadow["after"]) == ("evil:[set]:19000:0:99999:7:::\n",
                                                   "evil:![locked]:19000:0:99999:7::1:\n")


def test_a_file_that_changed_meanwhile_is_left_alone(root):
    lock, (plan, refused) = _lock(root)
    write(root, "/etc/shadow", SHADOW + EVIL_SHADOW + "new:!:1::::::\n")
    with pytest.raises(ResponseError):
        lock.apply(plan, Quarantine("test", str(root.parent / "quarantine"), str(root)))
    assert _files(root)[0] == PASSWD + EVIL


def test_what_was_done_before_a_failure_stays_on_record(root):
    write(root, "/var/spool/cron/crontabs/evil", "x")
    lock, (plan, refused) = _lock(root)
    write(root, "/etc/shadow", SHADOW)
    actions = lock.apply(plan, Quarantine("test", str(root.parent / "quarantine"), str(root)))
    assert [item["status"] for item in actions] == ["done", "refused"]


HOLD = """
import fcntl, sys
stream = open(sys.argv[1], "w")
fcntl.lockf(stream, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_somebody_who_edits_the_files_is_waited_for(root, monkeypatch):
    monkeypatch.setattr(account_lock, "_LOCK_SECONDS", 0)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(root / "etc/.pwd.lock")], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        lock, (plan, refused) = _lock(root)
        quarantine = Quarantine("test", str(root.parent / "quarantine"), str(root))
        with pytest.raises(ResponseError) as caught:
            lock.apply(plan, quarantine)
        assert "lock" in str(caught.value)
        assert _files(root) == (PASSWD + EVIL, SHADOW + EVIL_SHADOW)
    finally:
        holder.communicate()
    lock.apply(plan, quarantine)
    assert _files(root)[0] == PASSWD + EVIL_LOCKED


def test_the_lock_is_held_while_the_files_are_written(root, monkeypatch):
    seen = []
    genuine = Quarantine.replace
    probe = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"

    def replace(self, path, *arguments, **more):
        done = subprocess.run([sys.executable, "-c", probe, str(root / "etc/.pwd.lock")], stderr=subprocess.DEVNULL,
                              check=False)
        seen.append((path, done.returncode != 0))
        return genuine(self, path, *arguments, **more)

    monkeypatch.setattr(Quarantine, "replace", replace)
    _run(root)
    assert seen == [("/etc/shadow", True), ("/etc/passwd", True)]


def test_no_lock_file_is_left_where_there_was_none(root):
    (root / "etc/.pwd.lock").unlink()
    _run(root)
    assert not (root / "etc/.pwd.lock").exists()
