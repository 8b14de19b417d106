# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A packaged file from the distribution's repository.

The packager downloads and checks the very version that is installed; the one file that is needed is taken
out of it. Nothing is installed: an intruded host's other files, hooks and maintainer scripts stay out of it,
and a single file can be put in place, and taken back, like any other change.
"""

import os
import re
import shutil
import subprocess
import tempfile

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import package_archive, rooted_paths

# On a disk, unlike /tmp and /run of many hosts: packages can be large.
WORK_DIRECTORY = "/var/tmp"
_TIMEOUT = 600
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# How to reach the network; the rest of the environment may be the intruder's.
_KEPT_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")

# Programs that take part; where one lies on the host, its package must vouch for it.
_PROGRAMS = {
    "dpkg": ("/usr/bin/apt-get", "/usr/bin/dpkg-deb", "/usr/bin/gpgv", "/usr/bin/sqv", "/usr/lib/apt/methods/http",
             "/usr/lib/apt/methods/https", "/usr/lib/apt/methods/file", "/usr/lib/apt/methods/store",
             "/usr/lib/apt/methods/gpgv", "/usr/lib/apt/methods/sqv"),
    "rpm": ("/usr/bin/dnf", "/usr/bin/dnf-3", "/usr/bin/dnf5", "/usr/bin/yum", "/usr/bin/yumdownloader",
            "/usr/bin/rpm", "/usr/bin/rpm2cpio", "/usr/bin/rpmkeys"),
}

_APT = ("apt-get", "-q", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20",
        "-o", "Acquire::https::Timeout=20", "-o", "APT::Sandbox::User=root")
_NO_REPOSITORY = ("Mend the host's way to its repository, upgrade the package where this version is no longer offered, "
                  "or copy the file from a healthy host of the same release.")


def run(command, directory, output=None):
    """Run a program of the packager and return what it printed.

    :param command: argv list. :param directory: to work in. :param output: open file for its standard output.
    :raises ResponseError: it is not there, failed, or did not come to an end.
    """
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment.update(PATH=_PATH, LC_ALL="C", HOME=directory, TMPDIR=directory, DEBIAN_FRONTEND="noninteractive")
    try:
        answer = subprocess.run(list(command), cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                                stdout=output or subprocess.PIPE, stderr=subprocess.PIPE, timeout=_TIMEOUT, check=False)
    except OSError as error:
        raise ResponseError("%s cannot be run: %s." % (command[0], error.strerror))
    except subprocess.TimeoutExpired:
        raise ResponseError("%s did not come to an end within %d seconds." % (command[0], _TIMEOUT))
    if answer.returncode:
        lines = text(answer.stderr).strip().splitlines() or ["status %d" % answer.returncode]
        raise ResponseError("%s failed: %s" % (command[0], lines[-1][:300]))
    return answer.stdout


class PackageSource:
    """The repository of the host.

    :param packages: :class:`packages.PackageDatabase`.
    :param host_root: only ``/`` can be asked: a packager works on the running system.
    :param execute: as :func:`run`.
    """

    def __init__(self, packages, host_root="/", execute=run):
        self._packages = packages
        self._host_root = host_root
        self._execute = execute
        self._fetched = {}
        self._lists = None

    def doubts(self):
        """Return why what the packager says of signatures is worth little on this host: sentences.

        The bytes that it brings are compared with the recorded digest in any case. These matter when that
        record is in doubt too.
        """
        reasons = []
        for path in _PROGRAMS.get(self._packages.kind, ()):
            if rooted_paths.status(path, self._host_root) is None:
                continue
            if self._packages.verify(path) not in ("match", "unknown"):
                reasons.append("%s, which would download the package, is not what its own package put there."
                               % text(path))
            elif self._packages.suspect(self._packages.owner_of(path) or ""):
                reasons.append("The database's record of %s, which would download the package, is in doubt too."
                               % text(path))
        preload = rooted_paths.status("/etc/ld.so.preload", self._host_root)
        if preload is not None and preload.st_size:
            reasons.append("/etc/ld.so.preload puts a library into every program that would download the package.")
        return reasons

    def member(self, record):
        """Return the :class:`package_archive.Member` of a packaged file as the repository has it.

        :param record: :class:`packaged_file.PackagedFile`.
        :raises ResponseError: the repository cannot be reached or no longer has this version.
        """
        return self._unpacked(record.package).member(record.path)

    def is_signed(self, record):
        """Tell whether the repository's signature vouches for what :meth:`member` returns; raises as it does."""
        return self._unpacked(record.package).signed

    def close(self):
        """Remove what was downloaded."""
        for fetched in self._fetched.values():
            if not isinstance(fetched, ResponseError):
                shutil.rmtree(fetched.directory)
        self._fetched = {}
        if self._lists is not None:
            shutil.rmtree(self._lists)
            self._lists = None

    def _unpacked(self, package):
        if package not in self._fetched:
            try:
                self._fetched[package] = self._fetch(package)
            except ResponseError as error:
                self._fetched[package] = error
        if isinstance(self._fetched[package], ResponseError):
            raise self._fetched[package]
        return self._fetched[package]

    def _fetch(self, package):
        if self._host_root != "/":
            raise ResponseError("The packages of a system that does not run cannot be downloaded.",
                                "Run on the host itself.")
        directory = tempfile.mkdtemp(prefix=".ecsops-package-", dir=WORK_DIRECTORY)
        try:
            unpack = self._fetch_deb if self._packages.kind == "dpkg" else self._fetch_rpm
            return unpack(directory, self._packages.download_name(package))
        except (OSError, ResponseError) as error:
            shutil.rmtree(directory)
            reason = error.message if isinstance(error, ResponseError) else str(error)
            raise ResponseError("The package %s could not be downloaded: %s" % (text(package), reason),
                                _NO_REPOSITORY)

    def _fetch_deb(self, directory, name):
        try:
            self._execute(_APT + ("download", name), directory)
        except ResponseError:
            self._execute(_APT + self._new_lists() + ("download", name), directory)
        archive = _only(directory, ".deb")
        data = os.path.join(directory, "data.tar")
        with open(data, "wb") as stream:
            self._execute(("dpkg-deb", "--fsys-tarfile", archive), directory, stream)
        # apt refuses what no signed list of the repository names, unless the operator told it to trust that one.
        return _Unpacked(directory, lambda path: package_archive.from_deb(data, path), signed=True)

    def _new_lists(self):
        """Return the options by which apt uses lists of packages of our own, fetched when first asked for: the host's
        are old or empty, and stay as they are."""
        fresh = self._lists is None
        if fresh:
            self._lists = tempfile.mkdtemp(prefix=".ecsops-package-", dir=WORK_DIRECTORY)
            for folder in ("lists/partial", "cache/archives/partial"):
                os.makedirs(os.path.join(self._lists, folder))
        options = ("-o", "Dir::State::Lists=%s/lists" % self._lists, "-o", "Dir::Cache=%s/cache" % self._lists)
        if fresh:
            self._execute(_APT + options + ("update",), self._lists)
        return options

    def _fetch_rpm(self, directory, name):
        failure = None
        for command in (("dnf", "-y", "-q", "download", "--destdir", directory, name),
                        ("yumdownloader", "-q", "--destdir", directory, name),
                        ("yum", "-y", "-q", "reinstall", "--downloadonly", "--downloaddir", directory, name),
                        ("zypper", "-n", "--pkg-cache-dir", directory, "download", name)):
            try:
                self._execute(command, directory)
                archive = _only(directory, ".rpm")
                break
            except ResponseError as error:
                # The first that can be run at all has the most to say.
                failure = failure or error
        else:
            raise failure
        # A download alone does not ask for the signature. Without a good one (the distribution's key may never have
        # been imported) it is still the digest that decides, see is_signed().
        try:
            checked = self._execute(("rpmkeys", "--checksig", "--verbose", archive), directory)
        except ResponseError:
            checked = b""
        header = package_archive.read_rpm_header(archive)
        payload = os.path.join(directory, "payload.cpio")
        with open(payload, "wb") as stream:
            self._execute(("rpm2cpio", archive), directory, stream)
        return _Unpacked(directory, lambda path: package_archive.from_rpm(header, payload, path),
                         signed=re.search(rb"[Ss]ignature.*: OK", checked) is not None)


class _Unpacked:
    """What was downloaded: ``directory`` holds it, ``member(path)`` returns a Member, ``signed``: its signature was
    there and good."""

    def __init__(self, directory, member, signed):
        self.directory = directory
        self.member = member
        self.signed = signed


def _only(directory, suffix):
    """Return the one file below ``directory`` with this suffix."""
    found = [os.path.join(where, name) for where, _directories, names in os.walk(directory)
             for name in names if name.endswith(suffix)]
    if len(found) != 1:
        raise ResponseError("it brought %d packages where one was asked for." % len(found))
    return found[0]
