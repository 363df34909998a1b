//! `cargo xtask test`: every check of the project, in the order of what fails fastest.

use std::io::IsTerminal;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::packages::{self, Package, Probe};
use crate::run::{self as process, cargo, on_path, root};
use crate::{docs, firmware, tools};

/// What the tests of this workspace drive. Each is a real peer; none is optional.
const PACKAGES: &[Package] = &[
    Package {
        name: "softhsm2",
        probe: Probe::Program("softhsm2-util"),
        used_for: "a PKCS#11 token for the key-store tests",
    },
    Package {
        name: "opensc",
        probe: Probe::Program("pkcs11-tool"),
        used_for: "an outside view of that token",
    },
    Package {
        name: "swtpm",
        probe: Probe::Program("swtpm"),
        used_for: "a TPM 2.0 for the key-store tests",
    },
    Package {
        name: "tpm2-tools",
        probe: Probe::Program("tpm2_pcrextend"),
        used_for: "an outside view of that TPM",
    },
    Package {
        name: "libtss2-dev",
        probe: Probe::AnyFile(&[
            "/usr/include/tss2/tss2_esys.h",
            "/usr/local/include/tss2/tss2_esys.h",
        ]),
        used_for: "to build the TPM key store",
    },
    Package {
        name: "pkg-config",
        probe: Probe::Program("pkg-config"),
        used_for: "to find that library",
    },
    Package {
        name: "openssl",
        probe: Probe::Program("openssl"),
        used_for: "outside certificates, requests and TLS client",
    },
    Package { name: "curl", probe: Probe::Program("curl"), used_for: "an outside EST client" },
    Package {
        name: "mosquitto",
        probe: Probe::Program("mosquitto"),
        used_for: "a broker that knows devices by pki export",
    },
    Package {
        name: "mosquitto-clients",
        probe: Probe::Program("mosquitto_pub"),
        used_for: "devices and services at that broker",
    },
    Package {
        name: "prometheus",
        probe: Probe::Program("promtool"),
        used_for: "to check metrics, alert rules and their tests",
    },
    Package {
        name: "systemd",
        probe: Probe::Program("systemd-analyze"),
        used_for: "to check the services' units",
    },
    Package {
        name: "dpkg-dev",
        probe: Probe::Program("dpkg-shlibdeps"),
        used_for: "to build the Debian packages",
    },
    Package {
        name: "binutils",
        probe: Probe::Program("strip"),
        used_for: "to build the Debian packages",
    },
    Package {
        name: "fakeroot",
        probe: Probe::Program("fakeroot"),
        used_for: "to install the Debian packages where one is not root",
    },
    Package {
        name: "lintian",
        probe: Probe::Program("lintian"),
        used_for: "to judge the Debian packages",
    },
    Package {
        name: "python3-venv",
        probe: Probe::PythonModules("venv, ensurepip"),
        used_for: "outside checkers from PyPI, in an environment of their own",
    },
];

/// Off in a plain build because they need libraries of the system; on here.
const FEATURES: [&str; 2] = ["--features", "ringfort-keystore/tpm"];

type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("format", format),
    ("documents", docs::check),
    ("clippy", clippy),
    ("deny", deny),
    ("rust", rust_tests),
    ("python", python_checks),
    ("firmware", firmware_tests),
];

/// The task: `test [--yes] [--only STEP]`.
pub fn run(arguments: &[String]) -> Result<()> {
    let mut go_on = std::env::var_os("CI").is_some_and(|value| value == "true");
    let mut only = None;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--yes" => go_on = true,
            "--only" => only = Some(words.next().context("--only needs a step's name")?.as_str()),
            other => bail!("unknown argument '{other}': test [--yes] [--only STEP]"),
        }
    }
    let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
    if let Some(name) = only
        && !names.contains(&name)
    {
        bail!("there is no step '{name}'; the steps are: {}", names.join(", "));
    }
    packages::ensure(PACKAGES, go_on)?;
    let mut times = Vec::new();
    for (name, step) in STEPS.iter().filter(|(name, _)| only.is_none_or(|wanted| wanted == *name)) {
        headline(name);
        let start = Instant::now();
        step().with_context(|| format!("the step '{name}' failed"))?;
        times.push((*name, start.elapsed()));
    }
    summary(&times);
    Ok(())
}

fn format() -> Result<()> {
    component("rustfmt")?;
    process::run(cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    component("clippy")?;
    process::run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Bans, licences and sources must be clean. Advisories need a database from outside: where it
/// cannot be had the output says so.
fn deny() -> Result<()> {
    let deny = tools::cargo_deny()?;
    let mut command = Command::new(&deny);
    process::run(
        command.current_dir(root()).args(["--locked", "check", "bans", "licenses", "sources"]),
    )?;
    let mut fetch = Command::new(&deny);
    let fetched = fetch.current_dir(root()).args(["fetch", "db"]).output()?.status.success();
    if !fetched {
        eprintln!("advisories: NOT CHECKED (the advisory database cannot be reached from here)");
        return Ok(());
    }
    process::run(Command::new(&deny).current_dir(root()).args(["--locked", "check", "advisories"]))
}

fn rust_tests() -> Result<()> {
    process::run(cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"]).args(FEATURES))
}

/// Checkers that others wrote, each a script of ours that exits 0 or says what differs.
fn python_checks() -> Result<()> {
    let interpreter = tools::python()?;
    let folder = root().join("tests/python");
    let mut scripts: Vec<_> = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| is_check(path))
        .collect();
    scripts.sort();
    if scripts.is_empty() {
        bail!("no check found in {}", folder.display());
    }
    for script in scripts {
        eprintln!("{}", script.file_name().unwrap_or_default().to_string_lossy());
        process::run(Command::new(&interpreter).current_dir(root()).arg(&script))?;
    }
    Ok(())
}

fn is_check(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("check_") && name.ends_with(".py")
}

fn firmware_tests() -> Result<()> {
    firmware::run(&["test".to_owned()])
}

fn component(name: &str) -> Result<()> {
    if on_path(&format!("cargo-{}", if name == "rustfmt" { "fmt" } else { name })) {
        return Ok(());
    }
    bail!("{name} is not installed: run `rustup component add {name}`");
}

fn headline(name: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("\n\x1b[1m== {name}\x1b[0m");
    } else {
        eprintln!("\n== {name}");
    }
}

fn summary(times: &[(&str, Duration)]) {
    eprintln!("\nall steps passed:");
    for (name, took) in times {
        eprintln!("  {name:<10} {:>6.0} s", took.as_secs_f64());
    }
    let total: Duration = times.iter().map(|(_, took)| *took).sum();
    eprintln!("  {:<10} {:>6.0} s", "together", total.as_secs_f64());
}
