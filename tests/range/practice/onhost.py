# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible on a practice host itself, for runs with ``-c local``: unpacked beside the system, nothing installed."""

import json
import platform
import shutil
import sys

from .base import CACHE, REPOSITORY, lock, run, say

# What runs on the hosts' own Python 3.11.
REQUIREMENTS = ("ansible-core >= 2.16, < 2.20", "dnspython >= 2.6, < 3")
HOST_PYTHON = "3.11"
PARTS = ("galaxy.yml", "indicators", "meta", "playbooks", "plugins", "roles", "toolkit")
PLACE = "/opt/response"


def install(hosts, name):
    """Put Ansible and this collection onto a host, under ``/opt/response``."""
    tree = _libraries()
    collection = PLACE + "/collections/ansible_collections/ecsops/intrusion_response"
    hosts.run(name, ["mkdir", "-p", collection])
    container = hosts.container(name)
    run(["podman", "cp", tree, "%s:%s/lib" % (container, PLACE)])
    for part in PARTS:
        run(["podman", "cp", REPOSITORY / part, "%s:%s/%s" % (container, collection, part)])


def run_playbook(hosts, name, playbook, variables):
    """Run a playbook there with ``-c local``, in root's SSH session; return the ``CompletedProcess``."""
    command = " ".join([
        "env LC_ALL=C.UTF-8 PYTHONPATH=%s/lib ANSIBLE_COLLECTIONS_PATH=%s/collections" % (PLACE, PLACE),
        "python3 -m ansible.cli.playbook -i localhost, -c local %s -e @%s/variables.json" % (playbook, PLACE)])
    hosts.run(name, ["sh", "-c", "cat > %s/variables.json" % PLACE], stdin=json.dumps(variables))
    say("on %s: %s" % (name, command))
    return hosts.ssh(name, command, check=False, timeout=1800)


def _libraries():
    with lock(CACHE / "on-host.lock"):
        tree = CACHE / ("on-host-%s" % platform.machine())
        stamp = tree / "made-of.txt"
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != "\n".join(REQUIREMENTS):
            say("fetching Ansible for Python %s" % HOST_PYTHON)
            shutil.rmtree(tree, ignore_errors=True)
            python = REPOSITORY / ".venv" / "bin" / "python"
            platforms = [word for glibc in ("manylinux2014", "manylinux_2_28", "manylinux_2_34")
                         for word in ("--platform", "%s_%s" % (glibc, platform.machine()))]
            run([python if python.exists() else sys.executable, "-m", "pip", "install", "--quiet",
                 "--disable-pip-version-check", "--no-compile", "--target", tree, "--only-binary", ":all:",
                 "--python-version", HOST_PYTHON, *platforms, *REQUIREMENTS], timeout=1200)
            stamp.write_text("\n".join(REQUIREMENTS), encoding="utf-8")
    return tree
