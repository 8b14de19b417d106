# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Redis server knew before it was changed, and what our own runs sent to it.

A restart zeroes the command statistics and a disconnect loses the client list, so both are kept first.
"""

import hashlib
import json
import os
import re
import time

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.redis_config import mask_secrets
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import read_bytes
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_store import (
    private_directory,
    write_all,
)

_OWN_COMMANDS = "redis-own-commands"
_MASK = "********"
# Shorter ones would hit ordinary words when looked for inside a text; as words of their own they are masked, too.
_LONG_SECRET = 6


def seal(seen, quarantine, secrets):
    """Write all that is known of a server, before it is changed.

    :param seen: the inspected server. :param quarantine: its ``evidence_directory`` is used.
    :param secrets: passwords (bytes) that must not stand in the file.
    :returns: ``(name, path, size, sha256)`` as ``Outcome.add_evidence`` takes it; the file has mode 0600 and is synced.
    :raises ResponseError: it cannot be kept; OSError: no space.
    """
    facts = dict(seen.facts)
    facts.pop("requirepass", None)
    record = {
        "subject": seen.subject, "listens_on": [list(item) for item in seen.listeners], "answer": seen.reply,
        "process": {"pid": seen.process.pid, "executable": text(seen.process.executable or ""), "uid": seen.uid,
                    "working_directory": text(seen.working_directory or ""), "title": seen.process.title,
                    "unit": seen.process.unit} if seen.process else None,
        "server": facts, "dump_file": seen.dump_file,
        "payloads": [{"database": item.database, "key": text(item.key), "kinds": item.kinds, "bytes": item.length,
                      "sample": text(item.sample)} for item in seen.payloads],
        "configuration": {text(path): text(mask_secrets(content)) for path, content in seen.config.files.items()}
        if seen.config is not None else None,
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    content = json.dumps(redact(record, secrets), indent=1, sort_keys=True).encode("utf-8")
    folder = "redis-%s" % (seen.port or hashlib.sha256(seen.name.encode("utf-8")).hexdigest()[:12])
    directory = os.path.join(quarantine.evidence_directory(), folder)
    private_directory(directory)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path, name = _write_new(directory, "before-%s" % stamp, content)
    return folder + "/" + name, path, len(content), hashlib.sha256(content).hexdigest()


def _write_new(directory, stem, content):
    for attempt in range(100):
        name = "%s%s.json" % (stem, "-%d" % attempt if attempt else "")
        path = os.path.join(directory, name)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        try:
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return path, name
    raise ResponseError("The evidence of %s is being written by too many runs at once." % directory, "Run again.")


def redact(value, secrets):
    """Return JSON-like ``value`` without the secrets (bytes), and without the hashes that ACLs keep."""
    words = sorted({text(secret) for secret in secrets if secret}, key=len, reverse=True)
    return _redact(value, words)


def _redact(value, words):
    if isinstance(value, dict):
        return {key: _redact(item, words) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        cleaned, hide = [], False
        for item in value:
            cleaned.append(_MASK if hide and isinstance(item, str) else _redact(item, words))
            # CONFIG SET requirepass …, AUTH …, MIGRATE … AUTH …: older servers log the secret as it was given.
            hide = isinstance(item, str) and item.lower() in ("requirepass", "masterauth", "auth")
        return cleaned
    if not isinstance(value, str):
        return value
    value = re.sub(r"(?<!\S)#[0-9a-f]{64}\b", lambda match: match.group()[:9] + _MASK, value)
    for word in words:
        value = _MASK if value == word else value.replace(word, _MASK) if len(word) >= _LONG_SECRET else value
    return value


def own_commands(root, run_id):
    """Return what earlier runs sent to the server process with this ``run_id``: ``{statistics name: calls}``."""
    if not re.match(r"[0-9a-f]{40}\Z", run_id):
        return {}
    try:
        kept = json.loads(read_bytes(os.path.join(root, _OWN_COMMANDS, run_id + ".json"), 65536).decode("utf-8"))
    except (ResponseError, ValueError):
        return {}
    if not isinstance(kept, dict):
        return {}
    return {str(name): count for name, count in kept.items() if isinstance(count, int)}


def note_own_commands(root, run_id, sent):
    """Add to what :func:`own_commands` returns. The folder of the quarantine exists by then."""
    if not re.match(r"[0-9a-f]{40}\Z", run_id):
        return
    directory = os.path.join(root, _OWN_COMMANDS)
    private_directory(directory)
    total = own_commands(root, run_id)
    for name, count in sent.items():
        total[name] = total.get(name, 0) + count
    path = os.path.join(directory, run_id + ".json")
    temporary = path + ".new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, json.dumps(total, sort_keys=True).encode("utf-8"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, path)
