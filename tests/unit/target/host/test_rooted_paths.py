# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import rooted_paths

LINKS = {
    "bin": "usr/bin",
    "absolute": "/usr/bin",
    "climbs": "../../../../usr/bin",
    "usr/bin/tool": "../lib/tool",
    "usr/bin/dangling": "/nowhere/at/all",
    "loop": "loop",
}


@pytest.fixture
def root(tmp_path):
    for name in ("usr/bin", "usr/lib"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "usr/lib/tool").write_text("tool")
    for name, target in LINKS.items():
        os.symlink(target, str(tmp_path / name))
    return str(tmp_path)


@pytest.mark.parametrize("path, follow, expected", [
    ("/bin/ps", False, "/usr/bin/ps"),
    ("/absolute/ps", False, "/usr/bin/ps"),
    ("/climbs/ps", False, "/usr/bin/ps"),
    ("/bin/../lib/x", False, "/usr/lib/x"),
    ("//usr/./bin//ps", False, "/usr/bin/ps"),
    ("/bin", False, "/bin"),
    ("/bin", True, "/usr/bin"),
    ("/bin/tool", False, "/usr/bin/tool"),
    ("/bin/tool", True, "/usr/lib/tool"),
    ("/bin/dangling", True, "/nowhere/at/all"),
    ("/no/such/../thing", False, "/no/such/../thing"),
    ("/usr/lib/tool/below/a/file", False, "/usr/lib/tool/below/a/file"),
    ("/..", True, "/"),
    ("/", False, "/"),
])
def test_a_path_is_resolved_inside_its_root(root, path, follow, expected):
    assert rooted_paths.resolve(path, root, follow) == expected


def test_a_loop_of_links_is_told(root):
    with pytest.raises(ResponseError) as caught:
        rooted_paths.resolve("/loop/x", root)
    assert "/loop/x cannot be followed" in str(caught.value)


def test_bytes_that_are_no_utf8_survive(root):
    (name,) = rooted_paths.spellings(b"/tmp/\xff\xfe", root)
    assert rooted_paths.path_bytes(name) == b"/tmp/\xff\xfe"


@pytest.mark.parametrize("path", ["/bin/ps", "/usr/bin/ps"])
def test_both_spellings_of_a_merged_usr(root, path):
    assert set(rooted_paths.spellings(path, root)) == {"/bin/ps", "/usr/bin/ps"}
    assert rooted_paths.spellings(path, root)[0] == path


def test_merged_sbin_of_fedora(tmp_path):
    (tmp_path / "usr/bin").mkdir(parents=True)
    for name, target in (("bin", "usr/bin"), ("sbin", "usr/sbin"), ("usr/sbin", "bin")):
        os.symlink(target, str(tmp_path / name))
    assert set(rooted_paths.spellings("/usr/bin/ss", str(tmp_path))) == {
        "/bin/ss", "/sbin/ss", "/usr/sbin/ss", "/usr/bin/ss"}


def test_without_links_bin_and_usr_bin_are_two_places(tmp_path):
    for name in ("usr/bin", "bin"):
        (tmp_path / name).mkdir(parents=True)
    assert rooted_paths.spellings("/bin/ps", str(tmp_path)) == ["/bin/ps"]


def test_status_and_target_of_a_link(root):
    assert rooted_paths.link_target("/bin/tool", root) == "../lib/tool"
    assert rooted_paths.link_target("/usr/lib/tool", root) is None
    assert rooted_paths.status("/bin/nothing", root) is None
    assert rooted_paths.status("/usr/lib/tool/below", root) is None
    assert rooted_paths.status("/absolute/../lib/tool", root).st_size == 4


def test_a_link_in_a_circle_where_usr_may_be_merged_stops_nobody(tmp_path):
    (tmp_path / "usr/bin").mkdir(parents=True)
    os.symlink("usr/bin", str(tmp_path / "bin"))
    os.symlink("/libo32", str(tmp_path / "libo32"))
    os.symlink("x" * 300, str(tmp_path / "libx32"))
    assert rooted_paths.merged_directories(str(tmp_path)) == {"/bin": "/usr/bin"}
