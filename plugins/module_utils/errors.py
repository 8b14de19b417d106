# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception type of the collection's logic.

Everything below the modules raises :class:`ResponseError` and nothing else on purpose;
a module turns it into ``fail_json``, a controller plugin into ``AnsibleActionFail``.
"""


class ResponseError(Exception):
    """Something could not be done, told so that the operator knows what to do next.

    :param message: what went wrong, one sentence, naming the object (path, process, account).
    :param hint: what the operator can do about it, one sentence, or ``None``.
    """

    def __init__(self, message, hint=None):
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self):
        if self.hint:
            return "%s %s" % (self.message, self.hint)
        return self.message
