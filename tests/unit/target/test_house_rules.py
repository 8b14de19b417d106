# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules that docs/architecture.md sets for all code, held against the code itself on each interpreter."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PLUGINS = ROOT / "plugins"
UTILS = PLUGINS / "module_utils"
PREFIX = "ansible_collections.ecsops.intrusion_response.plugins.module_utils."

# Runs on the controller, with the controller's Python and libraries.
CONTROLLER_ROOMS = ("edge", "cloud")
# Which floor a room of module_utils is on. A file directly in module_utils is the frame around the rooms.
FLOORS = {"errors": 0, "finding": 0, "host": 1, "login": 1, "edge": 1, "cloud": 1, "detect": 2, "respond": 2}
FRAME = 3
# Gone in some Python from 3.6 to 3.13.
REMOVED_MODULES = {
    "aifc", "asynchat", "asyncore", "cgi", "cgitb", "chunk", "crypt", "distutils", "imghdr", "imp", "lib2to3",
    "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "pipes", "pkg_resources", "sndhdr", "spwd", "sunau",
    "telnetlib", "uu", "xdrlib",
}
COPYRIGHT = "".join([
    "# Copyright (c) 2026, the ecsops.intrusion_response contributors\n",
    "# GNU General Public License v3.0+ ",
    "(see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)\n",
    "# SPDX-License-Identifier: GPL-3.0-or-later\n",
])


def _sources(*directories):
    return sorted(path for directory in directories for path in directory.rglob("*.py"))


def _name(path):
    return str(path.relative_to(ROOT))


def _read(path):
    return path.read_text(encoding="utf-8")


def _imports(path):
    """Return ``[(line number, dotted name)]``; for ``from a import b`` both ``a`` and ``a.b``."""
    result = []
    for node in ast.walk(ast.parse(_read(path), str(path))):
        if isinstance(node, ast.Import):
            result.extend((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "%s:%d: a relative import" % (_name(path), node.lineno)
            result.append((node.lineno, node.module))
            result.extend((node.lineno, "%s.%s" % (node.module, alias.name)) for alias in node.names)
    return result


def _room(dotted):
    """Return the room or file directly below module_utils that ``dotted`` lies in, or ``None``."""
    return dotted[len(PREFIX):].split(".")[0] if dotted.startswith(PREFIX) else None


TARGET_SOURCES = [path for path in _sources(UTILS, PLUGINS / "modules")
                  if not set(path.relative_to(PLUGINS).parts) & set(CONTROLLER_ROOMS)]
# The one file between Ansible and the logic.
JUNCTION = UTILS / "incident_module.py"
UTIL_SOURCES = [path for path in _sources(UTILS) if _read(path).strip()]


@pytest.mark.parametrize("path", TARGET_SOURCES, ids=_name)
def test_what_runs_on_hosts_compiles_here(path):
    compile(_read(path), str(path), "exec")


@pytest.mark.parametrize("path", TARGET_SOURCES, ids=_name)
def test_no_module_that_some_python_has_lost(path):
    assert [item for item in _imports(path) if item[1].split(".")[0] in REMOVED_MODULES] == []


@pytest.mark.parametrize("path", UTIL_SOURCES, ids=_name)
def test_imports_never_go_up_nor_across(path):
    own = path.relative_to(UTILS).with_suffix("").parts[0]
    floor = FLOORS.get(own, FRAME)
    wrong = []
    for line, dotted in _imports(path):
        room = _room(dotted)
        if room is None or room == own:
            continue
        other = FLOORS.get(room, FRAME)
        # Files of the ground floor and of the frame may use each other; rooms may not.
        if other > floor or (other == floor and floor in (1, 2)):
            wrong.append((line, dotted))
    assert wrong == [], "%s imports from a floor above or a room beside it" % _name(path)


@pytest.mark.parametrize("path", [path for path in UTIL_SOURCES if path != JUNCTION], ids=_name)
def test_logic_does_not_know_ansible(path):
    assert [item for item in _imports(path) if item[1].split(".")[0] == "ansible"] == []


@pytest.mark.parametrize("path", [path for path in _sources(PLUGINS, ROOT / "tests") if _read(path).strip()], ids=_name)
def test_every_file_carries_the_licence(path):
    words = _read(path)
    if words.startswith("#!"):
        words = words.split("\n", 1)[1]
    assert words.startswith(COPYRIGHT), "%s does not begin with the three lines of copyright" % _name(path)
