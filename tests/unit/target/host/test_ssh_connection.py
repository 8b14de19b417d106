# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import authorized_keys, ssh_connection
from ansible_collections.ecsops.intrusion_response.tests.unit.target import ssh_samples
from ansible_collections.ecsops.intrusion_response.tests.unit.target.ssh_samples import FINGERPRINTS, key

CLIENT = "SSH_CONNECTION=10.0.2.2 40022 10.0.2.15 22"
LINE = "Nov 22 10:00:00 web1 sshd[%d]: Accepted %s for %s from 10.0.2.2 port 40022 ssh2%s\n"


@pytest.fixture
def proc(tmp_path):
    """A login as ann who has become root: sshd, her shell, sudo, our Python."""
    proc = tmp_path / "proc"
    (tmp_path / "root").mkdir()
    ssh_samples.process(proc, 1, 0, "/usr/lib/systemd/systemd")
    ssh_samples.process(proc, 100, 1, "/usr/sbin/sshd")
    ssh_samples.process(proc, 200, 100, "/usr/sbin/sshd")
    ssh_samples.process(proc, 201, 200, "/usr/sbin/sshd (deleted)")
    ssh_samples.process(proc, 300, 201, "/usr/bin/dash", [CLIENT, "LOGNAME=ann"])
    ssh_samples.process(proc, 301, 300, "/usr/bin/sudo", [CLIENT, "LOGNAME=ann"])
    ssh_samples.process(proc, 302, 301, "/usr/bin/python3.11", ["SUDO_USER=ann", "LOGNAME=root"])
    return proc


def _find(proc, tmp_path, pid=302, **more):
    return ssh_connection.find_connection(str(proc), str(tmp_path / "root"), pid, **more)


def _log(tmp_path, *lines):
    ssh_samples.write(tmp_path / "root", "/var/log/auth.log", "".join(lines))


def test_sudo_has_taken_the_variable_away_but_not_from_our_ancestors(proc, tmp_path):
    _log(tmp_path, LINE % (200, "publickey", "ann", ": ED25519 " + FINGERPRINTS[1]))
    found = _find(proc, tmp_path)
    assert (found.kind, found.address, found.port, found.users) == ("ssh", "10.0.2.2", 40022, {"ann"})
    assert (found.method, found.fingerprints, found.by_key, found.key_known) == ("publickey", {FINGERPRINTS[1]}, True,
                                                                                 True)
    assert found.source == "/var/log/auth.log"
    assert found.carries(authorized_keys.parse_public_key(key(1)))
    assert not found.carries(authorized_keys.parse_public_key(key(7)))


@pytest.mark.parametrize("method,info,by_key,known", [
    ("password", "", False, False),
    ("keyboard-interactive/pam", "", False, False),
    ("publickey", "", True, False),
    ("publickey", ": RSA MD5:" + ":".join(["aa"] * 16), True, True),
    ("publickey", ": RSA " + ":".join(["aa"] * 16), True, True),
])
def test_methods(proc, tmp_path, method, info, by_key, known):
    _log(tmp_path, LINE % (200, method, "ann", info))
    found = _find(proc, tmp_path)
    assert (found.method, found.by_key, found.key_known) == (method, by_key, known)


def test_a_certificate_names_its_authority(proc, tmp_path):
    _log(tmp_path,
         LINE % (200, "publickey", "ann",
                 ": ED25519-CERT %s ID ann (serial 0) CA ED25519 %s" % (FINGERPRINTS[1], FINGERPRINTS[7])))
    found = _find(proc, tmp_path)
    assert (found.fingerprints, found.authority) == ({FINGERPRINTS[1]}, {FINGERPRINTS[7]})
    assert found.carries(authorized_keys.parse_public_key(key(7)))


def test_a_forged_password_line_does_not_hide_the_key(proc, tmp_path):
    _log(tmp_path, LINE % (200, "publickey", "ann", ": ED25519 " + FINGERPRINTS[1]),
         LINE % (666, "password", "ann", ""))
    assert _find(proc, tmp_path).by_key is True
    _log(tmp_path, LINE % (1, "publickey", "ann", ": ED25519 " + FINGERPRINTS[1]), LINE % (666, "password", "ann", ""))
    assert _find(proc, tmp_path).by_key is True


def test_without_a_log_it_is_not_known_and_not_denied(proc, tmp_path):
    found = _find(proc, tmp_path, login_user="ann")
    assert (found.kind, found.by_key, found.key_known, found.users) == ("ssh", None, False, {"ann"})


def test_without_a_word_from_the_controller_the_session_tells_the_user(proc, tmp_path):
    assert _find(proc, tmp_path).users == {"ann"}


def test_the_login_uid_names_all_accounts_that_share_it(proc, tmp_path):
    ssh_samples.process(proc, 400, 201)
    (proc / "400" / "loginuid").write_text("0\n")
    assert _find(proc, tmp_path, 400, account_names={0: ["root", "toor"]}).users == {"root", "toor"}


def test_expose_auth_info(proc, tmp_path):
    ssh_samples.write(tmp_path / "root", "/tmp/sshauth.x", b"publickey %s\npassword\n" % key(1))
    ssh_samples.process(proc, 310, 201, environ=[CLIENT, "SSH_USER_AUTH=/tmp/sshauth.x"])
    found = _find(proc, tmp_path, 310)
    assert (found.source, found.method, found.fingerprints) == ("SSH_USER_AUTH", "publickey", {FINGERPRINTS[1]})


@pytest.mark.parametrize("path,content", [
    ("/tmp/sshauth.x", b""), ("/tmp/sshauth.x", b"publickey nonsense\n"), ("/tmp/../etc/x", b"password\n"),
    ("relative", b"password\n"),
    ("/tmp/gone", None),
])
def test_an_auth_info_that_does_not_tell_is_passed_over(proc, tmp_path, path, content):
    if content is not None:
        ssh_samples.write(tmp_path / "root", "/tmp/sshauth.x", content)
    ssh_samples.process(proc, 310, 201, environ=[CLIENT, "SSH_USER_AUTH=" + path])
    _log(tmp_path, LINE % (200, "publickey", "ann", ": ED25519 " + FINGERPRINTS[1]))
    assert _find(proc, tmp_path, 310).source == "/var/log/auth.log"


@pytest.mark.parametrize("pid,kind", [(302, "ssh"), (300, "ssh"), (201, "ssh"), (100, "ssh"), (1, "local")])
def test_kind(proc, tmp_path, pid, kind):
    assert _find(proc, tmp_path, pid).kind == kind


def test_a_local_run_is_not_by_key(proc, tmp_path):
    ssh_samples.process(proc, 500, 1, environ=["SUDO_USER=ann"])
    found = _find(proc, tmp_path, 500)
    assert (found.kind, found.by_key, found.users) == ("local", False, {"ann"})


def test_a_login_that_the_controller_tells_of_is_never_local(proc, tmp_path):
    ssh_samples.process(proc, 510, 1)
    found = _find(proc, tmp_path, 510, login_user="ann")
    assert (found.kind, found.by_key, found.users) == ("ssh", None, {"ann"})


def test_a_loop_or_an_end_of_the_ancestors_ends(proc, tmp_path):
    ssh_samples.process(proc, 600, 601)
    ssh_samples.process(proc, 601, 600)
    assert _find(proc, tmp_path, 600).kind == "local"
    assert _find(proc, tmp_path, 9999).kind == "local"


@pytest.mark.parametrize("value", ["", "10.0.2.2 40022", "a b c d", "10.0.2.2 40022 10.0.2.15 22 x"])
def test_an_odd_variable_is_no_connection(proc, tmp_path, value):
    ssh_samples.process(proc, 700, 1, environ=["SSH_CONNECTION=" + value])
    assert _find(proc, tmp_path, 700).kind == "local"


def _connection(fingerprints, method=None, kind="ssh"):
    connection = ssh_connection.Connection(kind)
    connection.method = method
    connection.fingerprints = set(fingerprints)
    connection.source = "log"
    return connection


ONE, SEVEN, NINE = (authorized_keys.parse_public_key(key(number)).fingerprint for number in (1, 7, 9))


@pytest.mark.parametrize("name,known,method,held,in_file,expected", [
    ("the log has told", [ONE], "publickey", [7], [1, 7], {ONE}),
    ("nothing has told", [], None, [7], [1, 7], {SEVEN}),
    ("the log has told but no fingerprint", [], "publickey", [7, 9], [7, 9], {SEVEN, NINE}),
    ("the controller's keys are not there", [], None, [9], [1, 7], set()),
    ("the log is ambiguous", [ONE, SEVEN], "publickey", [7], [1, 7], {SEVEN}),
    ("the log is ambiguous and the controller has none", [ONE, SEVEN], "publickey", [9], [1, 7], {ONE, SEVEN}),
    ("by password", [], "password", [7], [7], set()),
])
def test_the_controllers_keys(name, known, method, held, in_file, expected):
    connection = _connection(known, method)
    lines = [line for number in in_file for line in authorized_keys.key_lines(key(number))]
    ssh_connection.add_controller_keys(connection, [key(number).decode() for number in held] + ["no key"], lines)
    assert connection.fingerprints == expected


def test_this_very_process():
    # Whatever runs the tests: the real /proc can be read.
    assert ssh_connection.find_connection().kind in ("ssh", "local")
