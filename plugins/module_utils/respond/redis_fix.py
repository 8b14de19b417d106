# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Do what ``redis_plan`` decided, prove that it holds, and take it back when it does not.

Each step knows its inverse. What fails in the middle, or cannot be proven, is taken back in reverse order: settings of
the running server by their old values, files from the quarantine. Only a replication that was stopped stays stopped.
"""

import collections
import difflib
import os
import stat
import time

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import action, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    redis_config,
    redis_processes,
    safe_files,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.rooted_paths import resolve
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login import redis, redis_criteria, redis_keys
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login.resp import Connection, ErrorReply
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import redis_evidence

TIMEOUT = 10.0
SAVE_SECONDS = 120.0
CONTEXT_LINES = 3


class ProofFailed(ResponseError):
    """What was done does not hold; it was taken back."""


class Fix:
    """Apply one plan to one server.

    :param seen: the inspection. :param plan: its ``redis_steps.Plan``. :param quarantine: a ``Quarantine``, or ``None``
        in check mode. :param wishes: the operator's.

    After :meth:`apply`: ``actions``, ``evidence`` (tuples for ``Outcome.add_evidence``), ``warnings``, ``keys``
    (sentence about the comparison of all keys, or ``None``), ``failure`` (sentence, or ``None``).
    """

    def __init__(self, seen, plan, quarantine, wishes, proc_root="/proc", host_root="/"):
        self.seen = seen
        self.plan = plan
        self.quarantine = quarantine
        self.wishes = wishes
        self.proc_root = proc_root
        self.host_root = host_root
        self.actions = []
        self.evidence = []
        self.warnings = []
        self.keys = None
        self.failure = None
        self._undo = []
        self._dump_item = None
        self._sent = collections.Counter()

    def planned(self):
        """Return the actions as check mode tells them."""
        return [self._action(step, "refused" if step.kind == "refused" else "planned") for step in self.plan.steps]

    def apply(self):
        """Do all steps; never raises for what went wrong on the server: see ``failure``."""
        done = []
        try:
            if self.plan.acts:
                with self._connect() as connection:
                    session = self._session(connection)
                    try:
                        self._all_steps(session, done)
                    except (ResponseError, OSError) as error:
                        self._take_back(session, done, error)
                    finally:
                        self._sent.update(session.sent)
        except ResponseError as error:
            self.failure = self.failure or text(error)
            done = []
        finally:
            self._note_commands()
        self.actions = [self._told(step, done) for step in self.plan.steps]

    # -- steps

    def _all_steps(self, session, done):
        self.evidence.append(redis_evidence.seal(self.seen, self.quarantine, self._secrets()))
        before = self._snapshot(session)
        for step in self.plan.steps:
            if step.kind in ("refused", "save"):
                continue
            item = getattr(self, "_do_" + step.kind)(session, step)
            done.append((step, item))
        self._prove(session)
        self._compare(before, self._snapshot(session))
        for step in self.plan.steps:
            if step.kind == "save" and self._do_save(session):
                done.append((step, None))
        self._settle_dump(done)

    def _do_commands(self, session, step):
        self._undo.append(lambda: self._send(session, step.inverse))
        self._send(session, step.commands)

    def _do_dump_place(self, session, step):
        place = resolve(step.data, self.host_root)
        found = safe_files.lstat(place, self.host_root)
        # Over a directory it cannot save, as the save will tell.
        if found is None or not stat.S_ISDIR(found.st_mode):
            item = self._dump_item = self.quarantine.expect(place, step.rule, step.message)
            self._undo.append(lambda: self.quarantine.restore(item))
        self._do_commands(session, step)

    def _settle_dump(self, done):
        """Note what the server saved: undo takes back that one only, never a later one."""
        if self._dump_item is None:
            return
        try:
            if self.quarantine.settle(self._dump_item):
                # By our save, or by its own schedule where we do none.
                step = [step for step, unused in done if step.kind in ("dump_place", "save")][-1]
                done.append((step, self._dump_item))
        except (ResponseError, OSError) as error:
            self.warnings.append("%s: the quarantine could not note which dump was written (%s). Its item %s can be "
                                 "restored all the same." % (self.seen.name, text(error), self._dump_item))

    def _do_files(self, session, step):
        path, content = step.data
        real = resolve(path, self.host_root, follow_final=True)
        found = safe_files.lstat(real, self.host_root)
        if safe_files.read_bytes(real, host_root=self.host_root) != self.seen.config.files[path]:
            raise ResponseError("%s was changed by somebody else meanwhile." % text(real), "Run again.")
        mode, gid = _private(found, self.seen.process)
        item = self.quarantine.replace(real, step.rule, step.message, content=content, mode=mode, gid=gid)
        self._undo.append(lambda: self.quarantine.restore(item))
        return item

    def _do_disconnect(self, session, step):
        """Every connection that exists now was made before the password was demanded: take them one by one."""
        listed = session.run("CLIENT", "LIST")
        if isinstance(listed, ErrorReply):
            self.warnings.append("%s: other clients could not be disconnected (%s): restart the server."
                                 % (self.seen.name, listed[:100]))
            return
        gone = []
        for client in redis.parse_clients(text(listed)):
            address = client.get("addr", "").rpartition(":")[0].strip("[]")
            replica, master = "S" in client.get("flags", ""), "M" in client.get("flags", "")
            if master or address in self.wishes.keep_clients or (replica and address in self.wishes.replicas):
                continue
            # It does not count ourselves: SKIPME is on unless told otherwise.
            if session.run("CLIENT", "KILL", "ID", client.get("id", "0")) == 1:
                gone.append(client.get("addr", "?"))
        step.message += " %d were: %s." % (len(gone), text(", ".join(sorted(gone)[:20]) or "none"))

    def _do_save(self, session):
        """Write the data to its new place and wait for it: until then it exists in memory alone. Tell whether it was.

        A save that fails takes nothing back: the old place was an intruder's, and the server stays closed.
        """
        info = self._info(session)
        before = info.get("rdb_last_save_time")
        deadline = time.monotonic() + SAVE_SECONDS
        while info.get("rdb_bgsave_in_progress") == "1" and time.monotonic() < deadline:
            time.sleep(0.2)
            info = self._info(session)
        started = int(time.time())
        reply = session.run("BGSAVE")
        while not isinstance(reply, ErrorReply) and time.monotonic() < deadline:
            info = self._info(session)
            if info.get("rdb_bgsave_in_progress") == "0":
                if info.get("rdb_last_bgsave_status") == "ok" and (info.get("rdb_last_save_time") != before
                                                                   or int(before or 0) >= started):
                    return True
                break
            time.sleep(0.2)
        self.warnings.append("%s: the data could not be saved to their new place (%s). Look whether the server may "
                             "write there, then send it BGSAVE." % (self.seen.name, text(reply)[:100]))
        return False

    # -- proof

    def _prove(self, session):
        if self.plan.password is not None:
            self._prove_password()
        if self.plan.addresses is not None and self.seen.process is not None:
            listening = redis_processes.listening_sockets(self.seen.process.pid, self.proc_root)
            still = [item for item in listening if item.family == "tcp" and item.address not in self.plan.addresses
                     and not redis_criteria.is_loopback(item.address)]
            if still:
                raise ProofFailed("it still listens on %s" % ", ".join(redis_criteria.remote_listeners(still)))
        if self.seen.config is not None and any(step.kind == "files" for step in self.plan.steps):
            self._prove_files()
        place = [step for step in self.plan.steps if step.kind == "dump_place"]
        if place:
            reply = session.batch([("CONFIG", "GET", "dir"), ("CONFIG", "GET", "dbfilename")])
            where = os.path.join(*(text(pair[1]) for pair in reply if isinstance(pair, list) and len(pair) == 2))
            if os.path.realpath(where) != os.path.realpath(place[0].data):
                raise ProofFailed("it still writes its dump as %s" % where)

    def _prove_password(self):
        """New connections: without the password none gets in, with it one does."""
        if not self._password_step_refused():
            with Connection(self.seen.endpoint, TIMEOUT) as stranger:
                outcome, unused = redis.classify(redis.Session(stranger, self.seen.renamed).run("PING"))
                if outcome != redis.PASSWORD:
                    raise ProofFailed("a new connection is let in without a password")
            with self._connect() as known:
                outcome, unused = redis.classify(self._session(known).run("PING"))
                if outcome != redis.OPEN:
                    raise ProofFailed("a new connection with the password is not served")

    def _password_step_refused(self):
        return any(step.kind == "refused" and step.rule == "redis_auth.password" for step in self.plan.steps)

    def _prove_files(self):
        """Read the configuration as the server will at its next start."""
        arguments = [(one.name, one.args) for one in self.seen.config.directives if one.path is None]
        config = redis_config.read_config(self.seen.config.path, "/", arguments, host_root=self.seen.config_root)
        for name, value in sorted(self.plan.expected.items()):
            if config.value(name) != value:
                raise ProofFailed("%s would give %s the value '%s' at the next start"
                                  % (text(config.path), name, config.value(name)))
        default = config.default_user()
        if self.plan.password is not None and self.plan.lasting and default.enabled \
                and (default.nopass or redis_config.digest_of(self.plan.password) not in default.hashes):
            raise ProofFailed("%s would not demand the password at the next start" % text(config.path))

    def _compare(self, before, after):
        verdict, self.keys = redis_keys.compare(before, after)
        if verdict == "lost":
            raise ProofFailed(self.keys)

    def _snapshot(self, session):
        info, unused, keyspace = redis.parse_info(text(session.run("INFO", "all")))
        touch = not any(word in self.seen.facts["config"].get("maxmemory-policy", "") for word in ("lru", "lfu"))
        return redis_keys.snapshot(session, info, keyspace, touch)

    # -- taking back

    def _take_back(self, session, done, error):
        reason = text(error.message if isinstance(error, ResponseError) else error)
        failed = []
        for undo in reversed(self._undo):
            try:
                undo()
            except (ResponseError, OSError) as again:
                failed.append(text(again))
        kept = [step for step, unused in done if step.rule == "redis_auth.replication"]
        del done[:]
        done.extend((step, None) for step in kept)
        self.failure = "%s: %s. %s" % (self.seen.name, reason.rstrip("."), (
            "Taking the changes back failed, too (%s): look at the server at once." % "; ".join(failed) if failed else
            "All changes to it were taken back."))
        if isinstance(error, ResponseError) and error.hint:
            self.failure += " " + error.hint

    # -- talking

    def _connect(self):
        return Connection(self.seen.endpoint, TIMEOUT)

    def _session(self, connection):
        session = redis.Session(connection, self.seen.renamed)
        if self.seen.password is None and self.plan.password is None:
            return session
        candidates = [word for word in (self.plan.password, self.seen.password) if word]
        if redis.classify(session.run("PING"))[0] == redis.PASSWORD:
            password, reply = redis.authenticate(connection, candidates, self.seen.renamed)
            if password is None:
                raise ProofFailed("a new connection with the password is refused (%s)" % reply)
        return session

    def _send(self, session, commands):
        for words in commands:
            reply = session.run(*words)
            if isinstance(reply, ErrorReply):
                shown = " ".join(words[:3]) if words[0] == "CONFIG" else " ".join(words[:2])
                raise ResponseError("it refuses %s: %s"
                                    % (text(shown), redis_evidence.redact(text(reply), self._secrets())))

    def _info(self, session):
        return redis.parse_info(text(session.run("INFO", "persistence")))[0]

    def _secrets(self):
        words = [self.seen.password, self.plan.password, self.seen.facts.get("requirepass")]
        if self.seen.config is not None:
            words += [self.seen.config.secret(name) for name in redis_config.SECRET_DIRECTIVES]
            words += [word for unused, user in self.seen.config.users() for word in user.plain]
        return [word for word in words if word]

    def _note_commands(self):
        if not self._sent or not os.path.isdir(self.quarantine.root):
            return
        try:
            run_id = self.seen.facts["info"].get("run_id", "")
            redis_evidence.note_own_commands(self.quarantine.root, run_id, self._sent)
        except (ResponseError, OSError) as error:
            self.warnings.append("%s: what this run sent could not be noted (%s): a later run may take it for an "
                                 "intruder's." % (self.seen.name, text(error)))

    # -- telling

    def _told(self, step, done):
        items = {id(one): item for one, item in done}
        if id(step) in items:
            return self._action(step, "done", items[id(step)])
        if step.kind != "refused":
            step.message = "Not done, or taken back: " + step.message
        return self._action(step, "refused")

    def _action(self, step, status, item=None):
        about = dict(self.seen.subject)
        diff = self._diff(step) if step.kind == "files" else None
        return action(step.rule, about, step.message, status, self.quarantine.undo_call(item) if item else None,
                      [entry[0] for entry in self.evidence] if status == "done" else (), diff)

    def _diff(self, step):
        path, content = step.data
        before, after = (text(redis_config.mask_secrets(one)) for one in (self.seen.config.files[path], content))
        before, after = _excerpt(before, after)
        return {"before": before, "after": after, "before_header": text(path), "after_header": text(path)}


def _excerpt(before, after):
    """Return only what differs of two texts, with a few lines around: a redis.conf has 2,000 lines of comments."""
    old, new = before.splitlines(True), after.splitlines(True)
    parts = ([], [])
    for group in difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT_LINES):
        parts[0].extend(old[group[0][1]:group[-1][2]])
        parts[1].extend(new[group[0][3]:group[-1][4]])
    return "".join(parts[0]), "".join(parts[1])


def _private(found, process):
    """Return ``(mode, gid)`` for a file that now holds a password: nobody but its owner, and the server, reads it."""
    mode = stat.S_IMODE(found.st_mode) & ~0o007
    if process is None or process.uid in (0, found.st_uid):
        return mode, None
    if found.st_gid in process.groups and mode & 0o040:
        return mode, None
    group = min(process.groups - {0}) if process.groups - {0} else None
    return (mode | 0o040, group) if group is not None else (stat.S_IMODE(found.st_mode), None)
