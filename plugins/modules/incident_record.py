#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action plugin of the same name; all its code runs on the controller."""

DOCUMENTATION = r"""
---
module: incident_record
short_description: Put an entry of your own into the incident's journal
version_added: 0.1.0
description:
  - Appends to the journal of the host on the controller what a playbook knows and no module could tell,
    such as a phase that was left out by name, or a step that failed.
  - The entry appears in the report. Nothing is done on the host.
options:
  message:
    description: What happened, one sentence.
    type: str
    required: true
  failed:
    description: The entry tells of a failure. The task itself does not fail.
    type: bool
    default: false
  not_checked:
    description: What could not be looked at because of it.
    type: list
    elements: dict
    default: []
    suboptions:
      what:
        description: What was not checked.
        type: str
        required: true
      reason:
        description: Why.
        type: str
        required: true
      hint:
        description: What would make it possible.
        type: str
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Record that the web servers were checked by hand
  ecsops.intrusion_response.incident_record:
    message: The web roots were compared with the release archive by hand.
"""

RETURN = r"""
incident:
  description: Id of the incident that the entry went to.
  returned: success
  type: str
"""
