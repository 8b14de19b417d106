# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Between a thin module and the logic below it: arguments in, outcome out, one way to fail."""

import base64
import errno
import zlib

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import remove_values

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import toolkit

# Evidence up to this many bytes in all travels in the module's own answer; more is fetched in
# slices by the action plugin. One answer saves a round trip a file.
INLINE_EVIDENCE_BYTES = 4 * 1024 * 1024

# A shorter one may be an ordinary word, and tells itself by the gaps that it leaves.
SHORTEST_SECRET = 11


class Context:
    """What a module's work knows of its run.

    ``incident``: id of the incident, a plain name. ``check_mode``: plan only, touch nothing.
    ``diff``: the operator asked for diffs. ``login_user``: account of the remote connection or
    ``None``. ``controller_keys``: public key lines which the controller can log in with.
    ``warn(message)`` shows a warning to the operator.
    """

    def __init__(self, module):
        given = module.params["incident_context"] or {}
        self.incident = given.get("incident") or "adhoc"
        self.login_user = given.get("login_user")
        self.controller_keys = given.get("controller_keys") or []
        self.check_mode = module.check_mode
        self.diff = module._diff
        self.warn = module.warn
        self._wheel = given.get("toolkit")

    def psutil(self):
        """Return the psutil package of the toolkit; raises :class:`toolkit.ToolkitMissing`."""
        return toolkit.load_psutil(self._wheel)


def incident_argument_spec(**own):
    """Return ``own`` and the internal option that ``incident_step`` fills in."""
    own["incident_context"] = dict(type="dict", no_log=False, options=dict(
        incident=dict(type="str"),
        login_user=dict(type="str"),
        controller_keys=dict(type="list", elements="str", no_log=False),
        toolkit=dict(type="dict", no_log=False, options=dict(
            name=dict(type="str", required=True),
            sha256=dict(type="str", required=True),
            data=dict(type="str", required=True, no_log=True),
        )),
    ))
    return own


def run_module(argument_spec, work, **module_options):
    """Run ``work(params, context)``, which returns an ``Outcome``, as an Ansible module.

    :param argument_spec: the module's own options.
    :param module_options: passed to ``AnsibleModule``; check mode is supported unless told otherwise.
    """
    module_options.setdefault("supports_check_mode", True)
    module = AnsibleModule(argument_spec=incident_argument_spec(**argument_spec), **module_options)
    try:
        outcome = work(module.params, Context(module))
        result = outcome.as_result()
        _inline_small_evidence(result["evidence"])
    except toolkit.ToolkitMissing:
        # Not a failure: the action plugin brings the toolkit and calls again.
        module.exit_json(changed=False, toolkit_missing=toolkit.platform_tag())
    except ResponseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=_explain_os_error(error))
    diffs = [item.pop("diff") for item in result["actions"]]
    if module._diff:
        result["diff"] = [diff for diff in diffs if diff]
    _spare_ordinary_words(module, result)
    module.exit_json(**result)


def _spare_ordinary_words(module, result):
    """Keep Ansible from cutting a weak password out of rule ids and paths: ``redis`` out of ``redis_auth.bind``.

    Results hold no secret by themselves; the arguments are masked here, and long secrets by Ansible as ever.
    """
    result["invocation"] = {"module_args": remove_values(module.params, module.no_log_values)}
    module.no_log_values = {value for value in module.no_log_values if len(value) >= SHORTEST_SECRET}


def _inline_small_evidence(evidence):
    total = 0
    for item in evidence:
        # The controller fetches a known one only if it has lost it.
        if item.pop("known"):
            continue
        total += item["size"]
        if total > INLINE_EVIDENCE_BYTES:
            return
        with open(item["path"], "rb") as stream:
            item["content"] = base64.b64encode(zlib.compress(stream.read(), 6)).decode("ascii")


def _explain_os_error(error):
    where = " (%s)" % error.filename if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ("No space left on the host%s: nothing was removed. Free some space or point "
                "'quarantine_root' at another file system, then run again." % where)
    if error.errno == errno.EROFS:
        return ("The file system is read-only%s: nothing was changed there. Remount it read-write "
                "(after a look at the kernel log for disk errors), then run again." % where)
    if error.errno in (errno.EACCES, errno.EPERM):
        return ("Not permitted%s: %s. The collection needs root on the host; set 'become: true' or "
                "log in as root." % (where, error.strerror))
    return "%s%s" % (error.strerror or error, where)
