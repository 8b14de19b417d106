# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import selinux_label

BIN = b"system_u:object_r:bin_t:s0\0"


@pytest.fixture
def host(tmp_path):
    """/usr/bin with two labelled files, one labelled otherwise, and a trojan with the intruder's label."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    for name, label in (("a", BIN), ("b", BIN), ("c", b"other\0"), ("ps", b"tmp_t\0"), ("bare", None)):
        path = str(tmp_path / "usr/bin" / name)
        with open(path, "w"):
            pass
        if label:
            try:
                os.setxattr(path, "security.selinux", label)
            except OSError as error:
                pytest.skip("no security attributes here: %s" % error)
    os.mkdir(str(tmp_path / "usr/bin/dpkgd"))
    return str(tmp_path)


def test_without_selinux_there_is_no_label(host):
    assert selinux_label.default_label("/usr/bin/ps", host, mount=host + "/none") is None


def test_the_label_that_the_neighbours_have(host):
    assert selinux_label.default_label("/usr/bin/ps", host, mount=host) == BIN


def test_a_directory_without_labels(host):
    assert selinux_label.default_label("/usr/bin/dpkgd/ps", host, mount=host) is None


def test_a_library_that_is_not_there_or_has_no_policy_leaves_the_neighbours(tmp_path):
    if os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("this machine has a policy")
    for library in ("libselinux.so.1", "no-such-library.so"):
        assert selinux_label.default_label("/etc/passwd", mount=str(tmp_path), library=library) is None
