# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one door: every module of the collection runs through this action plugin.

It sends the toolkit to a host that asks for it, fetches and seals the evidence that a result names,
and appends the result to the incident's journal on the controller.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import typing
import zlib

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import MODULE_PREFIX, gap
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.archive_manifest import verify_archive
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.incident_action import IncidentAction
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.incident_store import IncidentStore

TOOLKIT = os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "toolkit")

LOCAL = ("local", "ansible.builtin.local")

# Big evidence comes in slices, so that neither side holds a file of gigabytes in memory.
SLICE_BYTES = 8 * 1024 * 1024

# Left free for journals and report.
SPARE_BYTES = 256 * 1024 * 1024

# The secret that a module needs from the controller: module -> option, file name, states that need it.
SECRETS = {"redis_auth": ("password", "redis.password", ("secured",))}

# Evidence that a later phase relies on is opened and held against its own manifest: module -> verifier of a file.
VERIFIERS = {"host_archive": verify_archive}


class ActionModule(IncidentAction):
    """Run the module that the task names, with all that the controller has to add."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        short_name = self.module_name.removeprefix(MODULE_PREFIX)
        args = dict(self._task.args)
        if short_name == "incident_step":
            return dict(result, failed=True, msg="incident_step is how the other modules are run: name one of them.")
        try:
            incident = self._incident_of(short_name, args)
            args.update(self._secret_for(short_name, args, incident))
            args["incident_context"] = self._context(short_name, incident)
        except ResponseError as error:
            return dict(result, failed=True, msg=str(error))
        try:
            result.update(self._run_with_toolkit(args))
            result["evidence"] = self._seal_all(incident, result.get("evidence") or [], result)
            wanted = short_name in VERIFIERS and args.get("state", "present") == "present"
            if wanted and not result.get("failed"):
                if not result["evidence"] and not self._task.check_mode:
                    raise ResponseError(f"{short_name} brought nothing to the controller that could be verified.",
                                        "Look at the host, and run again.")
                result["verified"] = [
                    VERIFIERS[short_name](incident.path(item["sealed"])) for item in result["evidence"]]
        except AnsibleConnectionFailure as error:
            result.update(failed=True, msg=f"Lost the connection to the host: {error}")
            result.setdefault("not_checked", []).append(gap(
                short_name, "the host could not be reached", "Mend the connection, then run again."))
            # Lost while evidence was fetched: what was done is on record, the bytes are for the next run.
            result["evidence"] = [{key: value for key, value in item.items() if key != "content"}
                                  for item in result.get("evidence") or [] if isinstance(item, dict)]
            # Ansible takes an unreachable host out of the play, before it could be reported. Our
            # playbooks ask for a failure instead, which their rescue turns into an entry of the report.
            if not self.variable("intrusion_response_rescue_unreachable", False):
                result["unreachable"] = True
        except ResponseError as error:
            result.update(failed=True, msg=str(error))
        module_args = result.get("invocation", {}).get("module_args", {})
        module_args.pop("incident_context", None)
        result["incident"] = incident.name
        return self.finish(incident, result, {key: value for key, value in module_args.items() if value is not None})

    def _incident_of(self, short_name: str, args: dict[str, typing.Any]) -> IncidentStore:
        if short_name == "quarantine" and args.get("incident"):
            # Taking back or purging an incident that nobody knows is a slip, not a new incident.
            return self.existing_incident(args["incident"])
        return self.open_incident()

    def _secret_for(self, short_name: str, args: dict[str, typing.Any], incident: IncidentStore) -> dict[str, str]:
        if short_name not in SECRETS:
            return {}
        option, name, states = SECRETS[short_name]
        if args.get(option):
            return {}
        if args.get("state") in states:
            return {option: incident.secret(self.host, name, create=not self._task.check_mode)}
        # Only to look: what an earlier run has set may stand on the host as a hash alone.
        known = incident.known_secret(self.host, name)
        return {option: known} if known else {}

    def _context(self, short_name: str, incident: IncidentStore) -> dict[str, typing.Any]:
        context: dict[str, typing.Any] = {"incident": incident.name}
        if self._connection.transport not in LOCAL:
            context["login_user"] = self._get_remote_user()
            if short_name == "ssh_key_revoke":
                context["controller_keys"] = self._controller_keys()
        return context

    def _controller_keys(self) -> list[str]:
        """Return the public keys that this controller may have logged in with: key file, its agent, defaults."""
        keys = []
        kinds = ("rsa", "ecdsa", "ed25519", "ecdsa_sk", "ed25519_sk")
        candidates = [os.path.expanduser(f"~/.ssh/id_{kind}") for kind in kinds]
        key_file = self._connection_option("private_key_file")
        if key_file:
            candidates.insert(0, os.path.expanduser(key_file))
        for candidate in candidates:
            if os.path.exists(candidate + ".pub"):
                with open(candidate + ".pub", encoding="utf-8", errors="replace") as stream:
                    keys.append(stream.readline().strip())
            elif os.path.exists(candidate):
                # An empty passphrase is all that can be tried without asking.
                keys.extend(_lines_of(["ssh-keygen", "-y", "-P", "", "-f", candidate]))
        if os.environ.get("SSH_AUTH_SOCK"):
            keys.extend(_lines_of(["ssh-add", "-L"]))
        return sorted(set(keys))

    def _connection_option(self, name: str) -> typing.Any:
        try:
            return self._connection.get_option(name)
        except (AttributeError, KeyError):
            return None  # connection plugins differ in their options

    def _run_with_toolkit(self, args: dict[str, typing.Any]) -> dict[str, typing.Any]:
        result = self._execute(self.module_name, args)
        wanted = result.get("toolkit_missing")
        if wanted is None or result.get("failed"):
            return result
        args["incident_context"] = dict(args["incident_context"], toolkit=_wheel_for(wanted))
        return self._execute(self.module_name, args)

    def _execute(self, name: str, args: dict[str, typing.Any]) -> dict[str, typing.Any]:
        return self._execute_module(module_name=name, module_args=args, task_vars=self._vars_of_the_machine())

    def _vars_of_the_machine(self) -> dict[str, typing.Any]:
        """Return the variables for the machine that runs the module; on the controller our own interpreter is the one.

        A task delegated to the controller would take the interpreter of the hosts, where that is set for all.
        """
        place = self._task.delegate_to
        if not place or self._connection.transport not in LOCAL:
            return self._task_vars
        own = {"ansible_python_interpreter": sys.executable}
        delegated = self._task_vars.get("ansible_delegated_vars", {})
        delegated = {**delegated, place: {**delegated.get(place, {}), **own}}
        return {**self._task_vars, **own, "ansible_delegated_vars": delegated}

    def _seal_all(self, incident: IncidentStore, evidence: list[dict[str, typing.Any]],
                  result: dict[str, typing.Any]) -> list[dict[str, typing.Any]]:
        """Seal what the result names; an item that cannot be had is told in ``not_checked`` and fails the task."""
        told = []
        for item in evidence:
            try:
                content = item.pop("content", None)
                entry = {"name": str(item["name"]), "path": str(item["path"]), "size": int(item["size"]),
                         "sha256": str(item["sha256"])}
                if entry["size"] < 0:
                    raise ValueError("a negative size")
            except (AttributeError, KeyError, TypeError, ValueError):
                result.setdefault("not_checked", []).append(gap(
                    "a piece of evidence", "the host named it in a way that cannot be read",
                    "Somebody on the host may answer in the module's place: look at it from a rescue system."))
                result.update(failed=True, msg="The host named evidence in a way that cannot be read.")
                continue
            item = {**item, **entry}
            try:
                entry["sealed"] = incident.sealed(self.host, item["name"], item["sha256"])
                if entry["sealed"] is None:
                    if content is None:
                        chunks = self._slices(item, incident)
                    else:
                        chunks = [_unpacked(content, item["size"])]
                    entry["sealed"] = incident.seal(self.host, item["name"], item["sha256"], chunks)
            except (ResponseError, OSError, ValueError, TypeError, KeyError) as error:
                entry.update(sealed=None, error=str(error))
                result.setdefault("not_checked", []).append(gap(
                    f"evidence {item['name']}", error,
                    f"It still lies on the host as {item['path']}; fetch it by hand before it is purged."))
                result.update(failed=True, msg=f"Evidence could not be sealed on the controller: {error}")
            told.append(entry)
        return told

    def _slices(self, item: dict[str, typing.Any], incident: IncidentStore) -> typing.Iterator[bytes]:
        # The size is the host's word: a lie shall not fill the disk that holds the journals of all hosts.
        if item["size"] > shutil.disk_usage(incident.root).free - SPARE_BYTES:
            raise ResponseError(
                f"{item['path']} has {item['size']} bytes, for which the controller has no room.",
                "Free some space, or point intrusion_response_incidents_dir at another file system.")
        offset = 0
        while offset < item["size"]:
            slice_ = self._execute(
                MODULE_PREFIX + "evidence_slice", {"path": item["path"], "offset": offset, "length": SLICE_BYTES})
            if slice_.get("failed"):
                raise ResponseError(f"{item['path']} could not be read from the host: {slice_.get('msg')}")
            chunk = _unpacked(slice_["data"], min(SLICE_BYTES, item["size"] - offset))
            if not chunk:
                raise ResponseError(f"{item['path']} has become shorter than the {item['size']} bytes announced.")
            offset += len(chunk)
            yield chunk


def _unpacked(content: str, size: int) -> bytes:
    """Return the bytes that the host packed; never more than it announced."""
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(base64.b64decode(content), size + 1)
    except (ValueError, TypeError, zlib.error) as error:
        raise ResponseError(f"What the host sent cannot be unpacked: {error}.") from error
    if len(data) > size:
        raise ResponseError("The host sent more than it announced.")
    return data


def _wheel_for(wanted: dict[str, str]) -> dict[str, str]:
    with open(os.path.join(TOOLKIT, "manifest.json"), encoding="utf-8") as stream:
        manifest = json.load(stream)
    for wheel in manifest:
        if (wheel["machine"], wheel["libc"]) == (wanted["machine"], wanted["libc"]):
            with open(os.path.join(TOOLKIT, wheel["name"]), "rb") as stream:
                data = base64.b64encode(stream.read()).decode("ascii")
            return {"name": wheel["name"], "sha256": wheel["sha256"], "data": data}
    raise ResponseError(
        f"The toolkit has no psutil for {wanted['machine']} with {wanted['libc']} libc.",
        "It has: " + ", ".join(f"{wheel['machine']}/{wheel['libc']}" for wheel in manifest) + ".")


def _lines_of(argv: list[str]) -> list[str]:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=5, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []
