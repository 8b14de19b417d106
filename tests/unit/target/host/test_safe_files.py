# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import hashlib
import os
import stat

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices take root")


@pytest.fixture
def host(tmp_path):
    root = tmp_path / "host"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/ps").write_bytes(b"packaged")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc").mkdir()
    return root


def real_path(path, host):
    descriptor, name, real = safe_files.open_parent(path, str(host))
    os.close(descriptor)
    return real


@pytest.mark.parametrize("links, path, real", [
    ({}, "/usr/bin/ps", b"/usr/bin/ps"),
    ({}, "usr//bin/./ps", b"/usr/bin/ps"),
    ({"bin": "usr/bin"}, "/bin/ps", b"/usr/bin/ps"),
    ({"bin": "/usr/bin"}, "/bin/ps", b"/usr/bin/ps"),
    ({"etc/alternatives": "../usr/bin"}, "/etc/alternatives/ps", b"/usr/bin/ps"),
    ({"etc/up": "../../../../usr"}, "/etc/up/bin/ps", b"/usr/bin/ps"),
    ({"a": "b", "b": "c", "c": "usr/bin"}, "/a/ps", b"/usr/bin/ps"),
    # The final component is what is worked on, link or not.
    ({"etc/link": "/usr/bin/ps"}, "/etc/link", b"/etc/link"),
])
def test_links_that_only_root_can_turn_are_resolved_below_the_host_root(host, links, path, real):
    for name, target in links.items():
        os.symlink(target, str(host / name))
    assert real_path(path, host) == real


@pytest.mark.parametrize("links, path, message", [
    ({"tmp/link": "/etc"}, "/tmp/link/passwd", "others than root can turn"),
    ({"etc/loop": "loop"}, "/etc/loop/x", "Too many symbolic links"),
    ({}, "/etc/../etc/passwd", "'..' is not accepted"),
    ({}, "/usr/bin/ps/x", "not a directory"),
    ({}, "/", "root directory"),
    ({}, "/a\0b", "NUL"),
])
def test_paths_that_are_refused(host, links, path, message):
    for name, target in links.items():
        os.symlink(target, str(host / name))
    with pytest.raises(ResponseError, match=message):
        real_path(path, host)


@needs_root
def test_a_link_of_another_owner_is_not_followed(host):
    os.symlink("usr/bin", str(host / "bin"))
    os.lchown(str(host / "bin"), 1000, 1000)
    with pytest.raises(ResponseError, match="others than root can turn"):
        real_path("/bin/ps", host)


def test_missing(host):
    for path in ("/none", "/none/none"):
        with pytest.raises(safe_files.FileMissing, match="does not exist"):
            safe_files.read_bytes(path, host_root=str(host))
        assert safe_files.lstat(path, str(host)) is None


def make_link(path):
    os.symlink("ps", str(path))


def make_fifo(path):
    os.mkfifo(str(path))


def make_directory(path):
    path.mkdir()


def make_device(path):
    os.mknod(str(path), stat.S_IFCHR | 0o600, os.makedev(1, 5))


@pytest.mark.parametrize("make", [make_link, make_fifo, make_directory, pytest.param(make_device, marks=needs_root)])
def test_only_regular_files_are_read(host, make):
    make(host / "usr/bin/x")
    with pytest.raises(ResponseError, match="/usr/bin/x is not a regular file"):
        safe_files.read_bytes("/usr/bin/x", host_root=str(host))
    with pytest.raises(ResponseError, match="not a regular file"):
        safe_files.digest("/usr/bin/x", host_root=str(host))


def test_reads_are_bounded(host):
    assert safe_files.read_bytes("/usr/bin/ps", limit=8, host_root=str(host)) == b"packaged"
    assert safe_files.read_bytes("/usr/bin/ps", limit=4, host_root=str(host), truncate=True) == b"pack"
    with pytest.raises(ResponseError, match="larger than 7 bytes"):
        safe_files.read_bytes("/usr/bin/ps", limit=7, host_root=str(host))
    with pytest.raises(ResponseError, match="larger than 7 bytes"):
        safe_files.digest("/usr/bin/ps", host_root=str(host), limit=7)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_digest(host, algorithm):
    assert safe_files.digest("/usr/bin/ps", algorithm, str(host)) == hashlib.new(algorithm, b"packaged").hexdigest()


def test_reading_leaves_the_access_time(host):
    os.utime(str(host / "usr/bin/ps"), ns=(1, 2))
    safe_files.digest("/usr/bin/ps", host_root=str(host))
    assert os.stat(str(host / "usr/bin/ps")).st_atime_ns == 1


@pytest.mark.parametrize("raw", [b"/tmp/a", "/tmp/caf\u00e9".encode(), b"/tmp/\xff\n\x1b"])
def test_path_text_and_back(raw):
    assert safe_files.path_bytes(safe_files.path_text(raw)) == raw
    assert safe_files.path_bytes(raw) == raw


def test_hostile_names(host):
    with open(os.fsencode(str(host)) + b"/tmp/\xff\n", "wb") as stream:
        stream.write(b"1")
    assert safe_files.read_bytes(b"/tmp/\xff\n", host_root=str(host)) == b"1"
    assert safe_files.read_bytes("/tmp/\udcff\n", host_root=str(host)) == b"1"
