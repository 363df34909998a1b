//! The outside programs that the tests drive, and how they come onto the machine.
//!
//! Tests never skip in silence: what they need is installed first, or the task ends here and
//! says what to install.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::run::{PAUSES, on_path, run, succeeds};

/// One Debian package, how its presence is seen on any system, and what the tests do with it.
pub struct Package {
    pub name: &'static str,
    pub probe: Probe,
    pub used_for: &'static str,
}

/// How the presence of a package is seen, so that a machine with another package manager passes too.
pub enum Probe {
    Program(&'static str),
    AnyFile(&'static [&'static str]),
    PythonModules(&'static str),
}

impl Probe {
    fn found(&self) -> bool {
        match self {
            Self::Program(name) => on_path(name),
            Self::AnyFile(paths) => paths.iter().any(|path| Path::new(path).exists()),
            Self::PythonModules(modules) => {
                succeeds(Command::new("python3").args(["-c", &format!("import {modules}")]))
            }
        }
    }
}

impl Package {
    const fn program(name: &'static str, program: &'static str, used_for: &'static str) -> Package {
        Package { name, probe: Probe::Program(program), used_for }
    }
}

/// What the tests of this workspace drive. Each is a real peer; none is optional.
pub const PACKAGES: &[Package] = &[
    Package::program("softhsm2", "softhsm2-util", "a PKCS#11 token for the key-store tests"),
    Package::program("opensc", "pkcs11-tool", "an outside view of that token"),
    Package::program("libubootenv-tool", "fw_setenv", "U-Boot's environment for the slot scripts"),
    Package::program("rauc", "rauc", "the boot loader's switch for one of them"),
    Package::program("dbus-daemon", "dbus-run-session", "a bus of its own for it"),
    Package::program("swtpm", "swtpm", "a TPM 2.0 for the key-store tests"),
    Package::program("tpm2-tools", "tpm2_pcrextend", "an outside view of that TPM"),
    Package {
        name: "libtss2-dev",
        probe: Probe::AnyFile(&[
            "/usr/include/tss2/tss2_esys.h",
            "/usr/local/include/tss2/tss2_esys.h",
        ]),
        used_for: "to build the TPM key store",
    },
    Package::program("pkg-config", "pkg-config", "to find that library"),
    Package::program("g++", "c++", "to build libFuzzer"),
    Package::program("iproute2", "ip", "a loopback of its own for the pages that a team follows"),
    Package::program("openssl", "openssl", "outside certificates, requests and TLS client"),
    Package::program("curl", "curl", "an outside EST client"),
    Package {
        name: "ca-certificates",
        probe: Probe::AnyFile(&["/etc/ssl/certs/ca-certificates.crt"]),
        used_for: "what this machine trusts, which a page's hub is met by",
    },
    Package::program("faketime", "faketime", "clocks of single processes that are years off"),
    Package {
        name: "libnss-wrapper",
        probe: Probe::AnyFile(&[
            "/usr/lib/x86_64-linux-gnu/libnss_wrapper.so",
            "/usr/lib/aarch64-linux-gnu/libnss_wrapper.so",
            "/usr/lib64/libnss_wrapper.so",
            "/usr/lib/libnss_wrapper.so",
        ]),
        used_for: "names of hubs that lead to loopback in the tests",
    },
    Package::program("tinyproxy", "tinyproxy", "an HTTP proxy between devices and hub"),
    Package::program("pebble", "pebble", "an ACME authority for operators' certificates"),
    Package::program("mosquitto", "mosquitto", "a broker that knows devices by pki export"),
    Package::program("mosquitto-clients", "mosquitto_pub", "devices and services at that broker"),
    Package::program("prometheus", "promtool", "to check metrics, alert rules and their tests"),
    Package::program("systemd", "systemd-analyze", "to check the services' units"),
    Package::program("dpkg-dev", "dpkg-shlibdeps", "to build the Debian packages"),
    Package::program("binutils", "strip", "to build the Debian packages"),
    Package::program("fakeroot", "fakeroot", "to install them where one is not root"),
    Package::program("lintian", "lintian", "to judge the Debian packages"),
    Package {
        name: "python3-venv",
        probe: Probe::PythonModules("venv, ensurepip"),
        used_for: "outside checkers from PyPI, in an environment of their own",
    },
    Package::program("npm", "npm", "to install the validator of the SARIF SDK"),
    Package::program("qemu-system-arm", "qemu-system-arm", "to run the firmware"),
    Package::program("gcc-arm-none-eabi", "arm-none-eabi-gcc", "to build partitions in C"),
    Package::program("squashfs-tools", "mksquashfs", "squashfs images to assess"),
    Package::program("e2fsprogs", "mke2fs", "ext images to assess"),
    Package::program("dosfstools", "mkfs.vfat", "FAT images to assess"),
    Package::program("mtools", "mcopy", "files in those images"),
    Package::program("mtd-utils", "mkfs.jffs2", "JFFS2 and UBI images to assess"),
    Package::program("git", "git", "history to assess"),
    Package::program("gpg", "gpg", "key rings and key files to assess"),
    Package::program("genromfs", "genromfs", "romfs images to assess"),
    Package::program("util-linux-extra", "mkfs.cramfs", "cramfs images to assess"),
    Package::program("cramfsswap", "cramfsswap", "cramfs images of the other byte order"),
    Package::program("u-boot-tools", "mkimage", "uImage and FIT images to assess"),
    Package::program("device-tree-compiler", "dtc", "to make those"),
    Package::program("android-sdk-libsparse-utils", "img2simg", "sparse images to assess"),
    Package::program("fdisk", "sfdisk", "partition tables to assess"),
    Package::program("cpio", "cpio", "archives to assess"),
    Package::program("zip", "zip", "archives to assess"),
    Package::program("bzip2", "bzip2", "archives to assess"),
    Package::program("xz-utils", "xz", "archives to assess"),
    Package::program("zstd", "zstd", "archives to assess"),
    Package::program("lz4", "lz4", "archives to assess"),
    Package::program("lzop", "lzop", "archives to assess"),
];

/// Makes sure that every package is there: lists what is missing, asks on a terminal, installs.
///
/// `go_on` is `--yes` or `CI=true`: install without asking.
pub fn ensure(packages: &[Package], go_on: bool) -> Result<()> {
    let missing: Vec<&Package> = packages.iter().filter(|p| !p.probe.found()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("The tests drive real peers. Missing on this machine:\n");
    for package in &missing {
        eprintln!("  {:<26} {}", package.name, package.used_for);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let by_hand = format!("apt-get install --no-install-recommends {}", names.join(" "));
    if !on_path("apt-get") {
        bail!(
            "this task installs packages on Debian and Ubuntu only. The names above are Debian's: \
             install the same programs with your system's package manager and run it again"
        );
    }
    let Some(prefix) = privilege() else {
        bail!(
            "not root, and sudo asks for a password. Run this, then start again:\n\n  sudo {by_hand}\n"
        );
    };
    if !go_on {
        if !std::io::stdin().is_terminal() {
            bail!("nobody to ask here. Run this, or start again with --yes:\n\n  {by_hand}\n");
        }
        eprint!("\nEnter installs them ({by_hand}); Ctrl-C stops. ");
        std::io::stderr().flush()?;
        std::io::stdin().lock().read_line(&mut String::new())?;
    }
    patiently(prefix, &["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&names);
    patiently(prefix, &arguments)?;
    let still: Vec<&str> =
        missing.iter().filter(|p| !p.probe.found()).map(|package| package.name).collect();
    if !still.is_empty() {
        bail!("installed, but not found afterwards: {}", still.join(", "));
    }
    Ok(())
}

/// How to act as root: directly, or by sudo where it asks for no password.
fn privilege() -> Option<&'static [&'static str]> {
    let id = Command::new("id").arg("-u").output().ok()?;
    if id.stdout.trim_ascii() == b"0" {
        return Some(&[]);
    }
    succeeds(Command::new("sudo").args(["-n", "true"])).then_some(&["sudo", "-n"])
}

/// Runs apt-get to its success: waits while another process installs, as a machine does that has
/// just started, finishes what somebody has interrupted, and goes on after a mirror's bad moment.
fn patiently(prefix: &[&str], arguments: &[&str]) -> Result<()> {
    let (begun, mut pauses, mut finished) = (Instant::now(), PAUSES.into_iter(), false);
    loop {
        let Some(said) = failure(&mut apt(prefix, arguments))? else { return Ok(()) };
        let pause = if said.contains("Could not get lock") && begun.elapsed() < LOCKED {
            LOOK_AGAIN
        } else if said.contains("dpkg --configure -a") && !finished {
            finished = true;
            run(&mut as_root(prefix, &["dpkg", "--configure", "-a"]))?;
            Duration::ZERO
        } else {
            pauses.next().with_context(|| format!("apt-get {} failed", arguments.join(" ")))?
        };
        eprintln!("apt-get {}: once more in {} s", arguments[0], pause.as_secs());
        std::thread::sleep(pause);
    }
}

/// Runs a command to its end; what it said on standard error if that was a failure.
fn failure(command: &mut Command) -> Result<Option<String>> {
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let mut said = String::new();
    if let Some(errors) = child.stderr.take() {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            eprintln!("{line}");
            said.push_str(&line);
            said.push('\n');
        }
    }
    Ok((!child.wait()?.success()).then_some(said))
}

fn apt(prefix: &[&str], arguments: &[&str]) -> Command {
    let mut command = as_root(prefix, &["apt-get", "-q"]);
    // apt-get update waits for nobody whatever it is told; an installation does.
    command.args(["-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=5"]);
    command.args(arguments);
    command
}

/// A command of the administrator's that asks nothing and speaks English.
fn as_root(prefix: &[&str], words: &[&str]) -> Command {
    let environment = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"];
    let mut words = prefix.iter().chain(&environment).chain(words);
    let mut command = Command::new(words.next().unwrap_or(&"env"));
    command.args(words);
    command
}

/// How long another process may hold what apt-get needs.
const LOCKED: Duration = Duration::from_secs(600);
const LOOK_AGAIN: Duration = Duration::from_secs(10);
