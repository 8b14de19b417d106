# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The practice range: real systemd hosts in containers on this machine, to be intruded and cleaned.

Standard library only, so that it runs before any virtual environment exists.
"""
