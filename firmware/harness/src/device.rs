//! A device: its fuses, its flash, and QEMU to run it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use boot::OTP_MAGIC;

use harness::release::{Fleet, Images, SLOT_A};

use crate::patience::Patience;

/// The boards.
pub const MACHINES: [&str; 2] = ["mps2-an505", "mps2-an521"];
pub const FLASH_LEN: usize = 16 << 20;
const FLASH_AT: u32 = 0x8000_0000;
pub const STAGING: u32 = 0x80a0_0000;
const ANCHORS_A: u32 = FLASH_AT + 0x2000;
pub const SECRET: [u8; 32] = *b"this device's secret, 32 bytes..";

/// The images under test, and a folder to work in.
pub struct Bench {
    pub boot: PathBuf,
    pub images: Images,
    pub folder: PathBuf,
}

/// One device in a folder of its own.
pub struct Device {
    pub folder: PathBuf,
    pub boot: PathBuf,
    pub machine: &'static str,
    pub otp: Vec<u8>,
}

/// How to run.
#[derive(Clone, Default)]
pub struct Run {
    /// The secure component's test command.
    pub command: u32,
    /// A recovery release to send over the console.
    pub recovery: Option<Vec<u8>>,
    /// More arguments for QEMU.
    pub arguments: Vec<String>,
    /// Gives the images no way to end QEMU or to reach the host.
    pub plain: bool,
    /// Kills QEMU after so much processor time, as a power cut would.
    pub kill_after: Option<Duration>,
    /// Ends QEMU once the console holds this line's beginning so often, each line whole.
    pub until: Option<(&'static str, usize)>,
    /// What the console said so far, for whoever watches the run.
    pub console: Console,
}

/// UART0 while QEMU runs.
#[derive(Clone, Default)]
pub struct Console(Arc<Mutex<Vec<u8>>>);

impl Console {
    /// Everything so far.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().map(|bytes| bytes.clone()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Takes what comes until nothing more does.
    fn fill(&self, mut from: impl Read) {
        let mut some = [0; 4096];
        while let Ok(len @ 1..) = from.read(&mut some) {
            if let Ok(mut bytes) = self.0.lock() {
                bytes.extend_from_slice(&some[..len]);
            }
        }
    }

    /// Whole lines that contain this.
    pub fn lines_with(&self, what: &str) -> usize {
        let text = self.text();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter(|line| line.contains(what)).count()
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// QEMU's exit code; `None` when it was ended from outside.
    pub code: Option<i32>,
    /// UART0.
    pub console: String,
    /// UART1.
    pub nonsecure: String,
}

impl Device {
    /// A device as the factory leaves it: fuses, anchors version 1, and the factory's image in
    /// slot A.
    pub fn new(bench: &Bench, name: &str, machine: &'static str, fleet: &Fleet) -> Device {
        let folder = bench.folder.join(format!("{machine}-{name}"));
        fs::create_dir_all(&folder).expect("a folder for the device");
        let device = Device { folder, boot: bench.boot.clone(), machine, otp: otp(fleet, 0x3000) };
        fs::write(device.flash(), vec![0xff; FLASH_LEN]).expect("a flash file");
        device.write(ANCHORS_A, fleet.anchors(1));
        device
    }

    /// Another device with the same flash.
    pub fn copy(&self, name: &str) -> Device {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).expect("a folder for the device");
        let copy = Device {
            folder,
            boot: self.boot.clone(),
            machine: self.machine,
            otp: self.otp.clone(),
        };
        fs::copy(self.flash(), copy.flash()).expect("a flash file");
        copy
    }

    pub fn flash(&self) -> PathBuf {
        self.folder.join("flash.bin")
    }

    pub fn write(&self, at: u32, bytes: &[u8]) {
        let flash = fs::OpenOptions::new().write(true).open(self.flash()).expect("the flash file");
        flash.write_all_at(bytes, u64::from(at - FLASH_AT)).expect("the flash file");
    }

    pub fn read(&self, at: u32, len: usize) -> Vec<u8> {
        let flash = fs::File::open(self.flash()).expect("the flash file");
        let mut bytes = vec![0; len];
        flash.read_exact_at(&mut bytes, u64::from(at - FLASH_AT)).expect("the flash file");
        bytes
    }

    /// Puts a slot's bytes, as the factory would.
    pub fn factory_slot(&self, slot: &[u8]) {
        self.write(SLOT_A, slot);
    }

    /// Runs until the secure component hangs, and reads every memory that the loader could reach.
    pub fn memory_at_handoff(&self, command: u32) -> Vec<u8> {
        // The image is up once it has said its line.
        let is_up = |run: &Run| run.console.lines_with("app: release") > 0;
        self.memory_when(Run { command, ..Run::default() }, "memsave", &MEMORY, is_up)
    }

    /// Runs until `ready`, reads memory by this command of the monitor, and cuts the power.
    pub fn memory_when(
        &self,
        mut run: Run,
        read: &str,
        areas: &[(u32, u32)],
        ready: impl Fn(&Run) -> bool + Sync,
    ) -> Vec<u8> {
        let socket = self.folder.join("monitor");
        let monitor = ["-monitor".to_owned(), format!("unix:{},server,nowait", socket.display())];
        run.arguments.extend(monitor);
        let file = |at: u32| self.folder.join(format!("{at:x}.dump"));
        thread::scope(|scope| {
            scope.spawn(|| {
                let start = Instant::now();
                let mut monitor = loop {
                    match UnixStream::connect(&socket) {
                        Ok(stream) => break stream,
                        Err(_) if start.elapsed() > ENOUGH => return,
                        Err(_) => thread::sleep(Duration::from_millis(20)),
                    }
                };
                while !ready(&run) && start.elapsed() < ENOUGH {
                    thread::sleep(Duration::from_millis(10));
                }
                for (at, len) in areas {
                    let line = format!("{read} {at:#x} {len:#x} \"{}\"\n", file(*at).display());
                    let _ = monitor.write_all(line.as_bytes());
                }
                let _ = monitor.write_all(b"quit\n");
                let mut rest = Vec::new();
                let _ = monitor.read_to_end(&mut rest);
            });
            self.run(&run);
        });
        areas.iter().flat_map(|(at, _)| fs::read(file(*at)).unwrap_or_default()).collect()
    }

    /// What the non-secure side has said since the last start.
    pub fn nonsecure_so_far(&self) -> String {
        fs::read_to_string(self.folder.join("uart1")).unwrap_or_default()
    }

    pub fn run(&self, run: &Run) -> Outcome {
        let nonsecure = self.folder.join("uart1");
        let _ = fs::remove_file(&nonsecure);
        let otp = self.folder.join("otp.bin");
        fs::write(&otp, &self.otp).expect("the fuses");
        let mut command = Command::new("qemu-system-arm");
        command
            .args(["-M", &format!("{},memory-backend=flash", self.machine)])
            .arg("-object")
            .arg(format!(
                "memory-backend-file,id=flash,size=16M,mem-path={},share=on",
                self.flash().display()
            ))
            .args(["-display", "none", "-serial", "stdio", "-serial"])
            .arg(format!("file:{}", nonsecure.display()))
            .arg("-kernel")
            .arg(&self.boot)
            .arg("-device")
            .arg(format!("loader,file={},addr=0x1000f000,force-raw=on", otp.display()))
            .arg("-device")
            .arg(format!("loader,addr=0x28200000,data={:#x},data-len=4", run.command));
        if run.recovery.is_some() {
            command.args(["-device", "loader,addr=0x1000f100,data=0x56524652,data-len=4"]);
        }
        if !run.plain {
            command.args(["-semihosting-config", "enable=on,target=native"]);
        }
        if !run.arguments.iter().any(|argument| argument == "-monitor") {
            command.args(["-monitor", "none"]);
        }
        if !run.arguments.iter().any(|argument| argument == "-icount") {
            // An instruction takes a nanosecond of the board's time, so that no watchdog comes earlier
            // on a busy host: by the host's clock one that is left alone for long looks like one that
            // hangs.
            command.args(["-icount", "shift=0,sleep=off"]);
        }
        command.args(&run.arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("qemu-system-arm starts");
        let line = run.recovery.clone().map(|bytes| {
            let mut to = child.stdin.take().expect("a pipe");
            thread::spawn(move || {
                let _ = to.write_all(&bytes);
                to
            })
        });
        let from = child.stdout.take().expect("a pipe");
        // A run that is started again starts with an empty console.
        if let Ok(mut bytes) = run.console.0.lock() {
            bytes.clear();
        }
        let console = run.console.clone();
        let reader = thread::spawn(move || console.fill(from));
        let code = wait(&mut child, run);
        // The line stays open until here: an end of input is no part of the test.
        drop(line.map(thread::JoinHandle::join));
        reader.join().expect("a reader");
        Outcome {
            code,
            console: run.console.text(),
            nonsecure: fs::read_to_string(nonsecure).unwrap_or_default(),
        }
    }
}

fn wait(child: &mut Child, run: &Run) -> Option<i32> {
    // A loader in recovery never rests: it asks for the next byte of a slow line.
    let recovery = run.recovery.is_some().then_some(Duration::from_secs(300));
    let mut patience = Patience::new(run.kill_after.or(recovery));
    loop {
        if let Some(status) = child.try_wait().expect("a child to wait for") {
            return status.code();
        }
        let said = run.until.is_some_and(|(line, times)| run.console.lines_with(line) >= times);
        if said || patience.is_over(child) {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Every memory that the loader could reach, by address and length.
pub const MEMORY: [(u32, u32); 3] =
    [(0x1000_0000, 0x40_0000), (0x3000_0000, 0x8000), (0x3800_0000, 0x40_0000)];
/// Longer than a device takes to its first line on any host.
const ENOUGH: Duration = Duration::from_secs(300);

/// The per-device blob.
pub fn otp(fleet: &Fleet, lifecycle: u32) -> Vec<u8> {
    let anchors = fleet.anchors(1);
    let mut blob = Vec::new();
    blob.extend_from_slice(&OTP_MAGIC.to_le_bytes());
    blob.extend_from_slice(&lifecycle.to_le_bytes());
    blob.extend_from_slice(&(anchors.len() as u32).to_le_bytes());
    blob.extend_from_slice(&SECRET);
    blob.extend_from_slice(&slots::Sha256::digest(anchors));
    blob.extend_from_slice(&fleet.id);
    blob.extend_from_slice(&fleet.vendor);
    blob.extend_from_slice(&fleet.class);
    blob.extend_from_slice(&[0xd0; 16]);
    blob.resize(boot::OTP_BYTES, 0);
    blob
}
