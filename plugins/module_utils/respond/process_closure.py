# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes have to be stopped together with a malicious one, and which never.

A bot and its watchdog revive each other, so that one of them alone cannot be ended. But innocent
processes stand near too (the shell it was started from, the web application through which it came
in), so nearness alone never suffices: a watcher must itself run an unowned program from a place
where no such program belongs, or must have been seen reviving.
"""

import hashlib
import os
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    process_program,
    process_table,
    program_place,
    rooted_paths,
    safe_files,
)

_READ_SIZE = 1024 * 1024
_SCRIPT_LIMIT = 1024 * 1024


class Member:
    """A process to be stopped. ``why``: sentence; ``suspect``: it is malicious itself, not a mere child of such;
    ``exe``: link text; ``exe_file``: ``(device, inode)`` or ``None``; ``program``: path or ``None``; ``helper``: a
    program of a package that a malicious one has started, for a moment maybe."""

    __slots__ = ("process", "why", "suspect", "exe", "exe_file", "program", "helper")

    def __init__(self, process, why, suspect, scene):
        self.process = process
        self.why = why
        self.suspect = suspect
        self.exe = process_table.read_link(process.where, "exe") or ""
        status = scene.status(process)
        self.exe_file = status.file if status else None
        program = scene.program(process)
        self.program = program.path if program else None
        self.helper = not suspect and bool(program) and scene.on_host(process) and scene.vouched(program.path)


def protected_pids(proc_root="/proc", own_pid=None):
    """Return ``{pid: why}`` of the processes that are never signalled.

    PID 1, this process and everything above it (Python, sudo, the shell, sshd: the way that the operator came in),
    and kernel threads. Ancestors outside of our PID namespace do not show, and cannot be signalled either.
    """
    own_pid = own_pid or os.getpid()
    protected = {1: "it is PID 1"}
    for process in process_table.snapshot(proc_root).values():
        if process.kernel_thread:
            protected[process.pid] = "it is a kernel thread"
    for pid in process_table.ancestors(own_pid, proc_root):
        protected.setdefault(pid, "this session came in through it")
    protected[own_pid] = "it is this very run"
    return protected


class Scene:
    """All processes at one moment, and what is asked of them more than once.

    :param packages: :class:`packages.PackageDatabase` of the host, or ``None``.
    """

    def __init__(self, proc_root="/proc", packages=None, host_root="/"):
        self.proc_root = proc_root
        self.host_root = host_root
        self.packages = packages
        self.table = {pid: process for pid, process in process_table.snapshot(proc_root).items() if not process.dead}
        self._programs = {}
        self._statuses = {}
        self._vouched = {}
        self._digests = {}
        self._mount_namespace = (process_table.read_link("%s/1" % proc_root, "ns/mnt")
                                 or process_table.read_link("%s/self" % proc_root, "ns/mnt"))

    def adopt(self, process):
        """Let ``process`` be read where it said (a living thread) and not by its main thread."""
        if process.pid in self.table and self.table[process.pid].start_time == process.start_time:
            self.table[process.pid].where = process.where

    def program(self, process):
        """Return the :class:`process_program.Program`, or ``None``."""
        if process.pid not in self._programs:
            self._programs[process.pid] = self._believed(process, process_program.program(process.where))
        return self._programs[process.pid]

    def _believed(self, process, program):
        """Return ``program`` without a script that is only a tale.

        What calls itself python3 in /tmp is no interpreter: it runs itself, and the script among its arguments (that of
        firewalld, say) is there to hide behind, or to have others stopped.
        """
        if program is None or not program.script:
            return program
        if self.on_host(process):
            odd = not self.vouched(program.exe) and program_place.reason(program.exe, self.host_root, self._owner_of())
        else:
            odd = program_place.reason(program.exe, process.where + "/root")
        return process_program.Program(program.exe, False, program.exe) if odd else program

    def same_tree(self, process, other):
        """Tell whether two processes see the same file tree: one path names one file for both."""
        return (process_table.read_link(process.where, "ns/mnt") == process_table.read_link(other.where, "ns/mnt")
                and process_table.read_link(process.where, "root") == process_table.read_link(other.where, "root"))

    def status(self, process):
        """Return the :class:`process_table.ExeStatus`, or ``None``."""
        if process.pid not in self._statuses:
            self._statuses[process.pid] = process_table.exe_status(process.where)
        return self._statuses[process.pid]

    def is_gone(self, process):
        """Tell whether the file that a process runs has no name any more."""
        status = self.status(process)
        return status is not None and status.links == 0

    def on_host(self, process):
        """Tell whether a process sees the host's own file tree, so that the host's packages speak for its path."""
        return process_table.read_link(process.where, "ns/mnt") == self._mount_namespace

    def vouched(self, path):
        """Tell whether a package owns ``path`` and does not deny its bytes.

        Without a database everything counts as vouched for but what lies where programs never belong.
        """
        if path not in self._vouched:
            if self._owner_of() is None:
                self._vouched[path] = program_place.reason(path, self.host_root) is None
            else:
                # A wrapper laid over a packaged tool is the intruder's, whatever its path says.
                try:
                    self._vouched[path] = self.packages.verify(path) in ("match", "unknown")
                except (OSError, ResponseError):
                    # Links laid in circles on its way, say: this must not keep anybody alive.
                    self._vouched[path] = self.packages.owner_of(path) is not None
        return self._vouched[path]

    def _owner_of(self):
        return None if self.packages is None or self.packages.kind is None else self.packages.owner_of

    def place(self, process):
        """Return why the unowned program of a process is out of place (:mod:`program_place`), or ``None``.

        ``None`` as well for programs of packages and for those in other mount namespaces but world-writable places.
        """
        program = self.program(process)
        if program is None:
            return None
        if not self.on_host(process):
            return program_place.reason(program.path, process.where + "/root")
        if self.vouched(program.path):
            return None
        return program_place.reason(program.path, self.host_root, self._owner_of())

    def digest(self, process):
        """Return the SHA-256 of the executable, or ``None``."""
        status = self.status(process)
        if status is None:
            return None
        if status.file not in self._digests:
            self._digests[status.file] = digest_of(process.where + "/exe")
        return self._digests[status.file]

    def is_packaged_content(self, process):
        """Tell whether the executable is a byte for byte copy of some packaged program."""
        if self._owner_of() is None:
            return True
        try:
            descriptor = os.open(process.where + "/exe", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return True
        try:
            return self.packages.find_by_digest(descriptor) is not None
        finally:
            os.close(descriptor)


def digest_of(path):
    """Return the SHA-256 of a file that is opened by the kernel's own link, or ``None``."""
    state = hashlib.sha256()
    try:
        with open(path, "rb", 0) as stream:
            for chunk in iter(lambda: stream.read(_READ_SIZE), b""):
                state.update(chunk)
    except OSError:
        return None
    return state.hexdigest()


def close_over(scene, suspects, protected, known=None):
    """Return ``{pid: Member}``: the suspects and all that have to stop with them.

    :param suspects: :class:`process_table.Process` list. :param protected: :func:`protected_pids`.
    :param known: members of an earlier round, which stay members (their processes may be unreadable by now).
    """
    members = dict(known or {})
    own = (scene.status(scene.table[pid]) for pid in protected if pid in scene.table)
    own_files = {status.file for status in own if status is not None}
    for process in suspects:
        scene.adopt(process)
        current = scene.table.get(process.pid)
        if current is not None and current.start_time == process.start_time and process.pid not in protected:
            members.setdefault(process.pid, Member(current, "it was found malicious", True, scene))
    before = -1
    while len(members) != before:
        before = len(members)
        _add_descendants(scene, members, protected)
        leaders = [member for member in members.values() if member.suspect and member.process.pid in scene.table]
        for process in scene.table.values():
            if process.pid in members or process.pid in protected or process.kernel_thread:
                continue
            why = _relation(scene, process, leaders)
            if why and not _is_ours(scene, process, own_files):
                members[process.pid] = Member(process, why, True, scene)
    return members


def _add_descendants(scene, members, protected):
    for pid in process_table.descendants(scene.table, list(members)):
        if pid not in protected:
            process = scene.table[pid]
            program = scene.program(process)
            own = program is not None and scene.on_host(process) and not scene.vouched(program.path)
            members[pid] = Member(process, "it descends from a malicious process", own, scene)


def _relation(scene, process, leaders):
    """Return why ``process`` belongs to one of ``leaders``, or ``None``."""
    status = scene.status(process)
    if status is None:
        return None
    place = None
    for leader in leaders:
        why = _shares_program(scene, process, leader)
        if why:
            return why
    for leader in leaders:
        near = (_is_parent_or_tracer(process, leader) or _same_directory(scene, process, leader)
                or _same_content(scene, process, leader))
        refers = None if near else _refers_to(process, leader)
        if not near and not refers:
            continue
        if place is None:
            place = scene.place(process) or ""
        if place in program_place.FOUL or (refers and place):
            return "%s, and its program lies in %s" % (near or refers, program_place.EXPLANATIONS[place])
    return None


def _is_ours(scene, process, own_files):
    """Tell whether a process runs the very program that this session came in by, and no script of its own."""
    program = scene.program(process)
    return scene.status(process).file in own_files and not (program and program.script)


def _shares_program(scene, process, leader):
    program = scene.program(process)
    if program is None:
        return None
    own = scene.program(leader.process)
    if own is not None and own.script:
        # The interpreter's own file is everybody's.
        same = (program.script and program.path == own.path and scene.same_tree(process, leader.process)
                and not (scene.on_host(process) and scene.vouched(program.path)))
        return "it runs the same script as process %d" % leader.process.pid if same else None
    if leader.exe_file is None or scene.status(process).file != leader.exe_file:
        return None
    if scene.is_gone(process) or (scene.on_host(process) and not scene.vouched(program.exe)):
        return "it runs the very file of process %d" % leader.process.pid
    return None


def _is_parent_or_tracer(process, leader):
    if process.pid == leader.process.ppid:
        return "it is the parent of process %d" % leader.process.pid
    if process.pid == tracer_of(leader.process.where):
        return "it traces process %d" % leader.process.pid
    return None


def _same_directory(scene, process, leader):
    program = scene.program(process)
    if program is None or leader.program is None or program.path[:1] != "/" or not scene.on_host(process):
        return None
    directory = os.path.dirname(leader.program)
    if os.path.dirname(program.path) != directory or program_place.is_shared(directory, scene.host_root):
        return None
    return "its program lies beside that of process %d" % leader.process.pid


def _same_content(scene, process, leader):
    own, other = scene.status(leader.process), scene.status(process)
    if own is None or other.size != own.size or other.size == 0 or other.file == own.file:
        return None
    program = scene.program(leader.process)
    if program is None or program.script or scene.digest(process) != scene.digest(leader.process):
        return None
    # A copy of a packaged program (a shell, say) is malicious for what it does and where, not for its bytes.
    if scene.digest(process) is None or scene.is_packaged_content(process):
        return None
    return "its program has the same bytes as that of process %d" % leader.process.pid


def _refers_to(process, leader):
    if leader.program is None or not leader.program.startswith("/"):
        return None
    if _names(leader.program, process_table.cmdline(process.where)):
        return "its arguments name the program of process %d" % leader.process.pid
    if _names(leader.program, process_table.environ(process.where)):
        return "its environment names the program of process %d" % leader.process.pid
    if any(process_table.strip_deleted(target) == leader.program
           for target in process_table.open_files(process.where).values()):
        return "it has the program of process %d open" % leader.process.pid
    return None


def _names(path, words):
    """Tell whether ``path`` stands in one of ``words`` by itself: /tmp/ssh is not named by /tmp/ssh-1/agent."""
    pattern = re.compile(r"(?<![\w./-])%s(?![\w/-]|\.\w)" % re.escape(path))
    return any(pattern.search(word) for word in words)


def tracer_of(where):
    """Return the pid of the tracer of a process (``TracerPid`` of /proc/PID/status), 0 if there is none."""
    for line in (process_table.read_bytes(where + "/status", 65536) or b"").splitlines():
        if line.startswith(b"TracerPid:"):
            return int(line.split()[1])
    return 0


def revivers(scene, revived, programs, protected):
    """Return ``{pid: why}`` of the processes that started the ``revived`` ones again, as far as they may be stopped.

    :param revived: processes that run a program which was just ended. :param programs: paths of these programs.
    Its parent did it; a parent that let go of it (double fork) is sought among the unowned programs that share its
    session or name the program, in their arguments or in the text of their script.
    """
    found = {}
    for process in revived:
        parent = scene.table.get(process.ppid)
        if parent is not None and parent.pid not in protected:
            if _may_be_watcher(scene, parent):
                found[parent.pid] = "it started process %d again, which had just been ended" % process.pid
            continue
        for other in scene.table.values():
            if other.pid in protected or other.pid in found or other.pid == process.pid or other.kernel_thread:
                continue
            related = other.session == process.session or _names_program(scene, other, programs)
            if related and _may_be_watcher(scene, other):
                found[other.pid] = "it belongs to what started process %d again" % process.pid
    return found


def _may_be_watcher(scene, process):
    program = scene.program(process)
    return program is not None and scene.on_host(process) and not scene.vouched(program.path)


def _names_program(scene, process, programs):
    program = scene.program(process)
    words = process_table.cmdline(process.where) + process_table.environ(process.where)
    if any(_names(path, words) for path in programs):
        return True
    if program is None or not program.script:
        return False
    try:
        real = rooted_paths.resolve(program.path, process.where + "/root", follow_final=True)
        content = safe_files.read_bytes(real, _SCRIPT_LIMIT, process.where + "/root", truncate=True)
    except (OSError, ResponseError):
        return False
    return any(os.fsencode(path) in content for path in programs)
