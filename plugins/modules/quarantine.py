#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
---
module: quarantine
short_description: List, restore or purge what was moved away or replaced
version_added: 0.1.0
description:
  - Every file that the modules of this collection remove or replace is kept on the host, in a private folder of its
    incident, together with a journal that was written before each change.
  - Restores files byte for byte, with owner, mode, times, extended attributes (ACL, capabilities, SELinux label) and
    inode flags, the latest change first.
  - Checks the hash of what is kept, and never overwrites what has appeared in its place since.
options:
  state:
    description:
      - V(listed) changes nothing.
      - V(restored) puts the items back. Items that are in place already are left alone.
      - V(purged) deletes the kept bytes for good; the journal stays. Such items can no longer be restored.
    type: str
    choices: [listed, restored, purged]
    default: listed
  incident:
    description:
      - Id of the incident whose items are meant.
      - One of O(incident) and O(item) is needed to restore or purge. Without either, V(listed) shows all.
    type: str
  item:
    description: Id of a single item, as the RV(actions) and RV(items) of the modules tell it.
    type: str
  allow_missing:
    description:
      - Whether an O(incident) of which the host's quarantine knows nothing is fine.
      - On such a host there is nothing to undo.
    type: bool
    default: false
extends_documentation_fragment:
  - ecsops.intrusion_response.incident
  - ecsops.intrusion_response.quarantine
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: See what is in quarantine
  ecsops.intrusion_response.quarantine:

- name: Take back all that was done to files in an incident
  ecsops.intrusion_response.quarantine:
    state: restored
    incident: 20261122-0815

- name: Put a single file back
  ecsops.intrusion_response.quarantine:
    state: restored
    item: 20261122-0815.0007

- name: Delete the kept bytes once the case is closed
  ecsops.intrusion_response.quarantine:
    state: purged
    incident: 20261122-0815
"""

RETURN = r"""
items:
  description: The items in question, in the order in which they were made, in the state that they have after the call.
  returned: success
  type: list
  elements: dict
  contains:
    item:
      description: Id, from the incident's and a number.
      type: str
    incident:
      description: Id of its incident.
      type: str
    state:
      description:
        - V(quarantined), V(interrupted) (a run was killed in its middle; can be restored), V(restored) or V(purged).
      type: str
    operation:
      description: V(remove), V(replace), or V(create) where nothing was before.
      type: str
    path:
      description: Where it was.
      type: str
    type:
      description: Kind of file.
      type: str
    size:
      description: Bytes, of all files in it.
      type: int
    sha256:
      description: Of a file.
      type: str
    put_sha256:
      description: Of what was put in its place, by the collection or by a server that it told to save.
      type: str
    files:
      description: Number of entries.
      type: int
    hard_links:
      description: Number of names of the file; above 1, others outside were left.
      type: int
    flags:
      description: Inode flags as a number.
      type: int
    rule:
      description: Rule that it fell under.
      type: str
    reason:
      description: Why it was moved.
      type: str
    time:
      description: When, in UTC.
      type: str
actions:
  description: What was, or in check mode would be, restored or purged. Those that were refused say why.
  returned: success
  type: list
  elements: dict
findings:
  description: Always empty; this module looks at the quarantine only.
  returned: success
  type: list
  elements: dict
not_checked:
  description: Lines of the quarantine's journal that could not be read.
  returned: success
  type: list
  elements: dict
evidence:
  description: Always empty.
  returned: success
  type: list
  elements: dict
summary:
  description: Number of findings by verdict, of actions by status, and of gaps.
  returned: success
  type: dict
"""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import Outcome
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.incident_module import run_module
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import (
    DEFAULT_ROOT,
    Quarantine,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_undo import QuarantineUndo


def work(params, context, host_root="/"):
    """Return the Outcome; see the documentation above."""
    if params["state"] != "listed" and params["incident"] is None and params["item"] is None:
        raise ResponseError("Say which items shall be %s." % params["state"], "Set 'incident' or 'item'.")
    undo = QuarantineUndo(Quarantine(context.incident, params["quarantine_root"], host_root),
                          params["incident"], params["item"], params["allow_missing"])
    outcome = Outcome()
    outcome.not_checked.extend(undo.gaps())
    if params["state"] != "listed":
        steps = undo.decide(params["state"])
        if context.check_mode:
            outcome.actions.extend(undo.planned_actions(params["state"], steps))
        else:
            outcome.actions.extend(undo.apply(params["state"], steps))
        for refused in [action for action in outcome.actions if action["status"] == "refused"]:
            context.warn(refused["message"])
    outcome.extra["items"] = undo.select()
    return outcome


def main():
    run_module(dict(
        state=dict(type="str", choices=["listed", "restored", "purged"], default="listed"),
        incident=dict(type="str"),
        item=dict(type="str"),
        allow_missing=dict(type="bool", default=False),
        quarantine_root=dict(type="path", default=DEFAULT_ROOT),
    ), work)


if __name__ == "__main__":
    main()
