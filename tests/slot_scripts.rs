//! The programs for slots in docs/slots.md, run as they stand there.
//!
//! What a board has is a file here: partitions, the kernel's command line, the boot loader's
//! environment. `fw_setenv` and `rauc` are Debian's own.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

#[test]
fn the_script_for_u_boot_does_what_the_table_says() {
    for board in [Board::with_libubootenv(), Board::with_u_boots_own_tool()] {
        board.script("U-Boot");
        assert_eq!(board.ok("write a", b"an image"), "");
        assert_eq!(fs::read(board.path("system-a")).unwrap(), b"an image");
        board.ok("activate b", b"");
        let expected = ["slot=b", "stays=a", "upgrade_available=1", "bootcount=0", "bootlimit=3"];
        board.environment_has(&expected);
        board.set("bootcount", "2");
        board.ok("confirm b", b"");
        board.environment_has(&["slot=b", "stays=b", "upgrade_available=0", "bootcount=0"]);
        // Each may come again.
        board.ok("confirm b", b"");
        board.environment_has(&["slot=b", "stays=b", "upgrade_available=0", "bootcount=0"]);
        for slot in ["a", "b"] {
            let line = format!("console=ttyS0 root=/dev/mmcblk0p2 ringfort.slot={slot} quiet\n");
            fs::write(board.path("cmdline"), line).unwrap();
            assert_eq!(board.ok("current", b""), format!("{slot}\n"));
        }
        board.fails("unlock a");
    }
}

#[test]
fn an_environment_that_was_not_written_is_a_failure() {
    let board = Board::new();
    board.script("U-Boot");
    // A tool that takes everything and does nothing, as each does with the lines of the other.
    board.program("fw_setenv", "exit 0");
    board.program("fw_printenv", "echo a");
    for verb in ["activate b", "confirm b"] {
        assert!(board.fails(verb).contains("was not written"), "{verb}");
    }
    board.program("fw_setenv", "exit 1");
    board.fails("activate b");
}

#[test]
fn a_partition_that_cannot_be_written_is_a_failure() {
    for section in ["U-Boot", "RAUC"] {
        let board = Board::new();
        board.script(section);
        fs::create_dir(board.path("system-b")).unwrap();
        board.fails("write b");
        fs::remove_dir(board.path("system-b")).unwrap();
        board.ok("write b", b"an image");
        assert_eq!(fs::read(board.path("system-b")).unwrap(), b"an image");
    }
}

/// RAUC's service runs on a bus of this test, with U-Boot's environment behind it.
#[test]
fn the_script_for_rauc_does_what_the_table_says() {
    let board = Board::with_libubootenv();
    board.script("RAUC");
    for (name, value) in [("BOOT_ORDER", "A B"), ("BOOT_A_LEFT", "3"), ("BOOT_B_LEFT", "3")] {
        board.set(name, value);
    }
    for slot in ["a", "b"] {
        fs::write(board.path(&format!("system-{slot}")), [0; 4096]).unwrap();
    }
    board.certificate();
    let system = format!(
        "[system]\ncompatible=acme\nbootloader=uboot\nstatusfile={0}/status\n\
         mountprefix={0}/mnt\n[keyring]\npath={0}/keyring.pem\n\
         [slot.rootfs.0]\ndevice={0}/system-a\nbootname=A\n\
         [slot.rootfs.1]\ndevice={0}/system-b\nbootname=B\n",
        board.path("").display()
    );
    fs::write(board.path("system.conf"), system).unwrap();
    fs::create_dir(board.path("mnt")).unwrap();
    // Booted from A; then, after a restart of the machine, from B.
    let said = board.beside_rauc("A", "slots current; slots write b < image; slots activate b");
    assert_eq!(said, "a\n");
    assert_eq!(fs::read(board.path("system-b")).unwrap(), fs::read(board.path("image")).unwrap());
    board.environment_has(&["BOOT_ORDER=B A", "BOOT_B_LEFT=3"]);
    board.set("BOOT_B_LEFT", "1");
    let said = board.beside_rauc("B", "slots current; slots confirm b; slots confirm b");
    assert_eq!(said, "b\n");
    board.environment_has(&["BOOT_ORDER=B A", "BOOT_B_LEFT=3"]);
    // Back to the other one, as the agent asks when a health check has failed.
    board.beside_rauc("B", "slots activate a");
    board.environment_has(&["BOOT_ORDER=A B"]);
    board.fails("unlock a");
}

/// What a device has, in a directory.
struct Board {
    dir: tempfile::TempDir,
}

impl Board {
    fn new() -> Board {
        let board = Board { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(board.path("bin")).unwrap();
        fs::write(board.path("image"), "a new image ".repeat(1000)).unwrap();
        board
    }

    /// Debian's fw_setenv and fw_printenv, on a redundant environment in two files.
    fn with_libubootenv() -> Board {
        let board = Board::new();
        let mut config = String::new();
        for copy in ["env-1", "env-2"] {
            fs::write(board.path(copy), [0; 0x4000]).unwrap();
            config += &format!("{} 0x0 0x4000\n", board.path(copy).display());
        }
        fs::write(board.path("fw_env.config"), config).unwrap();
        fs::write(board.path("defaults"), "bootlimit=3\nslot=a\nstays=a\n").unwrap();
        for name in ["fw_setenv", "fw_printenv"] {
            let tool = system_program(name);
            let config = board.path("fw_env.config");
            let defaults = board.path("defaults");
            board.program(
                name,
                &format!(
                    "exec {} -c {} -f {} \"$@\"",
                    tool.display(),
                    config.display(),
                    defaults.display()
                ),
            );
        }
        board
    }

    /// The form of U-Boot's own tools, which Debian has not: lines of a name and a value.
    fn with_u_boots_own_tool() -> Board {
        let board = Board::new();
        let environment = board.path("environment");
        fs::write(&environment, "bootlimit=3\nslot=a\nstays=a\n").unwrap();
        let file = environment.display();
        board.program(
            "fw_setenv",
            &format!(
                "case $1 in --script) lines=$(cat \"$2\") ;; *) lines=\"$1 $2\" ;; esac\n\
                 case $lines in *=*) echo 'illegal character' >&2; exit 1 ;; esac\n\
                 echo \"$lines\" | while read -r name value; do\n\
                 grep -v \"^$name=\" {file} > {file}.new; echo \"$name=$value\" >> {file}.new\n\
                 mv {file}.new {file}; done"
            ),
        );
        board.program(
            "fw_printenv",
            &format!("case $# in 0) cat {file} ;; *) sed -n \"s/^$2=//p\" {file} ;; esac"),
        );
        board
    }

    /// Puts the script of a section in place.
    fn script(&self, section: &str) {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/slots.md");
        let page = fs::read_to_string(page).unwrap();
        let (_, section) = page.split_once(&format!("\n## {section}\n")).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let (_, script) = section.split_once("```sh\n").unwrap();
        let script = script.split("```").next().unwrap();
        assert!(script.starts_with("#!/bin/sh\nset -eu\n"));
        let here = self.path("");
        let here = here.to_str().unwrap().trim_end_matches('/');
        let script = script.replace("/dev/disk/by-partlabel", here);
        let script = script.replace("/proc/cmdline", &format!("{here}/cmdline"));
        self.executable("slots", &script);
    }

    fn program(&self, name: &str, body: &str) {
        self.executable(name, &format!("#!/bin/sh\n{body}\n"));
    }

    /// Puts a program in place, written by a process of its own: a child that another test starts
    /// at this moment would hold a file that is open here, and nobody could execute it ("text file
    /// busy") until that child's own program runs.
    fn executable(&self, name: &str, text: &str) {
        let mut install = Command::new("install")
            .args(["-m", "755", "/dev/stdin"])
            .arg(self.path("bin").join(name))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        install.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(install.wait().unwrap().success());
    }

    /// Runs the script with this on its standard input, and gives what it says.
    fn ok(&self, arguments: &str, input: &[u8]) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, arguments: &str) -> String {
        let output = self.run(arguments, b"");
        assert!(!output.status.success(), "{arguments}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn run(&self, arguments: &str, input: &[u8]) -> Output {
        let mut command = self.command(&self.path("bin/slots"));
        command.args(arguments.split(' ')).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A script that does not read its input closes it.
        drop(child.stdin.take().unwrap().write_all(input));
        child.wait_with_output().unwrap()
    }

    /// Runs these lines beside RAUC's service on a machine that booted a slot.
    fn beside_rauc(&self, booted: &str, lines: &str) -> String {
        let script = format!(
            "export DBUS_STARTER_BUS_TYPE=session\n\
             rauc --conf=system.conf --override-boot-slot={booted} service > service.log 2>&1 &\n\
             service=$!\n\
             trap 'kill $service' EXIT\n\
             until rauc status > ready.log 2>&1; do kill -0 $service; sleep 0.1; done\n\
             {lines}\n"
        );
        let output = self
            .command(Path::new("dbus-run-session"))
            .args(["--", "sh", "-e", "-c", &script])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let log = fs::read_to_string(self.path("service.log")).unwrap_or_default();
        assert!(output.status.success(), "{output:?}\n{log}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}:/usr/sbin:/sbin", self.path("bin").display());
        command.current_dir(self.path("")).env("PATH", path);
        command
    }

    fn set(&self, name: &str, value: &str) {
        let done = self.command(&self.path("bin/fw_setenv")).args([name, value]).status().unwrap();
        assert!(done.success());
    }

    fn environment_has(&self, lines: &[&str]) {
        let output = self.command(&self.path("bin/fw_printenv")).output().unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        for line in lines {
            assert!(found.lines().any(|found| found == *line), "{line} is not in\n{found}");
        }
    }

    /// RAUC starts with nothing less than a keyring; no bundle is ever checked with it.
    fn certificate(&self) {
        let done = self
            .command(Path::new("openssl"))
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-noenc", "-subj", "/CN=test", "-keyout", "keyring.key", "-out", "keyring.pem"])
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A program of the system, also where an ordinary user's search path lacks its folder.
fn system_program(name: &str) -> PathBuf {
    let folders = ["/usr/bin", "/usr/sbin", "/sbin"].map(|folder| Path::new(folder).join(name));
    let found = folders.into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed"))
}
