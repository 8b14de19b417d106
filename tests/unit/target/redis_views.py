# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inspections as a table can write them: a server in order, and what differs from it."""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import redis_instances
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import redis_config
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.redis_processes import (
    Listener,
    RedisProcess,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.login import redis

GOOD = b"An-Old-But-G00d-One"
NEW = b"Kept-In-The-1ncident"


def listeners(*places):
    """Return listeners of ``"127.0.0.1:6379"`` and paths."""
    return [Listener("unix", place, 0) if place.startswith("/") else
            Listener("tcp", place.rpartition(":")[0], int(place.rpartition(":")[2])) for place in places]


def view(tmp_path, outcome="password", listens=("127.0.0.1:6379",), conf="requirepass An-Old-But-G00d-One\n",
         password=GOOD, version="7.0.15", uid=1, config=None, info=None, **more):
    """Return an Inspection of a server in order, but for what is given.

    :param conf: its configuration file, or ``None`` for none. :param config: settings of the running server.
    :param info: INFO fields. :param more: attributes of the Inspection, or of its facts (``acl``, ``clients`` …).
    """
    (tmp_path / "var/lib/redis").mkdir(parents=True, exist_ok=True)
    process = RedisProcess(
        4711, parent=1, start_time=1, product="redis", executable="/usr/bin/redis-server", sentinel=False, arguments=[],
        title=None, working_directory="/var/lib/redis", uid=uid, groups={1}, unit=None, listeners=listeners(*listens),
        own_network=False, own_root=False)
    seen = redis_instances.Inspection("redis:6379", 6379, process, process.listeners)
    seen.root_path = seen.config_root = str(tmp_path)
    seen.outcome, seen.reply = outcome, outcome
    seen.password = password if outcome == redis.PASSWORD else None
    seen.password_known = seen.password is not None
    if conf is not None:
        (tmp_path / "redis.conf").write_text(conf)
        redis_instances._take(seen, redis_config.read_config("/redis.conf", host_root=str(tmp_path)), str(tmp_path))
        seen.editable = True
    settings = {"dir": "/var/lib/redis", "dbfilename": "dump.rdb", "protected-mode": "yes",
                "bind": "127.0.0.1 -::1", "enable-protected-configs": "no", "save": "3600 1", "appendonly": "no"}
    settings.update(config or {})
    fields = {"redis_version": version, "redis_mode": "standalone", "role": "master", "connected_slaves": "0"}
    fields.update(info or {})
    seen.facts = facts = {"info": fields, "config": settings, "commands": {}, "keyspace": {}, "clients": [],
                          "slowlog": [], "acl": [], "acl_log": [], "modules": [], "functions": [],
                          "refused": {}, "requirepass": None}
    for name, value in more.items():
        if name in facts:
            facts[name] = value
        else:
            setattr(seen, name, value)
    return seen
