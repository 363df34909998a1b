//! A device written in C over `ringfort_device.h`, against a real hub: it polls, takes an order,
//! fetches a release, tries it and confirms it, or goes back. And the header against the library.

#![allow(clippy::unwrap_used)]

#[path = "../cli/tests/common/mod.rs"]
mod common;
mod local_hub;

use std::fs;
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use common::Bench;
use local_hub::{LocalHub, Process, openssl};
use ringfort_device_c::ffi::*;
use ringfort_device_c::{Area, Condition, Destroy, Failure, Geometry, Severity};
use ringfort_messages::{IdentityAnswer, StoreKind, UpdateState};
use ringfort_pki::Csr;

#[test]
fn a_device_in_c_takes_an_update_and_confirms_it() {
    let device = Device::enrolled();
    let payload = noise(150_000);
    let deployment = device.deploy("1.0", &payload);
    let said = device.run(&[]);
    assert_eq!(said.matches("restart").count(), 1, "{said}");
    assert!(said.contains("trial in slot 1"), "{said}");
    assert!(said.contains("status update=5 active=1"), "{said}");
    assert_eq!(device.state_of(&deployment), "confirmed");
    assert_eq!(device.slot(1)[..payload.len()], payload);
    // The next one goes into the other slot.
    let next = noise(60_001);
    let deployment = device.deploy("1.1", &next);
    let said = device.run(&[]);
    assert!(said.contains("status update=5 active=0"), "{said}");
    assert_eq!(device.state_of(&deployment), "confirmed");
    assert_eq!(device.slot(0)[..next.len()], next);
}

#[test]
fn a_device_in_c_goes_back_from_an_image_that_is_not_well() {
    let device = Device::enrolled();
    let first = device.deploy("1.0", &noise(10_000));
    device.run(&[]);
    assert_eq!(device.state_of(&first), "confirmed");
    let sick = device.deploy("1.1", &noise(12_000));
    let said = device.run(&["the pump does not turn"]);
    assert!(said.contains("trial in slot 0"), "{said}");
    assert!(said.contains("status update=8 active=1"), "{said}");
    assert!(said.contains("reason=health-check-failed"), "{said}");
    assert_eq!(device.state_of(&sick), "reverted");
}

/// A technician brings order and release; there is no hub, and it hears of it later.
#[test]
fn a_device_in_c_takes_an_order_from_a_medium_and_no_altered_one() {
    let mut device = Device::enrolled();
    let payload = noise(20_000);
    let deployment = device.deploy("1.0", &payload);
    device.bench().ok("device order dev-c --out stick --dir operator");
    let copied = Command::new("cp")
        .args(["-r", "r-1.0", "stick/release"])
        .current_dir(device.path(""))
        .status();
    assert!(copied.unwrap().success());
    device.lose_hub();
    let medium = device.path("stick").display().to_string();
    let order = fs::read(device.path("stick/order")).unwrap();
    let mut altered = order.clone();
    *altered.last_mut().unwrap() ^= 1;
    fs::write(device.path("stick/order"), altered).unwrap();
    let (said, code) = device.command(&["medium", &medium]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("bad-signature") && !said.contains("restart"), "{said}");
    assert!(said.contains("status update=0"), "{said}");

    fs::write(device.path("stick/order"), &order).unwrap();
    let (said, code) = device.command(&["medium", &medium]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("trial in slot 1") && said.contains("status update=5 active=1"),
        "{said}"
    );
    assert_eq!(device.slot(1)[..payload.len()], payload);
    // Handed over again it does nothing.
    let (said, _) = device.command(&["medium", &medium]);
    assert!(said.contains("order-replayed") && !said.contains("restart"), "{said}");
    device.serving = Some(device.hub.serve());
    device.run(&[]);
    assert_eq!(device.state_of(&deployment), "confirmed");
}

/// The hub is gone; where the anchors lie too, a server that nobody trusts shows the newer ones.
#[test]
fn a_device_in_c_takes_newer_anchors_from_the_spare_address_one_by_one() {
    let mut device = Device::enrolled();
    let [port] = local_hub::free_ports();
    let bench = device.bench();
    let sign = |version: u64| {
        for key in ["a1", "a2"] {
            bench.ok(&format!(
                "pki anchors sign hub/anchors/{version}.cbor --key {key}.sealed --pin-file pin"
            ));
        }
    };
    bench.ok(&format!("pki anchors new --spare-address https://localhost:{port}/anchors"));
    sign(2);
    bench.ok("pki anchors publish hub/anchors/2.cbor --dir operator");
    bench.keys(&["c2", "c3"]);
    for (version, key) in [(3, "c2"), (4, "c3")] {
        bench.ok(&format!("pki anchors new --command-key {key}.pub"));
        sign(version);
    }
    device.run(&[]);
    device.lose_hub();
    let place = device.path("spare");
    fs::create_dir_all(place.join("anchors")).unwrap();
    let put = |version: u64, name: &str| {
        let from = device.path(&format!("hub/anchors/{version}.cbor"));
        fs::copy(from, place.join(name)).unwrap();
    };
    put(4, "anchors/3.cbor");
    let _spare = spare(&place, port);
    let (said, code) = device.command(&["spare"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("anchors 2") && said.contains("not taken"),
        "no version is skipped: {said}"
    );
    put(3, "anchors/3.cbor");
    put(4, "anchors/4.cbor");
    let (said, code) = device.command(&["spare"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("anchors 3") && said.contains("anchors 4"), "{said}");
    // They are in flash.
    let (said, _) = device.command(&["spare"]);
    assert!(said.starts_with("anchors 4"), "{said}");
}

/// OpenSSL's own file server, with a certificate of nobody.
fn spare(place: &Path, port: u16) -> Process {
    let options =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let made = Command::new("openssl")
        .args(options)
        .args(["-subj", "/CN=nobody", "-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(place)
        .output();
    assert!(made.unwrap().status.success());
    let mut server = Command::new("openssl");
    server
        .args(["s_server", "-WWW", "-quiet", "-cert", "certificate.pem", "-key", "key.pem"])
        .args(["-accept", &format!("127.0.0.1:{port}")])
        .stdout(std::process::Stdio::null())
        .current_dir(place);
    let server = Process::start(&mut server, &place.join("log"));
    let begun = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            begun.elapsed().as_secs() < 60,
            "{}",
            fs::read_to_string(place.join("log")).unwrap()
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server
}

#[test]
fn an_image_that_is_larger_than_its_slot_is_not_begun() {
    let device = Device::enrolled();
    let deployment = device.deploy("1.0", &noise(64 * 4096 + 1));
    let said = device.run(&[]);
    assert!(said.contains("reason=too-large"), "{said}");
    assert_eq!(device.state_of(&deployment), "failed");
    assert!(device.slot(1).iter().all(|byte| *byte == 0xff));
}

#[test]
fn a_record_that_was_torn_is_as_if_it_had_not_been_written() {
    let device = Device::enrolled();
    let deployment = device.deploy("1.0", &noise(10_000));
    device.run(&[]);
    assert_eq!(device.state_of(&deployment), "confirmed");
    // Damage to the newest record leaves the one before it; damage to both leaves no device.
    let whole = fs::read(device.path("flash")).unwrap();
    let half = 2 * 4096;
    let mut newest = [0, half];
    newest.sort_by_key(|at| std::cmp::Reverse(&whole[at + 8..at + 16]));
    let mut torn = whole.clone();
    torn[newest[0] + 100] ^= 1;
    fs::write(device.path("flash"), &torn).unwrap();
    assert!(device.run(&[]).contains("active=1"), "the record before the newest");
    torn[newest[1] + 100] ^= 1;
    torn[newest[0] + 100..newest[0] + 104].fill(0);
    fs::write(device.path("flash"), &torn).unwrap();
    assert!(device.command(&["run"]).0.contains("error -3"), "no device at all");
}

#[test]
fn a_certificate_request_from_c_is_one_that_the_hub_takes() {
    let program = Program::built();
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("new.key");
    let options = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"];
    assert!(Command::new("openssl").args(options).arg(&key).status().unwrap().success());
    let public =
        openssl(&["pkey", "-in", key.to_str().unwrap(), "-pubout", "-outform", "DER"], b"");
    let point = hex::encode(&public[public.len() - 65..]);
    let status =
        Command::new(&program.path).arg("request").arg(dir.path()).arg(point).status().unwrap();
    assert!(status.success());
    let mut request = fs::read(dir.path().join("request.der")).unwrap();
    let parsed = Csr::parse(&request).unwrap();
    assert_eq!(parsed.key().raw(), &public[public.len() - 65..]);
    assert!(parsed.texts().is_empty());
    *request.last_mut().unwrap() ^= 1;
    assert!(Csr::parse(&request).is_err());
}

/// Every size, place and number of the header, asserted by the C compiler against the library's.
#[test]
fn the_header_is_the_librarys() {
    let mut facts = String::from("#include \"ringfort_device.h\"\n#include <stddef.h>\n");
    let mut equal = |c: &str, rust: i64| {
        facts.push_str(&format!("_Static_assert((long long)({c}) == {rust}LL, \"{c}\");\n"));
    };
    macro_rules! structs {
        ($($c:ident = $rust:ident { $($field:ident),* })*) => {$(
            equal(concat!("sizeof(", stringify!($c), ")"), size_of::<$rust>() as i64);
            $(equal(
                concat!("offsetof(", stringify!($c), ", ", stringify!($field), ")"),
                offset_of!($rust, $field) as i64,
            );)*
        )*};
    }
    structs! {
        ringfort_geometry = Geometry { size_bytes, erase_bytes, program_bytes }
        ringfort_request = RingfortRequest {
            method, has_range, range_first, range_last, hub, path, body, body_length
        }
        ringfort_answer = RingfortAnswer { status, length }
        ringfort_port = RingfortPort {
            abi, areas, context, flash_read, flash_erase, flash_program, random, sign, exchange,
            activate, confirm, current, destroy, reboot, uptime_seconds, log
        }
        ringfort_identity = RingfortIdentity { device, ueid, vendor, class_id }
        ringfort_settings = RingfortSettings { built, trial_attempts, key_store, hardware_keys }
        ringfort_status = RingfortStatus {
            condition, update, active_slot, interval_seconds, time, anchors, floor, order, reason
        }
    }
    equal("sizeof(ringfort_device)", size_of::<RingfortDevice>() as i64);
    equal("_Alignof(ringfort_device)", align_of::<RingfortDevice>() as i64);
    for (c, rust) in [
        ("RINGFORT_ABI", i64::from(RINGFORT_ABI)),
        ("RINGFORT_DEVICE_SIZE", RINGFORT_DEVICE_SIZE as i64),
        ("RINGFORT_REQUEST_MAX", RINGFORT_REQUEST_MAX as i64),
        ("RINGFORT_SLOT_NONE", i64::from(RINGFORT_SLOT_NONE)),
        ("RINGFORT_SLOT_A", ringfort_device::Slot::A as i64),
        ("RINGFORT_SLOT_B", ringfort_device::Slot::B as i64),
        ("RINGFORT_IDLE", Condition::Idle as i64),
        ("RINGFORT_ON_TRIAL", Condition::OnTrial as i64),
        ("RINGFORT_REBOOTING", Condition::Rebooting as i64),
        ("RINGFORT_DECOMMISSIONED", Condition::Decommissioned as i64),
        ("RINGFORT_DESTROY_OPERATIONAL", Destroy::Operational as i64),
        ("RINGFORT_DESTROY_IDENTITY", Destroy::Identity as i64),
        ("RINGFORT_E_PLATFORM", Failure::Platform as i64),
        ("RINGFORT_E_ARGUMENT", Failure::Argument as i64),
        ("RINGFORT_E_FLASH", Failure::Flash as i64),
        ("RINGFORT_E_STATE", Failure::State as i64),
        ("RINGFORT_E_HUB", Failure::Hub as i64),
        ("RINGFORT_E_RANDOM", Failure::Random as i64),
        ("RINGFORT_E_TOO_LARGE", Failure::TooLarge as i64),
        ("RINGFORT_E_BOOT_LOADER", Failure::BootLoader as i64),
        ("RINGFORT_E_SIGN", Failure::Sign as i64),
        ("RINGFORT_AREA_STATE", Area::State as i64),
        ("RINGFORT_AREA_ANCHORS", Area::Anchors as i64),
        ("RINGFORT_AREA_SLOT_A", Area::SlotA as i64),
        ("RINGFORT_AREA_SLOT_B", Area::SlotB as i64),
        ("RINGFORT_INFORMATION", Severity::Information as i64),
        ("RINGFORT_WARNING", Severity::Warning as i64),
        ("RINGFORT_ALARM", Severity::Alarm as i64),
    ] {
        equal(c, rust);
    }
    for state in UpdateState::ALL {
        let name = format!("RINGFORT_UPDATE_{}", state.name().to_uppercase());
        equal(&name, state.number() as i64);
    }
    for store in StoreKind::ALL {
        let name = format!("RINGFORT_KEYS_{}", store.name().to_uppercase().replace('-', "_"));
        equal(&name, store.number() as i64);
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("facts.c");
    let compiles = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"]);
        compiler.arg(include()).arg(&file).output().unwrap()
    };
    let compiled = compiles(&facts);
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    // Its twin: one that is not so is found.
    facts.push_str("_Static_assert(sizeof(ringfort_status) == 1, \"twin\");\n");
    assert!(!compiles(&facts).status.success());
    // And C++ takes the header too.
    let cpp = dir.path().join("header.cpp");
    fs::write(&cpp, "#include \"ringfort_device.h\"\nint main() { return ringfort_abi() != 1; }\n")
        .unwrap();
    let mut compiler = Command::new("c++");
    compiler.args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"]);
    assert!(compiler.arg(include()).arg(&cpp).status().unwrap().success());
}

/// A provisioned and enrolled device in C, and its hub.
struct Device {
    hub: LocalHub,
    serving: Option<Process>,
    program: Program,
}

impl Device {
    fn enrolled() -> Device {
        let program = Program::built();
        let hub = LocalHub::new();
        let serving = hub.serve();
        let idevid = hub.make_devices(&["dev-c"]).remove(0);
        fs::copy(idevid.certificate, hub.bench.path("idevid.pem")).unwrap();
        fs::copy(idevid.key, hub.bench.path("idevid.key")).unwrap();
        let authority = hub.bench.path("operator/server-ca.pem");
        fs::copy(authority, hub.bench.path("server-ca.pem")).unwrap();
        let identity = fs::read(hub.bench.path("dev-c.identity")).unwrap();
        let identity = IdentityAnswer::decode(&identity).unwrap();
        let anchors = hub.bench.path("anchors.cbor");
        fs::write(&anchors, identity.anchors).unwrap();
        let digest = openssl(&["dgst", "-sha256", "-binary"], identity.anchors);
        let device = Device { serving: Some(serving), program, hub };
        let (said, code) = device.command(&[
            "provision",
            "dev-c",
            &hex::encode(identity.ueid.as_bytes()),
            &hex::encode(identity.vendor.0),
            &hex::encode(identity.class.0),
            anchors.to_str().unwrap(),
            &hex::encode(digest),
        ]);
        assert_eq!(code, 0, "{said}");
        let address = format!("https://localhost:{}", device.hub.device_port);
        let (said, code) = device.command(&["enrol", &address]);
        assert!(code == 0 && said.contains("enrolled"), "{said}");
        device
    }

    /// Ends the hub.
    fn lose_hub(&mut self) {
        assert_eq!(self.serving.take().unwrap().stop(), 0);
    }

    /// Publishes a release and offers it. Returns the deployment.
    fn deploy(&self, version: &str, payload: &[u8]) -> String {
        let bench = self.bench();
        fs::write(bench.path("payload"), payload).unwrap();
        let product = "--product acme.example/gateway";
        // The default number is the time in seconds, and two of these fit into one.
        let sequence = 1_800_000_000 + version.replace('.', "").parse::<u64>().unwrap();
        bench.ok(&format!(
            "release new payload {product} --version {version} --sequence {sequence} --out r-{version}"
        ));
        for key in ["r1", "r2"] {
            bench.ok(&format!("release sign r-{version} --key {key}.sealed --pin-file pin"));
        }
        bench.ok(&format!("release publish r-{version} --dir operator"));
        let created = format!("deploy create --release r-{version} --dir operator --json");
        bench.ok(&created).json()["result"]["id"].as_str().unwrap().to_owned()
    }

    /// Lets the device live until the update has ended.
    fn run(&self, more: &[&str]) -> String {
        let (said, code) = self.command(&[&["run"], more].concat());
        assert_eq!(code, 0, "{said}");
        assert!(!said.contains("error"), "{said}");
        said
    }

    fn command(&self, arguments: &[&str]) -> (String, i32) {
        let (verb, rest) = arguments.split_first().unwrap();
        let mut command = Command::new(&self.program.path);
        let done = command.arg(verb).arg(self.bench().path("")).args(rest).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned()
            + &String::from_utf8_lossy(&done.stderr);
        (said, done.status.code().unwrap_or(-1))
    }

    /// What the hub says of the device in a deployment.
    fn state_of(&self, deployment: &str) -> String {
        let status = format!("deploy status {deployment} --dir operator --json");
        let status = self.bench().ok(&status).json();
        status["targets"][0]["state"].as_str().unwrap_or_else(|| panic!("{status}")).to_owned()
    }

    fn slot(&self, number: usize) -> Vec<u8> {
        let flash = fs::read(self.path("flash")).unwrap();
        let at = 10 * 4096 + number * 64 * 4096;
        flash[at..at + 64 * 4096].to_vec()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bench().path(name)
    }

    fn bench(&self) -> &Bench {
        &self.hub.bench
    }
}

/// The C program, compiled and linked with the static library.
struct Program {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Program {
    fn built() -> Program {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host");
        let source = root().join("tests/c_host/host.c");
        let done = Command::new("cc")
            .args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-I"])
            .arg(include())
            .arg(source)
            .arg(library())
            .args(["-lpthread", "-ldl", "-lm", "-o"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Program { path, _dir: dir }
    }
}

/// The static library that was built with this test: the newest beside it.
fn library() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let beside = here.parent().unwrap();
    let is_library = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libringfort_device_c") && name.ends_with(".a")
    };
    let entries = fs::read_dir(beside).unwrap().map(|entry| entry.unwrap().path());
    let newest = entries.filter(|path| is_library(path)).max_by_key(|path| {
        path.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    });
    newest.unwrap_or_else(|| panic!("no library beside {}", here.display()))
}

fn include() -> PathBuf {
    root().join("device/c/include")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Bytes that do not repeat.
fn noise(length: usize) -> Vec<u8> {
    let mut number = length as u32;
    let mut next = || {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (number >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}
