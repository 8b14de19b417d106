# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Do the roles' ``defaults/main.yml`` and ``meta/argument_specs.yml`` say the same?

``check_specs.py [ROLES]`` prints one line a disagreement and fails when there is one. Ansible itself compares
neither the values nor the presence: a default that only the specification knows is documented but has no effect.
"""

import argparse
import pathlib
import sys

import yaml

DOCUMENT_KEYS = ("short_description", "description", "options")

# Type names of argument specs and what YAML makes of a fitting default. Where Ansible would convert
# ("8080" to 8080), the default is written in the type that it is meant to have.
TYPES = {
    "str": str,
    "path": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "list": list,
    "dict": dict,
    "raw": object,
    "json": (str, list, dict),
    "jsonarg": (str, list, dict),
    "bytes": (str, int),
    "bits": (str, int),
}


def check_roles(directory):
    """Return the disagreements in all roles below ``directory``, as sentences that name the file."""
    roles = sorted(path for path in pathlib.Path(directory).iterdir() if path.is_dir())
    return [problem for role in roles for problem in check_role(role)]


def check_role(role):
    """Return the disagreements in one role, a :class:`pathlib.Path`."""
    problems = []
    readme = role / "README.md"
    if not readme.is_file() or not readme.read_text(encoding="utf-8").strip():
        problems.append("%s: missing or empty; every role is described there" % readme)
    if not (role / "meta" / "argument_specs.yml").is_file():
        return [*problems, "%s: missing" % (role / "meta" / "argument_specs.yml")]
    specs = _load(role / "meta" / "argument_specs.yml").get("argument_specs") or {}
    defaults = _load(role / "defaults" / "main.yml") if (role / "defaults" / "main.yml").is_file() else {}
    where = "%s/meta/argument_specs.yml" % role
    if "main" not in specs:
        problems.append("%s: no entry point 'main'" % where)
    options = {}
    for entry, document in sorted(specs.items()):
        problems += _check_entry(role, where, entry, document or {})
        options.update((document or {}).get("options") or {})
    problems += _compare(role, where, options, defaults)
    return problems


def _check_entry(role, where, entry, document):
    here = "%s: %s" % (where, entry)
    if not (role / "tasks" / (entry + ".yml")).is_file():
        yield "%s: there is no tasks/%s.yml" % (here, entry)
    for key in DOCUMENT_KEYS:
        if key not in document:
            yield "%s: no '%s'" % (here, key)
    yield from _check_options(here, document.get("options") or {})


def _check_options(here, options):
    for name, option in sorted(options.items()):
        at = "%s: %s" % (here, name)
        if not isinstance(option, dict):
            yield "%s: is not a mapping" % at
            continue
        if not option.get("description"):
            yield "%s: no description" % at
        kind = option.get("type")
        if kind is None:
            yield "%s: no type" % at
        elif kind not in TYPES:
            yield "%s: unknown type '%s'" % (at, kind)
        elif kind == "list" and "elements" not in option:
            yield "%s: a list without elements" % at
        if option.get("required") and "default" in option:
            yield "%s: required, yet with a default" % at
        if option.get("default") is not None and kind in TYPES:
            yield from _check_value(at, option, option["default"])
        yield from _check_options(at, option.get("options") or {})


def _check_value(at, option, value):
    if not _fits(value, option["type"]):
        yield "%s: the default %r is not of type %s" % (at, value, option["type"])
        return
    members = value if isinstance(value, list) else [value]
    if _is_template(value):
        return
    elements = option.get("elements")
    if isinstance(value, list) and elements in TYPES:
        for member in members:
            if not _fits(member, elements):
                yield "%s: %r in the default is not of type %s" % (at, member, elements)
    if "choices" in option:
        for member in members:
            if member not in option["choices"]:
                yield "%s: the default %r is not among the choices" % (at, member)


def _compare(role, where, options, defaults):
    in_defaults = "%s/defaults/main.yml" % role
    prefix = role.name + "_"
    for name in sorted(set(options) | set(defaults)):
        option = options.get(name)
        specified = option.get("default") if isinstance(option, dict) else None
        if not name.startswith(prefix):
            yield "%s: %s does not begin with '%s'" % (in_defaults if name in defaults else where, name, prefix)
        if name not in options:
            yield "%s: %s is not in meta/argument_specs.yml" % (in_defaults, name)
        elif name not in defaults:
            if specified is not None:
                yield "%s: %s has the default %r there, but none in defaults/main.yml" % (where, name, specified)
        elif isinstance(option, dict) and option.get("required"):
            yield "%s: %s is required, so a default for it hides that it is missing" % (in_defaults, name)
        elif not _same(specified, defaults[name]):
            yield "%s: %s is %r, but %r in meta/argument_specs.yml" % (in_defaults, name, defaults[name], specified)


def _fits(value, kind):
    if _is_template(value):
        return True
    # True is an int to Python, not to a reader of the specification.
    if isinstance(value, bool) and kind not in ("bool", "raw"):
        return False
    return isinstance(value, TYPES[kind])


def _is_template(value):
    return isinstance(value, str) and "{{" in value


def _same(one, other):
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(*pair) for pair in zip(one, other))
    return type(one) is type(other) and one == other


def _load(path):
    with open(path, encoding="utf-8") as stream:
        return yaml.safe_load(stream) or {}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("roles", nargs="?", default="roles")
    directory = pathlib.Path(parser.parse_args().roles)
    problems = check_roles(directory)
    for problem in problems:
        print(problem)
    if problems:
        sys.exit("%d disagreements between the roles' defaults, specifications and documentation" % len(problems))
    names = [path.name for path in sorted(directory.iterdir()) if path.is_dir()]
    print("Defaults and argument_specs agree: %s" % (", ".join(names) or "there is no role yet"))


if __name__ == "__main__":
    main()
