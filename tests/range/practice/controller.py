# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this machine needs installed before it can carry practice hosts."""

import os
import pathlib
import shutil
import subprocess

from .base import RANGE, REPOSITORY, RangeError, run

NAME_SERVERS = ("nsd", "unbound")


def ensure():
    """Install what is missing (root on Debian or Ubuntu); else one line names it, and :class:`RangeError` is raised."""
    servers = [name for name in NAME_SERVERS if not shutil.which(name, path="/usr/sbin")]
    if subprocess.call([str(REPOSITORY / "tests" / "tools" / "packages.sh"), str(RANGE / "packages.txt")]) != 0:
        raise RangeError("the practice hosts cannot be made without these packages")
    if servers and pathlib.Path("/run/systemd/system").exists():
        # Debian starts a fresh name server at once; here they are wanted on demand, on ports of their own.
        run(["systemctl", "disable", "--now", *servers])
    if os.geteuid() != 0:
        raise RangeError("the practice hosts need root here (inode flags, private mounts): run it as root")
