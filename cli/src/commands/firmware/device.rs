//! One emulated device: fuses, flash, and QEMU to run it.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::fleet::{Fleet, Package, Release};
use super::images::Images;
use super::script::{BYTES, PACKAGES, SCRIPT, op};
use crate::failure::{Failure, Outcome};

/// A device in a folder of its own.
pub struct Device {
    folder: PathBuf,
    boot: PathBuf,
    board: &'static str,
}

/// What a run ends with.
#[derive(Clone, Copy)]
pub enum Until<'u> {
    /// A line of the application that begins so.
    App(&'u str),
    /// A line of the secure console that begins so.
    Secure(&'u str),
}

/// What stood on the consoles.
pub struct Consoles {
    /// Boot loader, partition manager and partitions.
    pub secure: String,
    /// The application.
    pub app: String,
}

/// One call of the application and what it came to.
pub struct Call {
    /// The operation.
    pub operation: u32,
    /// The status that it returned.
    pub status: i32,
    /// The state of the component afterwards.
    pub state: u32,
    /// Bytes of the image that are written.
    pub written: u32,
    /// The reason code of the last refusal; empty for none.
    pub reason: String,
}

impl Device {
    /// A device as the factory leaves it, with its first release in slot A.
    pub fn new(
        folder: &Path,
        board: &'static str,
        images: &Images,
        fleet: &Fleet,
        first: &Release,
    ) -> Outcome<Device> {
        let mut flash = vec![0xff; FLASH_LEN];
        put(&mut flash, ANCHORS_AT, &fleet.anchors);
        put(&mut flash, SLOT_A_AT, &first.slot(&fleet.anchors));
        let device = Device { folder: folder.to_owned(), boot: images.boot.clone(), board };
        device.write("flash.bin", &flash)?;
        device.write("otp.bin", &otp(fleet)?)?;
        Ok(device)
    }

    /// Another device with the same fuses and flash, of which one byte is changed.
    pub fn tampered(&self, folder: &Path, at: usize) -> Outcome<Device> {
        let copy = Device { folder: folder.to_owned(), boot: self.boot.clone(), board: self.board };
        let mut flash = self.read("flash.bin")?;
        if let Some(byte) = flash.get_mut(at) {
            *byte ^= 1;
        }
        copy.write("flash.bin", &flash)?;
        copy.write("otp.bin", &self.read("otp.bin")?)?;
        Ok(copy)
    }

    /// Switches it on, lets the application carry out a script, and cuts the power when it has
    /// said what is waited for.
    pub fn run(
        &self,
        script: &[[u32; 3]],
        packages: &[&Package],
        until: Until<'_>,
    ) -> Outcome<Consoles> {
        let mut words: Vec<u32> = script.iter().flatten().copied().collect();
        words.extend([op::END, 0, 0]);
        let mut table = Vec::new();
        let mut bytes = Vec::new();
        for part in packages.iter().flat_map(|package| [&package.manifest, &package.image]) {
            table.extend([BYTES + bytes.len() as u32, part.len() as u32]);
            bytes.extend_from_slice(part);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        let mut command = Command::new("qemu-system-arm");
        command
            .args(["-M", &format!("{},memory-backend=flash", self.board), "-object"])
            .arg(format!(
                "memory-backend-file,id=flash,size=16M,mem-path={},share=on",
                self.path("flash.bin")
            ))
            .args(["-display", "none", "-monitor", "none", "-icount", "shift=6,sleep=off"])
            .arg("-kernel")
            .arg(&self.boot)
            .arg("-device")
            .arg(format!("loader,file={},addr=0x1000f000,force-raw=on", self.path("otp.bin")));
        for (name, at, content) in [
            ("script", SCRIPT, flat(&words)),
            ("packages", PACKAGES, flat(&table)),
            ("bytes", BYTES, bytes),
        ] {
            self.write(name, &content)?;
            if !content.is_empty() {
                let file = self.path(name);
                command.arg("-device").arg(format!("loader,file={file},addr={at:#x},force-raw=on"));
            }
        }
        let (other, wanted) = match until {
            Until::App(line) => ("secure.log", line),
            Until::Secure(line) => ("app.log", line),
        };
        let file = format!("file:{}", self.path(other));
        let serial = match until {
            Until::App(_) => [file.as_str(), "stdio"],
            Until::Secure(_) => ["stdio", file.as_str()],
        };
        let child = command
            .args(["-serial", serial[0], "-serial", serial[1]])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| failed("qemu-system-arm does not start", error.to_string()))?;
        let watched = watch(child, wanted)?;
        let other = String::from_utf8_lossy(&self.read(other)?).into_owned();
        Ok(match until {
            Until::App(_) => Consoles { secure: other, app: watched },
            Until::Secure(_) => Consoles { secure: watched, app: other },
        })
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn read(&self, name: &str) -> Outcome<Vec<u8>> {
        fs::read(self.folder.join(name))
            .map_err(|error| failed(&self.path(name), error.to_string()))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Outcome<()> {
        fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(self.folder.join(name), bytes))
            .map_err(|error| failed(&self.path(name), error.to_string()))
    }
}

impl Consoles {
    /// What the application's calls came to.
    pub fn calls(&self) -> Vec<Call> {
        self.app.lines().filter_map(Call::read).collect()
    }

    /// The first line of the secure console that holds this.
    pub fn secure_line(&self, what: &str) -> Option<&str> {
        self.secure.lines().find(|line| line.contains(what))
    }
}

impl Call {
    /// A call's line of the application.
    pub fn read(line: &str) -> Option<Call> {
        let mut words = line.strip_prefix("op ")?.split(' ');
        let mut number = || u32::from_str_radix(words.next()?, 16).ok();
        let (operation, status, state) = (number()?, number()?, number()?);
        let (_error, _build, _attempts, written) = (number()?, number()?, number()?, number()?);
        let reason = words.next().unwrap_or_default().to_owned();
        Some(Call { operation, status: status.cast_signed(), state, written, reason })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.operation {
            op::QUERY => "asks how things stand",
            op::START => "starts an update",
            op::WRITE => "writes the image",
            op::FINISH => "finishes the image",
            op::INSTALL => "installs it",
            op::ACCEPT => "accepts the running release",
            op::CLEAN => "cleans the other slot",
            op::CALL => "has called a service",
            _ => "calls",
        };
        let state = STATES.get(self.state as usize).copied().unwrap_or("unknown");
        write!(f, "{what}: status {}, update {state}", self.status)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ", {}", self.reason) }
    }
}

/// Reads a console until a line begins as wanted, or until time is up, and ends the emulator.
fn watch(mut child: Child, wanted: &str) -> Outcome<String> {
    let (send, lines) = mpsc::channel();
    let Some(output) = child.stdout.take() else { return Err(failed("no console", String::new())) };
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + PATIENCE;
    let mut text = String::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => {
                text.push_str(&line);
                text.push('\n');
                if line.starts_with(wanted) {
                    break;
                }
            }
            // What is missing in the text shows what did not happen.
            Err(_) => break,
        }
    }
    // It may be gone already.
    let _ = child.kill();
    let _ = child.wait();
    drop(lines);
    let _ = reader.join();
    Ok(text)
}

/// The fuses: a secret of this device's own, made now (docs/boot.md).
fn otp(fleet: &Fleet) -> Outcome<Vec<u8>> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| failed("no random numbers", String::new()))?;
    let mut blob = Vec::new();
    for word in [OTP_MAGIC, 0x3000, fleet.anchors.len() as u32] {
        blob.extend_from_slice(&word.to_le_bytes());
    }
    blob.extend_from_slice(&secret);
    blob.extend_from_slice(&fleet.anchors_digest().0);
    blob.extend_from_slice(fleet.id.as_bytes());
    for id in &fleet.identity {
        blob.extend_from_slice(id.as_bytes());
    }
    blob.resize(192, 0);
    Ok(blob)
}

fn put(flash: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in flash.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

fn flat(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn failed(what: &str, why: String) -> Failure {
    Failure::failed(what, why, "Run the command again; if it persists, report it.")
}

/// States of PSA Firmware Update 1.0, by number.
const STATES: [&str; 8] =
    ["ready", "writing", "candidate", "staged", "failed", "on trial", "rejected", "updated"];
/// For one run of the emulator, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(240);
const FLASH_LEN: usize = 16 << 20;
const ANCHORS_AT: usize = 0x2000;
const SLOT_A_AT: usize = 0x10_0000;
/// Where the second slot begins.
pub const SLOT_B_AT: usize = 0x40_0000;
const OTP_MAGIC: u32 = 0x4f50_4652;
