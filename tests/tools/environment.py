# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make or refresh a virtual environment: ``environment.py DIRECTORY REQUIREMENTS...``.

Does nothing, quickly, while the requirements, the interpreter and the place of the environment are
what they were; so every make target may call it. Runs on any Python 3.6 or later.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys

import checkout
import interpreters

STAMP = ".requirements-installed"
ROOT = str(checkout.ROOT)


# What comes with Python 3.6 is older than the tags of today's wheels. 21.3 is the last pip for it.
PIP = "pip >= 20.3, < 22 ; python_version < '3.7'"
QUIETLY = ("-qq", "--disable-pip-version-check")


def ensure(directory, requirements, python, output=None):
    """Make ``directory`` an environment of ``python`` in which ``requirements`` (files) are installed.

    :param python: path of the interpreter, or a function that returns one when it is needed.
    :param output: an open file for what venv and pip say; standard output and error when ``None``.
    :returns: the path of the environment's interpreter.
    :raises subprocess.CalledProcessError: pip could not install them; its output was shown.
    """
    directory = os.path.abspath(directory)
    executable = os.path.join(directory, "bin", "python")
    stamp = os.path.join(directory, STAMP)
    # Two makes side by side must not install into one environment at a time.
    with checkout.alone(os.path.basename(directory)):
        installed = _read_lines(stamp) if _starts(executable) else []
        # A moved environment is broken: its scripts carry the old path.
        if not installed or installed[0] != directory:
            shutil.rmtree(directory, ignore_errors=True)
            installed = [directory]
            chosen = python() if callable(python) else python
            print("Making the virtual environment %s with %s" % (os.path.relpath(directory), chosen), flush=True)
            _run([chosen, "-m", "venv", directory], output)
            _run([executable, "-m", "pip", "install", *QUIETLY, "--upgrade", PIP], output)
        wanted = [_digest(path) for path in requirements]
        if not set(wanted) <= set(installed):
            command = [executable, "-m", "pip", "install", *QUIETLY]
            for path in requirements:
                command += ["--requirement", path]
            _run(command, output)
            # Of what was installed before, only the sets asked for now are known to hold still.
            _write_lines(stamp, [directory] + wanted)
    return executable


def controller_python():
    """Return the path of the interpreter which the controller's environment is made with."""
    found = interpreters.discover(interpreters.CONTROLLER_VERSIONS)
    for version in interpreters.CONTROLLER_VERSIONS:
        if version in found:
            return found[version]
    raise SystemExit("No Python 3.10 to 3.13 with venv and ensurepip was found. Install one "
                     "(Debian and Ubuntu: python3 python3-venv).")


def target(version, python, output=None):
    """Make the environment for tests of what runs on hosts on one Python; return its interpreter."""
    return ensure(os.path.join(ROOT, ".cache", "venvs", "%d.%d" % version), [_list("target")], python, output)


def core(name, found, output=None):
    """Make the environment of one ansible-core of :data:`interpreters.CORES`; return its interpreter.

    :param found: what :func:`interpreters.discover` found. :returns: ``None`` where no Python for it is there.
    """
    for version in interpreters.CORES[name]:
        if version in found:
            return ensure(os.path.join(ROOT, ".cache", "venvs", name), [_list(name), _list("target")],
                          found[version], output)
    return None


def _list(name):
    return os.path.join(ROOT, "requirements", name + ".txt")


def _run(command, output):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _starts(executable):
    if not os.path.exists(executable):
        return False
    return subprocess.run([executable, "-c", ""], check=False, stderr=subprocess.DEVNULL).returncode == 0


def _digest(path):
    with open(path, "rb") as stream:
        return "%s %s" % (os.path.basename(path), hashlib.sha256(stream.read()).hexdigest())


def _read_lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as stream:
        return stream.read().splitlines()


def _write_lines(path, lines):
    with open(path + ".new", "w") as stream:
        stream.write("\n".join(lines) + "\n")
    os.replace(path + ".new", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("requirements", nargs="+")
    options = parser.parse_args()
    try:
        ensure(options.directory, options.requirements, controller_python)
    except subprocess.CalledProcessError as error:
        sys.exit("The virtual environment could not be made: '%s' failed. The packages come from the Python package "
                 "registry that pip is set up for." % " ".join(error.cmd))


if __name__ == "__main__":
    main()
