# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The quarantine's write-ahead journal: JSON Lines, only ever appended, synced before the act (docs/quarantine.md)."""

import json
import os
import time

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import explain

# event → state of the item afterwards. "begin" and "restoring" are written before the act: an item
# that is still in such a state was interrupted, and can be restored from there.
STATES = {
    "begin": "interrupted",
    "done": "quarantined",
    "aborted": "aborted",
    "restoring": "restoring",
    "restored": "restored",
    "purging": "purging",
    "purged": "purged",
}


class Journal:
    """The journal of one incident.

    :param path: of the file; made with the first line, mode 0600.
    """

    def __init__(self, path):
        self.path = path

    def append(self, item, event, **fields):
        """Write one line and return once it is on the disk.

        :param item: id of the item. :param event: a key of :data:`STATES`. :param fields: JSON values.
        :raises ResponseError: it could not be written; nothing of the line stays behind.
        """
        line = dict(fields, item=item, event=event, time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        data = json.dumps(line, sort_keys=True).encode("ascii") + b"\n"
        try:
            fresh = not os.path.exists(self.path)
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    # The last writer was killed within its line, whose act therefore never began.
                    data = b"\n" + data
                _write_all(descriptor, data, size)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if fresh:
                sync_directory(os.path.dirname(self.path))
        except OSError as error:
            raise explain(error, self.path) from error

    def read(self):
        """Return ``(items, damaged)``.

        ``items``: id → dict with ``begin`` (the fields of its first line), ``done``, ``restoring``, ``restored``
        (the fields of these lines, or ``None``) and ``state``; in the order in which they were begun.
        ``damaged``: numbers of the lines that are no journal lines (a writer killed within its line, or tampering).
        """
        items = {}
        damaged = []
        try:
            with open(self.path, "rb") as stream:
                for number, raw in enumerate(stream, 1):
                    if raw == b"\n":
                        continue
                    if not self._take(raw, items):
                        damaged.append(number)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise explain(error, self.path) from error
        return items, damaged

    @staticmethod
    def _take(raw, items):
        if not raw.endswith(b"\n"):
            return False
        try:
            line = json.loads(raw.decode("ascii"))
            event, item = line["event"], line["item"]
            state = STATES[event]
            int(item.rpartition(".")[2])
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        if event == "begin":
            items[item] = {"begin": line, "done": None, "restoring": None, "restored": None, "state": state}
            return True
        if item not in items:
            return False
        # An undo that is tried again must know how its first try found things: keep the first line.
        if event in ("done", "restored") or (event == "restoring" and not items[item]["restoring"]):
            items[item][event] = line
        items[item]["state"] = state
        return True


def sync_directory(path):
    """Bring a directory's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor, data, size):
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view):]
    except OSError:
        os.ftruncate(descriptor, size)
        raise
