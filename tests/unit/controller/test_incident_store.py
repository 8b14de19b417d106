# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The incident's folder: which incident a run belongs to, what is sealed, what is kept secret."""

from __future__ import annotations

import datetime
import hashlib
import os
import stat

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.plugin_utils.incident_store import (
    IncidentStore,
    file_name,
    generate_password,
)

NOON = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.timezone.utc)


@pytest.fixture(name="folder")
def fixture_folder(tmp_path):
    return str(tmp_path / "incidents")


@pytest.mark.parametrize(("hours", "same"), [(0, True), (23, True), (25, False)])
def test_a_run_without_a_name_goes_on_with_the_newest_incident_of_the_last_day(folder, hours, same):
    first = IncidentStore.open(folder, now=NOON)
    second = IncidentStore.open(folder, now=NOON + datetime.timedelta(hours=hours))
    assert (first.name == second.name) is same
    assert first.name == "20260501T120000Z"


def test_a_named_incident_is_opened_once_and_found_again(folder):
    IncidentStore.open(folder, "web-breach", now=NOON)
    IncidentStore.open(folder, "web-breach", now=NOON + datetime.timedelta(days=9))
    assert IncidentStore.known(folder) == ["web-breach"]


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a b", "x" * 65, "ümlaut"])
def test_an_id_that_is_no_plain_name_is_refused(folder, name):
    with pytest.raises(ResponseError, match="not an incident id"):
        IncidentStore.open(folder, name)
    assert not os.path.exists(folder)


def test_an_unknown_incident_is_refused_with_the_known_ones_named(folder):
    IncidentStore.open(folder, "web-breach", now=NOON)
    with pytest.raises(ResponseError, match="no incident 'web-breech'.*Known there: web-breach"):
        IncidentStore.existing(folder, "web-breech")
    assert IncidentStore.known(folder) == ["web-breach"]
    assert IncidentStore.existing(folder).name == "web-breach"


def test_where_there_is_no_incident_none_is_made_up(folder):
    with pytest.raises(ResponseError, match="There is no incident in .*Known there: none"):
        IncidentStore.existing(folder)
    assert not os.path.exists(folder)


def test_evidence_is_sealed_read_only_and_only_with_the_right_hash(folder):
    store = IncidentStore.open(folder, "x")
    digest = hashlib.sha256(b"abcdef").hexdigest()
    relative = store.seal("web1", "deleted_exe/7-99/exe", digest, [b"abc", b"def"])
    assert relative == "evidence/web1/deleted_exe/7-99/exe"
    assert stat.S_IMODE(os.stat(store.path(relative)).st_mode) == 0o400
    assert store.sealed("web1", "deleted_exe/7-99/exe", digest) == relative
    assert store.sealed("web1", "deleted_exe/7-99/exe", "0" * 64) is None
    with pytest.raises(ResponseError, match="hash is not the one"):
        store.seal("web1", "deleted_exe/8-99/exe", digest, [b"abc"])
    assert os.listdir(store.path("evidence", "web1", "deleted_exe", "8-99")) == []


@pytest.mark.parametrize("name", ["../../x", "a/../../b", "", "/", "a\0b"])
def test_evidence_cannot_be_named_out_of_the_incident(folder, name):
    store = IncidentStore.open(folder, "x")
    with pytest.raises(ResponseError, match="outside of the incident"):
        store.seal("web1", name, hashlib.sha256(b"").hexdigest(), [])


@pytest.mark.parametrize(("host", "expected"), [
    ("web1.example.org", "web1.example.org"), ("..", "%2E%2E"), ("a/b", "a%2Fb"), ("fe80::1", "fe80%3A%3A1")])
def test_every_inventory_name_becomes_one_path_component(host, expected):
    assert file_name(host) == expected


def test_a_secret_is_kept_once_for_the_owner_alone(folder):
    store = IncidentStore.open(folder, "x")
    planned = store.secret("web1", "redis.password", create=False)
    assert not os.path.exists(store.path("secrets"))
    kept = store.secret("web1", "redis.password", create=True)
    assert store.secret("web1", "redis.password", create=True) == kept != planned
    assert store.secret("web2", "redis.password", create=True) != kept
    assert stat.S_IMODE(os.stat(store.path("secrets", "web1", "redis.password")).st_mode) == 0o600


def test_a_service_keeps_the_password_of_an_earlier_incident(folder):
    before = IncidentStore.open(folder, "first", now=NOON).secret("web1", "redis.password", create=True)
    store = IncidentStore.open(folder, "second", now=NOON + datetime.timedelta(days=3))
    assert store.known_secret("web1", "redis.password") == before
    assert store.known_secret("web2", "redis.password") is None
    assert store.secret("web1", "redis.password", create=True) == before
    assert os.path.exists(store.path("secrets", "web1", "redis.password"))


def test_a_generated_password_satisfies_the_policy():
    value = generate_password()
    assert len(value) == 32 and value.isalnum() and not value.islower() and not value.isupper()


def test_sealed_evidence_is_never_replaced_by_other_bytes_of_its_name(tmp_path):
    store = IncidentStore.open(str(tmp_path), "x")
    first, second = (store.seal("web1", "a/exe", hashlib.sha256(content).hexdigest(), [content])
                     for content in (b"one", b"two"))
    assert first != second
    for path, content in ((first, b"one"), (second, b"two")):
        assert (tmp_path / "x" / path).read_bytes() == content
        assert store.sealed("web1", "a/exe", hashlib.sha256(content).hexdigest()) == path


def test_a_run_that_crosses_the_end_of_the_day_stays_in_its_incident(tmp_path):
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    store = IncidentStore.open(str(tmp_path), None, now - day - datetime.timedelta(minutes=1))
    store.record("web1", {"module": "x"})
    assert IncidentStore.open(str(tmp_path), None, now).name == store.name
    assert IncidentStore.open(str(tmp_path), None, now + datetime.timedelta(hours=2)).name != store.name
