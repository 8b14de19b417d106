# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import Outcome, action, subject
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.process_table import Process
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.artifact_removal import (
    ArtifactRemoval,
    LineRemoval,
    Removal,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import Quarantine
from ansible_collections.ecsops.intrusion_response.tests.unit.target.fake_packages import FakePackages
from ansible_collections.ecsops.intrusion_response.tests.unit.target.manifest import manifest


class FakeControl:
    """Stands for ProcessControl: tells what it was asked for, in the order of the acts."""

    def __init__(self, fails=False):
        self.fails = fails

    def decide(self, suspects, state):
        return (state, suspects)

    def planned_actions(self, plan):
        return [action("process." + plan[0], subject("process", "pid %d" % process.pid), "End %d" % process.pid)
                for process in plan[1]]

    def apply(self, plan, outcome):
        if self.fails:
            raise ResponseError("The evidence cannot be kept.")
        outcome.actions.extend(dict(entry, status="done") for entry in self.planned_actions(plan))


@pytest.fixture
def host(tmp_path):
    for name in ("etc/rc3.d", "usr/bin/bsd-port", "tmp", "proc/1/ns"):
        (tmp_path / "host" / name).mkdir(parents=True)
    for name in ("etc/crontab", "usr/bin/.sshd", "usr/bin/bsd-port/getty", "usr/bin/bsd-port/conf.n", "tmp/moni.lod"):
        (tmp_path / "host" / name).write_bytes(name.encode())
    os.symlink("../init.d/x", str(tmp_path / "host/etc/rc3.d/S97x"))
    os.symlink("mnt:[1]", str(tmp_path / "host/proc/1/ns/mnt"))
    return tmp_path / "host"


def process(host, pid, exe, namespace="mnt:[1]", arguments=b""):
    where = host / "proc" / str(pid)
    (where / "ns").mkdir(parents=True)
    os.symlink(exe, str(where / "exe"))
    os.symlink("/", str(where / "cwd"))
    os.symlink(namespace, str(where / "ns/mnt"))
    (where / "cmdline").write_bytes(arguments)
    return Process(pid=pid, ppid=1, pgrp=1, session=1, start_time=1, state="S", comm="x", threads=1,
                   kernel_thread=False, where=str(where))


def removal(host, max_files=200, exclude=(), processes=(), control=None, packages=None):
    quarantine = Quarantine("i", root=str(host.parent / "q"), host_root=str(host), max_files=max_files)
    return ArtifactRemoval(quarantine, control or FakeControl(), packages or FakePackages(), max_files, exclude,
                           proc_root=str(host / "proc"), host_root=str(host), find=lambda *unused: list(processes))


def file(path, kind="binary", refused=None):
    return Removal(path, kind, "malware_artifact." + kind, "why", "billgates", refused)


CRON = LineRemoval("/etc/crontab", b"etc/crontab", b"new", 1, False, "malware_artifact.cron", "why", "billgates")
FILES = [file("/usr/bin/.sshd", "dropper_copy"), file("/usr/bin/bsd-port", "dir"), file("/etc/rc3.d/S97x", "rclink"),
         file("/tmp/moni.lod", "pidfile")]


def told(actions):
    return [(entry["rule"], entry["subject"]["name"], entry["message"].split(" ", 1)[1]) for entry in actions]


def test_the_plan_is_what_is_done_and_all_of_it_is_undone(host):
    before = manifest(host)
    bot = process(host, 7, "/usr/bin/.sshd")
    with_process = manifest(host)
    work = removal(host, processes=[bot])
    plan = work.decide("quarantined", ["/usr/bin/.sshd"], [CRON], FILES)
    planned = work.planned_actions(plan)
    assert manifest(host) == with_process and not (host.parent / "q").exists()
    outcome = Outcome()
    work.apply(plan, outcome)
    assert told(outcome.actions) == told(planned)
    # Processes first, then what starts them, programs and directories last.
    assert [entry["subject"]["name"] for entry in outcome.actions] == [
        "pid 7", "/etc/crontab", "/etc/rc3.d/S97x", "/tmp/moni.lod", "/usr/bin/.sshd", "/usr/bin/bsd-port"]
    assert {entry["status"] for entry in planned} == {"planned"}
    assert {entry["status"] for entry in outcome.actions} == {"done"}
    assert (host / "etc/crontab").read_bytes() == b"new"
    assert os.listdir(str(host / "usr/bin")) == os.listdir(str(host / "tmp")) == []

    quarantine = Quarantine("i", root=str(host.parent / "q"), host_root=str(host))
    for entry in reversed(outcome.actions[1:]):
        assert entry["undo"]["module"] == "ecsops.intrusion_response.quarantine"
        quarantine.restore(entry["undo"]["args"]["item"])
    after = manifest(host)
    assert {path: facts for path, facts in after.items() if not path.startswith(b"proc")} == {
        path: facts for path, facts in before.items() if not path.startswith(b"proc")}


def test_diffs(host):
    work = removal(host)
    diffs = [entry["diff"] for entry in work.planned_actions(work.decide("quarantined", [], [CRON], FILES[:1]))]
    assert diffs == [
        {"before_header": "/etc/crontab", "after_header": "/etc/crontab", "before": "etc/crontab", "after": "new"},
        {"before_header": "/usr/bin/.sshd", "after_header": "(in quarantine)", "before": "/usr/bin/.sshd\n",
         "after": ""}]


def test_frozen_touches_no_file(host):
    work = removal(host, processes=[process(host, 7, "/usr/bin/.sshd")])
    before = manifest(host)
    outcome = Outcome()
    work.apply(work.decide("frozen", ["/usr/bin/.sshd"], [CRON], FILES), outcome)
    assert [entry["rule"] for entry in outcome.actions] == ["process.frozen"]
    assert manifest(host) == before


@pytest.mark.parametrize("ceiling, passes", [(5, False), (6, True)])
def test_ceiling(host, ceiling, passes):
    # One line, one link, one pid file, one copy, a directory with two files in it: 7 entries less the line's file.
    work = removal(host, max_files=ceiling)
    if passes:
        work.decide("quarantined", [], [], FILES)
    else:
        with pytest.raises(ResponseError, match=r"6 files would .*max_files \(5\): nothing was touched"):
            work.decide("quarantined", [], [], FILES)


def test_excluded_paths_are_refused_and_their_processes_left_alone(host):
    asked = []
    work = ArtifactRemoval(Quarantine("i", root=str(host.parent / "q"), host_root=str(host)), FakeControl(),
                           FakePackages(), 200, ["/usr/bin/bsd-port/", "/tmp"], str(host / "proc"), str(host),
                           find=lambda paths, unused: asked.extend(paths) or [])
    plan = work.decide("quarantined", ["/usr/bin/.sshd", "/usr/bin/bsd-port"], [], FILES)
    assert asked == ["/usr/bin/.sshd"]
    assert {entry["subject"]["name"]: entry["status"] for entry in work.planned_actions(plan)} == {
        "/etc/rc3.d/S97x": "planned", "/tmp/moni.lod": "refused", "/usr/bin/.sshd": "planned",
        "/usr/bin/bsd-port": "refused"}


def test_what_is_refused_stays_and_counts_as_no_change(host):
    work = removal(host)
    outcome = Outcome()
    backup = file("/usr/bin/bsd-port", "backup_dir", "run binary_restore first")
    work.apply(work.decide("quarantined", [], [], [backup]), outcome)
    assert [entry["message"] for entry in outcome.actions] == ["/usr/bin/bsd-port stays: run binary_restore first."]
    assert not outcome.changed and (host / "usr/bin/bsd-port").exists()


def test_a_protected_directory_stays_and_the_others_go(host):
    work = removal(host)
    outcome = Outcome()
    work.apply(work.decide("quarantined", [], [], [file("/usr/bin", "dir"), file("/usr/bin/.sshd")]), outcome)
    assert [(entry["subject"]["name"], entry["status"]) for entry in outcome.actions] == [
        ("/usr/bin/.sshd", "done"), ("/usr/bin", "refused")]


def test_what_vanishes_meanwhile_is_a_gap(host):
    work = removal(host)
    plan = work.decide("quarantined", [], [], FILES[:1])
    (host / "usr/bin/.sshd").unlink()
    outcome = Outcome()
    work.apply(plan, outcome)
    assert (outcome.actions, outcome.not_checked[0]["what"]) == ([], "/usr/bin/.sshd")


def test_a_crontab_that_changes_meanwhile_is_left_alone(host):
    work = removal(host)
    plan = work.decide("quarantined", [], [CRON], [])
    (host / "etc/crontab").write_bytes(b"ETC/CRONTAB")
    outcome = Outcome()
    work.apply(plan, outcome)
    assert outcome.actions[0]["status"] == "refused"
    assert (host / "etc/crontab").read_bytes() == b"ETC/CRONTAB"


def test_no_file_is_touched_when_the_processes_cannot_be_stopped(host):
    work = removal(host, control=FakeControl(fails=True))
    before = manifest(host)
    with pytest.raises(ResponseError, match="evidence"):
        work.apply(work.decide("quarantined", [], [CRON], FILES), Outcome())
    assert manifest(host) == before


@pytest.mark.parametrize("exe, arguments, package, namespace, chosen", [
    ("/usr/bin/.sshd", b"", None, "mnt:[1]", True),
    ("/usr/bin/.sshd (deleted)", b"", None, "mnt:[1]", True),
    ("/usr/bin/bsd-port/getty", b"", None, "mnt:[1]", True),
    ("/bin/sh", b"sh\0/usr/bin/.sshd\0", "match", "mnt:[1]", True),
    # Another name of the same file: an intruder linked a packaged program to the artefact's place.
    ("/bin/bash", b"", "match", "mnt:[1]", False),
    ("/opt/copy", b"", None, "mnt:[1]", True),
    # The same path in a container is another file.
    ("/usr/bin/.sshd", b"", None, "mnt:[2]", False),
])
def test_which_processes_run_from_an_artefact(host, exe, arguments, package, namespace, chosen):
    candidate = process(host, 7, exe, namespace, arguments)
    work = removal(host, processes=[candidate], packages=FakePackages({exe: package} if package else {}))
    plan = work.decide("quarantined", ["/usr/bin/.sshd", "/usr/bin/bsd-port"], [], [])
    assert bool(plan.processes[1]) is chosen
    assert bool(plan.gaps) is (namespace != "mnt:[1]")


def test_excluded_is_also_what_lies_in_a_directory_or_is_spelled_by_a_merged_usr(host):
    os.symlink("usr/bin", str(host / "bin"))
    inside = process(host, 7, "/usr/bin/bsd-port/conf.n")
    work = removal(host, exclude=["/bin/.sshd", "/usr/bin/bsd-port/conf.n", "/tmp/nothing"], processes=[inside])
    plan = work.decide("quarantined", ["/usr/bin/bsd-port"], [], [file(step.path, step.kind) for step in FILES])
    assert {step.path: bool(step.refused) for step in plan.files} == {
        "/etc/rc3.d/S97x": False, "/tmp/moni.lod": False, "/usr/bin/.sshd": True, "/usr/bin/bsd-port": True}
    assert not plan.processes[1]


def test_one_file_of_terabytes_does_not_save_the_others(host):
    os.truncate(str(host / "tmp/moni.lod"), 2 ** 43)
    plan = removal(host).decide("quarantined", [], [], [file(step.path, step.kind) for step in FILES])
    assert [step.path for step in plan.files if step.refused] == ["/tmp/moni.lod"]
