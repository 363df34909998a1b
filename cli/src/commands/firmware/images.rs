//! The images of a device, taken from a folder or built from the source tree.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, Outcome};
use crate::output::progress;

/// What a device runs.
pub struct Images {
    /// The boot loader, an ELF file for the emulator.
    pub boot: PathBuf,
    /// The secure component.
    pub secure: Vec<u8>,
    /// The non-secure component, without a release number.
    pub nonsecure: Vec<u8>,
}

impl Images {
    /// Finds them, or builds them first.
    pub fn find(given: Option<&Path>) -> Outcome<Images> {
        needs("qemu-system-arm", "The firmware runs on an emulated board.")?;
        let folder = match given {
            Some(folder) => folder.to_owned(),
            None => build()?,
        };
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|error| {
                Failure::failed(
                    format!("{} cannot be read", path.display()),
                    error.to_string(),
                    "Make the images by `cargo xtask firmware images`.",
                )
            })
        };
        read("boot")?;
        Ok(Images {
            boot: folder.join("boot"),
            secure: read("secure.bin")?,
            nonsecure: read("nonsecure.bin")?,
        })
    }
}

/// Builds the images out of the source tree around the working directory.
fn build() -> Outcome<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let is_root = |folder: &&Path| {
        folder.join("firmware/partitions/tests.toml").is_file()
            && folder.join("xtask/Cargo.toml").is_file()
    };
    let Some(root) = here.ancestors().find(is_root) else {
        return Err(Failure::failed(
            "there are no firmware images here",
            "They are built from Ringfort's source, and this is not its folder.",
            "Run this in the source tree, or name a folder with --images.",
        ));
    };
    needs("arm-none-eabi-gcc", "One of the partitions is written in C.")?;
    progress("Building the firmware; the first time takes some minutes.");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(root)
        .args(["xtask", "firmware", "images"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match built {
        Ok(status) if status.success() => Ok(root.join("firmware/target/product")),
        Ok(status) => Err(Failure::failed(
            "the firmware was not built",
            format!("cargo ended with {status}."),
            "Read what it says above; `rustup target add thumbv8m.main-none-eabi` may be missing.",
        )),
        Err(error) => Err(Failure::failed(
            "cargo does not start",
            error.to_string(),
            "Install Rust, or name a folder with --images.",
        )),
    }
}

/// A program of the same-named Debian package, or how to get it.
fn needs(program: &str, why: &str) -> Outcome<()> {
    let found = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let package = match program {
        "arm-none-eabi-gcc" => "gcc-arm-none-eabi",
        other => other,
    };
    Err(Failure::failed(
        format!("{program} is not installed"),
        why,
        format!("Install it: `apt-get install {package}`."),
    ))
}
