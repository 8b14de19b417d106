# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import gzip
import hashlib
import io
import json
import tarfile

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import archive_manifest


def _entry(path="/etc/a", content=b"hello", **more):
    entry = {"path": path, "type": "file", "size": len(content), "sha256": hashlib.sha256(content).hexdigest(),
             "member": archive_manifest.member_name(path)}
    entry.update(more)
    return entry


def _member(name="host/etc/a", content=b"hello", kind=tarfile.REGTYPE, linkname=""):
    member = tarfile.TarInfo(name)
    member.type = kind
    member.size = len(content)
    member.linkname = linkname
    return member, content


def _manifest(entries, **more):
    content = dict({"format": 1, "incident": "test", "created": "2026-01-01T00:00:00Z", "omitted": [],
                    "entries": entries}, **more)
    return _member("manifest.json", json.dumps(content).encode("utf-8"))


def _build(tmp_path, *members):
    raw = io.BytesIO()
    with tarfile.TarFile(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(gzip.compress(raw.getvalue()))
    return path


GOOD = (_member(), _member("host/etc/l", b"", tarfile.SYMTYPE, "a"), _member("host/etc", b"", tarfile.DIRTYPE),
        _manifest([_entry(), {"path": "/etc/l", "type": "symlink", "size": 1, "target": "a", "member": "host/etc/l"},
                   {"path": "/etc", "type": "directory", "size": 4096, "member": "host/etc"},
                   {"path": "/etc/s", "type": "socket", "size": 0, "member": None}]))


def test_a_good_archive(tmp_path):
    proof = archive_manifest.verify_archive(str(_build(tmp_path, *GOOD)))
    assert (proof["entries"], proof["files"], proof["bytes"], proof["incident"]) == (4, 1, 5, "test")


@pytest.mark.parametrize("name,members,reason", [
    ("other bytes", (_member(content=b"hallo"), _manifest([_entry()])), "not what the manifest says"),
    ("another size", (_member(content=b"hello!"), _manifest([_entry()])), "not what the manifest says"),
    ("another kind", (_member(content=b"", kind=tarfile.FIFOTYPE), _manifest([_entry()])),
     "not what the manifest says"),
    ("another target", (GOOD[0], _member("host/etc/l", b"", tarfile.SYMTYPE, "/etc/shadow"), GOOD[2], GOOD[3]),
     "host/etc/l is not"),
    ("one is missing", (_manifest([_entry()]),), "missing"),
    ("one too many", (_member(), _member("host/etc/b"), _manifest([_entry()])), "not in its manifest"),
    ("listed twice", (_member(), _manifest([_entry(), _entry()])), "missing"),
    ("there twice", (_member(), _member(), _manifest([_entry()])), "twice"),
    ("behind the manifest", (_member(), _manifest([_entry()]), _member("host/etc/b")), "behind the manifest"),
    ("no manifest", (_member(),), "no manifest"),
    ("nothing", (), "no manifest"),
    ("a hard link", (_member("host/etc/h", b"", tarfile.LNKTYPE, "host/etc/a"), _manifest([])), "of a kind"),
    ("another format", (_member(), _manifest([_entry()], format=2)), "format 2"),
    ("a manifest that is none", (_member("manifest.json", b"[]"),), "TypeError"),
    ("a manifest that is no JSON", (_member("manifest.json", b"{"),), "JSONDecodeError"),
    ("entries without what they need", (_member(), _manifest([{"member": "host/etc/a"}])), "KeyError"),
    ("entries that are none", (_manifest([7]),), "AttributeError"),
])
def test_what_is_not_trusted(tmp_path, name, members, reason):
    with pytest.raises(ResponseError) as caught:
        archive_manifest.verify_archive(str(_build(tmp_path, *members)))
    assert reason in str(caught.value)


def test_a_cut_anywhere_shows(tmp_path):
    path = _build(tmp_path, *GOOD)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ResponseError):
            archive_manifest.verify_archive(str(path))


def test_a_flipped_bit_shows_unless_it_carries_nothing(tmp_path):
    path = _build(tmp_path, *GOOD)
    whole = path.read_bytes()
    genuine = gzip.decompress(whole)
    passed = 0
    for index in range(len(whole)):
        changed = whole[:index] + bytes([whole[index] ^ 0x20]) + whole[index + 1:]
        path.write_bytes(changed)
        try:
            archive_manifest.verify_archive(str(path))
        except ResponseError:
            continue
        # The time in gzip's head, say: the sum over the whole archive covers it.
        assert gzip.decompress(changed) == genuine
        passed += 1
    assert passed < 10


@pytest.mark.parametrize("tail", [b"x", b"\0" * 8 + b"x", gzip.compress(b"x")])
def test_bytes_behind_the_end_show(tmp_path, tail):
    path = _build(tmp_path, *GOOD)
    with open(str(path), "ab") as stream:
        stream.write(tail)
    with pytest.raises(ResponseError):
        archive_manifest.verify_archive(str(path))


def test_a_bomb_is_put_out(tmp_path):
    path = _build(tmp_path, _member("host/zeros", b"\0" * 3000000), _manifest([]))
    with pytest.raises(ResponseError) as caught:
        archive_manifest.verify_archive(str(path), unpacked_limit=1000000)
    assert "far more" in str(caught.value)


def test_a_huge_header_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_manifest, "_READ_LIMIT", 20480)
    member, content = _member()
    member.pax_headers = {"SCHILY.xattr.user.x": "a" * 100000}
    path = _build(tmp_path, (member, content), _manifest([_entry()]))
    # Read in small pieces it is no danger; in one piece it is refused.
    try:
        archive_manifest.verify_archive(str(path))
    except ResponseError as error:
        assert "too large" in str(error)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ResponseError) as caught:
        archive_manifest.verify_archive(str(tmp_path / "gone"))
    assert "gone" in str(caught.value)
