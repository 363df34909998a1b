//! Who is calling: every request of a device begins here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ringfort_cose::Reason;
use ringfort_lifecycle::{Right, State};
use ringfort_store::IdentityRow;
use ringfort_trust::ids::{ClassId, DeviceId, Ueid};

use crate::Refusal;

/// The two kinds of certificate that a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateKind {
    /// The factory identity, IEEE 802.1AR IDevID: for EST enrolment, time and anchors.
    IDevId,
    /// The operational identity, LDevID: for everything else.
    LDevId,
}

impl CertificateKind {
    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            CertificateKind::IDevId => "idevid",
            CertificateKind::LDevId => "ldevid",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<CertificateKind> {
        [CertificateKind::IDevId, CertificateKind::LDevId]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// The client certificate of a TLS connection whose chain and proof of possession TLS has checked.
#[derive(Clone, Copy, Debug)]
pub struct ClientCertificate<'a> {
    /// The certificate, DER.
    pub der: &'a [u8],
    /// SHA-256 of it.
    pub fingerprint: [u8; 32],
    /// What it is by the authority at the end of its chain: a Factory CA makes IDevIDs, the Device
    /// CA makes LDevIDs.
    pub kind: CertificateKind,
}

/// A device that was identified for one request. Not to be kept for the next: between two requests
/// it may have been suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSession {
    pub(crate) device: DeviceId,
    pub(crate) ueid: Ueid,
    pub(crate) class: ClassId,
    pub(crate) kind: CertificateKind,
    pub(crate) state: State,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) not_after_ms: i64,
    pub(crate) first_use: bool,
    pub(crate) revoked: Option<String>,
    /// Its product is one for developers. A product that has devices never becomes one, so this
    /// holds as long as the device is known.
    pub(crate) developer: bool,
}

impl DeviceSession {
    /// The device.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Its UEID.
    pub fn ueid(&self) -> Ueid {
        self.ueid
    }

    /// Its class.
    pub fn class(&self) -> ClassId {
        self.class
    }

    /// The kind of certificate it came with.
    pub fn kind(&self) -> CertificateKind {
        self.kind
    }

    /// Its lifecycle state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Refuses what the certificate's kind or the device's state does not allow.
    ///
    /// # Errors
    /// `wrong-certificate-kind`, `lifecycle-forbids`.
    pub fn require(&self, right: Right) -> Result<(), Refusal> {
        let kind = match right {
            Right::Enrol | Right::ReEnter => Some(CertificateKind::IDevId),
            Right::Time => None,
            _ => Some(CertificateKind::LDevId),
        };
        if kind.is_some_and(|kind| kind != self.kind) {
            return Err(Refusal::new(
                Reason::WrongCertificateKind,
                format!("{} with an {}", right.name(), self.kind.name()),
            ));
        }
        match self.state.may(right) {
            true => Ok(()),
            false => Err(Refusal::new(
                Reason::LifecycleForbids,
                format!(
                    "{} is {}, which does not allow: {}",
                    self.device,
                    self.state,
                    right.name()
                ),
            )),
        }
    }

    pub(crate) fn from_row(
        row: IdentityRow,
        fingerprint: [u8; 32],
    ) -> Result<DeviceSession, Refusal> {
        let damaged = || Refusal::internal("a row of the registry cannot be read", &row.device);
        Ok(DeviceSession {
            device: DeviceId::new(&row.device).map_err(|_| damaged())?,
            ueid: Ueid::from_bytes(&row.ueid).map_err(|_| damaged())?,
            class: ClassId(row.class),
            kind: CertificateKind::from_name(&row.kind).ok_or_else(damaged)?,
            state: State::from_name(&row.state).map_err(|_| damaged())?,
            fingerprint,
            not_after_ms: row.not_after_ms,
            first_use: row.first_used_ms.is_none(),
            revoked: row.revoked_reason.clone(),
            developer: row.developer,
        })
    }

    /// What the registry says about this certificate at this time.
    pub(crate) fn judge(&self, kind: CertificateKind, now_ms: i64) -> Result<(), Refusal> {
        if self.kind != kind {
            return Err(Refusal::new(
                Reason::UnknownCertificate,
                "the certificate's chain and its entry in the registry disagree",
            ));
        }
        // On hold is for other parties, who see only CRLs; here the device's state decides.
        match self.revoked.as_deref() {
            None | Some(HOLD) => {}
            Some(reason) => return Err(Refusal::new(Reason::CertificateRevoked, reason)),
        }
        if self.not_after_ms <= now_ms {
            return Err(Reason::CertificateExpired.into());
        }
        Ok(())
    }
}

/// What fingerprints stand for, kept between requests. Every commit that changes a device or its
/// certificates drops what is kept of it, before anyone is told of the change.
#[derive(Debug, Default)]
pub(crate) struct IdentityCache {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Moves with every drop, so that what was read before one is not put in after it.
    epoch: u64,
    sessions: HashMap<[u8; 32], Arc<DeviceSession>>,
    /// The fingerprints that are kept of each device.
    of_device: HashMap<DeviceId, Vec<[u8; 32]>>,
}

impl IdentityCache {
    /// What is kept, or else the epoch to hand to [`IdentityCache::put`].
    pub(crate) fn get(&self, fingerprint: &[u8; 32]) -> Result<Arc<DeviceSession>, u64> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.sessions.get(fingerprint).cloned().ok_or(kept.epoch)
    }

    /// Is it what is kept, so that nothing has changed about its device since it was read?
    pub(crate) fn holds(&self, session: &DeviceSession) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.sessions.get(&session.fingerprint).is_some_and(|kept| **kept == *session)
    }

    /// Keeps a session that was read after `epoch` was handed out, unless something was dropped
    /// since.
    pub(crate) fn put(&self, epoch: u64, session: Arc<DeviceSession>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.epoch != epoch {
            return;
        }
        if kept.sessions.len() >= KEPT_MAX {
            kept.sessions.clear();
            kept.of_device.clear();
        }
        let of_device = kept.of_device.entry(session.device);
        // Hardly any has more than the one that it works with.
        of_device.or_insert_with(|| Vec::with_capacity(1)).push(session.fingerprint);
        kept.sessions.insert(session.fingerprint, session);
    }

    /// Drops what is kept of a device.
    pub(crate) fn drop_device(&self, device: &DeviceId) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.epoch += 1;
        for fingerprint in kept.of_device.remove(device).unwrap_or_default() {
            kept.sessions.remove(&fingerprint);
        }
    }
}

/// The reason for revocation that can be taken back (RFC 5280 section 5.3.1).
pub(crate) const HOLD: &str = "certificateHold";
/// Sessions kept at most, about 300 bytes each.
const KEPT_MAX: usize = 65_536;
