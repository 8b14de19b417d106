# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How what is done to processes is told."""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import action, subject, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_table


def action_on(state, member, status, evidence=(), helpers=()):
    """Return the :func:`finding.action` on a :class:`process_closure.Member`.

    :param state: what it is brought to. :param helpers: members that are told with it.
    """
    done = {"frozen": "Stopped", "killed": "Ended", "resumed": "Let run again"}
    planned = {"frozen": "Stop", "killed": "End", "resumed": "Let run again"}
    process = member.process
    message = "%s process %d (%s): %s." % (
        (done if status == "done" else planned)[state], process.pid, text(member.program or process.comm), member.why)
    if helpers:
        message += " With it what it had started: %s." % ", ".join(
            "%d (%s)" % (helper.process.pid, text(helper.process.comm)) for helper in helpers)
    identities = [process.identity] + [helper.process.identity for helper in helpers]
    undo = {"frozen": {"module": "deleted_exe", "args": {"state": "resumed", "processes": identities}},
            "resumed": {"module": "deleted_exe", "args": {"state": "frozen", "processes": identities}}}.get(state)
    return action("process.%s" % state, process_subject(process, member.exe), message, status, undo, evidence)


def refusals(plan):
    """Return the actions that a :class:`process_control.Plan` refuses."""
    return [action("process.%s" % plan.state,
                   process_subject(process, process_table.read_link(process.where, "exe") or ""),
                   "Process %d is left alone: %s." % (process.pid, why), "refused")
            for process, why in plan.refused]


def with_helpers(members):
    """Return ``[(member, [helpers])]``: programs of packages are told with the member from which they descend.

    A watchdog in a shell loop starts a sleep every second: by itself it is no news, and gone before it is read.
    """
    told = {pid: [] for pid, member in members.items() if not member.helper}
    alone = []
    for member in members.values():
        if not member.helper:
            continue
        above = member.process.ppid
        while above in members and members[above].helper:
            above = members[above].process.ppid
        if above in told:
            told[above].append(member)
        else:
            alone.append(member)
    return [(members[pid], helpers) for pid, helpers in told.items()] + [(member, []) for member in alone]


def process_subject(process, exe):
    """Return the :func:`finding.subject` of a process; ``exe``: its link."""
    return subject("process", "pid %d" % process.pid, pid=process.pid, start_time=process.start_time,
                   comm=text(process.comm), exe=text(exe))
