# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import stat

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import Quarantine
from ansible_collections.ecsops.intrusion_response.plugins.modules import binary_restore as module
from ansible_collections.ecsops.intrusion_response.tests.unit.target import rpm_root
from ansible_collections.ecsops.intrusion_response.tests.unit.target.dpkg_root import DpkgRoot

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners can only be set by root")

CAP_NET_RAW_EP = bytes.fromhex("0100000200200000000000000000000000000000")


class Context:
    incident = "case"

    def __init__(self, check_mode=False):
        self.check_mode = check_mode
        self.warnings = []

    def warn(self, message):
        self.warnings.append(message)


@pytest.fixture
def debian(tmp_path):
    host = DpkgRoot(tmp_path / "host")
    for package, name in (("procps", "ps"), ("iproute2", "ss")):
        host.package(package, {"/usr/bin/" + name: b"\x7fELF " + name.encode()})
        host.write("/usr/bin/dpkgd/" + name, b"\x7fELF " + name.encode())
        host.write("/usr/bin/" + name, "#!/bin/sh\n/usr/bin/dpkgd/%s\n" % name)
    return host.root


@pytest.fixture
def el9(tmp_path):
    """ping as a trojan, with the original moved aside, on a host of the rpm family."""
    if rpm_root.MISSING:
        pytest.skip("needs the packages rpm and db5.3-util")
    root = str(tmp_path / "host")
    package = rpm_root.build(tmp_path, "iputils", {
        "/usr/bin/ping": ("%attr(0755,root,root) %caps(cap_net_raw=ep)", b"\x7fELF ping"),
        "/usr/bin/su": ("%attr(4755,root,root)", b"\x7fELF su"),
    })
    rpm_root.install(root, package)
    os.makedirs(root + "/usr/bin/dpkgd")
    for name in ("ping", "su"):
        shutil.move(root + "/usr/bin/" + name, root + "/usr/bin/dpkgd/" + name)
        with open(root + "/usr/bin/" + name, "w") as stream:
            stream.write("#!/bin/sh\n")
        os.chmod(root + "/usr/bin/" + name, 0o6777)
    return root


def call(root, context=None, **params):
    given = {"state": "reported", "tools": [], "backup_dirs": ["/usr/bin/dpkgd"], "reinstall": False,
             "max_files": 100, "quarantine_root": os.path.join(os.path.dirname(root), "quarantine")}
    given.update(params)
    return module.work(given, context or Context(), host_root=root).as_result()


def content(root, path):
    with open(root + path, "rb") as stream:
        return stream.read()


def test_reported_changes_nothing(debian):
    result = call(debian)
    assert (result["changed"], result["actions"], result["packages"], result["checked"]) == (False, [], "dpkg", 2)
    assert [(item["rule"], item["verdict"]) for item in result["findings"]] == [
        ("binary_restore.trojaned", "malicious")] * 2
    assert [item["path"] for item in result["tools"]] == ["/usr/bin/ps", "/usr/bin/ss"]


def test_plan_act_second_run_and_undo(debian):
    planned = call(debian, Context(check_mode=True), state="restored")
    assert planned["changed"] and content(debian, "/usr/bin/ps").startswith(b"#!")
    done = call(debian, state="restored")
    assert [item["subject"] for item in planned["actions"]] == [item["subject"] for item in done["actions"]]
    assert [item["status"] for item in done["actions"]] == ["done", "done"]
    assert content(debian, "/usr/bin/ps") == b"\x7fELF ps"
    again = call(debian, state="restored")
    assert (again["changed"], again["actions"], again["findings"]) == (False, [], [])
    quarantine = Quarantine("case", os.path.join(os.path.dirname(debian), "quarantine"), debian)
    for item in reversed(done["actions"]):
        quarantine.restore(item["undo"]["args"]["item"])
    assert content(debian, "/usr/bin/ps") == b"#!/bin/sh\n/usr/bin/dpkgd/ps\n"


def test_what_is_refused_is_a_warning(debian):
    os.unlink(debian + "/usr/bin/dpkgd/ps")
    context = Context()
    result = call(debian, context, state="restored", tools=["ps"])
    assert [item["status"] for item in result["actions"]] == ["done", "refused"]
    assert context.warnings == ["/usr/bin/ps was left as it is: there is no copy of it on the host. To go on: allow "
                                "reinstall, or reinstall the package by hand: apt-get install --reinstall procps."]


def test_modes_and_capabilities_as_rpm_recorded_them(el9):
    result = call(el9, state="restored")
    assert [item["status"] for item in result["actions"]] == ["done", "done"]
    assert content(el9, "/usr/bin/ping") == b"\x7fELF ping"
    assert stat.S_IMODE(os.stat(el9 + "/usr/bin/ping").st_mode) == 0o755
    assert os.getxattr(el9 + "/usr/bin/ping", "security.capability") == CAP_NET_RAW_EP
    assert stat.S_IMODE(os.stat(el9 + "/usr/bin/su").st_mode) == 0o4755
    assert "security.capability" not in os.listxattr(el9 + "/usr/bin/su")
    assert call(el9, state="restored")["changed"] is False
