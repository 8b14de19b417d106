# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import path_patterns
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.path_patterns import (
    PathFinder,
    expand_braces,
    is_literal,
    regex_directory,
)


@pytest.mark.parametrize("pattern, expected", [
    ("/a", ["/a"]), ("/a{b,c}", ["/ab", "/ac"]), ("/lib{,2,3}.so", ["/lib.so", "/lib2.so", "/lib3.so"]),
    ("{/bin,/etc}/{x,y}", ["/bin/x", "/bin/y", "/etc/x", "/etc/y"]), ("/{a,a}", ["/a"]),
    ("/{a,{b,c}}", ["/a", "/b", "/c"]),
])
def test_expand_braces(pattern, expected):
    assert sorted(expand_braces(pattern)) == sorted(expected)


@pytest.mark.parametrize("pattern, expected", [("/a/b", True), ("/a*", False), ("/a[1-2]", False), ("~/x", False)])
def test_is_literal(pattern, expected):
    assert is_literal(pattern) is expected


@pytest.mark.parametrize("regex, expected", [
    ("^/usr/bin/[a-z]{10}$", "/usr/bin"), (r"/tmp/ddgs\.[0-9]+", "/tmp"), ("/usr/[a-z]+/x", None), ("x/y", None),
    ("/usr/.*", "/usr"), ("(/tmp|/etc)/x", None)])
def test_regex_directory(regex, expected):
    assert regex_directory(regex) == expected


@pytest.fixture
def host(tmp_path):
    for name in ("etc/rc1.d/S97x", "etc/rc6.d/S97x", "etc/rc.d/x", "home/bob/.configrc5/a", "root/.configrc",
                 "tmp/ddgs.3012", "tmp/ddgs.x", "tmp/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("pattern, expected", [
    ("/etc/rc[1-5].d/S97x", ["/etc/rc1.d/S97x"]),
    ("/etc/rc?.d/S*", ["/etc/rc1.d/S97x", "/etc/rc6.d/S97x"]),
    ("/etc/none", []), ("/none/*", []), ("/tmp/ddgs.3012/*", []),
    # As in a shell, a leading dot wants to be named.
    ("/tmp/*", ["/tmp/ddgs.3012", "/tmp/ddgs.x"]), ("/tmp/.h*", ["/tmp/.hidden"]),
    ("~/.configrc*", ["/home/bob/.configrc5", "/root/.configrc"]),
])
def test_find(host, pattern, expected):
    finder = PathFinder(str(host), ["/root", "/home/bob", "/root/", "/", "relative", "/home/none"])
    assert finder.find(pattern) == expected
    assert finder.gaps == []


def test_find_regex(host):
    assert PathFinder(str(host)).find_regex(r"^/tmp/ddgs\.[0-9]+$") == ["/tmp/ddgs.3012"]


def test_a_directory_full_of_names_is_searched_in_part_and_that_is_told(host, monkeypatch):
    monkeypatch.setattr(path_patterns, "MAX_NAMES", 2)
    finder = PathFinder(str(host))
    assert len(finder.names("/tmp")) == 2
    assert "3 names, of which 2" in finder.gaps[0]["reason"]


def test_too_many_matches_are_told(host, monkeypatch):
    monkeypatch.setattr(path_patterns, "MAX_MATCHES", 1)
    finder = PathFinder(str(host))
    assert len(finder.find("/tmp/*")) == 1
    assert "2 paths, of which 1" in finder.gaps[0]["reason"]


def test_a_link_that_others_can_turn_is_a_gap(host):
    (host / "tmp").chmod(0o1777)
    os.symlink("/etc", str(host / "tmp/link"))
    finder = PathFinder(str(host))
    assert finder.find("/tmp/link/rc*") == []
    assert "symbolic link" in finder.gaps[0]["reason"]


def test_names_that_are_no_text(host):
    with open(os.fsencode(str(host)) + b"/tmp/\xff\n", "wb"):
        pass
    assert "/tmp/\udcff\n" in PathFinder(str(host)).find("/tmp/*")
