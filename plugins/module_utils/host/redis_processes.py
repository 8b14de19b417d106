# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Redis-like servers that run on a host: found by their processes, told with the sockets they listen on.

Nothing here goes by port number. Sources: proc(5) (stat, cmdline, fd, net/tcp, net/unix, ns),
systemd.service(5) for ``ExecStart=``.
"""

import collections
import os
import re
import shlex
import socket
import struct

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.rooted_paths import resolve

# Debian's redis-server is a link to redis-check-rdb, so the executable alone does not tell; the command
# name does. 15 characters is what the kernel keeps of it.
SERVER_NAME = re.compile(r"(redis|valkey|keydb)-(server|sentinel)[-_.]?[\d.]*\Z")
# "redis-server 127.0.0.1:6379 [cluster]": the title that the server puts over its arguments.
_TITLE = re.compile(r"\S+ .")

_LISTEN = "0A"
_ACCEPTS = 0x10000  # __SO_ACCEPTCON in /proc/net/unix

UNIT_DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
                    "/usr/lib/systemd/system", "/lib/systemd/system")

# family: "tcp" or "unix"; address: what ipaddress prints, port: int; of a unix socket address is the path, port 0.
Listener = collections.namedtuple("Listener", "family address port")


class RedisProcess:
    """One server. ``pid``, ``start_time`` (ticks since boot), ``product``, ``sentinel`` (bool), ``executable``,
    ``arguments`` (list of str, empty where a title hides them), ``working_directory``, ``uid``, ``groups``,
    ``unit`` (systemd service or ``None``), ``listeners``, ``own_network`` and ``own_root`` (it lives in another
    network namespace or under another root than we do; ``None``: could not be told)."""

    def __init__(self, pid, **facts):
        self.pid = pid
        self.__dict__.update(facts)

    def root(self, proc_root="/proc"):
        """Return the path under which the process's own files are reached."""
        return os.path.join(proc_root, str(self.pid), "root")


def find_processes(proc_root="/proc", host_root="/"):
    """Return the :class:`RedisProcess` list, by process id; children that a server forked to save are left out."""
    found = {}
    for name in os.listdir(proc_root):
        if name.isdigit():
            try:
                process = _look_at(int(name), proc_root, host_root)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
            if process is not None:
                found[process.pid] = process
    return [found[pid] for pid in sorted(found) if found[pid].parent not in found]


def _look_at(pid, proc_root, host_root):
    base = os.path.join(proc_root, str(pid))
    command = text(_read(base, "comm").rstrip(b"\n"))
    executable = _link(base, "exe")
    if not executable and not SERVER_NAME.match(command):
        return None  # a kernel thread
    program = os.path.basename(re.sub(r" \(deleted\)$", "", executable or ""))
    # The main thread of a server keeps the name of its program; its title stands in cmdline alone.
    if not SERVER_NAME.match(program) and not SERVER_NAME.match(command):
        return None
    words = [text(word) for word in _read(base, "cmdline").rstrip(b"\0").split(b"\0")]
    titled = len(words) == 1 and bool(_TITLE.match(words[0]))
    label = SERVER_NAME.match(command) or SERVER_NAME.match(program)
    status = _status(base)
    stat = text(_read(base, "stat")).rpartition(")")[2].split()
    unit = _unit(base)
    own_root = _own_root(base, host_root)
    arguments = [] if titled else words[1:]
    if titled and unit:
        arguments = unit_arguments(unit, os.path.join(base, "root") if own_root else host_root)
    return RedisProcess(
        pid, parent=int(stat[1]), start_time=int(stat[19]), product=label.group(1), executable=executable,
        sentinel=label.group(2) == "sentinel" or "[sentinel]" in words[0] or "--sentinel" in arguments,
        arguments=arguments, title=words[0] if titled else None, working_directory=_link(base, "cwd"),
        uid=status[0], groups=status[1], unit=unit, listeners=listening_sockets(pid, proc_root),
        own_network=_differs(_link(base, "ns/net"), _link(os.path.join(proc_root, "self"), "ns/net")),
        own_root=own_root)


def _read(base, name):
    with open(os.path.join(base, name), "rb") as stream:
        return stream.read(1024 * 1024)


def _link(base, name):
    try:
        return os.readlink(os.path.join(base, name))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def _differs(theirs, ours):
    return None if theirs is None or ours is None else theirs != ours


def _own_root(base, host_root):
    try:
        theirs, ours = os.stat(os.path.join(base, "root")), os.stat(host_root)
    except OSError:
        return None
    # A unit with PrivateTmp= has a mount namespace of its own, but the same root directory.
    return (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino)


def _status(base):
    uid, groups = None, set()
    for line in text(_read(base, "status")).splitlines():
        name, unused, value = line.partition(":")
        if name == "Uid":
            uid = int(value.split()[1])
        elif name == "Gid":
            groups.add(int(value.split()[1]))
        elif name == "Groups":
            groups.update(int(number) for number in value.split())
    return uid, groups


def _unit(base):
    try:
        lines = text(_read(base, "cgroup")).splitlines()
    except FileNotFoundError:
        return None
    for line in lines:
        for part in reversed(line.partition("::")[2].split("/") if "::" in line else line.split("/")):
            if part.endswith(".service"):
                return part
    return None


def listening_sockets(pid, proc_root="/proc"):
    """Return the :class:`Listener` list of a process, from its descriptors and its network namespace's tables."""
    base = os.path.join(proc_root, str(pid))
    inodes = set()
    try:
        for name in os.listdir(os.path.join(base, "fd")):
            match = re.match(r"socket:\[(\d+)\]$", _link(base, "fd/" + name) or "")
            if match:
                inodes.add(match.group(1))
    except PermissionError as error:
        raise ResponseError("The sockets of process %d cannot be seen: %s." % (pid, error.strerror),
                            "The collection needs root on the host.") from error
    found = []
    for table in ("tcp", "tcp6"):
        for fields in _table(base, table):
            if len(fields) > 9 and fields[3] == _LISTEN and fields[9] in inodes:
                address, unused, port = fields[1].partition(":")
                found.append(Listener("tcp", decode_address(address), int(port, 16)))
    for fields in _table(base, "unix"):
        if len(fields) > 7 and fields[6] in inodes and int(fields[3], 16) & _ACCEPTS:
            found.append(Listener("unix", " ".join(fields[7:]), 0))
    return found


def _table(base, name):
    try:
        with open(os.path.join(base, "net", name), "rb") as stream:
            next(stream, None)
            return [text(line).split() for line in stream]
    except FileNotFoundError:
        return []  # a kernel without IPv6, a process just gone


def decode_address(hexadecimal):
    """Return ``0100007F`` or 32 such digits of /proc/net/tcp{,6} as an address: words in the host's byte order."""
    words = [int(hexadecimal[at:at + 8], 16) for at in range(0, len(hexadecimal), 8)]
    packed = struct.pack("=%dI" % len(words), *words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def unit_arguments(unit, host_root="/"):
    """Return the arguments (without the program) of a systemd service's ``ExecStart=``; ``[]`` when not found."""
    stem, at, rest = unit.partition("@")
    instance = rest[:-len(".service")] if at else ""
    names = [unit] + ([stem + "@.service"] if at else [])
    command = None
    for name in reversed(names):
        main = [directory + "/" + name for directory in UNIT_DIRECTORIES]
        first = _first_existing(main, host_root)
        for path in ([first] if first else []) + _drop_ins(name, host_root):
            command = _exec_start(path, host_root, command)
    if not command:
        return []
    command = re.sub(r"%[iI]", lambda unused: instance, command).replace("%%", "%")
    try:
        return shlex.split(command)[1:]
    except ValueError:
        return []


def _first_existing(paths, host_root):
    return next((path for path in paths if os.path.exists(safe_files.host_path(path, host_root))), None)


def _drop_ins(name, host_root):
    chosen = {}
    for directory in reversed(UNIT_DIRECTORIES):
        folder = "%s/%s.d" % (directory, name)
        try:
            entries = os.listdir(safe_files.host_path(folder, host_root))
        except OSError:
            continue
        chosen.update((entry, folder + "/" + entry) for entry in entries if entry.endswith(".conf"))
    return [chosen[entry] for entry in sorted(chosen)]


def _exec_start(path, host_root, command):
    try:
        content = safe_files.read_bytes(resolve(path, host_root, follow_final=True), host_root=host_root)
    except (OSError, ResponseError):
        return command
    for line in text(content).replace("\\\n", " ").splitlines():
        match = re.match(r"ExecStart\s*=\s*[@:+!-]*(.*)", line.strip())
        if match:
            command = match.group(1)
    return command


def split_command_line(arguments):
    """Return ``(configuration file or None, [(directive, [bytes])])`` of a server's arguments (without the program).

    As the server does it: a first word without ``--`` is the file; each ``--name`` begins a directive.
    """
    words = list(arguments)
    path = None
    if words and not words[0].startswith("-"):
        path = words.pop(0)
    elif words and words[0] == "-":
        words.pop(0)  # configuration from standard input
    directives = []
    for word in words:
        if word.startswith("--"):
            directives.append((word[2:].lower(), []))
        elif directives:
            directives[-1][1].append(safe_files.path_bytes(word))
    # These are modes, not directives of a file.
    return path, [(name, args) for name, args in directives if name not in ("sentinel", "check-system")]
