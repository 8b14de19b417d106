# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packages import PackageDatabase
from ansible_collections.ecsops.intrusion_response.tests.unit.target.dpkg_root import UNPACKED, DpkgRoot, md5

PS = b"\x7fELF ps"
LIBC = b"\x7fELF libc"
TROJAN = b"\x7fELF trojan"


@pytest.fixture
def host(tmp_path):
    host = DpkgRoot(tmp_path)
    host.package("procps", {"/bin/ps": PS, "/usr/bin/pgrep": b"pgrep", "/usr/bin/pkill": "-> pgrep"},
                 conffiles={"/etc/init.d/procps": b"start"})
    host.package("net-tools", {"/bin/netstat": b"netstat", "/usr/share/doc/net-tools/copyright": b"GPL"})
    host.package("libc6", {"/lib/libc.so.6": LIBC}, same=True)
    host.package("dash", {"/bin/dash": b"dash", "/bin/sh": "-> dash"})
    return host


def open_database(host):
    return PackageDatabase(host.root)


@pytest.mark.parametrize("path, owner, digest, verdict", [
    ("/bin/ps", "procps", PS, "match"),
    ("/usr/bin/ps", "procps", PS, "match"),
    ("/usr/bin/pgrep", "procps", b"pgrep", "match"),
    ("/bin/pgrep", "procps", b"pgrep", "match"),
    ("/usr/bin/pkill", "procps", None, "match"),
    ("/bin/sh", "dash", None, "match"),
    ("/usr/lib/libc.so.6", "libc6:amd64", LIBC, "match"),
    ("/etc/init.d/procps", "procps", b"start", "match"),
    ("/usr/bin/nothing", None, None, "unowned"),
    ("/bin/p", None, None, "unowned"),
    ("/ps", None, None, "unowned"),
    ("/usr", "dash", None, "unknown"),
])
def test_owner_digest_and_verdict(host, path, owner, digest, verdict):
    database = open_database(host)
    assert database.owner_of(path) == owner
    assert database.expected_digest(path) == (digest and ("md5", md5(digest)))
    assert database.verify(path) == verdict


@pytest.mark.parametrize("path, owner", [("/bin/ps", "procps"), ("/usr/bin/ps", None), ("/usr/bin/pgrep", "procps")])
def test_before_the_merged_usr_each_directory_is_its_own(tmp_path, path, owner):
    host = DpkgRoot(tmp_path, merged=False)
    host.package("procps", {"/bin/ps": PS, "/usr/bin/pgrep": b"pgrep"})
    assert open_database(host).owner_of(path) == owner


def test_the_kind_and_what_is_not_known(tmp_path, host):
    assert open_database(host).kind == "dpkg"
    assert open_database(host).gaps() == []
    (tmp_path / "empty").mkdir()
    nothing = PackageDatabase(str(tmp_path / "empty"))
    assert (nothing.kind, nothing.owner_of("/bin/ps"), nothing.verify("/bin/ps")) == (None, None, "unowned")
    assert (nothing.changed_at("procps"), nothing.metadata("/bin/ps"), nothing.suspect()) == (None, None, [])
    assert nothing.gaps()[0]["reason"] == "The host has neither a dpkg nor an rpm database."


def _bytes_differ(host):
    host.write("/usr/bin/ps", TROJAN)


def _wrapper(host):
    host.write("/usr/bin/ps", "#!/bin/sh\nexec /usr/bin/dpkgd/ps | grep -v getty\n")


def _link(host):
    os.unlink(host.path("/usr/bin/ps"))
    host.link("/usr/bin/ps", "/tmp/ps")
    host.write("/tmp/ps", PS)  # its bytes today, under a name that anybody can fill tomorrow


def _fifo(host):
    os.unlink(host.path("/usr/bin/ps"))
    os.mkfifo(host.path("/usr/bin/ps"))


def _gone(host):
    os.unlink(host.path("/usr/bin/ps"))


@pytest.mark.parametrize("change, verdict", [
    (_bytes_differ, "mismatch"), (_wrapper, "mismatch"), (_link, "mismatch"), (_fifo, "mismatch"), (_gone, "unknown"),
])
def test_what_an_intruder_put_in_place_of_a_tool(host, change, verdict):
    change(host)
    assert open_database(host).verify("/bin/ps") == verdict


def test_other_bytes_against_the_packaged_digest(host):
    host.write("/usr/bin/dpkgd/ps", PS)
    host.write("/usr/bin/dpkgd/netstat", TROJAN)
    host.link("/usr/bin/dpkgd/ss", "ps")
    database = open_database(host)
    assert database.verify("/bin/ps", host.path("/usr/bin/dpkgd/ps")) == "match"
    assert database.verify("/bin/netstat", host.path("/usr/bin/dpkgd/netstat")) == "mismatch"
    assert database.verify("/bin/ps", host.path("/usr/bin/dpkgd/ss")) == "unknown"  # a link is not followed
    descriptor = os.open(host.path("/usr/bin/dpkgd/ps"), os.O_RDONLY)
    os.lseek(descriptor, 3, os.SEEK_SET)
    assert database.verify("/bin/ps", descriptor) == "match"
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 3
    os.close(descriptor)
    assert database.verify_digest("/bin/ps", {"md5": md5(PS)}) == "match"
    assert database.verify_digest("/bin/ps", {"sha256": "00"}) == "unknown"
    assert database.verify_digest("/bin/ps", lambda algorithm: "00") == "mismatch"


def test_a_link_turned_elsewhere_is_not_vouched_for(host):
    host.write("/usr/bin/evil", TROJAN)
    os.unlink(host.path("/usr/bin/pkill"))
    host.link("/usr/bin/pkill", "evil")
    assert open_database(host).verify("/usr/bin/pkill") == "unknown"


def test_a_diverted_file_belongs_to_whoever_is_diverted(host):
    host.package("nicer-ps", {"/usr/bin/ps": b"nicer"}, install=False)
    host.divert("/usr/bin/ps", "/usr/bin/ps.procps", "nicer-ps")
    host.write("/usr/bin/ps.procps", PS)
    host.write("/usr/bin/ps", "nicer")
    database = open_database(host)
    assert [database.owner_of(path) for path in ("/bin/ps", "/usr/bin/ps")] == ["nicer-ps", "nicer-ps"]
    assert database.verify("/bin/ps") == "match"
    assert database.owner_of("/bin/ps.procps") == "procps"
    assert database.expected_digest("/usr/bin/ps.procps") == ("md5", md5(PS))
    assert database.verify("/usr/bin/ps.procps") == "match"
    assert not database.is_diverted_locally("/bin/ps")


def test_a_local_diversion_leaves_its_place_unowned(host):
    host.divert("/bin/ps", "/bin/ps.distrib")
    os.rename(host.path("/bin/ps"), host.path("/bin/ps.distrib"))
    host.write("/bin/ps", "the operator's own")
    database = open_database(host)
    assert database.verify("/usr/bin/ps") == "unowned"
    assert database.is_diverted_locally("/usr/bin/ps")
    assert database.verify("/usr/bin/ps.distrib") == "match"
    assert database.find_by_digest(host.path("/bin/ps.distrib")) == "/bin/ps.distrib"


def test_update_alternatives(host):
    host.package("vim-tiny", {"/usr/bin/vim.tiny": b"vim"})
    host.write("/var/lib/dpkg/alternatives/vi",
               "auto\n/usr/bin/vi\nview\n/usr/bin/view\n\n/usr/bin/vim.tiny\n15\n/usr/bin/vim.tiny\n\n")
    for name in ("vi", "view", "stray"):
        host.link("/usr/bin/" + name, "/etc/alternatives/" + name)
        host.link("/etc/alternatives/" + name, "/usr/bin/vim.tiny")
    database = open_database(host)
    assert [database.verify("/usr/bin/" + name) for name in ("vi", "view", "stray")] == ["match", "match", "unowned"]
    os.unlink(host.path("/etc/alternatives/vi"))
    host.link("/etc/alternatives/vi", "/usr/bin/ps")
    assert open_database(host).verify("/usr/bin/vi") == "unowned"


def test_a_program_is_found_by_its_bytes_whatever_its_name(host):
    database = open_database(host)
    host.write("/tmp/ps", PS)
    host.write("/tmp/kworker", PS)
    host.write("/tmp/ps2", TROJAN)
    host.write("/tmp/empty", b"")
    host.write("/tmp/libc.so.6;5f3a9b21", LIBC)
    assert database.find_by_digest(host.path("/tmp/ps")) == "/bin/ps"
    assert database.find_by_digest(host.path("/tmp/kworker")) == "/bin/ps"
    assert database.find_by_digest(host.path("/tmp/libc.so.6;5f3a9b21")) == "/lib/libc.so.6"
    assert database.find_by_digest(host.path("/tmp/ps2")) is None
    assert database.find_by_digest(host.path("/tmp/empty")) is None
    assert database.find_by_digest(host.path("/tmp/nothing")) is None
    descriptor = os.open(host.path("/tmp/ps"), os.O_RDONLY)
    os.unlink(host.path("/tmp/ps"))
    assert database.find_by_digest(descriptor) == "/bin/ps"
    os.close(descriptor)


def test_when_a_package_was_unpacked(host):
    database = open_database(host)
    assert database.changed_at("procps") == UNPACKED
    assert database.changed_at("libc6:amd64") == UNPACKED
    assert database.changed_at("nothing") is None


def test_a_list_touched_later_than_its_control_files_is_no_upgrade(host):
    control = os.stat(host.path("/var/lib/dpkg/info/procps.md5sums")).st_ctime
    os.utime(host.path("/var/lib/dpkg/info/procps.list"), (control + 5000, control + 5000))
    assert open_database(host).changed_at("procps") == control


def test_a_statoverride_is_all_that_dpkg_knows_of_modes(host):
    host.write("/var/lib/dpkg/statoverride", "root messagebus 4754 /bin/netstat\n#7 #8 755 /usr/bin/dash\ngarbage\n")
    database = open_database(host)
    assert database.metadata("/usr/bin/netstat") == {"mode": 0o4754, "uid": 0, "gid": 102, "capabilities": None}
    assert database.metadata("/bin/dash") == {"mode": 0o755, "uid": 7, "gid": 8, "capabilities": None}
    assert database.metadata("/bin/ps") is None


def test_configuration_files_are_known_as_such(host):
    database = open_database(host)
    assert database.is_config("/etc/init.d/procps")
    assert not database.is_config("/bin/ps")


def test_two_packages_of_one_path(host):
    """By /bin and by /usr/bin: dpkg does not see that it is one file, the package unpacked last has it."""
    host.package("coreutils-ps", {"/usr/bin/ps": b"another"}, install=False)
    assert open_database(host).verify("/bin/ps") == "match"
    host.write("/bin/ps", "another")
    assert open_database(host).verify("/bin/ps") == "match"
    host.write("/bin/ps", TROJAN)
    assert open_database(host).verify("/bin/ps") == "mismatch"


def test_removed_packages_own_nothing_that_is_not_listed(host):
    host.package("gone", {"/usr/bin/gone": b"gone"}, status="deinstall ok not-installed")
    assert open_database(host).owner_of("/usr/bin/gone") is None


def test_a_dpkg_at_work_keeps_paragraphs_in_updates(host):
    host.info("fresh.list", "/.\n/usr/bin/fresh\n")
    assert open_database(host).owner_of("/usr/bin/fresh") is None
    host.write("/var/lib/dpkg/updates/0001", "Package: fresh\nStatus: install ok half-installed\nArchitecture: all\n")
    assert open_database(host).owner_of("/usr/bin/fresh") == "fresh"


def test_hostile_names_and_files_do_not_stop_the_reading(host):
    os.mkfifo(host.path("/var/lib/dpkg/alternatives/fifo"))
    host.info("odd.md5sums", b"\xff\xfe garbage\n" + b"0" * 32 + b"\n")
    database = open_database(host)
    assert database.owner_of("/usr/bin/\udcff\nps") is None
    assert database.verify("/bin/ps") == "match"


@pytest.mark.skipif(not os.path.exists("/var/lib/dpkg/status"), reason="needs a Debian")
def test_on_this_very_machine():
    database = PackageDatabase("/")
    assert database.owner_of("/usr/bin/dpkg") == "dpkg"
    assert database.verify("/bin/dpkg") == "match"
    assert database.verify("/usr/bin/dpkg", "/etc/passwd") == "mismatch"
    assert database.suspect("dpkg") == []


@pytest.mark.parametrize("target", ["netstat", "x" * 300])
def test_a_link_that_leads_nowhere_is_a_verdict_not_a_failure(tmp_path, target):
    root = DpkgRoot(tmp_path / "r")
    root.package("procps", {"/usr/bin/ps": b"ps", "/usr/bin/pgrep": "-> ps"})
    root.link("/usr/sbin/netstat", target)
    os.unlink(root.path("/usr/bin/pgrep"))
    root.link("/usr/bin/pgrep", "pgrep")
    packages = PackageDatabase(root.root)
    assert packages.verify("/usr/sbin/netstat") == "unowned"
    assert packages.verify("/usr/bin/pgrep") == "mismatch"


def test_two_lines_of_a_list_are_no_path(tmp_path):
    root = DpkgRoot(tmp_path / "r")
    root.package("procps", {"/usr/bin/ps": b"ps", "/usr/bin/top": b"top"})
    packages = PackageDatabase(root.root)
    assert packages.owner_of("/usr/bin/ps\n/usr/bin/top") is None


def test_a_file_of_the_database_that_cannot_be_read_is_told_and_accuses_nobody(tmp_path):
    root = DpkgRoot(tmp_path / "r")
    root.package("procps", {"/usr/bin/ps": b"ps"})
    root.link("/var/lib/dpkg/diversions", "elsewhere")
    root.write("/usr/bin/own", b"own")
    packages = PackageDatabase(root.root)
    assert packages.verify("/usr/bin/ps") == "match"
    assert packages.verify("/usr/bin/own") == "unknown"
    assert "cannot be read" in packages.gaps()[0]["reason"]


def test_a_file_of_terabytes_is_a_mismatch_at_once(tmp_path):
    root = DpkgRoot(tmp_path / "r")
    root.package("procps", {"/usr/bin/ps": b"ps"})
    os.truncate(root.path("/usr/bin/ps"), 2 ** 43)
    assert PackageDatabase(root.root).verify("/usr/bin/ps") == "mismatch"
