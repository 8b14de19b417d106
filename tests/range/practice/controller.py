# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this machine needs installed before it can carry practice hosts."""

import os
import pathlib
import shutil

from .base import RANGE, RangeError, run, say


def missing_packages():
    """Return the names of packages in ``packages.txt`` whose command or file is not here."""
    missing = []
    for line in (RANGE / "packages.txt").read_text(encoding="ascii").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        package, brings = line.split()
        found = os.path.exists(brings) if brings.startswith("/") else _which(brings)
        if not found:
            missing.append(package)
    return missing


def ensure():
    """Install what is missing (root on Debian or Ubuntu), else raise :class:`RangeError` naming it in one line."""
    missing = missing_packages()
    if missing:
        if os.geteuid() != 0 or not pathlib.Path("/etc/debian_version").exists():
            raise RangeError("please install: %s (as root on Debian or Ubuntu this is done for you)" % " ".join(missing))
        say("installing %s" % " ".join(missing))
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        run(["apt-get", "update", "-q"], timeout=900, env=environment)
        run(["apt-get", "install", "-qy", "--no-install-recommends", *missing], timeout=1800, env=environment)
        if "nsd" in missing and pathlib.Path("/run/systemd/system").exists():
            # Debian starts a fresh name server at once; here it is wanted on demand, on a port of its own.
            run(["systemctl", "disable", "--now", "nsd"])
    if os.geteuid() != 0:
        raise RangeError("the practice hosts need root here (inode flags, private mounts): run it as root")


def _which(command):
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
