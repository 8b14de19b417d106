# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests of one file by whatever algorithm a package database uses, each computed once, when asked for."""

import hashlib
import os
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError

_READ_SIZE = 1024 * 1024
# A file of terabytes costs an intruder nothing (holes) and would hold a run up for a day. No package has a program
# anywhere near this.
_MAX_SIZE = 4 * 1024 * 1024 * 1024
# The "digest" of what is larger: it equals none.
TOO_LARGE = "larger than any packaged program"


class Digests:
    """Callable: hashlib's name of an algorithm → hex digest of the bytes, or ``None`` when they cannot be read.

    :param opener: returns a new descriptor of the file; raises ``OSError`` or ``ResponseError``.
    """

    def __init__(self, opener):
        self._opener = opener
        self._known = {}

    @classmethod
    def of_content(cls, content_path):
        """Return the digests of an open descriptor (its offset is left alone) or of a path of our own view.

        A link is not followed, but for those of ``/proc`` (``/proc/PID/exe``), which are not names but the file itself.
        """
        if isinstance(content_path, int):
            return cls(lambda: os.dup(content_path))
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        if not content_path.startswith("/proc/"):
            flags |= os.O_NOFOLLOW
        return cls(lambda: os.open(content_path, flags))

    @property
    def empty(self):
        """Whether there is not one byte."""
        return self("md5") in (None, "d41d8cd98f00b204e9800998ecf8427e")

    def __call__(self, algorithm):
        if algorithm not in self._known:
            try:
                self._known[algorithm] = self._compute(algorithm)
            except (OSError, ResponseError):
                self._known[algorithm] = None
        return self._known[algorithm]

    def _compute(self, algorithm):
        hasher = new_hash(algorithm)
        if hasher is None:
            return None
        descriptor = self._opener()
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return None
            if found.st_size > _MAX_SIZE:
                return TOO_LARGE
            offset = 0
            chunk = os.pread(descriptor, _READ_SIZE, offset)
            while chunk:
                hasher.update(chunk)
                offset += len(chunk)
                chunk = os.pread(descriptor, _READ_SIZE, offset)
        finally:
            os.close(descriptor)
        return hasher.hexdigest()


def new_hash(algorithm):
    """Return a new hashlib object, or ``None`` when this Python has no such algorithm.

    In FIPS mode md5 has to be asked for as "not for security"; older Pythons than 3.9 know the word only where the
    distribution taught it to them.
    """
    try:
        return hashlib.new(algorithm)
    except ValueError:
        try:
            return hashlib.new(algorithm, usedforsecurity=False)
        except (TypeError, ValueError):
            return None
