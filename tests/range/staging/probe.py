# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a practice host after a response: tells what is there now. It judges nothing and uses no tool of the host."""

import array
import base64
import fcntl
import hashlib
import json
import os
import pathlib
import pwd
import sys

from resp import Redis, RedisReplyError, contents

FS_IOC_GETFLAGS = 0x80086601  # include/uapi/linux/fs.h, 64 bit
NOT_CHANGEABLE = 0x10 | 0x20  # FS_IMMUTABLE_FL, FS_APPEND_FL


def main(wanted):
    """Return the facts that ``wanted`` names: paths, tools, texts, account, addresses, passwords, ignore_keys."""
    return {
        "present": [path for path in wanted["paths"] if os.path.lexists(path)],
        "tools": {name: tool("/usr/bin/" + name) for name in wanted["tools"]},
        "texts": {path: text(path) for path in wanted["texts"]},
        "processes": processes(),
        "account": account(wanted["account"]),
        "redis_open": {address: redis_without_password(address) for address in wanted["addresses"]},
        "redis_places": redis_places(wanted["passwords"]),
        "redis_keys": redis_contents(wanted["passwords"], wanted["ignore_keys"]),
    }


def tool(path):
    """Return digest, mode, owner and "may not be changed" of a file, or ``None``."""
    try:
        status = os.lstat(path)
        with open(path, "rb") as stream:
            flags = array.array("l", [0])
            fcntl.ioctl(stream, FS_IOC_GETFLAGS, flags)
            return {"sha256": hashlib.sha256(stream.read()).hexdigest(), "mode": status.st_mode, "uid": status.st_uid,
                    "gid": status.st_gid, "locked": bool(flags[0] & NOT_CHANGEABLE)}
    except FileNotFoundError:
        return None


def text(path):
    """Return a file's bytes in base64, or ``None``."""
    try:
        return base64.b64encode(pathlib.Path(path).read_bytes()).decode("ascii")
    except FileNotFoundError:
        return None


def processes():
    """Return ``[{pid, start, comm, exe, sha256, state}]`` of everything that has an executable."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path("/proc/%s/stat" % entry).read_text(encoding="utf-8", errors="replace")
            exe = os.readlink("/proc/%s/exe" % entry)
            with open("/proc/%s/exe" % entry, "rb") as stream:
                digest = hashlib.sha256(stream.read()).hexdigest()
        except (FileNotFoundError, ProcessLookupError):
            continue  # gone meanwhile, or a kernel thread
        rest = stat[stat.rindex(")") + 2:].split()
        found.append({"pid": int(entry), "start": int(rest[19]), "state": rest[0], "exe": exe, "sha256": digest,
                      "comm": stat[stat.index("(") + 1:stat.rindex(")")]})
    return found


def account(name):
    """Return shell, uid, password field and day of expiry of an account, or ``None``."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    for line in pathlib.Path("/etc/shadow").read_text(encoding="utf-8").splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return {"uid": entry.pw_uid, "shell": entry.pw_shell, "password": fields[1], "expires": fields[7]}
    return {"uid": entry.pw_uid, "shell": entry.pw_shell, "password": entry.pw_passwd, "expires": ""}


def redis_without_password(address):
    """Return what Redis says there to somebody without a password: its error, ``refused``, or ``open``."""
    try:
        Redis(address)("DBSIZE")
    except RedisReplyError as error:
        return str(error).split(" ", 1)[0]
    except OSError as error:
        return "refused" if isinstance(error, ConnectionRefusedError) else str(error)
    return "open"


def redis_places(passwords):
    """Return where Redis would write its dump."""
    redis = authenticated(passwords)
    return {name: redis("CONFIG", "GET", name)[1] for name in ("dir", "dbfilename")} if redis else None


def redis_contents(passwords, ignore):
    """Return all keys with their values, or ``None`` when no password serves."""
    redis = authenticated(passwords)
    return contents(redis, ignore) if redis else None


def authenticated(passwords):
    """Return a connection with the first of these passwords that serves (none, when all are empty), or ``None``."""
    for password in list(filter(None, passwords)) or [None]:
        try:
            redis = Redis("127.0.0.1")
            if password:
                redis("AUTH", password)
            redis("DBSIZE")
        except (RedisReplyError, OSError):
            continue
        return redis
    return None


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
