# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A hold on one process that no other process with the same number can take over: pidfd_open(2).

Linux has it from 5.3 on, Python from 3.9 on; older Pythons get it through the system call itself. On
older kernels (EL8's 4.18, EL7's 3.10) the start time is compared right before each signal instead.
"""

import ctypes
import errno
import os
import select
import signal
import time

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_table

# The same numbers on every architecture but alpha: include/uapi/asm-generic/unistd.h.
_SYS_PIDFD_SEND_SIGNAL = 424
_SYS_PIDFD_OPEN = 434

# Older container runtimes' filters answer EPERM to system calls that they do not know.
_NO_PIDFD = (errno.ENOSYS, errno.EPERM, errno.EINVAL)


class ProcessGone(Exception):
    """The process has ended, or its number belongs to another one now, or it runs another program."""


class ProcessChanged(ProcessGone):
    """It lives, but runs another program than was found."""


class ProcessHandle:
    """Signals for exactly the process that was found.

    :param process: :class:`process_table.Process` as found. :param exe_file: its ``(device, inode)`` as found, or
        ``None`` to leave the executable out of the comparison.
    :param open_pidfd: for tests; returns a descriptor or raises ``OSError``.
    :raises ProcessGone: it is not there any more.
    """

    def __init__(self, process, exe_file=None, proc_root="/proc", open_pidfd=None):
        self.process = process
        self._exe_file = exe_file
        self._proc_root = proc_root
        self._descriptor = None
        try:
            self._descriptor = (open_pidfd or pidfd_open)(process.pid)
        except OSError as error:
            if error.errno == errno.ESRCH:
                raise ProcessGone() from error
            if error.errno not in _NO_PIDFD:
                raise
        try:
            # Only now: the descriptor may have been opened on a successor, but cannot change its process later.
            self.check()
        except ProcessGone:
            self.close()
            raise

    @property
    def by_pidfd(self):
        """Whether the kernel guarantees the identity (else it is compared before each signal)."""
        return self._descriptor is not None

    def check(self):
        """Return the process as it is now. :raises ProcessGone: it is another one, another program, or dead."""
        now = process_table.read_process(self.process.pid, self._proc_root)
        if now is None or now.start_time != self.process.start_time or now.dead:
            raise ProcessGone()
        if self._exe_file is not None:
            status = process_table.exe_status(self.process.where)
            if status is None or status.file != self._exe_file:
                raise ProcessGone() if status is None else ProcessChanged()
        return now

    def signal(self, number):
        """Compare again, then send a signal. :raises ProcessGone: too late. :raises ResponseError: not permitted."""
        self.check()
        try:
            if self._descriptor is None:
                os.kill(self.process.pid, number)
            else:
                pidfd_send_signal(self._descriptor, number)
        except OSError as error:
            if error.errno == errno.ESRCH:
                raise ProcessGone() from error
            raise ResponseError("Process %d may not be signalled: %s." % (self.process.pid, error.strerror),
                                "That takes root on the host (become).") from error

    def let_run(self):
        """Let it run again, whatever program it runs by now. :raises ProcessGone: it has ended."""
        self._exe_file = None
        self.signal(signal.SIGCONT)

    def wait_ended(self, seconds):
        """Wait until the process has ended, at most so long; return whether it has. A zombie has ended."""
        deadline = time.monotonic() + seconds
        poll = None
        if self._descriptor is not None:
            # pidfd_open(2): readable as soon as the process has terminated, reaped or not.
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
        while True:
            try:
                now = process_table.read_process(self.process.pid, self._proc_root)
                if now is None or now.start_time != self.process.start_time or now.dead:
                    return True
            except OSError:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if poll is not None:
                poll.poll(min(left, 1.0) * 1000)
            else:
                time.sleep(min(left, 0.02))

    def wait_stopped(self, seconds):
        """Wait until it has stopped, at most so long; return the state letter then, or ``None`` if it ended."""
        deadline = time.monotonic() + seconds
        while True:
            now = process_table.read_process(self.process.pid, self._proc_root)
            if now is None or now.start_time != self.process.start_time or now.dead:
                return None
            if now.stopped or time.monotonic() >= deadline:
                return now.state
            time.sleep(0.005)

    def close(self):
        """Let go of the descriptor."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()


def pidfd_open(pid):
    """Return a descriptor that refers to process ``pid`` (pidfd_open(2)); raises ``OSError``."""
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(pid)
    return _system_call(_SYS_PIDFD_OPEN, pid, 0)


def pidfd_send_signal(descriptor, number):
    """Send a signal to the process behind ``descriptor`` (pidfd_send_signal(2)); raises ``OSError``."""
    if hasattr(signal, "pidfd_send_signal"):
        signal.pidfd_send_signal(descriptor, number)
    else:
        _system_call(_SYS_PIDFD_SEND_SIGNAL, descriptor, number, None, 0)


def _system_call(*arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    # syscall(2) is variadic and takes longs: a plain int argument would leave the upper half undefined.
    result = libc.syscall(*[ctypes.c_long(0 if value is None else value) for value in arguments])
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
