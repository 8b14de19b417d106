# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers, opened as intruders and careless operators leave them, closed, and started again."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import redis_processes
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login import redis, redis_keys
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login.resp import ErrorReply, Unreachable
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import (
    quarantine_store,
    redis_fix,
    redis_plan,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import Quarantine
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_undo import QuarantineUndo
from ansible_collections.ecsops.intrusion_response.tests.unit.target.manifest import manifest
from ansible_collections.ecsops.intrusion_response.tests.unit.target.redis_server import (
    PASSWORD,
    Server,
    binaries,
    done,
    refused,
)

BINARIES = binaries()
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other accounts' sockets and /var/lib"),
    pytest.mark.skipif(not BINARIES, reason="no redis-server on this machine"),
]
OPEN = ("bind 0.0.0.0", "protected-mode no", "save 3600 1")


@pytest.fixture(params=sorted(BINARIES) or ["none"])
def server(request):
    with_binary = Server(BINARIES[request.param])
    yield with_binary
    with_binary.remove()


@pytest.fixture
def another(server):
    second = Server(server.binary)
    yield second
    second.remove()


def abusable(server):
    """From 7.0 on a server must be told to be abusable."""
    version = subprocess.check_output([server.binary, "--version"]).split(b"v=")[1]
    return ("enable-protected-configs yes",) if int(version.split(b".")[0]) >= 7 else ()


def fill(server, password=None):
    with server.connect(password) as connection:
        connection.pipeline(
            [("SET", "key:%d" % number, "value %d" % number) for number in range(500)]
            + [("RPUSH", "list", *range(50)), ("SADD", "set", *range(600)), ("ZADD", "zset", 1.5, "a", 2, "b"),
               ("HSET", "hash", "a", 1, "b", 2), ("XADD", "stream", "*", "field", "value"), ("SELECT", 3),
               ("SET", b"binary \xff\r\n", b"\x00\xff")])


def contents(server, password=None):
    """Return all keys and values, by a way of its own."""
    found = {}
    readers = {"string": ("GET",), "list": ("LRANGE", 0, -1), "set": ("SMEMBERS",), "hash": ("HGETALL",),
               "zset": ("ZRANGE", 0, -1), "stream": ("XRANGE", "-", "+")}
    with server.connect(password) as connection:
        for database in (0, 3):
            connection.call("SELECT", database)
            for key in connection.call("KEYS", "*"):
                reader = readers[connection.call("TYPE", key)]
                value = connection.call(reader[0], key, *reader[1:])
                found[database, key] = sorted(map(repr, value)) if isinstance(value, list) else value
    return found


def abuse(server):
    """Do what the attack does: a key with a line for another file, and the dump there."""
    ssh = server.path("home/.ssh")
    os.makedirs(ssh)
    for words in (("SET", "crackit", "\n\nssh-rsa AAAAB3Nza intruder@nowhere\n\n"), ("CONFIG", "SET", "dir", ssh),
                  ("CONFIG", "SET", "dbfilename", "authorized_keys"), ("SAVE",)):
        assert server.call(*words) == "OK"
    return os.path.join(ssh, "authorized_keys")


def bytes_of(path):
    with open(path, "rb") as stream:
        return stream.read()


def test_an_abused_server_is_closed_keeps_every_key_and_stays_closed_after_a_restart(server):
    server.start(OPEN + abusable(server))
    fill(server)
    victim = abuse(server)
    before = contents(server)
    findings = server.findings()
    assert {"no_password", "bind", "dump_place", "payload_key", "command_history"} - set(findings) <= \
        ({"command_history"} if not abusable(server) else set())  # 6.2 counts CONFIG GET and SET as one
    assert findings["dump_place"]["verdict"] == "malicious"
    assert findings["no_password"]["severity"] == "critical"

    fix = server.secure()

    assert fix.failure is None
    assert done(fix) == ["dump_place", "configuration", "password", "bind", "protected_mode", "disconnect", "save"]
    assert "same digest" in fix.keys
    # The operator puts the file right; nothing the server does may touch it again.
    with open(victim, "wb") as stream:
        stream.write(b"ssh-ed25519 AAAAC3 operator\n")
    assert server.call("SAVE", password=PASSWORD) == "OK"
    for again in (False, True):
        if again:
            server.restart()
        assert server.call("PING").code == "NOAUTH"
        assert server.call("PING", password=PASSWORD) == "PONG"
        assert contents(server, PASSWORD) == before
        listening = {item.address for item in server.inspect().listeners}
        assert listening <= {"127.0.0.1", "::1"}
        second = server.secure()
        assert (second.actions, second.evidence, second.failure) == ([], [], None)
    assert bytes_of(victim) == b"ssh-ed25519 AAAAC3 operator\n"
    assert {item["verdict"] for item in server.findings().values()} <= {"weak", "malicious"}
    assert set(server.findings()) == {"payload_key", "runs_as_root"}


def test_evidence_is_taken_before_the_fix_and_tells_no_password(server):
    server.start(OPEN + ("requirepass old-secret-1234567", "masterauth other-secret-123"))
    with server.connect(b"old-secret-1234567") as client:
        client.call("CLIENT", "SETNAME", "application")
        client.call("SET", "note", "x")
        fix = server.secure(rotate=True)
    assert fix.failure is None
    (name, path, size, _digest), = fix.evidence
    content = bytes_of(path)
    record = json.loads(content.decode())
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert len(content) == size
    assert name.startswith("redis-%d/before-" % server.port)
    assert "application" in [client.get("name") for client in record["server"]["clients"]]
    assert record["server"]["commands"]["set"]["calls"] == 1
    for secret in (b"old-secret-1234567", b"other-secret-123", PASSWORD):
        assert secret not in content
        assert secret.decode() not in json.dumps(fix.actions)


def test_the_plan_changes_nothing_and_is_what_is_done(server):
    server.start(OPEN)
    before = bytes_of(server.config)
    stats = server.call("INFO", "commandstats")
    seen = server.inspect()
    wishes = server.wishes()
    planned = redis_fix.Fix(seen, redis_plan.decide(seen, wishes), None, wishes).planned()
    sent = set(redis.parse_info(server.call("INFO", "commandstats").decode())[1]) \
        - set(redis.parse_info(stats.decode())[1])
    assert sent <= {"ping", "info", "config", "config|get", "client", "client|list", "slowlog", "slowlog|get", "acl",
                    "acl|list", "acl|log", "module", "module|list", "function", "function|list", "select", "scan",
                    "type", "strlen", "getrange"}
    assert bytes_of(server.config) == before
    assert not os.path.exists(server.path("quarantine"))
    assert [item["rule"] for item in planned] == [item["rule"] for item in server.secure().actions]
    assert {item["status"] for item in planned} == {"planned"}
    diff, = [item["diff"] for item in planned if item["diff"]]
    assert "requirepass ********" in diff["after"]


def test_other_clients_are_cut_off_and_kept_ones_are_not(server):
    server.start(("bind 127.0.0.1 ::1", "save ''"))
    stranger, kept = server.connect(), server.connect(host="::1", port=server.port)
    for client in (stranger, kept):
        assert client.call("PING") == "PONG"
    fix = server.secure(keep_clients=["[::1]"])
    assert done(fix) == ["configuration", "password", "disconnect"]
    with pytest.raises(Unreachable):
        stranger.call("PING")
    assert kept.call("PING") == "PONG"
    kept.close()
    stranger.close()


def test_undo_by_the_quarantine_and_a_restart(server):
    server.start(OPEN)
    before = bytes_of(server.config)
    fix = server.secure()
    item, = [action["undo"]["args"]["item"] for action in fix.actions if action["undo"]]
    assert server.quarantine().restore(item)
    assert bytes_of(server.config) == before
    server.restart()
    assert server.call("PING") == "PONG"


@pytest.mark.parametrize("where", ["proof", "file"])
def test_what_cannot_be_proven_is_taken_back(server, monkeypatch, where):
    server.start(OPEN + abusable(server))
    abuse(server)
    before, settings = bytes_of(server.config), server.call("CONFIG", "GET", "*")
    if where == "proof":
        monkeypatch.setattr(redis_keys, "compare", lambda one, two: ("lost", "a key is missing"))
    else:
        def full(found, process):
            raise OSError(28, "No space left on device")
        monkeypatch.setattr(redis_fix, "_private", full)
    fix = server.secure()
    assert server.port and fix.failure.startswith("redis:%d: " % server.port)
    assert "All changes to it were taken back." in fix.failure
    assert done(fix) == []
    assert bytes_of(server.config) == before
    assert server.call("CONFIG", "GET", "*") == settings
    assert server.answers("127.0.0.1")


def test_a_well_kept_server_is_left_alone(server):
    server.start(("bind 127.0.0.1", "requirepass An-Old-But-G00d-One"))
    assert set(server.findings()) == {"runs_as_root"}
    fix = server.secure()
    assert (fix.actions, fix.plan.password_source) == ([], "present")
    assert not os.path.exists(server.path("quarantine"))


def test_a_password_that_nobody_knows_is_reported_and_nothing_is_touched(server):
    server.start(("bind 0.0.0.0",))
    before = bytes_of(server.config)
    server.call("CONFIG", "SET", "requirepass", "what-the-intruder-chose")
    findings = server.findings()
    assert findings["unknown_password"]["verdict"] == "undetermined"
    fix = server.secure()
    assert fix.actions == []
    assert "nobody here knows" in fix.seen.gaps[0]["reason"]
    assert bytes_of(server.config) == before
    fix = server.secure(passwords=[b"what-the-intruder-chose"], rotate=True)
    assert done(fix) == ["configuration", "password", "bind", "disconnect"]
    server.restart()
    assert server.call("PING", password=PASSWORD) == "PONG"


@pytest.mark.parametrize("weak", ["foobared", "short", "123456"])
def test_a_weak_password_is_replaced(server, weak):
    server.start(("bind 127.0.0.1", "requirepass %s" % weak))
    assert server.findings()["weak_password"]["verdict"] == "weak"
    fix = server.secure()
    assert done(fix) == ["configuration", "password", "disconnect"]
    assert server.call("AUTH", weak).code == "WRONGPASS"


def test_a_good_password_on_disk_that_the_running_server_forgot(server):
    server.start(("bind 127.0.0.1", "requirepass An-Old-But-G00d-One"))
    server.call("CONFIG", "SET", "requirepass", "", password=b"An-Old-But-G00d-One")
    before = bytes_of(server.config)
    fix = server.secure()
    assert (done(fix), fix.plan.password_source) == (["password", "disconnect"], "configuration")
    assert bytes_of(server.config) == before
    assert server.call("PING", password=b"An-Old-But-G00d-One") == "PONG"


def test_without_a_configuration_file_it_is_closed_but_not_called_fine(server):
    server.start(arguments=["--port", str(server.port), "--dir", server.data, "--save", "", "--bind", "127.0.0.1"])
    fix = server.secure()
    assert done(fix) == ["password", "disconnect"]
    assert "until its next start" in fix.actions[0]["message"]
    assert server.findings(passwords=[PASSWORD])["not_lasting"]["verdict"] == "weak"
    assert server.secure().actions == []


@pytest.mark.parametrize("acl", ["", "user default on nopass ~* +@all\n", "user other on >good-Enough-123 ~x +get\n"])
def test_an_acl_file(server, acl):
    path = server.write("users.acl", acl)
    server.start(("bind 127.0.0.1", "aclfile %s" % path))
    assert server.call("PING") == "PONG"
    fix = server.secure()
    assert fix.failure is None
    assert done(fix) == ["configuration", "password", "disconnect"]
    assert PASSWORD not in bytes_of(path)
    server.restart()
    assert server.call("PING").code == "NOAUTH"
    assert server.call("PING", password=PASSWORD) == "PONG"
    assert server.secure().actions == []
    if "other" in acl:
        with server.connect() as connection:
            assert connection.call("AUTH", "other", "good-Enough-123") == "OK"


def test_users_without_password_in_the_configuration(server):
    server.start(("bind 127.0.0.1", "user default on nopass ~* +@all", "user worker on nopass ~jobs:* +@read"))
    assert "user_without_password" in server.findings()
    fix = server.secure()
    assert done(fix) == ["configuration", "password", "disconnect"]
    for again in (False, True):
        if again:
            server.restart()
        assert server.call("PING").code == "NOAUTH"
        assert server.call("AUTH", "worker", "anything").code == "WRONGPASS"
        assert server.call("AUTH", "worker", PASSWORD) == "OK"
    assert server.secure().actions == []


@pytest.mark.parametrize("rename,wanted", [
    ("rename-command CONFIG cfg-4711", ["configuration", "password", "disconnect"]),
    ('rename-command CONFIG ""', ["configuration", "password", "disconnect"]),
    ("rename-command PING knock", ["configuration", "password", "disconnect"]),
])
def test_renamed_commands(server, rename, wanted):
    server.start(("bind 127.0.0.1", rename))
    assert "no_password" in server.findings()
    fix = server.secure()
    assert fix.failure is None
    assert done(fix) == wanted
    server.restart()
    assert server.call("INFO").code == "NOAUTH"
    assert server.secure().actions == []


def test_a_unix_socket_only(server):
    path = server.path("redis.sock")
    server.start(("port 0", "unixsocket %s" % path))
    fix = server.secure()
    assert done(fix) == ["configuration", "password", "disconnect"]
    with server.connect(path=path) as stranger:
        assert stranger.call("PING").code == "NOAUTH"


@pytest.mark.parametrize("clients", ["no", "yes"])
def test_tls_only(server, clients):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = server.path("cert.pem"), server.path("key.pem")
    subprocess.check_call([openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2",
                           "-out", certificate, "-keyout", key], stderr=subprocess.DEVNULL)
    if b"SSL_CTX_new" not in bytes_of(server.binary):
        pytest.skip("this server was built without TLS")
    server.start(("port 0", "tls-port %d" % server.port, "tls-cert-file %s" % certificate, "tls-key-file %s" % key,
                  "tls-ca-cert-file %s" % certificate, "tls-auth-clients %s" % clients, "bind 127.0.0.1"))
    assert "no_password" in server.findings()
    fix = server.secure()
    assert fix.failure is None
    assert done(fix) == ["configuration", "password", "disconnect"]
    assert "no_password" not in server.findings()


def test_an_unknown_master_is_cut_off_and_a_known_one_is_not(server, another):
    another.start(("bind 127.0.0.1",))
    server.start(("bind 127.0.0.1",))
    command = ("REPLICAOF", "127.0.0.1", another.port)
    assert server.call(*command) == "OK"
    assert server.findings(masters=["127.0.0.1"], replicas=["127.0.0.1"]).get("unknown_master") is None
    assert server.findings()["unknown_master"]["verdict"] == "suspicious"
    fix = server.secure()
    assert fix.failure is None
    assert done(fix)[0] == "replication"
    assert b"role:master" in server.call("INFO", "replication", password=PASSWORD)
    assert "unknown_master" not in server.findings()
    assert server.secure().actions == []


def test_a_configured_master_stays_unless_told_otherwise(server, another):
    another.start(("bind 127.0.0.1",))
    server.start(("bind 127.0.0.1", "replicaof 127.0.0.1 %d" % another.port))
    assert server.findings()["configured_master"]["verdict"] == "benign"
    assert "replication" not in done(server.secure())
    fix = server.secure(configured_masters=False)
    assert done(fix) == ["replication", "configuration"]
    server.restart()
    assert b"role:master" in server.call("INFO", "replication", password=PASSWORD)


def undo_of_the_dump(server, fix):
    """Return the item by which the action "save" is taken back, and the undo of all that was done to files."""
    item, = [action["undo"]["args"]["item"] for action in fix.actions
             if action["undo"] and action["rule"] == "redis_auth.save"]
    return item, QuarantineUndo(server.quarantine(), incident="test")


def old_dump(server):
    """Start a server whose dump has become another one at a bad place; return the manifest of the directory."""
    server.start(OPEN + abusable(server))
    fill(server)
    server.call("SAVE")
    place = os.path.join(server.data, "dump.rdb")
    original = bytes_of(place)
    server.call("FLUSHALL")
    abuse(server)
    # The flush saved an empty one already where the server was still told to.
    with open(place, "wb") as stream:
        stream.write(original)
    os.chown(place, 12, 34)
    os.chmod(place, 0o660)
    os.setxattr(place, "user.note", b"from before")
    os.utime(place, ns=(1, 1400000000000000001))
    os.utime(server.data, ns=(1, 1500000000000000001))
    return manifest(server.data)


def test_an_old_dump_at_the_right_place_comes_back_byte_for_byte(server):
    before = old_dump(server)
    config = bytes_of(server.config)
    seen = server.inspect()
    plan = redis_plan.decide(seen, server.wishes())
    assert "What lies there is kept." in plan.steps[0].message
    assert manifest(server.data) == before
    fix = server.secure()
    assert fix.failure is None
    assert [step.rule for step in plan.steps] == [action["rule"] for action in fix.actions]
    saved = bytes_of(os.path.join(server.data, "dump.rdb"))
    assert b"crackit" in saved
    item, undo = undo_of_the_dump(server, fix)
    assert [action["status"] for action in undo.apply("restored", undo.decide("restored"))] == ["done", "done"]
    assert manifest(server.data) == before
    assert bytes_of(server.config) == config
    # What the server saved is in its memory and, should it die, in the quarantine.
    told, = [entry for entry in server.quarantine().items() if entry["item"] == item]
    assert bytes_of(os.path.join(server.path("quarantine/test/objects"), told["put_sha256"])) == saved
    assert undo.decide("restored") == []


def test_a_dump_that_was_saved_again_is_not_taken_back(server):
    old_dump(server)
    fix = server.secure()
    assert server.call("SET", "newer", "data", password=PASSWORD) == "OK"
    assert server.call("SAVE", password=PASSWORD) == "OK"
    newer = manifest(server.data)
    item, undo = undo_of_the_dump(server, fix)
    actions = undo.apply("restored", undo.decide("restored"))
    statuses = {action["subject"]["item"] == item: action["status"] for action in actions}
    assert statuses == {True: "refused", False: "done"}
    assert "would be lost" in [action["message"] for action in actions if action["status"] == "refused"][0]
    assert manifest(server.data) == newer


def test_a_dump_where_none_was_is_taken_away_again(server):
    server.start(OPEN + abusable(server))
    abuse(server)
    os.utime(server.data, ns=(1, 1500000000000000001))
    before = manifest(server.data)
    assert os.listdir(server.data) == []
    item, undo = undo_of_the_dump(server, server.secure())
    assert os.listdir(server.data) == ["dump.rdb"]
    assert server.quarantine().restore(item)
    assert manifest(server.data) == before
    assert [action["status"] for action in undo.apply("restored", undo.decide("restored"))] == ["done"]


def test_a_dump_that_could_not_be_kept_is_not_overwritten(server, monkeypatch):
    before = old_dump(server)
    settings = server.call("CONFIG", "GET", "*")
    monkeypatch.setattr(quarantine_store, "SPARE_BYTES", 1 << 60)
    fix = server.secure()
    assert "KiB free and needs" in fix.failure and "All changes to it were taken back." in fix.failure
    assert (done(fix), server.call("CONFIG", "GET", "*")) == ([], settings)
    assert manifest(server.data) == before


def test_a_full_disk_after_the_save_leaves_the_server_closed_and_the_dump_restorable(server, monkeypatch):
    before = old_dump(server)

    def full(self, item):
        raise ResponseError("No space left for the journal.")

    monkeypatch.setattr(Quarantine, "settle", full)
    fix = server.secure()
    assert fix.failure is None and server.call("PING").code == "NOAUTH"
    assert "test.0001 can be restored all the same" in fix.warnings[0]
    assert server.quarantine().restore("test.0001")
    assert manifest(server.data) == before


@pytest.mark.parametrize("owner,instant", [(redis_fix.Fix, "_do_commands"), (redis_fix.Fix, "_do_save"),
                                           (Quarantine, "settle")])
def test_killed_around_the_save_the_old_dump_comes_back(server, monkeypatch, owner, instant):
    before = old_dump(server)

    def kill(*unused):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(owner, instant, kill)
    child = os.fork()
    if child == 0:
        try:
            server.secure()
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    monkeypatch.undo()
    assert (manifest(server.data) == before) is (instant != "settle")
    undo = QuarantineUndo(server.quarantine(), incident="test")
    assert {action["status"] for action in undo.apply("restored", undo.decide("restored"))} <= {"done"}
    assert manifest(server.data) == before


def test_a_dump_is_left_as_it_was_when_the_fix_is_taken_back(server, monkeypatch):
    before = old_dump(server)

    def lost(one, two):
        # The server saves by its own schedule meanwhile.
        assert server.call("SAVE", password=PASSWORD) == "OK"
        return "lost", "a key is missing"

    monkeypatch.setattr(redis_keys, "compare", lost)
    fix = server.secure()
    assert "All changes to it were taken back." in fix.failure
    assert manifest(server.data) == before
    assert QuarantineUndo(server.quarantine(), incident="test").decide("restored") == []


def test_a_directory_in_the_dumps_place_keeps_nobody_from_closing_the_server(server):
    server.start(OPEN + abusable(server))
    abuse(server)
    os.mkdir(os.path.join(server.data, "dump.rdb"))
    fix = server.secure()
    assert fix.failure is None
    assert "could not be saved" in fix.warnings[0]
    assert [item["message"][:9] for item in fix.actions if item["rule"] == "redis_auth.save"] == ["Not done,"]
    assert server.call("PING").code == "NOAUTH"
    # It does not end before it could save.
    os.rmdir(os.path.join(server.data, "dump.rdb"))


def test_append_only_files_survive(server):
    server.start(OPEN + abusable(server) + ("appendonly yes",))
    fill(server)
    abuse(server)
    before = contents(server)
    fix = server.secure()
    assert fix.failure is None
    assert done(fix) == ["dump_place", "configuration", "password", "bind", "protected_mode", "disconnect"]
    assert [action["rule"] for action in fix.actions if action["undo"]] == ["redis_auth.configuration"]
    server.restart()
    assert contents(server, PASSWORD) == before


def test_settings_in_an_included_file_are_outvoted_and_it_keeps_its_bytes(server):
    shared = server.write("shared-1.conf", "requirepass foobared\nbind 0.0.0.0\n")
    server.start(("include %s" % shared,))
    fix = server.secure()
    assert done(fix) == ["configuration", "password", "bind", "disconnect"]
    assert bytes_of(shared) == b"requirepass foobared\nbind 0.0.0.0\n"
    server.restart()
    assert server.call("PING", password=PASSWORD) == "PONG"
    assert {item.address for item in server.inspect().listeners} <= {"127.0.0.1", "::1"}


def test_protected_settings_are_left_to_a_restart(server):
    if not abusable(server):
        pytest.skip("before 7.0 the place of the dump can always be changed")
    os.makedirs(server.path("www"))
    server.start(("bind 127.0.0.1", "dir %s" % server.path("www")))
    fill(server)
    before = contents(server)
    fix = server.secure()
    assert refused(fix) == ["dump_place"]
    assert done(fix) == ["configuration", "password", "disconnect"]
    again = server.secure()
    assert (done(again), refused(again)) == ([], ["dump_place"])
    server.restart()
    assert server.call("CONFIG", "GET", "dir", password=PASSWORD)[1] == server.path("www").encode()
    assert contents(server, PASSWORD) == before


def test_what_was_saved_by_hand_is_there_after_a_restart(server):
    os.makedirs(server.path("www"))
    server.start(("bind 127.0.0.1", "dir %s" % server.path("www"), 'save ""') + abusable(server))
    fill(server)
    assert server.call("SAVE") == "OK"
    before = contents(server)
    assert done(server.secure())[-1] == "save"
    server.restart()
    assert contents(server, PASSWORD) == before


def test_what_the_units_command_line_sets_is_refused_and_no_run_adds_a_line(server, monkeypatch):
    server.write("redis.conf", "port %d\ndir %s\nbind 127.0.0.1\n" % (server.port, server.data))
    arguments = [server.config, "--requirepass", "foobared1"]
    server.start(arguments=arguments)
    genuine = redis_processes._look_at

    def as_a_unit(pid, *roots):
        process = genuine(pid, *roots)
        if process is not None and pid == server.pid:
            process.arguments, process.unit = arguments, "redis.service"
        return process

    monkeypatch.setattr(redis_processes, "_look_at", as_a_unit)
    before = bytes_of(server.config)
    fix = server.secure()
    assert (done(fix), refused(fix), fix.failure) == (["password", "disconnect"], ["command_line"], None)
    again = server.secure()
    assert (done(again), refused(again)) == ([], ["command_line"])
    assert bytes_of(server.config) == before


def test_a_node_of_a_cluster_and_a_sentinel_are_reported_only(server):
    server.start(("bind 127.0.0.1", "cluster-enabled yes"))
    fix = server.secure()
    assert (done(fix), refused(fix)) == ([], ["refused"])
    server.stop()
    conf = server.write("sentinel.conf", "port %d\nbind 127.0.0.1\ndir %s\n" % (server.port, server.data))
    server.start(arguments=[conf, "--sentinel"])
    assert set(server.findings()) == {"sentinel"}
    assert server.secure().actions == []


def test_an_account_that_may_not_read_the_file_afterwards_still_can(server):
    """The file gets private, and the server's own account must still be able to read it."""
    server.start(OPEN)
    os.chmod(server.config, 0o644)
    server.secure()
    assert os.stat(server.config).st_mode & 0o777 == 0o640


@pytest.mark.parametrize("method", ["values", "debug_digest"])
def test_the_digest_sees_every_change(server, method):
    major = int(subprocess.check_output([server.binary, "--version"]).split(b"v=")[1].split(b".")[0])
    local = method == "debug_digest" and major >= 7
    if method == "values" and major < 7:
        pytest.skip("DEBUG DIGEST is allowed there")
    server.start(("bind 127.0.0.1",) + (("enable-debug-command local",) if local else ()))
    fill(server)
    seen = {}
    for words in (("PING",), ("SET", "key:1", "other"), ("DEL", "key:2"), ("RPUSH", "list", 1), ("SREM", "set", 1),
                  ("ZADD", "zset", 3, "a"), ("HSET", "hash", "a", 2), ("XADD", "stream", "*", "field", "v")):
        assert not isinstance(server.call(*words), ErrorReply)
        with server.connect() as connection:
            session = redis.Session(connection)
            info, _commands, keyspace = redis.parse_info(session.run("INFO", "all").decode())
            shot = redis_keys.snapshot(session, info, keyspace)
            again = redis_keys.snapshot(session, info, keyspace)
        assert shot.method == method
        assert redis_keys.compare(shot, again)[0] == "same"
        assert shot.value not in seen, "%s and %s give the same digest" % (words, seen.get(shot.value))
        seen[shot.value] = words
