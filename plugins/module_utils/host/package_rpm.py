# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""rpm's database, read from its file: the host's rpm may be the intruder's.

Follows the rpm project's "Package Tags"; a header records of each file its digest, mode, owner,
capabilities, flags, link target and state.
"""

import collections
import os
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    account_ids,
    alternatives,
    file_capabilities,
    rooted_paths,
    rpm_header,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packaged_file import PackagedFile
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.rpm_storage import STORAGES
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import path_bytes, path_text

# Fedora 36 and SUSE; everybody else; systems of rpm-ostree.
DIRECTORIES = ("/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm")

_CONFIG = 1  # RPMFILE_CONFIG of FILEFLAGS
_NORMAL = 0  # FILESTATES; others: replaced by another package, not installed, of the other architecture
_PROGRAM_DIRECTORIES = (b"/bin/", b"/sbin/", b"/usr/bin/", b"/usr/sbin/")
# See package_dpkg_signs.
_PACKAGES_SHARING_A_PROGRAM = 3

# key: of the storage. names: base names of all files, made to be searched. installed: epoch seconds.
_Package = collections.namedtuple("_Package", "name key names installed")


class RpmDatabase:
    """The rpm database below ``host_root``; read when first asked for.

    :param merged: :func:`rooted_paths.merged_directories` of that root.
    """

    kind = "rpm"

    def __init__(self, host_root, merged):
        self.host_root = host_root
        self.merged = merged
        self._storage = None
        self._index = None
        self._damaged = []
        self._problem = None
        self._headers = {}
        self._records = {}

    @classmethod
    def present(cls, host_root):
        """Tell whether there is an rpm database with something in it."""
        return bool(_files(host_root))

    # -- questions ---------------------------------------------------------------------------------------------------

    def records(self, path):
        """Return the :class:`PackagedFile` of every package whose file lies at ``path``."""
        if path not in self._records:
            names = [os.path.split(path_bytes(name)) for name in
                     rooted_paths.spellings(path, self.host_root, self.merged)]
            directories = {directory.rstrip(b"/") + b"/" for directory, _name in names}
            self._records[path] = list(self._files_named(names[0][1], directories))
        return self._records[path]

    def named(self, name):
        """Yield the :class:`PackagedFile` of every packaged path whose last component is ``name``."""
        return self._files_named(path_bytes(name), None)

    def with_digest(self, digest_of):
        """Yield the :class:`PackagedFile` of every packaged file with these bytes; see :class:`DpkgDatabase`."""
        for package in self._packages():
            header = self._header(package, remember=False)
            algorithm = header and _algorithm(header)
            digest = algorithm and digest_of(algorithm)
            if not digest:
                continue
            for number, recorded in enumerate(header.strings(rpm_header.FILEDIGESTS)):
                if recorded == digest.encode("ascii"):
                    record = self._record(package, header, number)
                    if record is not None:
                        yield record

    def location(self, record):
        """Return where the file of ``record`` lies; rpm knows no diversions."""
        return record.path

    def is_diverted_locally(self, path):
        """Return ``False``: rpm knows no diversions."""
        return False

    def alternative(self, path):
        """Return the paths among which alternatives(8) chooses for the link ``path``, or ``[]``."""
        return alternatives.choices(path, "/var/lib/alternatives", self.host_root, self.merged)

    def changed_at(self, package):
        """Return when rpm installed ``package`` (epoch seconds): its INSTALLTIME, or ``None``."""
        for known in self._packages():
            if known.name == package:
                return known.installed
        return None

    def metadata(self, record):
        """Return ``{"mode", "uid", "gid", "capabilities"}`` as packaged."""
        return {"mode": record.mode, "uid": record.uid, "gid": record.gid, "capabilities": record.capabilities}

    def download_name(self, package):
        """Return ``package``: rpm's names are exact already."""
        return package

    def source_of(self, package):
        """Return ``package``: rpm records where links point, so that this serves for the same package only."""
        return package

    def problem(self):
        """Return why the database cannot be read, or ``None``."""
        self._packages()
        return self._problem

    def suspect(self, only=None):
        """Return ``[(package or None, sentence)]``: signs that somebody else than rpm wrote into the database.

        :param only: hash the entry of this package alone. All are read, since one that is damaged concerns all.
        """
        reasons = []
        files = _files(self.host_root)
        if len(files) > 1:
            reasons.append((None, "There are several rpm databases: %s."
                            % ", ".join(path for path, _storage in files)))
        for path, _storage in files:
            found, directory = (rooted_paths.status(name, self.host_root) for name in (path, os.path.dirname(path)))
            if found.st_uid != directory.st_uid or found.st_mode & 0o022:
                reasons.append((None, "%s can be written by others than its owner (uid %d, mode %04o)."
                                % (path, found.st_uid, stat.S_IMODE(found.st_mode))))
        sharing = collections.defaultdict(dict)
        for package in self._packages():
            header = self._header(package, remember=False)
            if header is None:
                continue
            if only in (None, package.name) and header.vouches_for_itself() is False:
                reasons.append((package.name, "The database's entry of %s was changed after it was packaged: it does "
                                              "not have its own digest." % text(package.name)))
            for digest, name in _programs(header):
                sharing[digest].setdefault(name, package.name)
        for _digest, names in sorted(sharing.items()):
            sharers = sorted(set(names.values()))
            if len(sharers) >= _PACKAGES_SHARING_A_PROGRAM and len(names) >= _PACKAGES_SHARING_A_PROGRAM:
                told = "%s of the packages %s have one and the same digest." % (
                    ", ".join(text(name) for name in sorted(names)), ", ".join(text(name) for name in sharers))
                reasons.extend((name, told) for name in sharers)
        reasons.extend((None, "The rpm database holds an entry that is no package: %s." % why) for why in self._damaged)
        return reasons

    # -- the headers -------------------------------------------------------------------------------------------------

    def _packages(self):
        """Return the list of :class:`_Package`; empty, with ``_problem`` set, when the database cannot be read."""
        if self._index is None:
            self._index = []
            path, storage = _files(self.host_root)[0]
            try:
                self._storage = storage(path, self.host_root)
                for key, blob in self._storage.entries():
                    try:
                        header = rpm_header.Header(blob)
                        names = b"\0".join([b""] + header.strings(rpm_header.BASENAMES) + [b""])
                        self._index.append(_Package(header.package(), key, names,
                                                    header.integer(rpm_header.INSTALLTIME)))
                    except rpm_header.DamagedHeader as error:
                        self._damaged.append(str(error))
            except ResponseError as error:
                # Half a database would call the other half's files unowned.
                self._index = []
                self._problem = error.message
        return self._index

    def _header(self, package, remember=True):
        """Return the header of a :class:`_Package`, or ``None`` when it is damaged, which is noted."""
        key = package.key
        if key in self._headers:
            return self._headers[key]
        try:
            header = rpm_header.Header(self._storage.get(key))
            header.check()
        except rpm_header.DamagedHeader as error:
            header = None
            self._damaged.append("%s: %s" % (text(package.name), error))
        if remember or header is None:
            self._headers[key] = header
        return header

    def _files_named(self, name, directories):
        needle = b"\0" + name + b"\0"
        for package in self._packages():
            if not name or needle not in package.names:
                continue
            header = self._header(package)
            for number, (folder, base) in enumerate(header.paths() if header else ()):
                if base == name and (directories is None or folder in directories):
                    record = self._record(package, header, number)
                    if record is not None:
                        yield record

    def _record(self, package, header, number):
        """Return the :class:`PackagedFile` of a header's file, or ``None`` when another package's lies there."""

        def of(values, otherwise=None):
            return values[number] if number < len(values) else otherwise

        if of(header.integers(rpm_header.FILESTATES), _NORMAL) != _NORMAL:
            return None
        path = b"".join(header.paths()[number])
        mode = of(header.integers(rpm_header.FILEMODES))
        digest = of(header.strings(rpm_header.FILEDIGESTS), b"").decode("ascii", "replace").lower()
        algorithm = _algorithm(header) if digest else None
        link = path_text(of(header.strings(rpm_header.FILELINKTOS), b""))
        try:
            capabilities = file_capabilities.from_text(of(header.strings(rpm_header.FILECAPS), b"").decode("ascii"))
        except ValueError:
            capabilities = None
        return PackagedFile(
            package.name, path_text(path), algorithm, digest if algorithm else None,
            bool(of(header.integers(rpm_header.FILEFLAGS), 0) & _CONFIG), link or None,
            None if mode is None else stat.S_IMODE(mode),
            account_ids.user_id(self.host_root, path_text(of(header.strings(rpm_header.FILEUSERNAME), b""))),
            account_ids.group_id(self.host_root, path_text(of(header.strings(rpm_header.FILEGROUPNAME), b""))),
            capabilities)


def _files(host_root):
    """Return ``[(path, storage class)]`` of the databases that are there, the one that rpm would use first."""
    found = {}
    for directory in DIRECTORIES:
        real = rooted_paths.resolve_or_none(directory, host_root)
        if real is None:
            continue
        for storage in STORAGES:
            path = os.path.join(real, storage.FILE)
            there = rooted_paths.status(path, host_root)
            if there is not None and there.st_size > 0:
                found[path] = storage
    return sorted(found.items(), key=lambda item: STORAGES.index(item[1]))


def _algorithm(header):
    return rpm_header.ALGORITHMS.get(header.integer(rpm_header.FILEDIGESTALGO) or 1)


def _programs(header):
    """Yield ``(digest, base name)`` of the files in the directories of programs."""
    folders = header.strings(rpm_header.DIRNAMES)
    programs = {number for number, folder in enumerate(folders) if folder in _PROGRAM_DIRECTORIES}
    if programs:
        for index, name, digest in zip(header.integers(rpm_header.DIRINDEXES), header.strings(rpm_header.BASENAMES),
                                       header.strings(rpm_header.FILEDIGESTS)):
            if digest and index in programs:
                yield digest, name
