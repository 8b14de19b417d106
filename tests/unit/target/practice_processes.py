# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real processes for tests: inert copies of sleep and dash, in a /proc that shows these and no others.

The /proc is a folder of links to the directories of the test's own processes, so that nothing else on
the machine can be found, let alone stopped, whatever the code under test does.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time

SHELL = "/bin/sh"


class Packages:
    """A package database out of dicts. ``owners``: path → package; ``contents``: path → bytes as packaged;
    ``changed``: package → epoch seconds; ``signs``: what :meth:`suspect` tells."""

    def __init__(self, owners=None, contents=None, changed=None, signs=(), kind="dpkg"):
        self.owners = owners or {}
        self.contents = contents or {}
        self.changed = changed or {}
        self.signs = list(signs)
        self.kind = kind
        self.asked = 0

    def __call__(self, _root):
        self.asked += 1
        return self

    def gaps(self):
        return []

    def suspect(self, _package=None):
        return self.signs

    def owner_of(self, path):
        return self.owners.get(path)

    def changed_at(self, package):
        return self.changed.get(package)

    def verify(self, path, content_path=None):
        if path not in self.owners:
            return "unowned"
        if path not in self.contents:
            return "unknown"
        content = read(path if content_path is None else content_path)
        if content is None:
            return "unknown"
        return "match" if content == self.contents[path] else "mismatch"

    def find_by_digest(self, content_path):
        content = read(content_path)
        for path, packaged in self.contents.items():
            if packaged == content:
                return path
        return None


def read(source):
    """Return the bytes of a path or descriptor, ``None`` if there is no such file."""
    try:
        with open(os.dup(source) if isinstance(source, int) else source, "rb") as stream:
            stream.seek(0)
            return stream.read()
    except OSError:
        return None


class Practice:
    """A folder with programs, the processes started from them, and their /proc."""

    def __init__(self, folder):
        self.folder = folder
        self.proc = str(folder / "proc")
        os.mkdir(self.proc)
        self.processes = []
        for name in ("self", "stat", "sys"):
            os.symlink("/proc/" + name, os.path.join(self.proc, name))
        # Whom the code under test has to spare: the test itself and what is above it.
        for pid in (1, os.getpid(), os.getppid()):
            self.show(pid)

    def path(self, name):
        """Return the absolute path of a program; directories on the way are made."""
        path = self.folder / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    def program(self, name, source="sleep", extra=b"\ninert stand-in"):
        """Put a copy of sleep or dash there, whose bytes differ from the packaged ones by ``extra``."""
        path = self.path(name)
        shutil.copy(shutil.which(source), path)
        with open(path, "ab") as stream:
            stream.write(extra)
        os.chmod(path, 0o755)
        return path

    def start(self, *argv, executable=None, env=None, show=True):
        """Start a process, show it in the /proc, and return its pid once it has become its program."""
        process = subprocess.Popen(argv, executable=executable, env=env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.processes.append(process)
        # Popen returns in the middle of execve(2), a moment before the kernel has laid out the arguments.
        wait_for(lambda: command_line(process.pid))
        if show:
            self.show(process.pid)
        return process.pid

    def start_deleted(self, name, **options):
        """Start a copy of sleep and delete its file; return the pid."""
        path = self.program(name, **options)
        pid = self.start(path, "600")
        os.unlink(path)
        return pid

    def fifo(self):
        """Return the path of a FIFO to which nobody writes, for a shell to wait at without a child."""
        path = self.path("fifo")
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path)
        return path

    def show(self, pid):
        """Let the /proc show a process."""
        with contextlib.suppress(FileExistsError):
            os.symlink("/proc/%d" % pid, os.path.join(self.proc, str(pid)))

    def show_descendants(self, pid):
        """Let the /proc show the children of a process, and theirs."""
        for child in children(pid):
            self.show(child)
            self.show_descendants(child)

    def alive(self, pid):
        """Tell whether a process runs or stands still, and is no zombie."""
        return state(pid) not in (None, "Z", "X")

    def end(self):
        """End all that was started, and their descendants."""
        for process in self.processes:
            for pid in every_descendant(process.pid) + [process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def children(pid):
    """Return the pids of the children."""
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as stream:
            return [int(child) for child in stream.read().split()]
    except OSError:
        return []


def every_descendant(pid):
    """Return the pids of children and theirs."""
    found = []
    for child in children(pid):
        found += every_descendant(child) + [child]
    return found


def state(pid):
    """Return the state letter of a process, ``None`` if there is none."""
    try:
        with open("/proc/%d/stat" % pid) as stream:
            return stream.read().rpartition(")")[2].split()[0]
    except OSError:
        return None


def command_line(pid):
    """Return /proc/PID/cmdline."""
    with open("/proc/%d/cmdline" % pid, "rb") as stream:
        return stream.read()


def reads(pid, path):
    """Tell whether a process has a file open: a shell opens its script a moment after it has started."""
    folder = "/proc/%d/fd" % pid
    targets = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(os.path.join(folder, name)))
    return path in targets


def runs(pid):
    """Tell whether a process is neither stopped nor dead."""
    return state(pid) in ("R", "S")


def wait_for(condition, seconds=20):
    """Wait until ``condition()`` holds; the limit is there so that a broken test ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
