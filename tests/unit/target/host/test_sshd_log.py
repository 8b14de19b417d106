# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import struct

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import sshd_log
from ansible_collections.ecsops.intrusion_response.tests.unit.target import ssh_samples
from ansible_collections.ecsops.intrusion_response.tests.unit.target.ssh_samples import FINGERPRINTS

ACCEPTED = "Accepted publickey for root from 10.0.2.2 port 40022 ssh2: ED25519 " + FINGERPRINTS[1]
FORGED = "Accepted publickey for root from 10.0.2.2 port 40022 ssh2: ED25519 " + FINGERPRINTS[7]


def _syslog(message, pid=1234, program="sshd"):
    return "Nov 22 10:00:00 web1 %s[%d]: %s\n" % (program, pid, message)


def _messages(root, port=40022, address="10.0.2.2", pids=(1234,)):
    path, messages = sshd_log.login_messages(address, port, pids, str(root))
    return path, [message.info.split(" ")[-1] for message in messages]


@pytest.mark.parametrize("path,line", [
    ("/var/log/auth.log", _syslog(ACCEPTED)),
    ("/var/log/secure", _syslog(ACCEPTED, program="sshd-session")),
    ("/var/log/messages", "2026-11-22T10:00:00.123456+00:00 web1 sshd[1234]: %s\n" % ACCEPTED),
    ("/var/log/auth.log.1", _syslog(ACCEPTED)),
    ("/var/log/secure-20261121", _syslog(ACCEPTED)),
    ("/var/log/auth.log", _syslog(ACCEPTED) + "no line end"),
    ("/var/log/auth.log", "x" * 100 + "\n" + _syslog(ACCEPTED.replace("10.0.2.2", "::ffff:10.0.2.2"))),
])
def test_log_files(tmp_path, path, line):
    ssh_samples.write(tmp_path, path, line)
    assert _messages(tmp_path) == (path, [FINGERPRINTS[1]])


@pytest.mark.parametrize("name,content", [
    ("another port", _syslog(ACCEPTED.replace("40022", "40023"))),
    ("another address", _syslog(ACCEPTED.replace("10.0.2.2", "10.0.2.20"))),
    ("a user name with the message in it", _syslog("Invalid user %s from 6.6.6.6 port 1" % ACCEPTED)),
    ("another program", _syslog(ACCEPTED, program="su")),
    ("a refused key", _syslog(ACCEPTED.replace("Accepted", "Failed"))),
    ("nothing", ""),
])
def test_what_is_not_the_connection(tmp_path, name, content):
    ssh_samples.write(tmp_path, "/var/log/auth.log", content)
    assert _messages(tmp_path) == (None, [])


def test_a_line_with_our_sshds_pid_is_believed_before_a_forged_one(tmp_path):
    ssh_samples.write(tmp_path, "/var/log/auth.log", _syslog(ACCEPTED) + _syslog(FORGED, pid=666))
    assert _messages(tmp_path)[1] == [FINGERPRINTS[1]]


def test_where_the_pid_does_not_tell_all_candidates_are_returned(tmp_path):
    ssh_samples.write(tmp_path, "/var/log/auth.log", _syslog(ACCEPTED, pid=5) + _syslog(FORGED, pid=666))
    assert sorted(_messages(tmp_path)[1]) == sorted([FINGERPRINTS[1], FINGERPRINTS[7]])


def test_a_login_by_two_keys_names_both(tmp_path):
    ssh_samples.write(tmp_path, "/var/log/auth.log",
                      _syslog(FORGED.replace("Accepted", "Partial")) + _syslog("noise") + _syslog(ACCEPTED))
    assert sorted(_messages(tmp_path)[1]) == sorted([FINGERPRINTS[1], FINGERPRINTS[7]])


def test_without_the_clients_port_only_the_pid_tells(tmp_path):
    ssh_samples.write(tmp_path, "/var/log/auth.log", _syslog(FORGED, pid=5) + _syslog(ACCEPTED))
    assert _messages(tmp_path, port=None, address=None)[1] == [FINGERPRINTS[1]]


def test_a_long_log_is_read_over_the_borders_of_its_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(sshd_log, "_PIECE", 64)
    lines = [_syslog("Failed password %d" % number) for number in range(50)]
    lines[20:20] = [_syslog(ACCEPTED)]
    ssh_samples.write(tmp_path, "/var/log/auth.log", "".join(lines))
    assert _messages(tmp_path)[1] == [FINGERPRINTS[1]]


def _data_object(message, compact=False, flags=0, kind=1, size=None):
    payload = b"MESSAGE=" + message.encode("utf-8")
    head = 72 if compact else 64
    body = struct.pack("<BB6xQ", kind, flags, head + len(payload) if size is None else size).ljust(head,
                                                                                                   b"\x11") + payload
    return body.ljust((len(body) + 7) // 8 * 8, b"\0")


def _journal(root, content, path="/var/log/journal/0123/system.journal"):
    return ssh_samples.write(root, path, b"LPKSHHRH" + content)


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("piece", [4096, 200])
def test_the_journals_data_objects(tmp_path, monkeypatch, compact, piece):
    monkeypatch.setattr(sshd_log, "_PIECE", piece)
    noise = b"".join(_data_object("Failed password for root from 1.2.3.4 port %d" % number) for number in range(30))
    _journal(tmp_path, noise + _data_object(ACCEPTED, compact) + noise)
    assert _messages(tmp_path) == ("/var/log/journal/0123/system.journal", [FINGERPRINTS[1]])


@pytest.mark.parametrize("content", [
    _data_object(ACCEPTED, kind=3), _data_object(ACCEPTED, flags=1), _data_object(ACCEPTED, size=1 << 40),
    b"MESSAGE=" + ACCEPTED.encode("ascii"), _data_object("x MESSAGE=" + ACCEPTED),
])
def test_bytes_that_are_no_message_object(tmp_path, content):
    _journal(tmp_path, content)
    assert _messages(tmp_path) == (None, [])


def test_the_volatile_journal_and_the_newest_file_first(tmp_path):
    _journal(tmp_path, _data_object(FORGED)).touch()
    newer = _journal(tmp_path, _data_object(ACCEPTED), "/run/log/journal/0123/system.journal")
    os.utime(str(newer), (2000000000, 2000000000))
    assert _messages(tmp_path) == ("/run/log/journal/0123/system.journal", [FINGERPRINTS[1]])


def test_a_log_that_is_no_file_is_passed_over(tmp_path):
    (tmp_path / "var/log/auth.log").mkdir(parents=True)
    (tmp_path / "var/log/secure").symlink_to("/etc/shadow")
    assert _messages(tmp_path) == (None, [])
