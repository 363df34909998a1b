//! The Debian packages, installed into a root of their own, and what they bring: the services as
//! systemd judges them, the alert rules as Prometheus judges them, a hub that runs.

#![allow(clippy::unwrap_used)]

#[path = "../cli/tests/common/mod.rs"]
mod common;
mod local_hub;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use common::Bench;
use local_hub::{LocalHub, Process, fed, program};
use ringfort_api::client::{Client, ClientOptions};
use ringfort_keystore::{Passphrase, SealedKey};
use ringfort_pki::{CERTIFICATE, from_pem};

#[test]
fn an_installed_hub_serves_and_a_purge_keeps_its_keys() {
    let system = System::installed();
    assert!(
        system.read("etc/passwd").contains("\nringfort-hub:")
            || system.read("etc/passwd").starts_with("ringfort-hub:")
    );
    let state = system.path("var/lib/ringfort-hub");
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&system.path("etc/ringfort-hub")), 0o700);
    assert_eq!(system.dpkg(&["--verify"]), "", "files differ from the packages'");

    // As README.Debian says: the PKI, the hub, its passphrase out of its directory.
    let installed = system.path("usr/bin/ringfort");
    let hub = LocalHub::with(Bench::new(), &installed, &state);
    let settings = fs::read_to_string(state.join("hub.toml")).unwrap();
    assert!(settings.contains("pin = \"file:pin\""), "{settings}");
    let settings = settings.replace("file:pin", "credential:hub-pin");
    fs::write(state.join("hub.toml"), settings).unwrap();
    fs::rename(state.join("pin"), system.path("etc/ringfort-hub/pin")).unwrap();

    // As the service manager starts it: the unit's own command, the credential as a file.
    let credentials = system.path("run/credentials");
    fs::create_dir_all(&credentials).unwrap();
    fs::copy(system.path("etc/ringfort-hub/pin"), credentials.join("hub-pin")).unwrap();
    fs::set_permissions(credentials.join("hub-pin"), fs::Permissions::from_mode(0o400)).unwrap();
    let unit = system.read("usr/lib/systemd/system/ringfort-hub.service");
    assert!(unit.contains("LoadCredential=hub-pin:/etc/ringfort-hub/pin"));
    let command = setting(&unit, "ExecStart");
    let words: Vec<String> = command.split(' ').map(|word| system.inside(word)).collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("CREDENTIALS_DIRECTORY", &credentials);
    let (serving, said) = Process::serving(&mut command, &hub.bench.path("hub.log"));
    assert_eq!(said["loopback_only"], serde_json::Value::Null);
    assert_eq!(said["serving"], "quickstart");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = operator(&hub);
    runtime.block_on(client.healthy()).unwrap();
    let metrics = runtime.block_on(client.metrics()).unwrap();
    assert_eq!(serving.stop(), 0);
    check_names(&metrics);

    // The agent is the same program by its other name.
    let agent = |arguments: &[&str]| {
        let output = Command::new(system.path("usr/bin/ringfort-agent")).args(arguments).output();
        output.unwrap()
    };
    let example = agent(&["example"]);
    assert!(example.status.success());
    fs::write(system.path("var/lib/ringfort/agent.toml"), example.stdout).unwrap();
    let config = system.path("var/lib/ringfort").display().to_string();
    let request = system.path("var/lib/ringfort/request").display().to_string();
    let asked = agent(&["--config", &config, "identity", "request", "--out", &request]);
    assert!(asked.status.success(), "{asked:?}");

    let said = system.dpkg(&["--purge", "ringfort-hub", "ringfort-agent"]);
    assert!(said.contains("is kept: it holds the hub's keys"), "{said}");
    for gone in [
        "usr/bin/ringfort",
        "usr/bin/ringfort-agent",
        "usr/lib/systemd/system/ringfort-hub.service",
        "etc/default/ringfort-hub",
        "etc/default/ringfort-agent",
        "usr/share/doc/ringfort-hub",
    ] {
        assert!(!system.path(gone).exists(), "{gone} is still there");
    }
    assert!(state.join("keys/device-ca.sealed").is_file());
    assert!(system.path("etc/ringfort-hub/pin").is_file());
    assert!(system.path("var/lib/ringfort/keystore").is_dir());
}

#[test]
fn a_changed_setting_survives_an_upgrade() {
    let system = System::installed();
    fs::write(system.path("etc/default/ringfort-hub"), "RINGFORT_LOG=debug\n").unwrap();
    fs::write(system.path("usr/share/doc/ringfort-hub/README.Debian"), "changed").unwrap();
    system.install();
    assert_eq!(system.read("etc/default/ringfort-hub"), "RINGFORT_LOG=debug\n");
    assert!(system.read("usr/share/doc/ringfort-hub/README.Debian").len() > 100);
}

#[test]
fn the_same_sources_make_the_same_packages() {
    let (folder, again) = (packages(), tempfile::tempdir().unwrap());
    build(again.path());
    for name in names(folder) {
        let [one, other] =
            [folder, again.path()].map(|folder| fs::read(folder.join(&name)).unwrap());
        assert!(one == other, "{name} differs");
    }
}

#[test]
fn lintian_finds_nothing_to_complain_about() {
    let mut command = Command::new("lintian");
    command.args(["--fail-on", "error,warning", "--allow-root", "--suppress-tags"]);
    // Who answers for a package is said by whoever releases it.
    command.arg("bogus-mail-host,initial-upload-closes-no-bugs");
    command.args(names(packages()).into_iter().map(|name| packages().join(name)));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn systemd_understands_the_units_and_finds_them_hardened() {
    let system = System::installed();
    for (unit, bar) in UNITS {
        // A copy that names the installed program where it lies.
        let path = system.path(&format!("usr/lib/systemd/system/{unit}.service"));
        let own = system.path("").join(format!("{unit}.service"));
        let here = fs::read_to_string(&path).unwrap().replace(
            "ExecStart=/usr/bin/",
            &format!("ExecStart={}/", system.path("usr/bin").display()),
        );
        fs::write(&own, here).unwrap();
        let verified = Command::new("systemd-analyze").arg("verify").arg(&own).output().unwrap();
        let words = text(&verified);
        assert!(verified.status.success() && !words.contains(unit), "{words}");

        let judge = |bar: u32| {
            let mut command = Command::new("systemd-analyze");
            command.args(["security", "--offline=true", "--no-pager"]);
            command.arg(format!("--threshold={bar}")).arg(&path).output().unwrap()
        };
        assert!(judge(bar).status.success(), "{}", text(&judge(bar)));
        assert!(!judge(bar - 3).status.success(), "{unit}: the bar can be lower");
    }
}

#[test]
fn a_unit_without_its_hardening_does_not_pass() {
    let folder = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(root().join("packaging/systemd/ringfort-hub.service")).unwrap();
    let soft: String = unit
        .lines()
        .filter(|line| !line.starts_with("Protect") && !line.starts_with("SystemCallFilter"))
        .map(|line| format!("{line}\n"))
        .collect();
    let path = folder.path().join("ringfort-hub.service");
    fs::write(&path, soft).unwrap();
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager", "--threshold=20"]).arg(&path);
    assert!(!command.output().unwrap().status.success());
}

#[test]
fn prometheus_takes_the_rules_and_each_alert_fires_on_its_fault_only() {
    let rules = root().join("packaging/prometheus");
    for arguments in [["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]] {
        let output = Command::new("promtool").args(arguments).current_dir(&rules).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    // Every alert stands in the tests, in the silent half and in the loud one.
    let tests = fs::read_to_string(rules.join("rules_test.yml")).unwrap();
    let alerts = fs::read_to_string(rules.join("rules.yml")).unwrap();
    let alerts: Vec<&str> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 11);
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert},")), "{alert} is not tested silent");
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "{alert} is not tested loud");
    }
}

/// Prometheus finds nothing wrong with the metrics, and rules and dashboard name no series that
/// the hub does not have.
fn check_names(metrics: &str) {
    let checked = fed(program("promtool").args(["check", "metrics"]), metrics.as_bytes());
    assert!(checked.is_empty(), "{}", String::from_utf8_lossy(&checked));
    let exported = series(metrics);
    for file in ["packaging/prometheus/rules.yml", "packaging/grafana/ringfort.json"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        serde_json::from_str::<serde_json::Value>(&text)
            .map_or_else(|_| assert!(file.ends_with(".yml")), drop);
        let named = series(&text);
        assert!(named.len() >= 6, "{named:?}");
        // A counter appears with its first event, and this hub refused no connection; it has its
        // certificate from no authority either.
        let absent = ["ringfort_connections_refused_total", "ringfort_acme_failures"];
        let missing: Vec<_> =
            named.difference(&exported).filter(|name| !absent.contains(&name.as_str())).collect();
        assert!(missing.is_empty(), "{file} names {missing:?}; there are {exported:?}");
    }
}

/// The names of series in a text.
fn series(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("ringfort_"))
        .map(str::to_owned)
        .collect()
}

/// A root directory of its own for dpkg, with the packages installed.
struct System(tempfile::TempDir);

impl System {
    fn installed() -> System {
        let system = System(tempfile::tempdir().unwrap());
        for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log", "etc"] {
            fs::create_dir_all(system.path(folder)).unwrap();
        }
        for file in ["var/lib/dpkg/status", "var/lib/dpkg/available"] {
            fs::write(system.path(file), "").unwrap();
        }
        system.install();
        system
    }

    fn install(&self) {
        let files: Vec<String> = names(packages())
            .into_iter()
            .map(|name| packages().join(name).display().to_string())
            .collect();
        let mut arguments = vec!["--install"];
        arguments.extend(files.iter().map(String::as_str));
        self.dpkg(&arguments);
    }

    /// Runs dpkg on this root. What the packages depend on is this machine's, not this root's.
    fn dpkg(&self, arguments: &[&str]) -> String {
        let mut command = match rustix::process::geteuid().is_root() {
            true => Command::new("dpkg"),
            false => {
                let mut command = Command::new("fakeroot");
                command.arg("dpkg");
                command
            }
        };
        command.env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command.arg(format!("--root={}", self.0.path().display()));
        command.args(["--force-script-chrootless", "--force-depends", "--force-confold"]);
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A word of a unit's command, in this root if it is a path.
    fn inside(&self, word: &str) -> String {
        match word.strip_prefix('/') {
            Some(path) => self.path(path).display().to_string(),
            None => word.to_owned(),
        }
    }
}

/// The packages of the program under test, built once.
fn packages() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            build(folder.path());
            folder
        })
        .path()
}

fn build(out: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--locked", "-p", "xtask", "--", "deb", "--fast", "--binary"])
        .arg(env!("CARGO_BIN_EXE_ringfort"))
        .arg("--out")
        .arg(out)
        .env("SOURCE_DATE_EPOCH", "1790000000")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    names
}

fn operator(hub: &LocalHub) -> Client {
    let folder = hub.bench.path("operator");
    let certificate = |name: &str| {
        from_pem(CERTIFICATE, &fs::read_to_string(folder.join(name)).unwrap()).unwrap()
    };
    let passphrase = Passphrase::from_file(&folder.join("pin")).unwrap();
    let key = SealedKey::read(&folder.join("operator.sealed")).unwrap().open(&passphrase).unwrap();
    Client::new(ClientOptions {
        address: format!("localhost:{}", hub.operator_port),
        server_cas: vec![certificate("server-ca.pem")],
        certificate: certificate("operator.pem"),
        key: std::sync::Arc::new(key),
    })
    .unwrap()
}

/// A setting of a unit that stands there once.
fn setting<'a>(unit: &'a str, name: &str) -> &'a str {
    let mut found = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.next().unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The highest exposure that is taken, in tenths as systemd counts it. What remains is what the
/// services are for: they talk to the network (0.5 for the host's network, 0.3 for its address
/// families, 0.2 for no list of addresses), the hub binds ports below 1024, and the agent is root
/// without capabilities because its restart hook asks the service manager.
const UNITS: [(&str, u32); 2] = [("ringfort-hub", 18), ("ringfort-agent", 20)];
