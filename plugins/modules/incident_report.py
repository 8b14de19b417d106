#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the report of an incident from the journals on the controller."""

DOCUMENTATION = r"""
---
module: incident_report
short_description: Write report.html and report.json of an incident
version_added: 0.1.0
description:
  - Reads the journals that the other modules of this collection have kept on the controller, verifies their hash
    chains, and writes one report of all hosts.
  - The page shows first what needs somebody, then for each host the findings by phase, what was done with the
    command that takes it back, what was refused, what was not checked, the sealed evidence and the timeline.
  - A finding is shown as resolved only after something was done about it. What could not be looked at is never
    shown as fine. A damaged or changed journal is told at the top.
  - The page is one file without scripts and without any request to elsewhere. Everything that came from a host is
    escaped, and characters that do not show are spelled out.
  - The same journals give the same files, so a second run changes nothing.
  - Runs on the controller. It is no step of the incident and has no entry in its journal.
options:
  incident_dir:
    description:
      - The incident's folder on the controller.
      - Without it the incident of this run, or the newest one.
    type: path
  output_dir:
    description: Where the files go. Without it the folder C(report) in the incident's folder.
    type: path
  title:
    description: Title of the report.
    type: str
    default: Intrusion response
  formats:
    description: Which files to write.
    type: list
    elements: str
    choices:
      - html
      - json
    default:
      - html
      - json
requirements:
  - jinja2 on the controller (ansible-core brings it)
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Write the report of the newest incident
  ecsops.intrusion_response.incident_report:
  run_once: true
  delegate_to: localhost

- name: Write only the data of one incident, for another tool
  ecsops.intrusion_response.incident_report:
    incident_dir: incidents/20260102T030405Z
    output_dir: /srv/reports/20260102T030405Z
    formats: [json]
  delegate_to: localhost
"""

RETURN = r"""
files:
  description: Path of each file by its format.
  returned: success
  type: dict
  sample:
    html: /root/incidents/20260102T030405Z/report/report.html
    json: /root/incidents/20260102T030405Z/report/report.json
incident:
  description: Id of the incident.
  returned: success
  type: str
chain_intact:
  description: Whether the hash chains of all journals hold.
  returned: success
  type: bool
chain_problems:
  description: What is wrong with the journals, by host.
  returned: success
  type: dict
hosts:
  description: Status of each host, V(not_checked), V(needs_attention), V(incomplete), V(cleaned) or V(clean).
  returned: success
  type: dict
statuses:
  description: Number of hosts by status.
  returned: success
  type: dict
counts:
  description: Open findings by verdict, settled ones, actions by status, and gaps, over all hosts.
  returned: success
  type: dict
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.report import output, page
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.report.incident_folder import read_incident
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.report.report_model import build_report

ARGUMENT_SPEC = dict(
    incident_dir=dict(type="path"),
    output_dir=dict(type="path"),
    title=dict(type="str", default="Intrusion response"),
    formats=dict(type="list", elements="str", choices=["html", "json"], default=["html", "json"]),
)


def work(params, check_mode):
    """Return the module's result; writes the files unless ``check_mode``."""
    if not params["incident_dir"]:
        raise ResponseError("No incident is named.", "Give 'incident_dir', the folder of the incident.")
    if "html" in params["formats"] and page.JINJA_IMPORT_ERROR is not None:
        raise ResponseError(missing_required_lib("jinja2"), "Or ask for 'formats: [json]'.")
    directory = os.path.abspath(params["incident_dir"])
    header, journals = read_incident(directory)
    report = build_report(header, journals, params["title"])
    contents = {}
    if "json" in params["formats"]:
        # ASCII only: whatever a host put into its names, a terminal shows it as an escape.
        contents["json"] = json.dumps(report, indent=1, sort_keys=True, ensure_ascii=True) + "\n"
    if "html" in params["formats"]:
        contents["html"] = page.render(report)
    target = os.path.abspath(params["output_dir"] or os.path.join(directory, "report"))
    changed, files = False, {}
    for name, text in sorted(contents.items()):
        files[name] = os.path.join(target, "report." + name)
        content = text.encode("utf-8")
        if output.differs(files[name], content):
            changed = True
            if not check_mode:
                output.write(files[name], content)
    return {
        "changed": changed,
        "files": files,
        "incident": str(header["id"]),
        "chain_intact": report["chain"]["intact"],
        "chain_problems": {journal.host: journal.problems for journal in journals if journal.problems},
        "hosts": {host["host"]: host["status"] for host in report["hosts"]},
        "statuses": report["statuses"],
        "counts": report["counts"],
    }


def main():
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = work(module.params, module.check_mode)
    except ResponseError as error:
        module.fail_json(msg=str(error))
    if not result["chain_intact"]:
        module.warn("The journals of %s are damaged or were changed: see the report." % ", ".join(
            sorted(result["chain_problems"])))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
