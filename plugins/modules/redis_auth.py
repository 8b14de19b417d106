#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: redis_auth
short_description: Find Redis servers that let anyone in or were abused, and close them without losing a key
version_added: 0.1.0
description:
  - Finds the Redis, Valkey and KeyDB servers of a host by their processes and listening sockets, not by port numbers.
  - Reads their configuration (includes and ACL file too) first, then asks once without a password, then, with a
    password that the configuration or O(old_passwords) tells, reads the server's own state. Passwords are never
    guessed over the network.
  - Reports no password, a weak password, ACL users without one, listening for other hosts, protected mode off, a dump
    written to a place that attacks use, unknown masters and replicas, modules, payloads among the keys, and the
    traces of commands.
  - A password counts as weak when it is one of the most common, has fewer than 11 characters, fewer than six
    different ones, or less than three of the four classes lower case, upper case, digits and others (unless it has 20
    characters or more).
  - With O(state=secured) it keeps evidence, stops replication from an unknown master, brings the dump back to its
    place, sets the password in the files and then in the running server, binds it, and disconnects all other clients.
    It proves by new connections, by the listening sockets, by reading the files as the server will at its next start
    and by comparing all keys, that this holds. When it does not, everything is taken back and the task fails.
  - An older dump at the place where it then saves goes to the quarantine before. Undo puts it back, unless the server
    has saved again meanwhile.
  - A good password that is there already stays, since applications know it. A server that is in order is left alone.
  - Sentinels, nodes of a cluster and servers in containers are reported and not changed.
options:
  state:
    description:
      - V(reported) changes nothing. V(secured) closes what is open.
    type: str
    choices: [reported, secured]
    default: reported
  instances:
    description:
      - The servers to look at. Without it, all that run on the host.
    type: list
    elements: dict
    suboptions:
      host:
        description: Address that it listens on.
        type: str
        default: 127.0.0.1
      port:
        description: Port that it listens on.
        type: int
        default: 6379
      unixsocket:
        description: Path of its unix socket, in place of host and port.
        type: path
      config_file:
        description: Its configuration file, where it cannot be found out.
        type: path
  password:
    description:
      - The password to set where one is missing or weak.
      - Without it, one is generated on the controller when O(state=secured), and kept as C(redis.password) in the
        incident's directory with mode 0600.
    type: str
  old_passwords:
    description:
      - Present passwords, for servers whose configuration does not tell theirs.
    type: list
    elements: str
  rotate_password:
    description:
      - Replace a good password, too, since an intruder who was in may know it.
    type: bool
    default: false
  bind:
    description:
      - Where a server that listens for other hosts shall listen. An empty list leaves that as it is. A minus before
        an address means that it may be missing on the host.
      - Clients on other hosts are cut off by the default.
    type: list
    elements: str
    default: [127.0.0.1, '-::1']
  data_dir:
    description:
      - Where the dump goes when it is written to a bad place. Without it, the directory of the configuration file
        when that is good, else V(/var/lib/redis) (or that of the product).
    type: path
  dbfilename:
    description:
      - Name of the dump when the present one is bad.
    type: str
    default: dump.rdb
  allowed_masters:
    description:
      - Addresses of masters that the servers may be replicas of.
    type: list
    elements: str
    default: []
  trust_configured_masters:
    description:
      - Allow masters that stand in the configuration file, too.
    type: bool
    default: true
  allowed_replicas:
    description:
      - Addresses of replicas that may draw the data. They are not disconnected, and need the password as
        C(masterauth).
    type: list
    elements: str
    default: []
  keep_clients:
    description:
      - Addresses whose connections are not cut off. They stay logged in as they are until they end.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - ecsops.intrusion_response.incident
  - ecsops.intrusion_response.quarantine
author: The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Report every Redis on the host
  ecsops.intrusion_response.redis_auth:

- name: Close them, with a generated password
  ecsops.intrusion_response.redis_auth:
    state: secured

- name: Close one that serves an application on another host
  ecsops.intrusion_response.redis_auth:
    state: secured
    instances:
      - port: 6380
    bind: [127.0.0.1, 10.0.0.5]
    old_passwords: ["{{ vault_redis_password }}"]
"""

RETURN = r"""
findings:
  description: What is weak, what shows abuse, and servers that are in order.
  type: list
  elements: dict
  returned: success
actions:
  description: What was done, would be done, or is deliberately not done.
  type: list
  elements: dict
  returned: success
not_checked:
  description: What could not be looked at, with the reason.
  type: list
  elements: dict
  returned: success
evidence:
  description: Files with the servers' state as it was before the first change.
  type: list
  elements: dict
  returned: success
summary:
  description: Counts of findings by verdict, of actions by status, and of gaps.
  type: dict
  returned: success
instances:
  description: The servers that were looked at.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Product and port or socket.
      type: str
    port:
      description: TCP port, 0 for none.
      type: int
    pid:
      description: Process id.
      type: int
    answer:
      description: What the probe without a password gave, V(open), V(password), V(denied), V(restricted) or V(unknown).
      type: str
    mode:
      description: V(standalone), V(cluster) or V(sentinel).
      type: str
    version:
      description: Release as the server tells it.
      type: str
    config_file:
      description: Its configuration file.
      type: str
    password_source:
      description:
        - The password that it demands now, with O(state=secured). V(given) is O(password), V(present) and
          V(configuration) are its own.
      type: str
    keys:
      description: What the comparison of all keys before and after gave, when something was changed.
      type: str
"""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import redis_instances
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import Outcome, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import path_bytes
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.incident_module import run_module
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import (
    redis_evidence,
    redis_plan,
    redis_steps,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import (
    DEFAULT_ROOT,
    Quarantine,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.redis_fix import Fix

# Check mode plans with it where no password was generated yet; it is never sent anywhere.
PLANNED_PASSWORD = b"to be generated: On-The-Controller-1"

SPEC = dict(
    state=dict(type="str", choices=["reported", "secured"], default="reported"),
    instances=dict(type="list", elements="dict", options=dict(
        host=dict(type="str", default="127.0.0.1"),
        port=dict(type="int", default=6379),
        unixsocket=dict(type="path"),
        config_file=dict(type="path"),
    )),
    password=dict(type="str", no_log=True),
    old_passwords=dict(type="list", elements="str", no_log=True),
    rotate_password=dict(type="bool", default=False, no_log=False),
    bind=dict(type="list", elements="str", default=["127.0.0.1", "-::1"]),
    data_dir=dict(type="path"),
    dbfilename=dict(type="str", default="dump.rdb"),
    allowed_masters=dict(type="list", elements="str", default=[]),
    trust_configured_masters=dict(type="bool", default=True),
    allowed_replicas=dict(type="list", elements="str", default=[]),
    keep_clients=dict(type="list", elements="str", default=[]),
    quarantine_root=dict(type="path", default=DEFAULT_ROOT),
)


def work(params, context, proc_root="/proc", host_root="/"):
    """Look at every server, then secure those that need it; one that fails does not keep the others from it."""
    outcome = Outcome()
    outcome.extra["instances"] = []
    secured = params["state"] == "secured"
    password = path_bytes(params["password"]) if params["password"] else None
    if password is None and context.check_mode:
        password = PLANNED_PASSWORD
    wishes = redis_steps.Wishes(
        password if secured else None, params["bind"] or None, params["data_dir"], params["dbfilename"],
        params["allowed_masters"], params["allowed_replicas"], params["trust_configured_masters"],
        params["keep_clients"], params["rotate_password"])
    known = [path_bytes(word) for word in [params["password"]] + (params["old_passwords"] or []) if word]
    failures = []
    for found in redis_instances.find_instances(params["instances"], proc_root, host_root):
        seen = redis_instances.inspect(
            *found, passwords=known, proc_root=proc_root, host_root=host_root,
            own_commands=lambda run_id: redis_evidence.own_commands(params["quarantine_root"], run_id))
        outcome.findings.extend(redis_instances.findings_of(seen, wishes))
        outcome.not_checked.extend(seen.gaps)
        told = _describe(seen)
        outcome.extra["instances"].append(told)
        if secured:
            failure = _secure(seen, wishes, params, context, outcome, told, (proc_root, host_root))
            failures.extend([failure] if failure else [])
    if failures:
        # What was done to the other servers must reach the journal, so this is a result and no exception.
        outcome.extra.update(failed=True, msg=" ".join(failures))
    return outcome


def _secure(seen, wishes, params, context, outcome, told, roots):
    plan = redis_plan.decide(seen, wishes)
    quarantine = None if context.check_mode else Quarantine(context.incident, params["quarantine_root"], roots[1])
    fix = Fix(seen, plan, quarantine, wishes, *roots)
    told["password_source"] = plan.password_source
    if context.check_mode:
        outcome.actions.extend(fix.planned())
        return None
    fix.apply()
    outcome.actions.extend(fix.actions)
    for entry in fix.evidence:
        outcome.add_evidence(*entry)
    for warning in fix.warnings:
        context.warn(warning)
    told["keys"] = fix.keys
    return fix.failure


def _describe(seen):
    return {"name": seen.name, "port": seen.port, "pid": seen.process.pid if seen.process else None,
            "answer": seen.outcome, "mode": seen.mode,
            "version": seen.facts["info"].get("redis_version") if seen.facts else None,
            "config_file": text(seen.config.path) if seen.config is not None else None,
            "password_source": None, "keys": None}


def main():
    run_module(SPEC, work)


if __name__ == "__main__":
    main()
