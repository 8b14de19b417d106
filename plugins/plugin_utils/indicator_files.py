# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Family files (docs/indicators.md) on the controller, turned into entries for the module malware_artifact."""

from __future__ import annotations

import os

import yaml

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect.indicators import check
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError

COLLECTION_FOLDER = os.path.normpath(os.path.join(os.path.dirname(__file__), "..", "..", "indicators"))

_HINT = "docs/indicators.md of the collection tells the format."
_FAMILY_KEYS = {"family", "doc", "aliases", "attack", "references", "artifacts", "supported_os"}
_ARTIFACT_KEYS = {"name", "doc", "kind", "sources", "guard", "at_least", "confidence", "action", "attack", "refs",
                  "supported_os", "urls"}
_SOURCE_KEYS = {
    "FILE": {"paths", "regex", "content", "companion", "restores", "follow"},
    "PATH": {"paths", "regex", "content", "companion", "restores", "follow"},
    "DIRECTORY": {"paths", "regex", "companion"},
    "FILE_HASH": {"algorithm", "values"},
    "FILE_SIZE": {"sizes"},
    "CRON": {"lines", "content"},
    "PROCESS": {"names", "lines"},
    "ACCOUNT": {"names"},
}


# libyaml's parser where PyYAML has it: the lookup runs once a host and phase.
class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML in which a key given twice is an error rather than a silent choice."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _value in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(problem="the key '%s' is given twice" % key, problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def load(folders=()):
    """Return the entries of the collection's own folder and of ``folders``, in the order of file names.

    An entry of a later folder replaces one of the same name: so an operator mends or silences what the collection says.

    :raises ResponseError: a folder or file cannot be read, or a file breaks the format; names file and entry.
    """
    entries = {}
    for folder in (COLLECTION_FOLDER, *folders):
        entries.update(_load_folder(folder))
    return [entry for group in entries.values() for entry in group]


def _load_folder(folder):
    """Return name → list of entries (one a source)."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".yml", ".yaml")))
    except OSError as error:
        raise ResponseError("The folder of indicators %s cannot be read: %s." % (folder, error.strerror)) from error
    groups = {}
    for name in names:
        path = os.path.join(folder, name)
        for artifact, entries in read_family(path).items():
            if artifact in groups:
                raise ResponseError("%s: the name '%s' is used by another file of this folder." % (path, artifact),
                                    _HINT)
            groups[artifact] = entries
    return groups


def read_family(path):
    """Return the entries of one family file: name → list of entries (one a source)."""
    try:
        with open(path, encoding="utf-8") as stream:
            family = yaml.load(stream, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader with one more check
    except OSError as error:
        raise ResponseError("%s cannot be read: %s." % (path, error.strerror)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ResponseError("%s is no YAML: %s." % (path, " ".join(str(error).split()))) from error
    problem = _check_family(family)
    if problem:
        raise ResponseError("%s: %s." % (path, problem), _HINT)
    groups = {}
    for number, artifact in enumerate(family["artifacts"], 1):
        problem = _check_artifact(artifact, family)
        if not problem:
            if artifact["name"] in groups:
                problem = "the name is used twice"
            entries = [_flatten(artifact, source, family) for source in artifact["sources"]]
            problem = problem or next(filter(None, map(check, entries)), None)
        if problem:
            name = artifact.get("name") if isinstance(artifact, dict) else None
            raise ResponseError("%s, artifact %d (%s): %s." % (path, number, name or "without a name", problem), _HINT)
        groups[artifact["name"]] = entries
    return groups


def _check_family(family):
    if not isinstance(family, dict):
        return "it is not a dictionary"
    unknown = sorted(map(str, set(family) - _FAMILY_KEYS))
    if unknown:
        return "unknown key '%s'" % unknown[0]
    if not isinstance(family.get("family"), str) or not family["family"]:
        return "'family' is missing"
    if not isinstance(family.get("artifacts"), list) or not family["artifacts"]:
        return "'artifacts' is missing"
    if not isinstance(family.get("references", {}), dict):
        return "'references' must be a dictionary"
    for key, reference in family.get("references", {}).items():
        known = isinstance(reference, dict) and isinstance(reference.get("what"), str)
        if not known or set(reference) - {"what", "url"}:
            return "the reference '%s' needs 'what', and may have 'url'" % key
    for key in ("aliases", "attack", "supported_os"):
        if not _is_text_list(family.get(key, [])):
            return "'%s' must be a list of texts" % key
    return None


def _check_artifact(artifact, family):
    if not isinstance(artifact, dict):
        return "it is not a dictionary"
    unknown = sorted(map(str, set(artifact) - _ARTIFACT_KEYS))
    if unknown:
        return "unknown key '%s'" % unknown[0]
    if not isinstance(artifact.get("name"), str) or not artifact["name"]:
        return "'name' is missing"
    if not isinstance(artifact.get("doc"), str) or not artifact["doc"]:
        return "'doc' is missing"
    for key in ("refs", "urls", "guard", "attack", "supported_os"):
        if not _is_text_list(artifact.get(key, [])):
            return "'%s' must be a list of texts" % key
    for reference in artifact.get("refs", []):
        if reference not in family.get("references", {}):
            return "'%s' is not among the references of its file" % reference
    if not isinstance(artifact.get("sources"), list) or not artifact["sources"]:
        return "'sources' is missing"
    for source in artifact["sources"]:
        if not isinstance(source, dict) or set(source) != {"type", "attributes"} or not isinstance(
                source["attributes"], dict):
            return "a source has just 'type' and 'attributes'"
        if source["type"] not in _SOURCE_KEYS:
            return "'%s' is no type of source; there are: %s" % (source["type"], ", ".join(sorted(_SOURCE_KEYS)))
        unknown = sorted(map(str, set(source["attributes"]) - _SOURCE_KEYS[source["type"]]))
        if unknown:
            return "a source of type %s has no attribute '%s'" % (source["type"], unknown[0])
    return None


def _is_text_list(value):
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _flatten(artifact, source, family):
    references = [family["references"][key] for key in artifact.get("refs", [])]
    entry = {
        "name": artifact["name"], "family": family["family"], "kind": artifact.get("kind"), "meaning": artifact["doc"],
        "attack": list(dict.fromkeys(artifact.get("attack", []) + family.get("attack", []))),
        "refs": [reference.get("url") or reference["what"] for reference in references] + artifact.get("urls", []),
    }
    entry.update({key: artifact[key] for key in ("guard", "at_least", "confidence", "action") if key in artifact})
    entry.update(source["attributes"])
    return entry
