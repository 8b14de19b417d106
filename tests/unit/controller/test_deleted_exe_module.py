# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module deleted_exe as it is called: options to findings and actions, on real processes of the test's own."""

from __future__ import annotations

import os
import signal

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.toolkit import ToolkitMissing
from ansible_collections.ecsops.intrusion_response.plugins.modules import deleted_exe
from ansible_collections.ecsops.intrusion_response.tests.unit.target.practice_processes import (
    Packages,
    Practice,
    runs,
    state,
    wait_for,
)


class Context:
    """What the module is told of its run."""

    incident = "case-1"

    def __init__(self, check_mode=False, toolkit=True):
        self.check_mode = check_mode
        self.asked = 0
        self._toolkit = toolkit

    def psutil(self):
        self.asked += 1
        if not self._toolkit:
            raise ToolkitMissing()
        return pytest.importorskip("psutil")


@pytest.fixture
def practice(tmp_path):
    made = Practice(tmp_path)
    yield made
    made.end()


@pytest.fixture
def call(practice):
    def run(context=None, packages=None, **params):
        options = dict(state="reported", kill_verdicts=["malicious"], processes=None, max_processes=20,
                       quarantine_root=str(practice.folder / "quarantine"))
        options.update(params)
        return deleted_exe.work(options, context or Context(), practice.proc, packages=packages or Packages())
    return run


def actions(outcome):
    return [(item["status"], item["rule"], item["subject"]["pid"]) for item in outcome.actions]


def verdicts(outcome):
    return {item["subject"]["pid"]: item["verdict"] for item in outcome.findings}


def identity(outcome, pid):
    return [item["subject"]["identity"] for item in outcome.findings if item["subject"]["pid"] == pid][0]


def test_reporting_has_no_actions(practice, call):
    pid = practice.start_deleted("tmp/x")
    outcome = call()
    assert verdicts(outcome)[pid] == "malicious"
    assert (outcome.actions, outcome.evidence, outcome.changed) == ([], [], False)
    assert outcome.extra["processes_seen"] >= 1
    assert runs(pid)


@pytest.mark.parametrize("goal", ["frozen", "killed"])
def test_check_mode_plans_what_a_run_does(practice, call, goal):
    pid = practice.start_deleted("tmp/x")
    planned = call(Context(check_mode=True), state=goal)
    assert runs(pid)
    assert not (practice.folder / "quarantine").exists()
    done = call(state=goal)
    assert [item[1:] for item in actions(planned)] == [item[1:] for item in actions(done)]
    assert {item[0] for item in actions(planned)} == {"planned"}
    assert {item[0] for item in actions(done)} == {"done"}
    assert (planned.changed, done.changed) == (True, True)
    again = call(state=goal)
    assert (again.actions, again.changed) == ([], False)


def test_undo_of_a_freeze_is_a_call_of_this_module(practice, call):
    pid = practice.start_deleted("tmp/x")
    other = practice.start_deleted("tmp/y")
    outcome = call(state="frozen")
    undo = [item["undo"] for item in outcome.actions if item["subject"]["pid"] == pid][0]
    assert undo["module"] == "ecsops.intrusion_response.deleted_exe"
    resumed = call(**undo["args"])
    assert actions(resumed) == [("done", "process.resumed", pid)]
    wait_for(lambda: runs(pid))
    assert state(other) == "T"
    assert "processes_seen" not in resumed.extra


def test_what_cannot_be_resumed_is_told(practice, call):
    ended, foreign, running = (practice.start_deleted("tmp/%s/x" % name, extra=name.encode()) for name in "abc")
    outcome = call()
    names = {pid: identity(outcome, pid) for pid in (ended, foreign, running)}
    practice.processes[0].kill()
    practice.processes[0].wait()
    os.kill(foreign, signal.SIGSTOP)
    wait_for(lambda: state(foreign) == "T")
    resumed = call(state="resumed", processes=list(names.values()))
    assert actions(resumed) == []
    assert {gap["what"]: gap["reason"] for gap in resumed.not_checked} == {
        "process " + names[ended]: "it has ended and cannot be resumed",
        "process " + names[foreign]: "it stands still, but was not stopped in this incident"}
    assert state(foreign) == "T"


@pytest.mark.parametrize("name", ["sleep", "4711", "4711-", "4711-88231; x", ""])
def test_processes_are_named_by_pid_and_start_time(call, name):
    with pytest.raises(ResponseError, match="pid-start_time"):
        call(state="killed", processes=[name])


def test_explained_processes_are_not_touched_and_need_no_toolkit(practice, call):
    pid = practice.start(practice.program("opt/x (deleted)"), "600")
    context = Context(toolkit=False)
    outcome = call(context, state="killed", kill_verdicts=["malicious", "suspicious", "undetermined"])
    assert verdicts(outcome)[pid] == "benign"
    assert actions(outcome) == []
    assert context.asked == 0
    assert runs(pid)


def test_the_toolkit_is_asked_for_before_anything_is_changed(practice, call):
    pid = practice.start_deleted("tmp/x")
    with pytest.raises(ToolkitMissing):
        call(Context(toolkit=False), state="killed")
    assert runs(pid)
    assert not (practice.folder / "quarantine").exists()


def test_suspicious_ones_are_killed_only_by_name_of_their_verdict(practice, call):
    path = practice.program("sbin/agent")
    pid = practice.start(path, "600")
    with open(path + ".new", "w") as stream:
        stream.write("new")
    (practice.folder / "sbin/agent.new").rename(path)
    # Changed long after the process started, but neither are the bytes there the packaged ones.
    packages = Packages({path: "agent"}, {path: b"third"}, {"agent": 4000000000})
    first = call(packages=packages, state="killed")
    assert verdicts(first)[pid] == "suspicious"
    assert actions(first) == []
    assert runs(pid)
    remedy = [item["remedy"] for item in first.findings if item["subject"]["pid"] == pid][0]
    second = call(packages=packages, **remedy["args"])
    assert actions(second) == [("done", "process.killed", pid)]
    assert not practice.alive(pid)


def test_only_the_processes_that_are_named(practice, call):
    wanted, other = practice.start_deleted("tmp/a/x", extra=b"1"), practice.start_deleted("tmp/b/y", extra=b"2")
    name = identity(call(), wanted)
    outcome = call(state="killed", processes=[name, "1-1"])
    assert actions(outcome) == [("done", "process.killed", wanted)]
    assert [gap["what"] for gap in outcome.not_checked if "1-1" in gap["what"]] == ["process 1-1"]
    assert runs(other)
