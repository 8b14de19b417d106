# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each way in which a role's defaults and specification can disagree is told, and nothing else is."""

import copy
import pathlib
import subprocess
import sys

import check_specs
import pytest
import yaml

SPECS = {"argument_specs": {"main": {
    "short_description": "Guard the gate",
    "description": ["Guards it."],
    "options": {
        "gate_open": {"type": "bool", "default": False, "description": "Leave it open."},
        "gate_port": {"type": "int", "default": 22, "description": "Where."},
        "gate_ratio": {"type": "float", "default": 1, "description": "How much."},
        "gate_mode": {"type": "str", "default": "report", "choices": ["report", "act"], "description": "How."},
        "gate_names": {"type": "list", "elements": "str", "default": ["a", "b"], "description": "Who."},
        "gate_root": {"type": "path", "default": "{{ shared | default('/var') }}", "description": "Where to."},
        "gate_later": {"type": "list", "elements": "str", "default": "{{ shared_names | default([]) }}",
                       "description": "Who, told elsewhere."},
        "gate_key": {"type": "str", "description": "No default: not set unless told."},
        "gate_must": {"type": "str", "required": True, "description": "Must be told."},
        "gate_more": {"type": "dict", "default": {}, "description": "More.", "options": {
            "depth": {"type": "int", "description": "How deep."},
        }},
    },
}}}
DEFAULTS = {
    "gate_open": False,
    "gate_port": 22,
    "gate_ratio": 1,
    "gate_mode": "report",
    "gate_names": ["a", "b"],
    "gate_root": "{{ shared | default('/var') }}",
    "gate_later": "{{ shared_names | default([]) }}",
    "gate_more": {},
}


@pytest.fixture
def role(tmp_path):
    path = tmp_path / "roles" / "gate"
    for name in ("meta", "defaults", "tasks"):
        (path / name).mkdir(parents=True)
    (path / "README.md").write_text("# gate\n")
    (path / "tasks" / "main.yml").write_text("[]\n")
    _write(path, SPECS, DEFAULTS)
    return path


def _write(role, specs, defaults):
    (role / "meta" / "argument_specs.yml").write_text(yaml.safe_dump(specs))
    (role / "defaults" / "main.yml").write_text(yaml.safe_dump(defaults))


def _changed(option=None, in_defaults=None, **keys):
    """Return specs and defaults with ``keys`` set in the option (``...``: taken away), ``in_defaults`` likewise."""
    specs, defaults = copy.deepcopy(SPECS), copy.deepcopy(DEFAULTS)
    if option:
        for key, value in keys.items():
            if value is ...:
                del specs["argument_specs"]["main"]["options"][option][key]
            else:
                specs["argument_specs"]["main"]["options"].setdefault(option, {})[key] = value
    for name, value in (in_defaults or {}).items():
        if value is ...:
            del defaults[name]
        else:
            defaults[name] = value
    return specs, defaults


def test_a_role_that_agrees_has_no_problem(role):
    assert check_specs.check_role(role) == []


def test_a_role_without_defaults_may_have_no_defaults_file(role):
    main = {"short_description": "s", "description": "d", "options": {"gate_x": {"type": "str", "description": "x"}}}
    (role / "meta" / "argument_specs.yml").write_text(yaml.safe_dump({"argument_specs": {"main": main}}))
    (role / "defaults" / "main.yml").unlink()
    assert check_specs.check_role(role) == []


@pytest.mark.parametrize("change, told", [
    # one side only
    (_changed(in_defaults={"gate_new": 1}), "gate_new is not in meta/argument_specs.yml"),
    (_changed(in_defaults={"gate_open": ...}), "gate_open has the default False there, but none in defaults/main.yml"),
    (_changed("gate_port", default=...), "gate_port is 22, but None"),
    # values differ
    (_changed(in_defaults={"gate_port": 2222}), "gate_port is 2222, but 22"),
    (_changed(in_defaults={"gate_port": "22"}), "gate_port is '22', but 22"),
    (_changed(in_defaults={"gate_open": 0}), "gate_open is 0, but False"),
    (_changed(in_defaults={"gate_names": ["a"]}), "gate_names is ['a'], but ['a', 'b']"),
    (_changed(in_defaults={"gate_names": ["b", "a"]}), "gate_names is ['b', 'a'], but ['a', 'b']"),
    (_changed(in_defaults={"gate_more": {"depth": 1}}), "gate_more is {'depth': 1}, but {}"),
    (_changed(in_defaults={"gate_root": "/var"}), "gate_root is '/var'"),
    # required
    (_changed(in_defaults={"gate_must": "x"}), "gate_must is required, so a default"),
    (_changed("gate_must", default="x"), "gate_must: required, yet with a default"),
    # types
    (_changed("gate_port", {"gate_port": "22"}, default="22"), "gate_port: the default '22' is not of type int"),
    (_changed("gate_port", {"gate_port": True}, default=True), "gate_port: the default True is not of type int"),
    (_changed("gate_names", {"gate_names": [1]}, default=[1]), "gate_names: 1 in the default is not of type str"),
    (_changed("gate_mode", {"gate_mode": "burn"}, default="burn"), "'burn' is not among the choices"),
    (_changed("gate_key", type=...), "gate_key: no type"),
    (_changed("gate_key", type="text"), "gate_key: unknown type 'text'"),
    (_changed("gate_names", elements=...), "gate_names: a list without elements"),
    # documentation
    (_changed("gate_key", description=...), "gate_key: no description"),
    (_changed("gate_key", description=""), "gate_key: no description"),
    (_changed("gate_more", options={"depth": {"type": "int"}}), "depth: no description"),
    (_changed("gate_more", options={"depth": {"description": "How deep."}}), "depth: no type"),
    # names
    (_changed("door", type="str", description="A door."), "door does not begin with 'gate_'"),
    (_changed("gateway", type="str", description="A way."), "gateway does not begin with 'gate_'"),
])
def test_each_disagreement_is_told(role, change, told):
    _write(role, *change)
    problems = check_specs.check_role(role)
    assert any(told in problem for problem in problems), problems


@pytest.mark.parametrize("key", ["short_description", "description", "options"])
def test_an_entry_point_is_described(role, key):
    specs = copy.deepcopy(SPECS)
    del specs["argument_specs"]["main"][key]
    _write(role, specs, DEFAULTS if key != "options" else {})
    assert any("no '%s'" % key in problem for problem in check_specs.check_role(role))


def test_an_entry_point_has_its_tasks(role):
    specs = copy.deepcopy(SPECS)
    specs["argument_specs"]["other"] = {"short_description": "s", "description": "d", "options": {}}
    _write(role, specs, DEFAULTS)
    assert any("there is no tasks/other.yml" in problem for problem in check_specs.check_role(role))


@pytest.mark.parametrize("name", ["README.md", "meta/argument_specs.yml"])
def test_a_missing_file_is_told(role, name):
    (role / name).unlink()
    assert any(name in problem and "missing" in problem for problem in check_specs.check_role(role))


def test_an_empty_readme_is_told(role):
    (role / "README.md").write_text("\n")
    assert any("README.md" in problem for problem in check_specs.check_role(role))


def test_the_program_fails_with_a_count_and_names_the_file(role):
    _write(role, *_changed(in_defaults={"gate_port": 1, "gate_new": 1}))
    done = subprocess.run([sys.executable, check_specs.__file__, str(role.parent)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, universal_newlines=True)
    assert done.returncode == 1
    assert "gate/defaults/main.yml: gate_port is 1" in done.stdout
    assert done.stderr.startswith("2 disagreements")


def test_the_program_is_content_with_a_good_role(role):
    done = subprocess.run([sys.executable, check_specs.__file__, str(role.parent)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, universal_newlines=True)
    assert (done.returncode, done.stdout) == (0, "Defaults and argument_specs agree: gate\n")


def test_the_roles_of_this_collection_agree():
    roles = pathlib.Path(__file__).resolve().parents[4] / "roles"
    assert check_specs.check_roles(roles) == []
