# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a practice host: a full manifest of its file tree and its processes, as JSON on standard output.

Of each entry: type, mode, owner, size, mtime in nanoseconds, link count, sha256 of the bytes or the link's target,
extended attributes (ACLs and capabilities are among them) and inode flags. Left out is only what changes by itself.
"""

import array
import fcntl
import hashlib
import json
import os
import pathlib
import stat
import sys

# What changes without anybody's doing, each with its reason. Everything else counts, /tmp and /dev/shm too.
VOLATILE = {
    "/proc": "the kernel's",
    "/sys": "the kernel's",
    "/dev": "devices; /dev/shm is looked at all the same",
    "/run/systemd": "systemd's own state: units, sessions, the journal's streams",
    "/run/log": "the journal",
    "/run/motd.dynamic": "written at each login",
    "/run/utmp": "who is logged in, we ourselves among them",
    "/run/user": "per-login directories",
    "/var/log": "logs tell of each login",
    "/var/lib/systemd": "stamps of timers",
    "/tmp/systemd-private-": "services' private directories",
    "/var/tmp/systemd-private-": "services' private directories",
}
ALL_THE_SAME = ("/dev/shm",)
# Their times change with each login and with each module that Ansible unpacks; their contents count.
NO_TIMES = ("/run", "/tmp")
FS_IOC_GETFLAGS = 0x80086601  # include/uapi/linux/fs.h, 64 bit
# FS_EXTENT_FL tells how the file system stores the file: nobody sets it.
STORAGE_FLAGS = 0x00080000


def files():
    """Return ``{path: facts}`` of the whole tree."""
    found = {}
    for top in ("/", *ALL_THE_SAME):
        walk(top, found)
    return found


def walk(top, found):
    """Add ``top`` and what is below it."""
    found[shown(top)] = describe(top)
    try:
        names = sorted(os.listdir(top))
    except NotADirectoryError:
        return
    for name in names:
        path = os.path.join(top, name)
        if path.startswith(tuple(entry for entry in VOLATILE if entry.endswith("-"))) or path in VOLATILE:
            continue
        try:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                walk(path, found)
            else:
                found[shown(path)] = describe(path)
        except FileNotFoundError:
            continue  # vanished meanwhile


def describe(path):
    """Return the facts of one entry, without following a link."""
    status = os.lstat(path)
    facts = {"type": stat.S_IFMT(status.st_mode), "mode": "%o" % stat.S_IMODE(status.st_mode), "uid": status.st_uid,
             "gid": status.st_gid, "mtime_ns": status.st_mtime_ns,
             "xattrs": {name: os.getxattr(path, name, follow_symlinks=False).hex()
                        for name in sorted(os.listxattr(path, follow_symlinks=False))}}
    if stat.S_ISLNK(status.st_mode):
        facts["target"] = shown(os.readlink(path))
    elif stat.S_ISREG(status.st_mode):
        facts.update(size=status.st_size, links=status.st_nlink, sha256=digest(path), flags=flags(path))
    elif stat.S_ISDIR(status.st_mode):
        facts["flags"] = flags(path)
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        facts["device"] = status.st_rdev
    if path in NO_TIMES:
        del facts["mtime_ns"]
    return facts


def digest(path):
    """Return the sha256 of a file's bytes."""
    total = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            total.update(chunk)
    return total.hexdigest()


def flags(path):
    """Return the inode flags, 0 where the file system has none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        value = array.array("l", [0])
        fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, value)
        return value[0] & ~STORAGE_FLAGS
    except OSError:
        return 0
    finally:
        os.close(descriptor)


def processes():
    """Return ``{"pid start": facts}`` of all processes but SSH sessions, ourselves, and what each loop starts anew."""
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                table[int(entry)] = process(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                continue  # gone meanwhile
    own = set()
    pid = os.getpid()
    while pid in table and pid != 1:
        own.add(pid)
        pid = table[pid]["parent"]
    kept = {}
    for pid, facts in table.items():
        parent = table.get(facts["parent"])
        if facts.pop("comm") == "sshd" and parent and "sshd" in parent["exe"]:
            continue  # a session, kept open for the next task; a leftover within it would still show
        # The stand-ins' loops wait with a short sleep, each time another.
        if facts["exe"] == "/usr/bin/sleep" and parent and "-c" in parent["cmdline"].split("\0"):
            continue
        if pid not in own or facts["cmdline"].startswith("sshd: /usr/sbin/sshd -D"):
            kept["%d %d" % (pid, facts["start"])] = facts
    for facts in kept.values():
        del facts["start"]
    return kept


def process(pid):
    """Return parent, start time, name, executable and command line."""
    base = pathlib.Path("/proc/%d" % pid)
    text = (base / "stat").read_text(encoding="utf-8", errors="replace")
    rest = text[text.rindex(")") + 2:].split()
    return {"parent": int(rest[1]), "start": int(rest[19]), "comm": text[text.index("(") + 1:text.rindex(")")],
            "stopped": rest[0] in "Tt", "exe": shown(os.readlink(base / "exe")),
            "cmdline": (base / "cmdline").read_bytes().decode("utf-8", "backslashreplace")}


def shown(path):
    """Return a path as text that JSON can carry."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


if __name__ == "__main__":
    json.dump({"processes": processes(), "files": files()}, sys.stdout)
