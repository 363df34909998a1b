//! The JSON of the operator interface. Times are Unix milliseconds; digests, fingerprints and
//! UEIDs are lower-case hexadecimal; names of states and roles are the registry's own.

use std::collections::BTreeMap;

use ringfort_fleet as fleet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was refused (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A name for the kind of problem: `urn:ringfort:reason:` and the code.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// What happened, in one sentence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// More about this case; may be empty.
    pub detail: String,
    /// The reason code.
    pub reason: String,
    /// What to do about it.
    pub next_step: String,
    /// The exchange in the hub's log.
    pub exchange_id: String,
}

/// Bytes that are not JSON; only for the description.
#[derive(Clone, Debug, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Binary(pub String);

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to give as `after` for the next page; none on the last.
    pub next: Option<String>,
}

/// The fleet at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The version of the hub.
    pub version: String,
    /// How many devices are in each lifecycle state.
    pub devices: BTreeMap<String, u64>,
    /// How many devices have an alarm that nobody has settled.
    pub alarmed: u64,
    /// How many public keys the registry holds for more than one device.
    pub shared_keys: u64,
    /// The newest anchors version.
    pub anchors_version: u64,
    /// How many entries the audit log has.
    pub audit_size: u64,
    /// Whether the hub was restored from a backup.
    pub restored: Option<Restored>,
}

/// A hub's being restored from a backup. Until it is acknowledged the hub gives no order and issues
/// no certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restored {
    /// When the backup was made.
    pub backup_ms: i64,
    /// When it was restored.
    pub restored_ms: i64,
    /// When an administrator acknowledged it.
    pub acknowledged_ms: Option<i64>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// Its id.
    pub id: String,
    /// Its UEID.
    pub ueid: String,
    /// The factory site that made it.
    pub site: String,
    /// The vendor, a UUID.
    pub vendor: String,
    /// The class, a UUID.
    pub class: String,
    /// The kind of key store, as the factory recorded it.
    pub protection: String,
    /// Lifecycle state.
    pub state: String,
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
    /// When it was heard last.
    pub last_seen_ms: Option<i64>,
    /// What it says its agent is.
    pub agent_version: String,
    /// The anchors version that it holds.
    pub anchors_version: u64,
}

/// A device with everything about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceDetails {
    /// The device.
    pub device: Device,
    /// What it says it runs.
    pub running: Vec<Running>,
    /// Its certificates, oldest first.
    pub certificates: Vec<Certificate>,
    /// Its way through its deployments, newest first.
    pub updates: Vec<Target>,
    /// The commands that people signed for it, newest first.
    pub commands: Vec<DeviceCommand>,
}

/// A command that people signed for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceCommand {
    /// SHA-256 of it.
    pub digest: String,
    /// What it does: `wipe-operational`, `debug-unlock` or `decommission`.
    pub action: String,
    /// Its number among those of its key.
    pub number: u64,
    /// Until when the device takes it.
    pub expires_ms: i64,
    /// How far it is: `offered`, `written` (taken, being carried out), `confirmed`, or why not.
    pub state: String,
    /// Why it is in that state, a reason code.
    pub reason: Option<String>,
    /// What the device said about it.
    pub detail: Option<String>,
    /// The number of the order that the device was given last.
    pub order: Option<u64>,
    /// Who handed it in.
    pub given_by: String,
    /// Since when it is in that state.
    pub since_ms: i64,
}

/// What a device says it runs, for one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Running {
    /// The class, a UUID.
    pub class: String,
    /// Sequence number of the release.
    pub sequence: u64,
    /// Digest of its manifest.
    pub manifest: Option<String>,
    /// The version that people read.
    pub version: String,
    /// The device's floor.
    pub floor: u64,
    /// Since when the device says so.
    pub since_ms: i64,
}

/// A certificate of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// SHA-256 of the certificate.
    pub fingerprint: String,
    /// SHA-256 of its public key.
    pub key_fingerprint: String,
    /// `idevid` or `ldevid`.
    pub kind: String,
    /// Start of validity.
    pub not_before_ms: i64,
    /// End of validity.
    pub not_after_ms: i64,
    /// When it was first used.
    pub first_used_ms: Option<i64>,
    /// Since when it is revoked or on hold.
    pub revoked_ms: Option<i64>,
    /// Why (RFC 5280, section 5.3.1).
    pub revoked_reason: Option<String>,
}

/// One device's way through one deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// The deployment.
    pub deployment: String,
    /// The device.
    pub device: String,
    /// How far it is.
    pub state: String,
    /// What a success rests on: `reported` or `attested`.
    pub grade: Option<String>,
    /// Why it is in that state, a reason code.
    pub reason: Option<String>,
    /// What the device said about it.
    pub detail: Option<String>,
    /// The number of the order that the device was given last.
    pub order: Option<u64>,
    /// Since when it is in that state.
    pub since_ms: i64,
    /// When silence counts as failure.
    pub deadline_ms: Option<i64>,
}

/// An entry of the audit log, for people; what is signed are the bytes of `audit/entries`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its place in the log.
    pub position: u64,
    /// When.
    pub at_ms: i64,
    /// Who did it.
    pub who: String,
    /// What happened.
    pub kind: String,
    /// What it happened to.
    pub subject: String,
    /// More about it, by name.
    pub details: BTreeMap<String, String>,
}

/// Asks for a move of a device to another lifecycle state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// The state.
    pub to: String,
    /// Why, for the audit log.
    pub note: String,
    /// A command that goes with the move, in hexadecimal: `wipe-operational` with `transfer`,
    /// `decommission` with `retired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Whom the device is handed to, with `provisioned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Hands in a command for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCommand {
    /// The command, in hexadecimal.
    pub command: String,
    /// Why, for the audit log.
    pub note: String,
}

/// Asks for an order for a medium.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOfflineOrder {
    /// For how many seconds the device takes it: 1 to 2592000, 30 days.
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub life_s: u64,
}

/// An order for a medium.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfflineOrder {
    /// The order, in hexadecimal.
    pub order: String,
    /// Its number.
    pub number: u64,
    /// `install`, `wipe-operational`, `debug-unlock` or `decommission`.
    pub action: String,
    /// Digest of the release's manifest, of an order to install.
    pub manifest: Option<String>,
    /// The command that it names, in hexadecimal.
    pub command: Option<String>,
    /// The anchors version that the device has to hold first.
    pub min_anchors: u64,
    /// Until when the device takes it.
    pub expires_ms: i64,
}

/// A product for developers: at most 25 devices, certificates of at most 30 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeveloperProduct {
    /// Its class, a UUID.
    pub class: String,
    /// How many devices it has, retired ones not counted.
    pub devices: u64,
}

/// Makes a product one for developers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeveloperProduct {
    /// Its class, a UUID.
    pub class: String,
}

/// What an operator signed about a device with the operator's own key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStatement {
    /// The signed statement, hexadecimal.
    pub statement: String,
}

/// What came of asking for something that may need two people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome<T> {
    /// It was done.
    Done {
        /// How it is now.
        result: T,
    },
    /// It waits for another person to ask for the same.
    Waiting {
        /// Different people who asked so far.
        given: u8,
        /// How many it takes.
        required: u8,
    },
}

/// A factory site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Site {
    /// Its name.
    pub id: String,
    /// Its Factory CA certificate, PEM.
    pub factory_ca: String,
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

/// A factory site to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSite {
    /// Its name.
    pub id: String,
    /// Its Factory CA certificate, PEM.
    pub factory_ca: String,
    /// What every serial number of it starts with; empty for anything.
    pub serial_prefix: String,
    /// How many devices it may make.
    pub quota: u64,
    /// Until when its batches are taken.
    pub not_after_ms: i64,
}

/// A factory batch that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchTaken {
    /// The site.
    pub site: String,
    /// The batch's number.
    pub number: u64,
    /// How many devices it announced.
    pub devices: u64,
}

/// Anchors that were taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnchorsTaken {
    /// Their version.
    pub version: u64,
}

/// An object that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectStored {
    /// SHA-256 of it.
    pub digest: String,
    /// Its size.
    pub size_bytes: u64,
    /// It was there before.
    pub present: bool,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Release {
    /// Digest of its manifest: its name everywhere.
    pub manifest: String,
    /// The vendor, a UUID.
    pub vendor: String,
    /// The class, a UUID.
    pub class: String,
    /// The sequence number.
    pub sequence: u64,
    /// The version that people read.
    pub version: String,
    /// Size of all payloads together.
    pub size_bytes: u64,
    /// Who published it.
    pub published_by: String,
    /// When.
    pub published_ms: i64,
}

/// How long a device may stay in each phase, in seconds. Silence past it counts as failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// From the offer to its first sign of work.
    pub offered_s: u64,
    /// To download and write.
    pub downloading_s: u64,
    /// From written to armed.
    pub written_s: u64,
    /// From armed to confirmed.
    pub trial_s: u64,
}

/// A deployment to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeployment {
    /// Digest of the release's manifest.
    pub manifest: String,
    /// The device it is for; none for every device of the release's class.
    pub device: Option<String>,
    /// How long each phase may take; none for 7 days, 1 day, 1 day, 1 hour.
    pub deadlines: Option<Deadlines>,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// Its id, a UUID.
    pub id: String,
    /// Digest of the release's manifest.
    pub manifest: String,
    /// The release's class, a UUID.
    pub class: String,
    /// The version that people read.
    pub version: String,
    /// The release's sequence number.
    pub sequence: u64,
    /// The device it is for; none for the class.
    pub device: Option<String>,
    /// How long each phase may take.
    pub deadlines: Deadlines,
    /// `running`, `paused` or `halted`.
    pub state: String,
    /// How many devices are in each state.
    pub devices: BTreeMap<String, u64>,
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

/// The signed head of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checkpoint {
    /// A signed note (C2SP tlog-checkpoint).
    pub checkpoint: String,
    /// The tree at that head, hexadecimal: size (8 bytes), hash of the last entry, roots of the
    /// complete subtrees from the largest on. Whoever keeps it can follow the log by its new
    /// entries alone.
    pub frontier: String,
    /// How the key that signs came into its place: signed notes, in each of which a key names the
    /// one after it, the first one first. Empty as long as the first key signs.
    pub hand_overs: Vec<String>,
}

/// The authority that issues devices' operational certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceAuthority {
    /// Its certificate, PEM.
    pub certificate: String,
    /// The roots, PEM; one of them issued it.
    pub roots: Vec<String>,
    /// Those before it that have certificates in force.
    pub earlier: Vec<EarlierDeviceAuthority>,
}

/// An authority that issued operational certificates before the one that does now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarlierDeviceAuthority {
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its CRL of everything that is revoked or on hold, PEM, signed for this answer.
    pub crl: String,
    /// How many of its certificates are in force.
    pub in_force: u64,
    /// When the last of them ends; absent where it issued none.
    pub last_ends_ms: Option<i64>,
}

/// Entries of the audit log, as they are hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntries {
    /// The place of the first.
    pub from: u64,
    /// The bytes, hexadecimal.
    pub entries: Vec<String>,
    /// Where to go on; none at the end.
    pub next: Option<u64>,
}

/// An operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Operator {
    /// The name.
    pub name: String,
    /// `viewer`, `publisher`, `operator` or `admin`.
    pub role: String,
    /// SHA-256 of the certificate.
    pub fingerprint: String,
    /// Since when.
    pub added_ms: i64,
    /// Until when, if access has ended.
    pub removed_ms: Option<i64>,
    /// When the certificate ends, where that is known.
    pub not_after_ms: Option<i64>,
}

/// An operator to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOperator {
    /// A name that no other operator has.
    pub name: String,
    /// The role.
    pub role: String,
    /// The client certificate that the Operator CA issued elsewhere, PEM.
    #[serde(default)]
    pub certificate: Option<String>,
    /// In its place: a certificate request for the operator's key, PEM. The names in it do not
    /// matter.
    #[serde(default)]
    pub request: Option<String>,
}

/// An operator who was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registered {
    /// The name.
    pub name: String,
    /// The role.
    pub role: String,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// When it ends.
    pub not_after_ms: i64,
}

/// Somebody to invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// A name that no operator has.
    pub name: String,
    /// The role.
    pub role: String,
}

/// An invitation that was made. Its secret is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invitation {
    /// Who is invited.
    pub name: String,
    /// The role.
    pub role: String,
    /// What proves the invitation: 32 hexadecimal digits.
    pub secret: String,
    /// Until when it works.
    pub ends_ms: i64,
}

/// An invitation that can still be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenInvitation {
    /// Who is invited.
    pub name: String,
    /// The role.
    pub role: String,
    /// By whom.
    pub invited_by: String,
    /// Until when it works.
    pub ends_ms: i64,
}

/// A key to register.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLogin {
    /// The invitation's secret: 32 hexadecimal digits.
    pub secret: String,
    /// A certificate request for the key, PEM. The names in it do not matter.
    pub request: String,
}

/// A new key in the place of the one that the caller has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRenewal {
    /// A certificate request for the new key, PEM. The names in it do not matter.
    pub request: String,
}

/// What came of settling on a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settled {
    /// How many earlier certificates of the caller ended.
    pub ended: u32,
}

/// A key that was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Login {
    /// The name.
    pub name: String,
    /// The role.
    pub role: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// When it ends.
    pub not_after_ms: i64,
}

/// Somebody's consent to something that takes two people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// What it is about: a device, `operator/…`, `release/…`, `hub`.
    pub subject: String,
    /// What is to be done.
    pub action: String,
    /// Who consents.
    pub operator: String,
    /// Since when.
    pub given_ms: i64,
    /// Until when.
    pub ends_ms: i64,
}

impl From<fleet::FleetStatus> for Status {
    fn from(view: fleet::FleetStatus) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            devices: view.devices.iter().map(|(s, n)| (s.name().to_owned(), *n)).collect(),
            alarmed: view.alarmed,
            shared_keys: view.shared_keys,
            anchors_version: view.anchors_version.0,
            audit_size: view.audit_size,
            restored: view.restored.map(Restored::from),
        }
    }
}

impl From<fleet::Restored> for Restored {
    fn from(restored: fleet::Restored) -> Restored {
        Restored {
            backup_ms: restored.backup_ms,
            restored_ms: restored.restored_ms,
            acknowledged_ms: restored.acknowledged_ms,
        }
    }
}

impl From<fleet::DeviceView> for Device {
    fn from(view: fleet::DeviceView) -> Device {
        Device {
            id: view.id.to_string(),
            ueid: view.ueid.to_string(),
            site: view.site,
            vendor: view.vendor.to_string(),
            class: view.class.to_string(),
            protection: view.protection,
            state: view.state.name().to_owned(),
            state_since_ms: view.state_since_ms,
            state_reason: view.state_reason,
            grade: view.grade,
            owner: view.owner,
            alarm: view.alarm,
            added_ms: view.added_ms,
            last_seen_ms: view.last_seen_ms,
            agent_version: view.agent_version,
            anchors_version: view.anchors_version.0,
        }
    }
}

impl From<fleet::DeviceDetails> for DeviceDetails {
    fn from(view: fleet::DeviceDetails) -> DeviceDetails {
        DeviceDetails {
            device: view.device.into(),
            running: view.running.into_iter().map(Running::from).collect(),
            certificates: view.certificates.into_iter().map(Certificate::from).collect(),
            updates: view.updates.into_iter().map(Target::from).collect(),
            commands: view.commands.into_iter().map(DeviceCommand::from).collect(),
        }
    }
}

impl From<fleet::CommandView> for DeviceCommand {
    fn from(view: fleet::CommandView) -> DeviceCommand {
        DeviceCommand {
            digest: hex::encode(view.digest),
            action: view.action,
            number: view.number,
            expires_ms: view.expires_ms,
            state: view.state.name().to_owned(),
            reason: view.reason,
            detail: view.detail,
            order: view.order.map(|order| order.0),
            given_by: view.given_by,
            since_ms: view.since_ms,
        }
    }
}

impl From<fleet::OfflineOrder> for OfflineOrder {
    fn from(made: fleet::OfflineOrder) -> OfflineOrder {
        OfflineOrder {
            order: hex::encode(made.token),
            number: made.number.0,
            action: made.action.to_owned(),
            manifest: made.manifest.map(|manifest| manifest.to_string()),
            command: made.command.map(hex::encode),
            min_anchors: made.min_anchors.0,
            expires_ms: i64::try_from(made.expires.0).unwrap_or(i64::MAX).saturating_mul(1000),
        }
    }
}

impl From<fleet::DeveloperProduct> for DeveloperProduct {
    fn from(view: fleet::DeveloperProduct) -> DeveloperProduct {
        DeveloperProduct { class: view.class.to_string(), devices: view.devices }
    }
}

impl From<fleet::RunningView> for Running {
    fn from(view: fleet::RunningView) -> Running {
        Running {
            class: view.class.to_string(),
            sequence: view.sequence.0,
            manifest: view.manifest.map(|digest| digest.to_string()),
            version: view.version,
            floor: view.floor.0,
            since_ms: view.since_ms,
        }
    }
}

impl From<fleet::CertificateView> for Certificate {
    fn from(view: fleet::CertificateView) -> Certificate {
        Certificate {
            fingerprint: hex::encode(view.fingerprint),
            key_fingerprint: hex::encode(view.key_fingerprint),
            kind: view.kind.name().to_owned(),
            not_before_ms: view.not_before_ms,
            not_after_ms: view.not_after_ms,
            first_used_ms: view.first_used_ms,
            revoked_ms: view.revoked_ms,
            revoked_reason: view.revoked_reason,
        }
    }
}

impl From<fleet::TargetView> for Target {
    fn from(view: fleet::TargetView) -> Target {
        Target {
            deployment: view.deployment,
            device: view.device.to_string(),
            state: view.state.name().to_owned(),
            grade: view.grade.map(|grade| grade.name().to_owned()),
            reason: view.reason,
            detail: view.detail,
            order: view.order.map(|order| order.0),
            since_ms: view.since_ms,
            deadline_ms: view.deadline_ms,
        }
    }
}

impl From<fleet::audit::Entry> for Event {
    fn from(entry: fleet::audit::Entry) -> Event {
        Event {
            position: entry.position,
            at_ms: entry.at_ms,
            who: entry.who,
            kind: entry.kind,
            subject: entry.subject,
            details: entry.details.into_iter().collect(),
        }
    }
}

impl From<fleet::BatchTaken> for BatchTaken {
    fn from(view: fleet::BatchTaken) -> BatchTaken {
        BatchTaken { site: view.site.to_string(), number: view.number, devices: view.devices }
    }
}

impl From<fleet::ReleaseView> for Release {
    fn from(view: fleet::ReleaseView) -> Release {
        Release {
            manifest: view.manifest.to_string(),
            vendor: view.vendor.to_string(),
            class: view.class.to_string(),
            sequence: view.sequence.0,
            version: view.version,
            size_bytes: view.size_bytes,
            published_by: view.published_by,
            published_ms: view.published_ms,
        }
    }
}

impl From<fleet::Deadlines> for Deadlines {
    fn from(view: fleet::Deadlines) -> Deadlines {
        Deadlines {
            offered_s: view.offered.as_secs(),
            downloading_s: view.downloading.as_secs(),
            written_s: view.written.as_secs(),
            trial_s: view.trial.as_secs(),
        }
    }
}

impl From<Deadlines> for fleet::Deadlines {
    fn from(deadlines: Deadlines) -> fleet::Deadlines {
        let seconds = std::time::Duration::from_secs;
        fleet::Deadlines {
            offered: seconds(deadlines.offered_s),
            downloading: seconds(deadlines.downloading_s),
            written: seconds(deadlines.written_s),
            trial: seconds(deadlines.trial_s),
        }
    }
}

impl From<fleet::DeploymentView> for Deployment {
    fn from(view: fleet::DeploymentView) -> Deployment {
        Deployment {
            id: view.id,
            manifest: view.manifest.to_string(),
            class: view.class.to_string(),
            version: view.version,
            sequence: view.sequence.0,
            device: match view.target {
                fleet::Target::Device(id) => Some(id.to_string()),
                fleet::Target::Class => None,
            },
            deadlines: view.deadlines.into(),
            state: view.state.name().to_owned(),
            devices: view.devices.iter().map(|(s, n)| (s.name().to_owned(), *n)).collect(),
            settled: view.settled,
            created_by: view.created_by,
            created_ms: view.created_ms,
            changed_ms: view.changed_ms,
        }
    }
}

impl From<fleet::OperatorView> for Operator {
    fn from(view: fleet::OperatorView) -> Operator {
        Operator {
            name: view.name,
            role: view.role.name().to_owned(),
            fingerprint: hex::encode(view.fingerprint),
            added_ms: view.added_ms,
            removed_ms: view.removed_ms,
            not_after_ms: view.not_after_ms,
        }
    }
}

impl From<fleet::InvitationView> for OpenInvitation {
    fn from(view: fleet::InvitationView) -> OpenInvitation {
        OpenInvitation {
            name: view.name,
            role: view.role.name().to_owned(),
            invited_by: view.invited_by,
            ends_ms: view.ends_ms,
        }
    }
}

impl From<fleet::ApprovalView> for Approval {
    fn from(view: fleet::ApprovalView) -> Approval {
        let fleet::ApprovalView { subject, action, operator, given_ms, ends_ms } = view;
        Approval { subject, action, operator, given_ms, ends_ms }
    }
}
