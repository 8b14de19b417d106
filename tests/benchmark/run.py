# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run benchmarks, print them as a table and keep them in ``build/benchmark.json``.

The file is an object: name -> ``value``, ``unit``, ``against``, ``note``. A run of some benchmarks leaves the figures
of the others in it as they are. How to add a benchmark: see ``registry.py``.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import sys
import traceback

import registry

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FIELDS = {"value", "unit", "against", "note"}


def load(directory):
    """Import every ``bench_*.py`` of ``directory``; they register themselves."""
    # Where the collection is found under its name.
    sys.path.insert(0, str(ROOT / "build" / "collections"))
    for path in sorted(directory.glob("bench_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, str(path))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


def choose(only):
    """Return the names of a comma-separated list, or all; exits with the names that exist when one does not."""
    known = registry.BENCHMARKS
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit("There is no benchmark called %s. There are: %s"
                 % (", ".join(unknown), ", ".join(known) or "none yet"))
    return names or list(known)


def run(names):
    """Return ``({name: result}, {name: why not})`` of the benchmarks called ``names``."""
    results, failures = {}, {}
    functions = []
    for name in names:
        if registry.BENCHMARKS[name] not in functions:
            functions.append(registry.BENCHMARKS[name])
    for function in functions:
        own = [name for name, registered in registry.BENCHMARKS.items() if registered is function]
        asked = [name for name in own if name in names]
        print("Measuring %s" % ", ".join(asked), file=sys.stderr, flush=True)
        try:
            measured = _checked(function(), own)
        except registry.Unavailable as error:
            failures.update(dict.fromkeys(asked, str(error)))
        # A broken benchmark must not keep the others from being measured; what broke is shown in full.
        except (Exception, SystemExit) as error:  # noqa: BLE001 - reported, and the run fails for it
            traceback.print_exc()
            failures.update(dict.fromkeys(asked, "%s: %s" % (type(error).__name__, error)))
        else:
            results.update((name, measured[name]) for name in asked)
    return results, failures


def _checked(returned, own):
    measured = {own[0]: returned} if set(returned) == FIELDS else returned
    if set(measured) != set(own) or any(set(entry) != FIELDS for entry in measured.values()):
        raise ValueError("the benchmark of %s returned %r" % (", ".join(own), returned))
    return measured


def merge(path, results, everything):
    """Write ``results`` into the file; those already there stay, unless ``everything`` was measured anew."""
    kept = {}
    if not everything and path.exists():
        try:
            kept = json.loads(path.read_text())
        except ValueError:
            print("%s was no JSON; it is written anew" % path, file=sys.stderr)
    merged = dict(sorted({**kept, **results}.items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(merged, indent=2) + "\n")
    os.replace(str(fresh), str(path))


def table(results):
    """Return the results as lines of a table."""
    rows = [("benchmark", "value", "unit", "against", "note")]
    rows += [(name, "%g" % entry["value"], entry["unit"], entry["against"], entry["note"])
             for name, entry in sorted(results.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join([row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].ljust(widths[2]),
                       row[3].ljust(widths[3]), row[4]]).rstrip() for row in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="NAME,...", help="some of them; all when empty")
    parser.add_argument("--directory", type=pathlib.Path, default=HERE, help="where the bench_*.py files are")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "benchmark.json")
    options = parser.parse_args()
    load(options.directory)
    names = choose(options.only)
    results, failures = run(names)
    merge(options.output, results, everything=not options.only and not failures)
    print("\n".join(table(results)))
    print("Written to %s" % os.path.relpath(str(options.output)))
    for name, reason in sorted(failures.items()):
        print("%s could not be measured: %s" % (name, reason), file=sys.stderr)
    if failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
