# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signs that somebody else than dpkg wrote into dpkg's database.

Only what dpkg itself never leaves behind: a false alarm here would keep the operator's own binaries
from being restored. None of them proves the contrary, an intruder who knows them avoids them.
"""

import collections
import os
import re
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import rooted_paths
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import (
    lstat_at,
    path_bytes,
    path_text,
)

# dpkg renames the control files of a package into place within moments of each other.
_SLACK_SECONDS = 3600

# Of a line of a list, and of a line of md5sums.
_PROGRAM = re.compile(rb"/(?:usr/)?s?bin/[^/]+\Z")
_PROGRAM_DIGEST = re.compile(rb"([0-9a-f]{32}) [ *](?:\./|/)?(?:usr/)?s?bin/([^/]+)\Z")

# Debian's and Ubuntu's own packages all carry digests since debhelper does it for them; other vendors' may not.
_DISTRIBUTION = re.compile(rb"^Maintainer:.*@(?:[a-z0-9.-]+\.)?(?:debian\.org|ubuntu\.com|canonical\.com)\b",
                           re.MULTILINE)


# Two packages may well carry the same little wrapper script; a bot that put itself in the place of several tools, and
# its digest in the place of theirs, shows in more.
_PACKAGES_SHARING_A_PROGRAM = 3


def find(database, package=None):
    """Return ``[(package or None for the whole database, sentence)]``.

    :param database: a :class:`package_dpkg.DpkgDatabase`.
    :param package: look only for what concerns this one, as its list is named; the whole database's signs are told in
        any case. Of the others only what they share with it is read.
    """
    directory = database.open_info()
    if directory is None:
        return [(None, "dpkg's status names packages, but /var/lib/dpkg/info is missing.")]
    if package is None:
        database.digest_texts()  # each is asked for more than once
    try:
        owner = os.fstat(directory).st_uid
        files = _control_files(directory, package)
    finally:
        os.close(directory)
    reasons = _foreign_files(files, owner)
    reasons.extend(_lists_against_status(database, package))
    reasons.extend(late_digests(files))
    reasons.extend(_missing_digests(database, package))
    reasons.extend(_one_digest_for_all(database, package))
    reasons.extend(_shared_programs(database, package))
    return reasons


def _asked(names, package):
    """Return those of ``names`` that are to be looked at, in order."""
    if package is None:
        return sorted(names)
    return [package] if package in names else []


def _control_files(directory, only):
    """Return ``{package: {suffix: stat}}`` of the directory ``info``."""
    files = collections.defaultdict(dict)
    for name in os.listdir(directory):
        package, dot, suffix = name.rpartition(".")
        if not dot or only not in (None, package):
            continue
        found = lstat_at(directory, path_bytes(name))
        if found is not None:  # else a dpkg is at work
            files[package][suffix] = found
    return files


def _foreign_files(files, owner):
    reasons = []
    for package, own in sorted(files.items()):
        for suffix in ("list", "md5sums"):
            if suffix not in own:
                continue
            found, name = own[suffix], "%s.%s" % (text(package), suffix)
            if not stat.S_ISREG(found.st_mode):
                reasons.append((package, "/var/lib/dpkg/info/%s is not a regular file." % name))
            elif found.st_uid != owner or found.st_mode & 0o022:
                reasons.append((package, "/var/lib/dpkg/info/%s can be written by others than its owner (uid %d, mode "
                                         "%04o)." % (name, found.st_uid, stat.S_IMODE(found.st_mode))))
    return reasons


def _lists_against_status(database, only):
    known = database.packages()
    listed = set(database.list_names())
    reasons = [(package, "%s has a list of files, but status does not know it: no dpkg left that behind."
                % text(package)) for package in _asked(listed, only) if package not in known]
    for package in _asked(known, only):
        # Under its plain name and with the architecture: the latter has exactly one colon.
        if ":" in package and database.is_installed(package) and not listed & {package, package.split(":")[0]}:
            reasons.append((package, "%s is installed, but its list of files is missing." % text(package)))
    return reasons


def late_digests(files):
    """Return the signs of digests rewritten after the unpacking.

    :param files: ``{package: {suffix of the control file: stat_result}}``.
    """
    reasons = []
    for package, own in sorted(files.items()):
        if "md5sums" not in own or "list" not in own:
            continue
        # mtime comes from the archive and is set at will; ctime is the kernel's.
        latest = max(max(found.st_ctime, found.st_mtime) for suffix, found in own.items() if suffix != "md5sums")
        late = own["md5sums"].st_ctime - latest
        if late > _SLACK_SECONDS:
            reasons.append((package, "The digests of %s were written %d hours after the package was unpacked."
                            % (text(package), late // 3600)))
    return reasons


def _missing_digests(database, only):
    reasons = []
    for package in _asked(database.list_names(), only):
        programs = [found.group() for found in _programs(_PROGRAM, database.list_text(package))]
        if not programs or not database.is_installed(package):
            continue
        digests = database.digest_text(package)
        if not digests:
            if _DISTRIBUTION.search(database.packages()[package]):
                reasons.append((package, "The digests of %s are missing, although its distributor always supplies "
                                         "them." % text(package)))
            continue
        for path in programs:
            if b" " + path[1:] + b"\n" in digests or path + b"\n" in digests:
                continue
            if path in database.conffiles(package) or not _is_regular(database, package, path):
                continue
            reasons.append((package, "%s records no digest of %s, a regular file: its line was removed, or a link was "
                                     "replaced by a file." % (text(package), text(path))))
    return reasons


def _is_regular(database, package, path):
    """Tell whether the very file that ``package`` put at ``path`` is a regular one."""
    where = database.diverted_to(path_text(path), package)
    found = rooted_paths.status(where, database.host_root)
    return found is not None and stat.S_ISREG(found.st_mode)


def _one_digest_for_all(database, only):
    reasons = []
    for package in _asked(database.list_names(), only):
        if package not in database.packages():
            continue
        content = database.digest_text(package)
        lines = content.count(b"\n")
        if lines >= 3 and content.count(content[:32]) == lines:
            reasons.append((package, "All %d digests of %s are one and the same." % (lines, text(package))))
    return reasons


def _shared_programs(database, only):
    """Reasons are told of packages by their plain name, without the architecture."""
    wanted = None
    if only is not None:
        own = [name for name in database.list_names() if name.split(":")[0] == only and name in database.packages()]
        wanted = {found.group(1) for name in own for found in _programs(_PROGRAM_DIGEST, database.digest_text(name))}
        if not wanted:
            return []
    sharing = collections.defaultdict(dict)
    for package, content in database.digest_texts().items():
        for found in _programs(_PROGRAM_DIGEST, content):
            digest, name = found.groups()
            if wanted is None or digest in wanted:
                sharing[digest].setdefault(name, package.split(":")[0])
    reasons = []
    for _digest, names in sorted(sharing.items()):
        packages = sorted(set(names.values()))
        if len(packages) >= _PACKAGES_SHARING_A_PROGRAM and len(names) >= _PACKAGES_SHARING_A_PROGRAM:
            told = "%s of the packages %s have one and the same digest." % (
                ", ".join(text(name) for name in sorted(names)), ", ".join(text(package) for package in packages))
            reasons.extend((package, told) for package in packages)
    return reasons


def _programs(expression, content):
    """Yield the match of each line that is a program's.

    A plain search finds the few lines in question much sooner than the expression itself would.
    """
    at = content.find(b"bin/")
    while at != -1:
        end = content.find(b"\n", at)
        end = len(content) if end == -1 else end
        found = expression.match(content, content.rfind(b"\n", 0, at) + 1, end)
        if found:
            yield found
        at = content.find(b"bin/", end)
