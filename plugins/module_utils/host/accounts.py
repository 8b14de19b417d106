# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's accounts, read from its files as glibc's "files" service reads them (passwd(5), shadow(5), group(5)).

Never through getpwnam(3): it may be served by a module that the intruder has put into
nsswitch.conf. Every line keeps its bytes and its place, so that an edit of one account
leaves all others as they are, whatever they hold.
"""

import re
from collections import namedtuple

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files

PASSWD = "/etc/passwd"
SHADOW = "/etc/shadow"
GROUP = "/etc/group"
LOGIN_DEFS = "/etc/login.defs"

# login.defs(5): where ordinary accounts begin when the file does not say.
DEFAULT_UID_MIN = 1000

_MAX_ID = 0xFFFFFFFF
# Shells that let nobody in; an empty field means /bin/sh (passwd(5)).
_NO_LOGIN = ("nologin", "false", "sync", "halt", "shutdown", "true", "git-shell")

Account = namedtuple("Account", "name password uid gid gecos home shell index")
Account.__doc__ = """One passwd line: ``index`` is its place in :attr:`AccountFile.lines`; text is str with lone
surrogates for bytes that are not UTF-8 (:func:`safe_files.path_bytes` gives the bytes back)."""

Shadow = namedtuple("Shadow", "name password fields index")
Shadow.__doc__ = """One shadow line: ``fields`` are all its fields as str, ``index`` its place in the file's lines."""

Oddity = namedtuple("Oddity", "path line kind text")
Oddity.__doc__ = """A line that is no account: ``kind`` is ``nis`` ("+" and "-" entries of nsswitch.conf(5) compat),
``malformed``, ``duplicate`` (a second line of the same name, never reached by name) or ``no_newline``."""


class AccountFile:
    """The lines of one of the files, bytes with their line ends, so that joining them gives the file back."""

    def __init__(self, path, content):
        self.path = path
        self.content = content
        self.lines = _lines(content)

    def with_lines(self, replaced):
        """Return the file's content with the lines of ``replaced`` (index → bytes without line end) put in place.

        All else stays byte for byte; the line end of a replaced line stays as it was, even a missing one.
        """
        result = list(self.lines)
        for index, line in replaced.items():
            end = b"\n" if self.lines[index].endswith(b"\n") else b""
            result[index] = line + end
        return b"".join(result)


class AccountDatabase:
    """What the account files say.

    ``accounts``: list of :class:`Account` in the file's order. ``shadow``: name → :class:`Shadow`.
    ``groups``: group name → (gid, set of member names). ``oddities``: list of :class:`Oddity`.
    ``missing``: list of ``(path, reason)`` that could not be read, which is never "no accounts".
    """

    def __init__(self, host_root="/"):
        """Read the files below ``host_root``.

        :raises ResponseError: /etc/passwd cannot be read; without it nothing can be said.
        """
        self.host_root = host_root
        self.oddities = []
        self.missing = []
        self.passwd_file = AccountFile(PASSWD, safe_files.read_bytes(PASSWD, host_root=host_root))
        self.shadow_file = self._optional(SHADOW)
        group_file = self._optional(GROUP)
        self.accounts = self._parse_passwd()
        self.shadow = self._parse_shadow() if self.shadow_file else {}
        self.groups = self._parse_group(group_file) if group_file else {}

    def _optional(self, path):
        try:
            return AccountFile(path, safe_files.read_bytes(path, host_root=self.host_root))
        except ResponseError as error:
            self.missing.append((path, str(error)))
            return None

    def by_name(self, name):
        """Return the account that getpwnam(3) would return (the first of that name), or ``None``."""
        for account in self.accounts:
            if account.name == name:
                return account
        return None

    def by_uid(self, uid):
        """Return all accounts with that user id, in the file's order."""
        return [account for account in self.accounts if account.uid == uid]

    def groups_of(self, account):
        """Return the names of the groups that the account is in, the primary one among them."""
        return {name for name, (gid, members) in self.groups.items()
                if gid == account.gid or account.name in members}

    def password_of(self, account):
        """Return the password field that counts: the shadow entry's when passwd says ``x`` and there is one."""
        entry = self.shadow.get(account.name)
        if account.password == "x" and entry is not None:
            return entry.password
        return account.password

    def uid_min(self):
        """Return the first user id of ordinary accounts (login.defs(5))."""
        try:
            content = safe_files.read_bytes(LOGIN_DEFS, host_root=self.host_root)
        except ResponseError:
            return DEFAULT_UID_MIN
        found = re.findall(rb"(?m)^[ \t]*UID_MIN[ \t]+(\d{1,9})", content)
        return int(found[-1]) if found else DEFAULT_UID_MIN

    def _parse_passwd(self):
        accounts = []
        names = set()
        for index, line in self._entries(self.passwd_file):
            fields = line.split(":")
            uid, gid = (_identifier(fields[2]), _identifier(fields[3])) if len(fields) >= 4 else (None, None)
            if uid is None or gid is None or not fields[0]:
                self._odd(self.passwd_file, index, "malformed", line)
                continue
            if len(fields) < 7:
                # glibc takes it all the same ("x::0:0" logs in as root), passwd(1) and pwck(8) do not see it.
                self._odd(self.passwd_file, index, "malformed", line)
                fields += [""] * (7 - len(fields))
            account = Account(fields[0], fields[1], uid, gid, fields[4], fields[5], ":".join(fields[6:]), index)
            if account.name in names:
                self._odd(self.passwd_file, index, "duplicate", line)
            names.add(account.name)
            accounts.append(account)
        return accounts

    def _parse_shadow(self):
        entries = {}
        for index, line in self._entries(self.shadow_file):
            fields = line.split(":")
            # glibc takes a line with the last field missing, and one with only two (name and password).
            if len(fields) < 2 or not fields[0]:
                self._odd(self.shadow_file, index, "malformed", line)
                continue
            if fields[0] in entries:
                self._odd(self.shadow_file, index, "duplicate", line)
                continue
            entries[fields[0]] = Shadow(fields[0], fields[1], fields, index)
        return entries

    def _parse_group(self, group_file):
        groups = {}
        for _unused, line in self._entries(group_file, report=False):
            fields = line.split(":")
            gid = _identifier(fields[2]) if len(fields) >= 4 else None
            if gid is None:
                continue
            groups.setdefault(fields[0], (gid, {name for name in fields[3].split(",") if name}))
        return groups

    def _entries(self, source, report=True):
        """Yield ``(index, line as str without line end)`` of what glibc would take for an entry."""
        if report and source.lines and not source.lines[-1].endswith(b"\n"):
            self._odd(source, len(source.lines) - 1, "no_newline", safe_files.path_text(source.lines[-1]))
        for index, raw in enumerate(source.lines):
            line = safe_files.path_text(raw.rstrip(b"\n"))
            # nss_files skips leading white space, empty lines and comments.
            stripped = line.lstrip(" \t\n\v\f\r")
            if not stripped or stripped.startswith("#"):
                continue
            if "\0" in line:
                # A C string ends there: what follows is seen by nobody but an editor.
                if report:
                    self._odd(source, index, "malformed", line)
                continue
            if stripped[0] in "+-":
                if report:
                    self._odd(source, index, "nis", line)
                continue
            yield index, stripped

    def _odd(self, source, index, kind, line):
        self.oddities.append(Oddity(source.path, index + 1, kind, line))


def read_accounts(host_root="/"):
    """Return the :class:`AccountDatabase` of the host. :raises ResponseError: /etc/passwd cannot be read."""
    return AccountDatabase(host_root)


def can_log_in(shell):
    """Whether a login shell field lets somebody in; an empty one means /bin/sh."""
    return shell.rsplit("/", 1)[-1] not in _NO_LOGIN


def password_state(field):
    """Return what a password field means: ``empty``, ``locked``, ``none`` (no password can match) or ``set``.

    crypt(5): a hash begins with ``$``, ``_`` or is 13 characters of the traditional form; ``!`` before it locks it.
    """
    if field == "":
        return "empty"
    if field.startswith("!"):
        return "locked" if len(field.strip("!*")) > 1 else "none"
    if field.startswith("$") and field.count("$") >= 2:
        return "set"
    if re.match(r"(_[./0-9A-Za-z]{19}|[./0-9A-Za-z]{13})$", field):
        return "set"
    return "none"


def home_file(account, relative):
    """Return the host path of a file below the account's home as str, or ``None`` when it has no absolute home."""
    if not account.home.startswith("/") or "\0" in account.home:
        return None
    return "/" + "/".join(part for part in (account.home + "/" + relative).split("/") if part not in ("", "."))


def homes(database):
    """Return home path → list of accounts that share it, for the accounts with an absolute home."""
    found = {}
    for account in database.accounts:
        path = home_file(account, "")
        if path is not None:
            found.setdefault(path, []).append(account)
    return found


def _lines(content):
    """Split at ``\\n`` only: bytes.splitlines() also splits at a carriage return, which is part of a line here."""
    parts = content.split(b"\n")
    lines = [part + b"\n" for part in parts[:-1]]
    if parts[-1]:
        lines.append(parts[-1])
    return lines


def _identifier(field):
    """Return a numeric id as glibc reads it, or ``None`` when glibc drops the line: " 00", "+0" and "-0" are 0 too."""
    found = re.match(r"[ \t\n\v\f\r]*([+-]?)(\d{1,20})$", field, re.ASCII)
    if not found:
        return None
    number = int(found.group(2))
    if number > _MAX_ID or (number and found.group(1) == "-"):
        return None
    return number
