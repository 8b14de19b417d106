# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sample incident as the modules would leave it: six hosts, each with another story."""

import datetime
import hashlib
import json
import os
import sys
import urllib.parse

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils import journal
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import action, finding, gap, subject

START = datetime.datetime(2026, 3, 14, 2, 15, 7, tzinfo=datetime.timezone.utc)
PREFIX = "ecsops.intrusion_response."


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Story:
    """Writes the journal of one host, each entry some seconds after the last."""

    def __init__(self, directory, host, incident="20260314T021507Z", start=START):
        self.path = os.path.join(directory, "journal", urllib.parse.quote(host, safe="") + ".jsonl")
        self.host = host
        self.incident = incident
        self.time = start

    def step(self, module, task="", phase="triage", findings=(), actions=(), gaps=(), seconds=1.4, **more):
        self.time += datetime.timedelta(seconds=seconds)
        rows = [{key: value for key, value in row.items() if key != "diff"} for row in actions]
        entry = {
            "time": self.time.isoformat(timespec="milliseconds"), "host": self.host, "incident": self.incident,
            "phase": phase, "task": task or module, "module": PREFIX + module, "args": {"state": "reported"},
            "check_mode": False, "duration": seconds, "failed": False, "unreachable": False, "msg": None,
            "changed": any(row["status"] != "refused" for row in rows), "findings": list(findings), "actions": rows,
            "not_checked": list(gaps), "evidence": [], "summary": {},
        }
        entry.update(more)
        journal.append(self.path, entry)
        return self

    def preflight(self, **more):
        return self.step("preflight", "Check that the host can be worked on", None, args={}, seconds=0.6, **more)


def process(pid, name, **more):
    return subject("process", "pid %d (%s)" % (pid, name), pid=pid, **more)


def restore(item):
    return {"module": "quarantine", "args": {"state": "restored", "item": item}}


BOT = finding(
    "deleted_exe.gone_unowned", "malicious", "critical", process(4117, "getty", start_time=88231),
    "Process 4117 runs from /usr/bin/bsd-port/getty, which was deleted; no package ever owned it.",
    {"exe": "/usr/bin/bsd-port/getty (deleted)", "sha256": digest("bot"), "uid": 0, "parent": 4102, "links": 0,
     "sockets": ["198.51.100.23:25000 established"], "cmdline": ["/usr/bin/bsd-port/getty"]},
    ["T1070.004", "T1036.005"], {"module": "deleted_exe", "args": {"state": "killed"}})
WATCHDOG = finding(
    "deleted_exe.gone_unowned", "malicious", "critical", process(4102, ".sshd", start_time=88190),
    "Process 4102 runs from /dev/shm/.x/moni, which was deleted; it restarts process 4117 within a second.",
    {"exe": "/dev/shm/.x/moni (deleted)", "sha256": digest("watchdog"), "children": [4117]}, ["T1070.004", "T1543"])
UPGRADED = finding(
    "deleted_exe.upgraded", "benign", "info", process(611, "dbus-daemon"),
    "Process 611 runs the dbus-daemon of before the package's upgrade. Restart dbus.service.",
    {"package": "dbus-daemon"})
DOOR = finding(
    "malware_artifact.billgates", "malicious", "critical", subject("file", "/usr/bin/.sshd"),
    "/usr/bin/.sshd is a known artefact of the family BillGates; it is immutable.",
    {"family": "billgates", "sha256": digest("door"), "flags": ["immutable"], "size": 1223123}, ["T1036.005"])
LINK = finding(
    "malware_artifact.billgates", "malicious", "high", subject("file", "/etc/rc3.d/S97DbSecuritySpt"),
    "/etc/rc3.d/S97DbSecuritySpt starts /usr/bin/bsd-port/getty at boot.",
    {"target": "../init.d/DbSecuritySpt"}, ["T1037.004"])
PS = finding(
    "binary_restore.trojaned", "malicious", "critical", subject("file", "/usr/bin/ps"),
    "/usr/bin/ps is not what the package procps shipped; its original lies in /usr/bin/dpkgd/ps.",
    {"package": "procps", "expected_md5": "0f3b…", "found_md5": "77aa…"}, ["T1554"])
KEY = finding(
    "ssh_key.in_dump", "malicious", "critical", subject("key", "/root/.ssh/authorized_keys: SHA256:q3J…Zk0"),
    "The key crackit@redis stands between the bytes of a Redis dump.",
    {"line": 2, "comment": "crackit@redis"}, ["T1098.004"])
REDIS = finding(
    "redis_auth.no_password", "weak", "high", subject("service", "redis:6379"),
    "Redis on 0.0.0.0:6379 asks nobody for a password.", {"bind": "0.0.0.0", "version": "7.0.15"}, ["T1190"],
    {"module": "redis_auth", "args": {"state": "secured"}})
DNS = finding(
    "waf_dns.not_behind_waf", "weak", "high", subject("domain", "shop.example.com"),
    "shop.example.com is not behind a WAF: it leads straight to the origin at 203.0.113.10.",
    {"zone": "example.com", "origins_seen": ["203.0.113.10"]}, ["T1190"])


def evidence(name, size, sealed=True):
    row = {"name": name, "path": "/var/lib/ecsops-quarantine/x/" + name, "size": size, "sha256": digest(name),
           "sealed": "evidence/web1/" + name}
    if not sealed:
        row.update(sealed=None, error="its hash is not the one that was announced")
    return row


def web1(directory):
    """Intruded, cleaned, looked at again; one weakness is left."""
    story = Story(directory, "web1").preflight()
    story.step("host_archive", "Archive what the run may touch", "snapshot", seconds=9.2, args={})
    story.step("deleted_exe", "Look for processes whose executable is gone", findings=[BOT, WATCHDOG, UPGRADED])
    story.step("malware_artifact", "Look for artefacts of known families", findings=[DOOR, LINK])
    story.step("binary_restore", "Look for tools that are not what their package shipped", findings=[PS])
    story.step("ssh_key_revoke", "Look at every key that can log in", findings=[KEY])
    story.step("redis_auth", "Look at every Redis", findings=[REDIS], gaps=[
        gap("ACL file of redis:6379", "/etc/redis/users.acl is a directory", "Look at it by hand.")])
    story.step("deleted_exe", "Freeze the processes whose executable is gone", "contain", [BOT, WATCHDOG], [
        action("deleted_exe.freeze", BOT["subject"], "Process 4117 and its watchdog were stopped.", "done", None)],
        args={"state": "frozen"})
    story.step("deleted_exe", "Kill the processes whose executable is gone", "cleanup", [BOT, WATCHDOG], [
        action("deleted_exe.kill", BOT["subject"], "Process 4117 was killed after its executable was sealed.",
               "done", None, ["deleted_exe/4117-88231/exe"]),
        action("deleted_exe.kill", WATCHDOG["subject"], "Process 4102 was killed after its executable was sealed.",
               "done"),
    ], args={"state": "killed"}, evidence=[evidence("deleted_exe/4117-88231/exe", 1223123),
                                           evidence("deleted_exe/4117-88231/maps", 3127)])
    story.step("binary_restore", "Put the packaged tools back", "cleanup", [PS], [
        action("binary_restore.restore", PS["subject"], "/usr/bin/ps is the packaged one again.",
               "done", restore("q-0007")),
    ], args={"state": "restored"})
    story.step("malware_artifact", "Move the artefacts to the quarantine", "cleanup", [DOOR, LINK], [
        action("malware_artifact.quarantine", DOOR["subject"], "/usr/bin/.sshd was moved to the quarantine.",
               "done", restore("q-0008")),
        action("malware_artifact.quarantine", LINK["subject"],
               "/etc/rc3.d/S97DbSecuritySpt was moved to the quarantine.", "done", restore("q-0009")),
        action("malware_artifact.quarantine", subject("file", "/etc/init.d/selinux"),
               "/etc/init.d/selinux has the digest that its package vouches for: it stays.", "refused"),
    ], args={"state": "quarantined"})
    story.step("ssh_key_revoke", "Revoke the keys that are not on the allow-list", "cleanup", [KEY], [
        action("ssh_key.revoke", KEY["subject"], "The key was taken out; the key of this connection stays.",
               "done", restore("q-0010"))], args={"state": "revoked"})
    story.step("redis_auth", "Secure every Redis", "hardening", [REDIS], [
        action("redis_auth.password", REDIS["subject"], "A password was set and proven with a new connection.",
               "done")], args={"state": "secured"})
    story.step("waf_dns_info", "Ask the name servers where the domains lead", "waf_dns", [DNS],
               args={"domains": ["shop.example.com"]})
    again = Story(directory, "web1", start=START + datetime.timedelta(hours=2)).preflight()
    again.step("deleted_exe", "Look for processes whose executable is gone", findings=[UPGRADED])
    again.step("malware_artifact", "Look for artefacts of known families")
    again.step("binary_restore", "Look for tools that are not what their package shipped")
    again.step("ssh_key_revoke", "Look at every key that can log in")
    again.step("redis_auth", "Look at every Redis", gaps=[
        gap("ACL file of redis:6379", "/etc/redis/users.acl is a directory", "Look at it by hand.")])
    again.step("waf_dns_info", "Ask the name servers where the domains lead", "waf_dns", [DNS],
               args={"domains": ["shop.example.com"]})


def clean(directory, host):
    """Nothing found, everything looked at."""
    story = Story(directory, host).preflight()
    for module in ("deleted_exe", "malware_artifact", "binary_restore", "ssh_key_revoke", "account_lock", "redis_auth"):
        story.step(module, findings=[UPGRADED] if module == "deleted_exe" else [])


def unreachable(directory, host):
    why = ("The host cannot be reached: ssh: connect to host 10.0.3.21 port 22: Connection timed out. "
           "Check address, port, user and key.")
    story = Story(directory, host).preflight(failed=True, msg=why, gaps=[gap("the whole host", why)])
    story.step("incident_record", "Put the failure on record", None, args={}, failed=True,
               msg="Stopped at 'Check that the host can be worked on': " + why, gaps=[
                   gap("every step after 'Check that the host can be worked on'", "that step failed",
                       "Mend what it names, then run again with --limit " + host)])


EVIL = "/tmp/<script>alert(1)</script>\x1b[2J\x1b[31m\u202egnp.exe\u200b\nrm -rf ~ && '\"`$(id)`"


def hostile(directory, host):
    """Names made to deceive, and a step that failed midway."""
    story = Story(directory, host).preflight()
    story.step("deleted_exe", findings=[finding(
        "deleted_exe.unowned", "malicious", "critical", process(666, EVIL), "Process 666 runs from %s." % EVIL,
        {"exe": EVIL, "environ": "A" * 5000, EVIL: "key", "nested": {"deep": [EVIL, {"x": None}]}}, ["T1036.002"])])
    story.step("malware_artifact", gaps=[
        gap("/proc/4242/exe", "the process vanished three times while it was looked at", "Run again."),
    ], findings=[
        finding("malware_artifact.suspicious_name", "suspicious", "medium", subject("file", "/var/tmp/.\u3164"),
                "A hidden file whose name looks empty."),
        finding("malware_artifact.unreadable", "undetermined", "medium", subject("file", "/opt/app/data"),
                "The file could not be read whole."),
    ])
    story.step("deleted_exe", "Kill the processes whose executable is gone", "cleanup", failed=True,
               args={"state": "killed"},
               msg="25 processes would be killed, more than 'max_processes' (20): nothing was done. "
                   "Look at the list, then raise it.",
               evidence=[evidence("deleted_exe/666-1/exe", 99, sealed=False)])
    story.step("incident_record", "Put the failure on record", None, args={}, failed=True,
               msg="Stopped at 'Kill the processes whose executable is gone'", gaps=[
                   gap("every step after 'Kill the processes whose executable is gone'", "that step failed",
                       "Mend what it names, then run again with --limit " + host)])


def planned(directory, host):
    """Only a plan was asked for."""
    story = Story(directory, host).preflight(check_mode=True)
    story.step("malware_artifact", findings=[DOOR])
    story.step("malware_artifact", "Move the artefacts to the quarantine", "cleanup", [DOOR], [
        action("malware_artifact.quarantine", DOOR["subject"], "/usr/bin/.sshd would be moved to the quarantine.",
               "planned", restore("q-0001"))], args={"state": "quarantined"}, check_mode=True)


def write_header(directory, incident="20260314T021507Z"):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "incident.json"), "w") as stream:
        json.dump({"id": incident, "opened": START.isoformat()}, stream)


def write_sample(directory):
    """Write the whole sample incident into ``directory``."""
    write_header(directory)
    web1(directory)
    clean(directory, "web2.example.com")
    clean(directory, "web3.example.com")
    unreachable(directory, "db1")
    hostile(directory, "app1")
    planned(directory, "cache1")
    clean(directory, "mail1")
    path = os.path.join(directory, "journal", "mail1.jsonl")
    with open(path) as stream:
        lines = stream.readlines()
    with open(path, "w") as stream:
        stream.writelines(lines[:2] + lines[3:])


@pytest.fixture
def incident(tmp_path):
    """An incident's folder without any journal yet."""
    directory = str(tmp_path / "20260314T021507Z")
    write_header(directory)
    return directory


@pytest.fixture
def sample(tmp_path):
    """The whole sample incident."""
    directory = str(tmp_path / "20260314T021507Z")
    write_sample(directory)
    return directory


@pytest.fixture
def story_class():
    """The class that writes a host's journal."""
    return Story


@pytest.fixture
def sample_module():
    """The stories of this file, to be told of other hosts."""
    return sys.modules[__name__]
