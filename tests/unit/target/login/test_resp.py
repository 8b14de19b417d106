# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import contextlib
import socket
import threading

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login import redis, resp
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login.resp import (
    Connection,
    Endpoint,
    ErrorReply,
    Unreachable,
)


@contextlib.contextmanager
def peer(*answers, **how):
    """A server that gives each connection one answer after it has read something, then closes or hangs."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(8)
    done = threading.Event()

    def serve():
        for answer in answers:
            client, _address = listener.accept()
            with client:
                if how.get("listen", True):
                    client.recv(65536)
                try:
                    client.sendall(answer)
                    if how.get("hang"):
                        done.wait(30)
                except OSError:
                    pass  # the client has had enough

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Endpoint("127.0.0.1", listener.getsockname()[1])
    finally:
        done.set()
        listener.close()


@pytest.mark.parametrize("wire,reply", [
    (b"+OK\r\n", "OK"),
    (b"-NOAUTH Authentication required.\r\n", ErrorReply("NOAUTH Authentication required.")),
    (b":-7\r\n", -7),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"$0\r\n\r\n", b""),
    (b"$6\r\na\r\n\xff\x00b\r\n", b"a\r\n\xff\x00b"),
    (b"*3\r\n$1\r\na\r\n:1\r\n*1\r\n+x\r\n", [b"a", 1, ["x"]]),
    (b"*0\r\n", []),
])
def test_replies(wire, reply):
    with peer(wire) as endpoint, Connection(endpoint) as connection:
        answer = connection.call("PING")
        assert answer == reply
        assert type(answer) is type(reply)


def test_an_error_tells_its_code():
    assert [ErrorReply(word).code for word in ("NOAUTH Authentication required.", "ERR", "")] == ["NOAUTH", "ERR", ""]


def test_what_is_sent():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(resp._encode(("SET", b"\xff\r\n", 7)))
        assert theirs.recv(100) == b"*3\r\n$3\r\nSET\r\n$3\r\n\xff\r\n\r\n$1\r\n7\r\n"


# What else may listen there: nothing of it may cost memory, hang, or raise another exception.
@pytest.mark.parametrize("wire,reason", [
    (b"", "closed"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not_resp"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "not_resp"),
    (b"\x15\x03\x03\x00\x02\x02\x28", "not_resp"),
    (b"$abc\r\n", "not_resp"),
    (b"$99999999999\r\n", "too_large"),
    (b"$5\r\nab", "closed"),
    (b"*2\r\n+a\r\n", "closed"),
    (b"*1\r\n" * 50 + b"+a\r\n", "not_resp"),
    (b"+" + b"a" * (resp.LINE_BYTES + 10), "not_resp"),
])
def test_peers_that_are_no_redis(wire, reason):
    with peer(wire) as endpoint, Connection(endpoint) as connection:
        with pytest.raises(Unreachable) as caught:
            connection.call("PING")
    assert caught.value.reason == reason


def test_an_endless_answer_ends(monkeypatch):
    monkeypatch.setattr(resp, "REPLY_BYTES", 100000)
    with peer(b"*100000000\r\n" + b"+a\r\n" * 200000, hang=True) as endpoint, Connection(endpoint, 5) as connection:
        with pytest.raises(Unreachable) as caught:
            connection.pipeline([("PING",)], limit=100000)
    assert caught.value.reason == "too_large"


def test_a_hung_server_ends():
    with peer(b"+", hang=True) as endpoint, Connection(endpoint, 0.2) as connection:
        with pytest.raises(Unreachable) as caught:
            connection.call("PING")
    assert caught.value.reason == "timeout"


def test_a_refusal_on_connecting_is_found_though_nothing_can_be_sent():
    with peer(b"-DENIED Redis is running in protected mode\r\n", listen=False) as endpoint:
        with Connection(endpoint) as connection:
            assert connection.read().code == "DENIED"


def test_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable) as caught:
            Connection(Endpoint("127.0.0.1", taken.getsockname()[1]))
    assert caught.value.reason == "refused"
    with pytest.raises(Unreachable):
        Connection(Endpoint(path="/nowhere/redis.sock"))
    with pytest.raises(Unreachable):
        Connection(Endpoint(path="/" + "x" * 300))


@pytest.mark.parametrize("reply,outcome,state", [
    ("PONG", redis.OPEN, None),
    (b"# Server", redis.OPEN, None),
    (ErrorReply("NOAUTH Authentication required."), redis.PASSWORD, None),
    (ErrorReply("ERR operation not permitted"), redis.PASSWORD, None),
    (ErrorReply("DENIED Redis is running in protected mode"), redis.DENIED, None),
    (ErrorReply("NOPERM this user has no permissions to run the 'ping' command"), redis.RESTRICTED, None),
    (ErrorReply("LOADING Redis is loading the dataset in memory"), redis.OPEN, "LOADING"),
    (ErrorReply("MASTERDOWN Link with MASTER is down"), redis.OPEN, "MASTERDOWN"),
    (ErrorReply("BUSY Redis is busy running a script."), redis.OPEN, "BUSY"),
    (ErrorReply("ERR unknown command 'PING'"), None, None),
    (ErrorReply("ERR max number of clients reached"), redis.UNKNOWN, None),
    (ErrorReply("WRONGPASS invalid username-password pair"), redis.UNKNOWN, None),
])
def test_what_a_reply_tells(reply, outcome, state):
    assert redis.classify(reply) == (outcome, state)


@pytest.mark.parametrize("answers,outcome", [
    ([b"-ERR unknown command 'PING'\r\n-NOAUTH Authentication required.\r\n"], redis.PASSWORD),
    ([b"-ERR unknown command 'PING'\r\n$2\r\n# \r\n"], redis.OPEN),
    ([b"-ERR unknown command 'PING'\r\n" * 3], redis.UNKNOWN),
])
def test_a_renamed_ping_is_asked_otherwise(answers, outcome):
    with peer(*answers, hang=True) as endpoint:
        answer = redis.probe(endpoint)
        answer.connection.close()
    assert answer.outcome == outcome


def test_garbage_on_the_port_is_unreachable_whatever_is_tried():
    with peer(b"\x00\x01\x02", b"\x00\x01\x02") as endpoint:
        with pytest.raises(Unreachable) as caught:
            redis.probe(endpoint, timeout=2)
    assert caught.value.reason == "not_resp"


@pytest.mark.parametrize("answers,candidates,password", [
    (b"+OK\r\n", [b"a", b"b"], b"a"),
    (b"-WRONGPASS x\r\n+OK\r\n", [b"a", b"b"], b"b"),
    (b"-ERR invalid password\r\n+OK\r\n", [b"a", b"b"], b"b"),
    (b"-WRONGPASS x\r\n-WRONGPASS x\r\n", [b"a", b"b"], None),
    (b"-NOPERM x\r\n+OK\r\n", [b"a", b"b"], None),
    (b"", [], None),
])
def test_known_passwords_are_tried_in_turn(answers, candidates, password):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection.__new__(Connection)
        connection.endpoint, connection.timeout = Endpoint("peer", 1), 2.0
        connection._socket, connection._buffer, connection._at = ours, bytearray(), 0
        theirs.sendall(answers)
        assert redis.authenticate(connection, candidates)[0] == password


def test_info_is_parsed_whatever_it_holds():
    fields, commands, keyspace = redis.parse_info(
        "# Server\r\nredis_version:7.0.15\r\nodd\r\nexecutable:/a:b\r\n"
        "cmdstat_config|set:calls=2,usec=6,usec_per_call=3.00\r\ndb0:keys=12,expires=1\r\ndb11:broken\r\n")
    assert fields == {"redis_version": "7.0.15", "executable": "/a:b"}
    assert commands == {"config|set": {"calls": 2, "usec": 6}}
    assert keyspace == {0: 12, 11: 0}
    assert redis.version_of(fields) == (7, 0, 15)
    assert redis.version_of({"redis_version": "255.255.255-dev"}) == (255, 255, 255)
    assert redis.version_of({}) == (0, 0, 0)
