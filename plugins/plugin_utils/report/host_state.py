# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a host's journal to where the host stands now.

The journal tells everything that was ever seen and done; the operator needs the state after it. So of
each finding (rule and subject) the latest word counts, and a finding is settled only

* ``resolved``: something was done about its subject, and where its module looked again it found it no more;
* ``gone``: its module looked again at the same things and found it no more, though nothing was done.

What was undone is open again. What could not be looked at again stays as it was.
"""

import json

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import MODULE_PREFIX, STATUSES

# In the order in which the site runs them.
PHASES = ("snapshot", "triage", "contain", "cleanup", "antivirus", "hardening", "waf_dns", "undo", "report")

# Verdicts that ask for the operator's attention while they are open, the worst first.
OPEN_VERDICTS = ("malicious", "suspicious", "weak", "undetermined")

# They prepare or document, and say nothing about the host's health.
_FRAME_MODULES = ("preflight", "incident_record", "host_archive", "quarantine", "evidence_slice")

# They look from outside and say nothing about what is on the host.
_REMOTE_MODULES = ("waf_dns_info",)

# States whose actions hold something still and do not mend it.
_PROVISIONAL_STATES = ("frozen", "reported")

# Options that do not change what a module looks at.
_NOT_SCOPE = ("state", "max_processes", "max_files", "max_bytes", "reinstall", "quarantine_root", "incident", "timeout",
              "password", "old_passwords", "rotate_password", "restored_tools", "kill_verdicts")


# The parts of a row that the report relies on, with what stands for a missing or broken one. A row came from a host,
# which may be in the intruder's hands: one host shall not cost the others their report.
_SHAPES = {
    "findings": {"rule": "unnamed", "verdict": "undetermined", "severity": "high",
                 "message": "It came without a message.",
                 "subject": {}, "observables": {}, "attack": [], "remedy": None},
    "actions": {"rule": "unnamed", "message": "It came without a message.", "status": "refused", "subject": {},
                "undo": None},
    "not_checked": {"what": "something unnamed", "reason": "none was given", "hint": None},
    "evidence": {"name": "unnamed", "size": None, "sha256": None, "sealed": None},
}


def _whole(row, shape):
    """Return a row with all its parts, each of the type that the report can show."""
    result = dict(row)
    for key, default in shape.items():
        value = row.get(key)
        if default is None:
            fits = value is None or isinstance(value, dict if key in ("remedy", "undo") else (str, int))
        else:
            fits = isinstance(value, type(default))
        result[key] = value if fits else default
    if "attack" in shape:
        result["attack"] = [str(item) for item in result["attack"]]
    if "status" in shape and result["status"] not in STATUSES:
        result["status"] = "refused"
    for key in ("remedy", "undo"):
        if isinstance(result.get(key), dict):
            args = result[key].get("args")
            result[key] = dict(result[key], module=str(result[key].get("module")),
                               args=args if isinstance(args, dict) else {})
    return result


class _Run:
    """One journal entry with what the state needs of it."""

    def __init__(self, entry):
        self.entry = entry
        self._rows = {}
        self.seq = entry.get("seq", 0)
        self.module = short_name(str(entry.get("module") or ""))
        self.args = entry.get("args") if isinstance(entry.get("args"), dict) else {}
        self.phase = str(entry["phase"]) if entry.get("phase") else None
        self.check_mode = bool(entry.get("check_mode"))
        self.failed = bool(entry.get("failed") or entry.get("unreachable"))
        self.scope = json.dumps({key: value for key, value in self.args.items()
                                 if key not in _NOT_SCOPE and value is not None}, sort_keys=True)

    def rows(self, key):
        """Return a list of whole rows from the entry, whatever a hostile host or a damaged journal put there."""
        if key not in self._rows:
            value = self.entry.get(key)
            self._rows[key] = [_whole(row, _SHAPES[key]) for row in value if isinstance(row, dict)] \
                if isinstance(value, list) else []
        return self._rows[key]


def short_name(module):
    """Return a module's name without the collection's."""
    return module[len(MODULE_PREFIX):] if module.startswith(MODULE_PREFIX) else module


def identity(row):
    """Return what a finding or action is about, as a tuple to compare."""
    about = row.get("subject")
    if not isinstance(about, dict):
        return ("", "")
    return (str(about.get("type")), str(about.get("name")))


def host_state(journal):
    """Return the state of one host as JSON values.

    :param journal: ``incident_folder.HostJournal``.
    :returns: dict with ``host``, ``status`` (``not_checked``, ``needs_attention``, ``incomplete``,
        ``cleaned``, ``clean``), ``status_text``, ``reasons``, ``chain``, ``counts``, ``phases``, ``findings``,
        ``actions``, ``not_checked``, ``evidence``, ``failures`` and ``timeline``.
    """
    runs = [_Run(entry) for entry in journal.entries]
    actions = _actions(runs)
    findings = _findings(runs, actions)
    failures = _failures(runs)
    gaps = _gaps(runs)
    state = {
        "host": journal.host,
        "chain": {
            "intact": not journal.problems,
            "problems": journal.problems,
            "entries": len(runs),
            "newest_hash": runs[-1].entry["hash"] if runs else None,
        },
        "phases": _phases_done(runs),
        "findings": findings,
        "actions": actions,
        "not_checked": gaps,
        "evidence": _evidence(runs),
        "failures": failures,
        "timeline": [_timeline_row(run) for run in runs],
        "counts": count(findings, actions, gaps),
    }
    state["status"], state["reasons"] = _status(runs, state)
    state["status_text"] = _status_text(state)
    return state


def _findings(runs, actions):
    """Return the findings, each once, with what has become of them (``state``, ``state_text``, ``looked_again``)."""
    latest = {}
    for run in runs:
        for row in run.rows("findings"):
            key = (str(row.get("rule")),) + identity(row)
            known = latest.get(key)
            latest[key] = {
                "row": row, "run": run,
                "first": known["first"] if known else run,
                "plan": run.check_mode and (known is None or known["plan"]),
            }
    result = []
    for key, found in latest.items():
        run = found["run"]
        state, why, again = _state_of(key[1:], found, runs, actions)
        row = dict(found["row"])
        if row.get("verdict") not in OPEN_VERDICTS + ("benign",):
            row["verdict"] = "undetermined"
        result.append(dict(
            row, state=state, state_text=why, looked_again=again, module=run.module,
            # Where it was found first: that is where the reader looks for it.
            phase=found["first"].phase, first_seen=found["first"].entry.get("time"),
            last_seen=run.entry.get("time"), plan=found["plan"]))
    return result


def _state_of(about, found, runs, actions):
    """Return ``(state, sentence, whether somebody looked again)``.

    The state is ``open``, ``resolved``, ``gone``, or ``info`` for what was benign all along.
    """
    run, row = found["run"], found["row"]
    if row.get("verdict") == "benign":
        return "info", None, False
    later = [other for other in runs
             if other.seq > run.seq and other.module == run.module and not other.failed]
    # Another verdict on the same subject by the same module replaces this one.
    looked_again = [other for other in later if other.scope == run.scope
                    or any(identity(again) == about for again in other.rows("findings"))]
    # What it could not look at again is not gone. A word on the very subject is a look, whatever else of it stays
    # unknown.
    looked_again = [other for other in looked_again
                    if any(identity(again) == about for again in other.rows("findings"))
                    or not any(about[1] in str(gap.get("what")) for gap in other.rows("not_checked"))]
    final = [action for action in actions
             if action["final"] and action["status"] == "done" and action["seq"] >= run.seq]
    done = [action for action in final if identity(action) == about]
    if done and done[-1]["undone"]:
        return "open", "It was dealt with, and that was undone.", False
    if done and looked_again:
        return "resolved", "It was dealt with, and a later look found it no more.", True
    if any(_mends(action, row) for action in done):
        return "resolved", "It was dealt with; nobody has looked again since.", False
    if looked_again and any(action["module"] == run.module and not action["undone"] for action in final):
        return "resolved", "Its module acted, and a later look found it no more.", True
    if looked_again:
        return "gone", "A later look found it no more, though nothing was done about it here.", True
    return "open", None, False


def _mends(action, row):
    """Whether an action is by the very module which the finding names as its remedy.

    A look would tell for sure; until then, what no module mends is not taken for mended because something else about
    the same subject was.
    """
    remedy = row.get("remedy")
    return isinstance(remedy, dict) and short_name(str(remedy.get("module"))) == action["module"]


def _actions(runs):
    """Return done, refused and planned actions with ``seq``, ``time``, ``phase``, ``module``, ``final``, ``undone``.

    A plan is left out once its module has really run, a refusal once a later run of its module did not repeat it.
    """
    result = []
    for run in runs:
        later = [other for other in runs if other.seq > run.seq and other.module == run.module and not other.failed]
        for row in run.rows("actions"):
            status = row.get("status")
            if status == "planned" and any(not other.check_mode or other.args.get("state") == run.args.get("state")
                                           for other in later):
                continue
            if status == "refused" and any(other.args.get("state") == run.args.get("state") for other in later):
                continue
            # Neither a stop nor the return of a file mends anything.
            final = run.args.get("state") not in _PROVISIONAL_STATES and run.module != "quarantine"
            result.append(dict(row, seq=run.seq, time=run.entry.get("time"), phase=run.phase,
                               module=run.module, final=final, undone=False))
    for action in result:
        action["undone"] = _was_undone(action, runs)
    return result


def _was_undone(action, runs):
    """Whether a later call took the action back: its undo call was made, alone or for the whole incident."""
    undo = action.get("undo")
    if action.get("status") != "done" or not isinstance(undo, dict):
        return False
    wanted = undo.get("args") if isinstance(undo.get("args"), dict) else {}
    for run in runs:
        if run.seq <= action["seq"] or run.check_mode or run.module != short_name(str(undo.get("module"))):
            continue
        if run.args.get("state") != wanted.get("state"):
            continue
        done = [row for row in run.rows("actions") if row.get("status") == "done"]
        if any(identity(row) == identity(action) for row in done):
            return True
        named = {key: value for key, value in wanted.items() if key != "incident"}
        if done and not run.failed and all(run.args.get(key) == value for key, value in named.items()):
            return True
    return False


def _gaps(runs):
    """Return what nobody has looked at since: of each module and scope the word of its latest run."""
    latest = {(run.module, run.scope): run for run in runs if not run.failed}
    failing = _open_failures(runs)
    result, known = [], set()
    for run in runs:
        if run.module == "incident_record":
            # Its gaps are told by hand. Those of a failure hold as long as the failure does.
            current = run in failing if run.failed else _last_of_its_kind(run, runs)
        else:
            current = run in failing or latest.get((run.module, run.scope)) is run
        for row in run.rows("not_checked") if current else ():
            key = (str(row.get("what")), str(row.get("reason")))
            if key not in known:
                known.add(key)
                result.append(dict(row, module=run.module, phase=run.phase, time=run.entry.get("time")))
    return result


def _last_of_its_kind(run, runs):
    """Whether no later step of the phase was done for real: then the remark that it was left out is outdated."""
    phase = run.phase
    return phase is None or not any(
        other.seq > run.seq and other.phase == phase and other.module != "incident_record"
        and not other.failed for other in runs)


def _open_failures(runs):
    """Return the failed runs that no later run has made good."""
    segments = _segments(runs)
    return [run for run in runs if run.failed and not (
        _run_completed_later(run, segments) if run.module == "incident_record" else _succeeded_later(run, runs))]


def _failures(runs):
    """Return the open failures for the reader: a step that failed is told once, not again by its rescue."""
    failing = _open_failures(runs)
    steps = [run for run in failing if run.module != "incident_record"]
    told = [run for run in failing if run in steps or not any(
        step in segment for segment in _segments(runs) if run in segment for step in steps)]
    return [{
        "seq": run.seq, "time": run.entry.get("time"), "phase": run.phase, "module": run.module,
        "task": run.entry.get("task"), "unreachable": bool(run.entry.get("unreachable")),
        "message": run.entry.get("msg") or "It failed without a message.",
    } for run in told]


def _succeeded_later(run, runs):
    return any(other.seq > run.seq and other.module == run.module and not other.failed
               and _same_step(run, other) and (run.check_mode or not other.check_mode)
               for other in runs)


def _same_step(run, other):
    if not run.args:
        # A module that crashed, or whose connection was lost, has told no arguments.
        return other.phase == run.phase
    return other.args.get("state") == run.args.get("state")


def _segments(runs):
    """Return the runs of the playbook: each begins with the preflight."""
    segments = []
    for run in runs:
        if run.module == "preflight" or not segments:
            segments.append([])
        segments[-1].append(run)
    return segments


def _run_completed_later(run, segments):
    """Whether a later playbook run got through the phase that failed, and beyond it unless it was the last."""
    index = next(number for number, segment in enumerate(segments) if run in segment)
    before = [other for other in segments[index] if other.seq < run.seq and other.failed]
    phase = before[-1].phase if before else None
    for segment in segments[index + 1:]:
        phases = {other.phase for other in segment}
        if any(other.failed for other in segment):
            continue
        if phase is None:
            if phases & set(PHASES):
                return True
        elif phase in phases and (phase not in PHASES or PHASES.index(phase) >= PHASES.index("waf_dns") or any(
                other in phases for other in PHASES[PHASES.index(phase) + 1:])):
            return True
    return False


def _evidence(runs):
    """Return the evidence files, each once, the latest word on each."""
    found = {}
    for run in runs:
        for row in run.rows("evidence"):
            found[(str(row.get("name")), str(row.get("sha256")))] = dict(row, phase=run.phase,
                                                                         module=run.module)
    return [found[key] for key in sorted(found)]


def _phases_done(runs):
    seen = {run.phase for run in runs if run.phase and not run.failed}
    order = {name: index for index, name in enumerate(PHASES)}
    return sorted(seen, key=lambda name: (order.get(name, len(order)), name))


def _timeline_row(run):
    entry = run.entry
    result = "unreachable" if entry.get("unreachable") else "failed" if run.failed else (
        "changed" if entry.get("changed") else "ok")
    row = {key: entry.get(key) for key in ("seq", "time", "phase", "task", "duration", "check_mode", "msg", "hash")}
    row.update(module=run.module, result=result, findings=len(run.rows("findings")), actions=len(run.rows("actions")))
    return row


def count(findings, actions, gaps):
    """Return the number of open findings by verdict, of settled ones, of actions by status, and of gaps."""
    counts = {verdict: sum(1 for row in findings if row.get("verdict") == verdict and row["state"] == "open")
              for verdict in OPEN_VERDICTS}
    counts["benign"] = sum(1 for row in findings if row["state"] == "info")
    counts["resolved"] = sum(1 for row in findings if row["state"] == "resolved")
    counts["gone"] = sum(1 for row in findings if row["state"] == "gone")
    counts["done"] = sum(1 for row in actions if row["status"] == "done" and not row["undone"])
    counts["undone"] = sum(1 for row in actions if row["undone"])
    counts["refused"] = sum(1 for row in actions if row["status"] == "refused")
    counts["planned"] = sum(1 for row in actions if row["status"] == "planned")
    counts["not_checked"] = len(gaps)
    return counts


def _status(runs, state):
    """Return the status of the host and the reasons for it, in words."""
    counts = state["counts"]
    reasons = []
    if not state["chain"]["intact"]:
        reasons.append("its journal is damaged or was changed")
    if any(failure["unreachable"] or failure["module"] == "preflight" for failure in state["failures"]):
        reasons.append("it could not be reached or worked on")
    elif state["failures"]:
        reasons.append("a step failed")
    if not any(run.module not in _FRAME_MODULES and not run.failed for run in runs):
        return "not_checked", reasons + ["no detector ran through"]
    for verdict in OPEN_VERDICTS:
        if counts[verdict]:
            reasons.append("%d %s" % (counts[verdict], verdict))
    if counts["refused"]:
        reasons.append("%d refused" % counts["refused"])
    if counts["planned"]:
        reasons.append("%d planned, not done" % counts["planned"])
    if counts["undone"]:
        reasons.append("%d undone" % counts["undone"])
    if reasons:
        return "needs_attention", reasons
    unproven = sum(1 for row in state["findings"] if row["state"] == "resolved" and not row["looked_again"])
    if unproven:
        reasons.append("%d dealt with and not looked at again" % unproven)
    if not any(run.module not in _FRAME_MODULES + _REMOTE_MODULES and not run.failed for run in runs):
        return "incomplete", ["the host itself was not looked at", *reasons]
    if counts["not_checked"]:
        return "incomplete", reasons + ["%d not checked" % counts["not_checked"]]
    return ("cleaned" if counts["done"] or counts["resolved"] else "clean"), reasons


def _status_text(state):
    done = state["counts"]["done"] or state["counts"]["resolved"]
    return {
        "not_checked": "Not checked",
        "needs_attention": "Needs attention",
        "incomplete": "Cleaned as far as checked" if done else "Nothing found as far as checked",
        "cleaned": "Cleaned",
        "clean": "Nothing found",
    }[state["status"]]
