# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find processes whose executable is gone or lives in memory only, and judge each.

A bare sweep over the exe links first; only what stands out there is looked at closely. Known limit: a file
system that was unmounted lazily can show a path that exists on the host; only a stat(2) of every
process would tell, which doubles the price of the sweep.
"""

import os
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import deleted_exe_rules
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect.deleted_exe_facts import Facts
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect.deleted_exe_surroundings import (
    Surroundings,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import finding, gap, subject, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_table
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packages import PackageDatabase

# Backing files that the kernel makes up: mm/shmem.c, ipc/shm.c, fs/aio.c, fs/anon_inodes.c.
_ANONYMOUS = re.compile(r"^(?:/dev/zero|/SYSV[0-9a-f]{8}|/anon_hugepage|/\[aio\])(?: \(deleted\))?$|^anon_inode:")

_MOUNTED_OVER = re.compile(rb"^(?:\S+ ){4}/proc/(\d+)(?:/\S*)? ", re.MULTILINE)
_HIDING_PIDS = re.compile(rb"^(?:\S+ ){4}/proc .*hidepid=(?!0\b|off\b)", re.MULTILINE)
_RUN_AS_ROOT = "Run it as root on the host (become)."


class Suspicion:
    """One process that stood out. ``process``: :class:`process_table.Process`; ``facts``:
    :class:`deleted_exe_facts.Facts`; ``rule``: the :class:`deleted_exe_rules.Rule` that judged it."""

    __slots__ = ("process", "facts", "rule")

    def __init__(self, process, facts, rule):
        self.process = process
        self.facts = facts
        self.rule = rule

    @property
    def verdict(self):
        return self.rule.verdict


class Detection:
    """``suspicions``: list of :class:`Suspicion`; ``findings`` about the host itself; ``not_checked``: gaps; ``seen``:
    how many processes were looked at."""

    __slots__ = ("suspicions", "findings", "not_checked", "seen")

    def __init__(self, suspicions, findings, not_checked, seen):
        self.suspicions = suspicions
        self.findings = findings
        self.not_checked = not_checked
        self.seen = seen


def find(proc_root="/proc", host_root="/", packages=PackageDatabase):
    """Return the :class:`Detection` of this host. Reads only.

    :param packages: callable, root directory → :class:`packages.PackageDatabase`; called when something stands out.
    :raises OSError: there is no /proc.
    """
    swept = process_table.sweep(proc_root, lambda link: _stands_out(link, host_root))
    findings, not_checked = _blind_spots(proc_root)
    if swept.denied:
        shown = ", ".join(map(str, swept.denied[:5])) + (", ..." if len(swept.denied) > 5 else "")
        not_checked.append(gap("the executables of %d processes: pid %s" % (len(swept.denied), shown),
                               "they may not be read", _RUN_AS_ROOT))
    suspicions = []
    if swept.suspects:
        surroundings = Surroundings(proc_root, host_root, packages)
        for where, link in swept.suspects:
            try:
                suspicion = _judge(where, link, surroundings)
            except (OSError, ResponseError) as error:
                # What one process brings (a container's database, links in circles) must not hide all the others.
                if process_table.read_link(where, "exe") is not None:
                    not_checked.append(gap("process %d" % _pid_of(where, proc_root),
                                           "it could not be judged: %s" % text(error), "Look at it by hand."))
                continue
            if suspicion is not None:
                suspicions.append(suspicion)
        if any(item.facts.database_was_missing for item in suspicions):
            not_checked.extend(surroundings.database(host_root).gaps())
    return Detection(suspicions, findings, not_checked, swept.seen)


def _stands_out(link, host_root):
    if link.endswith(process_table.DELETED):
        return True
    return not os.path.lexists(link if host_root == "/" else host_root.rstrip("/") + link)


def kind_of(link):
    """Return what an exe link that stands out points to: ``memfd``, ``anonymous``, ``file`` (deleted), ``detached``,
    ``nameless`` (its path is longer than the kernel tells)."""
    if link == process_table.TOO_LONG:
        return "nameless"
    if link.startswith("/memfd:"):
        return "memfd"
    if _ANONYMOUS.match(link):
        return "anonymous"
    return "file" if link.endswith(process_table.DELETED) else "detached"


def _pid_of(where, proc_root):
    return int(where[len(proc_root.rstrip("/")) + 1:].split("/")[0])


def _judge(where, link, surroundings):
    """Return the :class:`Suspicion`, or ``None`` for a process that is gone or that has its file after all."""
    pid = _pid_of(where, surroundings.proc_root)
    process = process_table.read_process(pid, surroundings.proc_root, where)
    if process is None or process.kernel_thread:
        return None
    # Between the sweep and now it may have started another program, or its number may be another's.
    link = process_table.read_link(where, "exe")
    if link is None:
        return None
    facts = Facts(process, link, kind_of(link), surroundings)
    if facts.kind == "detached" and facts.at_path == "same":
        return None  # it has a file tree of its own, and its file lies there
    rule = deleted_exe_rules.decide(facts)
    after = process_table.read_process(pid, surroundings.proc_root, where)
    if after is None or after.start_time != process.start_time or process_table.read_link(where, "exe") != link:
        return None
    return Suspicion(process, facts, rule)


def _blind_spots(proc_root):
    """Return ``(findings, gaps)`` about processes that cannot be seen as they are."""
    mounts = process_table.read_bytes("%s/self/mountinfo" % proc_root, 16 * 1024 * 1024) or b""
    findings = []
    gaps = []
    for number in sorted({int(match) for match in _MOUNTED_OVER.findall(mounts)}):
        findings.append(finding(
            "deleted_exe.masked", "suspicious", "high", subject("process", "pid %d" % number, pid=number),
            "Something is mounted over /proc/%d, which hides the process with this number." % number,
            attack=("T1564.013",)))
        gaps.append(gap("process %d" % number, "something is mounted over its directory in /proc",
                        "Unmount /proc/%d, then run again." % number))
    if os.geteuid() != 0 and _HIDING_PIDS.search(mounts):
        gaps.append(gap("processes of other accounts", "/proc is mounted with hidepid", _RUN_AS_ROOT))
    return findings, gaps


def as_finding(suspicion, details=None):
    """Return the :func:`finding.finding` of a :class:`Suspicion`.

    :param details: further observables, see :func:`details`.
    """
    facts, rule = suspicion.facts, suspicion.rule
    process = suspicion.process
    observables = facts.observables()
    if rule.verdict != "benign":
        observables["sha256"] = facts.sha256
    observables.update(details or {})
    remedy = None
    if rule.verdict in ("malicious", "suspicious"):
        args = {"state": "killed"}
        if rule.verdict != "malicious":
            args.update(processes=[process.identity], kill_verdicts=["malicious", "suspicious"])
        remedy = {"module": "deleted_exe", "args": args}
    about = subject("process", "pid %d" % process.pid, pid=process.pid, start_time=process.start_time,
                    identity=process.identity, comm=text(process.comm), exe=text(facts.link))
    return finding(rule.id, rule.verdict, rule.severity, about, _message(rule, facts), observables, rule.attack, remedy)


def _message(rule, facts):
    wanted = re.findall(r"\{(\w+)\}", rule.message)
    return rule.message.format(**{name: text(getattr(facts, name) or "") for name in wanted})


def details(suspicion, psutil, proc_root="/proc"):
    """Return what psutil tells of a suspect: ``user``, ``cpu_seconds``, ``memory_bytes``, ``threads``, ``children``
    (pids), and ``sockets`` out of its own network namespace."""
    psutil.PROCFS_PATH = proc_root
    told = {"sockets": suspicion.facts.sockets[:100]}
    try:
        process = psutil.Process(suspicion.process.pid)
        with process.oneshot():
            times = process.cpu_times()
            told.update(user=text(process.username()), cpu_seconds=round(times.user + times.system, 2),
                        memory_bytes=process.memory_info().rss, threads=process.num_threads())
        told["children"] = [child.pid for child in process.children(recursive=True)]
    except psutil.Error as error:
        told["incomplete"] = text(error)
    return told
