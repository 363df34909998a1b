//! A PKCS#11 token as a device's key store.

use std::path::PathBuf;
use std::sync::Arc;

use cryptoki::session::Session;
use cryptoki::slot::Slot;
use ringfort_cose::cbor::{Deterministic, Writer};
use ringfort_cose::{Algorithm, PublicKey, Reason};
use zeroize::Zeroizing;

use super::module::Module;
use super::objects::{self, KeyName};
use crate::store::{check_chain, check_secret};
use crate::{CounterKind, Error, KeyStore, Label, Passphrase, Protection};

/// Which token to use, and the PIN that opens it.
#[derive(Clone, Debug)]
pub struct Pkcs11Settings {
    /// Path of the PKCS#11 module (a shared library).
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The token's serial number, where the label alone does not tell.
    pub serial: Option<String>,
    /// The user PIN.
    pub pin: Passphrase,
}

/// A key store in a PKCS#11 token.
///
/// Keys are named `ringfort-LABEL` there. Certificates and counters are data objects; counters do
/// not go back with the disk, but whoever has the PIN can set them
/// ([`CounterKind::TokenObject`]).
pub struct Pkcs11Store {
    module: Arc<Module>,
    slot: Slot,
}

impl Pkcs11Store {
    /// Loads the module and logs in.
    ///
    /// # Errors
    /// [`Error::Module`], [`Error::TokenNotFound`], [`Error::WrongPin`].
    pub fn open(settings: &Pkcs11Settings) -> Result<Pkcs11Store, Error> {
        let module = Module::load(&settings.module)?;
        let settings = settings.clone();
        let slot = module.run(move |driver| {
            let slot = driver.find_token(&settings.token, settings.serial.as_deref())?;
            driver.log_in(slot, &settings.pin)?;
            Ok(slot)
        })?;
        Ok(Pkcs11Store { module, slot })
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let slot = self.slot;
        self.module.run(move |driver| driver.in_session(slot, work))
    }
}

impl KeyStore for Pkcs11Store {
    fn protection(&self) -> Protection {
        Protection::Pkcs11Token
    }

    fn counter_kind(&self) -> CounterKind {
        CounterKind::TokenObject
    }

    fn generate(&self, label: &Label, algorithm: Algorithm) -> Result<PublicKey, Error> {
        let label = label.clone();
        self.run(move |session| {
            if objects::key_exists(session, &key_name(&label))? {
                return Err(Error::KeyExists(label.clone()));
            }
            objects::generate_pair(session, &object_label(&label), algorithm)
        })
    }

    fn public_key(&self, label: &Label) -> Result<PublicKey, Error> {
        let name = key_name(label);
        self.run(move |session| objects::public_key(session, &name, true))
    }

    fn sign(&self, label: &Label, message: &[u8]) -> Result<Vec<u8>, Error> {
        let algorithm = self.public_key(label)?.algorithm();
        let (name, message) = (key_name(label), message.to_vec());
        self.run(move |session| objects::sign(session, &name, algorithm, &message))
    }

    fn remove(&self, label: &Label) -> Result<(), Error> {
        let (name, record) = (key_name(label), record_name("certificates", label));
        self.run(move |session| {
            objects::remove_pair(session, &name)?;
            objects::remove_record(session, &record)
        })
    }

    fn put_certificates(&self, label: &Label, chain: &[Vec<u8>]) -> Result<(), Error> {
        check_chain(chain)?;
        let bytes = write_chain(chain).map_err(|_| Error::Crypto)?;
        let (name, record) = (key_name(label), record_name("certificates", label));
        let owner = label.clone();
        self.run(move |session| {
            if !objects::key_exists(session, &name)? {
                return Err(Error::NoSuchKey(owner.to_string()));
            }
            objects::write_record(session, &record, &bytes).map(|_| ())
        })
    }

    fn certificates(&self, label: &Label) -> Result<Vec<Vec<u8>>, Error> {
        let (name, record) = (key_name(label), record_name("certificates", label));
        let owner = label.clone();
        let stored = self.run(move |session| {
            if !objects::key_exists(session, &name)? {
                return Err(Error::NoSuchKey(owner.to_string()));
            }
            objects::read_record(session, &record)
        })?;
        stored.map_or(Ok(Vec::new()), |(_, bytes)| {
            read_chain(&bytes).map_err(|_| Error::Malformed {
                what: "the token's certificate chain".into(),
                detail: "not an array of byte strings",
            })
        })
    }

    fn seal(&self, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, Error> {
        check_secret(secret)?;
        let (context, secret) = (context.to_vec(), Zeroizing::new(secret.to_vec()));
        self.run(move |session| objects::seal(session, &context, &secret))
    }

    fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (context, sealed) = (context.to_vec(), sealed.to_vec());
        self.run(move |session| objects::unseal(session, &context, &sealed))
    }

    fn counter(&self, name: &Label) -> Result<u64, Error> {
        let record = record_name("counter", name);
        self.run(move |session| {
            Ok(objects::read_record(session, &record)?.map_or(0, |(number, _)| number))
        })
    }

    fn advance_counter(&self, name: &Label) -> Result<u64, Error> {
        let record = record_name("counter", name);
        self.run(move |session| objects::write_record(session, &record, &[]))
    }
}

fn key_name(label: &Label) -> KeyName {
    KeyName::label(object_label(label))
}

fn object_label(label: &Label) -> String {
    format!("ringfort-{label}")
}

fn record_name(kind: &str, label: &Label) -> String {
    format!("ringfort-{kind}-{label}")
}

fn write_chain(chain: &[Vec<u8>]) -> Result<Vec<u8>, Reason> {
    let mut out = Writer::to_vec();
    out.array(chain.len() as u64)?;
    for certificate in chain {
        out.bytes(certificate)?;
    }
    out.finish()
}

fn read_chain(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
    let mut reader = Deterministic::read(bytes)?;
    let chain = (0..reader.array()?).map(|_| reader.bytes().map(<[u8]>::to_vec)).collect();
    reader.end()?;
    chain
}
