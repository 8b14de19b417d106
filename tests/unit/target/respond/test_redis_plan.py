# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.redis_config import digest_of
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login.redis_criteria import password_weakness
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import redis_evidence
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.redis_fix import Fix, _private
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.redis_plan import decide
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.redis_steps import Wishes
from ansible_collections.ecsops.intrusion_response.tests.unit.target.redis_views import GOOD, NEW, view

KEPT = "requirepass An-Old-But-G00d-One\nbind 127.0.0.1\n"
OPEN = {"outcome": "open", "conf": "bind 127.0.0.1\n"}
PASSWORD_STEPS = ["configuration", "password", "disconnect"]
MASTER = {"role": "slave", "master_host": "198.51.100.7", "master_port": "21000"}
HASH = digest_of(NEW)


def steps(plan):
    return [("-" if step.kind == "refused" else "") + step.rule.partition(".")[2] for step in plan.steps]


# What is given differs from a server in order; then the wishes; then the steps in order, refused ones with a "-".
@pytest.mark.parametrize("given,wishes,expected", [
    ({"conf": KEPT}, {}, []),
    (OPEN, {}, PASSWORD_STEPS),
    (dict(OPEN, conf=None), {}, ["password", "disconnect"]),
    (dict(OPEN, editable=False), {}, ["password", "disconnect"]),
    (OPEN, {"password": None}, ["-password"]),
    (dict(OPEN, conf=KEPT), {}, ["password", "disconnect"]),
    (dict(OPEN, conf=KEPT), {"rotate": True}, PASSWORD_STEPS),
    ({"conf": KEPT}, {"rotate": True}, PASSWORD_STEPS),
    ({"conf": "bind ::1\n"}, {}, ["configuration"]),
    ({"password": b"foobared", "conf": "bind ::1\nrequirepass foobared\n"}, {}, PASSWORD_STEPS),
    # Where it listens: at run time from 6.2 on.
    (dict(OPEN, listens=["0.0.0.0:6379"], conf="bind 0.0.0.0\n"), {},
     ["configuration", "password", "bind", "disconnect"]),
    (dict(OPEN, listens=["0.0.0.0:6379"], conf="bind 0.0.0.0\n", version="6.0.16"), {},
     ["configuration", "password", "disconnect", "-bind"]),
    (dict(OPEN, listens=["0.0.0.0:6379"], conf="bind 0.0.0.0\n"), {"bind": None}, PASSWORD_STEPS),
    (dict(OPEN, listens=["10.0.0.9:6379"], conf="bind 10.0.0.9\n"), {"bind": ["10.0.0.9"]}, PASSWORD_STEPS),
    ({"conf": "requirepass An-Old-But-G00d-One\n"}, {}, ["configuration"]),  # without bind it would listen everywhere
    ({"conf": KEPT, "listens": ["/run/s.sock"]}, {}, []),
    ({"conf": KEPT, "listens": ["0.0.0.0:6379"], "info": {"slave0": "ip=10.0.0.6,port=1"}}, {"replicas": ["10.0.0.6"]},
     ["-bind"]),
    ({"conf": KEPT, "config": {"protected-mode": "no"}}, {}, ["protected_mode"]),
    ({"conf": KEPT + "protected-mode no\n", "config": {"protected-mode": "no"}}, {},
     ["configuration", "protected_mode"]),
    ({"conf": KEPT + "enable-protected-configs yes\n"}, {}, ["configuration"]),
    # The place of the dump: at run time before 7.0, or where it was allowed.
    # The files alone are not changed: its next start would find no data at the new place.
    ({"conf": KEPT, "config": {"dir": "/root/.ssh"}}, {}, ["-dump_place"]),
    ({"conf": KEPT + "dir /root/redis\n", "config": {"dir": "/root/redis"}}, {}, ["-dump_place"]),
    ({"conf": KEPT + "dir /root/.ssh\n"}, {}, ["configuration"]),
    ({"conf": KEPT + "dir /var/lib/redis\n", "config": {"dir": "/root/.ssh", "enable-protected-configs": "yes"}}, {},
     ["dump_place", "save"]),
    ({"conf": KEPT + "dir /var/lib/redis\n", "config": {"dir": "/root/.ssh"}, "version": "6.2.0"}, {},
     ["dump_place", "save"]),
    ({"conf": KEPT + "dir /root/.ssh\n", "config": {"dir": "/root/.ssh"}, "version": "6.2.0"}, {},
     ["dump_place", "configuration", "save"]),
    ({"conf": KEPT + "dir /var/lib/redis\n", "config": {"dir": "/tmp", "save": ""}, "version": "6.2.0"}, {},
     ["dump_place"]),
    ({"conf": KEPT + "dbfilename root\n", "config": {"dbfilename": "root"}, "version": "6.2.0"}, {},
     ["dump_place", "configuration", "save"]),
    ({"conf": KEPT + "dir /tmp\n", "config": {"dir": "/tmp", "appendonly": "yes"}, "version": "6.2.0"}, {},
     ["-dump_place"]),
    ({"conf": KEPT + "dir /var/lib/redis\n", "config": {"dir": "/tmp", "appendonly": "yes"}, "version": "6.2.0"}, {},
     ["dump_place"]),
    ({"conf": KEPT + "dir /gone\n", "config": {"dir": "/tmp"}, "version": "6.2.0", "uid": 5}, {}, ["-dump_place"]),
    # Replication.
    ({"conf": KEPT, "info": MASTER}, {}, ["replication"]),
    ({"conf": KEPT, "info": MASTER}, {"masters": ["198.51.100.7"]}, []),
    ({"conf": KEPT + "replicaof 198.51.100.7 21000\n", "info": MASTER}, {}, []),
    ({"conf": KEPT + "replicaof 198.51.100.7 21000\n", "info": MASTER}, {"configured_masters": False},
     ["replication", "configuration"]),
    ({"conf": KEPT + "replicaof 10.0.0.1 6379\n", "info": MASTER}, {"masters": ["10.0.0.1"]}, ["replication"]),
    ({"conf": KEPT + "replicaof 10.0.0.1 6379\n", "info": MASTER}, {}, ["replication"]),
    # Not to be changed.
    (dict(OPEN, contained=True), {}, ["-refused"]),
    (dict(OPEN, state="LOADING"), {}, ["-refused"]),
    (dict(OPEN, info={"redis_mode": "cluster"}), {}, ["-refused"]),
    ({"conf": KEPT, "info": {"redis_mode": "cluster"}}, {}, []),
    (dict(OPEN, info={"redis_mode": "sentinel"}), {}, []),
    ({"facts": None, "password": None}, {}, []),
    ({"facts": None, "password": None, "outcome": "denied"}, {}, ["-refused"]),
    # Users.
    ({"conf": KEPT, "acl": ["user default on #aa +@all", "user bob on nopass +@all"]}, {}, ["password", "disconnect"]),
    ({"conf": KEPT + "user bob on nopass +@all\n", "acl": ["user bob on nopass +@all"]}, {}, PASSWORD_STEPS),
    # CONFIG switched off.
    (dict(OPEN, conf='bind 127.0.0.1\nrename-command CONFIG ""\n', version="5.0.7"), {},
     ["configuration", "-password"]),
    (dict(OPEN, conf='bind 127.0.0.1\nrename-command CONFIG ""\n'), {}, PASSWORD_STEPS),
])
def test_what_is_decided(tmp_path, given, wishes, expected):
    if given.get("uid") == 5:
        (tmp_path / "var/lib/redis").mkdir(parents=True)
        (tmp_path / "var/lib/redis").chmod(0o755)
    wishes = Wishes(**dict({"password": NEW}, **wishes))
    assert steps(decide(view(tmp_path, **dict({"uid": 0}, **given)), wishes)) == expected


@pytest.mark.parametrize("given,command", [
    (OPEN, ("CONFIG", "SET", "requirepass", NEW)),
    (dict(OPEN, conf="bind ::1\nuser default on nopass\n"), ("ACL", "SETUSER", "default", "resetpass", "#" + HASH)),
    (dict(OPEN, conf='bind ::1\nrename-command CONFIG ""\n'), ("ACL", "SETUSER", "default", "resetpass", "#" + HASH)),
])
def test_how_the_password_is_set(tmp_path, given, command):
    step, = [step for step in decide(view(tmp_path, **given), Wishes(NEW)).steps if step.rule == "redis_auth.password"]
    assert step.commands == [command]


@pytest.mark.parametrize("version,bind", [
    ("7.0.1", "127.0.0.1 -::1"), ("6.2.0", "127.0.0.1 -::1"), ("5.0.7", "127.0.0.1")])
def test_older_releases_know_no_optional_address(tmp_path, version, bind):
    seen = view(tmp_path, listens=["0.0.0.0:6379"], conf="requirepass An-Old-But-G00d-One\n", version=version)
    assert decide(seen, Wishes(NEW)).expected["bind"] == bind


def test_a_weak_password_is_not_accepted():
    with pytest.raises(ResponseError):
        Wishes(b"redis")
    assert password_weakness(NEW) is None


def test_no_secret_is_told(tmp_path):
    seen = view(tmp_path, outcome="open", conf="masterauth other-secret\nuser bob on >bobs-secret nopass\n",
                acl=["user bob on nopass +@all"])
    actions = Fix(seen, decide(seen, Wishes(NEW)), None, Wishes(NEW)).planned()
    for secret in (NEW.decode(), GOOD.decode(), "other-secret", "bobs-secret", HASH):
        assert secret not in repr(actions)
    assert [action["diff"] is not None for action in actions] == [True, False, False]


@pytest.mark.parametrize("value,shown", [
    ("AUTH Kept-In-The-1ncident", "AUTH ********"),
    (["CONFIG", "SET", "requirepass", "anything"], ["CONFIG", "SET", "requirepass", "********"]),
    (["AUTH", "a"], ["AUTH", "********"]),
    ({"a": ["x", {"b": "abc"}]}, {"a": ["x", {"b": "********"}]}),
    ("an abc inside", "an abc inside"),  # too short to be looked for inside a text
    ("user x on #" + HASH, "user x on #" + HASH[:8] + "********"),
    (7, 7),
    (None, None),
])
def test_redaction(value, shown):
    assert redis_evidence.redact(value, [NEW, b"abc"]) == shown


class _Process:
    def __init__(self, uid, groups):
        self.uid, self.groups = uid, groups


class _Stat:
    def __init__(self, mode, uid, gid):
        self.st_mode, self.st_uid, self.st_gid = 0o100000 | mode, uid, gid


@pytest.mark.parametrize("mode,owner,group,uid,groups,expected", [
    (0o644, 0, 0, 0, {0}, (0o640, None)),
    (0o644, 5, 5, 5, {5}, (0o640, None)),
    (0o644, 0, 5, 7, {5}, (0o640, None)),
    (0o644, 0, 0, 7, {7}, (0o640, 7)),  # else the server could not read it any more
    (0o640, 5, 5, 5, {5}, (0o640, None)),
    (0o600, 0, 0, 0, {0}, (0o600, None)),
    (0o644, 0, 0, 7, {0}, (0o640, None)),
    (0o604, 0, 9, 7, {0}, (0o604, None)),
])
def test_a_file_with_a_password_is_private_but_readable_for_the_server(mode, owner, group, uid, groups, expected):
    assert _private(_Stat(mode, owner, group), _Process(uid, groups)) == expected


def test_what_we_sent_is_remembered_for_one_run_of_a_server(tmp_path):
    run_id = "a" * 40
    root = str(tmp_path)
    redis_evidence.note_own_commands(root, run_id, {"config|set": 2})
    redis_evidence.note_own_commands(root, run_id, {"config|set": 1, "bgsave": 1})
    assert redis_evidence.own_commands(root, run_id) == {"config|set": 3, "bgsave": 1}
    assert redis_evidence.own_commands(root, "b" * 40) == {}
    assert redis_evidence.own_commands(root, "../../etc/passwd") == {}
    (tmp_path / "redis-own-commands" / (run_id + ".json")).write_text("[1]")
    assert redis_evidence.own_commands(root, run_id) == {}
