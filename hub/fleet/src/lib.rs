//! The rules of a fleet: who a device is, what it may do, what it is offered and what counts as
//! success. No HTTP in here and no SQL: gateway and api call [`Fleet`], `Fleet` calls the store.
//!
//! Every request of a device begins with [`Fleet::identify`], every request of a person with
//! [`Fleet::operator`]; what comes back is handed to the call itself, which checks right and role.
//!
//! ```text
//! devices    identify · enrol · reenrol · signed_time · check_in · report · manifest · object · anchors
//! people     operator · devices · device · history · move_device · add_site · import_batch
//!            put_object · add_release · releases · add_anchors · create_deployment · deployments
//!            deployment · targets · pause · resume · halt · add_operator · remove_operator · operators
//!            invite · redeem · register · withdraw · invitations · login_is_open · approvals
//! restore    Restored::mark (before a hub runs) · restored · acknowledge_restore
//! audit      audit_checkpoint · audit_entries · hand_over_evidence · audit::verify, hand_over (offline)
//! server     access_changes · tick · status · crls
//! ```
//!
//! The calls, all `async`, all on `&Fleet` (cheap to clone), all with `Result<_, Refusal>` unless
//! noted. `session: &DeviceSession`, `who: &Operator`.
//!
//! ```text
//! Fleet::open(FleetConfig { fleet, store, order_key, evidence_key, device_ca, link_key, clock, policy })
//! identify(&ClientCertificate<'_>) -> DeviceSession
//! enrol(session, &ringfort_pki::Csr) -> Enrolled { certificate: Vec<u8>, chain: Vec<Vec<u8>> }
//! reenrol(session, &ringfort_pki::Csr) -> Enrolled
//! signed_time(session, Nonce) -> Vec<u8>                      the token
//! check_in(session, &CheckIn) -> Answer                       Answer::encode() -> body bytes
//! report(session, &Report) -> ()
//! manifest(session, &Sha256Digest) -> Vec<u8>                 the SUIT envelope
//! object(session, &Sha256Digest, Option<Range<u64>>) -> ringfort_store::ObjectStream
//! anchors(AnchorsVersion) -> Vec<u8>
//!
//! operator(fingerprint: &[u8; 32]) -> Operator
//! status(who) -> FleetStatus
//! devices(who, &DeviceQuery) -> Vec<DeviceView>
//! device(who, &DeviceId) -> DeviceDetails
//! history(who, &DeviceId, limit: u32) -> Vec<audit::Entry>
//! move_device(who, &DeviceId, to: State, note: &str) -> Moved
//! move_device_with(who, &DeviceId, &Wish) -> Moved            with a command, or a new owner
//! give_command(who, &DeviceId, &[u8], note: &str) -> Commanded
//! developer_products(who) -> Vec<DeveloperProduct>; mark_developer_product(who, &ClassId)
//! sites(who) -> Vec<SiteView>; add_site(who, &NewSite); revoke_site(who, &SiteId)
//! import_batch(who, &[u8]) -> BatchTaken
//! put_object(who, &Sha256Digest, limit_bytes: u64, stream) -> ringfort_store::Put
//! add_release(who, envelope: &[u8]) -> ReleaseView; releases(who) -> Vec<ReleaseView>
//! add_anchors(who, &[u8]) -> AnchorsVersion                   version 1 at `hub init`, then each next
//! create_deployment(who, &NewDeployment) -> Created           Created::Done(DeploymentView) or Waiting
//! deployments(who, limit) -> Vec<DeploymentView>; deployment(who, id: &str) -> DeploymentView
//! targets(who, id: &str, after: Option<&DeviceId>, limit) -> Vec<TargetView>
//! pause(who, id); resume(who, id); halt(who, id) -> DeploymentView
//! add_operator(who, &NewOperator) -> Agreed<Registered>; remove_operator(who, &[u8; 32]); operators(who)
//! invite(who, name, Role) -> Agreed<Invitation>; redeem(&OperatorAuthority, &secret, &Csr) -> Registered
//!
//! Restored::mark(&Store, backup_ms, now_ms) -> Restored       after a backup was put back
//! restored() -> Option<Restored>                              not async
//! acknowledge_restore(who) -> Agreed<Restored>
//!
//! audit_checkpoint() -> String                                a signed note, C2SP tlog-checkpoint
//! audit_entries(who, from: u64, limit: u32) -> Vec<Vec<u8>>   the bytes that are hashed
//! audit::verify(&[entry bytes], &checkpoint, &PublicKey) -> Result<Head, Broken>   not async
//! hand_over_evidence(who, &dyn Sign) -> HandOver              another key signs the heads from then on
//! hand_overs() -> &[String]                                  not async; hand_over::successors() reads them
//! crls() -> Vec<ringfort_pki::Crl> ; crls_of(&devices) -> those that changed ; whole_crl(who) -> ringfort_pki::Crl
//! tick() -> how many targets ran out of time
//! health() -> Health                                          whether the registry answers
//! access_changes() -> broadcast::Receiver<AccessChange>       not async; close those connections
//! ```
#![forbid(unsafe_code)]

pub mod audit;
pub mod hand_over;

mod clock;
mod commands;
mod contact;
mod deployments;
mod developer;
mod enrol;
mod evidence;
mod factory;
mod fleet;
mod health;
mod invitations;
mod note;
mod offline;
mod operators;
mod people;
mod refusal;
mod registry;
mod releases;
mod renewal;
mod restored;
mod session;
mod statements;
mod targets;
mod trust;
mod update;
mod views;

pub use clock::{Clock, ManualClock, SystemClock};
pub use commands::{CommandView, Commanded};
pub use contact::Answer;
pub use developer::{DEVELOPER_DAYS, DEVELOPER_DEVICES, DeveloperProduct};
pub use enrol::Enrolled;
pub use evidence::EarlierAuthority;
pub use fleet::{Fleet, FleetConfig, Policy};
pub use hand_over::HandOver;
pub use health::Health;
pub use invitations::{OperatorAuthority, SECRET_BYTES};
pub use offline::OfflineOrder;
pub use people::{
    ApprovalView, Invitation, InvitationView, NewOperator, Operator, OperatorView, Permission,
    Registered, Role,
};
pub use refusal::Refusal;
pub use restored::Restored;
pub use session::{CertificateKind, ClientCertificate, DeviceSession};
pub use statements::STATED;
pub use update::{DeploymentState, Grade, Reported, Step, UpdateState};
pub use views::*;

pub use ringfort_lifecycle::{Right, State};

/// Items of one page at most.
pub const PAGE_MAX: u32 = 1000;
