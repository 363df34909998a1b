//! The device core behind its C header on Armv8-M: built, and linked with a port in C by another
//! compiler, without a C library.

use std::process::Command;

use anyhow::{Result, bail};

use super::folder;
use super::toolchain::{TARGET, Toolchain};
use crate::run::{output, root, run as start};

/// Builds the library, links it with `tests/c_host/cortex_m33/main.c`, and says how large it is.
pub fn test() -> Result<()> {
    let toolchain = Toolchain::choose()?;
    let target = toolchain.target_folder(&folder().join("target/c-device"));
    let mut build = toolchain.cargo(&root());
    build.args(["rustc", "--quiet", "--locked", "--release", "--target", TARGET, "--lib"]);
    build.args(["--package", "ringfort-device-c", "--no-default-features"]);
    build.args(["--crate-type", "staticlib", "--config", "profile.release.opt-level=\"s\""]);
    build.args(["--config", "profile.release.lto=true"]);
    build.args(["--config", "profile.release.panic=\"abort\""]);
    build.args(["--config", "profile.release.strip=false"]);
    start(build.arg("--target-dir").arg(&target))?;
    let linked = target.join("device.elf");
    let mut link = Command::new("arm-none-eabi-gcc");
    link.args(["-mcpu=cortex-m33", "-mthumb", "-std=c11", "-Os", "-Wall", "-Wextra", "-Werror"]);
    link.args(["-ffreestanding", "-nostdlib", "-Wl,--entry=main", "-Wl,--gc-sections", "-I"]);
    link.arg(root().join("device/c/include"));
    link.arg(root().join("tests/c_host/cortex_m33/main.c"));
    link.arg(target.join(TARGET).join("release/libringfort_device_c.a"));
    start(link.arg("-lgcc").arg("-o").arg(&linked))?;
    // What the linker took for granted would be missing on a board.
    let missing = output(Command::new("arm-none-eabi-nm").arg("--undefined-only").arg(&linked))?;
    if !missing.trim().is_empty() {
        bail!("the C device leaves open: {missing}");
    }
    let sizes = output(Command::new("arm-none-eabi-size").arg(&linked))?;
    let numbers = sizes.lines().nth(1).unwrap_or_default();
    let text = numbers.split_whitespace().next().unwrap_or("?");
    println!("C device on Cortex-M33: linked with arm-none-eabi-gcc, {text} B of code");
    Ok(())
}
