# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ``ansible-test sanity`` on the present contents of the checkout, committed or not. Without arguments it also
compiles and imports the code on each Python from 3.6 to 3.13 that the machine has.

ansible-test follows symbolic links to where a file really is, so it needs a copy at a path that ends in
``ansible_collections/ecsops/intrusion_response``.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

import checkout
import environment
import interpreters
import summary

ROOT = checkout.ROOT
COPY = ROOT / "build" / "sanity" / "ansible_collections" / "ecsops" / "intrusion_response"
# ansible-test keeps its environments below the home directory. A home of its own keeps the stand-in
# below away from what other projects of the same user download.
HOME = ROOT / ".cache" / "ansible-test"

# ansible-test begins each of its environments with a script that it downloads and that carries pip. Python
# brings pip along (ensurepip), so the copy that ansible-test looks for first can do without the network.
GET_PIP = '''\
import subprocess
import sys

if __name__ == "__main__":
    subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL)
    given = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
    subprocess.check_call([sys.executable, "-m", "pip", "install"] + given)
else:
    # Later calls ask for this module by name and want pip itself.
    raise ImportError("only to be run")
'''

ASK_PIP = """
from ansible_test._internal.python_requirements import get_venv_packages
import sys
class Asked: version = "%d.%d" % sys.version_info[:2]
print(get_venv_packages(Asked)["pip"])
"""

# The ansible-test of newer cores knows these no more, that of the oldest core still does.
OLDEST = "core-2.16"
FOR_THE_OLD = ((3, 6), (3, 7))


def prepare_copy():
    """Make :data:`COPY` a git repository of its own, which is what ansible-test lists the files with."""
    checkout.copy(COPY)
    for command in (["git", "init", "--quiet"], ["git", "add", "--all", "--force"]):
        subprocess.run(command, cwd=str(COPY), check=True, stdin=subprocess.DEVNULL)


def prepare_home(python):
    """Put the stand-in where this Python's ansible-test looks for its download, and the user's pip settings beside it.
    """
    pip = subprocess.run([python, "-c", ASK_PIP], check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / ("get_pip_%s.py" % pip.strip().replace(".", "_"))).write_text(GET_PIP)
    for name in (".config/pip", ".pip", ".netrc"):
        real, here = pathlib.Path.home() / name, HOME / name
        if real.exists() and not here.exists():
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(real)


def run(python, arguments, found, stream):
    """Run the ansible-test of ``python`` with its words into ``stream``; what it tests and complains of is shown too.

    :returns: ``(exit code, number of tests, number of failed tests)``.
    """
    variables = dict(os.environ, HOME=str(HOME))
    # ansible-test wants to find the collection by where it stands, and each Python under its own name.
    variables.pop("ANSIBLE_COLLECTIONS_PATH", None)
    folders = [os.path.dirname(path) for path in [python, *found.values()]]
    variables["PATH"] = os.pathsep.join([*folders, variables["PATH"]])
    command = [os.path.join(os.path.dirname(python), "ansible-test"), "sanity", "--color", "no", *arguments]
    process = subprocess.Popen(command, cwd=str(COPY), env=variables, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    complaint = False
    words = []
    with process.stdout:
        for line in process.stdout:
            stream.write(line)
            words.append(line)
            complaint = line.startswith(("ERROR:", "FATAL:")) or (complaint and not line.startswith("Running "))
            if complaint or line.startswith("Running sanity test "):
                print(line, end="", flush=True)
    code = process.wait()
    said = "".join(words)
    began = sum(line.startswith("Running sanity test ") for line in words)
    told = re.search(r"^FATAL: The (\d+) sanity test", said, re.MULTILINE)
    if code and not told:
        # It did not come to the tests: all that it said may matter.
        print(said)
    return code, began, int(told.group(1)) if told else int(code != 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arguments", nargs="*", help="passed to ansible-test sanity, after --")
    options = parser.parse_args()
    ignored = sorted((ROOT / "tests" / "sanity").glob("ignore*.txt"))
    if ignored:
        sys.exit("The sanity tests pass here without exceptions; remove %s" % ", ".join(map(str, ignored)))
    found = interpreters.discover()
    rounds = [(sys.executable, options.arguments)]
    old = [version for version in FOR_THE_OLD if version in found] if not options.arguments else []
    oldest_core = environment.core(OLDEST, found) if old else None
    if oldest_core:
        rounds += [(oldest_core, ["--test", "compile", "--test", "import", "--python", "%d.%d" % version])
                   for version in old]
    elif not options.arguments:
        print("Modules are not imported on Python 3.6 and 3.7: that takes one of these, and a 3.10 to 3.12 for %s"
              % OLDEST)

    with checkout.alone("sanity"):
        run_rounds(rounds, found)


def run_rounds(rounds, found):
    """Run ansible-test once for each ``(interpreter, arguments)`` of ``rounds``; exits when one fails."""
    prepare_copy()
    log = COPY.parents[2] / "output.log"
    codes, ran, failed = [], 0, 0
    with open(str(log), "w") as stream:
        for python, arguments in rounds:
            prepare_home(python)
            code, tests, failures = run(python, arguments, found, stream)
            codes.append(code)
            ran += tests
            failed += failures
    summary.tell(max(ran - failed, 0), failed, note="ansible-test without ignore entries")
    if any(codes) or not ran:
        sys.exit("ansible-test sanity failed; all that it said is in %s" % log.relative_to(ROOT))
    print("%d sanity tests passed" % ran)


if __name__ == "__main__":
    main()
