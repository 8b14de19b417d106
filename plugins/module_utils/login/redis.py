# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a Redis or Valkey server answers: one probe without a password, then what it tells once it lets us in.

The order of the server's own checks (``processCommand`` in server.c) makes the error codes tell:
an unknown command is refused before, everything but ``NOAUTH`` and ``NOPERM`` after the question who asks.
"""

import collections
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login.resp import (
    Connection,
    ErrorReply,
    Unreachable,
)

OPEN = "open"  # commands are taken without a password
PASSWORD = "password"  # NOAUTH
DENIED = "denied"  # protected mode refuses the address that we come from
RESTRICTED = "restricted"  # no password, but the default user may not do what was asked
UNKNOWN = "unknown"  # an answer that does not tell

# What the server says after it has accepted who asks.
_STATES = ("LOADING", "MASTERDOWN", "BUSY", "MISCONF", "OOM", "READONLY", "CLUSTERDOWN", "NOREPLICAS", "EXECABORT")
_PROBES = (("PING",), ("INFO", "server"), ("ECHO", "PING"))

# reply: the decisive reply as str. state: LOADING, MASTERDOWN … or None. connection: open Connection.
Probe = collections.namedtuple("Probe", "outcome reply state connection")


def classify(reply):
    """Return ``(outcome, state)`` of the reply to a probing command; ``(None, None)``: that command does not exist."""
    if not isinstance(reply, ErrorReply):
        return OPEN, None
    if reply.code == "NOAUTH" or reply.startswith("ERR operation not permitted"):
        return PASSWORD, None
    if reply.code == "DENIED":
        return DENIED, None
    if reply.code == "NOPERM":
        return RESTRICTED, None
    if reply.code in _STATES:
        return OPEN, reply.code
    if reply.startswith("ERR unknown command"):
        return None, None
    return UNKNOWN, None


def probe(endpoint, certificates=(), timeout=5.0):
    """Ask once without a password.

    A port that does not take plain text is asked by TLS: without a client certificate, then with each of
    ``certificates`` (dicts ``cert``, ``key``, ``password``) in turn.

    :returns: :class:`Probe`; the caller closes its connection. :raises Unreachable: no conversation.
    """
    try:
        return _probe(Connection(endpoint, timeout))
    except Unreachable as error:
        if error.reason not in ("closed", "not_resp") or endpoint.path is not None:
            raise
        failure = error
    for files in [{"cert": None, "key": None}] + list(certificates):
        try:
            return _probe(Connection(endpoint._replace(tls=files), timeout))
        except Unreachable:
            continue
    raise failure


def _probe(connection):
    try:
        for words in _PROBES:
            reply = connection.call(*words)
            outcome, state = classify(reply)
            if outcome is not None:
                return Probe(outcome, text(reply)[:200], state, connection)
        return Probe(UNKNOWN, text(reply)[:200], None, connection)
    except Unreachable:
        connection.close()
        raise


class Session:
    """A conversation that knows how the configuration renamed commands.

    :param renamed: ``{"CONFIG": "new name"}``; ``""`` for a command that is switched off.
    ``sent`` counts the commands by their statistics' name: what we did must not look like the intruder's.
    """

    def __init__(self, connection, renamed=None):
        self.connection = connection
        self.renamed = renamed or {}
        self.sent = collections.Counter()

    def run(self, *words):
        """Send one command by its usual name and return the reply."""
        return self.batch([words])[0]

    def batch(self, commands):
        """Send commands by their usual names and return their replies."""
        wire = []
        for words in commands:
            name = self.renamed.get(words[0].upper(), words[0])
            if name == "":
                # As the server would answer, had it been asked.
                refusal = ErrorReply("ERR unknown command '%s' (switched off by rename-command)" % words[0])
                return [refusal] * len(commands)
            wire.append((name,) + tuple(words[1:]))
            self.sent[_statistics_name(words)] += 1
        return self.connection.pipeline(wire)


def _statistics_name(words):
    name = words[0].lower()
    if name in ("config", "acl", "client", "module") and len(words) > 1:
        return name + "|" + str(words[1]).lower()
    return name


def authenticate(connection, candidates, renamed=None):
    """Try the passwords (bytes) in turn; Redis knows no lock-out, and each comes from the host itself or its operator.

    :returns: ``(password or None, last reply as str)``.
    """
    session = Session(connection, renamed)
    reply = "no password is known"
    for password in candidates:
        reply = session.run("AUTH", password)
        if reply == "OK":
            return password, reply
        if isinstance(reply, ErrorReply) and reply.code not in ("WRONGPASS", "ERR"):
            break
    return None, text(reply)[:200]


def read_facts(session):
    """Read what a server tells of itself and change nothing.

    :returns: dict: ``info`` (str to str), ``commands`` (name to ``{"calls": int, …}``), ``keyspace`` (database number
        to keys), ``config`` (str to str, without the secrets), ``requirepass`` (bytes or ``None``), ``clients``,
        ``slowlog``, ``acl`` (lines as str), ``acl_log``, ``modules``, ``functions`` (lists of dicts), and
        ``refused`` (command to error) for what it does not let us read.
    """
    refused = {}

    def ask(*words):
        reply = session.run(*words)
        if isinstance(reply, ErrorReply):
            refused[" ".join(words)] = reply[:200]
            return None
        return reply

    raw_info = ask("INFO", "all")
    info, commands, keyspace = parse_info(text(raw_info or b""))
    config = _pairs(ask("CONFIG", "GET", "*"))
    secrets = {name: config.pop(name, b"") for name in ("requirepass", "masterauth", "tls-key-file-pass",
                                                        "tls-client-key-file-pass")}
    requirepass = secrets["requirepass"]
    clients = ask("CLIENT", "LIST")
    return {
        "info": info, "commands": commands, "keyspace": keyspace,
        "config": {name: text(value) for name, value in config.items()},
        "requirepass": requirepass if isinstance(requirepass, bytes) and requirepass else None,
        "masterauth_set": bool(secrets["masterauth"]),
        "clients": parse_clients(text(clients or b"")),
        "slowlog": [_slow_entry(entry) for entry in ask("SLOWLOG", "GET", "128") or [] if isinstance(entry, list)],
        "acl": [text(line) for line in ask("ACL", "LIST") or []],
        "acl_log": [_texts(entry) for entry in ask("ACL", "LOG") or []],
        "modules": [_texts(entry) for entry in ask("MODULE", "LIST") or []],
        "functions": [_texts(entry) for entry in ask("FUNCTION", "LIST") or []],
        "refused": refused,
    }


def parse_info(content):
    """Return ``(fields, command statistics, keyspace)`` of an INFO reply (str)."""
    fields, commands, keyspace = {}, {}, {}
    for line in content.splitlines():
        name, colon, value = line.partition(":")
        if not colon or line.startswith("#"):
            continue
        if name.startswith("cmdstat_"):
            commands[name[len("cmdstat_"):].lower()] = {
                key: int(number) for key, unused, number in (part.partition("=") for part in value.split(","))
                if number.isdigit()}
        elif re.match(r"db\d+$", name):
            count = re.match(r"keys=(\d+)", value)
            keyspace[int(name[2:])] = int(count.group(1)) if count else 0
        else:
            fields[name] = value
    return fields, commands, keyspace


def parse_clients(content):
    """Return CLIENT LIST (str) as a list of dicts."""
    return [dict(part.partition("=")[::2] for part in line.split(" ") if "=" in part)
            for line in content.splitlines() if line.strip()]


def version_of(info):
    """Return ``(major, minor, patch)`` of the INFO fields; of Valkey that Redis release which it is compatible with."""
    numbers = re.findall(r"\d+", info.get("redis_version", ""))[:3]
    return tuple(int(number) for number in numbers + ["0"] * (3 - len(numbers)))


def _pairs(reply):
    if not isinstance(reply, list):
        return {}
    return {text(name).lower(): value for name, value in zip(reply[::2], reply[1::2])
            if isinstance(name, bytes) and isinstance(value, bytes)}


def _texts(entry):
    """Return a flat list of names and values as a dict of texts and lists of texts."""
    if not isinstance(entry, list):
        return {"value": text(entry)}
    return {text(name): [text(part) for part in value] if isinstance(value, list) else
            value if isinstance(value, int) else text(value)
            for name, value in zip(entry[::2], entry[1::2]) if not isinstance(name, list)}


def _slow_entry(entry):
    words = entry[3] if len(entry) > 3 and isinstance(entry[3], list) else []
    return {"id": entry[0], "time": entry[1] if len(entry) > 1 else None,
            "command": [text(word)[:200] for word in words[:16]],
            "client": text(entry[4]) if len(entry) > 4 else None}
