# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole incident as one JSON value: what ``report.json`` holds and ``report.html`` shows."""

import json
import re
import shlex

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import MODULE_PREFIX
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.host_state import (
    count,
    host_state,
)

SCHEMA_VERSION = 1

QUARANTINE = MODULE_PREFIX + "quarantine"
UNDO_PLAYBOOK = MODULE_PREFIX + "undo"

# The hosts that need somebody come first.
STATUS_ORDER = ("not_checked", "needs_attention", "incomplete", "cleaned", "clean")


def build_report(header, journals, title):
    """Return the report as JSON values. The same journals give the same report: nothing in it is of now.

    :param header: content of ``incident.json``. :param journals: list of ``HostJournal``.
    """
    hosts = [host_state(journal) for journal in journals]
    for host in hosts:
        _add_undo_commands(host, str(header["id"]))
    times = sorted(str(row["time"]) for host in hosts for row in host["timeline"] if row["time"])
    hosts.sort(key=lambda host: (STATUS_ORDER.index(host["status"]), host["host"]))
    broken = [host["host"] for host in hosts if not host["chain"]["intact"]]
    return {
        "schema_version": SCHEMA_VERSION,
        "title": title,
        "incident": header,
        "first_entry": times[0] if times else None,
        "last_entry": times[-1] if times else None,
        "chain": {
            "intact": not broken,
            "broken_hosts": broken,
            "entries": sum(host["chain"]["entries"] for host in hosts),
        },
        "statuses": {status: sum(1 for host in hosts if host["status"] == status) for status in STATUS_ORDER},
        "counts": _sum_counts(hosts),
        "hosts": hosts,
    }


def undo_commands(incident, host, undo):
    """Return the command lines that take one action back, ready to be pasted into a POSIX shell.

    :param undo: ``{"module", "args"}``. What a hostile name would do to the shell or the terminal is
        quoted, or written as JSON escapes.
    """
    if not isinstance(undo, dict) or not isinstance(undo.get("args", {}), dict):
        return []
    module, args = str(undo.get("module")), dict(undo.get("args") or {})
    base = ["-e", "intrusion_response_incident=%s" % incident]
    if module == QUARANTINE and set(args) <= {"state", "item", "incident"} and _is_plain(args.get("item")) \
            and args.get("state") == "restored" and _is_plain(host):
        item = "undo_item=%s" % args["item"]
        return [_shell(["ansible-playbook", UNDO_PLAYBOOK, "--limit", host, *base, "-e", item])]
    return [_shell(["ansible", host, "--become", "-m", module, "-a", json.dumps(args, sort_keys=True), *base])]


def _add_undo_commands(host, incident):
    for action in host["actions"]:
        action["undo_commands"] = []
        if action["status"] == "done" and not action["undone"]:
            action["undo_commands"] = undo_commands(incident, host["host"], action.get("undo"))
    files = any(action["undo_commands"] and str((action.get("undo") or {}).get("module")) == QUARANTINE
                for action in host["actions"])
    host["undo_all_command"] = _shell([
        "ansible-playbook", UNDO_PLAYBOOK, "--limit", host["host"], "-e",
        "intrusion_response_incident=%s" % incident]) if files else None


def _is_plain(value):
    return isinstance(value, str) and re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z", value) is not None


def _shell(argv):
    return " ".join(shlex.quote(word) for word in argv)


def _sum_counts(hosts):
    total = count([], [], [])
    for host in hosts:
        for key, value in host["counts"].items():
            total[key] += value
    return total
