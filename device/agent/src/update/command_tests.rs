//! Commands on a real directory and a real key store, with the power cut at every durable step.

use ringfort_keystore::Error as KeyError;

use super::*;
use crate::keys;

/// A device with an operational key, data of its operator, and a half-fetched release in slot b.
async fn in_the_field(dir: &Path, more: &str) -> (AgentConfig, FakeHub, FakeRunner) {
    let (mut config, mut hub, mut runner) = old_device(dir).await;
    if !more.is_empty() {
        config.commands.debug_unlock = Some(vec![more.to_owned()]);
    }
    hub.deploy(20, 200, NEW);
    hub.cut_after = Some(20);
    let mut session = Session::open(&config, Disk::default()).unwrap();
    Driver::new(&mut session, &mut hub, &mut runner).poll().await.unwrap();
    hub.cut_after = None;
    for number in [6, 7] {
        keys::key(&session.store, &keys::operational(number).unwrap()).unwrap();
    }
    // A cut during the last renewal left the key before.
    session.installed.operational = Some(7);
    session.persist().unwrap();
    let data = config.state.join("data");
    fs::create_dir_all(data.join("deeper")).unwrap();
    fs::write(data.join("token"), "of the operator").unwrap();
    fs::write(data.join("deeper/log"), "of the operator").unwrap();
    hub.reports.clear();
    (config, hub, runner)
}

fn has_key(config: &AgentConfig, label: &str) -> bool {
    let store = keys::open_store(config).unwrap();
    match store.public_key(&keys::label(label).unwrap()) {
        Ok(_) => true,
        Err(KeyError::NoSuchKey(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

fn data_is_empty(config: &AgentConfig) -> bool {
    fs::read_dir(config.state.join("data")).unwrap().next().is_none()
}

#[track_caller]
fn assert_wiped(config: &AgentConfig, steps: i64) {
    for number in 0..9 {
        assert!(!has_key(config, &format!("ldevid-{number}")), "{number}, {steps} steps");
    }
    assert!(has_key(config, keys::IDEVID) && has_key(config, keys::ATTESTATION));
    assert!(data_is_empty(config), "{steps} steps");
    assert!(!config.slots_dir().join("b").exists(), "{steps} steps");
    // What stays: the release that runs, its floor, the anchors.
    assert_eq!(fs::read(config.slots_dir().join("current/component-0")).unwrap(), OLD);
    let status = status(config).unwrap();
    assert_eq!((status.floor, status.command, status.enrolled), (Some(100), None, false));
    assert_eq!(status.update.unwrap().state, "confirmed", "{steps} steps");
}

#[tokio::test]
async fn a_wipe_takes_keys_and_data_and_leaves_identity_and_software() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = in_the_field(dir.path(), "").await;
    assert!(has_key(&config, "ldevid-7") && !data_is_empty(&config));
    let command = hub.fleet.command(1, CommandAction::WipeOperational, None);
    hub.command = Some((30, CommandAction::WipeOperational, command));
    live(&config, Disk::default(), &mut hub, &mut runner).await.unwrap();
    assert_wiped(&config, 0);
    let [.., superseded, taken, done] = &hub.reports[..] else { panic!("three reports") };
    assert_eq!(superseded.reason.unwrap().as_str(), "superseded", "the update that it ended");
    assert_eq!([taken.state, done.state], [UpdateState::Written, UpdateState::Confirmed]);
    assert_eq!([taken.order.0, done.order.0], [30, 30]);
    assert_eq!(runner.started.last().unwrap(), OLD, "it started again, with nothing of the old");
}

#[tokio::test]
async fn a_wipe_goes_on_wherever_the_power_is_cut() {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let (config, mut hub, mut runner) = in_the_field(dir.path(), "").await;
        let command = hub.fleet.command(1, CommandAction::WipeOperational, None);
        hub.command = Some((30, CommandAction::WipeOperational, command));
        let cut = live(&config, Disk::with_power_for(steps), &mut hub, &mut runner).await;
        if cut.is_ok() {
            assert!(steps > 20, "only {steps} steps were there to cut");
            return assert_wiped(&config, steps);
        }
        let again = Disk::with_power_for(steps * 7 % 11);
        let _ = live(&config, again, &mut hub, &mut runner).await;
        live(&config, Disk::default(), &mut hub, &mut runner).await.unwrap();
        assert_wiped(&config, steps);
    }
}

#[track_caller]
fn assert_decommissioned(config: &AgentConfig, steps: i64) {
    for label in [keys::IDEVID, keys::ATTESTATION, "ldevid-6", "ldevid-7"] {
        assert!(!has_key(config, label), "{label}, {steps} steps");
    }
    assert!(data_is_empty(config), "{steps} steps");
    for slot in ["a", "b", "current"] {
        assert!(fs::symlink_metadata(config.slots_dir().join(slot)).is_err(), "{slot}");
    }
    let status = status(config).unwrap();
    assert!(status.decommissioned && status.release.is_none(), "{steps} steps");
    assert!(config.end_marker().exists(), "{steps} steps");
}

#[tokio::test]
async fn a_decommissioned_device_says_so_and_never_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = in_the_field(dir.path(), "").await;
    let command = hub.fleet.command(1, CommandAction::Decommission, None);
    hub.command = Some((30, CommandAction::Decommission, command));
    let ended = live(&config, Disk::default(), &mut hub, &mut runner).await;
    assert!(matches!(ended, Err(AgentError::Decommissioned)));
    assert_decommissioned(&config, 0);
    let last = hub.reports.last().unwrap();
    assert_eq!((last.order.0, last.state), (30, UpdateState::Confirmed), "its last word");
    for _ in 0..2 {
        let again = crate::run(&config, std::future::pending()).await;
        assert!(matches!(again, Err(AgentError::Decommissioned)));
    }
}

#[tokio::test]
async fn a_decommission_goes_on_wherever_the_power_is_cut() {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let (config, mut hub, mut runner) = in_the_field(dir.path(), "").await;
        let command = hub.fleet.command(1, CommandAction::Decommission, None);
        hub.command = Some((30, CommandAction::Decommission, command));
        let cut = live(&config, Disk::with_power_for(steps), &mut hub, &mut runner).await;
        if matches!(cut, Err(AgentError::Decommissioned)) {
            assert!(steps > 20, "only {steps} steps were there to cut");
            return assert_decommissioned(&config, steps);
        }
        let again = Disk::with_power_for(steps * 7 % 11);
        let _ = live(&config, again, &mut hub, &mut runner).await;
        let ended = live(&config, Disk::default(), &mut hub, &mut runner).await;
        assert!(matches!(ended, Err(AgentError::Decommissioned)), "{steps} steps");
        assert_decommissioned(&config, steps);
        assert!(hub.states().contains(&UpdateState::Confirmed), "{steps} steps");
    }
}

/// The hub made the command up: everything stays as it is.
#[tokio::test]
async fn a_command_that_no_command_key_signed_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = in_the_field(dir.path(), "").await;
    let forged = Fleet::new().command(1, CommandAction::Decommission, None);
    hub.command = Some((30, CommandAction::Decommission, forged));
    live(&config, Disk::default(), &mut hub, &mut runner).await.unwrap();
    assert!(has_key(&config, "ldevid-7") && has_key(&config, keys::IDEVID));
    assert!(!data_is_empty(&config) && !config.end_marker().exists());
    let last = hub.reports.last().unwrap();
    assert_eq!(last.reason.unwrap().as_str(), "untrusted-signer");
    let command = hub.fleet.command(1, CommandAction::Decommission, None);
    hub.command = Some((40, CommandAction::Decommission, command));
    let ended = live(&config, Disk::default(), &mut hub, &mut runner).await;
    assert!(matches!(ended, Err(AgentError::Decommissioned)));
}

#[tokio::test]
async fn debugging_is_unlocked_by_the_program_and_for_the_nonce_in_the_status() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut hub, mut runner) = in_the_field(dir.path(), "/bin/true").await;
    let mut session = Session::open(&config, Disk::default()).unwrap();
    session.offer_debug_nonce().unwrap();
    drop(session);
    let shown = status(&config).unwrap().debug_nonce.unwrap();
    let nonce: Vec<u8> = (0..16)
        .map(|byte| u8::from_str_radix(&shown[2 * byte..2 * byte + 2], 16).unwrap())
        .collect();
    let nonce = ringfort_trust::ids::Nonce(nonce.try_into().unwrap());
    let command = hub.fleet.command(1, CommandAction::DebugUnlock, Some(nonce));
    hub.command = Some((30, CommandAction::DebugUnlock, command));
    live(&config, Disk::default(), &mut hub, &mut runner).await.unwrap();
    assert_eq!(runner.unlocked, 1);
    assert_eq!(hub.reports.last().unwrap().state, UpdateState::Confirmed);
    assert_eq!(status(&config).unwrap().debug_nonce, None, "it is used up");
    assert!(has_key(&config, "ldevid-7"), "nothing is wiped by it");
}
