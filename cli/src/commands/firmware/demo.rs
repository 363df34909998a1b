//! The demonstration: each line is what a console of the emulator really said.

use std::fmt;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use super::Options;
use super::device::{Call, Device, SLOT_B_AT, Until};
use super::fleet::{ENVELOPE_MAX, Fleet, Package, Release};
use super::images::Images;
use super::script::op;
use crate::failure::{Failure, Outcome};
use crate::output::{line, show};

/// One line.
#[derive(Serialize)]
struct Step {
    /// What was to happen.
    what: &'static str,
    /// What happened.
    seen: String,
    /// Whether it is what was to happen.
    happened: bool,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.happened { "ok  " } else { "FAIL" };
        write!(f, "{mark}  {:<28}  {}", self.what, self.seen)
    }
}

/// Everything, and whether all of it happened.
pub fn demo(options: &Options, json: bool) -> Outcome<()> {
    let start = Instant::now();
    let images = Images::find(options.images.as_deref())?;
    let folder = Folder::new()?;
    let scene = Scene::new(options, &images, &folder)?;
    let mut steps = Vec::new();
    let mut say = |all: Vec<Step>| {
        for step in all {
            if !json {
                line(&step.to_string());
            }
            steps.push(step);
        }
    };
    say(scene.boots_and_serves()?);
    say(scene.refuses(&images)?);
    say(scene.survives_a_power_cut()?);
    say(scene.updates()?);
    say(scene.refuses_changed_flash(&folder)?);
    let missing = steps.iter().filter(|step| !step.happened).count();
    let done = json!({
        "board": options.board.name(),
        "steps": steps,
        "happened": missing == 0,
        "seconds": start.elapsed().as_secs(),
    });
    if json && missing == 0 {
        show(&Object(done.clone()), true);
    } else if missing == 0 {
        line(&format!(
            "All of it happened on an emulated {}, with keys made for this run. No silicon has been \
             tested.",
            options.board.name()
        ));
    }
    match missing {
        0 => Ok(()),
        _ => Err(Failure::failed(
            format!("{missing} of {} steps did not happen", steps.len()),
            "The consoles of the emulator do not say what they should.",
            "Run `cargo xtask firmware test`; if that passes, report this.",
        )
        .detail("demo", done)),
    }
}

/// One boot, with both consoles as they are.
pub fn run(options: &Options, json: bool) -> Outcome<()> {
    let images = Images::find(options.images.as_deref())?;
    let folder = Folder::new()?;
    let scene = Scene::new(options, &images, &folder)?;
    let script = [[op::ACCEPT, 0, 0], [op::CLEAN, 0, 0], [op::CALL, 0, 0]];
    let consoles = scene.device.run(&script, &[], Until::App(END))?;
    if json {
        let object = json!({ "secure": consoles.secure, "application": consoles.app });
        show(&Object(object), true);
    } else {
        consoles.secure.lines().for_each(|text| line(&format!("secure       {text}")));
        for text in consoles.app.lines() {
            let words = Call::read(text).map(|call| call.to_string());
            line(&format!("application  {}", words.as_deref().unwrap_or(text).trim_end()));
        }
    }
    if consoles.app.contains(ANSWER) {
        if !json {
            line(&format!(
                "An emulated {}, with keys made for this run. `ringfort firmware demo` attacks it.",
                options.board.name()
            ));
        }
        return Ok(());
    }
    Err(Failure::failed(
        "the application did not get its answer",
        "The consoles above say how far it came.",
        "Run `cargo xtask firmware test`.",
    ))
}

struct Scene {
    fleet: Fleet,
    device: Device,
    next: Release,
    package: Package,
}

impl Scene {
    fn new(options: &Options, images: &Images, folder: &Folder) -> Outcome<Scene> {
        let fleet = Fleet::new()?;
        let first = fleet.release(images, 1, 0)?;
        let place = folder.0.join("device");
        let device = Device::new(&place, options.board.name(), images, &fleet, &first)?;
        let next = fleet.release(images, 2, 0)?;
        let package = next.package(&fleet.order(&next, 3)?);
        Ok(Scene { fleet, device, next, package })
    }

    fn boots_and_serves(&self) -> Outcome<Vec<Step>> {
        let script = [
            [op::QUERY, 0, 0],
            [op::ACCEPT, 0, 0],
            [op::CLEAN, 0, 0],
            [op::CALL, 0, 0],
            [op::CRASH, 0, 0],
            [op::CALL, 0, 0],
            [op::READ, SECURE_CODE, 0],
            [op::QUERY, 0, 0],
        ];
        let consoles = self.device.run(&script, &[], Until::App(END))?;
        let calls = consoles.calls();
        let boot = consoles.secure_line("boot: slot 00000000");
        let ready = consoles.secure_line("spm: ready");
        let trial = calls.first().is_some_and(|call| call.state == TRIAL);
        let accepted = find(&calls, op::ACCEPT);
        let answers = consoles.app.matches(ANSWER).count();
        let restarted = consoles.secure_line("spm: restarted rogue");
        let fault = consoles.secure_line("spm: fault nonsecure SecureFault");
        let starts = consoles.app.matches("app: release 00000001").count();
        Ok(vec![
            step(
                "signed release boots",
                boot.is_some() && ready.is_some() && trial,
                format!("{}; {}", said(boot), said(ready)),
            ),
            step(
                "health checks confirm it",
                accepted.is_some_and(|call| call.status == 0 && call.state == UPDATED),
                said(consoles.secure_line("update: confirmed")),
            ),
            step(
                "application calls a service",
                answers > 0,
                said(consoles.app.lines().find(|line| line.contains(ANSWER))),
            ),
            step("rogue partition is restarted", restarted.is_some(), said(restarted)),
            step(
                "the other services go on",
                answers == 2,
                format!("{answers} of 2 calls answered"),
            ),
            step(
                "read of secure memory stops",
                fault.is_some() && starts == 2 && !consoles.app.contains("went on"),
                said(fault),
            ),
        ])
    }

    fn refuses(&self, images: &Images) -> Outcome<Vec<Step>> {
        let fleet = &self.fleet;
        let forged = fleet.forged(images, 2)?;
        let forged = forged.package(&fleet.order(&forged, 1)?);
        let older = fleet.release(images, 0, 3600)?;
        let older = older.package(&fleet.order(&older, 1)?);
        let unordered = self.next.package(&[]);
        let mut changed = self.next.package(&fleet.order(&self.next, 2)?);
        if let Some(byte) = changed.image.get_mut(5000) {
            *byte ^= 1;
        }
        let script = [
            [op::START, 0, 0],
            [op::START, 1, 0],
            [op::START, 2, 0],
            [op::START, 3, 0],
            [op::WRITE, 3, u32::MAX],
            [op::FINISH, 0, 0],
            [op::CLEAN, 0, 0],
        ];
        let packages = [&forged, &older, &unordered, &changed];
        let consoles = self.device.run(&script, &packages, Until::App(END))?;
        let calls = consoles.calls();
        let refusal = |what, at: usize, reason: &str, state| {
            let call = calls.get(at);
            let good = call.is_some_and(|call| {
                call.status < 0 && call.reason == reason && call.state == state
            });
            let seen = call.map_or("nothing".to_owned(), |call| {
                format!("status {}, {}", call.status, call.reason)
            });
            step(what, good, seen)
        };
        Ok(vec![
            refusal("unknown signer is refused", 0, "untrusted-signer", READY),
            refusal("rollback is refused", 1, "sequence-too-low", READY),
            refusal("update without order refused", 2, "order-missing", READY),
            refusal("tampered image is refused", 5, "image-digest", FAILED),
        ])
    }

    fn survives_a_power_cut(&self) -> Outcome<Vec<Step>> {
        let half = self.package.image.len() as u32 / 2;
        let script = [[op::START, 0, 0], [op::WRITE, 0, half], [op::HANG, 0, 0]];
        let until = format!("op {:08x}", op::WRITE);
        let consoles = self.device.run(&script, &[&self.package], Until::App(&until))?;
        let written = find(&consoles.calls(), op::WRITE).map_or(0, |call| call.written);
        let after = self.device.run(&[[op::QUERY, 0, 0]], &[], Until::App(END))?;
        let old = after.app.lines().find(|line| line.starts_with("app: release 00000001"));
        let total = self.package.image.len();
        Ok(vec![step(
            "power cut is survived",
            written > 0 && old.is_some(),
            format!("cut with {written} of {total} bytes written; then {}", said(old)),
        )])
    }

    fn updates(&self) -> Outcome<Vec<Step>> {
        let script = [
            [op::START, 0, 0],
            [op::WRITE, 0, u32::MAX],
            [op::FINISH, 0, 0],
            [op::INSTALL, 0, 0],
            [op::REBOOT, 0, 0],
            [op::QUERY, 0, 0],
            [op::ACCEPT, 0, 0],
            [op::CLEAN, 0, 0],
        ];
        let consoles = self.device.run(&script, &[&self.package], Until::App(END))?;
        let calls = consoles.calls();
        let is = |operation, status, state| {
            find(&calls, operation).is_some_and(|call| call.status == status && call.state == state)
        };
        let new = consoles.app.lines().find(|line| line.starts_with("app: release 00000002"));
        let good = is(op::INSTALL, 1, STAGED) && is(op::QUERY, 0, TRIAL) && new.is_some();
        Ok(vec![
            step(
                "the same order goes on",
                good,
                format!("{}; {}", said(consoles.secure_line("boot: slot 00000001")), said(new)),
            ),
            step(
                "new release is confirmed",
                is(op::ACCEPT, 0, UPDATED),
                said(consoles.secure_line("update: confirmed")),
            ),
        ])
    }

    fn refuses_changed_flash(&self, folder: &Folder) -> Outcome<Vec<Step>> {
        let place = folder.0.join("changed");
        let device = self.device.tampered(&place, SLOT_B_AT + ENVELOPE_MAX + 4000)?;
        let consoles = device.run(&[], &[], Until::Secure("boot: recovery"))?;
        let refused = consoles.secure_line("boot: recovery");
        let good = refused.is_some() && consoles.app.is_empty();
        Ok(vec![step("changed flash does not boot", good, said(refused))])
    }
}

fn step(what: &'static str, happened: bool, seen: String) -> Step {
    Step { what, seen, happened }
}

fn said(line: Option<&str>) -> String {
    line.unwrap_or("nothing").trim().to_owned()
}

fn find(calls: &[Call], operation: u32) -> Option<&Call> {
    calls.iter().find(|call| call.operation == operation)
}

/// A JSON object as a result.
#[derive(Serialize)]
#[serde(transparent)]
struct Object(serde_json::Value);

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A folder for this run, gone with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Outcome<Folder> {
        let name = format!("ringfort-firmware-{}", uuid::Uuid::new_v4());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).map_err(|error| {
            Failure::failed(
                format!("{} cannot be made", folder.display()),
                error.to_string(),
                "Make room, or name another folder in TMPDIR.",
            )
        })?;
        Ok(Folder(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left there is the system's to clear.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the application says last.
const END: &str = "end";
/// What comes back from the partition `echo`.
const ANSWER: &str = "answer sixteen bytes...";
/// Where the partition manager begins.
const SECURE_CODE: u32 = 0x1002_0000;

// States of PSA Firmware Update 1.0.
const READY: u32 = 0;
const STAGED: u32 = 3;
const FAILED: u32 = 4;
const TRIAL: u32 = 5;
const UPDATED: u32 = 7;
