#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find system tools that are not what their package put there, and put the packaged bytes back."""

DOCUMENTATION = r"""
---
module: binary_restore
short_description: Put trojaned system tools back, from a proven source only
version_added: 0.1.0
description:
  - Compares the tools that intruders replace (C(ps), C(netstat), C(lsof), C(ss) and the like) with the digests of the
    package database, which is read without the host's own C(dpkg) and C(rpm). Merged C(/usr), diversions and
    alternatives are understood.
  - A copy that the intruder moved aside is used only when it has the packaged digest and the database shows no sign of
    tampering. Otherwise the installed version is downloaded from the distribution's repository, and the one file taken
    out of it; nothing else on the host is changed and no installation script is run. Otherwise nothing is done, and the
    module says what to do.
  - The trojaned file goes to the quarantine, and M(ecsops.intrusion_response.quarantine) can bring it back. The change
    is atomic, and works while the file is running and when it is immutable.
  - Mode, owner, capabilities and SELinux label become those of the package. dpkg records neither modes nor owners;
    where no C(dpkg-statoverride) says otherwise, a file from a copy gets root and V(0755), and programs with set-id
    bits are always taken from the repository, where the package tells them.
  - Extended attributes that an intruder may have left, ACLs among them, do not survive.
options:
  state:
    description:
      - V(reported) only looks.
      - V(restored) puts back what is not as packaged, or missing.
    type: str
    choices: [reported, restored]
    default: reported
  tools:
    description:
      - Tools to look at. Names are looked for in C(/usr/bin), C(/usr/sbin), C(/bin) and C(/sbin).
      - Without it, those that trojans are known to replace.
      - Whatever lies in O(backup_dirs) is looked at in any case.
    type: list
    elements: str
    default: []
  backup_dirs:
    description: Where intruders keep the originals.
    type: list
    elements: path
    default:
      - /usr/bin/dpkgd
  reinstall:
    description: Whether the distribution's repository may be asked for what no proven copy is there of.
    type: bool
    default: true
  max_files:
    description: Stop before changing anything when more files than this would be replaced.
    type: int
    default: 100
extends_documentation_fragment:
  - ecsops.intrusion_response.incident
  - ecsops.intrusion_response.quarantine
seealso:
  - module: ecsops.intrusion_response.malware_artifact
    description: Takes the backup directory away. Run it afterwards, since the only originals may lie there.
  - module: ecsops.intrusion_response.quarantine
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Which tools are not what their package put there?
  ecsops.intrusion_response.binary_restore:

- name: Put them back
  ecsops.intrusion_response.binary_restore:
    state: restored

- name: Only these two, only from the copies on the host
  ecsops.intrusion_response.binary_restore:
    state: restored
    tools: [/usr/bin/ps, ss]
    reinstall: false
"""

RETURN = r"""
findings:
  description:
    - Rules are C(binary_restore.trojaned), C(binary_restore.missing), C(binary_restore.unowned),
      C(binary_restore.backup_unproven) and C(binary_restore.database_suspect).
  returned: success
  type: list
  elements: dict
actions:
  description: Tools put back (V(done)), to be put back (V(planned)), or left alone with the reason (V(refused)).
  returned: success
  type: list
  elements: dict
not_checked:
  description: What could not be looked at, and why.
  returned: success
  type: list
  elements: dict
evidence:
  description: Always empty; the trojaned files are in the quarantine.
  returned: success
  type: list
  elements: dict
summary:
  description: Number of findings by verdict, of actions by status, and of gaps.
  returned: success
  type: dict
packages:
  description: Whose database was read, V(dpkg) or V(rpm), or null.
  returned: success
  type: str
checked:
  description: Number of tools that were looked at.
  returned: success
  type: int
tools:
  description: The tools that are not as packaged, or of which there is a copy, as they were before.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Where it lies, without links in its directory.
      type: str
    package:
      description: Package that owns it, or null.
      type: str
    state:
      description: V(match), V(mismatch), V(missing), V(unowned) or V(unknown) (no digest is recorded).
      type: str
    kind:
      description: Kind of file, or null.
      type: str
    sha256:
      description: Of its bytes.
      type: str
    expected:
      description: Algorithm and digest as packaged.
      type: str
    wrapper:
      description: Whether a script lies in its place.
      type: bool
    target:
      description: Where a link leads.
      type: str
    backups:
      description: The copies in O(backup_dirs), with path, sha256, and state against the packaged digest.
      type: list
      elements: dict
"""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import trojaned_binary
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import Outcome
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packages import PackageDatabase
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.incident_module import run_module
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import package_source, quarantine
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.binary_restore import BinaryRestore


def work(params, context, host_root="/"):
    """Look at the tools and, where asked to, put them back. Returns the Outcome."""
    packages = PackageDatabase(host_root)
    found = trojaned_binary.survey(packages, host_root, params["tools"], params["backup_dirs"])
    outcome = Outcome()
    outcome.findings = trojaned_binary.judge(found, params["backup_dirs"])
    outcome.not_checked = found.not_checked
    outcome.extra = {
        "packages": packages.kind,
        "checked": len(found.tools),
        "tools": [tool.describe() for tool in found.tools if tool.state != "match" or tool.backups],
    }
    if params["state"] == "restored":
        source = package_source.PackageSource(packages, host_root) if params["reinstall"] else None
        restore = BinaryRestore(found.tools, packages, found.reasons, source, host_root, params["max_files"])
        steps, refused = restore.decide()
        if context.check_mode:
            outcome.actions = restore.planned(steps)
        else:
            keeper = quarantine.Quarantine(context.incident, params["quarantine_root"], host_root)
            try:
                outcome.actions = restore.apply(steps, keeper)
            finally:
                if source is not None:
                    source.close()
        outcome.actions += refused
        for item in outcome.actions:
            if item["status"] == "refused":
                context.warn(item["message"])
    return outcome


def main():
    """Run as an Ansible module."""
    run_module(dict(
        state=dict(type="str", choices=["reported", "restored"], default="reported"),
        tools=dict(type="list", elements="str", default=[]),
        backup_dirs=dict(type="list", elements="path", default=list(trojaned_binary.BACKUP_DIRECTORIES)),
        reinstall=dict(type="bool", default=True),
        max_files=dict(type="int", default=100),
        quarantine_root=dict(type="path", default=quarantine.DEFAULT_ROOT),
    ), work)


if __name__ == "__main__":
    main()
