# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the quarantine holds: telling it, putting it back, deleting it for good."""

import contextlib
import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import FileMissing, open_parent
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import quarantine_store
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_expected import (
    observe,
    put_in_place,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_journal import STATES
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_restore import Restore


class Items:
    """All items of one host's quarantine, of whichever incident.

    :param root: folder of the quarantine on the running system. :param host_root: where the host's root lies.
    """

    def __init__(self, root, host_root):
        self.root = root
        self._host_root = host_root

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
        return self._needed(store, item, self._settled(store, item, self._entry(store, item)), check=True)

    def restore(self, item):
        """Put an item back exactly as it was.

        :returns: ``False`` when it is in its place already, ``True`` after having put it there.
        :raises ResponseError: unknown or purged item, something has appeared in its place since, or the
            kept bytes are damaged. Nothing is overwritten; what was begun can be tried again.
        """
        store = self._store_of(item)
        self._entry(store, item)
        with store.locked():
            entry = self._settled(store, item, self._entry(store, item), write=True)
            if _in_place(entry):
                return False
            with self._undo(store, item, entry) as undo:
                undo.check()
                changes = undo.needed()
                if changes:
                    state = undo.parent_state()
                    store.journal.append(item, "restoring", **state)
                    undo.act(state)
            store.journal.append(item, "restored")
        return changes

    def purge(self, item):
        """Delete an item's bytes for good; its journal lines stay.

        :returns: ``False`` when that was done before.
        :raises ResponseError: unknown item, or one whose act was interrupted (restore it first).
        """
        store = self._store_of(item)
        self._entry(store, item)
        with store.locked():
            entries, unused = store.journal.read()
            entry = self._settled(store, item, entries[item], write=True)
            self._refuse_purge(item, entry)
            if entry["state"] == "purged":
                return False
            store.journal.append(item, "purging")
            self._drop_objects(store, dict(entries, **{item: entry}), item)
            store.journal.append(item, "purged")
        return True

    def check_purge(self, item):
        """Return whether :meth:`purge` would change something; raise ResponseError as it would. Touches nothing."""
        store = self._store_of(item)
        entry = self._settled(store, item, self._entry(store, item))
        self._refuse_purge(item, entry)
        return entry["state"] != "purged"

    def undo_call(self, item):
        """Return the module call that takes an item back, as an action's ``undo``."""
        arguments = {"state": "restored", "item": item}
        if self.root != quarantine_store.DEFAULT_ROOT:
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
    def _drop_objects(store, entries, item):
        """Delete the bytes that ``item`` alone has kept."""
        needed = set()
        for other, kept in entries.items():
            if other != item and kept["state"] not in ("purged", "purging", "aborted"):
                needed.update(_objects(kept))
        for sha256 in sorted(_objects(entries[item]) - needed):
            store.delete(sha256)

    @staticmethod
    def _refuse_purge(item, entry):
        if entry["state"] in ("interrupted", "restoring"):
            raise ResponseError("The item %s was interrupted half-way: it is not purged." % item,
                                "Restore it first, then purge it.")

    def _needed(self, store, item, entry, check=False):
        if _in_place(entry):
            return False
        with self._undo(store, item, entry) as undo:
            if check:
                undo.check()
            return undo.needed()

    def _settled(self, store, item, entry, write=False):
        """Return an expected item's entry with what the other program has put in place; others as they are.

        One that was never settled, since its run was killed, is settled by what is there now: nobody knows better,
        and the undo keeps those bytes.

        :param write: note it in the journal, too, whose lock is held.
        """
        if not entry["begin"].get("expected") or entry["state"] != "interrupted":
            return entry
        with self._parent(entry) as parent:
            found = observe(parent, entry)
        event = "done" if found else "aborted"
        if found is None:
            found = {"reason": "It was not written."}
        if write:
            store.journal.append(item, event, **found)
        return dict(entry, state=STATES[event], done=found)

    @contextlib.contextmanager
    def _undo(self, store, item, entry):
        if entry["state"] in ("purging", "purged"):
            raise ResponseError("The bytes of the item %s were purged: it cannot be put back." % item,
                                "Take %s back from the snapshot." % text(entry["begin"]["path"]))
        with self._parent(entry) as parent:
            yield Restore(store, item, entry, parent)

    @contextlib.contextmanager
    def _parent(self, entry):
        try:
            parent, _name, _real = open_parent(entry["begin"]["path"], self._host_root)
        except FileMissing as error:
            raise ResponseError("The directory of %s is gone: %s" % (text(entry["begin"]["path"]), error.message),
                                "If it was quarantined later, restore that item first.") from error
        try:
            yield parent
        finally:
            os.close(parent)


def _in_place(entry):
    return entry["restored"] is not None or entry["state"] == "aborted"


def _objects(entry):
    kept = {record["sha256"] for record in entry["begin"]["entries"] if "sha256" in record}
    if entry["begin"].get("expected") and entry["done"] and entry["done"].get("put_sha256"):
        # Kept by the undo before it took that away.
        kept.add(entry["done"]["put_sha256"])
    return kept


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
        "put_sha256": put_in_place(entry)[0],
    }
