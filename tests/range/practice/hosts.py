# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Practice hosts by name, in sets: create, wait, destroy, and the inventory that reaches them over SSH.

A set is a name ("site", "molecule-contain"); its hosts are containers whose names begin with this checkout's and the
set's own prefix, and nothing else is ever touched. What must be remembered (ports) lies in
``build/range/SET/state.json``.
"""

import json
import os
import pathlib
import re
import resource
import shutil
import time

from . import dns, image
from .base import BUILD, CACHE, CHECKOUT, RangeError, free_port, lock, run, say, write_private

NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")
BOOT_SECONDS = 120
OPERATOR_KEY = CACHE / "operator_ed25519"

_FIRST_START = """
set -eu
# On an ordinary Debian host /dev/shm may hold programs; podman mounts it noexec.
mount -o remount,exec /dev/shm
install -d -m 0700 /root/.ssh
install -d -m 0700 -o operator -g operator /home/operator/.ssh
cat > /root/.ssh/authorized_keys
chmod 0600 /root/.ssh/authorized_keys
install -m 0600 -o operator -g operator /root/.ssh/authorized_keys /home/operator/.ssh/authorized_keys
cat /etc/ssh/ssh_host_ed25519_key.pub
"""


class HostSet:
    """The hosts of one set. Every change is made under the set's lock."""

    def __init__(self, name):
        if not NAME.match(name):
            raise RangeError("not a name for a set: %r (lower case letters, digits, dashes)" % name)
        self.name = name
        self.folder = BUILD / name
        self.inventory = self.folder / "inventory.ini"
        self.dns_folder = self.folder / "dns"
        self.known_hosts = self.folder / "known_hosts"
        self._state_file = self.folder / "state.json"
        # Short, since a socket's path may have 107 bytes; apart, since a recreated host must not be met through a
        # connection to the one before.
        self._control_folder = pathlib.Path.home() / ".ansible" / "cp" / ("%s-%s" % (CHECKOUT, name))[:24]

    def container(self, host):
        """Return the container's name for ``host``."""
        # No name holds an underscore: the hosts of the set "a" are told from those of "a-b".
        return "range_%s_%s_%s" % (CHECKOUT, self.name, host)

    def state(self):
        """Return what is remembered: ``{"hosts": {name: {"port": int, "host_key": str, ...}}}``."""
        try:
            return json.loads(self._state_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {"hosts": {}}

    def remember(self, host, **facts):
        """Add facts about one host to the state."""
        state = self.state()
        state["hosts"].setdefault(host, {}).update(facts)
        write_private(self._state_file, json.dumps(state, indent=1, sort_keys=True) + "\n")

    def create(self, names):
        """Make fresh hosts called ``names``, whatever was there before, and wait until SSH answers."""
        for name in names:
            if not NAME.match(name):
                raise RangeError("not a name for a host: %r (lower case letters, digits, dashes)" % name)
        built = image.ensure()
        with lock(self.folder / "lock"):
            self._close_connections()
            for name in names:
                self._start(name, built)
            for name in names:
                self._wait(name)
            self._write_inventory()
        for name in names:
            self._wait_for_ssh(name)

    def destroy(self, names=None):
        """Remove the hosts called ``names``, or the whole set with its folder."""
        with lock(self.folder / "lock"):
            self._close_connections()
            whole = names is None
            if whole:
                prefix = self.container("")
                names = [container[len(prefix):] for container in _containers(prefix)]
            state = self.state()
            for name in names:
                self._remove_container(name)
                state["hosts"].pop(name, None)
            write_private(self._state_file, json.dumps(state, indent=1, sort_keys=True) + "\n")
            self._write_inventory()
        if whole:
            dns.stop(self.dns_folder)
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.rmtree(self._control_folder, ignore_errors=True)

    def run(self, host, argv, stdin=None, check=True, timeout=600):
        """Run ``argv`` as root on the host's console, beside SSH; return the ``CompletedProcess``."""
        return run(["podman", "exec", "--interactive", self.container(host), *argv], stdin=stdin, check=check,
                   timeout=timeout)

    def ssh_argv(self, host, user="root", key=OPERATOR_KEY):
        """Return the beginning of an ssh command line to ``host``; the remote command follows."""
        known = self.state()["hosts"].get(host)
        if not known:
            raise RangeError("no host %r in set %r; there are: %s" % (
                host, self.name, ", ".join(sorted(self.state()["hosts"])) or "none"))
        return ["ssh", "-F", "/dev/null", "-i", str(key), "-p", str(known["port"]), *self._ssh_options(),
                "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "%s@127.0.0.1" % user]

    def ssh(self, host, command, user="root", key=OPERATOR_KEY, stdin=None, check=True, timeout=600):
        """Run a command line over SSH; return the ``CompletedProcess``."""
        return run([*self.ssh_argv(host, user, key), command], stdin=stdin, check=check, timeout=timeout)

    def _start(self, name, built):
        self._remove_container(name)
        remembered = self.state()["hosts"].get(name, {}).get("port")
        for attempt in range(5):
            port = free_port(remembered if attempt == 0 else None)
            done = run(["podman", "run", "--detach", "--runtime", "runc", "--privileged", "--systemd=always",
                        "--pull=never", "--name", self.container(name), "--hostname", name, "--pids-limit=-1",
                        "--publish", "127.0.0.1:%d:22" % port, *_limits(), built], check=False)
            if done.returncode == 0:
                self._forget(name)
                self.remember(name, port=port)
                say("%s/%s starts on port %d" % (self.name, name, port))
                return
            self._remove_container(name)
            # Between the choice and the start somebody else may have taken the port.
            if "address already in use" not in done.stderr:
                break
        raise RangeError("the host %s did not start: %s" % (name, done.stderr.strip()[-2000:]))

    def _forget(self, name):
        state = self.state()
        if state["hosts"].pop(name, None) is not None:
            write_private(self._state_file, json.dumps(state, indent=1, sort_keys=True) + "\n")

    def _wait(self, name):
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            done = self.run(name, ["systemctl", "is-system-running"], check=False)
            word = done.stdout.strip()
            if word == "running":
                break
            if word == "degraded":
                failed = self.run(name, ["systemctl", "--failed", "--no-legend", "--plain"], check=False).stdout
                raise RangeError("%s has failed units: %s" % (name, failed.strip()))
            if time.monotonic() > deadline:
                raise RangeError("%s did not come up in %d s: %s" % (
                    name, BOOT_SECONDS, (word + " " + done.stderr).strip()))
            time.sleep(0.3)
        host_key = self.run(name, ["sh", "-c", _FIRST_START], stdin=operator_public_key()).stdout.split()[:2]
        self.remember(name, host_key=" ".join(host_key))

    def _wait_for_ssh(self, name):
        deadline = time.monotonic() + 30
        while True:
            done = self.ssh(name, "true", check=False)
            if done.returncode == 0:
                return
            if time.monotonic() > deadline:
                raise RangeError("no SSH to %s: %s" % (name, done.stderr.strip()))
            time.sleep(0.3)

    def _remove_container(self, name):
        run(["podman", "rm", "--force", "--time", "0", "--ignore", self.container(name)])

    def _ssh_options(self):
        return ["-o", "UserKnownHostsFile=%s" % self.known_hosts, "-o", "StrictHostKeyChecking=yes",
                "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "ServerAliveInterval=10"]

    def _write_inventory(self):
        hosts = self.state()["hosts"]
        known = ["[127.0.0.1]:%d %s\n" % (facts["port"], facts["host_key"]) for facts in hosts.values()
                 if "host_key" in facts]
        write_private(self.known_hosts, "".join(sorted(known)))
        lines = ["# Made by tests/range/host; do not edit.", "[practice]"]
        lines += ["%s ansible_port=%d" % (name, facts["port"]) for name, facts in sorted(hosts.items())]
        lines += ["", "[practice:vars]", "ansible_host=127.0.0.1", "ansible_user=root",
                  "ansible_ssh_private_key_file=%s" % OPERATOR_KEY,
                  "ansible_ssh_common_args=%s" % " ".join(["-F", "/dev/null", *self._ssh_options()]),
                  "ansible_control_path_dir=%s" % self._control_folder,
                  "ansible_python_interpreter=/usr/bin/python3", ""]
        write_private(self.inventory, "\n".join(lines))

    def _close_connections(self):
        """End the shared SSH connections which Ansible keeps open to this set's hosts."""
        if not self._control_folder.is_dir():
            return
        for socket_path in self._control_folder.iterdir():
            run(["ssh", "-F", "/dev/null", "-O", "exit", "-o", "ControlPath=%s" % socket_path, "127.0.0.1"],
                check=False, timeout=20)
            socket_path.unlink(missing_ok=True)


def operator_public_key():
    """Return the operator's public key line; the pair is made when there is none."""
    public = OPERATOR_KEY.with_name(OPERATOR_KEY.name + ".pub")
    with lock(CACHE / "key.lock"):
        if not (OPERATOR_KEY.exists() and public.exists()):
            OPERATOR_KEY.unlink(missing_ok=True)
            make_key(OPERATOR_KEY, "operator@practice")
        os.chmod(OPERATOR_KEY, 0o600)
    return public.read_text(encoding="ascii")


def make_key(path, comment):
    """Make an SSH key pair at ``path`` (0600) and ``path``.pub; an old one is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in (path, path.with_name(path.name + ".pub")):
        old.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])


def list_sets():
    """Return the names of this checkout's sets."""
    return sorted(path.name for path in BUILD.iterdir() if path.is_dir()) if BUILD.is_dir() else []


def destroy_everything():
    """Remove all sets of this checkout, and containers whose set's folder is lost."""
    for name in list_sets():
        HostSet(name).destroy()
    prefix = "range_%s_" % CHECKOUT
    for container in _containers(prefix):
        run(["podman", "rm", "--force", "--time", "0", "--ignore", container])


def _containers(prefix):
    listed = run(["podman", "ps", "--all", "--format", "{{.Names}}", "--filter", "name=^" + prefix]).stdout
    return [name for name in listed.split() if name.startswith(prefix)]


def _limits():
    """Return limits not above our own: without CAP_SYS_RESOURCE podman's defaults cannot be set."""
    argv = []
    for name, number, soft, hard in (("nofile", resource.RLIMIT_NOFILE, 1024, 4096),
                                     ("nproc", resource.RLIMIT_NPROC, 4096, 4096)):
        own = resource.getrlimit(number)[1]
        if own != resource.RLIM_INFINITY:
            hard = min(hard, own)
        argv += ["--ulimit", "%s=%d:%d" % (name, min(soft, hard), hard)]
    return argv
