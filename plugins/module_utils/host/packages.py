# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host's package database says of its files, read without the host's own tools.

The database is a witness that the intruder may have spoken to: whoever has root can edit it. So a
``mismatch`` is strong (nobody edits a digest to accuse himself), a ``match`` is worth as much as
:meth:`PackageDatabase.suspect` finds nothing.
"""

import os
import re
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import gap
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import rooted_paths, safe_files
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_digests import Digests
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.package_dpkg import DpkgDatabase
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.package_rpm import RpmDatabase

_OS_RELEASE_LIMIT = 65536
_DPKG_FAMILIES = {"debian", "ubuntu"}
_RPM_FAMILIES = {"rhel", "fedora", "centos", "suse", "opensuse", "sles", "anolis", "alinux", "openEuler", "amzn"}


class PackageDatabase:
    """The package database of the system below ``host_root``: lazy, read-only, remembers what it has read.

    Paths are absolute inside that root (str, as ``safe_files.path_text`` makes it); either spelling of a merged
    ``/usr`` serves.
    Where a method takes ``content_path``, that is a path of *this* process's own view (``/proc/123/exe`` included) or
    an open descriptor, whose bytes are asked about.

    ``kind``: ``"dpkg"``, ``"rpm"`` or ``None`` (another packager, or none). Nothing here runs a program of the host.
    """

    def __init__(self, host_root="/"):
        self.host_root = host_root
        self._backend = _choose(host_root)
        self._reasons = {}

    @property
    def kind(self):
        return self._backend.kind if self._backend else None

    def gaps(self):
        """Return what makes answers ``unknown`` or ``unowned`` on this host, as ``not_checked`` entries."""
        if self._backend is None:
            return [gap("packaged files", "The host has neither a dpkg nor an rpm database.",
                        "Compare its programs with those of a healthy host of the same release.")]
        problem = self._backend.problem()
        if problem:
            return [gap("packaged files", problem,
                        "Compare the host's programs with those of a healthy host of the same release.")]
        return []

    def owner_of(self, path):
        """Return the package that put the file at ``path`` there, or ``None``.

        The name is as the packager prints it: dpkg's ``procps`` or ``libc6:amd64``, rpm's name-version-release.arch.
        A package whose file at ``path`` is diverted elsewhere does not own it.
        """
        records = self.records(path)
        return records[0].package if records else None

    def records(self, path):
        """Return the :class:`packaged_file.PackagedFile` of every package that owns ``path``, mostly one."""
        return self._backend.records(path) if self._backend else []

    def expected_digest(self, path):
        """Return ``(algorithm, hex)`` of the packaged bytes of ``path``, or ``None``."""
        for record in self.records(path):
            if record.digest:
                return record.algorithm, record.digest
        return None

    def is_config(self, path):
        """Tell whether ``path`` is a configuration file of its package, which an administrator may have changed."""
        return any(record.config for record in self.records(path))

    def is_packaged_link(self, path):
        """Tell whether ``path`` is a symbolic link in its package. Only rpm's database knows."""
        records = self.records(path)
        return bool(records) and all(record.link for record in records)

    def verify(self, path, content_path=None):
        """Compare bytes with what the package of ``path`` recorded.

        :param content_path: whose bytes (path or descriptor); by default those of ``path`` itself, as it lies there.
        :return: ``match``; ``mismatch`` (other bytes, or a link where the package has a file); ``unowned``;
            ``unknown``: its package records no digest, or the file is missing or cannot be read.
        """
        if content_path is not None:
            return self.verify_digest(path, Digests.of_content(content_path))
        found = rooted_paths.status(path, self.host_root)
        if found is not None and stat.S_ISLNK(found.st_mode):
            return self._verify_link(path)
        if self.is_packaged_link(path) and found is not None:
            return "mismatch"
        if found is not None and not stat.S_ISREG(found.st_mode):
            return "mismatch" if self.expected_digest(path) else "unknown" if self.records(path) else self._nobody()
        real = rooted_paths.resolve(path, self.host_root)
        return self.verify_digest(path, Digests(lambda: safe_files.open_regular(real, self.host_root)))

    def verify_digest(self, path, digest_of):
        """As :meth:`verify`, for bytes that the caller has already read.

        :param digest_of: callable from hashlib's name of an algorithm to the hex digest (or ``None`` when the bytes
            cannot be read), or a dict of them.
        """
        records = self.records(path)
        if not records:
            return self._nobody()
        if isinstance(digest_of, dict):
            digest_of = digest_of.get
        results = set()
        for record in records:
            actual = digest_of(record.algorithm) if record.digest else None
            results.add("unknown" if actual is None else "match" if actual == record.digest else "mismatch")
        # Two packages may list one file (multi-arch, or one by /bin and one by /usr/bin): the last unpacked won.
        for result in ("match", "mismatch"):
            if result in results:
                return result
        return "unknown"

    def find_by_digest(self, content_path):
        """Return the path of a packaged file that has exactly these bytes, or ``None``.

        First among packaged files of the same name, then among all. Answers whether a running program whose file
        is gone, or which runs under another name, is a packaged program after all.
        """
        if self._backend is None:
            return None
        digests = Digests.of_content(content_path)
        if digests.empty:  # the empty file is everywhere
            return None
        for candidates in (self._backend.named(_base_name(content_path)), self._backend.with_digest(digests)):
            for record in candidates:
                if record.digest and digests(record.algorithm) == record.digest:
                    return self._backend.location(record)
        return None

    def changed_at(self, package):
        """Return when ``package`` (as :meth:`owner_of` names it) was last unpacked, in epoch seconds, or ``None``."""
        return self._backend.changed_at(package) if self._backend else None

    def metadata(self, path):
        """Return ``{"mode", "uid", "gid", "capabilities"}`` that the file at ``path`` ought to have, or ``None``.

        ``mode``: permission bits; ``capabilities``: value of the xattr ``security.capability``, ``b""`` for none, or
        ``None`` when the database does not know. rpm records them; dpkg does not, only what dpkg-statoverride(1) says.
        """
        for record in self.records(path):
            known = self._backend.metadata(record)
            if known:
                return known
        return None

    def is_diverted_locally(self, path):
        """Tell whether the operator (or an intruder) moves the package's file at ``path`` aside by dpkg-divert(1)."""
        return bool(self._backend) and self._backend.is_diverted_locally(path)

    def named(self, name):
        """Return the records of all packaged paths whose last component is ``name``."""
        return list(self._backend.named(name)) if self._backend else []

    def location(self, record):
        """Return where the file of a record lies: its path, or where dpkg-divert(1) moves it."""
        return self._backend.location(record)

    def download_name(self, package):
        """Return how the packager is asked for exactly this package: ``procps:amd64=2:4.0.2-3``, or rpm's NEVRA."""
        return self._backend.download_name(package)

    def suspect(self, package=None):
        """Return why the database itself looks tampered with: a list of sentences, empty for a healthy host.

        :param package: only what concerns this package (as :meth:`owner_of` names it) or the whole database; quicker.
        """
        if self._backend is None:
            return []
        asked = None if None in self._reasons else package
        if asked not in self._reasons:
            self._reasons[asked] = self._backend.suspect(asked)
        return [reason for about, reason in self._reasons[asked] if package in (None, about) or about is None]

    def _nobody(self):
        """Return the verdict of a file that no package is found to own; half a database must not accuse it."""
        return "unknown" if self._backend and self._backend.problem() else "unowned"

    def _verify_link(self, path):
        records = self.records(path)
        if not records:
            choices = self._backend.alternative(path) if self._backend else []
            target = rooted_paths.resolve_or_none(path, self.host_root)
            if target and any(target == rooted_paths.resolve_or_none(choice, self.host_root) for choice in choices):
                return self.verify(target)
            return self._nobody()
        if any(record.digest for record in records):
            return "mismatch"
        says = rooted_paths.link_target(path, self.host_root)
        recorded = [record.link for record in records if record.link]
        if recorded:
            return "match" if says in recorded else "mismatch"
        # dpkg does not record where a link points. One to a file that is as packaged, in its own package or in another
        # built from the same source, is fine.
        target = rooted_paths.resolve_or_none(path, self.host_root)
        if target is None:
            return "mismatch"  # no package ships a link in a circle
        sources = {self._backend.source_of(record.package) for record in records}
        if target != path and sources & {self._backend.source_of(record.package) for record in self.records(target)}:
            return self.verify(target)
        return "unknown"


def _choose(host_root):
    """Return the backend of the database that manages the system below ``host_root``, or ``None``.

    Either tool can be installed on the other's system, and an intruder can lay a database of the other kind beside the
    true one: where both hold packages, the distribution's own word decides.
    """
    merged = rooted_paths.merged_directories(host_root)
    backends = [backend for backend in (DpkgDatabase, RpmDatabase) if backend.present(host_root)]
    if len(backends) > 1:
        families = set()
        for path in ("/usr/lib/os-release", "/etc/os-release"):
            try:
                real = rooted_paths.resolve(path, host_root, follow_final=True)
                content = safe_files.read_bytes(real, _OS_RELEASE_LIMIT, host_root)
            except ResponseError:
                continue
            for value in re.findall(r"^ID(?:_LIKE)?=(.*)$", content.decode("utf-8", "replace"), re.MULTILINE):
                families.update(value.strip("\"'").split())
            break
        if families & _RPM_FAMILIES and not families & _DPKG_FAMILIES:
            backends.reverse()
    return backends[0](host_root, merged) if backends else None


def _base_name(content_path):
    """Return the last component of the name that a content has, without what the kernel and rpm append to it."""
    link = "/proc/self/fd/%d" % content_path if isinstance(content_path, int) else content_path
    try:
        name = os.readlink(link)
    except OSError:
        name = link
    if name.endswith(" (deleted)"):
        name = name[:-len(" (deleted)")]
    # rpm renames a file that runs while it is replaced to "name;hex".
    return re.sub(r";[0-9a-f]{8}$", "", os.path.basename(name))
