# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file or directory tree as a flat list of records, and the way back to each of them by descriptors.

A record is that of ``host/file_metadata.py`` plus ``path`` (below the top, ``""`` for the top itself),
for files ``sha256`` and, where a file is a further hard link within the tree, ``link_to`` (path of the first).
"""

import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_metadata import read_metadata
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import (
    explain,
    lstat_at,
    open_at,
    path_bytes,
    path_text,
)

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# One descriptor is held for each level while walking; deeper is no honest tree.
MAX_DEPTH = 64


def survey(parent, name, path, ceiling=None):
    """Return the records of an entry and of all below it, each directory before what it holds.

    :param parent: descriptor of the directory that holds the entry. :param name: bytes.
    :param path: for messages. :param ceiling: number of records at which to give up.
    :raises ResponseError: more than ``ceiling``, nested too deep, a mount point inside, or not readable.
    """
    records = []
    links = {}
    try:
        _visit(parent, name, "", path, ceiling, records, links, 0)
    except OSError as error:
        raise explain(error, path) from error
    return records


def holder(parent, name, relative):
    """Open the directory that holds the record ``relative`` of the tree ``name``.

    :returns: ``(descriptor, name as bytes)``; the caller closes the descriptor.
    :raises OSError: a directory on the way is gone or was exchanged.
    """
    parts = [name] + [path_bytes(part) for part in relative.split("/") if part]
    descriptor = os.dup(parent)
    try:
        for part in parts[:-1]:
            inner = open_at(descriptor, part, _DIRECTORY)
            os.close(descriptor)
            descriptor = inner
    except OSError:
        os.close(descriptor)
        raise
    return descriptor, parts[-1]


def unchanged(directory, name, record):
    """Tell whether an entry still is the very inode of its record, with the same size and modification time."""
    found = lstat_at(directory, name)
    return found is not None and (found.st_dev, found.st_ino) == (record["dev"], record["ino"]) and (
        record["type"] == "directory"
        or (found.st_size, found.st_mtime_ns) == (record["size"], record["mtime_ns"]))


def _visit(directory, name, relative, path, ceiling, records, links, depth):
    if ceiling is not None and len(records) >= ceiling:
        raise ResponseError("%s holds more than the %d files that this run may still move." % (text(path), ceiling),
                            "Look at it, then raise max_files if it is right.")
    if depth > MAX_DEPTH:
        raise ResponseError("%s is nested deeper than %d directories." % (text(path), MAX_DEPTH))
    record = read_metadata(directory, name)
    record["path"] = relative
    records.append(record)
    if record["type"] == "file" and record["nlink"] > 1:
        first = links.setdefault((record["dev"], record["ino"]), relative)
        if first != relative:
            record["link_to"] = first
    if record["type"] != "directory":
        return
    inner = open_at(directory, name, _DIRECTORY)
    try:
        if os.fstat(inner).st_dev != os.fstat(directory).st_dev:
            raise ResponseError("%s is or holds a mount point: %s." % (text(path), text(name)),
                                "Unmount it first (/proc/self/mountinfo tells what it is), then run again.")
        for entry in sorted(os.fsencode(item) for item in os.listdir(inner)):
            below = path_text(entry)
            _visit(inner, entry, relative + "/" + below if relative else below,
                   path, ceiling, records, links, depth + 1)
    finally:
        os.close(inner)
