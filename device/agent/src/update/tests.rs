//! Whole updates on a real directory, with the power cut at every durable step.

mod images;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use ringfort_cose::{AwsLc, Sha256Digest, Verify};
use ringfort_messages::{CheckIn, CheckInAnswer, Link, LinkId, Report, UpdateState};
use ringfort_trust::CommandAction;
use ringfort_trust::ids::{AnchorsVersion, DeviceId};

use super::Driver;
use crate::disk::Disk;
use crate::hub::{Hub, ObjectBody};
use crate::runner::Runner;
use crate::session::Session;
use crate::testing::{Fleet, config, manifest_of, provision};
use crate::{AgentConfig, AgentError, status};

/// A hub in memory that signs what a real one would.
struct FakeHub {
    fleet: Fleet,
    /// The order to give, until it has ended.
    order: Option<(u64, Vec<u8>)>,
    /// The command to give, until it has ended.
    command: Option<(u64, CommandAction, Vec<u8>)>,
    payloads: Vec<Vec<u8>>,
    reports: Vec<Report>,
    anchors: Vec<Vec<u8>>,
    /// Where to cut the next transfers.
    cut_after: Option<usize>,
    links: u64,
}

impl FakeHub {
    fn new() -> FakeHub {
        FakeHub {
            fleet: Fleet::new(),
            order: None,
            command: None,
            payloads: Vec::new(),
            reports: Vec::new(),
            anchors: Vec::new(),
            cut_after: None,
            links: 0,
        }
    }

    fn deploy(&mut self, number: u64, sequence: u64, payload: &[u8]) {
        self.order = Some((number, self.fleet.release(sequence, &[payload])));
        self.payloads.push(payload.to_vec());
    }

    fn states(&self) -> Vec<UpdateState> {
        self.reports.iter().map(|report| report.state).collect()
    }
}

impl Hub for FakeHub {
    async fn check_in(&mut self, check_in: &CheckIn) -> Result<Vec<u8>, AgentError> {
        let ended = |number: u64| {
            check_in
                .update
                .is_some_and(|update| update.order.0 == number && update.state.is_terminal())
        };
        let given = self.command.as_ref().filter(|(number, _, _)| !ended(*number));
        let token = match (&self.order, given) {
            (_, Some((number, action, command))) => {
                self.fleet.command_order(check_in.nonce, *number, *action, command)
            }
            (Some((number, envelope)), _) if !ended(*number) && self.command.is_none() => {
                self.fleet.order(check_in.nonce, *number, manifest_of(envelope))
            }
            _ => self.fleet.time(check_in.nonce),
        };
        self.links += 1;
        let id = LinkId { counter: self.links, random: [0; 16] };
        let answer = CheckInAnswer {
            token: &token,
            command: given.map(|(_, _, command)| &command[..]),
            link: Link::issue(id, &DeviceId::new("dev-a").unwrap(), |_| [0; 32]),
            newest_anchors: AnchorsVersion(1 + self.anchors.len() as u64),
            interval_seconds: 1,
        };
        Ok(answer.encode().unwrap())
    }

    async fn manifest(&mut self, manifest: &Sha256Digest) -> Result<Vec<u8>, AgentError> {
        let (_, envelope) = self.order.as_ref().unwrap();
        assert_eq!(manifest_of(envelope), *manifest);
        Ok(envelope.clone())
    }

    async fn object(&mut self, digest: &Sha256Digest, from: u64) -> Result<ObjectBody, AgentError> {
        let named = |payload: &&Vec<u8>| AwsLc.sha256(&[payload]) == *digest;
        let payload = self.payloads.iter().find(named).unwrap();
        let rest = &payload[from as usize..];
        let rest = &rest[..self.cut_after.unwrap_or(rest.len()).min(rest.len())];
        let body = Full::new(Bytes::copy_from_slice(rest)).map_err(|never| match never {});
        Ok(ObjectBody { from, body: body.boxed_unsync() })
    }

    async fn anchors(&mut self, version: AnchorsVersion) -> Result<Option<Vec<u8>>, AgentError> {
        Ok(self.anchors.get(version.0 as usize - 2).cloned())
    }

    async fn report(&mut self, report: &Report) -> Result<(), AgentError> {
        self.reports.push(*report);
        Ok(())
    }
}

/// A runner that notes which payload it restarts, and says whether that is healthy.
struct FakeRunner {
    current: std::path::PathBuf,
    sick: &'static [u8],
    started: Vec<Vec<u8>>,
    unlocked: u32,
}

impl FakeRunner {
    fn new(config: &AgentConfig) -> FakeRunner {
        FakeRunner {
            current: config.slots_dir().join("current/component-0"),
            sick: b"",
            started: Vec::new(),
            unlocked: 0,
        }
    }
}

impl Runner for FakeRunner {
    async fn restart(&mut self) -> Result<(), String> {
        self.started.push(fs::read(&self.current).unwrap_or_default());
        Ok(())
    }

    async fn health(&mut self) -> Result<(), String> {
        let current = fs::read(&self.current).map_err(|error| error.to_string())?;
        match !self.sick.is_empty() && current == self.sick {
            true => Err("it does not answer".into()),
            false => Ok(()),
        }
    }

    async fn slot(&mut self, _: &str) -> Result<(), String> {
        Ok(())
    }

    async fn unlock(&mut self) -> Result<(), String> {
        self.unlocked += 1;
        match self.sick.is_empty() {
            true => Ok(()),
            false => Err("the port did not answer".into()),
        }
    }
}

/// Starts an agent and lets it poll, as often as it may be needed to end an update.
async fn live(
    config: &AgentConfig,
    disk: Disk,
    hub: &mut FakeHub,
    runner: &mut FakeRunner,
) -> Result<(), AgentError> {
    let mut session = Session::open(config, disk)?;
    Driver::new(&mut session, hub, runner).start().await?;
    for _ in 0..4 {
        Driver::new(&mut session, hub, runner).poll().await?;
    }
    Ok(())
}

const OLD: &[u8] = b"the old release, which works";
const NEW: &[u8] = b"the new release, which is longer than the old one";

/// A device on which the old release is confirmed.
async fn old_device(dir: &Path) -> (AgentConfig, FakeHub, FakeRunner) {
    let config = config(dir, "trial_attempts = 20");
    let mut hub = FakeHub::new();
    provision(&hub.fleet, &config);
    hub.deploy(10, 100, OLD);
    let mut runner = FakeRunner::new(&config);
    live(&config, Disk::default(), &mut hub, &mut runner).await.unwrap();
    assert_eq!(fs::read(&runner.current).unwrap(), OLD);
    hub.reports.clear();
    (config, hub, runner)
}

#[tokio::test]
async fn an_update_goes_through_every_state_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = old_device(dir.path()).await;
    hub.deploy(20, 200, NEW);
    live(&config, Disk::default(), &mut hub, &mut runner).await.unwrap();
    assert_eq!(
        hub.states(),
        [
            UpdateState::Offered,
            UpdateState::Downloading,
            UpdateState::Written,
            UpdateState::Trial,
            UpdateState::Confirmed
        ]
    );
    assert_eq!(runner.started, [OLD, NEW]);
    let status = status(&config).unwrap();
    assert_eq!(status.release.unwrap().version, "v200");
    assert_eq!((status.floor, status.current_slot), (Some(200), Some("b")));
    assert_eq!(status.update.unwrap().state, "confirmed");
    assert!(!status.running && status.device.as_deref() == Some("dev-a"));
}

#[tokio::test]
async fn c2_written_and_started_stays_trial_until_the_checks_have_passed() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = old_device(dir.path()).await;
    hub.deploy(20, 200, NEW);
    runner.sick = NEW;
    live(&config, Disk::default(), &mut hub, &mut runner).await.unwrap();
    assert!(hub.states().contains(&UpdateState::Trial));
    assert!(!hub.states().contains(&UpdateState::Confirmed));
    let last = hub.reports.last().unwrap();
    assert_eq!(last.state, UpdateState::Reverted);
    assert_eq!(last.reason.unwrap().as_str(), "health-check-failed");
    assert_eq!(last.detail.as_str(), "it does not answer");
    assert_eq!(runner.started, [OLD, NEW, OLD]);
    assert_eq!(fs::read(&runner.current).unwrap(), OLD);
}

/// The end that every run has to reach, wherever the power was cut.
fn assert_ended(config: &AgentConfig, runner: &FakeRunner, steps: i64) {
    let status = status(config).unwrap();
    let (payload, version, state) = match runner.sick.is_empty() {
        true => (NEW, "v200", "confirmed"),
        false => (OLD, "v100", "reverted"),
    };
    assert_eq!(fs::read(&runner.current).unwrap(), payload, "cut after {steps} steps");
    assert_eq!(status.release.unwrap().version, version, "cut after {steps} steps");
    assert_eq!(status.update.unwrap().state, state, "cut after {steps} steps");
}

/// Cuts the power after each number of steps, then once more during the recovery.
async fn cut_everywhere(sick: &'static [u8]) {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let (config, mut hub, mut runner) = old_device(dir.path()).await;
        runner.sick = sick;
        hub.deploy(20, 200, NEW);
        let cut = live(&config, Disk::with_power_for(steps), &mut hub, &mut runner).await;
        let running = fs::read(&runner.current).unwrap();
        assert!(running == OLD || running == NEW, "neither runs after {steps} steps");
        if cut.is_ok() {
            assert!(steps > 30, "only {steps} steps were there to cut");
            return assert_ended(&config, &runner, steps);
        }
        let again = Disk::with_power_for(steps * 7 % 23);
        let _ = live(&config, again, &mut hub, &mut runner).await;
        let running = fs::read(&runner.current).unwrap();
        assert!(running == OLD || running == NEW, "neither runs after {steps} steps and more");
        live(&config, Disk::default(), &mut hub, &mut runner).await.unwrap();
        assert_ended(&config, &runner, steps);
    }
}

#[tokio::test]
async fn an_update_goes_on_wherever_the_power_is_cut() {
    cut_everywhere(b"").await;
}

#[tokio::test]
async fn a_way_back_is_found_wherever_the_power_is_cut() {
    cut_everywhere(NEW).await;
}

#[tokio::test]
async fn a_transfer_that_is_cut_resumes_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = old_device(dir.path()).await;
    hub.deploy(20, 200, NEW);
    hub.cut_after = Some(20);
    let mut session = Session::open(&config, Disk::default()).unwrap();
    Driver::new(&mut session, &mut hub, &mut runner).poll().await.unwrap();
    let part = config.slots_dir().join("b/component-0.part");
    assert_eq!(fs::read(&part).unwrap(), NEW[..20]);
    Driver::new(&mut session, &mut hub, &mut runner).poll().await.unwrap();
    assert_eq!(fs::read(&part).unwrap(), NEW[..40]);
    Driver::new(&mut session, &mut hub, &mut runner).poll().await.unwrap();
    assert_eq!(fs::read(&runner.current).unwrap(), NEW);
}

#[tokio::test]
async fn a_resumed_transfer_with_damaged_beginnings_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = old_device(dir.path()).await;
    hub.deploy(20, 200, NEW);
    hub.cut_after = Some(20);
    let mut session = Session::open(&config, Disk::default()).unwrap();
    Driver::new(&mut session, &mut hub, &mut runner).poll().await.unwrap();
    fs::write(config.slots_dir().join("b/component-0.part"), [0; 20]).unwrap();
    hub.cut_after = None;
    Driver::new(&mut session, &mut hub, &mut runner).poll().await.unwrap();
    assert_eq!(fs::read(&runner.current).unwrap(), OLD);
    Driver::new(&mut session, &mut hub, &mut runner).poll().await.unwrap();
    assert_eq!(fs::read(&runner.current).unwrap(), NEW);
}

#[tokio::test]
async fn a_slot_changed_between_writing_and_switching_is_not_started() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = old_device(dir.path()).await;
    hub.deploy(20, 200, NEW);
    // Cut right after the slot is written: the next start asks the hub, then switches.
    let mut session = Session::open(&config, Disk::default()).unwrap();
    hub.cut_after = Some(NEW.len() - 1);
    Driver::new(&mut session, &mut hub, &mut runner).poll().await.unwrap();
    drop(session);
    struct Swap<'a>(&'a mut FakeHub, std::path::PathBuf);
    impl Hub for Swap<'_> {
        async fn check_in(&mut self, check_in: &CheckIn) -> Result<Vec<u8>, AgentError> {
            if self.1.exists() {
                fs::write(&self.1, b"something else, put there by someone else").unwrap();
            }
            self.0.check_in(check_in).await
        }
        async fn manifest(&mut self, manifest: &Sha256Digest) -> Result<Vec<u8>, AgentError> {
            self.0.manifest(manifest).await
        }
        async fn object(
            &mut self,
            digest: &Sha256Digest,
            from: u64,
        ) -> Result<ObjectBody, AgentError> {
            self.0.object(digest, from).await
        }
        async fn anchors(
            &mut self,
            version: AnchorsVersion,
        ) -> Result<Option<Vec<u8>>, AgentError> {
            self.0.anchors(version).await
        }
        async fn report(&mut self, report: &Report) -> Result<(), AgentError> {
            self.0.report(report).await
        }
    }
    hub.cut_after = None;
    let mut swap = Swap(&mut hub, config.slots_dir().join("b/component-0"));
    let mut session = Session::open(&config, Disk::default()).unwrap();
    Driver::new(&mut session, &mut swap, &mut runner).poll().await.unwrap();
    assert_eq!(fs::read(&runner.current).unwrap(), OLD);
    assert!(!runner.started.contains(&b"something else, put there by someone else".to_vec()));
    let last = hub.reports.last().unwrap();
    assert_eq!(last.state, UpdateState::Reverted);
    assert_eq!(last.reason.unwrap().as_str(), "image-size");
}

/// Answers every check-in with another order, as long as anybody asks.
struct Restless<'a> {
    hub: &'a mut FakeHub,
    release: Vec<u8>,
    check_ins: u64,
}

impl Hub for Restless<'_> {
    async fn check_in(&mut self, check_in: &CheckIn) -> Result<Vec<u8>, AgentError> {
        self.check_ins += 1;
        if self.check_ins > 100 {
            return Err(AgentError::answer(ringfort_cose::Reason::Internal, "enough"));
        }
        self.hub.order = Some((100 + self.check_ins, self.release.clone()));
        self.hub.check_in(check_in).await
    }
    async fn manifest(&mut self, manifest: &Sha256Digest) -> Result<Vec<u8>, AgentError> {
        self.hub.manifest(manifest).await
    }
    async fn object(&mut self, digest: &Sha256Digest, from: u64) -> Result<ObjectBody, AgentError> {
        self.hub.object(digest, from).await
    }
    async fn anchors(&mut self, version: AnchorsVersion) -> Result<Option<Vec<u8>>, AgentError> {
        self.hub.anchors(version).await
    }
    async fn report(&mut self, report: &Report) -> Result<(), AgentError> {
        self.hub.report(report).await
    }
}

#[tokio::test]
async fn a_hub_with_ever_another_order_does_not_keep_the_agent_in_one_poll() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = old_device(dir.path()).await;
    hub.payloads.push(NEW.to_vec());
    let release = hub.fleet.release(200, &[NEW]);
    let mut restless = Restless { hub: &mut hub, release, check_ins: 0 };
    let mut session = Session::open(&config, Disk::default()).unwrap();
    Driver::new(&mut session, &mut restless, &mut runner).start().await.unwrap();
    let mut asked = 0;
    for _ in 0..2 {
        Driver::new(&mut session, &mut restless, &mut runner).poll().await.unwrap();
        assert!(restless.check_ins - asked <= 8, "{} in one poll", restless.check_ins - asked);
        asked = restless.check_ins;
    }
    // A hub that stays with its order is followed.
    hub.deploy(1000, 200, NEW);
    for _ in 0..4 {
        Driver::new(&mut session, &mut hub, &mut runner).poll().await.unwrap();
    }
    assert_eq!(fs::read(&runner.current).unwrap(), NEW);
}

/// Hands no payload out at first, each time for another reason.
struct Reluctant<'a>(&'a mut FakeHub, Vec<AgentError>);

impl Hub for Reluctant<'_> {
    async fn check_in(&mut self, check_in: &CheckIn) -> Result<Vec<u8>, AgentError> {
        self.0.check_in(check_in).await
    }
    async fn manifest(&mut self, manifest: &Sha256Digest) -> Result<Vec<u8>, AgentError> {
        self.0.manifest(manifest).await
    }
    async fn object(&mut self, digest: &Sha256Digest, from: u64) -> Result<ObjectBody, AgentError> {
        match self.1.pop() {
            Some(refusal) => Err(refusal),
            None => self.0.object(digest, from).await,
        }
    }
    async fn anchors(&mut self, version: AnchorsVersion) -> Result<Option<Vec<u8>>, AgentError> {
        self.0.anchors(version).await
    }
    async fn report(&mut self, report: &Report) -> Result<(), AgentError> {
        self.0.report(report).await
    }
}

#[tokio::test]
async fn a_payload_that_is_refused_for_now_does_not_end_the_update() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = old_device(dir.path()).await;
    hub.deploy(20, 200, NEW);
    let said = |code: &str| AgentError::Refused { code: code.into(), detail: String::new() };
    let refusals = vec![
        said("too-many-requests"),
        said("hub-restored"),
        said("storage-failed"),
        AgentError::answer(ringfort_cose::Reason::Internal, "502 Bad Gateway"),
    ];
    let times = refusals.len();
    let mut reluctant = Reluctant(&mut hub, refusals);
    let mut session = Session::open(&config, Disk::default()).unwrap();
    Driver::new(&mut session, &mut reluctant, &mut runner).start().await.unwrap();
    for _ in 0..times + 1 {
        Driver::new(&mut session, &mut reluctant, &mut runner).poll().await.unwrap();
    }
    assert_eq!(fs::read(&runner.current).unwrap(), NEW);
    assert_eq!(hub.states().last(), Some(&UpdateState::Confirmed));
}

#[tokio::test]
async fn a_longer_object_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = old_device(dir.path()).await;
    hub.deploy(20, 200, NEW);
    struct Longer<'a>(&'a mut FakeHub);
    impl Hub for Longer<'_> {
        async fn check_in(&mut self, check_in: &CheckIn) -> Result<Vec<u8>, AgentError> {
            self.0.check_in(check_in).await
        }
        async fn manifest(&mut self, manifest: &Sha256Digest) -> Result<Vec<u8>, AgentError> {
            self.0.manifest(manifest).await
        }
        async fn object(&mut self, _: &Sha256Digest, _: u64) -> Result<ObjectBody, AgentError> {
            let body = Full::new(Bytes::from([NEW, b"+"].concat())).map_err(|never| match never {});
            Ok(ObjectBody { from: 0, body: body.boxed_unsync() })
        }
        async fn anchors(
            &mut self,
            version: AnchorsVersion,
        ) -> Result<Option<Vec<u8>>, AgentError> {
            self.0.anchors(version).await
        }
        async fn report(&mut self, report: &Report) -> Result<(), AgentError> {
            self.0.report(report).await
        }
    }
    let mut session = Session::open(&config, Disk::default()).unwrap();
    let mut longer = Longer(&mut hub);
    Driver::new(&mut session, &mut longer, &mut runner).poll().await.unwrap();
    assert_eq!(hub.reports.last().unwrap().reason.unwrap().as_str(), "image-size");
    assert_eq!(fs::read(config.slots_dir().join("b/component-0.part")).unwrap(), b"");
    assert_eq!(fs::read(&runner.current).unwrap(), OLD);
}

#[tokio::test]
async fn a_tar_payload_is_unpacked_and_checked_again_before_the_switch() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), "payload = \"tar\"");
    let mut hub = FakeHub::new();
    provision(&hub.fleet, &config);
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(3);
    header.set_mode(0o755);
    builder.append_data(&mut header, "bin/app", &b"run"[..]).unwrap();
    hub.deploy(10, 100, &builder.into_inner().unwrap());
    let mut runner = FakeRunner::new(&config);
    runner.current = config.slots_dir().join("current/component-0/bin/app");
    live(&config, Disk::default(), &mut hub, &mut runner).await.unwrap();
    assert_eq!(hub.reports.last().unwrap().state, UpdateState::Confirmed);
    assert_eq!(fs::read(&runner.current).unwrap(), b"run");

    hub.deploy(20, 200, b"not an archive at all");
    live(&config, Disk::default(), &mut hub, &mut runner).await.unwrap();
    let last = hub.reports.last().unwrap();
    assert_eq!(last.state, UpdateState::Failed);
    assert_eq!(last.reason.unwrap().as_str(), "payload-unsafe");
    assert_eq!(fs::read(&runner.current).unwrap(), b"run");
}

#[tokio::test]
async fn new_anchors_are_taken_one_by_one_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = old_device(dir.path()).await;
    for version in 2..=4 {
        hub.fleet.spec.version = AnchorsVersion(version);
        let document = hub.fleet.anchors();
        hub.anchors.push(document);
    }
    live(&config, Disk::default(), &mut hub, &mut runner).await.unwrap();
    assert_eq!(status(&config).unwrap().anchors, Some(4));
    for version in 1..=4 {
        assert!(config.anchors_dir().join(format!("{version}.cbor")).exists());
    }
}

#[tokio::test]
async fn a_state_put_back_to_an_older_copy_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = old_device(dir.path()).await;
    let older = fs::read(config.state_file()).unwrap();
    hub.deploy(20, 200, NEW);
    live(&config, Disk::default(), &mut hub, &mut runner).await.unwrap();
    let newer = fs::read(config.state_file()).unwrap();
    fs::write(config.state_file(), older).unwrap();
    let refused = Session::open(&config, Disk::default()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, AgentError::RolledBack { .. }), "{refused}");
    fs::write(config.state_file(), newer).unwrap();
    assert!(Session::open(&config, Disk::default()).is_ok());
}

#[tokio::test]
async fn one_agent_at_a_time_has_the_state() {
    let dir = tempfile::tempdir().unwrap();
    let (config, _, _) = old_device(dir.path()).await;
    let session = Session::open(&config, Disk::default()).unwrap();
    assert!(status(&config).unwrap().running);
    let refused = Session::open(&config, Disk::default()).map(|_| ());
    assert!(matches!(refused, Err(AgentError::Busy(_))));
    drop(session);
    assert!(Session::open(&config, Disk::default()).is_ok());
}

#[path = "command_tests.rs"]
mod commands;
