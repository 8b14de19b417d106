# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile text made harmless to the eye: what is invisible or turns the line round is spelled out."""

import json
import re
import unicodedata

# Longest text shown of one value; the JSON report has all of it.
LIMIT = 600

# Controls, formats (bidi overrides, zero width), surrogates, private use, unassigned, line and paragraph ends.
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")

# Fillers that count as letters or marks and yet show nothing.
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")

_NAMES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}

_PLAIN = re.compile(r"[ -~]*\Z")


def pieces(value, limit=LIMIT):
    """Return ``([(kind, text)], characters left out)`` of any JSON value.

    ``kind`` is ``text`` for what may be shown as it is (still to be escaped for HTML), and ``escape`` for the
    spelled out form of a character that must not reach the screen.
    """
    whole = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    shown = whole[:limit]
    if _PLAIN.match(shown):
        return ([("text", shown)] if shown else []), len(whole) - len(shown)
    result, plain = [], []
    marks = 0
    for character in shown:
        # A pile of combining marks covers the lines above and below.
        marks = marks + 1 if unicodedata.combining(character) else 0
        if unicodedata.category(character) in _INVISIBLE or character in _BLANK_LETTERS or marks > 2:
            if plain:
                result.append(("text", "".join(plain)))
                plain = []
            result.append(("escape", spelled(character)))
        else:
            plain.append(character)
    if plain:
        result.append(("text", "".join(plain)))
    return result, len(whole) - len(shown)


def spelled(character):
    """Return the spelled out form of one character, such as ``\\e``, ``\\x00``, ``\\u202e``."""
    if character in _NAMES:
        return _NAMES[character]
    code = ord(character)
    if code < 0x100:
        return "\\x%02x" % code
    return "\\u%04x" % code if code < 0x10000 else "\\U%08x" % code
