# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A piece of real DNS on loopback, which starts and stops by itself and needs no root.

====================  ==========================================================================
``127.0.53.1``, ::1   knot: the TLD, the operator's zones, the vendors' zones
``127.0.53.2``        nsd: secondary of ``example.test`` that missed the last change; serves nothing
                      else but ``expired.test``, whose primary it never reached
``127.0.53.4``        a socket that swallows every question
``127.0.53.5``        a double that answers in the wrong ways which no real server is willing to
``127.0.53.8``        unbound: a cache
``127.0.53.9``        nobody
====================  ==========================================================================
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

dns_message = pytest.importorskip("dns.message", reason="dnspython is not installed")
import dns.flags  # noqa: E402 - after the check that it is there
import dns.query  # noqa: E402
import dns.rcode  # noqa: E402
import dns.rrset  # noqa: E402

ZONES = os.path.join(os.path.dirname(__file__), "zones")
PRIMARY, SECONDARY, SILENT, DOUBLE, CACHE, NOBODY = (
    "127.0.53.1", "127.0.53.2", "127.0.53.4", "127.0.53.5", "127.0.53.8", "127.0.53.9")
ZONE_NAMES = ("test", "example.test", "inner.example.test", "switch.test", "lame.test", "yundunwaf3.com",
              "kunlunsl.com", "notyundunwaf3.com", "broken.test")

KNOT = """
server:
    rundir: "{directory}"
    pidfile: "{directory}/knot.pid"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    listen: [{listen}]
control:
    listen: "{directory}/knot.sock"
log:
  - target: stderr
    any: warning
database:
    storage: "{directory}/knot.db"
template:
  - id: default
    storage: "{directory}"
    file: "%s.zone"
    zonefile-sync: -1
    journal-content: none
zone:
{zones}
"""

NSD = """
server:
    ip-address: {address}@{port}
    do-ip6: no
    username: ""
    chroot: ""
    zonesdir: "{directory}"
    pidfile: "{directory}/nsd.pid"
    database: ""
    xfrdfile: "{directory}/xfrd.state"
    zonelistfile: "{directory}/zone.list"
    server-count: 1
remote-control:
    control-enable: no
zone:
    name: example.test
    zonefile: example.test.stale.zone
zone:
    name: expired.test
    zonefile: expired.test.zone
    request-xfr: {nobody} NOKEY
    allow-notify: {nobody} NOKEY
"""

UNBOUND = """
server:
    interface: {address}@{port}
    do-ip6: no
    use-syslog: no
    logfile: "{directory}/unbound.log"
    chroot: ""
    username: ""
    directory: "{directory}"
    pidfile: "{directory}/unbound.pid"
    module-config: "iterator"
    do-not-query-localhost: no
    local-zone: "test." nodefault
    num-threads: 1
    root-hints: "{directory}/nowhere.hints"
remote-control:
    control-enable: no
{stubs}
"""


class Bed:
    """The running servers: addresses as the module takes them, and a way to change a zone."""

    def __init__(self, directory, port, ipv6):
        self.directory = directory
        self.port = port
        self.ipv6 = ipv6
        self.processes = {}
        self.primary, self.secondary, self.silent, self.double, self.cache, self.nobody = (
            "%s:%d" % (address, port) for address in (PRIMARY, SECONDARY, SILENT, DOUBLE, CACHE, NOBODY))

    def start(self, name, argv, address):
        log = open(os.path.join(self.directory, name + ".stderr"), "wb")  # noqa: SIM115 - lives as long as the server
        self.processes[name] = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)
        log.close()
        deadline = time.monotonic() + 30
        while not self._answers(address):
            if self.processes[name].poll() is not None or time.monotonic() > deadline:
                with open(os.path.join(self.directory, name + ".stderr"), errors="replace") as stream:
                    pytest.fail("%s does not start: %s" % (name, stream.read()[-2000:]))
            time.sleep(0.05)

    def _answers(self, address):
        query = dns_message.make_query("example.test", "SOA")
        try:
            dns.query.udp(query, address, 0.3, self.port)
        except (dns.exception.Timeout, OSError):
            return False
        return True

    def serial(self, zone):
        answer = dns.query.udp(dns_message.make_query(zone, "SOA"), PRIMARY, 2, self.port).answer
        return answer[0][0].serial

    def put_zone(self, zone, text, serial):
        """Give the primary a new zone file and wait until it serves it."""
        with open(os.path.join(self.directory, zone + ".zone"), "w") as stream:
            stream.write(text)
        self.processes["knot"].send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 30
        while self.serial(zone) != serial:
            assert time.monotonic() < deadline, "knot did not take the new zone"
            time.sleep(0.05)

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Double(threading.Thread):
    """A name server that misbehaves as the first label of the question says. UDP and, for one of them, TCP."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((DOUBLE, port))
        self.edns_seen = []

    def run(self):
        while True:
            try:
                data, sender = self.udp.recvfrom(65535)
            except OSError:
                return
            if data == b"stop":
                return
            for answer in self.answers(dns_message.from_wire(data)):
                self.udp.sendto(answer, sender)

    def answers(self, query):
        """Yield the datagrams to send back."""
        question = query.question[0]
        mode = question.name.labels[0]
        self.edns_seen.append((mode, query.edns))
        reply = dns_message.make_response(query)
        reply.flags |= dns.flags.AA
        if question.rdtype == 1:
            reply.answer.append(dns.rrset.from_text(question.name, 300, "IN", "A", "203.0.113.10"))
        if mode == b"noedns" and query.edns >= 0:
            reply = dns_message.make_response(query)
            reply.use_edns(False)
            reply.set_rcode(dns.rcode.FORMERR)
        elif mode == b"swallowsedns" and query.edns >= 0:
            return
        elif mode == b"garbage":
            yield query.id.to_bytes(2, "big") + b"\xff" * 40
            return
        elif mode == b"forged":
            forged = dns_message.make_response(query)
            forged.answer.append(dns.rrset.from_text(question.name, 300, "IN", "CNAME", "evil.yundunwaf3.com."))
            forged.flags |= dns.flags.AA
            forged.id = query.id ^ 1
            yield forged.to_wire()
            other = dns_message.make_response(dns_message.make_query("other.broken.test", question.rdtype, id=query.id))
            other.answer.append(dns.rrset.from_text("other.broken.test.", 300, "IN", "CNAME", "evil.yundunwaf3.com."))
            yield other.to_wire()
        elif mode == b"cached":
            reply.flags &= ~dns.flags.AA
        elif mode == b"notimp":
            reply = dns_message.make_response(query)
            reply.set_rcode(dns.rcode.NOTIMP)
        elif mode == b"cutoff":
            reply.answer = []
            reply.flags |= dns.flags.TC
        elif mode == b"outside":
            # A record of a zone that is not this server's must not be believed.
            reply.answer = [
                dns.rrset.from_text(question.name, 300, "IN", "CNAME", "site.kunlunsl.com."),
                dns.rrset.from_text("site.kunlunsl.com.", 300, "IN", "A", "203.0.113.10"),
            ]
        elif mode == b"upward":
            reply.answer = []
            reply.flags &= ~dns.flags.AA
            reply.authority.append(dns.rrset.from_text(".", 300, "IN", "NS", "a.root-servers.net."))
        yield reply.to_wire()

    def stop(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
            stopper.sendto(b"stop", self.udp.getsockname())
        self.join(10)
        self.udp.close()


def _free_port():
    """Return a port that is free for UDP and TCP on all addresses of the bed."""
    for _try in range(50):
        sockets = []
        try:
            with socket.socket() as first:
                first.bind((PRIMARY, 0))
                port = first.getsockname()[1]
            for address in (PRIMARY, SECONDARY, SILENT, DOUBLE, CACHE, NOBODY):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    sockets.append(socket.socket(socket.AF_INET, kind))
                    sockets[-1].bind((address, port))
        except OSError:
            continue
        else:
            return port
        finally:
            for item in sockets:
                item.close()
    raise AssertionError("no port is free on all addresses")


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        pytest.skip("%s is not installed (apt-get install knot nsd unbound)" % name)
    return path


@pytest.fixture(scope="session")
def bed(tmp_path_factory):
    """All servers, running."""
    programs = {name: _program(name) for name in ("knotd", "nsd", "unbound")}
    directory = str(tmp_path_factory.mktemp("dns"))
    for name in os.listdir(ZONES):
        shutil.copy(os.path.join(ZONES, name), directory)
    port, ipv6 = _free_port(), _has_ipv6()
    made = Bed(directory, port, ipv6)
    listen = ["%s@%d" % (PRIMARY, port)] + (["::1@%d" % port] if ipv6 else [])
    values = {"directory": directory, "port": port, "nobody": "%s@%d" % (NOBODY, port)}
    zones = "\n".join("  - domain: %s" % name for name in ZONE_NAMES)
    configurations = {
        "knot": KNOT.format(listen=", ".join(listen), zones=zones, **values),
        "nsd": NSD.format(address=SECONDARY, **values),
        "unbound": UNBOUND.format(address=CACHE, stubs=_stubs(port), **values),
    }
    for name, text in configurations.items():
        with open(os.path.join(directory, name + ".conf"), "w") as stream:
            stream.write(text)
    with open(os.path.join(directory, "nowhere.hints"), "w") as stream:
        # The bed has no root: what is not of the bed must fail at once and never leave the machine.
        stream.write(". 3600 IN NS nowhere.\nnowhere. 3600 IN A %s\n" % NOBODY)
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind((SILENT, port))
    made.misbehaving = Double(port)
    made.misbehaving.start()
    try:
        made.start("knot", [programs["knotd"], "-c", os.path.join(directory, "knot.conf")], PRIMARY)
        made.start("nsd", [programs["nsd"], "-d", "-c", os.path.join(directory, "nsd.conf")], SECONDARY)
        made.start("unbound", [programs["unbound"], "-d", "-c", os.path.join(directory, "unbound.conf")], CACHE)
        yield made
    finally:
        made.stop()
        made.misbehaving.stop()
        silent.close()


def _stubs(port):
    servers = dict.fromkeys(ZONE_NAMES, PRIMARY)
    servers.update({"silent.test": SILENT, "expired.test": SECONDARY})
    return "\n".join('stub-zone:\n    name: "%s"\n    stub-addr: %s@%d' % (zone, address, port)
                     for zone, address in servers.items())
