# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import fcntl
import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import inode_flags
from ansible_collections.ecsops.intrusion_response.tests.unit.target import manifest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="setting inode flags takes root")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    yield str(tmp_path / "file")
    present = manifest.flags_of(str(tmp_path / "file"))
    if present & (manifest.IMMUTABLE | manifest.APPEND_ONLY):
        manifest.set_flags(str(tmp_path / "file"), present & ~(manifest.IMMUTABLE | manifest.APPEND_ONLY))


@needs_root
@pytest.mark.parametrize("bit", [inode_flags.IMMUTABLE, inode_flags.APPEND_ONLY, inode_flags.NO_DUMP])
def test_flags_are_set_read_and_cleared(path, bit):
    plain = manifest.flags_of(path)
    inode_flags.set_flags(path, plain | bit)
    assert manifest.flags_of(path) == plain | bit == inode_flags.get_flags(path)
    assert inode_flags.clear_flags(path, inode_flags.BLOCKING | bit) == plain | bit
    assert manifest.flags_of(path) == plain


@needs_root
def test_an_immutable_file_really_is(path):
    inode_flags.set_flags(path, inode_flags.IMMUTABLE)
    with pytest.raises(PermissionError):
        os.unlink(path)
    with pytest.raises(PermissionError):
        os.open(path, os.O_WRONLY | os.O_APPEND)


def test_bits_of_the_file_system_stay(path):
    plain = manifest.flags_of(path)
    inode_flags.set_flags(path, 0)
    assert manifest.flags_of(path) == plain & ~inode_flags.SETTABLE


@pytest.mark.parametrize("number", [errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_flags(path, monkeypatch, number):
    def refuse(*unused):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    assert inode_flags.get_flags(path) == 0
    assert inode_flags.clear_flags(path, inode_flags.BLOCKING) == 0


@pytest.mark.parametrize("number, message", [(errno.EPERM, "CAP_LINUX_IMMUTABLE"), (errno.EROFS, "Remount")])
def test_refusals_say_what_to_do(path, monkeypatch, number, message):
    ioctl = fcntl.ioctl

    def refuse(descriptor, request, argument):
        if isinstance(argument, bytes):
            raise OSError(number, os.strerror(number))
        return ioctl(descriptor, request, argument)

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    with pytest.raises(ResponseError, match=message):
        inode_flags.set_flags(path, inode_flags.IMMUTABLE)


def test_devices_and_fifos_are_not_asked(tmp_path):
    os.mkfifo(str(tmp_path / "pipe"))
    assert inode_flags.get_flags(str(tmp_path / "pipe")) == 0
    assert inode_flags.get_flags("/dev/null") == 0
