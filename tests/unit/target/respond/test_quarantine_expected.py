# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that another program replaces: kept before, noted after, given back only while they are what it wrote."""

import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import quarantine_store
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import Quarantine
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_undo import QuarantineUndo
from ansible_collections.ecsops.intrusion_response.tests.unit.target.killer import killed_at
from ansible_collections.ecsops.intrusion_response.tests.unit.target.manifest import manifest

NEW = b"what the other program has"
# The other program is not the one that is killed.
_rename = os.rename


@pytest.fixture
def host(tmp_path):
    root = tmp_path / "host"
    (root / "data").mkdir(parents=True)
    return root


@pytest.fixture
def quarantine(host, tmp_path):
    return Quarantine("one", root=str(tmp_path / "q"), host_root=str(host))


def make_file(host):
    (host / "data/dump").write_bytes(b"old bytes")
    (host / "data/dump").chmod(0o640)
    os.setxattr(str(host / "data/dump"), "user.note", b"mine")
    if os.geteuid() == 0:
        os.chown(str(host / "data/dump"), 12, 34)
    os.utime(str(host / "data/dump"), ns=(1, 1400000000000000001))


def make_link(host):
    os.symlink("elsewhere", str(host / "data/dump"))


def make_nothing(host):
    pass


def date(host):
    os.utime(str(host / "data"), ns=(1, 1500000000000000001))


def write(host, content=NEW):
    """Write as Redis does: beside it, then a rename."""
    (host / "data/temp").write_bytes(content)
    _rename(str(host / "data/temp"), str(host / "data/dump"))


def write_in_place(host, content=NEW):
    (host / "data/dump").write_bytes(content)


BEFORE = [make_file, make_link, make_nothing]


@pytest.mark.parametrize("make,by", [(make_file, write), (make_file, write_in_place), (make_link, write),
                                     (make_nothing, write), (make_nothing, write_in_place)])
def test_what_was_there_before_comes_back_the_same(host, quarantine, make, by):
    make(host)
    date(host)
    before = manifest(host)
    item = quarantine.expect("/data/dump", "r", "why")
    assert manifest(host) == before
    by(host)
    assert quarantine.settle(item) is True
    assert quarantine.settle(item) is True
    told, = quarantine.items()
    assert told["state"] == "quarantined"
    assert told["operation"] == ("create" if make is make_nothing else "replace")
    assert told["put_sha256"] == manifest(host)[b"data/dump"][-1]
    assert quarantine.check_restore(item) is True
    assert quarantine.restore(item) is True
    assert manifest(host) == before
    assert quarantine.restore(item) is False
    assert quarantine.items()[0]["state"] == "restored"


@pytest.mark.parametrize("make", BEFORE)
@pytest.mark.parametrize("content", [b"newer", b"WHAT the other program has"])
def test_what_was_written_again_since_is_not_overwritten(host, quarantine, make, content):
    make(host)
    item = quarantine.expect("/data/dump", "r", "why")
    write(host)
    quarantine.settle(item)
    write(host, content)
    undo = QuarantineUndo(quarantine, incident="one")
    action, = undo.apply("restored", undo.decide("restored"))
    assert action["status"] == "refused"
    assert "was written again since: it is not overwritten, as what is newer in it would be lost" \
        in action["message"]
    assert (host / "data/dump").read_bytes() == content
    os.rename(str(host / "data/dump"), str(host / "data/aside"))
    assert quarantine.restore(item) is (make is not make_nothing)
    assert os.path.lexists(str(host / "data/dump")) is (make is not make_nothing)


@pytest.mark.parametrize("make", BEFORE)
def test_a_write_that_never_comes_leaves_nothing_to_undo(host, quarantine, make):
    make(host)
    date(host)
    before = manifest(host)
    item = quarantine.expect("/data/dump", "r", "why")
    assert quarantine.settle(item) is False
    assert quarantine.check_restore(item) is False
    assert QuarantineUndo(quarantine, incident="one").decide("restored") == []
    assert quarantine.restore(item) is False
    assert manifest(host) == before
    if make is make_nothing:
        assert quarantine.items() == []


def test_a_late_write_is_not_overwritten(host, quarantine):
    make_file(host)
    item = quarantine.expect("/data/dump", "r", "why")
    quarantine.settle(item)
    write(host)
    with pytest.raises(ResponseError, match="written again"):
        quarantine.check_restore(item)


def test_only_the_metadata_were_changed(host, quarantine):
    make_file(host)
    date(host)
    before = manifest(host)
    item = quarantine.expect("/data/dump", "r", "why")
    write(host, b"old bytes")
    assert quarantine.settle(item) is True
    assert quarantine.restore(item) is True
    assert manifest(host) == before


def test_what_the_other_program_wrote_is_kept_by_the_undo_until_it_is_purged(host, quarantine, tmp_path):
    make_file(host)
    objects = tmp_path / "q/one/objects"
    item = quarantine.expect("/data/dump", "r", "why")
    write(host)
    quarantine.settle(item)
    assert len(os.listdir(str(objects))) == 1
    quarantine.restore(item)
    assert (objects / quarantine.items()[0]["put_sha256"]).read_bytes() == NEW
    assert quarantine.purge(item) is True
    assert os.listdir(str(objects)) == []


def test_without_room_to_keep_it_nothing_is_undone(host, quarantine, monkeypatch):
    make_nothing(host)
    item = quarantine.expect("/data/dump", "r", "why")
    write(host)
    quarantine.settle(item)
    monkeypatch.setattr(quarantine_store, "SPARE_BYTES", 1 << 60)
    for act in (quarantine.check_restore, quarantine.restore):
        with pytest.raises(ResponseError, match="KiB free and needs"):
            act(item)
    assert (host / "data/dump").read_bytes() == NEW


def test_a_write_during_the_undo_is_not_lost(host, quarantine, monkeypatch):
    make_file(host)
    item = quarantine.expect("/data/dump", "r", "why")
    write(host)
    quarantine.settle(item)
    add = quarantine_store.Store.add

    def late(self, source, name):
        write_in_place(host, b"newer")
        return add(self, source, name)

    monkeypatch.setattr(quarantine_store.Store, "add", late)
    with pytest.raises(ResponseError, match="written again"):
        quarantine.restore(item)
    assert (host / "data/dump").read_bytes() == b"newer"


def test_something_else_than_a_file_is_in_its_place(host, quarantine):
    make_file(host)
    item = quarantine.expect("/data/dump", "r", "why")
    os.unlink(str(host / "data/dump"))
    os.symlink("elsewhere", str(host / "data/dump"))
    assert quarantine.settle(item) is True
    with pytest.raises(ResponseError, match="not overwritten"):
        quarantine.restore(item)


def test_a_directory_is_not_expected_to_be_replaced(host, quarantine):
    (host / "data/dump").mkdir()
    with pytest.raises(ResponseError, match="is a directory"):
        quarantine.expect("/data/dump", "r", "why")
    assert quarantine.items() == []


def test_expected_files_count_for_the_ceiling(host, tmp_path):
    quarantine = Quarantine("one", root=str(tmp_path / "q"), host_root=str(host), max_files=1)
    quarantine.expect("/data/dump", "r", "why")
    with pytest.raises(ResponseError, match="max_files"):
        quarantine.expect("/data/other", "r", "why")


def test_several_in_one_incident_are_taken_back_last_first(host, quarantine):
    make_file(host)
    date(host)
    before = manifest(host)
    for content in (b"first", b"second"):
        item = quarantine.expect("/data/dump", "r", "why")
        write(host, content)
        quarantine.settle(item)
    undo = QuarantineUndo(quarantine, incident="one")
    steps = undo.decide("restored")
    assert [action["status"] for action in undo.apply("restored", steps)] == ["done", "done"]
    assert manifest(host)[b"data/dump"] == before[b"data/dump"]


# -- killed


def run(quarantine, host):
    item = quarantine.expect("/data/dump", "r", "why")
    write(host)
    quarantine.settle(item)


@pytest.mark.parametrize("make", BEFORE)
def test_killed_at_any_step_the_old_state_comes_back(host, tmp_path, make):
    make(host)
    date(host)
    before = manifest(host)
    fatal, states = 0, set()
    killed = True
    while killed:
        fatal += 1
        quarantine = Quarantine("i%d" % fatal, root=str(tmp_path / "q"), host_root=str(host))
        killed = killed_at(fatal, run, quarantine, host)
        after = manifest(host)
        items = quarantine.items(quarantine.incident)
        if not items:
            assert after == before, "step %d left another state without a record" % fatal
            continue
        item, = items
        states.add((item["state"], after == before))
        changes = quarantine.check_restore(item["item"])
        assert changes is (after != before)
        assert quarantine.restore(item["item"]) is changes
        assert manifest(host) == before, "step %d is not undone" % fatal
    # Killed before the write, after it, and when all was noted.
    assert states == {("interrupted", True), ("interrupted", False), ("quarantined", False)}


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("make", BEFORE)
def test_killed_at_any_step_of_the_undo_it_can_be_repeated(host, tmp_path, make, settled):
    make(host)
    date(host)
    before = manifest(host)
    fatal = 0
    killed = True
    while killed:
        fatal += 1
        quarantine = Quarantine("i%d" % fatal, root=str(tmp_path / "q"), host_root=str(host))
        item = quarantine.expect("/data/dump", "r", "why")
        write(host)
        if settled:
            quarantine.settle(item)
        killed = killed_at(fatal, quarantine.restore, item)
        assert quarantine.restore(item) in ((True, False) if killed else (False,))
        assert manifest(host) == before, "after step %d" % fatal
        put = quarantine.items(quarantine.incident)[0]["put_sha256"]
        assert (tmp_path / "q" / quarantine.incident / "objects" / put).read_bytes() == NEW
    assert fatal > 8


def test_one_that_was_never_settled_can_be_purged(host, quarantine, tmp_path):
    make_file(host)
    item = quarantine.expect("/data/dump", "r", "why")
    write(host)
    assert quarantine.check_purge(item) is True
    assert quarantine.purge(item) is True
    assert (host / "data/dump").read_bytes() == NEW
    assert os.listdir(str(tmp_path / "q/one/objects")) == []


def test_the_bytes_and_the_journal_are_on_the_disk_before_the_write(host, quarantine, monkeypatch):
    make_file(host)
    synced = []
    fsync = os.fsync

    def record(descriptor):
        synced.append(os.path.basename(os.readlink("/proc/self/fd/%d" % descriptor))[:9])
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    quarantine.expect("/data/dump", "r", "why")
    assert synced.index(".incoming") < synced.index("objects") < synced.index("journal.j")
