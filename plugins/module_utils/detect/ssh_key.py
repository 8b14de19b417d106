# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which keys can log in, where they lie, and which of them nobody has vouched for."""

import os
import re
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import finding, gap, subject, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    accounts,
    authorized_keys,
    inode_flags,
    public_key,
    redis_dump,
    safe_files,
    sshd_config,
)

# A Redis told to save here may have saved all its data: sshd reads on behind it, and so must we.
FILE_LIMIT = 64 * safe_files.MEBIBYTE

# What can become of a key that was found, the first that holds.
STATUSES = ("allowed", "connection", "dump", "unlisted", "unknown")

_CREDENTIALS = "T1098.004"
_NSSWITCH = "/etc/nsswitch.conf"
_LOCAL_SERVICES = ("files", "compat", "systemd", "altfiles", "db", "mymachines", "dynamic")


class KeyFile:
    """One file that sshd may read keys from.

    ``path``: host path without links, str. ``accounts``: names of those that it lets in (empty: no account of
    /etc/passwd). ``kind``: ``keys`` or ``authorities`` (TrustedUserCAKeys). ``effective``: a configuration names it.
    ``content``, ``lines``, ``dumps``: as :mod:`authorized_keys` reads them. ``flags``: inode flags.
    ``status``: line number of a key → one of :data:`STATUSES`, after :func:`judge`.
    """

    def __init__(self, path, kind, content, flags=0, mode=0o600):
        self.path = path
        self.kind = kind
        self.accounts = []
        self.effective = False
        self.content = content
        self.lines = authorized_keys.parse(content)
        self.dumps = authorized_keys.find_dumps(content, self.lines)
        self.flags = flags
        self.mode = mode
        self.status = {}

    @property
    def keys(self):
        """The lines that are keys."""
        return [line for line in self.lines if line.kind == "key"]

    def in_dump(self, line):
        """Whether a line lies in the bytes of a dump."""
        return authorized_keys.in_dump(line, self.dumps)

    def key_subject(self, line):
        """Return the finding's subject for one of its key lines."""
        return subject("key", line.key.fingerprint, file=text(self.path), line=line.number,
                       accounts=[text(name) for name in self.accounts])


class Survey:
    """All that was found: ``files``, ``findings`` that need no allow-list, ``gaps``; ``other_sources``: whether sshd
    may take keys that lie in no file; ``authorities``: fingerprints in TrustedUserCAKeys."""

    def __init__(self):
        self.files = []
        self.findings = []
        self.gaps = []
        self.other_sources = False
        self.authorities = set()

    def files_of(self, names):
        """Return the key files that let one of the accounts in; of an unknown account those that are nobody's, too."""
        known = {name for item in self.files for name in item.accounts}
        return [item for item in self.files if item.kind == "keys" and (
            set(names) & set(item.accounts) or (not item.accounts and not set(names) <= known))]


def survey(database, host_root="/", proc_root="/proc", names=None):
    """Read every file with keys; return a :class:`Survey`.

    :param database: :class:`accounts.AccountDatabase`.
    :param names: only these accounts; all when empty.
    :raises ResponseError: an account of ``names`` is not in /etc/passwd.
    """
    result = Survey()
    wanted = _wanted(database, names)
    configs = [sshd_config.load(host_root)] + sshd_config.load_running(host_root, proc_root)
    for config in configs:
        for path, reason in config.unread:
            result.gaps.append(gap("sshd configuration %s" % text(path), reason,
                                   "AuthorizedKeysFile or Match lines in it are not known."))
    places = {}
    # Of all accounts, so that each file knows everybody whom it lets in.
    for account in database.accounts:
        groups = database.groups_of(account)
        named = [path for config in configs for path in config.key_files(account, groups)]
        # Also the usual places that the configuration does not name: one line of it makes them count again.
        usual = [accounts.home_file(account, name) for name in sshd_config.DEFAULT_KEY_FILES]
        for path in named + [path for path in usual if path is not None]:
            owners, effective = places.get(path, ([], False))
            places[path] = (owners + [account.name] if account.name not in owners else owners,
                            effective or path in named)
    if names:
        chosen = {account.name for account in wanted}
        places = {path: place for path, place in places.items() if chosen & set(place[0])}
    else:
        for path in _ownerless(database, host_root):
            places.setdefault(path, ([], False))
        _name_services(result, host_root)
    seen = {}
    for path, (owners, effective) in places.items():
        _take(result, seen, path, "keys", owners, effective, host_root)
    for config in configs:
        _other_sources(result, seen, config, host_root)
    for item in result.files:
        # Last, when it is known whom each file lets in.
        result.findings.extend(_file_findings(item))
    return result


def judge(found, allowed, connection):
    """Give each key of a :class:`Survey` its status and return the findings about keys.

    :param allowed: set of fingerprints, empty when there is no allow-list.
    :param connection: :class:`ssh_connection.Connection`.
    """
    findings = []
    for item in found.files:
        for line in item.keys:
            item.status[line.number] = _status(item, line, allowed, connection)
            findings.extend(_key_findings(item, line, connection, bool(allowed)))
    return findings


def listing(found):
    """Return every key that was found as a list of dicts of JSON values for the module's result."""
    return [dict(_observables(item, line), fingerprint=line.key.fingerprint, file=text(item.path),
                 line=line.number, kind=item.kind, status=item.status.get(line.number))
            for item in found.files for line in item.keys]


def _wanted(database, names):
    if not names:
        return database.accounts
    wanted = []
    for name in names:
        account = database.by_name(name)
        if account is None:
            raise ResponseError("There is no account '%s' in /etc/passwd." % text(name),
                                "Leave 'accounts' out to look at all of them.")
        wanted.append(account)
    return wanted


def _ownerless(database, host_root):
    """Return the key files of folders in /home that are no account's: accounts of a directory service, or deleted."""
    homes = {accounts.home_file(account, "") for account in database.accounts}
    try:
        descriptor, real = safe_files.open_directory("/home", host_root)
    except ResponseError:
        return []
    try:
        entries = sorted(safe_files.path_text(os.fsencode(name)) for name in os.listdir(descriptor))
    finally:
        os.close(descriptor)
    return ["/home/%s/%s" % (entry, name) for entry in entries if "/home/" + entry not in homes
            for name in sshd_config.DEFAULT_KEY_FILES]


def _name_services(result, host_root):
    try:
        content = safe_files.read_bytes(_NSSWITCH, host_root=host_root)
    except ResponseError:
        return
    found = re.search(rb"(?m)^[ \t]*passwd:([^#\n]*)", content)
    words = re.sub(r"\[[^]]*\]", " ", text(found.group(1))).split() if found else []
    others = [word for word in words if word not in _LOCAL_SERVICES]
    if others:
        result.gaps.append(gap("accounts of %s" % ", ".join(others), "they are not in /etc/passwd",
                               "Their keys in /home were looked at, those in other places were not."))


def _take(result, seen, path, kind, owners, effective, host_root):
    """Read one file into the survey, under its real path only once."""
    try:
        directory, name, real = safe_files.open_parent(path, host_root)
    except safe_files.FileMissing:
        return
    except ResponseError as error:
        _unreadable(result, path, owners, str(error))
        return
    try:
        real = safe_files.path_text(real)
        if real not in seen:
            seen[real] = _read(result, directory, name, real, kind, owners)
    finally:
        os.close(directory)
    item = seen[real]
    if item is not None:
        item.accounts.extend(name for name in owners if name not in item.accounts)
        item.effective = item.effective or effective


def _read(result, directory, name, path, kind, owners):
    try:
        found = safe_files.lstat_at(directory, name)
        if found is None:
            return None
        if not stat.S_ISREG(found.st_mode):
            _not_regular(result, directory, name, path, found, owners)
            return None
        descriptor = safe_files.open_regular_at(directory, name, path)
        try:
            content = safe_files.read_descriptor(descriptor, FILE_LIMIT, path)
            flags = inode_flags.get_flags(descriptor)
        finally:
            os.close(descriptor)
    except (ResponseError, OSError) as error:
        _unreadable(result, path, owners, str(error))
        return None
    item = KeyFile(path, kind, content, flags, found.st_mode)
    result.files.append(item)
    return item


def _unreadable(result, path, owners, reason):
    result.findings.append(finding(
        "ssh_key.unreadable", "undetermined", "medium", subject("file", path, accounts=[text(name) for name in owners]),
        "Keys may lie in %s, which was not read." % text(path), {"reason": text(reason)}, [_CREDENTIALS]))
    result.gaps.append(gap("keys in %s" % text(path), reason, "Look at it by hand."))


def _not_regular(result, directory, name, path, found, owners):
    observables = {"mode": oct(found.st_mode), "uid": found.st_uid}
    if stat.S_ISLNK(found.st_mode):
        observables["target"] = text(os.readlink(name, dir_fd=directory))
        message = "%s is a symbolic link. sshd follows it; this run does not: it may lead anywhere." % text(path)
    else:
        message = "%s is neither a regular file nor missing." % text(path)
    result.findings.append(finding(
        "ssh_key.link", "suspicious", "high", subject("file", path, accounts=[text(owner) for owner in owners]),
        message, observables, [_CREDENTIALS]))
    result.gaps.append(gap("keys in %s" % text(path), "it is no regular file",
                           "Look at what it leads to by hand, and put a regular file in its place."))


def _file_findings(item):
    findings = []
    about = subject("file", item.path, accounts=[text(name) for name in item.accounts])
    for dump in item.dumps:
        findings.append(finding(
            "ssh_key.redis_dump", "malicious", "critical", about,
            "%s holds a Redis dump: a Redis was told to save its data there, to bring a key in." % text(item.path),
            {"magic": dump.magic, "start": dump.start, "end": dump.end, "end_proven": dump.complete,
             "size": len(item.content)},
            [_CREDENTIALS, "T1190"], {"module": "ssh_key_revoke", "args": {"state": "revoked"}}))
        for line in item.lines:
            if line.kind == "other" and dump.start <= line.start < dump.end:
                findings.extend(_embedded(item, line, about))
    if item.flags & inode_flags.BLOCKING:
        findings.append(finding(
            "ssh_key.immutable", "suspicious", "high", about,
            "%s is immutable or append-only (chattr): intruders guard their keys so." % text(item.path),
            {"flags": item.flags}, [_CREDENTIALS, "T1222.002"]))
    if item.mode & 0o022:
        findings.append(finding(
            "ssh_key.writable", "weak", "medium", about,
            "Others than the owner may write to %s." % text(item.path), {"mode": oct(stat.S_IMODE(item.mode))},
            [_CREDENTIALS]))
    binary = [line.number for line in item.lines
              if line.kind == "other" and not item.in_dump(line) and redis_dump.is_binary(line.raw)]
    if binary:
        findings.append(finding(
            "ssh_key.binary", "suspicious", "medium", about,
            "%s holds binary bytes that were not typed by an operator." % text(item.path), {"lines": binary[:50]},
            [_CREDENTIALS]))
    odd = [line.number for line in item.lines
           if line.kind == "other" and not item.in_dump(line) and line.number not in binary]
    if odd:
        findings.append(finding(
            "ssh_key.odd_line", "undetermined", "low", about,
            "%s has lines that are neither key nor comment; sshd skips them." % text(item.path), {"lines": odd[:50]}))
    return findings


def _embedded(item, line, about):
    for key in authorized_keys.embedded_keys(line):
        yield finding(
            "ssh_key.in_dump", "malicious", "high", dict(about, key=key.fingerprint),
            "A key stands amidst the bytes of the dump in %s; sshd does not take it there." % text(item.path),
            {"fingerprint": key.fingerprint, "line": line.number, "usable": False}, [_CREDENTIALS])


def _other_sources(result, seen, config, host_root):
    """Report what lets keys or certificates in beside the files of the accounts."""
    for setting in config.anywhere("TrustedUserCAKeys"):
        path = setting.values[0]
        if path.startswith("/"):
            _take(result, seen, path, "authorities", [], True, host_root)
    result.authorities.update(line.key.fingerprint for item in result.files if item.kind == "authorities"
                              for line in item.keys)
    for keyword in ("AuthorizedKeysCommand", "AuthorizedPrincipalsCommand"):
        for setting in config.anywhere(keyword):
            result.other_sources = True
            result.findings.append(finding(
                "ssh_key.command", "suspicious", "medium", subject("file", setting.path),
                "sshd asks a program for keys or names that may log in: %s." % text(setting.values[0]),
                {"keyword": keyword, "command": text(" ".join(setting.values)), "line": setting.line,
                 "match": [text(" ".join(condition)) for condition in setting.conditions]},
                [_CREDENTIALS, "T1556"]))
            result.gaps.append(gap("keys from %s" % text(setting.values[0]), "the program of %s is not run" % keyword,
                                   "Ask the service behind it which keys it gives out, and check the program itself."))
    for setting in config.anywhere("AuthorizedPrincipalsFile"):
        result.gaps.append(gap("names in %s" % text(setting.values[0]),
                               "certificates for other names than the account's may log in by it (%s line %d)"
                               % (text(setting.path), setting.line),
                               "Look at the files by hand."))


def _status(item, line, allowed, connection):
    if public_key.is_among(line.key, allowed):
        return "allowed"
    if connection.carries(line.key):
        return "connection"
    if item.in_dump(line):
        return "dump"
    return "unlisted" if allowed else "unknown"


def _observables(item, line):
    options = {}
    for name, value in line.options:
        options.setdefault(text(name), True if value is None else value)
    return {
        "type": text(line.key.type), "bits": line.key.bits, "comment": text(line.comment), "options": options,
        "usable": authorized_keys.lets_in(line), "in_dump": item.in_dump(line), "effective": item.effective,
        "accounts": [text(name) for name in item.accounts],
    }


def _key_findings(item, line, connection, have_list):
    status = item.status[line.number]
    about = item.key_subject(line)
    observables = _observables(item, line)
    where = "%s line %d" % (text(item.path), line.number)
    remedy = {"module": "ssh_key_revoke", "args": {"state": "revoked"}} if item.kind == "keys" else None
    signs = item.kind == "authorities" or authorized_keys.is_certificate_authority(line)
    kind = "certificate authority" if signs else "key"
    if status == "allowed":
        forced = [name for name, value in line.options if name in ("command", "environment")]
        if not forced:
            return []
        return [finding("ssh_key.forced", "undetermined", "low", about,
                        "The allowed key in %s runs something else than a shell (%s)." % (where, ", ".join(forced)),
                        observables, [_CREDENTIALS])]
    if status == "connection":
        observables["connection"] = connection.describe()
        verdict, severity = ("suspicious", "high") if have_list or item.in_dump(line) else ("undetermined", "info")
        why = "it is not on the allow-list" if have_list else "there is no allow-list"
        return [finding("ssh_key.connection", verdict, severity, about,
                        "The %s in %s carries the present connection and is never revoked, though %s."
                        % (kind, where, why), observables, [_CREDENTIALS])]
    if status == "dump":
        return [finding("ssh_key.in_dump", "malicious", "critical", about,
                        "The %s in %s lies within a Redis dump: it was brought in through Redis." % (kind, where),
                        observables, [_CREDENTIALS], remedy)]
    if status == "unlisted":
        return [finding("ssh_key.not_allowed", "suspicious", "high", about,
                        "The %s in %s is not on the allow-list." % (kind, where), observables, [_CREDENTIALS], remedy)]
    return [finding("ssh_key.unknown", "undetermined", "medium", about,
                    "There is no allow-list to tell whether the %s in %s is wanted." % (kind, where), observables,
                    [_CREDENTIALS], remedy)]
