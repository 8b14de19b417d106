# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
name: indicators
short_description: What is known of malware families
version_added: 0.1.0
description:
  - Reads the family files of the collection, and those of your own folders, and returns them as entries for the option
    O(ecsops.intrusion_response.malware_artifact#module:indicators).
  - Checks every file strictly; a mistake is an error that names file and entry.
  - An entry of your own replaces one of the same name in the collection.
options:
  _terms:
    description: Folders with family files (C(*.yml)) of your own. An empty text stands for none.
    type: list
    elements: str
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Look for all that the collection knows
  ecsops.intrusion_response.malware_artifact:
    indicators: "{{ lookup('ecsops.intrusion_response.indicators') }}"

- name: Look for your own findings as well
  ecsops.intrusion_response.malware_artifact:
    indicators: "{{ lookup('ecsops.intrusion_response.indicators', inventory_dir ~ '/indicators') }}"
"""

RETURN = r"""
_raw:
  description: Entries for the module M(ecsops.intrusion_response.malware_artifact).
  type: list
  elements: dict
"""

import os

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils import indicator_files


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        folders = [os.path.expanduser(term) for term in terms if term]
        try:
            return indicator_files.load(folders)
        except ResponseError as error:
            raise AnsibleLookupError(str(error)) from error
