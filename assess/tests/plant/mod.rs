//! A root file system with planted secrets, and the tools that pack it.

#![allow(dead_code, reason = "each suite uses a part")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ringfort_assess::{Assessment, Input, Options, run};

/// A small root file system with one private key in two places and one password hash.
pub struct Plant {
    directory: tempfile::TempDir,
    pub root: PathBuf,
}

impl Plant {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("rootfs");
        for sub in ["etc/ssl", "www", "bin"] {
            fs::create_dir_all(root.join(sub)).unwrap();
        }
        let plant = Self { root, directory };
        let key = plant.root.join("etc/ssl/device.key");
        plant.run(
            "openssl",
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-out",
                p(&key),
            ],
        );
        fs::copy(&key, plant.root.join("www/backup.pem")).unwrap();
        fs::write(
            plant.root.join("etc/shadow"),
            format!("root:{}Q7xm2Lw9${HASH_TAIL}:18000:0:99999:7:::\n", "$1$"),
        )
        .unwrap();
        fs::write(plant.root.join("www/index.html"), "<p>hello</p>\n".repeat(2000)).unwrap();
        // More than one block, not all of it compressible.
        let pad: Vec<u8> =
            (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as u8 & 0x3f).collect();
        fs::write(plant.root.join("pad.bin"), pad).unwrap();
        plant
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file of its own beside the root file system.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The root file system as a ZIP archive; with `-` written to a pipe, so that sizes stand
    /// behind the data.
    pub fn zip(&self, to: &str) -> Vec<u8> {
        let path = self.path("root.zip");
        let _ = fs::remove_file(&path);
        let name = if to == "-" { "- . | cat >" } else { "" };
        let rest = if to == "-" { "" } else { " ." };
        self.shell(&format!("cd {} && zip -qr {name} {}{rest}", p(&self.root), p(&path)));
        fs::read(path).unwrap()
    }

    pub fn run(&self, tool: &str, arguments: &[&str]) {
        let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default());
        let out = Command::new(tool).args(arguments).env("PATH", path).output();
        let out = out.unwrap_or_else(|error| panic!("{tool} is needed: {error}"));
        assert!(
            out.status.success(),
            "{tool} {arguments:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
    }

    pub fn shell(&self, line: &str) {
        self.run("sh", &["-ec", line]);
    }

    pub fn tar(&self) -> PathBuf {
        let tar = self.path("rootfs.tar");
        self.run("tar", &["-cf", p(&tar), "-C", p(&self.root), "."]);
        tar
    }

    pub fn squash(&self) -> PathBuf {
        let image = self.path("root.sqsh");
        if !image.exists() {
            self.run("mksquashfs", &[p(&self.root), p(&image), "-quiet", "-no-progress"]);
        }
        image
    }

    pub fn assess(&self, path: &Path) -> Assessment {
        let options = Options { today: "2026-11-22".into(), ..Options::default() };
        run(&[Input::Path(path.to_owned())], &options, &mut ())
    }

    pub fn places(&self, found: &Assessment) -> usize {
        found
            .findings
            .iter()
            .filter(|f| f.rule == "K-002" || f.rule == "K-024")
            .map(|f| f.locations.len())
            .sum()
    }

    /// Both places of the key are found, the hash too, and the path names the format.
    pub fn holds(&self, image: &Path, path: &str) -> Assessment {
        let found = self.assess(image);
        let name = image.display();
        assert_eq!(self.places(&found), 2, "{name}: {:#?} {:#?}", found.findings, found.inputs);
        assert!(found.findings.iter().any(|f| f.rule == "P-001"), "{name}: password hash");
        let paths: Vec<_> =
            found.findings.iter().flat_map(|f| &f.locations).map(|l| &l.path).collect();
        assert!(paths.iter().any(|p| p.contains(path)), "{name}: {paths:?}");
        assert!(found.inputs[0].coverage.read_permille() >= 990, "{name}: {:?}", found.inputs[0]);
        found
    }
}

pub fn p(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub const HASH_TAIL: &str = "kT4vW8yZbC3dF5gH8jK1m.";
