#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action plugin of the same name, through which the modules of the collection run."""

DOCUMENTATION = r"""
---
module: incident_step
short_description: How the modules of this collection are run
version_added: 0.1.0
description:
  - Not a task to write. C(meta/runtime.yml) routes the modules of this collection to the action plugin of this name,
    which runs them on the host, in playbooks and ad hoc alike.
  - On the controller it sends psutil to a host that asks for it, fetches the evidence that a result names and checks
    its hashes, and appends the result to the journal of the incident.
  - The variable C(intrusion_response_incident) names the incident. Without it the newest of the last 24 hours goes on,
    or a new one is opened. The variable C(intrusion_response_incidents_dir) names the folder, C(incidents) where the
    command runs.
options: {}
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Runs through incident_step
  ecsops.intrusion_response.deleted_exe:
    state: reported
"""

RETURN = r"""
incident:
  description: Id of the incident that the result went to; each module returns it.
  returned: always
  type: str
"""
