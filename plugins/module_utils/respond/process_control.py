# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Freeze, kill and resume malicious processes together with what would revive them.

The order is always: stop all, look again until nothing new shows, write the evidence, then end all,
and look once more whether something came back.
"""

import os
import shutil
import signal
import time

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import gap, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_program, process_table
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import (
    process_actions,
    process_closure,
    process_evidence,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.process_closure import protected_pids
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.process_evidence import collect_evidence
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.process_handle import (
    ProcessChanged,
    ProcessGone,
    ProcessHandle,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.process_revival import Ended
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_store import DEFAULT_ROOT

__all__ = ["ProcessControl", "collect_evidence", "find_running_from", "protected_pids"]

STATES = ("frozen", "killed", "resumed")
DEFAULT_MAX_PROCESSES = 20

_STABLE_ROUNDS = 10
_REVIVAL_ROUNDS = 3
_STOP_SECONDS = 1.0
_END_SECONDS = 5.0
# A watchdog that restarts its bot does so within a second; twice that, and it has no second try left.
_WATCH_SECONDS = 2.0
_WATCH_STEP = 0.25


class Plan:
    """What :meth:`ProcessControl.decide` has found to be done. ``state``; ``members``: list of
    :class:`process_closure.Member`; ``refused``: list of ``(process, why)``."""

    def __init__(self, state, members, refused):
        self.state = state
        self.members = members
        self.refused = refused


class ProcessControl:
    """Acts on the processes of one module call.

    :param tool: short name of the module, the folder of its evidence. :param packages: the host's
        :class:`packages.PackageDatabase`, or ``None``. :param max_processes: more than these are never touched.
    :param watch_seconds: how long to look for revived processes after a kill.
    """

    def __init__(self, incident, tool, packages=None, quarantine_root=DEFAULT_ROOT, max_processes=DEFAULT_MAX_PROCESSES,
                 proc_root="/proc", host_root="/", watch_seconds=_WATCH_SECONDS):
        self.packages = packages
        self.max_processes = max_processes
        self.proc_root = proc_root
        self.host_root = host_root
        self.tool = tool
        self.evidence_directory = process_evidence.directory_of(quarantine_root, incident, tool)
        self._watch_seconds = watch_seconds
        self._protected = protected_pids(proc_root)

    # -- decide --------------------------------------------------------------------------------------------------------

    def decide(self, suspects, state):
        """Return the :class:`Plan` that brings ``suspects`` (list of :class:`process_table.Process`) to ``state``.

        ``frozen``: stopped, with evidence; ``killed``: ended, with evidence; ``resumed``: running. Touches nothing.
        :raises ResponseError: more than ``max_processes`` would have to be touched.
        """
        if state not in STATES:
            raise ValueError(state)
        refused = [(process, self._protected[process.pid]) for process in suspects if process.pid in self._protected]
        if state == "resumed":
            members = [process_closure.Member(process, "it was stopped", False, self._scene()) for process in suspects
                       if process.pid not in self._protected and process.stopped]
            return Plan(state, members, refused)
        members = process_closure.close_over(self._scene(), suspects, self._protected)
        self._check_ceiling(members)
        return Plan(state, self._to_do(members, state), refused)

    def planned_actions(self, plan):
        """Return the actions of ``plan`` as check mode tells them."""
        members = {member.process.pid: member for member in plan.members}
        return [process_actions.action_on(plan.state, member, "planned", helpers=helpers)
                for member, helpers in process_actions.with_helpers(members)] + process_actions.refusals(plan)

    def _to_do(self, members, state):
        if state == "killed":
            return list(members.values())
        return [member for member in members.values() if not self._is_frozen(member.process)]

    def _is_frozen(self, process):
        folder = os.path.join(self.evidence_directory, process.identity)
        return process.stopped and process_evidence.is_about(folder, process)

    def _check_ceiling(self, members):
        if len(members) > self.max_processes:
            names = ", ".join("%d %s" % (member.process.pid, text(member.process.comm))
                              for member in list(members.values())[:5])
            raise ResponseError(
                "%d processes would have to be stopped, more than max_processes (%d): nothing was touched. The first: "
                "%s."
                % (len(members), self.max_processes, names),
                "Look at the findings of state 'reported'; if they are right, raise max_processes and run again.")

    # -- apply ---------------------------------------------------------------------------------------------------------

    def apply(self, plan, outcome):
        """Carry out ``plan``; actions, evidence and gaps are added to ``outcome`` (:class:`finding.Outcome`).

        :raises ResponseError: evidence cannot be kept, the ceiling is exceeded, or a signal is not permitted. What this
            call has stopped then runs again, and nothing was ended.
        """
        outcome.actions.extend(process_actions.refusals(plan))
        if not plan.members:
            return
        if plan.state == "resumed":
            self._resume(plan.members, outcome)
            return
        process_evidence.require_space(self.evidence_directory, [member.process for member in plan.members])
        members = {member.process.pid: member for member in plan.members}
        ended = Ended()
        self._stop_and_end(members, plan.state, outcome, ended)
        if plan.state != "killed":
            return
        for rounds_left in range(_REVIVAL_ROUNDS, -1, -1):
            revived = self._revived(ended)
            if not revived:
                return
            if not rounds_left:
                outcome.not_checked.append(self._unstoppable(revived))
                return
            try:
                self._stop_and_end(self._second_closure(revived, ended), plan.state, outcome, ended)
            except (ResponseError, OSError) as error:
                # What the first round did has to be told: to fail here would lose its record.
                outcome.not_checked.append(gap(
                    "process %s" % ", ".join(str(process.pid) for process in revived),
                    "it came back after it was ended, and was left alone then: %s" % text(error), "Run again."))
                return

    def _stop_and_end(self, members, state, outcome, ended):
        """Stop ``members`` and all that shows beside them, keep their evidence, end them; add them to ``ended``."""
        handles = {}
        stopped_here = []
        try:
            try:
                members, living = self._stop_until_stable(members, handles, stopped_here, outcome)
                frozen_before = {pid for pid, member in members.items()
                                 if pid not in stopped_here and self._is_frozen(member.process)}
                evidence = self._keep_evidence(members, handles)
            except (ResponseError, OSError):
                _let_run(handles, stopped_here)
                raise
            if state == "killed":
                living += [members[pid].process for pid in handles]
                ended.add(members.values(), evidence, living, self.packages)
                touched = self._end(handles)
            else:
                touched = self._frozen(handles, outcome) - frozen_before
            self._tell(state, members, touched, evidence, outcome)
            if state == "killed":
                self._confirm_ended(members, handles, outcome)
        finally:
            for handle in handles.values():
                handle.close()

    def _stop_until_stable(self, members, handles, stopped_here, outcome):
        """Return ``(members, living)``; living: those that were there at the last look and are no members. Whoever
        starts later (while evidence is written, say) may be a revival."""
        changed = set()
        for _round in range(_STABLE_ROUNDS):
            for pid, member in members.items():
                if pid in handles or pid in changed:
                    continue
                try:
                    handles[pid] = ProcessHandle(member.process, member.exe_file, self.proc_root)
                    # One that stands still for its tracer only runs on when that one likes.
                    if handles[pid].check().state != "T":
                        handles[pid].signal(signal.SIGSTOP)
                        stopped_here.append(pid)
                except ProcessGone as error:
                    self._drop(handles, pid)
                    if isinstance(error, ProcessChanged):
                        changed.add(pid)
            for handle in handles.values():
                handle.wait_stopped(_STOP_SECONDS)
            for pid in [pid for pid in handles if pid in stopped_here]:
                try:
                    handles[pid].check()
                except ProcessChanged:
                    # It became another program between the last look and the signal.
                    _let_run(handles, [pid])
                    self._drop(handles, pid)
                    stopped_here.remove(pid)
                    changed.add(pid)
                except ProcessGone:
                    continue
            suspects = [member.process for member in members.values() if member.suspect]
            scene = self._scene()
            found = process_closure.close_over(scene, suspects, self._protected, members)
            self._check_ceiling(found)
            if len(found) == len(members):
                break
            members = found
        for pid in sorted(changed):
            outcome.not_checked.append(gap(
                "process %d" % pid, "it became another program after it was found, and was left alone", "Run again."))
        return members, [process for pid, process in scene.table.items() if pid not in members]

    @staticmethod
    def _drop(handles, pid):
        if pid in handles:
            handles.pop(pid).close()

    def _keep_evidence(self, members, handles):
        process_evidence.prepare(self.evidence_directory)
        before = set(os.listdir(self.evidence_directory))
        try:
            return {pid: collect_evidence(members[pid].process, self.evidence_directory) for pid in handles}
        except ResponseError:
            # Nothing will be ended, so nothing is lost; a disk that is full needs the room.
            for name in set(os.listdir(self.evidence_directory)) - before:
                shutil.rmtree(os.path.join(self.evidence_directory, name), ignore_errors=True)
            raise

    @staticmethod
    def _end(handles):
        """Send the kill signal to all; return the pids that got it."""
        ended = set()
        for pid, handle in handles.items():
            try:
                handle.signal(signal.SIGKILL)
            except ProcessGone:
                continue
            ended.add(pid)
        return ended

    @staticmethod
    def _frozen(handles, outcome):
        """Return the pids that got the stop signal and live; those that do not stand still yet are told as gaps."""
        frozen = set()
        for pid, handle in handles.items():
            state = handle.wait_stopped(_STOP_SECONDS)
            if state is None:
                continue
            frozen.add(pid)
            if state not in ("T", "t"):
                outcome.not_checked.append(gap(
                    "process %d" % pid,
                    "it got the stop signal but is in state %s and does not stand still yet" % state,
                    "A process in uninterruptible sleep (D) stops when its system call returns; look again later."))
        return frozen

    def _tell(self, state, members, touched, evidence, outcome):
        shown = {pid: member for pid, member in members.items() if pid in touched}
        for member, helpers in process_actions.with_helpers(shown):
            names = []
            for pid in [member.process.pid] + [helper.process.pid for helper in helpers]:
                for name, path, size, sha256 in evidence.get(pid, ()):
                    names.append("%s/%s" % (self.tool, name))
                    outcome.add_evidence(names[-1], path, size, sha256)
            outcome.actions.append(process_actions.action_on(state, member, "done", names, helpers))

    def _confirm_ended(self, members, handles, outcome):
        deadline = time.monotonic() + _END_SECONDS
        for pid, handle in handles.items():
            if handle.wait_ended(max(0.0, deadline - time.monotonic())):
                continue
            outcome.not_checked.append(gap(
                "process %d (%s)" % (pid, text(members[pid].exe)),
                "it got the kill signal but has not ended",
                "A process in uninterruptible sleep (state D) ends when its system call returns, or with a reboot."))

    def _resume(self, members, outcome):
        for member in members:
            try:
                with ProcessHandle(member.process, member.exe_file, self.proc_root) as handle:
                    handle.signal(signal.SIGCONT)
            except ProcessGone:
                continue
            outcome.actions.append(process_actions.action_on("resumed", member, "done"))

    def find_frozen(self, identities=None):
        """Return the processes that stand still and of which this incident has evidence, whichever module stopped them.

        :param identities: ``pid-start_time`` list: only these.
        """
        found = []
        evidence = os.path.dirname(self.evidence_directory)
        for process in process_table.snapshot(self.proc_root).values():
            if not process.stopped or (identities and process.identity not in identities):
                continue
            folders = (os.path.join(evidence, tool, process.identity) for tool in _listing(evidence))
            if any(process_evidence.is_about(folder, process) for folder in folders):
                found.append(process)
        return found

    # -- what comes back -----------------------------------------------------------------------------------------------

    def _revived(self, ended):
        """Return the processes that run what was ended again, after a look for ``watch_seconds``."""
        deadline = time.monotonic() + self._watch_seconds
        while True:
            scene = self._scene()
            found = [process for process in scene.table.values() if ended.is_again(process, scene)
                     and process.pid not in self._protected and not process.kernel_thread]
            if found or time.monotonic() >= deadline:
                return found
            time.sleep(_WATCH_STEP)

    def _second_closure(self, revived, ended):
        scene = self._scene()
        watchers = process_closure.revivers(scene, revived, ended.programs, self._protected)
        suspects = revived + [scene.table[pid] for pid in watchers]
        members = process_closure.close_over(scene, suspects, self._protected)
        for process in revived:
            if process.pid in members:
                members[process.pid].why = "it runs again what had just been ended"
        for pid, why in watchers.items():
            if pid in members:
                members[pid].why = why
        self._check_ceiling(members)
        return members

    def _unstoppable(self, revived):
        scene = self._scene()
        starters = []
        for process in revived:
            parent = scene.table.get(process.ppid)
            program = parent and scene.program(parent)
            starters.append("%d by process %d (%s)" % (
                process.pid, process.ppid, text(program.path) if program else "?"))
        return gap("process %s" % ", ".join(str(process.pid) for process in revived),
                   "it was ended and came back each time: started %s" % "; ".join(starters),
                   "Remove what starts it (unit, crontab, init script: module malware_artifact), then run again.")

    def _scene(self):
        return process_closure.Scene(self.proc_root, self.packages, self.host_root)


def find_running_from(paths, proc_root="/proc"):
    """Return the processes (:class:`process_table.Process`) that run from one of ``paths``.

    A path is a program, a script that an interpreter runs, or a directory with such; as the process names it, or by
    another name of the same file (``(device, inode)``). Protected ones are among them: :class:`ProcessControl` refuses
    them.
    """
    files = set()
    wanted = []
    for path in paths:
        wanted.append(path.rstrip("/"))
        try:
            status = os.lstat(path)
        except OSError:
            continue
        files.add((status.st_dev, status.st_ino))
    found = []
    for process in process_table.snapshot(proc_root).values():
        if process.kernel_thread:
            continue
        program = process_program.program(process.where)
        if program is None:
            continue
        names = {program.path, program.exe}
        if any(name == path or name.startswith(path + "/") for name in names for path in wanted):
            found.append(process)
            continue
        status = process_table.exe_status(process.where)
        if status is not None and status.file in files:
            found.append(process)
    return found


def _listing(directory):
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _let_run(handles, stopped_here):
    for pid in stopped_here:
        if pid in handles:
            try:
                handles[pid].let_run()
            except ProcessGone:
                continue
