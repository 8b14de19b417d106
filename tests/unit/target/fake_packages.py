# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A package database that answers from a table; its interface is that of host/packages.py."""


class FakePackages:
    """``answers``: path → ``match``, ``mismatch`` or ``unknown``; every other path is ``unowned``."""

    def __init__(self, answers=None, kind="dpkg"):
        self.answers = answers or {}
        self.kind = kind

    def verify(self, path, content_path=None):
        return self.answers.get(path, "unowned")

    def owner_of(self, path):
        return "package-of-" + path.rsplit("/", 1)[1] if path in self.answers else None

    def gaps(self):
        return []
