# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every action plugin of the collection shares: the incident, and the entry in its journal."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import time
import typing

from ansible.plugins.action import ActionBase

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import MODULE_PREFIX
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.incident_store import (
    DEFAULT_DIRECTORY,
    IncidentStore,
)
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.visible import pieces

# In bytes of JSON. A longer argument would repeat itself in every line of the journal.
LONGEST_ARGUMENT = 4096


class IncidentAction(ActionBase):
    """Base of the action plugins: knows the incident of the run and writes to its journal."""

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        self._started = time.monotonic()
        return result

    @property
    def module_name(self) -> str:
        """Full name of the module that the task names."""
        name = self._task.action
        return name if "." in name else MODULE_PREFIX + name

    @property
    def host(self) -> str:
        """The inventory name of the host that the task is about, also when it is delegated."""
        return self._task_vars.get("inventory_hostname", "localhost")

    def variable(self, name: str, default: typing.Any = None) -> typing.Any:
        """Return a variable of the play, its templates resolved."""
        value = self._task_vars.get(name)
        return default if value is None else self._templar.template(value)

    def open_incident(self) -> IncidentStore:
        """Return the incident of this run, opened if it is new; raises ``ResponseError``.

        A playbook about an incident that is there already says so: a slip in its name shall open none.
        """
        if self.variable("intrusion_response_incident_must_exist", False):
            return self.existing_incident()
        return IncidentStore.open(self._incidents_dir(), self.variable("intrusion_response_incident") or None)

    def existing_incident(self, name: str | None = None) -> IncidentStore:
        """Return an incident that is there already: ``name``, or the one of this run, or the newest."""
        name = name or self.variable("intrusion_response_incident") or None
        return IncidentStore.existing(self._incidents_dir(), name)

    def _incidents_dir(self) -> str:
        return os.path.expanduser(self.variable("intrusion_response_incidents_dir", DEFAULT_DIRECTORY))

    def record(self, incident: IncidentStore, result: dict[str, typing.Any],
               args: dict[str, typing.Any] | None = None) -> None:
        """Append what the task found and did to the host's journal; raises ``ResponseError``."""
        try:
            incident.record(self.host, self._entry(result, args))
        except OSError as error:
            raise ResponseError(f"The incident's journal on the controller cannot be written: {error}.") from error

    def finish(self, incident: IncidentStore, result: dict[str, typing.Any],
               args: dict[str, typing.Any] | None = None) -> dict[str, typing.Any]:
        """Record the result and return it; a result that is not on record is a failed one."""
        try:
            self.record(incident, result, args)
        except ResponseError as error:
            result.update(failed=True, msg=str(error))
        # The journal holds the very text; what Ansible prints as it is shall not steer the operator's terminal.
        for name in ("msg", "warnings", "diff"):
            if name in result:
                result[name] = _printable(result[name])
        return result

    def _entry(self, result: dict[str, typing.Any], args: dict[str, typing.Any] | None) -> dict[str, typing.Any]:
        role = self._task._role
        return {
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
            "phase": role.get_name(include_role_fqcn=False) if role else None,
            "task": self._task.name or self.module_name,
            "module": self.module_name,
            "args": {} if self._task.no_log else {name: _brief(value) for name, value in (args or {}).items()},
            "check_mode": bool(self._task.check_mode),
            "duration": round(time.monotonic() - self._started, 3),
            "changed": bool(result.get("changed")),
            "failed": bool(result.get("failed")),
            "unreachable": bool(result.get("unreachable")),
            "msg": result.get("msg") or _crash_of(result),
            "findings": result.get("findings", []),
            "actions": result.get("actions", []),
            "not_checked": result.get("not_checked", []),
            "evidence": result.get("evidence", []),
            "summary": result.get("summary", {}),
        }


def _printable(value: typing.Any) -> typing.Any:
    """Return text, or what holds it, with control characters and the like spelled out; lines and tabs stay."""
    if isinstance(value, str):
        return re.sub(r"[^\n\t]+", lambda run: "".join(part for _kind, part in pieces(run[0], len(run[0]))[0]), value)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    return value


def _brief(value: typing.Any) -> typing.Any:
    """Return an argument, or the hash of one that is data rather than a setting (a set of indicators)."""
    content = json.dumps(value, sort_keys=True, default=str).encode("ascii")
    if len(content) <= LONGEST_ARGUMENT:
        return value
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _crash_of(result: dict[str, typing.Any]) -> str | None:
    """Return the last line of what a module that broke off has left; its message is in no field of its own."""
    if not result.get("failed"):
        return None
    for name in ("exception", "module_stderr", "module_stdout"):
        lines = str(result.get(name) or "").strip().splitlines()
        if lines:
            return lines[-1][-500:]
    return "The module failed without a message."
