//! What the fleet shows of itself. Times are Unix milliseconds.

use std::time::Duration;

use ringfort_cose::Sha256Digest;
use ringfort_lifecycle::State;
use ringfort_trust::ids::{
    AnchorsVersion, ClassId, DeviceId, OrderNumber, SequenceNumber, SiteId, Ueid, VendorId,
};

use crate::Restored;
use crate::update::{DeploymentState, Grade, UpdateState};

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceView {
    /// Its id.
    pub id: DeviceId,
    /// Its UEID.
    pub ueid: Ueid,
    /// The factory site that made it.
    pub site: String,
    /// The vendor.
    pub vendor: VendorId,
    /// The class.
    pub class: ClassId,
    /// The kind of key store, as the factory recorded it.
    pub protection: String,
    /// Lifecycle state.
    pub state: State,
    /// Since when.
    pub state_since_ms: i64,
    /// Why, a reason code.
    pub state_reason: Option<String>,
    /// What the state rests on: `attested`, `not-attested`; none where nothing had to be shown.
    pub grade: Option<String>,
    /// Whom it was handed to; none for its first owner.
    pub owner: Option<String>,
    /// An alarm that nobody has settled, a reason code.
    pub alarm: Option<String>,
    /// When it entered the registry.
    pub added_ms: i64,
    /// When it was heard last; none for never.
    pub last_seen_ms: Option<i64>,
    /// What it says its agent is.
    pub agent_version: String,
    /// The anchors version that it holds.
    pub anchors_version: AnchorsVersion,
}

/// A device with everything about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceDetails {
    /// The device.
    pub device: DeviceView,
    /// What it says it runs.
    pub running: Vec<RunningView>,
    /// Its certificates, oldest first, the IDevID before the LDevIDs.
    pub certificates: Vec<CertificateView>,
    /// Its way through its deployments, newest first.
    pub updates: Vec<TargetView>,
    /// The commands that people signed for it, newest first.
    pub commands: Vec<crate::CommandView>,
}

/// What a device says it runs, for one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningView {
    /// The class.
    pub class: ClassId,
    /// Sequence number of the release.
    pub sequence: SequenceNumber,
    /// Digest of its manifest, if it had one.
    pub manifest: Option<Sha256Digest>,
    /// The version that people read.
    pub version: String,
    /// The device's floor.
    pub floor: SequenceNumber,
    /// Since when the device says so.
    pub since_ms: i64,
}

/// A certificate of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateView {
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// SHA-256 of its public key.
    pub key_fingerprint: [u8; 32],
    /// Factory or operational.
    pub kind: crate::CertificateKind,
    /// Start of validity.
    pub not_before_ms: i64,
    /// End of validity.
    pub not_after_ms: i64,
    /// When it was first used.
    pub first_used_ms: Option<i64>,
    /// Since when it is revoked or on hold.
    pub revoked_ms: Option<i64>,
    /// Why, a name of RFC 5280 section 5.3.1.
    pub revoked_reason: Option<String>,
}

/// Which devices to list. Everything that is given has to fit.
#[derive(Clone, Debug, Default)]
pub struct DeviceQuery {
    /// Lifecycle state.
    pub state: Option<State>,
    /// Class.
    pub class: Option<ClassId>,
    /// Factory site.
    pub site: Option<String>,
    /// Only those with an alarm.
    pub alarmed: bool,
    /// Only ids after this one: the last of the page before.
    pub after: Option<DeviceId>,
    /// At most so many; 1 to [`crate::PAGE_MAX`].
    pub limit: u32,
}

/// A move that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// To this state.
    pub to: State,
    /// Why, for the audit log; at most 256 bytes.
    pub note: &'a str,
    /// A command that goes with it: `wipe-operational` with `transfer`, `decommission` with
    /// `retired`. The device is retired when it has carried out the latter.
    pub command: Option<&'a [u8]>,
    /// Whom the device is handed to, with `provisioned`.
    pub owner: Option<&'a str>,
}

/// The result of asking for a move.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "made once a request, never kept")]
pub enum Moved {
    /// It was made.
    Done(DeviceView),
    /// It waits for another person's approval.
    Waiting {
        /// Different people who approved so far.
        given: u8,
        /// How many it takes.
        required: u8,
    },
}

/// A factory site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteView {
    /// Its name.
    pub id: SiteId,
    /// Its Factory CA certificate, DER.
    pub factory_ca: Vec<u8>,
    /// What its serial numbers start with.
    pub serial_prefix: String,
    /// How many devices it may make.
    pub quota: u64,
    /// How many it has made.
    pub devices: u64,
    /// Until when its batches are taken.
    pub not_after_ms: i64,
    /// The number of its last batch; 0 before the first.
    pub last_batch: u64,
    /// Since when nothing of it is taken any more.
    pub revoked_ms: Option<i64>,
}

/// A site to add.
#[derive(Clone, Debug)]
pub struct NewSite {
    /// Its name.
    pub id: SiteId,
    /// Its Factory CA certificate, DER.
    pub factory_ca: Vec<u8>,
    /// What every serial number of it starts with; empty for anything.
    pub serial_prefix: String,
    /// How many devices it may make.
    pub quota: u64,
    /// Until when its batches are taken.
    pub not_after_ms: i64,
}

/// A factory batch that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchTaken {
    /// The site.
    pub site: SiteId,
    /// The batch's number.
    pub number: u64,
    /// How many devices it announced.
    pub devices: u64,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseView {
    /// Digest of the manifest: its name everywhere.
    pub manifest: Sha256Digest,
    /// The vendor.
    pub vendor: VendorId,
    /// The class.
    pub class: ClassId,
    /// The sequence number.
    pub sequence: SequenceNumber,
    /// The version that people read.
    pub version: String,
    /// Size of all payloads together in bytes.
    pub size_bytes: u64,
    /// Who published it.
    pub published_by: String,
    /// When.
    pub published_ms: i64,
}

/// Whom a deployment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One device.
    Device(DeviceId),
    /// Every device of the release's class, newcomers included.
    Class,
}

/// How long a device may stay in each phase. Silence past it counts as failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From the offer to its first sign of work.
    pub offered: Duration,
    /// To download and write.
    pub downloading: Duration,
    /// From written to armed.
    pub written: Duration,
    /// From armed to confirmed.
    pub trial: Duration,
}

impl Default for Deadlines {
    /// 7 days, 1 day, 1 day, 1 hour.
    fn default() -> Deadlines {
        const HOUR: u64 = 3600;
        Deadlines {
            offered: Duration::from_secs(7 * 24 * HOUR),
            downloading: Duration::from_secs(24 * HOUR),
            written: Duration::from_secs(24 * HOUR),
            trial: Duration::from_secs(HOUR),
        }
    }
}

/// A deployment to create.
#[derive(Clone, Copy, Debug)]
pub struct NewDeployment {
    /// Digest of the release's manifest.
    pub manifest: Sha256Digest,
    /// Whom it is for.
    pub target: Target,
    /// How long each phase may take.
    pub deadlines: Deadlines,
}

/// The result of asking for a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "made once a request, never kept")]
pub enum Created {
    /// It runs.
    Done(DeploymentView),
    /// It waits for another person to ask for the same.
    Waiting {
        /// Different people who asked so far.
        given: u8,
        /// How many it takes.
        required: u8,
    },
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentView {
    /// Its id, a UUID.
    pub id: String,
    /// Digest of the release's manifest.
    pub manifest: Sha256Digest,
    /// The release's class.
    pub class: ClassId,
    /// The version that people read.
    pub version: String,
    /// The release's sequence number.
    pub sequence: SequenceNumber,
    /// Whom it is for.
    pub target: Target,
    /// How long each phase may take.
    pub deadlines: Deadlines,
    /// Its state.
    pub state: DeploymentState,
    /// How many devices are in each state that has any.
    pub devices: Vec<(UpdateState, u64)>,
    /// It has had devices and none is still on its way; or none came, and it was halted or the
    /// time for a device to begin has passed.
    pub settled: bool,
    /// Who created it.
    pub created_by: String,
    /// When.
    pub created_ms: i64,
    /// When its state changed last.
    pub changed_ms: i64,
}

/// One device's way through one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetView {
    /// The deployment.
    pub deployment: String,
    /// The device.
    pub device: DeviceId,
    /// How far it is.
    pub state: UpdateState,
    /// What a success rests on.
    pub grade: Option<Grade>,
    /// Why it is in that state: a reason code, perhaps one that only a newer version knows.
    pub reason: Option<String>,
    /// What the device said about it.
    pub detail: Option<String>,
    /// The number of the order that the device was given last.
    pub order: Option<OrderNumber>,
    /// Since when it is in that state.
    pub since_ms: i64,
    /// When silence counts as failure.
    pub deadline_ms: Option<i64>,
}

/// The fleet at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetStatus {
    /// How many devices are in each state that has any.
    pub devices: Vec<(State, u64)>,
    /// How many devices have an alarm that nobody has settled.
    pub alarmed: u64,
    /// How many public keys the registry holds for more than one device.
    pub shared_keys: u64,
    /// The newest anchors version.
    pub anchors_version: AnchorsVersion,
    /// How many entries the audit log has.
    pub audit_size: u64,
    /// Whether the hub was restored from a backup.
    pub restored: Option<Restored>,
}

/// Whose open connections have to be closed: what they may do has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessChange {
    /// A device's.
    Device(DeviceId),
    /// Those of an operator's certificate, by its SHA-256.
    Operator([u8; 32]),
}

/// What came of asking for something that may take two people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreed<T> {
    /// It was done.
    Done(T),
    /// Others have to ask for the same.
    Waiting {
        /// Different people who asked so far.
        given: u8,
        /// How many it takes.
        required: u8,
    },
}
