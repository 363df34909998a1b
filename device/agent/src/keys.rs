//! The device's keys: opening the store, naming keys, requests for certificates.

use std::sync::Arc;
use std::time::Duration;

use der::{Decode, Encode};
use ringfort_cose::{PublicKey, Sign};
use ringfort_keystore::{
    CounterKind, KeyStore, Label, Passphrase, Pkcs11Settings, Pkcs11Store, Protection, SealedFile,
    StoreKey, StoreSecret, public_key_to_der, tls,
};
use ringfort_messages::{Protection as WireProtection, StoreKind};
use ringfort_trust::ids::UnixTime;
use x509_cert::Certificate;

use crate::{AgentConfig, AgentError, KeyStoreConfig};

pub(crate) const IDEVID: &str = "idevid";
pub(crate) const ATTESTATION: &str = "attestation";
pub(crate) const COUNTER: &str = "state";

pub(crate) fn open_store(config: &AgentConfig) -> Result<Arc<dyn KeyStore>, AgentError> {
    Ok(match &config.key_store {
        KeyStoreConfig::SealedFile { directory, secret_file } => {
            let secret = secret_file.clone().map_or(StoreSecret::InDirectory, StoreSecret::File);
            Arc::new(SealedFile::open(directory, &secret)?)
        }
        KeyStoreConfig::Pkcs11 { module, token, serial, pin_file, .. } => {
            Arc::new(Pkcs11Store::open(&Pkcs11Settings {
                module: module.clone(),
                token: token.clone(),
                serial: serial.clone(),
                pin: Passphrase::from_file(pin_file)?,
            })?)
        }
        #[cfg(feature = "tpm")]
        KeyStoreConfig::Tpm { tcti, directory, pcrs } => {
            Arc::new(ringfort_keystore::TpmStore::open(&ringfort_keystore::TpmSettings {
                tcti: tcti.clone(),
                directory: directory.clone(),
                pcrs: pcrs.clone(),
            })?)
        }
        #[cfg(not(feature = "tpm"))]
        KeyStoreConfig::Tpm { .. } => {
            return Err(ringfort_keystore::Error::AlgorithmUnsupported("TPM 2.0".into()).into());
        }
    })
}

/// What the hub is told about the store.
pub(crate) fn protection(config: &AgentConfig, store: &dyn KeyStore) -> WireProtection {
    let hardware = match &config.key_store {
        KeyStoreConfig::SealedFile { .. } => false,
        KeyStoreConfig::Tpm { .. } => true,
        KeyStoreConfig::Pkcs11 { hardware, .. } => *hardware,
    };
    WireProtection {
        store: match store.protection() {
            Protection::Pkcs11Token => StoreKind::Pkcs11,
            Protection::Tpm => StoreKind::Tpm2,
            _ => StoreKind::SealedFile,
        },
        hardware_keys: hardware,
        hardware_counter: store.counter_kind() == CounterKind::Hardware,
    }
}

pub(crate) fn label(text: &str) -> Result<Label, AgentError> {
    Ok(Label::new(text)?)
}

/// The label of an operational key.
pub(crate) fn operational(number: u64) -> Result<Label, AgentError> {
    label(&format!("ldevid-{number}"))
}

/// A key of the store, made if it is not there.
pub(crate) fn key(store: &Arc<dyn KeyStore>, label: &Label) -> Result<StoreKey, AgentError> {
    match store.generate(label, ringfort_cose::Algorithm::Esp256) {
        Ok(_) | Err(ringfort_keystore::Error::KeyExists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(StoreKey::new(Arc::clone(store), label.clone())?)
}

/// A certificate request (PKCS#10, RFC 2986) without names: who issues writes them.
pub(crate) fn certificate_request(key: &dyn Sign) -> Result<Vec<u8>, AgentError> {
    let public = key.public_key();
    // version 0, an empty name, the key, no attributes
    let info =
        sequence(&[&[0x02, 0x01, 0x00, 0x30, 0x00], &public_key_to_der(&public), &[0xa0, 0x00]]);
    let signature = key
        .sign(&[&info])
        .map_err(|error| AgentError::State(format!("the request was not signed: {error}")))?;
    let (algorithm, signature): (&[u8], Vec<u8>) = match public {
        PublicKey::P256(_) => (&ECDSA_SHA256, tls::ecdsa_der(&signature).unwrap_or_default()),
        PublicKey::Ed25519(_) => (&ED25519, signature),
    };
    let bits = tagged(0x03, &[&[0x00], &signature]);
    Ok(sequence(&[&info, algorithm, &bits]))
}

/// When a certificate begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: UnixTime,
    pub(crate) to: UnixTime,
}

impl Validity {
    /// From two thirds of its life, and up to a twelfth of it later: the same for one certificate,
    /// another for each.
    pub(crate) fn renewal(&self, jitter: u8) -> UnixTime {
        let life = self.to.0.saturating_sub(self.from.0);
        let spread = life / (12 * 255) * u64::from(jitter);
        UnixTime(self.from.0.saturating_add(life / 3 * 2).saturating_add(spread))
    }
}

/// What the agent needs of a certificate: its validity and the key that it certifies.
pub(crate) fn read_certificate(certificate: &[u8]) -> Option<(Validity, Vec<u8>)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let body = certificate.tbs_certificate();
    let seconds = |time: x509_cert::time::Time| -> Duration { time.to_unix_duration() };
    let validity = Validity {
        from: UnixTime(seconds(body.validity().not_before).as_secs()),
        to: UnixTime(seconds(body.validity().not_after).as_secs()),
    };
    Some((validity, body.subject_public_key_info().to_der().ok()?))
}

/// DER of a SEQUENCE of encoded parts.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(0x30, parts)
}

fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match len {
        0..=0x7f => out.push(len as u8),
        0x80..=0xff => out.extend([0x81, len as u8]),
        _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    parts.iter().for_each(|part| out.extend(*part));
    out
}

/// AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758).
const ECDSA_SHA256: [u8; 12] =
    [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// AlgorithmIdentifier of Ed25519 (RFC 8410).
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

#[cfg(test)]
mod tests {
    use ringfort_cose::SoftSigner;

    use super::*;

    #[test]
    fn renewal_is_spread_from_two_thirds_of_life() {
        let validity = Validity { from: UnixTime(1000), to: UnixTime(1000 + 1_224_000) };
        assert_eq!(validity.renewal(0), UnixTime(1000 + 816_000));
        assert_eq!(validity.renewal(255), UnixTime(1000 + 816_000 + 102_000));
        assert_ne!(validity.renewal(100), validity.renewal(101));
        let endless = Validity { from: UnixTime(0), to: UnixTime(u64::MAX) };
        assert!(endless.renewal(255).0 > 0);
    }

    #[test]
    fn a_request_is_a_pkcs10_whose_signature_verifies() {
        for signer in
            [SoftSigner::generate_p256().unwrap(), SoftSigner::generate_ed25519().unwrap()]
        {
            let request = certificate_request(&signer).unwrap();
            let parsed = x509_cert::request::CertReq::from_der(&request).unwrap();
            assert_eq!(parsed.to_der().unwrap(), request);
            let info = parsed.info.to_der().unwrap();
            assert_eq!(
                parsed.info.public_key.to_der().unwrap(),
                public_key_to_der(&signer.public_key())
            );
            let algorithm: &dyn aws_lc_rs::signature::VerificationAlgorithm =
                match signer.public_key() {
                    PublicKey::P256(_) => &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
                    PublicKey::Ed25519(_) => &aws_lc_rs::signature::ED25519,
                };
            let key = signer.public_key();
            let signature = parsed.signature.raw_bytes();
            aws_lc_rs::signature::UnparsedPublicKey::new(algorithm, key.as_bytes())
                .verify(&info, signature)
                .unwrap();
        }
    }
}
