# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The form of a host archive, and its proof: a gzipped tar whose last member names every other one with its hash.

``host/<path>`` is a file of the host (pax format, POSIX.1-2001; extended attributes as ``SCHILY.xattr.*`` records,
which GNU tar and bsdtar put back), ``manifest.json`` the list. It stands last, since the hashes are only known then.
Used on the host that writes it and on the controller that checks it; nothing is ever unpacked here.
"""

import gzip
import hashlib
import json
import struct
import tarfile
import zlib

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text

FORMAT = 1
PREFIX = "host/"
MANIFEST = "manifest.json"

# A manifest has some 300 bytes an entry. More than this is no manifest but an attack on the controller's memory.
MANIFEST_LIMIT = 256 * 1024 * 1024
# As much may come out of the archive at most, whatever its size: a hostile host may send a bomb.
UNPACKED_LIMIT = 64 * 1024 * 1024 * 1024
# tarfile reads a member's extended header in one piece.
_READ_LIMIT = 64 * 1024 * 1024
_CHUNK = 1024 * 1024

_BROKEN = (OSError, EOFError, zlib.error, tarfile.TarError, ValueError, KeyError, IndexError, TypeError, AttributeError,
           OverflowError, struct.error)


def member_name(path):
    """Return the name that a host path (str, lone surrogates for bytes that are no UTF-8) has in the archive."""
    return PREFIX + path.lstrip("/")


def verify_archive(path, unpacked_limit=UNPACKED_LIMIT):
    """Read a whole archive and hold every member against the manifest.

    :param path: of the archive, on this machine.
    :returns: dict ``entries`` (all that the manifest lists), ``files`` (regular files with their bytes), ``bytes`` (in
        them), ``changed`` (paths that were written to while they were read), ``omitted`` (list of ``{"path",
        "reason"}``), ``incident``, ``created`` (ISO 8601), ``sha256`` and ``size`` of the archive itself.
    :raises ResponseError: it is damaged, cut off, or not what its manifest says.
    """
    try:
        with open(path, "rb") as raw:
            source = _Hashing(raw)
            members, manifest = _read(source, unpacked_limit)
            # What stands behind the gzip stream would not be covered by anything.
            if raw.read(1):
                raise ResponseError("there are bytes behind its end")
            return _compare(members, manifest, source)
    except ResponseError as error:
        raise _refused(path, error.message)
    except _BROKEN as error:
        raise _refused(path, "%s: %s" % (type(error).__name__, error))


def _refused(path, reason):
    return ResponseError("The archive %s cannot be trusted: %s." % (text(path), text(reason).rstrip(".")),
                         "Remove it (host_archive with state=absent) and take the snapshot again.")


def _read(source, unpacked_limit):
    members = {}
    manifest = None
    with gzip.GzipFile(fileobj=source) as plain:
        bounded = _Bounded(plain, unpacked_limit)
        with tarfile.open(fileobj=bounded, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                archive.members = []
                if manifest is not None:
                    raise ResponseError("members stand behind the manifest")
                if member.name == MANIFEST and member.isreg():
                    if member.size > MANIFEST_LIMIT:
                        raise ResponseError("its manifest is too large")
                    manifest = json.loads(archive.extractfile(member).read().decode("utf-8"))
                    continue
                if member.name in members:
                    raise ResponseError("it holds %s twice" % member.name)
                members[member.name] = _member(archive, member)
        # The rest is padding; reading it to the end also checks the checksum of gzip.
        while True:
            rest = bounded.read(_CHUNK)
            if not rest:
                break
            if rest.strip(b"\0"):
                raise ResponseError("there are bytes behind its last member")
    if manifest is None:
        raise ResponseError("it has no manifest: it was cut off while it was written")
    return members, manifest


def _member(archive, member):
    """Return ``(kind, size, sha256 or link's target)`` of a member."""
    if member.isdir():
        return "directory", 0, None
    if member.issym():
        return "symlink", 0, member.linkname
    if member.isfifo():
        return "fifo", 0, None
    if member.isblk():
        return "block device", 0, None
    if member.ischr():
        return "character device", 0, None
    if not member.isreg() or member.issparse():
        raise ResponseError("%s is of a kind that no archive of ours holds" % member.name)
    state = hashlib.sha256()
    stream = archive.extractfile(member)
    size = 0
    while True:
        chunk = stream.read(_CHUNK)
        if not chunk:
            return "file", size, state.hexdigest()
        state.update(chunk)
        size += len(chunk)


def _compare(members, manifest, source):
    if manifest["format"] != FORMAT:
        raise ResponseError("its format %s is not known here" % manifest["format"])
    summary = {"entries": len(manifest["entries"]), "files": 0, "bytes": 0, "changed": [],
               "omitted": manifest["omitted"], "incident": manifest["incident"], "created": manifest["created"],
               "sha256": source.state.hexdigest(), "size": source.size}
    for entry in manifest["entries"]:
        name = entry.get("member")
        if name is None:
            continue
        # Each member is taken out once: a second entry for the same one is refused like a missing one.
        found = members.pop(name, None)
        if found is None:
            raise ResponseError("%s is missing in it" % name)
        wanted = {"file": (entry["type"], entry["size"], entry.get("sha256")),
                  "symlink": (entry["type"], 0, entry.get("target"))}.get(entry["type"], (entry["type"], 0, None))
        if found != wanted:
            raise ResponseError("%s is not what the manifest says" % name)
        if entry["type"] == "file":
            summary["files"] += 1
            summary["bytes"] += entry["size"]
            if entry.get("changed"):
                summary["changed"].append(entry["path"])
    if members:
        raise ResponseError("%s is not in its manifest" % sorted(members)[0])
    return summary


class _Hashing:
    """A readable that hashes what goes through it."""

    def __init__(self, stream):
        self._stream = stream
        self.state = hashlib.sha256()
        self.size = 0

    def read(self, size=-1):
        chunk = self._stream.read(size)
        self.state.update(chunk)
        self.size += len(chunk)
        return chunk


class _Bounded:
    """A readable that ends a bomb, be it one huge read or many."""

    def __init__(self, stream, limit):
        self._stream = stream
        self._left = limit

    def read(self, size):
        if size > _READ_LIMIT:
            raise ResponseError("one of its headers is too large")
        chunk = self._stream.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise ResponseError("far more comes out of it than an archive holds")
        return chunk
