# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How one part of ``make test`` tells the whole what it counted."""

import json
import os

VARIABLE = "PART_SUMMARY"


def tell(passed, failed, skipped=0, note=""):
    """Write the counts of a part to the file that ``make test`` named in the environment, when it did.

    :param note: a few words for the table: which interpreters, what is absent.
    """
    path = os.environ.get(VARIABLE)
    if path:
        with open(path, "w") as stream:
            json.dump({"passed": passed, "failed": failed, "skipped": skipped, "note": note}, stream)


def read(path):
    """Return what a part told, or ``None`` when it did not come to that."""
    if not os.path.exists(path):
        return None
    with open(path) as stream:
        return json.load(stream)
