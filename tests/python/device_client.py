#!/usr/bin/env python3
"""A device in Python, written from docs/device-api.md and docs/formats.md and nothing else.

FOLDER, its only argument, holds `identity`, the answer of the factory's station, and `idevid.key`
(PEM), whose request was answered. What the device has to remember lies in FOLDER/state.
"""
import base64, hashlib, http.client, os, pathlib, random, ssl, sys, time, urllib.parse, uuid

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from cwt import COSE, COSEKey, VerifyError

BUILT, ANCHOR, RELEASE, ORDER = 1_763_000_000, 1, 2, 4  # no earlier time; roles of keys
OFFERED, DOWNLOADING, WRITTEN, TRIAL, CONFIRMED, REFUSED, FAILED, REVERTED = range(1, 9)
IGNORE_DATES = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: the device judges them by its own time
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PLAIN = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()

class Refused(Exception):
    """Something was refused, here or by the hub; its text is the reason code."""

def need(condition, reason):
    if not condition:
        raise Refused(reason)

def sha256(raw): return hashlib.sha256(raw).digest()
def write(value): return cbor2.dumps(value, canonical=True)
def present(fields): return {name: value for name, value in fields.items() if value is not None}
def thumbprint(key): return sha256(write(present({**key, 3: None})))

def read(raw):
    """Deterministic CBOR: what would be written otherwise is not taken."""
    value = cbor2.loads(raw)
    need(write(value) == raw, "malformed")
    return value

def verify(raw, signer, keys, **how):
    """Verifies the signature of the key that `signer` names, if it is one of `keys`."""
    need(signer in keys, "untrusted-signer")
    key = COSEKey.new({**keys[signer], 2: signer})
    try:
        COSE(verify_kid=True).decode_with_headers(raw, [key], **how)
    except VerifyError as error:
        raise Refused("bad-signature") from error

class Anchors:
    def __init__(self, raw):
        self.raw, (header, _, payload, self.signatures) = raw, read(raw).value
        need(read(header) == {16: "application/vnd.ringfort.anchors+cose"}, "wrong-type")
        body = read(payload)
        self.fleet, self.version, self.time, self.entries, self.threshold = map(body.get, range(1, 6))
        self.products, self.server_cas, self.hub, self.revoked = map(body.get, range(6, 10))

    def keys(self, role, positions=range(24)):
        found = (entry for place, entry in enumerate(self.entries) if place in positions)
        return {thumbprint(entry[2]): entry[2] for entry in found if entry[1] == role}

    def check_successor(self, new):
        """Is `new` the next version, by the word of both?"""
        need(new.fleet == self.fleet, "wrong-fleet")
        need(new.version == self.version + 1, "anchors-not-sequential")
        need(new.time >= self.time, "clock-regressed")
        old_keys, new_keys = self.keys(ANCHOR), new.keys(ANCHOR)
        signers = {read(header)[4] for header, _, _ in new.signatures}
        for signer in signers:
            verify(new.raw, signer, {**old_keys, **new_keys}, external_aad=b"ringfort/anchors/1")
        need(len(signers & set(old_keys)) >= self.threshold, "threshold-not-met")
        need(len(signers & set(new_keys)) >= new.threshold, "threshold-not-met")

class Device:
    def __init__(self, folder):
        self.folder, self.offset, self.interval = pathlib.Path(folder), None, 300
        identity = read((self.folder / "identity").read_bytes())
        self.id, self.vendor, self.product = (identity[name] for name in (2, 3, 4))
        (self.folder / "idevid.pem").write_text("".join(map(ssl.DER_cert_to_PEM_cert, identity[5])))
        self.state = {"anchors": identity[6], "link": None, "ledgers": {}, "floor": [0, b""],
                      "running": None, "update": None, "head": None}
        if (stored := self.folder / "state").exists():
            self.state = cbor2.loads(stored.read_bytes())
        self.anchors = Anchors(self.state["anchors"])

    def store(self, **changes):
        self.state |= changes
        with open(self.folder / "state.new", "wb") as file:
            file.write(cbor2.dumps(self.state))
            os.fsync(file.fileno())
        os.replace(self.folder / "state.new", self.folder / "state")

    def floor(self):
        present, ledgers = self.anchors.keys(ORDER), self.state["ledgers"].items()
        times = [kept["time"] for signer, kept in ledgers if signer in present]
        return max([BUILT, self.anchors.time, *times])

    def call(self, method, path, body=None, kind="application/cbor", who="ldevid", most=65536):
        hub = urllib.parse.urlsplit(self.anchors.hub)
        context = ssl.create_default_context(cadata=b"".join(self.anchors.server_cas))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | IGNORE_DATES
        context.load_cert_chain(self.folder / f"{who}.pem", self.folder / f"{who}.key")
        peer = http.client.HTTPSConnection(hub.hostname, hub.port, context=context, timeout=99)
        peer.connect()
        server = x509.load_der_x509_certificate(peer.sock.getpeercert(True))
        begins, ends = server.not_valid_before_utc.timestamp(), server.not_valid_after_utc.timestamp()
        clock = begins if self.offset is None else self.offset + time.monotonic()
        need(begins <= max(self.floor(), clock) <= ends, "certificate-expired")
        need(self.offset is not None or path == "/v1/time", "clock-not-set")
        peer.request(method, path, body, {"content-type": kind} if body else {})
        answer = peer.getresponse()
        content = answer.read(most + 1)
        peer.close()
        need(answer.status in (200, 204), answer.headers["reason"])
        return content

    def start(self):
        """Time first, then anchors, then a certificate."""
        who, nonce = "ldevid" if (self.folder / "ldevid.pem").exists() else "idevid", os.urandom(16)
        self.judge(self.call("POST", "/v1/time", write({1: nonce}), who=who), nonce)
        self.fetch_anchors(who)
        if who == "idevid":
            self.enrol("simpleenroll", who)

    def fetch_anchors(self, who="ldevid"):
        while True:
            try:
                new = Anchors(self.call("GET", f"/v1/anchors/{self.anchors.version + 1}", who=who))
            except Refused as refused:
                return need(str(refused) == "not-found", str(refused))
            self.anchors.check_successor(new)
            self.anchors = new
            self.store(anchors=new.raw)

    def enrol(self, path="simplereenroll", who="ldevid"):
        pending = self.folder / "pending.key"
        if not pending.exists():  # after a lost answer the same key is asked for again
            pending.touch(0o600)
            pending.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, *PLAIN))
        key = serialization.load_pem_private_key(pending.read_bytes(), None)
        csr = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())
        body = base64.b64encode(csr.public_bytes(DER))
        answer = self.call("POST", f"/.well-known/est/{path}", body, "application/pkcs10", who)
        certificate, = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer))
        need(certificate.public_key() == key.public_key(), "malformed")
        (self.folder / "ldevid.pem").write_bytes(certificate.public_bytes(PEM))
        os.replace(pending, self.folder / "ldevid.key")
        self.store(link=None if who == "idevid" else self.state["link"])

    def check_in(self):
        """The claims of the token in the answer, judged."""
        nonce, state = os.urandom(16), self.state
        status = present({1: self.product, 2: state["floor"][0], 3: state["running"]})
        body = {1: nonce, 2: max(kept["open"][0] for kept in state["ledgers"].values()),
                3: state["link"], 4: self.anchors.version, 5: "device_client.py",
                6: [1, False, False], 7: [status], 8: state["update"], 9: state["head"]}
        answer = read(self.call("POST", "/v1/check-in", write(present(body))))
        self.store(link=answer[3])
        self.interval = answer[5]
        if answer[4] > self.anchors.version:
            self.fetch_anchors()
            return self.check_in()
        return self.judge(answer[1], nonce)

    def judge(self, raw, nonce):
        """The claims of a token that holds; what it says about time and order is kept."""
        header, claims = read(read(raw).value[0]), read(read(raw).value[2])
        need(header[16] == "application/vnd.ringfort.order+cose", "wrong-type")
        verify(raw, header[4], self.anchors.keys(ORDER), external_aad=b"ringfort/order/1")
        need(claims[1] == f"urn:uuid:{uuid.UUID(bytes=self.anchors.fleet)}", "wrong-issuer")
        need(claims[3] == self.id, "wrong-recipient")
        need(claims.get(10) == nonce, "nonce-mismatch")
        need(claims[4] > max(claims[6], self.floor()), "expired")
        ledger = self.state["ledgers"].setdefault(header[4], {"done": 0, "open": [0, None], "time": 0})
        if -70001 in claims:
            order = [claims[-70002], [claims[-70001], claims.get(-70003)]]
            need(claims[-70005] <= self.anchors.version, "anchors-too-old")
            known = order[0] > ledger["open"][0] or order == ledger["open"]
            need(known and order[0] > ledger["done"], "order-replayed")
            ledger["open"] = order
        ledger["time"] = max(ledger["time"], claims[6])
        self.offset = claims[6] - time.monotonic()
        self.store(head=claims.get(-70006, self.state["head"]))
        return claims

    def judge_release(self, raw, wanted):
        """What the manifest says: sequence number, version, payloads (path, digest, size)."""
        named, *blocks = cbor2.loads((envelope := cbor2.loads(raw).value)[2])
        need(cbor2.loads(named) == [-16, sha256(write(envelope[3]))] == [-16, wanted], "manifest-digest")
        row = next(row for row in self.anchors.products if row[2] == self.product)
        keys = self.anchors.keys(RELEASE, row[6])
        signers = [cbor2.loads(cbor2.loads(block).value[0]).get(4) for block in blocks]
        for signer, block in zip(signers, blocks):
            verify(block, signer, keys, detached_payload=named)
        need(len(set(signers)) >= row[5], "threshold-not-met")
        manifest = cbor2.loads(envelope[3])
        common, validate, install = (cbor2.loads(manifest[name]) for name in (3, 7, 20))
        shared, payloads = cbor2.loads(common[4]), []
        for index in range(len(common[2])):
            says, does = shared[8 * index + 3], install[8 * index + 3]
            need(shared[8 * index:][:8] == [12, index, 20, says, 1, 15, 2, 15] and
                 install[8 * index:][:8] == [12, index, 20, does, 21, 2, 3, 15] and
                 validate[4 * index:][:4] == [12, index, 3, 15], "unsupported")
            need((says[1], says[2]) == (self.vendor, self.product), "wrong-device")
            payloads.append((does[21], cbor2.loads(says[3])[1], says[14]))
        need(wanted not in self.anchors.revoked, "release-revoked")
        (height, digest), sequence = self.state["floor"], manifest[2]
        need(sequence >= height, "sequence-too-low")
        need(sequence > height or digest in (b"", wanted), "sequence-reused")
        need(sequence - height <= 2**32, "sequence-jump")
        need(manifest[23] == [-16, sha256(write(envelope[23]))], "manifest-digest")
        return sequence, cbor2.loads(envelope[23])["en"][tuple(common[2][0])][6], payloads

    def update(self, order):
        """Carries out an order; returns the state in which it ended."""
        number, wanted, sequence = order[-70002], order[-70003], 0
        def reached(state, reason=None):
            for ledger in self.state["ledgers"].values():
                ledger["done"] = ledger["open"][0] if state >= CONFIRMED else ledger["done"]
            self.store(update=present({1: number, 2: state, 3: reason}))
            body = {1: number, 2: self.product, 3: sequence, 4: wanted, 5: state, 6: reason,
                    8: (self.state["running"] or {3: ""})[3]}
            self.call("POST", "/v1/report", write(present(body)))
            return state
        reached(OFFERED)
        try:
            envelope = self.call("GET", f"/v1/manifests/{wanted.hex()}")
            sequence, version, payloads = self.judge_release(envelope, wanted)
            reached(DOWNLOADING)
            for index, (path, digest, size) in enumerate(payloads):
                need(path == f"objects/{digest.hex()}", "uri-not-allowed")
                payload = self.call("GET", f"/v1/{path}", most=size)
                need(len(payload) == size, "image-size")
                need(sha256(payload) == digest, "image-digest")
                (self.folder / f"slot-{index}").write_bytes(payload)
            reached(WRITTEN)
            need(order[4] > self.offset + time.monotonic(), "expired")
        except Refused as refused:
            return reached(FAILED if sequence else REFUSED, str(refused))
        reached(TRIAL)  # here a real device restarts and asks its health checks
        self.state["floor"], self.state["running"] = [sequence, wanted], {1: sequence, 2: wanted, 3: version}
        return reached(CONFIRMED)

if __name__ == "__main__":
    device = Device(sys.argv[1])
    device.start()
    while -70001 not in (claims := device.check_in()):
        time.sleep(device.interval * random.uniform(0.9, 1.1))
    sys.exit(device.update(claims) != CONFIRMED)
