# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signals reach the process that was found and no other, with pidfd and without."""

import errno
import os
import signal

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_table
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import process_handle
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.process_handle import (
    ProcessGone,
    ProcessHandle,
)
from ansible_collections.ecsops.intrusion_response.tests.unit.target.practice_processes import Practice, runs, state


@pytest.fixture
def practice(tmp_path):
    made = Practice(tmp_path)
    yield made
    made.end()


def failing_with(number):
    def open_pidfd(_pid):
        raise OSError(number, os.strerror(number))
    return open_pidfd


def by_system_call(pid):
    """As on Python 3.6 to 3.8, which have no name for it."""
    return process_handle._system_call(process_handle._SYS_PIDFD_OPEN, pid, 0)


WAYS = [("kernel without pidfd", failing_with(errno.ENOSYS), False),
        ("filter of an old runtime", failing_with(errno.EPERM), False),
        ("system call", by_system_call, True), ("this Python", None, True)]
every_way = pytest.mark.parametrize("open_pidfd, by_pidfd", [way[1:] for way in WAYS], ids=[way[0] for way in WAYS])


def found(practice, pid):
    process = process_table.read_process(pid, practice.proc)
    return process, process_table.exe_status(process.where).file


@every_way
def test_stop_continue_end(practice, open_pidfd, by_pidfd):
    pid = practice.start_deleted("tmp/x")
    process, exe_file = found(practice, pid)
    with ProcessHandle(process, exe_file, practice.proc, open_pidfd) as handle:
        assert handle.by_pidfd is by_pidfd
        handle.signal(signal.SIGSTOP)
        assert handle.wait_stopped(20) == "T"
        handle.signal(signal.SIGCONT)
        handle.signal(signal.SIGKILL)
        assert handle.wait_ended(20)  # a zombie has ended, though nobody has taken note yet
        assert state(pid) == "Z"
        assert handle.wait_stopped(0) is None
        with pytest.raises(ProcessGone):
            handle.signal(signal.SIGKILL)


def test_signals_by_system_call(practice, monkeypatch):
    monkeypatch.delattr(signal, "pidfd_send_signal", raising=False)
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    pid = practice.start_deleted("tmp/x")
    with ProcessHandle(*found(practice, pid), proc_root=practice.proc) as handle:
        assert handle.by_pidfd
        handle.signal(signal.SIGKILL)
        assert handle.wait_ended(20)


@every_way
@pytest.mark.parametrize("alter", ["start_time", "exe_file"])
def test_another_process_or_program_is_not_signalled(practice, open_pidfd, by_pidfd, alter):
    pid = practice.start_deleted("tmp/x")
    process, exe_file = found(practice, pid)
    if alter == "start_time":
        process.start_time += 1
    else:
        exe_file = (exe_file[0], exe_file[1] + 1)
    with pytest.raises(ProcessGone):
        ProcessHandle(process, exe_file, practice.proc, open_pidfd)
    assert runs(pid)


def test_a_program_that_changes_after_the_handle_was_opened_is_not_signalled(practice, monkeypatch):
    pid = practice.start_deleted("tmp/x")
    with ProcessHandle(*found(practice, pid), proc_root=practice.proc) as handle:
        monkeypatch.setattr(process_table, "exe_status", lambda _where: None)
        with pytest.raises(ProcessGone):
            handle.signal(signal.SIGKILL)
    assert runs(pid)


def test_a_process_that_is_gone(practice):
    pid = practice.start_deleted("tmp/x")
    process, exe_file = found(practice, pid)
    practice.processes[-1].kill()
    practice.processes[-1].wait()
    with pytest.raises(ProcessGone):
        ProcessHandle(process, exe_file, practice.proc)


def test_no_descriptor_is_left_open(practice):
    pid = practice.start_deleted("tmp/x")
    process, exe_file = found(practice, pid)
    before = os.listdir("/proc/self/fd")
    with ProcessHandle(process, exe_file, practice.proc):
        pass
    process.start_time += 1
    with pytest.raises(ProcessGone):
        ProcessHandle(process, exe_file, practice.proc)
    assert os.listdir("/proc/self/fd") == before


def test_who_may_not_signal_is_told_so(practice, monkeypatch):
    pid = practice.start_deleted("tmp/x")
    monkeypatch.setattr(process_handle, "pidfd_send_signal", lambda *_: failing_with(errno.EPERM)(0))
    with ProcessHandle(*found(practice, pid), proc_root=practice.proc) as handle:
        with pytest.raises(ResponseError) as caught:
            handle.signal(signal.SIGKILL)
    assert str(caught.value) == ("Process %d may not be signalled: Operation not permitted. "
                                 "That takes root on the host (become)." % pid)


def test_one_that_does_not_end_is_not_said_to_have(practice):
    pid = practice.start_deleted("tmp/x")
    with ProcessHandle(*found(practice, pid), proc_root=practice.proc) as handle:
        assert handle.wait_ended(0.05) is False
        assert handle.wait_stopped(0.05) in ("R", "S")
