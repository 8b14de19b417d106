# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths that a pattern stands for on a host: brace sets, globs, homes and regular expressions, all bounded.

No link is followed that others than root could have placed, and a directory that cannot be read
becomes a gap rather than an empty answer.
"""

import fnmatch
import os
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import gap
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files

# A directory in which an intruder has laid out more names than this is not searched to its end.
MAX_NAMES = 50000
MAX_MATCHES = 1000

_GLOB = re.compile(r"[*?\[]")
_BRACES = re.compile(r"\{([^{}]*)\}")
_REGEX_DIRECTORY = re.compile(r"\^?((?:/[A-Za-z0-9_-]+)+)/(?=[^/]+\Z)")


def expand_braces(pattern):
    """Return the patterns without brace sets: ``/a{b,c}`` → ``/ab``, ``/ac``; an empty member is one too."""
    found = _BRACES.search(pattern)
    if not found:
        return [pattern]
    result = []
    for member in found.group(1).split(","):
        result.extend(expand_braces(pattern[:found.start()] + member + pattern[found.end():]))
    return list(dict.fromkeys(result))


def is_literal(pattern):
    """Tell whether a pattern without brace sets stands for just one path."""
    return not _GLOB.search(pattern) and not pattern.startswith("~")


def regex_directory(regex):
    """Return the directory in which a regular expression looks, or ``None`` when that is not plain to see.

    Only the last component may be an expression: ``^/usr/bin/[a-z]{10}$`` looks in ``/usr/bin``.
    """
    found = _REGEX_DIRECTORY.match(regex)
    return found.group(1) if found else None


class PathFinder:
    """Finds the paths of patterns on one host.

    :param homes: home directories for ``~/``, absolute host paths.
    ``gaps``: what could not be searched (:func:`finding.gap`).
    """

    def __init__(self, host_root="/", homes=()):
        self._host_root = host_root
        self._homes = list(dict.fromkeys(home.rstrip("/") for home in homes if home.startswith("/") and home != "/"))
        self.gaps = []

    def find(self, pattern):
        """Return the existing paths (str) of a pattern with brace sets, globs and ``~/``, sorted."""
        found = []
        for single in expand_braces(pattern):
            starts = [home + single[1:] for home in self._homes] if single.startswith("~/") else [single]
            for start in starts:
                found.extend(self._glob(start))
        return self._bounded(sorted(dict.fromkeys(found)), pattern)

    def find_regex(self, regex):
        """Return the existing paths that a regular expression matches whole; see :func:`regex_directory`."""
        directory = regex_directory(regex)
        compiled = re.compile(regex)
        found = [directory + "/" + name for name in self._names(directory)]
        return self._bounded(sorted(path for path in found if compiled.match(path)), regex)

    def names(self, directory):
        """Return the names (str) in a directory, sorted; none when it does not exist."""
        return sorted(self._names(directory))

    def _glob(self, pattern):
        head = "/"
        parts = [part for part in pattern.split("/") if part]
        bases = [head]
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            if not _GLOB.search(part):
                bases = [base.rstrip("/") + "/" + part for base in bases]
                continue
            matcher = re.compile(fnmatch.translate(part))
            bases = [base.rstrip("/") + "/" + name for base in bases for name in self._names(base)
                     # As in a shell, a leading dot wants to be named.
                     if matcher.match(name) and (part.startswith(".") or not name.startswith("."))]
            if not last and len(bases) > MAX_MATCHES:
                bases = self._bounded(bases, pattern)
        return [path for path in bases if self._exists(path)]

    def _exists(self, path):
        try:
            return safe_files.lstat(path, self._host_root) is not None
        except ResponseError as error:
            self._add_gap(path, error.message, error.hint)
            return False

    def _names(self, directory):
        try:
            descriptor, unused = safe_files.open_directory(directory, self._host_root)
        except safe_files.FileMissing:
            return []
        except ResponseError as error:
            # What is no directory holds nothing; a link that others can turn is another matter.
            if "not a directory" not in error.message:
                self._add_gap(directory, error.message, error.hint)
            return []
        try:
            names = os.listdir(descriptor)
        except OSError as error:
            self._add_gap(directory, error.strerror, None)
            return []
        finally:
            os.close(descriptor)
        if len(names) > MAX_NAMES:
            self._add_gap(directory, "it holds %d names, of which %d were looked at" % (len(names), MAX_NAMES),
                          "Search it by hand.")
            names = sorted(names)[:MAX_NAMES]
        return [safe_files.path_text(os.fsencode(name)) for name in names]

    def _bounded(self, paths, pattern):
        if len(paths) > MAX_MATCHES:
            self._add_gap(pattern, "it matches %d paths, of which %d were looked at" % (len(paths), MAX_MATCHES),
                          "Search by hand.")
        return paths[:MAX_MATCHES]

    def _add_gap(self, what, reason, hint):
        entry = gap(what, reason, hint)
        if entry not in self.gaps:
            self.gaps.append(entry)
