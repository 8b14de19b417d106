# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import crontabs
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.path_patterns import PathFinder


@pytest.mark.parametrize("line, expected", [
    (b"* * * * * true\n", True), (b"@reboot x", True), (b"  */5 * * * * x\n", True), (b"", False), (b" \t\n", False),
    (b"# * * * * * x\n", False), (b"  # x\n", False), (b"MAILTO=root\n", False), (b"PATH = /bin\n", False),
    (b"'A' = b\n", False), (b"0 1 * * * A=b x\n", True), (b"1=2\n", True),
])
def test_is_job(line, expected):
    assert crontabs.is_job(line) is expected


@pytest.mark.parametrize("content", [b"", b"a", b"a\n", b"a\r\nb\x0bc\n\nd", b"\xff\n\x00"])
def test_lines_joined_are_the_content(content):
    assert b"".join(crontabs.split_lines(content)) == content


def test_all_crontabs_are_read_and_what_cannot_be_is_a_gap(tmp_path):
    for name in ("etc/crontab", "etc/cron.d/a", "var/spool/cron/bob", "var/spool/cron/crontabs/root",
                 "var/spool/cron/atjobs/job"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    os.symlink("/etc/passwd", str(tmp_path / "etc/cron.d/link"))
    os.mkfifo(str(tmp_path / "etc/cron.d/pipe"))
    with (tmp_path / "etc/cron.d/huge").open("wb") as stream:
        stream.truncate(crontabs.LIMIT + 1)
    found, gaps = crontabs.read_crontabs(PathFinder(str(tmp_path)), str(tmp_path))
    assert [entry.path for entry in found] == ["/etc/crontab", "/etc/cron.d/a", "/var/spool/cron/bob",
                                               "/var/spool/cron/crontabs/root"]
    assert sorted(entry["what"] for entry in gaps) == ["/etc/cron.d/huge", "/etc/cron.d/link", "/etc/cron.d/pipe"]
