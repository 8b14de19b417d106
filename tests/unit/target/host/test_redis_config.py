# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import redis_config
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.redis_config import (
    AclUser,
    Edits,
    digest_of,
    mask_secrets,
    quote_argument,
    read_config,
    split_arguments,
)


@pytest.fixture
def root(tmp_path):
    """Return a function that writes files below a fake root and reads the first of them as configuration."""
    def make(files, **given):
        for path, content in files.items():
            target = tmp_path / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return read_config(next(iter(files)), host_root=str(tmp_path), **given)
    return make


# What sdssplitargs makes of a line, checked against Redis 7.0.
@pytest.mark.parametrize("line,words", [
    (b"", []),
    (b"   ", []),
    (b"a b  c", [b"a", b"b", b"c"]),
    (b"a\tb", [b"a", b"b"]),
    (b'requirepass "two words"', [b"requirepass", b"two words"]),
    (b"requirepass 'two words'", [b"requirepass", b"two words"]),
    (b'save ""', [b"save", b""]),
    (b'x "\\x41\\x0a\\n\\t\\"\\\\\\q"', [b"x", b'A\n\n\t"\\q']),
    (b'x "\\xZZ"', [b"x", b"xZZ"]),
    (b"x 'it\\'s \\n'", [b"x", b"it's \\n"]),
    (b"x \\n", [b"x", b"\\n"]),
    (b'mid"dle quoted"', [b"middle quoted"]),
    (b"x #not-a-comment", [b"x", b"#not-a-comment"]),
    (b"x \xff\xfe", [b"x", b"\xff\xfe"]),
])
def test_words_of_a_line(line, words):
    assert split_arguments(line) == words


@pytest.mark.parametrize("line", [b'x "open', b"x 'open", b'x "closed"more', b"x 'closed'more", b'x "\\'])
def test_lines_that_the_server_does_not_start_with(line):
    with pytest.raises(ValueError):
        split_arguments(line)


@pytest.mark.parametrize("word", [
    b"plain", b"", b"two words", b'quo"te', b"it's", b"back\\slash", b"\x00\xff\n\r\t", b"#hash", b"-::1", b"~*", b"&*",
    bytes(range(256)),
])
def test_what_is_quoted_reads_back(word):
    assert split_arguments(b"x " + quote_argument(word)) == [b"x", word]
    assert b"\n" not in quote_argument(word)


@pytest.mark.parametrize("content,name,value", [
    (b"bind 127.0.0.1\n", "bind", "127.0.0.1"),
    (b"BIND 127.0.0.1 ::1\r\n", "bind", "127.0.0.1 ::1"),
    (b"bind 127.0.0.1\nbind 0.0.0.0\n", "bind", "0.0.0.0"),
    (b"# bind 0.0.0.0\n", "bind", None),
    (b"  bind 10.0.0.1  ", "bind", "10.0.0.1"),
    (b"slaveof 10.0.0.1 6379\n", "replicaof", "10.0.0.1 6379"),
    (b"dir /a\ndir /b\n", "dir", "/b"),
])
def test_the_value_that_wins(root, content, name, value):
    assert root({"/r.conf": content}).value(name) == value


def test_includes_in_their_order_with_patterns_and_relative_paths(root):
    config = root({
        "/etc/redis.conf": b"bind 1.1.1.1\ninclude /etc/redis.d/*.conf\nport 1\ndir /data\ninclude sub.conf\n",
        "/etc/redis.d/b.conf": b"bind 2.2.2.2\n",
        "/etc/redis.d/a.conf": b"bind 3.3.3.3\nport 2\n",
        "/etc/redis.d/c.txt": b"bind 9.9.9.9\n",
        "/data/sub.conf": b"maxclients 7\n",
    })
    assert [item.args for item in config.all("bind")] == [[b"1.1.1.1"], [b"3.3.3.3"], [b"2.2.2.2"]]
    assert (config.value("bind"), config.value("port"), config.value("maxclients")) == ("2.2.2.2", "1", "7")
    assert config.problems == []


def test_arguments_of_the_command_line_win(root):
    config = root({"/r.conf": b"port 1\n"}, arguments=[("port", [b"2"])])
    assert config.value("port") == "2"


@pytest.mark.parametrize("files,problem", [
    ({"/r.conf": b"include /missing.conf\nport 1\n"}, "missing.conf does not exist"),
    ({"/r.conf": b'requirepass "open\n'}, "line 1: unbalanced quotes"),
    ({"/r.conf": b"aclfile /missing.acl\n"}, "missing.acl does not exist"),
    ({"/r.conf": b"include /loop.conf\nport 1\n", "/loop.conf": b"include /loop.conf\n"}, "do not end"),
])
def test_what_cannot_be_read_is_told(root, files, problem):
    config = root(files)
    assert problem in " ".join(config.problems)


def test_a_missing_file_raises(tmp_path):
    with pytest.raises(ResponseError):
        read_config("/r.conf", host_root=str(tmp_path))


def test_hostile_files_are_not_read(tmp_path):
    os.mkfifo(str(tmp_path / "pipe.conf"))
    with pytest.raises(ResponseError):
        read_config("/pipe.conf", host_root=str(tmp_path))
    assert redis_config.existing_path("/pipe.conf", str(tmp_path)) is None
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/real.conf").write_bytes(b"port 1\n")
    (tmp_path / "link.conf").symlink_to("etc/real.conf")
    assert redis_config.existing_path("/link.conf", str(tmp_path)) == "/etc/real.conf"


SECRET = digest_of(b"secret")


@pytest.mark.parametrize("rules,enabled,nopass,hashes", [
    ("", False, False, set()),
    ("on nopass", True, True, set()),
    ("on >secret", True, False, {SECRET}),
    ("ON NOPASS", True, True, set()),
    ("on nopass >secret", True, False, {SECRET}),
    ("on >secret nopass", True, True, set()),
    ("on >secret <secret", True, False, set()),
    ("on #%s" % SECRET, True, False, {SECRET}),
    ("on #%s !%s" % (SECRET, SECRET), True, False, set()),
    ("on >secret resetpass", True, False, set()),
    ("on nopass reset", False, False, set()),
    ("on >secret off", False, False, {SECRET}),
])
def test_what_acl_rules_amount_to(rules, enabled, nopass, hashes):
    user = AclUser(b"u", rules.encode().split())
    assert (user.enabled, user.nopass, user.hashes) == (enabled, nopass, hashes)


@pytest.mark.parametrize("rules,kept", [
    ("on nopass ~* &* +@all", "on ~* &* +@all"),
    ("on >old #%s ~x +get (~y +set)" % SECRET, "on ~x +get (~y +set)"),
])
def test_only_the_password_of_a_user_changes(rules, kept):
    changed = AclUser(b"u", rules.encode().split()).with_password(b"new")
    assert b" ".join(changed).decode() == "%s resetpass #%s" % (kept, digest_of(b"new"))
    assert AclUser(b"u", changed).hashes == {digest_of(b"new")}


# What the default user is after a start: requirepass counts only where nothing else says otherwise.
@pytest.mark.parametrize("files,nopass,enabled,plain", [
    ({"/r.conf": b"port 1\n"}, True, True, []),
    ({"/r.conf": b"requirepass secret\n"}, False, True, [b"secret"]),
    ({"/r.conf": b'requirepass ""\n'}, True, True, []),
    ({"/r.conf": b"requirepass secret\nuser default on nopass ~* +@all\n"}, True, True, []),
    ({"/r.conf": b"user default on >secret ~* +@all\n"}, False, True, [b"secret"]),
    ({"/r.conf": b"user default off\n"}, False, False, []),
    ({"/r.conf": b"requirepass secret\naclfile /u.acl\n", "/u.acl": b""}, True, True, []),
    ({"/r.conf": b"aclfile /u.acl\n", "/u.acl": b"user default on >secret ~* +@all\n"}, False, True, [b"secret"]),
    ({"/r.conf": b"dir /d\naclfile u.acl\n", "/d/u.acl": b"user default on >secret\n"}, False, True, [b"secret"]),
])
def test_the_default_user_after_a_start(root, files, nopass, enabled, plain):
    default = root(files).default_user()
    assert (default.nopass, default.enabled, default.plain) == (nopass, enabled, plain)


@pytest.mark.parametrize("before,name,args,after", [
    (b"port 1\nbind 0.0.0.0\n# end\n", "bind", [b"127.0.0.1", b"-::1"], b"port 1\nbind 127.0.0.1 -::1\n# end\n"),
    (b"  BIND   0.0.0.0\n", "bind", [b"::1"], b"  BIND ::1\n"),
    (b"port 1\r\nbind x\r\n", "bind", [b"y"], b"port 1\r\nbind y\r\n"),
    (b"port 1\n", "requirepass", [b"a b"], b'port 1\nrequirepass "a b"\n'),
    (b"port 1", "requirepass", [b"x"], b"port 1\nrequirepass x\n"),
    (b"# requirepass foobared\n", "requirepass", [b"x"], b"# requirepass foobared\nrequirepass x\n"),
    (b"bind 1.1.1.1\nbind 2.2.2.2\n", "bind", [b"::1"], b"bind 1.1.1.1\nbind ::1\n"),
    (b"slave-read-only no\n", "replica-read-only", [b"yes"], b"slave-read-only yes\n"),
    (b"comment \xff\nbind x\n", "bind", [b"y"], b"comment \xff\nbind y\n"),
    (b"bind y\n", "bind", [b"y"], None),
])
def test_one_directive_changes_and_all_other_bytes_stay(root, before, name, args, after):
    edits = Edits(root({"/r.conf": before}))
    edits.set(name, args)
    assert edits.result() == ({} if after is None else {"/r.conf": (after, [name])})


def test_a_setting_of_an_included_file_is_outvoted_at_the_end(root):
    files = {"/r.conf": b"bind 1.1.1.1\ninclude /i.conf\n", "/i.conf": b"bind 0.0.0.0\n"}
    edits = Edits(root(files))
    edits.set("bind", [b"::1"])
    assert edits.result() == {"/r.conf": (b"bind 1.1.1.1\ninclude /i.conf\nbind ::1\n", ["bind"])}


def test_commenting_out_reaches_every_file(root):
    edits = Edits(root({"/r.conf": b"slaveof a 1\ninclude /i.conf\n", "/i.conf": b"replicaof b 2\n"}))
    edits.comment_out("replicaof")
    assert edits.result() == {"/r.conf": (b"# slaveof a 1\ninclude /i.conf\n", ["replicaof"]),
                              "/i.conf": (b"# replicaof b 2\n", ["replicaof"])}


@pytest.mark.parametrize("line,shown", [
    (b"requirepass secret", b"requirepass ********"),
    (b"  requirepass secret", b"  requirepass ********"),
    (b"# requirepass foobared", b"# requirepass ********"),
    (b'masterauth "a b"', b"masterauth ********"),
    (b"user bob on >secret ~* #%s +@all" % SECRET.encode(), b"user bob on >******** ~* #******** +@all"),
    (b'user bob on ">a b" ~*', b"user bob on >******** ~*"),
    (b'user bob on ">a b', b"user ********"),
    (b"bind 127.0.0.1", b"bind 127.0.0.1"),
])
def test_secrets_are_masked(line, shown):
    assert mask_secrets(b"port 1\n" + line + b"\n") == b"port 1\n" + shown + b"\n"


def test_renamed_commands(root):
    config = root({"/r.conf": b'rename-command config ""\nrename-command FLUSHALL other\n'})
    assert config.renamed == {"CONFIG": "", "FLUSHALL": "other"}
