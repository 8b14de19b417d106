#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archive what a run may touch, before it touches anything."""

DOCUMENTATION = r"""
---
module: host_archive
short_description: Archive what a run may touch, with a manifest of hashes, and bring it to the controller
version_added: 0.1.0
description:
  - Writes configuration, the SSH files of all homes, cron, units, the tools that trojans replace and the data of a
    Redis into one compressed tar on the host, with owner, mode, times, extended attributes, ACLs and capabilities,
    and a manifest of SHA-256 hashes. The archive is evidence like any other, so it is fetched to the controller,
    checked and sealed there.
  - The archive holds secrets such as C(/etc/shadow) and host keys. It has mode 0600 in a folder of mode 0700 on both
    sides.
  - A second call in the same incident with the same choice of paths makes no second archive. What a later call would
    archive is no longer what the host was.
  - The archive stays in the quarantine on the host until V(state=absent). It lies beside the quarantine's files and
    counts as theirs, not as a change to the host.
  - Links are archived as links and never followed. Other file systems below a path are not entered. FIFOs and devices
    are recorded, sockets only in the manifest.
  - A file that is written to while it is read is marked as such.
  - Unpack it with C(tar --strip-components=1 --numeric-owner --xattrs --xattrs-include='*' -xpzf FILE -C DIRECTORY
    host).
options:
  state:
    description:
      - V(present) makes the archive unless there is one.
      - V(absent) removes the incident's archives from the host.
    type: str
    choices: [present, absent]
    default: present
  paths:
    description:
      - Files and folders. C(*), C(?) and C([) are patterns and match names that begin with a dot as well. C(~/)
        stands for the home of every account.
      - Without it, C(/etc), the SSH and start-up files of every home, cron, systemd units, hidden files among the
        programs, the tools that trojans replace, and the folders of a Redis. The result's RV(archive) tells what came
        of it.
    type: list
    elements: str
  exclude:
    description:
      - Patterns of paths that are left out, with all that is below them. Here C(*) also matches C(/).
      - Without it, large files in C(/etc) that packages rebuild.
    type: list
    elements: str
  max_bytes:
    description: Stop before writing when the files add up to more than this.
    type: int
    default: 2147483648
  max_file_bytes:
    description: A larger file is left out and told in RV(not_checked).
    type: int
    default: 33554432
extends_documentation_fragment:
  - ecsops.intrusion_response.incident
  - ecsops.intrusion_response.quarantine
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Archive what the run may touch
  ecsops.intrusion_response.host_archive:

- name: Archive these instead
  ecsops.intrusion_response.host_archive:
    paths:
      - /etc
      - ~/.ssh
      - /srv/app/config
    exclude:
      - /etc/letsencrypt/archive

- name: Remove the archive from the host; the controller keeps its copy
  ecsops.intrusion_response.host_archive:
    state: absent
"""

RETURN = r"""
findings:
  description: Always empty.
  returned: success
  type: list
  elements: dict
actions:
  description: Archives removed (V(state=absent)). Making one does not change the host.
  returned: success
  type: list
  elements: dict
not_checked:
  description: What was asked for and is not in the archive, and why.
  returned: success
  type: list
  elements: dict
evidence:
  description: The archive.
  returned: success
  type: list
  elements: dict
summary:
  description: Number of findings by verdict, of actions by status, and of gaps.
  returned: success
  type: dict
archive:
  description: What is in it.
  returned: with O(state=present)
  type: dict
  contains:
    status:
      description: V(created), V(present) (made by an earlier call and still intact), or V(planned) in check mode.
      type: str
    path:
      description: Where it lies on the host.
      type: str
    sha256:
      description: Hash of the archive.
      type: str
    size:
      description: Bytes of the archive.
      type: int
    entries:
      description: Number of files, folders, links and others.
      type: int
    files:
      description: Number of regular files.
      type: int
    bytes:
      description: Bytes in the regular files.
      type: int
    changed_while_read:
      description: Files that were written to meanwhile.
      type: list
      elements: str
"""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import Outcome, gap
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import accounts
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.incident_module import run_module
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import host_archive, quarantine


def work(params, context, host_root="/"):
    """Make, find or remove the archive. Returns the Outcome."""
    database = accounts.read_accounts(host_root)
    homes = {accounts.home_file(account, "") for account in database.accounts} - {None, "/"}
    archive = host_archive.HostArchive(
        context.incident, params["quarantine_root"],
        host_archive.DEFAULT_PATHS if params["paths"] is None else params["paths"],
        host_archive.DEFAULT_EXCLUDE if params["exclude"] is None else params["exclude"],
        homes, params["max_bytes"], params["max_file_bytes"], host_root)
    outcome = Outcome()
    if params["state"] == "absent":
        outcome.actions = archive.remove(context.check_mode)
        return outcome
    known = archive.present()
    status = "present"
    if known is None:
        found = archive.survey()
        if context.check_mode:
            outcome.not_checked = found.gaps()
            outcome.extra["archive"] = {"status": "planned", "path": archive.path, "files": found.files,
                                        "entries": len(found.entries), "bytes": found.bytes}
            return outcome
        known = archive.create(found)
        status = "created"
    outcome.not_checked = [gap("archive of %s" % item["path"], item["reason"]) for item in known["omitted"]]
    outcome.extra["archive"] = {key: value for key, value in known.items() if key != "omitted"}
    outcome.extra["archive"]["status"] = status
    outcome.add_evidence("host_archive/%s" % archive.name, known["path"], known["size"], known["sha256"],
                         known=status == "present")
    return outcome


def main():
    """Run as an Ansible module."""
    run_module(dict(
        state=dict(type="str", choices=["present", "absent"], default="present"),
        paths=dict(type="list", elements="str"),
        exclude=dict(type="list", elements="str"),
        max_bytes=dict(type="int", default=2 ** 31),
        max_file_bytes=dict(type="int", default=2 ** 25),
        quarantine_root=dict(type="path", default=quarantine.DEFAULT_ROOT),
    ), work)


if __name__ == "__main__":
    main()
