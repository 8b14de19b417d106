# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SSH public keys as OpenSSH writes them in text: decoded, checked and fingerprinted without ssh-keygen."""

import base64
import binascii
import hashlib
import re
import struct
from collections import namedtuple

PublicKey = namedtuple("PublicKey", "type blob fingerprint md5 bits")
PublicKey.__doc__ = """``type``: as in the line; ``blob``: the decoded bytes; ``fingerprint``: ``SHA256:…`` and
``md5``: ``MD5:aa:…``, as ssh-keygen -lf writes them (a certificate's are those of the key in it; no MD5 in FIPS
mode); ``bits``: size, or ``None`` where the type is not known here."""

_TYPE = re.compile(rb"[a-z][a-z0-9@.-]{2,63}$", re.IGNORECASE)

# Fields that follow the type in a plain key's blob (RFC 4253 6.6, RFC 5656 3.1, RFC 8709, PROTOCOL.u2f).
_FIELDS = {
    "ssh-rsa": 2, "ssh-dss": 4, "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2, "ecdsa-sha2-nistp384": 2, "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2, "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
_CERTIFICATE = "-cert-v01@openssh.com"


def decode(key_type, encoded):
    """Return the :class:`PublicKey` of a type and its base64 text (bytes), ``None`` when they are no key."""
    if not _TYPE.match(key_type):
        return None
    try:
        # b64_pton() of sshd skips white space, \v and \f amidst it too, and demands the padding.
        blob = base64.b64decode(b"".join(encoded.split()), validate=True)
        fields = _blob_fields(blob)
    except (binascii.Error, ValueError, struct.error):
        return None
    name = key_type.decode("ascii")
    # A type that is not known here counts as a key too, when its blob says the same: a later sshd may know it.
    if not fields or fields[0] != key_type:
        return None
    plain_name = name
    if name.endswith(_CERTIFICATE):
        plain_name, plain = _certified(name, fields)
        if plain is None:
            return None
    elif name in _FIELDS and len(fields) != _FIELDS[name] + 1:
        return None
    else:
        plain = blob
    digest = base64.b64encode(hashlib.sha256(plain).digest()).rstrip(b"=").decode("ascii")
    return PublicKey(name, blob, "SHA256:" + digest, _md5(plain), _bits(plain_name, _blob_fields(plain)))


def is_among(key, fingerprints):
    """Whether a :class:`PublicKey` is one of the fingerprints, whichever digest they are of."""
    return key.fingerprint in fingerprints or key.md5 in fingerprints


def signing_key(key):
    """Return the :class:`PublicKey` of the CA that signed a certificate, ``None`` for a plain or broken one."""
    if not key.type.endswith(_CERTIFICATE):
        return None
    plain, unused = _certified(key.type, _blob_fields(key.blob))
    try:
        # type, nonce and the key; serial (8 bytes), kind (4); id, principals; two times (8 each); options,
        # extensions, reserved, signature key (PROTOCOL.certkeys).
        offset = _skip_strings(key.blob, 0, 2 + _FIELDS[plain]) + 12
        offset = _skip_strings(key.blob, offset, 2) + 16
        start = _skip_strings(key.blob, offset, 3)
        blob = key.blob[start + 4:_skip_strings(key.blob, start, 1)]
        name = _blob_fields(blob)[0]
    except (struct.error, IndexError, KeyError):
        return None
    return decode(name, base64.b64encode(blob))


def short_type(key_type):
    """Return a key type as ssh-keygen and sshd's log name it: ``ED25519``, ``RSA``, ``ECDSA``, ``ED25519-SK`` …"""
    plain = key_type.split("@")[0]
    certificate = "-CERT" if plain.endswith("-cert-v01") else ""
    security_key = "-SK" if plain.startswith("sk-") else ""
    for part, name in (("ed25519", "ED25519"), ("ecdsa", "ECDSA"), ("rsa", "RSA"), ("dss", "DSA")):
        if part in plain:
            return name + security_key + certificate
    return plain


def _md5(blob):
    try:
        digest = hashlib.md5(blob).hexdigest()
    except ValueError:
        # A host in FIPS mode has no MD5, and no sshd that logs it.
        return None
    return "MD5:" + ":".join(digest[index:index + 2] for index in range(0, 32, 2))


def _blob_fields(blob):
    """Return the strings of an SSH wire blob (RFC 4251 5). :raises struct.error: it is cut off.

    Behind its key a certificate holds numbers, which are no strings: there the reading just ends.
    """
    fields = []
    offset = 0
    while offset < len(blob):
        try:
            length, = struct.unpack_from(">I", blob, offset)
            if length > len(blob) - offset - 4:
                raise struct.error("a string reaches past the end")
        except struct.error:
            if fields and fields[0].endswith(_CERTIFICATE.encode("ascii")):
                return fields
            raise
        offset += 4 + length
        fields.append(blob[offset - length:offset])
    return fields


def _skip_strings(blob, offset, count):
    for _unused in range(count):
        length, = struct.unpack_from(">I", blob, offset)
        offset += 4 + length
    if offset > len(blob):
        raise struct.error("a string reaches past the end")
    return offset


def _certified(name, fields):
    """Return ``(plain type, plain key's blob or None)`` of a certificate (PROTOCOL.certkeys)."""
    plain = name[:-len(_CERTIFICATE)]
    if plain.startswith("sk-"):
        plain += "@openssh.com"
    count = _FIELDS.get(plain)
    if count is None or len(fields) < count + 2:
        return plain, None
    parts = [plain.encode("ascii")] + fields[2:2 + count]
    return plain, b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _bits(name, fields):
    if name == "ssh-rsa":
        return int.from_bytes(fields[2], "big").bit_length()
    if name == "ssh-dss":
        return int.from_bytes(fields[1], "big").bit_length()
    if "ed25519" in name:
        return 256
    found = re.search(r"nistp(\d{3})", name)
    return int(found.group(1)) if found else None
