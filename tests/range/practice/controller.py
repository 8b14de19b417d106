# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this machine needs installed before it can carry practice hosts."""

import os
import pathlib
import shutil
import subprocess

from .base import RANGE, REPOSITORY, RangeError, run


def ensure():
    """Install what is missing (root on Debian or Ubuntu), else raise :class:`RangeError`; one line names what is missing."""
    had_name_server = shutil.which("nsd", path="/usr/sbin") is not None
    if subprocess.call([str(REPOSITORY / "tests" / "tools" / "packages.sh"), str(RANGE / "packages.txt")]) != 0:
        raise RangeError("the practice hosts cannot be made without these packages")
    if not had_name_server and pathlib.Path("/run/systemd/system").exists():
        # Debian starts a fresh name server at once; here it is wanted on demand, on a port of its own.
        run(["systemctl", "disable", "--now", "nsd"])
    if os.geteuid() != 0:
        raise RangeError("the practice hosts need root here (inode flags, private mounts): run it as root")
