# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator wants of a Redis server, and the plan that is made of it (``redis_plan``, ``redis_fix``)."""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login import redis_criteria

RULE = "redis_auth."


class Wishes:
    """What the operator wants.

    ``password`` (bytes or ``None``), ``bind`` (list of str, or ``None`` to leave it), ``data_dir`` (str or ``None``),
    ``dbfilename`` (str), ``masters`` and ``replicas`` (sets of addresses that are allowed), ``configured_masters``
    (masters that stand in the configuration are allowed too), ``keep_clients`` (set of addresses), ``rotate`` (replace
    a good password, too). :raises ResponseError: the password is weak.
    """

    def __init__(self, password=None, bind=("127.0.0.1", "-::1"), data_dir=None, dbfilename="dump.rdb", masters=(),
                 replicas=(), configured_masters=True, keep_clients=(), rotate=False):
        self.password = password
        self.bind = list(bind) if bind is not None else None
        self.data_dir = data_dir
        self.dbfilename = dbfilename
        self.masters = set(masters)
        self.replicas = set(replicas)
        self.configured_masters = configured_masters
        self.keep_clients = {address.strip("[]") for address in keep_clients}
        self.rotate = rotate
        weakness = redis_criteria.password_weakness(password) if password is not None else None
        if weakness:
            raise ResponseError("The password given for Redis is weak: %s." % weakness,
                                "Give a longer one, or none: then one is generated.")


class Step:
    """One step: ``kind`` (``commands``, ``dump_place``, ``files``, ``disconnect``, ``save``, ``refused``), ``rule``,
    ``message``, ``commands`` to send and ``inverse`` that takes them back (lists of tuples), ``data``."""

    def __init__(self, kind, rule, message, commands=(), inverse=(), data=None):
        self.kind = kind
        self.rule = RULE + rule
        self.message = message
        self.commands = list(commands)
        self.inverse = list(inverse)
        self.data = data


class Plan:
    """The ``steps`` in order, and what must hold after them.

    ``password`` that must let us in afterwards (bytes or ``None`` where none is demanded); ``expected``: settings
    ``{name: str}`` which the files must give at the next start; ``addresses``: which the server may listen on
    afterwards, or ``None`` when that is not changed at run time; ``password_source``: ``present``, ``configuration``,
    ``given``;
    ``password_changes``: at run time; ``lasting``: it outlives a restart.
    """

    def __init__(self):
        self.steps = []
        self.password = None
        self.password_source = None
        self.password_changes = False
        self.expected = {}
        self.addresses = None
        self.lasting = False

    def refuse(self, rule, message):
        """Note something that is deliberately not done."""
        self.steps.append(Step("refused", rule, message))

    @property
    def acts(self):
        """Tell whether anything is to be done."""
        return any(step.kind != "refused" for step in self.steps)
