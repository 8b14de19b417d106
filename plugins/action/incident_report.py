# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell the report module which incident it is about."""

from __future__ import annotations

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.incident_action import IncidentAction


class ActionModule(IncidentAction):
    """Fills in ``incident_dir`` where the task does not name it.

    The report is no step of the incident: it has no entry in the journal.
    """

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        args = dict(self._task.args)
        try:
            args["incident_dir"] = args.get("incident_dir") or self.existing_incident().root
        except ResponseError as error:
            return dict(result, failed=True, msg=str(error))
        return dict(result, **self._execute_module(module_args=args, task_vars=task_vars))
