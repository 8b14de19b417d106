# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import Quarantine
from ansible_collections.ecsops.intrusion_response.plugins.modules import quarantine as module


class Context:
    incident = "later"

    def __init__(self, check_mode=False):
        self.check_mode = check_mode
        self.warnings = []

    def warn(self, message):
        self.warnings.append(message)


@pytest.fixture
def host(tmp_path):
    (tmp_path / "host/etc").mkdir(parents=True)
    (tmp_path / "host/etc/a").write_bytes(b"a")
    Quarantine("one", root=str(tmp_path / "q"), host_root=str(tmp_path / "host")).remove("/etc/a", "r", "why")
    return tmp_path


def call(host, context=None, **params):
    given = {"state": "listed", "incident": None, "item": None, "allow_missing": False,
             "quarantine_root": str(host / "q")}
    given.update(params)
    return module.work(given, context or Context(), host_root=str(host / "host")).as_result()


def test_listed_changes_nothing_and_makes_nothing(host, tmp_path):
    result = call(host)
    assert (result["changed"], [item["item"] for item in result["items"]]) == (False, ["one.0001"])
    assert call(host, quarantine_root=str(tmp_path / "none"))["items"] == []
    assert not (tmp_path / "none").exists()


def test_check_mode_tells_the_same_actions_as_the_act(host):
    planned = call(host, Context(check_mode=True), state="restored", incident="one")
    assert planned["changed"] and not (host / "host/etc/a").exists()
    done = call(host, state="restored", incident="one")
    assert (host / "host/etc/a").read_bytes() == b"a"
    assert [action["subject"] for action in planned["actions"]] == [action["subject"] for action in done["actions"]]
    assert done["items"][0]["state"] == "restored"
    again = call(host, state="restored", incident="one")
    assert (again["changed"], again["actions"]) == (False, [])


def test_a_refusal_is_a_warning_and_no_change(host):
    (host / "host/etc/a").write_bytes(b"new")
    context = Context()
    result = call(host, context, state="restored", incident="one")
    assert not result["changed"]
    assert "exists again" in context.warnings[0]


def test_restoring_everything_of_everybody_is_never_meant(host):
    for state in ("restored", "purged"):
        with pytest.raises(ResponseError, match="Set 'incident' or 'item'"):
            call(host, state=state)
