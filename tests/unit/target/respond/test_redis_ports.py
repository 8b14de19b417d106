# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ports of the tests' own Redis servers: nobody else may take them between the choice and the start."""

import random
import socket

import pytest

from ansible_collections.ecsops.intrusion_response.tests.unit.target import redis_server


def pick():
    """Return two ports that nobody has at this moment."""
    found = []
    while len(found) < 2:
        port, claim = redis_server.claim_port()
        claim.close()
        if port not in found:
            found.append(port)
    return found


def test_a_claimed_port_is_not_given_twice(monkeypatch):
    first, second = pick()
    ports = [first, first, second, first]
    monkeypatch.setattr(random, "randrange", lambda *unused: ports.pop(0))
    port, claim = redis_server.claim_port()
    other, other_claim = redis_server.claim_port()
    assert (port, other) == (first, second)
    claim.close()
    again, again_claim = redis_server.claim_port()
    assert again == first
    for item in (other_claim, again_claim):
        item.close()


@pytest.mark.parametrize("offset", [0, redis_server.CLUSTER_OFFSET])
def test_a_port_in_use_is_passed_over(monkeypatch, offset):
    first, second = pick()
    ports = [first, second]
    monkeypatch.setattr(random, "randrange", lambda *unused: ports.pop(0))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + offset))
        taken.listen(1)
        port, claim = redis_server.claim_port()
    claim.close()
    assert port == second
