# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host archive would hold: looked at without reading a file's content, following nothing."""

import fnmatch
import os
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import gap, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_metadata import read_metadata

# A folder filled on purpose must not fill our memory.
MAX_ENTRIES = 200000
MAX_DEPTH = 64


class Survey:
    """What would be archived: ``entries`` (dicts as in the manifest, sorted by path), ``bytes`` in regular files,
    ``omitted`` (``{"path", "reason"}`` of what is left out but was asked for)."""

    def __init__(self):
        self.entries = []
        self.bytes = 0
        self.omitted = []

    @property
    def files(self):
        """Number of regular files."""
        return sum(1 for entry in self.entries if entry["type"] == "file")

    def omit(self, path, reason):
        """Note that something is left out."""
        self.omitted.append({"path": text(path), "reason": text(reason)})

    def gaps(self):
        """Return what is left out as gaps."""
        return [gap("archive of %s" % item["path"], item["reason"],
                    "Name it in 'paths' with higher limits, or copy it by hand, when it matters.")
                for item in self.omitted]


class Surveyor:
    """Walks the paths of one choice.

    :param paths, exclude, homes, max_bytes, max_file_bytes, host_root: as for ``host_archive.HostArchive``.
    :param own: the quarantine's root, which is left out where it lies on the host itself.
    """

    def __init__(self, paths, exclude, homes, max_bytes, max_file_bytes, own, host_root="/"):
        self._paths = paths
        self._exclude = [pattern.rstrip("/") for pattern in exclude]
        self._homes = sorted(homes)
        self._max_bytes = max_bytes
        self._max_file_bytes = max_file_bytes
        self._own = own
        self._host_root = host_root

    def survey(self):
        """Look at everything that would be archived; return a :class:`Survey`. Reads no file's content.

        :raises ResponseError: there is nothing, or more than ``max_bytes`` or :data:`MAX_ENTRIES`.
        """
        found = Survey()
        seen = set()
        for pattern in self._paths:
            for path in self._expand(found, pattern):
                self._visit(found, seen, path)
        found.entries.sort(key=lambda entry: entry["path"])
        if not found.entries:
            raise ResponseError("There is nothing to archive: none of the paths exists or can be read.",
                                "Check 'paths' and 'exclude'.")
        if found.bytes > self._max_bytes:
            largest = sorted((entry for entry in found.entries if entry["type"] == "file"),
                             key=lambda entry: -entry["size"])[:5]
            raise ResponseError(
                "The archive would hold %d bytes, more than max_bytes=%d: nothing was written."
                % (found.bytes, self._max_bytes),
                "Raise max_bytes, or exclude what need not be kept. The largest: %s." % ", ".join(
                    "%s (%d)" % (text(entry["path"]), entry["size"]) for entry in largest))
        return found

    def _expand(self, found, pattern):
        """Return the paths that a pattern stands for, patterns of directories expanded without following links."""
        if pattern.startswith("~/"):
            return [path for home in self._homes for path in self._expand(found, home.rstrip("/") + pattern[1:])]
        if not pattern.startswith("/"):
            raise ResponseError("'%s' in paths is not absolute." % text(pattern), "Begin it with '/' or '~/'.")
        paths = [""]
        for part in [part for part in pattern.split("/") if part not in ("", ".")]:
            if not re.search(r"[*?\[]", part):
                paths = [path + "/" + part for path in paths]
                continue
            paths = [path + "/" + name for path in paths for name in self._names(path or "/")
                     if fnmatch.fnmatchcase(name, part)]
        return [path or "/" for path in paths]

    def _names(self, path):
        try:
            descriptor, unused = safe_files.open_directory(path, self._host_root)
        except ResponseError:
            return []
        try:
            return sorted(_listed(descriptor))
        finally:
            os.close(descriptor)

    def _visit(self, found, seen, top):
        """Add a path and all below it; a directory of another file system is not entered."""
        try:
            descriptor, name, real = safe_files.open_parent(top, self._host_root)
        except safe_files.FileMissing:
            return
        except ResponseError as error:
            found.omit(top, str(error))
            return
        try:
            real = safe_files.path_text(real)
            entry = self._entry(found, seen, descriptor, name, real)
        finally:
            os.close(descriptor)
        pending = [(real, 0)] if entry and entry["type"] == "directory" else []
        while pending:
            path, depth = pending.pop()
            try:
                descriptor, unused = safe_files.open_directory(path, self._host_root)
            except ResponseError as error:
                found.omit(path, str(error))
                continue
            try:
                device = os.fstat(descriptor).st_dev
                for name in sorted(_listed(descriptor)):
                    child = path.rstrip("/") + "/" + name
                    entry = self._entry(found, seen, descriptor, safe_files.path_bytes(name), child)
                    if entry is None or entry["type"] != "directory":
                        continue
                    if entry["dev"] != device:
                        found.omit(child, "it is another file system")
                    elif depth >= MAX_DEPTH:
                        found.omit(child, "it lies more than %d folders deep" % MAX_DEPTH)
                    else:
                        pending.append((child, depth + 1))
            except OSError as error:
                found.omit(path, error.strerror)
            finally:
                os.close(descriptor)

    def _entry(self, found, seen, directory, name, path):
        """Add one entry and return it, ``None`` when it is left out, gone or already there."""
        if path in seen or self._is_excluded(path):
            return None
        try:
            entry = read_metadata(directory, name)
        except FileNotFoundError:
            return None
        except (OSError, ResponseError) as error:
            found.omit(path, str(error))
            return None
        seen.add(path)
        if len(seen) > MAX_ENTRIES:
            raise ResponseError("There are more than %d files to archive, the last was %s: nothing was written."
                                % (MAX_ENTRIES, text(path)), "Exclude the folder that is so full.")
        entry["path"] = path
        if entry["type"] == "file":
            if entry["size"] > self._max_file_bytes:
                found.omit(path, "it has %d bytes, more than max_file_bytes=%d" % (entry["size"], self._max_file_bytes))
                return None
            found.bytes += entry["size"]
        found.entries.append(entry)
        return entry

    def _is_excluded(self, path):
        if self._host_root == "/" and (path + "/").startswith(self._own + "/"):
            return True
        return any(fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, pattern + "/*")
                   for pattern in self._exclude)


def _listed(descriptor):
    """Return a directory's names as :func:`safe_files.path_text` has them.

    Python 3.6 in the C locale lists them otherwise.
    """
    return [safe_files.path_text(os.fsencode(name)) for name in os.listdir(descriptor)]
