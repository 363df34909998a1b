//! The factory: the device asks for an identity, and takes it once.

use aws_lc_rs::rand;
use ringfort_cose::{AwsLc, Reason, Verify};
use ringfort_device::{HeldAnchors, Record};
use ringfort_keystore::public_key_to_der;
use ringfort_messages::{IdentityAnswer, IdentityRequest};
use ringfort_trust::Anchors;
use ringfort_trust::ids::{DeviceId, FleetId, Text, Ueid};

use crate::disk::Disk;
use crate::session::Lock;
use crate::state::{InstalledState, State};
use crate::{AGENT, AgentConfig, AgentError, keys};

/// What [`identity_install`] has put in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The device's name.
    pub device: DeviceId,
    /// Its fleet.
    pub fleet: FleetId,
    /// The hub's address.
    pub hub: String,
}

/// Makes the device's keys and its UEID, if they are not there yet, and returns the request file
/// for the factory's station. The same request again is for the same keys.
///
/// # Errors
/// [`AgentError::KeyStore`], [`AgentError::Storage`], [`AgentError::HasIdentity`],
/// [`AgentError::Busy`].
pub fn identity_request(config: &AgentConfig) -> Result<Vec<u8>, AgentError> {
    let disk = Disk::default();
    disk.create_dir(&config.state)?;
    let _lock = Lock::take(config)?;
    let store = keys::open_store(config)?;
    let state = match State::load(&config.state_file(), &*store)? {
        Some(State { installed: Some(_), .. }) => return Err(AgentError::HasIdentity),
        Some(state) => state,
        None => {
            let mut random = [0; 16];
            rand::fill(&mut random).map_err(|_| ringfort_keystore::Error::Crypto)?;
            let state = State { ueid: Ueid::from_random(random), installed: None };
            state.store(&config.state_file(), &*store, &disk)?;
            state
        }
    };
    let request = |name| -> Result<Vec<u8>, AgentError> {
        keys::certificate_request(&keys::key(&store, &keys::label(name)?)?)
    };
    let (idevid_csr, attestation_csr) = (request(keys::IDEVID)?, request(keys::ATTESTATION)?);
    IdentityRequest {
        ueid: state.ueid,
        protection: keys::protection(config, &*store),
        idevid_csr: &idevid_csr,
        attestation_csr: &attestation_csr,
        agent: Text::lossy(AGENT),
    }
    .encode()
    .map_err(|reason| AgentError::State(reason.to_string()))
}

/// Takes the file that the factory's station made: the device's certificate and what it is to
/// believe. Trust begins here; it is done once.
///
/// # Errors
/// [`AgentError::Identity`] when the file is for another device or does not hold together;
/// [`AgentError::HasIdentity`]; [`AgentError::NoIdentity`] when no request was made;
/// [`AgentError::KeyStore`], [`AgentError::Storage`], [`AgentError::Busy`].
pub fn identity_install(config: &AgentConfig, answer: &[u8]) -> Result<Installed, AgentError> {
    let refuse = |detail| move |reason| AgentError::Identity { reason, detail };
    let disk = Disk::default();
    let _lock = Lock::take(config)?;
    let store = keys::open_store(config)?;
    let mut state = State::load(&config.state_file(), &*store)?.ok_or(AgentError::NoIdentity)?;
    if state.installed.is_some() {
        return Err(AgentError::HasIdentity);
    }
    let answer = IdentityAnswer::decode(answer).map_err(refuse("it is not an identity file"))?;
    if answer.ueid != state.ueid {
        return Err(refuse("it is for another device")(Reason::WrongRecipient));
    }
    let idevid = keys::label(keys::IDEVID)?;
    let own_key = public_key_to_der(&store.public_key(&idevid)?);
    let certified = answer.chain.iter().next().and_then(keys::read_certificate);
    if certified.is_none_or(|(_, key)| key != own_key) {
        return Err(refuse("its certificate is for another key")(Reason::WrongRecipient));
    }
    let digest = AwsLc.sha256(&[answer.anchors]);
    let anchors = Anchors::verify_first(answer.anchors, &digest, &AwsLc)
        .map_err(refuse("its anchors are not a valid version 1"))?;
    if anchors.product(&answer.class).is_none_or(|product| product.vendor != answer.vendor) {
        return Err(refuse("its anchors do not name the device's product")(Reason::WrongDevice));
    }
    let counter = store.counter(&keys::label(keys::COUNTER)?)?;

    let chain: Vec<Vec<u8>> = answer.chain.iter().map(<[u8]>::to_vec).collect();
    store.put_certificates(&idevid, &chain)?;
    disk.create_dir(&config.anchors_dir())?;
    disk.replace(&config.anchors_dir().join("1.cbor"), answer.anchors, 0o644)?;
    state.installed = Some(InstalledState {
        device: answer.device,
        vendor: answer.vendor,
        class: answer.class,
        record: Record::new(HeldAnchors { version: anchors.version(), digest }, counter),
        operational: None,
        pending: None,
        activated_in: String::new(),
    });
    state.store(&config.state_file(), &*store, &disk)?;
    Ok(Installed { device: answer.device, fleet: anchors.fleet(), hub: anchors.hub().to_owned() })
}
