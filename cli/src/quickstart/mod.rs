//! `ringfort quickstart`: a hub, a factory and two devices on this machine, an update, and attacks.
//!
//! Everything is the real thing: the commands are those that a team would type (the transcript
//! keeps them), hub and agents are processes of their own, and what is shown is what the hub or
//! the device answered. Only the place is special: all parties lie in sub-folders of one folder, and the PKI
//! is named `quickstart`, ends in 30 days and serves loopback only.

mod attacks;
mod commands;
mod devices;
mod layout;
mod processes;
mod report;
mod setup;
mod updates;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use ringfort_api::client::{After, DeviceFilter};
use ringfort_api::model::{Device, Target};
use serde_json::Value;
use tokio::runtime::Runtime;

use self::commands::Ringfort;
use self::devices::{Payload, hold_file};
use self::layout::Layout;
use self::processes::{Process, resident_mib};
use self::report::{DeviceLine, Report};
use self::setup::{Record, make_folder, text, words};
use self::updates::member;
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use crate::output::{self, conclude_quietly};
use crate::{clock, files, runtime};

/// How to run it.
#[derive(Args)]
pub struct Options {
    /// The folder for everything; the same folder again goes on where it was
    #[arg(long, value_name = "DIR", default_value = "quickstart")]
    dir: PathBuf,
    /// The file that is installed on the devices [default: this executable]
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
}

/// Runs it; people get lines and a hub that stays up, scripts get one object.
pub fn run(options: &Options, json: bool) -> ExitCode {
    conclude_quietly(run_all(options, json), json)
}

fn run_all(options: &Options, json: bool) -> Outcome<()> {
    let start = Instant::now();
    let report = Report::new(json);
    let _signals = watch_signals()?;
    let layout = Layout::new(&options.dir).map_err(|error| {
        Failure::failed("the folder has no path", files::sentence(&error), "Name another --dir.")
    })?;
    let payload = payload(options)?;
    let found = Record::read(&layout)?;
    make_folder(layout.root())?;
    let ringfort = Ringfort::new(&layout.transcript())?;
    report.line(&format!(
        "Ringfort quickstart · everything below is real and only on this machine ({})",
        options.dir.display()
    ));

    let mut running = match found {
        Some(record) => Running::resume(ringfort, layout, record, &report)?,
        None => Running::begin(ringfort, layout, &payload, &report)?,
    };
    running.enrolled(&report)?;
    let (held, devices) = running.update(&payload, &report)?;
    let mut refusals = running.attack(&payload, &report)?;
    refusals.push(("written-not-booted", held));
    report.done(
        "held",
        "written but not booted: the hub showed \"trial\", not \"confirmed\"",
        None,
    );
    let object = report::object(
        start.elapsed().as_secs_f64(),
        resident_mib(running.hub.id()),
        &devices,
        &refusals,
    );
    running.record.write(&running.layout)?;
    if json {
        output::line(&object.to_string());
        return Ok(());
    }
    farewell(&report, &running, options, &object);
    running.stay()
}

fn farewell(report: &Report, running: &Running, options: &Options, object: &Value) {
    let dir = options.dir.display();
    let hub = running.record.operator_port;
    report.line(&format!(
        "Done in {} s; the hub uses {} MiB. Every command is in {dir}/commands.sh",
        object["seconds"], object["hub_rss_mib"]
    ));
    report.line(&format!("Next: ringfort --dir {dir} device list     (hub on 127.0.0.1:{hub})"));
    report.line(&format!(
        "      ringfort --dir {dir} audit export log.json, then audit verify log.json"
    ));
    report.line("Ctrl-C stops hub and devices; the same command goes on from here.");
}

/// The processes and what they work on.
struct Running {
    ringfort: Ringfort,
    layout: Layout,
    record: Record,
    operator: Operator,
    hub: Process,
    agents: Vec<Process>,
    /// Distinguishes the attacks of one run from those of another.
    run: u64,
}

impl Running {
    /// A new folder: trust, hub, factory, devices.
    fn begin(
        ringfort: Ringfort,
        layout: Layout,
        payload: &Payload,
        report: &Report,
    ) -> Outcome<Running> {
        let start = Instant::now();
        let (device_port, operator_port) = setup::trust(&ringfort, &layout)?;
        let hub = start_hub(&ringfort, &layout)?;
        let done = "root, backup root, CAs; anchors 2 of 3; release keys 2 of 3";
        report.done("trust", done, Some(start.elapsed()));

        let start = Instant::now();
        let devices = devices::make(&ringfort, &layout, payload)?;
        let stores: Vec<String> = devices
            .iter()
            .map(|device| match device.softhsm_conf {
                Some(_) => format!("{} (PKCS#11)", device.id),
                None => format!("{} (sealed file)", device.id),
            })
            .collect();
        let done = format!("{}: keys made on the device", stores.join(" · "));
        report.done("factory", &done, Some(start.elapsed()));
        let record = Record { device_port, operator_port, devices, releases: 0 };
        record.write(&layout)?;
        Running::with_agents(ringfort, layout, record, hub)
    }

    /// A folder of an earlier run: the same hub, the same devices.
    fn resume(
        ringfort: Ringfort,
        layout: Layout,
        record: Record,
        report: &Report,
    ) -> Outcome<Running> {
        let start = Instant::now();
        let hub = start_hub(&ringfort, &layout)?;
        report.done("resumed", "the hub and the devices of an earlier run", Some(start.elapsed()));
        Running::with_agents(ringfort, layout, record, hub)
    }

    fn with_agents(
        ringfort: Ringfort,
        layout: Layout,
        record: Record,
        hub: Process,
    ) -> Outcome<Running> {
        let agents = record
            .devices
            .iter()
            .map(|device| devices::start(&ringfort, &layout, device))
            .collect::<Outcome<_>>()?;
        let operator = Operator::open(Some(layout.root()))?;
        Ok(Running { ringfort, layout, record, operator, hub, agents, run: clock::now() })
    }

    /// Waits until every device is deployed and was heard over its operational certificate.
    fn enrolled(&mut self, report: &Report) -> Outcome<()> {
        let start = Instant::now();
        let count = self.record.devices.len();
        let page = After { after: None, limit: Some(100) };
        let ready = |device: &&Device| device.state == "deployed" && device.last_seen_ms.is_some();
        loop {
            let client = self.operator.client();
            let listed = self.operator.wait(client.devices(&DeviceFilter::default(), &page))?;
            if listed.items.iter().filter(ready).count() == count {
                break;
            }
            self.still_alive()?;
            not_interrupted()?;
            if start.elapsed() > PATIENCE {
                let within = PATIENCE.as_secs();
                return Err(self.failed(&format!("the devices did not enrol within {within} s")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let shared = self.operator.wait(self.operator.client().status())?.shared_keys;
        let done = format!("{count} of {count} over mutual TLS 1.3 · shared keys found: {shared}");
        report.done("enrolled", &done, Some(start.elapsed()));
        Ok(())
    }

    /// The next release on all devices, shown on the way to be on trial and not a success yet.
    fn update(&mut self, payload: &Payload, report: &Report) -> Outcome<(String, Vec<DeviceLine>)> {
        if self.record.releases == 0 {
            self.release(payload, "1.0")?;
            let deployment = self.deploy("1.0")?;
            self.confirmed(&deployment)?;
            self.record.releases = 1;
        }
        let start = Instant::now();
        let (old, new) =
            (format!("1.{}", self.record.releases - 1), format!("1.{}", self.record.releases));
        self.release(payload, &new)?;
        let held_device = self.record.devices[0].id.clone();
        let hold = hold_file(&self.layout, &held_device);
        files::write_new(&hold, b"", 0o600)?;
        let deployment = self.deploy(&new)?;
        let shown = self.held(&deployment, &held_device);
        // Whatever was seen, the device may go on.
        let released = std::fs::remove_file(&hold);
        let held = shown?;
        released.map_err(|_| self.failed("the device could not be let go"))?;
        let targets = self.confirmed(&deployment)?;
        self.record.releases += 1;
        self.record.write(&self.layout)?;
        let both = if targets.len() == 2 { "both" } else { "all" };
        let done = format!("{old} → {new}  written → trial → confirmed · {both}");
        report.done("update", &done, Some(start.elapsed()));
        let devices = targets
            .iter()
            .map(|target| self.device_line(target, &new))
            .collect::<Outcome<Vec<_>>>()?;
        Ok((held, devices))
    }

    /// Waits until the hub shows the device on trial, and gives the reason why that is no success.
    fn held(&mut self, deployment: &str, device: &str) -> Outcome<String> {
        let on_trial = |target: &Target| target.device != device || target.state == "trial";
        let targets = updates::wait(&self.operator, deployment, "device on trial", on_trial)?;
        let target = targets.into_iter().find(|target| target.device == device);
        target
            .and_then(|target| target.reason)
            .ok_or_else(|| self.failed("the hub gives no reason why a trial is no success"))
    }

    fn attack(
        &mut self,
        payload: &Payload,
        report: &Report,
    ) -> Outcome<Vec<(&'static str, String)>> {
        let start = Instant::now();
        let (ringfort, layout, run) = (&self.ringfort, &self.layout, self.run);
        let operator = &self.operator;
        let refusals = vec![
            ("wrong-signer", attacks::wrong_signer(ringfort, layout, payload, run)?),
            ("older-version", attacks::older_version(ringfort, operator, layout, payload, run)?),
            ("cloned-key", attacks::cloned_key(ringfort, layout, run)?),
            ("no-client-certificate", attacks::no_client_certificate(layout, &self.record)?),
        ];
        for (index, (name, code)) in refusals.iter().enumerate() {
            let took = (index == 0).then(|| start.elapsed());
            let name = name.replace('-', " ");
            let step = if index == 0 { "refused" } else { "" };
            report.done(step, &format!("{name:<24} {code}"), took);
        }
        Ok(refusals)
    }

    fn release(&self, payload: &Payload, version: &str) -> Outcome<()> {
        let signers = ["release-1", "release-2"];
        updates::build(&self.ringfort, &self.layout, payload, version, None, &signers)?;
        let published = updates::publish(&self.ringfort, &self.layout, version)?;
        match published.code {
            0 => Ok(()),
            _ => Err(self.failed(&format!("the hub did not take {version}: {}", published.errors))),
        }
    }

    fn deploy(&self, version: &str) -> Outcome<String> {
        let answer = updates::deploy(&self.ringfort, &self.layout, version, None)?;
        match (answer.code, member(&answer.json["result"], "id")) {
            (0, id) if !id.is_empty() => Ok(id.to_owned()),
            _ => Err(self.failed(&format!("{version} was not deployed: {}", answer.errors))),
        }
    }

    fn confirmed(&self, deployment: &str) -> Outcome<Vec<Target>> {
        let targets = updates::wait(&self.operator, deployment, "confirmation", updates::ended)?;
        match targets.iter().find(|target| target.state != "confirmed") {
            None => Ok(targets),
            Some(target) => {
                let reason = target.reason.as_deref().unwrap_or_default();
                let (id, state) = (&target.device, &target.state);
                Err(self.failed(&format!("{id} is {state} [{reason}], not confirmed")))
            }
        }
    }

    /// The device as the hub knows it, once the device's own check-in names the new release.
    fn device_line(&self, target: &Target, release: &str) -> Outcome<DeviceLine> {
        let start = Instant::now();
        loop {
            let details = self.operator.wait(self.operator.client().device(&target.device))?;
            let runs = details.running.into_iter().next().map(|run| run.version);
            if runs.as_deref() == Some(release) {
                return Ok(DeviceLine {
                    id: target.device.clone(),
                    key_store: details.device.protection,
                    lifecycle: details.device.state,
                    release: release.to_owned(),
                    update: target.state.clone(),
                });
            }
            not_interrupted()?;
            if start.elapsed() > PATIENCE {
                let id = &target.device;
                return Err(self.failed(&format!("{id} confirmed {release} and runs {runs:?}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Until Ctrl-C, or until one of the processes ends.
    fn stay(&mut self) -> Outcome<()> {
        while !ASKED_TO_STOP.load(Ordering::Relaxed) {
            self.still_alive()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        for agent in &mut self.agents {
            agent.stop(GOODBYE);
        }
        self.hub.stop(GOODBYE);
        Ok(())
    }

    fn still_alive(&mut self) -> Outcome<()> {
        let ended = self
            .agents
            .iter_mut()
            .chain([&mut self.hub])
            .find_map(|process| process.ended().map(|code| (process.name().to_owned(), code)));
        match ended {
            None => Ok(()),
            Some((name, code)) => Err(self.failed(&format!("{name} ended with exit code {code}"))),
        }
    }

    fn failed(&self, what: &str) -> Failure {
        Failure::failed(
            what.to_owned(),
            "The quickstart stops here; what ran so far is kept.",
            format!("Look at the logs in {}.", self.layout.root().join("log").display()),
        )
    }
}

/// Starts the hub and waits until it answers.
fn start_hub(ringfort: &Ringfort, layout: &Layout) -> Outcome<Process> {
    let arguments = words(&["hub serve --dir", &text(&layout.hub())]);
    let log = layout.log("hub");
    let mut hub = Process::start("hub", &mut ringfort.command(&arguments)?, &log)?;
    let start = Instant::now();
    let operator = Operator::open(Some(layout.root()))?;
    loop {
        if operator.wait(operator.client().healthy()).is_ok() {
            return Ok(hub);
        }
        let ended = hub.ended();
        if ended.is_some() || start.elapsed() > PATIENCE {
            return Err(Failure::failed(
                "the hub does not serve",
                ended.map_or_else(String::new, |code| format!("It ended with exit code {code}.")),
                format!("Its log is {}.", log.display()),
            ));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn payload(options: &Options) -> Outcome<Payload> {
    match &options.payload {
        Some(file) => std::path::absolute(file)
            .ok()
            .filter(|file| file.is_file())
            .map(|file| Payload { file, executable: false })
            .ok_or_else(|| {
                Failure::usage(
                    format!("{} is not a file", file.display()),
                    "The payload is the file that the devices are to install.",
                    "Name any file with --payload, or leave it out.",
                )
            }),
        None => std::env::current_exe().map(|file| Payload { file, executable: true }).map_err(
            |error| {
                Failure::failed(
                    "this executable does not know its own path",
                    files::sentence(&error),
                    "Name a file with --payload.",
                )
            },
        ),
    }
}

/// Notes Ctrl-C and SIGTERM from now on, so that the children end before this process does.
fn watch_signals() -> Outcome<Runtime> {
    let runtime = runtime::new()?;
    let mut signals = runtime.block_on(async { runtime::Stop::new() })?;
    runtime.spawn(async move {
        signals.wait().await;
        ASKED_TO_STOP.store(true, Ordering::Relaxed);
    });
    Ok(runtime)
}

/// Fails once somebody has asked this process to stop.
fn not_interrupted() -> Outcome<()> {
    match ASKED_TO_STOP.load(Ordering::Relaxed) {
        false => Ok(()),
        true => Err(Failure::failed(
            "stopped before the end",
            "It was interrupted.",
            "Start it again; a folder that is not complete has to be removed first.",
        )),
    }
}

static ASKED_TO_STOP: AtomicBool = AtomicBool::new(false);
/// For what takes a second or two, and on a busy machine many times that. A process that has ended is
/// noticed at once.
const PATIENCE: Duration = Duration::from_secs(180);
/// For a process that was asked to end.
const GOODBYE: Duration = Duration::from_secs(5);
