# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect.indicators import parse
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError

GOOD = {"name": "n", "family": "f", "kind": "binary", "paths": ["/tmp/x"]}


def test_defaults():
    entry = parse([GOOD])[0]
    assert (entry.verdict, entry.action, entry.at_least, entry.guard) == ("malicious", "quarantine", 1, frozenset())
    assert parse([dict(GOOD, kind="trojaned_tool")])[0].action == "report"


def test_absent_keys_may_be_none():
    # So does AnsibleModule fill in what was not given.
    assert parse([dict(GOOD, regex=None, guard=None, follow=None, at_least=None, sizes=None)])


def test_literal_paths():
    entry = parse([dict(GOOD, paths=["/a/{b,c}", "/d/*", "~/e", "/f[1-2]"])])[0]
    assert entry.literal_paths() == ["/a/b", "/a/c"]


@pytest.mark.parametrize("changes, message", [
    ({"name": None}, r"Indicator 1 \(without a name\): 'name' is missing"),
    ({"family": ""}, r"Indicator 1 \(n\): 'family' is missing"),
    ({"kind": "virus"}, "'virus' is no kind; there are: .*trojaned_tool"),
    ({"colour": 1}, "unknown key 'colour'"),
    ({"paths": "/tmp/x"}, "'paths' must be a list of texts"),
    ({"paths": [1]}, "'paths' must be a list of texts"),
    ({"paths": ["tmp/x"]}, "'tmp/x' is no absolute path"),
    ({"paths": ["/tmp/../etc"]}, "'/tmp/../etc' is no absolute path"),
    ({"paths": []}, "the kind 'binary' needs 'paths' or 'regex'"),
    ({"kind": "hash"}, "needs 'values'"),
    ({"kind": "hash", "values": ["00"]}, "needs 'algorithm'"),
    ({"kind": "hash", "values": ["00"], "algorithm": "md5"}, "'00' is no md5"),
    ({"kind": "hash", "values": ["g" * 32], "algorithm": "md5"}, "is no md5"),
    ({"kind": "size", "sizes": [-1]}, "'sizes' must be"),
    ({"kind": "size", "sizes": [True]}, "'sizes' must be"),
    ({"kind": "content"}, "the kind 'content' needs 'content'"),
    ({"kind": "content", "paths": None, "content": "x"}, "the kind 'content' needs 'paths'"),
    ({"kind": "size", "sizes": [1], "action": "quarantine"}, "the kind 'size' can only be reported"),
    ({"kind": "trojaned_tool", "action": "quarantine"}, "can only be reported"),
    ({"guard": ["odd"]}, "'odd' is no guard; there are: elf_only"),
    ({"confidence": "sure"}, "'sure' is no confidence"),
    ({"attack": ["T12"]}, "'T12' is no ATT&CK"),
    ({"regex": "/usr/bin/[a-z"}, "'regex' is no regular expression"),
    ({"regex": "/usr/[a-z]+/x"}, "'regex' must begin with a plain directory"),
    ({"content": "("}, "'content' is no regular expression"),
    ({"companion": "/etc/init.d/x"}, "'companion' must be"),
    ({"follow": True}, "only an initscript or config can be followed"),
    ({"follow": "yes"}, "'follow' must be true or false"),
    ({"at_least": 0}, "'at_least' must be a positive number"),
])
def test_mistakes(changes, message):
    with pytest.raises(ResponseError, match=message):
        parse([dict(GOOD, **changes)])


def test_an_entry_that_is_none():
    with pytest.raises(ResponseError, match="Indicator 2 .*not a dictionary"):
        parse([GOOD, "x"])
