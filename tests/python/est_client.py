"""An EST client (RFC 7030) on `cryptography` and the standard library."""

import base64
import http.client
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import pkcs7

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


class Refused(Exception):
    """The server refused; its text is the reason code."""


class EstClient:
    """Talks one version of TLS to one server, as whoever its certificate and key say."""

    def __init__(self, port, server_ca, version):
        self.port, self.server_ca, self.version = port, server_ca, version
        self.identity = None

    def ca_certificates(self):
        return self.ask("GET", "cacerts")

    def enrol(self, key, folder):
        return self.obtain("simpleenroll", key, folder)

    def re_enrol(self, key, folder):
        return self.obtain("simplereenroll", key, folder)

    def obtain(self, path, key, folder):
        """A certificate for this key, which is the client's identity from then on."""
        algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        csr = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, algorithm)
        body = base64.encodebytes(csr.public_bytes(serialization.Encoding.DER))
        (certificate,) = self.ask("POST", path, body)
        assert certificate.public_key() == key.public_key(), "a certificate for another key"
        folder.mkdir(exist_ok=True)
        files = folder / "certificate.pem", folder / "key.pem"
        files[0].write_bytes(certificate.public_bytes(PEM))
        files[1].write_bytes(key.private_bytes(PEM, *PKCS8))
        self.identity = files
        return certificate

    def ask(self, method, path, body=None):
        context = ssl.create_default_context(cafile=self.server_ca)
        # The Server CA is an anchor as it stands; what is above it is not asked for.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.minimum_version = context.maximum_version = self.version
        if self.identity:
            context.load_cert_chain(*self.identity)
        server = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=99)
        headers = {"content-type": "application/pkcs10"} if body else {}
        server.request(method, f"/.well-known/est/{path}", body, headers)
        answer = server.getresponse()
        content = answer.read()
        spoken = server.sock.version() if server.sock else None
        server.close()
        assert spoken in (None, {771: "TLSv1.2", 772: "TLSv1.3"}[self.version]), spoken
        if answer.status != 200:
            raise Refused(answer.headers["reason"])
        kind = answer.headers["content-type"]
        assert kind == "application/pkcs7-mime; smime-type=certs-only", kind
        return pkcs7.load_der_pkcs7_certificates(base64.b64decode(content))


def new_key():
    return ec.generate_private_key(ec.SECP256R1())
