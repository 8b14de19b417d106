# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rpm database read by us, against what rpm itself says of the same packages."""

import hashlib
import os
import shutil
import sqlite3
import stat

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import rooted_paths, rpm_header
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.package_rpm import RpmDatabase
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packages import PackageDatabase
from ansible_collections.ecsops.intrusion_response.tests.unit.target import rpm_root

pytestmark = pytest.mark.skipif(bool(rpm_root.MISSING),
                                reason="needs the packages rpm and db5.3-util: %s" % ", ".join(rpm_root.MISSING))

CAP_NET_RAW_EP = bytes.fromhex("0100000200200000000000000000000000000000")
TOOLS = {
    "/usr/bin/ps": ("%attr(0755,root,root)", b"ps"),
    "/usr/bin/ping": ("%attr(0755,root,root) %caps(cap_net_raw=ep)", b"ping"),
    "/usr/bin/su": ("%attr(4755,root,tape)", b"su"),
    "/usr/bin/pgrep": ("", "-> ps"),
    "/usr/sbin/ss": ("%attr(0755,root,root)", b"ss"),
    "/etc/tools.conf": ("%config(noreplace)", b"setting"),
    "/etc/ünicode": ("", b"name"),
}
NAME = "tools-3.3-2.el9.noarch"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """``tools`` (SHA-256), ``old`` (MD5), and ``bulk`` whose header fills many pages, installed below one root."""
    directory = tmp_path_factory.mktemp("rpm")
    packages = [
        rpm_root.build(directory, "tools", TOOLS, empty=["%ghost /var/log/tools.log"]),
        rpm_root.build(directory, "old", {"/usr/bin/netstat": ("%attr(0755,root,root)", b"netstat")}, algorithm=1),
        rpm_root.build(directory, "bulk", {"/usr/share/bulk/%04d" % number: ("", b"%d" % number)
                                           for number in range(600)}),
    ]
    root = str(directory / "root")
    rpm_root.install(root, *packages[:2])
    rpm_root.install(root, "--justdb", packages[2])  # its header is what matters
    with open(root + "/etc/passwd", "w") as stream:
        stream.write("root:x:0:0::/:/bin/sh\n")
    with open(root + "/etc/group", "w") as stream:
        stream.write("root:x:0:\ntape:x:30:\n")
    return root, packages


@pytest.fixture(scope="module", params=["as installed", "sqlite", "ndb", "berkeley", "berkeley, small pages",
                                        "berkeley, big-endian"])
def host(built, tmp_path_factory, request):
    """The same host with its database in each format; not to be changed."""
    root = str(tmp_path_factory.mktemp("format") / "host")
    shutil.copytree(built[0], root, symlinks=True)
    if request.param != "as installed":
        entries = rpm_root.headers(root)
        shutil.rmtree(root + "/var/lib/rpm")
        if request.param == "berkeley, small pages":
            rpm_root.store_berkeley(root, entries, page_size=512)
        elif request.param == "berkeley, big-endian":
            rpm_root.store_berkeley(root, entries, order=">")
        else:
            rpm_root.STORES[request.param](root, entries)
    return root


@pytest.fixture
def spoiled(host, tmp_path):
    """A copy of ``host`` to be changed."""
    root = str(tmp_path / "host")
    shutil.copytree(host, root, symlinks=True)
    return root


def test_the_same_as_rpm_says(built, host):
    """``rpm -qp --dump``: path size mtime digest mode owner group isconfig isdoc rdev symlink."""
    database = PackageDatabase(host)
    assert database.kind == "rpm"
    seen = 0
    for package in built[1]:
        for line in rpm_root.run("rpm", "-qp", "--dump", package).splitlines():
            path, _size, _mtime, digest, mode, _owner, group, config, _doc, _rdev, link = line.split(" ")
            (record,) = database.records(path)
            assert record.path == path
            assert (record.digest or "").strip("0") == digest.strip("0")
            assert record.mode == stat.S_IMODE(int(mode, 8))
            assert (record.uid, record.gid) == (0, {"root": 0, "tape": 30}[group])
            assert record.config == (config == "1")
            assert (record.link or "X") == link
            seen += 1
    assert seen == len(TOOLS) + 1 + 1 + 600


def test_the_time_of_installation_is_that_of_rpm(built, host):
    said = rpm_root.run("rpm", "--root", built[0], "--dbpath", "/var/lib/rpm", "-q", "--qf", "%{INSTALLTIME}", "tools")
    assert PackageDatabase(host).changed_at(NAME) == int(said)
    assert PackageDatabase(host).changed_at("tools") is None


@pytest.mark.parametrize("path, owner, algorithm, verdict", [
    ("/usr/bin/ps", NAME, "sha256", "match"),
    ("/usr/bin/netstat", "old-3.3-2.el9.noarch", "md5", "match"),
    ("/usr/share/bulk/0599", "bulk-3.3-2.el9.noarch", "sha256", "unknown"),
    ("/usr/bin/pgrep", NAME, None, "match"),
    ("/etc/tools.conf", NAME, "sha256", "match"),
    ("/etc/ünicode", NAME, "sha256", "match"),
    ("/var/log/tools.log", NAME, None, "unknown"),
    ("/usr/bin/nothing", None, None, "unowned"),
    ("/usr/lib/ps", None, None, "unowned"),
    ("/", None, None, "unowned"),
])
def test_owner_digest_and_verdict(host, path, owner, algorithm, verdict):
    database = PackageDatabase(host)
    assert database.owner_of(path) == owner
    expected = database.expected_digest(path)
    assert (expected and expected[0]) == algorithm
    assert database.verify(path) == verdict


def test_what_rpm_knows_of_modes_and_capabilities(host):
    database = PackageDatabase(host)
    assert database.metadata("/usr/bin/ping") == {"mode": 0o755, "uid": 0, "gid": 0, "capabilities": CAP_NET_RAW_EP}
    assert database.metadata("/usr/bin/su") == {"mode": 0o4755, "uid": 0, "gid": 30, "capabilities": b""}
    assert database.metadata("/usr/bin/nothing") is None


def test_what_an_intruder_changed(spoiled):
    with open(spoiled + "/usr/bin/ps", "wb") as stream:
        stream.write(b"trojan")
    os.unlink(spoiled + "/usr/bin/pgrep")
    os.symlink("/tmp/evil", spoiled + "/usr/bin/pgrep")
    os.unlink(spoiled + "/usr/sbin/ss")
    os.mkfifo(spoiled + "/usr/sbin/ss")
    database = PackageDatabase(spoiled)
    assert [database.verify(path) for path in ("/usr/bin/ps", "/usr/bin/pgrep", "/usr/sbin/ss")] == ["mismatch"] * 3
    with open(spoiled + "/copy", "wb") as stream:
        stream.write(b"ps")
    assert database.verify("/usr/bin/ps", spoiled + "/copy") == "match"
    assert database.verify("/usr/bin/ping", spoiled + "/copy") == "mismatch"
    assert database.find_by_digest(spoiled + "/copy") == "/usr/bin/ps"


def test_merged_usr(spoiled):
    os.symlink("usr/bin", spoiled + "/bin")
    shutil.rmtree(spoiled + "/usr/sbin")
    os.symlink("bin", spoiled + "/usr/sbin")
    with open(spoiled + "/usr/bin/ss", "wb") as stream:
        stream.write(b"ss")
    database = PackageDatabase(spoiled)
    assert [database.verify(path) for path in ("/bin/ps", "/usr/sbin/ss", "/bin/ss")] == ["match"] * 3


def test_chkconfig_alternatives(spoiled):
    os.makedirs(spoiled + "/var/lib/alternatives")
    os.makedirs(spoiled + "/etc/alternatives")
    with open(spoiled + "/var/lib/alternatives/lister", "w") as stream:
        stream.write("auto\n/usr/bin/lister\n\n/usr/bin/ps\n10\n")
    os.symlink("/etc/alternatives/lister", spoiled + "/usr/bin/lister")
    os.symlink("/usr/bin/ps", spoiled + "/etc/alternatives/lister")
    assert PackageDatabase(spoiled).verify("/usr/bin/lister") == "match"


def test_a_healthy_database_shows_nothing(host):
    database = PackageDatabase(host)
    assert (database.suspect(), database.gaps()) == ([], [])


def test_headers_carry_their_own_digest(built):
    for _number, blob in rpm_root.headers(built[0]):
        assert rpm_header.Header(blob).vouches_for_itself() is True


def test_an_edited_digest_shows(built, tmp_path):
    good, bad = (hashlib.sha256(content).hexdigest().encode() for content in (b"ps", b"trojan"))
    edited = [(number, blob.replace(good, bad)) for number, blob in rpm_root.headers(built[0])]
    rpm_root.store_ndb(str(tmp_path), edited)
    database = PackageDatabase(str(tmp_path))
    reason = "The database's entry of %s was changed after it was packaged: it does not have its own digest." % NAME
    assert database.suspect() == [reason]
    assert database.suspect(NAME) == [reason]
    assert database.suspect("old-3.3-2.el9.noarch") == []


def test_one_package_is_told_the_same_as_by_a_look_at_all(built, tmp_path):
    """An edited digest, a damaged entry, and one that is as packaged."""
    entries = rpm_root.headers(built[0])
    good, bad = (hashlib.sha256(content).hexdigest().encode() for content in (b"ps", b"trojan"))
    edited = [(number, blob.replace(good, bad)) for number, blob in entries]
    rpm_root.store_ndb(str(tmp_path), edited + [(1000, entries[0][1][:200])])
    database = RpmDatabase(str(tmp_path), rooted_paths.merged_directories(str(tmp_path)))
    signs = database.suspect()
    assert {package for package, _sentence in signs} == {None, NAME}
    for name in (NAME, "old-3.3-2.el9.noarch", "no-such-package"):
        expected = [sentence for package, sentence in signs if package in (None, name)]
        assert PackageDatabase(str(tmp_path)).suspect(name) == expected


def test_one_bot_in_three_packages_shows(tmp_path, built):
    packages = [rpm_root.build(tmp_path, name, {"/usr/bin/" + name: ("", b"bot")}) for name in ("ps", "lsof", "ss")]
    rpm_root.install(str(tmp_path / "root"), *packages)
    reasons = PackageDatabase(str(tmp_path / "root")).suspect()
    assert len(reasons) == 3
    assert reasons[0].startswith("lsof, ps, ss of the packages lsof-3.3-2.el9.noarch, ps-3.3-2.el9.noarch, ss-3.3")


def test_two_databases_and_loose_modes_show(spoiled):
    present = [name for name in os.listdir(spoiled + "/var/lib/rpm") if name.startswith(("rpmdb", "Packages"))]
    os.chmod(os.path.join(spoiled, "var/lib/rpm", present[0]), 0o664)
    other = "Packages" if present[0] != "Packages" else "Packages.db"
    shutil.copy(spoiled + "/usr/bin/ps", os.path.join(spoiled, "var/lib/rpm", other))
    reasons = PackageDatabase(spoiled).suspect()
    assert any(reason.startswith("There are several rpm databases: ") for reason in reasons)
    assert any("can be written by others than its owner" in reason for reason in reasons)


def test_newest_entries_in_the_write_ahead_log_are_read_and_the_host_is_left_alone(built, tmp_path):
    root = str(tmp_path / "host")
    rpm_root.store_sqlite(root, [])
    path = root + "/var/lib/rpm/rpmdb.sqlite"
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.executemany("INSERT INTO Packages VALUES (?, ?)", rpm_root.headers(built[0]))
    writer.commit()
    before = {name: os.stat(os.path.join(root, "var/lib/rpm", name)).st_mtime_ns
              for name in os.listdir(root + "/var/lib/rpm")}
    database = PackageDatabase(root)
    assert database.owner_of("/usr/bin/ps") == NAME
    assert before == {name: os.stat(os.path.join(root, "var/lib/rpm", name)).st_mtime_ns
                      for name in os.listdir(root + "/var/lib/rpm")}
    writer.close()


def test_a_truncated_database_is_told_not_believed(spoiled):
    directory = spoiled + "/var/lib/rpm/"
    path, = (directory + name for name in os.listdir(directory) if name in ("rpmdb.sqlite", "Packages.db", "Packages"))
    size = os.stat(path).st_size
    for keep in (size - 5000, 20000, 5000, 4096, 200, 30, 7, 1):
        os.truncate(path, keep)
        database = PackageDatabase(spoiled)
        assert database.owner_of("/usr/share/bulk/0599") is None
        assert database.verify("/usr/bin/ps") == "unknown"
        assert "cannot be read" in database.gaps()[0]["reason"]


def test_damaged_headers_are_a_sign_not_a_crash(built, tmp_path):
    entries = rpm_root.headers(built[0])
    number, blob = max(entries, key=lambda entry: len(entry[1]))
    broken = [blob[:cut] for cut in range(0, len(blob) // 2, 997)]
    broken += [blob[:at] + b"\xff\xff\xff\xff" + blob[at + 4:] for at in range(0, 1000, 4)]
    root = str(tmp_path / "host")
    rpm_root.store_sqlite(root, entries + list(enumerate(broken, number + 10)))
    database = PackageDatabase(root)
    assert database.owner_of("/usr/bin/ps") == NAME
    assert len(list(database.named("0001"))) > 1
    assert any(reason.startswith("The rpm database holds an entry that is no package") for reason in database.suspect())


def test_the_kind_of_a_host_with_both_databases(built, tmp_path):
    root = str(tmp_path / "host")
    shutil.copytree(built[0], root, symlinks=True)
    os.makedirs(root + "/var/lib/dpkg/info")
    with open(root + "/var/lib/dpkg/status", "w") as stream:
        stream.write("Package: planted\nStatus: install ok installed\nArchitecture: all\n")
    assert PackageDatabase(root).kind == "dpkg"
    os.makedirs(root + "/usr/lib")
    with open(root + "/usr/lib/os-release", "w") as stream:
        stream.write('ID="alinux"\nID_LIKE="rhel fedora centos anolis"\n')
    assert PackageDatabase(root).kind == "rpm"
