#!/usr/bin/env python3
"""Outside judges of a running hub: clients, scanners and a fuzzer that others wrote.

One hub on loopback serves them all, one after the other: the Python device client and the EST
clients, sslyze and an OpenSSL that knows ML-KEM, and schemathesis with the operator's certificate
last, because it leaves rubbish behind.
"""

import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import warnings

import device_client
import est_client
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from local_hub import ROOT, LocalHub
from OpenSSL import SSL
from sslyze import (
    CertificateInfoExtraArgument, ScanCommandsExtraArguments, Scanner, ServerNetworkConfiguration,
    ServerNetworkLocation, ServerScanRequest, ServerScanStatusEnum,
)
from sslyze.mozilla_tls_profile.tls_config_checker import (
    MozillaTlsConfiguration, ServerNotCompliantWithTlsConfiguration, TlsConfigurationEnum,
    check_server_against_tls_configuration,
)
from sslyze.server_setting import ClientAuthenticationCredentials

CHECKS = ",".join([
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance", "response_headers_conformance", "unsupported_method",
    "negative_data_rejection", "missing_required_header", "allow_header_conformance"
])
HERE = pathlib.Path(__file__).resolve().parent


def main():
    with tempfile.TemporaryDirectory() as name, LocalHub(name) as hub:
        for part in (device, refusals, est_in_python, est_by_curl, tls, key_exchange, api):
            begin = time.monotonic()
            said = part(hub)
            print(f"  {part.__name__.replace('_', ' ')}: {said} ({time.monotonic() - begin:.1f} s)")


def refused(call, reason):
    """Asserts that the call is refused for this reason."""
    try:
        call()
    except (device_client.Refused, est_client.Refused) as refusal:
        assert str(refusal) == reason, f"{refusal} instead of {reason}"
        return
    raise AssertionError(f"not refused: {reason} was to be expected")


def device(hub):
    """From the factory to a confirmed update, by the documents alone."""
    lines = (HERE / "device_client.py").read_text().count("\n")
    assert lines <= 250, f"the client has {lines} lines"
    (folder,) = hub.make_devices("dev-python")
    payload = os.urandom(200_000)
    release = hub.release("1.0", payload)
    hub.run(f"deploy create --release {release} --dir operator")
    subprocess.run([sys.executable, HERE / "device_client.py", folder], check=True)
    assert (folder / "slot-0").read_bytes() == payload
    (update,) = hub.run("device show dev-python --dir operator")["updates"]
    assert (update["state"], update["grade"]) == ("confirmed", "reported"), update

    # The next check-in says what runs now; renewal goes on with a new key.
    client = device_client.Device(folder)
    client.start()
    client.enrol()
    assert -70001 not in client.check_in()
    shown = hub.run("device show dev-python --dir operator")
    assert shown["running"][0]["version"] == "1.0", shown
    return f"{lines} lines, {update['state']}"


def refusals(hub):
    """What the client refuses, and what the hub refuses it."""
    client = device_client.Device(hub.folder / "dev-python")
    client.start()
    seen, judge = [], client.judge
    client.judge = lambda raw, nonce: seen.append((raw, nonce)) or judge(raw, nonce)
    client.check_in()
    token, nonce = seen[-1]
    judge(token, nonce)
    refused(lambda: judge(token, os.urandom(16)), "nonce-mismatch")
    damaged = token[:-1] + bytes([token[-1] ^ 1])
    refused(lambda: judge(damaged, nonce), "bad-signature")

    # The link before the last is a lost answer; the one before that is a second holder.
    links = [client.state["link"]]
    for _ in range(2):
        client.check_in()
        links.append(client.state["link"])
    client.state["link"] = links[-2]
    client.check_in()
    client.state["link"] = links[0]
    refused(client.check_in, "clone-suspected")
    state = hub.run("device show dev-python --dir operator")["device"]["state"]
    assert state == "suspended", state
    return "nonce, signature, link"


def est_in_python(hub):
    """Enrol, renew, re-key, over either version of TLS."""
    for version, label in ((ssl.TLSVersion.TLSv1_2, "tls12"), (ssl.TLSVersion.TLSv1_3, "tls13")):
        (factory,) = hub.make_devices(f"dev-{label}")
        device_client.Device(factory)  # writes the chain of the identity file
        idevid = factory / "idevid.pem", factory / "idevid.key"
        server_ca = hub.folder / "operator/server-ca.pem"
        client = est_client.EstClient(hub.device_port, server_ca, version)
        authorities = client.ca_certificates()
        first, second = est_client.new_key(), ed25519.Ed25519PrivateKey.generate()
        refused(lambda: client.enrol(first, factory / "first"), "no-client-certificate")
        client.identity = idevid
        certificates = [client.enrol(first, factory / "first")]
        certificates.append(client.re_enrol(first, factory / "renewed"))
        certificates.append(client.re_enrol(second, factory / "re-keyed"))
        for certificate in certificates:
            (issuer,) = [each for each in authorities if each.subject == certificate.issuer]
            certificate.verify_directly_issued_by(issuer)
        # Long before its end, a renewal for the same key gives the certificate that there is.
        assert certificates[0] == certificates[1] != certificates[2]
    return "TLS 1.2 and 1.3"


def est_by_curl(hub):
    (folder,) = hub.make_devices("dev-curl")
    device_client.Device(folder)
    url, server_ca = f"https://localhost:{hub.device_port}", hub.folder / "operator/server-ca.pem"
    idevid = folder / "idevid.pem", folder / "idevid.key"
    done = subprocess.run([HERE / "est.sh", url, server_ca, *idevid, folder / "est"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "dev-curl" in done.stdout, done.stdout
    return done.stdout.strip()


def tls(hub):
    """Mozilla's intermediate configuration, by sslyze, on both listeners."""
    intermediate = MozillaTlsConfiguration.get(TlsConfigurationEnum.MOZILLA_INTERMEDIATE)
    modern = MozillaTlsConfiguration.get(TlsConfigurationEnum.MOZILLA_MODERN)
    # One of sslyze's own authorities has a serial number of 0.
    warnings.filterwarnings("ignore", message="Parsed a serial number")
    certificate, key = hub.operator_key()
    credentials = ClientAuthenticationCredentials(
        certificate_chain_path=certificate, key_path=key)
    requests = []
    for port in (hub.device_port, hub.operator_port):
        location = ServerNetworkLocation("localhost", port, "127.0.0.1")
        settings = ServerNetworkConfiguration(
            tls_server_name_indication="localhost",
            # More than the usual 5 s, less than the hub waits for a handshake: sslyze tells a server
            # that does not answer from one that closes.
            network_timeout=8,
            tls_client_auth_credentials=credentials if port == hub.operator_port else None)
        requests.append(ServerScanRequest(
            location, settings, scan_commands_extra_arguments=ScanCommandsExtraArguments(
                certificate_info=CertificateInfoExtraArgument(custom_ca_file=authorities(hub)))))
    scanner = Scanner(per_server_concurrent_connections_limit=5)
    scanner.queue_scans(requests)
    for result in scanner.get_results():
        assert result.scan_status == ServerScanStatusEnum.COMPLETED, result
        check_server_against_tls_configuration(result, intermediate)
        # Modern has no TLS 1.2: a checker that finds nothing is noticed.
        found = "tls_versions" in issues(result, modern)
        assert found == (result.server_location.port == hub.device_port)
    return "Mozilla intermediate on both listeners"


def issues(result, profile):
    try:
        check_server_against_tls_configuration(result, profile)
    except ServerNotCompliantWithTlsConfiguration as finding:
        return finding.issues
    return {}


def key_exchange(hub):
    """What OpenSSL's own defaults come to, and what one without ML-KEM gets."""
    certificate, key = hub.operator_key()
    for port in (hub.device_port, hub.operator_port):
        for curve, wanted in ((None, "X25519MLKEM768"), (ec.SECP256R1(), "secp256r1")):
            context = SSL.Context(SSL.TLS_CLIENT_METHOD)
            context.use_certificate_file(str(certificate))
            context.use_privatekey_file(str(key))
            if curve:
                context.set_tmp_ecdh(curve)
            connection = SSL.Connection(context, socket.create_connection(("127.0.0.1", port)))
            connection.set_tlsext_host_name(b"localhost")
            connection.set_connect_state()
            connection.do_handshake()
            assert connection.get_group_name() == wanted, connection.get_group_name()
            connection.close()
    return "X25519MLKEM768"


def authorities(hub):
    """For clients that want the whole way up to a root."""
    bundle = hub.folder / "authorities.pem"
    parts = [hub.folder / "operator/server-ca.pem", *(hub.folder / "hub/certs").glob("root*.pem")]
    bundle.write_text("".join(part.read_text() for part in parts))
    return bundle


def api(hub):
    """Every path of the OpenAPI document, with sound and with unsound requests, by schemathesis."""
    certificate, key = hub.operator_key()
    hub.make_devices("dev-api")
    release = hub.release("api", b"a payload")
    deployment = hub.run(f"deploy create --release {release} --dir operator")["result"]["id"]
    things = {"devices": "dev-api", "deployments": deployment, "sites": "plant"}
    description = json.loads((ROOT / "docs/openapi.json").read_text())
    known = {path: {"id": things[path.split("/")[3]]}
             for path in description["paths"] if "{id}" in path}
    own = x509.load_pem_x509_certificate(certificate.read_bytes())
    known["operator"] = own.fingerprint(hashes.SHA256()).hex()
    environment = {**os.environ, "NO_PROXY": "*", "no_proxy": "*",
                   "RINGFORT_KNOWN": json.dumps(known),
                   "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)}
    command = [
        pathlib.Path(sys.executable).with_name("st"), "run", ROOT / "docs/openapi.json",
        "--url", f"https://localhost:{hub.operator_port}", "--tls-verify", authorities(hub),
        "--request-cert", certificate, "--request-cert-key", key,
        "--checks", CHECKS, "--phases", "coverage,fuzzing", "--continue-on-failure",
        "--max-examples", "10", "--generation-deterministic", "--no-shrink", "--no-color",
        "--warnings", "off", "--request-timeout", "120", "--suppress-health-check", "too_slow",
    ]
    done = subprocess.run(
        command, cwd=hub.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert hub.process.poll() is None, "the hub has ended"
    (cases,) = [line.strip() for line in done.stdout.splitlines() if " generated" in line]
    return cases


if __name__ == "__main__":
    sys.exit(main())
