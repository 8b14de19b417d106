# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every act on a file goes through, whatever is done: keep the bytes, journal what will be done (synced), do it,
journal that it is done. An act that fails is rolled back at once.
"""

import contextlib
import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import inode_flags
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import (
    explain,
    lstat_at,
    open_parent,
    open_regular_at,
    path_text,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import quarantine_store, quarantine_tree
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_items import Items
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_restore import temporary_name

# A file that is being written is copied again this often before it is given up.
COPY_TRIES = 3


class Acts(Items):
    """The items, and what is needed to add one: see :class:`quarantine.Quarantine` for the parameters."""

    def __init__(self, incident, root, host_root, max_files):
        super().__init__(root, host_root)
        self.incident = incident
        self._store = quarantine_store.Store(root, incident)
        self._left = max_files

    @contextlib.contextmanager
    def _place(self, path):
        parent, name, real = open_parent(path, self._host_root)
        try:
            if os.fstatvfs(parent).f_flag & os.ST_RDONLY:
                raise ResponseError("%s lies on a read-only file system: nothing was changed." % text(real),
                                    "Remount it read-write (look at the kernel log for disk errors first), "
                                    "then run again.")
            yield parent, name, real
        finally:
            os.close(parent)

    @staticmethod
    def _lstat(parent, name, path):
        try:
            return lstat_at(parent, name)
        except OSError as error:
            raise explain(error, path) from error

    def _ceiling(self, path):
        return ResponseError("%s was not moved: the ceiling of files for this run is reached." % text(path),
                             "Look at what was found, then raise max_files if it is right.")

    def _spend(self, records):
        if self._left is not None:
            self._left -= max(1, len(records))

    def _keep(self, parent, name, real, records):
        if self._left is not None and len(records) > self._left:
            raise self._ceiling(real)
        files = [record for record in records if record["type"] == "file"]
        self._store.require_space(sum(record["size"] for record in files if "link_to" not in record))
        kept = {}
        for record in files:
            if "link_to" in record:
                record["sha256"] = kept[record["link_to"]]
                continue
            self._keep_file(parent, name, real, record)
            kept[record["path"]] = record["sha256"]

    def _keep_file(self, parent, name, real, record):
        for _attempt in range(COPY_TRIES):
            try:
                directory, leaf = quarantine_tree.holder(parent, name, record["path"])
                try:
                    descriptor = open_regular_at(directory, leaf, real)
                finally:
                    os.close(directory)
            except OSError as error:
                raise explain(error, real) from error
            try:
                before = os.fstat(descriptor)
                if (before.st_dev, before.st_ino) != (record["dev"], record["ino"]):
                    break
                record["sha256"], record["size"] = self._store.add(descriptor, real)
                after = os.fstat(descriptor)
                record["mtime_ns"] = after.st_mtime_ns
                if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, record["size"]):
                    return
            finally:
                os.close(descriptor)
        raise busy(real)

    def _begin(self, operation, parent, real, records, rule, reason, **fields):
        entries, unused = self._store.journal.read()
        self._drop_temporaries(entries)
        last = max([int(item.rpartition(".")[2]) for item in entries] or [0])
        item = "%s.%04d" % (self.incident, last + 1)
        found = os.fstat(parent)
        self._store.journal.append(
            item, "begin", operation=operation, path=path_text(real), rule=rule, reason=text(reason), entries=records,
            parent={"mtime_ns": found.st_mtime_ns, "atime_ns": found.st_atime_ns,
                    "flags": inode_flags.get_flags(parent)}, **fields)
        return item

    def _drop_temporaries(self, entries):
        """Unlink what a replacement that was killed before its rename left beside the file."""
        for item, entry in entries.items():
            if entry["state"] != "interrupted" or entry["begin"]["operation"] == "remove":
                continue
            try:
                parent, _name, _real = open_parent(entry["begin"]["path"], self._host_root)
            except ResponseError:
                continue
            try:
                os.unlink(temporary_name(item), dir_fd=parent)
            except OSError:
                # Gone already, or the directory was made immutable: the undo of that item tries again.
                continue
            finally:
                os.close(parent)

    def _act(self, item, parent, act):
        try:
            flags = inode_flags.clear_flags(parent, inode_flags.BLOCKING)
        except (OSError, ResponseError) as error:
            # Nothing was done yet, and a roll-back would fail at the same.
            self._abort(item, error)
        try:
            act()
            os.fsync(parent)
            inode_flags.set_flags(parent, flags)
        except (OSError, ResponseError) as error:
            self._roll_back(item, error)
        entry = self._entry(self._store, item)
        self._spend(entry["begin"]["entries"])
        try:
            self._store.journal.append(item, "done", parent_mtime_ns=os.fstat(parent).st_mtime_ns)
        except ResponseError as error:
            raise ResponseError("%s was dealt with, but the quarantine's journal cannot tell so: %s"
                                % (text(entry["begin"]["path"]), error.message),
                                "The item %s can be restored all the same." % item) from error

    def _roll_back(self, item, error):
        entry = self._entry(self._store, item)
        path = entry["begin"]["path"]
        reason = explain(error, path) if isinstance(error, OSError) else error
        try:
            with self._undo(self._store, item, entry) as undo:
                undo.roll_back()
        except (ResponseError, OSError) as failure:
            raise ResponseError(
                "%s; what had been done to %s could not be taken back at once: %s"
                % (reason.message, text(path), failure),
                "Mend the cause, then restore the quarantine item %s." % item) from error
        self._abort(item, reason)

    def _abort(self, item, error):
        reason = error
        if isinstance(error, OSError):
            reason = explain(error, self._entry(self._store, item)["begin"]["path"])
        self._store.journal.append(item, "aborted", reason=text(reason.message))
        entries, unused = self._store.journal.read()
        self._drop_objects(self._store, entries, item)
        raise reason from error


def busy(path):
    """Return the ResponseError about a path that somebody else is changing."""
    return ResponseError("%s is being changed by somebody: nothing was removed." % text(path),
                         "Stop the processes that write there first (deleted_exe, malware_artifact with state=frozen).")
