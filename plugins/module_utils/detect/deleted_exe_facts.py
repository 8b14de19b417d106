# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The vector of facts about one process whose executable is gone, each computed when it is first asked for.

Only what the decision table asks is paid for: a memfd that our own session runs from is never hashed.
"""

import errno
import fcntl
import os
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    container_runtimes,
    package_history,
    process_cgroup,
    process_sockets,
    process_table,
    process_view,
    program_place,
    rooted_paths,
    safe_files,
)

# memfd_create(2), fcntl(2); Python has names for them from 3.8 on.
_F_GET_SEALS = 1034
_WRITE_PROOF = 0x0002 | 0x0004 | 0x0008  # F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE

# Clocks are read to the second, and a package's list is written moments before or after its files.
_CLOCK_SLACK = 2
_UPGRADE_SPAN = 3600

_RUNTIME_NAME = re.compile(r"^(?:runc|crun|youki|lxc)[\w.-]*(?::|$)")

# Names of kernel threads that intruders borrow, as they are or with a letter more (kdevtmpfsi, kthrotlds).
_KERNEL_THREAD = re.compile(
    r"^\[?(?:(?:kworker|ksoftirqd|kswapd|kthreadd|kthrotld|kdevtmpfs|khugepaged|kauditd|kaudited|kcompactd|kblockd"
    r"|khungtaskd|kintegrityd|kdmflush|kdmtmpflush|rcu_(?:sched|bh|preempt|gp|tasks)|oom_reaper)(?:i|s|ds)?(?:[/:\d]\S*)?"
    r"|(?:migration|cpuhp|jbd2|xfsaild|irq)/\S+|scsi_eh_\d+)\]?$")


class _lazy:
    """Attribute that is computed once, by the method it stands on."""

    def __init__(self, compute):
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, _owner, name):
        self._name = name

    def __get__(self, instance, _owner):
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


class Facts:
    """All that is known of one suspect.

    :param process: :class:`process_table.Process`. :param link: its exe link. :param kind: ``file`` (deleted),
        ``memfd``, ``anonymous``, ``detached`` (not marked deleted, yet nowhere to be found).
    """

    def __init__(self, process, link, kind, surroundings):
        self.process = process
        self.link = link
        self.kind = kind
        self._all = surroundings

    # -- the file itself -----------------------------------------------------------------------------------------------

    @_lazy
    def path(self):
        """Path that the file had, without what the kernel, rpm or dpkg appended to it."""
        path = process_table.strip_deleted(self.link)
        # rpm renames a busy file to name;hex before it removes it (lib/fsm.c), dpkg keeps a second name for a while.
        return re.sub(r"(?:;[0-9a-f]{8}|\.dpkg-(?:tmp|new))$", "", path)

    @_lazy
    def status(self):
        """:class:`process_table.ExeStatus`, or ``None``."""
        return process_table.exe_status(self.process.where)

    @_lazy
    def readable(self):
        """Whether the executable can be looked at."""
        return self.status is not None

    @_lazy
    def links(self):
        """Number of names that the file still has anywhere, or ``None``."""
        return self.status.links if self.status is not None else None

    @_lazy
    def sha256(self):
        """SHA-256 of the bytes that run, or ``None``."""
        return self._with_exe(self._all.digest)

    @_lazy
    def sealed(self):
        """Whether nobody can alter the memfd (fcntl(2), F_GET_SEALS)."""
        return self._with_exe(lambda descriptor: fcntl.fcntl(descriptor, _F_GET_SEALS) & _WRITE_PROOF == _WRITE_PROOF)

    @_lazy
    def mounted(self):
        """Whether the file system is mounted where the process or PID 1 can see it."""
        number = self._with_exe(process_view.mount_id)
        if number is None:
            return True
        return any(number in process_view.mount_ids(where)
                   for where in (self.process.where, "%s/1" % self._all.proc_root, "%s/self" % self._all.proc_root))

    def _with_exe(self, use):
        try:
            descriptor = os.open(self.process.where + "/exe", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            return use(descriptor)
        except OSError:
            return None
        finally:
            os.close(descriptor)

    # -- its path ------------------------------------------------------------------------------------------------------

    @_lazy
    def view(self):
        """:class:`process_view.View` of the path."""
        return self._all.views.view(self.process.where, self.path)

    @_lazy
    def realm(self):
        """Whose file tree it is, see :mod:`process_view`."""
        return self.view.realm

    @_lazy
    def container(self):
        """``runtime id`` of the container, or ``None``."""
        found = self.view.container
        return "%s %s" % (found["runtime"], found["id"][:12]) if found else None

    @_lazy
    def literal_name(self):
        """Whether a file with the link's whole text as its name is the one that runs."""
        if not self.link.endswith(process_table.DELETED):
            return False
        view = self._all.views.view(self.process.where, self.link)
        return self._found_at(view.root, view.path) == "same"

    @_lazy
    def at_path(self):
        """What lies at the path now: ``same`` file, ``other`` file, ``absent``, ``unknown``."""
        if self.view.realm == process_view.UNKNOWN:
            return "unknown"
        return self._found_at(self.view.root, self.view.path)

    def _found_at(self, root, path):
        if not path.startswith("/") or not self.status:
            return "unknown"
        try:
            found = rooted_paths.status(path, root)
        except (OSError, ResponseError) as error:
            # Links that lead in a circle were laid there since: whatever ran did not come that way.
            return "absent" if getattr(error.__cause__, "errno", None) == errno.ELOOP else "unknown"
        if found is None:
            return "absent"
        # Both by stat(2): the devices in /proc/PID/maps are others on overlayfs and btrfs.
        return "same" if (found.st_dev, found.st_ino) == self.status.file else "other"

    @_lazy
    def on_host(self):
        """Whether the host has a file at that path."""
        try:
            return rooted_paths.status(self.path, self._all.host_root) is not None
        except (OSError, ResponseError):
            return None

    @_lazy
    def place(self):
        """Why a program of no package is out of place there (:mod:`program_place`), or ``None``."""
        if self.realm in (process_view.HOST, process_view.CHROOT):
            owner_of = None if self._speaking is None else self._speaking.owner_of
            return program_place.reason(self.view.path, self.view.root, owner_of)
        return program_place.reason(self.view.path, self.view.root)

    @_lazy
    def place_words(self):
        """The same in words."""
        return program_place.EXPLANATIONS.get(self.place, "")

    # -- packages ------------------------------------------------------------------------------------------------------

    @_lazy
    def _database(self):
        """The package database that speaks for the path, or ``None``."""
        if self.realm in (process_view.HOST, process_view.CHROOT):
            return self._all.database(self._all.host_root)
        if self.realm == process_view.CONTAINER:
            return self._all.database(self.view.root)
        return None

    @_lazy
    def _speaking(self):
        """The same if it can be read, else ``None``."""
        known = self._database is not None and self._database.kind is not None and not self._database.gaps()
        return self._database if known else None

    @_lazy
    def database(self):
        """``sound``, ``doubtful`` (signs of tampering in what concerns the owner) or ``none`` (nothing speaks)."""
        if self._speaking is None:
            return "none"
        return "doubtful" if self.owner is not None and self._speaking.suspect(self.owner) else "sound"

    @property
    def database_was_missing(self):
        """Whether the verdict was made without the host's packages, which ought to speak for the path."""
        return self.__dict__.get("database") == "none" and self.realm == process_view.HOST

    @_lazy
    def owner(self):
        """Package that owns the path, or ``None``."""
        return None if self._speaking is None else self._speaking.owner_of(self.view.path)

    @_lazy
    def content(self):
        """The bytes that run against the packaged ones: ``match``, ``mismatch``, ``unowned``, ``unknown``."""
        if self.owner is None:
            return "unowned"
        return self._with_exe(lambda descriptor: self._speaking.verify(self.view.path, descriptor)) or "unknown"

    @_lazy
    def disk_content(self):
        """The same for the bytes that lie at the path now."""
        return self._speaking.verify(self.view.path) if self.owner is not None else "unowned"

    @_lazy
    def started_at(self):
        """When the process started (epoch seconds), or ``None``."""
        return process_table.started_at(self.process, self._all.boot_time)

    @_lazy
    def unlinked_at(self):
        """When the last name of the file was removed (its ctime, inode(7)), or ``None`` while it has one."""
        return self.status.changed_at if self.status and self.status.links == 0 else None

    @_lazy
    def package_changed_at(self):
        """When the package was last unpacked, or ``None``."""
        return self._speaking.changed_at(self.owner) if self.owner is not None else None

    @_lazy
    def changed_since_start(self):
        """Whether the package was unpacked after the process had started; ``None`` if it cannot be told."""
        if self.package_changed_at is None or self.started_at is None:
            return None
        return self.package_changed_at + _CLOCK_SLACK >= self.started_at

    @_lazy
    def unlinked_by_upgrade(self):
        """Whether the file may have been removed by the last upgrade or an earlier one: not later."""
        if self.unlinked_at is None or self.package_changed_at is None:
            return self.unlinked_at is None
        return self.unlinked_at <= self.package_changed_at + _UPGRADE_SPAN

    @_lazy
    def clock_contradicts(self):
        """Whether the file was removed with the last upgrade, yet before the process started, which cannot be: the
        clock was set meanwhile (a host that booted with a wrong one), so the times prove nothing."""
        if None in (self.unlinked_at, self.package_changed_at, self.started_at):
            return False
        return (self.unlinked_at + _CLOCK_SLACK < self.started_at
                and abs(self.unlinked_at - self.package_changed_at) <= _UPGRADE_SPAN)

    @_lazy
    def same_bytes_as(self):
        """A packaged file of the host with the bytes that run, or ``None``."""
        database = self._all.database(self._all.host_root)
        return self._with_exe(database.find_by_digest) if database.kind else None

    @_lazy
    def removed_packages(self):
        """Packages that were removed when the file was, comma separated."""
        if self.unlinked_at is None or self.realm != process_view.HOST:
            return ""
        return ", ".join(package_history.removed_near(self._all.host_root, self.unlinked_at))

    # -- container runtimes --------------------------------------------------------------------------------------------

    @_lazy
    def claims_runtime(self):
        """Whether the memfd bears the name that runtimes give to theirs."""
        return bool(_RUNTIME_NAME.match(process_table.strip_deleted(self.link)[len("/memfd:"):]))

    @_lazy
    def runtime(self):
        """Path of the container runtime on the host whose bytes run, or ``None``."""
        for path, status in self._all.runtimes:
            if self.status and status.st_size == self.status.size and self._is_copy_of(path):
                return path
        return None

    @_lazy
    def runtime_changed_since_start(self):
        """Whether the package of a runtime on the host was unpacked after the process had started."""
        database = self._all.database(self._all.host_root)
        for path, _status in self._all.runtimes:
            owner = database.owner_of(path)
            changed = database.changed_at(owner) if owner else None
            if changed is not None and self.started_at is not None and changed + _CLOCK_SLACK >= self.started_at:
                return True
        return False

    def _is_copy_of(self, path):
        database = self._all.database(self._all.host_root)
        if database.owner_of(path) is not None:
            return self._with_exe(lambda descriptor: database.verify(path, descriptor)) == "match"
        # Installed by hand: only root may have written it, and everything above it.
        if not container_runtimes.only_root_writes(path, self._all.host_root):
            return False
        try:
            descriptor = safe_files.open_regular(path, self._all.host_root)
        except (OSError, ResponseError):
            return False
        try:
            return self._all.digest(descriptor) == self.sha256
        finally:
            os.close(descriptor)

    # -- the process ---------------------------------------------------------------------------------------------------

    @_lazy
    def own_chain(self):
        """Whether this run's ancestors or PID 1 run the same executable, by file or (for a memfd) by bytes."""
        if not self.status:
            return False
        if self.status.file in self._all.chain:
            return True
        if self.kind != "memfd":
            return False
        for size, where in self._all.chain.values():
            if size == self.status.size and self.sha256 and self._all.digest_of(where + "/exe") == self.sha256:
                return True
        return False

    @_lazy
    def arguments(self):
        """Its command line, a list."""
        return process_table.cmdline(self.process.where)

    @_lazy
    def masquerade(self):
        """What the process passes itself off as, in words, or ``None``."""
        claimed = "".join(self.arguments[:1]).partition(" ")[0]
        for name in (self.process.comm, claimed, os.path.basename(self.path)):
            if _KERNEL_THREAD.match(name) or (name.startswith("[") and name.endswith("]")):
                return "a kernel thread (%s)" % text(name)
        if claimed.startswith("/") and self.realm == process_view.HOST and self._speaking:
            real = _resolved(claimed, self._all.host_root)
            if real and os.path.basename(real) != os.path.basename(self.path) and self._speaking.owner_of(real):
                return "the packaged %s" % text(claimed)
        return None

    @_lazy
    def packet_socket(self):
        """Whether it has a packet or raw socket open (packet(7), raw(7))."""
        return any(entry["protocol"] in ("packet", "raw", "raw6") for entry in self.sockets)

    @_lazy
    def sockets(self):
        """:func:`process_sockets.sockets` of the process."""
        return process_sockets.sockets(self.process.where)

    @_lazy
    def unit(self):
        """``(systemd unit, user id of its manager)``, see :func:`process_cgroup.unit`."""
        for group in process_cgroup.paths(self.process.where):
            found = process_cgroup.unit(group)
            if found[0]:
                return found
        return (None, None)

    @_lazy
    def restart(self):
        """How to restart it, a sentence without a full stop."""
        return process_cgroup.restart_advice(*self.unit)

    @_lazy
    def doubt(self):
        """What stands against the explanation, in words."""
        if self.database == "none":
            return "no package database speaks for its path"
        owned = self.owner is not None
        reasons = [words for holds, words in (
            (self.database == "doubtful", "the package database looks tampered with"),
            (owned and self.clock_contradicts, "the clock was set since"),
            (owned and self.changed_since_start is None, "when the package was unpacked is not known"),
            (owned and self.changed_since_start is False, "the package was not changed since the process started"),
            (owned and not self.unlinked_by_upgrade, "the file was removed long after the package was unpacked"),
            (owned and self.at_path == "absent", "the packaged file is missing"),
            (owned and self.at_path == "other" and self.disk_content == "mismatch",
             "the file that lies there now is not the packaged one either"),
            (owned and self.at_path == "other" and self.disk_content == "unknown",
             "the package records no digest of it"),
            (self.at_path == "unknown", "its path cannot be looked at"),
        ) if holds]
        return "; ".join(reasons) or "the facts contradict each other"

    # -- telling -------------------------------------------------------------------------------------------------------

    def observables(self):
        """Return the facts on which the verdict rests (those that were asked for), and what an operator asks."""
        told = {"link": text(self.link), "path": text(self.path), "kind": self.kind, "state": self.process.state,
                "cmdline": [text(word)[:500] for word in self.arguments[:50]], "started_at": self.started_at,
                "uid": process_table.uid_of(self.process.where), "unit": self.unit[0], "ppid": self.process.ppid}
        if self.status is not None:
            told.update(links=self.status.links, size=self.status.size, unlinked_at=self.unlinked_at)
        for name in ("realm", "container", "at_path", "literal_name", "place", "owner", "database", "content",
                     "disk_content", "package_changed_at", "changed_since_start", "sealed", "runtime", "same_bytes_as",
                     "own_chain", "masquerade", "packet_socket", "removed_packages", "sha256", "mounted"):
            if name in self.__dict__:
                value = self.__dict__[name]
                told[name] = text(value) if isinstance(value, str) else value
        return told


def _resolved(path, host_root):
    try:
        return rooted_paths.resolve(path, host_root, follow_final=True)
    except (OSError, ResponseError):
        return None
