# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one shape of a finding, an action and a gap, and the outcome that gathers them.

All of them are plain dictionaries of JSON types, so that they cross the wire, the journal
and the report unchanged. Text that came from the host goes through :func:`text` first.
"""

VERDICTS = ("malicious", "suspicious", "weak", "undetermined", "benign")
SEVERITIES = ("critical", "high", "medium", "low", "info")
STATUSES = ("planned", "done", "refused")

MODULE_PREFIX = "ecsops.intrusion_response."


def text(value):
    """Return ``value`` (bytes, str or any object) as str; bytes that are not UTF-8 show as ``\\xNN``."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    # Paths that came from os.listdir() carry undecodable bytes as lone surrogates, which JSON
    # encoders on the way to the controller refuse.
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def subject(kind, name, **attributes):
    """Return what a finding or action is about.

    :param kind: ``process``, ``file``, ``account``, ``key``, ``service``, ``site``, ``domain``, ``host``.
    :param name: what identifies it to a human: path, account name, ``redis:6379``, ``pid 123``.
    :param attributes: further JSON values, for example ``pid=123, start_time=...``.
    """
    result = {"type": kind, "name": text(name)}
    result.update(attributes)
    return result


def finding(rule, verdict, severity, about, message, observables=None, attack=(), remedy=None):
    """Return a finding.

    :param rule: stable id ``detector.rule``, for example ``deleted_exe.unowned``.
    :param verdict: one of :data:`VERDICTS`; ``undetermined`` is never a pass.
    :param severity: one of :data:`SEVERITIES`.
    :param about: a :func:`subject`.
    :param message: one sentence for the operator.
    :param observables: dict of the facts on which the verdict rests.
    :param attack: MITRE ATT&CK technique ids.
    :param remedy: ``{"module": short name, "args": {...}}`` that would mend it, or ``None``.
    """
    if verdict not in VERDICTS or severity not in SEVERITIES:
        raise ValueError("unknown verdict or severity: %s, %s" % (verdict, severity))
    return {
        "rule": rule,
        "verdict": verdict,
        "severity": severity,
        "subject": about,
        "message": message,
        "observables": observables or {},
        "attack": list(attack),
        "remedy": _qualified(remedy),
    }


def action(rule, about, message, status="planned", undo=None, evidence=(), diff=None):
    """Return an action: one change to the host, planned, done or refused.

    :param rule: stable id ``responder.step``, for example ``quarantine.move``.
    :param undo: ``{"module": short name, "args": {...}}`` that takes it back, or ``None`` when nothing can.
    :param evidence: names (as in :meth:`Outcome.add_evidence`) of the evidence sealed for it.
    :param diff: Ansible diff dict (``before``, ``after``, ``before_header``, ``after_header``) or ``None``.
    """
    if status not in STATUSES:
        raise ValueError("unknown status: %s" % (status,))
    return {
        "rule": rule,
        "subject": about,
        "message": message,
        "status": status,
        "undo": _qualified(undo),
        "evidence": list(evidence),
        "diff": diff,
    }


def gap(what, reason, hint=None):
    """Return something that was *not checked*: what, why, and what would make it possible."""
    return {"what": text(what), "reason": text(reason), "hint": hint}


def _qualified(call):
    if call is None:
        return None
    module = call["module"]
    if not module.startswith(MODULE_PREFIX):
        module = MODULE_PREFIX + module
    return {"module": module, "args": call.get("args", {})}


class Outcome:
    """What one module call found, did and could not look at."""

    def __init__(self):
        self.findings = []
        self.actions = []
        self.not_checked = []
        self.evidence = []
        self.extra = {}

    def add_evidence(self, name, path, size, sha256, known=False):
        """Name a file on the host which the controller shall fetch, check and seal.

        :param name: relative name under the host's evidence folder, ``deleted_exe/123-456/exe``.
        :param path: where it lies on the host (absolute).
        :param size: bytes. :param sha256: hex digest of the whole file.
        :param known: an earlier call has named it already: the controller most likely has it.
        """
        self.evidence.append({"name": name, "path": text(path), "size": size, "sha256": sha256, "known": known})

    def merge(self, other):
        """Take over everything from another outcome."""
        self.findings.extend(other.findings)
        self.actions.extend(other.actions)
        self.not_checked.extend(other.not_checked)
        self.evidence.extend(other.evidence)
        self.extra.update(other.extra)

    @property
    def changed(self):
        return any(item["status"] in ("planned", "done") for item in self.actions)

    def summary(self):
        """Return the number of findings by verdict, of actions by status, and of gaps."""
        counts = dict.fromkeys(VERDICTS, 0)
        for item in self.findings:
            counts[item["verdict"]] += 1
        for status in STATUSES:
            counts[status] = sum(1 for item in self.actions if item["status"] == status)
        counts["not_checked"] = len(self.not_checked)
        return counts

    def as_result(self):
        """Return the contract of every module: a dict for ``exit_json``."""
        result = dict(self.extra)
        result.update(
            changed=self.changed,
            findings=self.findings,
            actions=self.actions,
            not_checked=self.not_checked,
            evidence=self.evidence,
            summary=self.summary(),
        )
        return result
