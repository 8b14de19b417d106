# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make test`` runs every part, fails when one does, and counts what really ran."""

import json
import os
import subprocess
import sys

import everything
import pytest

FAKE_MAKE = """#!/bin/sh
for part; do :; done
[ -f "%(folder)s/$part.told" ] && cp "%(folder)s/$part.told" "$PART_SUMMARY"
echo "this is $part"
exit $(cat "%(folder)s/$part.code" 2>/dev/null || echo 0)
"""


@pytest.fixture
def run_all(tmp_path):
    """Run all parts with a make of our own; ``{part: (exit code, what it tells or None)}``, the rest tells nothing."""
    make = tmp_path / "make"
    make.write_text(FAKE_MAKE % {"folder": tmp_path})
    make.chmod(0o755)

    def run(parts):
        for part, (code, told) in parts.items():
            (tmp_path / (part + ".code")).write_text(str(code))
            if told:
                (tmp_path / (part + ".told")).write_text(json.dumps(dict(
                    {"passed": 0, "failed": 0, "skipped": 0, "note": "n"}, **told)))
        return subprocess.run([sys.executable, everything.__file__], check=False, universal_newlines=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=dict(os.environ, PATH="%s:%s" % (tmp_path, os.environ["PATH"])))
    return run


@pytest.mark.parametrize("parts, code, last", [
    ({}, 0, "7 passed, 0 failed"),
    ({"unit": (0, {"passed": 40, "skipped": 2})}, 0, "46 passed, 0 failed, 2 skipped"),
    ({"unit": (1, {"passed": 40, "failed": 3})}, 1, "46 passed, 3 failed"),
    # It failed without counting a failure, or before it counted at all.
    ({"unit": (1, {"passed": 40})}, 1, "46 passed, 1 failed"),
    ({"lint": (2, None)}, 1, "6 passed, 1 failed"),
    (dict.fromkeys(everything.PARTS, (1, None)), 1, "0 passed, 7 failed"),
])
def test_the_last_line_counts_and_the_exit_code_tells(run_all, parts, code, last):
    done = run_all(parts)
    assert done.returncode == code
    assert done.stdout.splitlines()[-1] == last


def test_all_parts_run_after_one_has_failed(run_all):
    done = run_all({"specs": (1, None)})
    assert [line for line in done.stdout.splitlines() if line.startswith("this is ")] == [
        "this is " + part for part in everything.PARTS]
    rows = done.stdout.split("what\n")[1].splitlines()[:len(everything.PARTS)]
    table = {row.split()[0]: row.split()[1] for row in rows}
    assert table == dict(dict.fromkeys(everything.PARTS, "ok"), specs="FAILED")
    assert "Failed: specs. Each runs alone: make specs" in done.stdout
