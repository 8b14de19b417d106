# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import Quarantine
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_undo import QuarantineUndo
from ansible_collections.ecsops.intrusion_response.tests.unit.target.manifest import manifest


@pytest.fixture
def host(tmp_path):
    (tmp_path / "host/etc/dir").mkdir(parents=True)
    for name in ("a", "crontab", "dir/inner"):
        (tmp_path / "host/etc" / name).write_bytes(name.encode())
    return tmp_path / "host"


@pytest.fixture
def quarantine(host, tmp_path):
    """Two incidents; in the first a file replaced twice, and a file that went before its directory."""
    one = Quarantine("one", root=str(tmp_path / "q"), host_root=str(host))
    one.replace("/etc/crontab", "r", "why", content=b"first edit")
    one.replace("/etc/crontab", "r", "why", content=b"second edit")
    one.remove("/etc/dir/inner", "r", "why")
    one.remove("/etc/dir", "r", "why")
    Quarantine("two", root=str(tmp_path / "q"), host_root=str(host)).remove("/etc/a", "r", "why")
    return one


def told(actions):
    return [(action["status"], action["subject"]["item"], action["subject"]["name"]) for action in actions]


def test_an_incident_is_restored_in_reverse_and_the_plan_says_so(host, quarantine):
    undo = QuarantineUndo(quarantine, incident="one")
    steps = undo.decide("restored")
    planned = undo.planned_actions("restored", steps)
    before = manifest(host)
    assert told(planned) == [("planned", "one.0004", "/etc/dir"), ("planned", "one.0003", "/etc/dir/inner"),
                             ("planned", "one.0002", "/etc/crontab"), ("planned", "one.0001", "/etc/crontab")]
    assert manifest(host) == before
    done = undo.apply("restored", steps)
    assert [entry[1:] for entry in told(done)] == [entry[1:] for entry in told(planned)]
    assert {action["status"] for action in done} == {"done"}
    assert (host / "etc/crontab").read_bytes() == b"crontab"
    assert (host / "etc/dir/inner").read_bytes() == b"dir/inner"
    assert not (host / "etc/a").exists()
    assert undo.decide("restored") == []


def test_what_has_appeared_since_is_refused_and_the_others_come_back(host, quarantine):
    (host / "etc/crontab").write_bytes(b"the operator's")
    undo = QuarantineUndo(quarantine, incident="one")
    actions = undo.apply("restored", undo.decide("restored"))
    assert [(status, item) for status, item, unused in told(actions)] == [
        ("done", "one.0004"), ("done", "one.0003"), ("refused", "one.0002"), ("refused", "one.0001")]
    assert (host / "etc/crontab").read_bytes() == b"the operator's"
    assert "was changed after" in actions[2]["message"]


def test_a_single_item_that_cannot_be_restored_is_an_error(host, quarantine):
    (host / "etc/a").write_bytes(b"new")
    with pytest.raises(ResponseError, match="exists again"):
        QuarantineUndo(quarantine, item="two.0001").decide("restored")


@pytest.mark.parametrize("choice, message", [
    ({"incident": "three"}, "knows no incident 'three'. It knows: one, two."),
    ({"item": "one.0009"}, "has no item 'one.0009'. It has: one.0001, .* two.0001."),
    ({"incident": "two", "item": "one.0001"}, "no item 'one.0001' in the incident 'two'. It has: two.0001."),
])
def test_unknown(quarantine, choice, message):
    with pytest.raises(ResponseError, match=message):
        QuarantineUndo(quarantine, **choice).decide("restored")


def test_a_host_without_the_incident_has_nothing_to_undo(quarantine):
    assert QuarantineUndo(quarantine, incident="three", allow_missing=True).decide("restored") == []


def test_purge_by_incident_then_nothing_is_left(quarantine, tmp_path):
    undo = QuarantineUndo(quarantine, incident="one")
    assert len(undo.planned_actions("purged", undo.decide("purged"))) == 4
    assert {action["status"] for action in undo.apply("purged", undo.decide("purged"))} == {"done"}
    assert undo.decide("purged") == []
    assert undo.decide("restored") == []
    assert list((tmp_path / "q/one/objects").iterdir()) == []
    assert len(list((tmp_path / "q/two/objects").iterdir())) == 1


def test_a_damaged_journal_is_told(quarantine, tmp_path):
    with (tmp_path / "q/two/journal.jsonl").open("a") as stream:
        stream.write("{}\n")
    gaps = QuarantineUndo(quarantine).gaps()
    assert [entry["what"] for entry in gaps] == [str(tmp_path / "q/two/journal.jsonl") + ", line 3"]
