# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""authorized_keys as sshd(8) reads it, and what an abused Redis has left in it.

A line is found, split and judged as OpenSSH's auth2-pubkeyfile.c and sshkey.c do it; every line
keeps its bytes. A Redis told to save its dump as authorized_keys wraps the intruder's key in
an RDB file (https://rdb.fnordig.de/file_format.html): sshd skips the binary lines and takes the key.
"""

import bisect
import calendar
import ipaddress
import re
import time
from collections import namedtuple

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    public_key,
    redis_dump,
    sshd_config,
)

Line = namedtuple("Line", "number start raw kind key options option_error comment problem")
Line.__doc__ = """One line: ``number`` from 1, ``start`` its byte offset, ``raw`` its bytes with the line end;
``kind``: ``blank``, ``comment``, ``key`` or ``other``; ``options``: list of ``(lower-case name, value or None)``;
``option_error``: why sshd refuses the options, or ``None``; ``problem``: why an ``other`` line is none."""

# With or without the size before and the comment behind that ssh-keygen -lf prints.
_FINGERPRINT = re.compile(
    r"(?:\d+ )?(?:SHA256:([A-Za-z0-9+/]{43})=?|MD5:((?:[0-9A-Fa-f]{2}:){15}[0-9A-Fa-f]{2}))(?:\s|$)")
# A key glued to other bytes, which sshd does not take but an investigator wants to see.
_EMBEDDED = re.compile(rb"((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]{2,60})[ \t]+([A-Za-z0-9+/]{40,}={0,2})")

# sshauthopt_parse() in auth-options.c; one name that is not known makes sshd refuse the key.
_FLAGS = ("cert-authority", "restrict", "agent-forwarding", "port-forwarding", "pty", "user-rc", "x11-forwarding",
          "touch-required", "verify-required")
_WITH_VALUE = ("command", "from", "principals", "environment", "permitopen", "permitlisten", "tunnel",
               "expiry-time")


def parse(content):
    """Return the list of :class:`Line` of an authorized_keys file's bytes; joining their ``raw`` gives them back."""
    lines = []
    start = 0
    for number, raw in enumerate(_split(content), 1):
        lines.append(_parse_line(number, start, raw))
        start += len(raw)
    return lines


def key_lines(content):
    """Return the :class:`Line` objects of kind ``key``."""
    return [line for line in parse(content) if line.kind == "key"]


def parse_public_key(line):
    """Return the :class:`public_key.PublicKey` of a line (str or bytes), with or without options and comment.

    :raises ResponseError: it holds no key.
    """
    if isinstance(line, str):
        line = line.encode("utf-8", "surrogateescape")
    parsed = _parse_line(1, 0, line.strip())
    if parsed.kind != "key":
        raise ResponseError("'%s' is not a public key line." % text(line.strip()[:60]),
                            "Give the whole line of a .pub file, or the key's SHA256: fingerprint.")
    return parsed.key


def parse_allowed(entries):
    """Return the allow-list as a set of fingerprints.

    :param entries: public key lines, fingerprints ``SHA256:…`` or ``MD5:…``, or lines of ssh-keygen -lf.
        Empty entries and comments are skipped, so that a .pub or authorized_keys file's lines can be given.
    :raises ResponseError: an entry is neither.
    """
    allowed = set()
    # A whole .pub or authorized_keys file may be given as one entry: no key of it may go unnoticed.
    for entry in (line for given in entries for line in given.splitlines()):
        entry = entry.strip()
        if not entry or entry.startswith("#"):
            continue
        found = _FINGERPRINT.match(entry)
        if found and found.group(1):
            allowed.add("SHA256:" + found.group(1))
        elif found:
            allowed.add("MD5:" + found.group(2).lower())
        else:
            allowed.add(parse_public_key(entry).fingerprint)
    return allowed


def is_certificate_authority(line):
    """Whether the line trusts certificates signed by its key instead of the key itself."""
    return any(name == "cert-authority" for name, unused in line.options)


def lets_in(line, now=None):
    """Whether sshd would take a login with this line's key, or a certificate signed by it.

    Its options must be readable, ``principals`` go with ``cert-authority``, and ``expiry-time`` must not be past.
    Whence the login comes (``from``) is another question: :func:`lets_in_from`.
    """
    if line.kind != "key" or line.option_error:
        return False
    if any(name == "principals" for name, unused in line.options) and not is_certificate_authority(line):
        return False
    for name, value in line.options:
        if name == "expiry-time" and not _is_future(value, time.time() if now is None else now):
            return False
    return True


def lets_in_from(line, address):
    """Whether a line's ``from`` option admits a client's address; one with host names only is taken for "no".

    :param address: text as in SSH_CONNECTION, or ``None`` when it is not known.
    """
    for name, value in line.options:
        if name != "from":
            continue
        admitted = False
        for pattern in (value or "").split(","):
            negated = pattern.startswith("!")
            if address is not None and _address_fits(address, pattern[1:] if negated else pattern):
                if negated:
                    return False
                admitted = True
        if not admitted:
            return False
    return True


def find_dumps(content, lines):
    """Return the :class:`redis_dump.Dump` list of a file: a magic in a comment or behind a key is just text.

    :param lines: what :func:`parse` returned for ``content``.
    """
    starts = [line.start for line in lines]

    def counts(offset):
        line = lines[bisect.bisect_right(starts, offset) - 1]
        if line.kind == "comment":
            return redis_dump.is_binary(line.raw)
        # In a key line it counts only before the key, where sshd would look for options.
        return line.kind != "key" or bool(line.option_error)

    return redis_dump.find_dumps(content, counts)


def in_dump(line, dumps):
    """Whether a line begins within one of the dumps."""
    return any(dump.start <= line.start < dump.end for dump in dumps)


def embedded_keys(line):
    """Return the :class:`public_key.PublicKey` list of what looks like keys inside a line that is none."""
    found = []
    for match in _EMBEDDED.finditer(line.raw):
        key = public_key.decode(match.group(1), match.group(2))
        if key is not None:
            found.append(key)
    return found


def printable(raw):
    """Return text of a line for a terminal: a diff is printed as it is, escape sequences must not reach it."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: "\\x%02x" % ord(found.group()), text(raw))


def describe(line):
    """Return a key line as ``SHA256:… (ED25519) comment`` with its options before: what a diff shows of it."""
    kind = public_key.short_type(line.key.type)
    shown = "%s (%s) %s" % (line.key.fingerprint, kind, printable(line.comment) or "no comment")
    names = ",".join(sorted({printable(name) for name, unused in line.options}))
    return "%s %s" % (names, shown) if names else shown


def _split(content):
    parts = content.split(b"\n")
    lines = [part + b"\n" for part in parts[:-1]]
    if parts[-1]:
        lines.append(parts[-1])
    return lines


def _parse_line(number, start, raw):
    def line(kind, key=None, options=(), option_error=None, comment=b"", problem=None):
        return Line(number, start, raw, kind, key, list(options), option_error, comment, problem)

    # sshd works on a C string without the line end.
    body = raw.rstrip(b"\n").split(b"\0", 1)[0].lstrip(b" \t")
    if not body.strip(b" \t\r"):
        return line("other", problem="binary bytes") if b"\0" in raw else line("blank")
    if body.startswith(b"#"):
        return line("comment")
    key, comment = _read_key(body)
    if key is not None:
        return line("key", key, comment=comment)
    end = _end_of_options(body)
    if end is None:
        return line("other", problem="an option's quotes are not closed")
    key, comment = _read_key(body[end:].lstrip(b" \t"))
    if key is None:
        return line("other", problem="binary bytes" if redis_dump.is_binary(raw) else "no key is found in it")
    options, error = _parse_options(body[:end])
    return line("key", key, options, error, comment)


def _read_key(body):
    """Return ``(PublicKey, comment)`` when the line begins with a key, else ``(None, b"")``: sshkey_read()."""
    parts = re.split(rb"[ \t]+", body, maxsplit=2)
    if len(parts) < 2:
        return None, b""
    key = public_key.decode(parts[0], parts[1])
    return key, parts[2].rstrip(b"\r") if key is not None and len(parts) > 2 else b""


def _end_of_options(body):
    """Return where the options end (sshkey_advance_past_options()), ``None`` when quotes stay open."""
    quoted = False
    index = 0
    while index < len(body):
        char = body[index:index + 1]
        if char in b" \t" and not quoted:
            break
        if char == b"\\" and body[index + 1:index + 2] == b'"':
            index += 1
        elif char == b'"':
            quoted = not quoted
        index += 1
    return None if quoted else index


def _parse_options(raw):
    """Return ``(options, error)``: names in lower case with their unquoted values, and what sshd dislikes."""
    options = []
    error = None
    for part in _option_parts(raw):
        if not part:
            # sshd takes "no-pty,," as well.
            continue
        name, equals, value = part.partition(b"=")
        name = text(name).lower()
        plain = name[3:] if name.startswith("no-") else name
        if equals:
            value, problem = _unquote(value)
            options.append((name, text(value)))
            if name not in _WITH_VALUE:
                problem = "unknown option '%s'" % name
        else:
            options.append((name, None))
            problem = None if plain in _FLAGS else "unknown option '%s'" % name
        error = error or problem
    return options, error


def _option_parts(raw):
    """Split at commas outside of quotes."""
    parts = []
    current = bytearray()
    quoted = False
    index = 0
    while index < len(raw):
        char = raw[index:index + 1]
        if char == b"\\" and raw[index + 1:index + 2] == b'"':
            current += b'\\"'
            index += 2
            continue
        if char == b'"':
            quoted = not quoted
        if char == b"," and not quoted:
            parts.append(bytes(current))
            current = bytearray()
        else:
            current += char
        index += 1
    parts.append(bytes(current))
    return parts


def _unquote(value):
    """Return ``(value, error)`` as opt_dequote() of misc.c: a value must be quoted, ``\\"`` is a quote in it."""
    if len(value) < 2 or not value.startswith(b'"'):
        return value, "missing start quote"
    result = bytearray()
    index = 1
    while index < len(value):
        char = value[index:index + 1]
        if char == b'"':
            return bytes(result), None if index == len(value) - 1 else "text after an option's quotes"
        if char == b"\\" and value[index + 1:index + 2] == b'"':
            index += 1
            char = b'"'
        result += char
        index += 1
    return bytes(result), "missing end quote"


def _address_fits(address, pattern):
    """Whether an address fits one pattern of addr_match_list(): CIDR, or with ``*`` and ``?``."""
    if "/" not in pattern:
        return sshd_config.match_pattern(address.lower(), pattern.lower())
    try:
        return ipaddress.ip_address(address.split("%")[0]) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False


def _is_future(value, now):
    """Whether an expiry-time ``YYYYMMDD[HHMM[SS]][Z]`` is still to come; one that cannot be read is not."""
    universal = (value or "").upper().endswith(("Z", "UTC"))
    digits = re.sub(r"(Z|UTC)$", "", (value or "").upper())
    layout = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(len(digits))
    if layout is None:
        return False
    try:
        moment = time.strptime(digits, layout)
        return (calendar.timegm(moment) if universal else time.mktime(moment)) > now
    except (ValueError, OverflowError):
        return False
