# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file that takes the place of a replaced one: which metadata it gets, and how its bytes are written."""

import base64
import hashlib
import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import inode_flags
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_store import write_all

# These vouch for the old bytes. The kernel drops capabilities itself when a file is written to.
_OF_THE_BYTES = ("security.capability", "security.ima", "security.evm")

_DEFAULTS = {"type": "file", "mode": 0o644, "uid": 0, "gid": 0, "xattrs": {}, "flags": 0}


def replacement_metadata(original, mode, uid, gid, xattrs, times):
    """Return the record (``host/file_metadata.py``) for the new file.

    :param original: record of the replaced entry or ``None``. :param xattrs: dict name → bytes or ``None``.
    :param times: ``(atime_ns, mtime_ns)``, or ``None`` for those of now.
    """
    record = dict(_DEFAULTS)
    if original is not None and original["type"] == "file":
        record.update({key: original[key] for key in ("mode", "uid", "gid")})
        record["xattrs"] = {name: value for name, value in original["xattrs"].items() if name not in _OF_THE_BYTES}
        record["flags"] = original["flags"] & ~inode_flags.BLOCKING
    if mode is not None:
        record["mode"] = mode
    if uid is not None:
        record["uid"] = uid
    if gid is not None:
        record["gid"] = gid
    if xattrs is not None:
        record["xattrs"] = {name: base64.b64encode(value).decode("ascii") for name, value in xattrs.items()}
    record["atime_ns"], record["mtime_ns"] = times if times is not None else (None, None)
    return record


def make_replacement(directory, name, stream, chunk_size):
    """Write the new bytes to a fresh file (0600), sync it, and return their sha256.

    :param stream: bytes, or a descriptor that is read from its start.
    :raises OSError: it cannot be made or written; the caller rolls back.
    """
    state = hashlib.sha256()
    target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600,
                     dir_fd=directory)
    try:
        if isinstance(stream, bytes):
            state.update(stream)
            write_all(target, stream)
        else:
            os.lseek(stream, 0, os.SEEK_SET)
            while True:
                chunk = os.read(stream, chunk_size)
                if not chunk:
                    break
                state.update(chunk)
                write_all(target, chunk)
        os.fsync(target)
        return state.hexdigest()
    finally:
        os.close(target)
