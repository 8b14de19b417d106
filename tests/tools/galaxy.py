# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the collection as it would be published, look into the archive, and let Galaxy's importer judge it."""

import os
import re
import subprocess
import sys
import tarfile

import checkout
import summary

BUILD = checkout.ROOT / "build" / "galaxy"
BIN = os.path.dirname(sys.executable)

# Nothing in the archive may begin with one of these: it serves the making of the collection, not its use.
MAKING = (".", "Makefile", "ansible.cfg", "build", "collections", "incidents", "molecule", "pytest.ini", "requirements",
          "ruff.toml", "tests")
# Without these the collection does not work, or the importer or the licences object.
NEEDED = ("CHANGELOG.md", "LICENSES/", "README.md", "indicators/", "meta/runtime.yml", "playbooks/site.yml",
          "plugins/action/", "plugins/module_utils/", "plugins/modules/", "roles/", "toolkit/")

# See .ansible-lint, which the importer does not read.
KNOWN_WARNING = "fqcn[canonical]"


def build():
    """Return the path of the archive of the present contents of the checkout."""
    source = BUILD / "source"
    checkout.copy(source)
    subprocess.run([os.path.join(BIN, "ansible-galaxy"), "collection", "build", "--force", "--output-path", str(BUILD),
                    str(source)], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    archives = sorted(BUILD.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)
    return archives[-1]


def judge_contents(names):
    """Return what is wrong with the list of file names in the archive, as sentences."""
    problems = []
    for name in sorted(names):
        parts = name.split("/")
        making = any(parts[0] == word or (word == "." and parts[0].startswith(".")) for word in MAKING)
        if making or "__pycache__" in parts or name.endswith((".pyc", ".retry", ".tar.gz")):
            problems.append("%s does not belong into the archive: see build_ignore in galaxy.yml" % name)
    for needed in NEEDED:
        if not any(name == needed or (needed.endswith("/") and name.startswith(needed)) for name in names):
            problems.append("%s is not in the archive" % needed)
    return problems


def run_importer(archive):
    """Return ``(exit code, complaints)`` of galaxy-importer; all that it said is kept beside the archive."""
    environment = dict(os.environ, GALAXY_IMPORTER_CHECK_REQUIRED_TAGS="true")
    # It would find the checkout instead of the archive's contents.
    environment.pop("ANSIBLE_COLLECTIONS_PATH", None)
    done = subprocess.run([sys.executable, "-m", "galaxy_importer.main", str(archive)], cwd=str(BUILD), check=False,
                          env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True)
    (BUILD / "importer.log").write_text(done.stdout)
    complaints = [line for line in done.stdout.splitlines()
                  if re.match(r"(ERROR|CRITICAL|WARNING)\b", line) and KNOWN_WARNING not in line]
    return done.returncode, complaints


def main():
    with checkout.alone("galaxy"):
        judge()


def judge():
    """Build the archive and judge it; exits when something is wrong with it."""
    archive = build()
    with tarfile.open(str(archive)) as opened:
        names = [member.name for member in opened.getmembers() if member.isfile()]
    print("%s: %d files, %.0f kB" % (archive.relative_to(checkout.ROOT), len(names), archive.stat().st_size / 1000.0))
    problems = judge_contents(names)
    code, complaints = run_importer(archive)
    for line in problems + complaints:
        print(line)
    wrong = bool(problems) + bool(code or [line for line in complaints if not line.startswith("WARNING")])
    summary.tell(2 - wrong, wrong, note="contents of the archive, galaxy-importer")
    if code and not complaints:
        print((BUILD / "importer.log").read_text())
    if wrong:
        sys.exit("The collection would not be accepted as it is (all that the importer said: %s)"
                 % (BUILD / "importer.log").relative_to(checkout.ROOT))
    print("The archive holds what it should, and the Galaxy importer accepts it")


if __name__ == "__main__":
    main()
