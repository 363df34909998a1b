//! One PKCS#11 module, driven from one thread.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::worker::Worker;
use crate::{Error, Passphrase};

/// A loaded module. All calls happen on its own thread, one after the other.
pub(crate) struct Module {
    worker: Worker<Driver>,
}

impl Module {
    /// Loads a module, or returns the one loaded before. It stays loaded until the process ends:
    /// unloading is where modules crash.
    pub(crate) fn load(path: &Path) -> Result<Arc<Module>, Error> {
        let path = path
            .canonicalize()
            .map_err(|error| Error::Module(format!("{}: {error}", path.display())))?;
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(&path) {
            return Ok(Arc::clone(module));
        }
        let module_path = path.clone();
        let worker = Worker::start("pkcs11", move || Driver::load(&module_path))?;
        let module = Arc::new(Module { worker });
        modules.insert(path, Arc::clone(&module));
        Ok(module)
    }

    /// Runs work on the module's thread and waits for its result.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Driver) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.worker.run(work)
    }
}

/// What lives on the module's thread.
pub(crate) struct Driver {
    pkcs11: Pkcs11,
    logins: HashMap<Slot, Login>,
}

struct Login {
    session: Session,
    pin: Passphrase,
}

impl Driver {
    fn load(path: &Path) -> Result<Driver, Error> {
        let pkcs11 = Pkcs11::new(path).map_err(from_pkcs11)?;
        pkcs11
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .map_err(from_pkcs11)?;
        Ok(Driver { pkcs11, logins: HashMap::new() })
    }

    /// The one token that has this label and, where given, this serial number.
    pub(crate) fn find_token(&self, label: &str, serial: Option<&str>) -> Result<Slot, Error> {
        let mut found = Vec::new();
        for slot in self.pkcs11.get_slots_with_initialized_token().map_err(from_pkcs11)? {
            let token = self.pkcs11.get_token_info(slot).map_err(from_pkcs11)?;
            let same_serial = serial.is_none_or(|serial| serial == token.serial_number().trim());
            if token.label().trim_end() == label && same_serial {
                found.push(slot);
            }
        }
        match found.as_slice() {
            [slot] => Ok(*slot),
            _ => {
                let serial = serial.map(|serial| format!(", serial {serial}")).unwrap_or_default();
                let wanted = format!("token {label:?}{serial}");
                Err(Error::TokenNotFound { wanted, found: found.len() })
            }
        }
    }

    /// Opens a session as user. A token that is open already is not asked again: the PIN must be
    /// the one that opened it.
    pub(crate) fn log_in(&mut self, slot: Slot, pin: &Passphrase) -> Result<(), Error> {
        match self.logins.get(&slot) {
            Some(login) if login.pin.as_str() == pin.as_str() => Ok(()),
            Some(_) => Err(Error::WrongPin),
            None => self.open_session(slot, pin),
        }
    }

    /// Does work in the session of a token. A session that ended (the token was pulled out and
    /// put back, for instance) is opened once more.
    pub(crate) fn in_session<T>(
        &mut self,
        slot: Slot,
        work: impl Fn(&Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let login =
            self.logins.get(&slot).ok_or_else(|| Error::Module("nobody logged in".into()))?;
        match work(&login.session) {
            Err(Error::Module(text)) if text.starts_with(SESSION_ENDED) => {
                let pin = login.pin.clone();
                self.logins.remove(&slot);
                self.open_session(slot, &pin)?;
                let login = self.logins.get(&slot).ok_or(Error::Module(text))?;
                work(&login.session)
            }
            other => other,
        }
    }

    fn open_session(&mut self, slot: Slot, pin: &Passphrase) -> Result<(), Error> {
        let session = self.pkcs11.open_rw_session(slot).map_err(from_pkcs11)?;
        let auth = AuthPin::new(pin.as_str().into());
        session.login(UserType::User, Some(&auth)).map_err(from_pkcs11)?;
        self.logins.insert(slot, Login { session, pin: pin.clone() });
        Ok(())
    }
}

/// Errors of the module, sorted into those that a caller acts upon and the rest.
pub(crate) fn from_pkcs11(error: Pkcs11Error) -> Error {
    match &error {
        Pkcs11Error::Pkcs11(
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinLocked,
            _,
        ) => Error::WrongPin,
        Pkcs11Error::Pkcs11(RvError::MechanismInvalid, _) => {
            Error::AlgorithmUnsupported("this algorithm".into())
        }
        Pkcs11Error::Pkcs11(
            RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::UserNotLoggedIn,
            _,
        ) => Error::Module(format!("{SESSION_ENDED}: {error}")),
        _ => Error::Module(error.to_string()),
    }
}

static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

const SESSION_ENDED: &str = "the session ended";
