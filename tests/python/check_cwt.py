#!/usr/bin/env python3
"""Checks our COSE and CWT objects with the packages `cwt` and `cbor2`, which others wrote.

Takes specimens, signed with fresh keys, from the program `token_specimens`.
Each has to verify under its own key, type and external_aad; and, so that a checker which accepts
everything is noticed, has to be refused under another external_aad, another key, and with any one
of 64 bits flipped across it.
"""

import hashlib
import json
import subprocess
import sys

import cbor2
from cwt import COSE, COSEKey
from local_hub import BUILD

TYP = 16


def cose_key(entry):
    raw = bytes.fromhex(entry["key"])
    if entry["kind"] == "P-256":
        required = {1: 2, -1: 1, -2: raw[1:33], -3: raw[33:]}
        algorithm = -9
    else:
        required = {1: 1, -1: 6, -2: raw}
        algorithm = -19
    # RFC 9679: SHA-256 over the required parameters, deterministically encoded.
    thumbprint = hashlib.sha256(cbor2.dumps(required, canonical=True)).digest()
    assert thumbprint.hex() == entry["thumbprint"], "thumbprint differs"
    return COSEKey.new({**required, 3: algorithm, 2: thumbprint})


def verify(raw, keys, aad):
    return COSE(verify_kid=True).decode_with_headers(raw, keys, external_aad=aad)


def refused(raw, keys, aad):
    try:
        verify(raw, keys, aad)
    except Exception:  # each library names its own
        return True
    return False


def check(name, specimen, stranger):
    raw = bytes.fromhex(specimen["bytes"])
    kind = specimen["type"]
    aad = f"ringfort/{kind}/1".encode()
    keys = [cose_key(entry) for entry in specimen["keys"]]
    protected, unprotected, payload = verify(raw, keys, aad)
    assert protected[TYP] == f"application/vnd.ringfort.{kind}+cose", protected
    assert not unprotected, unprotected
    # cbor2 reads it the same way and would write the same bytes: it is deterministic.
    claims = cbor2.loads(payload)
    assert cbor2.dumps(claims, canonical=True) == payload, "not deterministic"

    assert refused(raw, keys, b"ringfort/other/1"), "another external_aad was accepted"
    assert refused(raw, [stranger], aad), "another key was accepted"
    if len(keys) == 1:
        # With several signatures a library asks for one only, so only one signature is flipped.
        for step in range(64):
            bit = step * len(raw) * 8 // 64
            flipped = bytearray(raw)
            flipped[bit // 8] ^= 1 << bit % 8
            assert refused(bytes(flipped), keys, aad), f"bit {bit} of {name} was accepted flipped"
    else:
        for key in keys:
            verify(raw, [key], aad)
    print(f"  {name}: {len(raw)} bytes, {len(keys)} signature(s), verified by cwt")
    return claims


def main():
    made = subprocess.run([BUILD / "examples/token_specimens"], check=True, capture_output=True)
    specimens = json.loads(made.stdout)
    other = specimens["command"]["keys"][0]
    now, device = specimens["now"], specimens["device"]
    issuer = f"urn:uuid:{specimens['fleet']}"
    claims = {}
    for name in ("anchors", "order", "time", "command"):
        own = name == "command"
        stranger = cose_key(specimens["order"]["keys"][0] if own else other)
        claims[name] = check(name, specimens[name], stranger)
    for name in ("order", "time", "command"):
        token = claims[name]
        common = {1: issuer, 3: device, 4: now + 86400, 6: now}
        assert {key: token[key] for key in common} == common, token
    assert claims["order"][10] == claims["time"][10] == b"\x05" * 16
    assert claims["order"][-70001] == 1 and claims["order"][-70003] == b"\x03" * 32
    assert claims["time"][-70006] == [9, b"\x04" * 32] and -70001 not in claims["time"]
    assert claims["command"][-70001] == 2 and 10 not in claims["command"]
    assert claims["anchors"][2] == 1 and len(claims["anchors"][4]) == 7
    assert claims["anchors"][11] == 2


if __name__ == "__main__":
    sys.exit(main())
