# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of a Redis server: payloads that an intruder stored among them, and a digest that shows that none was lost.

Reads by SCAN in portions, never ``KEYS *``; big values are not read.
"""

import collections
import hashlib
import re
import time

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login.resp import ErrorReply

PAYLOAD_SCAN_LIMIT = 10000
PAYLOAD_STRING_BYTES = 16 * 1024
PAYLOAD_READ_BYTES = 2048
SAMPLE_BYTES = 200

# Names that published attacks used; a key of such a name is looked at, the value decides.
PAYLOAD_NAMES = re.compile(r"^(crackit|backup[1-4]|x|1|weaponx|trojan)$", re.IGNORECASE)
PAYLOAD_PATTERNS = (
    ("ssh_key", re.compile(br"ssh-(rsa|ed25519|dss) AAAA")),
    ("download_and_run", re.compile(br"(curl|wget)[^\n]{0,200}\|\s*(ba)?sh")),
    ("reverse_shell", re.compile(br"/dev/tcp/")),
    ("web_shell", re.compile(br"<\?php|<%@ ?page")),
    ("cron_line", re.compile(br"(\*/?\d*\s+){4}\*\s")),
)

# A digest of everything is cheap up to here (some seconds); beyond, a sample or the counts must do.
DIGEST_KEYS = 1000000
VALUE_KEYS = 200000
VALUE_BYTES = 256 * 1024 * 1024
BIG_VALUE_BYTES = 1024 * 1024
GROUP_BYTES = 8 * 1024 * 1024
SECONDS = 60.0
# What the server itself walks through in one piece while nobody else is served.
BLOCKING_BYTES = 1024 * 1024 * 1024
PORTION = 500

Payload = collections.namedtuple("Payload", "database key kinds length sample padded")
# method: "debug_digest", "values", "names" or "counts"; value: hex; keys: int; counters: see counters_of.
Snapshot = collections.namedtuple("Snapshot", "method value keys counters")


def find_payloads(session, keyspace, limit=PAYLOAD_SCAN_LIMIT):
    """Look through string values for what attacks store.

    :param keyspace: ``{database: number of keys}``. :param limit: keys to look at, in all databases.
    :returns: ``([Payload], keys looked at, why not all or None)``. ``key`` and ``sample`` are bytes.
    """
    found, looked_at, incomplete = [], 0, None
    try:
        for database in sorted(keyspace):
            reply = session.run("SELECT", database)
            if isinstance(reply, ErrorReply):
                return found, looked_at, reply[:200]
            for keys in _portions(session):
                if looked_at + len(keys) > limit:
                    keys = keys[:limit - looked_at]
                    incomplete = "only the first %d keys were looked at" % limit
                looked_at += len(keys)
                found.extend(_payloads_among(session, database, keys))
                if incomplete:
                    return found, looked_at, incomplete
    except _Refused as error:
        incomplete = str(error)
    finally:
        session.run("SELECT", 0)
    return found, looked_at, incomplete


def _payloads_among(session, database, keys):
    types = session.batch([("TYPE", key) for key in keys]) if keys else []
    strings = [key for key, kind in zip(keys, types) if kind == "string"]
    lengths = session.batch([("STRLEN", key) for key in strings]) if strings else []
    small = [(key, length) for key, length in zip(strings, lengths)
             if isinstance(length, int) and 0 < length <= PAYLOAD_STRING_BYTES]
    values = session.batch([("GETRANGE", key, 0, PAYLOAD_READ_BYTES - 1) for key, unused in small]) if small else []
    for (key, length), value in zip(small, values):
        if isinstance(value, bytes):
            kinds = [kind for kind, pattern in PAYLOAD_PATTERNS if pattern.search(value)]
            if kinds:
                # Line feeds around it keep the rest of the dump off the line: nobody stores that for an application.
                yield Payload(database, key, kinds, length, value[:SAMPLE_BYTES], value.startswith(b"\n"))


def counters_of(info):
    """Return what tells whether others changed the data between two snapshots, from INFO's fields."""
    return {name: info.get(name) for name in
            ("rdb_changes_since_last_save", "rdb_last_save_time", "expired_keys", "evicted_keys", "run_id", "role")}


def snapshot(session, info, keyspace, touch_values=True):
    """Return a :class:`Snapshot` of all keys by the most exact method that the server's size and settings allow.

    ``debug_digest``: the server's own digest of all names and values (``DEBUG DIGEST``). ``values``: ours, of all names
    and of the values up to :data:`BIG_VALUE_BYTES`. ``names``: of all names and types. ``counts``: number of keys only.

    :param touch_values: reading values may be allowed to count as their use (it may not where a policy evicts by use).
    """
    total = sum(keyspace.values())
    counters = counters_of(info)
    counts = Snapshot("counts", hashlib.sha256(repr(sorted(keyspace.items())).encode()).hexdigest(), total, counters)
    used = int(info.get("used_memory") or 0)
    if total > DIGEST_KEYS:
        return counts
    # One command may take as long as the walk as a whole.
    session.connection.timeout = max(session.connection.timeout, SECONDS)
    if used <= BLOCKING_BYTES:
        reply = session.run("DEBUG", "DIGEST")
        if not isinstance(reply, ErrorReply):
            return Snapshot("debug_digest", text(reply), total, counters)
    values = touch_values and total <= VALUE_KEYS and used <= VALUE_BYTES
    try:
        return _own_digest(session, keyspace, values, counters)
    except _Refused:
        return counts
    finally:
        session.run("SELECT", 0)


def compare(before, after):
    """Return ``("same"|"changed"|"lost", sentence)``.

    ``changed``: the data differ, and the server's counters say that clients, expiry or eviction changed it meanwhile.
    """
    if before.method != after.method:
        return "changed", "the keys could not be compared: the server allowed %s before and %s after" % (
            before.method, after.method)
    if (before.value, before.keys) == (after.value, after.keys):
        return "same", "%d keys before and after, same digest (%s)" % (after.keys, after.method)
    moved = [name for name, value in sorted(before.counters.items()) if after.counters.get(name) != value]
    if moved:
        return "changed", "%d keys before, %d after: others changed the data meanwhile (%s)" % (
            before.keys, after.keys, ", ".join(moved))
    return "lost", "%d keys before, %d after, digests differ (%s), and nobody else changed the data" % (
        before.keys, after.keys, after.method)


class _Refused(Exception):
    """The server does not let us read."""


def _portions(session):
    """Yield the selected database's keys (bytes) in lists; a key may come twice, as SCAN allows."""
    cursor = b"0"
    while True:
        reply = session.run("SCAN", cursor, "COUNT", PORTION)
        if isinstance(reply, ErrorReply):
            raise _Refused(reply[:200])
        if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
            raise _Refused("SCAN was answered with something else")
        cursor = reply[0]
        yield [key for key in reply[1] if isinstance(key, bytes)]
        if cursor in (b"0", 0):
            return


def _own_digest(session, keyspace, values, counters):
    total, count = 0, 0
    deadline = time.monotonic() + SECONDS
    for database in sorted(keyspace):
        if isinstance(session.run("SELECT", database), ErrorReply):
            raise _Refused("SELECT")
        seen = set()
        for keys in _portions(session):
            if time.monotonic() > deadline:
                raise _Refused("time")
            fresh = [key for key in dict.fromkeys(keys) if key not in seen]
            seen.update(fresh)
            for key, described in zip(fresh, _descriptions(session, fresh, values)):
                state = hashlib.sha1(b"%d:%d:" % (database, len(key)) + key + b"\0" + described)
                total = (total + int.from_bytes(state.digest(), "big")) % (1 << 160)
                count += 1
    return Snapshot("values" if values else "names", "%040x" % total, count, counters)


# How to read a whole value of a type, and whether its order carries no meaning.
_READERS = {
    "string": (("GET",), (), False),
    "list": (("LRANGE",), (0, -1), False),
    "set": (("SMEMBERS",), (), True),
    "hash": (("HGETALL",), (), None),
    "zset": (("ZRANGE",), (0, -1, "WITHSCORES"), False),
    "stream": (("XRANGE",), ("-", "+"), False),
}


def _descriptions(session, keys, values):
    if not keys:
        return []
    types = [text(kind) for kind in session.batch([("TYPE", key) for key in keys])]
    described = [kind.encode() for kind in types]
    if not values:
        return described
    sizes = session.batch([("MEMORY", "USAGE", key) for key in keys])
    readable = [at for at, (kind, size) in enumerate(zip(types, sizes))
                if kind in _READERS and isinstance(size, int) and size <= BIG_VALUE_BYTES]
    for group in _groups(readable, sizes):
        replies = session.batch([_READERS[types[at]][0] + (keys[at],) + _READERS[types[at]][1] for at in group])
        for at, reply in zip(group, replies):
            described[at] += b"=" + _canonical(reply, _READERS[types[at]][2])
    return described


def _groups(positions, sizes):
    """Yield lists of positions whose values together stay well below what one answer may have."""
    group, total = [], 0
    for at in positions:
        if group and total + sizes[at] > GROUP_BYTES:
            yield group
            group, total = [], 0
        group.append(at)
        total += sizes[at]
    if group:
        yield group


def _canonical(reply, unordered):
    if unordered is None and isinstance(reply, list):
        reply = sorted([list(pair) for pair in zip(reply[::2], reply[1::2])])
    elif unordered and isinstance(reply, list):
        reply = sorted(reply)
    return hashlib.sha1(repr(reply).encode("utf-8", "backslashreplace")).digest()
