# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make site` runs: two practice hosts, one of them intruded, and the playbook against both.

With an inventory of the user's own, only the playbook and the summary.
"""

import datetime
import json
import os
import subprocess

from . import controller, dns, intrusion
from .base import REPOSITORY, say, write_private
from .hosts import HostSet, operator_public_key
from .verify import verify

PLAYBOOK = "ecsops.intrusion_response.site"
PROFILES = {"intruded": "billgates", "clean": "clean"}
VERDICTS = ("malicious", "suspicious", "weak", "undetermined", "benign")


def practice(playbook_options=()):
    """Stage both hosts, run the playbook on them, verify; return the exit status."""
    controller.ensure()
    hosts = stage()
    incident = new_incident()
    incidents = hosts.folder / "incidents"
    status = run_playbook(hosts.inventory, incidents, incident, playbook_options)
    ok = status == 0
    summary = summarise(incidents / incident)
    lines = show(summary)
    for name in PROFILES:
        told = verify(hosts, name, redis_password=redis_password(incidents / incident, name))
        lines.append("%-12s verifier: %d of %d checks passed" % (name, sum(item[0] for item in told), len(told)))
        lines += ["%-12s   FAILED %s: %s" % (name, what, detail[:300]) for passed, what, detail in told if not passed]
        ok = ok and told.passed
    expectations = (
        ("the run on 'intruded' found and removed something malicious",
         summary.get("intruded", {}).get("malicious") and summary["intruded"]["changed"]),
        ("the run on 'clean' changed nothing", summary.get("clean", {}).get("changed") == 0),
        ("the run on 'clean' found nothing malicious", summary.get("clean", {}).get("malicious") == 0),
    )
    for what, passed in expectations:
        lines.append("%s %s" % ("ok    " if passed else "FAILED", what))
        ok = ok and bool(passed)
    _end(lines, incidents / incident, status)
    print("The hosts stay for a look: tests/range/host ssh --set site intruded")
    return 0 if ok else 1


def own_hosts(inventory, playbook_options=()):
    """Run the playbook on the hosts of an inventory, stage nothing; return the exit status.

    Which incident it is, and where it lies, is for the inventory or the collection to say; the playbook ends with the
    summary and the path of the report.
    """
    return _play(["-i", str(inventory), PLAYBOOK, *playbook_options])


def stage(set_name="site"):
    """Make both hosts anew, with variables as an operator would write them; return the set."""
    hosts = HostSet(set_name)
    for name, profile in PROFILES.items():
        intrusion.stage(hosts, name, profile)
    ports = dns.start(hosts.dns_folder)
    moved = {"name": dns.DOMAINS["moved"], "expected_cname": dns.ASSIGNED_NAME}
    variables = {
        "intrusion_response_allowed_keys": [operator_public_key().strip()],
        "intrusion_response_domains": [moved],
        "intrusion_response_origin_addresses": [dns.ORIGIN_ADDRESS],
        "intrusion_response_nameservers": ["127.0.0.1:%d" % ports["authority"]],
        "intrusion_response_resolvers": ["127.0.0.1:%d" % ports["resolver"]],
        "intrusion_response_incidents_dir": str(hosts.folder / "incidents"),
    }
    write_private(hosts.folder / "group_vars" / "practice.json", json.dumps(variables, indent=1) + "\n")
    write_private(hosts.folder / "host_vars" / "intruded.json", json.dumps(
        {"intrusion_response_domains": [moved, dns.DOMAINS["forgotten"]]}, indent=1) + "\n")
    return hosts


def new_incident():
    """Return an id by the time, since practice hosts are new each time."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def run_playbook(inventory, incidents, incident, options=(), playbook=PLAYBOOK):
    """Run the playbook in the terminal; return its exit status."""
    return _play(["-i", str(inventory), playbook, "-e", "intrusion_response_incident=" + incident,
                  "-e", "intrusion_response_incidents_dir=%s" % incidents, *options])


def _play(arguments):
    argv = ["ansible-playbook", *arguments]
    say(" ".join(argv))
    return subprocess.call(argv, cwd=REPOSITORY, env=environment())


def environment():
    """Return the environment in which Ansible is this checkout's own, and finds the collection in it."""
    found = dict(os.environ)
    found.setdefault("ANSIBLE_COLLECTIONS_PATH", str(REPOSITORY / "build" / "collections"))
    found["PATH"] = "%s:%s" % (REPOSITORY / ".venv" / "bin", found.get("PATH", ""))
    return found


def redis_password(incident, host):
    """Return the password which the run gave to Redis on this host, or ``None``."""
    path = incident / "secrets" / host / "redis.password"
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


def summarise(incident):
    """Return ``{host: counts}`` of the journals: findings by verdict, done, refused, changed, failed, gaps."""
    summary = {}
    for journal in sorted((incident / "journal").glob("*.jsonl")) if incident.is_dir() else []:
        counts = dict.fromkeys((*VERDICTS, "done", "refused", "changed", "failed", "gaps"), 0)
        seen = set()
        for line in journal.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            counts["changed"] += bool(entry.get("changed"))
            counts["failed"] += bool(entry.get("failed"))
            counts["gaps"] += len(entry.get("not_checked", []))
            for item in entry.get("actions", []):
                if item["status"] in counts:
                    counts[item["status"]] += 1
            for item in entry.get("findings", []):
                # One thing is found by triage, and by the phase which then deals with it.
                key = (item["rule"], item["subject"]["type"], item["subject"]["name"])
                if key not in seen:
                    seen.add(key)
                    counts[item["verdict"]] += 1
        summary[journal.stem] = counts
    return summary


def show(summary):
    """Return the summary as lines of a table."""
    lines = ["%-12s %s | done refused | changed failed gaps" % ("host", " ".join(VERDICTS))]
    for host, counts in sorted(summary.items()):
        found = " ".join("%*d" % (len(verdict), counts[verdict]) for verdict in VERDICTS)
        lines.append("%-12s %s | %4d %7d | %7d %6d %4d" % (
            host, found, counts["done"], counts["refused"], counts["changed"], counts["failed"], counts["gaps"]))
    return lines


def _end(lines, incident, status):
    print()
    print("\n".join(lines))
    print("ansible-playbook ended with %d" % status)
    report = incident / "report" / "report.html"
    print("report: %s" % (report if report.exists() else "none was written"))
