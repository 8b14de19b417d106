# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run all parts of the tests, also after one has failed, and tell at the end how each came out.

The last line counts the single tests: those of pytest, of ansible-test, the linters, the scenarios.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import summary

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Cheap ones first: what is wrong shows early.
PARTS = ("specs", "lint", "unit", "sanity", "galaxy", "molecule", "prove")


def run(part, folder):
    """Run ``make part``; return what it counted, with ``seconds`` and ``ok`` beside.

    :param folder: where the part may tell its counts.
    """
    told = folder / (part + ".json")
    print("\n===== make %s" % part, flush=True)
    begin = time.monotonic()
    code = subprocess.run(["make", "--no-print-directory", part], cwd=str(ROOT), check=False, stdin=subprocess.DEVNULL,
                          stderr=subprocess.STDOUT, env=dict(os.environ, **{summary.VARIABLE: str(told)})).returncode
    counts = summary.read(str(told)) or {"passed": int(code == 0), "failed": 0, "skipped": 0, "note": ""}
    if code and not counts["failed"]:
        # It ended before or beside its tests: that is a failure of its own.
        counts["failed"] = 1
    return dict(counts, ok=code == 0, seconds=time.monotonic() - begin)


def main():
    with tempfile.TemporaryDirectory() as folder:
        results = {part: run(part, pathlib.Path(folder)) for part in PARTS}
    row = "%-10s %-7s %7s %7s %7s %8s  %s"
    print("\n" + row % ("part", "result", "passed", "failed", "skipped", "seconds", "what"))
    for part, result in results.items():
        print(row % (part, "ok" if result["ok"] else "FAILED", result["passed"], result["failed"], result["skipped"],
                     "%.0f" % result["seconds"], result["note"]))
    total = {key: sum(result[key] for result in results.values()) for key in ("passed", "failed", "skipped", "seconds")}
    print(row % ("all", "", total["passed"], total["failed"], total["skipped"], "%.0f" % total["seconds"], "") + "\n")
    failed = [part for part, result in results.items() if not result["ok"]]
    if failed:
        print("Failed: %s. Each runs alone: make %s" % (", ".join(failed), failed[0]))
    print("%d passed, %d failed%s" % (total["passed"], total["failed"],
                                      ", %d skipped" % total["skipped"] if total["skipped"] else ""))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
