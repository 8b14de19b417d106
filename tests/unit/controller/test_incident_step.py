# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""incident_step: what it adds to a module's call, and what it makes of the answer."""

from __future__ import annotations

import base64
import hashlib
import json
import types
import zlib

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.ecsops.intrusion_response.plugins.action import incident_step
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.toolkit import platform_tag

PREFIX = "ecsops.intrusion_response."


class Step(incident_step.ActionModule):
    """The plugin with its host replaced by a list of answers; an exception among them is raised."""

    def __init__(self, folder, module, args, answers, transport="ssh", check_mode=False, **variables):
        self._task = types.SimpleNamespace(
            action=PREFIX + module, args=args, name="the task", no_log=False, check_mode=check_mode, delegate_to=None,
            _role=types.SimpleNamespace(get_name=lambda include_role_fqcn: "cleanup"))
        self._connection = types.SimpleNamespace(transport=transport, get_option=lambda name: None)
        self._templar = types.SimpleNamespace(template=lambda value: value)
        self._answers = list(answers)
        self.calls = []
        self._variables = dict(
            inventory_hostname="web1", intrusion_response_incidents_dir=str(folder), intrusion_response_incident="x",
            **variables)

    def _get_remote_user(self):
        return "operator"

    def _execute_module(self, module_name, module_args, task_vars):
        self.calls.append((module_name, dict(module_args)))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def answer(self, monkeypatch):
        monkeypatch.setattr(incident_step.IncidentAction.__mro__[1], "run", lambda self, tmp, task_vars: {})
        return self.run(task_vars=self._variables)


def journal(folder):
    return [json.loads(line) for line in (folder / "x" / "journal" / "web1.jsonl").read_text().splitlines()]


def evidence(content, inline=True, **changed):
    item = dict(name="deleted_exe/7/exe", path="/q/exe", size=len(content), sha256=hashlib.sha256(content).hexdigest())
    if inline:
        item["content"] = base64.b64encode(zlib.compress(content)).decode()
    return dict(item, **changed)


def test_the_host_hears_the_incident_and_who_is_connected(tmp_path, monkeypatch):
    step = Step(tmp_path, "deleted_exe", {"state": "reported"}, [{"changed": False}])
    assert step.answer(monkeypatch)["incident"] == "x"
    context = {"incident": "x", "login_user": "operator"}
    assert step.calls == [(PREFIX + "deleted_exe", {"state": "reported", "incident_context": context})]


def test_a_local_connection_has_no_login(tmp_path, monkeypatch):
    step = Step(tmp_path, "deleted_exe", {}, [{}], transport="local")
    step.answer(monkeypatch)
    assert step.calls[0][1]["incident_context"] == {"incident": "x"}


def test_the_toolkit_is_sent_only_to_a_host_that_asks_for_it(tmp_path, monkeypatch):
    step = Step(tmp_path, "deleted_exe", {}, [{"toolkit_missing": platform_tag()}, {"changed": True}])
    assert step.answer(monkeypatch)["changed"] is True
    assert [("toolkit" in args["incident_context"]) for name, args in step.calls] == [False, True]
    assert [entry["changed"] for entry in journal(tmp_path)] == [True]


def test_the_result_goes_into_the_journal_without_the_inner_option(tmp_path, monkeypatch):
    args = {"state": "killed", "x": None, "incident_context": {"a": 1}}
    answer = {"changed": True, "findings": [{"rule": "r"}], "invocation": {"module_args": args}}
    Step(tmp_path, "deleted_exe", {}, [answer]).answer(monkeypatch)
    (entry,) = journal(tmp_path)
    assert entry["args"] == {"state": "killed"}
    assert (entry["host"], entry["phase"], entry["changed"]) == ("web1", "cleanup", True)
    assert entry["findings"] == [{"rule": "r"}]


@pytest.mark.parametrize(("answer", "told"), [
    ({"failed": True, "exception": "Traceback ...\nNameError: no name 'x'\n"}, "NameError: no name 'x'"),
    ({"failed": True, "module_stderr": "Killed\n"}, "Killed"),
    ({"failed": True}, "The module failed without a message."),
    ({"changed": False}, None),
])
def test_a_module_that_broke_off_is_told_by_what_it_left(tmp_path, monkeypatch, answer, told):
    Step(tmp_path, "deleted_exe", {}, [answer]).answer(monkeypatch)
    assert journal(tmp_path)[0]["msg"] == told


def test_what_ansible_prints_does_not_steer_the_terminal(tmp_path, monkeypatch):
    evil = "a\x1b]0;x\x07\u202eb\nc"
    answer = {"failed": True, "msg": evil, "warnings": [evil], "diff": [{"before": evil, "before_header": evil}]}
    result = Step(tmp_path, "deleted_exe", {}, [answer]).answer(monkeypatch)
    shown = r"a\e]0;x\x07\u202eb" + "\nc"
    assert (result["msg"], result["warnings"]) == (shown, [shown])
    assert result["diff"] == [{"before": shown, "before_header": shown}]
    assert journal(tmp_path)[0]["msg"] == evil


def test_a_long_argument_goes_into_the_journal_as_its_hash(tmp_path, monkeypatch):
    args = {"state": "reported", "indicators": [{"name": "x" * 100}] * 50}
    for _turn in range(2):
        Step(tmp_path, "malware_artifact", {}, [{"invocation": {"module_args": args}}]).answer(monkeypatch)
    first, second = (entry["args"] for entry in journal(tmp_path))
    assert first["state"] == "reported" and first == second
    assert set(first["indicators"]) == {"sha256", "bytes"}


def test_inline_evidence_is_sealed_and_its_bytes_leave_the_result(tmp_path, monkeypatch):
    result = Step(tmp_path, "deleted_exe", {}, [{"evidence": [evidence(b"ELF")]}]).answer(monkeypatch)
    assert result["evidence"] == [dict(evidence(b"ELF", inline=False), sealed="evidence/web1/deleted_exe/7/exe")]
    assert (tmp_path / "x" / result["evidence"][0]["sealed"]).read_bytes() == b"ELF"


def test_big_evidence_comes_in_slices(tmp_path, monkeypatch):
    content = b"0123456789"
    slices = [{"data": base64.b64encode(zlib.compress(part)).decode()} for part in (b"01234567", b"89")]
    step = Step(tmp_path, "deleted_exe", {}, [{"evidence": [evidence(content, inline=False)]}, *slices])
    result = step.answer(monkeypatch)
    assert (tmp_path / "x" / result["evidence"][0]["sealed"]).read_bytes() == content
    assert [args["offset"] for name, args in step.calls[1:]] == [0, 8]


@pytest.mark.parametrize(("item", "answers", "complaint"), [
    (evidence(b"ELF", sha256="0" * 64), [], "hash is not the one"),
    (evidence(b"ELF", inline=False), [{"failed": True, "msg": "gone"}], "could not be read from the host: gone"),
    (evidence(b"ELF", inline=False), [{"data": base64.b64encode(zlib.compress(b"")).decode()}], "has become shorter"),
    (evidence(b"ELF", name="../../etc/x"), [], "outside of the incident"),
], ids=["altered", "unreadable", "cut", "traversal"])
def test_evidence_that_cannot_be_sealed_fails_the_task_and_is_told(tmp_path, monkeypatch, item, answers, complaint):
    result = Step(tmp_path, "deleted_exe", {}, [{"evidence": [item]}, *answers]).answer(monkeypatch)
    assert result["failed"] and complaint in result["msg"]
    assert complaint in result["not_checked"][0]["reason"]
    assert journal(tmp_path)[0]["failed"] is True


@pytest.mark.parametrize("item", [
    {}, None, 7, evidence(b"ELF", size=-1), evidence(b"ELF", size="x"), dict(evidence(b"ELF"), content="!"),
    dict(evidence(b"ELF"), content=base64.b64encode(b"no zlib").decode()), dict(evidence(b"ELF"), content=5),
    evidence(b"A" * 10**6, size=3), evidence(b"ELF", inline=False, size=10**18),
])
def test_whatever_a_host_says_of_evidence_is_on_record_as_a_failure(tmp_path, monkeypatch, item):
    answer = {"changed": True, "actions": [{"rule": "r", "status": "done"}], "evidence": [item]}
    result = Step(tmp_path, "deleted_exe", {}, [answer]).answer(monkeypatch)
    assert result["failed"]
    (entry,) = journal(tmp_path)
    assert entry["failed"] and entry["actions"] and entry["not_checked"]


def test_a_connection_lost_while_evidence_is_fetched_keeps_what_was_done(tmp_path, monkeypatch):
    answer = {"actions": [{"rule": "r"}], "not_checked": [{"what": "w"}],
              "evidence": [evidence(b"ELF", inline=False), evidence(b"ELF", name="b")]}
    Step(tmp_path, "deleted_exe", {}, [answer, AnsibleConnectionFailure("timed out")]).answer(monkeypatch)
    (entry,) = journal(tmp_path)
    assert entry["actions"] == [{"rule": "r"}] and len(entry["not_checked"]) == 2
    assert not any("content" in item for item in entry["evidence"])


def test_a_snapshot_that_brings_nothing_is_none(tmp_path, monkeypatch):
    assert Step(tmp_path, "host_archive", {}, [{"changed": True}]).answer(monkeypatch)["failed"]
    assert not Step(tmp_path, "host_archive", {}, [{}], check_mode=True).answer(monkeypatch).get("failed")
    assert not Step(tmp_path, "host_archive", {"state": "absent"}, [{}]).answer(monkeypatch).get("failed")


@pytest.mark.parametrize(("rescue", "unreachable"), [(False, True), (True, False)])
def test_a_lost_host_is_on_record_and_a_playbook_may_rescue_it(tmp_path, monkeypatch, rescue, unreachable):
    step = Step(tmp_path, "deleted_exe", {}, [AnsibleConnectionFailure("timed out")],
                intrusion_response_rescue_unreachable=rescue)
    result = step.answer(monkeypatch)
    assert result["failed"] and result.get("unreachable", False) is unreachable
    assert "timed out" in journal(tmp_path)[0]["msg"]


@pytest.mark.parametrize(("args", "check_mode", "given", "kept"), [
    ({"state": "reported"}, False, False, False),
    ({"state": "secured"}, False, True, True),
    ({"state": "secured"}, True, True, False),
    ({"state": "secured", "password": "Mine-12345678"}, False, "Mine-12345678", False),
])
def test_redis_gets_a_password_made_on_the_controller(tmp_path, monkeypatch, args, check_mode, given, kept):
    step = Step(tmp_path, "redis_auth", args, [{}], check_mode=check_mode)
    step.answer(monkeypatch)
    password = step.calls[0][1].get("password")
    assert bool(password) is bool(given) and (not isinstance(given, str) or password == given)
    assert (tmp_path / "x" / "secrets" / "web1" / "redis.password").exists() is kept


def test_a_look_at_redis_uses_the_password_of_an_earlier_run(tmp_path, monkeypatch):
    secured = Step(tmp_path, "redis_auth", {"state": "secured"}, [{}])
    secured.answer(monkeypatch)
    looked = Step(tmp_path, "redis_auth", {"state": "reported"}, [{}])
    looked.answer(monkeypatch)
    assert looked.calls[0][1]["password"] == secured.calls[0][1]["password"]


def test_undoing_an_unknown_incident_asks_no_host(tmp_path, monkeypatch):
    step = Step(tmp_path, "quarantine", {"state": "restored", "incident": "typo"}, [])
    result = step.answer(monkeypatch)
    assert result["failed"] and "no incident 'typo'" in result["msg"] and step.calls == []


def test_an_archive_that_does_not_hold_what_it_says_is_no_snapshot(tmp_path, monkeypatch):
    step = Step(tmp_path, "host_archive", {}, [{"evidence": [evidence(b"no archive at all")]}])
    result = step.answer(monkeypatch)
    assert result["failed"] and "verified" not in result
    assert journal(tmp_path)[0]["failed"] is True
