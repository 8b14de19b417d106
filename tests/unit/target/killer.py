# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ends a process at its n-th call that changes something on a disk, to prove what is left then."""

import fcntl
import os
import signal

# Every call by which something on a disk can change.
STEPS = ("write", "fsync", "ftruncate", "rename", "unlink", "rmdir", "link", "symlink", "mkdir", "mknod", "chown",
         "chmod", "fchmod", "setxattr", "removexattr", "utime")


class Killer:
    """Counts the changing calls of this process and kills it instead of the n-th."""

    def __init__(self, fatal):
        self.left = fatal

    def install(self):
        for name in STEPS:
            setattr(os, name, self._wrap(getattr(os, name), name))
        fcntl.ioctl = self._wrap(fcntl.ioctl, "ioctl")

    def _wrap(self, function, name):
        def step(*arguments, **keywords):
            self.left -= 1
            if self.left == 0:
                if name == "write":
                    # Torn: only a part of the bytes arrived.
                    function(arguments[0], bytes(arguments[1])[:len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "fsync":
                # A killed process loses nothing that it has written: only the order matters here.
                return None
            return function(*arguments, **keywords)
        return step


def killed_at(fatal, act, *arguments):
    """Run ``act`` in a child that is killed at its ``fatal``-th changing call; tell whether it came so far."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            Killer(fatal).install()
            act(*arguments)
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the act failed by itself"
    return os.WIFSIGNALED(status)
