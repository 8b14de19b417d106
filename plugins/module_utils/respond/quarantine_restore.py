# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting one quarantined item back: first everything is checked, then everything is done.

An item whose act (or whose undo) was interrupted may be half there: what is there and is the same
stays, the rest is put back, so that an undo can be repeated until it has come to its end.
"""

import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import inode_flags
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_metadata import (
    NODES,
    apply_blocking_flags,
    apply_metadata,
    apply_plain_flags,
    clear_blocking_flags,
    kind_of,
    read_metadata,
    same_metadata,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import (
    MEBIBYTE,
    digest_descriptor,
    explain,
    lstat_at,
    open_regular_at,
    path_bytes,
    settle,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import quarantine_tree
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_expected import put_in_place
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_store import write_all


def temporary_name(item):
    """Return the name (bytes) under which a file of ``item`` is made before it takes its place."""
    return path_bytes(".ecsops-%s.tmp" % item)


class Restore:
    """The undo of one item.

    :param store: of the item's incident. :param item: id.
    :param entry: of :meth:`Journal.read`. :param parent: descriptor of the directory that held it.
    """

    def __init__(self, store, item, entry, parent):
        self._store = store
        self._item = item
        self._begin = entry["begin"]
        self._done = entry["done"]
        self._first_try = entry["restoring"]
        self._interrupted = entry["state"] in ("interrupted", "restoring")
        self._parent = parent
        self._name = path_bytes(os.path.basename(self._begin["path"]))
        self._path = self._begin["path"]
        self._records = self._begin["entries"]
        self._expected = self._begin.get("expected", False)
        self._put_sha256, self._put_size = put_in_place(entry)
        self._rolling_back = False

    def roll_back(self):
        """Take back an act that has just failed: what it removed comes back, what is there stays as it is."""
        self._rolling_back = True
        self.act(self.parent_state())

    def check(self):
        """Raise ResponseError when the item cannot be put back without loss: nothing is touched."""
        try:
            if self._begin["operation"] == "remove":
                self._check_removed()
            else:
                self._check_replaced()
            size = 0
            for record in self._records:
                if record["type"] == "file" and "link_to" not in record:
                    os.close(self._store.open_verified(record["sha256"]))
                    size += record["size"]
            if self._expected and self._is_ours() and self.needed():
                self._store.require_space(self._put_size)
            found = os.fstatvfs(self._parent)
        except OSError as error:
            raise explain(error, self._path) from error
        if found.f_flag & os.ST_RDONLY:
            raise ResponseError("%s lies on a read-only file system: nothing was put back." % text(self._path),
                                "Remount it read-write, then run again.")
        if size and found.f_bavail * found.f_frsize < size:
            raise ResponseError("There is no room to put %s back (%d KiB)." % (text(self._path), size // 1024 + 1),
                                "Free some space, then run again.")

    def needed(self):
        """Tell whether there is anything to do: a write that was expected may not have come."""
        if not self._expected or self._interrupted:
            return True
        try:
            if self._records:
                return not self._is_original()
            return lstat_at(self._parent, self._name) is not None
        except OSError as error:
            raise explain(error, self._path) from error

    def parent_state(self):
        """Return what the journal must know of the parent directory before the act, for a repeated undo."""
        if self._first_try:
            return {key: self._first_try[key] for key in ("parent_flags", "keep_mtime")}
        found = os.fstat(self._parent)
        flags = inode_flags.get_flags(self._parent) & inode_flags.BLOCKING
        if self._interrupted:
            flags |= self._begin["parent"]["flags"] & inode_flags.BLOCKING
        # When others have worked in the directory since, its time tells of that and stays.
        keep = self._done is None or found.st_mtime_ns == self._done["parent_mtime_ns"]
        return {"parent_flags": flags, "keep_mtime": keep}

    def act(self, parent_state):
        """Put everything back. :param parent_state: of :meth:`parent_state`, as journaled."""
        try:
            inode_flags.clear_flags(self._parent, inode_flags.BLOCKING)
            self._drop(self._parent, temporary_name(self._item))
            if self._begin["operation"] == "remove":
                self._put_back_tree()
            else:
                self._keep_expected()
                self._put_back_replaced()
            os.fsync(self._parent)
            self._put_back_parent(parent_state)
        except OSError as error:
            raise explain(error, self._path) from error

    # -- checks

    def _check_removed(self):
        if not self._interrupted:
            if lstat_at(self._parent, self._name) is not None:
                raise self._appeared(self._path)
            return
        for record in self._records:
            try:
                directory, leaf = quarantine_tree.holder(self._parent, self._name, record["path"])
            except FileNotFoundError:
                continue
            try:
                if lstat_at(directory, leaf) is not None and not self._same(directory, leaf, record):
                    raise self._appeared(os.path.join(self._path, record["path"]).rstrip("/"))
            finally:
                os.close(directory)

    def _check_replaced(self):
        if lstat_at(self._parent, self._name) is None or self._is_ours():
            return
        if self._interrupted and not self._records:
            # Its act never came to the exchange: a file that has no original stays whoever's it is.
            return
        if (self._interrupted or self._expected) and self._records \
                and self._same(self._parent, self._name, self._records[0]):
            return
        raise self._changed_since()

    def _changed_since(self):
        if self._expected:
            return ResponseError("%s was written again since: it is not overwritten, as what is newer in "
                                 "it would be lost." % text(self._path),
                                 "Move the present file away if the one of before shall come back.")
        return ResponseError("%s was changed after it had been replaced: it is not overwritten." % text(self._path),
                             "Move the present file away if the original shall come back.")

    def _appeared(self, path):
        return ResponseError("%s exists again: it is not overwritten." % text(path),
                             "Move it away if the quarantined one shall come back.")

    def _is_ours(self):
        found = lstat_at(self._parent, self._name)
        if found is None or kind_of(found.st_mode) != "file" or found.st_size != self._put_size:
            return False
        return self._digest(self._parent, self._name) == self._put_sha256

    def _is_original(self):
        return (self._same(self._parent, self._name, self._records[0])
                and same_metadata(read_metadata(self._parent, self._name), self._records[0]))

    def _same(self, directory, leaf, record):
        found = lstat_at(directory, leaf)
        if found is None or kind_of(found.st_mode) != record["type"]:
            return False
        if record["type"] == "file":
            return found.st_size == record["size"] and self._digest(directory, leaf) == record["sha256"]
        if record["type"] == "symlink":
            return os.readlink(leaf, dir_fd=directory) == path_bytes(record["target"])
        return "rdev" not in record or found.st_rdev == record["rdev"]

    def _digest(self, directory, leaf):
        descriptor = open_regular_at(directory, leaf, self._path)
        try:
            return digest_descriptor(descriptor, "sha256", self._path)
        finally:
            os.close(descriptor)

    # -- acts

    def _put_back_tree(self):
        for record in self._records:
            directory, leaf = quarantine_tree.holder(self._parent, self._name, record["path"])
            try:
                self._put_back_entry(directory, leaf, record)
            finally:
                os.close(directory)
        # Making an entry changes its directory's times, and an immutable directory takes none: from the inside out.
        for finish in (self._finish_directory, self._finish_flags):
            for record in reversed(self._records):
                directory, leaf = quarantine_tree.holder(self._parent, self._name, record["path"])
                try:
                    finish(directory, leaf, record)
                finally:
                    os.close(directory)

    def _put_back_entry(self, directory, leaf, record):
        if record["path"]:
            self._drop(directory, temporary_name(self._item))
        if lstat_at(directory, leaf) is not None:
            if self._may_mend(directory, leaf, record):
                clear_blocking_flags(directory, leaf)
                apply_metadata(directory, leaf, record)
        elif "link_to" in record:
            first, first_leaf = quarantine_tree.holder(self._parent, self._name, record["link_to"])
            try:
                os.link(first_leaf, leaf, src_dir_fd=first, dst_dir_fd=directory, follow_symlinks=False)
            finally:
                os.close(first)
        elif record["type"] == "directory":
            os.mkdir(leaf, 0o700, dir_fd=directory)
        elif record["type"] == "file":
            temporary = temporary_name(self._item)
            self._make(directory, temporary, record)
            settle(directory, temporary, leaf)
        else:
            self._make(directory, leaf, record)

    def _finish_directory(self, directory, leaf, record):
        if record["type"] == "directory" and self._may_mend(directory, leaf, record):
            clear_blocking_flags(directory, leaf)
            apply_metadata(directory, leaf, record)

    def _may_mend(self, directory, leaf, record):
        if same_metadata(read_metadata(directory, leaf), record):
            return False
        # A roll-back finds what somebody has just changed: that is why the act failed.
        return not self._rolling_back or self._same(directory, leaf, record)

    def _finish_flags(self, directory, leaf, record):
        if not self._rolling_back or self._same(directory, leaf, record):
            apply_blocking_flags(directory, leaf, record)

    def _keep_expected(self):
        """What another program wrote may exist nowhere else: it is kept before it is taken away."""
        if not self._expected or not self._is_ours() or not self.needed():
            return
        descriptor = open_regular_at(self._parent, self._name, self._path)
        try:
            if self._store.add(descriptor, self._path)[0] != self._put_sha256:
                raise self._changed_since()
        finally:
            os.close(descriptor)

    def _put_back_replaced(self):
        ours = self._is_ours()
        if not self._records:
            if ours:
                clear_blocking_flags(self._parent, self._name)
                os.unlink(self._name, dir_fd=self._parent)
            return
        record = self._records[0]
        if self._rolling_back and not ours:
            if quarantine_tree.unchanged(self._parent, self._name, record):
                apply_blocking_flags(self._parent, self._name, record)
            return
        if not self._is_original():
            temporary = temporary_name(self._item)
            self._make(self._parent, temporary, record)
            clear_blocking_flags(self._parent, self._name)
            os.rename(temporary, self._name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
        apply_blocking_flags(self._parent, self._name, record)

    def _make(self, directory, leaf, record):
        if record["type"] == "symlink":
            os.symlink(path_bytes(record["target"]), leaf, dir_fd=directory)
        elif record["type"] in NODES:
            os.mknod(leaf, NODES[record["type"]] | 0o600, record.get("rdev", 0), dir_fd=directory)
        else:
            self._make_file(directory, leaf, record)
        apply_metadata(directory, leaf, record)

    def _make_file(self, directory, leaf, record):
        source = self._store.open_verified(record["sha256"])
        try:
            target = os.open(leaf, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600,
                             dir_fd=directory)
            try:
                apply_plain_flags(directory, leaf, record)
                while True:
                    chunk = os.read(source, MEBIBYTE)
                    if not chunk:
                        break
                    write_all(target, chunk)
                os.fsync(target)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _put_back_parent(self, state):
        recorded = self._begin["parent"]
        if state["keep_mtime"] and os.fstat(self._parent).st_mtime_ns != recorded["mtime_ns"]:
            os.utime(self._parent, ns=(recorded["atime_ns"], recorded["mtime_ns"]))
        flags = inode_flags.get_flags(self._parent)
        inode_flags.set_flags(self._parent, flags | state["parent_flags"])

    @staticmethod
    def _drop(directory, leaf):
        if lstat_at(directory, leaf) is not None:
            clear_blocking_flags(directory, leaf)
            os.unlink(leaf, dir_fd=directory)
