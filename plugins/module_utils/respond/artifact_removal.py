# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stops what runs from artefacts, then takes lines out and moves files to the quarantine.

The order matters: processes first (they would put everything back), then what starts them (lines,
links, scripts), then the programs, then the directories.
"""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import action, gap, subject, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    process_program,
    process_table,
    rooted_paths,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import (
    FileMissing,
    path_bytes,
    read_bytes,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.process_control import find_running_from

RULE_MOVE = "malware_artifact.quarantine"
RULE_EDIT = "malware_artifact.line"

_ORDER = ("rclink", "unit", "initscript", "cron", "config", "lockfile", "pidfile", "preload", "lib", "kmod", "binary",
          "dropper_copy", "hash", "dir", "backup_dir")


class Removal:
    """One path to move. ``path``, ``kind``, ``rule`` (of its finding), ``reason`` (for the operator), ``family``;
    ``refused``: why it stays, or ``None``."""

    def __init__(self, path, kind, rule, reason, family, refused=None):
        self.path = path
        self.kind = kind
        self.rule = rule
        self.reason = reason
        self.family = family
        self.refused = refused


class LineRemoval(Removal):
    """Lines to take out of one file. ``before``, ``after``: bytes of the whole file; ``count``: how many go;
    ``whole``: the file itself goes; else as :class:`Removal`, of the kind ``lines``."""

    def __init__(self, path, before, after, count, whole, rule, reason, family, refused=None):
        super().__init__(path, "lines", rule, reason, family, refused)
        self.before = before
        self.after = after
        self.count = count
        self.whole = whole


class Plan:
    """``processes``: plan of :class:`process_control.ProcessControl`; ``lines``, ``files``: what to do after it;
    ``gaps``: processes that were left alone."""

    def __init__(self, processes, lines, files, gaps):
        self.processes = processes
        self.lines = lines
        self.files = files
        self.gaps = gaps


class ArtifactRemoval:
    """Brings a host to the states ``frozen`` and ``quarantined`` of the module malware_artifact.

    :param quarantine: :class:`quarantine.Quarantine`. :param control: :class:`process_control.ProcessControl`.
    :param packages: :class:`packages.PackageDatabase`.
    :param max_files: more entries than this are never moved. :param exclude: host paths to leave alone, with all below.
    :param find: as :func:`process_control.find_running_from`.
    """

    def __init__(self, quarantine, control, packages, max_files, exclude=(), proc_root="/proc", host_root="/",
                 find=find_running_from):
        self._quarantine = quarantine
        self._control = control
        self._packages = packages
        self._max_files = max_files
        # As written, and as artefacts are told: without the links of a merged /usr.
        self._exclude = []
        for path in exclude:
            self._exclude.append(path.rstrip("/"))
            try:
                self._exclude.append(rooted_paths.resolve(path, host_root).rstrip("/"))
            except ResponseError:
                continue  # links in a circle: no artefact lies behind them
        self._proc_root = proc_root
        self._host_root = host_root
        self._find = find

    # -- decide

    def decide(self, state, program_paths, lines=(), files=()):
        """Return the :class:`Plan`. Touches nothing.

        :param program_paths: host paths from which nothing may run. :param lines: list of :class:`LineRemoval`.
        :param files: list of :class:`Removal`.
        :raises ResponseError: more than ``max_files`` or ``max_processes``, or the quarantine has no room.
        """
        suspects, gaps = self._running_from([path for path in program_paths if not self._is_excluded(path)])
        wanted = "frozen" if state == "frozen" else "killed"
        plan = Plan(self._control.decide(suspects, wanted), [], [], gaps)
        if state == "frozen":
            return plan
        plan.lines = list(lines)
        plan.files = sorted(files, key=lambda entry: (_ORDER.index(entry.kind), entry.path))
        entries = size = 0
        for step in plan.lines + plan.files:
            if self._is_excluded(step.path):
                step.refused = step.refused or "it is on the list of paths to leave alone (exclude)"
            elif self._holds_excluded(step.path):
                step.refused = step.refused or "it holds %s, which is to be left alone (exclude)" % text(
                    path_bytes(self._holds_excluded(step.path)))
            if step.refused:
                continue
            try:
                moved, held = self._measure(step)
                # One file that says it has terabytes (they cost the intruder nothing) must not save all the others.
                self._quarantine.require_space(held)
            except ResponseError as error:
                step.refused = str(error)
                continue
            entries += moved
            size += held
        self._check_ceiling(entries, plan)
        self._quarantine.require_space(size)
        return plan

    def _measure(self, step):
        if isinstance(step, LineRemoval):
            return 1, len(step.before)
        # One more than allowed is enough to know that it is too much.
        return self._quarantine.measure(step.path, 50 * self._max_files + 1)

    def _check_ceiling(self, entries, plan):
        if entries > self._max_files:
            names = ", ".join(text(path_bytes(step.path)) for step in (plan.files + plan.lines)[:5])
            raise ResponseError(
                "%d files would have to be moved, more than max_files (%d): nothing was touched. The first: %s."
                % (entries, self._max_files, names),
                "Look at the findings of state 'reported'; if they are right, raise max_files and run again.")

    def _is_excluded(self, path):
        return any(path == entry or path.startswith(entry + "/") for entry in self._exclude)

    def _holds_excluded(self, path):
        """Return the path to leave alone that lies below ``path`` and is there, or ``None``."""
        return next((entry for entry in self._exclude if entry.startswith(path + "/")
                     and rooted_paths.status(entry, self._host_root) is not None), None)

    def _running_from(self, paths):
        """Return ``(processes, gaps)`` of those that run from one of ``paths``."""
        if not paths:
            return [], []
        # PID 1's, not ours: we may run in a private namespace of our own.
        namespace = (process_table.read_link("%s/1" % self._proc_root, "ns/mnt")
                     or process_table.read_link("%s/self" % self._proc_root, "ns/mnt"))
        found = []
        gaps = []
        for process in self._find(paths, self._proc_root):
            program = process_program.program(process.where)
            if process_table.read_link(process.where, "ns/mnt") != namespace:
                gaps.append(gap(
                    "process %d (%s)" % (process.pid, text(process.comm)),
                    "it runs in a mount namespace of its own, where the artefact's path may be another file",
                    "Look into its container by itself."))
                continue
            if program is not None and (self._is_excluded(program.path) or not self._runs_artifact(program, paths)):
                continue
            found.append(process)
        return found, gaps

    def _runs_artifact(self, program, paths):
        if any(name == path or name.startswith(path + "/") for name in (program.path, program.exe) for path in paths):
            return True
        # Another name of the same file: an intruder may have linked a packaged program to the artefact's place.
        return self._packages is None or self._packages.kind is None or self._packages.verify(program.exe) != "match"

    # -- act

    def planned_actions(self, plan):
        """Return the actions as check mode tells them."""
        return self._control.planned_actions(plan.processes) + [
            self._action(step, "refused" if step.refused else "planned") for step in plan.lines + plan.files]

    def apply(self, plan, outcome):
        """Carry out ``plan``; actions, evidence and gaps go to ``outcome``.

        A single file that cannot be moved is a refused action, the others go on.

        :raises ResponseError: the processes cannot be stopped or their evidence not be kept; no file was touched.
        """
        outcome.not_checked.extend(plan.gaps)
        self._control.apply(plan.processes, outcome)
        for step in plan.lines + plan.files:
            self._do(step, outcome)

    def _do(self, step, outcome):
        if step.refused:
            outcome.actions.append(self._action(step, "refused"))
            return
        try:
            if isinstance(step, LineRemoval):
                item = self._take_lines(step)
            else:
                item = self._quarantine.remove(step.path, step.rule, step.reason)
        except FileMissing:
            outcome.not_checked.append(gap(path_bytes(step.path), "it has vanished since it was found",
                                           "Run again: something may still be at work."))
            return
        except ResponseError as error:
            step.refused = str(error)
            outcome.actions.append(self._action(step, "refused"))
            return
        outcome.actions.append(self._action(step, "done", self._quarantine.undo_call(item)))

    def _take_lines(self, step):
        if read_bytes(step.path, len(step.before), self._host_root) != step.before:
            raise ResponseError("%s was changed since it was read." % text(path_bytes(step.path)), "Run again.")
        if step.whole:
            return self._quarantine.remove(step.path, step.rule, step.reason)
        return self._quarantine.replace(step.path, step.rule, step.reason, content=step.after)

    def _action(self, step, status, undo=None):
        name = text(path_bytes(step.path))
        is_line = isinstance(step, LineRemoval)
        about = subject("file", name, artifact=step.kind, family=step.family)
        rule = RULE_EDIT if is_line else RULE_MOVE
        if status == "refused":
            return action(rule, about, "%s stays: %s." % (name, step.refused.rstrip(".")), "refused")
        verb = {"planned": "Move", "done": "Moved"}
        if is_line and not step.whole:
            verb = {"planned": "Take", "done": "Took"}
            lines = "line" if step.count == 1 else "lines"
            message = "%s %d %s out of %s: %s." % (verb[status], step.count, lines, name, step.reason)
        else:
            message = "%s %s to the quarantine: %s." % (verb[status], name, step.reason)
        diff = {"before_header": name, "after_header": name if is_line and not step.whole else "(in quarantine)",
                "before": text(step.before) if is_line else name + "\n",
                "after": text(step.after) if is_line and not step.whole else ""}
        return action(rule, about, message, status, undo, (), diff)
