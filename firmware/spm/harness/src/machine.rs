//! One run of QEMU.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The boards.
pub const BOARDS: [&str; 2] = ["mps2-an505", "mps2-an521"];

/// What runs.
pub struct Images {
    /// The folder that the generator has filled.
    pub product: PathBuf,
    /// The non-secure application.
    pub app: PathBuf,
}

/// How it runs.
#[derive(Default)]
pub struct Run<'r> {
    /// The word that chooses a case.
    pub case: u32,
    /// More arguments for QEMU.
    pub arguments: &'r [&'r str],
    /// When the application has said this: memory to read, first address and bytes, and the end.
    pub dump: Option<(&'r str, u32, u32)>,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// QEMU's exit code; `None` when it had to be ended.
    pub code: Option<i32>,
    /// The secure console.
    pub console: String,
    /// UART1.
    pub nonsecure: String,
    /// The memory that was asked for.
    pub memory: Vec<u8>,
}

/// Wall-clock time until a run counts as hung, on a busy host too.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs the images until the application ends the emulator.
pub fn run(images: &Images, board: &str, run: &Run<'_>) -> Result<Outcome, String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    let folder = std::env::temp_dir().join(format!("ringfort-spm-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let outcome = start(images, board, run, &folder);
    let _ = fs::remove_dir_all(&folder);
    outcome
}

fn start(images: &Images, board: &str, run: &Run<'_>, folder: &Path) -> Result<Outcome, String> {
    let serial = |name: &str| format!("file:{}", folder.join(name).display());
    let mut command = Command::new("qemu-system-arm");
    command
        .args(["-M", board, "-display", "none"])
        .args(["-serial", &serial("secure"), "-serial", &serial("nonsecure")])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(images.product.join("secure.elf"))
        .arg("-device")
        .arg(format!("loader,file={}", images.app.display()))
        .arg("-device")
        .arg(format!("loader,addr=0x28200000,data={:#x},data-len=4", run.case))
        .args(run.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let monitor = folder.join("monitor");
    if run.dump.is_some() {
        let socket = format!("unix:{},server=on,wait=off", monitor.display());
        command.args(["-monitor", &socket]);
    } else {
        command.args(["-monitor", "none"]);
    }
    let mut asked = false;
    let mut child = command.spawn().map_err(|error| format!("qemu-system-arm: {error}"))?;
    let start = Instant::now();
    let code = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.code(),
            Ok(None) if start.elapsed() < PATIENCE => {
                let said = fs::read_to_string(folder.join("nonsecure")).unwrap_or_default();
                if let Some((end, at, len)) = run.dump
                    && !asked
                    && said.contains(end)
                {
                    asked = true;
                    let file = folder.join("memory");
                    let wanted =
                        format!("pmemsave {at:#x} {len:#x} \"{}\"\nquit\n", file.display());
                    UnixStream::connect(&monitor)
                        .and_then(|mut stream| {
                            stream.write_all(wanted.as_bytes())?;
                            // Until QEMU has read it all and is gone.
                            std::io::copy(&mut stream, &mut std::io::sink())
                        })
                        .map_err(|error| format!("monitor: {error}"))?;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
        }
    };
    let text = |name: &str| {
        let bytes = fs::read(folder.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let memory = fs::read(folder.join("memory")).unwrap_or_default();
    Ok(Outcome { code, console: text("secure"), nonsecure: text("nonsecure"), memory })
}
