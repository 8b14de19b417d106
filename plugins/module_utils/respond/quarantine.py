# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing and replacing files so that it can be taken back: bytes, owner, mode, times, attributes, flags.

Each act goes: keep the bytes, journal what will be done (synced), do it, journal that it is done. A
process that is killed anywhere leaves the old state, or an item which :meth:`Quarantine.restore` puts
back. An act that fails is rolled back at once. Formats: docs/quarantine.md.
"""

import os

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond import quarantine_store
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_removal import Removal
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_replacement import (
    Replacement,
)

DEFAULT_ROOT = quarantine_store.DEFAULT_ROOT


class Quarantine(Removal, Replacement):
    """The quarantine of one host, seen from one incident.

    :param incident: id of the incident that new items belong to, a plain name.
    :param root: folder on the running system, made with mode 0700 at the first act.
    :param host_root: where the host's root lies; all paths of items are below it.
    :param max_files: how many files this object may remove or replace in all, ``None`` for no limit.
    :raises ResponseError: ``incident`` is no plain name, or ``root`` is not absolute.
    """

    def __init__(self, incident, root=DEFAULT_ROOT, host_root="/", max_files=None):
        super().__init__(incident, root, host_root, max_files)

    def evidence_directory(self):
        """Make the incident's folder for evidence (0700) when needed and return its path."""
        self._store.prepare()
        path = os.path.join(self._store.directory, "evidence")
        quarantine_store.private_directory(path)
        return path

    def require_space(self, size):
        """Raise ResponseError unless ``size`` bytes can be kept. Touches nothing."""
        self._store.require_space(size)
