"""A hub on loopback for the checks: the ceremony, `hub serve`, devices from the factory.

The programs come from the build: RINGFORT_BUILD is its folder, which `cargo xtask test` sets.
"""

import json
import os
import pathlib
import random
import socket
import subprocess

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("RINGFORT_BUILD", ROOT / "target" / "debug"))
PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


def free_port():
    """A port at which nobody listens, and the socket that keeps it from all other tests.

    As in tests/ports/mod.rs: below those that the kernel gives to connections, and held by the UDP
    socket of the same number, for the hub comes to it much later.
    """
    first = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, first if first > 12_000 else 65_000)
        held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            held.bind(("127.0.0.1", port))
            socket.create_server(("127.0.0.1", port)).close()
            return port, held
        except OSError:
            held.close()


class LocalHub:
    """Serves while it is entered; `folder` holds everything that its parties have."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.held = [free_port(), free_port()]
        self.device_port, self.operator_port = (port for port, _ in self.held)
        for name in ("pin", "other-pin"):
            path = self.folder / name
            path.touch(0o600)
            path.write_text(f"the passphrase of a test: {name}\n")
        self.ceremony()

    def ceremony(self):
        for name in ("a1", "a2", "a3", "r1", "r2", "r3"):
            self.run(f"release keygen {name} --pin-file pin")
        self.run("factory init --site plant --pin-file pin")
        self.run(f"pki init --name quickstart --root root --backup-root backup "
                 f"--hub-address localhost:{self.device_port} --product acme.example/gateway "
                 f"--anchor-key a1.pub a2.pub a3.pub --release-key r1.pub r2.pub r3.pub "
                 f"--root-pin-file pin --backup-root-pin-file other-pin "
                 f"--site station/plant.request")
        for key in ("a1", "a2"):
            self.run(f"pki anchors sign hub/anchors/1.cbor --key {key}.sealed --pin-file pin")
        self.run("factory accept --answer hub/sites/plant.answer --anchors hub/anchors")
        self.run(f"hub init --operator-address localhost:{self.operator_port} --approvals 1")
        # Scanners and fuzzers ask for more than any device or person.
        with open(self.folder / "hub/hub.toml", "a") as settings:
            for sender in ("certificate", "address"):
                settings.write(f"\n[limits.{sender}]\nper_second = 100000\nburst = 100000\n")

    def run(self, arguments):
        """Runs a command that has to succeed; gives its JSON."""
        command = [BUILD / "ringfort", *arguments.split(), "--json"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, f"ringfort {arguments}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def __enter__(self):
        with open(self.folder / "hub.log", "w") as log:
            command = [BUILD / "ringfort", "hub", "serve", "--json"]
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        assert line, (self.folder / "hub.log").read_text()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=120)
        self.process.stdout.close()

    def make_devices(self, *names):
        """Gives devices their identities, hands the batch in; their folders."""
        folders = [self.make_device(name) for name in names]
        batch = self.run("factory export --pin-file pin")["file"]
        self.run(f"factory import {batch} --dir operator")
        return folders

    def make_device(self, name):
        folder = self.folder / name
        folder.mkdir()
        csrs = []
        for what in ("idevid", "attestation"):
            key = ec.generate_private_key(ec.SECP256R1())
            (folder / f"{what}.key").write_bytes(key.private_bytes(PEM, *PKCS8))
            csr = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())
            csrs.append(csr.public_bytes(serialization.Encoding.DER))
        request = {1: b"\x01" + os.urandom(16), 2: [1, False, False], 3: csrs[0], 4: csrs[1],
                   5: "a device of the tests"}
        (folder / "request").write_bytes(cbor2.dumps(request, canonical=True))
        self.run(f"factory provision {name}/request --device {name} --pin-file pin "
                 f"--out {name}/identity")
        return folder

    def release(self, version, payload, signers=("r1", "r2")):
        """Builds, signs and publishes a release; its envelope."""
        (self.folder / "payload").write_bytes(payload)
        self.run(f"release new payload --product acme.example/gateway --version {version}")
        for signer in signers:
            self.run(f"release sign release-{version} --key {signer}.sealed --pin-file pin")
        self.run(f"release publish release-{version} --dir operator")
        return f"release-{version}"

    def operator_key(self):
        """The administrator's certificate and key for clients that take PEM files.

        The key is opened as docs/formats.md says that sealed files are made.
        """
        place = self.folder / "operator"
        raw = (place / "operator.sealed").read_bytes()
        _, _, _, (memory, passes, lanes), salt, sealed = cbor2.loads(raw)
        derived = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
        key = derived.derive((place / "pin").read_bytes().rstrip(b"\n"))
        # The first five items as they stand in the file, as an array of their own.
        first_five = b"\x85" + raw[1 : len(raw) - len(cbor2.dumps(sealed))]
        der = AESGCM(key).decrypt(sealed[:12], sealed[12:], first_five)
        path = self.folder / "operator.key"
        path.touch(0o600)
        path.write_bytes(serialization.load_der_private_key(der, None).private_bytes(PEM, *PKCS8))
        return place / "operator.pem", path
