# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Redis servers of a host as they really are: process, sockets, configuration on disk, and what they answer.

Offline first: processes and files; then one probe without a password; then, with a password that the host's own
configuration or the operator knows, what the server tells of itself. Nothing is changed.
"""

import os
import re
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import finding, gap, subject, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    redis_config,
    redis_processes,
    safe_files,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login import (
    redis,
    redis_criteria,
    redis_findings,
    redis_keys,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login.resp import Endpoint, Unreachable

# Where distributions and the usual guides put it; taken only when the process listens on its port or socket.
CONFIG_PATHS = ("/etc/redis/redis.conf", "/etc/redis.conf", "/etc/redis/{port}.conf", "/etc/redis/redis-{port}.conf",
                "/etc/redis/redis_{port}.conf", "/etc/redis-{port}.conf", "/etc/valkey/valkey.conf", "/etc/valkey.conf",
                "/etc/keydb/keydb.conf", "/usr/local/etc/redis.conf", "/usr/local/etc/redis/redis.conf",
                "/usr/local/redis/redis.conf", "/usr/local/redis/etc/redis.conf", "/usr/local/redis/conf/redis.conf",
                "/opt/redis/redis.conf", "/opt/redis/etc/redis.conf", "/www/server/redis/redis.conf",
                "/root/redis/redis.conf")
DUMP_MAGIC = re.compile(br"^(REDIS\d{4}|VALKEY\d{3})")
DEFAULT_PORT = 6379
TIMEOUT = 5.0

_VALUES = ("dir", "dbfilename", "bind", "protected-mode", "enable-protected-configs", "enable-module-command",
           "enable-debug-command", "requirepass")


class Inspection:
    """One server and all that is known of it; the view that ``redis_findings.judge`` takes.

    Beyond that view: ``process`` (or ``None``), ``endpoint`` that answered (or ``None``), ``state`` (``LOADING`` … or
    ``None``), ``config`` (``RedisConfig`` or ``None``), ``root_path`` (the root that the process sees), ``config_root``
    (root below which we read its files), ``editable`` (its configuration is the very file that the host has at that
    path), ``config_note`` (why there is none), ``password_known``, ``gaps``, ``port``.
    """

    def __init__(self, name, port, process, listeners):
        self.port = port
        self.process = process
        self.listeners = listeners
        self.subject = subject("service", name, port=port, pid=process.pid if process else None)
        self.uid = process.uid if process else None
        self.working_directory = process.working_directory if process else None
        self.contained = bool(process and (process.own_root or process.own_network))
        self.outcome = redis.UNKNOWN
        self.reply = ""
        self.state = None
        self.endpoint = None
        self.config = None
        self.root_path = "/"
        self.config_root = "/"
        self.config_note = None
        self.editable = False
        self.startup = None
        self.password = None
        self.password_known = False
        self.default_hashes = []
        self.facts = None
        self.dump_file = None
        self.payloads = []
        self.own_commands = {}
        self.gaps = []

    @property
    def name(self):
        """Return what an operator calls it: ``redis:6379``."""
        return self.subject["name"]

    @property
    def renamed(self):
        """Return the renamed commands as ``redis.Session`` takes them."""
        return self.config.renamed if self.config is not None else {}

    @property
    def mode(self):
        """Return ``standalone``, ``cluster`` or ``sentinel``."""
        if self.process is not None and self.process.sentinel:
            return "sentinel"
        return (self.facts["info"] if self.facts else {}).get("redis_mode", "standalone")

    def gap(self, reason, hint=None):
        """Note something about this server that could not be looked at."""
        self.gaps.append(gap(self.name, reason, hint))


def find_instances(wanted=None, proc_root="/proc", host_root="/"):
    """Return the servers as ``[(process or None, listeners, port, configuration file or None)]``.

    :param wanted: ``None`` for all that run here, or a list of dicts with ``host`` and ``port`` or ``unixsocket``, and
        ``config_file``.
    """
    processes = redis_processes.find_processes(proc_root, host_root)
    if wanted is None:
        return [(process, process.listeners, _port(process.listeners), None) for process in processes]
    chosen = []
    for one in wanted:
        path, port = one.get("unixsocket"), one.get("port") or DEFAULT_PORT
        host = one.get("host") or "127.0.0.1"
        if path:
            match = [item for item in processes if any(where.address == path for where in item.listeners)]
            listeners = [redis_processes.Listener("unix", path, 0)]
        else:
            match = [item for item in processes if any(where.port == port and _reaches(where.address, host)
                                                       for where in item.listeners)]
            listeners = [redis_processes.Listener("tcp", host, port)]
        process = match[0] if match else None
        listeners = process.listeners if process else listeners
        chosen.append((process, listeners, 0 if path and not process else _port(listeners), one.get("config_file")))
    return chosen


def _reaches(address, host):
    return address == host or address in ("0.0.0.0", "::") or (
        redis_criteria.is_loopback(address) and redis_criteria.is_loopback(host))


def _port(listeners):
    # The bus of a cluster listens on the port plus 10000: the lowest one serves clients.
    ports = sorted(item.port for item in listeners if item.family == "tcp")
    return ports[0] if ports else 0


def inspect(process, listeners, port, config_file=None, passwords=(), own_commands=None, look_at_keys=True,
            proc_root="/proc", host_root="/"):
    """Look at one server.

    :param passwords: bytes that may let us in where the configuration does not tell.
    :param own_commands: ``function(run_id) -> {command: calls}`` that earlier runs sent.
    :returns: :class:`Inspection`.
    """
    product = process.product if process else "redis"
    sockets = [item.address for item in listeners if item.family == "unix"]
    seen = Inspection("%s:%s" % (product, port or (sockets[0] if sockets else "?")), port, process, listeners)
    seen.root_path = process.root(proc_root) if process is not None else host_root
    seen.config_root = seen.root_path if process is not None and process.own_root else host_root
    _read_configuration(seen, config_file, host_root)
    answer = _probe(seen, proc_root)
    if answer is None:
        _look_at_dump(seen)
        return seen
    with answer.connection as connection:
        try:
            _talk(seen, connection, passwords, config_file, own_commands, look_at_keys, host_root)
        except Unreachable as error:
            seen.facts = None
            seen.gap("it stopped answering: %s" % error, "Look at the server, then run again.")
    _look_at_dump(seen)
    return seen


def _read_configuration(seen, given, host_root):
    """Find and read the configuration before a word is said: as process or unit name it, else where it usually is."""
    process = seen.process
    arguments = process.arguments if process is not None else []
    named, directives = redis_processes.split_command_line(arguments)
    directory = process.working_directory if process is not None and process.unit is None else None
    if named and not named.startswith("/"):
        named = os.path.join(directory, named) if directory else None
    usual = [path.format(port=seen.port) for path in CONFIG_PATHS] + _beside(process)
    for path in [given] if given else [named] + usual:
        real = redis_config.existing_path(path, seen.config_root) if path else None
        if real is None:
            continue
        config = _read(seen, real, directives)
        if config is not None and (path in (given, named) or _belongs(config, seen)):
            _take(seen, config, host_root)
            return
    if given:
        seen.gap("the configuration file %s does not exist" % text(given), "Correct config_file of this instance.")


def _beside(process):
    """Return where those keep it who unpacked a server somewhere: by its data or its program, or above them."""
    found = []
    places = [process.working_directory, os.path.dirname(process.executable or "")] if process is not None else []
    for place in places:
        if place and " (deleted)" not in place:
            found += [os.path.join(directory, name) for directory in (place, os.path.dirname(place))
                      for name in ("redis.conf", "valkey.conf")]
    return found


def _read(seen, path, directives=()):
    try:
        return redis_config.read_config(path, "/", directives, seen.config_root)
    except (OSError, ResponseError) as error:
        seen.gap("its configuration %s cannot be read: %s" % (text(path), text(error)))
        return None


def _belongs(config, seen):
    sockets = {item.address for item in seen.listeners if item.family == "unix"}
    ports = {item.port for item in seen.listeners if item.family == "tcp"}
    own = {config.value("port", str(DEFAULT_PORT)), config.value("tls-port", "0")}
    return bool(own & {str(port) for port in ports}) or (not ports and config.value("unixsocket") in sockets)


def _take(seen, config, host_root):
    seen.config = config
    seen.editable = not seen.contained and _same_file(config.path, seen, host_root)
    default = config.default_user()
    master = config.value("replicaof")
    seen.default_hashes = sorted(default.hashes)
    seen.startup = {
        "path": text(config.path),
        "values": {name: config.value(name) for name in _VALUES if config.value(name) is not None},
        "users": [text(user.name) for unused, user in config.users()],
        "default": default,
        "master": master if master and master.lower() != "no one" else None,
        "modules": [text(item.args[0]) for item in config.all("loadmodule") if item.args],
    }
    for problem in config.problems:
        seen.gap(problem, "Mend the configuration: what the server will do at its next start is uncertain.")


def _same_file(path, seen, host_root):
    """A unit or container may see another file at that path than the host: then ours is not its configuration."""
    if seen.process is None:
        return True
    try:
        theirs = os.stat(os.path.join(seen.root_path, path.lstrip("/")))
        ours = os.stat(safe_files.host_path(path, host_root))
    except OSError:
        return False
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def endpoints(seen, proc_root="/proc"):
    """Return the :class:`Endpoint` list by which a server is reached, the one that is nearest to us first."""
    process = seen.process
    network = None
    if process is not None and process.own_network:
        network = os.path.join(proc_root, str(process.pid), "ns", "net")
    found = []
    for item in seen.listeners:
        if item.family == "unix":
            path = item.address
            if not path.startswith("/"):
                continue  # abstract, or relative to a directory that we do not know
            prefix = process.root(proc_root) if process is not None and process.own_root else ""
            found.append((1, Endpoint(path=prefix + path)))
        else:
            near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(item.address, item.address)
            rank = (0 if redis_criteria.is_loopback(near) else 2, item.port != seen.port)
            found.append((rank[0], Endpoint(near, item.port, network=network)))
    bus = seen.port + 10000
    return [where for unused, where in sorted(found, key=lambda pair: pair[0]) if where.port != bus]


def _probe(seen, proc_root):
    reasons = []
    for endpoint in endpoints(seen, proc_root):
        try:
            answer = redis.probe(endpoint, _certificates(seen), TIMEOUT)
        except Unreachable as error:
            reasons.append(str(error))
            continue
        seen.outcome, seen.reply, seen.state = answer.outcome, answer.reply, answer.state
        seen.endpoint = answer.connection.endpoint
        if answer.outcome != redis.DENIED:
            return answer
        answer.connection.close()
        reasons.append("%s: %s" % (endpoint.host, answer.reply[:80]))
    seen.gap("no answer that tells whether it lets anyone in: %s" % ("; ".join(reasons) or "it listens nowhere"),
             "Look whether the server hangs, or wants a client certificate; run again.")
    return None


def _certificates(seen):
    """Return the server's own certificate for a client: where it asks for one, its own authority signed that, too."""
    if seen.config is None or not seen.config.secret("tls-cert-file"):
        return []
    path = {name: safe_files.host_path(safe_files.path_text(seen.config.secret(name) or b""), seen.config_root)
            for name in ("tls-cert-file", "tls-key-file")}
    return [{"cert": path["tls-cert-file"], "key": path["tls-key-file"],
             "password": seen.config.secret("tls-key-file-pass")}]


def _talk(seen, connection, passwords, given, own_commands, look_at_keys, host_root):
    if seen.outcome == redis.PASSWORD and not _log_in(seen, connection, passwords):
        return
    if seen.outcome == redis.UNKNOWN:
        seen.gap("its answer does not tell whether it lets anyone in: %s" % seen.reply)
        return
    session = redis.Session(connection, seen.renamed)
    facts = redis.read_facts(session)
    if not facts["info"]:
        seen.gap("it does not let its state be read: %s" % "; ".join(
            "%s: %s" % pair for pair in sorted(facts["refused"].items())))
        return
    seen.facts = facts
    path = facts["info"].get("config_file")
    if path == "" and not given:
        seen.config, seen.startup, seen.editable, seen.default_hashes = None, None, False, []
        seen.config_note = "it was started without a configuration file"
    elif path and (seen.config is None or os.path.normpath(path) != seen.config.path) and not given:
        _take_named(seen, path, host_root)
        session.renamed = seen.renamed
    if facts["info"].get("redis_mode") == "sentinel":
        return
    for command in ("CONFIG GET *", "CLIENT LIST"):
        if command in facts["refused"]:
            seen.gap("%s is refused: %s" % (command, facts["refused"][command]))
    if own_commands is not None:
        seen.own_commands = own_commands(facts["info"].get("run_id", ""))
    if look_at_keys and seen.state is None:
        seen.payloads, looked_at, incomplete = redis_keys.find_payloads(session, facts["keyspace"])
        if incomplete:
            seen.gap("keys: %s" % incomplete, "Look through the other keys by hand.")
    elif seen.state is not None:
        seen.gap("its keys cannot be read now: %s" % seen.reply, "Run again when it serves.")


def _take_named(seen, path, host_root):
    seen.config, seen.startup, seen.editable = None, None, False
    real = redis_config.existing_path(path, seen.config_root)
    config = _read(seen, real) if real else None
    if config is not None:
        _take(seen, config, host_root)
    else:
        seen.config_note = "its configuration file %s cannot be read" % text(path)
        if real is None:
            seen.gap("its configuration file %s does not exist any more" % text(path),
                     "Put one back: without it the server does not start again.")


def _log_in(seen, connection, passwords):
    candidates = []
    if seen.config is not None:
        candidates += [seen.config.secret("requirepass")] + list(seen.startup["default"].plain)
        candidates += [seen.config.secret("masterauth")]
    candidates = list(dict.fromkeys(word for word in candidates + list(passwords) if word))
    # Where the hash is on disk, no password needs to be tried that it does not stand for, unless all fail.
    candidates.sort(key=lambda word: redis_config.digest_of(word) not in seen.default_hashes)
    seen.password, reply = redis.authenticate(connection, candidates, seen.renamed)
    seen.password_known = seen.password is not None
    if not seen.password_known:
        seen.gap("it wants a password that nobody here knows (%s)" % reply,
                 "Give the present password in old_passwords. When it is lost: copy the dump file away, restart the "
                 "server so that it takes the password of its configuration, then run again.")
    return seen.password_known


def _look_at_dump(seen):
    """Look whether a dump lies where the server writes to, from outside the server."""
    config = seen.facts["config"] if seen.facts is not None else {}
    directory = config.get("dir") or seen.working_directory
    if not directory or " (deleted)" in directory:
        return
    path = os.path.join(directory, config.get("dbfilename", "dump.rdb"))
    try:
        found = safe_files.lstat(path, seen.config_root)
        if found is None or not stat.S_ISREG(found.st_mode):
            return
        head = safe_files.read_bytes(path, 16, seen.config_root, truncate=True)
    except (OSError, ResponseError) as error:
        seen.gap("its dump file %s cannot be looked at: %s" % (text(path), text(error)))
        return
    seen.dump_file = {"path": text(path), "bytes": found.st_size, "modified": int(found.st_mtime),
                      "is_dump": DUMP_MAGIC.match(head) is not None}


def findings_of(seen, trusted):
    """Return the findings about an inspected server; see ``redis_findings.judge`` for ``trusted``."""
    if seen.mode == "sentinel":
        opened = seen.outcome == redis.OPEN
        return [finding("redis_auth.sentinel", "weak" if opened else "undetermined", "medium", seen.subject,
                        "A Sentinel%s. It is not changed by this module: set requirepass and bind in its own "
                        "configuration on every Sentinel together." % (" without password" if opened else ""),
                        {"listens_on": redis_criteria.remote_listeners(seen.listeners), "answer": seen.reply})]
    findings = redis_findings.judge(seen, trusted)
    if seen.outcome == redis.PASSWORD and not seen.password_known:
        findings.append(finding("redis_auth.unknown_password", "undetermined", "medium", seen.subject,
                                "It demands a password that nobody here knows, so it could not be looked into.",
                                {"answer": seen.reply}))
    elif seen.facts is None and seen.outcome == redis.UNKNOWN:
        findings.append(finding("redis_auth.no_answer", "undetermined", "medium", seen.subject,
                                "It could not be asked whether it lets anyone in.", {"answer": seen.reply}))
    return findings
