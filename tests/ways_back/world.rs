//! A fleet of its own for each scene: people with their keys, a factory, a hub, devices.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

use crate::common::Ran;
use crate::pages::{self, Block};
use crate::process::{PATIENCE, Process, finish, until};

/// A scene's directory and its part of the loopback network.
pub struct World {
    dir: tempfile::TempDir,
    scene: u8,
    /// What the hub's and the operators' clocks say; nothing for the machine's own.
    clock: Mutex<Option<String>>,
    /// Blocks of the runbook that were run, by their section.
    followed: Mutex<BTreeMap<String, BTreeSet<usize>>>,
}

/// How an agent is started.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// What its clock says: `+760d`, `@1970-01-01 00:00:05`.
    pub clock: Option<String>,
    /// More of its environment.
    pub environment: Vec<(&'static str, String)>,
}

impl World {
    /// PKI, hub, a factory with devices, releases: all made before, none of it running.
    pub fn new() -> World {
        World::of(template())
    }

    /// The same with a hub that serves devices and people on port 443 alone.
    pub fn on_one_port() -> World {
        static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
        World::of(TEMPLATE.get_or_init(|| {
            let pki_init = PKI_INIT.replace(":8443", "").replace(":8445", "");
            let hub_init = HUB_INIT.replace(":8443", ":443").replace(":8444", ":443");
            make_template("ways_back_one_port", &pki_init, &hub_init)
        }))
    }

    fn of(template: &Path) -> World {
        static SCENES: AtomicU8 = AtomicU8::new(1);
        let dir = tempfile::tempdir().unwrap();
        copy(template, dir.path());
        symlink(env!("CARGO_BIN_EXE_ringfort"), dir.path().join("ringfort-agent")).unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_ringfort"), dir.path().join("bin/ringfort")).unwrap();
        let scene = SCENES.fetch_add(1, Ordering::Relaxed);
        let world =
            World { dir, scene, clock: Mutex::new(None), followed: Mutex::new(BTreeMap::new()) };
        world.listen_at("hub", HUB);
        world.name_hosts("hosts", &[]);
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An address of this scene alone.
    pub fn ip(&self, last: u8) -> String {
        let process = 64 + std::process::id() % 128;
        format!("127.{process}.{}.{last}", self.scene)
    }

    /// Has a hub listen at an address of this scene.
    pub fn listen_at(&self, hub: &str, last: u8) {
        let file = self.path(&format!("{hub}/hub.toml"));
        let text = fs::read_to_string(&file).unwrap();
        let listen = |line: &str| match line.strip_prefix("listen = \"") {
            Some(rest) => {
                let port = rest.rsplit(':').next().unwrap();
                format!("listen = \"{}:{port}", self.ip(last))
            }
            None => line.to_owned(),
        };
        let lines: Vec<String> = text.lines().map(listen).collect();
        fs::write(&file, lines.join("\n")).unwrap();
    }

    /// Writes where names lead; those of the hub and the spare address unless others are given.
    pub fn name_hosts(&self, file: &str, others: &[(&str, u8)]) {
        let usual = [
            ("hub.acme.example", HUB),
            ("ops.acme.example", HUB),
            ("spare.acme.example", SPARE),
            ("hub2.acme.example", NEW_HUB),
            ("ops2.acme.example", NEW_HUB),
        ];
        let mut text = String::new();
        for (name, last) in usual {
            let last = others.iter().find(|(other, _)| *other == name).map_or(last, |(_, l)| *l);
            text.push_str(&format!("{} {name}\n", self.ip(last)));
        }
        fs::write(self.path(file), text).unwrap();
    }

    /// Sets the clocks of the hub and of the people; what runs already keeps its own.
    pub fn set_clock(&self, clock: &str) {
        *self.clock.lock().unwrap() = Some(clock.to_owned());
    }

    /// Runs `ringfort` in the scene's directory. The arguments are split at blanks.
    pub fn run(&self, arguments: &str) -> Ran {
        let clock = self.clock.lock().unwrap().clone();
        let mut command = self.command("ringfort", "hosts", clock.as_deref());
        command.args(arguments.split_whitespace());
        finish(command)
    }

    /// Runs a command that has to succeed.
    pub fn ok(&self, arguments: &str) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "ringfort {arguments}\n{}{}", ran.out, ran.err);
        ran
    }

    /// Runs the commands of the runbook as they stand there: one block of a section. A scene that
    /// runs one of a section has to run all of it.
    pub fn follow(&self, section: &str, block: usize) -> String {
        let text = &runbook(section)[block].text;
        self.followed.lock().unwrap().entry(section.to_owned()).or_default().insert(block);
        let clock = self.clock.lock().unwrap().clone();
        let mut shell = self.command_of(Path::new("/bin/sh"), "hosts", clock.as_deref());
        shell.args(["-e", "-c", text]);
        let ran = finish(shell);
        assert_eq!(ran.code, 0, "{section}: {text}\n{}{}", ran.out, ran.err);
        ran.out
    }

    /// Runs the agent's other commands.
    pub fn agent_ok(&self, arguments: &str) -> Ran {
        let mut command = self.command("ringfort-agent", "hosts", None);
        command.args(arguments.split_whitespace());
        let ran = finish(command);
        assert_eq!(ran.code, 0, "ringfort-agent {arguments}\n{}{}", ran.out, ran.err);
        ran
    }

    fn command(&self, name: &str, hosts: &str, clock: Option<&str>) -> Command {
        let program = match name {
            "ringfort" => PathBuf::from(env!("CARGO_BIN_EXE_ringfort")),
            other => self.path(other),
        };
        self.command_of(&program, hosts, clock)
    }

    fn command_of(&self, program: &Path, hosts: &str, clock: Option<&str>) -> Command {
        let mut command = Command::new(program);
        // The runbook says `ringfort`.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        for name in ["https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "RINGFORT_LOG"] {
            command.env_remove(name);
        }
        let mut libraries = "libnss_wrapper.so".to_owned();
        if let Some(clock) = clock {
            libraries = format!("{libraries}:{}", faketime().display());
            command.env("FAKETIME", clock).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            // Moved with the clock to 1970, the file with the names could have been changed at 0,
            // which the library for names takes for never read and unchanged.
            command.env("NO_FAKE_STAT", "1");
        }
        command.env("LD_PRELOAD", libraries).env("NSS_WRAPPER_HOSTS", self.path(hosts));
        command.current_dir(self.dir.path());
        command
    }

    /// Serves a hub; returns when it does.
    pub fn serve(&self, directory: &str) -> Process {
        let clock = self.clock.lock().unwrap().clone();
        let mut command = self.command("ringfort", "hosts", clock.as_deref());
        command.args(["hub", "serve", "--json", "--dir", directory]);
        Process::serving(command, self.path(&format!("{directory}.log")))
    }

    /// Serves the hub for the first time: with its devices and the releases.
    pub fn open_hub(&self) -> Process {
        let hub = self.serve("hub");
        self.ok("factory import plant-1.batch --dir operator");
        for version in RELEASES {
            self.ok(&format!("release publish r-{version} --dir operator"));
        }
        hub
    }

    /// Starts the agent of a device.
    pub fn agent(&self, device: &str, conditions: &Conditions) -> Process {
        Process::start(self.agent_command(device, conditions), self.path(&format!("{device}.log")))
    }

    /// How the agent of a device is started.
    pub fn agent_command(&self, device: &str, conditions: &Conditions) -> Command {
        let hosts = format!("{device}/hosts");
        if !self.path(&hosts).exists() {
            self.name_hosts(&hosts, &[]);
        }
        let mut command = self.command("ringfort-agent", &hosts, conditions.clock.as_deref());
        command.args(["--config", device, "run"]).stdout(Stdio::null());
        command.envs(conditions.environment.iter().cloned());
        command
    }

    /// Offers a release to one device; returns the deployment.
    pub fn deploy(&self, version: &str, device: &str, operator: &str) -> String {
        self.deploy_for(&format!("--release r-{version} --device {device} --dir {operator}"))
    }

    /// Offers a release to every device of the class, those that enrol later among them.
    pub fn deploy_to_all(&self, version: &str, operator: &str) -> String {
        self.deploy_for(&format!("--release r-{version} --dir {operator}"))
    }

    fn deploy_for(&self, options: &str) -> String {
        let made = self.ok(&format!("deploy create {options} --json")).json();
        made["result"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
    }

    /// Offers a release to a device, and returns when the hub shows it confirmed.
    pub fn update(&self, version: &str, device: &str, operator: &str) {
        until(&format!("{device} has enrolled"), || {
            self.device(device, operator)["device"]["state"] == "deployed"
        });
        let deployment = self.deploy(version, device, operator);
        let seconds = PATIENCE.as_secs();
        let ran = self
            .run(&format!("deploy status {deployment} --wait {seconds} --dir {operator} --json"));
        assert_eq!(ran.code, 0, "{ran:?}");
        let states = self.states(&deployment, operator);
        let wanted = [(device.to_owned(), "confirmed".to_owned())];
        let log = fs::read_to_string(self.path(&format!("{device}.log"))).unwrap_or_default();
        assert_eq!(states, wanted, "{ran:?}\n{log}");
        assert_eq!(self.status(device)["release"]["version"], version);
    }

    /// The state of each device in a deployment, as the operator sees it.
    pub fn states(&self, deployment: &str, operator: &str) -> Vec<(String, String)> {
        let status = self.ok(&format!("deploy status {deployment} --dir {operator} --json")).json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let targets = status["targets"].as_array().unwrap().iter();
        targets.map(|target| (text(&target["device"]), text(&target["state"]))).collect()
    }

    /// Returns when the hub shows each of these devices confirmed.
    pub fn all_confirmed(&self, deployment: &str, operator: &str, devices: &[String]) {
        until(&format!("all of {devices:?} are confirmed"), || {
            let states = self.states(deployment, operator);
            let is_confirmed = |device: &String| {
                states.iter().any(|(id, state)| id == device && state == "confirmed")
            };
            devices.iter().all(is_confirmed)
        });
    }

    /// Makes more devices at the factory and hands them to the hub that serves.
    pub fn make_devices(&self, count: usize) -> Vec<String> {
        let names: Vec<String> = (1..=count).map(|number| format!("more-{number}")).collect();
        for name in &names {
            make_device(&self.path(""), name);
        }
        self.ok("factory export --pin-file pin");
        self.ok("factory import plant-2.batch --dir operator");
        names
    }

    /// What the operator sees of a device.
    pub fn device(&self, id: &str, operator: &str) -> Value {
        self.ok(&format!("device show {id} --dir {operator} --json")).json()
    }

    /// What happened to a device, as the operator sees it: a line each, oldest first.
    pub fn history(&self, id: &str, operator: &str) -> String {
        self.ok(&format!("device history {id} --dir {operator} --json")).out
    }

    /// What the device says of itself.
    pub fn status(&self, device: &str) -> Value {
        self.agent_ok(&format!("--config {device} status --json")).json()
    }

    /// Returns when the device believes this version of the anchors.
    pub fn has_anchors(&self, device: &str, version: u64) {
        until(&format!("{device} has anchors {version}"), || {
            self.status(device)["anchors"] == version
        });
    }

    /// Returns when the device has confirmed this release itself.
    pub fn runs(&self, device: &str, version: &str) {
        until(&format!("{device} runs {version}"), || {
            self.status(device)["release"]["version"] == version
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for (section, run) in self.followed.get_mut().unwrap() {
            let all = runbook(section).len();
            assert_eq!(run.len(), all, "of {section:?} only blocks {run:?} were run, of {all}");
        }
    }
}

/// The blocks of a section of the runbook.
fn runbook(section: &str) -> Vec<Block> {
    let blocks = pages::blocks("operate.md").into_iter();
    let found: Vec<Block> = blocks.filter(|block| block.section == section).collect();
    assert!(!found.is_empty(), "no section {section}");
    found
}

/// What all scenes begin with, made once by the commands that people type.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| make_template("ways_back", PKI_INIT, HUB_INIT))
}

fn make_template(name: &str, pki_init: &str, hub_init: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    for (name, text) in [
        ("pin", "a passphrase of its own\n"),
        ("other-pin", "another one\n"),
        ("third-pin", "a third one\n"),
    ] {
        fs::write(place.join(name), text).unwrap();
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let ok = |arguments: &str| ringfort(&place, arguments);
    for key in ["a1", "a2", "a3", "r1", "r2", "r3"] {
        ok(&format!("release keygen {key} --pin-file pin"));
    }
    ok("factory init --site plant --pin-file pin");
    ok(pki_init);
    for key in ["a1", "a2"] {
        ok(&format!("pki anchors sign hub/anchors/1.cbor --key {key}.sealed --pin-file pin"));
    }
    ok("factory accept --answer hub/sites/plant.answer --anchors hub/anchors");
    DEVICES.iter().for_each(|device| make_device(&place, device));
    ok("factory export --pin-file pin");
    ok(hub_init);
    for (version, sequence) in RELEASES.iter().zip(1_000_000..) {
        fs::write(place.join(format!("payload-{version}")), version.repeat(1000)).unwrap();
        ok(&format!(
            "release new payload-{version} --product acme.example/gateway --version {version} \
                 --sequence {sequence} --out r-{version}"
        ));
        for key in ["r1", "r2"] {
            ok(&format!("release sign r-{version} --key {key}.sealed --pin-file pin"));
        }
    }
    place
}

fn make_device(place: &Path, name: &str) {
    fs::create_dir(place.join(name)).unwrap();
    fs::write(place.join(name).join("agent.toml"), AGENT_TOML).unwrap();
    ringfort(place, &format!("agent --config {name} identity request --out {name}.request"));
    ringfort(place, &format!("factory provision {name}.request --device {name} --pin-file pin"));
    ringfort(place, &format!("agent --config {name} identity install {name}.identity"));
}

/// Runs a command that needs no network and no other clock.
fn ringfort(place: &Path, arguments: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfort"));
    command.args(arguments.split_whitespace()).current_dir(place);
    let ran = finish(command);
    assert_eq!(ran.code, 0, "{arguments}\n{}{}", ran.out, ran.err);
}

/// Copies a directory with all below and the modes of its files.
pub fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&from, &to);
            fs::set_permissions(&to, fs::metadata(&from).unwrap().permissions()).unwrap();
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// A program, also where an ordinary user's search path lacks the folders of administrators.
pub fn system_program(name: &str) -> PathBuf {
    let folders = ["/usr/sbin", "/sbin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
    folders.into_iter().find(|path| path.is_file()).unwrap_or_else(|| name.into())
}

fn faketime() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folders = fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
        let mut found = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
        found.find(|path| path.exists()).expect("the package faketime is installed")
    })
}

/// The last parts of addresses.
pub const HUB: u8 = 1;
pub const SPARE: u8 = 2;
pub const NEW_HUB: u8 = 3;
/// The first of those that a scene may use for its relays.
pub const RELAYS: u8 = 10;

/// What was made at the factory before.
const DEVICES: [&str; 3] = ["dev-1", "dev-2", "dev-3"];
pub const RELEASES: [&str; 3] = ["1.0", "1.1", "1.2"];
const PKI_INIT: &str = "pki init --name acme --root root --backup-root backup-root \
    --hub-address hub.acme.example:8443 \
    --spare-address https://spare.acme.example:8445/anchors \
    --anchor-key a1.pub a2.pub a3.pub --product acme.example/gateway \
    --release-key r1.pub r2.pub r3.pub --root-pin-file pin --backup-root-pin-file other-pin \
    --site station/plant.request --site-days 3650";
const HUB_INIT: &str = "hub init --listen 127.0.0.1:8443 --operator-listen 127.0.0.1:8444 \
    --operator-address ops.acme.example:8444 --approvals 1";
const AGENT_TOML: &str = "[poll]\ninterval_seconds = 1\n[update]\n\
    [[health]]\ncommand = [\"/bin/true\"]\n";
