# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""psutil for a host that has none, brought by the controller and checked before use.

The host's own site-packages are neither trusted nor changed: an intruder may have written
there, and half of the hosts have no psutil at all.
"""

import atexit
import base64
import hashlib
import importlib
import io
import os
import platform
import shutil
import sys
import tempfile
import zipfile

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError

# A private directory for a moment; /run first since it is memory and gone after a reboot. Some
# distributions mount /run or /tmp noexec, where a shared object cannot be mapped.
CANDIDATE_DIRECTORIES = ("/run", "/dev/shm", "/var/lib", "/root", "/tmp", "/var/tmp")


class ToolkitMissing(Exception):
    """The controller has not sent the toolkit yet."""


def platform_tag(machine=None, find_loader=None):
    """Return ``{"machine": "x86_64", "libc": "gnu"|"musl"}``, which picks the wheel."""
    machine = machine or platform.machine()
    loaders = find_loader() if find_loader else os.listdir("/lib")
    musl = any(name.startswith("ld-musl-") for name in loaders)
    gnu = platform.libc_ver()[0] == "glibc"
    return {"machine": machine, "libc": "musl" if musl and not gnu else "gnu"}


def load_psutil(wheel):
    """Return the psutil package out of the wheel that the controller sent.

    :param wheel: ``{"name", "sha256", "data"}`` with ``data`` in base64, or ``None``.
    :raises ToolkitMissing: no wheel was sent. :raises ResponseError: it is damaged or does not load.
    """
    if wheel is None:
        raise ToolkitMissing()
    content = base64.b64decode(wheel["data"])
    if hashlib.sha256(content).hexdigest() != wheel["sha256"]:
        raise ResponseError("The toolkit %s arrived damaged." % wheel["name"], "Run again.")
    directory = _private_directory()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(directory)
    for name in [name for name in sys.modules if name.split(".")[0] == "psutil"]:
        del sys.modules[name]
    sys.path.insert(0, directory)
    try:
        return importlib.import_module("psutil")
    except ImportError as error:
        raise ResponseError("psutil from the toolkit does not load on this host: %s." % error)
    finally:
        sys.path.remove(directory)


def _private_directory():
    for parent in CANDIDATE_DIRECTORIES:
        try:
            # Python 3.6 has no name for ST_NOEXEC (8, statvfs(3)) outside Linux builds of os.
            if os.statvfs(parent).f_flag & getattr(os, "ST_NOEXEC", 8):
                continue
            directory = tempfile.mkdtemp(prefix=".ecsops-toolkit-", dir=parent)
        except OSError:
            continue
        atexit.register(shutil.rmtree, directory, True)
        return directory
    raise ResponseError("No directory of the host lets a library be loaded: all are full, read-only or noexec.",
                        "Mount /run without noexec, then run again.")
