# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run molecule scenarios, two side by side: most of a scenario is waiting for its hosts."""

import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time

import summary

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGS = ROOT / "build" / "molecule"
BIN = os.path.dirname(sys.executable)


def known_scenarios():
    """Return the names of all scenarios."""
    return sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))


def run(name, command):
    """Run one molecule command on one scenario; return ``(name, exit code, seconds, log)``."""
    begin = time.monotonic()
    environment = dict(os.environ, NO_COLOR="1", MOLECULE_COMMAND_BORDERS="false",
                       # Two checkouts must not share it, which they would by molecule's own choice.
                       MOLECULE_EPHEMERAL_DIRECTORY=str(LOGS / name),
                       ANSIBLE_COLLECTIONS_PATH=str(ROOT / "build" / "collections"))
    log = LOGS / (name + ".log")
    with open(str(log), "w") as stream:
        code = subprocess.run([os.path.join(BIN, "molecule"), command, "--scenario-name", name], cwd=str(ROOT),
                              env=environment, check=False, stdin=subprocess.DEVNULL, stdout=stream,
                              stderr=subprocess.STDOUT).returncode
    return name, code, time.monotonic() - begin, log


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="NAME,...", help="some scenarios; all when empty")
    parser.add_argument("--command", default="test", help="molecule's command: test, converge, verify, destroy, ...")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="side by side (%(default)s)")
    options = parser.parse_args()
    known = known_scenarios()
    names = [name.strip() for name in options.only.split(",") if name.strip()] or known
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit("There is no scenario called %s. There are: %s" % (", ".join(unknown), ", ".join(known)))
    LOGS.mkdir(parents=True, exist_ok=True)
    failed = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(run, name, options.command) for name in names]
        for future in concurrent.futures.as_completed(futures):
            name, code, seconds, log = future.result()
            if code or len(names) == 1:
                print(log.read_text(errors="replace"))
            if code:
                failed.append(name)
            print("molecule %-20s %-6s %.0f s" % (name, "FAILED" if code else "ok", seconds), flush=True)
    summary.tell(len(names) - len(failed), len(failed), note="scenarios: " + ", ".join(names))
    if failed:
        sys.exit("Scenarios failed: %s (logs in %s)" % (", ".join(sorted(failed)), LOGS.relative_to(ROOT)))


if __name__ == "__main__":
    main()
