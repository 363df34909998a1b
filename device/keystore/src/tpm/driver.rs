//! The commands sent to the TPM, on the one thread that holds the connection.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aws_lc_rs::{digest, rand};
use ringfort_cose::Reason;
use ringfort_cose::cbor::{Deterministic, Writer};
use tss_esapi::attributes::{NvIndexAttributesBuilder, SessionAttributesBuilder};
use tss_esapi::constants::SessionType;
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::handles::{KeyHandle, NvIndexHandle, NvIndexTpmHandle, ObjectHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles::{Hierarchy, NvAuth, Provision};
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{
    Digest, HashcheckTicket, NvPublicBuilder, PcrSelectionList, PcrSelectionListBuilder, PcrSlot,
    SensitiveData, Signature, SignatureScheme, SymmetricDefinition,
};
use tss_esapi::tss2_esys::TPMT_TK_HASHCHECK;
use tss_esapi::{Context, TctiNameConf};
use zeroize::Zeroizing;

use super::objects::{Wrapped, right_aligned, sealed_object, signing_key, storage_key};
use crate::cipher::Cipher;
use crate::worker::Worker;
use crate::{Error, Label};

/// A connection and the storage key loaded in it.
pub(super) struct Tpm {
    context: Context,
    parent: KeyHandle,
}

impl Tpm {
    /// The connection to this TPM, shared with every other store of this process that uses it: a
    /// TPM without a resource manager serves one at a time.
    pub(super) fn connect(tcti: &str) -> Result<Arc<Worker<Tpm>>, Error> {
        let mut connections = CONNECTIONS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = connections.get(tcti).and_then(Weak::upgrade) {
            return Ok(worker);
        }
        let address = tcti.to_owned();
        let worker = Arc::new(Worker::start("tpm", move || Tpm::open(&address))?);
        connections.insert(tcti.to_owned(), Arc::downgrade(&worker));
        Ok(worker)
    }

    fn open(tcti: &str) -> Result<Tpm, Error> {
        let tcti = TctiNameConf::from_str(tcti).map_err(from_tpm)?;
        let mut context = Context::new(tcti).map_err(from_tpm)?;
        let parent = context
            .execute_with_session(Some(AuthSession::Password), |context| {
                let public = storage_key()?;
                context.create_primary(Hierarchy::Owner, public, None, None, None, None)
            })
            .map_err(from_tpm)?
            .key_handle;
        Ok(Tpm { context, parent })
    }

    pub(super) fn create_key(&mut self) -> Result<Wrapped, Error> {
        let parent = self.parent;
        let made = self
            .context
            .execute_with_session(Some(AuthSession::Password), |context| {
                context.create(parent, signing_key()?, None, None, None, None)
            })
            .map_err(from_tpm)?;
        Ok(Wrapped { public: made.out_public, private: made.out_private })
    }

    pub(super) fn sign(&mut self, key: Wrapped, message: &[u8]) -> Result<Vec<u8>, Error> {
        let hash = digest::digest(&digest::SHA256, message);
        let hash = Digest::try_from(hash.as_ref()).map_err(from_tpm)?;
        let signature = self.with_loaded(key, |context, handle| {
            context.execute_with_session(Some(AuthSession::Password), |context| {
                context.sign(handle.into(), hash, SignatureScheme::Null, no_ticket()?)
            })
        })?;
        let Signature::EcDsa(pair) = signature else {
            return Err(Error::Module("TPM: a signature of another kind".into()));
        };
        let mut bytes = vec![0; 64];
        right_aligned(&mut bytes[..32], pair.signature_r().value())?;
        right_aligned(&mut bytes[32..], pair.signature_s().value())?;
        Ok(bytes)
    }

    /// Seals under a fresh key, which the TPM keeps and opens only while the PCRs are as they are
    /// now. The TPM itself takes 128 bytes at most, hence the key.
    pub(super) fn seal(
        &mut self,
        pcrs: &PcrSelectionList,
        context: &[u8],
        secret: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let mut key = Zeroizing::new([0; 32]);
        rand::fill(&mut key[..])?;
        let policy = self.policy_digest(pcrs)?;
        let session = self.encrypted_session(SessionType::Hmac)?;
        let parent = self.parent;
        let data = SensitiveData::try_from(&key[..]).map_err(from_tpm)?;
        let made = self.context.execute_with_session(Some(session), |context| {
            context.create(parent, sealed_object(policy)?, None, Some(data), None, None)
        });
        self.end(session)?;
        let made = made.map_err(from_tpm)?;
        let wrapped = Wrapped { public: made.out_public, private: made.out_private };
        let (public, private) = wrapped.parts()?;
        let body = Cipher::new(&key)?.seal(context, secret)?;
        let mut out = Writer::to_vec();
        out.array(3)
            .and_then(|out| out.bytes(&public))
            .and_then(|out| out.bytes(&private))
            .and_then(|out| out.bytes(&body))
            .map(|_| ())
            .and_then(|()| out.finish())
            .map_err(|_| Error::Crypto)
    }

    pub(super) fn unseal(
        &mut self,
        pcrs: &PcrSelectionList,
        context: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let not_opened = || Error::NotOpened { what: "the sealed secret".into() };
        let (wrapped, body) = parse_sealed(sealed).map_err(|_| not_opened())?;
        let session = self.encrypted_session(SessionType::Policy)?;
        let key = self.unseal_key(pcrs, wrapped, session);
        self.end(session)?;
        let key = Zeroizing::new(
            <[u8; 32]>::try_from(key.map_err(|_| not_opened())?.value())
                .map_err(|_| not_opened())?,
        );
        Cipher::new(&key)?.open(context, body).ok_or_else(not_opened)
    }

    /// The counter's value. A counter that is not there yet is made here; a TPM lets a new one
    /// begin above every counter it ever had, so that removing it never leads back.
    pub(super) fn counter(&mut self, name: &Label) -> Result<u64, Error> {
        let index = self.counter_index(name)?;
        self.read_counter(index)
    }

    pub(super) fn advance_counter(&mut self, name: &Label) -> Result<u64, Error> {
        let index = self.counter_index(name)?;
        self.increment(index)?;
        self.read_counter(index)
    }

    fn unseal_key(
        &mut self,
        pcrs: &PcrSelectionList,
        wrapped: Wrapped,
        session: AuthSession,
    ) -> Result<SensitiveData, Error> {
        self.apply_policy(pcrs, session)?;
        self.with_loaded(wrapped, |context, handle| {
            context.execute_with_session(Some(session), |context| context.unseal(handle))
        })
    }

    /// Loads an object for one piece of work; a TPM has room for about three.
    fn with_loaded<T>(
        &mut self,
        object: Wrapped,
        work: impl FnOnce(&mut Context, ObjectHandle) -> tss_esapi::Result<T>,
    ) -> Result<T, Error> {
        let parent = self.parent;
        let handle = self
            .context
            .execute_with_session(Some(AuthSession::Password), |context| {
                context.load(parent, object.private, object.public)
            })
            .map_err(from_tpm)?;
        self.context.execute_with_temporary_object(handle.into(), work).map_err(from_tpm)
    }

    /// A session whose first parameter is encrypted on the way: the bus may be listened to.
    fn encrypted_session(&mut self, kind: SessionType) -> Result<AuthSession, Error> {
        let session = self.start_session(Some(self.parent), kind)?;
        let (attributes, mask) =
            SessionAttributesBuilder::new().with_decrypt(true).with_encrypt(true).build();
        self.context.tr_sess_set_attributes(session, attributes, mask).map_err(from_tpm)?;
        Ok(session)
    }

    fn start_session(
        &mut self,
        salt_key: Option<KeyHandle>,
        kind: SessionType,
    ) -> Result<AuthSession, Error> {
        self.context
            .execute_without_session(|context| {
                context.start_auth_session(
                    salt_key,
                    None,
                    None,
                    kind,
                    SymmetricDefinition::AES_128_CFB,
                    HashingAlgorithm::Sha256,
                )
            })
            .map_err(from_tpm)?
            .ok_or_else(|| Error::Module("TPM: no session".into()))
    }

    fn end(&mut self, session: AuthSession) -> Result<(), Error> {
        let handle: tss_esapi::handles::SessionHandle = session.into();
        self.context.flush_context(handle.into()).map_err(from_tpm)
    }

    fn policy_digest(&mut self, pcrs: &PcrSelectionList) -> Result<Digest, Error> {
        let session = self.start_session(None, SessionType::Trial)?;
        let digest = self.apply_policy(pcrs, session).and_then(|()| {
            let policy = PolicySession::try_from(session).map_err(from_tpm)?;
            self.context
                .execute_without_session(|context| context.policy_get_digest(policy))
                .map_err(from_tpm)
        });
        self.end(session)?;
        digest
    }

    /// "The PCRs are as they are": an empty digest stands for the values of this moment.
    fn apply_policy(&mut self, pcrs: &PcrSelectionList, session: AuthSession) -> Result<(), Error> {
        let policy = PolicySession::try_from(session).map_err(from_tpm)?;
        let pcrs = pcrs.clone();
        self.context
            .execute_without_session(|context| context.policy_pcr(policy, Digest::default(), pcrs))
            .map_err(from_tpm)
    }

    fn counter_index(&mut self, name: &Label) -> Result<NvIndexHandle, Error> {
        let index = NvIndexTpmHandle::new(counter_handle(name)).map_err(from_tpm)?;
        let found = self.context.execute_without_session(|context| {
            context.tr_from_tpm_public(TpmHandle::NvIndex(index))
        });
        if let Ok(handle) = found {
            return Ok(NvIndexHandle::from(handle));
        }
        let handle = self
            .context
            .execute_with_session(Some(AuthSession::Password), |context| {
                let attributes = NvIndexAttributesBuilder::new()
                    .with_owner_write(true)
                    .with_owner_read(true)
                    .with_no_da(true)
                    .with_nv_index_type(tss_esapi::constants::NvIndexType::Counter)
                    .build()?;
                let public = NvPublicBuilder::new()
                    .with_nv_index(index)
                    .with_index_name_algorithm(HashingAlgorithm::Sha256)
                    .with_index_attributes(attributes)
                    .with_data_area_size(8)
                    .build()?;
                context.nv_define_space(Provision::Owner, None, public)
            })
            .map_err(from_tpm)?;
        // A counter can be read only after it was advanced once.
        self.increment(handle)?;
        Ok(handle)
    }

    fn increment(&mut self, index: NvIndexHandle) -> Result<(), Error> {
        self.context
            .execute_with_session(Some(AuthSession::Password), |context| {
                context.nv_increment(NvAuth::Owner, index)
            })
            .map_err(from_tpm)
    }

    fn read_counter(&mut self, index: NvIndexHandle) -> Result<u64, Error> {
        let read = |tpm: &mut Tpm| {
            tpm.context.execute_with_session(Some(AuthSession::Password), |context| {
                context.nv_read(NvAuth::Owner, index, 8, 0)
            })
        };
        let value = match read(self) {
            Ok(value) => value,
            // Defined, and cut off before its first step.
            Err(_) => {
                self.increment(index)?;
                read(self).map_err(from_tpm)?
            }
        };
        <[u8; 8]>::try_from(value.value())
            .map(u64::from_be_bytes)
            .map_err(|_| Error::Module("TPM: a counter that is not 8 bytes".into()))
    }
}

/// Errors of the TPM or of the way to it.
pub(super) fn from_tpm(error: tss_esapi::Error) -> Error {
    Error::Module(format!("TPM: {error}"))
}

fn parse_sealed(bytes: &[u8]) -> Result<(Wrapped, &[u8]), Reason> {
    let mut reader = Deterministic::read(bytes)?;
    reader.array_of(3)?;
    let wrapped = Wrapped::from_parts(reader.bytes()?, reader.bytes()?)?;
    let body = reader.bytes()?;
    reader.end()?;
    Ok((wrapped, body))
}

/// The SHA-256 bank's PCRs with these numbers.
pub(super) fn selection(pcrs: &[u8]) -> Result<PcrSelectionList, Error> {
    let slots = pcrs
        .iter()
        .map(|pcr| {
            1_u32
                .checked_shl(u32::from(*pcr))
                .and_then(|bit| PcrSlot::try_from(bit).ok())
                .ok_or_else(|| Error::Module(format!("TPM: there is no PCR {pcr}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    PcrSelectionListBuilder::new()
        .with_selection(HashingAlgorithm::Sha256, &slots)
        .build()
        .map_err(from_tpm)
}

/// "No ticket": the digest was made outside, which an unrestricted key allows.
fn no_ticket() -> tss_esapi::Result<HashcheckTicket> {
    TPMT_TK_HASHCHECK {
        tag: TPM2_ST_HASHCHECK,
        hierarchy: TPM2_RH_NULL,
        digest: Default::default(),
    }
    .try_into()
}

/// A place in the owner's range of NV indices (0x01800000 to 0x01bfffff), by the counter's name.
fn counter_handle(name: &Label) -> u32 {
    let hash = digest::digest(&digest::SHA256, format!("ringfort-counter/1 {name}").as_bytes());
    let bytes = hash.as_ref();
    0x0180_0000 | (u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) & 0x003f_ffff)
}

static CONNECTIONS: Mutex<BTreeMap<String, Weak<Worker<Tpm>>>> = Mutex::new(BTreeMap::new());
