# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting a file in the place of another: by ourselves, or by a program of which it is expected."""

import base64
import contextlib
import hashlib
import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import inode_flags, safe_files
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_metadata import (
    apply_metadata,
    clear_blocking_flags,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import quarantine_tree
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_acts import Acts, busy
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_restore import temporary_name
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


class Replacement(Acts):
    """Replacing files; a part of :class:`quarantine.Quarantine`."""

    def replace(self, path, rule, reason, content=None, source=None, mode=None, uid=None, gid=None, xattrs=None):
        """Keep the original of a file, then put other bytes in its place by an atomic rename.

        What is not given is kept from the original, except immutable and append-only, capabilities and
        signatures, which belonged to the old bytes. Without an original: 0644, root, no attributes.

        :param content: the new bytes. :param source: or the host path of a regular file to copy; its times are kept.
        :param mode: permission bits. :param xattrs: dict name → bytes, replaces all attributes.
        :returns: id of the item.
        :raises ResponseError: it cannot be done; the original is in its place.
        """
        if (content is None) == (source is None):
            raise ValueError("give either content or source")
        with self._place(path) as (parent, name, real), self._store.locked():
            records = self._keep_original(parent, name, real)
            with self._new_bytes(content, source) as (stream, size, sha256, times):
                wanted = replacement_metadata(records[0] if records else None, mode, uid, gid, xattrs, times)
                item = self._begin("replace" if records else "create", parent, real, records, rule, reason,
                                   put_sha256=sha256, put_size=size)
                self._act(item, parent,
                          lambda: self._exchange(item, parent, name, real, records, stream, sha256, wanted))
            return item

    def expect(self, path, rule, reason):
        """Keep a file which another program is about to write, or note that there is none.

        Call :meth:`settle` when that program has written. Killed in between, the item can be restored whatever that
        program has done.

        :returns: id of the item.
        :raises ResponseError: it cannot be kept; the program must not write.
        """
        with self._place(path) as (parent, name, real), self._store.locked():
            records = self._keep_original(parent, name, real)
            item = self._begin("replace" if records else "create", parent, real, records, rule, reason, expected=True)
            self._spend(records)
            return item

    def settle(self, item):
        """Note what the other program has put in place of an expected item: only that can be taken back from now on.

        :returns: whether there is anything to be taken back.
        :raises ResponseError: unknown item, or it cannot be noted; the item can be restored all the same.
        """
        store = self._store_of(item)
        with store.locked():
            entry = self._settled(store, item, self._entry(store, item), write=True)
        return self._needed(store, item, entry)

    def _keep_original(self, parent, name, real):
        if self._lstat(parent, name, real) is None:
            if self._left == 0:
                raise self._ceiling(real)
            self._store.require_space(0)
            return []
        records = quarantine_tree.survey(parent, name, real, self._left)
        if records[0]["type"] == "directory":
            raise ResponseError("%s is a directory: it is not replaced by a file." % text(real))
        self._keep(parent, name, real, records)
        return records

    @contextlib.contextmanager
    def _new_bytes(self, content, source):
        """Give ``(descriptor or bytes, size, sha256, times or None)`` of what shall be put in place."""
        if content is not None:
            yield content, len(content), hashlib.sha256(content).hexdigest(), None
            return
        descriptor = safe_files.open_regular(source, self._host_root)
        try:
            found = os.fstat(descriptor)
            sha256 = safe_files.digest_descriptor(descriptor, "sha256", source)
            yield descriptor, found.st_size, sha256, (found.st_atime_ns, found.st_mtime_ns)
        finally:
            os.close(descriptor)

    @staticmethod
    def _exchange(item, parent, name, real, records, stream, sha256, wanted):
        temporary = temporary_name(item)
        if make_replacement(parent, temporary, stream, safe_files.MEBIBYTE) != sha256:
            raise ResponseError("The replacement for %s changed while it was copied." % text(real),
                                "Stop what is running on the host first, then run again.")
        if records:
            apply_metadata(parent, temporary, wanted, times=wanted["mtime_ns"] is not None)
            with _flags_for_other_names(parent, name, records[0]):
                clear_blocking_flags(parent, name)
                if not quarantine_tree.unchanged(parent, name, records[0]):
                    raise busy(real)
                os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        else:
            apply_metadata(parent, temporary, wanted, times=wanted["mtime_ns"] is not None)
            safe_files.settle(parent, temporary, name)


@contextlib.contextmanager
def _flags_for_other_names(parent, name, record):
    """Flags are cleared on the inode, which lives on under its other hard links: they get them back."""
    if record["type"] != "file" or record["nlink"] < 2 or not record["flags"] & inode_flags.BLOCKING:
        yield
        return
    descriptor = safe_files.open_at(parent, name)
    try:
        yield
        if os.fstat(descriptor).st_nlink and os.fstat(descriptor).st_ino == record["ino"]:
            inode_flags.set_flags(descriptor, record["flags"])
    finally:
        os.close(descriptor)
