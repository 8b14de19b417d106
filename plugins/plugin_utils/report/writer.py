# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From an incident's folder to the files of its report."""

import json
import os

from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report import output, page
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.incident_folder import read_incident
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.report_model import build_report


def write_report(params, check_mode=False):
    """Write the report of an incident and return the result as the module documents it.

    :param params: dict with ``incident_dir``, ``output_dir`` (or ``None``), ``title``, ``formats`` (list of ``html``,
        ``json``). :param check_mode: write nothing.
    :raises ResponseError: the incident cannot be read, or the files cannot be written.
    """
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
