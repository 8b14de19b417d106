# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import authorized_keys
from ansible_collections.ecsops.intrusion_response.tests.unit.target.ssh_samples import FINGERPRINTS, REDIS_DUMP, key

KEY = key(1)


def _one(raw):
    line, = authorized_keys.parse(raw)
    return line


@pytest.mark.parametrize("name,raw,kind", [
    ("a key", KEY, "key"),
    ("with a line end", KEY + b"\n", "key"),
    ("of a DOS editor", KEY + b"\r\n", "key"),
    ("with a comment", KEY + b"  who and where", "key"),
    ("indented", b" \t" + KEY, "key"),
    ("with options", b'no-pty,from="10.0.0.0/8,!10.0.0.1" ' + KEY, "key"),
    ("blanks and an escaped quote in an option", b'command="echo \\"a b\\", c" ' + KEY, "key"),
    ("more blanks between", b"no-pty   " + KEY.replace(b" ", b"\t "), "key"),
    ("what follows a NUL is not seen", KEY + b"\0garbage", "key"),
    ("behind a NUL", b"\0" + KEY, "other"),
    ("empty", b"\n", "blank"),
    ("blanks", b" \t\r\n", "blank"),
    ("comment", b"  # " + KEY, "comment"),
    ("open quotes", b'command="x ' + KEY, "other"),
    ("two words before the key", b"a b " + KEY, "other"),
    ("glued to a word", b"x" + KEY, "other"),
    ("no key at all", b"hello world", "other"),
    ("protocol 1", b"1024 35 1234567890123456789 root@old", "other"),
    ("binary", b"\xfa\x09redis-ver", "other"),
    ("the type is another than the blob's", KEY.replace(b"ssh-ed25519", b"ssh-rsa", 1), "other"),
])
def test_lines_are_what_sshd_takes_them_for(name, raw, kind):
    line = _one(raw)
    assert line.kind == kind
    assert line.raw == raw
    if kind == "key":
        assert line.key.fingerprint == FINGERPRINTS[1]


@pytest.mark.parametrize("options,parsed,refused", [
    ("no-pty", [("no-pty", None)], False),
    ("NO-PTY,Restrict", [("no-pty", None), ("restrict", None)], False),
    ('command="a, b",cert-authority', [("command", "a, b"), ("cert-authority", None)], False),
    ('command="say \\"hi\\""', [("command", 'say "hi"')], False),
    ('from="1.2.3.4",environment="A=b"', [("from", "1.2.3.4"), ("environment", "A=b")], False),
    ("command=id", [("command", "id")], True),
    ("frobnicate", [("frobnicate", None)], True),
    ('frob="x"', [("frob", "x")], True),
    ("no-frob", [("no-frob", None)], True),
    ('command="a"b', [("command", "a")], True),
    (",no-pty,,", [("no-pty", None)], False),
])
def test_options(options, parsed, refused):
    line = _one(options.encode("ascii") + b" " + KEY)
    assert (line.options, bool(line.option_error)) == (parsed, refused)


# What a real sshd (OpenSSH 9.2) took and refused, line by line.
@pytest.mark.parametrize("options,lets_in", [
    ('principals="x" ', False), ('cert-authority,principals="x" ', True), ("touch-required ", True),
    ('tunnel="0" ', True),
    ('permitopen="a:1" ', True), ('command="" ', True), (",no-pty ", True), ("no-pty, ", True), ("a,,b ", False),
    ("", True), ("no-pty ", True), ("frobnicate ", False), ("command=id ", False),
    ('expiry-time="20300101" ', True), ('expiry-time="20200101" ', False), ('expiry-time="202501010000Z" ', False),
    ('expiry-time="20250102000000Z" ', True), ('expiry-time="someday" ', False), ('expiry-time="20251399" ', False),
])
def test_which_keys_let_somebody_in(options, lets_in):
    new_year_2025 = 1735689600 + 12 * 3600
    assert authorized_keys.lets_in(_one(options.encode("ascii") + KEY), now=new_year_2025) is lets_in


@pytest.mark.parametrize("content",
                         [b"", b"\n", KEY, KEY + b"\n", b"\r\n" + KEY + b"\n\n#x", REDIS_DUMP + b"\n" + KEY,
                          bytes(range(256)) * 9])
def test_no_byte_is_lost(content):
    lines = authorized_keys.parse(content)
    assert b"".join(line.raw for line in lines) == content
    assert [line.start for line in lines] == [sum(len(item.raw) for item in lines[:index])
                                              for index in range(len(lines))]


def _dumps(content):
    return authorized_keys.find_dumps(content, authorized_keys.parse(content))


def test_the_intruders_key_lies_in_the_dump_and_the_operators_behind_it():
    content = REDIS_DUMP + b"\n" + KEY + b" operator\n"
    keys = [line for line in authorized_keys.parse(content) if line.kind == "key"]
    found = [(line.key.fingerprint, authorized_keys.in_dump(line, _dumps(content))) for line in keys]
    assert found == [(FINGERPRINTS[7], True), (FINGERPRINTS[1], False)]


@pytest.mark.parametrize("content,count", [
    (b"# REDIS0009 was here\n" + KEY, 0),
    (KEY + b" REDIS0009\n", 0),
    (b'command="REDIS0009" ' + KEY, 0),
    (b"REDIS0009,x " + KEY, 1),
    (b"REDIS0009\n" + KEY, 1),
    (b"#\0 REDIS0009\n" + KEY, 1),
])
def test_a_magic_in_ordinary_text_is_no_dump(content, count):
    assert len(_dumps(content)) == count


def test_a_key_glued_to_the_dump_is_seen_but_is_no_key_line():
    content = REDIS_DUMP + KEY + b" operator\n"
    keys = [line.key.fingerprint for line in authorized_keys.parse(content) if line.kind == "key"]
    assert keys == [FINGERPRINTS[7]]
    embedded = [item.fingerprint for line in authorized_keys.parse(content) if line.kind == "other"
                for item in authorized_keys.embedded_keys(line)]
    assert embedded == [FINGERPRINTS[1]]


@pytest.mark.parametrize("entry", [
    KEY.decode("ascii"), KEY.decode("ascii") + " operator@desk", 'no-pty,command="a b" ' + KEY.decode("ascii"),
    FINGERPRINTS[1], FINGERPRINTS[1] + "=", "256 " + FINGERPRINTS[1] + " operator@desk (ED25519)",
    "  " + FINGERPRINTS[1] + "\n",
])
def test_ways_to_name_an_allowed_key(entry):
    assert authorized_keys.parse_allowed([entry]) == {FINGERPRINTS[1]}


def test_an_allow_list_may_be_a_files_lines():
    assert authorized_keys.parse_allowed(["# ours", "", KEY.decode("ascii")]) == {FINGERPRINTS[1]}
    assert authorized_keys.parse_allowed([]) == set()


@pytest.mark.parametrize("entry", ["operator@desk", "SHA256:abc", "/root/.ssh/id_ed25519.pub", "MD5:00:11"])
def test_an_allow_list_with_a_slip_is_refused(entry):
    with pytest.raises(ResponseError):
        authorized_keys.parse_allowed([KEY.decode("ascii"), entry])


def test_a_line_is_described_for_a_terminal_without_its_options_values():
    line = _one(b'no-pty,command="rm -rf /" ' + KEY + b" who\x1b[2J")
    assert authorized_keys.describe(line) == "command,no-pty %s (ED25519) who\\x1b[2J" % FINGERPRINTS[1]


@pytest.mark.parametrize("white", [b"\r", b"\x0b", b"\x0c"])
def test_white_space_amidst_the_base64_hides_no_key_from_us_as_it_hides_none_from_sshd(white):
    line = key(7, "intruder")
    found, = authorized_keys.parse(line[:30] + white + line[30:] + b"\n")
    assert (found.kind, found.key.fingerprint) == ("key", FINGERPRINTS[7])


def test_an_entry_of_several_lines_allows_all_of_them():
    lines = (key(1, "a") + b"\n# b\n" + key(7, "b") + b"\n").decode("ascii")
    assert authorized_keys.parse_allowed([lines]) == set(FINGERPRINTS.values())


def test_a_file_of_nothing_but_magics_is_no_burden():
    content = b"REDIS0009\n" * 20000
    lines = authorized_keys.parse(content)
    assert 0 < len(authorized_keys.find_dumps(content, lines)) < 100
