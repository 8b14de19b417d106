# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module as a whole on a real server, with redis-py as the second opinion."""

import json
import os

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.modules import redis_auth
from ansible_collections.ecsops.intrusion_response.tests.unit.target.redis_server import Server, binaries

oracle = pytest.importorskip("redis", reason="redis-py is the oracle of these tests")

BINARIES = binaries()
PASSWORD = "Kept-In-The-1ncident"
needs_server = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other accounts' sockets and /var/lib"),
    pytest.mark.skipif(not BINARIES, reason="no redis-server on this machine"),
]


class Context:
    """What ``incident_module.Context`` offers to this module."""

    incident = "test"

    def __init__(self, check_mode):
        self.check_mode = check_mode
        self.warnings = []

    def warn(self, message):
        self.warnings.append(message)


@pytest.fixture
def server():
    started = Server(BINARIES[sorted(BINARIES)[0]])
    yield started
    started.remove()


def call(server, check_mode=False, **params):
    params.setdefault("instances", [{"port": server.port}])
    params.setdefault("quarantine_root", server.path("quarantine"))
    params.setdefault("data_dir", server.data)
    validated = ArgumentSpecValidator(redis_auth.SPEC).validate(params)
    assert validated.error_messages == []
    outcome = redis_auth.work(validated.validated_parameters, Context(check_mode))
    result = outcome.as_result()
    json.dumps(result)
    return result


def client(server, password=None):
    return oracle.Redis(port=server.port, password=password, socket_timeout=5)


def rules(result):
    return {item["rule"].partition(".")[2]: item["verdict"] for item in result["findings"]}


class TestOnAServer:
    pytestmark = needs_server

    def test_report_plan_secure_and_nothing_left_to_do(self, server):
        server.start(("bind 0.0.0.0", "protected-mode no"))
        client(server).mset({"key:%d" % number: number for number in range(1000)})

        reported = call(server)
        assert (reported["changed"], reported["actions"]) == (False, [])
        assert rules(reported)["no_password"] == "weak"

        planned = call(server, check_mode=True, state="secured")
        assert planned["changed"]
        assert client(server).ping()
        assert not os.path.exists(server.path("quarantine"))

        done = call(server, state="secured", password=PASSWORD)
        assert "failed" not in done
        assert [item["rule"] for item in done["actions"]] == [item["rule"] for item in planned["actions"]]
        assert {item["status"] for item in done["actions"]} == {"done"}
        assert PASSWORD not in json.dumps(done)
        evidence, = done["evidence"]
        assert os.path.getsize(evidence["path"]) == evidence["size"]

        with pytest.raises(oracle.AuthenticationError):
            client(server).ping()
        server.restart()
        with pytest.raises(oracle.AuthenticationError):
            client(server).ping()
        assert client(server, PASSWORD).dbsize() == 1000
        assert client(server, PASSWORD).get("key:7") == b"7"

        again = call(server, state="secured", password="Another-Generated-0ne")
        assert (again["changed"], again["actions"], again["evidence"]) == (False, [], [])
        assert again["instances"][0]["password_source"] == "present"

    def test_one_that_fails_does_not_keep_the_other_from_being_closed(self, server, monkeypatch):
        server.start(("bind 127.0.0.1",))
        second = Server(server.binary).start(("bind 127.0.0.1",))
        try:
            prove = redis_auth.Fix._prove

            def fail_on_first(fix, session):
                if fix.seen.port == server.port:
                    raise ResponseError("it cannot be proven")
                prove(fix, session)

            monkeypatch.setattr(redis_auth.Fix, "_prove", fail_on_first)
            result = call(server, state="secured", password=PASSWORD,
                          instances=[{"port": server.port}, {"port": second.port}])
            assert result["failed"]
            assert "it cannot be proven. All changes to it were taken back." in result["msg"]
            assert client(server).ping()
            assert client(second, PASSWORD).ping()
            assert {item["status"] for item in result["actions"] if item["subject"]["port"] == second.port} == {"done"}
        finally:
            second.remove()

    def test_the_oracle_sees_the_same_settings(self, server):
        server.start(("bind 127.0.0.1", "requirepass 'quoted \"secret\" 1A'"))
        seen = server.inspect()
        theirs = client(server, 'quoted "secret" 1A')
        assert seen.facts["config"]["dir"] == theirs.config_get("dir")["dir"]
        assert seen.facts["info"]["run_id"] == theirs.info("server")["run_id"]
        assert seen.facts["keyspace"] == {}


def test_no_server_there():
    params = ArgumentSpecValidator(redis_auth.SPEC).validate(
        {"instances": [{"port": 1}], "state": "secured", "password": PASSWORD})
    result = redis_auth.work(params.validated_parameters, Context(False)).as_result()
    assert (result["changed"], result["actions"]) == (False, [])
    assert rules(result) == {"no_answer": "undetermined"}
    assert result["not_checked"][0]["what"] == "redis:1"


def test_no_server_on_the_host(tmp_path):
    for name in ("proc/self/ns", "host"):
        (tmp_path / name).mkdir(parents=True)
    params = ArgumentSpecValidator(redis_auth.SPEC).validate({"state": "secured", "password": PASSWORD})
    roots = [str(tmp_path / name) for name in ("proc", "host")]
    result = redis_auth.work(params.validated_parameters, Context(False), *roots)
    assert (result.findings, result.actions, result.not_checked, result.changed) == ([], [], [], False)


@pytest.mark.parametrize("password", ["redis", "short", "aaaaaaaaaaaaaaaaaaaaaaaa"])
def test_a_weak_password_is_refused_before_anything_is_looked_at(password):
    params = ArgumentSpecValidator(redis_auth.SPEC).validate({"state": "secured", "password": password})
    with pytest.raises(ResponseError) as caught:
        redis_auth.work(params.validated_parameters, Context(False), "/nowhere")
    assert password not in str(caught.value)
