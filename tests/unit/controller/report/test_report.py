# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files: what is escaped, what is cut, that they stay the same, that they serve a fleet."""

import base64
import hashlib
import html.parser
import json
import os
import re
import shlex
import shutil
import stat
import subprocess

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.report_model import undo_commands
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.visible import pieces
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.report.writer import write_report


def write(directory, check_mode=False, **params):
    params = dict({"incident_dir": directory, "output_dir": None, "title": "Intrusion response",
                   "formats": ["html", "json"]}, **params)
    return write_report(params, check_mode)


def text_of(result, name):
    with open(result["files"][name], encoding="utf-8") as stream:
        return stream.read()


class Page(html.parser.HTMLParser):
    """Tags, attributes and text of a page; complains about tags that do not match."""

    VOID = ("meta", "br", "hr", "link", "img", "input")

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.words))

    def having(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(sample):
    return Page(text_of(write(sample), "html"))


def test_statuses_of_the_sample(sample):
    result = write(sample)
    assert result["hosts"] == {
        "db1": "not_checked", "app1": "needs_attention", "cache1": "needs_attention", "mail1": "needs_attention",
        "web1": "needs_attention", "web2.example.com": "clean", "web3.example.com": "clean"}
    assert result["chain_intact"] is False
    assert list(result["chain_problems"]) == ["mail1"]


def test_the_page_is_well_formed_and_asks_for_nothing_from_elsewhere(page):
    names = {tag for tag, _attributes in page.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "embed", "form", "base", "video", "svg"}
    for _tag, attributes in page.tags:
        assert not any(name.startswith("on") or name in ("style", "src", "srcset", "action") for name in attributes)
        assert attributes.get("href", "#").startswith("#")


def test_the_policy_allows_this_very_style_sheet_and_nothing_else(sample):
    text = text_of(write(sample), "html")
    style = re.search(r"<style>(.*?)</style>", text, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = [meta["content"] for meta in Page(text).having("meta") if "http-equiv" in meta]
    assert policy == ["default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'" % digest]
    assert "@import" not in style
    assert "url(" not in style


def test_every_link_has_its_target(page):
    anchors = {attributes["id"] for _tag, attributes in page.tags if "id" in attributes}
    links = [attributes["href"][1:] for attributes in page.having("a")]
    assert links
    assert set(links) <= anchors


def test_what_came_from_the_host_is_escaped_and_spelled_out(sample, page):
    raw = text_of(write(sample), "html")
    assert "<script" not in raw.lower()
    for character in "\x1b\u202e\u200b\u3164":
        assert character not in raw
    assert r"/tmp/<script>alert(1)</script>\e[2J\e[31m\u202egnp.exe\u200b\nrm -rf ~" in page.text


def test_long_values_are_cut_in_the_page_and_whole_in_the_data(sample):
    result = write(sample)
    assert "A" * 601 not in text_of(result, "html")
    assert "4400 characters more, whole in report.json" in Page(text_of(result, "html")).text
    assert "A" * 5000 in text_of(result, "json")


def test_the_data_is_plain_ascii_and_holds_the_very_text(sample):
    result = write(sample)
    text = text_of(result, "json")
    assert text.isascii()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)
    hosts = {host["host"]: host for host in json.loads(text)["hosts"]}
    assert "\u202e" in hosts["app1"]["findings"][0]["subject"]["name"]


def test_a_second_run_changes_nothing_and_check_mode_writes_nothing(sample):
    planned = write(sample, check_mode=True)
    assert planned["changed"] is True
    assert not os.path.exists(planned["files"]["html"])
    first = write(sample)
    assert first["changed"] is True
    before = {name: os.stat(path).st_mtime_ns for name, path in first["files"].items()}
    assert write(sample)["changed"] is False
    assert {name: os.stat(path).st_mtime_ns for name, path in first["files"].items()} == before
    assert write(sample, check_mode=True)["changed"] is False
    assert sorted(os.listdir(os.path.dirname(first["files"]["html"]))) == ["report.html", "report.json"]


def test_the_same_journals_give_the_same_bytes_elsewhere(sample, tmp_path):
    first = write(sample)
    copy = shutil.copytree(sample, str(tmp_path / "copy"))
    second = write(copy, output_dir=str(tmp_path / "out"))
    for name in ("html", "json"):
        assert text_of(first, name) == text_of(second, name)


def test_the_files_are_the_owners_alone(sample):
    for path in write(sample)["files"].values():
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_only_the_formats_asked_for_are_written(sample):
    result = write(sample, formats=["json"])
    assert list(result["files"]) == ["json"]
    assert os.listdir(os.path.dirname(result["files"]["json"])) == ["report.json"]


def test_a_place_that_cannot_be_written_leaves_no_remains(sample, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResponseError, match="cannot be written"):
        write(sample, output_dir=str(tmp_path / "file" / "below"))


@pytest.mark.parametrize("content, said", [
    (None, "No such file or directory"), ("{", "is damaged"), ("[]", "is not a JSON object")])
def test_a_folder_that_is_no_incident(tmp_path, content, said):
    if content is not None:
        (tmp_path / "incident.json").write_text(content)
    with pytest.raises(ResponseError, match=said):
        write(str(tmp_path))


def test_an_incident_without_journals_says_that_nothing_is_known(incident):
    assert "nothing was recorded, so nothing is known" in Page(text_of(write(incident), "html")).text


def test_a_changed_journal_stands_at_the_top_and_at_the_host(page):
    top, _sep, rest = page.text.partition("Host by host")
    assert "The journals of 1 of 7 hosts are damaged or were changed" in top
    assert "The journal of this host is damaged or was changed. Do not rely on what follows." in rest


def test_hosts_that_failed_come_before_the_table_of_all(page):
    failed, _sep, rest = page.text.partition("Could not be reached, or failed")[2].partition("Host by host")
    assert "Connection timed out" in failed
    assert "25 processes would be killed" in failed
    assert "web2.example.com" in rest


def test_a_host_that_was_not_checked_shows_no_zero(sample):
    text = text_of(write(sample), "html")
    row = re.search(r'<table class="index">.*?(<tr><td><a href="#host-1">db1</a></td>.*?</tr>)', text, re.S).group(1)
    assert re.findall(r'<td class="n[^>]*>(.*?)</td>', row) == ["?", "?", "?", "?", "?", "0", "0", "2"]


@pytest.mark.parametrize("host, undo, words", [
    ("web1", {"module": "ecsops.intrusion_response.quarantine", "args": {"state": "restored", "item": "q-7"}},
     ["ansible-playbook", "ecsops.intrusion_response.undo", "--limit", "web1", "-e", "intrusion_response_incident=i1",
      "-e", "undo_item=q-7"]),
    ("web1", {"module": "ecsops.intrusion_response.account_lock", "args": {"state": "unlocked", "name": "toor"}},
     ["ansible", "web1", "--become", "-m", "ecsops.intrusion_response.account_lock", "-a",
      '{"name": "toor", "state": "unlocked"}', "-e", "intrusion_response_incident=i1"]),
    ("we b;1",
     {"module": "ecsops.intrusion_response.quarantine", "args": {"state": "restored", "item": "$(id)\n\u202e"}},
     ["ansible", "we b;1", "--become", "-m", "ecsops.intrusion_response.quarantine", "-a",
      '{"item": "$(id)\\n\\u202e", "state": "restored"}', "-e", "intrusion_response_incident=i1"]),
])
def test_undo_commands(host, undo, words):
    (line,) = undo_commands("i1", host, undo)
    assert shlex.split(line) == words
    assert line.isprintable()


@pytest.mark.parametrize("undo", [None, "x", {"module": "m", "args": "x"}])
def test_no_undo_no_command(undo):
    assert undo_commands("i1", "web1", undo) == []


def test_undo_commands_stand_in_the_page(page):
    assert "--limit web1 -e intrusion_response_incident=20260314T021507Z -e undo_item=q-0008" in page.text
    assert "This cannot be undone by a command." in page.text


@pytest.mark.parametrize("value, shown", [
    ("plain <b>", [("text", "plain <b>")]),
    ("", []),
    ("Grüße, 世界", [("text", "Grüße, 世界")]),
    ("a\x1bb", [("text", "a"), ("escape", "\\e"), ("text", "b")]),
    ("\x00\x7f\x9b", [("escape", "\\x00"), ("escape", "\\x7f"), ("escape", "\\x9b")]),
    ("a\r\nb\t", [("text", "a"), ("escape", "\\r"), ("escape", "\\n"), ("text", "b"), ("escape", "\\t")]),
    ("\u202e\u2066", [("escape", "\\u202e"), ("escape", "\\u2066")]),
    ("\ufeff\u2028", [("escape", "\\ufeff"), ("escape", "\\u2028")]),
    ("\ud800", [("escape", "\\ud800")]),
    ("\U000e0041", [("escape", "\\U000e0041")]),
    ("\u3164", [("escape", "\\u3164")]),
    ("e\u0301", [("text", "e\u0301")]),
    ("e\u0301\u0301\u0301", [("text", "e\u0301\u0301"), ("escape", "\\u0301")]),
    (7, [("text", "7")]),
    ([1, {"b": None}], [("text", '[1, {"b": null}]')]),
])
def test_pieces(value, shown):
    assert pieces(value) == (shown, 0)


def test_pieces_are_cut():
    assert pieces("x" * 700, limit=600) == ([("text", "x" * 600)], 100)


def test_four_hundred_hosts(incident, sample_module):
    for number in range(400):
        sample_module.clean(incident, "host%03d" % number)
    for number in range(0, 400, 40):
        sample_module.hostile(incident, "host%03d" % number)
    result = write(incident)
    assert len(result["hosts"]) == 400
    assert result["statuses"]["needs_attention"] == 10
    # A browser opens this at once; the sections stand closed.
    assert os.path.getsize(result["files"]["html"]) < 6 * 1024 * 1024
    page = Page(text_of(result, "html"))
    hosts = [attributes for attributes in page.having("details") if attributes.get("class") == "host card"]
    assert len(hosts) == 400
    assert not any("open" in attributes for attributes in hosts)


def test_few_hosts_that_need_somebody_stand_open(incident, sample_module):
    sample_module.clean(incident, "a")
    sample_module.hostile(incident, "b")
    page = Page(text_of(write(incident), "html"))
    hosts = [attributes for attributes in page.having("details") if attributes.get("class") == "host card"]
    assert ["open" in attributes for attributes in hosts] == [True, False]


def test_a_real_browser_obeys_the_policy_and_shows_the_page(sample, tmp_path):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    result = write(sample)
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--user-data-dir=%s" % (tmp_path / "profile"), "--window-size=1200,900",
         "--screenshot=%s" % (tmp_path / "page.png"), "--enable-logging=stderr", "file://" + result["files"]["html"]],
        capture_output=True, text=True, check=False, timeout=180, stdin=subprocess.DEVNULL)
    assert (tmp_path / "page.png").stat().st_size > 30000  # an empty or unstyled page is a few thousand bytes
    assert "Content Security Policy" not in done.stderr
