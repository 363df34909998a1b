//! A compiler for the target, by the first of three ways that works:
//! 1. the installed one, where it has the target's library or rustup can add it;
//! 2. the installed one, with library source of exactly its version out of Debian's packages;
//! 3. Debian's compiler and library source, both of one version.
//!
//! Nothing in the system is changed, and the versions of compiler and library cannot drift apart.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::debian::Archive;
use crate::run::{cache, on_path, output, succeeds};

/// The target.
pub const TARGET: &str = "thumbv8m.main-none-eabi";

/// How `core` comes to the target.
pub enum Toolchain {
    /// Prebuilt, with the installed compiler.
    Installed,
    /// Built from source.
    Source(Source),
}

/// A compiler whose library is built with what it builds.
pub struct Source {
    /// Starts the compiler so that it finds the library's source.
    wrapper: PathBuf,
    /// The linker, where the compiler brings none.
    linker: Option<PathBuf>,
    /// Tells its products from those of another compiler.
    folder: &'static str,
}

impl Toolchain {
    /// The first way that works here, or the one that `RINGFORT_FIRMWARE_TOOLCHAIN` names:
    /// `source` the second, `debian` the third.
    ///
    /// # Errors
    /// What each way was missing, and what to install.
    pub fn choose() -> Result<Toolchain> {
        let compiler = Compiler::find()?;
        let wanted = std::env::var(CHOICE).unwrap_or_default();
        match wanted.as_str() {
            "source" => return source_of(&compiler).map(Toolchain::Source),
            "debian" => return debian(&compiler).map(Toolchain::Source),
            "" => {}
            other => bail!("{CHOICE} is 'source' or 'debian', not '{other}'"),
        }
        let library = compiler.sysroot.join("lib/rustlib").join(TARGET);
        if library.is_dir() || add_target(&compiler) {
            return Ok(Toolchain::Installed);
        }
        let first = match source_of(&compiler) {
            Ok(source) => return Ok(Toolchain::Source(source)),
            Err(error) => error,
        };
        debian(&compiler).map(Toolchain::Source).with_context(|| {
            format!(
                "no library for {TARGET}. Install it: `rustup target add {TARGET}`. Without it \
                 there are Debian's packages, but rust-src for Rust {}: {first:#}; and Debian's own \
                 compiler",
                compiler.version
            )
        })
    }

    /// Where its products go: no way must take another's for its own.
    pub fn target_folder(&self, target: &Path) -> PathBuf {
        match self {
            Toolchain::Installed => target.to_path_buf(),
            Toolchain::Source(source) => target.join(source.folder),
        }
    }

    /// What a cargo has to find in its environment to build for the target.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let Toolchain::Source(source) = self else { return Vec::new() };
        // The sources are free of feature gates; this is for building `core` alone.
        let mut all: Vec<(&str, OsString)> = vec![
            ("RUSTC", source.wrapper.clone().into()),
            ("RUSTC_BOOTSTRAP", "1".into()),
            ("CARGO_UNSTABLE_BUILD_STD", "core,alloc".into()),
        ];
        if let Some(linker) = &source.linker {
            all.push(("CARGO_TARGET_THUMBV8M_MAIN_NONE_EABI_LINKER", linker.into()));
        }
        all
    }

    /// A cargo that builds for the target in `folder`.
    pub fn cargo(&self, folder: &Path) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(folder).envs(self.environment());
        command
    }
}

/// Leaves the ways before the named one aside: for testing it.
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

    /// The linker that it brings, or one of the system.
    fn linker(&self) -> Result<PathBuf> {
        let host = output(Command::new("rustc").arg("-vV"))?;
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let own = self.sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
        match (own.is_file(), on_path("ld.lld")) {
            (true, _) => Ok(own),
            (false, true) => Ok("ld.lld".into()),
            (false, false) => bail!("there is no rust-lld and no ld.lld: install the package lld"),
        }
    }
}

fn add_target(compiler: &Compiler) -> bool {
    let add = || succeeds(Command::new("rustup").args(["target", "add", TARGET]));
    on_path("rustup")
        // A server may have a bad moment; there are other ways than this one.
        && (add() || add())
        && compiler.sysroot.join("lib/rustlib").join(TARGET).is_dir()
}

/// `rust-src` of the compiler's version, and a sysroot of links around it.
fn source_of(compiler: &Compiler) -> Result<Source> {
    let folder = cache()?.join(format!("rust-{}", compiler.version));
    let source = Source { wrapper: folder.join("bin/rustc"), linker: None, folder: "from-source" };
    if source.wrapper.is_file() {
        return Ok(source);
    }
    let archive = Archive::open(&folder.join("apt"))?;
    let wanted = format!("{}+", compiler.version);
    let versions = archive.versions("rust-src")?;
    let version = versions
        .iter()
        .find(|version| version.starts_with(&wanted))
        .with_context(|| format!("rust-src {} is not in the archive", compiler.version))?;
    let unpacked = folder.join("debian");
    archive.unpack(&[format!("rust-src={version}")], &unpacked)?;

    let library = unpacked.join(format!("usr/src/rustc-{}/library", compiler.version));
    let shadow = folder.join("sysroot");
    let _ = fs::remove_dir_all(&shadow);
    link_all(&compiler.sysroot, &shadow, &["lib"])?;
    link_all(&compiler.sysroot.join("lib"), &shadow.join("lib"), &["rustlib"])?;
    link_all(&compiler.sysroot.join("lib/rustlib"), &shadow.join("lib/rustlib"), &["src"])?;
    fs::create_dir_all(shadow.join("lib/rustlib/src/rust"))?;
    symlink(&library, shadow.join("lib/rustlib/src/rust/library"))?;
    let real = compiler.sysroot.join("bin/rustc");
    wrap(&source.wrapper, &format!("'{}' --sysroot '{}'", real.display(), shadow.display()))?;
    Ok(source)
}

/// Debian's newest compiler with its library source, its shared libraries and its own C library.
fn debian(compiler: &Compiler) -> Result<Source> {
    let folder = cache()?.join("rust-debian");
    let wrapper = folder.join("bin/rustc");
    let source = Source { wrapper, linker: Some(compiler.linker()?), folder: "from-debian" };
    if source.wrapper.is_file() {
        return Ok(source);
    }
    if std::env::consts::ARCH != "x86_64" {
        bail!("the way to start Debian's compiler is known for x86_64 alone");
    }
    let archive = Archive::open(&folder.join("apt"))?;
    let sources = archive.versions("rust-src")?;
    let version = archive
        .versions("rustc")?
        .into_iter()
        .find(|version| sources.contains(version))
        .context("no version of rustc has its rust-src in the archive")?;
    let release = version.split('+').next().unwrap_or_default();
    let series = release.rsplit_once('.').map_or(release, |(series, _)| series);
    let packages = ["rustc", "rust-src", "libstd-rust-dev", &format!("libstd-rust-{series}")]
        .map(|name| format!("{name}={version}"));
    let root = folder.join("root");
    let _ = fs::remove_dir_all(&root);
    archive.unpack(&archive.with_libraries(&packages)?, &root)?;

    let usr = root.join("usr");
    let library = usr.join(format!("src/rustc-{release}/library"));
    if !library.is_dir() {
        bail!("{} is not in the packages", library.display());
    }
    let place = usr.join("lib/rustlib/src/rust");
    fs::create_dir_all(&place)?;
    if !place.join("library").exists() {
        symlink(&library, place.join("library"))?;
    }
    let [start, libraries, real] =
        ["lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu", "bin/rustc"]
            .map(|path| usr.join(path).display().to_string());
    let command =
        format!("'{start}' --library-path '{libraries}' '{real}' --sysroot '{}'", usr.display());
    wrap(&source.wrapper, &command)?;
    if let Err(error) = output(Command::new(&source.wrapper).arg("--version")) {
        fs::remove_file(&source.wrapper)?;
        return Err(error.context("Debian's compiler does not start here"));
    }
    Ok(source)
}

/// A script at `at` that becomes `command` with its own arguments behind.
fn wrap(at: &Path, command: &str) -> Result<()> {
    fs::create_dir_all(at.parent().unwrap_or(at))?;
    // That it is there says that everything is: it appears whole.
    let new = at.with_extension("new");
    fs::write(&new, format!("#!/bin/sh\nexec {command} \"$@\"\n"))
        .with_context(|| format!("cannot write {}", new.display()))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    fs::rename(&new, at).with_context(|| format!("cannot write {}", at.display()))
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
