# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import socket
import stat
import struct

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import FileMissing
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import Quarantine
from ansible_collections.ecsops.intrusion_response.tests.unit.target.manifest import (
    APPEND_ONLY,
    IMMUTABLE,
    flags_of,
    manifest,
    set_flags,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners, devices and inode flags take root")

# security.capability of "cap_net_raw=ep": revision 2, effective bit (linux/capability.h).
CAP_NET_RAW = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
# system.posix_acl_access: version 2; user_obj rw-, user 12 r--, group_obj r--, mask r--, other ---
# (linux/posix_acl_xattr.h).
ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, bits, who) for tag, bits, who in (
    (1, 6, 0xFFFFFFFF), (2, 4, 12), (4, 4, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)))


@pytest.fixture
def host(tmp_path):
    root = tmp_path / "host"
    for name in ("usr/bin", "etc", "tmp", "var/spool"):
        (root / name).mkdir(parents=True)
    os.symlink("usr/bin", str(root / "bin"))
    yield root
    for top, directories, files in os.walk(str(root)):
        for name in directories + files:
            path = os.path.join(top, name)
            flagged = stat.S_IFMT(os.lstat(path).st_mode) in (stat.S_IFREG, stat.S_IFDIR)
            if flagged and flags_of(path) & (IMMUTABLE | APPEND_ONLY):
                set_flags(path, flags_of(path) & ~(IMMUTABLE | APPEND_ONLY))


@pytest.fixture
def quarantine(host, tmp_path):
    return Quarantine("incident-1", root=str(tmp_path / "quarantine"), host_root=str(host))


def put(path, content=b"#!/bin/sh\nexec sleep 1\n", mode=0o755):
    path.write_bytes(content)
    path.chmod(mode)
    os.utime(str(path), ns=(1400000000123456789, 1400000000987654321))
    return path


def make_file(top):
    put(top)


def make_acl(top):
    put(top, mode=0o640)
    os.setxattr(str(top), "system.posix_acl_access", ACL)


def make_capable(top):
    put(top)
    os.chown(str(top), 12, 34)
    os.chmod(str(top), 0o6751)
    os.setxattr(str(top), "security.capability", CAP_NET_RAW)
    os.setxattr(str(top), "trusted.note", b"\x00\xff")


def make_immutable(top):
    put(top)
    set_flags(str(top), flags_of(str(top)) | IMMUTABLE)


def make_append_only(top):
    put(top)
    set_flags(str(top), flags_of(str(top)) | APPEND_ONLY | 0x80)


def make_empty(top):
    put(top, b"", 0)


def make_symlink(top):
    os.symlink("../../etc/passwd", str(top))
    os.utime(str(top), ns=(5, 7), follow_symlinks=False)


def make_dangling_hostile_symlink(top):
    os.symlink(b"nowhere\n\x1b[31m\xff", os.fsencode(str(top)))


def make_fifo(top):
    os.mkfifo(str(top), 0o622)
    os.chmod(str(top), 0o622)


def make_socket(top):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(top))
    server.close()


def make_device(top):
    os.mknod(str(top), stat.S_IFCHR | 0o640, os.makedev(1, 3))


def make_tree(top):
    top.mkdir(mode=0o750)
    put(top / "getty")
    put(top / "getty.lock", b"123\n", 0o644)
    (top / "deep").mkdir()
    make_symlink(top / "deep" / "link")
    make_fifo(top / "deep" / "pipe")
    (top / "deep" / "empty").mkdir(mode=0o1777)
    os.link(str(top / "getty"), str(top / "deep" / "hard"))
    for name in (b"/bad\xff\n\x1b[2J", b"/deep/caf\xc3\xa9"):
        with open(os.fsencode(str(top)) + name, "wb") as stream:
            stream.write(b"x")
    for name in ("deep/empty", "deep", ""):
        os.utime(str(top / name), ns=(11, 1300000000000000000 + len(name)))


def make_immutable_tree(top):
    make_tree(top)
    for name in ("getty", "deep", ""):
        set_flags(str(top / name), flags_of(str(top / name)) | IMMUTABLE)


REMOVABLE = [make_file, make_empty, make_symlink, make_dangling_hostile_symlink, make_fifo, make_socket, make_tree]
REMOVABLE_AS_ROOT = [make_acl, make_capable, make_immutable, make_append_only, make_device, make_immutable_tree]


@pytest.mark.parametrize("make", REMOVABLE + [pytest.param(make, marks=needs_root) for make in REMOVABLE_AS_ROOT])
@pytest.mark.parametrize("own_directory", [False, pytest.param(True, marks=needs_root)])
def test_what_is_removed_comes_back_the_same(host, quarantine, make, own_directory):
    parent = host / "usr/bin"
    make(parent / ".sshd")
    os.utime(str(parent), ns=(1, 1500000000000000001))
    if own_directory:
        set_flags(str(parent), flags_of(str(parent)) | IMMUTABLE)
    before = manifest(host)

    item = quarantine.remove("/usr/bin/.sshd", "malware_artifact.dropper_copy", "because")

    assert not os.path.lexists(str(parent / ".sshd"))
    assert os.listdir(str(parent)) == []
    assert flags_of(str(parent)) & IMMUTABLE == (IMMUTABLE if own_directory else 0)
    assert quarantine.check_restore(item) is True
    assert quarantine.restore(item) is True
    assert manifest(host) == before
    assert quarantine.restore(item) is False
    assert quarantine.check_restore(item) is False


def test_hard_links_within_a_tree_are_links_again(host, quarantine):
    make_tree(host / "tmp/x")
    quarantine.restore(quarantine.remove("/tmp/x", "r", "why"))
    assert os.path.samefile(str(host / "tmp/x/getty"), str(host / "tmp/x/deep/hard"))


@needs_root
def test_another_hard_link_keeps_its_flag(host, quarantine):
    put(host / "tmp/a")
    os.link(str(host / "tmp/a"), str(host / "etc/b"))
    set_flags(str(host / "etc/b"), flags_of(str(host / "etc/b")) | IMMUTABLE)
    quarantine.remove("/tmp/a", "r", "why")
    assert flags_of(str(host / "etc/b")) & IMMUTABLE
    assert quarantine.items()[0]["hard_links"] == 2


def test_many_items_restored_in_reverse_give_the_same_manifest(host, quarantine):
    for name in "abc":
        put(host / "etc" / name, name.encode())
    before = manifest(host)
    items = [quarantine.remove("/etc/a", "r", "why"),
             quarantine.replace("/etc/b", "r", "why", content=b"new"),
             quarantine.remove("/etc/c", "r", "why")]
    assert manifest(host) != before
    for item in reversed(items):
        quarantine.restore(item)
    assert manifest(host) == before


def test_a_directory_changed_by_others_since_keeps_its_time(host, quarantine):
    put(host / "etc/a")
    os.utime(str(host / "etc"), ns=(1, 41))
    item = quarantine.remove("/etc/a", "r", "why")
    put(host / "etc/other")
    os.utime(str(host / "etc"), ns=(1, 42))
    quarantine.restore(item)
    assert os.stat(str(host / "etc")).st_mtime_ns > 42


def test_store_is_private_and_not_executable(host, quarantine, tmp_path):
    path = put(host / "tmp/x", mode=0o4777)
    content = path.read_bytes()
    quarantine.remove("/tmp/x", "r", "why")
    top = tmp_path / "quarantine"
    modes = {str(path.relative_to(top)): stat.S_IMODE(path.stat().st_mode) for path in top.rglob("*")}
    stored = list(top.rglob("objects/*"))
    assert stat.S_IMODE(top.stat().st_mode) == 0o700
    assert [path.read_bytes() for path in stored] == [content]
    assert modes == {"incident-1": 0o700, "incident-1/journal.jsonl": 0o600, "incident-1/lock": 0o600,
                     "incident-1/objects": 0o700, "incident-1/objects/" + stored[0].name: 0o400}


@pytest.mark.parametrize("original", [make_file, make_symlink, make_fifo,
                                      pytest.param(make_immutable, marks=needs_root),
                                      pytest.param(make_capable, marks=needs_root)])
def test_what_is_replaced_comes_back_the_same(host, quarantine, original):
    original(host / "usr/bin/ps")
    os.utime(str(host / "usr/bin"), ns=(1, 1500000000000000001))
    before = manifest(host)
    item = quarantine.replace("/bin/ps", "binary_restore.replace", "why", content=b"packaged")
    assert (host / "usr/bin/ps").read_bytes() == b"packaged"
    assert os.listdir(str(host / "usr/bin")) == ["ps"]
    quarantine.restore(item)
    assert manifest(host) == before


@needs_root
def test_replace_keeps_metadata_but_not_what_vouched_for_the_old_bytes(host, quarantine):
    make_capable(host / "etc/crontab")
    set_flags(str(host / "etc/crontab"), flags_of(str(host / "etc/crontab")) | IMMUTABLE)
    quarantine.replace("/etc/crontab", "r", "why", content=b"")
    found = os.stat(str(host / "etc/crontab"))
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12, 34, 0o6751)
    assert os.listxattr(str(host / "etc/crontab")) == ["trusted.note"]
    assert flags_of(str(host / "etc/crontab")) & IMMUTABLE == 0


@needs_root
def test_replace_from_source_with_given_metadata(host, quarantine):
    put(host / "usr/bin/ps", b"trojan")
    put(host / "tmp/original", b"packaged")
    quarantine.replace("/bin/ps", "r", "why", source="/tmp/original", mode=0o755, uid=0, gid=0,
                       xattrs={"security.capability": CAP_NET_RAW})
    found = os.stat(str(host / "usr/bin/ps"))
    assert (found.st_uid, stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0, 0o755, 1400000000987654321)
    assert os.getxattr(str(host / "usr/bin/ps"), "security.capability") == CAP_NET_RAW


def test_a_default_acl_of_the_directory_does_not_stick_to_what_comes_back(host, quarantine):
    put(host / "etc/a", mode=0o600)
    os.setxattr(str(host / "etc"), "system.posix_acl_default", ACL)
    before = manifest(host)
    quarantine.restore(quarantine.remove("/etc/a", "r", "why"))
    assert manifest(host) == before


def test_replace_where_nothing_was_is_undone_by_removal(host, quarantine):
    before = manifest(host)
    item = quarantine.replace("/usr/bin/ss", "r", "why", content=b"packaged", mode=0o755)
    assert (host / "usr/bin/ss").read_bytes() == b"packaged"
    assert quarantine.items()[0]["operation"] == "create"
    quarantine.restore(item)
    assert manifest(host) == before


# -- refusals: nothing is overwritten, nothing is lost


def test_restore_refuses_a_path_that_appeared_since(host, quarantine):
    put(host / "tmp/x")
    item = quarantine.remove("/tmp/x", "r", "why")
    put(host / "tmp/x", b"somebody's")
    for act in (quarantine.check_restore, quarantine.restore):
        with pytest.raises(ResponseError, match="exists again"):
            act(item)
    assert (host / "tmp/x").read_bytes() == b"somebody's"
    (host / "tmp/x").unlink()
    assert quarantine.restore(item) is True


@pytest.mark.parametrize("start", [b"original", None])
def test_restore_refuses_a_replaced_file_that_was_changed_since(host, quarantine, start):
    if start:
        put(host / "etc/f", start)
    item = quarantine.replace("/etc/f", "r", "why", content=b"ours")
    (host / "etc/f").write_bytes(b"OURS")
    with pytest.raises(ResponseError, match="was changed after"):
        quarantine.restore(item)
    assert (host / "etc/f").read_bytes() == b"OURS"


def test_restore_refuses_damaged_bytes(host, quarantine, tmp_path):
    put(host / "tmp/x")
    item = quarantine.remove("/tmp/x", "r", "why")
    stored = next((tmp_path / "quarantine").rglob("objects/*"))
    stored.chmod(0o600)
    stored.write_bytes(b"altered")
    with pytest.raises(ResponseError, match="was altered"):
        quarantine.restore(item)
    assert not (host / "tmp/x").exists()
    stored.unlink()
    with pytest.raises(ResponseError, match="no longer holds"):
        quarantine.check_restore(item)


def test_restore_into_a_directory_that_went_later(host, quarantine):
    (host / "tmp/d").mkdir()
    put(host / "tmp/d/x")
    before = manifest(host)
    first = quarantine.remove("/tmp/d/x", "r", "why")
    second = quarantine.remove("/tmp/d", "r", "why")
    with pytest.raises(ResponseError, match="is gone.*restore that item first"):
        quarantine.restore(first)
    quarantine.restore(second)
    quarantine.restore(first)
    assert manifest(host) == before


def test_unknown_item_names_those_that_exist(host, quarantine):
    put(host / "tmp/x")
    item = quarantine.remove("/tmp/x", "r", "why")
    for unknown in ("incident-1.0099", "other.0001", "nonsense", "../x.0001"):
        with pytest.raises(ResponseError, match="has no item.*" + item):
            quarantine.restore(unknown)


def test_missing_file(quarantine, tmp_path):
    with pytest.raises(FileMissing, match="/tmp/none does not exist"):
        quarantine.remove("/tmp/none", "r", "why")
    with pytest.raises(FileMissing):
        quarantine.remove("/none/none", "r", "why")
    assert not (tmp_path / "quarantine").exists()


@pytest.mark.parametrize("path", ["/usr/bin", "/bin/../usr/bin", "/etc", "/tmp/", "/"])
def test_system_directories_stay(quarantine, path):
    with pytest.raises(ResponseError):
        quarantine.remove(path, "r", "why")


def test_the_quarantine_itself_stays(tmp_path):
    (tmp_path / "data").mkdir()
    quarantine = Quarantine("i", root=str(tmp_path / "data/quarantine"))
    with pytest.raises(ResponseError, match="holds the quarantine itself"):
        quarantine.remove(str(tmp_path / "data"), "r", "why")


def test_a_link_in_a_place_where_others_write_is_not_followed(host, quarantine):
    (host / "tmp").chmod(0o1777)
    os.symlink("/etc", str(host / "tmp/link"))
    put(host / "etc/passwd")
    with pytest.raises(ResponseError, match="symbolic link 'link'"):
        quarantine.remove("/tmp/link/passwd", "r", "why")
    assert (host / "etc/passwd").exists()


def test_ceiling(host, tmp_path):
    quarantine = Quarantine("i", root=str(tmp_path / "q"), host_root=str(host), max_files=3)
    make_tree(host / "tmp/tree")
    for name in "abcd":
        put(host / "tmp" / name)
    with pytest.raises(ResponseError, match="3 files"):
        quarantine.remove("/tmp/tree", "r", "why")
    for name in "ab":
        quarantine.remove("/tmp/" + name, "r", "why")
    quarantine.replace("/tmp/c", "r", "why", content=b"")
    with pytest.raises(ResponseError, match="max_files"):
        quarantine.remove("/tmp/d", "r", "why")
    with pytest.raises(ResponseError, match="max_files"):
        quarantine.replace("/tmp/new", "r", "why", content=b"")
    assert (host / "tmp/d").exists() and not (host / "tmp/new").exists()


@needs_root
def test_a_quarantine_prepared_by_somebody_else_is_refused(host, tmp_path):
    (tmp_path / "q").mkdir()
    os.chown(str(tmp_path / "q"), 1000, 1000)
    put(host / "tmp/x")
    with pytest.raises(ResponseError, match="belongs to uid 1000"):
        Quarantine("i", root=str(tmp_path / "q"), host_root=str(host)).remove("/tmp/x", "r", "why")
    assert (host / "tmp/x").exists()


def test_a_loose_mode_of_the_quarantine_is_tightened(host, tmp_path):
    (tmp_path / "q").mkdir(mode=0o777)
    (tmp_path / "q").chmod(0o777)
    put(host / "tmp/x")
    Quarantine("i", root=str(tmp_path / "q"), host_root=str(host)).remove("/tmp/x", "r", "why")
    assert stat.S_IMODE((tmp_path / "q").stat().st_mode) == 0o700


@pytest.mark.parametrize("incident", ["", "..", "a/b", ".hidden", "a\nb", "x" * 129])
def test_incident_names(incident):
    with pytest.raises(ResponseError, match="is not an incident id"):
        Quarantine(incident)


def test_relative_root():
    with pytest.raises(ResponseError, match="absolute"):
        Quarantine("i", root="quarantine")


# -- listing, purging, journal


def test_items_tell_what_was_done(host, quarantine):
    put(host / "tmp/x", b"abc")
    make_tree(host / "tmp/tree")
    quarantine.remove("/tmp/x", "rule.a", "reason a")
    quarantine.remove("/tmp/tree", "rule.b", "reason b")
    first, second = quarantine.items()
    assert (first["item"], first["path"], first["type"], first["size"], first["files"], first["rule"]) == (
        "incident-1.0001", "/tmp/x", "file", 3, 1, "rule.a")
    assert first["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (second["type"], second["files"], second["state"]) == ("directory", 10, "quarantined")
    assert quarantine.items("other") == []
    json.dumps(quarantine.items())


def test_purge_deletes_bytes_that_no_other_item_needs(host, quarantine, tmp_path):
    items = []
    for name, content in (("a", b"same"), ("b", b"same"), ("c", b"other")):
        put(host / "tmp" / name, content)
        items.append(quarantine.remove("/tmp/" + name, "r", "why"))
    objects = tmp_path / "quarantine/incident-1/objects"
    assert len(os.listdir(str(objects))) == 2
    assert quarantine.purge(items[0]) is True
    assert quarantine.purge(items[2]) is True
    assert len(os.listdir(str(objects))) == 1
    assert quarantine.purge(items[0]) is False
    assert [item["state"] for item in quarantine.items()] == ["purged", "quarantined", "purged"]
    with pytest.raises(ResponseError, match="were purged"):
        quarantine.restore(items[0])
    assert quarantine.restore(items[1]) is True


def test_a_torn_line_is_told_and_does_not_hide_the_others(host, quarantine, tmp_path):
    put(host / "tmp/x")
    put(host / "tmp/y")
    item = quarantine.remove("/tmp/x", "r", "why")
    journal = tmp_path / "quarantine/incident-1/journal.jsonl"
    with journal.open("ab") as stream:
        stream.write(b'{"event": "begin", "item": "incident-1.00')
    assert len(quarantine.damaged_lines()) == 1
    second = quarantine.remove("/tmp/y", "r", "why")
    assert [entry["item"] for entry in quarantine.items()] == [item, second]
    assert quarantine.damaged_lines() == [(str(journal), 3)]
    assert quarantine.restore(second) and quarantine.restore(item)


def test_undo_call_names_a_root_that_is_not_the_usual_one(tmp_path):
    assert Quarantine("i").undo_call("i.0001") == {
        "module": "quarantine", "args": {"state": "restored", "item": "i.0001"}}
    assert Quarantine("i", root="/srv/q").undo_call("i.0001")["args"]["quarantine_root"] == "/srv/q"
