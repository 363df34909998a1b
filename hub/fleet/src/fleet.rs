//! The fleet itself: what it holds, how it opens, how it changes.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::{hmac, rand};
use ringfort_cose::{AwsLc, PublicKey, Reason, Sha256Digest, Sign, Thumbprint};
use ringfort_lifecycle::{Effect, Grade as MoveGrade, Move};
use ringfort_pki::{Issuer, KeyKind, SubjectKey};
use ringfort_store::{Op, OperatorRow, Read, Store, Want, Write};
use ringfort_trust::ids::{AnchorsVersion, DeviceId, FleetId};
use ringfort_trust::{Anchors, Role as KeyRole};
use tokio::sync::broadcast;
use zeroize::Zeroizing;

use crate::audit::Entry;
use crate::session::{HOLD, IdentityCache};
use crate::{
    AccessChange, ClientCertificate, Clock, DeviceSession, Operator, Permission, Refusal, Restored,
    Role, hand_over,
};

/// What a fleet is opened with.
pub struct FleetConfig {
    /// The fleet.
    pub fleet: FleetId,
    /// Where its data lies.
    pub store: Store,
    /// Signs orders and time.
    pub order_key: Arc<dyn Sign>,
    /// Signs the heads of the audit log.
    pub evidence_key: Arc<dyn Sign>,
    /// Issues LDevIDs.
    pub device_ca: Issuer,
    /// Those that issued them before and have certificates in force: they sign their CRLs and
    /// nothing else. Each has CRL shards of its own.
    pub earlier_device_cas: Vec<Issuer>,
    /// The key of the links, 32 random bytes.
    pub link_key: Zeroizing<[u8; 32]>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What can be chosen.
    pub policy: Policy,
}

/// What can be chosen about a fleet.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How many people have to agree where the rules ask for the policy's number: 1 or 2.
    pub approvals: u8,
    /// Seconds between two check-ins of a device.
    pub poll_interval_s: u32,
    /// How long an order and signed time are valid, in seconds.
    pub order_life_s: u64,
    /// How long an LDevID is valid, in days.
    pub ldevid_days: u32,
    /// How long a CRL is valid, in seconds.
    pub crl_life_s: u64,
    /// How long an approval waits for the next one, in milliseconds.
    pub approval_life_ms: i64,
}

impl Default for Policy {
    /// Two people; a check-in every five minutes; orders for a day; LDevIDs for 90 days; CRLs for
    /// a week; approvals for a day.
    fn default() -> Policy {
        Policy {
            approvals: 2,
            poll_interval_s: 300,
            order_life_s: 24 * 3600,
            ldevid_days: 90,
            crl_life_s: 7 * 24 * 3600,
            approval_life_ms: 24 * 3600 * 1000,
        }
    }
}

/// The fleet. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) fleet: FleetId,
    pub(crate) store: Store,
    pub(crate) order_key: Arc<dyn Sign>,
    pub(crate) order_key_name: Thumbprint,
    pub(crate) evidence_key: Arc<dyn Sign>,
    pub(crate) hand_overs: Vec<String>,
    pub(crate) device_ca: Issuer,
    pub(crate) earlier_device_cas: Vec<Issuer>,
    link_key: hmac::Key,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Policy,
    pub(crate) access: Arc<Access>,
    anchors: RwLock<Option<Arc<AnchorsDocument>>>,
    pub(crate) restored: RwLock<Option<Restored>>,
    /// Until when an invitation can be used, Unix milliseconds.
    pub(crate) login_until: Arc<AtomicI64>,
}

/// What has to hear of a change of access.
#[derive(Debug)]
pub(crate) struct Access {
    identities: IdentityCache,
    changes: broadcast::Sender<AccessChange>,
}

impl Access {
    pub(crate) fn new() -> Arc<Access> {
        Arc::new(Access {
            identities: IdentityCache::default(),
            changes: broadcast::channel(CHANGES).0,
        })
    }
}

/// The newest anchors, verified when they were added.
#[derive(Debug)]
pub(crate) struct AnchorsDocument {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Sha256Digest,
    pub(crate) version: AnchorsVersion,
}

impl AnchorsDocument {
    pub(crate) fn open(&self) -> Result<Anchors<'_>, Refusal> {
        Anchors::verify_pinned(&self.bytes, &self.digest, &AwsLc)
            .map_err(|error| Refusal::internal("the stored anchors cannot be read", error))
    }
}

impl Fleet {
    /// Opens a fleet over its store and notes the hub's own keys, so that no device can use them.
    ///
    /// # Errors
    /// `unsupported` for a policy that makes no sense; `key-already-known` when a key of the hub
    /// was seen in another role; `untrusted-signer` for an evidence key that handed over to another;
    /// what the store says.
    pub async fn open(config: FleetConfig) -> Result<Fleet, Refusal> {
        let policy = config.policy;
        if !(1..=2).contains(&policy.approvals) || policy.poll_interval_s == 0 {
            return Err(Refusal::new(Reason::Unsupported, "the fleet's policy makes no sense"));
        }
        let hand_overs = hand_over::all(&config.store).await?;
        let named = hand_over::newest(&hand_overs);
        if named.is_some_and(|named| named != config.evidence_key.public_key()) {
            let why = "another key took the evidence key's place";
            return Err(Refusal::new(Reason::UntrustedSigner, why));
        }
        let fleet = Fleet {
            inner: Arc::new(Inner {
                fleet: config.fleet,
                store: config.store,
                order_key_name: config.order_key.public_key().thumbprint(&AwsLc),
                order_key: config.order_key,
                evidence_key: config.evidence_key,
                hand_overs,
                device_ca: config.device_ca,
                earlier_device_cas: config.earlier_device_cas,
                link_key: hmac::Key::new(hmac::HMAC_SHA256, &config.link_key[..]),
                clock: config.clock,
                policy,
                access: Access::new(),
                anchors: RwLock::new(None),
                restored: RwLock::new(None),
                login_until: Arc::default(),
            }),
        };
        fleet.load_anchors().await?;
        fleet.load_restored().await?;
        fleet.load_invitations().await?;
        fleet.note_own_keys().await?;
        Ok(fleet)
    }

    /// Says which device a certificate stands for, and whether it may stand for it now. To be
    /// called for every request, on every connection, resumed or not. Kept in memory between
    /// requests; every change drops what is kept.
    ///
    /// # Errors
    /// `unknown-certificate`, `certificate-revoked`, `certificate-expired`; `hub-restored` for one
    /// that a restored hub may take in once an administrator has acknowledged.
    pub async fn identify(
        &self,
        certificate: &ClientCertificate<'_>,
    ) -> Result<DeviceSession, Refusal> {
        let fingerprint = certificate.fingerprint;
        let session = match self.inner.access.identities.get(&fingerprint) {
            Ok(session) => session,
            Err(epoch) => {
                let mut row = self.inner.store.identity(&fingerprint).await?;
                if row.is_none() {
                    self.adopt_certificate(certificate).await?;
                    row = self.inner.store.identity(&fingerprint).await?;
                }
                let row = row.ok_or(Reason::UnknownCertificate)?;
                let session = Arc::new(DeviceSession::from_row(row, fingerprint)?);
                self.inner.access.identities.put(epoch, Arc::clone(&session));
                session
            }
        };
        session.judge(certificate.kind, self.now_ms())?;
        Ok((*session).clone())
    }

    /// Says who a certificate of the operator listener stands for.
    ///
    /// # Errors
    /// `unknown-certificate`, `certificate-revoked`, `certificate-expired`.
    pub async fn operator(&self, fingerprint: &[u8; 32]) -> Result<Operator, Refusal> {
        let row = self.read().await?.operator(fingerprint).await?;
        let row = in_force(row, self.now_ms())?;
        Ok(Operator::registered(row.name, Role::from_name(&row.role)?, *fingerprint))
    }

    /// Tells of devices and operators whose open connections have to be closed. A receiver that falls behind is
    /// told so, and then closes all of them.
    pub fn access_changes(&self) -> broadcast::Receiver<AccessChange> {
        self.inner.access.changes.subscribe()
    }

    /// The fleet's id.
    pub fn id(&self) -> FleetId {
        self.inner.fleet
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    pub(crate) async fn read(&self) -> Result<Read, Refusal> {
        Ok(self.inner.store.read().await?)
    }

    /// Runs a change as one operation of the store's writer.
    pub(crate) async fn change<T, F>(&self, who: &str, operation: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: for<'t, 'w> FnOnce(&'t mut Change<'w>) -> Op<'t, T, Refusal> + Send + 'static,
    {
        self.inner.store.write(self.in_writer(who, None, operation)).await
    }

    /// Runs a change that a person asks for. Whether that person still has access is asked again
    /// inside, where nothing changes meanwhile: it may have ended since the request began.
    pub(crate) async fn change_by<T, F>(&self, who: &Operator, operation: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: for<'t, 'w> FnOnce(&'t mut Change<'w>) -> Op<'t, T, Refusal> + Send + 'static,
    {
        let operation = self.in_writer(who.name(), who.certificate(), operation);
        self.inner.store.write(operation).await
    }

    /// The same for a change that begins with a row which many changes at once begin with.
    pub(crate) async fn change_wanting<T, F>(
        &self,
        want: Want,
        who: &str,
        operation: F,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: for<'t, 'w> FnOnce(&'t mut Change<'w>) -> Op<'t, T, Refusal> + Send + 'static,
    {
        self.inner.store.write_wanting(want, self.in_writer(who, None, operation)).await
    }

    fn in_writer<T, F>(
        &self,
        who: &str,
        certificate: Option<[u8; 32]>,
        operation: F,
    ) -> impl for<'w> FnOnce(&'w mut Write) -> Op<'w, T, Refusal> + Send + use<T, F>
    where
        T: Send + 'static,
        F: for<'t, 'w> FnOnce(&'t mut Change<'w>) -> Op<'t, T, Refusal> + Send + 'static,
    {
        let who = who.to_owned();
        let now_ms = self.now_ms();
        let access = Arc::clone(&self.inner.access);
        move |store: &mut Write| {
            Box::pin(async move {
                let mut change = Change::new(store, now_ms, who, access);
                if let Some(certificate) = certificate {
                    in_force(change.operator(&certificate).await?, now_ms)?;
                }
                operation(&mut change).await
            })
        }
    }

    /// The newest anchors.
    pub(crate) fn newest_anchors(&self) -> Result<Arc<AnchorsDocument>, Refusal> {
        let anchors = self.inner.anchors.read().unwrap_or_else(PoisonError::into_inner);
        anchors.clone().ok_or_else(|| Refusal::new(Reason::NotFound, "the hub has no anchors yet"))
    }

    pub(crate) async fn load_anchors(&self) -> Result<(), Refusal> {
        let newest = self.read().await?.newest_anchors().await?;
        let document = newest.map(|row| {
            Arc::new(AnchorsDocument {
                digest: Sha256Digest(row.digest),
                version: AnchorsVersion(row.version.unsigned_abs()),
                bytes: row.document,
            })
        });
        if let Some(document) = &document
            && document.open()?.order_key(&self.inner.order_key_name, &AwsLc).is_err()
        {
            tracing::error!("the newest anchors do not name this hub's order key");
        }
        *self.inner.anchors.write().unwrap_or_else(PoisonError::into_inner) = document;
        Ok(())
    }

    /// HMAC under the key of the links.
    pub(crate) fn link_mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.inner.link_key);
        parts.iter().for_each(|part| context.update(part));
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// The authorities of operational certificates: the one that issues them, then the earlier ones.
    pub(crate) fn device_cas(&self) -> impl Iterator<Item = &Issuer> {
        std::iter::once(&self.inner.device_ca).chain(&self.inner.earlier_device_cas)
    }

    async fn note_own_keys(&self) -> Result<(), Refusal> {
        let mut own = vec![
            (key_digest(&self.inner.order_key.public_key())?, "order".to_owned()),
            (key_digest(&self.inner.evidence_key.public_key())?, "evidence".to_owned()),
        ];
        for authority in self.device_cas() {
            own.push((authority.info().key.fingerprint(), "device-ca".to_owned()));
        }
        self.change("hub", move |change| Box::pin(async move { change.note_keys(&own).await }))
            .await
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fleet({})", self.inner.fleet)
    }
}

/// A change under way: the store's writer with the time, the name of who changes, and the helpers
/// that every change needs.
pub(crate) struct Change<'w> {
    store: &'w mut Write,
    pub(crate) now_ms: i64,
    who: String,
    access: Arc<Access>,
}

impl<'w> Change<'w> {
    pub(crate) fn new(
        store: &'w mut Write,
        now_ms: i64,
        who: String,
        access: Arc<Access>,
    ) -> Change<'w> {
        Change { store, now_ms, who, access }
    }
}

impl Change<'_> {
    /// Appends to the audit log.
    pub(crate) async fn log(
        &mut self,
        kind: &str,
        subject: &str,
        details: &[(&str, &str)],
    ) -> Result<(), Refusal> {
        let frontier = self.store.audit_tree();
        let entry = Entry {
            position: frontier.size(),
            at_ms: self.now_ms,
            previous: frontier.last_leaf(),
            who: self.who.clone(),
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            details: details
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let bytes = entry.encode()?;
        self.store.audit(self.now_ms, subject, &bytes).await?;
        Ok(())
    }

    /// Who makes the change.
    pub(crate) fn who(&self) -> &str {
        &self.who
    }

    /// The device behind a request, as the registry has it now. Between the request's beginning
    /// and its turn the device may have been moved, or its certificate may have ended; also by an
    /// operation of this very transaction.
    pub(crate) async fn still(&mut self, session: DeviceSession) -> Result<DeviceSession, Refusal> {
        let changed = self.is_changed(session.device.as_str());
        if !changed && self.access.identities.holds(&session) {
            return Ok(session);
        }
        let row = self.identity(&session.fingerprint).await?.ok_or(Reason::UnknownCertificate)?;
        let now = DeviceSession::from_row(row, session.fingerprint)?;
        now.judge(session.kind, self.now_ms)?;
        Ok(now)
    }

    /// What is kept about a device in memory is dropped with the commit.
    pub(crate) fn touch(&mut self, device: &DeviceId) {
        self.note_changed(device.as_str());
        let (access, device) = (Arc::clone(&self.access), *device);
        self.store.after_commit(move || access.identities.drop_device(&device));
    }

    /// The same, and its connections are to be closed.
    pub(crate) fn close_connections(&mut self, device: &DeviceId) {
        self.touch(device);
        let (access, device) = (Arc::clone(&self.access), *device);
        // Nobody listening is fine: then there are no connections.
        self.store.after_commit(move || drop(access.changes.send(AccessChange::Device(device))));
    }

    /// The connections with an operator's certificate are to be closed.
    pub(crate) fn close_connections_of_operator(&mut self, fingerprint: [u8; 32]) {
        let access = Arc::clone(&self.access);
        let change = AccessChange::Operator(fingerprint);
        self.store.after_commit(move || drop(access.changes.send(change)));
    }

    /// Makes a move that the lifecycle rules have allowed, with everything that goes with it.
    pub(crate) async fn apply_move(
        &mut self,
        device: &DeviceId,
        made: &Move,
        reason: Option<Reason>,
        note: &str,
    ) -> Result<(), Refusal> {
        let (id, now_ms) = (device.as_str(), self.now_ms);
        let reason = reason.map(Reason::code);
        let grade = match made.grade {
            MoveGrade::Plain => None,
            MoveGrade::Attested => Some("attested"),
            MoveGrade::NotAttested => Some("not-attested"),
        };
        self.set_device_state(id, made.to.name(), reason, grade, now_ms);
        for effect in Effect::ALL.into_iter().filter(|effect| made.effects.has(*effect)) {
            match effect {
                Effect::CloseConnections => self.close_connections(device),
                Effect::HoldCertificates => {
                    self.revoke_certificates(id, LDEVID, None, now_ms, HOLD).await?;
                }
                Effect::ReleaseCertificates => {
                    self.release_certificates(id).await?;
                    // Others hear of it by the CRLs, which are signed anew for whoever starts anew.
                    self.close_connections(device);
                }
                Effect::RevokeCertificates => {
                    self.revoke_certificates(id, LDEVID, None, now_ms, "cessationOfOperation")
                        .await?;
                }
                // Keys and UEIDs stay in the registry for ever, and the state refuses them.
                Effect::BarForever => {}
                Effect::EndDeployments => self.end_open_target(device).await?,
            }
        }
        self.touch(device);
        let mut details = vec![("from", made.from.name()), ("to", made.to.name())];
        details.extend(grade.map(|grade| ("grade", grade)));
        details.extend(reason.map(|reason| ("reason", reason)));
        if !note.is_empty() {
            details.push(("note", note));
        }
        self.log("device-moved", id, &details).await
    }

    /// Notes keys that are not a device's. A key that was seen in another role is refused.
    pub(crate) async fn note_keys(&mut self, keys: &[([u8; 32], String)]) -> Result<(), Refusal> {
        let now_ms = self.now_ms;
        for (key, role) in keys {
            match self.known_key(key).await? {
                None => self.insert_known_key(key, None, role, now_ms),
                Some(known) if known.device.is_none() && known.role == *role => {}
                Some(known) => {
                    return Err(Refusal::new(
                        Reason::KeyAlreadyKnown,
                        format!("the key for {role} is known as {}", known.role),
                    ));
                }
            }
        }
        Ok(())
    }

    /// How many people have to agree that a device goes for ever: two where there are two who may,
    /// whatever else the policy says.
    pub(crate) async fn people_to_retire(&mut self, policy: u8) -> Result<u8, Refusal> {
        let people = self.operators().await?;
        let may = |row: &&OperatorRow| {
            let role = Role::from_name(&row.role);
            row.removed_ms.is_none() && role.is_ok_and(|r| r.allows(Permission::MoveDevices))
        };
        let names: BTreeSet<&str> = people.iter().filter(may).map(|row| &*row.name).collect();
        Ok(policy.max(if names.len() >= 2 { 2 } else { 1 }))
    }
}

impl Deref for Change<'_> {
    type Target = Write;

    fn deref(&self) -> &Write {
        self.store
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut Write {
        self.store
    }
}

/// The entry of a certificate that gives access now.
fn in_force(row: Option<OperatorRow>, now_ms: i64) -> Result<OperatorRow, Refusal> {
    let row = row.ok_or(Reason::UnknownCertificate)?;
    if row.removed_ms.is_some() {
        return Err(Refusal::new(Reason::CertificateRevoked, row.name));
    }
    // A resumed TLS session does not look at it again.
    if row.not_after_ms.is_some_and(|end| end <= now_ms) {
        return Err(Refusal::new(Reason::CertificateExpired, row.name));
    }
    Ok(row)
}

/// SHA-256 of a key's SubjectPublicKeyInfo: how the registry names keys of every kind.
pub(crate) fn key_digest(key: &PublicKey) -> Result<[u8; 32], Refusal> {
    let kind = match key {
        PublicKey::P256(_) => KeyKind::P256,
        PublicKey::Ed25519(_) => KeyKind::Ed25519,
    };
    Ok(SubjectKey::from_raw(kind, key.as_bytes())?.fingerprint())
}

/// What a key of the anchors is noted as.
pub(crate) fn key_role(role: KeyRole) -> String {
    role.name().to_owned()
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|error| Refusal::internal("no randomness", error))?;
    Ok(bytes)
}

/// The certificates that a device works with.
pub(crate) const LDEVID: &str = "ldevid";
/// The certificate that the factory gave.
pub(crate) const IDEVID: &str = "idevid";
/// Changes that a slow listener may be behind.
const CHANGES: usize = 1024;
