# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask the host, in one round trip and without Python: is there root, and a usable Python?"""

from __future__ import annotations

import shlex

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils import basic
from ansible.release import __version__ as core_version

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import gap
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.incident_action import IncidentAction

OUR_MINIMUM = (3, 6)

# The distribution's interpreter first: what stands in /usr/local may be anybody's.
CANDIDATES = (
    "/usr/bin/python3",
    "/usr/libexec/platform-python",
    "/usr/bin/python3.[0-9]*",
    "/usr/local/bin/python3",
    "/usr/bin/python",
)

VERSION_CODE = "import sys; print('%d.%d.%d' % sys.version_info[:3])"

# sh(1) alone; globs stand unquoted on purpose. -I keeps the environment of the host out.
SCRIPT = """
printf 'uid=%s\\n' "$(id -u)"
for python in {candidates}; do
  [ -x "$python" ] || continue
  version=$("$python" -E -c {code} 2>/dev/null) && printf 'python=%s %s\\n' "$version" "$python"
done
:
"""

OTHER_CORES = ("A controller with ansible-core 2.16 drives Python 3.6 and later; "
               "or install a newer Python and set ansible_python_interpreter.")
INSTALL_ONE = "Install one with the package manager (apt-get install python3, dnf install python3) and run again."


class ActionModule(IncidentAction):
    """Runs a shell script on the host; nothing else."""

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        try:
            incident = self.open_incident()
        except ResponseError as error:
            return dict(result, failed=True, msg=str(error))
        configured = self.variable("ansible_python_interpreter", "auto")
        chosen = None if str(configured).startswith("auto") else str(configured)
        try:
            python = self._ask(chosen)
        except AnsibleConnectionFailure as error:
            result.update(failed=True, msg=f"The host cannot be reached: {str(error).rstrip('. ')}. "
                                           "Check address, port, user and key, then run again with --limit.")
            if not self.variable("intrusion_response_rescue_unreachable", False):
                result["unreachable"] = True
        except ResponseError as error:
            result.update(failed=True, msg=str(error))
        else:
            result.update(changed=False, python=python)
            if chosen is None:
                result["ansible_facts"] = {"discovered_interpreter_python": python["path"]}
        if result.get("failed"):
            result["not_checked"] = [gap("the whole host", result["msg"])]
        return self.finish(incident, result)

    def _ask(self, chosen: str | None) -> dict[str, str]:
        candidates = shlex.quote(chosen) if chosen else " ".join(CANDIDATES)
        answer = self._low_level_execute_command(SCRIPT.format(candidates=candidates, code=shlex.quote(VERSION_CODE)))
        values = [line.partition("=")[::2] for line in answer["stdout"].splitlines()]
        uids = [value for key, value in values if key == "uid"]
        if not uids:
            complaint = (answer["stderr"].strip() or answer["stdout"].strip() or "no answer")[-300:]
            raise ResponseError(
                f"The host runs no commands for this login: {complaint}.",
                "If sudo asks for a password, give it with --ask-become-pass; otherwise log in as root.")
        if uids[0] != "0":
            raise ResponseError(
                f"There is no root on the host: commands run as uid {uids[0]}.",
                "Run with --become (and --ask-become-pass if sudo asks), or log in as root.")
        found = [tuple(value.split(" ", 1)) for key, value in values if key == "python"]
        # A tuple since 2.17; 2.16 tells only whether the running Python will do, and takes 3.6.
        core_minimum = getattr(basic, "_PY_MIN", None)
        needed = max(OUR_MINIMUM, core_minimum) if isinstance(core_minimum, tuple) else OUR_MINIMUM
        for version, path in found:
            if tuple(int(part) for part in version.split(".")[:2]) >= needed:
                return {"path": path, "version": version}
        seen = ", ".join(f"{path} is {version}" for version, path in found) or "none was found"
        wanted = ".".join(str(part) for part in needed)
        raise ResponseError(
            f"The host has no usable Python ({seen}); this ansible-core {core_version} needs {wanted} or later there.",
            OTHER_CORES if found else INSTALL_ONE)
