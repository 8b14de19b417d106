# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The three modules as incident_step calls them: arguments and context in, the result's contract out."""

import json
import os

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import archive_manifest
from ansible_collections.ecsops.intrusion_response.plugins.modules import account_lock, host_archive, ssh_key_revoke
from ansible_collections.ecsops.intrusion_response.tests.unit.target import manifest, ssh_samples
from ansible_collections.ecsops.intrusion_response.tests.unit.target.ssh_samples import FINGERPRINTS, key, write

EVIL = "evil:x:0:0::/home/evil:/bin/bash\n"
KEYS = "/root/.ssh/authorized_keys"
CLIENT = "SSH_CONNECTION=10.0.2.2 40022 10.0.2.15 22"
LOG = "Nov 22 10:00:00 web1 sshd[200]: Accepted publickey for %s from 10.0.2.2 port 40022 ssh2: ED25519 %s\n"


class Context:
    incident = "test"
    check_mode = False
    diff = True
    login_user = "root"
    controller_keys = ()


@pytest.fixture
def host(tmp_path):
    """A host over whose authorized_keys a Redis has dumped, with the operator's key behind, logged in with it."""
    root = tmp_path / "root"
    ssh_samples.host(root, ssh_samples.PASSWD + EVIL, ssh_samples.SHADOW + "evil:$6$s$h:1::::::\n")
    write(root, "/etc/.pwd.lock", "")
    write(root, "/usr/sbin/nologin", "", 0o755)
    write(root, KEYS, ssh_samples.REDIS_DUMP + b"\n" + key(1, "operator") + b"\n")
    write(root, "/var/log/auth.log", LOG % ("root", FINGERPRINTS[1]))
    ssh_samples.process(tmp_path / "proc", 200, 1, "/usr/sbin/sshd", root_link=str(root))
    ssh_samples.process(tmp_path / "proc", os.getpid(), 200, environ=[CLIENT])
    return tmp_path


def _keys(host, context=None, **params):
    given = dict(state="reported", allowed_keys=[], accounts=[], max_keys=50, quarantine_root=str(host / "quarantine"))
    return ssh_key_revoke.work(dict(given, **params), context or Context(), str(host / "root"),
                               str(host / "proc")).as_result()


def _accounts(host, context=None, **params):
    given = dict(state="reported", allowed_accounts=[], accounts=[], max_accounts=10,
                 quarantine_root=str(host / "quarantine"))
    return account_lock.work(dict(given, **params), context or Context(), str(host / "root"),
                             str(host / "proc")).as_result()


def _archive(host, context=None, **params):
    given = dict(state="present", paths=["/etc"], exclude=None, max_bytes=2 ** 31, max_file_bytes=2 ** 25,
                 quarantine_root=str(host / "quarantine"))
    return host_archive.work(dict(given, **params), context or Context(), str(host / "root")).as_result()


def _statuses(result):
    return [item["status"] for item in result["actions"]]


def _checking():
    context = Context()
    context.check_mode = True
    return context


MINE = key(1).decode("ascii")


def test_keys_from_report_to_the_second_run(host):
    result = _keys(host, allowed_keys=[MINE])
    assert (result["changed"], result["summary"]["malicious"], result["connection"]["fingerprints"]) == (False, 2,
                                                                                                         [FINGERPRINTS[1]])
    before = manifest.manifest(str(host / "root"))
    planned = _keys(host, _checking(), state="revoked", allowed_keys=[MINE])
    assert (planned["changed"], _statuses(planned)) == (True, ["planned"])
    assert manifest.manifest(str(host / "root")) == before
    done = _keys(host, state="revoked", allowed_keys=[MINE])
    assert (done["changed"], _statuses(done)) == (True, ["done"])
    assert (host / "root" / KEYS[1:]).read_bytes() == key(1, "operator") + b"\n"
    again = _keys(host, state="revoked", allowed_keys=[MINE])
    assert (again["changed"], again["actions"], again["findings"]) == (False, [], [])
    json.dumps([result, planned, done, again])


def test_the_key_of_the_connection_survives_a_wrong_allow_list(host):
    result = _keys(host, state="revoked", allowed_keys=[key(9).decode("ascii")])
    assert sorted(_statuses(result)) == ["done", "refused"]
    assert (host / "root" / KEYS[1:]).read_bytes() == key(1, "operator") + b"\n"


def test_where_nothing_tells_the_key_the_controllers_own_does(host):
    (host / "root/var/log/auth.log").unlink()
    context = Context()
    context.controller_keys = [MINE]
    result = _keys(host, context, state="revoked", allowed_keys=[key(9).decode("ascii")])
    assert result["connection"]["source"] == "the controller's keys"
    assert (host / "root" / KEYS[1:]).read_bytes() == key(1, "operator") + b"\n"


def test_where_nothing_tells_it_at_all_nothing_of_the_account_is_touched(host):
    (host / "root/var/log/auth.log").unlink()
    before = (host / "root" / KEYS[1:]).read_bytes()
    result = _keys(host, state="revoked", allowed_keys=[key(9).decode("ascii")])
    assert _statuses(result) == ["refused"]
    assert [item["what"] for item in result["not_checked"]] == ["the key of the present connection"]
    assert (host / "root" / KEYS[1:]).read_bytes() == before


def test_accounts_from_report_to_the_second_run(host):
    assert _accounts(host)["summary"]["malicious"] == 1
    before = manifest.manifest(str(host / "root"))
    planned = _accounts(host, _checking(), state="locked")
    assert (planned["changed"], _statuses(planned)) == (True, ["planned", "planned"])
    assert manifest.manifest(str(host / "root")) == before
    assert _statuses(_accounts(host, state="locked")) == ["done", "done"]
    for told in (_accounts(host), _accounts(host, state="locked")):
        assert [item["what"] for item in told["not_checked"]] == ["processes of evil"]
    again = _accounts(host, state="locked")
    assert (again["changed"], [item["verdict"] for item in again["findings"]]) == (False, ["benign"])
    json.dumps([planned, again])


@pytest.mark.parametrize("login_user,logged,named,refused", [
    ("evil", None, [], {"evil"}),
    (None, "evil", [], {"evil"}),
    ("ann", "ann", ["ann"], {"ann"}),
    ("root", "root", ["root"], {"root"}),
])
def test_the_operators_own_account_is_never_locked(host, login_user, logged, named, refused):
    write(host / "root", "/var/log/auth.log", LOG % (logged, FINGERPRINTS[1]) if logged else "")
    context = Context()
    context.login_user = login_user
    result = _accounts(host, context, state="locked", accounts=named)
    assert {item["subject"]["name"] for item in result["actions"] if item["status"] == "refused"} == refused
    passwd = (host / "root/etc/passwd").read_text()
    assert (EVIL in passwd) == ("evil" in refused)


def test_where_the_connections_account_is_not_known_none_is_locked(host):
    write(host / "root", "/var/log/auth.log", "")
    context = Context()
    context.login_user = None
    assert _statuses(_accounts(host, context, state="locked")) == ["refused"]


@pytest.mark.parametrize("params", [dict(accounts=["nobdy"]), dict(accounts=["ann", "bob"], max_accounts=2)])
def test_slips_and_ceilings_stop_before_anything_is_changed(host, params):
    before = manifest.manifest(str(host / "root"))
    context = Context()
    with pytest.raises(ResponseError):
        _accounts(host, context, state="locked", **params)
    assert manifest.manifest(str(host / "root")) == before


def test_archive_from_plan_to_removal(host):
    before = manifest.manifest(str(host / "root"))
    planned = _archive(host, _checking())
    assert (planned["archive"]["status"], planned["changed"]) == ("planned", False)
    assert not (host / "quarantine").exists()
    made = _archive(host)
    assert (made["archive"]["status"], made["changed"]) == ("created", False)
    assert {name: made["archive"][name] for name in ("files", "entries", "bytes")} == {
        name: planned["archive"][name] for name in ("files", "entries", "bytes")}
    proof = archive_manifest.verify_archive(made["evidence"][0]["path"])
    assert (proof["sha256"], proof["size"]) == (made["evidence"][0]["sha256"], made["evidence"][0]["size"])
    again = _archive(host)
    # The controller has the bytes already; they are not sent again.
    assert (again["archive"]["status"], again["evidence"]) == ("present", [dict(made["evidence"][0], known=True)])
    assert manifest.manifest(str(host / "root")) == before
    assert _statuses(_archive(host, _checking(), state="absent")) == ["planned"]
    assert _statuses(_archive(host, state="absent")) == ["done"]
    assert _archive(host, state="absent")["changed"] is False
    json.dumps([planned, made, again])


def test_what_is_left_out_of_the_archive_is_told_each_time(host):
    write(host / "root", "/etc/large", b"x" * 2000)
    for _call in range(2):
        result = _archive(host, max_file_bytes=1999)
        assert [item["what"] for item in result["not_checked"]] == ["archive of /etc/large"]
