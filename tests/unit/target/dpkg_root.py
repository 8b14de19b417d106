# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small Debian below a directory: files as packages installed them, and the database that dpkg keeps of them."""

import hashlib
import os

UNPACKED = 1600000000


class DpkgRoot:
    """``merged``: /bin, /sbin and /lib are links into /usr, as on every Debian since 12."""

    def __init__(self, root, merged=True):
        self.root = str(root)
        self.paragraphs = []
        for path in ("usr/bin", "usr/sbin", "usr/lib", "etc/alternatives", "tmp",
                     "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/alternatives"):
            os.makedirs(self.path("/" + path))
        for name in ("bin", "sbin", "lib"):
            if merged:
                os.symlink("usr/" + name, self.path("/" + name))
            else:
                os.mkdir(self.path("/" + name))
        self.write("/var/lib/dpkg/info/format", "1\n")
        self.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nmessagebus:x:101:102::/:/bin/false\n")
        self.write("/etc/group", "root:x:0:\nmessagebus:x:102:\n")

    def path(self, path):
        return os.path.join(self.root, path.lstrip("/"))

    def write(self, path, content, mode=0o644):
        if isinstance(content, str):
            content = content.encode("utf-8")
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "wb") as stream:
            stream.write(content)
        os.chmod(self.path(path), mode)

    def link(self, path, target):
        os.symlink(target, self.path(path))

    def info(self, name, content):
        """Write a control file as dpkg leaves it: all of a package's at one time."""
        self.write("/var/lib/dpkg/info/" + name, content)
        os.utime(self.path("/var/lib/dpkg/info/" + name), (UNPACKED, UNPACKED))

    def package(self, name, files, conffiles=None, architecture="amd64", same=False, digests=True,
                status="install ok installed", maintainer="Debian <debian@lists.debian.org>", install=True):
        """Install a package.

        :param files: path as packaged → bytes, or ``-> target`` (str) for a symbolic link.
        :param same: ``Multi-Arch: same``, whose control files carry the architecture in their names.
        """
        conffiles = conffiles or {}
        stem = "%s:%s" % (name, architecture) if same else name
        everything = dict(files, **conffiles)
        for path, content in everything.items() if install else ():
            if isinstance(content, str):
                self.link(path, content[len("-> "):])
            else:
                self.write(path, content, 0o755)
        self.info(stem + ".list", "/.\n/usr\n" + "".join(path + "\n" for path in everything))
        if digests:
            self.info(stem + ".md5sums", "".join("%s  %s\n" % (md5(content), path[1:])
                                                 for path, content in files.items() if isinstance(content, bytes)))
        paragraph = "Package: %s\nStatus: %s\nMaintainer: %s\nArchitecture: %s\n" % (
            name, status, maintainer, architecture)
        if same:
            paragraph += "Multi-Arch: same\n"
        if conffiles:
            paragraph += "Conffiles:\n" + "".join(" %s %s\n" % (path, md5(content))
                                                  for path, content in conffiles.items())
        self.paragraphs.append(paragraph + "Description: test\n")
        self.write("/var/lib/dpkg/status", "\n".join(self.paragraphs))

    def divert(self, source, target, package=None):
        with open(self.path("/var/lib/dpkg/diversions"), "a") as stream:
            stream.write("%s\n%s\n%s\n" % (source, target, package or ":"))


def md5(content):
    return hashlib.md5(content).hexdigest()
