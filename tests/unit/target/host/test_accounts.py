# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import accounts
from ansible_collections.ecsops.intrusion_response.tests.unit.target import ssh_samples


def _database(tmp_path, passwd, shadow="", group=""):
    return accounts.read_accounts(ssh_samples.host(tmp_path, passwd, shadow, group))


# Each line was put into /etc/passwd of a Debian 12 (glibc 2.36) and asked for with getpwnam(3).
@pytest.mark.parametrize("line,expected", [
    ("ann:x:1000:1000:Ann:/home/ann:/bin/sh", ("ann", 1000, 1000, "/home/ann", "/bin/sh")),
    ("short::0:0", ("short", 0, 0, "", "")),
    ("sp: x: 00:+0:g:/h:/s", ("sp", 0, 0, "/h", "/s")),
    (" lead:x:5:5:::", ("lead", 5, 5, "", "")),
    ("extra:x:7:7:g:/h:/bin/sh:more", ("extra", 7, 7, "/h", "/bin/sh:more")),
    ("big:x:4294967296:0:::", None),
    ("neg:x:-1:-1:::", None),
    ("hex:x:0x0:0:::", None),
    ("three:x:0", None),
    (":x:0:0:::", None),
    ("  #comment:x:1:1:::", None),
    ("+nis::0:0:::", None),
    ("", None),
])
def test_lines_are_what_glibc_takes_them_for(tmp_path, line, expected):
    found = _database(tmp_path, line + "\n").accounts
    assert [(item.name, item.uid, item.gid, item.home,
             item.shell) for item in found] == ([expected] if expected else [])


@pytest.mark.parametrize("passwd,kinds", [
    ("a:x:1:1:::\n", []),
    ("a:x:1:1:::", ["no_newline"]),
    ("+::0:0:::\n-b\n+@net\n", ["nis", "nis", "nis"]),
    ("a:x:1\n", ["malformed"]),
    ("a::0:0\n", ["malformed"]),
    ("a:x:1:1:::\na:x:0:0:::\n", ["duplicate"]),
    ("a:x:1:1:::\nb\0c:x:0:0:::\n", ["malformed"]),
    ("# comment\n\n", []),
])
def test_oddities_are_told(tmp_path, passwd, kinds):
    found = [item.kind for item in _database(tmp_path, passwd).oddities if item.path == accounts.PASSWD]
    assert found == kinds


def test_an_account_that_glibc_sees_is_one_even_when_its_line_is_odd(tmp_path):
    database = _database(tmp_path, "a::0:0\n")
    assert [item.name for item in database.by_uid(0)] == ["a"]


@pytest.mark.parametrize("content", [b"", b"a:x:1:1:::", b"a:x:1:1:::\r\n+\n\n#\nb\xff:x:2:2:\x0b::\n", b"\n\n"])
def test_every_byte_of_a_file_is_kept(content):
    source = accounts.AccountFile("/x", content)
    assert b"".join(source.lines) == content
    assert source.with_lines({}) == content


def test_one_line_is_replaced_and_all_others_stay():
    source = accounts.AccountFile("/x", b"a:1\r\n\xff\nb:2")
    assert source.with_lines({2: b"b:3"}) == b"a:1\r\n\xff\nb:3"
    assert source.with_lines({0: b"a:9"}) == b"a:9\n\xff\nb:2"


def test_names_that_are_no_utf8_survive(tmp_path):
    database = _database(tmp_path, b"caf\xe9:x:0:0::/h:/bin/sh\n", b"caf\xe9::1::::::\n")
    account, = database.accounts
    assert database.password_of(account) == ""
    assert accounts.safe_files.path_bytes(account.name) == b"caf\xe9"


@pytest.mark.parametrize("passwd_field,shadow,expected", [
    ("x", "a:$6$h:1::::::\n", "$6$h"), ("x", "", "x"), ("", "a:$6$h:1::::::\n", ""), ("$1$h", "a:!:1::::::\n", "$1$h"),
    ("x", "a:\n", ""), ("x", "a:1:::::::\na::::::::\n", "1"),
])
def test_which_password_counts(tmp_path, passwd_field, shadow, expected):
    database = _database(tmp_path, "a:%s:1:1:::\n" % passwd_field, shadow)
    assert database.password_of(database.by_name("a")) == expected


@pytest.mark.parametrize("field,state", [
    ("", "empty"), ("*", "none"), ("!", "none"), ("!!", "none"), ("!*", "none"), ("x", "none"), ("*LK*", "none"),
    ("$6$salt$hash", "set"), ("!$6$salt$hash", "locked"), ("!!$1$x$y", "locked"), ("abcdefghijklm", "set"),
    ("_J9..K0AyUubcdefghij", "set"), ("nonsense", "none"),
])
def test_password_fields(field, state):
    assert accounts.password_state(field) == state


@pytest.mark.parametrize("shell,expected", [
    ("/bin/bash", True), ("", True), ("/usr/sbin/nologin", False), ("/bin/false", False), ("/sbin/nologin", False),
    ("/tmp/x", True),
])
def test_shells(shell, expected):
    assert accounts.can_log_in(shell) is expected


@pytest.mark.parametrize("home,expected", [
    ("/home/a", "/home/a/.ssh/k"), ("/", "/.ssh/k"), ("//x/./y/", "/x/y/.ssh/k"), ("", None), ("relative", None),
])
def test_home_files(home, expected):
    account = accounts.Account("a", "x", 1, 1, "", home, "", 0)
    assert accounts.home_file(account, ".ssh/k") == expected


def test_groups_and_uid_min(tmp_path):
    database = _database(tmp_path, ssh_samples.PASSWD, "", "staff:x:50:ann,bob\nann:x:1000:\nodd\nbad:x:q:ann\n")
    assert database.groups_of(database.by_name("ann")) == {"staff", "ann"}
    assert database.uid_min() == 1000
    ssh_samples.write(tmp_path, "/etc/login.defs", "#UID_MIN 1\nUID_MIN\t\t500\n")
    assert database.uid_min() == 500


def test_without_passwd_nothing_can_be_said(tmp_path):
    with pytest.raises(ResponseError):
        accounts.read_accounts(str(tmp_path))


def test_a_missing_shadow_is_told(tmp_path):
    ssh_samples.write(tmp_path, "/etc/passwd", "root:x:0:0:::\n")
    database = accounts.read_accounts(str(tmp_path))
    assert [path for path, reason in database.missing] == ["/etc/shadow", "/etc/group"]
