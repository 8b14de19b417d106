# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host in the intruder's hands answers as it likes: the others still get their report."""

import json

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils import journal
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.writer import write_report

PREFIX = "ecsops.intrusion_response."
GOOD = {"rule": "a.b", "message": "m", "severity": "high", "verdict": "malicious",
        "subject": {"type": "file", "name": "x"},
        "observables": {}, "attack": [], "remedy": None}
KINDS = (None, 5, True, "text", [], [None], [[1]], {}, {"module": [1], "args": 7})


def record(folder, host, module="deleted_exe", phase="triage", **more):
    entry = dict({"host": host, "incident": folder.name, "module": PREFIX + module, "phase": phase, "task": "t",
                  "args": {"state": "reported"}, "findings": [], "actions": [], "not_checked": [], "evidence": [],
                  "time": "2026-01-02T03:04:05.000+00:00", "duration": 1.0}, **more)
    journal.append(str(folder / "journal" / (host + ".jsonl")), entry)


def report(folder):
    (folder / "incident.json").write_text(json.dumps({"id": folder.name}))
    return write_report({"incident_dir": str(folder), "output_dir": None, "title": "t", "formats": ["html", "json"]})


@pytest.mark.parametrize("rows, whole", [
    ("findings", GOOD),
    ("actions", {"rule": "a.b", "message": "m", "status": "done", "subject": {"type": "file", "name": "x"},
                 "undo": {"module": PREFIX + "quarantine", "args": {"state": "restored", "item": "x.1"}},
                 "evidence": []}),
    ("not_checked", {"what": "w", "reason": "r", "hint": None}),
    ("evidence", {"name": "n", "path": "/p", "size": 1, "sha256": "0", "sealed": None, "error": "e"}),
])
def test_whatever_a_host_answers_the_report_is_written(tmp_path, rows, whole):
    record(tmp_path, "good")
    bad = [{}, 7, None]
    for key in whole:
        bad.append({name: value for name, value in whole.items() if name != key})
        bad.extend(dict(whole, **{key: value}) for value in KINDS)
    record(tmp_path, "evil", **{rows: bad})
    result = report(tmp_path)
    assert result["hosts"]["good"] == "clean"
    assert set(result["hosts"]) == {"good", "evil"}


def test_a_finding_without_a_verdict_is_open(tmp_path):
    record(tmp_path, "evil", findings=[{}])
    assert report(tmp_path)["counts"]["undetermined"] == 1


@pytest.mark.parametrize("phase, status", [("triage", "clean"), ("cleanup", "needs_attention")])
def test_a_step_that_broke_off_without_arguments_is_made_good_by_the_same_step(tmp_path, phase, status):
    record(tmp_path, "web1", args={}, failed=True, msg="Lost the connection to the host",
           not_checked=[{"what": "deleted_exe", "reason": "the host could not be reached", "hint": None}])
    record(tmp_path, "web1", phase=phase)
    assert report(tmp_path)["hosts"]["web1"] == status
