# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which Pythons this machine really has.

Run as a program, it prints one line an interpreter: version and path.
"""

import glob
import os
import shutil
import subprocess

TARGET_VERSIONS = tuple((3, minor) for minor in range(6, 14))
# ansible-core 2.19 on 3.11 is what the collection is developed with; the others follow by age.
CONTROLLER_VERSIONS = ((3, 11), (3, 12), (3, 13), (3, 10))
# The oldest and the newest ansible-core that the collection supports, and the Pythons they run on.
CORES = {
    "core-2.16": ((3, 12), (3, 11), (3, 10)),
    "core-2.21": ((3, 13), (3, 12)),
}

_PROBE = "import sys, venv, ensurepip, ssl; print('%d.%d' % sys.version_info[:2], sys.executable)"


def discover(versions=TARGET_VERSIONS):
    """Return ``{(major, minor): path}`` of the interpreters that start, can make a virtual environment and speak TLS.

    Looked for on PATH and among the versions of pyenv, whose shims answer to a name even where
    the version behind it is not switched on.
    """
    found = {}
    for version in versions:
        for candidate in _candidates(version):
            path = _probe(candidate, version)
            if path:
                found[version] = path
                break
    return found


def _candidates(version):
    name = "python%d.%d" % version
    on_path = shutil.which(name)
    if on_path:
        yield on_path
    yield from sorted(glob.glob(os.path.join(_pyenv_root(), "versions", "%d.%d.*" % version, "bin", name)))


def _pyenv_root():
    pyenv = shutil.which("pyenv")
    if not pyenv:
        return os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    answer = subprocess.run([pyenv, "root"], stdout=subprocess.PIPE, check=True, universal_newlines=True)
    return answer.stdout.strip()


def _probe(candidate, version):
    try:
        answer = subprocess.run([candidate, "-c", _PROBE], check=False, timeout=60, universal_newlines=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    said, _blank, path = answer.stdout.strip().partition(" ")
    return path if answer.returncode == 0 and said == "%d.%d" % version else None


if __name__ == "__main__":
    for (major, minor), executable in sorted(discover().items()):
        print("%d.%d %s" % (major, minor, executable))
