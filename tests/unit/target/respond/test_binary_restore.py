# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import shutil
import stat
import subprocess

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import trojaned_binary
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import inode_flags
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.package_archive import Member
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packages import PackageDatabase
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.binary_restore import BinaryRestore
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import Quarantine
from ansible_collections.ecsops.intrusion_response.tests.unit.target.dpkg_root import DpkgRoot

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners can only be set by root")

PS = b"\x7fELF ps"
SU = b"\x7fELF su"
BOT = b"\x7fELF bot"


class Repository:
    """What a repository offers: path as packaged → Member, or the error that it answers with."""

    def __init__(self, members=None, doubts=(), signed=True):
        self.members = members or {}
        self._doubts = list(doubts)
        self._signed = signed
        self.asked = []

    def member(self, record):
        self.asked.append(record.path)
        if record.path not in self.members:
            raise ResponseError("The package %s could not be downloaded: no network." % record.package, "Mend it.")
        return self.members[record.path]

    def is_signed(self, record):
        return self._signed

    def doubts(self):
        return list(self._doubts)


def offered(content, mode=0o755, user="root", group="root"):
    return Member(content, mode, user, group, 1500000000)


@pytest.fixture
def host(tmp_path):
    host = DpkgRoot(tmp_path / "root")
    host.package("procps", {"/bin/ps": PS, "/usr/bin/pkill": "-> pgrep", "/usr/bin/pgrep": b"\x7fELF pgrep"})
    host.package("util-linux", {"/bin/su": SU})
    host.package("iputils-ping", {"/bin/ping": b"\x7fELF ping"})
    host.write("/usr/bin/dpkgd/ps", PS, 0o6777)
    host.write("/usr/bin/ps", BOT, 0o6777)
    return host


@pytest.fixture
def quarantine(tmp_path, host):
    return Quarantine("case", str(tmp_path / "quarantine"), host.root)


def make(host, repository=None, **options):
    packages = PackageDatabase(host.root)
    found = trojaned_binary.survey(packages, host.root)
    return BinaryRestore(found.tools, packages, found.reasons, repository, host.root, **options)


def run(host, quarantine, repository=None, **options):
    restore = make(host, repository, **options)
    steps, refused = restore.decide()
    return restore.apply(steps, quarantine) + refused


def nothing_wrong(host):
    host.write("/usr/bin/ps", PS, 0o755)


def proven_copy(host):
    pass


def no_copy(host):
    os.unlink(host.path("/usr/bin/dpkgd/ps"))


def trojan_as_copy(host):
    host.write("/usr/bin/dpkgd/ps", BOT)


def database_in_doubt(host):
    os.chmod(host.path("/var/lib/dpkg/info/procps.md5sums"), 0o646)


def another_package_in_doubt(host):
    os.chmod(host.path("/var/lib/dpkg/info/util-linux.md5sums"), 0o646)


def set_id_program(host):
    nothing_wrong(host)
    host.write("/usr/bin/su", BOT)
    host.write("/usr/bin/dpkgd/su", SU)


def set_id_program_with_statoverride(host):
    set_id_program(host)
    host.write("/var/lib/dpkg/statoverride", "root root 4755 /bin/su\n")


def missing(host):
    os.unlink(host.path("/usr/bin/ps"))


def unowned(host):
    nothing_wrong(host)
    host.write("/usr/bin/netstat", BOT)
    host.write("/usr/bin/dpkgd/netstat", b"netstat")


def directory_in_its_place(host):
    os.unlink(host.path("/usr/bin/ps"))
    os.mkdir(host.path("/usr/bin/ps"))


COPY, REPOSITORY, REFUSED = "copy", "repository", "refused"


@pytest.mark.parametrize("change, may_ask, expected", [
    (nothing_wrong, True, []),
    (proven_copy, True, [("ps", COPY)]),
    (proven_copy, False, [("ps", COPY)]),
    (missing, False, [("ps", COPY)]),
    (no_copy, True, [("ps", REPOSITORY)]),
    (no_copy, False, [("ps", REFUSED)]),
    (trojan_as_copy, True, [("ps", REPOSITORY)]),
    (trojan_as_copy, False, [("ps", REFUSED)]),
    (database_in_doubt, True, [("ps", REPOSITORY)]),
    (database_in_doubt, False, [("ps", REFUSED)]),
    (another_package_in_doubt, True, [("ps", REPOSITORY)]),
    (set_id_program, True, [("su", REPOSITORY)]),
    (set_id_program, False, [("su", REFUSED)]),
    (set_id_program_with_statoverride, False, [("su", COPY)]),
    (unowned, True, [("netstat", REFUSED)]),
    (directory_in_its_place, True, [("ps", REFUSED)]),
])
def test_where_the_bytes_come_from(host, change, may_ask, expected):
    change(host)
    steps, refused = make(host, Repository() if may_ask else None).decide()
    decided = [(step.tool.name, COPY if step.backup else REPOSITORY) for step in steps]
    decided += [(os.path.basename(item["subject"]["name"]), REFUSED) for item in refused]
    assert decided == expected


def test_the_proven_copy_takes_the_place_and_the_trojan_goes_to_the_quarantine(host, quarantine):
    os.setxattr(host.path("/usr/bin/ps"), "user.mark", b"intruder")
    (action,) = run(host, quarantine)
    assert action["status"] == "done"
    assert action["message"] == ("Put /usr/bin/ps back from /usr/bin/dpkgd/ps, which has the digest that procps "
                                 "recorded.")
    found = os.stat(host.path("/usr/bin/ps"))
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o755, 0, 0)
    assert "user.mark" not in os.listxattr(host.path("/usr/bin/ps"))
    assert PackageDatabase(host.root).verify("/bin/ps") == "match"
    assert make(host, Repository()).decide() == ([], [])

    quarantine.restore(action["undo"]["args"]["item"])
    with open(host.path("/usr/bin/ps"), "rb") as stream:
        assert stream.read() == BOT
    assert stat.S_IMODE(os.stat(host.path("/usr/bin/ps")).st_mode) == 0o6777
    assert os.getxattr(host.path("/usr/bin/ps"), "user.mark") == b"intruder"


def in_place_is_a_link(host):
    os.unlink(host.path("/usr/bin/ps"))
    host.link("/usr/bin/ps", "/etc/passwd")


def in_place_is_a_fifo(host):
    os.unlink(host.path("/usr/bin/ps"))
    os.mkfifo(host.path("/usr/bin/ps"))


@pytest.mark.parametrize("change", [missing, in_place_is_a_link, in_place_is_a_fifo])
def test_whatever_lies_in_its_place_makes_way_and_comes_back(host, quarantine, change):
    change(host)
    before = os.lstat(host.path("/usr/bin/ps")).st_mode if change is not missing else None
    with open(host.path("/etc/passwd")) as stream:
        passwd = stream.read()
    (action,) = run(host, quarantine)
    assert action["status"] == "done"
    assert PackageDatabase(host.root).verify("/bin/ps") == "match"
    with open(host.path("/etc/passwd")) as stream:
        assert stream.read() == passwd
    quarantine.restore(action["undo"]["args"]["item"])
    if change is missing:
        assert not os.path.lexists(host.path("/usr/bin/ps"))
    else:
        assert os.lstat(host.path("/usr/bin/ps")).st_mode == before


def test_check_mode_plans_the_same_and_touches_nothing(host, quarantine, tmp_path):
    restore = make(host)
    steps, _refused = restore.decide()
    (planned,) = restore.planned(steps)
    with open(host.path("/usr/bin/ps"), "rb") as stream:
        assert stream.read() == BOT
    assert not os.path.exists(str(tmp_path / "quarantine"))
    (done,) = restore.apply(steps, quarantine)
    assert (planned["status"], done["status"]) == ("planned", "done")
    for key in ("rule", "subject", "message", "diff"):
        assert planned[key] == done[key]
    assert planned["diff"]["before"].startswith("file, sha256 ")
    assert planned["diff"]["after"] == "file, md5 %s, 0755\n" % PackageDatabase(host.root).expected_digest("/bin/ps")[1]


def test_the_repository_gives_bytes_mode_owner_and_time(host, quarantine):
    set_id_program(host)
    (action,) = run(host, quarantine, Repository({"/bin/su": offered(SU, 0o4750, group="messagebus")}))
    assert action["status"] == "done"
    assert "since its set-id bits are only known to the package itself" in action["message"]
    found = os.stat(host.path("/usr/bin/su"))
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_mtime) == (0o4750, 0, 102, 1500000000)
    quarantine.restore(action["undo"]["args"]["item"])
    with open(host.path("/usr/bin/su"), "rb") as stream:
        assert stream.read() == BOT


@pytest.mark.parametrize("change, repository, told", [
    (no_copy, Repository(), "could not be downloaded: no network"),
    (no_copy, Repository({"/bin/ps": offered(BOT)}), "is not the file that the database recorded"),
    (database_in_doubt, Repository({"/bin/ps": offered(PS)}, signed=False), "is not signed"),
    (database_in_doubt, Repository({"/bin/ps": offered(PS)}, doubts=["apt-get is not apt-get."]), "apt-get is not apt"),
])
def test_what_the_repository_brings_is_not_believed_blindly(host, quarantine, change, repository, told):
    change(host)
    (action,) = run(host, quarantine, repository)
    assert action["status"] == "refused"
    assert told in action["message"]
    with open(host.path("/usr/bin/ps"), "rb") as stream:
        assert stream.read() == BOT


def test_with_the_database_in_doubt_a_signed_download_that_agrees_is_enough(host, quarantine):
    database_in_doubt(host)
    (action,) = run(host, quarantine, Repository({"/bin/ps": offered(PS)}))
    assert action["status"] == "done"
    assert action["subject"]["source"] == "repository"


def test_without_doubt_an_unsigned_download_with_the_recorded_digest_is_enough(host, quarantine):
    no_copy(host)
    (action,) = run(host, quarantine, Repository({"/bin/ps": offered(PS)}, doubts=["no"], signed=False))
    assert action["status"] == "done"


def test_capabilities_that_only_a_script_sets_are_told(host, quarantine):
    nothing_wrong(host)
    host.write("/usr/bin/ping", BOT)
    packages = PackageDatabase(host.root)
    found = trojaned_binary.survey(packages, host.root, tools=["ping"])
    restore = BinaryRestore(found.tools, packages, (), Repository({"/bin/ping": offered(b"\x7fELF ping")}), host.root)
    (action,) = restore.apply(restore.decide()[0], quarantine)
    assert "apt-get install --reinstall iputils-ping" in action["message"]


def test_a_copy_exchanged_after_the_look_is_refused(host, quarantine):
    restore = make(host)
    steps, _refused = restore.decide()
    host.write("/usr/bin/dpkgd/ps", BOT + b"2")
    (action,) = restore.apply(steps, quarantine)
    assert action["status"] == "refused"
    assert "changed after it was looked at" in action["message"]


def test_bytes_that_did_not_arrive_are_taken_back(host, quarantine, monkeypatch):
    restore = make(host)
    steps, _refused = restore.decide()
    replace = quarantine.replace

    def race(path, rule, reason, source, **packaged):
        host.write(source, BOT + b"3")
        return replace(path, rule, reason, source=source, **packaged)

    monkeypatch.setattr(quarantine, "replace", race)
    with pytest.raises(ResponseError) as caught:
        restore.apply(steps, quarantine)
    assert "did not get the packaged bytes; it was put back as it was" in str(caught.value)
    with open(host.path("/usr/bin/ps"), "rb") as stream:
        assert stream.read() == BOT


def test_a_ceiling_stops_before_anything_is_changed(host):
    host.write("/usr/bin/pgrep", BOT)
    with pytest.raises(ResponseError) as caught:
        make(host, Repository(), max_files=1).decide()
    assert "2 tools would be put back, more than max_files=1: nothing was changed." in str(caught.value)


def test_one_failure_does_not_hide_what_was_done(host, quarantine, monkeypatch):
    host.write("/usr/bin/su", BOT)
    host.write("/usr/bin/dpkgd/su", SU)
    host.write("/var/lib/dpkg/statoverride", "root root 4755 /bin/su\n")
    replace = quarantine.replace

    def full(path, *arguments, **options):
        if path.endswith("/su"):
            raise ResponseError("No space left.", "Free some.")
        return replace(path, *arguments, **options)

    monkeypatch.setattr(quarantine, "replace", full)
    assert [(item["status"], item["subject"]["name"]) for item in run(host, quarantine)] == [
        ("done", "/usr/bin/ps"), ("refused", "/usr/bin/su")]
    assert make(host).decide()[0][0].tool.path == "/usr/bin/su"


def test_a_running_tool_is_replaced(host, quarantine):
    """ETXTBSY would be the answer to writing into it."""
    shutil.copy("/bin/sleep", host.path("/usr/bin/ps"))
    process = subprocess.Popen([host.path("/usr/bin/ps"), "60"])
    try:
        (action,) = run(host, quarantine)
        assert action["status"] == "done"
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_an_immutable_trojan_is_replaced_and_comes_back_immutable(host, quarantine):
    path = host.path("/usr/bin/ps")
    try:
        inode_flags.set_flags(path, inode_flags.IMMUTABLE)
    except OSError:
        pytest.skip("this file system has no immutable files")
    try:
        (action,) = run(host, quarantine)
        assert action["status"] == "done"
        assert not inode_flags.get_flags(path) & inode_flags.IMMUTABLE
        quarantine.restore(action["undo"]["args"]["item"])
        assert inode_flags.get_flags(path) & inode_flags.IMMUTABLE
    finally:
        inode_flags.set_flags(path, 0)


def test_the_first_tool_that_cannot_be_replaced_does_not_save_the_others(host, quarantine, monkeypatch):
    host.write("/usr/bin/pgrep", BOT)
    replace = quarantine.replace

    def busy(path, *arguments, **options):
        if path.endswith("/pgrep"):
            raise ResponseError("/usr/bin/pgrep: Device or resource busy.")
        return replace(path, *arguments, **options)

    monkeypatch.setattr(quarantine, "replace", busy)
    host.write("/usr/bin/dpkgd/pgrep", b"\x7fELF pgrep")
    assert [(item["status"], item["subject"]["name"]) for item in run(host, quarantine)] == [
        ("refused", "/usr/bin/pgrep"), ("done", "/usr/bin/ps"), ("refused", "/usr/bin/pkill")]
