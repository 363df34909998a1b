#!/usr/bin/env python3
"""Lints one certificate of every profile, and CRLs, with pkilint (RFC 5280 rules).

Makes the specimens with `cargo run -p ringfort-pki --example specimens`, then runs
`lint_pkix_cert` and `lint_crl` of the Python environment this script runs in. Any finding of
severity WARNING or above fails. A certificate that was damaged on purpose must be found, so that
a checker which finds nothing is noticed.
"""

import base64
import pathlib
import subprocess
import sys
import tempfile


def tool(name):
    return str(pathlib.Path(sys.executable).parent / name)


def lint(path):
    if path.name.endswith(".crl.pem"):
        command = [tool("lint_crl"), "lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", str(path)]
    else:
        command = [tool("lint_pkix_cert"), "lint", "-s", "WARNING", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, (done.stdout + done.stderr).strip()


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
        subprocess.run(
            ["cargo", "run", "-q", "--locked", "-p", "ringfort-pki", "--example", "specimens",
             "--", name],
            check=True,
        )
        paths = sorted(folder.glob("*/*.pem"))
        if len(paths) < 28:
            sys.exit(f"only {len(paths)} specimens were made")
        failures = 0
        for path in paths:
            code, output = lint(path)
            if code != 0:
                failures += 1
                print(f"{path.relative_to(folder)}:\n{output}")
        code, _ = lint(damaged(folder / "standard" / "ldevid.crt.pem", folder))
        if code == 0:
            failures += 1
            print("a certificate with a negative serial number passed")
        print(f"{len(paths)} certificates and CRLs linted, {failures} with findings")
        sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
