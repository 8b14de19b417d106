#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action plugin of the same name; it needs no Python on the host."""

DOCUMENTATION = r"""
---
module: preflight
short_description: Check that the host can be worked on
version_added: 0.1.0
description:
  - "Asks the host once, through its shell: is there root, and a Python that this ansible-core can use?"
  - Where no interpreter is configured it also chooses one, so that Ansible's own discovery costs no further round trip.
  - Fails with a message that says what to do; what the host could not be checked for is on record in the incident's
    journal.
options: {}
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Make sure that the host can be worked on
  ecsops.intrusion_response.preflight:
"""

RETURN = r"""
python:
  description: Interpreter on the host, and its version.
  returned: success
  type: dict
  sample: {path: /usr/bin/python3, version: 3.11.2}
"""
