# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole promise on practice hosts: the plan changes nothing and tells the truth, the run cleans, a second run has
nothing to do, undo gives every file back, a single module works by itself, a user with sudo without pipelining is as
good as root, and so is a run on the host itself.
"""

import json
import sys

from . import controller, intrusion, manifest, onhost, site
from .base import REPOSITORY, RangeError, run, say
from .hosts import HostSet, operator_public_key
from .verify import Verdicts, verify

sys.path.append(str(REPOSITORY / "tests" / "tools"))

import summary  # the other parts of `make test` tell their counts with it, too

# What a run may leave on the host for good: its quarantine.
QUARANTINE = "/var/lib/ecsops-quarantine"
UNDO = "ecsops.intrusion_response.undo"
SET = "prove"
AS_OPERATOR = ("-e", "ansible_user=operator")


def prove(parts=()):
    """Prove the named parts (all, when none is named) in a set of hosts of its own; return the exit status."""
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise RangeError("no such part: %s; there are %s" % (", ".join(sorted(unknown)), ", ".join(PARTS)))
    controller.ensure()
    told = Verdicts()
    for name in parts or PARTS:
        PARTS[name](told)
    print()
    for passed, what, detail in told:
        if not passed:
            print("FAILED %s: %s" % (what, detail[:2000]))
    passed = sum(bool(item[0]) for item in told)
    print("%d of %d checks passed" % (passed, len(told)))
    summary.tell(passed, len(told) - passed, note=", ".join(parts or PARTS))
    return 0 if told.passed else 1


def _over_and_back(told):
    """The plan changes nothing and tells the truth; the run cleans; a second has nothing to do; undo is exact."""
    hosts = site.stage(SET)
    incidents = hosts.folder / "incidents"
    incident = site.new_incident()

    say("the plan: --check --diff")
    before = {name: manifest.take(hosts, name) for name in site.PROFILES}
    status = site.run_playbook(hosts.inventory, incidents, incident, ("--check", "--diff"))
    told.check(status == 0, "the plan ends well")
    for name in site.PROFILES:
        changes = manifest.compare(before[name], manifest.take(hosts, name))
        told.check(not changes, "the plan leaves files and processes of %s as they are" % name, "; ".join(changes[:20]))
    planned = _actions(hosts, incidents / incident, {}, "planned")

    say("the run")
    marks = _marks(incidents / incident)
    told.check(site.run_playbook(hosts.inventory, incidents, incident) == 0, "the run ends well")
    done = _actions(hosts, incidents / incident, marks, "done")
    for name in site.PROFILES:
        told.check(planned.get(name) == done.get(name), "the plan for %s named the very actions of the run" % name,
                   "planned only: %s; done only: %s" % (
                       sorted(planned.get(name, set()) - done.get(name, set())),
                       sorted(done.get(name, set()) - planned.get(name, set()))))
    # A restart would write Redis' own files anew, which undo is to find as the run left them; with sudo there is one.
    _verify(told, hosts, incidents / incident, "", restart=False)

    say("a second run, as a user with sudo")
    marks = _marks(incidents / incident)
    told.check(site.run_playbook(hosts.inventory, incidents, incident, AS_OPERATOR) == 0, "the second run ends well")
    for name in site.PROFILES:
        changed = [entry["task"] for entry in _entries(incidents / incident, marks).get(name, []) if entry["changed"]]
        told.check(not changed, "the second run changes nothing on %s" % name, changed)

    say("undo")
    told.check(site.run_playbook(hosts.inventory, incidents, incident, playbook=UNDO) == 0, "undo ends well")
    for name in site.PROFILES:
        changes = manifest.compare(before[name], manifest.take(hosts, name), processes=False,
                                   but_for=(QUARANTINE,))
        told.check(not changes, "undo brings every file of %s back, byte for byte" % name, "; ".join(changes[:20]))


def _with_sudo(told):
    """A single module ad hoc, then all of it, as a user with sudo and without pipelining."""
    hosts = site.stage(SET)
    incidents = hosts.folder / "incidents"
    told.check(_ad_hoc(hosts, incidents), "deleted_exe works ad hoc and finds the two deleted programs")
    incident = site.new_incident()
    status = site.run_playbook(hosts.inventory, incidents, incident, (*AS_OPERATOR, "-e", "ansible_pipelining=false"))
    told.check(status == 0, "the run with sudo, without pipelining, ends well")
    _verify(told, hosts, incidents / incident, "with sudo: ")


def _on_the_host(told):
    """On the host itself, with -c local."""
    hosts = HostSet(SET)
    intrusion.stage(hosts, "intruded", "billgates")
    onhost.install(hosts, "intruded")
    variables = {"intrusion_response_allowed_keys": [operator_public_key().strip()],
                 "intrusion_response_incidents_dir": "/root/incidents"}
    for turn in ("first", "second"):
        done = onhost.run_playbook(hosts, "intruded", site.PLAYBOOK, variables)
        told.check(done.returncode == 0, "the %s run with -c local ends well" % turn, done.stdout + done.stderr)
    told.check("changed=0" in done.stdout, "the second run with -c local changes nothing", done.stdout)
    shown = hosts.run("intruded", ["sh", "-c", "cat /root/incidents/*/secrets/*/redis.password"], check=False)
    told += [(passed, "with -c local: %s" % what, detail) for passed, what, detail in verify(
        hosts, "intruded", redis_password=shown.stdout.strip())]


PARTS = {"undo": _over_and_back, "sudo": _with_sudo, "local": _on_the_host}


def _verify(told, hosts, incident, prefix, restart=True):
    for name in site.PROFILES:
        told += [(passed, "%s%s: %s" % (prefix, name, what), detail) for passed, what, detail in verify(
            hosts, name, redis_password=site.redis_password(incident, name), restart=restart)]


def _ad_hoc(hosts, incidents):
    incident = "adhoc-" + site.new_incident()
    argv = ["ansible", "intruded", "-i", hosts.inventory, "-m", "ecsops.intrusion_response.deleted_exe", "--become",
            "-e", "intrusion_response_incident=" + incident, "-e", "intrusion_response_incidents_dir=%s" % incidents,
            *AS_OPERATOR]
    done = run(argv, check=False, env=site.environment())
    wanted = set(hosts.state()["hosts"]["intruded"]["intrusion"]["deleted"].values())
    told = {item["subject"].get("pid") for entry in _entries(incidents / incident, {}).get("intruded", [])
            for item in entry["findings"] if item["verdict"] == "malicious"}
    say("ad hoc: malicious processes %s, staged %s" % (sorted(told), sorted(wanted)))
    return done.returncode == 0 and wanted <= told


def _entries(incident, marks):
    """Return ``{host: [journal entry]}`` of what was written after ``marks``."""
    found = {}
    for journal in sorted((incident / "journal").glob("*.jsonl")):
        lines = journal.read_text(encoding="utf-8").splitlines()
        start = marks.get(journal.stem, 0)
        found[journal.stem] = [json.loads(line) for line in lines[start:]]
    return found


def _marks(incident):
    """Return how many entries each host's journal has now."""
    return {host: len(entries) for host, entries in _entries(incident, {}).items()}


def _actions(hosts, incident, marks, status):
    """Return ``{host: {(rule, name of the subject)}}``; of processes only those that were staged.

    The stand-ins' loops fork, and what lived for a moment under the plan is gone when the run comes.
    """
    staged = hosts.state()["hosts"]["intruded"]["intrusion"]
    lasting = {"pid %d" % pid for pid in (*staged["processes"].values(), *staged["deleted"].values())}
    return {host: {(action["rule"], action["subject"]["name"]) for entry in entries for action in entry["actions"]
                   if action["status"] == status
                   and (action["subject"]["type"] != "process" or action["subject"]["name"] in lasting)}
            for host, entries in _entries(incident, marks).items()}
