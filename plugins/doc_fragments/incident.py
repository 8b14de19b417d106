# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that all modules of the collection share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  incident_context:
    description:
      - Filled in by the action plugin that runs every module of this collection. Leave it alone.
    type: dict
    suboptions:
      incident:
        description: Id of the incident that the call belongs to.
        type: str
      login_user:
        description: Account that the remote connection logged in as.
        type: str
      controller_keys:
        description: Public keys that the controller can log in with.
        type: list
        elements: str
      toolkit:
        description: The psutil wheel for the host, sent only after the host has said that it needs it.
        type: dict
        suboptions:
          name:
            description: File name of the wheel.
            type: str
            required: true
          sha256:
            description: SHA-256 of the wheel, in hexadecimal.
            type: str
            required: true
          data:
            description: The wheel in base64.
            type: str
            required: true
requirements:
  - Python 3.6 or later on the host
  - root on the host (O(ignore:become), or a login as root)
notes:
  - Runs through the action plugin C(incident_step), which seals the evidence and keeps the incident's journal on the
    controller.
"""
