# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a place is one where programs that no package owns do not belong, and why.

The places are those of the Filesystem Hierarchy Standard 3.0: ``/usr/bin`` and its like are the
packager's alone; ``/usr/local``, ``/opt``, ``/srv`` and the homes are the administrator's, where an
unowned program that replaced itself is everyday life (agents, language version managers, releases).
"""

import os
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import rooted_paths

MEMORY = "memory"
WORLD_WRITABLE = "world_writable"
OPEN_DIRECTORY = "open_directory"
DEVICE = "device"
HIDDEN = "hidden"
FOREIGN_DIRECTORY = "foreign_directory"
SYSTEM_DIRECTORY = "system_directory"

EXPLANATIONS = {
    MEMORY: "memory only",
    WORLD_WRITABLE: "a directory that everybody may write to",
    OPEN_DIRECTORY: "a directory that everybody may write to, though it is none for temporary files",
    DEVICE: "/dev, where no programs live",
    HIDDEN: "a hidden place",
    FOREIGN_DIRECTORY: "a directory of no package among the system's programs or settings",
    SYSTEM_DIRECTORY: "a system directory that only packages fill",
}

# A place from which nothing that is not an intruder's runs, so that being near a malicious process is enough.
FOUL = (MEMORY, WORLD_WRITABLE, DEVICE, HIDDEN, FOREIGN_DIRECTORY)

_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock", "/run/shm", "/var/lock", "/var/run/lock")
_HOMES = ("/home", "/root", "/var/home")

# Directories of programs have no directories of their own; /etc and /boot have, but no programs.
_PROGRAMS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
_SETTINGS = ("/etc", "/boot")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/libexec")
_SYSTEM = _PROGRAMS + _SETTINGS + _LIBRARIES + ("/usr", "/dev", "/run", "/var/run", "/var/spool", "/var/log")

_CROSSROADS = ("/", "/dev", "/opt", "/run", "/srv", "/usr", "/usr/local", "/usr/local/bin", "/usr/local/sbin", "/var")

# Functional package managers rename what they wrap to .name-wrapped.
_STORES = ("/nix/store", "/gnu/store")


def below(path, directory):
    """Tell whether ``path`` lies below ``directory``."""
    return path.startswith(directory.rstrip("/") + "/")


def reason(path, root="/", owner_of=None):
    """Return why a program of no package at ``path`` is out of place (one of the constants), or ``None``.

    :param path: absolute inside ``root``; it need not exist any more.
    :param root: root directory through which the process sees the path.
    :param owner_of: callable, path → package or ``None``, of a database that speaks for this root; without it
        nothing is said about the system's directories.
    """
    directory = os.path.dirname(path)
    if path.startswith("/memfd:"):
        return MEMORY
    if any(below(path, place) for place in _TEMPORARY) or is_world_writable(directory, root, stat.S_ISVTX):
        return WORLD_WRITABLE
    if owner_of is not None and below(path, "/dev"):
        return DEVICE
    if _is_hidden(path):
        return HIDDEN
    # Many an application was given 'chmod -R 777': a fault, but its programs are not an intruder's for that.
    if is_world_writable(directory, root):
        return OPEN_DIRECTORY
    if owner_of is None:
        return None
    if directory in _PROGRAMS or directory in _LIBRARIES:
        return SYSTEM_DIRECTORY
    if any(below(path, place) for place in _PROGRAMS + _SETTINGS):
        if directory in _SETTINGS or owner_of(directory):
            return SYSTEM_DIRECTORY
        return FOREIGN_DIRECTORY
    return None


def _is_hidden(path):
    if any(below(path, store) for store in _STORES):
        return False
    # Hidden directories are everyday life where developers work (.venv, node_modules/.pnpm, .vscode-server).
    in_system = any(below(path, place) for place in _SYSTEM) and not below(path, "/usr/local")
    return os.path.basename(path).startswith(".") or (in_system and "/." in path)


def is_world_writable(directory, root="/", also=0):
    """Tell whether ``directory`` or one above it (but the root itself), as far as they exist, may be written by all.

    :param also: further mode bits that such a directory must have.
    """
    wanted = stat.S_IWOTH | also
    while directory not in ("/", ""):
        try:
            found = rooted_paths.status(directory, root)
        except (OSError, ResponseError):
            found = None
        if found is not None and stat.S_ISDIR(found.st_mode) and found.st_mode & wanted == wanted:
            return True
        directory = os.path.dirname(directory)
    return False


def is_shared(directory, root="/"):
    """Tell whether unrelated programs lie in ``directory``: ``/tmp``, ``/usr/bin``, ``/opt``, a home."""
    return (directory in _TEMPORARY + _HOMES + _PROGRAMS + _SETTINGS + _LIBRARIES
            or directory in _CROSSROADS
            or any(os.path.dirname(directory) == home for home in _HOMES)
            or _is_writable_itself(directory, root))


def _is_writable_itself(directory, root):
    try:
        found = rooted_paths.status(directory, root)
    except (OSError, ResponseError):
        return True
    return found is not None and bool(found.st_mode & stat.S_IWOTH)
