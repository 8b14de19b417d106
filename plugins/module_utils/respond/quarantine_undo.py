# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List, restore or purge what the quarantine holds: one item, an incident, or all of it."""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import action, gap, subject

_DID = {
    "restored": {"remove": "put back", "replace": "given back its original", "create": "removed again, as nothing was "
                 "there before"},
    "purged": {"remove": "purged from the quarantine", "replace": "purged of its kept original",
               "create": "forgotten; there was no original to keep"},
}


class Step:
    """One item to bring to a state. ``refused``: why it cannot be, or ``None``."""

    def __init__(self, item, refused=None):
        self.item = item
        self.refused = refused


class QuarantineUndo:
    """What the module ``quarantine`` does.

    :param quarantine: :class:`quarantine.Quarantine`.
    :param incident: id, or ``None`` for all. :param item: id of a single item, or ``None``.
    :param allow_missing: an incident that this host does not know has nothing to be undone here.
    :raises ResponseError: :meth:`select` and :meth:`decide` tell an incident or item that is unknown.
    """

    def __init__(self, quarantine, incident=None, item=None, allow_missing=False):
        self._quarantine = quarantine
        self._incident = incident
        self._item = item
        self._allow_missing = allow_missing

    def select(self):
        """Return the items (:meth:`Quarantine.items`) in question, the oldest first."""
        known = self._quarantine.incidents()
        if self._incident is not None and self._incident not in known:
            if self._allow_missing:
                return []
            raise ResponseError("The quarantine %s knows no incident '%s'." % (self._quarantine.root, self._incident),
                                "It knows: %s." % (", ".join(known) or "none"))
        items = self._quarantine.items(self._incident)
        if self._item is None:
            return items
        chosen = [entry for entry in items if entry["item"] == self._item]
        if not chosen:
            raise ResponseError("The quarantine %s has no item '%s'%s."
                                % (self._quarantine.root, self._item,
                                   " in the incident '%s'" % self._incident if self._incident else ""),
                                "It has: %s." % (", ".join(entry["item"] for entry in items[:50]) or "none"))
        return chosen

    def gaps(self):
        """Return a gap for each journal line that cannot be read."""
        return [gap("%s, line %d" % place,
                    "it is no journal line: a run was killed while writing, or somebody edited it",
                    "What an unreadable line began was never done; compare with the controller's journal.")
                for place in self._quarantine.damaged_lines(self._incident)]

    def decide(self, state):
        """Return the list of :class:`Step` that brings the items to ``state`` (``restored``, ``purged``), last first.

        :raises ResponseError: the one item that was asked for cannot be brought there.
        """
        check = self._quarantine.check_restore if state == "restored" else self._quarantine.check_purge
        steps = []
        for item in reversed(self.select()):
            if state == "restored" and item["state"] == "purged" and self._item is None:
                continue
            try:
                if check(item["item"]):
                    steps.append(Step(item))
            except ResponseError as error:
                if self._item is not None:
                    raise
                # An earlier step makes room for this one: a file replaced twice, a directory that went last.
                follows = state == "restored" and any(_holds(step.item, item) for step in steps if not step.refused)
                steps.append(Step(item, None if follows else str(error)))
        return steps

    def planned_actions(self, state, steps):
        """Return what :meth:`apply` will do."""
        return [self._action(state, step, "planned") for step in steps]

    def apply(self, state, steps):
        """Carry out the steps and return the actions.

        :raises ResponseError: the one item that was asked for cannot be brought there.
        """
        act = self._quarantine.restore if state == "restored" else self._quarantine.purge
        actions = []
        for step in steps:
            if not step.refused:
                try:
                    act(step.item["item"])
                except ResponseError as error:
                    if self._item is not None:
                        raise
                    step.refused = str(error)
            actions.append(self._action(state, step, "done"))
        return actions

    @staticmethod
    def _action(state, step, status):
        item = step.item
        about = subject("file", item["path"], item=item["item"], sha256=item["sha256"])
        if step.refused:
            return action("quarantine.%s" % state, about, "%s is left as it is: %s" % (item["path"], step.refused),
                          "refused")
        verb = "is" if status == "done" else "will be"
        message = "%s %s %s." % (item["path"], verb, _DID[state][item["operation"]])
        return action("quarantine.%s" % state, about, message, status)


def _holds(first, second):
    return second["path"] == first["path"] or second["path"].startswith(first["path"].rstrip("/") + "/")
