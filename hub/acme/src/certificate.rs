//! A certificate with its key: made, judged, and in the one file that holds both.

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use ringfort_pki::{CertificateInfo, SubjectKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use webpki::EndEntityCert;
use zeroize::Zeroizing;

use crate::AcmeError;

/// A chain for the operators' name, and the key of its first certificate.
pub struct Obtained {
    /// DER, the listener's own certificate first.
    pub chain: Vec<Vec<u8>>,
    /// Both in PEM, the chain first: what is kept, in one file.
    pub text: Zeroizing<String>,
    /// Unix seconds.
    pub not_before: u64,
    /// Unix seconds.
    pub not_after: u64,
}

impl Obtained {
    /// Reads and judges what was kept.
    ///
    /// # Errors
    /// [`AcmeError::WrongCertificate`]: it is not for this name, or not for this key.
    pub fn read(text: &str, name: &str) -> Result<Obtained, AcmeError> {
        let wrong = |why: &dyn std::fmt::Display| AcmeError::WrongCertificate(why.to_string());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let chain = chain.map_err(|error| wrong(&error))?;
        let leaf = chain.first().ok_or_else(|| wrong(&"there is none"))?;
        let info = CertificateInfo::parse(leaf).map_err(|error| wrong(&error))?;
        let server_name = ServerName::try_from(name).map_err(|error| wrong(&error))?;
        EndEntityCert::try_from(leaf)
            .and_then(|leaf| leaf.verify_is_valid_for_subject_name(&server_name))
            .map_err(|error| wrong(&format!("it is not for {name}: {error}")))?;
        let own = key(text)?;
        if info.key.fingerprint() != own.fingerprint() {
            return Err(wrong(&"it is for another key"));
        }
        if info.not_after <= info.not_before {
            return Err(wrong(&"it ends before it begins"));
        }
        Ok(Obtained {
            chain: chain.iter().map(|certificate| certificate.to_vec()).collect(),
            text: Zeroizing::new(text.to_owned()),
            not_before: info.not_before,
            not_after: info.not_after,
        })
    }

    /// The key.
    ///
    /// # Errors
    /// [`AcmeError::WrongCertificate`].
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, AcmeError> {
        PrivateKeyDer::from_pem_slice(self.text.as_bytes())
            .map_err(|error| AcmeError::WrongCertificate(error.to_string()))
    }
}

/// A key for the listener, and the request for a certificate that names this host and nothing else.
pub(crate) struct Wanted {
    pub(crate) request: Vec<u8>,
    key: Zeroizing<String>,
}

impl Wanted {
    pub(crate) fn new(name: &str) -> Result<Wanted, AcmeError> {
        let make = || -> Result<Wanted, rcgen::Error> {
            let mut parameters = CertificateParams::new([name.to_owned()])?;
            parameters.distinguished_name = DistinguishedName::new();
            let key = KeyPair::generate()?;
            let request = parameters.serialize_request(&key)?.der().to_vec();
            Ok(Wanted { request, key: Zeroizing::new(key.serialize_pem()) })
        };
        make().map_err(|error| AcmeError::Key(error.to_string()))
    }

    /// Puts the authority's answer and the key together, when the answer is what was asked for and
    /// in force.
    pub(crate) fn with(self, chain: &str, name: &str, now: u64) -> Result<Obtained, AcmeError> {
        let text = Zeroizing::new(format!("{}\n{}", chain.trim_end(), *self.key));
        let obtained = Obtained::read(&text, name)?;
        let in_force = now + CLOCK_SLACK_S >= obtained.not_before && now < obtained.not_after;
        match in_force {
            true => Ok(obtained),
            false => Err(AcmeError::WrongCertificate("it is not in force now".to_owned())),
        }
    }
}

/// The public half of the key in a text.
fn key(text: &str) -> Result<SubjectKey, AcmeError> {
    let wrong = |why: &dyn std::fmt::Display| AcmeError::WrongCertificate(why.to_string());
    let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|error| wrong(&error))?;
    let pair = KeyPair::try_from(der.secret_pkcs8_der()).map_err(|error| wrong(&error))?;
    SubjectKey::from_raw(ringfort_pki::KeyKind::P256, pair.public_key_raw())
        .map_err(|error| wrong(&error))
}

/// Clocks of authority and hub may differ by so much.
const CLOCK_SLACK_S: u64 = 3600;

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "people.example.com";

    /// What an authority would answer to a request for this name with this key.
    fn issued(names: &[&str], key: &KeyPair) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        CertificateParams::new(names).unwrap().self_signed(key).unwrap().pem()
    }

    fn pair() -> KeyPair {
        KeyPair::generate().unwrap()
    }

    #[test]
    fn a_certificate_for_the_name_and_the_key_is_taken_and_read_again() {
        let key = pair();
        let text = issued(&[NAME], &key) + &key.serialize_pem();
        let read = Obtained::read(&text, NAME).unwrap();
        assert_eq!(read.chain.len(), 1);
        read.private_key().unwrap();
    }

    #[test]
    fn a_certificate_for_another_name_is_refused() {
        let key = pair();
        for names in [&["other.example.com"][..], &["example.com"], &["x.people.example.com"]] {
            let text = key.serialize_pem() + &issued(names, &key);
            let refused = Obtained::read(&text, NAME).err().unwrap();
            assert!(refused.to_string().contains("not for people.example.com"), "{refused}");
        }
    }

    #[test]
    fn a_certificate_for_another_key_is_refused() {
        let text = pair().serialize_pem() + &issued(&[NAME], &pair());
        let refused = Obtained::read(&text, NAME).err().unwrap();
        assert!(refused.to_string().contains("another key"), "{refused}");
    }

    #[test]
    fn a_certificate_out_of_its_time_is_refused() {
        let wanted = Wanted::new(NAME).unwrap();
        let key = KeyPair::from_pem(&wanted.key).unwrap();
        let chain = issued(&[NAME], &key);
        let taken = Obtained::read(&(key.serialize_pem() + &chain), NAME).unwrap();
        let with = |now| {
            let wanted = Wanted { request: Vec::new(), key: wanted.key.clone() };
            wanted.with(&chain, NAME, now).map(drop).map_err(|error| error.code())
        };
        assert_eq!(with(taken.not_before), Ok(()));
        assert_eq!(with(taken.not_after), Err("wrong-certificate"));
        assert_eq!(with(taken.not_before - 2 * CLOCK_SLACK_S), Err("wrong-certificate"));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let key = pair().serialize_pem();
        for text in ["", "nonsense", &key] {
            assert!(Obtained::read(text, NAME).is_err());
        }
    }
}
