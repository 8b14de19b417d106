# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the report of an incident, on the controller and without asking any host."""

from __future__ import annotations

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.incident_action import IncidentAction
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.writer import write_report

ARGUMENT_SPEC = dict(
    incident_dir=dict(type="path"),
    output_dir=dict(type="path"),
    title=dict(type="str", default="Intrusion response"),
    formats=dict(type="list", elements="str", choices=["html", "json"], default=["html", "json"]),
)


class ActionModule(IncidentAction):
    """Runs in the controller's own process: no delegation, no interpreter, no connection.

    The report is no step of the incident: it has no entry in the journal.
    """

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, args = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)
        try:
            args["incident_dir"] = args["incident_dir"] or self.existing_incident().root
            result.update(write_report(args, self._task.check_mode))
        except (ResponseError, OSError) as error:
            return dict(result, failed=True, msg=str(error))
        if not result["chain_intact"]:
            hosts = ", ".join(sorted(result["chain_problems"]))
            self._display.warning(f"The journals of {hosts} are damaged or were changed: see the report.")
        return result
