//! `cargo xtask deb`: the Debian packages of hub and agent, by dpkg-deb.
//!
//! `packaging/` holds everything but the program, as it is installed. cargo-deb would build the
//! same two archives from a description in cli/Cargo.toml; dpkg's own tools do it with less.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::licenses;
use crate::run::{cargo, output, root, run};

/// The task: `deb [--out DIR] [--binary FILE] [--fast]`.
pub fn run_task(arguments: &[String]) -> Result<()> {
    let mut out = root().join("target/deb");
    let (mut binary, mut fast) = (None, false);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut path = || words.next().map(PathBuf::from).with_context(|| format!("{word} what?"));
        match word.as_str() {
            "--out" => out = path()?,
            "--binary" => binary = Some(path()?),
            "--fast" => fast = true,
            other => bail!("unknown argument '{other}': deb [--out DIR] [--binary FILE] [--fast]"),
        }
    }
    let binary = match binary {
        Some(binary) => binary,
        None => release_build()?,
    };
    let build = Build {
        epoch: epoch()?,
        architecture: output(Command::new("dpkg").arg("--print-architecture"))?,
        licenses: licenses::texts()?,
        out: std::path::absolute(&out)?,
        binary: std::path::absolute(&binary)?,
        fast,
    };
    fs::create_dir_all(&build.out)
        .with_context(|| format!("cannot make {}", build.out.display()))?;
    for package in [&HUB, &AGENT] {
        let file = build.package(package)?;
        eprintln!("{}", file.display());
    }
    Ok(())
}

/// What the packages share.
struct Build {
    /// Every time in the packages, Unix seconds.
    epoch: u64,
    architecture: String,
    licenses: String,
    out: PathBuf,
    binary: PathBuf,
    fast: bool,
}

/// One package: its name, its folder in `packaging/deb`, and what it installs.
struct Package {
    name: &'static str,
    folder: &'static str,
    /// The program's name in /usr/bin.
    program: &'static str,
    /// What it needs besides the libraries of the program.
    depends: &'static str,
    section: &'static str,
    /// Directories of their own: path and mode.
    directories: &'static [(&'static str, u32)],
    /// Where from, from the repository's root, and where to.
    files: &'static [(&'static str, &'static str)],
    conffiles: &'static [&'static str],
}

const HUB: Package = Package {
    name: "ringfort-hub",
    folder: "hub",
    program: "ringfort",
    depends: "systemd | systemd-standalone-sysusers",
    section: "admin",
    directories: &[("etc/ringfort-hub", 0o700)],
    files: &[
        ("packaging/systemd/ringfort-hub.service", "usr/lib/systemd/system/ringfort-hub.service"),
        ("packaging/deb/hub/sysusers.conf", "usr/lib/sysusers.d/ringfort-hub.conf"),
        ("packaging/deb/hub/default", "etc/default/ringfort-hub"),
        ("packaging/prometheus/rules.yml", "usr/share/ringfort-hub/prometheus/rules.yml"),
        ("packaging/grafana/ringfort.json", "usr/share/ringfort-hub/grafana/ringfort.json"),
        ("docs/broker.md", "usr/share/doc/ringfort-hub/broker.md"),
        ("docs/ci.md", "usr/share/doc/ringfort-hub/ci.md"),
        ("docs/device-api.md", "usr/share/doc/ringfort-hub/device-api.md"),
        ("docs/factory.md", "usr/share/doc/ringfort-hub/factory.md"),
        ("docs/first-fleet.md", "usr/share/doc/ringfort-hub/first-fleet.md"),
        ("docs/formats.md", "usr/share/doc/ringfort-hub/formats.md"),
        ("docs/openapi.json", "usr/share/doc/ringfort-hub/openapi.json"),
    ],
    conffiles: &["/etc/default/ringfort-hub"],
};

const AGENT: Package = Package {
    name: "ringfort-agent",
    folder: "agent",
    program: "ringfort-agent",
    depends: "",
    section: "admin",
    directories: &[],
    files: &[
        (
            "packaging/systemd/ringfort-agent.service",
            "usr/lib/systemd/system/ringfort-agent.service",
        ),
        ("packaging/deb/agent/default", "etc/default/ringfort-agent"),
    ],
    conffiles: &["/etc/default/ringfort-agent"],
};

impl Build {
    /// Builds one package and gives its file.
    fn package(&self, package: &Package) -> Result<PathBuf> {
        let tree = Tree { root: self.out.join(format!("{}.tree", package.name)) };
        if tree.root.exists() {
            fs::remove_dir_all(&tree.root)
                .with_context(|| format!("cannot remove {}", tree.root.display()))?;
        }
        self.fill(package, &tree)?;
        self.control(package, &tree)?;
        tree.settle(self.epoch)?;
        let name = format!("{}_{VERSION}_{}.deb", package.name, self.architecture);
        let file = self.out.join(name);
        let mut build = Command::new("dpkg-deb");
        build.env("SOURCE_DATE_EPOCH", self.epoch.to_string());
        // Archives of several threads differ from those of one.
        build.env("DPKG_DEB_THREADS_MAX", "1");
        build.args(if self.fast { &["-Zgzip", "-z1"][..] } else { &["-Zxz"] });
        run(build.args(["--root-owner-group", "--build"]).arg(&tree.root).arg(&file))?;
        fs::remove_dir_all(&tree.root)?;
        Ok(file)
    }

    /// What is installed.
    fn fill(&self, package: &Package, tree: &Tree) -> Result<()> {
        for (path, mode) in package.directories {
            tree.directory(path, *mode)?;
        }
        for (from, to) in package.files {
            let text = read(&root().join(from))?;
            tree.write(to, &text, 0o644)?;
        }
        let program = format!("usr/bin/{}", package.program);
        tree.write(&program, &read(&self.binary)?, 0o755)?;
        run(Command::new("strip")
            .args(["--strip-unneeded", "--remove-section=.comment", "--remove-section=.note"])
            .arg(tree.path(&program)))?;

        let own = |name: &str| root().join("packaging/deb").join(package.folder).join(name);
        let documents = format!("usr/share/doc/{}", package.name);
        let readme = read(&own("README.Debian"))?;
        tree.write(&format!("{documents}/README.Debian"), &readme, 0o644)?;
        let mit = String::from_utf8(read(&root().join("LICENSE-MIT"))?)?;
        let mut copyright = String::from_utf8(read(&root().join("packaging/deb/copyright"))?)?;
        // The format's own rule: a blank before each line, a full stop for an empty one.
        for line in mit.lines().skip_while(|line| !line.starts_with("Permission")) {
            copyright += &format!(" {}\n", if line.is_empty() { "." } else { line });
        }
        tree.write(&format!("{documents}/copyright"), copyright.as_bytes(), 0o644)?;
        let licenses = format!("{documents}/third-party-licenses");
        tree.write_compressed(&licenses, self.licenses.as_bytes())?;
        tree.write_compressed(
            &format!("{documents}/changelog"),
            self.changelog(package)?.as_bytes(),
        )?;
        let overrides = String::from_utf8(read(&own("lintian-overrides"))?)?;
        let overrides: String = overrides
            .lines()
            .map(|line| match line.starts_with('#') {
                true => format!("{line}\n"),
                false => format!("{}: {line}\n", package.name),
            })
            .collect();
        let place = format!("usr/share/lintian/overrides/{}", package.name);
        tree.write(&place, overrides.as_bytes(), 0o644)
    }

    /// What dpkg is told.
    fn control(&self, package: &Package, tree: &Tree) -> Result<()> {
        let own = |name: &str| root().join("packaging/deb").join(package.folder).join(name);
        let size_kib = tree.installed_kib()?;
        let libraries = self.libraries(package, tree)?;
        let depends = [libraries.as_str(), package.depends]
            .into_iter()
            .filter(|words| !words.is_empty())
            .collect::<Vec<_>>()
            .join(", ");
        let description = String::from_utf8(read(&own("control"))?)?;
        let control = format!(
            "Package: {}\nVersion: {VERSION}\nArchitecture: {}\nMaintainer: {}\n\
             Installed-Size: {size_kib}\nDepends: {depends}\nSection: {}\nPriority: optional\n\
             {description}",
            package.name,
            self.architecture,
            maintainer(),
            package.section,
        );
        let sums = tree.md5sums()?;
        tree.write("DEBIAN/control", control.as_bytes(), 0o644)?;
        tree.write("DEBIAN/md5sums", sums.as_bytes(), 0o644)?;
        let conffiles: String = package.conffiles.iter().map(|path| format!("{path}\n")).collect();
        tree.write("DEBIAN/conffiles", conffiles.as_bytes(), 0o644)?;
        for script in ["postinst", "prerm", "postrm"] {
            tree.write(&format!("DEBIAN/{script}"), &read(&own(script))?, 0o755)?;
        }
        Ok(())
    }

    /// The packages of the shared libraries, by dpkg's own look-up. It wants a source package's
    /// control file in its folder.
    fn libraries(&self, package: &Package, tree: &Tree) -> Result<String> {
        let folder = self.out.join("shlibdeps");
        fs::create_dir_all(folder.join("debian"))?;
        let control = format!("Source: ringfort\n\nPackage: {}\nArchitecture: any\n", package.name);
        fs::write(folder.join("debian/control"), control)?;
        let program = tree.path(&format!("usr/bin/{}", package.program));
        let found = output(
            Command::new("dpkg-shlibdeps").current_dir(&folder).args(["-O", "-e"]).arg(program),
        )?;
        fs::remove_dir_all(&folder)?;
        match found.trim().strip_prefix("shlibs:Depends=") {
            Some(libraries) => Ok(libraries.to_owned()),
            None => bail!("dpkg-shlibdeps answered {found:?}"),
        }
    }

    fn changelog(&self, package: &Package) -> Result<String> {
        let at = format!("@{}", self.epoch);
        let date = output(Command::new("date").args(["-u", "-R", "-d", &at]))?;
        Ok(format!(
            "{} ({VERSION}) unstable; urgency=medium\n\n  * Built from the sources of Ringfort \
             {VERSION}.\n\n -- {}  {date}\n",
            package.name,
            maintainer(),
        ))
    }
}

/// A folder that becomes a package.
struct Tree {
    root: PathBuf,
}

impl Tree {
    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn directory(&self, name: &str, mode: u32) -> Result<()> {
        let path = self.path(name);
        let mut parent = self.root.clone();
        for part in Path::new(name) {
            parent.push(part);
            if !parent.exists() {
                fs::create_dir_all(&parent)?;
                fs::set_permissions(&parent, fs::Permissions::from_mode(0o755))?;
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let path = self.path(name);
        if let Some(parent) = Path::new(name).parent() {
            self.directory(&parent.display().to_string(), 0o755)?;
        }
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(())
    }

    fn write_compressed(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write(name, bytes, 0o644)?;
        // Without name and time, or each build would differ.
        run(Command::new("gzip").args(["-9", "-n"]).arg(self.path(name)))
    }

    /// Every file's MD5, as `dpkg --verify` compares them.
    fn md5sums(&self) -> Result<String> {
        let mut names: Vec<String> =
            self.files()?.iter().map(|path| path.display().to_string()).collect();
        names.sort();
        output(Command::new("md5sum").current_dir(&self.root).args(&names))
            .map(|sums| format!("{sums}\n"))
    }

    fn installed_kib(&self) -> Result<u64> {
        let sizes = self.files()?.into_iter().map(|path| {
            fs::metadata(self.root.join(path)).map(|metadata| metadata.len().div_ceil(1024))
        });
        Ok(sizes.sum::<std::io::Result<u64>>()?)
    }

    /// The files that are installed, from the tree's root.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let (mut found, mut folders) = (Vec::new(), vec![self.root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => found.push(path.strip_prefix(&self.root)?.to_owned()),
                }
            }
        }
        found.retain(|path| !path.starts_with("DEBIAN"));
        Ok(found)
    }

    /// Gives everything the one time that the packages know.
    fn settle(&self, epoch: u64) -> Result<()> {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(epoch);
        let mut folders = vec![self.root.clone()];
        let mut all = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() { folders.push(path) } else { all.push(path) }
            }
            all.push(folder);
        }
        fs::set_permissions(&self.root, fs::Permissions::from_mode(0o755))?;
        for path in all {
            fs::File::open(&path)?.set_modified(time)?;
        }
        Ok(())
    }
}

/// The program with everything on, without the paths of this machine in it.
fn release_build() -> Result<PathBuf> {
    let target = root().join("target/deb-build");
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let mut flags = format!("--remap-path-prefix={}=/usr/src/ringfort", root().display());
    if let Some(home) = home {
        flags += &format!(" --remap-path-prefix={}=/usr/src/cargo", home.display());
    }
    run(cargo().env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", &target).args([
        "build",
        "--release",
        "--locked",
        "-p",
        "ringfort",
    ]))?;
    Ok(target.join("release/ringfort"))
}

/// `SOURCE_DATE_EPOCH`, or the time of the last commit.
fn epoch() -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => {
            output(Command::new("git").current_dir(root()).args(["log", "-1", "--format=%ct"]))
                .context("no SOURCE_DATE_EPOCH, and no commit to take the time of")?
        }
    };
    text.trim().parse().with_context(|| format!("SOURCE_DATE_EPOCH: {text:?} is no Unix time"))
}

/// Who answers for the packages: `DEBFULLNAME` and `DEBEMAIL`, as Debian's own tools have it.
fn maintainer() -> String {
    let word = |name: &str, other: &str| std::env::var(name).unwrap_or_else(|_| other.to_owned());
    let (name, address) = (
        word("DEBFULLNAME", "The Ringfort authors"),
        word("DEBEMAIL", "packages@ringfort.invalid"),
    );
    format!("{name} <{address}>")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
