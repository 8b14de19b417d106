# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a host stands, by what its journal tells: stories in, states out."""

import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils import journal
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import action, finding, gap, subject
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.host_state import host_state
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.incident_folder import read_incident

FILE = subject("file", "/usr/bin/.sshd")
BAD = finding("malware_artifact.billgates", "malicious", "critical", FILE, "bad",
              remedy={"module": "malware_artifact", "args": {"state": "quarantined"}})
STUBBORN = finding("redis_auth.payload_key", "malicious", "high", FILE, "no module mends it")
WEAK = finding("redis_auth.no_password", "weak", "high", subject("service", "redis:6379"), "weak")
UNSURE = finding("malware_artifact.unreadable", "undetermined", "medium", FILE, "unsure")
FINE = finding("deleted_exe.upgraded", "benign", "info", subject("process", "pid 1"), "fine")
MENDED = finding("malware_artifact.empty", "benign", "info", FILE, "what is left of it does no harm")
UNDO = {"module": "quarantine", "args": {"state": "restored", "item": "q-1"}}
MOVED = action("quarantine.move", FILE, "moved", "done", UNDO)
PLAN = action("quarantine.move", FILE, "would be moved", "planned")
REFUSED = action("quarantine.move", FILE, "stays", "refused")
FROZEN = action("process.freeze", FILE, "stopped", "done")
OTHER = action("redis_auth.password", subject("file", "/etc/redis/redis.conf"), "set", "done")
GAP = gap("/proc/7/exe", "vanished")
ABOUT_FILE = gap("/usr/bin/.sshd", "cannot be read")


def look(*findings, module="malware_artifact", gaps=(), args=None, **more):
    return dict(module=module, findings=findings, gaps=gaps, args=args or {"state": "reported"}, **more)


def act(*actions, findings=(BAD,), args=None, **more):
    return dict(module=more.pop("module", "malware_artifact"), phase=more.pop("phase", "cleanup"), findings=findings,
                actions=actions, args=args or {"state": "quarantined"}, **more)


def undo(**args):
    return dict(module="quarantine", phase="undo", args=dict({"state": "restored"}, **args),
                actions=[action("quarantine.restore", subject("file", "/elsewhere"), "restored", "done")])


PREFLIGHT = dict(module="preflight", phase=None, args={})


def state_of(incident, story_class, steps):
    story = story_class(incident, "web1")
    for step in steps:
        story.step(**step)
    (host,) = read_incident(incident)[1]
    return host_state(host)


@pytest.fixture
def state(incident, story_class):
    return lambda *steps: state_of(incident, story_class, steps)


@pytest.mark.parametrize("steps, status, findings", [
    # Looked at, nothing there.
    ([look()], "clean", []),
    ([look(FINE)], "clean", ["info"]),
    ([look(gaps=[GAP])], "incomplete", []),
    # Open.
    ([look(BAD)], "needs_attention", ["open"]),
    ([look(WEAK)], "needs_attention", ["open"]),
    ([look(UNSURE)], "needs_attention", ["open"]),
    # Seen twice is one finding.
    ([look(BAD), look(BAD)], "needs_attention", ["open"]),
    # Dealt with, and looked at again.
    ([look(BAD), act(MOVED)], "cleaned", ["resolved"]),
    ([look(BAD), act(MOVED), look()], "cleaned", ["resolved"]),
    ([look(BAD), act(OTHER), look()], "cleaned", ["resolved"]),
    # An act about the same thing mends only what names its module as the remedy; a look tells.
    ([look(STUBBORN), act(MOVED, findings=[STUBBORN])], "needs_attention", ["open"]),
    ([look(STUBBORN), act(MOVED, findings=[STUBBORN]), look()], "cleaned", ["resolved"]),
    ([look(BAD), act(MOVED, findings=[], module="redis_auth")], "needs_attention", ["open"]),
    # A password that is known by now does not make it another look.
    ([look(BAD), act(MOVED), look(args={"state": "reported", "password": "hidden"})], "cleaned", ["resolved"]),
    # The act did not help: it is there again.
    ([look(BAD), act(MOVED), look(BAD)], "needs_attention", ["open"]),
    # A freeze holds still and mends nothing.
    ([look(BAD), act(FROZEN, args={"state": "frozen"}, phase="contain")], "needs_attention", ["open"]),
    # A plan and a refusal mend nothing.
    ([look(BAD), act(PLAN, check_mode=True)], "needs_attention", ["open"]),
    ([look(BAD), act(REFUSED)], "needs_attention", ["open"]),
    # Gone by itself.
    ([look(BAD), look()], "clean", ["gone"]),
    # Something else was looked at: nobody knows.
    ([look(BAD), look(args={"state": "reported", "indicators": ["other"]})], "needs_attention", ["open"]),
    ([look(BAD), look(module="deleted_exe")], "needs_attention", ["open"]),
    # It could not be looked at again, or the second look failed.
    ([look(BAD), look(gaps=[ABOUT_FILE])], "needs_attention", ["open"]),
    ([look(BAD), look(failed=True, msg="broke")], "needs_attention", ["open"]),
    # Another word on the very subject is a look, though something about it stays unknown.
    ([look(BAD), act(MOVED), look(MENDED, gaps=[ABOUT_FILE])], "incomplete", ["resolved", "info"]),
    # An undetermined one is not settled by an act without a look.
    ([look(UNSURE), act(MOVED, findings=[UNSURE])], "needs_attention", ["open"]),
    ([look(UNSURE), act(MOVED, findings=[UNSURE]), look()], "cleaned", ["resolved"]),
    # Undone: by its item, for the whole incident, and found again or not.
    ([look(BAD), act(MOVED), undo(item="q-1")], "needs_attention", ["open"]),
    ([look(BAD), act(MOVED), undo(incident="x")], "cleaned", ["resolved"]),
    ([look(BAD), act(MOVED), undo(item="q-2")], "cleaned", ["resolved"]),
    # Nobody looked at all.
    ([], "not_checked", []),
    ([PREFLIGHT], "not_checked", []),
    ([dict(PREFLIGHT, failed=True, msg="no route")], "not_checked", []),
    ([dict(PREFLIGHT, unreachable=True, msg="no route")], "not_checked", []),
    ([PREFLIGHT, look(failed=True, msg="broke")], "not_checked", []),
    ([PREFLIGHT, dict(module="host_archive", phase="snapshot", args={})], "not_checked", []),
    # DNS alone says nothing about the host.
    ([PREFLIGHT, look(FINE, module="waf_dns_info")], "incomplete", ["info"]),
    ([PREFLIGHT, look(FINE, module="waf_dns_info"), look()], "clean", ["info"]),
    # A verdict on the same subject replaces the one before.
    ([look(BAD, args={"domains": ["a"]}), look(UNSURE, args={"domains": ["a", "b"]})],
     "needs_attention", ["gone", "open"]),
])
def test_status_and_states(state, steps, status, findings):
    if not steps:
        steps = [dict(module="incident_record", args={}, phase=None)]
    result = state(*steps)
    assert result["status"] == status
    assert [row["state"] for row in result["findings"]] == findings


def test_an_undo_of_the_whole_incident_takes_every_item_back(state):
    restored = dict(module="quarantine", phase="undo", args={"state": "restored", "incident": "i"},
                    actions=[action("quarantine.restore", FILE, "restored", "done")])
    result = state(look(BAD), act(MOVED), restored)
    assert result["actions"][0]["undone"] is True
    assert result["status"] == "needs_attention"
    assert result["findings"][0]["state_text"] == "It was dealt with, and that was undone."


def test_whether_somebody_looked_again_is_told(state):
    assert state(look(BAD), act(MOVED))["reasons"] == ["1 dealt with and not looked at again"]


def test_looked_again(state):
    result = state(look(BAD), act(MOVED), look())
    assert result["reasons"] == []
    assert result["findings"][0]["looked_again"] is True


def test_a_finding_keeps_the_phase_and_time_it_was_first_seen_in(state):
    result = state(look(BAD), act(REFUSED))
    (row,) = result["findings"]
    assert row["phase"] == "triage"
    assert row["first_seen"] < row["last_seen"]


def test_a_finding_that_was_only_seen_in_check_mode_is_marked(state):
    assert state(look(BAD, check_mode=True))["findings"][0]["plan"] is True


def test_a_plan_is_outdated_once_the_module_has_really_run(state):
    result = state(act(PLAN, check_mode=True), act(MOVED))
    assert [row["status"] for row in result["actions"]] == ["done"]


def test_a_plan_made_after_the_run_stays(state):
    result = state(act(MOVED), act(PLAN, check_mode=True))
    assert [row["status"] for row in result["actions"]] == ["done", "planned"]


def test_a_refusal_that_a_later_run_does_not_repeat_is_outdated(state):
    assert state(act(REFUSED), act(findings=()))["counts"]["refused"] == 0


def test_a_refusal_is_repeated_once(state):
    assert state(act(REFUSED), act(REFUSED))["counts"]["refused"] == 1


@pytest.mark.parametrize("steps, failures, gaps", [
    # A failure and its rescue are told once; the gap stays.
    ([PREFLIGHT, look(failed=True, msg="broke"), dict(module="incident_record", phase=None, args={}, failed=True,
                                                      msg="Stopped", gaps=[gap("every step after", "failed")])], 1, 1),
    # Made good by a later whole run.
    ([PREFLIGHT, look(failed=True, msg="broke"), dict(module="incident_record", phase=None, args={}, failed=True,
                                                      msg="Stopped", gaps=[gap("every step after", "failed")]),
      PREFLIGHT, look(), act(findings=())], 0, 0),
    # A later run of that phase alone leaves open what would have come after it.
    ([PREFLIGHT, look(failed=True, msg="broke"), dict(module="incident_record", phase=None, args={}, failed=True,
                                                      msg="Stopped", gaps=[gap("every step after", "failed")]),
      PREFLIGHT, look()], 1, 1),
    # The host was away and is back.
    ([dict(PREFLIGHT, failed=True, msg="away", gaps=[gap("the whole host", "away")]), PREFLIGHT, look()], 0, 0),
    # A plan that works is no proof that the deed does.
    ([act(failed=True, msg="broke"), act(PLAN, check_mode=True)], 1, 0),
])
def test_failures(state, steps, failures, gaps):
    result = state(*steps)
    assert len(result["failures"]) == failures
    assert len(result["not_checked"]) == gaps


def test_a_gap_of_an_earlier_look_is_outdated_and_one_of_the_newest_counts(state):
    result = state(look(gaps=[GAP]), look(gaps=[ABOUT_FILE]), look(gaps=[GAP], module="deleted_exe"))
    assert [(row["module"], row["what"]) for row in result["not_checked"]] == [
        ("malware_artifact", "/usr/bin/.sshd"), ("deleted_exe", "/proc/7/exe")]


def test_a_failed_look_does_not_hide_the_gaps_of_the_last_good_one(state):
    result = state(look(gaps=[GAP]), look(failed=True, msg="broke"))
    assert [row["what"] for row in result["not_checked"]] == ["/proc/7/exe"]


def test_a_remark_that_a_phase_was_left_out_holds_until_it_is_done(state):
    left_out = dict(module="incident_record", phase="waf_dns", args={}, msg="No domain", gaps=[gap("DNS", "no domain")])
    assert len(state(left_out, left_out)["not_checked"]) == 1


def test_the_remark_is_outdated_once_it_was_done(state):
    left_out = dict(module="incident_record", phase="waf_dns", args={}, msg="No domain", gaps=[gap("DNS", "no domain")])
    assert state(left_out, look(module="waf_dns_info", phase="waf_dns"))["not_checked"] == []


def test_a_broken_chain_needs_attention_whatever_the_findings_say(incident, story_class):
    story = story_class(incident, "web1")
    story.step("deleted_exe").step("malware_artifact")
    with open(story.path) as stream:
        text = stream.read()
    with open(story.path, "w") as stream:
        stream.write(text.replace("triage", "triagX", 1))
    (host,) = read_incident(incident)[1]
    result = host_state(host)
    assert result["status"] == "needs_attention"
    assert result["chain"]["intact"] is False
    assert result["reasons"] == ["its journal is damaged or was changed"]


def test_a_journal_that_was_removed_is_told(incident, story_class):
    story = story_class(incident, "web1")
    story.step("deleted_exe")
    os.unlink(story.path)
    (host,) = read_incident(incident)[1]
    assert host.problems == ["The journal was removed: only the record of its newest line is left."]
    assert host_state(host)["status"] == "not_checked"


def test_a_journal_in_the_place_of_another_is_told(incident, story_class):
    story = story_class(incident, "web1")
    story.step("deleted_exe")
    for suffix in ("", ".head"):
        os.rename(story.path + suffix, story.path.replace("web1", "web2") + suffix)
    (host,) = read_incident(incident)[1]
    assert host.host == "web2"
    assert "tells of host 'web1'" in host.problems[0]


def test_odd_but_well_chained_content_does_not_break_the_report(incident, story_class):
    path = story_class(incident, "web1").path
    journal.append(path, {
        "host": "web1", "incident": "20260314T021507Z", "module": 7, "findings": ["x", {"subject": 3}],
        "actions": {"a": 1}, "not_checked": None, "args": "x", "time": 5, "evidence": [{}], "phase": [1]})
    (host,) = read_incident(incident)[1]
    assert host_state(host)["status"] == "needs_attention"
