# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting the packaged bytes of a trojaned tool back, from a source that is proven, or not at all.

Whatever is put in place has the digest that the package database recorded. Where that database itself is in
doubt, an equal copy beside the trojan proves nothing (who edits the one can write the other), so the
repository has to say the same.
"""

import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import action, subject, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    account_ids,
    safe_files,
    selinux_label,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_digests import Digests, new_hash

RULE = "binary_restore.restore"

# dpkg records no modes. These programs of Debian and Ubuntu have set-id bits that only the package itself tells.
_SPECIAL_MODES = frozenset((
    "at", "bsd-write", "chage", "chfn", "chsh", "crontab", "dotlockfile", "expiry", "fusermount", "fusermount3",
    "gpasswd", "mount", "newgrp", "ntfs-3g", "passwd", "pkexec", "sg", "ssh-agent", "su", "sudo", "umount",
    "unix_chkpwd", "wall", "write",
))
# And these get their capabilities from the installation script.
_SCRIPTED_CAPABILITIES = frozenset(("arping", "clockdiff", "dumpcap", "mtr-packet", "ping"))
# Debian Policy 10.9: programs are root's and 0755.
_PROGRAM_MODE = 0o755


class Step:
    """A tool that will be put back: ``tool`` (of the survey), ``backup`` (the copy to take, or ``None`` for the
    repository), ``why`` the repository is asked (sentence or ``None``)."""

    def __init__(self, tool, backup, why=None):
        self.tool = tool
        self.backup = backup
        self.why = why


class BinaryRestore:
    """Decides which tools are put back and from where, and does it.

    :param tools: tools of a survey, each with ``path``, ``name``, ``record``, ``package``, ``state``, ``kind``,
        ``sha256``, ``target``, ``backups`` (each ``path``, ``sha256``, ``state``), ``proven_backup()``.
    :param packages: :class:`packages.PackageDatabase`.
    :param reasons: why the database is in doubt; empty when it is not.
    :param source: :class:`package_source.PackageSource`, or ``None`` when the repository shall not be asked.
    :param max_files: how many files one run may replace.
    """

    def __init__(self, tools, packages, reasons=(), source=None, host_root="/", max_files=100):
        self._tools = tools
        self._packages = packages
        self._reasons = list(reasons)
        self._source = source
        self._host_root = host_root
        self._max_files = max_files

    def decide(self):
        """Return ``(steps, refused actions)``; changes nothing.

        :raises ResponseError: more files than ``max_files`` would be replaced.
        """
        steps = []
        refused = []
        for tool in self._tools:
            if tool.state in ("mismatch", "missing"):
                step = self._step(tool)
                if isinstance(step, Step):
                    steps.append(step)
                else:
                    refused.append(self._refused(tool, step))
            elif tool.state in ("unowned", "unknown") and tool.backups:
                refused.append(self._refused(tool, (
                    "no package vouches for either the file or the copy of it", "compare both with a healthy host of "
                    "the same release, and put the right one back by hand")))
        if len(steps) > self._max_files:
            raise ResponseError(
                "%d tools would be put back, more than max_files=%d: nothing was changed." % (
                    len(steps), self._max_files),
                "Look at what is reported. If so many are trojaned, think of rebuilding the host; else raise "
                "max_files.")
        return steps, refused

    def planned(self, steps):
        """Return the actions of ``steps`` for check mode. Whether the repository answers is not tried."""
        return [self._action(step, "planned", self._expected_mode(step)) for step in steps]

    def apply(self, steps, quarantine):
        """Put the tools back and return the actions.

        What cannot be fetched, or is not the recorded bytes, is refused and told; the next tool goes on. So is a
        tool that cannot be kept or replaced: the intruder chose what lies in its place.

        :raises ResponseError: none could be kept in the quarantine or replaced; why the first could not.
        """
        actions = []
        failure = None
        for step in steps:
            try:
                put = self._from_backup(step) if step.backup else self._from_repository(step)
            except ResponseError as error:
                actions.append(self._refused(step.tool, (error.message, error.hint)))
                continue
            try:
                actions.append(self._replace(step, put, quarantine))
            except ResponseError as error:
                failure = failure or error
                actions.append(self._refused(step.tool, (error.message, error.hint)))
        if failure and not any(item["status"] == "done" for item in actions):
            raise failure
        return actions

    # -- deciding ----------------------------------------------------------------------------------------------------

    def _step(self, tool):
        """Return a :class:`Step`, or ``(why not, what to do)``."""
        if tool.record is None or not tool.record.digest:
            return "its package has a link or no digest there", "reinstall the package: %s" % self._by_hand(tool)
        if tool.kind == "directory":
            return "a directory lies in its place", "look into it, move it away, and run again"
        backup = tool.proven_backup()
        why = self._why_repository(tool, backup)
        if why is None:
            return Step(tool, backup)
        if self._source is None:
            return why, "allow reinstall, or reinstall the package by hand: %s" % self._by_hand(tool)
        return Step(tool, None, why)

    def _why_repository(self, tool, backup):
        """Return why a copy on the host does not do, or ``None`` when it does."""
        if backup is None:
            if tool.backups:
                return "the copy %s is not the packaged file either" % text(tool.backups[0].path)
            return "there is no copy of it on the host"
        if self._reasons:
            return "the package database, by which the copy would be proven, is in doubt: %s" % self._reasons[0]
        if self._packages.metadata(tool.path) is None and tool.name in _SPECIAL_MODES:
            return "its set-id bits are only known to the package itself"
        return None

    def _by_hand(self, tool):
        if self._packages.kind == "dpkg":
            return "apt-get install --reinstall %s" % text(tool.package)
        return "dnf reinstall %s" % text(tool.package)

    def _expected_mode(self, step):
        known = self._packages.metadata(step.tool.path)
        if known:
            return known["mode"]
        return _PROGRAM_MODE if step.backup else None

    # -- fetching ----------------------------------------------------------------------------------------------------

    def _from_backup(self, step):
        tool = step.tool
        descriptor = safe_files.open_regular(step.backup.path, self._host_root)
        try:
            if Digests.of_content(descriptor)(tool.record.algorithm) != tool.record.digest:
                raise ResponseError("%s changed after it was looked at" % text(step.backup.path), "run again")
        finally:
            os.close(descriptor)
        return dict(self._packaged(tool, _PROGRAM_MODE, 0, 0), source=step.backup.path), None

    def _from_repository(self, step):
        tool = step.tool
        member = self._source.member(tool.record)
        hasher = new_hash(tool.record.algorithm)
        hasher.update(member.content)
        if hasher.hexdigest() != tool.record.digest:
            raise ResponseError("the repository's %s is not the file that the database recorded, so that one of them "
                                "was tampered with" % text(tool.package),
                                "look into it, then reinstall the whole package: %s" % self._by_hand(tool))
        if self._reasons:
            doubts = self._source.doubts()
            if not self._source.is_signed(tool.record):
                doubts.append("The package from the repository is not signed.")
            if doubts:
                raise ResponseError("the package database is in doubt (%s), and so is the download: %s"
                                    % (self._reasons[0].rstrip("."), doubts[0].rstrip(".")),
                                    "copy the file from a healthy host of the same release, or rebuild the host")
        uid, gid = (number(self._host_root, name) or 0 for number, name in
                    ((account_ids.user_id, member.user), (account_ids.group_id, member.group)))
        return dict(self._packaged(tool, member.mode, uid, gid), content=member.content), member.mtime

    def _packaged(self, tool, mode, uid, gid):
        """Return mode, owner and attributes as packaged; the arguments are what holds where no database tells."""
        known = self._packages.metadata(tool.path)
        capabilities = b""
        if known:
            mode, uid, gid = known["mode"], known["uid"], known["gid"]
            capabilities = known["capabilities"] or b""
        if uid is None or gid is None:
            # rpm does the same for an account that does not exist: root's, and nothing set.
            mode, uid, gid = mode & 0o777, uid or 0, gid or 0
        attributes = {"security.capability": capabilities} if capabilities else {}
        label = selinux_label.default_label(tool.path, self._host_root)
        if label:
            attributes[selinux_label.ATTRIBUTE] = label
        return {"mode": mode, "uid": uid, "gid": gid, "xattrs": attributes}

    # -- acting ------------------------------------------------------------------------------------------------------

    def _replace(self, step, put, quarantine):
        path = step.tool.path
        arguments, mtime = put
        item = quarantine.replace(path, RULE, self._reason(step), **arguments)
        if self._packages.verify(path) != "match":
            quarantine.restore(item)
            raise ResponseError("%s did not get the packaged bytes; it was put back as it was." % text(path),
                                "Look for a process that writes to it or to the copy, stop it, and run again.")
        if mtime is not None:
            self._set_time(path, mtime)
        return self._action(step, "done", arguments["mode"], quarantine.undo_call(item))

    def _set_time(self, path, mtime):
        directory, name, _real = safe_files.open_parent(path, self._host_root)
        try:
            os.utime(name, (mtime, mtime), dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(directory)

    def _reason(self, step):
        tool = step.tool
        if step.backup:
            source = "from %s, which has the digest that %s recorded" % (text(step.backup.path), text(tool.package))
        else:
            source = "from the repository's %s, since %s" % (text(tool.package), step.why)
        return "Put %s back %s." % (text(tool.path), source)

    def _action(self, step, status, mode, undo=None):
        tool = step.tool
        message = self._reason(step)
        if tool.name in _SCRIPTED_CAPABILITIES and self._packages.metadata(tool.path) is None:
            message += (" Its capabilities are set by the package's installation script, which was not run: reinstall "
                        "the package to have them (%s)." % self._by_hand(tool))
        about = subject("file", tool.path, package=text(tool.package), source=text(step.backup.path) if step.backup
                        else "repository", mode=None if mode is None else "%04o" % mode)
        return action(RULE, about, message, status=status, undo=undo, diff=_diff(step, mode))

    def _refused(self, tool, why):
        message = "%s was left as it is: %s." % (text(tool.path), why[0].rstrip("."))
        if why[1]:
            message += " To go on: %s." % why[1].rstrip(".")
        return action(RULE, subject("file", tool.path, package=tool.package and text(tool.package)), message,
                      status="refused")


def _diff(step, mode):
    tool = step.tool
    before = {None: "missing\n", "symlink": "link to %s\n" % text(tool.target)}.get(
        tool.kind, "%s, sha256 %s\n" % (tool.kind, tool.sha256))
    after = "file, %s %s%s\n" % (tool.record.algorithm, tool.record.digest, "" if mode is None else ", %04o" % mode)
    return {"before_header": text(tool.path), "after_header": text(tool.path), "before": before, "after": after}
