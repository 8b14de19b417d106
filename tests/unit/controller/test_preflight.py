# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""preflight: one shell script on the host, and a clear message for everything that can be wrong with it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import types

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.ecsops.intrusion_response.plugins.action import preflight


class Preflight(preflight.ActionModule):
    """The plugin with the host's shell replaced."""

    def __init__(self, folder, shell, **variables):
        self._task = types.SimpleNamespace(
            action="ecsops.intrusion_response.preflight", args={}, name="", no_log=False, check_mode=False,
            _role=None)
        self._templar = types.SimpleNamespace(template=lambda value: value)
        self._shell_answer = shell
        self._variables = dict(
            inventory_hostname="web1", intrusion_response_incidents_dir=str(folder), intrusion_response_incident="x",
            **variables)

    def _low_level_execute_command(self, script):
        self.script = script
        if isinstance(self._shell_answer, Exception):
            raise self._shell_answer
        return dict(stdout=self._shell_answer, stderr="")

    def answer(self, monkeypatch):
        monkeypatch.setattr(preflight.IncidentAction.__mro__[1], "run", lambda self, tmp, task_vars: {})
        return self.run(task_vars=self._variables)


def real_shell(script):
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    return dict(stdout=done.stdout, stderr=done.stderr)


@pytest.mark.parametrize(("minimum", "stdout", "variables", "complaint"), [
    ((3, 8), "uid=1000\npython=3.11.2 /usr/bin/python3\n", {}, "commands run as uid 1000. Run with --become"),
    ((3, 8), "uid=0\n", {}, "no usable Python .none was found..*apt-get install python3"),
    ((3, 6), "uid=0\npython=3.5.3 /usr/bin/python3\n", {}, "/usr/bin/python3 is 3.5.3.*needs 3.6 or later"),
    ((3, 8), "uid=0\npython=3.6.8 /usr/libexec/platform-python\n", {}, "needs 3.8 or later there.*ansible-core 2.16"),
    ((3, 8), "uid=0\npython=2.7.18 /usr/bin/python\n", {}, "/usr/bin/python is 2.7.18"),
    ((3, 8), "", {}, "runs no commands for this login: no answer"),
], ids=["no root", "no python", "3.5", "3.6 with a newer core", "2.7", "silence"])
def test_a_host_that_cannot_be_worked_on_is_told_what_to_do(
        tmp_path, monkeypatch, minimum, stdout, variables, complaint):
    monkeypatch.setattr(preflight.basic, "_PY_MIN", minimum)
    result = Preflight(tmp_path, stdout, **variables).answer(monkeypatch)
    assert result["failed"]
    assert re.search(complaint, result["msg"]), result["msg"]
    entry = json.loads((tmp_path / "x" / "journal" / "web1.jsonl").read_text())
    assert entry["failed"] and entry["not_checked"][0]["what"] == "the whole host"


def test_the_first_python_that_is_new_enough_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight.basic, "_PY_MIN", (3, 8))
    stdout = "uid=0\npython=3.6.8 /usr/bin/python3\npython=3.12.1 /usr/local/bin/python3\n"
    result = Preflight(tmp_path, stdout).answer(monkeypatch)
    assert result["ansible_facts"] == {"discovered_interpreter_python": "/usr/local/bin/python3"}


def test_a_configured_interpreter_is_the_only_one_asked(tmp_path, monkeypatch):
    plugin = Preflight(tmp_path, "uid=0\npython=3.11.1 /opt/my python\n", ansible_python_interpreter="/opt/my python")
    result = plugin.answer(monkeypatch)
    assert "for python in '/opt/my python'; do" in plugin.script
    assert "ansible_facts" not in result and result["python"]["path"] == "/opt/my python"


@pytest.mark.parametrize("rescue", [False, True])
def test_an_unreachable_host_is_on_record(tmp_path, monkeypatch, rescue):
    plugin = Preflight(tmp_path, AnsibleConnectionFailure("No route to host."),
                       intrusion_response_rescue_unreachable=rescue)
    result = plugin.answer(monkeypatch)
    assert result["failed"] and bool(result.get("unreachable")) is not rescue
    assert "No route to host" in result["msg"] and "run again with --limit" in result["msg"]


def test_the_script_runs_in_a_real_shell(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight.basic, "_PY_MIN", (3, 6))
    code = shlex.quote(preflight.VERSION_CODE)
    answer = real_shell(preflight.SCRIPT.format(candidates="/usr/bin/python3 /nowhere/python", code=code))
    lines = answer["stdout"].splitlines()
    assert lines[0].startswith("uid=") and answer["stderr"] == ""
    assert all(line.endswith("/usr/bin/python3") for line in lines[1:])
