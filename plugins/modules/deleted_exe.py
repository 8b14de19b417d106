#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
---
module: deleted_exe
short_description: Find, freeze or kill processes whose executable is gone
version_added: 0.1.0
description:
  - Finds processes that run from a deleted file or from memory only, also those in containers and chroots.
  - Judges each by what is known of it (link count, what lies at its path now, packages and when they were upgraded, the
    bytes that run, container runtimes' copies of themselves, the place it ran from), not by the name of the link.
  - Upgrades are explained, with the service to restart. What cannot be told is reported, and not touched.
  - Freezes or kills the malicious ones together with their children and with what would revive them, after their
    evidence has been written to disk.
  - Never touches PID 1, itself, the processes through which the operator is connected, or kernel threads.
options:
  state:
    description:
      - V(reported) changes nothing.
      - V(frozen) stops the processes; V(resumed) lets those run again that were stopped in this incident.
      - V(killed) stops them, looks again until nothing new shows, writes the evidence, and kills them all.
    type: str
    choices: [reported, frozen, killed, resumed]
    default: reported
  kill_verdicts:
    description: Processes with these verdicts are frozen or killed.
    type: list
    elements: str
    choices: [malicious, suspicious, undetermined]
    default: [malicious]
  processes:
    description:
      - Freeze, kill or resume only these of the processes found, each as C(pid-start_time), the RV(findings)'
        C(subject.identity).
      - By default all.
    type: list
    elements: str
  max_processes:
    description: Refuse to touch any process when more than this many would have to be.
    type: int
    default: 20
extends_documentation_fragment:
  - ecsops.intrusion_response.incident
  - ecsops.intrusion_response.quarantine
seealso:
  - module: ecsops.intrusion_response.malware_artifact
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Look only
  ecsops.intrusion_response.deleted_exe:

- name: Kill the malicious ones
  ecsops.intrusion_response.deleted_exe:
    state: killed

- name: Kill one that was only suspicious, after a look at its evidence
  ecsops.intrusion_response.deleted_exe:
    state: killed
    processes: [4711-88231]
    kill_verdicts: [malicious, suspicious]

- name: Let run again what was frozen
  ecsops.intrusion_response.deleted_exe:
    state: resumed
"""

RETURN = r"""
findings:
  description:
    - One for each process whose executable is gone or in memory only, explained ones included.
    - C(observables) has the facts of the verdict; for suspects also sockets, account, children.
  returned: success
  type: list
  elements: dict
actions:
  description: Processes stopped, killed or resumed (in check mode, that would be), and those left alone on purpose.
  returned: success
  type: list
  elements: dict
not_checked:
  description: Processes that could not be looked at, or did not obey.
  returned: success
  type: list
  elements: dict
evidence:
  description: Files written for each process before it was stopped for good, among them its whole executable.
  returned: success
  type: list
  elements: dict
processes_seen:
  description: Number of processes whose executable was looked at.
  returned: when O(state) is not V(resumed)
  type: int
  sample: 214
summary:
  description: Number of findings by verdict, of actions by status, and of gaps.
  returned: success
  type: dict
"""

import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import deleted_exe
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import Outcome, gap
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_table
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packages import PackageDatabase
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.incident_module import run_module
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.process_control import (
    DEFAULT_MAX_PROCESSES,
    DEFAULT_ROOT,
    ProcessControl,
)


def work(params, context, proc_root="/proc", host_root="/", packages=PackageDatabase):
    """Return the Outcome; see the documentation above."""
    outcome = Outcome()
    chosen = params["processes"]
    for identity in chosen or ():
        if not re.match(r"^\d+-\d+$", identity):
            raise ResponseError("'%s' in 'processes' names none: write pid-start_time, as 4711-88231." % identity,
                                "Take it from the findings (subject.identity) of an earlier run.")
    databases = {}

    def database(root):
        if root not in databases:
            databases[root] = packages(root)
        return databases[root]

    def new_control():
        return ProcessControl(context.incident, "deleted_exe", database(host_root), params["quarantine_root"],
                              params["max_processes"], proc_root, host_root)

    if params["state"] == "resumed":
        control = new_control()
        frozen = control.find_frozen(chosen)
        _carry_out(control, frozen, "resumed", context, outcome)
        outcome.not_checked.extend(_not_resumed(chosen or (), frozen, proc_root))
        return outcome

    detection = deleted_exe.find(proc_root, host_root, database)
    # Asked for before anything is changed: a host without it is called again. Explained processes do not need it.
    unexplained = [item for item in detection.suspicions if item.verdict in ("malicious", "suspicious")]
    psutil = context.psutil() if unexplained else None
    for item in detection.suspicions:
        known = deleted_exe.details(item, psutil, proc_root) if item in unexplained else None
        outcome.findings.append(deleted_exe.as_finding(item, known))
    outcome.findings.extend(detection.findings)
    outcome.not_checked.extend(detection.not_checked)
    outcome.extra["processes_seen"] = detection.seen
    if params["state"] == "reported":
        return outcome

    wanted = [item.process for item in detection.suspicions
              if item.verdict in params["kill_verdicts"] and (not chosen or item.process.identity in chosen)]
    for identity in sorted(set(chosen or ()) - {process.identity for process in wanted}):
        outcome.not_checked.append(gap(
            "process %s" % identity, "this run did not find it with a verdict among kill_verdicts",
            "It has ended, or its verdict is another; look at the findings."))
    if wanted:
        _carry_out(new_control(), wanted, params["state"], context, outcome)
    return outcome


def _not_resumed(chosen, frozen, proc_root):
    """Tell which of the chosen processes cannot be resumed; those that run already are as they should be."""
    for identity in sorted(set(chosen) - {process.identity for process in frozen}):
        process = process_table.read_process(int(identity.split("-")[0]), proc_root)
        if process is None or process.identity != identity or process.dead:
            yield gap("process %s" % identity, "it has ended and cannot be resumed")
        elif process.stopped:
            yield gap("process %s" % identity, "it stands still, but was not stopped in this incident",
                      "Name the incident in which it was (variable intrusion_response_incident).")


def _carry_out(control, processes, state, context, outcome):
    plan = control.decide(processes, state)
    if context.check_mode:
        outcome.actions.extend(control.planned_actions(plan))
    else:
        control.apply(plan, outcome)


def main():
    run_module(dict(
        state=dict(type="str", choices=["reported", "frozen", "killed", "resumed"], default="reported"),
        kill_verdicts=dict(type="list", elements="str", choices=["malicious", "suspicious", "undetermined"],
                           default=["malicious"]),
        processes=dict(type="list", elements="str"),
        max_processes=dict(type="int", default=DEFAULT_MAX_PROCESSES),
        quarantine_root=dict(type="path", default=DEFAULT_ROOT),
    ), work)


if __name__ == "__main__":
    main()
