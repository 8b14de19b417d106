# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By which connection, account and key the operator is on the host right now.

sshd(8) tells a session its SSH_CONNECTION, which sudo takes away but which our ancestors still have; and
logs by which key it was accepted. Where ExposeAuthInfo is on, the file named by SSH_USER_AUTH says it
without a log.
"""

import os
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    authorized_keys,
    public_key,
    safe_files,
    sshd_log,
)

_ENVIRONMENT_LIMIT = safe_files.MEBIBYTE
_MAX_ANCESTORS = 128
_NO_LOGIN_UID = 0xFFFFFFFF

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}|(?:MD5:)?(?:[0-9a-f]{2}:){15}[0-9a-f]{2}")


class Connection:
    """How this run reached the host.

    ``kind``: ``ssh`` or ``local``. ``users``: names that the operator may have logged in as. ``address``,
    ``port``: the client's, or ``None``. ``method``: ``publickey``, ``password`` …, or ``None`` when it could not be
    told. ``fingerprints``: of the keys that carried it, several where the evidence is ambiguous.
    ``authority``: set of fingerprints of the CA keys, when it was a certificate. ``source``: on what it rests.
    ``sshd_pids``: the sshd processes above us.
    """

    def __init__(self, kind):
        self.kind = kind
        self.users = set()
        self.address = None
        self.port = None
        self.method = None
        self.fingerprints = set()
        self.authority = set()
        self.source = None
        self.sshd_pids = []

    @property
    def by_key(self):
        """Whether a public key carried it: ``True``, ``False``, or ``None`` when that is not known."""
        if self.kind != "ssh":
            return False
        if self.method is None:
            return True if self.key_known else None
        return self.method == "publickey"

    @property
    def key_known(self):
        """Whether at least one fingerprint of the key (or its CA) is known."""
        return bool(self.fingerprints or self.authority)

    def carries(self, key):
        """Whether a :class:`public_key.PublicKey` carries the connection, itself or as a certificate's CA."""
        return public_key.is_among(key, self.fingerprints) or public_key.is_among(key, self.authority)

    def describe(self):
        """Return the facts as a dict of JSON values for the result."""
        return {
            "kind": self.kind, "users": sorted(self.users), "address": self.address, "port": self.port,
            "method": self.method, "fingerprints": sorted(self.fingerprints),
            "certificate_authority": sorted(self.authority), "source": self.source,
        }


def find_connection(proc_root="/proc", host_root="/", pid=None, login_user=None, account_names=None):
    """Return the :class:`Connection` that process ``pid`` (default: ours) runs in.

    :param login_user: what the controller says it logged in as.
    :param account_names: uid → list of names, to turn a session's user id into names.
    """
    ancestors = _ancestors(proc_root, os.getpid() if pid is None else pid)
    environments = [(ancestor, _environment(proc_root, ancestor)) for ancestor in ancestors]
    sshd_pids = [ancestor for ancestor in ancestors if _is_sshd(proc_root, ancestor)]
    given = next((env for unused, env in environments if _client(env)), None)
    # A login may leave no sshd above us: machinectl and run0 start us below PID 1, with a fresh environment.
    if given is None and not sshd_pids and not login_user:
        connection = Connection("local")
        connection.source = "no sshd among the processes above"
        connection.users |= _session_users(proc_root, environments, account_names or {})
        return connection
    connection = Connection("ssh")
    connection.sshd_pids = sshd_pids
    if login_user:
        connection.users.add(login_user)
    if given is not None:
        connection.address, connection.port = _client(given)
    if not _from_auth_info(connection, environments, host_root):
        _from_log(connection, host_root)
    if not connection.users:
        connection.users |= _session_users(proc_root, environments, account_names or {})
    return connection


def account_names(database):
    """Return uid → list of names of an :class:`accounts.AccountDatabase`, for :func:`find_connection`."""
    names = {}
    for account in database.accounts:
        names.setdefault(account.uid, []).append(account.name)
    return names


def add_controller_keys(connection, controller_keys, lines):
    """Narrow down, or find, the connection's key among ``lines`` (key lines of the login account).

    The log's word counts most. Where it gives nothing, or several keys, those that the controller can
    log in with are taken.
    """
    if connection.kind != "ssh" or connection.by_key is False:
        return
    held = set()
    for entry in controller_keys:
        try:
            held.add(authorized_keys.parse_public_key(entry).fingerprint)
        except ResponseError:
            # A line of the controller's agent that is no key says nothing about the host.
            continue
    candidates = {line.key.fingerprint for line in lines if line.key.fingerprint in held}
    if len(connection.fingerprints) > 1 and candidates & connection.fingerprints:
        connection.fingerprints &= candidates
        connection.source += ", narrowed down by the controller's keys"
    elif not connection.key_known and candidates:
        connection.fingerprints = candidates
        connection.source = "the controller's keys"


def _ancestors(proc_root, pid):
    """Return pid and all its ancestors, nearest first, by the PPid of /proc/PID/stat (proc(5))."""
    found = []
    while pid and pid not in found and len(found) < _MAX_ANCESTORS:
        found.append(pid)
        try:
            with open(os.path.join(proc_root, str(pid), "stat"), "rb") as stream:
                content = stream.read(4096)
            # The name in brackets may hold blanks and brackets.
            pid = int(content[content.rindex(b")") + 2:].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return found


def _environment(proc_root, pid):
    try:
        with open(os.path.join(proc_root, str(pid), "environ"), "rb") as stream:
            content = stream.read(_ENVIRONMENT_LIMIT)
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in content.split(b"\0"))
    return {safe_files.path_text(name): safe_files.path_text(value) for name, equals, value in pairs if equals}


def _is_sshd(proc_root, pid):
    try:
        name = os.path.basename(os.readlink(os.path.join(proc_root, str(pid), "exe")))
    except OSError:
        return False
    # After an upgrade of the package the running sshd's file is gone.
    return re.match(r"sshd(-session|-auth)?(\.dpkg-new)?(;[0-9a-f]+)?( \(deleted\))?$", name) is not None


def _client(environment):
    """Return ``(address, port)`` of SSH_CONNECTION ("client port server port"), or ``None``."""
    words = environment.get("SSH_CONNECTION", "").split(" ")
    if len(words) != 4 or not words[1].isdigit():
        return None
    # The zone of a link-local address (fe80::1%eth0) is written in both places.
    return words[0], int(words[1])


def _session_users(proc_root, environments, account_names):
    names = set()
    for _ancestor, environment in environments:
        if environment.get("SUDO_USER"):
            names.add(environment["SUDO_USER"])
        if _client(environment) and environment.get("LOGNAME"):
            names.add(environment["LOGNAME"])
    try:
        with open(os.path.join(proc_root, str(environments[0][0]), "loginuid"), "rb") as stream:
            uid = int(stream.read(32))
    except (OSError, ValueError):
        return names
    sharers = account_names.get(uid, []) if uid != _NO_LOGIN_UID else []
    # Several accounts may have that id: the environment nearest to the login knows by which name it was.
    told = [env.get("LOGNAME") for unused, env in reversed(environments) if env.get("LOGNAME") in sharers]
    names.update(told[:1] or sharers)
    return names


def _from_auth_info(connection, environments, host_root):
    """Read the file of ExposeAuthInfo: one line a method, ``publickey ssh-ed25519 AAAA…``. Return whether it told."""
    path = next((env["SSH_USER_AUTH"] for unused, env in environments if env.get("SSH_USER_AUTH")), None)
    if path is None or not path.startswith("/") or ".." in path:
        return False
    try:
        content = safe_files.read_bytes(path, limit=65536, host_root=host_root)
    except ResponseError:
        return False
    methods = []
    for line in content.splitlines():
        method, unused, rest = line.partition(b" ")
        if not method:
            continue
        methods.append(safe_files.path_text(method))
        if method == b"publickey":
            try:
                key = authorized_keys.parse_public_key(rest)
            except ResponseError:
                return False
            connection.fingerprints.add(key.fingerprint)
            authority = public_key.signing_key(key)
            if authority is not None:
                connection.authority.add(authority.fingerprint)
    if not methods:
        return False
    connection.method = "publickey" if connection.fingerprints else methods[-1]
    connection.source = "SSH_USER_AUTH"
    return True


def _from_log(connection, host_root):
    """Take what sshd has logged about this connection."""
    source, messages = sshd_log.login_messages(connection.address, connection.port, connection.sshd_pids, host_root)
    for message in messages:
        _take(connection, message)
    connection.source = source


def _take(connection, message):
    connection.users.add(message.user)
    method = message.method
    info = message.info
    prints = ["MD5:" + item if item[2:3] == ":" else item for item in _FINGERPRINT.findall(info)]
    if method == "publickey":
        connection.method = "publickey"
        if " CA " in info and len(prints) > 1:
            connection.authority.add(prints[-1])
            prints = prints[:-1]
        connection.fingerprints.update(prints)
    elif connection.method is None:
        connection.method = method
