# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The quarantine killed at every step, and on file systems that are full or read-only."""

import ctypes
import errno
import fcntl
import os
import stat

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import inode_flags
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import (
    quarantine_journal,
    quarantine_store,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import Quarantine
from ansible_collections.ecsops.intrusion_response.tests.unit.target.killer import killed_at
from ansible_collections.ecsops.intrusion_response.tests.unit.target.manifest import (
    IMMUTABLE,
    flags_of,
    manifest,
    set_flags,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="inode flags and mounts take root")


def unflag(top):
    for directory, _directories, files in os.walk(top):
        for path in [directory] + [os.path.join(directory, name) for name in files]:
            if stat.S_ISREG(os.lstat(path).st_mode) or stat.S_ISDIR(os.lstat(path).st_mode):
                set_flags(path, flags_of(path) & ~(0x10 | 0x20))


@pytest.fixture
def host(tmp_path):
    root = tmp_path / "host"
    (root / "etc").mkdir(parents=True)
    (root / "etc/file").write_bytes(b"#!/bin/sh\n")
    (root / "etc/file").chmod(0o4711)
    (root / "etc/tree/inner").mkdir(parents=True)
    (root / "etc/tree/a").write_bytes(b"a" * 5000)
    os.link(str(root / "etc/tree/a"), str(root / "etc/tree/inner/again"))
    os.symlink("a", str(root / "etc/tree/link"))
    os.mkfifo(str(root / "etc/tree/inner/pipe"))
    for name in ("etc/file", "etc/tree/a", "etc/tree/inner", "etc/tree", "etc"):
        os.utime(str(root / name), ns=(1, 1400000000000000001))
    if os.geteuid() == 0:
        for name in ("etc/file", "etc/tree/a", "etc/tree", "etc"):
            set_flags(str(root / name), flags_of(str(root / name)) | IMMUTABLE)
    yield root
    unflag(str(root))


ACTS = {
    "remove a file": lambda quarantine: quarantine.remove("/etc/file", "r", "why"),
    "remove a tree": lambda quarantine: quarantine.remove("/etc/tree", "r", "why"),
    "replace": lambda quarantine: quarantine.replace("/etc/file", "r", "why", content=b"new"),
    "create": lambda quarantine: quarantine.replace("/etc/fresh", "r", "why", content=b"new"),
}


@pytest.mark.parametrize("name", sorted(ACTS))
def test_killed_at_any_step_the_old_state_comes_back(host, tmp_path, name):
    before = manifest(host)
    fatal = 0
    while True:
        fatal += 1
        quarantine = Quarantine("i%d" % fatal, root=str(tmp_path / "q"), host_root=str(host))
        killed = killed_at(fatal, ACTS[name], quarantine)
        items = quarantine.items(quarantine.incident)
        if not items:
            assert manifest(host) == before, "step %d left another state without a record" % fatal
        for item in items:
            assert item["state"] in ("interrupted", "quarantined")
            quarantine.restore(item["item"])
            assert manifest(host) == before, "step %d is not undone" % fatal
        if not killed:
            assert items[0]["state"] == "quarantined"
            break
    assert fatal > 15


@pytest.mark.parametrize("name", sorted(ACTS))
def test_killed_at_any_step_of_the_undo_it_can_be_repeated(host, tmp_path, name):
    before = manifest(host)
    fatal = 0
    while True:
        fatal += 1
        quarantine = Quarantine("i%d" % fatal, root=str(tmp_path / "q"), host_root=str(host))
        item = ACTS[name](quarantine)
        killed = killed_at(fatal, quarantine.restore, item)
        # Killed while the very last line was synced, it was complete.
        assert quarantine.restore(item) in ((True, False) if killed else (False,))
        assert manifest(host) == before, "after step %d" % fatal
        if not killed:
            break
    assert fatal > 5


def test_killed_at_any_step_a_second_run_still_succeeds_and_all_is_undone(host, tmp_path):
    before = manifest(host)
    fatal = 0
    killed = True
    while killed:
        fatal += 1
        quarantine = Quarantine("i%d" % fatal, root=str(tmp_path / "q"), host_root=str(host))
        killed = killed_at(fatal, ACTS["replace"], quarantine)
        ACTS["replace"](quarantine)
        assert sorted(os.listdir(str(host / "etc"))) == ["file", "tree"]
        for item in reversed(quarantine.items(quarantine.incident)):
            quarantine.restore(item["item"])
        assert manifest(host) == before, "after step %d" % fatal


def test_killed_at_any_step_of_a_purge_it_can_be_repeated(host, tmp_path):
    fatal = 0
    killed = True
    while killed:
        fatal += 1
        quarantine = Quarantine("i%d" % fatal, root=str(tmp_path / "q"), host_root=str(host))
        item = quarantine.replace("/etc/file", "r", "why", content=b"new %d" % fatal)
        killed = killed_at(fatal, quarantine.purge, item)
        quarantine.purge(item)
        assert quarantine.items(quarantine.incident)[0]["state"] == "purged"
        assert os.listdir(str(tmp_path / "q" / quarantine.incident / "objects")) == []


@pytest.mark.parametrize("name", sorted(ACTS))
def test_bytes_and_journal_are_on_the_disk_before_the_act(host, tmp_path, monkeypatch, name):
    seen = []

    def record(function, label):
        def step(*arguments, **keywords):
            if label == "fsync":
                seen.append(("fsync", os.path.basename(os.readlink("/proc/self/fd/%d" % arguments[0]))[:9]))
            else:
                where = keywords.get("dir_fd", keywords.get("src_dir_fd"))
                if where is not None:
                    seen.append(("act", label))
            return function(*arguments, **keywords)
        return step

    for label in ("fsync", "unlink", "rmdir", "rename", "link"):
        monkeypatch.setattr(os, label, record(getattr(os, label), label))
    ACTS[name](Quarantine("i", root=str(tmp_path / "q"), host_root=str(host)))
    first_act = [kind for kind, unused in seen].index("act")
    synced = [what for kind, what in seen[:first_act] if kind == "fsync"]
    assert "journal.j" in synced
    if name != "create":
        assert ".incoming" in synced and "objects" in synced
        assert synced.index("objects") < synced.index("journal.j")
    assert seen[-1] == ("fsync", "journal.j")


# -- failures that the kernel reports


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 2 MiB, and a function that makes it read-only."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = tmp_path / "disk"
    place.mkdir()

    def mount(flags):
        if libc.mount(b"none", str(place).encode(), b"tmpfs", flags, b"size=2m"):
            pytest.skip("mounting is not permitted here: %s" % os.strerror(ctypes.get_errno()))

    mount(0)
    # MS_REMOUNT and MS_RDONLY of mount(2).
    yield place, lambda: mount(32 | 1)
    libc.umount2(str(place).encode(), 2)


@needs_root
def test_a_full_quarantine_removes_nothing(host, small_disk):
    set_flags(str(host / "etc"), 0)
    (host / "etc/large").write_bytes(os.urandom(1536 * 1024))
    before = manifest(host)
    quarantine = Quarantine("i", root=str(small_disk[0] / "q"), host_root=str(host))
    with pytest.raises(ResponseError, match="KiB free and needs.*nothing was removed.*quarantine_root"):
        quarantine.remove("/etc/large", "r", "why")
    assert manifest(host) == before
    assert quarantine.items() == []


@needs_root
def test_a_disk_that_fills_up_meanwhile_leaves_no_partial_copy(host, small_disk, monkeypatch):
    monkeypatch.setattr(quarantine_store, "SPARE_BYTES", -64 * 1024 * 1024)
    set_flags(str(host / "etc"), 0)
    (host / "etc/large").write_bytes(os.urandom(3 * 1024 * 1024))
    before = manifest(host)
    quarantine = Quarantine("i", root=str(small_disk[0] / "q"), host_root=str(host))
    with pytest.raises(ResponseError, match="No space left.*nothing was removed"):
        quarantine.remove("/etc/large", "r", "why")
    assert manifest(host) == before
    assert os.listdir(str(small_disk[0] / "q/i/objects")) == []


@needs_root
def test_no_room_for_the_replacement(small_disk, tmp_path):
    (small_disk[0] / "file").write_bytes(b"old")
    before = manifest(small_disk[0])
    quarantine = Quarantine("i", root=str(tmp_path / "q"), host_root=str(small_disk[0]))
    with pytest.raises(ResponseError, match="No space left"):
        quarantine.replace("/file", "r", "why", content=os.urandom(3 * 1024 * 1024))
    assert manifest(small_disk[0]) == before
    assert quarantine.items() == []


@needs_root
def test_a_read_only_file_system(small_disk, tmp_path):
    (small_disk[0] / "file").write_bytes(b"x")
    quarantine = Quarantine("i", root=str(tmp_path / "q"), host_root=str(small_disk[0]))
    small_disk[1]()
    with pytest.raises(ResponseError, match="read-only.*Remount"):
        quarantine.remove("/file", "r", "why")
    with pytest.raises(ResponseError, match="read-only.*Remount"):
        quarantine.replace("/file", "r", "why", content=b"")
    assert (small_disk[0] / "file").read_bytes() == b"x"


@needs_root
def test_restore_on_a_read_only_file_system_can_be_tried_again(small_disk, tmp_path):
    libc = ctypes.CDLL(None)
    (small_disk[0] / "file").write_bytes(b"x")
    quarantine = Quarantine("i", root=str(tmp_path / "q"), host_root=str(small_disk[0]))
    item = quarantine.remove("/file", "r", "why")
    small_disk[1]()
    with pytest.raises(ResponseError, match="read-only"):
        quarantine.restore(item)
    assert quarantine.items()[0]["state"] == "quarantined"
    libc.mount(b"none", str(small_disk[0]).encode(), b"tmpfs", 32, b"size=2m")
    assert quarantine.restore(item) is True


@needs_root
def test_a_mount_point_inside_is_refused(small_disk, tmp_path):
    quarantine = Quarantine("i", root=str(tmp_path / "q"))
    with pytest.raises(ResponseError, match="mount point"):
        quarantine.remove(str(small_disk[0]), "r", "why")


@needs_root
@pytest.mark.parametrize("name", ["remove a file", "remove a tree", "replace"])
def test_flags_that_cannot_be_cleared(host, tmp_path, monkeypatch, name):
    before = manifest(host)
    ioctl = fcntl.ioctl

    def refuse(descriptor, request, argument):
        if request == inode_flags._SET and not os.path.samestat(os.fstat(descriptor), os.stat(str(host / "etc"))):
            raise OSError(errno.EPERM, "Operation not permitted")
        return ioctl(descriptor, request, argument)

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    quarantine = Quarantine("i", root=str(tmp_path / "q"), host_root=str(host))
    with pytest.raises(ResponseError, match="CAP_LINUX_IMMUTABLE"):
        ACTS[name](quarantine)
    monkeypatch.undo()
    assert manifest(host) == before
    assert quarantine.items() == []


def hook(monkeypatch, act):
    """Run ``act`` right after the journal's "begin": somebody is faster than we are."""
    append = quarantine_journal.Journal.append

    def step(self, item, event, **fields):
        append(self, item, event, **fields)
        if event == "begin":
            act()

    monkeypatch.setattr(quarantine_journal.Journal, "append", step)


@pytest.mark.parametrize("name", ["remove a file", "replace"])
def test_a_file_that_changes_meanwhile_stays_as_it_is(host, tmp_path, monkeypatch, name):
    unflag(str(host))
    hook(monkeypatch, lambda: (host / "etc/file").write_bytes(b"newer bytes"))
    quarantine = Quarantine("i", root=str(tmp_path / "q"), host_root=str(host))
    with pytest.raises(ResponseError, match="being changed"):
        ACTS[name](quarantine)
    assert (host / "etc/file").read_bytes() == b"newer bytes"
    assert sorted(os.listdir(str(host / "etc"))) == ["file", "tree"]
    assert quarantine.items() == []


def test_a_tree_that_grows_meanwhile_comes_back(host, tmp_path, monkeypatch):
    unflag(str(host))
    hook(monkeypatch, lambda: (host / "etc/tree/new").write_bytes(b"new"))
    before = manifest(host / "etc/tree/inner")
    quarantine = Quarantine("i", root=str(tmp_path / "q"), host_root=str(host))
    with pytest.raises(ResponseError, match="being changed"):
        ACTS["remove a tree"](quarantine)
    assert manifest(host / "etc/tree/inner") == before
    assert sorted(os.listdir(str(host / "etc/tree"))) == ["a", "inner", "link", "new"]
    assert quarantine.items() == []


def test_a_file_that_appears_meanwhile_is_not_overwritten(host, tmp_path, monkeypatch):
    unflag(str(host))
    hook(monkeypatch, lambda: (host / "etc/fresh").write_bytes(b"somebody's"))
    quarantine = Quarantine("i", root=str(tmp_path / "q"), host_root=str(host))
    with pytest.raises(ResponseError, match="File exists"):
        ACTS["create"](quarantine)
    assert (host / "etc/fresh").read_bytes() == b"somebody's"
    assert sorted(os.listdir(str(host / "etc"))) == ["file", "fresh", "tree"]
    assert quarantine.items() == []


def test_another_run_at_work_is_waited_for_and_then_told(host, tmp_path, monkeypatch):
    unflag(str(host))
    quarantine = Quarantine("i", root=str(tmp_path / "q"), host_root=str(host))
    quarantine.remove("/etc/file", "r", "why")
    monkeypatch.setattr(quarantine_store, "LOCK_SECONDS", 0)
    with (tmp_path / "q/i/lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ResponseError, match="Another run works"):
            quarantine.remove("/etc/tree", "r", "why")
    assert quarantine.remove("/etc/tree", "r", "why")


def test_a_file_system_without_hard_links(host, tmp_path, monkeypatch):
    unflag(str(host))
    before = manifest(host)

    def refuse(*unused, **keywords):
        raise OSError(errno.EPERM, "Operation not permitted")

    quarantine = Quarantine("i", root=str(tmp_path / "q"), host_root=str(host))
    item = ACTS["remove a file"](quarantine)
    monkeypatch.setattr(os, "link", refuse)
    quarantine.restore(item)
    quarantine.restore(ACTS["create"](quarantine))
    assert manifest(host) == before
    hook(monkeypatch, lambda: (host / "etc/fresh").write_bytes(b"somebody's"))
    with pytest.raises(ResponseError, match="File exists"):
        ACTS["create"](quarantine)
    assert (host / "etc/fresh").read_bytes() == b"somebody's"


@needs_root
def test_another_hard_link_of_a_replaced_file_stays_immutable(host, tmp_path):
    set_flags(str(host / "etc"), flags_of(str(host / "etc")) & ~IMMUTABLE)
    set_flags(str(host / "etc/file"), flags_of(str(host / "etc/file")) & ~IMMUTABLE)
    os.link(str(host / "etc/file"), str(host / "other"))
    set_flags(str(host / "other"), flags_of(str(host / "other")) | IMMUTABLE)
    Quarantine("i", root=str(tmp_path / "q"), host_root=str(host)).replace("/etc/file", "r", "why", content=b"new")
    assert flags_of(str(host / "other")) & IMMUTABLE


@needs_root
def test_a_directory_that_cannot_be_unlocked_leaves_no_interrupted_item(host, tmp_path, monkeypatch):
    def refuse(*unused):
        raise ResponseError("Not permitted.")
    before = manifest(host)
    quarantine = Quarantine("i", root=str(tmp_path / "q"), host_root=str(host))
    monkeypatch.setattr(inode_flags, "clear_flags", refuse)
    with pytest.raises(ResponseError, match="^Not permitted"):
        quarantine.remove("/etc/file", "r", "why")
    assert (manifest(host), quarantine.items()) == (before, [])
    # Nor the bytes, which no purge would ever find.
    assert os.listdir(str(tmp_path / "q/i/objects")) == []
