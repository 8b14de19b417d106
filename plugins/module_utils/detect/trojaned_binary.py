# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""System tools that are no longer what their package put there, and the copies that intruders keep of them.

A trojan that replaces ``ps`` needs the real one to filter what it prints, so it moves it aside (the
BillGates family to ``/usr/bin/dpkgd``). One pass: only the tools in question and those copies are read.
"""

import os
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import finding, gap, subject, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import rooted_paths, safe_files
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_digests import (
    TOO_LARGE,
    Digests,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_metadata import kind_of

PROGRAM_DIRECTORIES = ("/usr/bin", "/usr/sbin", "/bin", "/sbin")
BACKUP_DIRECTORIES = ("/usr/bin/dpkgd",)

# What the known families, and the classic root kits that chkrootkit and rkhunter look for, have put themselves in the
# place of, moved aside or deleted: what lists processes, sockets, files and logins, what an operator cleans up with.
TOOLS = (
    "ps", "netstat", "lsof", "ss", "top", "pstree", "pgrep", "pkill", "pidof", "kill", "killall", "vmstat", "fuser",
    "ls", "dir", "vdir", "find", "du", "df", "stat", "file", "cat", "grep", "egrep", "strings", "md5sum", "sha256sum",
    "rm", "mv", "cp", "chattr", "lsattr", "lsmod", "insmod", "dmesg", "ldd", "tar",
    "w", "who", "last", "lastb", "login", "su", "sudo", "passwd", "crontab", "sshd", "ssh",
    "ifconfig", "ip", "iptables", "tcpdump", "wget", "curl",
)
# Shell scripts as packaged: a "#!" in them is no wrapper.
_SCRIPTS = {"egrep", "ldd"}

_MAX_BACKUPS = 1000
_ATTACK = ("T1554",)


class Tool:
    """One tool and what was found in its place.

    ``path`` (without links in its directory), ``name``; ``record``: of its package
    (:class:`packaged_file.PackagedFile`) or ``None``; ``state``: ``match``, ``mismatch``, ``missing``, ``unowned``,
    ``unknown``; ``kind``: ``file``, ``symlink``, …, or ``None``; ``sha256`` of a file's bytes; ``wrapper``: a script
    that nobody packaged; ``target`` of a link; ``backups``: list of :class:`Backup`.
    """

    def __init__(self, path, record):
        self.path = path
        self.name = os.path.basename(path)
        self.record = record
        self.state = "unknown"
        self.kind = None
        self.sha256 = None
        self.wrapper = False
        self.target = None
        self.backups = []

    @property
    def package(self):
        return self.record.package if self.record else None

    def proven_backup(self):
        """Return the backup whose bytes are those that the package recorded, or ``None``."""
        return next((backup for backup in self.backups if backup.state == "match"), None)

    def describe(self):
        """Return the tool as JSON types."""
        return {
            "path": text(self.path), "package": self.package and text(self.package), "state": self.state,
            "kind": self.kind, "sha256": self.sha256, "wrapper": self.wrapper,
            "target": self.target and text(self.target),
            "expected": self.record and self.record.digest and "%s:%s" % (self.record.algorithm, self.record.digest),
            "backups": [{"path": text(item.path), "state": item.state, "sha256": item.sha256} for item in self.backups],
        }


class Backup:
    """A copy that lies in a backup directory: ``path``, ``sha256``, ``state`` against its tool's package: ``match``,
    ``mismatch``, ``unowned``, ``unknown``."""

    def __init__(self, path, sha256, state):
        self.path = path
        self.sha256 = sha256
        self.state = state


class Survey:
    """What :func:`survey` found: ``tools`` (list of :class:`Tool`), ``not_checked``, ``reasons`` (why the package
    database itself looks tampered with, sentences)."""

    def __init__(self):
        self.tools = []
        self.not_checked = []
        self.reasons = []


def survey(packages, host_root="/", tools=(), backup_directories=BACKUP_DIRECTORIES):
    """Look at the tools and the copies of them. Reads only.

    :param packages: :class:`packages.PackageDatabase` of ``host_root``.
    :param tools: names, looked for in the usual directories, or absolute paths; empty for :data:`TOOLS`. Whatever lies
        in a backup directory is looked at in any case.
    :return: a :class:`Survey`.
    """
    result = Survey()
    result.not_checked.extend(packages.gaps())
    names, copies = _backups(backup_directories, host_root, result.not_checked)
    asked = list(tools) or [name for name in TOOLS if name not in names]
    seen = {}
    for item in asked + names:
        paths = _places(packages, host_root, item)
        if not paths and (item in tools or item in names):
            result.not_checked.append(gap("tool '%s'" % text(item), "no package has it and it lies in none of %s"
                                          % ", ".join(PROGRAM_DIRECTORIES), "Give its absolute path in 'tools'."))
        for path in paths:
            if path not in seen:
                seen[path] = _look(packages, host_root, path, copies, result.not_checked)
        if paths and not item.startswith("/") and not any(seen[path].record for path in paths):
            # Something that nobody packaged lies elsewhere under this name: it must not hide that the real one is gone.
            for path in _packaged_places(packages, host_root, item):
                if path not in seen:
                    seen[path] = _look(packages, host_root, path, copies, result.not_checked)
    result.tools = [seen[path] for path in sorted(seen)]
    result.reasons = packages.suspect()
    return result


def judge(found, backup_directories=BACKUP_DIRECTORIES):
    """Return the findings on a :class:`Survey`.

    :param backup_directories: as given to :func:`survey`, for the remedy.
    """
    findings = []
    for tool in found.tools:
        about = subject("file", tool.path, package=tool.package and text(tool.package))
        remedy = {"module": "binary_restore", "args": {"state": "restored", "tools": [text(tool.path)]}}
        if tuple(backup_directories) != BACKUP_DIRECTORIES:
            remedy["args"]["backup_dirs"] = list(backup_directories)
        if tool.state == "mismatch":
            indicators = _indicators(tool)
            findings.append(finding(
                "binary_restore.trojaned", "malicious" if indicators else "suspicious",
                "critical" if indicators else "high", about,
                "%s is not what its package %s put there%s." % (
                    text(tool.path), text(tool.package), ": " + ", ".join(indicators) if indicators else ""),
                tool.describe(), _ATTACK, remedy))
        elif tool.state == "missing":
            findings.append(finding(
                "binary_restore.missing", "malicious" if tool.backups else "suspicious",
                "high" if tool.backups else "medium", about,
                "%s is missing although its package %s is installed%s." % (
                    text(tool.path), text(tool.package), " and a copy was moved aside" if tool.backups else ""),
                tool.describe(), _ATTACK, remedy))
        elif tool.state == "unowned":
            findings.append(finding(
                "binary_restore.unowned", "suspicious" if tool.backups else "undetermined",
                "high" if tool.backups else "low", about,
                "No package vouches for %s%s: whether it is genuine cannot be told." % (
                    text(tool.path), ", of which a copy was moved aside" if tool.backups else ""),
                tool.describe()))
        findings.extend(_unproven(tool, backup) for backup in tool.backups if backup.state != "match")
    if found.reasons:
        findings.append(finding(
            "binary_restore.database_suspect", "suspicious", "high", subject("host", "package database"),
            "The package database shows signs of tampering, so that equal digests prove little: %s%s" % (
                found.reasons[0], " And %d more." % (len(found.reasons) - 1) if len(found.reasons) > 1 else ""),
            {"reasons": [text(reason) for reason in found.reasons[:100]]}, ("T1565.001",)))
    return findings


def _indicators(tool):
    indicators = []
    if tool.backups:
        indicators.append("a copy was moved aside to %s" % text(tool.backups[0].path))
    if tool.wrapper:
        indicators.append("it is a script now")
    if tool.kind == "symlink":
        indicators.append("it is a link to %s now" % text(tool.target))
    return indicators


def _unproven(tool, backup):
    states = {"mismatch": "does not have the digest that %s recorded" % text(tool.package),
              "unowned": "cannot be compared: no package owns %s" % text(tool.path),
              "unknown": "cannot be compared: no digest is recorded for %s, or it cannot be read" % text(tool.path)}
    return finding(
        "binary_restore.backup_unproven", "suspicious", "high" if backup.state == "mismatch" else "medium",
        subject("file", backup.path, restores=text(tool.path)),
        "%s %s, and is not used to restore it." % (text(backup.path), states[backup.state]),
        {"sha256": backup.sha256, "state": backup.state, "tool": text(tool.path)}, ("T1036.005",))


def _backups(directories, host_root, not_checked):
    """Return ``(names of all copies, {name: [path]})`` of what lies in the backup directories."""
    copies = {}
    for directory in directories:
        try:
            descriptor, real = safe_files.open_directory(directory, host_root)
        except safe_files.FileMissing:
            continue
        except ResponseError as error:
            not_checked.append(gap(directory, error.message, error.hint))
            continue
        try:
            names = sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)
        if len(names) > _MAX_BACKUPS:
            not_checked.append(gap(directory, "it holds %d entries, only %d are looked at" % (len(names), _MAX_BACKUPS),
                                   "Name the tools in question in 'tools'."))
        for name in names[:_MAX_BACKUPS]:
            copies.setdefault(name, []).append(os.path.join(safe_files.path_text(real), name))
    return sorted(copies), copies


def _places(packages, host_root, tool):
    """Return the paths, without links in their directories, of a tool given by name or path."""
    if tool.startswith("/"):
        return [rooted_paths.resolve(tool, host_root)]
    found = [os.path.join(directory, tool) for directory in PROGRAM_DIRECTORIES]
    paths = [path for path in found if rooted_paths.status(path, host_root) is not None]
    if not paths:  # it may have been deleted
        return _packaged_places(packages, host_root, tool)
    return list(dict.fromkeys(rooted_paths.resolve(path, host_root) for path in paths))


def _packaged_places(packages, host_root, name):
    paths = [packages.location(record) for record in packages.named(name)
             if os.path.dirname(record.path) in PROGRAM_DIRECTORIES]
    return list(dict.fromkeys(rooted_paths.resolve(path, host_root) for path in paths))


def _look(packages, host_root, path, copies, not_checked):
    records = packages.records(path)
    tool = Tool(path, next((record for record in records if record.digest), records[0] if records else None))
    found = rooted_paths.status(path, host_root)
    digests = None
    if found is None:
        # A packaged link (dpkg records no target) cannot be put back from a copy; a file can.
        tool.state = "missing" if tool.record and tool.record.digest else "unknown"
    else:
        tool.kind = kind_of(found.st_mode)
        if stat.S_ISREG(found.st_mode):
            digests = Digests(lambda: safe_files.open_regular(path, host_root))
            tool.sha256 = _shown(digests)
            tool.wrapper = tool.name not in _SCRIPTS and _starts_as_script(path, host_root)
            tool.state = "mismatch" if packages.is_packaged_link(path) else packages.verify_digest(path, digests)
        else:
            tool.target = rooted_paths.link_target(path, host_root)
            tool.state = packages.verify(path)
    if tool.state == "mismatch" and packages.is_config(path):
        tool.state = "match"  # an administrator may change it; not a tool
    for copy in copies.get(tool.name, ()):
        tool.backups.append(_look_at_backup(packages, host_root, path, copy, not_checked))
    tool.backups = [backup for backup in tool.backups if backup is not None]
    if tool.state == "unknown" and packages.kind and not packages.gaps():
        not_checked.append(gap(path, _why_unknown(tool, digests), "Reinstall the package %s." % text(tool.package)
                               if tool.package else None))
    return tool


def _why_unknown(tool, digests):
    if digests is not None and digests("sha256") is None:
        return "it cannot be read"
    if tool.kind is None:
        return "it is missing, and its package %s records no digest of it" % text(tool.package)
    if tool.kind == "symlink":
        return "its package does not tell where the link should point, and does not vouch for %s, where it leads" % (
            text(tool.target))
    return "its package %s records no digest of it" % text(tool.package)


def _look_at_backup(packages, host_root, path, copy, not_checked):
    try:
        descriptor = safe_files.open_regular(copy, host_root)
    except ResponseError as error:
        if not isinstance(error, safe_files.FileMissing):
            not_checked.append(gap(copy, error.message, "Look at it by hand."))
        return None
    try:
        digests = Digests.of_content(descriptor)
        return Backup(copy, _shown(digests), packages.verify_digest(path, digests))
    finally:
        os.close(descriptor)


def _shown(digests):
    sha256 = digests("sha256")
    return None if sha256 == TOO_LARGE else sha256


def _starts_as_script(path, host_root):
    try:
        return safe_files.read_bytes(path, limit=2, host_root=host_root, truncate=True) == b"#!"
    except ResponseError:
        return False
