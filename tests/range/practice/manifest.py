# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two manifests of a host, taken by ``staging/manifest.py``: what is different?"""

import json
import os

from .base import RANGE


def take(hosts, name):
    """Return the present manifest of a host: ``{"files": {...}, "processes": {...}}``."""
    source = (RANGE / "staging" / "manifest.py").read_text(encoding="utf-8")
    return json.loads(hosts.ssh(name, "python3 -", stdin=source).stdout)


def compare(before, after, processes=True, but_for=()):
    """Return the differences, one line each.

    :param processes: compare the processes, too.
    :param but_for: paths that may differ, with all below them; the directory that such a path is new in has another
        mtime for it.
    """
    lines = []
    holders = {os.path.dirname(path) for path in but_for if path not in before["files"] and path in after["files"]}
    for path in sorted(set(before["files"]) | set(after["files"])):
        if any(path == prefix or path.startswith(prefix + "/") for prefix in but_for):
            continue
        old, new = before["files"].get(path), after["files"].get(path)
        if old is None or new is None:
            lines.append("%s: %s" % (path, "new" if old is None else "gone"))
            continue
        fields = [field for field in sorted(set(old) | set(new)) if old.get(field) != new.get(field)]
        if path in holders and "mtime_ns" in fields:
            fields.remove("mtime_ns")
        lines += ["%s: %s was %s, is %s" % (path, field, old.get(field), new.get(field)) for field in fields]
    if processes:
        for key in sorted(set(before["processes"]) | set(after["processes"])):
            old, new = before["processes"].get(key), after["processes"].get(key)
            if old != new:
                lines.append("process %s: was %s, is %s" % (key.split()[0], old or "not there", new or "gone"))
    return lines
