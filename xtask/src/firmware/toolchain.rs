//! A compiler for the target: the installed one where it knows the target, else the same compiler
//! with library source of exactly its version, out of Debian's packages. Nothing in the system is
//! changed, and versions cannot drift apart.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{cache, on_path, run, succeeds};

/// The target.
pub const TARGET: &str = "thumbv8m.main-none-eabi";

/// How `core` comes to the target.
pub enum Toolchain {
    /// Prebuilt, with the installed compiler.
    Installed,
    /// Built from source: a wrapper of the installed compiler that finds it.
    Source(PathBuf),
}

impl Toolchain {
    /// The first way that works here.
    pub fn choose() -> Result<Toolchain> {
        let compiler = Compiler::find()?;
        let wanted = std::env::var(CHOICE).unwrap_or_default();
        if wanted != "source" {
            let library = compiler.sysroot.join("lib/rustlib").join(TARGET);
            if library.is_dir() || add_target(&compiler) {
                return Ok(Toolchain::Installed);
            }
        }
        let source = from_debian(&compiler).with_context(|| {
            format!(
                "no library for {TARGET}: `rustup target add {TARGET}` did not succeed, and Debian's \
                 packages do not hold the source of Rust {}",
                compiler.version
            )
        })?;
        Ok(Toolchain::Source(source))
    }

    /// Where its products go: the two ways must not take each other's for their own.
    pub fn target_folder(&self, target: &Path) -> PathBuf {
        match self {
            Toolchain::Installed => target.to_path_buf(),
            Toolchain::Source(_) => target.join("from-source"),
        }
    }

    /// A cargo that builds for the target in `folder`.
    pub fn cargo(&self, folder: &Path) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(folder);
        if let Toolchain::Source(wrapper) = self {
            // The sources are free of feature gates; this is for building `core` alone.
            command.env("RUSTC", wrapper).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core");
        }
        command
    }
}

/// `source` leaves the installed target aside: for testing the other way.
const CHOICE: &str = "RINGFORT_FIRMWARE_TOOLCHAIN";

struct Compiler {
    sysroot: PathBuf,
    version: String,
}

impl Compiler {
    fn find() -> Result<Compiler> {
        let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let version = output(Command::new("rustc").arg("--version"))?;
        let version = version.split(' ').nth(1).context("rustc did not say its version")?;
        Ok(Compiler { sysroot: sysroot.into(), version: version.to_owned() })
    }
}

fn add_target(compiler: &Compiler) -> bool {
    on_path("rustup")
        && succeeds(Command::new("rustup").args(["target", "add", TARGET]))
        && compiler.sysroot.join("lib/rustlib").join(TARGET).is_dir()
}

/// Fetches `rust-src` of the compiler's version and makes a sysroot of links around it.
fn from_debian(compiler: &Compiler) -> Result<PathBuf> {
    if !on_path("apt-get") || !on_path("dpkg") {
        bail!("this is not a Debian system");
    }
    let folder = cache()?.join(format!("rust-{}", compiler.version));
    let wrapper = folder.join("bin/rustc");
    if wrapper.is_file() {
        return Ok(wrapper);
    }
    let apt = folder.join("apt");
    for part in ["state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(part))?;
    }
    let sources = apt.join("sources.list");
    let suites = ["trixie", "trixie-backports"]
        .map(|suite| format!("deb http://deb.debian.org/debian {suite} main\n"));
    fs::write(&sources, suites.concat())?;
    fs::write(apt.join("status"), "")?;
    let option = |name: &str, value: &Path| format!("{name}={}", value.display());
    let options = [
        option("Dir::State", &apt.join("state")),
        option("Dir::State::status", &apt.join("status")),
        option("Dir::Cache", &apt.join("cache")),
        option("Dir::Etc::SourceList", &sources),
        "Dir::Etc::SourceParts=/dev/null".to_owned(),
        "APT::Sandbox::User=".to_owned(),
    ];
    let with_options = |program: &str| {
        let mut command = Command::new(program);
        for option in &options {
            command.args(["-o", option]);
        }
        command.current_dir(&apt);
        command
    };
    run(with_options("apt-get").args(["--quiet", "update"]))?;
    let versions = output(with_options("apt-cache").args(["madison", "rust-src"]))?;
    let version = versions
        .lines()
        .filter_map(|line| line.split('|').nth(1).map(str::trim))
        .find(|version| version.starts_with(&format!("{}+", compiler.version)))
        .with_context(|| format!("rust-src {} is not in the archive", compiler.version))?
        .to_owned();
    run(with_options("apt-get").args(["--quiet", "download", &format!("rust-src={version}")]))?;
    let package = fs::read_dir(&apt)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("the package was not downloaded")?;
    let unpacked = folder.join("debian");
    run(Command::new("dpkg").arg("-x").arg(&package).arg(&unpacked))?;
    fs::remove_file(&package)?;

    let library = unpacked.join(format!("usr/src/rustc-{}/library", compiler.version));
    let shadow = folder.join("sysroot");
    let _ = fs::remove_dir_all(&shadow);
    link_all(&compiler.sysroot, &shadow, &["lib"])?;
    link_all(&compiler.sysroot.join("lib"), &shadow.join("lib"), &["rustlib"])?;
    link_all(&compiler.sysroot.join("lib/rustlib"), &shadow.join("lib/rustlib"), &["src"])?;
    fs::create_dir_all(shadow.join("lib/rustlib/src/rust"))?;
    symlink(&library, shadow.join("lib/rustlib/src/rust/library"))?;

    fs::create_dir_all(folder.join("bin"))?;
    let real = compiler.sysroot.join("bin/rustc");
    fs::write(
        &wrapper,
        format!("#!/bin/sh\nexec '{}' --sysroot '{}' \"$@\"\n", real.display(), shadow.display()),
    )?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    Ok(wrapper)
}

/// Links everything in `from` into the new folder `to`, except these names.
fn link_all(from: &Path, to: &Path, except: &[&str]) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if except.iter().all(|name| entry.file_name() != *name) {
            symlink(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
