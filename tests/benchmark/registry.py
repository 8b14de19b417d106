# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where benchmarks are registered.

To add one, put a file ``bench_SUBJECT.py`` beside this one::

    from registry import benchmark, result, seconds

    @benchmark("subject.vs_other")
    def vs_other():
        "What is compared with what, in one line."
        ours, theirs = seconds(do_it_our_way), seconds(do_it_the_other_way)
        return result(theirs / ours, "times faster", "the other way", "1,000 files; ours %.3f s" % ours)

A function that measures several things on one costly setup registers several names and returns
``{name: result}``. It sets up all that it needs and takes it away again, also when it fails.
What it cannot measure it says by raising :class:`Unavailable`: a figure is real or absent.
"""

import statistics
import time

# name -> function; in the order of registration, which is the order of running.
BENCHMARKS = {}


class Unavailable(Exception):
    """This machine lacks something that the benchmark needs; the message says what."""


def benchmark(*names):
    """Register a function, which returns a :func:`result` or, for several names, a dict of them."""
    def register(function):
        for name in names:
            if name in BENCHMARKS:
                raise ValueError("two benchmarks are called %s" % name)
            BENCHMARKS[name] = function
        return function
    return register


def result(value, unit, against, note=""):
    """Return one measured figure.

    :param value: the number. :param unit: what it counts: ``"s"``, ``"times faster"``, ``"ratio"``.
    :param against: what it was measured against, in words. :param note: sizes, the raw times behind a ratio.
    """
    return {"value": round(float(value), 4), "unit": unit, "against": against, "note": note}


def seconds(function, times=5):
    """Return the median duration of ``times`` calls of ``function`` in seconds, after one call to warm up."""
    function()
    durations = []
    for _call in range(times):
        begin = time.perf_counter()
        function()
        durations.append(time.perf_counter() - begin)
    return statistics.median(durations)
