# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tarfile

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import archive_manifest, safe_files
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import host_archive, host_archive_survey
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.host_archive import HostArchive
from ansible_collections.ecsops.intrusion_response.tests.unit.target import manifest
from ansible_collections.ecsops.intrusion_response.tests.unit.target.ssh_samples import write

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners, devices and inode flags take root")

CONF = b"\0\xff binary \n\n" * 1000  # 12000 bytes


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    write(root, "/etc/passwd", "root:x:0:0:::\n", 0o644)
    write(root, "/etc/app/conf", CONF, 0o640)
    write(root, "/root/.ssh/authorized_keys", "key\n")
    (root / "etc/empty").mkdir(mode=0o700)
    (root / "etc/link").symlink_to("/root/.ssh")
    (root / "etc/dangling").symlink_to("nowhere")
    return root


def _archive(root, paths=("/etc", "~/.ssh"), **more):
    more.setdefault("homes", ["/root", "/home/nobody"])
    return HostArchive("test", str(root.parent / "quarantine"), paths, host_root=str(root), **more)


def _make(root, *arguments, **more):
    archive = _archive(root, *arguments, **more)
    return archive.create(archive.survey())


def _unpack(known, target):
    with tarfile.open(known["path"], encoding="utf-8", errors="surrogateescape") as archive:
        members = {member.name: member for member in archive}
        listed = json.loads(archive.extractfile("manifest.json").read().decode("utf-8"))
        content = {name: archive.extractfile(member).read() for name, member in members.items() if member.isreg()}
    return members, listed, content


def _paths(found):
    return [entry["path"] for entry in found.entries]


def test_what_is_archived_is_what_lay_there(root, tmp_path):
    known = _make(root)
    members, listed, content = _unpack(known, tmp_path)
    assert content["host/etc/app/conf"] == CONF
    assert sorted(members) == [
        "host/etc", "host/etc/app", "host/etc/app/conf", "host/etc/dangling", "host/etc/empty", "host/etc/link",
        "host/etc/passwd", "host/root/.ssh", "host/root/.ssh/authorized_keys", "manifest.json"]
    assert members["host/etc/link"].linkname == "/root/.ssh"
    assert stat.S_IMODE(members["host/etc/app/conf"].mode) == 0o640
    assert members["host/etc/passwd"].mtime == int(os.stat(str(root / "etc/passwd")).st_mtime)
    entry = {item["path"]: item for item in listed["entries"]}["/etc/passwd"]
    assert entry["mtime_ns"] == os.stat(str(root / "etc/passwd")).st_mtime_ns
    assert (listed["incident"], listed["omitted"]) == ("test", [])


def test_the_archive_proves_itself(root):
    known = _make(root)
    proof = archive_manifest.verify_archive(known["path"])
    assert (proof["sha256"], proof["size"]) == (known["sha256"], known["size"]) == (
        safe_files.digest(known["path"]), os.stat(known["path"]).st_size)
    assert (proof["files"], proof["entries"], proof["bytes"]) == (known["files"], known["entries"], known["bytes"]) == (
        3, 9, len("root:x:0:0:::\n") + len("key\n") + 12000)
    assert proof["omitted"] == proof["changed"] == []


@needs_root
@pytest.mark.skipif(shutil.which("tar") is None, reason="GNU tar is the oracle")
def test_gnu_tar_gives_everything_back(root, tmp_path):
    path = str(write(root, "/etc/secret", "s"))
    os.setxattr(path, "user.note", b"\xff\0binary=1")
    os.setxattr(path, "user.a=b%", b"x")
    # VFS_CAP_REVISION_2, effective, cap_net_raw (capabilities(7)).
    os.setxattr(path, "security.capability", bytes([1, 0, 0, 2, 0, 32, 0, 0]) + b"\0" * 12)
    acl = bytes.fromhex("0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff20000000ffffffff")
    os.setxattr(path, "system.posix_acl_access", acl)
    os.chown(str(root / "etc/app"), 1000, 1001)
    os.mkfifo(str(root / "etc/fifo"))
    os.mknod(str(root / "etc/null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    write(root, b"/etc/caf\xe9 \n".decode("utf-8", "surrogateescape"), "odd name")
    known = _make(root)
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "--strip-components=1", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpzf",
                    known["path"],
                    "-C", str(out), "host"], check=True, stderr=subprocess.DEVNULL)

    def told(top):
        return {name: (mode, uid, gid, mtime // 10 ** 9, xattrs, content)
                for name, (mode, uid, gid, mtime, xattrs, flags, content) in manifest.manifest(top).items()}

    assert told(out / "etc") == told(root / "etc")
    assert told(out / "root/.ssh") == told(root / "root/.ssh")


@needs_root
def test_flags_and_what_tar_cannot_hold_are_in_the_manifest(root):
    path = str(root / "etc/passwd")
    manifest.set_flags(path, 0x10)
    server = socket.socket(socket.AF_UNIX)
    previous = os.getcwd()
    os.chdir(str(root / "etc"))
    try:
        server.bind("socket")
        known = _make(root)
    finally:
        os.chdir(previous)
        server.close()
        manifest.set_flags(path, 0)
    members, listed, unused = _unpack(known, root)
    entries = {item["path"]: item for item in listed["entries"]}
    assert entries["/etc/passwd"]["flags"] & 0x10
    assert (entries["/etc/socket"]["type"], entries["/etc/socket"]["member"]) == ("socket", None)
    assert archive_manifest.verify_archive(known["path"])["entries"] == len(entries)


def test_an_attribute_name_that_tar_cannot_hold_is_in_the_manifest(root):
    try:
        os.setxattr(str(root / "etc/passwd"), b"user.caf\xe9", b"1")
    except OSError:
        pytest.skip("this file system takes no user attributes")
    members, listed, unused = _unpack(_make(root), root)
    assert members["host/etc/passwd"].pax_headers == {}
    entry = {item["path"]: item for item in listed["entries"]}["/etc/passwd"]
    assert len(entry["xattrs"]) == 1


IN_THE_C_LOCALE = """
import sys
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.host_archive import HostArchive
archive = HostArchive("test", sys.argv[1], ["/etc"], host_root=sys.argv[2])
print(archive.create(archive.survey())["path"])
"""


def test_an_archive_made_in_the_c_locale_proves_itself_in_any_other(root):
    # Python 3.6 over SSH without LANG: names come decoded as ASCII there.
    write(root, "/etc/caf\u00e9", "x")
    write(root, b"/etc/caf\xe9".decode("utf-8", "surrogateescape"), "y")
    done = subprocess.run([sys.executable, "-c", IN_THE_C_LOCALE, str(root.parent / "quarantine"), str(root)],
                          env={"LC_ALL": "C", "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONCOERCECLOCALE": "0"},
                          stdout=subprocess.PIPE, check=True)
    path = done.stdout.decode("ascii").strip()
    assert archive_manifest.verify_archive(path)["files"] == 4
    assert {"host/etc/caf\u00e9", "host/etc/caf\udce9"} <= set(_unpack({"path": path}, root)[0])


def test_nothing_is_followed(root):
    write(root, "/outside/file", "x")
    (root / "etc/folder").symlink_to("/outside")
    paths = _paths(_archive(root).survey())
    assert not [path for path in paths if "outside" in path or path.startswith("/etc/folder/")]


@pytest.mark.parametrize("paths,exclude,expected", [
    (["/etc/app"], [], ["/etc/app", "/etc/app/conf"]),
    (["/etc/app/", "/etc/app", "/etc/./app"], [], ["/etc/app", "/etc/app/conf"]),
    (["/etc/*sswd"], [], ["/etc/passwd"]),
    (["/e*/a??/[c]onf"], [], ["/etc/app/conf"]),
    (["/root/.*"], [], ["/root/.ssh", "/root/.ssh/authorized_keys"]),
    (["~/.ssh"], [], ["/root/.ssh", "/root/.ssh/authorized_keys"]),
    (["~/.s*"], [], ["/root/.ssh", "/root/.ssh/authorized_keys"]),
    (["/etc/passwd", "/nowhere", "/nowhere/*"], [], ["/etc/passwd"]),
    (["/etc"], ["/etc/app", "*link", "/etc/d*"], ["/etc", "/etc/empty", "/etc/passwd"]),
    (["/etc"], ["/etc/app/", "/etc/[del]*"], ["/etc", "/etc/passwd"]),
    (["/root"], ["*/authorized_keys"], ["/root", "/root/.ssh"]),
])
def test_paths_and_patterns(root, paths, exclude, expected):
    assert _paths(_archive(root, paths, exclude=exclude).survey()) == expected


def test_a_path_that_is_not_absolute_is_a_slip(root):
    with pytest.raises(ResponseError):
        _archive(root, ["etc"]).survey()


def test_nothing_at_all_is_no_archive(root):
    with pytest.raises(ResponseError):
        _archive(root, ["/nowhere"]).survey()


def test_too_much_is_told_before_a_byte_is_written(root):
    with pytest.raises(ResponseError) as caught:
        _archive(root, max_bytes=12000).survey()
    assert "/etc/app/conf (12000)" in str(caught.value)
    assert not (root.parent / "quarantine").exists()


def test_a_large_file_is_left_out_and_told(root):
    found = _archive(root, max_file_bytes=11999).survey()
    assert "/etc/app/conf" not in _paths(found)
    assert [item["what"] for item in found.gaps()] == ["archive of /etc/app/conf"]


def test_a_sparse_file_of_terabytes_is_only_looked_at(root):
    with open(str(root / "etc/lastlog"), "wb") as stream:
        stream.truncate(2 ** 43)
    assert [item["path"] for item in _archive(root).survey().omitted] == ["/etc/lastlog"]


def test_too_many_entries(root, monkeypatch):
    monkeypatch.setattr(host_archive_survey, "MAX_ENTRIES", 5)
    with pytest.raises(ResponseError):
        _archive(root).survey()


def test_a_bottomless_folder_ends(root, monkeypatch):
    monkeypatch.setattr(host_archive_survey, "MAX_DEPTH", 3)
    (root / "etc/1/2/3/4/5/6").mkdir(parents=True)
    found = _archive(root).survey()
    assert [item["path"] for item in found.omitted] == ["/etc/1/2/3/4"]


def test_a_full_disk_is_told_before_a_byte_is_written(root, monkeypatch):
    monkeypatch.setattr(host_archive, "_SPARE_BYTES", 2 ** 60)
    archive = _archive(root)
    with pytest.raises(ResponseError) as caught:
        archive.create(archive.survey())
    assert "free" in str(caught.value)
    assert os.listdir(archive.directory) == []


def test_a_disk_that_fills_up_leaves_nothing_behind(root, monkeypatch):
    archive = _archive(root)
    found = archive.survey()

    genuine = host_archive._Hashing
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(host_archive, "_Hashing", lambda stream: genuine(full))
        _fails_for_want_of_space(archive, found)


def _fails_for_want_of_space(archive, found):
    with pytest.raises(ResponseError) as caught:
        archive.create(found)
    assert "No space left" in str(caught.value)
    assert os.listdir(archive.directory) == []


@pytest.mark.parametrize("becomes,size", [(b"short", 12000), (b"x" * 13000, 12000), (None, 12000)])
def test_a_file_that_changes_while_it_is_read_is_marked(root, monkeypatch, becomes, size):
    path = root / "etc/app/conf"
    genuine = os.read

    def read(descriptor, count):
        data = genuine(descriptor, min(count, 4096))
        if os.readlink("/proc/self/fd/%d" % descriptor) == str(path):
            if becomes is None:
                os.utime(str(path), (1, 1))
            elif path.read_bytes() != becomes:
                path.write_bytes(becomes)
        return data

    monkeypatch.setattr(host_archive.os, "read", read)
    known = _make(root)
    monkeypatch.undo()
    assert known["changed_while_read"] == ["/etc/app/conf"]
    proof = archive_manifest.verify_archive(known["path"])
    assert (proof["changed"], proof["files"]) == (["/etc/app/conf"], 3)
    assert len(_unpack(known, root)[2]["host/etc/app/conf"]) == size


def test_a_file_that_vanishes_or_turns_into_a_link_is_left_out(root):
    archive = _archive(root)
    found = archive.survey()
    (root / "etc/passwd").unlink()
    (root / "etc/app/conf").unlink()
    (root / "etc/app/conf").symlink_to("/etc/shadow")
    known = archive.create(found)
    assert sorted(item["path"] for item in known["omitted"]) == ["/etc/app/conf", "/etc/passwd"]
    assert archive_manifest.verify_archive(known["path"])["files"] == 1


def test_reading_leaves_no_trace(root):
    def times():
        return {path: (os.lstat(path).st_atime_ns, os.lstat(path).st_mtime_ns)
                for top, folders,
                files in os.walk(str(root)) for path in [top] + [os.path.join(top, name) for name in files]}

    for path in times():
        os.utime(path, ns=(10 ** 17, 10 ** 17), follow_symlinks=False)
    before = {path: value[1] for path, value in times().items()}
    files = {path: value for path, value in times().items() if os.path.isfile(path) and not os.path.islink(path)}
    _make(root)
    after = times()
    assert {path: value[1] for path, value in after.items()} == before
    assert {path: after[path] for path in files} == files


def test_a_second_call_finds_the_first_archive(root):
    known = _make(root)
    write(root, "/etc/passwd", "changed since")
    assert _archive(root).present() == known
    assert _archive(root, ["/etc"]).present() is None


@pytest.mark.parametrize("damage", [
    lambda archive: os.truncate(archive.path, 100),
    lambda archive: os.unlink(archive.path),
    lambda archive: os.unlink(archive.path + ".json"),
    lambda archive: open(archive.path + ".json", "w").close(),
    lambda archive: os.rename(archive.path, archive.path + ".x") or os.symlink(archive.path + ".x", archive.path),
])
def test_a_damaged_archive_is_made_anew(root, damage):
    _make(root)
    archive = _archive(root)
    damage(archive)
    assert archive.present() is None
    known = archive.create(archive.survey())
    assert archive.present() == known
    assert archive_manifest.verify_archive(archive.path)


def test_who_may_read_it(root):
    known = _make(root)
    assert stat.S_IMODE(os.stat(known["path"]).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(known["path"])).st_mode) == 0o700


def test_leftovers_of_a_killed_run_are_dropped(root):
    archive = _archive(root)
    os.makedirs(archive.directory)
    write(root.parent, "quarantine/test/archive/.incoming-1", "half")
    archive.create(archive.survey())
    assert sorted(os.listdir(archive.directory)) == [archive.name, archive.name + ".json"]


def test_removing(root):
    archive = _archive(root)
    assert archive.remove() == []
    _make(root)
    assert [item["status"] for item in archive.remove(check_mode=True)] == ["planned"]
    assert archive.present()
    assert [item["status"] for item in archive.remove()] == ["done"]
    assert not os.path.exists(archive.directory)
    assert archive.remove() == []


def test_the_quarantine_does_not_archive_itself(tmp_path):
    write(tmp_path, "data/file", "x")
    archive = HostArchive("test", str(tmp_path / "data/quarantine"), [str(tmp_path / "data")])
    archive.create(archive.survey())
    assert [path[len(str(tmp_path)):] for path in _paths(archive.survey())] == ["/data", "/data/file"]
