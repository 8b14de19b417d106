# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Freezing, killing and resuming real processes: what is touched, in which order, and what never is."""

import errno
import hashlib
import json
import os
import shutil
import signal
import stat

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import Outcome
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_table
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packages import PackageDatabase
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import (
    process_closure,
    process_control,
    process_evidence,
    process_handle,
)
from ansible_collections.ecsops.intrusion_response.tests.unit.target.practice_processes import (
    SHELL,
    Packages,
    Practice,
    children,
    command_line,
    every_descendant,
    read,
    reads,
    runs,
    state,
    wait_for,
)


@pytest.fixture
def practice(tmp_path):
    made = Practice(tmp_path)
    yield made
    made.end()


def packages_of_host(**owned):
    """Packages that own the programs which tests use as they are: the shell and sleep."""
    paths = [os.path.realpath(SHELL), os.path.realpath(shutil.which("sleep"))]
    owners = dict.fromkeys(paths, "base")
    owners.update(owned)
    return Packages(owners, {path: read(path) for path in paths})


def control(practice, **options):
    options.setdefault("packages", packages_of_host())
    options.setdefault("watch_seconds", 0)
    root = str(practice.folder / "quarantine")
    return process_control.ProcessControl("case-1", "deleted_exe", quarantine_root=root, proc_root=practice.proc,
                                          **options)


def processes(practice, *pids):
    return [process_table.read_process(pid, practice.proc) for pid in pids]


def bring(practice, goal, *pids, **options):
    """Bring processes to a state and return the outcome."""
    acting = control(practice, **options)
    outcome = Outcome()
    acting.apply(acting.decide(processes(practice, *pids), goal), outcome)
    return outcome


def told(outcome):
    return [(item["status"], item["rule"], item["subject"]["pid"]) for item in outcome.actions]


# -- the three states --------------------------------------------------------------------------------------------------


def test_planning_touches_nothing(practice):
    pid = practice.start_deleted("tmp/x")
    acting = control(practice)
    actions = acting.planned_actions(acting.decide(processes(practice, pid), "killed"))
    assert [(item["status"], item["rule"], item["subject"]["pid"]) for item in actions] == [
        ("planned", "process.killed", pid)]
    assert runs(pid)
    assert not (practice.folder / "quarantine").exists()


def test_freezing_resuming_and_freezing_again(practice):
    pid = practice.start_deleted("tmp/x")
    identity = processes(practice, pid)[0].identity
    first = bring(practice, "frozen", pid)
    assert told(first) == [("done", "process.frozen", pid)]
    assert first.actions[0]["undo"] == {
        "module": "ecsops.intrusion_response.deleted_exe", "args": {"state": "resumed", "processes": [identity]}}
    assert state(pid) == "T"

    second = bring(practice, "frozen", pid)
    assert (second.actions, second.evidence, second.changed) == ([], [], False)

    acting = control(practice)
    assert [process.identity for process in acting.find_frozen()] == [identity]
    assert acting.find_frozen(["1-1"]) == []
    outcome = Outcome()
    acting.apply(acting.decide(acting.find_frozen([identity]), "resumed"), outcome)
    assert told(outcome) == [("done", "process.resumed", pid)]
    wait_for(lambda: runs(pid))
    assert control(practice).find_frozen() == []
    assert told(bring(practice, "frozen", pid)) == [("done", "process.frozen", pid)]


def test_what_somebody_else_stopped_is_not_resumed(practice):
    pid = practice.start_deleted("tmp/x")
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: state(pid) == "T")
    assert control(practice).find_frozen() == []


def test_killing_and_killing_again(practice):
    pid = practice.start_deleted("tmp/x")
    gone = processes(practice, pid)
    outcome = bring(practice, "killed", pid)
    assert told(outcome) == [("done", "process.killed", pid)]
    assert outcome.actions[0]["undo"] is None
    assert outcome.not_checked == []
    assert not practice.alive(pid)
    acting = control(practice)
    plan = acting.decide(gone, "killed")
    assert acting.planned_actions(plan) == []
    again = Outcome()
    acting.apply(plan, again)
    assert again.changed is False


def test_a_frozen_one_is_killed_with_the_evidence_that_is_there(practice):
    pid = practice.start_deleted("tmp/x")
    frozen = bring(practice, "frozen", pid)
    written = {item["path"]: os.stat(item["path"]).st_mtime_ns for item in frozen.evidence}
    killed = bring(practice, "killed", pid)
    assert {item["path"]: os.stat(item["path"]).st_mtime_ns for item in killed.evidence} == written
    assert not practice.alive(pid)


# -- evidence ----------------------------------------------------------------------------------------------------------


def test_evidence_is_whole_private_and_told(practice):
    path = practice.program("tmp/x", extra=b"\nunlike anything")
    content = read(path)
    pid = practice.start(path, "600", env={"SECRET_OF_TEST": "yes"})
    os.unlink(path)
    identity = processes(practice, pid)[0].identity
    outcome = bring(practice, "killed", pid)
    by_name = {item["name"]: item for item in outcome.evidence}
    folder = "deleted_exe/%s/" % identity
    assert {"exe", "maps", "fds.json", "cmdline", "environ", "sockets.json", "status", "stat", "cgroup", "links.json",
            "manifest.json"} <= {name[len(folder):] for name in by_name}
    assert read(by_name[folder + "exe"]["path"]) == content
    assert read(by_name[folder + "cmdline"]["path"]) == os.fsencode(path) + b"\x00600\x00"
    assert b"SECRET_OF_TEST=yes" in read(by_name[folder + "environ"]["path"])
    assert json.loads(read(by_name[folder + "links.json"]["path"]).decode())["exe"] == path + " (deleted)"
    for item in outcome.evidence:
        assert stat.S_IMODE(os.stat(item["path"]).st_mode) == 0o600
        assert (item["size"], item["sha256"]) == (
            os.path.getsize(item["path"]), hashlib.sha256(read(item["path"])).hexdigest())
        assert item["path"].startswith(str(practice.folder / "quarantine/case-1/evidence/deleted_exe"))
    assert stat.S_IMODE(os.stat(str(practice.folder / "quarantine")).st_mode) == 0o700
    assert outcome.actions[0]["evidence"] == [item["name"] for item in outcome.evidence]


def test_the_script_of_an_interpreter_is_evidence(practice):
    script = practice.path("etc/cron.hourly/gcc.sh")
    with open(script, "w") as stream:
        stream.write("#!/bin/sh\nwhile :; do sleep 600; done\n")
    os.chmod(script, 0o755)
    pid = practice.start(script)
    wait_for(lambda: [process_table.cmdline("/proc/%d" % child) for child in children(pid)] == [["sleep", "600"]])
    practice.show_descendants(pid)
    outcome = bring(practice, "killed", pid)
    kept = [item for item in outcome.evidence if item["name"].endswith("/script")]
    assert [read(item["path"]) for item in kept] == [read(script)]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_without_room_for_evidence_nothing_is_killed_and_nothing_stays_frozen(practice, monkeypatch, number):
    pids = [practice.start_deleted("tmp/%s" % name, extra=name.encode()) for name in "ab"]
    original = process_evidence.write_all
    written = []

    def write_all(descriptor, data):
        if os.readlink("/proc/self/fd/%d" % descriptor).endswith("/exe"):
            written.append(descriptor)
            if len(written) > 1:
                raise OSError(number, os.strerror(number))
        original(descriptor, data)

    monkeypatch.setattr(process_evidence, "write_all", write_all)
    with pytest.raises(ResponseError) as caught:
        bring(practice, "killed", *pids)
    assert "othing was killed" in str(caught.value)
    assert "quarantine_root" in caught.value.hint
    wait_for(lambda: all(runs(pid) for pid in pids))
    assert os.listdir(str(practice.folder / "quarantine/case-1/evidence/deleted_exe")) == []


def test_a_full_disk_is_noticed_before_anything_is_stopped(practice, monkeypatch):
    pid = practice.start_deleted("tmp/x")
    full = list(os.statvfs("/"))
    full[3] = full[4] = 1
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(full))
    monkeypatch.setattr(process_handle.ProcessHandle, "signal", lambda *_: pytest.fail("signalled"))
    with pytest.raises(ResponseError, match="Nothing was killed"):
        bring(practice, "killed", pid)


def test_evidence_that_was_cut_short_is_kept_apart_and_written_anew(practice):
    pid = practice.start_deleted("tmp/x")
    process = processes(practice, pid)[0]
    folder = practice.folder / "quarantine/case-1/evidence/deleted_exe" / process.identity
    bring(practice, "frozen", pid)
    (folder / "exe").unlink()
    outcome = bring(practice, "killed", pid)
    assert any(item["name"].endswith("/exe") for item in outcome.evidence)
    assert sorted(os.listdir(str(folder.parent))) == [process.identity, process.identity + ".1"]


def test_evidence_of_another_boot_is_not_taken_for_this_one(practice, monkeypatch):
    pid = practice.start_deleted("tmp/x")
    bring(practice, "frozen", pid)
    monkeypatch.setattr(process_evidence, "_boot_id", lambda: "another")
    assert control(practice).find_frozen() == []


# -- the closure -------------------------------------------------------------------------------------------------------


def members(practice, *pids, **options):
    """Return ``{pid: why}`` of the closure over some processes."""
    packages = options.get("packages") or packages_of_host()
    scene = process_closure.Scene(practice.proc, packages)
    protected = process_closure.protected_pids(practice.proc)
    return {pid: member.why
            for pid, member in process_closure.close_over(scene, processes(practice, *pids), protected).items()}


def test_children_and_theirs_belong_to_it(practice):
    shell = practice.program("tmp/x", source="sh")
    pid = practice.start(shell, "-c", "sh -c 'sleep 600 & wait' & wait")
    wait_for(lambda: [command_line(child) for child in every_descendant(pid)].count(b"sleep\x00600\x00") == 1)
    practice.show_descendants(pid)
    assert len(members(practice, pid)) == 3
    outcome = bring(practice, "killed", pid)
    # Programs of packages are told with the one that had started them.
    assert told(outcome) == [("done", "process.killed", pid)]
    assert outcome.actions[0]["message"].count("(sleep)") == 1


def test_those_who_run_the_very_file_belong_to_it(practice):
    path = practice.program("tmp/x")
    pids = [practice.start(path, "600") for _number in range(3)]
    os.unlink(path)
    assert members(practice, pids[0]) == {
        pids[0]: "it was found malicious", pids[1]: "it runs the very file of process %d" % pids[0],
        pids[2]: "it runs the very file of process %d" % pids[0]}


def test_those_who_run_the_same_bytes_from_a_foul_place_belong_to_it(practice):
    pid = practice.start_deleted("tmp/x", extra=b"bot")
    twin = practice.start(practice.program("tmp/elsewhere/y", extra=b"bot"), "600")
    other = practice.start(practice.program("tmp/third/z", extra=b"not the bot"), "600")
    assert set(members(practice, pid)) == {pid, twin}
    assert other not in members(practice, pid)


def test_copies_of_a_packaged_program_are_not_of_one_kind(practice):
    """Two copies of dash have the same bytes, and nothing else in common."""
    pid = practice.start_deleted("tmp/x", extra=b"")
    twin = practice.start(practice.program("tmp/elsewhere/y", extra=b""), "600")
    packages = packages_of_host()
    packages.contents["/usr/bin/sleep"] = read(shutil.which("sleep"))
    assert twin not in members(practice, pid, packages=packages)


def test_the_same_name_means_nothing(practice):
    pid = practice.start_deleted("tmp/a/getty", extra=b"bot")
    innocent = practice.start(practice.program("tmp/b/getty", extra=b"innocent"), "600")
    assert innocent not in members(practice, pid)


def test_programs_beside_it_in_a_directory_of_their_own_belong_to_it(practice):
    pid = practice.start_deleted("tmp/.perf.c/perfctl", extra=b"1")
    beside = practice.start(practice.program("tmp/.perf.c/agetty", extra=b"2"), "600")
    below = practice.start(practice.program("tmp/other/agetty", extra=b"3"), "600")
    assert set(members(practice, pid)) == {pid, beside}
    assert below not in members(practice, pid)


def test_a_directory_that_all_may_write_to_is_nobodys_own(practice):
    directory = os.path.dirname(practice.path("shm/x"))
    os.chmod(directory, 0o777)
    pid = practice.start_deleted("shm/x", extra=b"1")
    beside = practice.start(practice.program("shm/y", extra=b"2"), "600")
    assert beside not in members(practice, pid)


@pytest.mark.parametrize("arguments, environment, why", [
    (["%(bot)s"], {}, "its arguments name"),
    ([], {"TARGET": "%(bot)s"}, "its environment names"),
])
def test_watchers_that_name_it_from_a_foul_place(practice, arguments, environment, why):
    bot = practice.program("tmp/bots/bot", extra=b"bot")
    pid = practice.start(bot, "600")
    os.unlink(bot)
    shell = practice.program("tmp/watchers/.sshd", source="sh")
    env = {name: value % {"bot": bot} for name, value in environment.items()}
    watcher = practice.start(shell, "-c", "read line < %s" % practice.fifo(), "x", *[
        word % {"bot": bot} for word in arguments], env=env)
    assert members(practice, pid)[watcher].startswith(why)


def test_a_packaged_program_that_names_it_is_innocent(practice):
    bot = practice.program("tmp/bots/bot", extra=b"bot")
    pid = practice.start(bot, "600")
    reader = practice.start(SHELL, "-c", "read line < %s" % practice.fifo(), "x", bot)
    os.unlink(bot)
    assert reader not in members(practice, pid)


def test_the_parent_is_innocent_unless_it_is_foul_itself(practice):
    for name, source, expected in (("innocent", None, False), ("tmp/foul/parent", "sh", True)):
        bot = practice.program("tmp/bots/bot-%s" % expected, extra=name.encode())
        shell = practice.program(name, source=source) if source else SHELL
        parent = practice.start(shell, "-c", "%s 600 & wait" % bot)
        wait_for(lambda: len(process_pids_below(parent)) == 1)
        practice.show_descendants(parent)
        assert (parent in members(practice, process_pids_below(parent)[0])) is expected


def process_pids_below(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as stream:
        return [int(child) for child in stream.read().split()
                if "bot" in (process_table.read_link("/proc/%s" % child, "exe") or "")]


def test_a_script_is_the_program_and_not_its_interpreter(practice):
    script = practice.path("tmp/w.sh")
    with open(script, "w") as stream:
        stream.write("read line < %s\n" % practice.fifo())
    pids = [practice.start(SHELL, script) for _number in range(2)]
    innocent = practice.start(SHELL, "-c", "read line < %s" % practice.fifo())
    wait_for(lambda: all(reads(pid, script) for pid in pids))
    assert set(members(practice, pids[0])) == set(pids)
    assert innocent not in members(practice, pids[0])


# -- whom it spares ----------------------------------------------------------------------------------------------------


def test_who_is_protected(practice):
    protected = process_closure.protected_pids(practice.proc)
    assert protected[1] == "it is PID 1"
    assert protected[os.getpid()] == "it is this very run"
    assert protected[os.getppid()] == "this session came in through it"


def test_every_kernel_thread_is_protected():
    threads = [process for process in process_table.snapshot().values() if process.kernel_thread]
    assert set(process_closure.protected_pids()) >= {process.pid for process in threads}


@pytest.mark.parametrize("goal", ["frozen", "killed", "resumed"])
def test_our_own_chain_is_refused_with_its_reason(practice, goal, monkeypatch):
    monkeypatch.setattr(process_handle.ProcessHandle, "signal", lambda *_: pytest.fail("signalled"))
    outcome = bring(practice, goal, os.getpid(), os.getppid(), 1)
    assert told(outcome) == [("refused", "process." + goal, os.getpid()), ("refused", "process." + goal, os.getppid()),
                             ("refused", "process." + goal, 1)]
    assert outcome.changed is False


def test_descendants_of_a_suspect_that_lead_to_us_are_spared(practice):
    """A trojaned sshd may be what we came in by: it is refused, and what hangs on it is not touched either."""
    found = members(practice, os.getppid())
    assert found == {}


def test_more_than_the_ceiling_are_refused_before_anything_is_touched(practice):
    path = practice.program("tmp/x")
    pids = [practice.start(path, "600") for _number in range(4)]
    os.unlink(path)
    with pytest.raises(ResponseError) as caught:
        bring(practice, "killed", pids[0], max_processes=3)
    assert str(caught.value).startswith(
        "4 processes would have to be stopped, more than max_processes (3): nothing was touched.")
    assert "max_processes" in caught.value.hint
    assert all(runs(pid) for pid in pids)
    outcome = bring(practice, "killed", pids[0], max_processes=4)
    assert told(outcome) == [("done", "process.killed", pid) for pid in pids]


def test_a_closure_that_grows_over_the_ceiling_is_let_go_again(practice, monkeypatch):
    path = practice.program("tmp/x")
    pids = [practice.start(path, "600") for _number in range(2)]
    os.unlink(path)
    late = practice.start("/proc/%d/exe" % pids[0], "600", show=False)
    acting = control(practice, max_processes=2)
    plan = acting.decide(processes(practice, *pids), "killed")
    practice.show(late)
    with pytest.raises(ResponseError, match="more than max_processes"):
        acting.apply(plan, Outcome())
    wait_for(lambda: all(runs(pid) for pid in pids + [late]))


def test_what_shows_up_after_the_plan_is_stopped_too(practice):
    path = practice.program("tmp/x")
    pid = practice.start(path, "600")
    late = practice.start(path, "600", show=False)
    os.unlink(path)
    acting = control(practice)
    plan = acting.decide(processes(practice, pid), "frozen")
    assert [member.process.pid for member in plan.members] == [pid]
    practice.show(late)
    outcome = Outcome()
    acting.apply(plan, outcome)
    assert sorted(item["subject"]["pid"] for item in outcome.actions) == sorted([pid, late])
    assert (state(pid), state(late)) == ("T", "T")


def test_another_process_with_the_number_of_a_suspect_is_spared(practice):
    pid = practice.start_deleted("tmp/x")
    suspect = processes(practice, pid)[0]
    suspect.start_time -= 1
    acting = control(practice)
    plan = acting.decide([suspect], "killed")
    assert plan.members == []
    assert runs(pid)


def test_a_suspect_that_became_another_program_is_spared(practice):
    path = practice.program("tmp/x", source="sh")
    fifo = practice.fifo()
    pid = practice.start(path, "-c", "read line < %s; exec sleep 600" % fifo)
    acting = control(practice)
    plan = acting.decide(processes(practice, pid), "killed")
    with open(fifo, "w") as stream:
        stream.write("go\n")
    wait_for(lambda: os.readlink("/proc/%d/exe" % pid) != path)
    outcome = Outcome()
    acting.apply(plan, outcome)
    assert outcome.actions == []
    assert practice.alive(pid) and state(pid) != "T"


# -- what comes back ---------------------------------------------------------------------------------------------------

# $1: the program to watch over. Started from a place where programs of no package are usual, so that nothing tells on
# it before it acts.
WATCHDOG = """
while :; do
    "$1" 600 &
    wait $!
done
"""


def test_who_starts_it_again_is_stopped_as_well(practice):
    bot = practice.program("tmp/bots/bot", extra=b"bot")
    watcher = practice.program("opt/watcher", source="sh")
    # Everything of this test lies below /tmp: let the watcher be owned until the bot has come back.
    packages = packages_of_host()
    pid = practice.start(watcher, "-c", WATCHDOG, "x", bot)
    wait_for(lambda: process_pids_below(pid))
    practice.show_descendants(pid)
    first = process_pids_below(pid)[0]

    class Watching(process_closure.Scene):
        def __init__(self, *arguments):
            practice.show_descendants(pid)
            super().__init__(*arguments)

        def place(self, process):
            return None if process.pid == pid else super().place(process)

    original = process_closure.Scene
    process_closure.Scene = Watching
    try:
        outcome = bring(practice, "killed", first, packages=packages, watch_seconds=5)
    finally:
        process_closure.Scene = original
    ended = {item["subject"]["pid"]: item["message"] for item in outcome.actions}
    assert not practice.alive(pid)
    assert "which had just been ended" in ended[pid]
    assert len(ended) >= 3
    assert not [other for other in ended if practice.alive(other)]
    assert outcome.not_checked == []


def test_what_a_packaged_program_starts_again_and_again_is_told(practice, monkeypatch):
    """A service manager that restarts it is nothing to kill: whoever reads the report has to disable the unit."""
    monkeypatch.setattr(process_control, "_REVIVAL_ROUNDS", 1)
    bot = practice.program("tmp/bots/bot", extra=b"bot")
    manager = practice.start(SHELL, "-c", WATCHDOG, "x", bot)
    wait_for(lambda: process_pids_below(manager))
    practice.show_descendants(manager)
    original = process_closure.Scene.__init__

    def look(self, *arguments):
        practice.show_descendants(manager)
        original(self, *arguments)

    monkeypatch.setattr(process_closure.Scene, "__init__", look)
    outcome = bring(practice, "killed", process_pids_below(manager)[0], watch_seconds=5)
    assert practice.alive(manager)
    assert len(outcome.actions) == 2
    assert "came back each time: started" in outcome.not_checked[0]["reason"]
    assert "by process %d" % manager in outcome.not_checked[0]["reason"]


def test_the_genuine_program_at_the_path_of_an_impostor_is_no_revival(practice):
    path = practice.program("sbin/agent", extra=b"impostor")
    pid = practice.start(path, "600")
    os.unlink(path)
    practice.program("sbin/agent", extra=b"genuine")
    packages = packages_of_host(**{path: "agent"})
    packages.contents[path] = read(path)
    genuine = practice.start(path, "600", show=False)
    acting = control(practice, packages=packages, watch_seconds=0.3)
    outcome = Outcome()
    plan = acting.decide(processes(practice, pid), "killed")
    before = process_table.snapshot

    def show_after_the_kill(proc_root):
        found = before(proc_root)
        if not practice.alive(pid):
            practice.show(genuine)
        return found

    process_table.snapshot = show_after_the_kill
    try:
        acting.apply(plan, outcome)
    finally:
        process_table.snapshot = before
    assert os.path.exists(practice.proc + "/%d" % genuine)
    assert told(outcome) == [("done", "process.killed", pid)]
    assert practice.alive(genuine)


# -- programs that are not deleted -------------------------------------------------------------------------------------


def test_finding_what_runs_from_paths(practice):
    directory = practice.start(practice.program("usr/bin/bsd-port/getty"), "600")
    single = practice.start(practice.program("usr/bin/.sshd"), "600")
    os.link(str(practice.folder / "usr/bin/.sshd"), practice.path("other/name"))
    linked = practice.start(str(practice.folder / "other/name"), "600")
    script = practice.path("etc/cron.hourly/gcc.sh")
    with open(script, "w") as stream:
        stream.write("read line < %s\n" % practice.fifo())
    scripted = practice.start(SHELL, script)
    neighbour = practice.start(practice.program("usr/bin/bsd-portable"), "600")
    wait_for(lambda: reads(scripted, script))
    paths = [str(practice.folder / name) for name in ("usr/bin/bsd-port", "usr/bin/.sshd", "etc/cron.hourly/gcc.sh")]
    found = {process.pid for process in process_control.find_running_from(paths, practice.proc)}
    assert found == {directory, single, linked, scripted}
    assert neighbour not in found


# -- what an intruder says of himself ----------------------------------------------------------------------------------


def packaged_script(practice):
    script = practice.path("sbin/firewalld")
    with open(script, "w") as stream:
        stream.write("read line < %s\n" % practice.fifo())
    packages = packages_of_host(**{script: "firewalld"})
    packages.contents[script] = read(script)
    return script, packages


def test_a_packaged_script_is_not_stopped_because_a_bot_says_that_it_runs_it(practice):
    script, packages = packaged_script(practice)
    innocent = practice.start(SHELL, script)
    fake = practice.program("tmp/python3", source="sh")
    pid = practice.start("python3", script, executable=fake)
    wait_for(lambda: reads(innocent, script))
    os.unlink(fake)
    assert set(members(practice, pid, packages=packages)) == {pid}


def test_a_watcher_does_not_hide_behind_a_packaged_script_in_its_arguments(practice):
    bot = practice.program("tmp/bots/bot")
    script = practice.path("sbin/firewalld")
    with open(script, "w") as stream:
        stream.write("%s 600 &\nwait\n" % bot)
    packages = packages_of_host(**{script: "firewalld"})
    packages.contents[script] = read(script)
    watcher = practice.start("python3", script, executable=practice.program("tmp/w/python3", source="sh"))
    wait_for(lambda: process_pids_below(watcher))
    practice.show_descendants(watcher)
    assert watcher in members(practice, process_pids_below(watcher)[0], packages=packages)


def test_a_path_that_only_begins_alike_is_no_reference(practice):
    bot = practice.program("tmp/bots/ssh", extra=b"bot")
    pid = practice.start(bot, "600")
    os.unlink(bot)
    shell = practice.program("tmp/other/.agent", source="sh")
    innocent = practice.start(shell, "-c", "read line < %s" % practice.fifo(),
                              env={"SSH_AUTH_SOCK": bot + "-x/agent.1", "OTHER": "/opt" + bot})
    assert innocent not in members(practice, pid)


def test_links_in_circles_keep_nobody_alive(practice):
    shell = practice.program("tmp/d/x", source="sh")
    bot = practice.program("tmp/d/bot")
    pid = practice.start(shell, "-c", "%s 600 & wait" % bot)
    wait_for(lambda: process_pids_below(pid))
    practice.show_descendants(pid)
    shutil.rmtree(os.path.dirname(bot))
    os.symlink("d", os.path.dirname(bot))
    assert len(members(practice, pid, packages=PackageDatabase("/"))) == 2


def test_a_suspect_that_became_another_program_is_told(practice):
    path = practice.program("tmp/x", source="sh")
    fifo = practice.fifo()
    pid = practice.start(path, "-c", "read line < %s; exec sleep 600" % fifo)
    acting = control(practice)
    plan = acting.decide(processes(practice, pid), "killed")
    with open(fifo, "w") as stream:
        stream.write("go\n")
    wait_for(lambda: os.readlink("/proc/%d/exe" % pid) != path)
    outcome = Outcome()
    acting.apply(plan, outcome)
    assert [gap["what"] for gap in outcome.not_checked] == ["process %d" % pid]


def test_what_starts_while_evidence_is_written_is_a_revival(practice, monkeypatch):
    bot = practice.program("tmp/bot")
    pid = practice.start(bot, "600")
    acting = control(practice)
    plan = acting.decide(processes(practice, pid), "killed")
    late = []
    original = process_control.ProcessControl._keep_evidence

    def keep(*arguments):
        kept = original(*arguments)
        if not late:
            late.append(practice.start(bot, "600"))
        return kept

    monkeypatch.setattr(process_control.ProcessControl, "_keep_evidence", keep)
    outcome = Outcome()
    acting.apply(plan, outcome)
    assert told(outcome) == [("done", "process.killed", pid), ("done", "process.killed", late[0])]


def test_a_later_round_that_fails_does_not_lose_what_the_first_did(practice, monkeypatch):
    bot = practice.program("tmp/bot")
    pid = practice.start(bot, "600")
    acting = control(practice, max_processes=2)
    plan = acting.decide(processes(practice, pid), "killed")
    original = process_control.ProcessControl._revived
    back = []

    def revived(*arguments):
        back.extend(practice.start(bot, "600") for _number in range(3))
        return original(*arguments)

    monkeypatch.setattr(process_control.ProcessControl, "_revived", revived)
    outcome = Outcome()
    acting.apply(plan, outcome)
    assert told(outcome) == [("done", "process.killed", pid)]
    assert "more than max_processes" in outcome.not_checked[0]["reason"]
    assert all(runs(other) for other in back)
