# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of malware families, as checked data; the format is told in docs/indicators.md."""

import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.path_patterns import (
    expand_braces,
    is_literal,
    regex_directory,
)

# Kinds that are files at known places, and that may be moved away.
FILE_KINDS = ("binary", "config", "cron", "dir", "dropper_copy", "initscript", "kmod", "lib", "lockfile", "pidfile",
              "preload", "rclink", "unit")
# What may be moved to the quarantine at all.
MOVABLE_KINDS = FILE_KINDS + ("backup_dir", "hash")
KINDS = FILE_KINDS + ("backup_dir", "cmdline", "content", "env", "hash", "process_name", "size", "sshkey",
                      "trojaned_tool", "user")
GUARDS = {
    "package_owned": "the name is also that of packaged files: where no package database can tell, it proves nothing",
    "elf_only": "only an ELF file counts",
    "not_symlink": "a symbolic link of this name is ordinary",
    "weak_alone": "counts only beside another artefact of its family",
}
CONFIDENCES = {"high": "malicious", "medium": "suspicious", "low": "weak"}
ACTIONS = ("quarantine", "report")
ALGORITHMS = {"md5": 32, "sha1": 40, "sha256": 64}

# What these are found by; each kind needs one of them.
_NEEDS = {
    "cmdline": ("lines",), "content": ("content",), "cron": ("paths", "regex", "lines", "content"), "env": ("lines",),
    "hash": ("values",), "process_name": ("names",), "size": ("sizes",), "user": ("names",),
}
_LISTS = ("paths", "restores", "values", "lines", "names", "guard", "attack", "refs")
_TEXTS = ("name", "family", "kind", "meaning", "regex", "content", "companion", "algorithm", "confidence", "action")
KEYS = frozenset(_LISTS + _TEXTS + ("sizes", "at_least", "follow"))
_ATTACK = re.compile(r"T\d{4}(\.\d{3})?\Z")


class Indicator:
    """One entry. Attributes are the keys of the format, with defaults filled in and expressions compiled to bytes:
    ``regex`` (str), ``content`` and ``lines`` (compiled for bytes)."""

    def __init__(self, entry):
        self.name = entry["name"]
        self.family = entry["family"]
        self.kind = entry["kind"]
        self.meaning = entry.get("meaning") or ""
        self.paths = entry.get("paths") or []
        self.regex = entry.get("regex")
        self.content = re.compile(entry["content"].encode("utf-8")) if entry.get("content") else None
        self.lines = [re.compile(line.encode("utf-8")) for line in entry.get("lines") or []]
        self.companion = entry.get("companion")
        self.restores = entry.get("restores") or []
        self.algorithm = entry.get("algorithm")
        self.values = [value.lower() for value in entry.get("values") or []]
        self.sizes = entry.get("sizes") or []
        self.names = entry.get("names") or []
        self.guard = frozenset(entry.get("guard") or [])
        self.at_least = entry.get("at_least") or 1
        self.follow = bool(entry.get("follow"))
        self.verdict = CONFIDENCES[entry.get("confidence") or "high"]
        self.action = entry.get("action") or ("quarantine" if self.kind in MOVABLE_KINDS else "report")
        self.attack = entry.get("attack") or []
        self.refs = entry.get("refs") or []

    def literal_paths(self):
        """Return the single paths that the entry names, without globs and homes."""
        return [path for pattern in self.paths for path in expand_braces(pattern) if is_literal(path)]


def parse(entries):
    """Return the list of :class:`Indicator` of dicts.

    :raises ResponseError: an entry breaks the format; says which (number and name) and how.
    """
    result = []
    for number, entry in enumerate(entries, 1):
        problem = check(entry)
        if problem:
            name = entry.get("name") if isinstance(entry, dict) else None
            raise ResponseError("Indicator %d (%s): %s." % (number, name or "without a name", problem),
                                "docs/indicators.md tells the format.")
        result.append(Indicator(entry))
    return result


def check(entry):
    """Return what is wrong with one entry as a phrase, or ``None``. Keys with the value ``None`` count as absent."""
    if not isinstance(entry, dict):
        return "it is not a dictionary"
    given = {key: value for key, value in entry.items() if value is not None}
    unknown = sorted(set(given) - KEYS)
    if unknown:
        return "unknown key '%s'" % unknown[0]
    for check_part in (_check_types, _check_choices, _check_needs, _check_expressions):
        problem = check_part(given)
        if problem:
            return problem
    return None


def _check_types(given):
    for key in _TEXTS:
        if key in given and not isinstance(given[key], str):
            return "'%s' must be text" % key
    for key in _LISTS:
        if key in given and not (isinstance(given[key], list) and all(isinstance(item, str) for item in given[key])):
            return "'%s' must be a list of texts" % key
    if "sizes" in given and not (isinstance(given["sizes"], list) and all(_is_count(item) for item in given["sizes"])):
        return "'sizes' must be a list of numbers of bytes"
    if "at_least" in given and not (_is_count(given["at_least"]) and given["at_least"]):
        return "'at_least' must be a positive number"
    if "follow" in given and not isinstance(given["follow"], bool):
        return "'follow' must be true or false"
    for key in ("name", "family", "kind"):
        if not given.get(key):
            return "'%s' is missing" % key
    return None


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_choices(given):
    for key, choices in (("kind", KINDS), ("confidence", CONFIDENCES), ("action", ACTIONS), ("algorithm", ALGORITHMS)):
        if key in given and given[key] not in choices:
            return "'%s' is no %s; there are: %s" % (given[key], key, ", ".join(sorted(choices)))
    for guard in given.get("guard", []):
        if guard not in GUARDS:
            return "'%s' is no guard; there are: %s" % (guard, ", ".join(sorted(GUARDS)))
    for technique in given.get("attack", []):
        if not _ATTACK.match(technique):
            return "'%s' is no ATT&CK technique id" % technique
    return None


def _check_needs(given):
    kind = given["kind"]
    needs = _NEEDS.get(kind, ("paths", "regex"))
    if not any(given.get(key) for key in needs):
        return "the kind '%s' needs %s" % (kind, " or ".join("'%s'" % key for key in needs))
    if kind in ("content", "sshkey") and not given.get("paths"):
        return "the kind '%s' needs 'paths'" % kind
    if kind not in MOVABLE_KINDS and given.get("action") == "quarantine":
        return "the kind '%s' can only be reported" % kind
    if given.get("follow") and kind not in ("initscript", "config"):
        return "only an initscript or config can be followed"
    for path in given.get("paths", []) + given.get("restores", []):
        if not path.startswith(("/", "~/", "{/")) or "/../" in path + "/":
            return "'%s' is no absolute path" % path
    companion = given.get("companion")
    if companion and not (companion.startswith("/") and "{name}" in companion):
        return "'companion' must be an absolute path with '{name}' in it"
    if kind == "hash":
        length = ALGORITHMS.get(given.get("algorithm"))
        if not length:
            return "the kind 'hash' needs 'algorithm'"
        for value in given["values"]:
            if not re.match(r"[0-9a-fA-F]{%d}\Z" % length, value):
                return "'%s' is no %s in hexadecimal" % (value, given["algorithm"])
    return None


def _check_expressions(given):
    expressions = [("regex", given.get("regex")), ("content", given.get("content"))]
    expressions += [("lines", line) for line in given.get("lines", [])]
    for key, expression in expressions:
        if not expression:
            continue
        try:
            re.compile(expression.encode("utf-8"))
        except re.error as error:
            return "'%s' is no regular expression: %s" % (key, error)
    if given.get("regex") and regex_directory(given["regex"]) is None:
        return "'regex' must begin with a plain directory; only its last component may be an expression"
    return None
