//! Orders from a medium: what is refused, each with the same thing done right.

use std::os::unix::fs::symlink;

use ringfort_cose::{SoftSigner, Verify};
use ringfort_trust::ids::{Nonce, UnixTime};
use ringfort_trust::{AuditHead, CommandAction, Task, TokenClaims};

use super::*;
use crate::testing::{Fleet, NOW, config, manifest_of as manifest_digest, provision};
use crate::{keys, status};

const PAYLOAD: &[u8] = b"a release from a stick";

/// A device that was never online, and a medium with a release.
struct Site {
    dir: tempfile::TempDir,
    fleet: Fleet,
    config: AgentConfig,
    envelope: Vec<u8>,
}

impl Site {
    fn new() -> Site {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("device");
        fs::create_dir(&state).unwrap();
        let mut config = config(&state, "");
        config.commands.debug_unlock = Some(vec!["/bin/true".into()]);
        let fleet = Fleet::new();
        provision(&fleet, &config);
        let envelope = fleet.release(100, &[PAYLOAD]);
        let site = Site { dir, fleet, config, envelope };
        site.put_release(&site.envelope, PAYLOAD);
        site
    }

    fn release(&self) -> PathBuf {
        self.dir.path().join("release")
    }

    fn object(&self) -> PathBuf {
        self.release().join("objects").join(AwsLc.sha256(&[PAYLOAD]).to_string())
    }

    fn put_release(&self, envelope: &[u8], payload: &[u8]) {
        fs::create_dir_all(self.release().join("objects")).unwrap();
        fs::write(self.release().join("release.suit"), envelope).unwrap();
        fs::write(self.object(), payload).unwrap();
    }

    fn install(&self, number: u64) -> TokenClaims {
        let manifest = manifest_digest(&self.envelope);
        self.fleet.offline_claims(number, Task::Install { manifest })
    }

    fn medium(&self, claims: &TokenClaims) -> Medium {
        let order = self.fleet.sign_order(claims);
        Medium { order, release: Some(self.release()), ..Medium::default() }
    }

    /// A medium with a command and the order that names it.
    fn command(&self, number: u64, action: CommandAction, nonce: Option<Nonce>) -> Medium {
        let command = self.fleet.command(number, action, nonce);
        let task = Task::Command { action, command: AwsLc.sha256(&[&command]) };
        let order = self.fleet.sign_order(&self.fleet.offline_claims(number, task));
        Medium { order, command: Some(command), ..Medium::default() }
    }

    async fn apply(&self, medium: &Medium) -> Result<Applied, AgentError> {
        apply(&self.config, medium).await
    }

    /// Refuses the medium, changes nothing, and takes the right one afterwards.
    async fn refuses(&self, name: &str, medium: &Medium, reason: Reason) {
        let before = status(&self.config).unwrap();
        match self.apply(medium).await {
            Err(AgentError::Order(found)) => assert_eq!(found, reason, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        let after = status(&self.config).unwrap();
        assert_eq!(
            (after.floor, after.update.map(|update| update.order), after.anchors),
            (before.floor, before.update.map(|update| update.order), before.anchors),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_order_from_a_medium_installs_the_release_that_lies_beside_it() {
    let site = Site::new();
    let applied = site.apply(&site.medium(&site.install(5))).await.unwrap();
    assert_eq!((applied.action, applied.state, applied.reason), ("install", "confirmed", None));
    assert_eq!(fs::read(site.config.slots_dir().join("current/component-0")).unwrap(), PAYLOAD);
    let status = status(&site.config).unwrap();
    assert_eq!((status.floor, status.enrolled), (Some(100), false));
    // The hub hears of it when there is one.
    let session = Session::open(&site.config, Disk::default()).unwrap();
    let report = session.device.result_report().unwrap();
    assert_eq!((report.order, report.state.name()), (OrderNumber(5), "confirmed"));
    // It sets no clock; from now on nothing before it is believed.
    assert!(!session.device.clock().is_trusted());
    assert_eq!(session.time_floor().unwrap().orders, UnixTime(NOW));
}

#[tokio::test]
async fn orders_that_are_not_for_this_device_or_not_for_a_medium_are_refused() {
    let site = Site::new();
    let right = site.install(5);
    let medium = |claims: &TokenClaims| site.medium(claims);
    let other = TokenClaims { device: DeviceId::new("dev-b").unwrap(), ..right };
    site.refuses("another device's", &medium(&other), Reason::WrongRecipient).await;
    let online = TokenClaims { nonce: Some(Nonce([7; 16])), ..right };
    site.refuses("an answer to a request", &medium(&online), Reason::NonceMismatch).await;
    let head = AuditHead { size: 1, root: Sha256Digest([1; 32]) };
    let time = TokenClaims { content: Content::Time(head), ..online };
    site.refuses("signed time", &medium(&time), Reason::NonceMismatch).await;
    let mut fleet = right;
    fleet.fleet.0[0] ^= 1;
    site.refuses("another fleet's", &medium(&fleet), Reason::WrongIssuer).await;
    let mut newer = right;
    let Content::Order(order) = &mut newer.content else { unreachable!() };
    order.min_anchors = AnchorsVersion(2);
    site.refuses("for newer anchors", &medium(&newer), Reason::AnchorsTooOld).await;
    let floor = {
        let session = Session::open(&site.config, Disk::default()).unwrap();
        session.now().unwrap()
    };
    let (issued, expires) = (UnixTime(floor.0 - 1000), floor);
    let late = TokenClaims { issued, expires, ..right };
    site.refuses("expired before the device was built", &medium(&late), Reason::Expired).await;
    let mut flipped = medium(&right);
    *flipped.order.last_mut().unwrap() ^= 1;
    site.refuses("changed by a bit", &flipped, Reason::BadSignature).await;
    let stranger = SoftSigner::generate_p256().unwrap();
    let order = right.sign(&AwsLc, &stranger).unwrap();
    let forged = Medium { order, ..medium(&right) };
    site.refuses("by a key that nobody named", &forged, Reason::UntrustedSigner).await;
    let nothing = Medium { order: vec![0xff; 40], ..medium(&right) };
    site.refuses("nonsense", &nothing, Reason::Malformed).await;
    // The twin.
    assert_eq!(site.apply(&medium(&right)).await.unwrap().state, "confirmed");
    site.refuses("a second time", &medium(&right), Reason::OrderReplayed).await;
    site.refuses("an older number", &medium(&site.install(4)), Reason::OrderReplayed).await;
}

#[tokio::test]
async fn a_clock_is_not_turned_back_nor_forward_by_a_medium() {
    let site = Site::new();
    // Issued long from now: what it says has passed counts as passed, once and for all.
    let day = 24 * 3600;
    let ahead = TokenClaims {
        issued: UnixTime(NOW + 400 * day),
        expires: UnixTime(NOW + 401 * day),
        ..site.install(5)
    };
    assert_eq!(site.apply(&site.medium(&ahead)).await.unwrap().state, "confirmed");
    let behind = site.install(6);
    site.refuses("expired since", &site.medium(&behind), Reason::Expired).await;
    let session = Session::open(&site.config, Disk::default()).unwrap();
    assert_eq!(session.now().unwrap(), UnixTime(NOW + 400 * day));
}

#[tokio::test]
async fn a_release_that_is_not_on_the_medium_waits_for_it() {
    let site = Site::new();
    let medium = site.medium(&site.install(5));
    let without = Medium { release: None, ..medium.clone() };
    assert_eq!(site.apply(&without).await.unwrap().state, "offered");
    let other = site.fleet.release(200, &[PAYLOAD]);
    site.put_release(&other, PAYLOAD);
    assert_eq!(site.apply(&medium).await.unwrap().state, "offered", "another release");
    site.put_release(&site.envelope, PAYLOAD);
    fs::remove_file(site.object()).unwrap();
    assert_eq!(site.apply(&medium).await.unwrap().state, "downloading", "without its payload");
    site.put_release(&site.envelope, PAYLOAD);
    // The same order, byte for byte, is taken up again.
    assert_eq!(site.apply(&medium).await.unwrap().state, "confirmed");
}

#[tokio::test]
async fn a_medium_can_put_no_other_payload_in_place() {
    let mut wrong = PAYLOAD.to_vec();
    wrong[0] ^= 1;
    let long = [PAYLOAD, b"!"].concat();
    for (payload, state, reason) in [
        (&wrong[..], "failed", Some(Reason::ImageDigest)),
        (&long, "failed", Some(Reason::ImageSize)),
        (&PAYLOAD[1..], "downloading", None),
    ] {
        let site = Site::new();
        site.put_release(&site.envelope, payload);
        let applied = site.apply(&site.medium(&site.install(5))).await.unwrap();
        assert_eq!((applied.state, applied.reason), (state, reason));
        assert_eq!(status(&site.config).unwrap().floor, None);
    }
}

#[tokio::test]
async fn a_link_out_of_the_medium_is_not_followed() {
    let site = Site::new();
    let secret = site.dir.path().join("secret");
    fs::write(&secret, PAYLOAD).unwrap();
    fs::remove_file(site.object()).unwrap();
    symlink(&secret, site.object()).unwrap();
    let applied = site.apply(&site.medium(&site.install(5))).await.unwrap();
    assert_eq!((applied.state, applied.reason), ("failed", Some(Reason::StorageFailed)));
    assert_eq!(fs::read(&secret).unwrap(), PAYLOAD, "it would have fitted");
}

#[tokio::test]
async fn newer_anchors_on_the_medium_are_taken_before_the_order_is_judged() {
    let mut site = Site::new();
    let anchors = site.dir.path().join("anchors");
    fs::create_dir(&anchors).unwrap();
    site.fleet.spec.version = AnchorsVersion(2);
    let second = site.fleet.anchors();
    let mut claims = site.install(5);
    let Content::Order(order) = &mut claims.content else { unreachable!() };
    order.min_anchors = AnchorsVersion(2);
    let medium = Medium { anchors: Some(anchors.clone()), ..site.medium(&claims) };
    let mut damaged = second.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(anchors.join("2.cbor"), damaged).unwrap();
    site.refuses("with damaged anchors", &medium, Reason::AnchorsTooOld).await;
    fs::write(anchors.join("2.cbor"), second).unwrap();
    assert_eq!(site.apply(&medium).await.unwrap().state, "confirmed");
    assert_eq!(status(&site.config).unwrap().anchors, Some(2));
}

#[tokio::test]
async fn a_command_on_the_medium_is_taken_with_its_order_and_never_without() {
    let site = Site::new();
    let right = site.command(5, CommandAction::WipeOperational, None);
    let without = Medium { command: None, ..right.clone() };
    site.refuses("an order alone", &without, Reason::CommandDigest).await;
    let other = site.fleet.command(9, CommandAction::WipeOperational, None);
    let swapped = Medium { command: Some(other), ..right.clone() };
    site.refuses("another command", &swapped, Reason::CommandDigest).await;
    let data = site.config.state.join("data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("token"), "of the operator").unwrap();
    let applied = site.apply(&right).await.unwrap();
    assert_eq!((applied.action, applied.state), ("wipe-operational", "confirmed"));
    assert!(!data.join("token").exists());
    site.refuses("a second time", &right, Reason::OrderReplayed).await;
}

#[tokio::test]
async fn debugging_is_unlocked_from_a_medium_by_the_nonce_of_this_device() {
    let site = Site::new();
    let nonce = {
        let mut session = Session::open(&site.config, Disk::default()).unwrap();
        session.offer_debug_nonce().unwrap();
        session.device.debug_nonce().unwrap()
    };
    let mut wrong = nonce;
    wrong.0[0] ^= 1;
    let other = site.command(4, CommandAction::DebugUnlock, Some(wrong));
    site.refuses("another device's nonce", &other, Reason::NonceMismatch).await;
    let right = site.command(5, CommandAction::DebugUnlock, Some(nonce));
    let applied = site.apply(&right).await.unwrap();
    assert_eq!((applied.action, applied.state), ("debug-unlock", "confirmed"));
    let again = site.command(6, CommandAction::DebugUnlock, Some(nonce));
    site.refuses("the same nonce again", &again, Reason::NonceMismatch).await;
}

#[tokio::test]
async fn a_device_is_put_out_of_use_from_a_medium() {
    let site = Site::new();
    let applied = site.apply(&site.command(5, CommandAction::Decommission, None)).await.unwrap();
    assert_eq!((applied.action, applied.state), ("decommission", "confirmed"));
    assert!(status(&site.config).unwrap().decommissioned);
    let store = keys::open_store(&site.config).unwrap();
    assert!(store.public_key(&keys::label(keys::IDEVID).unwrap()).is_err());
    let again = site.apply(&site.medium(&site.install(6))).await;
    assert!(matches!(again, Err(AgentError::Decommissioned)), "{again:?}");
}

#[tokio::test]
async fn beside_an_agent_that_runs_nothing_is_applied() {
    let site = Site::new();
    let medium = site.medium(&site.install(5));
    let running = Session::open(&site.config, Disk::default()).unwrap();
    let refused = site.apply(&medium).await;
    assert!(matches!(refused, Err(AgentError::Busy(_))), "{refused:?}");
    drop(running);
    assert_eq!(site.apply(&medium).await.unwrap().state, "confirmed");
}
