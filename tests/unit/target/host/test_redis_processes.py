# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import socket

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import redis_processes
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.redis_processes import (
    Listener,
    decode_address,
    find_processes,
    listening_sockets,
    split_command_line,
    unit_arguments,
)


class FakeProc:
    """A /proc of made-up processes."""

    def __init__(self, tmp_path):
        self.root = tmp_path / "host"
        self.root.mkdir()
        self.path = tmp_path / "proc"
        (self.path / "self" / "ns").mkdir(parents=True)
        (self.path / "self" / "ns" / "net").symlink_to("net:[1]")

    def add(self, pid, comm, exe, cmdline, parent=1, sockets=(), net="net:[1]", uid=0, cgroup="0::/\n", root=None):
        base = self.path / str(pid)
        (base / "fd").mkdir(parents=True)
        (base / "ns").mkdir()
        (base / "net").mkdir()
        (base / "ns" / "net").symlink_to(net)
        (base / "comm").write_bytes(comm + b"\n")
        if exe:
            (base / "exe").symlink_to(exe)
        (base / "cwd").symlink_to("/var/lib/redis")
        (base / "root").symlink_to(root or str(self.root))
        (base / "cmdline").write_bytes(cmdline)
        (base / "cgroup").write_text(cgroup)
        (base / "stat").write_text("%d (%s) S %d %s 4711 0\n" % (pid, ") odd (", parent, " ".join(["0"] * 17)))
        (base / "status").write_text("Name:\tx\nUid:\t9\t%d\t9\t9\nGid:\t7\t7\t7\t7\nGroups:\t8 9 \n" % uid)
        for number, inode in enumerate(sockets):
            (base / "fd" / str(number)).symlink_to("socket:[%d]" % inode)
        return base


@pytest.fixture
def proc(tmp_path):
    return FakeProc(tmp_path)


# Debian's redis-server is a link to redis-check-rdb; a title hides the arguments.
@pytest.mark.parametrize("comm,exe,cmdline,product,sentinel", [
    (b"redis-server", "/usr/bin/redis-check-rdb", b"/usr/bin/redis-server 0.0.0.0:6379\0\0\0", "redis", False),
    (b"redis-server", "/usr/bin/redis-server (deleted)", b"redis-server\0/etc/r.conf\0", "redis", False),
    (b"valkey-server", "/usr/bin/valkey-server", b"valkey-server *:6379\0", "valkey", False),
    (b"keydb-server", "/opt/keydb-server", b"keydb-server\0", "keydb", False),
    (b"renamed", "/opt/redis-server", b"renamed\0", "redis", False),
    (b"redis-sentinel", "/usr/bin/redis-check-rdb", b"redis-sentinel *:26379 [sentinel]\0", "redis", True),
    (b"redis-server", "/usr/bin/redis-server", b"redis-server\0/s.conf\0--sentinel\0", "redis", True),
    (b"redis-server-6.", "/usr/bin/redis-server-6.2", b"redis-server-6.2\0", "redis", False),
    (b"redis-cli", "/usr/bin/redis-cli", b"redis-cli\0", None, None),
    (b"redis-server_ex", "/usr/bin/redis_exporter", b"redis_exporter\0", None, None),
    (b"python3", "/usr/bin/python3", b"python3\0redis-server\0", None, None),
    (b"kworker", None, b"", None, None),
])
def test_which_processes_are_servers(proc, comm, exe, cmdline, product, sentinel):
    proc.add(100, comm, exe, cmdline)
    found = find_processes(str(proc.path), str(proc.root))
    assert [(item.product, item.sentinel) for item in found] == ([] if product is None else [(product, sentinel)])


def test_what_is_told_of_a_server(proc):
    proc.add(100, b"redis-server", "/usr/bin/redis-server", b"redis-server\0/etc/r.conf\0--port\x006380\0", uid=5,
             cgroup="12:pids:/system.slice/redis-server.service\n0::/system.slice/redis-server.service\n")
    proc.add(101, b"redis-server", "/usr/bin/redis-server", b"redis-rdb-bgsave 0.0.0.0:6379\0", parent=100)
    server, = find_processes(str(proc.path), str(proc.root))
    assert (server.pid, server.start_time, server.uid, server.groups) == (100, 4711, 5, {7, 8, 9})
    assert (server.arguments, server.unit) == (["/etc/r.conf", "--port", "6380"], "redis-server.service")
    assert (server.own_network, server.own_root, server.working_directory) == (False, False, "/var/lib/redis")


def test_a_container_is_told_apart(proc, tmp_path):
    (tmp_path / "other").mkdir()
    proc.add(100, b"redis-server", "/r", b"redis-server *:6379\0", net="net:[2]", root=str(tmp_path / "other"))
    server, = find_processes(str(proc.path), str(proc.root))
    assert (server.own_network, server.own_root) == (True, True)


def test_the_unit_tells_what_a_title_hides(proc):
    unit = proc.root / "etc/systemd/system/redis@.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=-/usr/bin/redis-server \\\n  /etc/redis/%i.conf --save ''\n")
    proc.add(100, b"redis-server", "/r", b"redis-server *:6379\0", cgroup="0::/system.slice/redis@a.service\n")
    server, = find_processes(str(proc.path), str(proc.root))
    assert server.arguments == ["/etc/redis/a.conf", "--save", ""]
    override = proc.root / "etc/systemd/system/redis@.service.d/override.conf"
    override.parent.mkdir()
    override.write_text("[Service]\nExecStart=\nExecStart=/opt/redis-server /opt/r.conf\n")
    assert unit_arguments("redis@a.service", str(proc.root)) == ["/opt/r.conf"]
    assert unit_arguments("missing.service", str(proc.root)) == []


HEADER = b"  sl  local_address ...\n"


def test_listeners_of_a_process_and_of_nobody_else(proc):
    base = proc.add(100, b"redis-server", "/r", b"redis-server\0", sockets=(11, 12, 13, 14))
    row = "   0: %s 00000000:0000 %s 00000000:00000000 00:00000000 00000000     0        0 %d 1\n"
    (base / "net/tcp").write_bytes(HEADER + "".join([
        row % ("00000000:18EB", "0A", 11), row % ("0100007F:18EB", "01", 12), row % ("0100007F:0050", "0A", 99),
    ]).encode())
    (base / "net/tcp6").write_bytes(HEADER + (row % ("00000000000000000000000001000000:18EB", "0A", 13)).encode())
    (base / "net/unix").write_bytes(
        b"Num RefCount\n0000: 00000002 00000000 00010000 0001 01 14 /run/with space.sock\n"
        b"0000: 00000003 00000000 00000000 0001 03 14 /run/connected.sock\n")
    assert listening_sockets(100, str(proc.path)) == [
        Listener("tcp", "0.0.0.0", 6379), Listener("tcp", "::1", 6379), Listener("unix", "/run/with space.sock", 0)]


@pytest.mark.parametrize("hexadecimal,address", [
    ("0100007F", "127.0.0.1"),
    ("00000000", "0.0.0.0"),
    ("00000000000000000000000000000000", "::"),
    ("00000000000000000000000001000000", "::1"),
    ("B80D01200000000000000000010000FF", "2001:db8::ff00:1"),
])
@pytest.mark.skipif(os.sys.byteorder != "little", reason="the samples are those of a little-endian machine")
def test_addresses_of_proc(hexadecimal, address):
    assert decode_address(hexadecimal) == address


def test_our_own_socket_is_seen():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        assert Listener("tcp", "127.0.0.1", server.getsockname()[1]) in listening_sockets(os.getpid())


@pytest.mark.parametrize("arguments,path,directives", [
    ([], None, []),
    (["/etc/r.conf"], "/etc/r.conf", []),
    (["/etc/r.conf", "--port", "7", "--bind", "a", "b", "--daemonize", "no"], "/etc/r.conf",
     [("port", [b"7"]), ("bind", [b"a", b"b"]), ("daemonize", [b"no"])]),
    (["--requirepass", "x"], None, [("requirepass", [b"x"])]),
    (["-", "--port", "7"], None, [("port", [b"7"])]),
    (["/s.conf", "--sentinel"], "/s.conf", []),
])
def test_command_lines(arguments, path, directives):
    assert split_command_line(arguments) == (path, directives)


def test_a_process_that_vanishes_while_we_look(proc, monkeypatch):
    proc.add(100, b"redis-server", "/r", b"redis-server\0")

    def gone(*unused):
        raise ProcessLookupError

    monkeypatch.setattr(redis_processes, "_status", gone)
    assert find_processes(str(proc.path), str(proc.root)) == []
