# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locking an account by all its ways in, without deleting anything and without locking the operator out."""

import contextlib
import errno
import fcntl
import os
import time

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import action, gap, subject, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    accounts,
    authorized_keys,
    safe_files,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.rooted_paths import (
    resolve,
    resolve_or_none,
)

# shadow(5): the day on which the account expires, counted from 1970-01-01. usermod(8) writes 1 to disable one.
EXPIRED = "1"

NOLOGIN = ("/usr/sbin/nologin", "/sbin/nologin", "/usr/bin/nologin", "/bin/false", "/usr/bin/false")
KEY_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
# Debian, Red Hat and SUSE in turn.
CRONTABS = ("/var/spool/cron/crontabs", "/var/spool/cron", "/var/spool/cron/tabs")

PASSWORD_LOCK = "/etc/.pwd.lock"
# lckpwdf(3) waits as long.
_LOCK_SECONDS = 15


class Plan:
    """What shall be done: ``files`` (path → (old content, new content)), ``removals`` (paths with their account),
    ``names`` (of the accounts that are locked in the files)."""

    def __init__(self):
        self.files = {}
        self.removals = []
        self.names = []

    def __bool__(self):
        return bool(self.files or self.removals)


class AccountLock:
    """Decides what locks the given accounts, and does it.

    :param database: :class:`accounts.AccountDatabase`.
    :param protected: name → why it is never locked (root is always).
    :param carries: whether a ``public_key.PublicKey`` carries the present connection; a file with such a key stays.
    """

    def __init__(self, database, protected, host_root="/", carries=None):
        self._database = database
        self._protected = dict(protected, root="root is never locked")
        self._host_root = host_root
        self._carries = carries
        self.not_checked = []

    def decide(self, targets):
        """Return ``(plan, refused actions)`` for a list of :class:`accounts.Account`; changes nothing."""
        plan = Plan()
        refused = []
        passwd = {}
        shadow = {}
        for account in targets:
            why = self._protected.get(account.name)
            if why:
                refused.append(action("account_lock.protected", subject("account", account.name, uid=account.uid),
                                      "%s is not locked: %s." % (text(account.name), why), status="refused"))
                continue
            before = len(passwd) + len(shadow)
            self._lock_lines(account, passwd, shadow)
            plan.removals.extend((path, account.name) for path in self._own_files(account))
            if len(passwd) + len(shadow) > before:
                plan.names.append(account.name)
        for source, lines in ((self._database.passwd_file, passwd), (self._database.shadow_file, shadow)):
            if lines and source.with_lines(lines) != source.content:
                plan.files[source.path] = (source.content, source.with_lines(lines))
        return plan, refused

    def planned(self, plan):
        """Return the actions of a plan for check mode."""
        return ([self._removal(path, name, "planned") for path, name in plan.removals]
                + [self._rewrite(path, plan, "planned") for path in sorted(plan.files)])

    def apply(self, plan, quarantine):
        """Do it and return the actions.

        The key files and crontabs go first, then shadow, then passwd: a run that ends in between has
        closed what it has closed, and a second one does the rest.

        :raises ResponseError: the very first step failed; nothing was changed. A later failure is told as refused.
        """
        actions = []
        steps = [(self._remove, item) for item in plan.removals]
        if plan.files:
            steps.append((self._rewrite_files, plan))
        for step, argument in steps:
            try:
                step(argument, quarantine, actions)
            except ResponseError as error:
                if not actions:
                    raise
                actions.append(action("account_lock.failed", subject("host", "account files"), str(error),
                                      status="refused"))
        return actions

    # -- deciding

    def _lock_lines(self, account, passwd, shadow):
        """Put the locked lines of an account into ``passwd`` and ``shadow`` (index → bytes)."""
        entry = self._database.shadow.get(account.name)
        if entry is not None:
            fields = entry.fields + [""] * (9 - len(entry.fields))
            fields[1] = _locked(fields[1])
            if fields[7] not in ("0", "1"):
                fields[7] = EXPIRED
            if fields != entry.fields:
                shadow[entry.index] = safe_files.path_bytes(":".join(fields))
        for line in self._database.accounts:
            # A second line of that name would come up again when the first is edited away.
            if line.name != account.name:
                continue
            shell = line.shell
            if accounts.can_log_in(shell):
                shell = self._nologin()
            password = line.password
            if password != "x" or entry is None:
                password = _locked(password) if password != "x" else "x"
            if (shell, password) == (line.shell, line.password):
                continue
            raw = self._database.passwd_file.lines[line.index].rstrip(b"\n")
            fields = safe_files.path_text(raw).split(":")
            fields += [""] * (7 - len(fields))
            fields[1] = password
            fields[6:] = [shell]
            passwd[line.index] = safe_files.path_bytes(":".join(fields))

    def _nologin(self):
        for path in NOLOGIN:
            try:
                os.close(safe_files.open_regular(path, self._host_root))
            except ResponseError:
                continue
            return path
        # The kernel refuses to run it: not a shell, and no login either.
        return "/dev/null"

    def _own_files(self, account):
        """Return the account's key files and crontabs that exist; none in a home that others share."""
        found = []
        home = accounts.home_file(account, "")
        # By where they really are: an intruder may link his home, or the .ssh in it, to the operator's.
        real = self._real(home)
        others = [other for other in self._database.accounts
                  if other.name != account.name and real and self._real(accounts.home_file(other, "")) == real]
        if home in (None, "/") or real in (None, "/", self._real("/root")) or others:
            # An account without a home of its own lets in through the keys of those who share it.
            if home not in (None, "/"):
                self.not_checked.append(gap(
                    "keys in the home of %s" % text(account.name),
                    "the home %s is shared with %s" % (text(home), ", ".join(
                        sorted({text(other.name) for other in others} or {"root"}))),
                    "ssh_key_revoke looks at every key there."))
        else:
            found.extend(path for path in (accounts.home_file(account, name) for name in KEY_FILES)
                         if self._is_own_key_file(account, path, real))
        if "/" not in account.name and account.name not in (".", ".."):
            found.extend("%s/%s" % (directory, account.name) for directory in CRONTABS)
        existing = []
        for path in found:
            try:
                status = safe_files.lstat(path, self._host_root)
            except ResponseError as error:
                self.not_checked.append(gap(text(path), str(error), "Look at it by hand."))
                continue
            # "tabs" and "crontabs" are folders, whatever an account is called.
            if status is not None and path not in CRONTABS:
                existing.append(path)
        return existing

    def _real(self, path):
        """Return where a directory really is, ``None`` where that cannot be told."""
        return resolve_or_none(path, self._host_root) if path is not None else None

    def _is_own_key_file(self, account, path, real_home):
        """Whether a key file is this account's alone, and does not hold the key of the present connection."""
        reason = None
        try:
            if safe_files.lstat(path, self._host_root) is None:
                return False
            real = resolve(path, self._host_root)
            if real != real_home + path[len(accounts.home_file(account, "").rstrip("/")):]:
                reason = "it leads to %s" % text(real)
            elif self._carries is not None and any(self._carries(line.key) for line in authorized_keys.key_lines(
                    safe_files.read_bytes(path, host_root=self._host_root))):
                reason = "it holds the key that carries the present connection"
        except ResponseError as error:
            reason = str(error)
        if reason is not None:
            self.not_checked.append(gap(text(path), "not moved to the quarantine with the account %s: %s"
                                        % (text(account.name), reason), "ssh_key_revoke looks at every key there."))
        return reason is None

    # -- acting

    def _remove(self, item, quarantine, actions):
        path, name = item
        kept = quarantine.remove(path, "account_lock.quarantine", "belongs to the locked account %s" % text(name))
        actions.append(self._removal(path, name, "done", quarantine.undo_call(kept)))

    def _rewrite_files(self, plan, quarantine, actions):
        with _account_files_locked(self._host_root):
            # shadow before passwd: the password goes first.
            for path in sorted(plan.files, reverse=True):
                before, after = plan.files[path]
                present = safe_files.read_bytes(path, limit=len(before) + 1, host_root=self._host_root, truncate=True)
                if present != before:
                    raise ResponseError("%s changed while it was looked at." % text(path), "Run again.")
                kept = quarantine.replace(path, "account_lock.lock", self._reason(path, plan), content=after)
                actions.append(self._rewrite(path, plan, "done", quarantine.undo_call(kept)))

    def _removal(self, path, name, status, undo=None):
        return action("account_lock.quarantine", subject("file", path, account=text(name)),
                      "Move %s of the account %s to the quarantine." % (text(path), text(name)),
                      status=status, undo=undo)

    def _rewrite(self, path, plan, status, undo=None):
        before, after = plan.files[path]
        return action("account_lock.lock", subject("file", path, accounts=[text(name) for name in plan.names]),
                      self._reason(path, plan), status=status, undo=undo,
                      diff={"before_header": path, "after_header": path,
                            "before": _shown(path, before, after), "after": _shown(path, after, before)})

    @staticmethod
    def _reason(path, plan):
        what = "password and expiry" if path == accounts.SHADOW else "shell"
        return "Lock %s by the %s in %s." % (", ".join(text(name) for name in plan.names), what, path)


def _locked(password):
    return password if password.startswith("!") else "!" + password


def _shown(path, content, other):
    """Return the lines of ``content`` that ``other`` does not have, without any hash."""
    theirs = set(other.split(b"\n"))
    shown = []
    for line in content.split(b"\n"):
        if line in theirs:
            continue
        fields = text(line).split(":")
        if len(fields) > 1:
            locked = "!" if fields[1].startswith("!") else ""
            state = accounts.password_state(fields[1])
            fields[1] = fields[1] if fields[1] in ("x", "*", "") else "%s[%s]" % (locked, state)
        shown.append("".join(char if char.isprintable() else "?" for char in ":".join(fields)))
    return "".join(line + "\n" for line in shown)


@contextlib.contextmanager
def _account_files_locked(host_root):
    """Hold the lock of lckpwdf(3), by which passwd(1), useradd(8) and others keep out of each other's way.

    Where the file was missing it is taken away again: nothing of ours stays on the host.
    """
    path = safe_files.host_path(PASSWORD_LOCK, host_root)
    try:
        made = not os.path.lexists(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise safe_files.explain(error, PASSWORD_LOCK)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise safe_files.explain(error, PASSWORD_LOCK)
                if time.monotonic() > deadline:
                    raise ResponseError(
                        "Another program holds the lock of the account files (%s): nothing was changed in them."
                        % PASSWORD_LOCK, "Wait for it (useradd, passwd, vipw …) or end it, then run again.")
                time.sleep(0.1)
        yield
    finally:
        if made:
            os.unlink(path)
        os.close(descriptor)
