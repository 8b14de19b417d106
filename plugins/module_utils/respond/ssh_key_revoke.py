# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking keys out of authorized_keys without ever taking away the operator's own way in."""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import action, gap, subject, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    authorized_keys,
    redis_dump,
    safe_files,
)

RULE = "ssh_key_revoke.rewrite"

_ADD_FIRST = "put an allowed key there first"


class Step:
    """What shall become of one file: ``item`` (the key file), ``content`` (its new bytes), ``revoked`` (key lines
    that go), ``rubbish`` (bytes of no key line that go), ``refusal`` (why it is left alone after all, or ``None``)."""

    def __init__(self, item, content, revoked, refusal=None):
        self.item = item
        self.content = content
        self.revoked = revoked
        self.refusal = refusal
        self.rubbish = len(item.content) - len(content) - sum(len(line.raw) for line in revoked)


class KeyRevocation:
    """Decides which files are rewritten, and rewrites them.

    :param files: key files, each with ``path``, ``kind``, ``accounts``, ``content``, ``lines``, ``keys``, ``dumps``,
        ``in_dump(line)``, ``key_subject(line)`` and ``status`` (line number → ``allowed``, ``connection``, ``dump``,
        ``unlisted``, ``unknown``).
    :param connection: :class:`ssh_connection.Connection`.
    :param has_allow_list: without one nothing is revoked.
    :param other_way: the login may come from elsewhere than a file: a command, or a CA that sshd trusts.
    :param max_keys: how many key lines one run may revoke.
    """

    def __init__(self, files, connection, has_allow_list, other_way=False, max_keys=50):
        self._files = [item for item in files if item.kind == "keys"]
        self._connection = connection
        self._has_allow_list = has_allow_list
        self._other_way = other_way
        self._max_keys = max_keys
        self.not_checked = []

    def decide(self):
        """Return ``(steps, refused actions)``; reads and changes nothing.

        :raises ResponseError: more keys than ``max_keys`` would go.
        """
        refused = []
        steps = []
        for item in self._files:
            if not self._has_allow_list:
                if item.dumps:
                    refused.append(self._refused(item, "There is no allow-list to tell which keys may stay",
                                                 "give allowed_keys"))
                continue
            refused.extend(self._keeps_connection(item))
            step = self._step(item)
            if step.content != item.content:
                steps.append(step)
        self._guard_login(steps)
        for step in steps:
            # Any account can fill its own file: that must not keep the keys of all others.
            if not step.refusal and len(step.revoked) > self._max_keys:
                step.refusal = ("%d keys of it would be revoked, more than max_keys=%d"
                                % (len(step.revoked), self._max_keys), "look at them; if it is right, raise max_keys")
        refused.extend(self._refused(step.item, step.refusal[0], step.refusal[1]) for step in steps if step.refusal)
        steps = [step for step in steps if not step.refusal]
        count = sum(len(step.revoked) for step in steps)
        if count > self._max_keys:
            raise ResponseError(
                "%d keys would be revoked, more than max_keys=%d: nothing was changed." % (count, self._max_keys),
                "Look at what is reported as not allowed. If it is right, raise max_keys.")
        return steps, refused

    def planned(self, steps):
        """Return the actions of ``steps`` for check mode."""
        return [self._action(step, "planned") for step in steps]

    def apply(self, steps, quarantine, host_root="/"):
        """Rewrite the files and return the actions.

        A file that has changed since it was read is left alone. Where one file fails after others were
        rewritten, that is told as a refused action, so that what was done is on record.

        :raises ResponseError: the very first file could not be kept in the quarantine or rewritten.
        """
        actions = []
        for step in steps:
            try:
                actions.append(self._rewrite(step, quarantine, host_root))
            except ResponseError as error:
                if not any(item["status"] == "done" for item in actions):
                    raise
                actions.append(self._refused(step.item, error.message, error.hint))
        return actions

    def _step(self, item):
        kept = []
        revoked = []
        for line in item.lines:
            if line.kind == "key" and item.status[line.number] not in ("allowed", "connection"):
                revoked.append(line)
            elif line.kind == "key":
                # Glued to bytes of the dump it lets nobody in, and would bring the rubbish along.
                glued = item.dumps and line.option_error and redis_dump.is_binary(line.raw)
                kept.extend([] if glued else [line])
            elif not item.dumps:
                kept.append(line)
        return Step(item, b"".join(line.raw for line in kept), revoked)

    def _keeps_connection(self, item):
        for line in item.keys:
            if item.status[line.number] == "connection":
                yield action(
                    "ssh_key_revoke.connection", item.key_subject(line),
                    "Not revoked: this key is not on the allow-list, but carries the present connection (%s). Log in "
                    "with another key to revoke it, or add it to allowed_keys." % self._connection.source,
                    status="refused")

    def _guard_login(self, steps):
        """Refuse the steps after which the operator might not get in again."""
        if self._connection.kind != "ssh" or self._connection.by_key is False:
            return
        users = self._connection.users
        # An account of a directory service owns files that are no known account's.
        known = {name for item in self._files for name in item.accounts}
        own = [item for item in self._files if not users or users & set(item.accounts)
               or (not item.accounts and not users <= known)]
        touched = [step for step in steps if step.item in own]
        if not self._connection.key_known:
            self.not_checked.append(gap(
                "the key of the present connection", "neither sshd's log nor SSH_USER_AUTH nor the controller tells it",
                "Nothing is revoked from a file of the login account unless an allowed key stays in that very file. "
                "Set 'ExposeAuthInfo yes' in sshd_config, or let sshd log to the journal."))
            for step in touched:
                if not self._lets_operator_in(step.content):
                    step.refusal = ("The present connection's key is not known and no allowed key would stay there",
                                    _ADD_FIRST)
            return
        carried = any(self._connection.carries(line.key) for item in own for line in item.keys)
        if carried or self._other_way:
            # The key itself is never taken out; one that comes from elsewhere is not touched.
            return
        after = {step.item.path: step.content for step in touched}
        if any(self._lets_operator_in(after.get(item.path, item.content)) for item in own):
            return
        for step in touched:
            step.refusal = ("The key of the present connection is in none of the login account's files, and no other "
                            "key would stay there", _ADD_FIRST)

    def _lets_operator_in(self, content):
        """Whether a key stays that sshd takes from the operator's address and that gives a shell.

        A CA's line counts only for a login by certificate.
        """
        return any(authorized_keys.lets_in(line)
                   and authorized_keys.lets_in_from(line, self._connection.address)
                   and not any(name == "command" for name, unused in line.options)
                   and (self._connection.authority or not authorized_keys.is_certificate_authority(line))
                   for line in authorized_keys.key_lines(content))

    def _rewrite(self, step, quarantine, host_root):
        item = step.item
        if not _holds(item.path, item.content, host_root):
            raise ResponseError("%s changed while it was looked at." % text(item.path), "Run again.")
        kept = quarantine.replace(item.path, RULE, _reason(step), content=step.content)
        if not _holds(item.path, step.content, host_root):
            self.not_checked.append(gap(
                text(item.path), "something wrote to it again right after it was rewritten",
                "Find what does (an abused Redis saves its dump again and again), stop it, and run again."))
        return self._action(step, "done", quarantine.undo_call(kept))

    def _action(self, step, status, undo=None):
        return action(RULE, subject("file", step.item.path, accounts=[text(name) for name in step.item.accounts],
                                    revoked=[line.key.fingerprint for line in step.revoked]),
                      _reason(step), status=status, undo=undo, diff=_diff(step))

    def _refused(self, item, why, hint):
        message = "%s was left as it is. %s" % (text(item.path), why.rstrip("."))
        if hint:
            message += ": %s" % hint.rstrip(".")
        return action(RULE, subject("file", item.path, accounts=[text(name) for name in item.accounts]),
                      message + ".", status="refused")


def _holds(path, content, host_root):
    return safe_files.read_bytes(path, limit=len(content) + 1, host_root=host_root, truncate=True) == content


def _reason(step):
    parts = []
    if step.revoked:
        parts.append("%d key%s not on the allow-list" % (len(step.revoked), "" if len(step.revoked) == 1 else "s"))
    if step.rubbish:
        parts.append("%d bytes of a Redis dump and what else is no allowed key" % step.rubbish)
    return "Take out of %s: %s." % (text(step.item.path), " and ".join(parts))


def _diff(step):
    return {
        "before_header": text(step.item.path), "after_header": text(step.item.path),
        "before": _shown(step.item.content, step.item.dumps), "after": _shown(step.content, ()),
    }


def _shown(content, dumps):
    """Return a file for a diff: keys by fingerprint, other lines by what they are, never a dump's bytes."""
    shown = []
    started = set()
    for line in authorized_keys.parse(content):
        for dump in dumps:
            if line.start <= dump.start < line.start + len(line.raw) or (
                    dump.start <= line.start < dump.end and dump not in started):
                if dump not in started:
                    shown.append("[%d bytes of a Redis dump, %s]" % (dump.end - dump.start, dump.magic))
                started.add(dump)
        if line.kind == "key":
            shown.append(authorized_keys.describe(line))
        elif line.kind == "comment" and not redis_dump.is_binary(line.raw):
            shown.append(authorized_keys.printable(line.raw.rstrip(b"\r\n")))
        elif line.kind == "other" and not authorized_keys.in_dump(line, dumps):
            shown.append("[line of %d bytes: %s]" % (len(line.raw), line.problem))
    return "".join(line + "\n" for line in shown)
