# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be done to a Redis server, decided from what was seen of it; nothing is done here.

The order of the steps, and why:

1. An unknown master is cut off first: it can replace all data and deliver modules at any moment.
2. The dump's place comes next, at run time: any save from now on would write over what lies at the bad place. What
   lies at the good one goes to the quarantine before, since the server may save there by itself at once.
3. The files on disk, all changes at once through the quarantine, *before* the password is set at run time. A crash
   in between leaves a server that is open as before, a file that can be taken back, and the next run goes on; the other
   way round it would leave a server whose password nobody finds in its configuration.
4. The password at run time, then where it listens. The password first: the other takes effect for new connections only.
5. Then all other clients are disconnected: a connection stays logged in whatever the password becomes.
6. The proof, by new connections and by reading files and /proc again.
7. A save to the new place, after the proof, since it resets the counters which the proof compares.
"""

import os
import re
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import redis_config
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import host_path, path_bytes
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login import (
    redis,
    redis_criteria,
    redis_findings,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.redis_steps import Plan, Step


def decide(seen, wishes):
    """Return the :class:`Plan` for an inspected server (``detect.redis_instances.Inspection``)."""
    plan = Plan()
    if seen.mode == "sentinel" or seen.facts is None:
        # Told by a finding and in not_checked.
        if seen.outcome == redis.DENIED:
            plan.refuse("refused", "Where it listens, its protected mode lets nobody in, not even from this host: set "
                                   "'requirepass' and 'bind' in its configuration and restart it.")
        return plan
    judged = _Server(seen, wishes)
    if seen.mode == "cluster" or seen.contained or seen.state is not None:
        if judged.needs_anything():
            plan.refuse("refused", _why_not(seen))
        return plan
    judged.replication(plan)
    save = judged.dump_place(plan)
    later = Plan()
    judged.password(plan, later)
    judged.listening(plan, later)
    judged.files(plan)
    plan.steps += later.steps
    if plan.password_changes:
        spared = ", but those at " + ", ".join(sorted(wishes.keep_clients)) if wishes.keep_clients else ""
        plan.steps.append(Step("disconnect", "disconnect",
                               "Disconnect all other clients%s: they would stay logged in as they were." % spared))
    if save:
        plan.steps.append(Step("save", "save", "Save the data to the new place."))
    # What is refused is told last: it did not stand in the way of the rest.
    plan.steps.sort(key=lambda step: step.kind == "refused")
    return plan


def _why_not(seen):
    if seen.contained:
        return ("It runs in a container, where nothing that is changed lasts: set requirepass in its image, volume or "
                "start command, and publish its port on 127.0.0.1 only.")
    if seen.mode == "cluster":
        return "It is a node of a cluster: set requirepass and masterauth on all nodes together."
    return "It is not ready to be changed (%s): run again when it serves." % seen.reply


class _Server:
    """One server under decision."""

    def __init__(self, seen, wishes):
        self.seen = seen
        self.wishes = wishes
        self.config = seen.facts["config"]
        self.version = redis.version_of(seen.facts["info"])
        self.disk = seen.startup["values"] if seen.startup is not None else None
        self.edits = redis_config.Edits(seen.config) if seen.config is not None and seen.editable else None
        self.can_configure = seen.renamed.get("CONFIG") != "" and bool(self.config)

    def needs_anything(self):
        """Tell whether access is open or weak, for servers that are not changed."""
        return self.seen.outcome != redis.PASSWORD or bool(redis_criteria.password_weakness(self.seen.password))

    def _set(self, plan, name, args):
        """Change a directive on disk and note that it must read so at the next start."""
        if self._outvoted(plan, name):
            return
        self.edits.set(name, [path_bytes(arg) for arg in args])
        plan.expected[name] = " ".join(args)

    def _outvoted(self, plan, name):
        """Tell, and refuse, what the command line sets: it wins over the files at every start."""
        directive = self.seen.config.last(name)
        if directive is None or directive.path is not None:
            return False
        unit, path = text(self.seen.process.unit or "?"), text(self.seen.config.path)
        plan.refuse("command_line", "Its command line (of the service %s) sets '%s', which wins over %s at every "
                                    "start: take it out there." % (unit, name, path))
        return True

    def _setting(self, name, value):
        return ("CONFIG", "SET", name, value), ("CONFIG", "SET", name, self.config.get(name, ""))

    # 1

    def replication(self, plan):
        """Cut off a master that is not allowed."""
        info, startup = self.seen.facts["info"], self.seen.startup
        master = info.get("master_host")
        if info.get("role") != "slave" or not master or master in self.wishes.masters:
            return
        written = startup["master"] if startup is not None else None
        if written == "%s %s" % (master, info.get("master_port")) and self.wishes.configured_masters:
            return
        command = "REPLICAOF" if self.version >= (5, 0, 0) else "SLAVEOF"
        # Not taken back when the proof fails: going back would let that master replace all data.
        plan.steps.append(Step("commands", "replication", "Stop being a replica of %s, which is not an allowed master."
                               % text(master), [(command, "NO", "ONE")]))
        # One that stands in the configuration is trusted, whatever it was told to follow at run time.
        if written and self.edits is not None and not self.wishes.configured_masters \
                and written.split()[0] not in self.wishes.masters:
            self.edits.comment_out("replicaof")

    # 2

    def dump_place(self, plan):
        """Bring ``dir`` and ``dbfilename`` back; returns whether the data must be saved there afterwards."""
        disk = self.disk or {}
        directory = self.config.get("dir") or disk.get("dir", "")
        name = self.config.get("dbfilename") or disk.get("dbfilename", "dump.rdb")
        bad_directory = bool(redis_criteria.dump_place(directory, "dump.rdb")[0])
        bad_name = bool(redis_criteria.dump_place("/", name)[0])
        if not directory or not (bad_directory or bad_name):
            self._dump_files(plan, directory or self._directory(), name)
            return False
        target = self._directory() if bad_directory else directory
        if target is None:
            plan.refuse("dump_place", "It writes its dump below %s, and no directory was found where it may write "
                                      "instead: make one that belongs to its account and name it in data_dir."
                        % text(directory))
            return False
        if bad_directory and self.config.get("appendonly") == "yes" and self.disk is not None \
                and redis_criteria.dump_place(self.disk.get("dir", ""), "dump.rdb")[0]:
            plan.refuse("dump_place", "Its append-only files lie in %s: stop it, move the whole directory, and set "
                                      "'dir' by hand." % text(directory))
            return False
        wanted = self.wishes.dbfilename if bad_name else name
        if not self._may_set_place():
            # With the files alone changed, its next start would find no data at the new place.
            plan.refuse("dump_place", "It does not let the place of its dump (%s/%s) be changed while it runs: stop "
                                      "it, move that file to %s/%s, set 'dir' and 'dbfilename' so in its "
                                      "configuration, and start it."
                        % (text(directory.rstrip("/")), text(name), text(target), text(wanted)))
            return False
        self._dump_files(plan, target, wanted)
        commands, inverse = [], []
        for setting, old, new in (("dir", directory, target), ("dbfilename", name, wanted)):
            if old != new:
                commands.append(("CONFIG", "SET", setting, new))
                inverse.insert(0, ("CONFIG", "SET", setting, old))
        place = os.path.join(target, wanted)
        kept = " What lies there is kept." if os.path.lexists(host_path(place, self.seen.config_root)) else ""
        plan.steps.append(Step("dump_place", "dump_place", "Write the dump as %s, no longer as %s/%s.%s" % (
            text(place), text(directory.rstrip("/")), text(name), kept), commands, inverse, place))
        # What was saved by hand at the old place is what it would have started with.
        saved = bool(self.seen.dump_file and self.seen.dump_file["is_dump"])
        return (bool(self.config.get("save")) or saved) and self.config.get("appendonly") != "yes"

    def _dump_files(self, plan, target, wanted):
        """Make the files say where the running server writes now, where they name a bad place."""
        if self.edits is None:
            return
        directory, name = self.disk.get("dir"), self.disk.get("dbfilename")
        running_bad = bool(redis_criteria.dump_place(self.config.get("dir", ""), "dump.rdb")[0])
        bad = redis_criteria.dump_place(directory, "dump.rdb")[0] if directory else running_bad
        if bad and target is not None and self.config.get("appendonly") != "yes":
            self._set(plan, "dir", [target])
        if name and redis_criteria.dump_place("/", name)[0]:
            self._set(plan, "dbfilename", [wanted])

    def _may_set_place(self):
        return self.can_configure and (self.version < (7, 0, 0)
                                       or self.config.get("enable-protected-configs", "no") in ("yes", "local"))

    def _directory(self):
        """Return where the data may go: as wished, else as configured, else the distribution's place; or ``None``."""
        product = self.seen.process.product if self.seen.process is not None else "redis"
        configured = (self.disk or {}).get("dir")
        for path in [self.wishes.data_dir, configured, "/var/lib/" + product, "/var/lib/redis"]:
            if path and path.startswith("/") and not redis_criteria.dump_place(path, "dump.rdb")[0] \
                    and self._writable(path):
                return path
        return None

    def _writable(self, path):
        try:
            found = os.stat(os.path.join(self.seen.root_path, path.lstrip("/")))
            ours = os.stat(host_path(path, self.seen.config_root))
        except OSError:
            return False
        process = self.seen.process
        # A unit may see another directory there than the host: what it overwrites there could not be kept.
        if not stat.S_ISDIR(found.st_mode) or process is None or not os.path.samestat(found, ours):
            return False
        needed = 0o300 if found.st_uid == process.uid else 0o030 if found.st_gid in process.groups else 0o003
        return process.uid == 0 or found.st_mode & needed == needed

    # 3 and 4

    def password(self, plan, later):
        """Choose the password, change the files, and set it at run time in ``later``."""
        seen, startup = self.seen, self.seen.startup
        chosen, source = self._choose()
        default = startup["default"] if startup is not None else None
        open_now = seen.outcome != redis.PASSWORD
        runtime = open_now or (chosen is not None and chosen != seen.password)
        digest = redis_config.digest_of(chosen) if chosen is not None else None
        on_disk = default is not None and default.enabled and (
            default.nopass or digest not in default.hashes or any(map(redis_criteria.hash_weakness, default.hashes)))
        users = self._open_users()
        disk_users = [item for item in seen.config.users() if item[1].name != b"default" and item[1].enabled
                      and item[1].nopass] if self.edits is not None else []
        if not (runtime or (on_disk and self.edits is not None) or users or disk_users):
            plan.password, plan.password_source, plan.lasting = chosen, source, default is not None
            return
        if chosen is None:
            plan.refuse("password", "It needs a password, and none was given: give 'password'.")
            return
        plan.password, plan.password_source = chosen, source
        plan.lasting = self.edits is not None
        if self.edits is not None:
            if on_disk:
                self._password_on_disk(plan, chosen)
            for directive, user in disk_users:
                self.edits.replace(directive, [user.name] + user.with_password(chosen))
        if runtime or users:
            self._password_at_run_time(plan, later, chosen, digest, runtime, users)

    def _choose(self):
        """Return ``(password, source)``: a good one that is there stays, since applications know it."""
        seen, wishes = self.seen, self.wishes
        if wishes.rotate and wishes.password is not None:
            return wishes.password, "given"
        if seen.password is not None and seen.outcome == redis.PASSWORD \
                and not redis_criteria.password_weakness(seen.password):
            return seen.password, "present"
        default = seen.startup["default"] if seen.startup is not None else None
        if default is not None and seen.outcome != redis.PASSWORD:
            for word in default.plain:
                if not redis_criteria.password_weakness(word):
                    return word, "configuration"
        return wishes.password, "given"

    def _open_users(self):
        return [line.split()[1] for line in self.seen.facts["acl"]
                if line.startswith("user ") and line.split()[1] != "default"
                and "on" in line.split() and "nopass" in line.split()]

    def _password_on_disk(self, plan, password):
        config = self.seen.config
        for directive, user in config.users():
            if user.name == b"default":
                self.edits.replace(directive, [user.name] + user.with_password(password))
                return
        if config.acl_path is not None:
            running = [line.split() for line in self.seen.facts["acl"] if line.startswith("user default ")]
            rules = [word.encode() for word in (running[0][2:] if running else ["on", "~*", "+@all"])]
            self.edits.append(config.acl_path, "user",
                              [b"default"] + redis_config.AclUser(b"default", rules).with_password(password))
            return
        if self._outvoted(plan, "requirepass"):
            plan.lasting = False
            return
        self.edits.set("requirepass", [password])
        info = self.seen.facts["info"]
        serves_replicas = info.get("role") == "master" and info.get("connected_slaves", "0") != "0"
        if serves_replicas and not config.secret("masterauth"):
            # It will need it when one of its replicas takes over.
            self.edits.set("masterauth", [password])

    def _password_at_run_time(self, plan, later, chosen, digest, runtime, users):
        seen = self.seen
        by_acl = seen.config is not None and (seen.config.acl_path is not None or any(
            user.name == b"default" for unused, user in seen.config.users()))
        commands, inverse = [], []
        if runtime and not by_acl and self.can_configure:
            commands.append(("CONFIG", "SET", "requirepass", chosen))
            inverse.append(("CONFIG", "SET", "requirepass", seen.password or b""))
        elif runtime and self.version >= (6, 0, 0):
            commands.append(("ACL", "SETUSER", "default", "resetpass", "#" + digest))
            inverse.append(("ACL", "SETUSER", "default", "resetpass",
                            ">" + text(seen.password) if seen.password else "nopass"))
        elif runtime:
            plan.refuse("password", "The CONFIG command is switched off, so that the password takes effect at its next "
                                    "start only: restart it.")
        for name in users:
            commands.append(("ACL", "SETUSER", name, "resetpass", "#" + digest))
            inverse.append(("ACL", "SETUSER", name, "nopass"))
        if not commands:
            return
        plan.password_changes = True
        who = (["the default user"] if runtime else []) + ["'%s'" % text(name) for name in users]
        fleeting = "" if plan.lasting else " (until its next start: no configuration file keeps it)"
        later.steps.append(Step("commands", "password", "Demand a strong password of %s%s."
                                % (", ".join(who), fleeting), commands, inverse))

    # 5

    def listening(self, plan, later):
        """Where it listens, protected mode, and settings that open it for abuse."""
        if self.wishes.bind is not None:
            self._bind(plan, later)
        if self.config.get("protected-mode") == "no":
            forward, back = self._setting("protected-mode", "yes")
            later.steps.append(Step("commands", "protected_mode", "Switch protected mode on.", [forward], [back]))
        if self.edits is not None:
            for name in ("protected-mode", "enable-protected-configs"):
                if self.disk.get(name) in {"protected-mode": ("no",), "enable-protected-configs": ("yes",)}[name]:
                    self._set(plan, name, ["yes" if name == "protected-mode" else "no"])

    def _bind(self, plan, later):
        wanted = self._bind_words()
        plain = {word.lstrip("-") for word in wanted}
        if plain & {"*", "0.0.0.0", "::"}:
            return
        unwanted = [item for item in self.seen.listeners if item.family == "tcp" and item.address not in plain
                    and not redis_criteria.is_loopback(item.address)]
        serves_tcp = any(item.family == "tcp" for item in self.seen.listeners)
        written = (self.disk or {}).get("bind")
        on_disk = self.edits is not None and serves_tcp and not _within((written or "*").split(), plain)
        if not unwanted and not on_disk:
            return
        replicas = set(redis_findings.unknown_replicas(self.seen.facts, ())) & self.wishes.replicas
        if replicas:
            plan.refuse("bind", "It serves the replicas %s, so it stays on its addresses: name those that it needs in "
                                "'bind'." % ", ".join(sorted(replicas)))
            return
        if on_disk:
            self._set(plan, "bind", wanted)
        if unwanted and self.version >= (6, 2, 0) and self.can_configure:
            plan.addresses = plain
            forward, back = self._setting("bind", " ".join(wanted))
            later.steps.append(Step("commands", "bind", "Listen on %s only, no longer on %s." % (
                " ".join(wanted), ", ".join(redis_criteria.remote_listeners(unwanted))), [forward], [back]))
        elif unwanted and not on_disk and written is None:
            plan.refuse("bind", "It cannot change where it listens while it runs, and its configuration is not known.")
        elif unwanted and on_disk:
            plan.refuse("bind", "This release cannot change where it listens while it runs: restart it after this run.")

    def _bind_words(self):
        if self.version >= (6, 2, 0):
            return list(self.wishes.bind)
        # Older releases know no "-" for "if there": they do not start over it.
        words = []
        for word in self.wishes.bind:
            if not word.startswith("-") or self._has_address(word[1:]):
                words.append(word.lstrip("-"))
        return words

    def _has_address(self, address):
        if address != "::1":
            return False
        process = os.path.dirname(self.seen.root_path) if self.seen.process is not None else "/proc/self"
        try:
            with open(os.path.join(process, "net/if_inet6"), encoding="ascii") as table:
                return any(re.match("0{31}1 ", line) for line in table)
        except OSError:
            return False

    def files(self, plan):
        """Turn the edits into one step a file."""
        for path, (content, names) in sorted(self.edits.result().items()) if self.edits is not None else ():
            plan.steps.append(Step("files", "configuration", "Change %s in %s; to take it back, restore the file and "
                                   "restart the server." % (", ".join(names), text(path)), data=(path, content)))


def _within(words, plain):
    return all(word.lstrip("-") in plain or redis_criteria.is_loopback(word.lstrip("-")) for word in words)
