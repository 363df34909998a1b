//! Whole images in two places that a program knows: the program's boot loader is a shell script
//! with its environment in files, run as the runner runs a product's own. The places are files, or
//! loop devices where those can be had.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::runner::LocalRunner;

const SIZE: usize = 512 * 1024;

#[tokio::test]
async fn images_in_files_are_written_tried_confirmed_and_taken_back() {
    update_revert_and_refuse(&Machine::on(Places::files())).await;
}

/// The same on block devices. It fails where they cannot be had; `cargo xtask test` runs it where
/// they can, and says so where not.
#[tokio::test]
#[ignore = "needs loop devices, and so root"]
async fn images_on_loop_devices_are_written_tried_confirmed_and_taken_back() {
    update_revert_and_refuse(&Machine::on(Places::loop_devices())).await;
}

/// A device's years: a good update, one that never boots, one that boots and is sick, one whose
/// medium does not hold what was written, and a good one again.
async fn update_revert_and_refuse(machine: &Machine) {
    let mut hub = FakeHub::new();
    provision(&hub.fleet, &machine.config);
    machine.boot();
    assert_eq!(machine.running(), "a", "the factory's image");

    let first = image(b"the first update");
    hub.deploy(10, 100, &first);
    machine.live(&mut hub).await;
    assert_eq!(hub.reports.last().unwrap().state, UpdateState::Confirmed);
    assert_eq!((machine.running(), machine.stays()), ("b".into(), "b".into()));
    assert_eq!(machine.medium("b"), first);
    assert!(machine.medium("a").starts_with(FACTORY), "the running slot was never written");
    let staged = machine.config.slots_dir().join("b/component-0.part");
    assert!(!staged.exists(), "what is on the medium needs no copy");

    hub.deploy(20, 200, &image(DEAD));
    machine.live(&mut hub).await;
    let last = hub.reports.last().unwrap();
    assert_eq!(last.reason.unwrap().as_str(), "trial-budget-spent");
    assert_eq!((machine.running(), machine.stays()), ("b".into(), "b".into()));
    assert_eq!(machine.medium("b"), first);

    hub.deploy(30, 300, &image(b"sick"));
    fs::write(machine.path("sick"), "a").unwrap();
    machine.live(&mut hub).await;
    let last = hub.reports.last().unwrap();
    assert_eq!(last.reason.unwrap().as_str(), "health-check-failed");
    assert_eq!((machine.running(), machine.stays()), ("b".into(), "b".into()));
    fs::remove_file(machine.path("sick")).unwrap();

    hub.deploy(40, 400, &image(b"lost on the way"));
    fs::write(machine.path("faulty-medium"), "").unwrap();
    let tried = machine.tries();
    machine.live(&mut hub).await;
    let last = hub.reports.last().unwrap();
    assert_eq!(last.state, UpdateState::Failed);
    assert_eq!(last.reason.unwrap().as_str(), "image-digest");
    assert!(last.detail.as_str().contains("read back from"), "{}", last.detail);
    assert_eq!(machine.tries(), tried, "it was never offered to the boot loader");
    fs::remove_file(machine.path("faulty-medium")).unwrap();

    let good = image(b"the fifth update");
    hub.deploy(50, 500, &good);
    machine.live(&mut hub).await;
    assert_eq!(hub.reports.last().unwrap().state, UpdateState::Confirmed);
    assert_eq!((machine.running(), machine.stays()), ("a".into(), "a".into()));
    assert_eq!(machine.medium("a"), good);
}

#[tokio::test]
async fn the_slot_that_the_machine_runs_from_is_never_written() {
    let machine = Machine::on(Places::files());
    let mut hub = FakeHub::new();
    provision(&hub.fleet, &machine.config);
    machine.boot();
    hub.deploy(10, 100, &image(b"the first update"));
    machine.live(&mut hub).await;
    // The boot loader goes back by itself: a battery was pulled, a person chose.
    fs::write(machine.path("booted"), "a").unwrap();
    fs::write(machine.path("stays"), "a").unwrap();
    let factory = machine.medium("a");
    hub.deploy(20, 200, &image(b"the second update"));
    machine.live(&mut hub).await;
    assert_eq!(hub.reports.last().unwrap().state, UpdateState::Confirmed);
    assert_eq!(machine.medium("a"), factory);
    assert_eq!(machine.running(), "b");
}

#[tokio::test]
async fn a_result_waits_until_the_boot_loader_has_heard_it() {
    let machine = Machine::on(Places::files());
    let mut hub = FakeHub::new();
    provision(&hub.fleet, &machine.config);
    machine.boot();
    hub.deploy(10, 100, &image(b"the first update"));
    fs::write(machine.path("deaf"), "").unwrap();
    machine.live(&mut hub).await;
    assert!(!hub.states().contains(&UpdateState::Confirmed), "{:?}", hub.states());
    fs::remove_file(machine.path("deaf")).unwrap();
    machine.live(&mut hub).await;
    assert_eq!(hub.reports.last().unwrap().state, UpdateState::Confirmed);
    assert_eq!(machine.stays(), "b");
}

/// A board with a boot loader.
struct Machine {
    places: Places,
    config: AgentConfig,
}

impl Machine {
    fn on(places: Places) -> Machine {
        let dir = places.dir.path();
        let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
        // The shell reads it: to execute a file that was just written fails ("text file busy") while
        // a child of another test still holds it.
        write("slots.sh", PROGRAM);
        write("stays", "a");
        write("booted", "none");
        write("tries", "0");
        for (name, place) in ["a", "b"].iter().zip(&places.paths) {
            symlink(place, dir.join(format!("slot-{name}"))).unwrap();
        }
        let off = dir.join("off");
        assert!(Command::new("mkfifo").arg(&off).status().unwrap().success());
        let text = format!(
            "[update]\ntrial_attempts = 2\n\
             [update.slots]\nkind = \"command\"\ncommand = [\"/bin/sh\", \"{dir}/slots.sh\", \"{dir}\"]\n\
             a = \"{a}\"\nb = \"{b}\"\n\
             [update.restart]\nreboots = true\n\
             command = [\"/bin/sh\", \"-c\", \"echo off > {off}\"]\n\
             [[health]]\ncommand = [\"/bin/sh\", \"{dir}/slots.sh\", \"{dir}\", \"well\"]\n",
            dir = dir.display(),
            a = places.paths[0].display(),
            b = places.paths[1].display(),
            off = off.display(),
        );
        let text = text.replace("[update]\n", "[update]\nhealth_grace_seconds = 0\n");
        let state = dir.join("state");
        fs::create_dir(&state).unwrap();
        let config = AgentConfig::parse(&text, &state.join("agent.toml")).unwrap();
        let machine = Machine { places, config };
        machine.write_medium("a", &image(FACTORY));
        machine
    }

    /// The agent runs, and the machine boots whenever it asks for that, until the update is over.
    async fn live(&self, hub: &mut FakeHub) {
        for _ in 0..8 {
            if !self.power_on(hub).await {
                return;
            }
            self.boot();
        }
        panic!("the machine restarts for ever");
    }

    /// True when it ended with a restart of the machine.
    async fn power_on(&self, hub: &mut FakeHub) -> bool {
        let off = self.path("off");
        let restarts = tokio::task::spawn_blocking(move || fs::read(off).unwrap());
        let mut runner = LocalRunner { config: self.config.clone() };
        let mut session = Session::open(&self.config, Disk::default()).unwrap();
        // This test's machine boots without the kernel noticing.
        session.installed.activated_in = "an earlier boot".into();
        let agent = async {
            Driver::new(&mut session, hub, &mut runner).start().await.unwrap();
            for _ in 0..3 {
                Driver::new(&mut session, hub, &mut runner).poll().await.unwrap();
            }
        };
        tokio::select! {
            () = agent => {
                // The reader of the FIFO ends when someone has opened it for writing.
                drop(fs::OpenOptions::new().write(true).open(self.path("off")).unwrap());
                false
            }
            _ = restarts => true,
        }
    }

    /// What a boot loader does: tries what is to be tried, as often as it may, and falls back to
    /// what stays. A dead image hangs until the watchdog bites.
    fn boot(&self) {
        while let Ok(trial) = fs::read_to_string(self.path("trial")) {
            let (slot, left) = trial.trim().split_once(' ').unwrap();
            let left: u32 = left.parse().unwrap();
            if left == 0 {
                fs::remove_file(self.path("trial")).unwrap();
                break;
            }
            fs::write(self.path("trial"), format!("{slot} {}", left - 1)).unwrap();
            fs::write(self.path("tries"), (self.tries() + 1).to_string()).unwrap();
            if !self.medium(slot).starts_with(DEAD) {
                return fs::write(self.path("booted"), slot).unwrap();
            }
        }
        fs::write(self.path("booted"), self.stays()).unwrap();
    }

    fn running(&self) -> String {
        fs::read_to_string(self.path("booted")).unwrap()
    }

    fn stays(&self) -> String {
        fs::read_to_string(self.path("stays")).unwrap().trim().to_owned()
    }

    fn tries(&self) -> u32 {
        fs::read_to_string(self.path("tries")).unwrap().parse().unwrap()
    }

    fn medium(&self, slot: &str) -> Vec<u8> {
        let mut bytes = fs::read(self.path(&format!("slot-{slot}"))).unwrap();
        bytes.truncate(SIZE);
        bytes
    }

    fn write_medium(&self, slot: &str, bytes: &[u8]) {
        use std::io::Write;
        let path = self.path(&format!("slot-{slot}"));
        let mut medium = fs::OpenOptions::new().write(true).open(path).unwrap();
        medium.write_all(bytes).unwrap();
        medium.sync_all().unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.places.dir.path().join(name)
    }
}

/// Two places of one mebibyte.
struct Places {
    dir: tempfile::TempDir,
    paths: [PathBuf; 2],
    detach: bool,
}

impl Places {
    fn files() -> Places {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["a.img", "b.img"].map(|name| dir.path().join(name));
        paths.iter().for_each(|path| fs::write(path, vec![0xff; 2 * SIZE]).unwrap());
        Places { dir, paths, detach: false }
    }

    fn loop_devices() -> Places {
        let mut places = Places::files();
        let attach = |file: &PathBuf| {
            let made = losetup().args(["--find", "--show"]).arg(file).output().unwrap();
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            assert!(made.status.success(), "no loop device can be had here: {said}");
            PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
        };
        places.paths = [attach(&places.paths[0]), attach(&places.paths[1])];
        places.detach = true;
        places
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        if self.detach {
            let _ = losetup().arg("--detach").args(&self.paths).status();
        }
    }
}

fn losetup() -> Command {
    // Debian keeps it outside an ordinary user's path.
    let places = ["/usr/sbin/losetup", "/sbin/losetup"];
    Command::new(places.into_iter().find(|path| Path::new(path).exists()).unwrap_or("losetup"))
}

/// An image that begins like this and does not repeat.
fn image(beginning: &[u8]) -> Vec<u8> {
    let mut bytes = beginning.to_vec();
    let mut number = u32::from(beginning[0]);
    while bytes.len() < SIZE {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.extend(number.to_be_bytes());
    }
    bytes.truncate(SIZE);
    bytes
}

const FACTORY: &[u8] = b"the factory's image";
/// What no machine boots.
const DEAD: &[u8] = b"dead";
/// A boot loader's user side, as `fw_setenv` and `rauc` are one, with two tries for a new slot.
const PROGRAM: &str = r#"#!/bin/sh
set -eu
dir=$1 verb=$2 slot=${3-}
put() { printf '%s' "$2" > "$dir/$1.new"; sync "$dir/$1.new"; mv "$dir/$1.new" "$dir/$1"; }
case $verb in
  write)
    dd of="$dir/slot-$slot" bs=64k conv=fsync,notrunc status=none
    if [ -e "$dir/faulty-medium" ]; then
      printf x | dd of="$dir/slot-$slot" bs=1 seek=77777 conv=fsync,notrunc status=none
    fi ;;
  activate) put trial "$slot 2" ;;
  confirm)
    if [ -e "$dir/deaf" ]; then echo "the environment cannot be written" >&2; exit 1; fi
    put stays "$slot"; rm -f "$dir/trial" ;;
  current) cat "$dir/booted" ;;
  well) [ ! -e "$dir/sick" ] || [ "$(cat "$dir/sick")" != "$(cat "$dir/booted")" ] ;;
  *) echo "unknown verb $verb" >&2; exit 2 ;;
esac
"#;
