# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading /proc: the sweep and the small readers, with what hostile or odd processes put there."""

import os
import sys

import psutil
import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_program, process_table
from ansible_collections.ecsops.intrusion_response.tests.unit.target.practice_processes import (
    SHELL,
    Practice,
    reads,
    state,
    wait_for,
)

FIELDS = b"S 10 11 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 9876 1000 200"


@pytest.fixture
def practice(tmp_path):
    made = Practice(tmp_path)
    yield made
    made.end()


@pytest.mark.parametrize("name, comm", [
    (b"sleep", "sleep"), (b"a) R 1 (b", "a) R 1 (b"), (b"", ""), (b"x y\n", "x y\n"), (b"\xff", "\udcff"),
    (b"()", "()"),
])
def test_names_cannot_shift_the_fields(name, comm):
    process = process_table.parse_stat(b"42 (" + name + b") " + FIELDS, "/proc/42")
    assert (process.pid, os.fsencode(process.comm), process.state) == (42, name, "S")
    assert (process.ppid, process.pgrp, process.session, process.threads, process.start_time) == (10, 11, 12, 3, 9876)
    assert process.identity == "42-9876"
    assert not process.kernel_thread


@pytest.mark.parametrize("content", [b"", b"42", b"42 (x", b"42 (x) S 1 2"])
def test_what_is_cut_short_is_no_process(content):
    assert process_table.parse_stat(content, "/proc/42") is None


@pytest.mark.parametrize("letter, threads, dead, stopped", [
    ("R", 1, False, False), ("Z", 1, True, False), ("Z", 2, False, False), ("X", 1, True, False), ("T", 1, False, True),
    ("t", 1, False, True), ("D", 1, False, False),
])
def test_who_is_dead_and_who_stands_still(letter, threads, dead, stopped):
    content = b"42 (x) " + FIELDS.replace(b"S", letter.encode(), 1).replace(b" 3 0 9876", b" %d 0 9876" % threads)
    process = process_table.parse_stat(content, "/proc/42")
    assert (process.dead, process.stopped) == (dead, stopped)


def test_the_sweep_reads_each_link_once_and_judges_each_program_once(practice):
    path = practice.program("bin/same")
    pids = [practice.start(path, "600") for _number in range(3)]
    os.mkdir(practice.proc + "/4194999")  # a process that vanished, or a kernel thread
    asked = []

    def is_suspect(link):
        asked.append(link)
        return "same" in link

    swept = process_table.sweep(practice.proc, is_suspect)
    assert {int(os.path.basename(where)) for where, _link in swept.suspects} == set(pids)
    assert len(asked) == len(set(asked))
    assert swept.seen >= len(pids)


def test_a_process_whose_main_thread_has_ended_is_seen(practice):
    """Its own exe link is unreadable like a kernel thread's; only in its living threads it can be seen."""
    script = ("import ctypes, threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); "
              "ctypes.CDLL(None).pthread_exit(None)")
    pid = practice.start(sys.executable, "-c", script)
    wait_for(lambda: state(pid) == "Z")
    assert not os.path.exists("/proc/%d/exe" % pid)
    swept = process_table.sweep(practice.proc, lambda link: True)
    found = [(where, link) for where, link in swept.suspects if "/%d/" % pid in where]
    assert len(found) == 1
    where, link = found[0]
    assert where.startswith("%s/%d/task/" % (practice.proc, pid))
    assert link == os.path.realpath(sys.executable)
    process = process_table.read_process(pid, practice.proc, where)
    assert (process.pid, process.dead, process.where) == (pid, False, where)
    assert process_table.exe_status(where).links >= 1


def test_zombies_are_nothing(practice):
    pid = practice.start(practice.program("bin/x"), "600")
    practice.processes[-1].kill()
    wait_for(lambda: state(pid) == "Z")
    swept = process_table.sweep(practice.proc, lambda link: True)
    assert "%s/%d" % (practice.proc, pid) not in [where for where, _link in swept.suspects]


def test_the_table_agrees_with_psutil(practice):
    pid = practice.start(practice.program("bin/x"), "600")
    process = process_table.read_process(pid)
    other = psutil.Process(pid)
    assert (process.ppid, process.comm, process.threads) == (other.ppid(), other.name(), other.num_threads())
    assert abs(process_table.started_at(process, process_table.boot_time()) - other.create_time()) < 0.02
    assert process_table.cmdline(process.where) == other.cmdline()
    assert process_table.uid_of(process.where) == other.uids().effective
    assert process_table.ancestors(pid) == [parent.pid for parent in other.parents()]


def test_descendants(practice):
    pid = practice.start(SHELL, "-c", "sh -c 'sleep 600 & wait' & wait")
    other = psutil.Process(pid)
    wait_for(lambda: len(other.children(recursive=True)) == 2)
    expected = {child.pid for child in other.children(recursive=True)}
    assert process_table.descendants(process_table.snapshot(), [pid]) == expected


def test_descendants_of_a_circle_end():
    def process(pid, ppid):
        return process_table.parse_stat(b"%d (x) " % pid + FIELDS.replace(b" 10 ", b" %d " % ppid, 1), "")

    assert process_table.descendants({1: process(1, 2), 2: process(2, 1), 3: process(3, 2)}, [1]) == {2, 3}


def test_readers_of_a_process_that_is_gone_do_not_raise():
    where = "/proc/4194999"
    assert process_table.read_process(4194999) is None
    assert process_table.exe_status(where) is None
    assert process_table.read_link(where, "exe") is None
    assert process_table.cmdline(where) == [] == process_table.environ(where)
    assert process_table.open_files(where) == {}
    assert process_table.uid_of(where) is None
    assert process_program.program(where) is None


# -- which program it really is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, shell, script", [
    (["sh", "/etc/x.sh"], True, "/etc/x.sh"), (["sh", "-e", "x.sh", "y"], True, "/cwd/x.sh"),
    (["bash", "-x", "x.sh"], True, "/cwd/x.sh"),
    (["sh", "-c", "/etc/x.sh"], True, None), (["bash", "-lc", "x"], True, None),
    (["bash", "--norc", "../x.sh"], True, "/x.sh"),
    (["python3", "/opt/app.py", "-c"], False, "/opt/app.py"), (["python3", "-c", "x"], False, None),
    (["python3", "-m", "http.server"], False, None), (["python3", "-u", "app.py"], False, "/cwd/app.py"),
    (["perl", "-w", "/x.pl"], False, "/x.pl"), (["sh"], True, None), ([], True, None), (["sh", "-"], True, None),
])
def test_scripts_among_arguments(arguments, shell, script):
    assert process_program.script_argument(arguments, "/cwd", shell) == script


@pytest.mark.parametrize("path, expected", [
    ("/bin/dash", True), ("/usr/bin/python3.11", True), ("/usr/libexec/platform-python3.6", True),
    ("/usr/bin/busybox", True),
    ("/usr/bin/perl", True), ("/usr/sbin/sshd", False), ("/usr/bin/bashful", False), ("/usr/bin/getty", False),
])
def test_interpreters(path, expected):
    assert process_program.is_interpreter(path) is expected


def test_a_shell_cannot_hide_its_script_by_its_arguments(practice):
    script = practice.path("opt/w.sh")
    with open(script, "w") as stream:
        stream.write("read line < %s\n" % practice.fifo())
    pid = practice.start("innocent", script, executable=SHELL)
    wait_for(lambda: reads(pid, script))
    program = process_program.program("/proc/%d" % pid)
    assert (program.path, program.script, program.exe) == (script, True, os.path.realpath(SHELL))


def test_the_program_of_a_deleted_file(practice):
    pid = practice.start_deleted("tmp/x")
    program = process_program.program("/proc/%d" % pid)
    assert (program.path, program.script) == (str(practice.folder / "tmp/x"), False)
