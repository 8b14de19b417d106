# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as one HTML page that needs nothing else: no script, no request, a strict policy."""

import base64
import hashlib
import re

import jinja2
import markupsafe

from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.host_state import OPEN_VERDICTS, PHASES
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.style import STYLE
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.template import TEMPLATE
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.visible import pieces

# Hosts whose section stands open from the start, when there are no more than that.
_OPEN_AT_MOST = 3

_STATUSES = (
    ("not_checked", "not checked", "bad"),
    ("needs_attention", "needing attention", "bad"),
    ("incomplete", "fine as far as checked", "warn"),
    ("cleaned", "cleaned", "good"),
    ("clean", "with nothing found", "good"),
)
_STATUS_TONES = {status: tone for status, _words, tone in _STATUSES}

_INDEX_COLUMNS = (
    ("malicious", "bad"), ("suspicious", "bad"), ("weak", "warn"), ("undetermined", "warn"), ("resolved", ""),
    ("done", ""), ("refused", "warn"), ("not_checked", "warn"))

_VERDICT_TONES = {"malicious": "bad", "suspicious": "bad", "weak": "warn", "undetermined": "warn"}

_ACTION_GROUPS = (
    ("refused", "Refused"), ("planned", "Planned (check mode, not done)"), ("done", "Done"), ("undone", "Undone"))

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)\Z")


def render(report):
    """Return the page (text) for a report of ``report_model.build_report``."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
                                     lstrip_blocks=True)
    environment.filters.update(
        show=_show, plain=_plain, when=_when,
        pairs=lambda mapping: sorted(mapping.items(), key=lambda item: str(item[0])),
        tone=_tone, verdict_words=_verdict_words, subject_words=_subject_words, details=_details,
        action_tone=_action_tone, result_tone=lambda result: {"ok": "good", "changed": "plan"}.get(result, "bad"),
        status_tone=_STATUS_TONES.get, findings_by_phase=_findings_by_phase, benign=_benign, actions_with=_actions_with)
    wanting = [host["host"] for host in report["hosts"] if host["status"] in ("not_checked", "needs_attention")]
    hosts = [dict(host, anchor="host-%d" % number, open=host["host"] in wanting and len(wanting) <= _OPEN_AT_MOST)
             for number, host in enumerate(report["hosts"], 1)]
    style = markupsafe.Markup(STYLE)  # noqa: S704 - the constant of style.py
    return environment.from_string(TEMPLATE).render(
        report=dict(report, hosts=hosts), style=style, style_hash=_style_hash(),
        statuses=_STATUSES, index_columns=_INDEX_COLUMNS, unknown_columns=OPEN_VERDICTS + ("resolved",),
        action_groups=_ACTION_GROUPS).lstrip()


def _style_hash():
    return base64.b64encode(hashlib.sha256(STYLE.encode("utf-8")).digest()).decode("ascii")


def _show(value):
    """Return a value as HTML: escaped, invisible characters spelled out, cut with its length told."""
    if value is None:
        return markupsafe.Markup('<span class="nothing">none</span>')
    shown, left_out = pieces(value)
    parts = [markupsafe.Markup('<span class="escape">%s</span>') % text if kind == "escape" else markupsafe.escape(text)
             for kind, text in shown]
    if left_out:
        cut = markupsafe.Markup(' <span class="cut">… %d characters more, whole in report.json</span>')
        parts.append(cut % left_out)
    return markupsafe.Markup("").join(parts)


def _plain(value):
    """Return a value as text where no markup may stand."""
    return "".join(text for _kind, text in pieces(value)[0])


def _when(value):
    """Return an ISO time in UTC as people read it."""
    match = _TIME.match(value) if isinstance(value, str) else None
    return "%s %s UTC" % match.groups() if match else _show(value)


def _tone(row):
    if row["state"] in ("resolved", "gone", "info"):
        return "good" if row["state"] == "info" or row["looked_again"] else ""
    return _VERDICT_TONES.get(row.get("verdict"), "warn")


def _verdict_words(row):
    verdict = row.get("verdict")
    verdict = verdict if isinstance(verdict, str) else "undetermined"
    return {"resolved": "resolved (was %s)", "gone": "no longer found (was %s)"}.get(row["state"], "%s") % verdict


def _subject_words(row):
    about = row.get("subject")
    if not isinstance(about, dict):
        return "no subject"
    return "%s %s" % (about.get("type"), about.get("name"))


def _details(row):
    details = row["observables"] if isinstance(row.get("observables"), dict) else {}
    about = row["subject"] if isinstance(row.get("subject"), dict) else {}
    result = {key: value for key, value in about.items() if key not in ("type", "name") and value is not None}
    result.update((key, value) for key, value in details.items() if value not in (None, "", [], {}))
    remedy = row.get("remedy")
    if isinstance(remedy, dict):
        result["remedy"] = {remedy.get("module", "module"): remedy.get("args")}
    return result


def _action_tone(row):
    if row["undone"]:
        return "warn"
    return {"done": "good", "planned": "plan"}.get(row["status"], "warn")


def _findings_by_phase(host, states):
    """Return ``[(phase, rows)]`` of the findings in these states, the worst first."""
    rank = {verdict: index for index, verdict in enumerate(OPEN_VERDICTS)}
    groups = {}
    for row in host["findings"]:
        if row["state"] in states:
            groups.setdefault(row.get("phase") or "outside of a phase", []).append(row)
    order = {phase: index for index, phase in enumerate(PHASES)}
    return [(phase, sorted(groups[phase], key=lambda row: (
        rank.get(row.get("verdict"), len(rank)), str(row.get("rule")), _subject_words(row))))
        for phase in sorted(groups, key=lambda phase: (order.get(phase, len(order)), phase))]


def _benign(host):
    return [row for row in host["findings"] if row["state"] == "info"]


def _actions_with(host, status):
    return [row for row in host["actions"] if ("undone" if row["undone"] else row["status"]) == status]
