# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys, dumps and host files for the tests of keys and accounts. The keys are 32 equal bytes: no secret half exists."""

import base64
import struct

# Saved by a real Redis 7.0.15 that was given key(7, "intruder") between newlines.
REDIS_DUMP = base64.b64decode("""
UkVESVMwMDEw+glyZWRpcy12ZXIGNy4wLjE1+gpyZWRpcy1iaXRzwED6BWN0aW1lwmDIAmv6CHVzZWQtbWVtwuBVDgD6CGFvZi1iYXNlwAD+AP
sBAAAHY3JhY2tpdEBfCgoKc3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTVBQUFBSUFjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3
Y0hCd2NIQndjSEJ3Y0ggaW50cnVkZXIKCgr/uZFecPqIMjs=
""")

FINGERPRINTS = {
    # As ssh-keygen -lf prints them.
    1: "SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA",
    7: "SHA256:gNSIRW+2Iyiuvsdp/bgjy38bvWHw6wQm3tuoXrl3WjQ",
}


def string(data):
    """Return bytes as an SSH string."""
    return struct.pack(">I", len(data)) + data


def key(number, comment="", options=""):
    """Return the public key line (bytes, without line end) of an ed25519 key made of equal bytes."""
    blob = string(b"ssh-ed25519") + string(bytes([number]) * 32)
    words = [options, "ssh-ed25519", base64.b64encode(blob).decode("ascii"), comment]
    return " ".join(word for word in words if word).encode("utf-8")


def dump(payload, magic=b"REDIS0011", checksum=True):
    """Return an RDB dump with one string in it, its CRC-64 reckoned bit by bit (redis/src/crc64.c's comment)."""
    head = magic + b"\xfa\x09redis-ver\x057.2.4\xfe\x00\xfb\x01\x00\x00\x01x"
    body = head + _length(len(payload)) + payload + b"\xff"
    return body + struct.pack("<Q", crc64(body) if checksum else 0)


def crc64(data):
    """Return CRC-64/Jones: polynomial 0xad93d23594c935a9, reflected, no initial value, no final xor."""
    crc = 0
    for byte in data:
        for bit in range(8):
            high = bool(crc & (1 << 63)) ^ bool(byte & (1 << bit))
            crc = (crc << 1) & 0xFFFFFFFFFFFFFFFF
            if high:
                crc ^= 0xAD93D23594C935A9
    return int("{:064b}".format(crc)[::-1], 2)


def _length(size):
    return struct.pack(">H", 0x4000 | size)


def write(root, path, content, mode=0o600):
    """Write a host file below ``root`` (a pathlib.Path); return its path."""
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    target.chmod(mode)
    return target


PASSWD = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
ann:x:1000:1000:Ann,,,:/home/ann:/bin/bash
bob:x:1001:1001::/home/bob:/bin/sh
"""
SHADOW = """root:$6$salt$hash:19000:0:99999:7:::
daemon:*:19000:0:99999:7:::
nobody:*:19000:0:99999:7:::
ann:$y$j9T$salt$hash:19000:0:99999:7:::
bob:!:19000:0:99999:7:::
"""
GROUP = "root:x:0:\nsftp:x:500:bob\nann:x:1000:\nbob:x:1001:\n"


def host(root, passwd=PASSWD, shadow=SHADOW, group=GROUP):
    """Make the account files and homes of a small host below ``root``; return it as str."""
    write(root, "/etc/passwd", passwd, 0o644)
    write(root, "/etc/shadow", shadow, 0o640)
    write(root, "/etc/group", group, 0o644)
    for home in ("root", "home/ann", "home/bob"):
        (root / home).mkdir(parents=True, exist_ok=True)
    return str(root)


def process(root, pid, parent, executable="/usr/bin/bash", environ=(), cmdline=(), root_link="/"):
    """Make a process below a fake /proc (a pathlib.Path)."""
    directory = root / str(pid)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "stat").write_text("%d (a ) b) S %d 1 1 0 -1" % (pid, parent))
    (directory / "environ").write_bytes(b"".join(item.encode("utf-8") + b"\0" for item in environ))
    (directory / "cmdline").write_bytes(b"".join(item.encode("utf-8") + b"\0" for item in cmdline))
    (directory / "loginuid").write_text("4294967295")
    (directory / "exe").symlink_to(executable)
    (directory / "root").symlink_to(root_link)
