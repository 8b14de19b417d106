# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is a practice host clean? Judged against what was remembered at staging, with nothing of the collection."""

import base64
import json
import re

from . import intrusion
from .base import RangeError

# An account that may not log in has one of these as its shell, or its day of expiry is in the past.
NO_SHELLS = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false")
TEXTS = ("/root/.ssh/authorized_keys", "/home/operator/.ssh/authorized_keys", "/var/spool/cron/crontabs/root",
         "/etc/crontab", "/etc/redis/redis.conf")
INNOCENT_CRON_LINE = "17 3 * * * /usr/sbin/logrotate /etc/logrotate.conf"


class Verdicts(list):
    """What was looked at: ``(passed, what, detail)``."""

    def check(self, passed, what, detail=""):
        """Note one thing."""
        self.append((bool(passed), what, "" if passed else str(detail)))

    @property
    def passed(self):
        """True when there is something, and all of it passed."""
        return bool(self) and all(item[0] for item in self)


def verify(hosts, name, redis_password=None, restart=True):
    """Return :class:`Verdicts` on a staged host after a response.

    :param redis_password: what the response set; without it the host's own configuration is read.
    :param restart: restart Redis and look again (on the intruded host only).
    """
    facts = hosts.state()["hosts"].get(name, {})
    if "ordinary" not in facts:
        raise RangeError("%s was not staged: there is nothing to compare with" % name)
    told = Verdicts()
    intruded = facts.get("intrusion")
    found = _probe(hosts, name, facts, redis_password)
    _innocents(told, facts, found, intruded)
    _tools(told, hosts, name, facts, found)
    _redis(told, facts, found, "")
    _ways_in(told, hosts, name)
    if intruded:
        _remains(told, intruded, found)
        _intruder_stays_out(told, hosts, name, intruded, found)
        if restart and not _ordinary_places(found):
            # At its end it would dump over authorized_keys once more, and lock the operator out.
            told.check(False, "Redis can be restarted", "not tried: it would dump to %s" % found["redis_places"])
        elif restart:
            hosts.run(name, ["systemctl", "restart", "redis-server.service"])
            _redis(told, facts, _probe(hosts, name, facts, redis_password), " after a restart")
            hosts.ssh(name, "true")
    return told


def _probe(hosts, name, facts, redis_password):
    intruded = facts.get("intrusion", {})
    configuration = hosts.run(name, ["cat", "/etc/redis/redis.conf"]).stdout
    wanted = {
        "paths": intruded.get("paths", []),
        "tools": sorted(facts["ordinary"]["tools"]),
        "texts": TEXTS,
        "account": intruded.get("account", "nobody-such"),
        "addresses": ["127.0.0.1", intrusion.address(hosts, name)],
        "passwords": [redis_password, facts.get("redis_password"), _configured_password(configuration)],
        "ignore_keys": [intruded.get("redis_key")],
    }
    done = hosts.ssh(name, "python3 - '%s'" % json.dumps(wanted), stdin=intrusion.script("probe.py"))
    found = json.loads(done.stdout)
    found["texts"] = {path: base64.b64decode(content) if content is not None else None
                      for path, content in found["texts"].items()}
    return found


def _configured_password(configuration):
    match = re.search(r"^requirepass\s+\"?([^\"\n]+)\"?\s*$", configuration, re.MULTILINE)
    return match.group(1) if match else None


def _innocents(told, facts, found, intruded):
    running = {(process["pid"], process["start"]): process for process in found["processes"]}
    healthy = dict(facts["ordinary"]["innocents"])
    # A response may have to restart a Redis that was abused, and nothing else.
    healthy.update((what, who) for what, who in facts["ordinary"]["services"].items()
                   if not (intruded and what == "redis-server"))
    for what, who in sorted(healthy.items()):
        process = running.get((who["pid"], who["start"]))
        told.check(process and process["exe"] == who["exe"] and process["state"] not in "TtZX",
                   "healthy process lives with its old pid: %s (%s)" % (what, who["exe"]), process or "gone")


def _tools(told, hosts, name, facts, found):
    for tool, packaged in sorted(facts["ordinary"]["tools"].items()):
        told.check(found["tools"][tool] == dict(packaged, locked=False),
                   "%s is the packaged file" % tool, found["tools"][tool])
    verified = hosts.run(name, ["dpkg", "--verify", "procps", "net-tools", "lsof", "iproute2"], check=False).stdout
    told.check(not verified.strip(), "dpkg --verify agrees", verified)


def _redis(told, facts, found, when):
    for address, answer in found["redis_open"].items():
        told.check(answer in ("NOAUTH", "refused"), "Redis at %s demands a password%s" % (address, when), answer)
    told.check(found["redis_open"]["127.0.0.1"] == "NOAUTH", "Redis runs%s" % when, found["redis_open"]["127.0.0.1"])
    told.check(found["redis_keys"] == facts["ordinary"]["redis_keys"], "all ordinary Redis keys are there%s" % when,
               _difference(facts["ordinary"]["redis_keys"], found["redis_keys"]))
    told.check(_ordinary_places(found), "Redis dumps to an ordinary place%s" % when, found["redis_places"])


def _ordinary_places(found):
    places = found["redis_places"] or {}
    return "ssh" not in places.get("dir", "ssh") and "keys" not in places.get("dbfilename", "keys")


def _difference(before, after):
    if after is None:
        return "the password does not serve"
    return "missing: %s, changed or new: %s" % (
        sorted(set(before) - set(after))[:5], [key for key in after if before.get(key) != after[key]][:5])


def _ways_in(told, hosts, name):
    root = hosts.ssh(name, "true", check=False)
    told.check(root.returncode == 0, "the operator gets in as root", root.stderr)
    sudo = hosts.ssh(name, "sudo -n id -u", user="operator", check=False)
    told.check(sudo.stdout.strip() == "0", "the operator gets in as operator, and becomes root", sudo.stderr)


def _remains(told, intruded, found):
    for path in intruded["paths"]:
        told.check(path not in found["present"], "gone: %s" % path, "still there")
    alive = [process for process in found["processes"] if process["sha256"] in intruded["stand_ins"]]
    told.check(not alive, "no stand-in runs", alive)
    crontab = (found["texts"]["/var/spool/cron/crontabs/root"] or b"").decode()
    told.check(INNOCENT_CRON_LINE in crontab.splitlines(), "the innocent cron line is there", crontab)
    for path, line in intruded["lines"].items():
        content = (found["texts"][path] or b"").decode("utf-8", "replace")
        told.check(line not in content, "cron line gone from %s" % path, content)
    told.check(b"cron.daily" in (found["texts"]["/etc/crontab"] or b""), "/etc/crontab keeps its own lines")


def _intruder_stays_out(told, hosts, name, intruded, found):
    for path in ("/root/.ssh/authorized_keys", "/home/operator/.ssh/authorized_keys"):
        content = found["texts"][path] or b""
        told.check(intruded["public_key"].split()[1].encode() not in content, "no intruder's key in %s" % path)
        told.check(b"REDIS00" not in content, "no Redis dump in %s" % path)
    for user in ("root", "operator", intruded["account"]):
        done = hosts.ssh(name, "true", user=user, key=intrusion.intruder_key(hosts, name), check=False)
        told.check(done.returncode == 255 and "Permission denied" in done.stderr,
                   "the intruder does not get in as %s" % user, done.stderr or "logged in")
    account = found["account"]
    told.check(account is None or (account["password"][:1] in ("!", "*")
                                   and (account["shell"] in NO_SHELLS or account["expires"] in ("0", "1"))),
               "account %s is gone or locked" % intruded["account"], account)
