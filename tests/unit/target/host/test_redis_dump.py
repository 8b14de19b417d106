# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import redis_dump
from ansible_collections.ecsops.intrusion_response.tests.unit.target import ssh_samples

DUMP = ssh_samples.REDIS_DUMP
OPERATOR = b"\n" + ssh_samples.key(1, "operator") + b"\n"


def test_the_samples_own_checksum_is_the_published_one():
    # redis/src/crc64.c: crc64Test
    assert ssh_samples.crc64(b"123456789") == 0xE9C6D914C4B8D9CA


@pytest.mark.parametrize("name,content,spans", [
    ("nothing", b"", []),
    ("plain text", b"# keys\n" + OPERATOR, []),
    ("a real dump", DUMP, [(0, 200, True)]),
    ("a key behind a real dump", DUMP + OPERATOR, [(0, 200, True)]),
    ("a key before a dump", OPERATOR + DUMP, [(len(OPERATOR), len(OPERATOR) + 200, True)]),
    ("two dumps", DUMP + OPERATOR + DUMP, [(0, 200, True), (200 + len(OPERATOR), 400 + len(OPERATOR), True)]),
    ("Valkey", ssh_samples.dump(b"x", b"VALKEY080") + OPERATOR, [(0, len(ssh_samples.dump(b"x", b"VALKEY080")), True)]),
    ("another dump within a value", ssh_samples.dump(b"REDIS0009") + OPERATOR,
     [(0, len(ssh_samples.dump(b"REDIS0009")), True)]),
    ("no such version", b"REDIS12\n" + OPERATOR, []),
    ("only the magic is left", b"REDIS0009\n" + OPERATOR, [(0, 9, False)]),
])
def test_dumps_are_found_with_their_end(name, content, spans):
    assert [(dump.start, dump.end, dump.complete) for dump in redis_dump.find_dumps(content)] == spans


def test_without_its_checksum_a_dump_ends_with_the_last_binary_line():
    dump = ssh_samples.dump(b"\n" + ssh_samples.key(7) + b"\n", checksum=False)
    content = dump + OPERATOR + b"# text\n"
    found, = redis_dump.find_dumps(content)
    assert not found.complete
    assert content[found.end:] == OPERATOR[1:] + b"# text\n"


def test_one_changed_byte_breaks_the_proof_but_not_the_finding():
    found, = redis_dump.find_dumps(DUMP.replace(b"crackit", b"crackin") + OPERATOR)
    assert (found.start, found.complete) == (0, False)
    assert found.end == len(DUMP) + 1


@pytest.mark.parametrize("raw,expected", [
    (b"text\n", False), (b"tab\there\r\n", False), ("caf\u00e9".encode("utf-8"), False), (b"caf\xe9", True),
    (b"\0", True), (b"\x1b[2J", True), (b"\x7f", True), (b"", False),
])
def test_binary(raw, expected):
    assert redis_dump.is_binary(raw) is expected
