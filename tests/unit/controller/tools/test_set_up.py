# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is here is found, what is missing is told, what is up to date is left alone."""

import os
import pathlib
import shutil
import subprocess
import sys

import environment
import galaxy
import interpreters
import pytest

PACKAGES = pathlib.Path(environment.ROOT) / "tests" / "tools" / "packages.sh"
HERE = "%d.%d" % sys.version_info[:2]


def _program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


# ---- interpreters

@pytest.mark.parametrize("text, found", [
    ('#!/bin/sh\nexec "%s" "$@"\n' % sys.executable, True),
    # A shim whose version is not switched on, another version under this name, something that is no program.
    ("#!/bin/sh\necho 'command not found' >&2\nexit 127\n", False),
    ("#!/bin/sh\necho '2.7 /usr/bin/python2.7'\n", False),
    ("no program", False),
])
def test_only_an_interpreter_that_starts_counts(tmp_path, monkeypatch, text, found):
    _program(tmp_path / "bin" / ("python" + HERE), text)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    assert interpreters.discover([sys.version_info[:2]]) == ({sys.version_info[:2]: sys.executable} if found else {})


def test_versions_of_pyenv_are_found_without_being_on_the_path(tmp_path, monkeypatch):
    _program(tmp_path / "pyenv" / "versions" / (HERE + ".7") / "bin" / ("python" + HERE),
             '#!/bin/sh\nexec "%s" "$@"\n' % sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert list(interpreters.discover()) == [sys.version_info[:2]]


# ---- environments

@pytest.fixture
def made(tmp_path, monkeypatch):
    """Make environments below ``tmp_path``; what would be run is noted, and pip is not."""
    commands = []

    def run(command, _output):
        commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            _program(pathlib.Path(command[3]) / "bin" / "python", "#!/bin/sh\n")
    monkeypatch.setattr(environment, "ROOT", str(tmp_path))
    monkeypatch.setattr(environment, "_run", run)
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text("one\n")
    second.write_text("two\n")

    def ensure(*requirements):
        del commands[:]
        environment.ensure(str(tmp_path / "env"), [str(tmp_path / name) for name in requirements], "python3")
        return ["venv" if "venv" in command else "pip" if environment.PIP in command else
                " ".join(os.path.basename(word) for word in command if word.endswith(".txt")) for command in commands]
    ensure.folder = tmp_path
    return ensure


def test_an_environment_is_made_once(made):
    assert made("first.txt") == ["venv", "pip", "first.txt"]
    assert made("first.txt") == []


def test_it_is_refreshed_when_the_requirements_change(made):
    made("first.txt", "second.txt")
    assert made("first.txt") == []
    (made.folder / "second.txt").write_text("two\nthree\n")
    assert made("first.txt") == []
    assert made("first.txt", "second.txt") == ["first.txt second.txt"]
    assert made("first.txt", "second.txt") == []


def test_it_is_made_anew_when_it_was_moved_or_its_interpreter_is_gone(made):
    made("first.txt")
    os.rename(str(made.folder / "env"), str(made.folder / "elsewhere"))
    os.rename(str(made.folder / "elsewhere"), str(made.folder / "env"))
    assert made("first.txt") == []
    (made.folder / "env" / environment.STAMP).write_text("/another/place\n")
    assert made("first.txt") == ["venv", "pip", "first.txt"]
    (made.folder / "env" / "bin" / "python").unlink()
    assert made("first.txt") == ["venv", "pip", "first.txt"]


def test_an_installation_that_failed_is_tried_again(made, monkeypatch):
    working = environment._run

    def failing(command, output):
        if any(word.endswith(".txt") for word in command):
            raise subprocess.CalledProcessError(1, command)
        working(command, output)
    monkeypatch.setattr(environment, "_run", failing)
    with pytest.raises(subprocess.CalledProcessError):
        made("first.txt")
    monkeypatch.setattr(environment, "_run", working)
    assert made("first.txt")[-1] == "first.txt"


# ---- packages

def _packages(tmp_path, lines, path=None):
    listing = tmp_path / "list.txt"
    listing.write_text("# a comment\n\n" + lines)
    return subprocess.run(["/bin/bash", str(PACKAGES), str(listing)], check=False, universal_newlines=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=dict(os.environ, PATH=path or os.environ["PATH"]))


def test_what_is_here_is_seen_by_command_path_and_module(tmp_path):
    done = _packages(tmp_path, "bash bash\npasswd /etc/passwd\npython3 python3:json\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("line", ["gone no-such-command", "gone /no/such/path", "gone python3:no_such_module"])
def test_what_is_missing_is_told_in_one_line_where_it_cannot_be_installed(tmp_path, line):
    # A machine without apt-get: only what the script itself calls is on its PATH.
    for name in ("sed", "id", "python3"):
        os.symlink(shutil.which(name), str(tmp_path / name))
    done = _packages(tmp_path, line + "\n", path=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == ("Please install: gone (names of Debian packages; as root on Debian or Ubuntu this is done "
                           "for you).\n")


# ---- the archive

GOOD = ["CHANGELOG.md", "LICENSES/x", "MANIFEST.json", "README.md", "indicators/a.yml", "meta/runtime.yml",
        "playbooks/site.yml", "plugins/action/a.py", "plugins/module_utils/a.py", "plugins/modules/a.py",
        "roles/r/tasks/main.yml", "toolkit/w.whl"]


def test_an_archive_that_holds_what_it_should_is_good():
    assert galaxy.judge_contents(GOOD) == []


@pytest.mark.parametrize("junk", [".ci/run", ".venv/bin/python", ".gitignore", "build/x", "collections/x", "Makefile",
                                  "tests/output/x", "incidents/i/report.html", "plugins/__pycache__/a.pyc",
                                  "ecsops-intrusion_response-0.1.0.tar.gz"])
def test_junk_in_the_archive_is_told(junk):
    assert [problem for problem in galaxy.judge_contents([*GOOD, junk]) if problem.startswith(junk)]


@pytest.mark.parametrize("needed", galaxy.NEEDED)
def test_what_the_archive_lacks_is_told(needed):
    names = [name for name in GOOD if not name.startswith(needed)]
    assert galaxy.judge_contents(names) == ["%s is not in the archive" % needed]
