# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of the whole site costs on a host where there is nothing to do.

The floor is Ansible itself: a playbook that makes as many round trips with the smallest module there is.
"""

import json
import os
import pathlib
import stat
import statistics
import subprocess
import sys
import time

from registry import benchmark, result

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "range"))

from practice import controller, intrusion  # noqa: E402 - the range is a folder of the tests, on no path
from practice.hosts import HostSet, operator_public_key  # noqa: E402 - as above

PAIRS = 3


@benchmark("site.clean_vs_ping", "site.round_trips")
def clean_site():
    """Run site on a clean host and as many pings as it makes round trips, in turn."""
    controller.ensure()
    hosts = HostSet("benchmark")
    try:
        intrusion.stage(hosts, "clean", "clean")
        site = _command(hosts, "ecsops.intrusion_response.site")
        # The first run takes the snapshot; what is measured is a host in its normal state.
        _seconds(site, hosts)
        calls = hosts.folder / "ssh-calls"
        _seconds([*site, "-e", "ansible_ssh_executable=%s" % _counting_ssh(hosts.folder, calls)], hosts)
        round_trips = len(calls.read_text(encoding="ascii").splitlines())
        ping = _command(hosts, str(_ping_playbook(hosts.folder, round_trips)))
        _seconds(ping, hosts)
        site_times, ping_times = [], []
        for _pair in range(PAIRS):
            site_times.append(_seconds(site, hosts))
            ping_times.append(_seconds(ping, hosts))
    finally:
        hosts.destroy()
    ratio = statistics.median(ours / floor for ours, floor in zip(site_times, ping_times))
    note = "site %.2f s, %d pings %.2f s (medians of %d pairs)" % (
        statistics.median(site_times), round_trips, statistics.median(ping_times), PAIRS)
    return {
        "site.clean_vs_ping": result(ratio, "ratio (less is better)",
                                     "a playbook with as many ping tasks as site makes round trips", note),
        "site.round_trips": result(round_trips, "commands over SSH", "limit of 20 for the whole site on a clean host",
                                   "second run, pipelining"),
    }


def _command(hosts, playbook):
    variables = {
        "intrusion_response_incidents_dir": str(hosts.folder / "incidents"),
        "intrusion_response_allowed_keys": [operator_public_key().strip()],
        "intrusion_response_incident": "benchmark",
    }
    program = ROOT / ".venv" / "bin" / "ansible-playbook"
    return [str(program), "-i", str(hosts.inventory), playbook, "-e", json.dumps(variables)]


def _seconds(argv, hosts):
    environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(ROOT / "build" / "collections"), ANSIBLE_PIPELINING="1")
    begin = time.perf_counter()
    done = subprocess.run(argv, cwd=str(ROOT), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, check=False)
    duration = time.perf_counter() - begin
    if done.returncode != 0:
        raise RuntimeError("%s failed:\n%s" % (argv[3], done.stdout.decode("utf-8", "replace")[-3000:]))
    return duration


def _counting_ssh(folder, log):
    """Write an ssh that notes each command it carries; the multiplexer's own calls (-O) are none."""
    path = folder / "counting-ssh"
    script = '#!/bin/sh\ncase " $* " in *" -O "*) ;; *) echo call >> "%s" ;; esac\nexec ssh "$@"\n' % log
    path.write_text(script, encoding="ascii")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _ping_playbook(folder, times):
    path = folder / "ping.yml"
    tasks = "".join("    - ansible.builtin.ping:\n" for _task in range(times))
    path.write_text("- hosts: all\n  gather_facts: false\n  become: true\n  tasks:\n%s" % tasks, encoding="ascii")
    return path
