//! `cargo xtask firmware`: the firmware workspace's own tasks.

mod c_device;
mod debian;
mod porting;
mod spm;
mod steps;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages::{self, Package, Probe};
use crate::run::{root, run as start};
use steps::Step;
use toolchain::{TARGET, Toolchain};

const PACKAGES: &[Package] = &[Package {
    name: "qemu-system-arm",
    probe: Probe::Program("qemu-system-arm"),
    used_for: "to run the firmware",
}];

const HELP: &str = "\
cargo xtask firmware <what>

  build              every image, for the boards mps2-an505 and mps2-an521
  images             what `ringfort firmware` runs, into firmware/target/product
  run                a device from reset to its first non-secure line, without semihosting
  test               all of it in a quarter of an hour, power cuts and faults as samples
  spm                the partition manager's part of the tests alone
  porting            docs/porting.md, its commands as they stand
  c-device           the device core behind its C header, linked for a Cortex-M33
  update [--only]    the update partition's part of them alone
  size               sizes, memory and instruction counts, beside their bars
  powercut [--seed]  every power cut of a device's life; ends with `points: N`
  faults [--sample]  every instruction left out; ends with `faults: N, boots of a bad image: M`
         [--scene]   (those whose name begins so only; --code: in functions named so, between
                     commas; --board; --jobs: emulators at a time; --list: how each run ended)
";

/// The task: `firmware build|images|run|test|spm|porting|update|c-device|size|powercut|faults`.
pub fn run(arguments: &[String]) -> Result<()> {
    let Some((what, rest)) = arguments.split_first() else { bail!("{HELP}") };
    match what.as_str() {
        "build" => build().map(|_| ()),
        "images" => spm::images(),
        "run" => qemu("run", rest),
        "test" => test(),
        "size" => {
            reproducible(|_| true)?;
            spm::size()?;
            qemu("size", rest)
        }
        "spm" => spm::test(),
        "porting" => porting::test(),
        "c-device" => c_device::test(),
        "update" => spm::update(rest),
        "powercut" => host("powercut", rest),
        "faults" => qemu("faults", rest),
        _ => bail!("unknown argument '{what}'\n\n{HELP}"),
    }
}

/// An image: its name, package, binary and features.
struct Image {
    name: &'static str,
    package: &'static str,
    binary: &'static str,
    features: &'static str,
    defaults: bool,
}

const IMAGES: &[Image] = &[
    image("boot", "boot", "boot", "target", true),
    image("boot-small", "boot", "boot", "target", false),
    image("boot-test", "boot", "boot", "target,test-exit", true),
    image("boot-planted", "boot", "boot", "target,test-exit,planted-single", true),
    image("boot-trusting", "boot", "boot", "target,test-exit,planted-trusting", true),
    image("secure", "app", "secure", "target", true),
    image("nonsecure", "app", "nonsecure", "target", true),
    image("secure-test", "app", "secure", "target,semihosting", true),
    image("nonsecure-test", "app", "nonsecure", "target,semihosting", true),
];

const fn image(
    name: &'static str,
    package: &'static str,
    binary: &'static str,
    features: &'static str,
    defaults: bool,
) -> Image {
    Image { name, package, binary, features, defaults }
}

/// Builds every image into `firmware/target/images` and gives that folder.
fn build() -> Result<PathBuf> {
    build_in(&folder().join("target"), IMAGES)
}

fn build_in<'i>(target: &Path, these: impl IntoIterator<Item = &'i Image>) -> Result<PathBuf> {
    let toolchain = Toolchain::choose()?;
    let target = &toolchain.target_folder(target);
    let images = target.join("images");
    std::fs::create_dir_all(&images)
        .with_context(|| format!("cannot make the folder {}", images.display()))?;
    for image in these {
        compile(&toolchain, image, target, &images)?;
    }
    Ok(images)
}

/// Builds one image and copies it to `folder`.
fn compile(toolchain: &Toolchain, image: &Image, target: &Path, to: &Path) -> Result<()> {
    let mut command = toolchain.cargo(&folder());
    command
        .args(["build", "--quiet", "--locked", "--release", "--target", TARGET])
        .args(["--package", image.package, "--bin", image.binary])
        .args(["--features", image.features])
        .arg("--target-dir")
        .arg(target);
    if !image.defaults {
        command.arg("--no-default-features");
    }
    start(&mut command)?;
    let built = target.join(TARGET).join("release").join(image.binary);
    // One that runs in QEMU is left alone.
    let (new, kept) = (std::fs::read(&built), to.join(image.name));
    let new = new.with_context(|| format!("cannot read {}", built.display()))?;
    if std::fs::read(&kept).ok().as_ref() != Some(&new) {
        std::fs::write(&kept, new).with_context(|| format!("cannot write {}", kept.display()))?;
    }
    Ok(())
}

/// Builds these images once more, in another folder, and compares byte by byte.
fn reproducible(wanted: impl Fn(&Image) -> bool) -> Result<()> {
    let these = || IMAGES.iter().filter(|image| wanted(image));
    let first = build_in(&folder().join("target"), these())?;
    let second = build_in(&folder().join("target/again"), these())?;
    for image in these() {
        let read = |folder: &Path| {
            let path = folder.join(image.name);
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        if read(&first)? != read(&second)? {
            bail!("two builds of {} differ", image.name);
        }
    }
    println!("two builds, {} images each: identical", these().count());
    Ok(())
}

/// The loader as it is delivered, in both its forms.
fn identical() -> Result<()> {
    reproducible(|image| ["boot", "boot-small"].contains(&image.name))
}

/// Builds once, then runs what is independent side by side, the longest first.
fn test() -> Result<()> {
    let images = ready()?;
    let tested = ["p256-verify", "slots", "boot", "harness", "powercut"];
    let packages = tested.iter().flat_map(|package| ["--package", package]);
    let mut tests = cargo_host();
    tests.args(["test", "--no-run", "--quiet", "--locked", "--profile", "host"]);
    start(tests.args(packages.clone()))?;
    let mut tools = cargo_host();
    tools.args(["build", "--quiet", "--locked", "--profile", "host"]);
    start(tools.args(["--package", "harness", "--package", "powercut"]))?;

    let [p256, rest] = [&tested[..1], &tested[1..]].map(|packages| {
        let mut command = cargo_host();
        command.args(["test", "--quiet", "--locked", "--profile", "host"]);
        command.args(packages.iter().flat_map(|package| ["--package", package]));
        command
    });
    let harness = |what: &str, more: &[&str]| {
        let images = images.display().to_string();
        tool("harness", &[&[what, "--images", &images], more].concat())
    };
    let board = |name: &'static str| ["--board", name];
    let [an505, an521] = ["mps2-an505", "mps2-an521"].map(board);
    let steps = vec![
        Step::here("spm", spm::test),
        Step::here("c-device", c_device::test),
        Step::program("kill-an505", harness("kill", &an505)),
        Step::program("kill-an521", harness("kill", &an521)),
        Step::program("p256-verify", p256),
        Step::program("attacks-an505", harness("attacks", &an505)),
        Step::program("attacks-an521", harness("attacks", &an521)),
        Step::program("faults", harness("faults", &["--sample", "1500"])),
        Step::program("planted", tool("powercut", &["--planted"])),
        Step::program("flows", harness("flows", &[])),
        Step::program("time", harness("time", &[])),
        Step::here("identical", identical),
        Step::program("symbols", harness("symbols", &[])),
        Step::program("powercut", tool("powercut", &["--sample"])),
        Step::program("rules", rest),
    ];
    steps::run(steps, &folder().join("target/steps"))
}

/// Starts the harness on freshly built images.
fn qemu(what: &str, rest: &[String]) -> Result<()> {
    let images = ready()?;
    let mut arguments = vec![what.to_owned(), "--images".to_owned(), images.display().to_string()];
    arguments.extend_from_slice(rest);
    host("harness", &arguments)
}

/// Everything that a run in QEMU needs.
fn ready() -> Result<PathBuf> {
    packages::ensure(PACKAGES, std::env::var_os("CI").is_some_and(|value| value == "true"))?;
    build()
}

/// Runs a host tool of the firmware workspace.
fn host(name: &str, arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    start(&mut tool(name, &arguments))
}

fn tool(name: &str, arguments: &[&str]) -> Command {
    let mut command = cargo_host();
    command.args(["run", "--quiet", "--locked", "--profile", "host", "--package", name, "--"]);
    command.args(arguments);
    command
}

fn cargo_host() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder());
    command
}

fn folder() -> PathBuf {
    root().join("firmware")
}
