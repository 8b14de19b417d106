# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The incident's folder on the controller: journal, sealed evidence, secrets.

::

    incidents/<id>/
      incident.json            id, when it was opened
      journal/<host>.jsonl     what every module call found and did, hash-chained
      evidence/<host>/...      files fetched from the host, checked, read-only
      secrets/<host>/<name>    generated passwords, mode 0600
      report/                  report.html, report.json
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import glob
import hashlib
import json
import os
import re
import secrets
import string
import tempfile
import typing
import urllib.parse

from ansible_collections.ecsops.intrusion_response.plugins.module_utils import journal
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError

DEFAULT_DIRECTORY = "incidents"

# A second run within a day goes on with the incident of the first: it finds its snapshot, its
# password and its journal again. After that a run without a name opens a new one.
CONTINUE_SECONDS = 24 * 3600

# Longer than any step of a run, shorter than the pause between two days' runs.
ACTIVE_SECONDS = 3600

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")

PASSWORD_LENGTH = 32


class IncidentStore:
    """One incident's folder.

    :param directory: folder that holds all incidents. :param name: id of this one, an existing folder.
    """

    def __init__(self, directory: str, name: str) -> None:
        self.name = name
        self.root = os.path.join(os.path.abspath(directory), name)

    @classmethod
    def known(cls, directory: str) -> list[str]:
        """Return the ids of the incidents in ``directory``, the newest last."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(directory):
                with contextlib.suppress(OSError, ValueError, KeyError):
                    with open(os.path.join(entry.path, "incident.json"), encoding="utf-8") as stream:
                        found.append((str(json.load(stream)["opened"]), entry.name))
        return [name for opened, name in sorted(found)]

    @classmethod
    def existing(cls, directory: str, name: str | None = None) -> IncidentStore:
        """Return the store of an incident that is there already.

        :param name: id; ``None`` means the newest.
        :raises ResponseError: there is none of that id, or none at all.
        """
        known = cls.known(directory)
        if name in known or (name is None and known):
            return cls(directory, name or known[-1])
        what = f"no incident '{name}'" if name else "no incident"
        raise ResponseError(
            f"There is {what} in {os.path.abspath(directory)}.",
            f"Known there: {', '.join(known) or 'none'}. Name one with -e intrusion_response_incident=ID, "
            "or the folder with -e intrusion_response_incidents_dir=PATH.")

    @classmethod
    def open(cls, directory: str, name: str | None = None, now: datetime.datetime | None = None) -> IncidentStore:
        """Return the store of an incident, opened if it is new.

        :param name: id; ``None`` goes on with the newest incident of the last day, or opens one named by the time.
        :raises ResponseError: the id is not a plain name, or the folder cannot be written.
        """
        now = now or datetime.datetime.now(datetime.timezone.utc)
        name = None if name is None else str(name)
        if name is not None and not _NAME.match(name):
            raise ResponseError(
                f"'{name}' is not an incident id.",
                "Use up to 64 letters, digits, dots, dashes and underscores, the first a letter or digit.")
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            # Many workers start at once; the first opens the incident, the others find it.
            with _locked(os.path.join(directory, ".lock")):
                name = name or cls._recent(directory, now) or now.strftime("%Y%m%dT%H%M%SZ")
                store = cls(directory, name)
                os.makedirs(store.root, mode=0o700, exist_ok=True)
                header = store.path("incident.json")
                if not os.path.exists(header):
                    content = json.dumps({"id": name, "opened": now.isoformat()}, indent=1) + "\n"
                    _write(header, content.encode("ascii"), 0o600)
        except OSError as error:
            raise ResponseError(
                f"The incident's folder cannot be written on the controller: {error}.",
                "Name a writable one with -e intrusion_response_incidents_dir=PATH.") from error
        return store

    @classmethod
    def _recent(cls, directory: str, now: datetime.datetime) -> str | None:
        known = cls.known(directory)
        if not known:
            return None
        try:
            with open(os.path.join(directory, known[-1], "incident.json"), encoding="utf-8") as stream:
                opened = datetime.datetime.fromisoformat(json.load(stream)["opened"])
        except (TypeError, ValueError):
            return None
        if (now - opened).total_seconds() < CONTINUE_SECONDS:
            return known[-1]
        # A run that began before the day was over stays in its incident: its report shall tell of all of it.
        active = max((os.stat(path).st_mtime for path in glob.iglob(
            os.path.join(glob.escape(os.path.join(directory, known[-1])), "journal", "*.jsonl"))), default=0)
        return known[-1] if now.timestamp() - active < ACTIVE_SECONDS else None

    def path(self, *parts: str) -> str:
        """Return a path inside the incident's folder."""
        return os.path.join(self.root, *parts)

    def record(self, host: str, entry: dict[str, typing.Any]) -> str:
        """Append an entry to the host's journal; returns its hash. See :mod:`journal`."""
        path = self.path("journal", file_name(host) + ".jsonl")
        return journal.append(path, dict(entry, host=host, incident=self.name))

    def sealed(self, host: str, name: str, sha256: str) -> str | None:
        """Return where this very evidence is sealed already, relative to the incident's folder, or ``None``."""
        target = self._evidence_path(host, name)
        for path in (target, _beside(target, sha256)):
            if _digest_of(path) == sha256:
                return os.path.relpath(path, self.root)
        return None

    def seal(self, host: str, name: str, sha256: str, chunks: typing.Iterable[bytes]) -> str:
        """Write evidence, check its hash, make it read-only. What is sealed stays; others of its name go beside it.

        :param chunks: the bytes of the file, in order. :return: its path relative to the incident's folder.
        :raises ResponseError: the bytes are not those that the host named.
        """
        target = self._evidence_path(host, name)
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        digest = hashlib.sha256()
        descriptor, partial = tempfile.mkstemp(prefix=".partial-", dir=os.path.dirname(target))
        try:
            with os.fdopen(descriptor, "wb") as stream:
                for chunk in chunks:
                    digest.update(chunk)
                    stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
            if digest.hexdigest() != sha256:
                raise ResponseError(
                    f"The evidence {name} of {host} changed on its way: its hash is not the one that was announced.",
                    "Run again; if it stays so, somebody on the host writes to its quarantine.")
            os.chmod(partial, 0o400)
            if _digest_of(target) not in (None, sha256):
                target = _beside(target, sha256)
            os.replace(partial, target)
        except BaseException:
            os.unlink(partial)
            raise
        return os.path.relpath(target, self.root)

    def known_secret(self, host: str, name: str) -> str | None:
        """Return the password that this incident, or the newest one before it, has given to a host, or ``None``.

        A service keeps the password of an earlier incident, and may keep no more than its hash on the host.
        """
        directory = os.path.dirname(self.root)
        for incident in [self.name, *reversed(self.known(directory))]:
            path = os.path.join(directory, incident, "secrets", file_name(host), name)
            with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as stream:
                return stream.read().strip()
        return None

    def secret(self, host: str, name: str, create: bool) -> str:
        """Return the password of a host's service, the same at every call: a known one, or a generated one.

        :param create: keep it in this incident; without that (check mode) a new one is made up and forgotten.
        """
        path = self.path("secrets", file_name(host), name)
        value = self.known_secret(host, name) or generate_password()
        if create and not os.path.exists(path):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            _write(path, value.encode("ascii") + b"\n", 0o600)
        return value

    def _evidence_path(self, host: str, name: str) -> str:
        parts = [part for part in name.split("/") if part]
        if not parts or any(part in (".", "..") or "\0" in part for part in parts):
            raise ResponseError(
                f"The host {host} named an evidence file '{name}' that would lie outside of the incident.")
        return self.path("evidence", file_name(host), *parts)


def _digest_of(path: str) -> str | None:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            for chunk in iter(lambda: stream.read(1024 * 1024), b""):
                digest.update(chunk)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def _beside(target: str, sha256: str) -> str:
    return f"{target}.{hashlib.sha256(str(sha256).encode()).hexdigest()[:16]}"


def file_name(host: str) -> str:
    """Return an inventory name as one safe path component."""
    quoted = urllib.parse.quote(host, safe="")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def generate_password() -> str:
    """Return a password that satisfies the policy which the hardening role demands of others.

    Letters and digits only, so that no configuration file has to quote it; 190 bits.
    """
    alphabet = string.ascii_letters + string.digits
    while True:
        value = "".join(secrets.choice(alphabet) for _place in range(PASSWORD_LENGTH))
        if any(c.islower() for c in value) and any(c.isupper() for c in value) and any(c.isdigit() for c in value):
            return value


def _write(path: str, content: bytes, mode: int) -> None:
    descriptor, partial = tempfile.mkstemp(prefix=".partial-", dir=os.path.dirname(path))
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)


@contextlib.contextmanager
def _locked(path: str) -> typing.Iterator[None]:
    with open(path, "a", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
