# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which program a process really runs: its executable, or the script that an interpreter was given."""

import os
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_table

_INTERPRETER = re.compile(
    r"^(?:sh|ash|bash|dash|ksh\d*|mksh|zsh|fish|busybox|python[\d.]*|platform-python[\d.]*|pypy[\d.]*|perl[\d.]*"
    r"|ruby[\d.]*|php[\d.]*(?:-cgi)?|node|nodejs|lua[\d.]*|luajit[\d.]*|tclsh[\d.]*|expect|gawk|mawk)$")
_SHELL = re.compile(r"^(?:sh|ash|bash|dash|ksh\d*|mksh|zsh|fish|busybox)$")

# What follows is code or a module: Python's -c and -m, the -e of Perl, Ruby and Node, PHP's -r.
_CODE_OPTIONS = ("-c", "-m", "-e", "-E", "-r", "-p")

# Where shells keep the script that they are reading: dash (and busybox) from 10 upwards, bash at 255.
_SCRIPT_DESCRIPTORS = (10, 255)


class Program:
    """``path``: absolute path of what runs, as the process's link or arguments name it (without ``(deleted)``);
    ``script``: true where it is an interpreter's script; ``exe``: path of the executable itself."""

    __slots__ = ("path", "script", "exe")

    def __init__(self, path, script, exe):
        self.path = path
        self.script = script
        self.exe = exe


def is_interpreter(path):
    """Tell whether the executable ``path`` is one that runs scripts."""
    return bool(_INTERPRETER.match(os.path.basename(path)))


def program(where):
    """Return the :class:`Program` of the process with the directory ``where`` in /proc, or ``None`` if it has none.

    The arguments are the process's own tale; for a shell the script that it holds open is better evidence
    and comes first.
    """
    link = process_table.read_link(where, "exe")
    if link is None:
        return None
    exe = process_table.strip_deleted(link)
    script = script_of(where, exe) if is_interpreter(exe) else None
    return Program(script or exe, script is not None, exe)


def script_of(where, exe):
    """Return the absolute path of the script which the interpreter ``exe`` runs in this process, or ``None``."""
    if _SHELL.match(os.path.basename(exe)):
        for descriptor in _SCRIPT_DESCRIPTORS:
            target = process_table.read_link(where, "fd/%d" % descriptor)
            if target is not None and target.startswith("/") and not target.startswith("/dev/"):
                return process_table.strip_deleted(target)
    return script_argument(process_table.cmdline(where), process_table.read_link(where, "cwd") or "/",
                           bool(_SHELL.match(os.path.basename(exe))))


def script_argument(arguments, directory, shell):
    """Return the script among an interpreter's arguments, made absolute with ``directory``, or ``None``.

    :param shell: whether an option with a ``c`` in it (``-c``, ``-ec``) takes a command instead of a script.
    """
    for argument in arguments[1:]:
        if re.match(r"^-[a-z]*c[a-z]*$", argument) if shell else argument in _CODE_OPTIONS:
            return None
        if argument.startswith(("-", "+")) or not argument:
            continue
        # A word without a slash is searched in the working directory first by every one of them.
        return os.path.normpath(os.path.join(directory, argument))
    return None
