# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark harness keeps what it did not measure anew, and never shows a figure that is none."""

import json
import pathlib
import subprocess
import sys

import pytest

RUN = pathlib.Path(__file__).resolve().parents[3] / "benchmark" / "run.py"

BENCHMARKS = '''
from registry import Unavailable, benchmark, result

@benchmark("one.fast")
def fast():
    return result(2, "times faster", "the slow way", "n = 3")

@benchmark("two.left", "two.right")
def both():
    return {"two.left": result(1.23456, "s", "nothing"), "two.right": result(4, "s", "nothing")}
'''
BROKEN = '''
from registry import Unavailable, benchmark, result

@benchmark("broken.raises")
def raises():
    raise KeyError("gone")

@benchmark("broken.exits")
def exits():
    raise SystemExit("enough")

@benchmark("broken.shape")
def shape():
    return {"value": 1}

@benchmark("broken.absent")
def absent():
    raise Unavailable("needs a moon")
'''
FAST = {"value": 2.0, "unit": "times faster", "against": "the slow way", "note": "n = 3"}


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "bench_good.py").write_text(BENCHMARKS)
    output = tmp_path / "out" / "benchmark.json"

    def run(*arguments):
        done = subprocess.run([sys.executable, str(RUN), "--directory", str(tmp_path), "--output", str(output),
                               *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, universal_newlines=True)
        return done, json.loads(output.read_text()) if output.exists() else None
    run.folder = tmp_path
    run.output = output
    return run


def test_all_are_measured_and_shown(bench):
    done, written = bench()
    assert done.returncode == 0
    assert written == {
        "one.fast": FAST,
        "two.left": {"value": 1.2346, "unit": "s", "against": "nothing", "note": ""},
        "two.right": {"value": 4.0, "unit": "s", "against": "nothing", "note": ""},
    }
    assert done.stdout.splitlines()[1].split() == ["one.fast", "2", "times", "faster", "the", "slow", "way",
                                                   "n", "=", "3"]


def test_some_leave_the_others_as_they_were(bench):
    before = {"one.fast": dict(FAST, value=9.0), "two.left": dict(FAST, value=8.0), "other.thing": FAST}
    bench.output.parent.mkdir()
    bench.output.write_text(json.dumps(before))
    done, written = bench("--only", "two.left")
    assert done.returncode == 0
    assert written == dict(before, **{"two.left": {"value": 1.2346, "unit": "s", "against": "nothing", "note": ""}})
    assert "two.right" not in done.stdout


def test_a_full_run_forgets_what_is_no_longer_measured(bench):
    bench.output.parent.mkdir()
    bench.output.write_text(json.dumps({"old.thing": FAST}))
    assert "old.thing" not in bench()[1]


def test_an_unknown_name_is_told_with_those_that_exist(bench):
    done, written = bench("--only", "one.fast,one.slow")
    assert done.returncode == 1
    assert "no benchmark called one.slow" in done.stderr
    assert "one.fast, two.left, two.right" in done.stderr
    assert written is None


def test_what_cannot_be_measured_fails_the_run_and_is_never_a_figure(bench):
    (bench.folder / "bench_broken.py").write_text(BROKEN)
    bench.output.parent.mkdir()
    bench.output.write_text(json.dumps({"broken.absent": FAST}))
    done, written = bench()
    assert done.returncode == 1
    assert written["one.fast"] == FAST
    # The old figure stays, a new one is not made up.
    assert written["broken.absent"] == FAST
    assert not {"broken.raises", "broken.exits", "broken.shape"} & set(written)
    assert "broken.absent could not be measured: needs a moon" in done.stderr
    assert "broken.raises could not be measured: KeyError: 'gone'" in done.stderr
    assert "broken.exits could not be measured: SystemExit: enough" in done.stderr
    assert "broken.shape could not be measured: ValueError" in done.stderr


def test_a_damaged_file_is_written_anew(bench):
    bench.output.parent.mkdir()
    bench.output.write_text("{")
    done, written = bench("--only", "one.fast")
    assert (done.returncode, written) == (0, {"one.fast": FAST})


def test_two_benchmarks_of_one_name_are_refused(bench):
    (bench.folder / "bench_twice.py").write_text(BENCHMARKS)
    done, written = bench()
    assert done.returncode == 1
    assert "two benchmarks are called one.fast" in done.stderr
    assert written is None
