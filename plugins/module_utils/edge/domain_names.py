# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domain names and server addresses as people write them, made exact or refused with a clear sentence."""

import ipaddress
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError

# RFC 1035 2.3.4, in letters as written (the final dot not counted).
_MAX_NAME = 253
_MAX_LABEL = 63
# Hyphens as in RFC 5891; the underscore is no host name but occurs in CNAME targets and old sites.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\Z")
# IDNA 2003 maps these away, IDNA 2008 keeps them: two different domains (RFC 5894 7.2).
_DEVIATING = re.compile("[\u00df\u03c2\u200c\u200d]")


def parse_domain(written):
    """Return the domain as DNS carries it: ASCII, lower case, no final dot; IDN becomes ``xn--``.

    :raises ResponseError: it is an address, a URL, a wildcard or no domain name at all.
    """
    name = written.strip()
    if not name:
        raise ResponseError("An empty text is no domain name.")
    if "://" in name or "/" in name:
        raise ResponseError("%r is a URL or path, not a domain name." % written,
                            "Give only the host name, such as www.example.com.")
    if _is_address(name):
        raise ResponseError("%r is an address, not a domain name." % written,
                            "Give the site's name; addresses of the origin belong into 'origin_addresses'.")
    if ":" in name or "@" in name:
        raise ResponseError("%r carries a port or user, which DNS does not know." % written,
                            "Give only the host name, such as www.example.com.")
    if "*" in name:
        raise ResponseError("%r is a wildcard and stands for many sites." % written,
                            "Name the sites one by one.")
    # RFC 3490 3.1: these three are dots too.
    name = re.sub("[\u3002\uff0e\uff61]", ".", name)
    if name.endswith("."):
        name = name[:-1]
    name = _to_ascii(name, written).lower()
    labels = name.split(".")
    if "" in labels:
        raise ResponseError("%r has an empty label (two dots in a row, or a dot at the beginning)." % written)
    if len(name) > _MAX_NAME:
        raise ResponseError("%r is longer than the %d letters that DNS allows." % (_shortened(written), _MAX_NAME))
    for label in labels:
        if len(label) > _MAX_LABEL:
            raise ResponseError("%r has a label of more than %d letters." % (_shortened(written), _MAX_LABEL))
        if not _LABEL.match(label):
            raise ResponseError("%r is not a domain name: the label %r has letters that DNS host names do not have."
                                % (_shortened(written), _shortened(label)))
    if labels[-1].isdigit():
        raise ResponseError("%r ends in a number, as no domain does: it looks like an incomplete address." % written)
    return name


def to_unicode(name):
    """Return ``name`` with its ``xn--`` labels readable, or ``None`` when that is the same or impossible."""
    if "xn--" not in name:
        return None
    try:
        readable = name.encode("ascii").decode("idna")
    except UnicodeError:
        return None
    return readable if readable != name else None


def parse_address(written):
    """Return the address ``written`` as an ``ipaddress`` object; IPv4 inside IPv6 becomes plain IPv4.

    :raises ResponseError: it is no IPv4 or IPv6 address.
    """
    try:
        address = ipaddress.ip_address(written.strip().strip("[]"))
    except ValueError:
        raise ResponseError("%r is not an IPv4 or IPv6 address." % (written,))
    return getattr(address, "ipv4_mapped", None) or address


def parse_server(written, port=53):
    """Return ``(address, port)`` of ``ip``, ``ip:port`` or ``[v6]:port``.

    :raises ResponseError: it is none of them. Names are refused: asking for them needs DNS itself.
    """
    text = written.strip()
    bracketed = re.match(r"\[([^\]]+)\](?::(\d+))?\Z", text)
    plain = re.match(r"([^:]+):(\d+)\Z", text)
    host, given = text, None
    if bracketed:
        host, given = bracketed.groups()
    elif plain:
        host, given = plain.groups()
    if not _is_address(host) or "[" in host:
        raise ResponseError("%r is not the address of a name server." % (written,),
                            "Write 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53.")
    number = int(given) if given else port
    if not 0 < number < 65536:
        raise ResponseError("%r: the port must lie between 1 and 65535." % (written,))
    return str(ipaddress.ip_address(host)), number


def _to_ascii(name, written):
    try:
        name.encode("ascii")
        return name
    except UnicodeEncodeError:
        pass
    try:
        import idna
    except ImportError:
        idna = None
    try:
        if idna is not None:
            return idna.encode(name, uts46=True).decode("ascii")
        if _DEVIATING.search(name):
            raise ResponseError("%r is a different domain in IDNA 2003 and 2008." % _shortened(written),
                                "Install the Python package idna on the controller, or write the xn-- form.")
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        # idna's own errors are UnicodeErrors too.
        raise ResponseError("%r is not a valid internationalised domain name." % _shortened(written),
                            "Write its xn-- form.")


def _is_address(text):
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _shortened(text):
    return text if len(text) <= 80 else text[:77] + "..."
