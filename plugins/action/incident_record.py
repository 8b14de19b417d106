# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put an entry into the incident's journal that no module could tell."""

from __future__ import annotations

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.incident_action import IncidentAction

GAP_SPEC = dict(what=dict(type="str", required=True), reason=dict(type="str", required=True), hint=dict(type="str"))


class ActionModule(IncidentAction):
    """Runs on the controller alone."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, args = self.validate_argument_spec(argument_spec=dict(
            message=dict(type="str", required=True),
            failed=dict(type="bool", default=False),
            not_checked=dict(type="list", elements="dict", default=[], options=GAP_SPEC),
        ))
        try:
            incident = self.open_incident()
            self.record(incident, dict(msg=args["message"], failed=args["failed"], not_checked=args["not_checked"]))
        except ResponseError as error:
            return dict(result, failed=True, msg=str(error))
        return dict(result, changed=False, incident=incident.name, msg=args["message"])
