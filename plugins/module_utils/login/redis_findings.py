# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes a Redis server weak, and what shows that it was abused. Facts in, findings out; nothing is asked here."""

import ipaddress
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import finding, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login import redis, redis_keys
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login.redis_criteria import (
    BRUTE_FORCE,
    EXPLOIT,
    MODULES,
    dump_place,
    hash_weakness,
    is_loopback,
    password_weakness,
    remote_listeners,
)

REMEDY = {"module": "redis_auth", "args": {"state": "secured"}}

ROGUE_MODULE_NAMES = re.compile(r"^(system|exp|shell|backdoor)$", re.IGNORECASE)
_TELLING_SLOW = re.compile(
    r"^(config set (dir|dbfilename)|slaveof|replicaof|module load|system\.(exec|rev))\b", re.IGNORECASE)
_DANGEROUS = (
    ("enable-protected-configs", "clients may let it write files anywhere (CONFIG SET dir)"),
    ("enable-module-command", "clients may load shared objects (MODULE LOAD)"),
    ("enable-debug-command", "clients may crash or stall it (DEBUG)"),
)


def judge(view, trusted):
    """Return the findings about one server.

    :param view: what was looked at. Attributes: ``subject``, ``outcome`` and ``reply`` of the probe, ``password``
        (bytes or ``None``), ``default_hashes`` (of the default user, hex), ``listeners``, ``uid``,
        ``working_directory``, ``facts`` (``redis.read_facts`` or ``None``), ``startup`` (dict of what the
        configuration on disk will do at the next start, or ``None``), ``config_note`` (why there is none),
        ``dump_file`` (dict or ``None``), ``payloads``, ``own_commands`` (what earlier runs of ours sent),
        ``contained`` (it lives in a container).
    :param trusted: attributes ``masters`` and ``replicas`` (sets of addresses), ``configured_masters`` (bool),
        ``bind`` (addresses that are wanted, or ``None``).
    """
    findings = list(_access(view)) + list(_listening(view, trusted))
    if view.facts is not None:
        for rule in (_users, _settings, _dump, _replication, _modules, _payloads, _history):
            findings.extend(rule(view, trusted))
    elif view.working_directory:
        findings.extend(_dump(view, trusted))
    if view.uid == 0:
        findings.append(_found(
            view, "runs_as_root", "weak", "medium",
            "The server runs as root, so that whoever gets in may write anywhere. Run it under an account of its own.",
            {"uid": 0}))
    findings.extend(_lasting(view))
    if view.facts is not None and view.outcome == redis.PASSWORD and not findings:
        findings.append(_found(view, "well_kept", "benign", "info",
                               "The server demands a good password and listens where it should.", _where(view)))
    return findings


def protected(view):
    """Tell whether protected mode keeps others out of a server without password.

    Until 7.0 it did so only where no ``bind`` was written (``acceptCommonHandler``, networking.c).
    """
    if view.facts is None:
        return view.outcome == redis.DENIED
    config = view.facts["config"]
    if config.get("protected-mode") != "yes":
        return False
    return redis.version_of(view.facts["info"]) >= (7, 0, 0) or config.get("bind", "") in ("", "* -::*")


def unknown_replicas(facts, allowed):
    """Return the addresses of connected replicas that are not among the ``allowed``."""
    found = set()
    for name, value in facts["info"].items():
        match = re.match(r"ip=([^,]*),", value) if re.match(r"slave\d+$", name) else None
        if match and match.group(1) not in allowed:
            found.add(match.group(1))
    return sorted(found)


def _found(view, rule, verdict, severity, message, observables, attack=(), remedy=None):
    return finding("redis_auth." + rule, verdict, severity, view.subject, message, observables, attack, remedy)


def _where(view, **more):
    observables = {"listens_on": ["%s:%d" % (item.address, item.port) if item.family == "tcp" else text(item.address)
                                  for item in view.listeners], "answer": view.reply}
    if view.facts is not None:
        info = view.facts["info"]
        names = ("redis_version", "redis_mode", "config_file", "run_id", "uptime_in_seconds", "role")
        observables.update((name, info[name]) for name in names if name in info)
        remote = sorted({_address(client) for client in view.facts["clients"] if not _is_local(client)})
        if remote:
            observables["remote_clients"] = remote[:50]
    observables.update(more)
    return observables


def _address(client):
    return client.get("addr", "").rpartition(":")[0].strip("[]")


def _is_local(client):
    """A client of this host: by loopback, by a unix socket, or by the host's own address (known from 6.2 on)."""
    address = _address(client)
    own = client.get("laddr", "").rpartition(":")[0].strip("[]")
    return not address or address.startswith("/") or is_loopback(address) or address == own


def _is_public(address):
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _access(view):
    remote = remote_listeners(view.listeners)
    outside = bool(remote) and not protected(view)
    if view.outcome in (redis.OPEN, redis.RESTRICTED):
        limited = view.outcome == redis.RESTRICTED
        yield _found(view, "no_password", "weak", "critical" if outside and not limited else "medium",
                     "Anyone who reaches it from %s is let in without a password%s." % (
                         "other hosts" if outside else "this host", ", though not to every command" if limited else ""),
                     _where(view, reachable_from_outside=outside), [EXPLOIT], REMEDY)
    elif view.outcome == redis.DENIED:
        yield _found(view, "no_password", "weak", "medium",
                     "It has no password; protected mode alone keeps other hosts out.", _where(view), [EXPLOIT], REMEDY)
    elif view.outcome == redis.PASSWORD:
        if view.password is not None:
            weakness = password_weakness(view.password)
        else:
            weakness = next(filter(None, map(hash_weakness, view.default_hashes)), None)
        if weakness:
            yield _found(view, "weak_password", "weak", "high" if remote else "medium",
                         "Its password is weak: %s." % weakness, _where(view, reachable_from_outside=bool(remote)),
                         [EXPLOIT, BRUTE_FORCE], REMEDY)


def _lasting(view):
    """What the running server demands must also be what it demands after its next start."""
    if view.outcome != redis.PASSWORD:
        return
    if view.startup is None and view.facts is not None:
        yield _found(view, "not_lasting", "weak", "high",
                     "It demands a password now but not after its next start: %s. Start it with a configuration file "
                     "that sets requirepass." % (view.config_note or "its configuration is not known"), {})
    elif view.startup is not None and view.startup["default"].enabled and view.startup["default"].nopass:
        yield _found(view, "not_lasting", "weak", "high",
                     "It demands a password now but not after its next start: its configuration does not set it.",
                     {"config_file": view.startup["path"]}, [], REMEDY)


def _listening(view, trusted):
    remote = remote_listeners(view.listeners)
    if view.contained:
        if remote:
            yield _found(view, "container", "weak" if view.outcome == redis.OPEN else "undetermined", "medium",
                         "It runs in a container and listens there on %s; whether the host hands the port on is not "
                         "looked at." % ", ".join(remote), _where(view), [EXPLOIT])
        return
    wanted = {address.lstrip("-") for address in trusted.bind or ()}
    unwanted = remote_listeners(item for item in view.listeners if item.address not in wanted)
    if unwanted and not wanted & {"*", "0.0.0.0", "::"}:
        open_wide = view.outcome == redis.OPEN and not protected(view)
        yield _found(view, "bind", "weak", "high" if open_wide else "medium",
                     "It listens for other hosts on %s." % ", ".join(unwanted), _where(view), [EXPLOIT],
                     REMEDY if trusted.bind is not None else None)


def _users(view, unused):
    known = set(view.startup["users"]) if view.startup is not None else None
    for line in view.facts["acl"]:
        words = line.split()
        if len(words) < 3 or words[0] != "user" or words[1] == "default" or "on" not in words:
            continue
        observables = {"user": words[1], "rules": [word for word in words[2:] if word[0] != "#"]}
        if "nopass" in words:
            yield _found(view, "user_without_password", "weak", "high" if "+@all" in words else "medium",
                         "The user '%s' needs no password." % words[1], observables, [EXPLOIT], REMEDY)
        if known is not None and words[1] not in known:
            yield _found(view, "user_not_configured", "suspicious", "medium",
                         "The user '%s' exists in the running server only, not in its configuration." % words[1],
                         observables, ["T1136"])


def _settings(view, unused):
    config = view.facts["config"]
    if config.get("protected-mode") == "no" and not view.contained:
        yield _found(view, "protected_mode", "weak", "medium" if view.outcome == redis.OPEN else "low",
                     "Protected mode is off: without a password nothing would keep other hosts out.", {}, [EXPLOIT],
                     REMEDY)
    for name, harm in _DANGEROUS:
        if config.get(name, "no") == "yes":
            restart = view.startup is not None and view.startup["values"].get(name, "no") == "no"
            hint = " Its configuration says no: a restart switches it off." if restart else ""
            yield _found(view, "dangerous_commands", "weak", "low" if restart else "medium",
                         "%s is on: %s.%s" % (name, harm, hint),
                         {"directive": name, "restart_needed": restart}, [EXPLOIT],
                         REMEDY if name == "enable-protected-configs" and not restart else None)
    if config.get("replica-read-only", config.get("slave-read-only", "yes")) == "no":
        yield _found(view, "replica_writable", "weak", "low", "As a replica it takes writes from clients.",
                     {"directive": "replica-read-only"})


def _dump(view, unused):
    config = view.facts["config"] if view.facts is not None else {}
    directory = config.get("dir") or text(view.working_directory or "")
    name = config.get("dbfilename", "dump.rdb")
    grade, techniques = dump_place(directory, name)
    if grade is None:
        return
    wrote = bool(view.dump_file and view.dump_file["is_dump"])
    verdict, severity = {"severe": ("malicious", "critical" if wrote else "high"),
                         "odd": ("suspicious", "high" if wrote else "medium"), "careless": ("weak", "low")}[grade]
    seen = ", and such a dump lies there" if wrote else ""
    yield _found(view, "dump_place", verdict, severity,
                 "It writes its dump as %s/%s%s." % (directory.rstrip("/"), name, seen),
                 {"dir": directory, "dbfilename": name, "file": view.dump_file}, techniques, REMEDY)


def _replication(view, trusted):
    info = view.facts["info"]
    master = info.get("master_host")
    if info.get("role") == "slave" and master and master not in trusted.masters:
        configured = view.startup is not None and view.startup["master"] == "%s %s" % (master, info.get("master_port"))
        observables = {"master_host": master, "master_port": info.get("master_port"), "configured": configured,
                       "link": info.get("master_link_status")}
        if configured and trusted.configured_masters:
            verdict, severity = ("suspicious", "medium") if _is_public(master) else ("benign", "info")
            yield _found(view, "configured_master", verdict, severity,
                         "It is a replica of %s as its configuration says; name it in allowed_masters when it is yours."
                         % text(master), observables)
        else:
            yield _found(view, "unknown_master", "suspicious", "high",
                         "It was made a replica of %s, which is not on the list of allowed masters." % text(master),
                         observables, [EXPLOIT, MODULES], REMEDY)
    for address in unknown_replicas(view.facts, trusted.replicas):
        yield _found(view, "unknown_replica", "suspicious", "high" if _is_public(address) else "medium",
                     "%s draws a copy of all data as a replica and is not on the list of allowed replicas."
                     % text(address), {"replica": address}, ["T1530"], REMEDY)


def _modules(view, unused):
    configured = view.startup["modules"] if view.startup is not None else []
    directory = view.facts["config"].get("dir", "").rstrip("/") + "/"
    for module in view.facts["modules"]:
        name, path = str(module.get("name", "")), str(module.get("path", ""))
        odd_place = path.startswith(("/tmp/", "/dev/shm/", "/var/tmp/", ".", directory))
        if odd_place or ROGUE_MODULE_NAMES.match(name):
            yield _found(view, "rogue_module", "malicious", "critical",
                         "The module '%s'%s is loaded: attacks load such a one to run commands. MODULE UNLOAD %s, then "
                         "take the file away." % (name, " from " + path if path else "", name),
                         {"module": module}, [MODULES])
        elif path and path not in configured:
            yield _found(view, "unconfigured_module", "suspicious", "medium",
                         "The module '%s' from %s is loaded but not configured." % (name, path),
                         {"module": module}, [MODULES])


def _payloads(view, unused):
    for payload in view.payloads:
        name = text(payload.key)
        certain = payload.padded or redis_keys.PAYLOAD_NAMES.match(name) or len(payload.kinds) > 1
        verdict, severity = ("malicious", "high") if certain else ("suspicious", "medium")
        yield _found(view, "payload_key", verdict, severity,
                     "The key '%s' holds what an attack writes into files (%s). Look at it and delete it."
                     % (name, ", ".join(payload.kinds)),
                     {"database": payload.database, "key": name, "kinds": payload.kinds, "bytes": payload.length,
                      "sample": text(payload.sample)}, [EXPLOIT])


def _history(view, unused):
    commands = view.facts["commands"]

    def calls(*names):
        return sum(max(0, commands.get(name, {}).get("calls", 0) - view.own_commands.get(name, 0)) for name in names)

    seen = {"replicaof": calls("slaveof", "replicaof"), "module load": calls("module|load", "module|loadex"),
            "config set": calls("config|set"), "save": calls("save", "bgsave"), "flushall": calls("flushall"),
            "eval": calls("eval", "script", "script|load")}
    slow = [entry for entry in view.facts["slowlog"] if _TELLING_SLOW.match(" ".join(entry["command"]))]
    if seen["replicaof"] or seen["module load"] or (seen["config set"] and seen["save"]) or slow:
        yield _found(view, "command_history", "suspicious", "medium",
                     "Since its start it was given commands that attacks use.",
                     {"calls": {name: count for name, count in seen.items() if count},
                      "slowlog": [{"command": " ".join(entry["command"])[:200], "client": entry["client"],
                                   "time": entry["time"]} for entry in slow[:20]]}, [EXPLOIT])
    # From this host it may be ourselves, or an application that does not know a new password yet.
    failed = [entry for entry in view.facts["acl_log"] if entry.get("reason") == "auth"
              and not all(map(_is_local, redis.parse_clients(str(entry.get("client-info", "")))))]
    if failed:
        yield _found(view, "failed_logins", "suspicious", "low",
                     "Passwords were tried from other hosts without success.",
                     {"entries": [{"count": entry.get("count"), "user": entry.get("username"),
                                   "client": str(entry.get("client-info", ""))[:120]} for entry in failed[:20]]},
                     [BRUTE_FORCE])
