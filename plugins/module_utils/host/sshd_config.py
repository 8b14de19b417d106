# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What sshd's configuration says for an account, by reading its files (sshd_config(5)); sshd is never run.

Semantics follow OpenSSH's servconf.c: outside of Match the first value of a keyword counts; values of
matching Match blocks, the first again, override it; an Include stands where it is written and the
Match blocks of an included file end with it. What depends on the connection (Address, LocalPort …) cannot
be known for future logins: such a block *may* apply, and then all possible values are returned.
"""

import glob
import os
import re
import stat
from collections import namedtuple

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files

MAIN = "/etc/ssh/sshd_config"
# openSUSE and others ship the vendor's file there; it counts only where the administrator's is absent.
VENDOR = "/usr/etc/ssh/sshd_config"

DEFAULT_KEY_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")

_MAX_DEPTH = 16  # SERVCONF_MAX_DEPTH
_MAX_FILES = 512
_LIMIT = 1024 * 1024

Setting = namedtuple("Setting", "keyword values path line conditions")
Setting.__doc__ = """One line: ``keyword`` in lower case, ``values`` list of str, where it stands, and ``conditions``:
the criteria of all Match lines above it that must hold, a list of ``(criterion in lower case, argument)``."""


class SshdConfig:
    """The settings of one sshd.

    ``settings``: list of :class:`Setting` in the order in which sshd sees them. ``unread``: list of
    ``(path, reason)``: what could not be read, so that nothing may be said to be absent.
    """

    def __init__(self, path=MAIN, host_root="/", overrides=()):
        """Read ``path`` and what it includes.

        :param overrides: ``-o`` arguments of a running sshd ("Keyword=value"), which come first.
        """
        self.path = path
        self.host_root = host_root
        self.settings = []
        self.unread = []
        self._files = 0
        for line in overrides:
            self._take(line, "command line", 0, [])
        self._read(path, [], 0)

    def possible_values(self, keyword, account, groups):
        """Return the list of values that ``keyword`` may have for an account: lists of str, the likeliest last.

        :param account: an object with ``name``. :param groups: names of the groups it is in.
        An empty list means: never set, so sshd's default counts. ``None`` in the list means the default may count.
        """
        keyword = keyword.lower()
        possible = []
        for setting in self.settings:
            if setting.keyword != keyword or not setting.conditions:
                continue
            applies = _all(_holds(condition, account, groups) for condition in setting.conditions)
            if applies is not False:
                possible.append(setting.values)
            if applies:
                return possible
        for setting in self.settings:
            if setting.keyword == keyword and not setting.conditions:
                return possible + [setting.values]
        return possible + [None] if possible else []

    def anywhere(self, keyword):
        """Return all settings of ``keyword`` whose value is not ``none``, whomever they are for."""
        return [setting for setting in self.settings
                if setting.keyword == keyword.lower() and setting.values and setting.values[0].lower() != "none"]

    def key_files(self, account, groups):
        """Return the host paths where sshd may look for the account's keys (AuthorizedKeysFile), a list of str.

        :param account: ``name``, ``uid`` and ``home``. Relative patterns are below the home.
        """
        paths = []
        for values in self.possible_values("AuthorizedKeysFile", account, groups) or [None]:
            for pattern in values or DEFAULT_KEY_FILES:
                if pattern.lower() == "none" and values and len(values) == 1:
                    continue
                path = expand(pattern, account)
                if path is not None and path not in paths:
                    paths.append(path)
        return paths

    def _read(self, path, conditions, depth):
        self._files += 1
        if depth > _MAX_DEPTH or self._files > _MAX_FILES:
            self.unread.append((path, "too many nested Include lines"))
            return
        try:
            content = safe_files.read_bytes(_follow(path, self.host_root), limit=_LIMIT, host_root=self.host_root)
        except safe_files.FileMissing:
            # No sshd here, or one that runs on its defaults.
            return
        except ResponseError as error:
            self.unread.append((path, str(error)))
            return
        inherited = list(conditions)
        active = list(inherited)
        for number, raw in enumerate(content.split(b"\n"), 1):
            # A Match line holds until the next one or the end of the file, below what the Include stood under.
            active = self._take(safe_files.path_text(raw), path, number, active, inherited, depth)

    def _take(self, line, path, number, active, inherited=(), depth=0):
        words = split_words(line)
        if not words:
            return active
        keyword, values = words[0].lower(), words[1:]
        if keyword == "match":
            return list(inherited) + _criteria(values)
        if keyword == "include":
            for pattern in values:
                for found in self._expand_include(pattern):
                    self._read(found, active, depth + 1)
            return active
        self.settings.append(Setting(keyword, values, path, number, list(active)))
        return active

    def _expand_include(self, pattern):
        if pattern.startswith("~"):
            self.unread.append((pattern, "sshd_config takes no '~' in Include"))
            return []
        if not pattern.startswith("/"):
            pattern = "/etc/ssh/" + pattern
        if not re.search(r"[*?\[]", pattern):
            # glob(3) without a match is no error to sshd, and neither is a missing file.
            return [pattern] if safe_files.lstat(pattern, self.host_root) is not None else []
        # As bytes: Python 3.6 in the C locale cannot list other names.
        prefix = safe_files.path_bytes(self.host_root.rstrip("/"))
        found = glob.glob(glob.escape(prefix) + safe_files.path_bytes(pattern))
        return sorted(safe_files.path_text(path[len(prefix):]) for path in found)


def _follow(path, host_root):
    """Return where a configuration file's final link leads, followed only where root alone could have placed it.

    Red Hat's crypto policies are such a link. Directories on the way are safe_files' affair.
    """
    for _unused in range(8):
        try:
            directory, name, real = safe_files.open_parent(path, host_root)
        except ResponseError:
            return path
        try:
            found = safe_files.lstat_at(directory, name)
            holder = os.fstat(directory)
            if found is None or not stat.S_ISLNK(found.st_mode):
                return path
            if found.st_uid != 0 or holder.st_uid != 0 or holder.st_mode & 0o022:
                return path
            target = safe_files.path_text(os.readlink(name, dir_fd=directory))
        finally:
            os.close(directory)
        path = os.path.normpath(os.path.join(os.path.dirname(safe_files.path_text(real)), target))
    return path


def load(host_root="/"):
    """Return the :class:`SshdConfig` of the host's own sshd_config, the vendor's where there is none of its own."""
    if safe_files.lstat(MAIN, host_root) is None and safe_files.lstat(VENDOR, host_root) is not None:
        return SshdConfig(VENDOR, host_root)
    return SshdConfig(MAIN, host_root)


def load_running(host_root="/", proc_root="/proc"):
    """Return a list of :class:`SshdConfig` of sshd processes started with a configuration or options of their own.

    An intruder's second sshd (``sshd -f /tmp/x -p 2222``) reads its keys from where its own configuration says.
    """
    configs = []
    seen = set()
    our_root = os.stat(host_root)
    for name in sorted(os.listdir(proc_root)):
        if not name.isdigit():
            continue
        try:
            executable = os.readlink(os.path.join(proc_root, name, "exe"))
            if not os.path.basename(executable.replace(" (deleted)", "")).startswith("sshd"):
                continue
            root = os.stat(os.path.join(proc_root, name, "root"))
            if (root.st_dev, root.st_ino) != (our_root.st_dev, our_root.st_ino):
                # A container's: its paths are not the host's.
                continue
            with open(os.path.join(proc_root, name, "cmdline"), "rb") as stream:
                command = stream.read(65536)
        except OSError:
            # It has ended meanwhile, or is a kernel thread.
            continue
        path, overrides = parse_command_line(command)
        if (path is None and not overrides) or (path, overrides) in seen:
            continue
        seen.add((path, overrides))
        configs.append(SshdConfig(path or MAIN, host_root, overrides))
        if path and not path.startswith("/"):
            configs[-1].unread = [("%s (of sshd, pid %s)" % (path, name), "its path is relative")]
    return configs


def parse_command_line(command):
    """Return ``(path of -f or None, tuple of -o arguments)`` of a sshd's cmdline bytes.

    The listener rewrites its title to ``sshd: /usr/sbin/sshd -D -f x [listener] …`` with blanks for NULs.
    """
    line = safe_files.path_text(command.rstrip(b"\0"))
    words = line.split("\0") if "\0" in line else line.split()
    if "[listener]" in words:
        words = words[:words.index("[listener]")]
    elif len(words) == 1 and " [listener]" in words[0]:
        words = words[0].split(" [listener]")[0].split()
    path = None
    overrides = []
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        found = re.match(r"-[46DdeiqtTR]*([fo])(.*)$", word)
        if not found:
            continue
        value = found.group(2)
        if not value and index < len(words):
            value = words[index]
            index += 1
        if found.group(1) == "o":
            overrides.append(value)
        else:
            path = value
    return path, tuple(overrides)


def split_words(line):
    """Return the words of a configuration line: quotes as argv_split() takes them, ``keyword=value``, comments cut."""
    line = line.strip(" \t\r\f")
    if not line or line.startswith("#"):
        return []
    words = []
    current = None
    quote = None
    index = 0
    while index < len(line):
        char = line[index]
        following = line[index + 1:index + 2]
        index += 1
        if char == "\\" and following and (following in "'\"\\" or (following == " " and not quote)):
            current = (current or "") + following
            index += 1
        elif quote:
            if char == quote:
                quote = None
            else:
                current += char
        elif char in "\"'":
            quote = char
            current = current or ""
        elif char in " \t" or (char == "=" and not words):
            # "Keyword = value" and "Keyword=value" are the same.
            if current is not None:
                words.append(current)
                current = None
            elif char == "=":
                continue
        elif char == "#" and current is None:
            break
        elif char == "=" and len(words) == 1 and current is None:
            continue
        else:
            current = (current or "") + char
    if current is not None:
        words.append(current)
    return words


def expand(pattern, account):
    """Return an AuthorizedKeysFile pattern with its tokens replaced, ``None`` when it comes to no absolute path.

    ``%h`` home, ``%u`` name, ``%U`` numeric id, ``%%`` a percent sign; at anything else sshd ends the login.
    """
    values = {"h": account.home, "u": account.name, "U": str(account.uid), "%": "%"}
    unknown = []

    def replace(found):
        if found.group(1) not in values:
            unknown.append(found.group(1))
        return values.get(found.group(1), "")

    path = re.sub(r"%(.?)", replace, pattern)
    if not path.startswith("/"):
        path = account.home + "/" + path
    if unknown or not path.startswith("/") or "\0" in path:
        return None
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def match_pattern(name, pattern):
    """Whether ``name`` fits one pattern with ``*`` and ``?`` (ssh_config(5) PATTERNS; no brackets)."""
    expression = "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.match(expression + r"\Z", name, re.DOTALL) is not None


def match_list(names, patterns):
    """Whether one of ``names`` fits a comma-separated pattern list: match_pattern_list(), a ``!`` hit refuses."""
    found = False
    for pattern in patterns.split(","):
        negated = pattern.startswith("!")
        if any(match_pattern(name, pattern[1:] if negated else pattern) for name in names):
            if negated:
                return False
            found = True
    return found


def _criteria(words):
    """Return Match arguments as ``(criterion, argument)`` pairs; ``all`` has none."""
    criteria = []
    pending = list(words)
    while pending:
        criterion = pending.pop(0)
        name, equals, argument = criterion.partition("=")
        name = name.lower()
        if name in ("all", "invalid-user"):
            criteria.append((name, ""))
        elif equals:
            criteria.append((name, argument))
        else:
            criteria.append((name, pending.pop(0) if pending else ""))
    # "Match" without criteria is an error to sshd; it must not look like "no condition" here.
    return criteria or [("unreadable", "")]


def _holds(condition, account, groups):
    """Return whether a criterion holds for the account: ``True``, ``False``, or ``None`` for "it may"."""
    criterion, argument = condition
    if criterion == "all":
        return True
    if criterion == "invalid-user":
        return False
    if criterion == "user":
        return match_list([account.name], argument)
    if criterion == "group":
        return match_list(sorted(groups), argument)
    return None


def _all(answers):
    """Three-valued "and": ``False`` wins, then ``None``."""
    result = True
    for answer in answers:
        if answer is False:
            return False
        if answer is None:
            result = None
    return result
