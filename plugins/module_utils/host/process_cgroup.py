# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the control group of a process tells: its systemd unit, its container.

Follows cgroups(7) and systemd's "Control Group APIs"; whoever is root can put a process into a group
of any name, so a container counts only when its runtime keeps a record of it on the host.
"""

import glob
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_table

_LIMIT = 65536

_CONTAINERS = (
    ("podman", re.compile(r"/libpod-([0-9a-f]{64})(?:\.scope)?(?:/|$)")),
    ("docker", re.compile(r"/docker[-/]([0-9a-f]{64})(?:\.scope)?(?:/|$)")),
    ("containerd", re.compile(r"/cri-containerd-([0-9a-f]{64})\.scope(?:/|$)")),
    ("cri-o", re.compile(r"/crio-([0-9a-f]{64})(?:\.scope)?(?:/|$)")),
    ("kubernetes", re.compile(r"/kubepods[^ ]*/([0-9a-f]{64})(?:/|$)")),
    ("lxc", re.compile(r"/lxc(?:\.payload\.|/)([A-Za-z0-9][A-Za-z0-9._-]*)(?:/|$)")),
    ("nspawn", re.compile(r"/machine\.slice/(?:machine-|systemd-nspawn@)([A-Za-z0-9][A-Za-z0-9._-]*)"
                          r"\.(?:scope|service)(?:/|$)")),
)

# Where the runtimes keep a folder or file a container; {id} is its id.
_RECORDS = (
    "/var/lib/containers/storage/*-containers/{id}", "/run/containers/storage/*-containers/{id}",
    "/home/*/.local/share/containers/storage/*-containers/{id}", "/run/user/*/containers/*-containers/{id}",
    "/var/lib/docker/containers/{id}", "/run/docker/runtime-*/moby/{id}",
    "/run/containerd/io.containerd.runtime.v2.task/*/{id}", "/run/k3s/containerd/io.containerd.runtime.v2.task/*/{id}",
    "/run/runc/{id}", "/run/crun/{id}", "/var/lib/lxc/{id}", "/var/snap/lxd/common/lxd/containers/{id}",
    "/var/lib/incus/containers/{id}", "/run/systemd/machines/{id}",
)


def paths(where):
    """Return the control group paths of a process, systemd's own hierarchy first."""
    content = (process_table.read_bytes(where + "/cgroup", _LIMIT) or b"").decode("utf-8", "replace")
    rows = [line.split(":", 2) for line in content.splitlines() if line.count(":") >= 2]
    rows.sort(key=lambda row: (row[1] != "name=systemd", row[0] != "0"))
    return [row[2] for row in rows]


def unit(group):
    """Return ``(unit, user id or None)`` of a control group path: the innermost service or scope, and whose service
    manager runs it (``None``: the system's). ``(None, None)`` if there is none."""
    owner = None
    name = None
    for part in group.split("/"):
        match = re.match(r"^user@(\d+)\.service$", part)
        if match:
            owner, name = int(match.group(1)), None
        elif part.endswith((".service", ".scope")):
            name = part
    return (name, owner) if name else (None, None)


def restart_advice(name, owner):
    """Return what restarts a unit, as a sentence without a full stop."""
    if name is None:
        return "end it and start it again by the way it was started"
    if name == "init.scope":
        return "run 'systemctl daemon-reexec'"
    if name.endswith(".scope"):
        return "log out of %s and in again" % name
    if owner is not None:
        return "run 'systemctl --user restart %s' as user id %d" % (name, owner)
    return "run 'systemctl restart %s'" % name


def container(groups, host_root="/"):
    """Return ``{"runtime", "id", "registered"}`` of the container that control group paths name, or ``None``.

    ``registered``: its runtime keeps a record of it on the host.
    """
    for group in groups:
        for runtime, pattern in _CONTAINERS:
            match = pattern.search(group)
            if match:
                identity = match.group(1)
                return {"runtime": runtime, "id": identity, "registered": _has_record(identity, host_root)}
    return None


def _has_record(identity, host_root):
    return any(glob.glob(host_root.rstrip("/") + pattern.format(id=identity)) for pattern in _RECORDS)
