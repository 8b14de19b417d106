# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import trojaned_binary
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packages import PackageDatabase
from ansible_collections.ecsops.intrusion_response.tests.unit.target.dpkg_root import DpkgRoot

WRAPPER = "#!/bin/sh\n/usr/bin/dpkgd/ps \"$@\" | grep -v getty\n"


@pytest.fixture
def host(tmp_path):
    host = DpkgRoot(tmp_path)
    host.package("procps", {"/bin/ps": b"\x7fELF ps", "/usr/bin/top": b"\x7fELF top", "/usr/bin/pkill": "-> pgrep",
                            "/usr/bin/pgrep": b"\x7fELF pgrep", "/usr/share/doc/procps/copyright": b"GPL"})
    host.package("libc-bin", {"/usr/bin/ldd": b"#!/bin/bash\nldd"})
    return host


def _move_aside(host, name="ps", content=None):
    host.write("/usr/bin/dpkgd/" + name, b"\x7fELF " + name.encode() if content is None else content, 0o755)


def nothing(host):
    pass


def bytes_exchanged(host):
    host.write("/usr/bin/ps", "\x7fELF bot")


def wrapped(host):
    host.write("/usr/bin/ps", WRAPPER)


def wrapped_and_moved_aside(host):
    _move_aside(host)
    wrapped(host)


def replaced_by_a_link(host):
    os.unlink(host.path("/usr/bin/ps"))
    host.link("/usr/bin/ps", "/tmp/.x")


def deleted(host):
    os.unlink(host.path("/usr/bin/ps"))


def deleted_and_moved_aside(host):
    _move_aside(host)
    deleted(host)


def a_script_edited(host):
    host.write("/usr/bin/ldd", "#!/bin/bash\ncurl")


def a_trojan_in_the_backup(host):
    _move_aside(host, content="\x7fELF bot")


def trojan_in_both(host):
    a_trojan_in_the_backup(host)
    bytes_exchanged(host)


def a_copy_of_something_unowned(host):
    host.write("/usr/bin/netstat", "\x7fELF own build")
    _move_aside(host, "netstat")


def something_unowned(host):
    host.write("/usr/bin/netstat", "\x7fELF own build")


def diverted_by_the_operator(host):
    host.divert("/usr/bin/top", "/usr/bin/top.distrib")
    os.rename(host.path("/usr/bin/top"), host.path("/usr/bin/top.distrib"))
    host.write("/usr/bin/top", "\x7fELF htop")


def a_link_turned(host):
    os.unlink(host.path("/usr/bin/pkill"))
    host.link("/usr/bin/pkill", "/bin/ldd")


def the_database_edited(host):
    host.info("procps.md5sums", "")


@pytest.mark.parametrize("change, expected, gaps", [
    (nothing, [], 0),
    (bytes_exchanged, [("trojaned", "suspicious", "/usr/bin/ps")], 0),
    (wrapped, [("trojaned", "malicious", "/usr/bin/ps")], 0),
    (wrapped_and_moved_aside, [("trojaned", "malicious", "/usr/bin/ps")], 0),
    (replaced_by_a_link, [("trojaned", "malicious", "/usr/bin/ps")], 0),
    (deleted, [("missing", "suspicious", "/usr/bin/ps")], 0),
    (deleted_and_moved_aside, [("missing", "malicious", "/usr/bin/ps")], 0),
    (a_script_edited, [("trojaned", "suspicious", "/usr/bin/ldd")], 0),
    (a_trojan_in_the_backup, [("backup_unproven", "suspicious", "/usr/bin/dpkgd/ps")], 0),
    (trojan_in_both, [("trojaned", "malicious", "/usr/bin/ps"),
                      ("backup_unproven", "suspicious", "/usr/bin/dpkgd/ps")], 0),
    (a_copy_of_something_unowned, [("unowned", "suspicious", "/usr/bin/netstat"),
                                   ("backup_unproven", "suspicious", "/usr/bin/dpkgd/netstat")], 0),
    (something_unowned, [("unowned", "undetermined", "/usr/bin/netstat")], 0),
    (diverted_by_the_operator, [("unowned", "undetermined", "/usr/bin/top")], 0),
    (a_link_turned, [], 1),
    (the_database_edited, [("database_suspect", "suspicious", "package database")], 4),
])
def test_what_is_told_of_a_host(host, change, expected, gaps):
    change(host)
    found = trojaned_binary.survey(PackageDatabase(host.root), host.root)
    findings = trojaned_binary.judge(found)
    assert [(item["rule"], item["verdict"], item["subject"]["name"]) for item in findings] == [
        ("binary_restore." + rule, verdict, name) for rule, verdict, name in expected]
    assert len(found.not_checked) == gaps


def test_the_remedy_is_this_module(host):
    wrapped(host)
    (finding,) = trojaned_binary.judge(trojaned_binary.survey(PackageDatabase(host.root), host.root))
    assert finding["remedy"] == {"module": "ecsops.intrusion_response.binary_restore",
                                 "args": {"state": "restored", "tools": ["/usr/bin/ps"]}}
    assert finding["attack"] == ["T1554"]


def test_what_lies_in_a_backup_directory_is_looked_at_whatever_was_asked_for(host):
    host.package("coreutils", {"/usr/bin/shred": b"\x7fELF shred"})
    _move_aside(host, "shred")
    host.write("/usr/bin/shred", WRAPPER)
    found = trojaned_binary.survey(PackageDatabase(host.root), host.root, tools=["top"])
    assert [(tool.path, tool.state) for tool in found.tools] == [
        ("/usr/bin/shred", "mismatch"), ("/usr/bin/top", "match")]


def test_tools_by_name_by_either_path_and_unknown_ones(host):
    asked = ["ps", "/bin/ps", "no-such", "/usr/bin/ps"]
    found = trojaned_binary.survey(PackageDatabase(host.root), host.root, tools=asked)
    assert [tool.path for tool in found.tools] == ["/usr/bin/ps"]
    assert [item["what"] for item in found.not_checked] == ["tool 'no-such'"]


def test_without_a_merged_usr_the_packaged_place_is_looked_at(tmp_path):
    host = DpkgRoot(tmp_path, merged=False)
    host.package("procps", {"/bin/ps": b"ps"})
    os.unlink(host.path("/bin/ps"))
    found = trojaned_binary.survey(PackageDatabase(host.root), host.root)
    assert [(tool.path, tool.state) for tool in found.tools] == [("/bin/ps", "missing")]


@pytest.mark.parametrize("content", [None, "fifo", "link", "directory"])
def test_hostile_entries_of_a_backup_directory_are_not_opened(host, content):
    wrapped(host)
    os.mkdir(host.path("/usr/bin/dpkgd"))
    place = host.path("/usr/bin/dpkgd/ps")
    if content == "fifo":
        os.mkfifo(place)
    elif content == "link":
        os.symlink("/etc/passwd", place)
    elif content == "directory":
        os.mkdir(place)
    found = trojaned_binary.survey(PackageDatabase(host.root), host.root)
    assert [tool.backups for tool in found.tools if tool.name == "ps"] == [[]]
    assert [item["what"] for item in found.not_checked] == ([] if content is None else ["/usr/bin/dpkgd/ps"])


def test_a_host_without_a_package_database_is_not_called_fine(tmp_path):
    for directory in ("bin", "usr/bin"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "bin/ps").write_text("ps")
    found = trojaned_binary.survey(PackageDatabase(str(tmp_path)), str(tmp_path))
    assert found.not_checked[0]["reason"] == "The host has neither a dpkg nor an rpm database."
    assert [finding["verdict"] for finding in trojaned_binary.judge(found)] == ["undetermined"]


def test_what_lies_elsewhere_under_its_name_does_not_hide_that_a_tool_is_gone(tmp_path):
    root = DpkgRoot(tmp_path / "other")
    root.package("lsof", {"/usr/bin/lsof": b"lsof"})
    os.unlink(root.path("/usr/bin/lsof"))
    root.write("/usr/sbin/lsof", b"trojan", 0o755)
    found = trojaned_binary.survey(PackageDatabase(root.root), root.root)
    assert [(tool.path, tool.state) for tool in found.tools] == [
        ("/usr/bin/lsof", "missing"), ("/usr/sbin/lsof", "unowned")]
