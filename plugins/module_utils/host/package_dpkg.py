# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""dpkg's database, read from its files: the host's dpkg may be the intruder's.

Follows dpkg(1), dpkg-divert(1), dpkg-statoverride(1), update-alternatives(1) and deb-md5sums(5):
``status`` (one paragraph a package), ``info/PACKAGE.list`` (its paths), ``info/PACKAGE.md5sums``
(digests of its files but conffiles, whose digests are in ``status``), ``diversions``,
``statoverride``, ``alternatives/NAME``.
"""

import bisect
import collections
import os
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    account_ids,
    alternatives,
    package_dpkg_signs,
    rooted_paths,
    safe_files,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packaged_file import PackagedFile
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import (
    lstat_at,
    path_bytes,
    path_text,
)

ADMIN = "/var/lib/dpkg"
INFO = ADMIN + "/info"

# Far more than any host has, far less than what would exhaust it.
_LIMIT = 256 * 1024 * 1024
# What dpkg writes when it unpacks a package; the control files in the order in which they are asked.
_UNPACKED = (".list", ".md5sums", ".postinst", ".conffiles", ".shlibs", ".triggers")

# deb-md5sums(5): digest, two spaces, path without the leading slash. Some vendors' packages write it as md5sum(1)
# printed it ("*" for binary, "./").
_MD5SUM = re.compile(rb"^([0-9a-f]{32}) [ *](?:\./|/)?([^\n]+)$", re.MULTILINE)
_CONFFILE = re.compile(rb"^ (/.*) ([0-9a-f]{32})(?: obsolete)?(?: remove-on-upgrade)?$")


class DpkgDatabase:
    """The dpkg database below ``host_root``; everything is read when first asked for.

    :param merged: :func:`rooted_paths.merged_directories` of that root.
    """

    kind = "dpkg"

    def __init__(self, host_root, merged):
        self.host_root = host_root
        self.merged = merged
        self._lists = None
        self._packages = None
        self._diversions = None
        self._overrides = None
        self._digest_texts = None
        self._digests = {}
        self._records = {}
        self._unreadable = None

    @classmethod
    def present(cls, host_root):
        """Tell whether there is a dpkg database with at least one package."""
        try:
            found = safe_files.lstat(ADMIN + "/status", host_root)
        except ResponseError:
            return False  # links in a circle, or that others can turn: nothing to read there
        return found is not None and found.st_size > 0

    # -- questions ---------------------------------------------------------------------------------------------------

    def records(self, path):
        """Return the :class:`PackagedFile` of every package that says it put the file at ``path`` there.

        Follows diversions: at a diverted path only the diverting package's own file can lie; everybody
        else's lies where it is diverted to, under the digest recorded for the original name.
        """
        if path not in self._records:
            self._records[path] = [self._record(package, name) for package, name in self._owners(path)]
        return self._records[path]

    def named(self, name):
        """Yield the :class:`PackagedFile` of every packaged path whose last component is ``name``."""
        blob, _names, _starts = self._all_lists()
        needle = b"/" + path_bytes(name) + b"\n"
        at = blob.find(needle)
        while at != -1:
            start = blob.rfind(b"\n", 0, at + 1) + 1
            package = self._package_at(start)
            if package in self.packages():
                yield self._record(package, blob[start:at + len(needle) - 1])
            at = blob.find(needle, at + 1)

    def with_digest(self, digest_of):
        """Yield the :class:`PackagedFile` of every packaged path with these bytes.

        :param digest_of: callable: hashlib's name of an algorithm → hex digest of the bytes asked about.
        """
        needle = digest_of("md5").encode("ascii")
        for package, content in self.digest_texts().items():
            if needle in content:
                for path, digest in self.digests(package).items():
                    if digest == needle.decode("ascii"):
                        yield self._record(package, b"/" + path)

    def location(self, record):
        """Return where the file of ``record`` lies."""
        return self.diverted_to(record.path, record.package)

    def diverted_to(self, path, package):
        """Return where the file lies that ``package`` has at ``path``: there, or where somebody else diverts it."""
        for source, target, diverter in self.diversions():
            if source == path and diverter != package.split(":")[0]:
                return target
        return path

    def is_diverted_locally(self, path):
        """Tell whether dpkg-divert(1) ``--local`` moves the packages' file at ``path`` out of the way."""
        names = self.spellings(path)
        return any(source in names and package is None for source, _target, package in self.diversions())

    def alternative(self, path):
        """Return the paths among which update-alternatives(1) chooses for the link ``path``, or ``[]``."""
        return alternatives.choices(path, ADMIN + "/alternatives", self.host_root, self.merged)

    def changed_at(self, package):
        """Return when dpkg last unpacked ``package`` (epoch seconds), or ``None`` when it is not installed.

        dpkg writes ``PACKAGE.list`` anew at each unpack, and renames the other control files, with the times they
        have in the archive, beside it, which sets their ctime. So the list's mtime is the answer, unless the control
        files were not touched since: then something else rewrote the list (another package took a file over, or
        ``touch`` was to make a process look like the victim of an upgrade), and theirs is. ctime alone would not do:
        images are made with ctimes as old as the archive. ``dpkg.log`` is no better witness: it rotates away, and
        is as easily written.
        """
        directory = self.open_info()
        if directory is None:
            return None
        try:
            files = [lstat_at(directory, path_bytes(package + suffix)) for suffix in _UNPACKED]
        finally:
            os.close(directory)
        if files[0] is None:
            return None
        others = [max(found.st_ctime, found.st_mtime) for found in files[1:] if found is not None]
        return min([files[0].st_mtime] + others[:1])

    def metadata(self, record):
        """Return ``{"mode", "uid", "gid", "capabilities"}`` of a statoverride for ``record``, or ``None``: dpkg keeps
        the digests of its files, not their modes."""
        if record.mode is None:
            return None
        return {"mode": record.mode, "uid": record.uid, "gid": record.gid, "capabilities": None}

    def download_name(self, package):
        """Return ``package:architecture=version`` as apt-get(8) takes it."""
        paragraph = self.packages()[package]
        return "%s:%s=%s" % tuple(field(paragraph, name) for name in (b"Package", b"Architecture", b"Version"))

    def source_of(self, package):
        """Return the source package that ``package`` was built from."""
        source = field(self.packages()[package], b"Source") or package.split(":")[0]
        return source.split(" ")[0]

    def problem(self):
        """Return why the database cannot be read, or ``None``."""
        if not self.packages() or not self.list_names():
            return "dpkg's database is damaged: it names no package, or none of their files."
        self.diversions()
        self._override("/")
        return self._unreadable

    def suspect(self, package=None):
        """Return ``[(package or None, sentence)]``: see :func:`package_dpkg_signs.find`."""
        return package_dpkg_signs.find(self, package)

    # -- the files ---------------------------------------------------------------------------------------------------

    def packages(self):
        """Return ``{package: paragraph}`` of all that ``status`` does not call ``not-installed``.

        A multi-arch package stands under both its names, ``libc6`` and ``libc6:amd64``. ``paragraph`` is bytes.
        """
        if self._packages is None:
            content = b"\n\n" + self._read(ADMIN + "/status")
            # A dpkg at work keeps the newest paragraphs in updates/ until it folds them in.
            for name in sorted(self._names(ADMIN + "/updates")):
                if name.isdigit():
                    content += b"\n\n" + self._read(ADMIN + "/updates/" + name)
            self._packages = {}
            for paragraph in re.split(rb"\n{2,}", content):
                name = field(paragraph, b"Package")
                if name is None:
                    continue
                keys = (name, "%s:%s" % (name, field(paragraph, b"Architecture")))
                gone = (field(paragraph, b"Status") or "").endswith(" not-installed")
                for key in keys:
                    if gone:
                        self._packages.pop(key, None)
                    else:
                        self._packages[key] = paragraph
        return self._packages

    def list_names(self):
        """Return the packages that have a ``.list``."""
        return self._all_lists()[1]

    def is_installed(self, package):
        """Tell whether ``package`` is unpacked and was not removed since."""
        return (field(self.packages().get(package, b""), b"Status") or "").endswith(" installed")

    def list_text(self, package):
        """Return the list of ``package``: bytes, one path a line, with a line's end before the first."""
        blob, names, starts = self._all_lists()
        number = bisect.bisect_left(names, package)
        if number == len(names) or names[number] != package:
            return b""
        return blob[starts[number]:starts[number + 1] if number + 1 < len(starts) else len(blob)]

    def digest_text(self, package):
        """Return the file ``md5sums`` of ``package``: bytes, empty when it has none."""
        if self._digest_texts is not None and package in self._digest_texts:
            return self._digest_texts[package]
        directory = self.open_info()
        if directory is None:
            return b""
        try:
            return self._read_at(directory, package + ".md5sums")
        finally:
            os.close(directory)

    def digest_texts(self):
        """Return ``{package: its md5sums (bytes)}`` of all packages that have a list and a paragraph, in the order of
        their names. Reads each once."""
        if self._digest_texts is None:
            found = collections.OrderedDict()
            directory = self.open_info()
            if directory is not None:
                try:
                    for package in self.list_names():
                        if package in self.packages():
                            found[package] = self._read_at(directory, package + ".md5sums")
                finally:
                    os.close(directory)
            self._digest_texts = found
        return self._digest_texts

    def digests(self, package):
        """Return ``{path without its leading slash (bytes): md5 hex}`` of ``package``; empty when it has none."""
        if package not in self._digests:
            self._digests[package] = {path: digest.decode("ascii")
                                      for digest, path in _MD5SUM.findall(self.digest_text(package))}
        return self._digests[package]

    def conffiles(self, package):
        """Return ``{path (bytes): md5 hex as packaged}`` of the conffiles of ``package``."""
        found = {}
        lines = iter(self.packages().get(package, b"").split(b"\n"))
        for line in lines:
            if line.startswith(b"Conffiles:"):
                for line in lines:
                    match = _CONFFILE.match(line)
                    if not match:
                        break
                    found[match.group(1)] = match.group(2).decode("ascii")
                break
        return found

    def diversions(self):
        """Return ``[(path, where to, diverting package or None for a local one)]``."""
        if self._diversions is None:
            lines = [path_text(line) for line in self._read(ADMIN + "/diversions").split(b"\n")]
            triples = zip(lines[0::3], lines[1::3], lines[2::3])
            self._diversions = [(source, target, None if package == ":" else package)
                                for source, target, package in triples]
        return self._diversions

    def _owners(self, path):
        names = self.spellings(path)
        diverted = [(source, package) for source, _target, package in self.diversions() if source in names]
        arrived = [(source, package) for source, target, package in self.diversions() if target in names]
        found = []
        for name in names:
            for owner in self._listing(name):
                if all(owner.split(":")[0] == package for _source, package in diverted):
                    found.append((owner, path_bytes(name)))
        for source, package in arrived:
            # The diversion is by one spelling; the packages that are diverted may use the other.
            for name in self.spellings(source):
                for owner in self._listing(name):
                    if owner.split(":")[0] != package:
                        found.append((owner, path_bytes(name)))
        return list(dict.fromkeys(found))

    def _listing(self, path):
        """Return the installed packages whose list has exactly ``path``."""
        if "\n" in path:
            return []  # a list has one path a line: two lines are no path
        blob = self._all_lists()[0]
        needle = b"\n" + path_bytes(path) + b"\n"
        found = []
        at = blob.find(needle)
        while at != -1:
            package = self._package_at(at + 1)
            # A list without a paragraph in status is nobody's word: dpkg never leaves one.
            if package in self.packages():
                found.append(package)
            at = blob.find(needle, at + 1)
        return found

    def _record(self, package, path):
        digest = self.digests(package).get(path[1:])
        conffiles = {} if digest else self.conffiles(package)
        digest = digest or conffiles.get(path)
        name = path_text(path)
        uid, gid, mode = self._override(name)
        return PackagedFile(package, name, "md5" if digest else None, digest, path in conffiles, None, mode, uid, gid)

    def _override(self, path):
        if self._overrides is None:
            self._overrides = {}
            for line in self._read(ADMIN + "/statoverride").decode("utf-8", "surrogateescape").split("\n"):
                parts = line.split(" ", 3)
                if len(parts) == 4 and re.match("^[0-7]+$", parts[2]):
                    self._overrides[parts[3]] = parts[:3]
        for name in self.spellings(path) if self._overrides else ():
            if name in self._overrides:
                user, group, mode = self._overrides[name]
                return (account_ids.user_id(self.host_root, user), account_ids.group_id(self.host_root, group),
                        int(mode, 8))
        return None, None, None

    def _all_lists(self):
        """Return ``(all lists in one piece, package names in order, where each one's list starts)``.

        One piece, since searching it for a path is the host's memory bandwidth, and building an index of 300,000
        paths for a handful of questions is not.
        """
        if self._lists is None:
            pieces, names, starts, size = [], [], [], 0
            directory = self.open_info()
            if directory is not None:
                try:
                    for package in sorted(name[:-len(".list")] for name in os.listdir(directory)
                                          if name.endswith(".list")):
                        pieces.append(b"\n" + self._read_at(directory, package + ".list") + b"\n")
                        names.append(package)
                        starts.append(size)
                        size += len(pieces[-1])
                finally:
                    os.close(directory)
            self._lists = b"".join(pieces), names, starts
        return self._lists

    def _package_at(self, offset):
        _blob, names, starts = self._all_lists()
        return names[bisect.bisect_right(starts, offset) - 1]

    def spellings(self, path):
        """Return the ways in which a package may name the file at ``path``: see :func:`rooted_paths.spellings`."""
        return rooted_paths.spellings(path, self.host_root, self.merged)

    def open_info(self):
        """Return a descriptor of the directory ``info``, or ``None``."""
        try:
            return safe_files.open_directory(INFO, self.host_root)[0]
        except safe_files.FileMissing:
            return None

    def _names(self, path):
        try:
            directory = safe_files.open_directory(path, self.host_root)[0]
        except safe_files.FileMissing:
            return []
        try:
            return os.listdir(directory)
        finally:
            os.close(directory)

    def _read(self, path):
        try:
            return safe_files.read_bytes(path, _LIMIT, self.host_root)
        except safe_files.FileMissing:
            return b""
        except ResponseError as error:
            # A link or FIFO in its place. Half a database must not accuse anybody: see problem().
            self._unreadable = "dpkg's database cannot be read: %s" % error.message
            return b""

    def _read_at(self, directory, name):
        path = "%s/%s" % (INFO, name)
        try:
            descriptor = safe_files.open_regular_at(directory, path_bytes(name), path)
        except ResponseError:
            # Missing, or a link or FIFO in its place: there is nothing to read, and the signs tell of it.
            return b""
        try:
            return safe_files.read_descriptor(descriptor, _LIMIT, path)
        finally:
            os.close(descriptor)


def field(paragraph, name):
    """Return the value of the one-line field ``name`` (bytes) in a paragraph of ``status`` as str, or ``None``."""
    match = re.search(rb"^" + name + rb":[ \t]*(.*)$", paragraph, re.MULTILINE)
    return text(match.group(1)) if match else None
