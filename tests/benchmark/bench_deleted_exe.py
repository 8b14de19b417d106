# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it costs to find processes whose executable is gone on a host with 3,000 processes.

The processes are started in a PID namespace with a /proc of its own: whatever else this machine runs (practice
hosts, say) is not measured along, and nothing can be left behind, since the namespace ends with its first process.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PROCESSES = 3000
ROUNDS = 31
OLD_ROUNDS = 3
LIMIT_SECONDS = 900

# As the old guide has it, up to where it would kill by name.
OLD_GUIDE = ("find /proc/ -name exe 2>/dev/null | xargs ls -l 2>/dev/null | grep -v task | grep deleted "
             "| awk '{print $11}' | awk -F/ '{print $NF}'")


def inside():
    """Measure in the namespace, as its first process; return the times in seconds."""
    from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import deleted_exe

    processes = []
    try:
        for _number in range(PROCESSES):
            processes.append(subprocess.Popen(["sleep", "infinity"], stdin=subprocess.DEVNULL,
                                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        _wait_until_all_sleep(processes)
        bare_sweep()
        deleted_exe.find()
        bare, ours, old = [], [], []
        for _round in range(ROUNDS):
            bare.append(_seconds(bare_sweep))
            ours.append(_seconds(deleted_exe.find))
        for _round in range(OLD_ROUNDS):
            old.append(_seconds(lambda: subprocess.run(["sh", "-c", OLD_GUIDE], check=False,
                                                       stdout=subprocess.DEVNULL)))
        seen = deleted_exe.find().seen
        if seen < PROCESSES:
            raise SystemExit("only %d of %d processes were seen" % (seen, PROCESSES))
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
    return {"bare": statistics.median(bare), "ours": statistics.median(ours), "old": statistics.median(old),
            "seen": seen}


def bare_sweep():
    """Read the exe link of every process, and nothing else: the least that any such detection does."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                link = os.readlink("/proc/" + name + "/exe")
            except OSError:
                continue
            if link.endswith(" (deleted)"):
                found.append((name, link))
    return found


def _wait_until_all_sleep(processes):
    deadline = time.monotonic() + 60
    waiting = list(processes)
    while waiting:
        # Between fork and exec the link is still Python's.
        waiting = [process for process in waiting if not os.readlink("/proc/%d/exe" % process.pid).endswith("sleep")]
        if waiting and time.monotonic() > deadline:
            raise SystemExit("%d processes did not start" % len(waiting))
        time.sleep(0.1)


def _seconds(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


if __name__ == "__main__":
    print(json.dumps(inside()))
else:
    from registry import Unavailable, benchmark, result

    @benchmark("deleted_exe.vs_sweep", "deleted_exe.vs_old_guide")
    def deleted_exe_detection():
        """Compare the detection with a bare sweep in the same process, in turn, and with the old guide's pipeline."""
        environment = dict(os.environ, PYTHONPATH=str(HERE.parents[1] / "build" / "collections"))
        argv = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child",
                sys.executable, str(HERE / "bench_deleted_exe.py")]
        try:
            done = subprocess.run(argv, check=False, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  universal_newlines=True, timeout=LIMIT_SECONDS)
        except OSError as error:
            raise Unavailable("unshare (package util-linux) does not run: %s" % error)
        if done.returncode != 0:
            raise Unavailable("a PID namespace of its own, which takes root: %s" % done.stderr.strip()[-300:])
        times = json.loads(done.stdout)
        note = "%d processes; ours %.1f ms" % (times["seen"], times["ours"] * 1000)
        return {
            "deleted_exe.vs_sweep": result(
                times["ours"] / times["bare"], "ratio", "a bare readlink of every /proc/PID/exe",
                "%s, bare %.1f ms; medians of %d rounds in turn" % (note, times["bare"] * 1000, ROUNDS)),
            "deleted_exe.vs_old_guide": result(
                times["old"] / times["ours"], "times faster",
                "find /proc/ -name exe | xargs ls -l | grep -v task | grep deleted",
                "%s, pipeline %.2f s (median of %d)" % (note, times["old"], OLD_ROUNDS)),
        }
