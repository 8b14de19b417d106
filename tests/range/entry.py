# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ``host``, ``site`` and ``prove`` beside this file call: ``entry.py NAME ARGUMENTS...``."""

import os
import sys

from practice import cli, prove, site
from practice.base import RangeError


def run_site(arguments):
    """Run the main job on practice hosts, or on those of an inventory; return the exit status."""
    inventory = arguments[0] if arguments else os.environ.get("INVENTORY")
    return site.own_hosts(os.path.abspath(inventory)) if inventory else site.practice()


COMMANDS = {"host": cli.main, "prove": prove.prove, "site": run_site}

if __name__ == "__main__":
    try:
        sys.exit(COMMANDS[sys.argv[1]](sys.argv[2:]))
    except RangeError as error:
        sys.exit("range: %s" % error)
