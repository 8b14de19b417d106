# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""With real package files, built here; only the download is stood in for."""

import os
import shutil
import subprocess
import types

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import package_archive
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packaged_file import PackagedFile
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packages import PackageDatabase
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import package_source
from ansible_collections.ecsops.intrusion_response.tests.unit.target import rpm_root
from ansible_collections.ecsops.intrusion_response.tests.unit.target.dpkg_root import DpkgRoot

needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")
needs_rpm = pytest.mark.skipif(bool(rpm_root.MISSING) or not shutil.which("rpm2cpio"),
                               reason="needs the packages rpm, rpm2cpio and db5.3-util")


@pytest.fixture(autouse=True)
def work_directory(tmp_path, monkeypatch):
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.setattr(package_source, "WORK_DIRECTORY", str(path))
    yield path
    assert list(path.iterdir()) == []


class Download:
    """Stands in for the packager's download; everything else is run for real.

    :param package: file that the repository has, or ``None``. :param outdated: the host's lists do not name it.
    """

    def __init__(self, package, outdated=False):
        self.package = package
        self.outdated = outdated
        self.commands = []

    def __call__(self, command, directory, output=None):
        self.commands.append(command)
        if "update" in command:
            return b""
        if command[0] not in ("apt-get", "dnf", "yumdownloader", "yum", "zypper"):
            return package_source.run(command, directory, output)
        own_lists = any("Dir::State::Lists" in word for word in command)
        if self.package is None or self.outdated and not own_lists:
            raise ResponseError("%s failed: E: no way there" % command[0])
        shutil.copy(self.package, directory)
        return b""


def packages(kind):
    return types.SimpleNamespace(kind=kind, download_name=lambda package: package + "=1.0")


@pytest.fixture(params=["xz", "zstd", "gzip"])
def deb(tmp_path, request):
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin/ps").write_bytes(b"\x7fELF ps")
    (tree / "bin/su").write_bytes(b"\x7fELF su")
    os.chmod(str(tree / "bin/su"), 0o4755)
    os.link(str(tree / "bin/ps"), str(tree / "bin/ps-twin"))
    os.symlink("ps", str(tree / "bin/pgrep"))
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text("Package: procps\nVersion: 1.0\nArchitecture: all\n"
                                         "Maintainer: T <t@example.org>\nDescription: t\n")
    path = str(tmp_path / "procps_1.0_all.deb")
    subprocess.run(["dpkg-deb", "-Z" + request.param, "--root-owner-group", "--build", str(tree), path], check=True,
                   stdout=subprocess.DEVNULL)
    return path


@needs_dpkg
def test_a_file_out_of_a_debian_package(deb):
    download = Download(deb)
    source = package_source.PackageSource(packages("dpkg"), execute=download)
    try:
        ps = source.member(PackagedFile("procps", "/bin/ps"))
        assert (ps.content, ps.mode & 0o700, ps.user, ps.group) == (b"\x7fELF ps", 0o600, "root", "root")
        assert source.member(PackagedFile("procps", "/bin/ps-twin")).content == b"\x7fELF ps"
        assert source.member(PackagedFile("procps", "/bin/su")).mode == 0o4755
        assert source.is_signed(PackagedFile("procps", "/bin/ps"))
        for path, told in (("/bin/pgrep", "is no file in its package"), ("/bin/no", "is not in the package")):
            with pytest.raises(ResponseError) as caught:
                source.member(PackagedFile("procps", path))
            assert told in str(caught.value)
        assert [command[-2:] for command in download.commands if command[0] == "apt-get"] == [
            ("download", "procps=1.0")]
    finally:
        source.close()


@needs_dpkg
def test_old_package_lists_are_made_new_beside_those_of_the_host(deb, work_directory):
    download = Download(deb, outdated=True)
    source = package_source.PackageSource(packages("dpkg"), execute=download)
    try:
        for package in ("procps", "another", "procps"):
            assert source.member(PackagedFile(package, "/bin/ps")).content == b"\x7fELF ps"
    finally:
        source.close()
    asked = [command for command in download.commands if command[0] == "apt-get"]
    assert [command[-1] for command in asked] == [
        "procps=1.0", "update", "procps=1.0", "another=1.0", "another=1.0"]  # new lists once a run
    for command in (asked[1], asked[2], asked[4]):
        (lists,) = [word for word in command if word.startswith("Dir::State::Lists=%s/" % work_directory)]
        assert lists.endswith("/lists")


@pytest.mark.parametrize("kind, first", [("dpkg", "apt-get"), ("rpm", "dnf")])
def test_without_a_way_to_the_repository(kind, first):
    download = Download(None)
    source = package_source.PackageSource(packages(kind), execute=download)
    for _again in range(2):
        with pytest.raises(ResponseError) as caught:
            source.member(PackagedFile("procps", "/bin/ps"))
        assert "The package procps could not be downloaded: %s failed: E: no way there" % first in str(caught.value)
        assert "copy the file from a healthy host" in caught.value.hint
    source.close()
    assert len(download.commands) == {"dpkg": 3, "rpm": 4}[kind]  # once a package, not once a file


@needs_rpm
def test_a_file_out_of_an_rpm_package(tmp_path):
    package = rpm_root.build(tmp_path, "tools", {
        "/usr/bin/ps": ("%attr(0755,root,root)", b"ps"),
        "/usr/bin/su": ("%attr(4750,root,tape)", b"su!"),
        "/usr/bin/pgrep": ("", "-> ps"),
    })
    source = package_source.PackageSource(packages("rpm"), execute=Download(package))
    try:
        su = source.member(PackagedFile("tools", "/usr/bin/su"))
        assert (su.content, su.mode, su.user, su.group) == (b"su!", 0o4750, "root", "tape")
        assert source.member(PackagedFile("tools", "/usr/bin/ps")).content == b"ps"
        assert not source.is_signed(PackagedFile("tools", "/usr/bin/ps"))
        with pytest.raises(ResponseError):
            source.member(PackagedFile("tools", "/usr/bin/pgrep"))
    finally:
        source.close()


@needs_rpm
@pytest.mark.parametrize("said, signed", [
    # rpmkeys --checksig --verbose; None: it failed.
    (b"x.rpm:\n    Header V4 RSA/SHA256 Signature, key ID 8483c65d: OK\n    Header SHA256 digest: OK\n", True),
    (b"x.rpm:\n    Header SHA256 digest: OK\n    Payload SHA256 digest: OK\n", False),
    (None, False),
])
def test_the_signature_of_an_rpm_package(tmp_path, said, signed):
    download = Download(rpm_root.build(tmp_path, "tools", {"/usr/bin/ps": ("", b"ps")}))

    def execute(command, directory, output=None):
        if command[0] != "rpmkeys":
            return download(command, directory, output)
        if said is None:
            raise ResponseError("rpmkeys failed: status 1")
        return said

    source = package_source.PackageSource(packages("rpm"), execute=execute)
    try:
        assert source.is_signed(PackagedFile("tools", "/usr/bin/ps")) is signed
        assert source.member(PackagedFile("tools", "/usr/bin/ps")).content == b"ps"
    finally:
        source.close()


@needs_rpm
def test_hard_links_of_an_rpm_package(tmp_path):
    files = {"/usr/bin/ps": ("", b"ps"), "/usr/bin/twin": ("", b"ps")}
    package = rpm_root.build(tmp_path, "tools", files, links={"/usr/bin/twin": "/usr/bin/ps"})
    source = package_source.PackageSource(packages("rpm"), execute=Download(package))
    try:
        for path in files:
            assert source.member(PackagedFile("tools", path)).content == b"ps"
    finally:
        source.close()


@pytest.mark.parametrize("content", [
    b"", b"x" * 50, b"\xed\xab\xee\xdb" + b"\0" * 92 + b"\x8e\xad\xe8\x01" + b"\xff" * 20,
])
def test_what_is_no_rpm_package(tmp_path, content):
    (tmp_path / "x.rpm").write_bytes(content)
    with pytest.raises(ResponseError) as caught:
        package_archive.read_rpm_header(str(tmp_path / "x.rpm"))
    assert "x.rpm is not an rpm package" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"070701", b"070701" + b"zz" * 52, b"x" * 200])
def test_a_damaged_payload(tmp_path, content):
    (tmp_path / "payload").write_bytes(content)
    with pytest.raises(ResponseError) as caught:
        package_archive.from_rpm(None, str(tmp_path / "payload"), "/usr/bin/ps")
    assert "its payload is damaged" in str(caught.value)


def test_the_programs_of_an_intruded_host_are_run_with_little_of_its_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD_TEST", "x")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    said = package_source.run(("env",), str(tmp_path)).decode()
    assert "LD_PRELOAD_TEST" not in said
    assert "https_proxy=http://proxy.example:3128" in said
    assert "LC_ALL=C" in said


@pytest.mark.parametrize("command, told", [
    (("no-such-program",), "no-such-program cannot be run: No such file"),
    (("ls", "/no/such/place"), "ls failed: ls: cannot access"),
])
def test_a_program_that_fails_is_told(tmp_path, command, told):
    with pytest.raises(ResponseError) as caught:
        package_source.run(command, str(tmp_path))
    assert str(caught.value).startswith(told)


def test_a_system_that_does_not_run_is_not_asked_for(tmp_path):
    source = package_source.PackageSource(packages("dpkg"), str(tmp_path), Download(None))
    with pytest.raises(ResponseError) as caught:
        source.member(PackagedFile("procps", "/bin/ps"))
    assert "a system that does not run" in str(caught.value)


def test_doubts_about_the_way_to_the_repository(tmp_path):
    host = DpkgRoot(tmp_path)
    host.package("apt", {"/usr/bin/apt-get": b"apt-get"})
    host.package("dpkg", {"/usr/bin/dpkg-deb": b"dpkg-deb"})
    assert package_source.PackageSource(PackageDatabase(host.root), host.root).doubts() == []
    host.write("/usr/bin/apt-get", "trojan")
    host.write("/etc/ld.so.preload", "/lib/evil.so")
    os.chmod(host.path("/var/lib/dpkg/info/dpkg.md5sums"), 0o646)
    doubts = package_source.PackageSource(PackageDatabase(host.root), host.root).doubts()
    assert [doubt.split(",")[0].split(" puts")[0] for doubt in doubts] == [
        "/usr/bin/apt-get", "The database's record of /usr/bin/dpkg-deb", "/etc/ld.so.preload"]
