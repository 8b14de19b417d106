# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal: what is written comes back, and whatever is done to the file shows."""

import hashlib
import json
import os
import resource
import subprocess
import sys

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils import journal
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "journal" / "web1.jsonl")


def write(path, count=4):
    for number in range(count):
        journal.append(path, {"host": "web1", "task": "step %d" % number})


def lines_of(path):
    with open(path, "rb") as stream:
        return stream.read().splitlines(keepends=True)


def put(path, lines):
    with open(path, "wb") as stream:
        stream.write(b"".join(lines))


def test_what_is_appended_comes_back_chained(path):
    first = journal.append(path, {"host": "web1", "msg": "Grüße \x1b[31m \udcff"})
    second = journal.append(path, {"host": "web1", "findings": [{"rule": "a.b"}]})
    entries, problems = journal.read(path)
    assert problems == []
    assert [(entry["seq"], entry["prev"], entry["hash"]) for entry in entries] == [
        (1, journal.GENESIS, first), (2, first, second)]
    assert entries[0]["msg"] == "Grüße \x1b[31m \udcff"
    assert journal.verify(path) == []


def test_each_line_is_canonical_json_and_its_hash_can_be_recomputed_by_anybody(path):
    write(path)
    for line in lines_of(path):
        entry = json.loads(line)
        assert json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n" == line
        digest = entry.pop("hash")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        assert hashlib.sha256(text.encode()).hexdigest() == digest


def test_only_the_owner_may_read_it(path):
    write(path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(journal.head_path(path)).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700


def changed(lines):
    lines[1] = lines[1].replace(b"step 1", b"step X")


def changed_and_hashed_again(lines):
    entry = json.loads(lines[1])
    entry["task"] = "step X"
    entry["hash"] = journal.entry_hash(entry)
    lines[1] = journal.canonical(entry).encode() + b"\n"


def removed(lines):
    del lines[1]


def swapped(lines):
    lines[1], lines[2] = lines[2], lines[1]


def repeated(lines):
    lines.insert(2, lines[1])


def first_removed(lines):
    del lines[0]


def last_removed(lines):
    del lines[-1]


def all_removed(lines):
    del lines[:]


def last_cut_in_the_middle(lines):
    lines[-1] = lines[-1][:40]


def last_without_line_end(lines):
    lines[-1] = lines[-1].rstrip(b"\n")


def garbage(lines):
    lines[1] = b"\xff\x00 not json\n"


def other_json(lines):
    lines[1] = b"[1,2,3]\n"


def not_a_number(lines):
    lines[1] = lines[1].replace(b'"step 1"', b"NaN")


def bottomless(lines):
    lines[1] = b"[" * 100000 + b"\n"


def last_changed_and_hashed_again(lines):
    entry = json.loads(lines[3])
    entry["task"] = "step X"
    entry["hash"] = journal.entry_hash(entry)
    lines[3] = journal.canonical(entry).encode() + b"\n"


@pytest.mark.parametrize("tamper, kept, said", [
    (changed, 4, ["Line 2 was changed"]),
    (changed_and_hashed_again, 4, ["Line 3 does not follow"]),
    (removed, 3, ["Line 2 does not follow the line before it (number 3 after 1)"]),
    (swapped, 4, ["Line 2 does not follow", "Line 3 does not follow", "Line 4 does not follow"]),
    (repeated, 5, ["Line 3 does not follow"]),
    (first_removed, 3, ["Line 1 does not follow the line before it (number 2 after 0)"]),
    (last_removed, 3, ["The newest lines are missing or changed: number 4"]),
    (all_removed, 0, ["The newest lines are missing or changed: number 4"]),
    (last_cut_in_the_middle, 3, ["Line 4 is not whole", "The newest lines are missing"]),
    (last_without_line_end, 4, ["Line 4 is not whole"]),
    (garbage, 3, ["Line 2 is not a journal entry", "Line 3 does not follow"]),
    (other_json, 3, ["Line 2 is not a journal entry", "Line 3 does not follow"]),
    (not_a_number, 3, ["Line 2 is not a journal entry", "Line 3 does not follow"]),
    (bottomless, 3, ["Line 2 is not a journal entry", "Line 3 does not follow"]),
    (last_changed_and_hashed_again, 4, ["The newest lines are missing or changed: number 4"]),
], ids=lambda value: getattr(value, "__name__", None))
def test_tampering_shows(path, tamper, kept, said):
    write(path)
    lines = lines_of(path)
    tamper(lines)
    put(path, lines)
    entries, problems = journal.read(path)
    assert len(entries) == kept
    assert len(problems) == len(said)
    for problem, beginning in zip(problems, said):
        assert problem.startswith(beginning)


def test_without_the_record_of_the_newest_line_the_chain_alone_counts(path):
    write(path)
    os.unlink(journal.head_path(path))
    assert journal.verify(path) == []


def test_a_record_of_the_newest_line_that_lags_behind_is_fine(path):
    write(path, 2)
    with open(journal.head_path(path)) as stream:
        early = stream.read()
    write(path, 2)
    with open(journal.head_path(path), "w") as stream:
        stream.write(early)
    assert journal.verify(path) == []


def test_after_a_crash_in_the_midst_of_a_line_the_chain_goes_on_and_the_remains_stay(path):
    write(path, 2)
    with open(journal.head_path(path)) as stream:
        head = stream.read()
    write(path, 1)
    lines = lines_of(path)
    put(path, lines[:2] + [lines[2][:50]])
    with open(journal.head_path(path), "w") as stream:
        stream.write(head)
    journal.append(path, {"task": "after the crash"})
    entries, problems = journal.read(path)
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    assert problems == ["Line 3 is not a journal entry: it is damaged, or its writer was interrupted."]
    assert lines_of(path)[2] == lines[2][:50] + b"\n"


def test_a_last_line_that_lost_only_its_end_is_kept_in_the_chain(path):
    write(path, 2)
    put(path, [lines_of(path)[0], lines_of(path)[1].rstrip(b"\n")])
    journal.append(path, {"task": "next"})
    assert journal.verify(path) == []
    assert len(lines_of(path)) == 3


@pytest.mark.parametrize("tamper, said", [
    (last_removed, ["Line 4 does not follow the line before it (number 5 after 3)"]),
    (all_removed, ["Line 1 does not follow the line before it (number 5 after 0)"]),
    (last_changed_and_hashed_again, ["Line 5 does not follow the line before it (number 5 after 4)"]),
], ids=lambda value: getattr(value, "__name__", None))
def test_the_next_line_does_not_hide_that_the_newest_were_cut_off_or_changed(path, tamper, said):
    write(path)
    lines = lines_of(path)
    tamper(lines)
    put(path, lines)
    write(path, 3)
    problems = journal.verify(path)
    assert len(problems) == len(said)
    for problem, beginning in zip(problems, said):
        assert problem.startswith(beginning)


def test_a_number_beyond_all_bounds_is_damage(path):
    write(path)
    lines = lines_of(path)
    lines[1] = lines[1].replace(b'"step 1"', b"1e999")
    put(path, lines)
    assert journal.verify(path)[0].startswith("Line 2 is not a journal entry")


def test_lines_longer_than_a_block_are_found_again(path):
    for size in (10, 200000, 3, 70000, 64 * 1024):
        journal.append(path, {"msg": "x" * size})
    assert journal.verify(path) == []
    assert [len(entry["msg"]) for entry in journal.read(path)[0]] == [10, 200000, 3, 70000, 65536]


def test_keys_that_are_no_strings_keep_their_hash(path):
    journal.append(path, {"counts": {2: "b", 10: "a"}, "pair": (1, 2)})
    entries, problems = journal.read(path)
    assert problems == []
    assert entries[0]["counts"] == {"2": "b", "10": "a"}


@pytest.mark.parametrize("value", [float("nan"), b"bytes", {1, 2}])
def test_what_is_no_json_is_refused_and_leaves_the_journal_alone(path, value):
    write(path, 1)
    before = lines_of(path)
    with pytest.raises(ResponseError, match="cannot be written as JSON"):
        journal.append(path, {"msg": value})
    assert lines_of(path) == before


def test_a_line_that_could_only_be_written_in_part_is_taken_back(path):
    write(path, 2)
    before = lines_of(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel lets the write go as far as the limit and refuses the rest, as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) + 40, hard))
    try:
        with pytest.raises(ResponseError, match="Cannot write the journal"):
            journal.append(path, {"msg": "y" * 500})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert lines_of(path) == before
    assert journal.verify(path) == []


def test_a_link_or_fifo_in_its_place_is_not_followed(path, tmp_path):
    os.makedirs(os.path.dirname(path))
    os.symlink(str(tmp_path / "elsewhere"), path)
    with pytest.raises(ResponseError, match="Cannot open the journal"):
        journal.append(path, {})
    assert journal.read(path) == ([], ["The journal cannot be read: Too many levels of symbolic links."])
    os.unlink(path)
    os.mkfifo(path)
    assert journal.read(path)[1] == ["The journal %s is not a regular file." % path]


def test_a_missing_journal_is_a_problem_and_no_crash(path):
    assert journal.read(path) == ([], ["The journal cannot be read: No such file or directory."])


def test_several_writers_at_once_keep_one_chain(path):
    code = ("import sys\n"
            "from ansible_collections.ecsops.intrusion_response.plugins.module_utils import journal\n"
            "for number in range(25):\n"
            "    journal.append(sys.argv[1], {'writer': sys.argv[2], 'number': number})\n")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    writers = [subprocess.Popen([sys.executable, "-c", code, path, str(name)], env=environment) for name in range(4)]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    entries, problems = journal.read(path)
    assert problems == []
    assert len(entries) == 100
