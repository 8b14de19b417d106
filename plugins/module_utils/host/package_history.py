# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which packages were removed and when, from the packagers' logs: dpkg(1) ``--log`` and dnf's ``dnf.rpm.log``.

A removed package owns nothing any more, but a service of it may still run. Logs are easily written by
an intruder: what they say may make a finding milder, never make it fine.
"""

import calendar
import re
import time

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files

_LIMIT = 64 * 1024 * 1024
_DPKG = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) remove (\S+) ", re.MULTILINE)
_DNF = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)([+-]\d{4}|Z) \S+ Erase: (\S+)", re.MULTILINE)


def removed_near(host_root, moment, seconds=600):
    """Return the names of packages removed within ``seconds`` of ``moment`` (epoch seconds), in the logs' order."""
    found = []
    for name in ("/var/log/dpkg.log.1", "/var/log/dpkg.log"):
        # dpkg writes local time without saying which; ours is the best guess.
        found.extend((_local(stamp), package.split(":")[0]) for stamp, package in _DPKG.findall(_text(host_root, name)))
    for stamp, zone, package in _DNF.findall(_text(host_root, "/var/log/dnf.rpm.log")):
        found.append((_zoned(stamp, zone), package))
    return [package for when, package in found if abs(when - moment) <= seconds]


def _text(host_root, path):
    try:
        return safe_files.read_bytes(path, _LIMIT, host_root, truncate=True).decode("utf-8", "replace")
    except (OSError, ResponseError):
        return ""


def _local(stamp):
    return time.mktime(time.strptime(stamp, "%Y-%m-%d %H:%M:%S"))


def _zoned(stamp, zone):
    offset = 0 if zone == "Z" else (int(zone[1:3]) * 60 + int(zone[3:])) * 60 * (-1 if zone[0] == "-" else 1)
    return calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")) - offset
