# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""redis.conf as the server reads it when it starts, and edits of it that keep every other byte.

Follows the server's own reader: ``loadServerConfigFromString`` (config.c), ``sdssplitargs`` (sds.c) and
``ACLSetUser`` (acl.c) of Redis 3 to 7.2. Tokens are bytes: a password need not be UTF-8.
"""

import glob
import hashlib
import os
import posixpath
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.rooted_paths import resolve

# One name for what older releases call differently.
ALIASES = {"slaveof": "replicaof", "slave-read-only": "replica-read-only"}
# Directives whose arguments are secrets; of `user` lines only some words are.
SECRET_DIRECTIVES = ("requirepass", "masterauth", "tls-key-file-pass", "tls-client-key-file-pass")
MASK = b"********"

MAX_INCLUDE_DEPTH = 16  # far beyond sane use; the server itself would run into its limit of open files
MAX_FILES = 256

_ESCAPES = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_BARE = re.compile(br"[!#-&(-\[\]-~]+\Z")  # printable ASCII but space, quotes and backslash
_PASSWORD_RULE = re.compile(br"nopass\Z|resetpass\Z|[><#!]", re.IGNORECASE)


def split_arguments(line):
    """Return the words of a line (bytes) as ``sdssplitargs`` does.

    :raises ValueError: quotes are not balanced, on which the server refuses to start.
    """
    words = []
    at = 0
    end = len(line)
    while True:
        while at < end and line[at:at + 1].isspace():
            at += 1
        if at >= end:
            return words
        word, at = _word(line, at)
        words.append(word)


def _word(line, at):
    word = bytearray()
    end = len(line)
    while at < end and not line[at:at + 1].isspace():
        quote = line[at]
        if quote not in b"\"'":
            word.append(quote)
            at += 1
            continue
        at += 1
        while True:
            if at >= end:
                raise ValueError("unbalanced quotes")
            byte = line[at]
            if byte == quote:
                at += 1
                break
            if byte == 0x5C and quote == 0x22 and at + 1 < end:
                digits = line[at + 2:at + 4]
                if line[at + 1] == 0x78 and re.match(br"[0-9a-fA-F]{2}\Z", digits):
                    word.append(int(digits, 16))
                    at += 4
                    continue
                word.append(_ESCAPES.get(line[at + 1], line[at + 1]))
                at += 2
                continue
            if byte == 0x5C and quote == 0x27 and line[at + 1:at + 2] == b"'":
                word.append(0x27)
                at += 2
                continue
            word.append(byte)
            at += 1
        if at < end and not line[at:at + 1].isspace():
            raise ValueError("a closing quote must be followed by a space")
    return bytes(word), at


def quote_argument(word):
    """Return ``word`` (bytes) so that :func:`split_arguments` reads it back as one and the same word."""
    if _BARE.match(word):
        return word
    quoted = bytearray(b'"')
    for byte in word:
        if byte in b'"\\':
            quoted += b"\\" + bytes((byte,))
        elif 0x20 <= byte < 0x7F:
            quoted.append(byte)
        else:
            quoted += b"\\x%02x" % byte
    return bytes(quoted + b'"')


class Directive:
    """One directive: canonical ``name`` (lower case), ``args`` (bytes), ``path`` of its file, index of its ``line``."""

    def __init__(self, name, args, path, line):
        self.name = ALIASES.get(name, name)
        self.args = list(args)
        self.path = path
        self.line = line


class AclUser:
    """One ACL user as its rules leave it: ``name`` (bytes), ``enabled``, ``nopass``, ``hashes`` (set of hex str),
    ``plain`` (passwords given in the clear, bytes), ``rules`` (the words, bytes)."""

    def __init__(self, name, rules, enabled=False, nopass=False):
        self.name = name
        self.rules = list(rules)
        self.enabled = enabled
        self.nopass = nopass
        self.hashes = set()
        self.plain = []
        for rule in self.rules:
            self._apply(rule)

    def _apply(self, rule):
        word = rule.lower()
        if word == b"on":
            self.enabled = True
        elif word in (b"off", b"reset"):
            self.enabled = False
        if word == b"nopass":
            self.nopass = True
        if word in (b"nopass", b"resetpass", b"reset"):
            self.nopass = word == b"nopass"
            self.hashes.clear()
            del self.plain[:]
        elif rule[:1] == b">":
            self.nopass = False
            self.plain.append(rule[1:])
            self.hashes.add(digest_of(rule[1:]))
        elif rule[:1] == b"<":
            self.hashes.discard(digest_of(rule[1:]))
            self.plain = [known for known in self.plain if known != rule[1:]]
        elif rule[:1] == b"#":
            self.nopass = False
            self.hashes.add(text(rule[1:]).lower())
        elif rule[:1] == b"!":
            self.hashes.discard(text(rule[1:]).lower())

    def with_password(self, password):
        """Return the rules that leave everything as it is but let only ``password`` (bytes) in."""
        kept = [rule for rule in self.rules if not _PASSWORD_RULE.match(rule)]
        return kept + [b"resetpass", b"#" + digest_of(password).encode("ascii")]


def digest_of(password):
    """Return what an ACL stores for a password (bytes): SHA-256, hexadecimal."""
    return hashlib.sha256(password).hexdigest()


def parse_user(words):
    """Return the :class:`AclUser` of the words of a ``user`` line without the word ``user``, or ``None``."""
    return AclUser(words[0], words[1:]) if words else None


class RedisConfig:
    """A configuration file with all that it includes.

    ``path``; ``directives`` in the order in which the server applies them; ``files`` (path to bytes);
    ``problems``: sentences about what could not be read; ``acl_path`` and ``acl_lines`` of an ACL file.
    """

    def __init__(self, path):
        self.path = path
        self.directives = []
        self.files = {}
        self.problems = []
        self.acl_path = None

    def last(self, name):
        """Return the directive that wins, or ``None``: the server lets the last one win."""
        found = [item for item in self.directives if item.name == name]
        return found[-1] if found else None

    def all(self, name):
        """Return all directives of that name in order."""
        return [item for item in self.directives if item.name == name]

    def value(self, name, default=None):
        """Return the effective arguments joined by spaces as str (see ``finding.text``), or ``default``."""
        directive = self.last(name)
        return default if directive is None else text(b" ".join(directive.args))

    def secret(self, name):
        """Return the first argument of the effective directive as bytes; ``None`` when absent or empty."""
        directive = self.last(name)
        return directive.args[0] if directive is not None and directive.args and directive.args[0] else None

    @property
    def renamed(self):
        """Return ``{"CONFIG": "new name", ...}``; a command that is switched off has the name ``""``."""
        return {text(item.args[0]).upper(): text(item.args[1])
                for item in self.all("rename-command") if len(item.args) == 2}

    def acl_lines(self):
        """Return the ACL file's users as Directives (its lines have the shape of ``user`` directives)."""
        if self.acl_path is None:
            return []
        return [item for item in _lines_of(self.files[self.acl_path], self.acl_path, self.problems)
                if item.name == "user"]

    def users(self):
        """Return ``[(Directive, AclUser)]`` as they are at start: of the ACL file, else of the configuration."""
        lines = self.acl_lines() if self.acl_path is not None else self.all("user")
        return [(item, parse_user(item.args)) for item in lines if item.args]

    def default_user(self):
        """Return the default user (:class:`AclUser`) as it will be after a start with these files.

        ``requirepass`` counts only where neither an ACL file nor a ``user default`` line says otherwise:
        with an ACL file that does not name it, the default user is open whatever ``requirepass`` says.
        """
        for _directive, user in self.users():
            if user.name == b"default":
                return user
        password = None if self.acl_path is not None else self.secret("requirepass")
        rules = [b"on", b"~*", b"+@all", b">" + password if password else b"nopass"]
        return AclUser(b"default", rules)


def read_config(path, working_directory="/", arguments=(), host_root="/"):
    """Read a configuration file, its includes and its ACL file.

    :param path: of the file, on the host. :param working_directory: against which a relative include is
        resolved until a ``dir`` directive changes it, as the server does.
    :param arguments: ``[(directive, [bytes])]`` of the command line, which come last and so win.
    :returns: :class:`RedisConfig`. :raises ResponseError: the file itself cannot be read.
    """
    config = RedisConfig(path)
    _read_into(config, path, [working_directory], host_root, 0)
    for name, args in arguments:
        config.directives.append(Directive(name, args, None, None))
    acl = config.secret("aclfile")
    if acl is not None:
        directory = config.secret("dir") or working_directory
        acl_path = posixpath.normpath(posixpath.join(safe_files.path_text(directory), safe_files.path_text(acl)))
        try:
            config.files[acl_path] = _content(acl_path, host_root)
            config.acl_path = acl_path
        except (OSError, ResponseError) as error:
            config.problems.append("The ACL file cannot be read: %s" % text(error))
    return config


def _read_into(config, path, directory, host_root, depth):
    if depth > MAX_INCLUDE_DEPTH or len(config.files) >= MAX_FILES:
        raise ResponseError("The includes of %s do not end." % text(config.path))
    content = _content(path, host_root)
    config.files[path] = content
    for item in _lines_of(content, path, config.problems):
        if item.name == "include" and item.args:
            for included in _included(config, item, directory[0], host_root):
                try:
                    _read_into(config, included, directory, host_root, depth + 1)
                except (OSError, ResponseError) as error:
                    config.problems.append("An included file cannot be read: %s" % text(error))
            continue
        if item.name == "dir" and item.args:
            # The server changes into it at once, so that later relative paths start there.
            directory[0] = posixpath.join(directory[0], safe_files.path_text(item.args[0]))
        config.directives.append(item)


def _included(config, item, directory, host_root):
    pattern = posixpath.normpath(posixpath.join(directory, safe_files.path_text(item.args[0])))
    if not glob.has_magic(pattern):
        return [pattern]
    # glob(3) sorts by name (Redis 7.0 and later; older ones take the pattern for a name and do not start).
    prefix = "" if host_root == "/" else host_root.rstrip("/")
    return [found[len(prefix):] for found in sorted(glob.glob(glob.escape(prefix) + pattern))]


def _content(path, host_root):
    return safe_files.read_bytes(resolve(posixpath.normpath(path), host_root, follow_final=True), host_root=host_root)


def _lines_of(content, path, problems):
    for number, line in enumerate(content.split(b"\n")):
        line = line.strip(b" \t\r\n")
        if not line or line.startswith(b"#"):
            continue
        try:
            words = split_arguments(line)
        except ValueError as error:
            problems.append("%s, line %d: %s: the server will not start with it." % (text(path), number + 1, error))
            continue
        if words:
            yield Directive(text(words[0]).lower(), words[1:], path, number)


class Edits:
    """Changes to the files of a :class:`RedisConfig`; everything not named keeps its bytes."""

    def __init__(self, config):
        self._config = config
        self._lines = {path: content.split(b"\n") for path, content in config.files.items()}
        self._touched = []

    def set(self, name, args):
        """Make ``name`` have ``args`` (bytes) after the next start.

        The line that wins is changed in place when it stands in the main file; one that stands in an
        included file is left (other instances may share that file) and outvoted at the main file's end.
        """
        directive = self._config.last(name)
        if directive is not None and directive.path == self._config.path:
            self.replace(directive, args)
        else:
            self.append(self._config.path, name, args)

    def replace(self, directive, args):
        """Give the directive's own line other arguments, keeping its name as it is written."""
        lines = self._lines[directive.path]
        old = lines[directive.line]
        ending = b"\r" if old.endswith(b"\r") else b""
        written = re.match(br"\s*\S+", old).group()
        lines[directive.line] = b" ".join([written] + [quote_argument(arg) for arg in args]) + ending
        self._touched.append((directive.name, directive.path))

    def append(self, path, name, args):
        """Add a line at the end of a file."""
        lines = self._lines[path]
        line = b" ".join([name.encode("ascii")] + [quote_argument(arg) for arg in args])
        if lines[-1] == b"":
            lines[-1:] = [line, b""]
        else:
            lines += [line, b""]
        self._touched.append((name, path))

    def comment_out(self, name):
        """Turn every line of that name, in every file, into a comment."""
        for directive in self._config.all(name):
            if directive.path is not None:
                lines = self._lines[directive.path]
                lines[directive.line] = b"# " + lines[directive.line]
                self._touched.append((name, directive.path))

    def result(self):
        """Return ``{path: (new content, [names of the directives changed])}`` of the files that change."""
        changed = {}
        for path, lines in self._lines.items():
            content = b"\n".join(lines)
            if content != self._config.files[path]:
                changed[path] = (content, list(dict.fromkeys(name for name, where in self._touched if where == path)))
        return changed


def mask_secrets(content):
    """Return a configuration or ACL file (bytes) with passwords and their hashes masked, for a diff."""
    lines = []
    for line in content.split(b"\n"):
        bare = line.lstrip(b" \t#")
        name = text(bare.split(None, 1)[0]).lower() if bare.split() else ""
        if name in SECRET_DIRECTIVES:
            line = line[:len(line) - len(bare)] + name.encode("ascii", "replace") + b" " + MASK
        elif name == "user":
            line = _mask_user(line)
        lines.append(line)
    return b"\n".join(lines)


def _mask_user(line):
    try:
        words = split_arguments(line)
    except ValueError:
        return b"user " + MASK
    return b" ".join(word[:1] + MASK if re.match(br"[><#!].", word) else word for word in words)


def existing_path(path, host_root="/"):
    """Return ``path`` when a regular file can be reached there (through links too), else ``None``."""
    try:
        real = resolve(posixpath.normpath(path), host_root, follow_final=True)
        found = safe_files.lstat(real, host_root)
    except (OSError, ResponseError):
        return None
    return real if found is not None and os.path.isfile(safe_files.host_path(real, host_root)) else None
