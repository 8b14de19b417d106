# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small host of the rpm family: packages built by rpmbuild, installed by rpm, its headers kept in each format."""

import os
import shutil
import sqlite3
import struct
import subprocess

PROGRAMS = ("rpmbuild", "rpm", "db5.3_load")
MISSING = [name for name in PROGRAMS if not shutil.which(name)]

SPEC = """
%global _binary_filedigest_algorithm {algorithm}
%global source_date_epoch_from_changelog 0
Name: {name}
Version: 3.3
Release: 2.el9
Summary: test
License: GPL-3.0-or-later
BuildArch: noarch
%description
test
%install
mkdir -p %{{buildroot}}
cp -a {tree}/. %{{buildroot}}/
%files
{files}
"""


def run(*command):
    """Run a program of the rpm family and return what it prints."""
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                            universal_newlines=True, check=False, env=dict(os.environ, LC_ALL="C"))
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def build(directory, name, files, algorithm=8, empty=(), links=None):
    """Build a package and return its path.

    :param files: path → ``(attributes of its line in %files, bytes or "-> target")``.
    :param algorithm: OpenPGP's number of the digest: 1 MD5, 8 SHA-256.
    :param empty: lines of %files for which nothing is made. :param links: path → path that it is a hard link of.
    """
    directory = os.path.join(str(directory), name)
    lines = []
    for path, (attributes, content) in files.items():
        place = os.path.join(directory, "tree", path.lstrip("/"))
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if isinstance(content, str):
            os.symlink(content[len("-> "):], place)
        else:
            with open(place, "wb") as stream:
                stream.write(content)
        lines.append("%s %s" % (attributes, path))
    for path, of in (links or {}).items():
        os.unlink(os.path.join(directory, "tree", path.lstrip("/")))
        os.link(os.path.join(directory, "tree", of.lstrip("/")), os.path.join(directory, "tree", path.lstrip("/")))
    with open(os.path.join(directory, name + ".spec"), "w") as stream:
        stream.write(SPEC.format(name=name, algorithm=algorithm, tree=os.path.join(directory, "tree"),
                                 files="\n".join(lines + list(empty))))
    run("rpmbuild", "-bb", "--define", "_topdir %s/top" % directory, os.path.join(directory, name + ".spec"))
    return "%s/top/RPMS/noarch/%s-3.3-2.el9.noarch.rpm" % (directory, name)


def install(root, *packages):
    """Install packages below ``root`` and leave their headers in ``/var/lib/rpm/rpmdb.sqlite``."""
    os.makedirs(root, exist_ok=True)
    run("rpm", "--root", root, "--dbpath", "/var/lib/rpm", "-i", "--nodeps", "--noscripts", "--noorder", *packages)
    for suffix in ("-wal", "-shm"):
        path = root + "/var/lib/rpm/rpmdb.sqlite" + suffix
        if os.path.exists(path):
            os.unlink(path)


def headers(root):
    """Return ``[(number, header bytes)]`` of the SQLite database below ``root``."""
    connection = sqlite3.connect(root + "/var/lib/rpm/rpmdb.sqlite")
    try:
        return [(number, bytes(blob)) for number, blob in connection.execute("SELECT hnum, blob FROM Packages")]
    finally:
        connection.close()


def store_sqlite(root, entries):
    connection = sqlite3.connect(_place(root, "rpmdb.sqlite"))
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    connection.executemany("INSERT INTO Packages VALUES (?, ?)", entries)
    connection.commit()
    connection.close()


def store_berkeley(root, entries, page_size=4096, order="<"):
    """By Berkeley DB's own loader, so that its pages are laid out as Berkeley DB does."""
    dump = _place(root, "dump")
    with open(dump, "w") as stream:
        stream.write("VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=%d\ndb_lorder=%d\nHEADER=END\n"
                     % (page_size, 1234 if order == "<" else 4321))
        for key, value in [(0, struct.pack(order + "I", len(entries) + 1))] + entries:
            stream.write(" %s\n %s\n" % (struct.pack(order + "I", key).hex(), value.hex()))
        stream.write("DATA=END\n")
    run("db5.3_load", "-f", dump, _place(root, "Packages"))
    os.unlink(dump)


def store_ndb(root, entries):
    """As rpm's lib/backend/ndb/rpmpkg.c lays it out: a page of slots, blobs behind it, one freed slot before the
    last."""
    slots, blobs = [(0, 0, 0)], b""
    for key, value in entries:
        blocks = (len(value) + 16 + 12 + 15) // 16
        slots.append((key, 4096 // 16 + len(blobs) // 16, blocks))
        padding = b"\0" * (blocks * 16 - 16 - 12 - len(value))
        blobs += struct.pack("<4sIII", b"BlbS", key, 1600000000, len(value)) + value + padding
        blobs += struct.pack("<II4s", 0, len(value), b"BlbE")
    slots += [(0, 0, 0)] * (4096 // 16 - 2 - len(slots))
    with open(_place(root, "Packages.db"), "wb") as stream:
        stream.write(struct.pack("<4sIIII", b"RpmP", 0, 7, 1, len(entries) + 1).ljust(32, b"\0"))
        for slot in slots:
            stream.write(struct.pack("<4sIII", b"Slot", *slot))
        stream.write(blobs)


STORES = {"sqlite": store_sqlite, "ndb": store_ndb, "berkeley": store_berkeley}


def _place(root, name):
    directory = os.path.join(str(root), "var/lib/rpm")
    os.makedirs(directory, exist_ok=True)
    return os.path.join(directory, name)
