#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action plugin of the same name; all its code runs on the controller."""

DOCUMENTATION = r"""
---
module: incident_report
short_description: Write report.html and report.json of an incident
version_added: 0.1.0
description:
  - Reads the journals that the other modules of this collection have kept on the controller, verifies their hash
    chains, and writes one report of all hosts.
  - The page shows first what needs somebody, then for each host the findings by phase, what was done with the
    command that takes it back, what was refused, what was not checked, the sealed evidence and the timeline.
  - A finding is shown as resolved only after something was done about it. What could not be looked at is never
    shown as fine. A damaged or changed journal is told at the top.
  - The page is one file without scripts and without any request to elsewhere. Everything that came from a host is
    escaped, and characters that do not show are spelled out.
  - The same journals give the same files, so a second run changes nothing.
  - Runs on the controller. It is no step of the incident and has no entry in its journal.
options:
  incident_dir:
    description:
      - The incident's folder on the controller.
      - Without it the incident of this run, or the newest one.
    type: path
  output_dir:
    description: Where the files go. Without it the folder C(report) in the incident's folder.
    type: path
  title:
    description: Title of the report.
    type: str
    default: Intrusion response
  formats:
    description: Which files to write.
    type: list
    elements: str
    choices:
      - html
      - json
    default:
      - html
      - json
requirements:
  - jinja2 on the controller (ansible-core brings it)
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Write the report of the newest incident
  ecsops.intrusion_response.incident_report:
  run_once: true

- name: Write only the data of one incident, for another tool
  ecsops.intrusion_response.incident_report:
    incident_dir: incidents/20260102T030405Z
    output_dir: /srv/reports/20260102T030405Z
    formats: [json]
"""

RETURN = r"""
files:
  description: Path of each file by its format.
  returned: success
  type: dict
  sample:
    html: /root/incidents/20260102T030405Z/report/report.html
    json: /root/incidents/20260102T030405Z/report/report.json
incident:
  description: Id of the incident.
  returned: success
  type: str
chain_intact:
  description: Whether the hash chains of all journals hold.
  returned: success
  type: bool
chain_problems:
  description: What is wrong with the journals, by host.
  returned: success
  type: dict
hosts:
  description: Status of each host, V(not_checked), V(needs_attention), V(incomplete), V(cleaned) or V(clean).
  returned: success
  type: dict
statuses:
  description: Number of hosts by status.
  returned: success
  type: dict
counts:
  description: Open findings by verdict, settled ones, actions by status, and gaps, over all hosts.
  returned: success
  type: dict
"""
