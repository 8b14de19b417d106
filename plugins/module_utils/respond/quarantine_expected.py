# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What another program has put in the place of a file, as we had expected it to (``Quarantine.expect``)."""

import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.file_metadata import kind_of
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import (
    digest_descriptor,
    explain,
    lstat_at,
    open_regular_at,
    path_bytes,
)


def put_in_place(entry):
    """Return ``(sha256, size)`` of the file that took the place of an item's original, ``(None, None)`` for none."""
    line = (entry["done"] or {}) if entry["begin"].get("expected") else entry["begin"]
    return line.get("put_sha256"), line.get("put_size")


def observe(parent, entry):
    """Return the fields that tell in the journal what another program has put in the place of an expected item.

    :param parent: descriptor of the directory. :param entry: of :meth:`Journal.read`.
    :returns: ``put_sha256`` and ``put_size`` (``None`` when there is no regular file), ``parent_mtime_ns``; or
        ``None``: there was nothing before, and there is nothing now.
    :raises ResponseError: it cannot be read.
    """
    path = entry["begin"]["path"]
    name = path_bytes(os.path.basename(path))
    try:
        found = lstat_at(parent, name)
        if found is None and not entry["begin"]["entries"]:
            return None
        fields = {"put_sha256": None, "put_size": None, "parent_mtime_ns": os.fstat(parent).st_mtime_ns}
        if found is not None and kind_of(found.st_mode) == "file":
            descriptor = open_regular_at(parent, name, path)
            try:
                fields.update(put_size=os.fstat(descriptor).st_size,
                              put_sha256=digest_descriptor(descriptor, "sha256", path))
            finally:
                os.close(descriptor)
        return fields
    except OSError as error:
        raise explain(error, path) from error
