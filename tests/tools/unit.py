# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the unit tests: ``tests/unit/target`` on every Python from 3.6 to 3.13 that this machine has, each in an
environment of its own without Ansible, and ``tests/unit/controller`` in the project's environment and with the oldest
and the newest ansible-core.

An interpreter that is absent is named; one that fails, fails the whole.
"""

import argparse
import concurrent.futures
import functools
import os
import subprocess
import sys
import time
from xml.etree import ElementTree

import checkout
import environment
import interpreters
import summary

CONTROLLER = "controller"
KNOWN = ["%d.%d" % version for version in interpreters.TARGET_VERSIONS] + [*interpreters.CORES, CONTROLLER]
LOGS = os.path.join("build", "unit")
LINE = 400


class Run:
    """One run of pytest: on which interpreter, what came out."""

    def __init__(self, name, tests, python):
        self.name = name
        self.tests = tests
        self.python = python
        self.log = os.path.join(LOGS, name + ".log")
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.code = None
        self.told = False
        self.seconds = 0.0

    def execute(self, arguments):
        """Make the environment when needed, run pytest, keep its words in ``log`` and its counts."""
        with checkout.alone("unit-" + self.name):
            return self._execute(arguments)

    def _execute(self, arguments):
        begin = time.monotonic()
        report = os.path.join(LOGS, self.name + ".xml")
        if os.path.exists(report):
            os.remove(report)
        with open(self.log, "w") as stream:
            try:
                python = self.python(stream)
            except subprocess.CalledProcessError as error:
                stream.seek(0, os.SEEK_END)
                stream.write("The environment could not be made: %s\n" % error)
                self.code = 1
                return self
            command = [python, "-m", "pytest", self.tests, "--junit-xml", report, *arguments]
            self.code = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=stream,
                                       stderr=subprocess.STDOUT).returncode
        if os.path.exists(report):
            self.counts = _counts(report)
        self.seconds = time.monotonic() - begin
        return self

    def tell(self, whole):
        """Print the outcome; when it failed, the log: all of it, or (``whole`` false) which tests did."""
        verdict = "ok" if self.code == 0 else "FAILED"
        with open(self.log, errors="replace") as stream:
            # A line may carry a whole file that a test compared; the log has it all.
            words = "\n".join(line[:LINE] + ("..." if len(line) > LINE else "") for line in stream.read().splitlines())
        if self.code != 0:
            # What fails on one interpreter mostly fails on the others in the same way.
            print(words if whole else words[max(words.find("=== short test summary"), 0):])
        else:
            skips = [line for line in words.splitlines() if line.startswith("SKIPPED")]
            print("".join("    %s\n" % line for line in skips), end="")
        print("unit %-10s %-6s %4d passed, %d failed, %d skipped, %.0f s" % (
            self.name, verdict, self.counts["passed"], self.counts["failed"], self.counts["skipped"], self.seconds),
            flush=True)
        self.told = True


def _counts(report):
    suite = ElementTree.parse(report).getroot().find("testsuite")  # noqa: S314 - pytest wrote it a moment ago
    total, failures, errors, skipped = (int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped"))
    return {"passed": total - failures - errors - skipped, "failed": failures + errors, "skipped": skipped}


def _possible_runs():
    """Return the runs that this machine is able to do."""
    found = interpreters.discover()
    target, controller = (os.path.join("tests", "unit", name) for name in ("target", "controller"))
    runs = [Run("%d.%d" % version, target, functools.partial(environment.target, version, path))
            for version, path in sorted(found.items())]
    runs += [Run(name, controller, functools.partial(environment.core, name, found))
             for name, versions in interpreters.CORES.items() if set(versions) & set(found)]
    return [*runs, Run(CONTROLLER, controller, lambda _output: sys.executable)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="NAME,...", help="some of: %s" % ", ".join(KNOWN))
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="side by side (%(default)s)")
    parser.add_argument("arguments", nargs="*", help="passed to pytest, after --")
    options = parser.parse_args()
    os.makedirs(LOGS, exist_ok=True)

    wanted = [name for name in options.only.split(",") if name] or KNOWN
    unknown = sorted(set(wanted) - set(KNOWN))
    if unknown:
        sys.exit("Unknown: %s. There are: %s" % (", ".join(unknown), ", ".join(KNOWN)))

    runs = [run for run in _possible_runs() if run.name in wanted]
    present = [run.name for run in runs]
    absent = [name for name in wanted if name not in present]
    if absent:
        print("Not tested for want of the interpreter: %s" % ", ".join(absent))
    if not runs:
        sys.exit("None of the interpreters asked for is on this machine.")

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        # The controller's tests take longest: they begin first.
        futures = [pool.submit(run.execute, options.arguments) for run in reversed(runs)]
        for future in concurrent.futures.as_completed(futures):
            run = future.result()
            run.tell(whole=not any(other.told and other.code for other in runs))

    total = {key: sum(run.counts[key] for run in runs) for key in ("passed", "failed", "skipped")}
    failed = [run.name for run in runs if run.code != 0]
    note = "on " + ", ".join(run.name for run in runs)
    if absent:
        note += "; absent: " + ", ".join(absent)
    # A run can fail before it counts anything.
    summary.tell(total["passed"], max(total["failed"], len(failed)), total["skipped"], note)
    print("Unit tests %s" % note, flush=True)
    if failed:
        sys.exit("Failed on: %s (logs in %s)" % (", ".join(failed), LOGS))


if __name__ == "__main__":
    main()
