# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run every linter, also after one has failed; what they demand stands in their own configuration files."""

import os
import subprocess
import sys

import summary

BIN = os.path.dirname(sys.executable)
LINTERS = (
    ("ruff", "check", "--output-format", "concise"),
    ("yamllint", "--strict", "--format", "parsable", "."),
    ("antsibull-changelog", "lint"),
    ("ansible-lint", "--offline", "--format", "pep8"),
)


def main():
    failed = []
    for linter in LINTERS:
        command = [os.path.join(BIN, linter[0]), *linter[1:]]
        done = subprocess.run(command, check=False, env=dict(os.environ, NO_COLOR="1"), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        if done.returncode != 0:
            failed.append(linter[0])
            print(done.stdout.rstrip())
        print("%s: %s" % (linter[0], "failed" if done.returncode else "nothing to complain about"), flush=True)
    summary.tell(len(LINTERS) - len(failed), len(failed), note=", ".join(linter[0] for linter in LINTERS))
    if failed:
        sys.exit("Lint failed: %s" % ", ".join(failed))


if __name__ == "__main__":
    main()
