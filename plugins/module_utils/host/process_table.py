# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes as /proc tells them: a bare sweep over all, and small readers for single ones.

Follows proc(5) and the kernel's Documentation/filesystems/proc.rst. Every process may vanish
between two reads: then a reader answers ``None`` (or nothing), it does not raise.
"""

import errno
import os

PF_KTHREAD = 0x00200000  # include/linux/sched.h
DELETED = " (deleted)"  # appended by d_path(), fs/d_path.c
# Stands for a link that readlink(2) refuses with ENAMETOOLONG: d_path() has one page for it, and a program in a deep
# enough directory can be started by a relative path. No true link of a file looks like this.
TOO_LONG = "[path too long]"

_CMDLINE_LIMIT = 64 * 1024


class Process:
    """One process at one moment.

    ``pid``, ``ppid``, ``pgrp``, ``session``, ``threads``: integers; ``start_time``: clock ticks since
    boot, which together with ``pid`` is its identity; ``state``: letter of proc(5); ``comm``: its name;
    ``kernel_thread``: true for those without a program of their own; ``where``: its directory in /proc,
    or that of a living thread where the main one has ended (only there can its executable be read).
    """

    __slots__ = ("pid", "ppid", "pgrp", "session", "start_time", "state", "comm", "threads", "kernel_thread", "where")

    def __init__(self, **values):
        for name in self.__slots__:
            setattr(self, name, values[name])

    @property
    def identity(self):
        """``pid-start_time``: names this process and no later one with the same number."""
        return "%d-%d" % (self.pid, self.start_time)

    @property
    def dead(self):
        """Whether it has ended. A zombie whose other threads run on has not: its state is the main thread's."""
        return self.state in ("X", "x") or (self.state == "Z" and self.threads <= 1)

    @property
    def stopped(self):
        """Whether it stands still: by a signal (``T``) or by a tracer (``t``)."""
        return self.state in ("T", "t")

    def __repr__(self):
        return "<Process %s %r>" % (self.identity, self.comm)


class ExeStatus:
    """What stat(2) through the exe link tells of the running file: ``device``, ``inode``, ``links``, ``size``,
    ``mode``, ``uid``, ``changed_at`` (its ctime: when its last name was removed, if none is left)."""

    __slots__ = ("device", "inode", "links", "size", "mode", "uid", "changed_at")

    def __init__(self, status):
        self.device = status.st_dev
        self.inode = status.st_ino
        self.links = status.st_nlink
        self.size = status.st_size
        self.mode = status.st_mode
        self.uid = status.st_uid
        self.changed_at = status.st_ctime

    @property
    def file(self):
        """``(device, inode)``: the same for all who run this very file."""
        return (self.device, self.inode)


class Sweep:
    """Result of :func:`sweep`. ``suspects``: list of ``(directory in /proc, exe link)``; ``seen``: number of processes
    whose executable was looked at; ``denied``: pids that may not be looked at."""

    __slots__ = ("suspects", "seen", "denied")

    def __init__(self, suspects, seen, denied):
        self.suspects = suspects
        self.seen = seen
        self.denied = denied


def sweep(proc_root, is_suspect):
    """Read the exe link of every process and return a :class:`Sweep`.

    One directory listing and one readlink(2) a process: hosts have thousands, and nearly all of them run
    one of a few programs, so a link is judged once and not once a process.

    :param is_suspect: callable, exe link → whether to have a closer look. :raises OSError: no /proc there.
    """
    suspects = []
    denied = []
    seen = 0
    judged = {}
    readlink = os.readlink
    prefix = proc_root.rstrip("/") + "/"
    for name in os.listdir(proc_root):
        if not name.isdigit():
            continue
        try:
            link = readlink(prefix + name + "/exe")
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                seen += 1
                suspects.append((prefix + name, TOO_LONG))
            elif error.errno in (errno.EACCES, errno.EPERM):
                denied.append(int(name))
            elif error.errno == errno.ENOENT:
                # A kernel thread, or a main thread that has ended while others run on.
                suspects.extend((where, link) for where, link in _thread_links(prefix + name) if is_suspect(link))
            continue
        seen += 1
        suspicious = judged.get(link)
        if suspicious is None:
            suspicious = judged[link] = is_suspect(link)
        if suspicious:
            suspects.append((prefix + name, link))
    return Sweep(suspects, seen, denied)


def _thread_links(directory):
    """Return ``[(task directory, exe link)]`` of the first living thread of a process whose main thread ended."""
    try:
        # The link count of task is two more than the number of threads: fs/proc/base.c, proc_task_getattr().
        if os.stat(directory + "/task").st_nlink <= 3:
            return []
        threads = os.listdir(directory + "/task")
    except OSError:
        return []
    for thread in threads:
        where = "%s/task/%s" % (directory, thread)
        link = read_link(where, "exe")
        if link is not None:
            return [(where, link)]
    return []


def pids(proc_root):
    """Return the process ids that /proc lists."""
    return [int(name) for name in os.listdir(proc_root) if name.isdigit()]


def read_process(pid, proc_root="/proc", where=None):
    """Return the :class:`Process` with this id now, or ``None``.

    :param where: its directory where another than ``proc_root/pid`` is to be read for its executable.
    """
    directory = "%s/%d" % (proc_root.rstrip("/"), pid)
    content = read_bytes(directory + "/stat", 8192)
    return parse_stat(content, where or directory) if content else None


def parse_stat(content, where):
    """Return the :class:`Process` that a /proc/PID/stat of bytes describes, or ``None`` if it is cut short.

    The name is whatever lies between the first and the last parenthesis: a process may call itself ``a) R 1 (``.
    """
    begin, end = content.find(b"("), content.rfind(b")")
    fields = content[end + 1:].split()
    if begin < 0 or end < begin or len(fields) < 20:
        return None
    return Process(
        pid=int(content[:begin]), comm=os.fsdecode(content[begin + 1:end]),
        state=fields[0].decode("ascii", "replace"), ppid=int(fields[1]), pgrp=int(fields[2]), session=int(fields[3]),
        kernel_thread=bool(int(fields[6]) & PF_KTHREAD), threads=int(fields[17]), start_time=int(fields[19]),
        where=where)


def snapshot(proc_root="/proc"):
    """Return ``{pid: Process}`` of all processes now."""
    found = (read_process(pid, proc_root) for pid in sorted(pids(proc_root)))
    return {process.pid: process for process in found if process is not None}


def descendants(table, roots):
    """Return the pids of ``table`` (:func:`snapshot`) that descend from one of the pids ``roots``, without these."""
    children = {}
    for process in table.values():
        children.setdefault(process.ppid, []).append(process.pid)
    found = set()
    todo = list(roots)
    while todo:
        for pid in children.get(todo.pop(), ()):
            if pid not in found:
                found.add(pid)
                todo.append(pid)
    return found - set(roots)


def ancestors(pid, proc_root="/proc"):
    """Return the pids from the parent of ``pid`` upwards."""
    found = []
    process = read_process(pid, proc_root)
    while process is not None and process.ppid > 0 and process.ppid not in found:
        found.append(process.ppid)
        process = read_process(process.ppid, proc_root)
    return found


def boot_time(proc_root="/proc"):
    """Return when the kernel booted (epoch seconds, ``btime`` of /proc/stat), or ``None``."""
    for line in (read_bytes(proc_root.rstrip("/") + "/stat", 4 * 1024 * 1024) or b"").splitlines():
        if line.startswith(b"btime "):
            return int(line.split()[1])
    return None


def started_at(process, boot):
    """Return when ``process`` started (epoch seconds), or ``None`` if ``boot`` (:func:`boot_time`) is unknown."""
    return None if boot is None else boot + process.start_time / float(os.sysconf("SC_CLK_TCK"))


def exe_status(where):
    """Return the :class:`ExeStatus` of the program of the process with directory ``where``, or ``None``.

    stat(2) follows the link to the running file itself, whatever became of its name.
    """
    try:
        return ExeStatus(os.stat(where + "/exe"))
    except OSError:
        return None


def read_link(where, name):
    """Return the target of a link in a process's directory (``exe``, ``root``, ``cwd``, ``ns/mnt``), or ``None``;
    :data:`TOO_LONG` where the kernel cannot tell it."""
    try:
        return os.readlink("%s/%s" % (where, name))
    except OSError as error:
        return TOO_LONG if error.errno == errno.ENAMETOOLONG else None


def cmdline(where):
    """Return the arguments of a process as a list of str; it can write there what it likes (proc(5))."""
    return _words(read_bytes(where + "/cmdline", _CMDLINE_LIMIT))


def environ(where):
    """Return the initial environment of a process as a list of ``NAME=value``."""
    return _words(read_bytes(where + "/environ", _CMDLINE_LIMIT))


def _words(content):
    words = (content or b"").split(b"\0")
    if words and not words[-1]:
        words.pop()
    return [os.fsdecode(word) for word in words]


def open_files(where):
    """Return ``{descriptor: target}`` of what a process has open (``/path``, ``socket:[inode]``, …)."""
    try:
        names = os.listdir(where + "/fd")
    except OSError:
        return {}
    targets = ((name, read_link(where, "fd/" + name)) for name in names if name.isdigit())
    return {int(name): target for name, target in targets if target is not None}


def read_bytes(path, limit):
    """Return at most ``limit`` bytes of a file in /proc, or ``None`` if it cannot be read."""
    try:
        with open(path, "rb", 0) as stream:
            parts = []
            while limit > 0:
                part = stream.read(min(limit, 65536))
                if not part:
                    break
                parts.append(part)
                limit -= len(part)
            return b"".join(parts)
    except OSError:
        return None


def uid_of(where):
    """Return the effective user id of a process, or ``None``."""
    for line in (read_bytes(where + "/status", 65536) or b"").splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[2])
    return None


def strip_deleted(link):
    """Return an exe link without the suffix that the kernel adds once the name is gone."""
    return link[:-len(DELETED)] if link.endswith(DELETED) else link
