# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing and replacing files so that it can be taken back: bytes, owner, mode, times, attributes, flags.

Each act goes: keep the bytes, journal what will be done (synced), do it, journal that it is done. A
process that is killed anywhere leaves the old state, or an item which :meth:`Quarantine.restore` puts
back. An act that fails is rolled back at once. Formats: docs/quarantine.md.
"""

import contextlib
import hashlib
import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import inode_flags
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_metadata import (
    apply_metadata,
    clear_blocking_flags,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import (
    MEBIBYTE,
    FileMissing,
    digest_descriptor,
    explain,
    lstat_at,
    open_at,
    open_parent,
    open_regular,
    open_regular_at,
    path_text,
    settle,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import quarantine_store, quarantine_tree
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_replacement import (
    make_replacement,
    replacement_metadata,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_restore import (
    Restore,
    temporary_name,
)

DEFAULT_ROOT = quarantine_store.DEFAULT_ROOT

# No indicator is right that wants one of these away.
PROTECTED_DIRECTORIES = frozenset((
    "/bin", "/boot", "/dev", "/dev/shm", "/etc", "/etc/cron.d", "/etc/init.d", "/etc/systemd", "/etc/systemd/system",
    "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root", "/root/.ssh", "/run", "/sbin", "/srv",
    "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/local", "/usr/local/bin", "/usr/local/lib",
    "/usr/local/sbin", "/usr/sbin", "/usr/share", "/var", "/var/lib", "/var/lib/dpkg", "/var/lib/rpm", "/var/log",
    "/var/run", "/var/spool", "/var/spool/cron", "/var/spool/cron/crontabs", "/var/tmp", "/var/www",
))

# A file that is being written is copied again this often before it is given up.
COPY_TRIES = 3


class Quarantine:
    """The quarantine of one host, seen from one incident.

    :param incident: id of the incident that new items belong to, a plain name.
    :param root: folder on the running system, made with mode 0700 at the first act.
    :param host_root: where the host's root lies; all paths of items are below it.
    :param max_files: how many files this object may remove or replace in all, ``None`` for no limit.
    :raises ResponseError: ``incident`` is no plain name, or ``root`` is not absolute.
    """

    def __init__(self, incident, root=DEFAULT_ROOT, host_root="/", max_files=None):
        self.root = root
        self.incident = incident
        self._host_root = host_root
        self._store = quarantine_store.Store(root, incident)
        self._left = max_files

    def evidence_directory(self):
        """Make the incident's folder for evidence (0700) when needed and return its path."""
        self._store.prepare()
        path = os.path.join(self._store.directory, "evidence")
        quarantine_store.private_directory(path)
        return path

    def measure(self, path, ceiling=None):
        """Return ``(entries, bytes)`` that :meth:`remove` would move. Touches nothing.

        :param ceiling: give up when there are more entries. :raises ResponseError: as :meth:`remove` would.
        """
        with self._place(path) as (parent, name, real):
            self._refuse_protected(parent, name, real)
            records = quarantine_tree.survey(parent, name, real, ceiling)
        return len(records), sum(record["size"] for record in records if record["type"] == "file")

    def require_space(self, size):
        """Raise ResponseError unless ``size`` bytes can be kept. Touches nothing."""
        self._store.require_space(size)

    def remove(self, path, rule, reason):
        """Move a file, directory tree, symbolic link, FIFO, socket or device node into the quarantine.

        :param path: host path, str or bytes. :param rule: rule id of the finding. :param reason: for the operator.
        :returns: id of the item.
        :raises FileMissing: there is nothing. :raises ResponseError: it cannot be kept or removed; nothing is changed.
        """
        with self._place(path) as (parent, name, real):
            self._refuse_protected(parent, name, real)
            with self._store.locked():
                records = quarantine_tree.survey(parent, name, real, self._left)
                self._keep(parent, name, real, records)
                item = self._begin("remove", parent, real, records, rule, reason)
                self._act(item, parent, lambda: self._unlink_tree(parent, name, real, records))
                return item

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
            records = []
            if self._lstat(parent, name, real) is not None:
                records = quarantine_tree.survey(parent, name, real, self._left)
                if records[0]["type"] == "directory":
                    raise ResponseError("%s is a directory: it is not replaced by a file." % text(real))
                self._keep(parent, name, real, records)
            elif self._left == 0:
                raise self._ceiling(real)
            with self._new_bytes(content, source) as (stream, size, sha256, times):
                self._store.require_space(0)
                wanted = replacement_metadata(records[0] if records else None, mode, uid, gid, xattrs, times)
                item = self._begin("replace" if records else "create", parent, real, records, rule, reason,
                                   put_sha256=sha256, put_size=size)
                self._act(item, parent,
                          lambda: self._exchange(item, parent, name, real, records, stream, sha256, wanted))
            return item

    def items(self, incident=None):
        """Return what the quarantine holds and held, in the order in which it was done.

        :param incident: of this incident only; ``None`` for all.
        :returns: list of dicts ``item``, ``incident``, ``state`` (``quarantined``, ``interrupted`` (restorable too),
            ``restored``, ``purged``), ``operation`` (``remove``, ``replace``, ``create``), ``path``, ``type``, ``size``
            (bytes), ``sha256`` (files), ``files`` (number of entries), ``hard_links`` (others share the inode when
            above 1), ``flags``, ``rule``, ``reason``, ``time`` (ISO 8601, UTC), ``put_sha256`` (what was put there).
        """
        names = [incident] if incident is not None else quarantine_store.incidents(self.root)
        result = []
        for name in names:
            entries, unused = quarantine_store.Store(self.root, name).journal.read()
            result.extend(_describe(name, item, entry) for item, entry in entries.items()
                          if entry["state"] != "aborted")
        return result

    def damaged_lines(self, incident=None):
        """Return ``[(journal path, line number)]`` of lines that are no journal lines, of one incident or all."""
        names = [incident] if incident is not None else quarantine_store.incidents(self.root)
        result = []
        for name in names:
            journal = quarantine_store.Store(self.root, name).journal
            result.extend((journal.path, number) for number in journal.read()[1])
        return result

    def incidents(self):
        """Return the ids of the incidents that the quarantine knows."""
        return quarantine_store.incidents(self.root)

    def check_restore(self, item):
        """Return whether :meth:`restore` would change something; raise ResponseError as it would. Touches nothing."""
        store = self._store_of(item)
        entry = self._entry(store, item)
        if _in_place(entry):
            return False
        with self._undo(store, item, entry) as undo:
            undo.check()
        return True

    def restore(self, item):
        """Put an item back exactly as it was.

        :returns: ``False`` when it is in its place already, ``True`` after having put it there.
        :raises ResponseError: unknown or purged item, something has appeared in its place since, or the
            kept bytes are damaged. Nothing is overwritten; what was begun can be tried again.
        """
        store = self._store_of(item)
        self._entry(store, item)
        with store.locked():
            entry = self._entry(store, item)
            if _in_place(entry):
                return False
            with self._undo(store, item, entry) as undo:
                undo.check()
                state = undo.parent_state()
                store.journal.append(item, "restoring", **state)
                undo.act(state)
            store.journal.append(item, "restored")
        return True

    def purge(self, item):
        """Delete an item's bytes for good; its journal lines stay.

        :returns: ``False`` when that was done before.
        :raises ResponseError: unknown item, or one whose act was interrupted (restore it first).
        """
        store = self._store_of(item)
        self._entry(store, item)
        with store.locked():
            entries, unused = store.journal.read()
            entry = entries[item]
            self._refuse_purge(item, entry)
            if entry["state"] == "purged":
                return False
            store.journal.append(item, "purging")
            needed = set()
            for other, kept in entries.items():
                if other != item and kept["state"] not in ("purged", "purging", "aborted"):
                    needed.update(_objects(kept))
            for sha256 in sorted(_objects(entry) - needed):
                store.delete(sha256)
            store.journal.append(item, "purged")
        return True

    def check_purge(self, item):
        """Return whether :meth:`purge` would change something; raise ResponseError as it would. Touches nothing."""
        entry = self._entry(self._store_of(item), item)
        self._refuse_purge(item, entry)
        return entry["state"] != "purged"

    def undo_call(self, item):
        """Return the module call that takes an item back, as an action's ``undo``."""
        arguments = {"state": "restored", "item": item}
        if self.root != DEFAULT_ROOT:
            arguments["quarantine_root"] = self.root
        return {"module": "quarantine", "args": arguments}

    # -- finding items

    def _store_of(self, item):
        incident = item.rpartition(".")[0]
        if incident not in self.incidents():
            raise self._unknown(item)
        return quarantine_store.Store(self.root, incident)

    def _entry(self, store, item):
        entries, unused = store.journal.read()
        if item not in entries:
            raise self._unknown(item)
        return entries[item]

    def _unknown(self, item):
        known = [entry["item"] for entry in self.items()]
        return ResponseError("The quarantine %s has no item '%s'." % (self.root, text(item)),
                             "It has: %s." % (", ".join(known[:50]) or "none"))

    @staticmethod
    def _refuse_purge(item, entry):
        if entry["state"] in ("interrupted", "restoring"):
            raise ResponseError("The item %s was interrupted half-way: it is not purged." % item,
                                "Restore it first, then purge it.")

    @contextlib.contextmanager
    def _undo(self, store, item, entry):
        if entry["state"] in ("purging", "purged"):
            raise ResponseError("The bytes of the item %s were purged: it cannot be put back." % item,
                                "Take %s back from the snapshot." % text(entry["begin"]["path"]))
        try:
            parent, _name, _real = open_parent(entry["begin"]["path"], self._host_root)
        except FileMissing as error:
            raise ResponseError("The directory of %s is gone: %s" % (text(entry["begin"]["path"]), error.message),
                                "If it was quarantined later, restore that item first.") from error
        try:
            yield Restore(store, item, entry, parent)
        finally:
            os.close(parent)

    # -- one act

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

    def _refuse_protected(self, parent, name, real):
        found = self._lstat(parent, name, real)
        if found is None:
            raise FileMissing("%s does not exist." % text(real))
        if path_text(real) in PROTECTED_DIRECTORIES:
            raise ResponseError("%s is a part of every system: it is not moved away." % text(real))
        ancestor = self.root
        while ancestor != "/":
            ancestor = os.path.dirname(ancestor)
            holds = os.stat(ancestor) if os.path.exists(ancestor) else None
            if holds and (holds.st_dev, holds.st_ino) == (found.st_dev, found.st_ino):
                raise ResponseError("%s holds the quarantine itself: it is not moved away." % text(real))

    @staticmethod
    def _lstat(parent, name, path):
        try:
            return lstat_at(parent, name)
        except OSError as error:
            raise explain(error, path) from error

    def _ceiling(self, path):
        return ResponseError("%s was not moved: the ceiling of files for this run is reached." % text(path),
                             "Look at what was found, then raise max_files if it is right.")

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
        raise _busy(real)

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
            act()
            os.fsync(parent)
            inode_flags.set_flags(parent, flags)
        except (OSError, ResponseError) as error:
            self._roll_back(item, error)
        entry = self._entry(self._store, item)
        if self._left is not None:
            self._left -= max(1, len(entry["begin"]["entries"]))
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
        self._store.journal.append(item, "aborted", reason=text(reason.message))
        raise reason from error

    def _unlink_tree(self, parent, name, real, records):
        for record in records:
            if record["flags"] & inode_flags.BLOCKING:
                with _holder(parent, name, record) as (directory, leaf):
                    clear_blocking_flags(directory, leaf)
        for record in reversed(records):
            with _holder(parent, name, record) as (directory, leaf):
                if not quarantine_tree.unchanged(directory, leaf, record):
                    raise _busy(real)
                if record["type"] != "directory":
                    _unlink(directory, leaf, record)
                    continue
                try:
                    os.rmdir(leaf, dir_fd=directory)
                except OSError as error:
                    if os.listdir(_own(directory, leaf)):
                        raise _busy(real) from error
                    raise

    @contextlib.contextmanager
    def _new_bytes(self, content, source):
        """Give ``(descriptor or bytes, size, sha256, times or None)`` of what shall be put in place."""
        if content is not None:
            yield content, len(content), hashlib.sha256(content).hexdigest(), None
            return
        descriptor = open_regular(source, self._host_root)
        try:
            found = os.fstat(descriptor)
            sha256 = digest_descriptor(descriptor, "sha256", source)
            yield descriptor, found.st_size, sha256, (found.st_atime_ns, found.st_mtime_ns)
        finally:
            os.close(descriptor)

    @staticmethod
    def _exchange(item, parent, name, real, records, stream, sha256, wanted):
        temporary = temporary_name(item)
        if make_replacement(parent, temporary, stream, MEBIBYTE) != sha256:
            raise ResponseError("The replacement for %s changed while it was copied." % text(real),
                                "Stop what is running on the host first, then run again.")
        if records:
            apply_metadata(parent, temporary, wanted, times=wanted["mtime_ns"] is not None)
            clear_blocking_flags(parent, name)
            if not quarantine_tree.unchanged(parent, name, records[0]):
                raise _busy(real)
            os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        else:
            apply_metadata(parent, temporary, wanted, times=wanted["mtime_ns"] is not None)
            settle(parent, temporary, name)


@contextlib.contextmanager
def _holder(parent, name, record):
    directory, leaf = quarantine_tree.holder(parent, name, record["path"])
    try:
        yield directory, leaf
    finally:
        os.close(directory)


def _unlink(directory, leaf, record):
    if record["type"] != "file" or not record["flags"] & inode_flags.BLOCKING or record["nlink"] < 2:
        os.unlink(leaf, dir_fd=directory)
        return
    # The flags were cleared on the inode, which lives on under its other names: they get them back.
    descriptor = open_at(directory, leaf)
    try:
        os.unlink(leaf, dir_fd=directory)
        if os.fstat(descriptor).st_nlink and "link_to" not in record:
            inode_flags.set_flags(descriptor, record["flags"])
    finally:
        os.close(descriptor)


def _own(directory, leaf):
    return b"/proc/self/fd/%d/%s" % (directory, leaf)


def _in_place(entry):
    return entry["restored"] is not None or entry["state"] == "aborted"


def _busy(path):
    return ResponseError("%s is being changed by somebody: nothing was removed." % text(path),
                         "Stop the processes that write there first (deleted_exe, malware_artifact with state=frozen).")


def _objects(entry):
    return {record["sha256"] for record in entry["begin"]["entries"] if "sha256" in record}


def _describe(incident, item, entry):
    begin = entry["begin"]
    top = begin["entries"][0] if begin["entries"] else {}
    state = {"restoring": "interrupted", "purging": "purged"}.get(entry["state"], entry["state"])
    return {
        "item": item, "incident": incident, "state": state, "operation": begin["operation"],
        "path": text(begin["path"]), "type": top.get("type"),
        "size": sum(record["size"] for record in begin["entries"] if record["type"] == "file"),
        "sha256": top.get("sha256"), "files": len(begin["entries"]), "hard_links": top.get("nlink"),
        "flags": top.get("flags", 0), "rule": begin["rule"], "reason": begin["reason"], "time": begin["time"],
        "put_sha256": begin.get("put_sha256"),
    }
