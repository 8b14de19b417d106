# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a practice host: the ordinary life of a server, before any intruder.

Healthy processes that look odd (a detector must leave them alone), a crontab, and Redis, kept well or badly.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from resp import Redis, contents

TOOLS = ("ps", "netstat", "lsof", "ss")
UNIT = """[Unit]
Description=%(text)s

[Service]
ExecStart=%(command)s

[Install]
WantedBy=multi-user.target
"""
# One that mounts a file system for itself alone and runs a program which nobody else can see.
OWN_MOUNTS = """#!/bin/sh
set -e
mount -t tmpfs tmpfs /mnt
cp /usr/local/lib/report-worker /mnt/report-worker
exec /mnt/report-worker infinity
"""
# What the operator of yesterday did: Redis as root, without the sandbox of the packaged unit.
CARELESS_UNIT = """[Unit]
Description=Redis
After=network.target

[Service]
Type=notify
ExecStart=/usr/bin/redis-server /etc/redis/redis.conf --supervised systemd --daemonize no
RuntimeDirectory=redis
LimitNOFILE=4096

[Install]
WantedBy=multi-user.target
Alias=redis.service
"""
CARELESS_CONFIG = {"bind": "0.0.0.0", "protected-mode": "no", "enable-protected-configs": "yes"}
CRONTAB = """# m h dom mon dow command
17 3 * * * /usr/sbin/logrotate /etc/logrotate.conf
"""


def main(wanted):
    """Stage ordinary life; ``wanted``: ``redis`` ("careless" or "kept"), ``password``. Return what verifying needs."""
    tools = {name: describe("/usr/bin/" + name) for name in TOOLS}
    write("/var/spool/cron/crontabs/root", CRONTAB, 0o600)
    shutil.chown("/var/spool/cron/crontabs/root", "root", "crontab")
    innocents = start_innocents()
    if wanted["redis"] == "careless":
        configure_redis(CARELESS_CONFIG)
        write("/etc/systemd/system/redis-server.service", CARELESS_UNIT)
        shutil.chown("/var/lib/redis", "root", "root")
    else:
        configure_redis({"requirepass": wanted["password"]})
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "-q", "redis-server.service")
    run("systemctl", "start", "redis-server.service")
    keys = fill_redis(wanted.get("password"))
    if wanted["redis"] == "kept":
        # No dump of its own shall change the files while somebody compares them.
        authenticated_save(wanted["password"])
    services = {name: main_process(name) for name in ("ssh", "cron", "redis-server")}
    return {"tools": tools, "innocents": innocents, "services": services, "redis_keys": keys}


def start_innocents():
    """Start the healthy processes that look odd; return ``{what: identity}``."""
    units = {}
    # Its name is that of a process whose executable the intruder will delete.
    units["same_name"] = service("nightly-wait", "Waits for the night", "/usr/bin/sleep infinity")

    install_agent("1.0")
    run("systemctl", "start", "fleet-agent.service")
    units["upgraded"] = "fleet-agent"

    os.makedirs("/opt/app", exist_ok=True)
    program("/opt/app/x (deleted)", "app")
    units["named_deleted"] = service("app", "An application with an odd file name", '"/opt/app/x (deleted)" infinity')

    for library in libraries("/usr/bin/sleep"):
        os.makedirs("/srv/jail" + os.path.dirname(library), exist_ok=True)
        shutil.copy(library, "/srv/jail" + library)
    os.makedirs("/srv/jail/bin", exist_ok=True)
    program("/srv/jail/bin/jail-worker", "jail")
    units["chroot"] = service("jail", "A worker in a chroot", "/usr/sbin/chroot /srv/jail /bin/jail-worker infinity")

    program("/usr/local/lib/report-worker", "report")
    write("/usr/local/sbin/report-start", OWN_MOUNTS, 0o755)
    units["own_mounts"] = service("report", "A worker with mounts of its own",
                                  "/usr/bin/unshare --mount --propagation private /usr/local/sbin/report-start")
    for name, expected in (("jail", "jail-worker"), ("report", "report-worker")):
        wait_for(lambda name=name, expected=expected: main_process(name)["comm"] == expected, name)

    # The upgrade while it runs: dpkg puts the new file in the place of the running one.
    install_agent("1.1")
    found = {what: main_process(unit) for what, unit in units.items()}
    if not found["upgraded"]["exe"].endswith(" (deleted)"):
        raise SystemExit("the upgraded agent still has its executable: %s" % found["upgraded"])
    return found


def service(name, text, command):
    """Start a service of its own; return its name."""
    write("/etc/systemd/system/%s.service" % name, UNIT % {"text": text, "command": command})
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "-q", "--now", name + ".service")
    return name


def install_agent(version):
    """Build and install the package fleet-agent; its program differs from version to version."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = pathlib.Path(scratch, "fleet-agent")
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "usr/sbin").mkdir(parents=True)
        (tree / "lib/systemd/system").mkdir(parents=True)
        program(tree / "usr/sbin/fleet-agent", "agent " + version)
        write(tree / "lib/systemd/system/fleet-agent.service",
              UNIT % {"text": "Fleet agent", "command": "/usr/sbin/fleet-agent infinity"})
        write(tree / "DEBIAN/control", "Package: fleet-agent\nVersion: %s\nArchitecture: all\n"
              "Maintainer: Practice <practice@example.invalid>\nDescription: waits for orders\n" % version)
        sums = ""
        for path in ("usr/sbin/fleet-agent", "lib/systemd/system/fleet-agent.service"):
            sums += "%s  %s\n" % (hashlib.md5((tree / path).read_bytes()).hexdigest(), path)
        write(tree / "DEBIAN/md5sums", sums)
        os.chmod(tree, 0o755)
        made = str(tree) + ".deb"
        run("dpkg-deb", "--build", "--root-owner-group", str(tree), made)
        run("dpkg", "--install", made)
    run("systemctl", "daemon-reload")


def program(path, text):
    """Make an executable that only waits; its bytes are like nothing that a package ships."""
    shutil.copy("/usr/bin/sleep", path)
    with open(path, "ab") as stream:
        stream.write(("\nordinary program: %s\n" % text).encode())
    os.chmod(path, 0o755)


def libraries(path):
    """Return the files which the dynamic program ``path`` loads."""
    found = [word for word in run("ldd", path).split() if word.startswith("/")]
    return sorted(set(found))


def configure_redis(settings):
    """Set directives in the packaged configuration, in the places where it has them."""
    path = pathlib.Path("/etc/redis/redis.conf")
    lines = path.read_text(encoding="utf-8").splitlines()
    left = dict(settings)
    for index, line in enumerate(lines):
        key = line.split(" ", 1)[0]
        if key in left:
            lines[index] = "%s %s" % (key, left.pop(key))
    lines += ["%s %s" % item for item in sorted(left.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def fill_redis(password):
    """Put a few hundred ordinary keys into Redis, a part of them newer than its last dump; return all contents."""
    redis = Redis("127.0.0.1")
    if password:
        redis("AUTH", password)
    for number in range(300):
        redis("SET", "session:%d" % number, hashlib.sha256(str(number).encode()).hexdigest())
    redis("EXPIRE", "session:7", 30 * 86400)
    redis("RPUSH", "queue:mail", *["message %d" % number for number in range(50)])
    redis("SADD", "tags", *["tag-%d" % number for number in range(40)])
    redis("ZADD", "ranking", *[word for number in range(40) for word in (number * 1.5, "player-%d" % number)])
    redis("SAVE")
    for number in range(40):
        redis("HSET", "customer:%d" % number, "name", "Customer %d" % number, "city", "Hangzhou", "orders", number)
    return contents(redis)


def authenticated_save(password):
    """Have Redis write its dump now."""
    redis = Redis("127.0.0.1")
    redis("AUTH", password)
    redis("SAVE")


def main_process(unit):
    """Return the identity of a service's main process: pid, start time in ticks, name, executable's link."""
    pid = int(run("systemctl", "show", "--property=MainPID", "--value", unit + ".service"))
    return identity(pid)


def identity(pid):
    """Return what tells this process from any other that may get its number later."""
    stat = pathlib.Path("/proc/%d/stat" % pid).read_text(encoding="utf-8", errors="replace")
    comm, rest = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:].split()
    return {"pid": pid, "start": int(rest[19]), "comm": comm, "exe": os.readlink("/proc/%d/exe" % pid)}


def describe(path):
    """Return digest, mode and owner of a file as it is now."""
    status = os.lstat(path)
    with open(path, "rb") as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    return {"sha256": digest, "mode": status.st_mode, "uid": status.st_uid, "gid": status.st_gid}


def wait_for(condition, what, seconds=15):
    """Wait until ``condition()`` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("in vain: waited %d s for %s" % (seconds, what))
        time.sleep(0.1)


def write(path, content, mode=0o644):
    """Write a text file."""
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(content)
    os.chmod(path, mode)


def run(*argv):
    """Run a command and return what it says; end with its own words when it fails."""
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit("%s: %s" % (" ".join(argv), done.stderr or done.stdout))
    return done.stdout


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
