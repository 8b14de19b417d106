# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two name servers on loopback for the practice zones: NSD as the authority, Unbound as somebody's cache.

They belong to a set of hosts: ``folder`` is below the set's folder, and they end with the set.
"""

import os
import pathlib
import signal
import socket
import struct
import time

from .base import RANGE, RangeError, free_port, run

TEMPLATES = RANGE / "dns"
DOMAINS = {"moved": "www.shop.example", "forgotten": "old.shop.example"}
ASSIGNED_NAME = "8f0c1d2e3b4a59687786950a1b2c3d4e.yundunwaf3.com"
ORIGIN_ADDRESS = "192.0.2.80"


def start(folder):
    """Start both servers anew; return ``{"authority": port, "resolver": port}``."""
    stop(folder)
    folder.mkdir(parents=True, exist_ok=True)
    authority = free_port(both=True)
    _launch(folder, "nsd", port=authority, zones=TEMPLATES)
    _wait(folder, "nsd", authority, DOMAINS["moved"])
    resolver = free_port(both=True)
    _launch(folder, "unbound", port=resolver, authority=authority)
    _wait(folder, "unbound", resolver, DOMAINS["forgotten"])
    return {"authority": authority, "resolver": resolver}


def _launch(folder, name, **values):
    configuration = folder / (name + ".conf")
    template = (TEMPLATES / (name + ".conf")).read_text(encoding="ascii")
    configuration.write_text(template % dict(values, folder=folder), encoding="utf-8")
    environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    run([name, "-c", configuration], env=environment, timeout=30)


def _wait(folder, name, port, domain):
    """Wait until the server answers a question itself."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in domain.split("."))
    # RFC 1035, 4.1: id, flags (recursion desired), one question: name, type A, class IN.
    question = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, 1, 1)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.5)
            try:
                asking.connect(("127.0.0.1", port))
                asking.send(question)
                answer = asking.recv(4096)
            except OSError:
                time.sleep(0.1)
                continue
        answers = struct.unpack(">H", answer[6:8])[0]
        if answer[3] & 0x0F == 0 and answers:
            return
        time.sleep(0.1)
    raise RangeError("%s does not answer for %s; its log is %s" % (name, domain, folder / (name + ".log")))


def stop(folder):
    """End both servers, if they run."""
    for name in ("nsd", "unbound"):
        pid_file = folder / (name + ".pid")
        try:
            pid = int(pid_file.read_text(encoding="ascii"))
            command_line = pathlib.Path("/proc/%d/cmdline" % pid).read_bytes()
        except (FileNotFoundError, ValueError):
            continue
        # The number may have gone to somebody else meanwhile.
        if str(folder / (name + ".conf")).encode() in command_line:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + 10
            while os.path.exists("/proc/%d" % pid):
                if time.monotonic() > deadline:
                    raise RangeError("%s (pid %d) does not end" % (name, pid))
                time.sleep(0.1)
        pid_file.unlink(missing_ok=True)
