# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The decision table as a table: which facts lead to which rule and verdict."""

import re

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import deleted_exe_rules
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect.deleted_exe_facts import Facts
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import SEVERITIES, VERDICTS

# A deleted file of no package, in a place where administrators put programs, on a host with a sound database.
ORDINARY = dict(
    kind="file", readable=True, literal_name=False, at_path="absent", realm="host", database="sound", owner=None,
    content="unowned", disk_content="unowned", changed_since_start=None, unlinked_by_upgrade=True,
    clock_contradicts=False, own_chain=False, place=None, masquerade=None, packet_socket=False, mounted=True,
    removed_packages="", sealed=False, runtime=None, same_bytes_as=None, claims_runtime=False,
    runtime_changed_since_start=False, links=0)
# The path of a package, another file there now, as packaged; the package unpacked while the process ran.
UPGRADED = dict(at_path="other", owner="nginx", content="mismatch", disk_content="match", changed_since_start=True,
                place="system_directory")
# The same path, but nothing was unpacked since the process started.
IMPOSTOR = dict(UPGRADED, changed_since_start=False)
MEMFD = dict(kind="memfd", at_path="unknown", realm="host")
DETACHED = dict(kind="detached", at_path="absent")

TABLE = [
    # -- nothing was deleted
    ("a file really named 'x (deleted)'", dict(literal_name=True), "literal_name", "benign"),
    ("such a file, in /dev/shm", dict(literal_name=True, place="world_writable"), "literal_name", "benign"),
    ("the same inode is at the path again", dict(at_path="same"), "still_there", "benign"),
    # -- explained by packages
    ("upgrade", UPGRADED, "upgraded", "benign"),
    ("upgrade of what our session runs from", dict(UPGRADED, own_chain=True), "upgraded", "benign"),
    ("package reinstalled: the bytes are the packaged ones", dict(IMPOSTOR, content="match"), "packaged_content",
     "benign"),
    ("packaged file deleted: the bytes are the packaged ones",
     dict(owner="cron", content="match", changed_since_start=False), "packaged_content", "benign"),
    # -- an upgrade that is none
    ("package not changed, original put back", IMPOSTOR, "impostor", "malicious"),
    ("package not changed, packaged file missing", dict(IMPOSTOR, at_path="absent", disk_content="unknown"), "impostor",
     "malicious"),
    ("package not changed, but the clock was set since", dict(IMPOSTOR, clock_contradicts=True), "upgrade_doubtful",
     "suspicious"),
    ("package not changed, file system gone: initial RAM disk", dict(IMPOSTOR, mounted=False), "hidden_mount",
     "suspicious"),
    ("package not changed, the disk has a third version", dict(IMPOSTOR, disk_content="mismatch"), "upgrade_doubtful",
     "suspicious"),
    ("upgraded, but the disk has not what was packaged", dict(UPGRADED, disk_content="mismatch"), "upgrade_doubtful",
     "suspicious"),
    ("upgraded, but the package records no digests", dict(UPGRADED, disk_content="unknown", content="unknown"),
     "upgrade_doubtful", "suspicious"),
    ("upgraded, but the file was removed long after", dict(UPGRADED, unlinked_by_upgrade=False), "upgrade_doubtful",
     "suspicious"),
    ("upgraded, but the file is not there again", dict(UPGRADED, at_path="absent"), "upgrade_doubtful", "suspicious"),
    ("upgraded, by a database that was tampered with", dict(UPGRADED, database="doubtful"), "upgrade_doubtful",
     "suspicious"),
    ("packaged bytes, by a database that was tampered with", dict(UPGRADED, content="match", database="doubtful"),
     "upgrade_doubtful", "suspicious"),
    ("when the package changed is unknown", dict(UPGRADED, changed_since_start=None), "upgrade_doubtful", "suspicious"),
    # -- programs of no package
    ("/usr/bin/bsd-port/udevd", dict(place="foreign_directory"), "unowned", "malicious"),
    ("/dev/shm/sleep", dict(place="world_writable"), "unowned", "malicious"),
    ("/dev/shm/sleep, another file there since", dict(place="world_writable", at_path="other"), "unowned", "malicious"),
    ("mode 777, deployed anew", dict(place="open_directory", at_path="other"), "replaced_unowned", "suspicious"),
    ("mode 777, nothing left", dict(place="open_directory"), "unowned", "malicious"),
    ("deeper than the kernel tells", dict(kind="nameless", at_path="unknown"), "nameless", "malicious"),
    ("deeper than the kernel tells, still there", dict(kind="nameless", at_path="unknown", links=1), "nameless_file",
     "suspicious"),
    ("/tmp/x on a host without package database", dict(place="world_writable", database="none"), "unowned",
     "malicious"),
    ("/usr/bin/.sshd", dict(place="hidden"), "unowned", "malicious"),
    ("/dev/kdevtmpfsi", dict(place="device"), "unowned", "malicious"),
    ("/usr/bin/pythno, gone", dict(place="system_directory"), "unowned", "malicious"),
    ("/usr/bin/kubectl, replaced while it ran", dict(place="system_directory", at_path="other"), "replaced_unowned",
     "suspicious"),
    ("/usr/sbin/food, its package removed", dict(place="system_directory", removed_packages="food"), "package_removed",
     "suspicious"),
    ("/dev/shm/x, some package removed then", dict(place="world_writable", removed_packages="food"), "unowned",
     "malicious"),
    ("/root/.configrc/a/kswapd0", dict(masquerade="a kernel thread (kswapd0)"), "masquerade", "malicious"),
    ("/usr/local/aegis/AliYunDun, with a packet socket", dict(packet_socket=True), "packet_socket", "suspicious"),
    ("/opt/agent, replaced by its own update", dict(at_path="other"), "replaced_unowned", "suspicious"),
    ("/srv/app/releases/41/app, directory removed", dict(), "gone_unowned", "suspicious"),
    ("/opt/agent on a host without package database", dict(database="none"), "undetermined", "undetermined"),
    # -- memory
    ("sealed copy of runc", dict(MEMFD, sealed=True, runtime="/usr/bin/runc"), "runtime_copy", "benign"),
    ("the same bytes, but not sealed", dict(MEMFD, runtime="/usr/bin/runc", same_bytes_as="/usr/bin/runc"),
     "memfd_packaged", "suspicious"),
    ("named runc_cloned and sealed, but other bytes", dict(MEMFD, sealed=True, claims_runtime=True), "memfd",
     "malicious"),
    ("the same, runc upgraded since", dict(MEMFD, sealed=True, claims_runtime=True, runtime_changed_since_start=True),
     "memfd_runtime_replaced", "suspicious"),
    ("runc upgraded since, but not even the name", dict(MEMFD, sealed=True, runtime_changed_since_start=True), "memfd",
     "malicious"),
    ("a packaged shell from memory", dict(MEMFD, same_bytes_as="/usr/bin/dash"), "memfd_packaged", "suspicious"),
    ("unknown bytes from memory", MEMFD, "memfd", "malicious"),
    ("unknown bytes from memory, sealed", dict(MEMFD, sealed=True), "memfd", "malicious"),
    ("what our own session runs from", dict(MEMFD, sealed=True, own_chain=True), "own_chain", "undetermined"),
    ("/dev/zero (deleted)", dict(kind="anonymous", at_path="unknown"), "anonymous", "malicious"),
    # -- trees of their own
    ("container upgraded its package", dict(UPGRADED, realm="container"), "upgraded_in_container", "benign"),
    ("container, not explained by its package", dict(IMPOSTOR, realm="container"), "unvouched_root", "suspicious"),
    ("container, file of no package", dict(realm="container"), "unvouched_root", "suspicious"),
    ("container, /tmp/kdevtmpfsi", dict(realm="container", place="world_writable"), "unowned", "malicious"),
    ("chroot of his own, with a database of his own", dict(realm="chroot", at_path="other"), "unvouched_root",
     "suspicious"),
    ("chroot in /tmp", dict(realm="chroot", place="world_writable"), "unowned", "malicious"),
    ("namespace without a runtime", dict(realm="foreign", database="none"), "unvouched_root", "suspicious"),
    ("namespace without a runtime, /tmp", dict(realm="foreign", database="none", place="world_writable"), "unowned",
     "malicious"),
    ("private mount, path of a package", dict(UPGRADED, realm="private", owner=None, database="none"), "unvouched_root",
     "suspicious"),
    ("file system unmounted lazily", DETACHED, "hidden_mount", "suspicious"),
    ("runtime from a detached read-only mount", dict(DETACHED, runtime="/usr/bin/runc"), "runtime_copy", "benign"),
    ("not deleted, its tree cannot be looked at", dict(DETACHED, at_path="unknown"), "undetermined", "undetermined"),
    # -- what cannot be looked at
    ("executable not readable", dict(readable=False, at_path="unknown"), "unreadable", "undetermined"),
    ("path cannot be looked at", dict(at_path="unknown"), "undetermined", "undetermined"),
    ("path cannot be looked at, /tmp", dict(at_path="unknown", place="world_writable"), "undetermined", "undetermined"),
]


class Given:
    """The facts of a row; a rule that asks for one that the table does not know fails."""

    def __init__(self, values):
        self.__dict__.update(ORDINARY)
        self.__dict__.update(values)


@pytest.mark.parametrize("facts, rule, verdict", [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_facts_lead_to_rule_and_verdict(facts, rule, verdict):
    decided = deleted_exe_rules.decide(Given(facts))
    assert (decided.id, decided.verdict) == ("deleted_exe." + rule, verdict)


def test_every_rule_is_in_the_table():
    assert {"deleted_exe." + row[2] for row in TABLE} == {rule.id for rule in deleted_exe_rules.RULES}


def test_every_fact_of_the_table_is_one_that_is_collected():
    assert [name for name in ORDINARY if name not in ("kind",) and not hasattr(Facts, name)] == []


@pytest.mark.parametrize("rule", deleted_exe_rules.RULES, ids=lambda rule: rule.id)
def test_a_rule_is_well_formed(rule):
    assert rule.verdict in VERDICTS
    assert rule.severity in SEVERITIES
    assert all(re.match(r"^T\d{4}(\.\d{3})?$", technique) for technique in rule.attack)
    assert [name for name in re.findall(r"\{(\w+)\}", rule.message) if not hasattr(Facts, name)] == []
    assert (rule.verdict == "benign") == (rule.severity == "info")


def test_rule_ids_are_unique():
    ids = [rule.id for rule in deleted_exe_rules.RULES]
    assert len(ids) == len(set(ids))
