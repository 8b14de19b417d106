# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from collections import namedtuple

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import sshd_config
from ansible_collections.ecsops.intrusion_response.tests.unit.target import ssh_samples

Someone = namedtuple("Someone", "name uid home")
ANN = Someone("ann", 1000, "/home/ann")
DEFAULT = ["/home/ann/.ssh/authorized_keys", "/home/ann/.ssh/authorized_keys2"]


def _config(root, content, **files):
    ssh_samples.write(root, "/etc/ssh/sshd_config", content)
    for name, text in files.items():
        ssh_samples.write(root, "/etc/ssh/sshd_config.d/%s.conf" % name, text)
    return sshd_config.load(str(root))


@pytest.mark.parametrize("line,words", [
    ("AuthorizedKeysFile .ssh/a  .ssh/b", ["AuthorizedKeysFile", ".ssh/a", ".ssh/b"]),
    ("  AuthorizedKeysFile=.ssh/a", ["AuthorizedKeysFile", ".ssh/a"]),
    ("AuthorizedKeysFile = .ssh/a\t# comment", ["AuthorizedKeysFile", ".ssh/a"]),
    ('AuthorizedKeysFile "/a b/%u" \'/c d\'', ["AuthorizedKeysFile", "/a b/%u", "/c d"]),
    ("Banner /etc/a=b", ["Banner", "/etc/a=b"]),
    ("a b\\ c \"d\\\"e\"", ["a", "b c", 'd"e']),
    ("Include a#b", ["Include", "a#b"]),
    ("# Match all", []),
    ("\r\f ", []),
])
def test_words_of_a_line(line, words):
    assert sshd_config.split_words(line) == words


@pytest.mark.parametrize("name,content,expected", [
    ("nothing said", "Port 22\n", DEFAULT),
    ("empty file", "", DEFAULT),
    ("one relative", "AuthorizedKeysFile keys\n", ["/home/ann/keys"]),
    ("several, with tokens", "authorizedkeysfile /k/%u /k/%U %h/x /k/100%%\n",
     ["/k/ann", "/k/1000", "/home/ann/x", "/k/100%"]),
    ("none", "AuthorizedKeysFile none\n", []),
    ("an unknown token", "AuthorizedKeysFile /k/%q .ssh/a\n", ["/home/ann/.ssh/a"]),
    ("the first counts", "AuthorizedKeysFile a\nAuthorizedKeysFile b\n", ["/home/ann/a"]),
    ("a matching block overrides", "AuthorizedKeysFile a\nMatch User ann\n AuthorizedKeysFile b\n", ["/home/ann/b"]),
    ("a block for another", "AuthorizedKeysFile a\nMatch User bob\n AuthorizedKeysFile b\n", ["/home/ann/a"]),
    ("a block for another, nothing outside", "Match User bob\n AuthorizedKeysFile b\n", DEFAULT),
    ("patterns", "Match User bob,a?n\n AuthorizedKeysFile b\n", ["/home/ann/b"]),
    ("a negated pattern", "Match User *,!ann\n AuthorizedKeysFile b\n", DEFAULT),
    ("by group", "Match Group staff\n AuthorizedKeysFile b\n", ["/home/ann/b"]),
    ("two criteria, both hold", "Match User ann Group staff\n AuthorizedKeysFile b\n", ["/home/ann/b"]),
    ("two criteria, one fails", "Match User ann Group wheel\n AuthorizedKeysFile b\n", DEFAULT),
    ("first of two blocks", "Match User ann\n AuthorizedKeysFile b\nMatch all\n AuthorizedKeysFile c\n",
     ["/home/ann/b"]),
    ("Match all", "AuthorizedKeysFile a\nMatch all\n AuthorizedKeysFile c\n", ["/home/ann/c"]),
    ("by address: it may be", "AuthorizedKeysFile a\nMatch Address 10.0.0.0/8\n AuthorizedKeysFile b\n",
     ["/home/ann/b", "/home/ann/a"]),
    ("by address, nothing outside", "Match Address 10.0.0.0/8\n AuthorizedKeysFile b\n", ["/home/ann/b"] + DEFAULT),
    ("address of another user", "Match User bob Address *\n AuthorizedKeysFile b\n", DEFAULT),
    ("never for a real account", "Match Invalid-User\n AuthorizedKeysFile b\n", DEFAULT),
    ("a criterion of the future", "Match Moon full\n AuthorizedKeysFile b\n", ["/home/ann/b"] + DEFAULT),
    ("a Match that sshd refuses", "AuthorizedKeysFile a\nMatch\n AuthorizedKeysFile b\n",
     ["/home/ann/b", "/home/ann/a"]),
    ("written with =", "Match user=ann\n AuthorizedKeysFile b\n", ["/home/ann/b"]),
    ("none for one user", "Match User ann\n AuthorizedKeysFile none\n", []),
])
def test_where_an_accounts_keys_may_lie(tmp_path, name, content, expected):
    assert _config(tmp_path, content).key_files(ANN, {"ann", "staff"}) == expected


def test_includes_stand_where_they_are_written(tmp_path):
    config = _config(tmp_path, "Include sshd_config.d/*.conf\nAuthorizedKeysFile main\n", b="AuthorizedKeysFile b\n",
                     a="Port 1\n")
    assert config.key_files(ANN, set()) == ["/home/ann/b"]


def test_a_match_ends_with_its_included_file(tmp_path):
    config = _config(tmp_path, "Include /etc/ssh/sshd_config.d/a.conf\nAuthorizedKeysFile main\n",
                     a="Match User bob\nAuthorizedKeysFile b\n")
    assert config.key_files(ANN, set()) == ["/home/ann/main"]
    assert config.key_files(Someone("bob", 1, "/b"), set()) == ["/b/b"]


def test_an_include_within_a_match_counts_only_there(tmp_path):
    config = _config(tmp_path, "Match User bob\nInclude sshd_config.d/*.conf\n",
                     a="AuthorizedKeysFile b\nMatch User ann\nAuthorizedKeysFile never\n")
    assert config.key_files(ANN, set()) == DEFAULT


def test_an_include_of_itself_ends(tmp_path):
    config = _config(tmp_path, "Include sshd_config\nAuthorizedKeysFile a\n")
    assert config.key_files(ANN, set()) == ["/home/ann/a"]
    assert config.unread


def test_what_is_missing_is_not_unread_but_what_cannot_be_read_is(tmp_path):
    assert _config(tmp_path, "Include gone.conf none.d/*.conf\n").unread == []
    (tmp_path / "etc/ssh/odd.conf").mkdir()
    config = _config(tmp_path, "Include odd.conf\n")
    assert [path for path, reason in config.unread] == ["/etc/ssh/odd.conf"]


def test_a_link_of_roots_own_is_followed_and_nobody_elses(tmp_path, monkeypatch):
    ssh_samples.write(tmp_path, "/usr/share/policy", "AuthorizedKeysFile policy\n")
    (tmp_path / "etc/ssh/sshd_config.d").mkdir(parents=True)
    (tmp_path / "etc/ssh/sshd_config.d/p.conf").symlink_to("/usr/share/policy")
    config = _config(tmp_path, "Include sshd_config.d/*\n")
    if tmp_path.stat().st_uid == 0:
        assert config.key_files(ANN, set()) == ["/home/ann/policy"]
    (tmp_path / "etc/ssh/sshd_config.d").chmod(0o777)
    config = _config(tmp_path, "Include sshd_config.d/*\n")
    assert config.key_files(ANN, set()) == DEFAULT
    assert config.unread


def test_the_vendors_file_counts_only_alone(tmp_path):
    ssh_samples.write(tmp_path, "/usr/etc/ssh/sshd_config", "AuthorizedKeysFile vendor\n")
    assert sshd_config.load(str(tmp_path)).key_files(ANN, set()) == ["/home/ann/vendor"]
    assert _config(tmp_path, "Port 1\n").key_files(ANN, set()) == DEFAULT


def test_settings_for_whomever(tmp_path):
    config = _config(tmp_path, "AuthorizedKeysCommand none\nMatch User bob\nAuthorizedKeysCommand /usr/bin/keys %u\n")
    setting, = config.anywhere("authorizedKeysCommand")
    assert (setting.values, setting.line, setting.conditions) == (["/usr/bin/keys", "%u"], 3, [("user", "bob")])


@pytest.mark.parametrize("command,expected", [
    (b"/usr/sbin/sshd\0-D\0", (None, ())),
    (b"/usr/sbin/sshd\0-f\0/tmp/c\0-p\x002222\0", ("/tmp/c", ())),
    (b"/usr/sbin/sshd\0-Df/tmp/c\0", ("/tmp/c", ())),
    (b"sshd: /tmp/x/sshd -f /tmp/c -oPort=2 -o AuthorizedKeysFile=/k [listener] 0 of 10-100 startups\0\0\0",
     ("/tmp/c", ("Port=2", "AuthorizedKeysFile=/k"))),
    (b"sshd: root@notty\0", (None, ())),
    (b"sshd: ann [priv]\0", (None, ())),
    (b"", (None, ())),
    (b"/usr/sbin/sshd\0-f", (None, ())),
])
def test_command_lines(command, expected):
    path, overrides = sshd_config.parse_command_line(command)
    assert (path or None, overrides) == expected


def test_a_second_sshd_with_a_configuration_of_its_own(tmp_path):
    proc = tmp_path / "proc"
    root = tmp_path / "root"
    ssh_samples.write(root, "/tmp/.x/c", "AuthorizedKeysFile /tmp/.x/keys\n")
    _config(root, "AuthorizedKeysFile main\n")
    ssh_samples.process(proc, 10, 1, "/usr/sbin/sshd", cmdline=["/usr/sbin/sshd", "-D"], root_link=str(root))
    ssh_samples.process(proc, 11, 1, "/tmp/.x/sshd (deleted)", cmdline=["sshd", "-f", "/tmp/.x/c"], root_link=str(root))
    ssh_samples.process(proc, 12, 1, "/usr/sbin/sshd", cmdline=["sshd", "-oAuthorizedKeysFile=/k/%u"],
                        root_link=str(root))
    ssh_samples.process(proc, 13, 1, "/usr/sbin/sshd", cmdline=["sshd", "-f", "rel"], root_link=str(root))
    ssh_samples.process(proc, 14, 1, "/usr/sbin/sshd", cmdline=["sshd", "-f", "/in/a/container"],
                        root_link=str(tmp_path))
    ssh_samples.process(proc, 15, 1, "/usr/bin/vi", cmdline=["vi", "-f", "/etc/passwd"], root_link=str(root))
    (proc / "meminfo").write_text("")
    found = sshd_config.load_running(str(root), str(proc))
    assert [config.key_files(ANN, set()) for config in found] == [["/tmp/.x/keys"], ["/k/ann"], DEFAULT]
    assert found[2].unread
