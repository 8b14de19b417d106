#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find accounts that an intruder may have made or opened, and lock those with UID 0."""

DOCUMENTATION = r"""
---
module: account_lock
short_description: Find accounts that an intruder may have made, and lock those that have UID 0
version_added: 0.1.0
description:
  - Reads C(/etc/passwd), C(/etc/shadow) and C(/etc/group) themselves, as glibc does, and never through the name
    service.
  - Reports unknown accounts with UID 0, shared user ids, empty passwords, system accounts with a password and a login
    shell, and lines that some programs take for an account and others do not.
  - An account is locked by its password (C(!) before the hash), its expiry date, and its shell. Its
    C(authorized_keys), where the home is its own, and its crontab go to the quarantine. Nothing is deleted, and every
    other line stays byte for byte.
  - Never locked are root, the account that the controller logged in as, and the account that carries the present
    connection.
options:
  state:
    description:
      - V(reported) only looks.
      - V(locked) locks the unknown accounts with UID 0 and those named in O(accounts).
    type: str
    choices: [reported, locked]
    default: reported
  allowed_accounts:
    description: Accounts beside root that are meant to have UID 0, or to share another account's user id.
    type: list
    elements: str
    default: []
  accounts:
    description: Further accounts to lock, whatever their user id.
    type: list
    elements: str
    default: []
  max_accounts:
    description: Stop before changing anything when more accounts than this would be locked.
    type: int
    default: 10
extends_documentation_fragment:
  - ecsops.intrusion_response.incident
  - ecsops.intrusion_response.quarantine
seealso:
  - module: ecsops.intrusion_response.quarantine
  - module: ecsops.intrusion_response.ssh_key_revoke
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Look at the accounts
  ecsops.intrusion_response.account_lock:

- name: Lock unknown accounts with UID 0, and one more
  ecsops.intrusion_response.account_lock:
    state: locked
    allowed_accounts: [toor]
    accounts: [guest]
"""

RETURN = r"""
findings:
  description: What was found, in the shape that all modules of the collection share.
  returned: success
  type: list
  elements: dict
actions:
  description: Files rewritten or moved (V(done)), to be changed (V(planned)), and accounts deliberately left alone
    (V(refused)).
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
"""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import account
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import Outcome, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import accounts, ssh_connection
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.incident_module import run_module
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import quarantine
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.account_lock import AccountLock


def work(params, context, host_root="/", proc_root="/proc"):
    """Look at the accounts and, where asked to, lock. Returns the Outcome."""
    database = accounts.read_accounts(host_root)
    outcome = Outcome()
    outcome.findings, outcome.not_checked, unknown = account.survey(database, params["allowed_accounts"])
    if params["state"] == "reported":
        outcome.not_checked += account.blind_spots(unknown)
        return outcome
    targets = unknown + [found for found in _named(database, params["accounts"]) if found not in unknown]
    outcome.not_checked += account.blind_spots(targets)
    connection = ssh_connection.find_connection(
        proc_root, host_root, login_user=context.login_user, account_names=ssh_connection.account_names(database))
    lock = AccountLock(database, _protected(context, connection, targets), host_root, connection.carries)
    plan, refused = lock.decide(targets)
    if len(plan.names) > params["max_accounts"]:
        raise ResponseError("%d accounts would be locked, more than max_accounts=%d: nothing was changed."
                            % (len(plan.names), params["max_accounts"]),
                            "Look at what is reported. If it is right, raise max_accounts.")
    if context.check_mode:
        outcome.actions = lock.planned(plan)
    else:
        keeper = quarantine.Quarantine(context.incident, params["quarantine_root"], host_root)
        outcome.actions = lock.apply(plan, keeper)
    outcome.actions += refused
    outcome.not_checked += lock.not_checked
    return outcome


def _named(database, names):
    for name in names:
        found = database.by_name(name)
        if found is None:
            raise ResponseError("There is no account '%s' in /etc/passwd." % text(name),
                                "Check the spelling in 'accounts'.")
        yield found


def _protected(context, connection, targets):
    """Return name → why, for the accounts that the operator may depend on."""
    protected = dict.fromkeys(connection.users, "the present connection belongs to it")
    if context.login_user:
        protected[context.login_user] = "the controller logs in as it"
    if connection.kind == "ssh" and not protected:
        # Better nothing is locked than the wrong one.
        protected = {found.name: "the account of the present connection could not be determined" for found in targets}
    return protected


def main():
    """Run as an Ansible module."""
    run_module(dict(
        state=dict(type="str", choices=["reported", "locked"], default="reported"),
        allowed_accounts=dict(type="list", elements="str", default=[]),
        accounts=dict(type="list", elements="str", default=[]),
        max_accounts=dict(type="int", default=10),
        quarantine_root=dict(type="path", default=quarantine.DEFAULT_ROOT),
    ), work)


if __name__ == "__main__":
    main()
