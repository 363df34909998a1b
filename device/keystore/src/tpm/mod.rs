//! A TPM 2.0 as a device's key store.
//!
//! ```text
//! DIR/            0700
//!   LABEL.tpm     ["ringfort-tpm/1", public area, private area wrapped by this TPM]
//!   LABEL.pem     certificate chain
//! ```
//! Keys are made in the TPM under a storage key of the owner hierarchy, fixed to this TPM and this
//! parent: the files are useless anywhere else. Counters are NV counters of the TPM. The owner
//! authorisation is taken to be empty, as systems leave it: whoever is root can use the keys
//! through the TPM while he is there, and cannot take them away.

mod driver;
mod objects;

use std::path::PathBuf;
use std::sync::Arc;

use ringfort_cose::{Algorithm, PublicKey};
use tss_esapi::structures::PcrSelectionList;
use zeroize::Zeroizing;

use self::driver::Tpm;
use crate::chain;
use crate::files::{create_private_dir, read_private_if_there, remove, write_private_new};
use crate::store::{check_chain, check_secret};
use crate::worker::Worker;
use crate::{CounterKind, Error, KeyStore, Label, Protection};

/// Which TPM, and where the files lie.
#[derive(Clone, Debug)]
pub struct TpmSettings {
    /// How the TPM is reached: `device:/dev/tpmrm0`, or `swtpm:host=127.0.0.1,port=2321`.
    pub tcti: String,
    /// The directory of the wrapped keys.
    pub directory: PathBuf,
    /// The SHA-256 PCRs (0 to 23) whose values must be the same when a secret is unsealed; none
    /// for secrets that any boot of this device may open.
    pub pcrs: Vec<u8>,
}

/// A key store in a TPM 2.0.
pub struct TpmStore {
    worker: Arc<Worker<Tpm>>,
    directory: PathBuf,
    pcrs: PcrSelectionList,
}

impl TpmStore {
    /// Connects to the TPM.
    ///
    /// # Errors
    /// [`Error::Module`] for a TPM that cannot be reached or a PCR it does not have;
    /// [`Error::ModeTooWide`] for a directory wider than 0700.
    pub fn open(settings: &TpmSettings) -> Result<TpmStore, Error> {
        create_private_dir(&settings.directory)?;
        let pcrs = driver::selection(&settings.pcrs)?;
        let worker = Tpm::connect(&settings.tcti)?;
        Ok(TpmStore { worker, directory: settings.directory.clone(), pcrs })
    }

    fn key(&self, label: &Label) -> Result<objects::Wrapped, Error> {
        let path = self.path(label, "tpm");
        let bytes = read_private_if_there(&path, MAX_KEY_FILE)?
            .ok_or_else(|| Error::NoSuchKey(label.to_string()))?;
        objects::Wrapped::decode(&bytes)
            .map_err(|_| Error::malformed(&path, "not a key of format 1"))
    }

    fn path(&self, label: &Label, extension: &str) -> PathBuf {
        self.directory.join(format!("{label}.{extension}"))
    }
}

impl KeyStore for TpmStore {
    fn protection(&self) -> Protection {
        Protection::Tpm
    }

    fn counter_kind(&self) -> CounterKind {
        CounterKind::Hardware
    }

    fn generate(&self, label: &Label, algorithm: Algorithm) -> Result<PublicKey, Error> {
        if algorithm == Algorithm::Ed25519 {
            return Err(Error::AlgorithmUnsupported("Ed25519".into()));
        }
        let wrapped = self.worker.run(Tpm::create_key)?;
        let public = wrapped.public_key()?;
        match write_private_new(&self.path(label, "tpm"), &wrapped.encode()?) {
            Err(Error::FileExists { .. }) => Err(Error::KeyExists(label.clone())),
            other => other.map(|()| public),
        }
    }

    fn public_key(&self, label: &Label) -> Result<PublicKey, Error> {
        self.key(label)?.public_key()
    }

    fn sign(&self, label: &Label, message: &[u8]) -> Result<Vec<u8>, Error> {
        let (key, message) = (self.key(label)?, message.to_vec());
        self.worker.run(move |tpm| tpm.sign(key, &message))
    }

    fn remove(&self, label: &Label) -> Result<(), Error> {
        remove(&self.path(label, "tpm"))?;
        remove(&self.path(label, "pem"))
    }

    fn put_certificates(&self, label: &Label, chain: &[Vec<u8>]) -> Result<(), Error> {
        check_chain(chain)?;
        self.key(label)?;
        chain::write(&self.path(label, "pem"), chain)
    }

    fn certificates(&self, label: &Label) -> Result<Vec<Vec<u8>>, Error> {
        self.key(label)?;
        chain::read(&self.path(label, "pem"))
    }

    fn seal(&self, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, Error> {
        check_secret(secret)?;
        let (context, secret) = (context.to_vec(), Zeroizing::new(secret.to_vec()));
        let pcrs = self.pcrs.clone();
        self.worker.run(move |tpm| tpm.seal(&pcrs, &context, &secret))
    }

    fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (context, sealed) = (context.to_vec(), sealed.to_vec());
        let pcrs = self.pcrs.clone();
        self.worker.run(move |tpm| tpm.unseal(&pcrs, &context, &sealed))
    }

    fn counter(&self, name: &Label) -> Result<u64, Error> {
        let name = name.clone();
        self.worker.run(move |tpm| tpm.counter(&name))
    }

    fn advance_counter(&self, name: &Label) -> Result<u64, Error> {
        let name = name.clone();
        self.worker.run(move |tpm| tpm.advance_counter(&name))
    }
}

const MAX_KEY_FILE: usize = 2048;
