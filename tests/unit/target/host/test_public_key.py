# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import base64
import shutil
import subprocess

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import authorized_keys, public_key
from ansible_collections.ecsops.intrusion_response.tests.unit.target import ssh_samples
from ansible_collections.ecsops.intrusion_response.tests.unit.target.ssh_samples import string

needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is the oracle")


def _keygen(*arguments):
    return subprocess.run(("ssh-keygen",) + arguments, stdout=subprocess.PIPE, check=True).stdout.decode()


def test_known_fingerprints():
    for number, fingerprint in ssh_samples.FINGERPRINTS.items():
        assert authorized_keys.parse_public_key(ssh_samples.key(number)).fingerprint == fingerprint


@needs_ssh_keygen
@pytest.mark.parametrize("kind,bits", [("rsa", "2048"), ("rsa", "3072"), ("ecdsa", "256"), ("ecdsa", "384"),
                                       ("ecdsa", "521"), ("ed25519", "256")])
def test_agrees_with_ssh_keygen(tmp_path, kind, bits):
    path = str(tmp_path / "key")
    _keygen("-q", "-t", kind, "-b", bits, "-N", "", "-C", "a comment", "-f", path)
    _keygen("-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "ca"))
    _keygen("-q", "-s", str(tmp_path / "ca"), "-I", "id", "-n", "root,ann", "-V", "+1d", "-z", "77", path + ".pub")
    authority = authorized_keys.parse_public_key((tmp_path / "ca.pub").read_bytes())
    for name in ("key.pub", "key-cert.pub"):
        key = authorized_keys.parse_public_key((tmp_path / name).read_bytes())
        told = _keygen("-lf", str(tmp_path / name)).split()
        told_md5 = _keygen("-E", "md5", "-lf", str(tmp_path / name)).split()
        assert [str(key.bits), key.fingerprint] == told[:2]
        assert key.md5 == told_md5[1]
        assert "(%s)" % public_key.short_type(key.type) == told[-1]
        signer = public_key.signing_key(key)
        assert (signer.fingerprint if "cert" in name else signer) == (authority.fingerprint if "cert" in name else None)


BLOB = string(b"ssh-ed25519") + string(b"\1" * 32)


@pytest.mark.parametrize("blob,why", [
    (string(b"ssh-rsa") + string(b"\1" * 32), "another type inside"),
    (BLOB[:-1], "cut off"),
    (BLOB + string(b"more"), "a field too many"),
    (BLOB + b"\0\0", "trailing bytes"),
    (b"", "empty"),
    (string(b"ssh-ed25519") + b"\xff\xff\xff\xff", "a length past the end"),
])
def test_what_is_no_key(blob, why):
    assert public_key.decode(b"ssh-ed25519", base64.b64encode(blob)) is None, why


@pytest.mark.parametrize("encoded",
                         [base64.b64encode(BLOB).rstrip(b"=") + b"*", base64.b64encode(BLOB)[:-3], b"AAAA", b"=",
                          b"\xff"])
def test_what_is_no_base64(encoded):
    assert public_key.decode(b"ssh-ed25519", encoded) is None


def test_a_type_of_the_future_counts_as_a_key():
    # sshd may be newer than this code: overlooking a key would be worse than reporting one that is none.
    blob = string(b"ssh-mldsa65@openssh.com") + string(b"\2" * 64)
    key = public_key.decode(b"ssh-mldsa65@openssh.com", base64.b64encode(blob))
    assert key.bits is None
    assert key.fingerprint.startswith("SHA256:")


@pytest.mark.parametrize("cut", [40, 60, 100, 130])
def test_a_certificate_cut_anywhere_has_no_signer(cut):
    fields = [b"ssh-ed25519-cert-v01@openssh.com", b"nonce", b"\1" * 32]
    blob = b"".join(string(field) for field in fields) + b"\0" * 8 + b"\0\0\0\1" + string(b"id")
    key = public_key.decode(b"ssh-ed25519-cert-v01@openssh.com", base64.b64encode(blob[:cut]))
    assert key is None or public_key.signing_key(key) is None


@pytest.mark.parametrize("line", ["", "# ssh-ed25519", "ssh-ed25519", "SHA256:short", "ssh-ed25519 AAAA operator"])
def test_a_line_without_a_key_is_refused_with_advice(line):
    with pytest.raises(ResponseError) as caught:
        authorized_keys.parse_public_key(line)
    assert ".pub" in caught.value.hint
