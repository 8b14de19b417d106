# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of what a run may touch, taken before it touches anything: one compressed tar with a manifest of hashes.

Two passes: the first only looks (what is there, how much), the second reads. In between the ceilings and
the free space are checked, so that a host with a full disk is told so before a byte is written.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
import time

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import action, subject, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import archive_manifest, safe_files
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import quarantine_store
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.host_archive_survey import Surveyor
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_journal import sync_directory

# "~/" stands for the home of every account.
DEFAULT_PATHS = (
    "/etc",
    "~/.ssh", "~/.bashrc", "~/.bash_profile", "~/.bash_login", "~/.bash_logout", "~/.profile", "~/.zshrc", "~/.rhosts",
    "~/.config/systemd", "~/.config/autostart", "~/.config/cron",
    "/var/spool/cron", "/var/spool/at", "/var/spool/anacron",
    "/usr/lib/systemd/system", "/usr/local/lib/systemd", "/lib/systemd/system", "/run/systemd/system",
    "/bin/.*", "/sbin/.*", "/usr/bin/.*", "/usr/sbin/.*", "/usr/bin/dpkgd", "/usr/bin/bsd-port",
    "/tmp/*.lod", "/tmp/*.lock", "/tmp/notify.file",
) + tuple("%s/%s" % (directory, tool)
          for directory in ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
          for tool in ("ps", "netstat", "lsof", "ss", "top", "ls", "find", "ifconfig", "chattr", "lsattr")) + (
    "/var/lib/redis*", "/usr/local/etc/redis*",
)
# Large, and rebuilt from packages.
DEFAULT_EXCLUDE = ("/etc/udev/hwdb.bin", "/etc/selinux/*/policy", "/etc/selinux/*/active", "/etc/selinux/final")

# An archive of text is a fifth of what goes in; of random bytes it is a little more.
_SPARE_BYTES = 16 * 1024 * 1024
_TAR_TYPES = {
    "file": tarfile.REGTYPE, "directory": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "fifo": tarfile.FIFOTYPE,
    "block device": tarfile.BLKTYPE, "character device": tarfile.CHRTYPE,
}


class HostArchive:
    """The archive of one incident and one choice of paths.

    :param incident: id of the incident. :param root: the quarantine's root on the running system.
    :param paths: host paths; ``*``, ``?`` and ``[`` are patterns, ``~/`` stands for every home.
    :param exclude: patterns of paths that are left out with all below them; ``*`` matches ``/`` too.
    :param homes: home directories. :param max_bytes: ceiling of all regular files together.
    :param max_file_bytes: a larger file is left out and told.
    """

    def __init__(self, incident, root, paths, exclude=(), homes=(), max_bytes=2 ** 31, max_file_bytes=2 ** 25,
                 host_root="/"):
        self._store = quarantine_store.Store(root, incident)
        self._incident = incident
        self._host_root = host_root
        self._paths = list(paths)
        self._exclude = list(exclude)
        self._max_file_bytes = max_file_bytes
        self._surveyor = Surveyor(self._paths, self._exclude, homes, max_bytes, max_file_bytes, self._store.root,
                                  host_root)
        self.directory = os.path.join(self._store.directory, "archive")
        # Another choice of paths is another archive; the first one stays what it is.
        choice = json.dumps([self._paths, self._exclude, max_file_bytes], sort_keys=True)
        self.name = "host-%s.tar.gz" % hashlib.sha256(choice.encode("utf-8", "surrogateescape")).hexdigest()[:12]
        self.path = os.path.join(self.directory, self.name)

    def present(self):
        """Return what is known of the intact archive that was made before, ``None`` when there is none.

        :returns: dict ``path``, ``sha256``, ``size``, ``files``, ``entries``, ``bytes``, ``created``, ``omitted``.
        """
        try:
            known = json.loads(safe_files.read_bytes(self.path + ".json").decode("utf-8"))
            if safe_files.digest(self.path) != known["sha256"]:
                return None
        except (ResponseError, ValueError, KeyError, TypeError):
            # Missing, or no sidecar of ours: a new archive is made in its place.
            return None
        return dict(known, path=self.path)

    def survey(self):
        """Look at everything that would be archived; return a :class:`host_archive_survey.Survey`.

        :raises ResponseError: there is nothing, or more than ``max_bytes`` or ``MAX_ENTRIES``.
        """
        return self._surveyor.survey()

    def create(self, found):
        """Write the archive of a survey; return the same dict as :meth:`present`.

        :raises ResponseError: not enough room, or it cannot be written; nothing stays behind.
        """
        self._store.prepare()
        quarantine_store.private_directory(self.directory)
        self._drop_leftovers()
        self._require_space(found)
        temporary = os.path.join(self.directory, ".incoming-%d" % os.getpid())
        try:
            try:
                known = self._write(temporary, found)
                self._write_sidecar(known)
                os.rename(temporary, self.path)
                sync_directory(self.directory)
            except OSError as error:
                raise safe_files.explain(error, self.path)
        except ResponseError:
            self._drop_leftovers()
            raise
        return dict(known, path=self.path)

    def remove(self, check_mode=False):
        """Remove this incident's archives from the host; return the actions."""
        try:
            names = sorted(os.listdir(self.directory))
        except FileNotFoundError:
            return []
        actions = []
        for name in names:
            path = os.path.join(self.directory, name)
            if not check_mode:
                os.unlink(path)
            if name.endswith(".tar.gz"):
                actions.append(action("host_archive.remove", subject("file", path),
                                      "Remove the archive from the host; the controller keeps its copy.",
                                      status="planned" if check_mode else "done"))
        if not check_mode:
            os.rmdir(self.directory)
        return actions

    # -- writing

    def _drop_leftovers(self):
        for name in os.listdir(self.directory):
            if name.startswith(".incoming-"):
                os.unlink(os.path.join(self.directory, name))

    def _require_space(self, found):
        status = os.statvfs(self.directory)
        free = status.f_bavail * status.f_frsize
        needed = found.bytes + _SPARE_BYTES
        if free < needed:
            raise ResponseError(
                "The archive may take up to %d MiB and %s has %d MiB free: nothing was written."
                % (needed // 2 ** 20, self.directory, free // 2 ** 20),
                "Free some space, exclude what need not be kept, or point quarantine_root at another file system.")

    def _write(self, temporary, found):
        # O_EXCL: the folder is ours alone (0700), what lies there is a leftover that was dropped before.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        entries = []
        omitted = list(found.omitted)
        with open(descriptor, "wb") as stream:
            sink = _Hashing(stream)
            # Level 1 takes a third of the time of the default and a tenth more room. No name, no time: the bytes
            # depend on what is archived alone.
            with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=sink, mtime=0) as packed:
                with tarfile.TarFile(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8",
                                     errors="surrogateescape") as archive:
                    for directory, group in _by_directory(found.entries):
                        self._add_directory(archive, directory, group, entries, omitted)
                    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                    _add_manifest(archive, {
                        "format": archive_manifest.FORMAT, "incident": self._incident, "created": created,
                        "paths": self._paths, "exclude": self._exclude, "entries": entries, "omitted": omitted,
                    })
            stream.flush()
            os.fsync(stream.fileno())
        files = [entry for entry in entries if entry["type"] == "file"]
        return {"sha256": sink.state.hexdigest(), "size": sink.size, "files": len(files), "entries": len(entries),
                "bytes": sum(entry["size"] for entry in files), "created": created, "omitted": omitted,
                "changed_while_read": [text(entry["path"]) for entry in files if entry.get("changed")]}

    def _write_sidecar(self, known):
        path = self.path + ".json"
        temporary = os.path.join(self.directory, ".incoming-%d.json" % os.getpid())
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as stream:
            stream.write(json.dumps(known, sort_keys=True).encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, path)

    def _add_directory(self, archive, directory, group, entries, omitted):
        """Add the entries of one directory, each opened relative to it."""
        try:
            descriptor, unused = safe_files.open_directory(directory, self._host_root)
        except ResponseError as error:
            omitted.extend({"path": text(entry["path"]), "reason": text(error)} for entry in group)
            return
        try:
            for entry in group:
                try:
                    self._add(archive, descriptor, entry)
                except ResponseError as error:
                    omitted.append({"path": text(entry["path"]), "reason": text(error)})
                    continue
                entries.append(_shown(entry))
        finally:
            os.close(descriptor)

    def _add(self, archive, directory, entry):
        name = safe_files.path_bytes(entry["path"].rsplit("/", 1)[1])
        if entry["type"] not in _TAR_TYPES:
            # tar knows no sockets; the manifest does.
            entry["member"] = None
            return
        if entry["type"] != "file":
            member = _member(entry)
            archive.addfile(member)
            archive.members = []
            return
        descriptor = safe_files.open_regular_at(directory, name, entry["path"])
        try:
            before = os.fstat(descriptor)
            if before.st_size > max(self._max_file_bytes, entry["size"]):
                raise ResponseError("it grew beyond max_file_bytes while the archive was made")
            entry["size"] = before.st_size
            source = _Exactly(descriptor, before.st_size)
            archive.addfile(_member(entry), source)
            archive.members = []
            entry["sha256"] = source.state.hexdigest()
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if source.short or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            entry["changed"] = True


class _Hashing:
    """A writable that hashes what goes through it. After a failed write it swallows what gzip still has in hand."""

    def __init__(self, stream):
        self._stream = stream
        self.state = hashlib.sha256()
        self.size = 0

    def write(self, data):
        if self._stream is not None:
            try:
                self._stream.write(data)
            except OSError:
                self._stream = None
                raise
            self.state.update(data)
            self.size += len(data)
        return len(data)

    def flush(self):
        if self._stream is not None:
            self._stream.flush()


class _Exactly:
    """A readable of exactly ``size`` bytes, whatever becomes of the file meanwhile: a tar member's size stands
    before its bytes. What is missing in the end is filled with zeros, and ``short`` says so."""

    def __init__(self, descriptor, size):
        self._descriptor = descriptor
        self._left = size
        self.short = False
        self.state = hashlib.sha256()

    def read(self, size):
        wanted = min(size, self._left)
        pieces = []
        missing = wanted
        # tarfile takes no short reads.
        while missing and not self.short:
            try:
                piece = os.read(self._descriptor, missing)
            except OSError:
                # A bad sector: the rest is zeros, marked as changed.
                piece = b""
            self.short = not piece
            pieces.append(piece)
            missing -= len(piece)
        data = b"".join(pieces).ljust(wanted, b"\0")
        self._left -= wanted
        self.state.update(data)
        return data


def _by_directory(entries):
    """Yield ``(directory, its entries)`` in the order of the entries."""
    directory = None
    group = []
    for entry in entries:
        parent = entry["path"].rsplit("/", 1)[0] or "/"
        if parent != directory and group:
            yield directory, group
            group = []
        directory = parent
        group.append(entry)
    if group:
        yield directory, group


def _member(entry):
    """Return the tarfile.TarInfo of an entry and set the entry's ``member``."""
    member = tarfile.TarInfo(archive_manifest.member_name(entry["path"]))
    member.type = _TAR_TYPES[entry["type"]]
    member.mode = entry["mode"]
    member.uid = entry["uid"]
    member.gid = entry["gid"]
    member.mtime = entry["mtime_ns"] // 10 ** 9
    member.size = entry["size"] if entry["type"] == "file" else 0
    if entry["type"] == "symlink":
        member.linkname = entry["target"]
    if "rdev" in entry:
        member.devmajor = os.major(entry["rdev"])
        member.devminor = os.minor(entry["rdev"])
    for name, value in entry["xattrs"].items():
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            # tar cannot carry such a name; the manifest does.
            continue
        # "=" ends a keyword: written as GNU tar does. tarfile writes lone surrogates as the bytes they stand for.
        keyword = "SCHILY.xattr." + name.replace("%", "%25").replace("=", "%3D")
        member.pax_headers[keyword] = base64.b64decode(value).decode("utf-8", "surrogateescape")
    entry["member"] = member.name
    return member


def _shown(entry):
    """Return an entry for the manifest: without what concerns this machine's memory of it only."""
    return {key: value for key, value in entry.items() if key not in ("atime_ns", "dev") and (value or key in (
        "mode", "uid", "gid", "size", "mtime_ns", "member"))}


def _add_manifest(archive, manifest):
    # Lone surrogates (names that are no UTF-8) go as \udcXX escapes, which JSON allows.
    content = json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode("ascii")
    member = tarfile.TarInfo(archive_manifest.MANIFEST)
    member.size = len(content)
    member.mode = 0o600
    archive.addfile(member, io.BytesIO(content))
