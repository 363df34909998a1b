//! What befalls the machine under a running hub: each fault is named, loses nothing, and is over
//! when it ends.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::Bench;
use common::hub::{Hub, hub_init, local_pki};

#[test]
fn a_full_disk_is_named_and_over_when_there_is_room_again() {
    let bench = hub_with_release();
    // Files cannot grow beyond this; that is how a full disk looks from inside.
    let hub = limited(&bench, ROOM);
    bench.run("release publish r --dir operator").refused("storage-failed");
    bench.ok("device list --dir operator");
    assert_eq!(objects(&bench), 0, "nothing is left of what did not fit");
    set_limit(&hub, "unlimited");
    bench.ok("release publish r --dir operator");

    // The database cannot grow either; what was told before stays.
    bench.ok("user add vera --role viewer --dir operator");
    set_limit(&hub, "1");
    bench.run("user add olga --role viewer --dir operator").refused("storage-failed");
    assert_eq!(people(&bench), ["admin", "vera"]);
    set_limit(&hub, "unlimited");
    bench.ok("user add olga --role viewer --dir operator");
    assert_eq!(people(&bench), ["admin", "olga", "vera"]);
    log_is_whole(&bench);
    assert_eq!(hub.stop(), 0);

    let hub = Hub::start(&bench);
    assert_eq!(people(&bench), ["admin", "olga", "vera"]);
    log_is_whole(&bench);
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_directory_that_cannot_be_written_is_named_and_over_when_it_can() {
    let bench = hub_with_release();
    let writable = |path: &str, may: bool| {
        let path = bench.path(path);
        let mode = match (path.is_dir(), may) {
            (true, true) => 0o700,
            (true, false) => 0o500,
            (false, true) => 0o600,
            (false, false) => 0o400,
        };
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let files = || -> Vec<String> {
        let names = fs::read_dir(bench.path("hub")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("hub.db")).map(|name| format!("hub/{name}")).collect()
    };
    let closed = files();
    closed.iter().for_each(|file| writable(file, false));
    writable("hub", false);
    let ran = run_as_other(&bench, &["hub", "serve"]);
    ran.refused("storage-failed");
    writable("hub", true);
    closed.iter().for_each(|file| writable(file, true));

    let hub = Hub::run(&mut as_other(&["hub", "serve", "--json", "--dir"], &bench), &bench);
    writable("hub/objects", false);
    bench.run("release publish r --dir operator").refused("storage-failed");
    bench.ok("device list --dir operator");
    writable("hub/objects", true);
    bench.ok("release publish r --dir operator");
    log_is_whole(&bench);
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_database_that_another_process_holds_is_named_and_over_when_it_lets_go() {
    let bench = hub_with_release();
    let hub = Hub::start(&bench);
    let held = Holder::take(&bench.path("hub/hub.db"));
    let refused = bench.run("user add olga --role viewer --dir operator");
    refused.refused("storage-failed");
    assert!(refused.err.contains("locked by another process"), "{refused:?}");
    bench.ok("device list --dir operator");
    held.let_go();
    bench.ok("user add olga --role viewer --dir operator");
    assert_eq!(people(&bench), ["admin", "olga"]);
    log_is_whole(&bench);
    assert_eq!(hub.stop(), 0);
}

/// The clock of a hub that runs goes years ahead, then back behind everything that it has recorded.
#[test]
fn a_clock_that_jumps_shuts_people_out_and_is_over_when_it_is_set_right() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    let clock = bench.path("clock");
    // It is read at every look at the time: never half written.
    let set_clock = |jump: &str| {
        fs::write(bench.path("next-clock"), jump).unwrap();
        fs::rename(bench.path("next-clock"), &clock).unwrap();
    };
    set_clock("+0d");
    let library = faketime();
    let environment = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
    ];
    let hub = Hub::start_with(&bench, &environment);
    bench.ok("device list --dir operator");
    for (jump, name) in [("+400d", "vera"), ("-400d", "olga")] {
        set_clock(jump);
        // By that clock nobody's certificate is good.
        bench.run("device list --dir operator").failed("cannot be reached");
        set_clock("+0d");
        bench.ok("device list --dir operator");
        bench.ok(&format!("user add {name} --role viewer --dir operator"));
    }
    assert_eq!(people(&bench), ["admin", "olga", "vera"]);
    log_is_whole(&bench);
    assert_eq!(hub.stop(), 0);
    assert_eq!(Hub::start(&bench).stop(), 0);
}

fn faketime() -> std::path::PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let mut found = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
    found.find(|path| path.exists()).expect("the package faketime is installed")
}

#[test]
fn a_database_of_a_newer_program_is_refused_and_left_alone() {
    let bench = hub_with_release();
    let database = bench.path("hub/hub.db");
    let future = "INSERT INTO _sqlx_migrations \
        (version, description, success, checksum, execution_time) VALUES (9999, 'x', 1, x'00', 0)";
    sql(&database, future);
    let before = fs::read(&database).unwrap();
    let ran = bench.run("hub serve");
    ran.refused("unsupported");
    assert!(ran.err.contains("schema 9999"), "{ran:?}");
    assert_eq!(fs::read(&database).unwrap(), before);
    sql(&database, "DELETE FROM _sqlx_migrations WHERE version = 9999");
    assert_eq!(Hub::start(&bench).stop(), 0);
}

#[test]
fn a_supervisor_hears_from_a_hub_whose_registry_answers() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    let socket = bench.path("notify");
    let supervisor = UnixDatagram::bind(&socket).unwrap();
    supervisor.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let environment = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "300000")];
    let hub = Hub::start_with(&bench, &environment);
    let mut heard = Vec::new();
    while heard.iter().filter(|word| *word == "WATCHDOG=1").count() < 3 {
        let mut word = [0; 256];
        let length = supervisor.recv(&mut word).expect("the hub speaks within a minute");
        heard.push(String::from_utf8_lossy(&word[..length]).trim().to_owned());
    }
    assert_eq!(heard[0], "READY=1");
    assert_eq!(hub.stop(), 0);
}

/// A hub with a release that waits to be published, larger than the room of a full disk.
fn hub_with_release() -> Bench {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    fs::write(bench.path("payload"), vec![7; 2 * ROOM]).unwrap();
    bench.ok("release new payload --product acme.example/gateway --version 1.0 --out r");
    for key in ["r1", "r2"] {
        bench.ok(&format!("release sign r --key {key}.sealed --pin-file pin"));
    }
    bench
}

fn limited(bench: &Bench, bytes: usize) -> Hub {
    // Without the trap the first write too many would end the process.
    let line = format!("trap '' XFSZ; exec prlimit --fsize={bytes}: \"$@\"");
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &line,
            "sh",
            env!("CARGO_BIN_EXE_ringfort"),
            "hub",
            "serve",
            "--json",
            "--dir",
        ])
        .arg(bench.path("hub"));
    Hub::run(&mut command, bench)
}

fn set_limit(hub: &Hub, bytes: &str) {
    let done = Command::new("prlimit")
        .args(["--pid", &hub.pid().to_string(), &format!("--fsize={bytes}:")])
        .status();
    assert!(done.unwrap().success());
}

/// The program for somebody whom modes of files bind: root can do without.
fn as_other(arguments: &[&str], bench: &Bench) -> Command {
    let program = env!("CARGO_BIN_EXE_ringfort");
    let mut command = match rustix::process::geteuid().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set", "-dac_override,-dac_read_search", program]);
            command
        }
        false => Command::new(program),
    };
    command.args(arguments);
    if arguments.last() == Some(&"--dir") {
        command.arg(bench.path("hub"));
    }
    command.current_dir(bench.path(""));
    command
}

fn run_as_other(bench: &Bench, arguments: &[&str]) -> common::Ran {
    let output = as_other(arguments, bench).stdin(Stdio::null()).output().unwrap();
    common::Ran::from(output)
}

/// Another process in the middle of a change.
struct Holder(Child);

impl Holder {
    fn take(database: &Path) -> Holder {
        let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\n\
                      c.execute('BEGIN IMMEDIATE')\nprint('held',flush=True)\nsys.stdin.read()\n\
                      c.execute('ROLLBACK')";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "held");
        Holder(child)
    }

    fn let_go(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // One that has let go has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who has access or is invited, by name.
fn people(bench: &Bench) -> Vec<String> {
    let list = bench.ok("user list --dir operator --json").json();
    let mut names: Vec<String> = list["people"]
        .as_array()
        .unwrap()
        .iter()
        .map(|person| person["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names
}

fn log_is_whole(bench: &Bench) {
    let _ = fs::remove_file(bench.path("log.json"));
    bench.ok("audit export log.json --dir operator");
    bench.ok("audit verify log.json --key operator/evidence.pub");
}

/// Whole objects, and what uploads have left.
fn objects(bench: &Bench) -> usize {
    let folders =
        fs::read_dir(bench.path("hub/objects")).unwrap().map(|entry| entry.unwrap().path());
    folders.filter(|path| path.is_dir()).map(|path| fs::read_dir(path).unwrap().count()).sum()
}

fn sql(database: &Path, statement: &str) {
    let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1])\nc.execute(sys.argv[2])\n\
                  c.commit()\nc.execute('PRAGMA wal_checkpoint(TRUNCATE)')\nc.close()";
    let done = Command::new("python3").args(["-c", script]).arg(database).arg(statement).status();
    assert!(done.unwrap().success(), "{statement}");
}

/// Enough for the database, too little for the release.
const ROOM: usize = 4 * 1024 * 1024;
