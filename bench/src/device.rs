//! A device of the load: its keys, its certificate, its link, and what it sends.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use ringfort_messages::{
    AnchorsVersion, CheckIn, ClassId, ClassStatus, DeviceId, Link, List, Nonce, OrderNumber,
    Protection, SequenceNumber, StoreKind, Text,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

/// A P-256 key that can be kept.
#[derive(Clone)]
pub struct Key {
    /// The private key, PKCS#8.
    pub pkcs8: Vec<u8>,
}

/// A device with one identity, its IDevID or its LDevID.
#[derive(Clone)]
pub struct Device {
    /// Its name.
    pub id: DeviceId,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// The key of that.
    pub key: Key,
    /// The link of its last answer.
    pub link: Option<Link>,
}

impl Key {
    /// A new key.
    pub fn generate() -> Result<Key> {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())?;
        Ok(Key { pkcs8: pkcs8.as_ref().to_vec() })
    }

    /// A PKCS#10 request without a name (RFC 2986), DER.
    pub fn request(&self) -> Result<Vec<u8>> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.pkcs8)?;
        let spki = [P256_SPKI, pair.public_key().as_ref()].concat();
        let signed = request_info(&spki);
        let signature = pair.sign(&SystemRandom::new(), &signed)?;
        Ok(request(&signed, ECDSA_WITH_SHA256, signature.as_ref()))
    }
}

/// A PKCS#10 request of a new Ed25519 key, DER: the attestation key of a device of the load, which
/// never attests.
pub fn attestation_request() -> Result<Vec<u8>> {
    let pair = Ed25519KeyPair::generate()?;
    let spki = [ED25519_SPKI, pair.public_key().as_ref()].concat();
    let signed = request_info(&spki);
    Ok(request(&signed, ED25519, pair.try_sign(&signed)?.as_ref()))
}

impl Device {
    /// A TLS configuration that shows this identity, on the agent's terms: TLS 1.3, no resumption.
    pub fn tls(&self, roots: &Arc<RootCertStore>) -> Result<Arc<ClientConfig>> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.pkcs8.as_slice()));
        let key = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&key)?;
        let chain = vec![CertificateDer::from(self.certificate.clone())];
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(Arc::clone(roots))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(
                chain, key,
            ))));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// What it says at a check-in.
    pub fn check_in(&self, class: ClassId) -> Result<CheckIn> {
        let mut nonce = [0; 16];
        aws_lc_rs::rand::fill(&mut nonce)?;
        let status = ClassStatus { class, floor: SequenceNumber(0), running: None };
        Ok(CheckIn {
            nonce: Nonce(nonce),
            last_order: OrderNumber(0),
            link: self.link,
            anchors: AnchorsVersion(1),
            agent: Text::new("ringfort-bench 0.1.0").ok().context("a text")?,
            protection: PROTECTION,
            classes: List::from_slice(&[status]).ok().context("a list")?,
            update: None,
            audit: None,
        })
    }
}

fn request_info(spki: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&[2, 1, 0, 0x30, 0][..], &tlv(0x30, spki), &[0xa0, 0]].concat())
}

fn request(signed: &[u8], algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    let signature = tlv(0x03, &[&[0], signature].concat());
    tlv(0x30, &[signed, &tlv(0x30, algorithm), &signature].concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        short @ 0..=127 => out.push(short as u8),
        medium @ 128..=255 => out.extend([0x81, medium as u8]),
        long => {
            out.push(0x82);
            out.extend((long as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(content);
    out
}

/// What the devices of the load say of their keys.
pub const PROTECTION: Protection =
    Protection { store: StoreKind::SealedFile, hardware_keys: false, hardware_counter: false };
/// id-ecPublicKey and prime256v1, and the head of the bit string (RFC 5480).
const P256_SPKI: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// id-Ed25519 and the head of the bit string (RFC 8410).
const ED25519_SPKI: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const ECDSA_WITH_SHA256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
