//! Debian's packages without installing them: lists, downloads and unpacked files are all in one
//! folder of ours, and nothing in the system is changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{on_path, output, over_network, run};

/// What a Debian archive holds, by lists of our own.
pub struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// Fetches the lists into `folder`.
    ///
    /// # Errors
    /// When this is no Debian system, or the archive cannot be reached.
    pub fn open(folder: &Path) -> Result<Archive> {
        for program in ["apt-get", "apt-cache", "dpkg"] {
            if !on_path(program) {
                bail!("{program} is not there: this is not a Debian system");
            }
        }
        for part in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))
                .with_context(|| format!("cannot make a folder in {}", folder.display()))?;
        }
        let from = host();
        let suites =
            ["trixie", "trixie-backports"].map(|suite| format!("deb {from} {suite} main\n"));
        fs::write(folder.join("sources.list"), suites.concat())?;
        fs::write(folder.join("status"), "")?;
        let archive = Archive { folder: folder.to_path_buf() };
        over_network(|| run(archive.apt("apt-get").args(["--quiet", "update"])))?;
        Ok(archive)
    }

    /// Every version of a package, the newest first.
    pub fn versions(&self, package: &str) -> Result<Vec<String>> {
        let table = output(self.apt("apt-cache").args(["madison", package]))?;
        let versions = table.lines().filter_map(|line| line.split('|').nth(1));
        Ok(versions.map(|version| version.trim().to_owned()).collect())
    }

    /// These packages and the shared libraries that they need, as apt names them. Compilers, headers
    /// and linkers that they would also draw in are left out.
    pub fn with_libraries(&self, packages: &[String]) -> Result<Vec<String>> {
        let mut all = packages.to_vec();
        let mut names: BTreeSet<String> = packages.iter().map(|p| name(p).to_owned()).collect();
        let mut next = 0;
        while let Some(package) = all.get(next).cloned() {
            next += 1;
            let shown =
                output(self.apt("apt-cache").args(["show", "--no-all-versions", &package]))?;
            let needs = shown.lines().filter_map(|line| {
                line.strip_prefix("Depends: ").or_else(|| line.strip_prefix("Pre-Depends: "))
            });
            for need in needs.flat_map(|needs| needs.split(", ")) {
                let need = need.split([' ', ':', '|']).next().unwrap_or_default();
                let library = need.starts_with("lib") || need.starts_with("zlib");
                if library && !need.ends_with("-dev") && names.insert(need.to_owned()) {
                    all.push(need.to_owned());
                }
            }
        }
        Ok(all)
    }

    /// Downloads packages (`name` or `name=version`) and unpacks them into `to`.
    pub fn unpack(&self, packages: &[String], to: &Path) -> Result<()> {
        let folder = self.folder.join("packages");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        over_network(|| {
            let mut download = self.apt("apt-get");
            run(download.current_dir(&folder).args(["--quiet", "download"]).args(packages))
        })?;
        fs::create_dir_all(to)?;
        let mut unpacked = 0;
        for entry in fs::read_dir(&folder)? {
            run(Command::new("dpkg").arg("-x").arg(entry?.path()).arg(to))?;
            unpacked += 1;
        }
        if unpacked != packages.len() {
            bail!("{unpacked} packages came, not {}", packages.len());
        }
        fs::remove_dir_all(&folder).context("cannot remove the downloaded packages")
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = |part: &str| self.folder.join(part).display().to_string();
        for option in [
            format!("Dir::State={}", path("state")),
            format!("Dir::State::status={}", path("status")),
            format!("Dir::Cache={}", path("cache")),
            format!("Dir::Etc::SourceList={}", path("sources.list")),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            "Acquire::Retries=5".to_owned(),
            "APT::Sandbox::User=".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

/// The archive of Debian's that this system is set to use, or Debian's own name for one: of another
/// distribution's archives none has these suites.
fn host() -> String {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]);
    let known = output(&mut targets).unwrap_or_default();
    known.lines().find(|uri| uri.ends_with("/debian/")).unwrap_or(DEBIAN).to_owned()
}

const DEBIAN: &str = "http://deb.debian.org/debian/";

fn name(package: &str) -> &str {
    package.split('=').next().unwrap_or_default()
}
