# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import re

import pytest
import yaml

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect.indicators import KINDS, parse
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.modules import malware_artifact
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils import indicator_files

FILES = sorted(pathlib.Path(indicator_files.COLLECTION_FOLDER).glob("*.yml"))


def family(**changes):
    content = {
        "family": "mine",
        "references": {"page": {"what": "a page", "url": "https://example.invalid/page"}, "talk": {"what": "a talk"}},
        "attack": ["T1496"],
        "artifacts": [{
            "name": "Mine", "doc": "what it is", "kind": "binary", "refs": ["page", "talk"], "attack": ["T1036.005"],
            "sources": [{"type": "FILE", "attributes": {"paths": ["/tmp/x"]}}],
        }],
    }
    content["artifacts"][0].update(changes.pop("artifact", {}))
    content.update(changes)
    return {key: value for key, value in content.items() if value is not None}


def write(folder, content, name="mine.yml"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(folder)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_files_of_the_collection_are_right(path):
    groups = indicator_files.read_family(str(path))
    entries = [entry for group in groups.values() for entry in group]
    assert {entry["family"] for entry in entries} == {path.stem}
    parse(entries)
    for entry in entries:
        assert entry["refs"], "%s: where is that known from?" % entry["name"]
        assert entry["attack"], "%s: which technique?" % entry["name"]


def test_all_files_together_have_distinct_names_and_fit_the_modules_option():
    entries = indicator_files.load()
    options = re.findall(r"^      (\w+):$", malware_artifact.DOCUMENTATION, re.MULTILINE)
    for entry in entries:
        assert set(entry) <= set(options)
    assert {entry["kind"] for entry in entries} <= set(KINDS)
    json.dumps(entries)


def test_an_entry_is_flattened(tmp_path):
    entries = indicator_files.read_family(write(tmp_path, family()) + "/mine.yml")
    assert entries == {"Mine": [{
        "name": "Mine", "family": "mine", "kind": "binary", "meaning": "what it is", "paths": ["/tmp/x"],
        "attack": ["T1036.005", "T1496"], "refs": ["https://example.invalid/page", "a talk"]}]}


def test_an_operators_entry_replaces_one_of_the_same_name(tmp_path):
    name = "BillGatesTmpOs"
    own = write(tmp_path, family(artifact={"name": name, "action": "report"}))
    before = indicator_files.load()
    after = indicator_files.load([own])
    assert len(after) == len(before)
    assert [entry for entry in after if entry["name"] == name][0]["family"] == "mine"


@pytest.mark.parametrize("content, message", [
    ("{", "mine.yml is no YAML"),
    ("family: a\nfamily: b\n", "the key 'family' is given twice"),
    ("[]", "mine.yml: it is not a dictionary"),
    (family(artifacts=None), "mine.yml: 'artifacts' is missing"),
    (family(family=""), "mine.yml: 'family' is missing"),
    (family(colour="red"), "mine.yml: unknown key 'colour'"),
    (family(references={"page": "x"}), "the reference 'page' needs 'what'"),
    (family(attack="T1"), "'attack' must be a list of texts"),
    (family(artifact={"colour": 1}), r"mine.yml, artifact 1 \(Mine\): unknown key 'colour'"),
    (family(artifact={"name": ""}), r"artifact 1 \(without a name\): 'name' is missing"),
    (family(artifact={"doc": None}), "'doc' is missing"),
    (family(artifact={"kind": "virus"}), r"\(Mine\): 'virus' is no kind; there are: .*binary"),
    (family(artifact={"refs": ["other"]}), "'other' is not among the references"),
    (family(artifact={"sources": []}), "'sources' is missing"),
    (family(artifact={"sources": [{"type": "FILE"}]}), "a source has just 'type' and 'attributes'"),
    (family(artifact={"sources": [{"type": "X", "attributes": {}}]}), "'X' is no type of source"),
    (family(artifact={"sources": [{"type": "FILE", "attributes": {"lines": ["x"]}}]}), "no attribute 'lines'"),
    (family(artifact={"sources": [{"type": "FILE", "attributes": {"paths": ["tmp/x"]}}]}), "no absolute path"),
    (family(artifact={"guard": ["odd"]}), "'odd' is no guard"),
    (family(artifact={"attack": ["X1"]}), "no ATT&CK technique"),
])
def test_mistakes_are_told_with_file_and_entry(tmp_path, content, message):
    own = write(tmp_path, content)
    with pytest.raises(ResponseError, match=message):
        indicator_files.load([own])


def test_a_name_in_two_files_of_a_folder(tmp_path):
    write(tmp_path, family(), "a.yml")
    with pytest.raises(ResponseError, match=r"b.yml: the name 'Mine' is used by another file"):
        indicator_files.load([write(tmp_path, family(), "b.yml")])


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ResponseError, match="none cannot be read: No such file"):
        indicator_files.load([str(tmp_path / "none")])


def test_the_lookup(tmp_path):
    from ansible_collections.ecsops.intrusion_response.plugins.lookup.indicators import LookupModule

    lookup = LookupModule()
    lookup.set_options = lambda **unused: None
    assert lookup.run(["", write(tmp_path, family())])[-1]["name"] == "Mine"
