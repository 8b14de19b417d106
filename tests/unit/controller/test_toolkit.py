# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The toolkit on the controller and on the host: files and manifest agree, damage is noticed, psutil works."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.action import incident_step
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import toolkit

with open(os.path.join(incident_step.TOOLKIT, "manifest.json"), encoding="utf-8") as _stream:
    MANIFEST = json.load(_stream)


@pytest.fixture(name="own_psutil")
def fixture_own_psutil():
    """Put the interpreter's own psutil back, which other tests may use."""
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "psutil"}
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "psutil"]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.mark.parametrize("wheel", MANIFEST, ids=lambda wheel: f"{wheel['machine']}-{wheel['libc']}")
def test_each_wheel_has_the_hash_that_the_manifest_pins(wheel):
    with open(os.path.join(incident_step.TOOLKIT, wheel["name"]), "rb") as stream:
        assert hashlib.sha256(stream.read()).hexdigest() == wheel["sha256"]


def test_the_manifest_names_every_wheel_there_is():
    wheels = {name for name in os.listdir(incident_step.TOOLKIT) if name.endswith(".whl")}
    assert {wheel["name"] for wheel in MANIFEST} == wheels


def test_this_machine_gets_a_psutil_that_works(own_psutil):
    psutil = toolkit.load_psutil(incident_step._wheel_for(toolkit.platform_tag()))
    assert psutil.Process(os.getpid()).ppid() == os.getppid()
    assert ".ecsops-toolkit-" in psutil.__file__


def test_an_unknown_machine_is_told_what_there_is():
    with pytest.raises(ResponseError, match="no psutil for riscv64 with gnu libc.*x86_64/gnu"):
        incident_step._wheel_for({"machine": "riscv64", "libc": "gnu"})


def test_a_damaged_wheel_is_not_loaded():
    wheel = dict(incident_step._wheel_for(toolkit.platform_tag()), data=base64.b64encode(b"other").decode())
    with pytest.raises(ResponseError, match="arrived damaged"):
        toolkit.load_psutil(wheel)


def test_without_a_wheel_the_module_asks_for_one():
    with pytest.raises(toolkit.ToolkitMissing):
        toolkit.load_psutil(None)
