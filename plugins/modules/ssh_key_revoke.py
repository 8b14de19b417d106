#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the SSH keys that can log in and revoke those that nobody has vouched for."""

DOCUMENTATION = r"""
---
module: ssh_key_revoke
short_description: Find the SSH keys that can log in and revoke those that are not on an allow-list
version_added: 0.1.0
description:
  - Reads the keys of all accounts wherever sshd may take them from, C(~/.ssh/authorized_keys), C(authorized_keys2)
    and all that C(AuthorizedKeysFile) names, in included files and C(Match) blocks too, and in configurations of
    further sshd processes.
  - Recognises what an abused Redis has left, a dump written over C(authorized_keys) with the intruder's key in it. Of
    such a file only the allowed keys stay, byte for byte.
  - The key that carries the present connection is never revoked, whether it is on the allow-list or not. It is told
    from what sshd has logged about the connection, from C(SSH_USER_AUTH), or from the keys that the controller holds.
    Where it cannot be told, a file of the login account is only changed when an allowed key stays in it.
  - Every file that is changed goes to the quarantine first, and M(ecsops.intrusion_response.quarantine) brings it
    back.
  - Files behind symbolic links are reported and left alone.
options:
  state:
    description:
      - V(reported) only looks.
      - V(revoked) takes the keys that are not on the allow-list out of the files. Without O(allowed_keys) nothing is
        revoked.
    type: str
    choices: [reported, revoked]
    default: reported
  allowed_keys:
    description:
      - Keys that may log in. Public key lines as in a C(.pub) file, or fingerprints as C(ssh-keygen -lf) prints them
        (V(SHA256:...)).
      - Also for keys of certificate authorities.
    type: list
    elements: str
    default: []
  accounts:
    description: Only the files of these accounts. Without it, of all accounts in C(/etc/passwd) and of all folders in
      C(/home).
    type: list
    elements: str
    default: []
  max_keys:
    description: Stop before changing anything when more keys than this would be revoked.
    type: int
    default: 50
extends_documentation_fragment:
  - ecsops.intrusion_response.incident
  - ecsops.intrusion_response.quarantine
seealso:
  - module: ecsops.intrusion_response.quarantine
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Show every key that can log in
  ecsops.intrusion_response.ssh_key_revoke:

- name: Revoke all keys but these
  ecsops.intrusion_response.ssh_key_revoke:
    state: revoked
    allowed_keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEexampleEXAMPLEexampleEXAMPLEexample0 operator
      - SHA256:EXAMPLEexampleEXAMPLEexampleEXAMPLEexample0
"""

RETURN = r"""
findings:
  description: What was found, in the shape that all modules of the collection share.
  returned: success
  type: list
  elements: dict
actions:
  description: Files rewritten (V(done)), to be rewritten (V(planned)), or deliberately left alone (V(refused)).
  returned: success
  type: list
  elements: dict
not_checked:
  description: What could not be looked at, and why.
  returned: success
  type: list
  elements: dict
evidence:
  description: Always empty; the files as they were are in the quarantine.
  returned: success
  type: list
  elements: dict
summary:
  description: Number of findings by verdict, of actions by status, and of gaps.
  returned: success
  type: dict
keys:
  description: Every key that was found.
  returned: success
  type: list
  elements: dict
  contains:
    fingerprint:
      description: SHA-256 fingerprint.
      type: str
    file:
      description: Where it lies.
      type: str
    line:
      description: Number of its line.
      type: int
    status:
      description:
        - V(allowed), V(connection) (carries the present connection), V(dump) (within a Redis dump), V(unlisted), or
          V(unknown) where there is no allow-list.
      type: str
    options:
      description: Its options, such as C(command) and C(from).
      type: dict
connection:
  description: How this run reached the host, and by which key.
  returned: success
  type: dict
"""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import ssh_key
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import Outcome
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    accounts,
    authorized_keys,
    ssh_connection,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.incident_module import run_module
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import quarantine
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.ssh_key_revoke import KeyRevocation


def work(params, context, host_root="/", proc_root="/proc"):
    """Look at all keys and, where asked to, revoke. Returns the Outcome."""
    allowed = authorized_keys.parse_allowed(params["allowed_keys"])
    database = accounts.read_accounts(host_root)
    connection = ssh_connection.find_connection(
        proc_root, host_root, login_user=context.login_user, account_names=ssh_connection.account_names(database))
    found = ssh_key.survey(database, host_root, proc_root, params["accounts"])
    ssh_connection.add_controller_keys(
        connection, context.controller_keys,
        [line for item in found.files_of(connection.users) for line in item.keys])
    outcome = Outcome()
    outcome.findings = found.findings + ssh_key.judge(found, allowed, connection)
    outcome.not_checked = found.gaps
    outcome.extra = {"keys": ssh_key.listing(found), "connection": connection.describe()}
    if params["state"] == "revoked":
        revocation = KeyRevocation(
            found.files, connection, bool(allowed), max_keys=params["max_keys"],
            other_way=found.other_sources or bool(found.authorities & connection.authority))
        steps, refused = revocation.decide()
        if context.check_mode:
            outcome.actions = revocation.planned(steps)
        else:
            keeper = quarantine.Quarantine(context.incident, params["quarantine_root"], host_root)
            outcome.actions = revocation.apply(steps, keeper, host_root)
        outcome.actions += refused
        outcome.not_checked += revocation.not_checked
    return outcome


def main():
    """Run as an Ansible module."""
    run_module(dict(
        state=dict(type="str", choices=["reported", "revoked"], default="reported"),
        allowed_keys=dict(type="list", elements="str", default=[], no_log=False),
        accounts=dict(type="list", elements="str", default=[]),
        max_keys=dict(type="int", default=50, no_log=False),
        quarantine_root=dict(type="path", default=quarantine.DEFAULT_ROOT),
    ), work)


if __name__ == "__main__":
    main()
