//! The agent's one record: who the device is, which keys it uses, and the state machine's record;
//! sealed by the key store.

use std::path::Path;

use ringfort_cose::Reason;
use ringfort_cose::cbor::{Deterministic, Kind, Reader, Writer};
use ringfort_device::{Identity, Record};
use ringfort_keystore::KeyStore;
use ringfort_trust::ids::{ClassId, DeviceId, Ueid, VendorId};

use crate::AgentError;
use crate::disk::{Disk, storage};

/// What the agent remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Made by the device itself, before it had a name.
    pub(crate) ueid: Ueid,
    /// What the factory gave; nothing before that.
    pub(crate) installed: Option<InstalledState>,
}

/// What a device has after the factory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstalledState {
    pub(crate) device: DeviceId,
    pub(crate) vendor: VendorId,
    pub(crate) class: ClassId,
    /// The state machine's record.
    pub(crate) record: Record,
    /// The number of the operational key in use; none before the first enrolment.
    pub(crate) operational: Option<u64>,
    /// The number of a new operational key that is not proven yet.
    pub(crate) pending: Option<u64>,
    /// What names the machine's boot in which a slot was last activated.
    pub(crate) activated_in: String,
}

impl State {
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.installed.as_ref().map(|installed| Identity {
            device: installed.device,
            ueid: self.ueid,
            vendor: installed.vendor,
            class: installed.class,
        })
    }

    /// Reads and opens the record; nothing where there is none yet.
    pub(crate) fn load(file: &Path, keys: &dyn KeyStore) -> Result<Option<State>, AgentError> {
        let sealed = match std::fs::read(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(storage(file))?,
        };
        let bytes = keys
            .unseal(CONTEXT, &sealed)
            .map_err(|error| AgentError::State(format!("{}: {error}", file.display())))?;
        State::decode(&bytes)
            .map(Some)
            .map_err(|reason| AgentError::State(format!("{}: {reason}", file.display())))
    }

    /// Seals the record and writes it by one atomic replacement.
    pub(crate) fn store(
        &self,
        file: &Path,
        keys: &dyn KeyStore,
        disk: &Disk,
    ) -> Result<(), AgentError> {
        let bytes = self.encode().map_err(|reason| AgentError::State(reason.to_string()))?;
        disk.replace(file, &keys.seal(CONTEXT, &bytes)?, 0o600)
    }

    fn encode(&self) -> Result<Vec<u8>, Reason> {
        let mut out = Writer::to_vec();
        out.array(3)?.u64(VERSION)?.bytes(self.ueid.as_bytes())?;
        match &self.installed {
            None => drop(out.null()?),
            Some(installed) => {
                let mut buffer = [0; Record::MAX_LEN];
                let record = installed.record.encode_into(&mut buffer)?;
                out.array(7)?.text(installed.device.as_str())?;
                out.bytes(&installed.vendor.0)?.bytes(&installed.class.0)?.bytes(record)?;
                for number in [installed.operational, installed.pending] {
                    match number {
                        Some(number) => out.u64(number)?,
                        None => out.null()?,
                    };
                }
                out.text(&installed.activated_in)?;
            }
        }
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<State, Reason> {
        let mut reader = Deterministic::read(bytes)?;
        reader.array_of(3)?;
        if reader.u64()? != VERSION {
            return Err(Reason::Unsupported);
        }
        let ueid = Ueid::from_bytes(reader.bytes()?)?;
        let installed = match reader.kind()? {
            Kind::Null => {
                reader.null()?;
                None
            }
            _ => {
                reader.array_of(7)?;
                Some(InstalledState {
                    device: DeviceId::new(reader.text()?)?,
                    vendor: VendorId(reader.bytes_of()?),
                    class: ClassId(reader.bytes_of()?),
                    record: Record::decode(reader.bytes()?)?,
                    operational: number(&mut reader)?,
                    pending: number(&mut reader)?,
                    activated_in: reader.text()?.to_owned(),
                })
            }
        };
        reader.end()?;
        Ok(State { ueid, installed })
    }
}

fn number(reader: &mut Reader<'_>) -> Result<Option<u64>, Reason> {
    match reader.kind()? {
        Kind::Null => reader.null().map(|()| None),
        _ => reader.u64().map(Some),
    }
}

/// What names this boot of the machine; empty where the system does not say.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

const CONTEXT: &[u8] = b"ringfort-agent/state/1";
const VERSION: u64 = 1;
