# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of the checkout as it is now, for tools that must not see what is made in it; and who may make them."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def alone(what):
    """Let one process of this checkout at a time do ``what``, a file name; the others wait."""
    locks = ROOT / ".cache" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with open(str(locks / what), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another run of '%s' in this checkout" % what, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def copy(target):
    """Make the folder ``target`` anew with all files of the checkout, committed or not, that git does not ignore."""
    listing = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=str(ROOT),
                             check=True, stdout=subprocess.PIPE).stdout
    shutil.rmtree(str(target), ignore_errors=True)
    for name in sorted(set(os.fsdecode(listing).split("\0")) - {""}):
        # What is deleted but not yet committed is still listed.
        if os.path.lexists(str(ROOT / name)):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(ROOT / name), str(target / name), follow_symlinks=False)
