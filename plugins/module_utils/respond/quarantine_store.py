# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the quarantine keeps bytes: ``<root>/<incident>/objects/<sha256>``, private to root, never executable.

Bytes are always copied, never renamed into the store: a file that is renamed keeps its inode, so that
another hard link or an open descriptor could still alter it, and a process that runs from it would no
longer show as "deleted".
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import stat
import time

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import (
    MEBIBYTE,
    FileMissing,
    digest_descriptor,
    explain,
    open_directory,
    open_regular,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_journal import (
    Journal,
    sync_directory,
)

DEFAULT_ROOT = "/var/lib/ecsops-quarantine"

# Room that must stay free beside the bytes themselves: journal lines and the file system's own blocks.
SPARE_BYTES = MEBIBYTE
# Another run may be copying a large tree; one that hangs must not hold us for ever.
LOCK_SECONDS = 60
_INCOMING = ".incoming-"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


def check_incident_name(incident):
    """Raise ResponseError unless ``incident`` is a plain name that can be a folder's."""
    if not _PLAIN_NAME.match(incident):
        raise ResponseError("'%s' is not an incident id." % text(incident),
                            "Use letters, digits, '.', '_' and '-', at most 128 of them.")


class Store:
    """The folder of one incident below the quarantine's root.

    :param root: absolute path on the running system. :param incident: plain name.
    """

    def __init__(self, root, incident):
        check_incident_name(incident)
        if not os.path.isabs(root):
            raise ResponseError("quarantine_root must be an absolute path, not '%s'." % text(root))
        self.root = os.path.normpath(root)
        self.incident = incident
        self.directory = os.path.join(self.root, incident)
        self.objects = os.path.join(self.directory, "objects")
        self.journal = Journal(os.path.join(self.directory, "journal.jsonl"))

    def prepare(self):
        """Make the folders (0700) or check those that exist.

        :raises ResponseError: one of them belongs to somebody else or is a link, or cannot be made.
        """
        for path in (self.root, self.directory, self.objects):
            private_directory(path)

    @contextlib.contextmanager
    def locked(self):
        """Hold the incident's lock, so that two runs do not write one journal; the folders are made first."""
        self.prepare()
        try:
            descriptor = os.open(os.path.join(self.directory, "lock"),
                                 os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise explain(error, self.directory) from error
        try:
            self._lock(descriptor)
            self._drop_leftovers()
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor):
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ResponseError("Another run works in the quarantine %s." % self.directory,
                                        "Wait until it has ended, or end it, then run again.") from None
            except OSError as error:
                raise explain(error, self.directory) from error
            time.sleep(0.1)

    def require_space(self, size):
        """Raise ResponseError unless ``size`` bytes can be kept with some room to spare."""
        existing = self.directory
        while not os.path.isdir(existing):
            existing = os.path.dirname(existing)
        try:
            found = os.statvfs(existing)
        except OSError as error:
            raise explain(error, existing) from error
        if found.f_flag & os.ST_RDONLY:
            raise ResponseError("The quarantine %s lies on a read-only file system: nothing was removed." % self.root,
                                "Remount it read-write or point quarantine_root elsewhere, then run again.")
        free = found.f_bavail * found.f_frsize
        if free < size + SPARE_BYTES:
            raise ResponseError(
                "The quarantine %s has %d KiB free and needs %d KiB: nothing was removed."
                % (self.root, free // 1024, (size + SPARE_BYTES) // 1024),
                "Free some space or point quarantine_root at another file system, then run again.")

    def add(self, source, name):
        """Keep a copy of an open regular file and return ``(sha256, size)``.

        :param source: descriptor; read from its start. :param name: path for messages.
        :raises ResponseError: it cannot be read or kept; no partial copy stays behind.
        """
        temporary = os.path.join(self.objects, "%s%d" % (_INCOMING, os.getpid()))
        state = hashlib.sha256()
        size = 0
        try:
            os.lseek(source, 0, os.SEEK_SET)
            target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                while True:
                    chunk = os.read(source, MEBIBYTE)
                    if not chunk:
                        break
                    state.update(chunk)
                    size += len(chunk)
                    write_all(target, chunk)
                os.fchmod(target, 0o400)
                os.fsync(target)
            finally:
                os.close(target)
            # Over one of the same name too: what lies there may have been damaged since.
            os.rename(temporary, os.path.join(self.objects, state.hexdigest()))
            sync_directory(self.objects)
        except OSError as error:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise explain(error, name) from error
        return state.hexdigest(), size

    def open_verified(self, sha256):
        """Open a kept object after checking its hash; the caller closes the descriptor, which stands at the start.

        :raises ResponseError: it is gone, or its bytes are not those that were kept.
        """
        path = os.path.join(self.objects, sha256)
        try:
            descriptor = open_regular(path)
        except FileMissing:
            raise ResponseError("The quarantine no longer holds the object %s." % sha256,
                                "Take the file back from the snapshot.") from None
        if digest_descriptor(descriptor, "sha256", path) != sha256:
            os.close(descriptor)
            raise ResponseError("The object %s in the quarantine was altered: it is not put back." % path,
                                "Take the file back from the snapshot.")
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def delete(self, sha256):
        """Delete a kept object; one that is gone already passes."""
        try:
            os.unlink(os.path.join(self.objects, sha256))
        except FileNotFoundError:
            return
        except OSError as error:
            raise explain(error, self.objects) from error
        sync_directory(self.objects)

    def _drop_leftovers(self):
        # Whoever holds the lock is alone: what is still incoming belongs to a run that was killed.
        for name in os.listdir(self.objects):
            if name.startswith(_INCOMING):
                os.unlink(os.path.join(self.objects, name))


def private_directory(path):
    """Make a directory with mode 0700, or check that an existing one is ours and tighten its mode.

    :raises ResponseError: it is a link or somebody else's, or cannot be made.
    """
    try:
        try:
            os.mkdir(path, 0o700)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), 0o755)
            os.mkdir(path, 0o700)
        sync_directory(os.path.dirname(path))
    except FileExistsError:
        pass
    except OSError as error:
        raise explain(error, path) from error
    descriptor, unused = open_directory(path)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise ResponseError("The quarantine folder %s belongs to uid %d, not to the account of this run."
                                % (text(path), found.st_uid), "Somebody may have prepared it: look at it by hand.")
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.fchmod(descriptor, 0o700)
    except OSError as error:
        raise explain(error, path) from error
    finally:
        os.close(descriptor)


def incidents(root):
    """Return the names of the incidents that have a journal below ``root``, sorted; ``[]`` when there is none."""
    try:
        names = os.listdir(root)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return []
        raise explain(error, root) from error
    return sorted(name for name in names
                  if _PLAIN_NAME.match(name) and os.path.isfile(os.path.join(root, name, "journal.jsonl")))


def write_all(descriptor, data):
    """Write all of ``data``."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]
