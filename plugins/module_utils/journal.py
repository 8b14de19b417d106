# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The incident's journal on the controller: JSON Lines, each line carrying the hash of the one before.

A changed, inserted, moved or removed line breaks the chain. A chain alone does not show that its last
lines were cut off, so the newest line's number and hash are kept beside the journal as well. Who can
rewrite both files can forge both: the report prints the newest hash, to be noted somewhere else.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError

GENESIS = "0" * 64

_BLOCK = 64 * 1024


def canonical(entry):
    """Return the canonical JSON text of ``entry``: sorted keys, no blanks, ASCII only.

    :raises ResponseError: it holds something that JSON cannot express (NaN, bytes, a cycle).
    """
    try:
        return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ResponseError("A journal entry cannot be written as JSON: %s." % error)


def entry_hash(entry):
    """Return the SHA-256 (hex) over the canonical JSON of ``entry`` without its ``hash``."""
    bare = {key: value for key, value in entry.items() if key != "hash"}
    return hashlib.sha256(canonical(bare).encode("ascii")).hexdigest()


def head_path(path):
    """Return where the number and hash of the newest line of the journal ``path`` are kept."""
    return path + ".head"


def append(path, entry):
    """Append ``entry`` (a dict of JSON values) to the journal ``path`` and return its hash.

    ``seq`` (from 1), ``prev`` and ``hash`` are filled in here. Writers in several processes wait for
    each other; the line is on the disk when this returns. The file is made with mode 0600 and its
    directory with 0700. After a crash in the midst of a line the remains stay where they are, on a
    line of their own, and the chain goes on from the last whole line. After the newest lines were cut off
    or changed, the next line follows the one that is missing, so that the gap shows for good.

    :raises ResponseError: the entry is no JSON, or the journal cannot be written; then it is as before.
    """
    # Keys that are no strings sort differently before and after a round trip through JSON.
    entry = json.loads(json.dumps(entry)) if _has_odd_keys(entry) else dict(entry)
    directory = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _cannot("open", path, error)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = _regular_size(descriptor, path)
        unfinished, last = _newest_entry(descriptor, size)
        number, digest = _expected_end(_read_head(path), last)
        entry["seq"] = number + 1
        entry["prev"] = digest
        entry["hash"] = entry_hash(entry)
        line = canonical(entry).encode("ascii") + b"\n"
        if unfinished:
            line = b"\n" + line
        _write_whole(descriptor, line, size, path)
        if not size:
            _sync_directory(directory)
        _write_head(path, entry)
    except OSError as error:
        raise _cannot("write", path, error)
    finally:
        os.close(descriptor)
    return entry["hash"]


def read(path):
    """Return ``(entries, problems)`` of the journal ``path``.

    :returns: all lines that are JSON objects, in order, whether proven or not; and sentences that say
        which line is damaged, changed, missing or not whole. An empty list means that the chain holds.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            # A writer may be at it: never see half of its line.
            fcntl.flock(stream.fileno(), fcntl.LOCK_SH)
            _regular_size(stream.fileno(), path)
            content = stream.read()
            newest = _read_head(path)
    except OSError as error:
        return [], ["The journal cannot be read: %s." % error.strerror]
    except ResponseError as error:
        return [], [error.message]
    return _check(content, newest)


def verify(path):
    """Return the problems that :func:`read` finds in the journal ``path``; empty when the chain holds."""
    return read(path)[1]


def _check(content, newest):
    entries, problems = [], []
    previous, sequence = GENESIS, 0
    lines = content.split(b"\n")
    cut = lines[-1] != b""
    if not cut:
        lines.pop()
    for number, line in enumerate(lines, 1):
        entry = _parse(line)
        if cut and number == len(lines):
            problems.append("Line %d is not whole: the writer was interrupted or the end was removed." % number)
        elif entry is None:
            problems.append("Line %d is not a journal entry: it is damaged, or its writer was interrupted." % number)
        if entry is None:
            continue
        entries.append(entry)
        if entry_hash(entry) != entry["hash"]:
            problems.append("Line %d was changed after it was written: its content does not match its hash." % number)
        if entry["prev"] != previous or entry["seq"] != sequence + 1:
            problems.append("Line %d does not follow the line before it (number %d after %d): a line was changed, "
                            "removed, inserted or moved." % (number, entry["seq"], sequence))
        previous, sequence = entry["hash"], entry["seq"]
    # What is kept of the newest line is written after the line, so it may lag behind but never run ahead.
    if newest is not None and newest not in [(str(entry["seq"]), entry["hash"]) for entry in entries]:
        problems.append("The newest lines are missing or changed: number %s with hash %s was written, the journal "
                        "ends with number %d." % (newest + (sequence,)))
    return entries, problems


def _parse(line):
    """Return the entry on ``line`` (bytes) or ``None`` when it is none."""
    try:
        entry = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("hash"), str):
        return None
    if not isinstance(entry.get("prev"), str) or not isinstance(entry.get("seq"), int):
        return None
    return entry


def _refuse_constant(name):
    raise ValueError("%s is no JSON" % name)


def _finite(digits):
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError("%s is too large" % digits)
    return value


def _newest_entry(descriptor, size):
    """Return ``(whether the file ends in a line without its end, newest whole entry or None)``."""
    length = min(_BLOCK, size)
    while True:
        lines = os.pread(descriptor, length, size - length).split(b"\n")
        unfinished = lines[-1] != b""
        # The first piece may be the end of a longer line, unless the file begins there.
        for line in reversed(lines if length == size else lines[1:]):
            entry = _parse(line)
            if entry is not None:
                return unfinished, entry
        if length == size:
            return unfinished, None
        length = min(length * 4, size)


def _expected_end(kept, last):
    """Return ``(number, hash)`` of the line which the next one follows.

    Where lines were cut off since, that is the line which is gone: the new one shall not close the gap over them.
    """
    ending = (last["seq"], last["hash"]) if last else (0, GENESIS)
    if kept is not None and kept[0].isdigit() and len(kept[1]) == len(GENESIS):
        number = int(kept[0])
        if number > ending[0] or (number == ending[0] and kept[1] != ending[1]):
            return number, kept[1]
    return ending


def _write_whole(descriptor, line, old_size, path):
    try:
        written = 0
        while written < len(line):
            written += os.write(descriptor, line[written:])
        os.fsync(descriptor)
    except OSError as error:
        # Half a line on a full disk helps nobody.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, old_size)
        raise _cannot("write", path, error)


def _write_head(path, entry):
    temporary = "%s.%d" % (head_path(path), os.getpid())
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write("%d %s\n" % (entry["seq"], entry["hash"]))
    os.rename(temporary, head_path(path))


def _read_head(path):
    """Return ``(number, hash)`` of the newest line as texts, or ``None`` when they were not kept."""
    try:
        with open(head_path(path), encoding="ascii", errors="replace") as stream:
            number, _blank, digest = stream.read(256).strip().partition(" ")
    except FileNotFoundError:
        return None
    return number, digest


def _regular_size(descriptor, path):
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ResponseError("The journal %s is not a regular file." % path, "Move it away and run again.")
    return status.st_size


def _has_odd_keys(value):
    if isinstance(value, dict):
        return any(not isinstance(key, str) or _has_odd_keys(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return any(_has_odd_keys(item) for item in value)
    return False


def _sync_directory(directory):
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot(verb, path, error):
    hint = "Mend this on the controller, then run again: nothing may happen off the record."
    if error.errno == errno.ENOSPC:
        hint = "Free some space on the controller, then run again."
    return ResponseError("Cannot %s the journal %s: %s." % (verb, path, error.strerror or error), hint)
