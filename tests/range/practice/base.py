# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where things lie, how commands are run, the one exception, and a lock."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import socket
import subprocess
import sys

RANGE = pathlib.Path(__file__).resolve().parent.parent
REPOSITORY = RANGE.parent.parent
CACHE = REPOSITORY / ".cache" / "range"
BUILD = REPOSITORY / "build" / "range"

# Two checkouts on one machine must not touch each other's hosts.
CHECKOUT = hashlib.sha256(str(REPOSITORY).encode()).hexdigest()[:6]


class RangeError(Exception):
    """Something of the practice range did not work; the message is for the person at the terminal."""


def say(message):
    """Tell the person at the terminal what is going on."""
    print("range: %s" % message, file=sys.stderr, flush=True)


def run(argv, stdin=None, timeout=600, check=True, env=None):
    """Run ``argv`` without a shell and return the ``CompletedProcess`` (str output).

    :param stdin: text for its standard input, or ``None`` for none.
    :param check: raise :class:`RangeError` with the command's own words when it fails.
    """
    argv = [str(part) for part in argv]
    try:
        done = subprocess.run(argv, check=False, input=stdin if stdin is not None else "", text=True,
                              capture_output=True, timeout=timeout, env=env)
    except FileNotFoundError:
        raise RangeError("command not found: %s" % argv[0]) from None
    except subprocess.TimeoutExpired:
        raise RangeError("no end after %d s: %s" % (timeout, _shown(argv))) from None
    if check and done.returncode != 0:
        words = (done.stderr or done.stdout).strip()
        raise RangeError("%s\nfailed with %d: %s" % (_shown(argv), done.returncode, words[-3000:]))
    return done


def _shown(argv):
    line = " ".join(argv)
    return line if len(line) < 300 else line[:300] + " ..."


@contextlib.contextmanager
def lock(path):
    """Hold an exclusive lock on ``path``; whoever comes second waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def write_private(path, content):
    """Write text to ``path``, readable by the owner alone, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(content)
    os.replace(temporary, path)


def free_port(preferred=None, both=False):
    """Return a TCP port of 127.0.0.1 that nobody uses: ``preferred`` if that is so, else any.

    :param both: it must be free for UDP as well.
    """
    for port in ([preferred] if preferred else []) + [0] * 20:
        with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
            try:
                stream.bind(("127.0.0.1", port))
                port = stream.getsockname()[1]
                if both:
                    datagram.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RangeError("no free port on 127.0.0.1")
