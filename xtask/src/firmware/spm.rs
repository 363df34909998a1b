//! The partition manager's part of `cargo xtask firmware`: builds a product out of its manifest,
//! attacks it in QEMU on both boards, runs the application in C, counts instructions.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::toolchain::{TARGET, Toolchain};
use super::{PACKAGES as QEMU, cargo_host, folder};
use crate::packages::{self, Package, Probe};
use crate::run::run as start;

const PACKAGES: &[Package] = &[
    Package {
        name: "gcc-arm-none-eabi",
        probe: Probe::Program("arm-none-eabi-gcc"),
        used_for: "to build partitions and applications in C",
    },
    Package {
        name: "libnewlib-arm-none-eabi",
        probe: Probe::AnyFile(&[
            "/usr/lib/arm-none-eabi/include/newlib.h",
            "/usr/include/newlib/newlib.h",
        ]),
        used_for: "the C library of those applications",
    },
];

/// Where non-secure code enters: the gateway's place in the secure image of the board.
const GATEWAY: &str = "10020400";

/// Rules and generator on the host, then every attack and the application in C in QEMU.
pub fn test() -> Result<()> {
    let mut command = cargo_host();
    command.args(["test", "--quiet", "--locked", "--profile", "host"]);
    for package in ["generator", "psa", "spm", "update"] {
        command.args(["--package", package]);
    }
    start(&mut command)?;
    let images = build()?;
    harness("traps", &images, &images.traps)?;
    harness("c", &images, &images.application)?;
    from_boot(&images)?;
    updates(&images, &[])?;
    // Here, because it builds the same packages in the same place.
    super::porting::test()
}

/// The update partition alone.
pub fn update(rest: &[String]) -> Result<()> {
    updates(&build()?, rest)
}

/// The same image with an application that updates it, through the boot loader.
fn updates(images: &Images, rest: &[String]) -> Result<()> {
    behind_boot("update", images, rest)
}

/// This part of the harness on the image, an application that updates it, and the boot loader.
fn behind_boot(what: &str, images: &Images, rest: &[String]) -> Result<()> {
    let boot = super::build()?.join("boot-test");
    let component = images.product.join("component.elf");
    let parts =
        [(&boot, "boot-test"), (&component, "secure-test"), (&images.updates, "nonsecure-test")];
    let folder = gather(images, "update", &parts)?;
    let mut arguments = vec![what.to_owned(), "--images".to_owned(), folder];
    arguments.extend_from_slice(rest);
    super::host("harness", &arguments)
}

/// Puts images under the names that the harness knows; gives the folder.
fn gather(images: &Images, name: &str, parts: &[(&PathBuf, &str)]) -> Result<String> {
    let folder = images.product.join(name);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (from, name) in parts {
        std::fs::copy(from, folder.join(name))
            .with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(folder.display().to_string())
}

/// The same image as a signed release: the boot loader verifies and starts it, the lifecycle is the
/// one of its hand-off, and the services answer.
fn from_boot(images: &Images) -> Result<()> {
    let boot = super::build()?.join("boot");
    let component = images.product.join("component.elf");
    let parts = [(&boot, "boot"), (&component, "secure"), (&images.traps, "nonsecure")];
    let folder = gather(images, "release", &parts)?;
    let mut command = cargo_host();
    command.args(["run", "--quiet", "--locked", "--profile", "host", "--package", "harness", "--"]);
    // The harness looks for the line of its own application: what counts is what it shows.
    let output = command.args(["run", "--images"]).arg(&folder).output()?;
    let shown = String::from_utf8_lossy(&output.stdout);
    for wanted in ["boot: slot", "spm: ready", "lifecycle=00003000", "goes on"] {
        if !shown.contains(wanted) {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("started by the boot loader it does not say '{wanted}':\n{shown}{said}");
        }
    }
    println!("ok   started by the boot loader as a signed release");
    Ok(())
}

/// Code, data and stack of each part, and instructions of each call, beside their bars.
pub fn size() -> Result<()> {
    let images = build()?;
    harness("figures", &images, &images.traps)?;
    let list = images.product.join("stacks.txt").display().to_string();
    behind_boot("stacks", &images, &["--list".to_owned(), list])
}

struct Images {
    product: PathBuf,
    traps: PathBuf,
    updates: PathBuf,
    application: PathBuf,
}

/// The product of the tests, with its applications.
fn build() -> Result<Images> {
    let go_on = std::env::var_os("CI").is_some_and(|value| value == "true");
    packages::ensure(QEMU, go_on)?;
    packages::ensure(PACKAGES, go_on)?;
    let toolchain = Toolchain::choose()?;
    let product = product(&toolchain)?;
    let traps = application(&toolchain, &product, "traps", "target")?;
    let updates = application(&toolchain, &product, "updates", "target,semihosting")?;
    let application = product.join("application.elf");
    application_in_c(&product, &application)?;
    Ok(Images { product, traps, updates, application })
}

/// What `ringfort firmware` runs: boot loader, secure and non-secure component, without any way to
/// the host.
pub fn images() -> Result<()> {
    let toolchain = Toolchain::choose()?;
    let target = folder().join("target");
    let product = product(&toolchain)?;
    let application = application(&toolchain, &product, "updates", "target")?;
    let to = target.join("product");
    std::fs::create_dir_all(&to)
        .with_context(|| format!("cannot make the folder {}", to.display()))?;
    let boot = super::image("boot", "boot", "boot", "target", true);
    super::compile(&toolchain, &boot, &toolchain.target_folder(&target), &to)?;
    std::fs::copy(product.join("secure.bin"), to.join("secure.bin"))
        .with_context(|| format!("cannot copy to {}", to.display()))?;
    let mut command = Command::new("arm-none-eabi-objcopy");
    command.args(["-O", "binary"]).arg(application).arg(to.join("nonsecure.bin"));
    start(&mut command)?;
    println!("{}", to.display());
    Ok(())
}

/// Builds the secure image out of the manifest; gives the generator's folder.
fn product(toolchain: &Toolchain) -> Result<PathBuf> {
    let target = folder().join("target");
    let product = target.join("spm-tests");
    let mut tools = cargo_host();
    tools.args(["build", "--quiet", "--locked", "--profile", "host", "--target-dir"]).arg(&target);
    start(tools.args(["--package", "generator", "--package", "spm-harness"]))?;
    let mut generator = Command::new(target.join("host/generator"));
    generator.current_dir(folder()).args(["build", "partitions/tests.toml", "--out"]);
    generator.arg(&product).arg("--target").arg(toolchain.target_folder(&target));
    // The generator's own cargo takes all of it from here.
    generator.envs(toolchain.environment());
    start(&mut generator)?;
    Ok(product)
}

/// Builds a non-secure application in Rust.
fn application(
    toolchain: &Toolchain,
    product: &Path,
    name: &str,
    features: &str,
) -> Result<PathBuf> {
    let target = toolchain.target_folder(&folder().join("target"));
    let mut command = toolchain.cargo(&folder());
    command
        .args(["build", "--quiet", "--locked", "--release", "--target", TARGET])
        .args(["--package", name, "--bin", name, "--features", features, "--target-dir"])
        .arg(&target)
        .env("RINGFORT_NAMES", product.join("names.rs"))
        .env("RINGFORT_GATEWAY", GATEWAY);
    start(&mut command)?;
    Ok(target.join(TARGET).join("release").join(name))
}

/// As docs/porting.md says it.
fn application_in_c(product: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("arm-none-eabi-gcc");
    command
        .current_dir(folder())
        .args(["-mcpu=cortex-m33+nodsp", "-mthumb", "-mfloat-abi=soft", "-Os"])
        .args(["-Wall", "-Wextra", "-Werror", "-I", "c/include", "-I"])
        .arg(product.join("include"))
        .args(["-nostartfiles", "-T", "c/app/app.ld", "c/app/start.c", "c/app/main.c", "-L"])
        .arg(product.join("lib"))
        .args(["-lringfort_ns", "-o"])
        .arg(to);
    start(&mut command).context("the application in C does not build")
}

fn harness(what: &str, images: &Images, app: &Path) -> Result<()> {
    let mut command = Command::new(folder().join("target/host/spm-harness"));
    command.arg(what).arg("--product").arg(&images.product).arg("--app").arg(app);
    start(&mut command)
}
