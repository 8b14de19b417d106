# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ``ansible-test sanity`` on the present contents of the checkout, committed or not. Without arguments it also
compiles and imports the code on each Python that the machine has and ansible-test knows.

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


def prepare_copy():
    """Make :data:`COPY` a git repository of its own, which is what ansible-test lists the files with."""
    checkout.copy(COPY)
    for command in (["git", "init", "--quiet"], ["git", "add", "--all", "--force"]):
        subprocess.run(command, cwd=str(COPY), check=True, stdin=subprocess.DEVNULL)


def prepare_home():
    """Put the stand-in where this ansible-core looks for its download, and pip's settings of the user beside it."""
    from ansible_test._internal.python_requirements import get_venv_packages

    class Asked:
        version = "%d.%d" % sys.version_info[:2]

    pip = get_venv_packages(Asked)["pip"].replace(".", "_")
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / ("get_pip_%s.py" % pip)).write_text(GET_PIP)
    for name in (".config/pip", ".pip", ".netrc"):
        real, here = pathlib.Path.home() / name, HOME / name
        if real.exists() and not here.exists():
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(real)


def _environment():
    environment = dict(os.environ, HOME=str(HOME))
    # ansible-test wants to find the collection by where it stands, and each Python under its own name.
    environment.pop("ANSIBLE_COLLECTIONS_PATH", None)
    folders = [os.path.dirname(path) for path in interpreters.discover().values()]
    environment["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), *folders, environment["PATH"]])
    return environment


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arguments", nargs="*", help="passed to ansible-test sanity, after --")
    options = parser.parse_args()
    ignored = sorted((ROOT / "tests" / "sanity").glob("ignore*.txt"))
    if ignored:
        sys.exit("The sanity tests pass here without exceptions; remove %s" % ", ".join(map(str, ignored)))
    prepare_copy()
    prepare_home()
    command = [os.path.join(os.path.dirname(sys.executable), "ansible-test"), "sanity", "--color", "no"]
    command += options.arguments
    log = COPY.parents[2] / "output.log"
    with open(str(log), "w") as stream:
        code = _run(command, stream)
    words = log.read_text(errors="replace")
    began = set(re.findall(r'^Running sanity test "([\w-]+)"', words, re.MULTILINE))
    failed = re.search(r"^FATAL: The (\d+) sanity test", words, re.MULTILINE)
    if code and not failed:
        # It did not come to the tests: all that it said may matter.
        print(words)
    failures = int(failed.group(1)) if failed else int(code != 0)
    summary.tell(len(began) - min(failures, len(began)), failures, note="ansible-test sanity without ignore entries")
    if code or not began:
        sys.exit("ansible-test sanity failed; all that it said is in %s" % log.relative_to(ROOT))
    print("%d sanity tests passed" % len(began))


def _run(command, stream):
    """Run ansible-test with its words into ``stream``; its tests and what they complain about are shown as well."""
    process = subprocess.Popen(command, cwd=str(COPY), env=_environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    complaint = False
    with process.stdout:
        for line in process.stdout:
            stream.write(line)
            complaint = line.startswith(("ERROR:", "FATAL:")) or (complaint and not line.startswith("Running "))
            if complaint or line.startswith("Running sanity test "):
                print(line, end="", flush=True)
    return process.wait()


if __name__ == "__main__":
    main()
