//! A device for one run after the other: a loader with an instruction left out, then, where that
//! changed the flash, the loader as it is, until nothing changes any more.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use slots::Sha256;

use crate::scene::Scene;
use crate::verdict::{self, End, Files, Line, Ran};

/// How a scene's release comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Over the console.
    Console,
    /// Out of memory: a loop that asks the emulator's console is slow, and goes as the host goes.
    Memory,
}

/// What all lanes share.
pub struct Rig {
    /// Where files go.
    pub folder: PathBuf,
    /// The board.
    pub machine: &'static str,
    /// The stub.
    pub stub: PathBuf,
    /// The fuses.
    pub otp: PathBuf,
    /// The loader without a fault.
    pub plain: PathBuf,
    /// How the starts ended that followed on a flash with this digest.
    pub later: Mutex<HashMap<[u8; 32], Option<End>>>,
}

/// One device.
pub struct Lane<'r> {
    rig: &'r Rig,
    boot: PathBuf,
    flash: PathBuf,
    /// What the flash holds, unless a run came since.
    held: Vec<u8>,
    spare: Vec<u8>,
    has_run: bool,
}

impl<'r> Lane<'r> {
    /// Another device.
    pub fn new(rig: &'r Rig, number: usize) -> Lane<'r> {
        let file = |what: &str| rig.folder.join(format!("lane-{number}.{what}"));
        let (boot, flash) = (file("elf"), file("flash"));
        let held = vec![0xff; crate::device::FLASH_LEN];
        fs::write(&flash, &held).expect("a flash file");
        let spare = held.clone();
        Lane { rig, boot, flash, held, spare, has_run: false }
    }

    /// Runs this loader on a scene, and what follows on it.
    pub fn inject(&mut self, boot: &[u8], scene: &Scene, by: By) -> End {
        fs::write(&self.boot, boot).expect("an image");
        let path = self.boot.clone();
        let end = self.run(&path, scene, by, &[]).end;
        match end {
            End::Booted | End::Stuck => end,
            end => self.follow(scene).unwrap_or(end),
        }
    }

    /// Runs this loader on a scene.
    pub fn run(&mut self, boot: &Path, scene: &Scene, by: By, more: &[String]) -> Ran {
        let ran = self.once(boot, scene, by, more);
        let all = scene.line.as_ref().map_or(0, |(line, _)| line.len() as u64);
        if by == By::Memory || ran.end != End::Watchdog || ran.taken >= all {
            return ran;
        }
        let again = self.once(boot, scene, by, more);
        if again.taken == ran.taken {
            return again;
        }
        println!("{}: {} bytes were taken, then {} of {all}", scene.name, ran.taken, again.taken);
        Ran { end: End::Stuck, ..again }
    }

    fn once(&mut self, boot: &Path, scene: &Scene, by: By, more: &[String]) -> Ran {
        self.put(&scene.flash);
        let path = self.boot.with_extension("line");
        let line = scene.line.as_ref().map(|(line, _)| {
            let (bytes, way) = match by {
                By::Console => (line.clone(), Line::Console(&path)),
                By::Memory => (verdict::staged(line), Line::Staged(&path)),
            };
            fs::write(&path, bytes).expect("a line to send");
            way
        });
        self.has_run = true;
        verdict::run(&Files { line, ..self.files(boot) }, more)
    }

    /// Starts the loader as it is, as often as that changes something. `None` where nothing happens
    /// that should not.
    pub fn follow(&mut self, scene: &Scene) -> Option<End> {
        if !self.has_changed() {
            return None;
        }
        let digest = difference(scene, &self.held);
        if let Some(known) = self.rig.later.lock().expect("no lane panics").get(&digest) {
            return *known;
        }
        let end = self.starts(scene);
        self.rig.later.lock().expect("no lane panics").insert(digest, end);
        end
    }

    fn starts(&mut self, scene: &Scene) -> Option<End> {
        for _ in 0..STARTS {
            self.has_run = true;
            match verdict::run(&self.files(&self.rig.plain), &[]).end {
                End::Booted => return Some(End::BootedLater),
                End::Stuck => {
                    println!("{}: a later start did not end", scene.name);
                    return Some(End::Stuck);
                }
                _ if !self.has_changed() => return None,
                _ => {}
            }
        }
        println!("{}: each later start changes the flash", scene.name);
        Some(End::Stuck)
    }

    fn files<'f>(&'f self, boot: &'f Path) -> Files<'f> {
        let Rig { machine, stub, otp, .. } = self.rig;
        Files { machine, boot, stub, flash: &self.flash, otp, line: None }
    }

    /// Reads what a run left; whether that is something else than before.
    fn has_changed(&mut self) -> bool {
        if !std::mem::take(&mut self.has_run) {
            return false;
        }
        let file = File::open(&self.flash).expect("the flash file");
        file.read_exact_at(&mut self.spare, 0).expect("the flash file");
        std::mem::swap(&mut self.held, &mut self.spare);
        self.held != self.spare
    }

    /// Makes the flash hold this.
    fn put(&mut self, wanted: &[u8]) {
        self.has_changed();
        let file = OpenOptions::new().write(true).open(&self.flash).expect("the flash file");
        for (index, page) in wanted.chunks(PAGE).enumerate() {
            let at = index * PAGE;
            if page != &self.held[at..at + page.len()] {
                file.write_all_at(page, at as u64).expect("the flash file");
            }
        }
        self.held.copy_from_slice(wanted);
    }
}

/// The digest of what a flash holds: the scene, and where it differs from that.
fn difference(scene: &Scene, held: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(scene.name.as_bytes());
    for (index, (old, new)) in scene.flash.chunks(PAGE).zip(held.chunks(PAGE)).enumerate() {
        if old != new {
            hash.update(&(index as u32).to_le_bytes());
            hash.update(new);
        }
    }
    hash.finish()
}

const PAGE: usize = 4096;
/// A trial has three starts; one more gives it up, and the one after that changes nothing.
const STARTS: usize = 8;
