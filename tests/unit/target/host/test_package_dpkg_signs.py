# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import shutil
import types

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import package_dpkg_signs, rooted_paths
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.package_dpkg import DpkgDatabase
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packages import PackageDatabase
from ansible_collections.ecsops.intrusion_response.tests.unit.target.dpkg_root import DpkgRoot, md5

DOCUMENT = {"/usr/share/doc/%s/copyright": b"GPL", "/usr/share/doc/%s/changelog.gz": b"\x1f\x8b"}


def files_of(package, **files):
    return dict({path % package: content + package.encode() for path, content in DOCUMENT.items()},
                **{"/usr/bin/" + name: content for name, content in files.items()})


@pytest.fixture
def host(tmp_path):
    host = DpkgRoot(tmp_path)
    host.package("procps", files_of("procps", ps=b"ps", top=b"top", pkill="-> pgrep", pgrep=b"pgrep"))
    host.package("net-tools", files_of("net-tools", netstat=b"netstat"))
    host.package("lsof", files_of("lsof", lsof=b"lsof"))
    host.package("iproute2", files_of("iproute2", ss=b"ss"))
    host.package("libc6", files_of("libc6"), same=True)
    host.package("removed", {}, conffiles={"/etc/removed": b"kept"}, status="deinstall ok config-files")
    host.package("vendor-tool", files_of("vendor-tool", vendor=b"vendor"), digests=False, maintainer="v@vendor.example")
    host.package("twins", files_of("twins", one=b"same", two=b"same"))
    return host


def _info(name):
    return "/var/lib/dpkg/info/" + name


def _orphan_list(host):
    host.info("helper.list", "/.\n/usr/bin/.sshd\n")


def _list_removed(host):
    os.unlink(host.path(_info("procps.list")))


def _digests_removed(host):
    os.unlink(host.path(_info("procps.md5sums")))


def _line_removed(host):
    host.info("procps.md5sums", "%s  usr/bin/top\n%s  usr/bin/pgrep\n" % (md5(b"top"), md5(b"pgrep")))


def _link_replaced(host):
    os.unlink(host.path("/usr/bin/pkill"))
    host.write("/usr/bin/pkill", "trojan")


def _all_alike(host):
    host.info("procps.md5sums", "".join("%s  usr/bin/%s\n" % (md5(b"bot"), name) for name in ("ps", "top", "pgrep")))


def _one_bot_in_three_packages(host):
    for package, name in (("procps", "ps"), ("net-tools", "netstat"), ("lsof", "lsof")):
        path = host.path(_info(package + ".md5sums"))
        with open(path) as stream:
            lines = stream.readlines()
        with open(path, "w") as stream:
            stream.writelines(line if not line.endswith("bin/%s\n" % name) else "%s  usr/bin/%s\n" % (md5(b"bot"), name)
                              for line in lines)


def _writable(host):
    os.chmod(host.path(_info("procps.md5sums")), 0o620)


def _link_to_elsewhere(host):
    os.rename(host.path(_info("procps.md5sums")), host.path("/tmp/sums"))
    host.link(_info("procps.md5sums"), "/tmp/sums")


def test_a_healthy_host_shows_nothing(host):
    assert PackageDatabase(host.root).suspect() == []


@pytest.mark.parametrize("change, package, reason", [
    (_orphan_list, "helper", "helper has a list of files, but status does not know it"),
    (_list_removed, "procps", "procps:amd64 is installed, but its list of files is missing."),
    (_digests_removed, "procps", "The digests of procps are missing"),
    (_line_removed, "procps", "procps records no digest of /usr/bin/ps, a regular file"),
    (_link_replaced, "procps", "procps records no digest of /usr/bin/pkill, a regular file"),
    (_all_alike, "procps", "All 3 digests of procps are one and the same."),
    (_one_bot_in_three_packages, "lsof", "lsof, netstat, ps of the packages lsof, net-tools, procps have one and the"),
    (_writable, "procps", "/var/lib/dpkg/info/procps.md5sums can be written by others than its owner"),
    (_link_to_elsewhere, "procps", "/var/lib/dpkg/info/procps.md5sums is not a regular file."),
])
def test_a_tampered_database_shows_why(host, change, package, reason):
    change(host)
    database = PackageDatabase(host.root)
    assert any(told.startswith(reason) for told in database.suspect())
    if change is not _list_removed:
        assert any(told.startswith(reason) for told in database.suspect(package))
    assert database.suspect("iproute2") == []


def _one_bot_in_a_multi_arch_package_too(host):
    """Its lists are named otherwise."""
    _one_bot_in_three_packages(host)
    for architecture in ("amd64", "i386"):
        host.package("multi", files_of("multi", multi=b"bot"), architecture=architecture, same=True)


CHANGES = [_orphan_list, _list_removed, _digests_removed, _line_removed, _link_replaced, _all_alike,
           _one_bot_in_three_packages, _one_bot_in_a_multi_arch_package_too, _writable, _link_to_elsewhere]


def told_of(root):
    """Return ``(all signs as (package or None, sentence), every name by which anybody may ask)``."""
    database = DpkgDatabase(root, rooted_paths.merged_directories(root))
    names = set(database.list_names()) | set(database.packages()) | {"", "no-such-package"}
    return database.suspect(), sorted(names | {name.split(":")[0] for name in names})


@pytest.mark.parametrize("change", [None] + CHANGES)
def test_one_package_is_told_the_same_as_by_a_look_at_all(host, change):
    if change is not None:
        change(host)
    signs, names = told_of(host.root)
    assert bool(signs) is (change is not None)
    whole = PackageDatabase(host.root)
    assert whole.suspect() == [sentence for _package, sentence in signs]
    for name in names:
        expected = [sentence for package, sentence in signs if package in (None, name)]
        assert PackageDatabase(host.root).suspect(name) == expected
        assert whole.suspect(name) == expected


def test_one_package_is_told_the_same_where_info_is_missing(host):
    shutil.rmtree(host.path("/var/lib/dpkg/info"))
    assert PackageDatabase(host.root).suspect("procps") == PackageDatabase(host.root).suspect()


@pytest.mark.skipif(not DpkgDatabase.present("/"), reason="no dpkg database on this machine")
def test_one_package_is_told_the_same_on_this_machine():
    signs, names = told_of("/")
    one = PackageDatabase("/")
    for name in names:
        assert one.suspect(name) == [sentence for package, sentence in signs if package in (None, name)]


def test_of_other_packages_only_the_digests_of_programs_are_read(host, monkeypatch):
    looked_at = []
    monkeypatch.setattr(package_dpkg_signs, "lstat_at", lambda _directory, name: looked_at.append(name))
    monkeypatch.setattr(DpkgDatabase, "digest_texts", lambda _self: pytest.fail("libc6 has no program"))
    assert PackageDatabase(host.root).suspect("libc6:amd64") == []
    assert sorted(looked_at) == [b"libc6:amd64.list", b"libc6:amd64.md5sums"]


HOUR = 3600


@pytest.mark.parametrize("own, told", [
    # suffix: (mtime, ctime) in hours
    ({"list": (100, 100), "md5sums": (10, 100)}, False),  # as dpkg leaves them
    ({"list": (100, 100), "md5sums": (10, 10)}, False),  # an image that was made with its ctimes
    ({"list": (100, 100), "md5sums": (10, 102)}, True),  # edited, and the mtime set back
    ({"list": (100, 100), "md5sums": (102, 102)}, True),
    ({"list": (100, 100), "md5sums": (10, 100.5)}, False),  # a slow unpacking
    ({"list": (100, 300), "md5sums": (10, 300)}, False),  # all restored from a backup
    ({"list": (100, 100), "postinst": (10, 300), "md5sums": (10, 300)}, False),
    ({"list": (100, 100), "postinst": (10, 100), "md5sums": (10, 300)}, True),
    ({"list": (300, 300), "md5sums": (10, 100)}, False),  # another package took a file over
    ({"list": (100, 100)}, False),
    ({"md5sums": (100, 100)}, False),
])
def test_digests_written_after_the_unpacking(own, told):
    """By decision table: the kernel's ctime cannot be set in a fake root."""
    files = {suffix: types.SimpleNamespace(st_mtime=modified * HOUR, st_ctime=changed * HOUR)
             for suffix, (modified, changed) in own.items()}
    assert [package for package, _reason in package_dpkg_signs.late_digests({"procps": files})] == ["procps"] * told


def test_status_without_info(host):
    shutil.rmtree(host.path("/var/lib/dpkg/info"))
    database = PackageDatabase(host.root)
    assert database.suspect() == ["dpkg's status names packages, but /var/lib/dpkg/info is missing."]
    assert database.gaps()[0]["reason"].startswith("dpkg's database is damaged")
