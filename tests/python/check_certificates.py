#!/usr/bin/env python3
"""Lints one certificate of every profile, and CRLs, with pkilint (RFC 5280 rules).

The program `certificate_specimens` makes them. Each certificate is linted alone and against its
issuer's. Any finding of severity WARNING or above fails. A certificate that was damaged on purpose
must be found, so that a checker which finds nothing is noticed.
"""

import base64
import contextlib
import io
import pathlib
import subprocess
import sys
import tempfile

from local_hub import BUILD
from pkilint.bin import lint_crl, lint_pkix_cert, lint_pkix_signer_signee_cert_chain

ISSUED = {
    "root": ["factory-ca", "device-ca", "server-ca", "operator-ca"],
    "backup-root": [],
    "factory-ca": ["idevid", "idevid-ed25519"],
    "device-ca": ["ldevid", "ldevid-ed25519"],
    "server-ca": ["server"],
    "operator-ca": ["operator"],
}
CRLS = {"device-ca-held", "device-ca-empty", "root"}


def lint(linter, *arguments):
    """What the linter found, or nothing."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = linter.main(["lint", "-s", "WARNING", *map(str, arguments)])
    return said.getvalue().strip() or f"exit code {code}" if code else ""


def damaged(path, folder):
    """The certificate with a negative serial number: a known fault."""
    text = path.read_text().splitlines()
    der = base64.b64decode("".join(line for line in text if not line.startswith("-")))
    serial = der.index(b"\x02\x12\x52")
    der = der[: serial + 2] + b"\x92" + der[serial + 3 :]
    bad = folder / "damaged.crt.pem"
    body = base64.encodebytes(der).decode()
    bad.write_text(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
    return bad


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run([BUILD / "examples/certificate_specimens", name], check=True)
        found = {}
        certificates = {*ISSUED, *(each for issued in ISSUED.values() for each in issued)}
        for pki in (folder / "standard", folder / "quickstart"):
            made = {path.name.removesuffix(".crt.pem"): path for path in pki.glob("*.crt.pem")}
            lists = {path.name.removesuffix(".crl.pem"): path for path in pki.glob("*.crl.pem")}
            assert set(made) == certificates and set(lists) == CRLS, "profiles were added or removed"
            for path in made.values():
                found[path] = lint(lint_pkix_cert, path)
            for path in lists.values():
                found[path] = lint(lint_crl, "-t", "CRL", "-p", "PKIX", path)
            for issuer, issued in ISSUED.items():
                for subject in issued:
                    found[issuer, made[subject]] = lint(
                        lint_pkix_signer_signee_cert_chain, made[issuer], made[subject])
        bad = damaged(folder / "standard/ldevid.crt.pem", folder)
        assert lint(lint_pkix_cert, bad), "a certificate with a negative serial number passed"
        stranger = folder / "quickstart/device-ca.crt.pem", folder / "standard/server.crt.pem"
        assert lint(lint_pkix_signer_signee_cert_chain, *stranger), "a strange issuer passed"
    for what, finding in found.items():
        if finding:
            print(f"{what}:\n{finding}")
    print(f"  {len(found)} lints of certificates, chains and CRLs")
    return any(found.values())


if __name__ == "__main__":
    sys.exit(main())
