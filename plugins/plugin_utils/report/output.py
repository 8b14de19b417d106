# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a file of the report: whole or not at all, and only when its content is new."""

import os
import tempfile

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError


def differs(path, content):
    """Return whether the file ``path`` is absent or holds other bytes than ``content``."""
    try:
        with open(path, "rb") as stream:
            return stream.read(len(content) + 1) != content
    except FileNotFoundError:
        return True
    except OSError as error:
        raise _cannot(path, error)


def write(path, content):
    """Put ``content`` (bytes) at ``path`` with mode 0600, atomically; the directory is made with 0700.

    :raises ResponseError: it cannot be written; then an older file is still whole.
    """
    directory = os.path.dirname(os.path.abspath(path))
    partial = None
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(prefix=".partial-", dir=directory)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(partial, path)
    except OSError as error:
        if partial is not None and os.path.exists(partial):
            os.unlink(partial)
        raise _cannot(path, error)


def _cannot(path, error):
    return ResponseError("The report %s cannot be written: %s." % (path, error.strerror or error),
                         "Mend this on the controller, or name another 'output_dir'; the journals are untouched.")
