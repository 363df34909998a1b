//! Two devices: keys made in their own stores, an identity from the station, an agent process.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::commands::Ringfort;
use super::layout::Layout;
use super::processes::Process;
use super::setup::{DeviceRecord, make_folder, text, words};
use crate::failure::{Failure, Outcome};
use crate::{files, passphrase};

/// Gives two devices their identities and hands the batch in.
pub fn make(ringfort: &Ringfort, layout: &Layout, payload: &Payload) -> Outcome<Vec<DeviceRecord>> {
    let devices = vec![
        DeviceRecord { id: "dev-a".into(), softhsm_conf: None },
        DeviceRecord { id: "dev-b".into(), softhsm_conf: token(layout, "dev-b")? },
    ];
    for device in &devices {
        let folder = layout.device(&device.id);
        make_folder(&folder)?;
        let config = config(layout, device, payload);
        files::write_new(&folder.join("agent.toml"), config.as_bytes(), 0o600)?;
        let request = folder.join("identity.request");
        let identity = folder.join("identity");
        agent_command(ringfort, layout, device, &["identity request --out", &text(&request)])?;
        ringfort.must(&words(&[
            "factory provision",
            &text(&request),
            "--device",
            &device.id,
            "--dir",
            &text(&layout.station()),
            "--out",
            &text(&identity),
            "--pin-file",
            &text(&layout.station_pin()),
        ]))?;
        agent_command(ringfort, layout, device, &["identity install", &text(&identity)])?;
    }
    let batch = layout.root().join("factory/site-1.batch");
    ringfort.must(&words(&[
        "factory export --dir",
        &text(&layout.station()),
        "--out",
        &text(&batch),
        "--pin-file",
        &text(&layout.station_pin()),
    ]))?;
    ringfort.must(&words(&["--dir", &text(layout.root()), "factory import", &text(&batch)]))?;
    Ok(devices)
}

/// Starts a device's agent as a process of its own.
pub fn start(ringfort: &Ringfort, layout: &Layout, device: &DeviceRecord) -> Outcome<Process> {
    let config = text(&layout.device(&device.id).join("agent.toml"));
    let mut command = ringfort.command(&words(&["agent --config", &config, "run"]))?;
    in_environment(&mut command, device);
    Process::start(&device.id, &mut command, &layout.log(&device.id))
}

/// While this file is there, the restart of a device's payload does not come to its end.
pub fn hold_file(layout: &Layout, id: &str) -> PathBuf {
    layout.device(id).join("hold")
}

/// What is installed on the devices, and how a device shows that it runs.
pub struct Payload {
    /// The file.
    pub file: PathBuf,
    /// It is this executable: running it is the proof. Of any other file the checksum is taken.
    pub executable: bool,
}

fn agent_command(
    ringfort: &Ringfort,
    layout: &Layout,
    device: &DeviceRecord,
    arguments: &[&str],
) -> Outcome<()> {
    let config = text(&layout.device(&device.id).join("agent.toml"));
    let all: Vec<String> =
        words(&["agent --config", &config]).into_iter().chain(words(arguments)).collect();
    ringfort.must_in(&all, |command| in_environment(command, device)).map(drop)
}

fn in_environment(command: &mut Command, device: &DeviceRecord) {
    if let Some(conf) = &device.softhsm_conf {
        command.env("SOFTHSM2_CONF", conf);
    }
}

/// `agent.toml`: what the maker of a product would write.
fn config(layout: &Layout, device: &DeviceRecord, payload: &Payload) -> String {
    let folder = layout.device(&device.id);
    let (state, hold) = (text(&folder), text(&hold_file(layout, &device.id)));
    let start = match payload.executable {
        true => "./slots/current/component-0 --version",
        false => "cksum < ./slots/current/component-0",
    };
    let keys = match &device.softhsm_conf {
        None => "kind = \"sealed-file\"".to_owned(),
        Some(_) => format!(
            "kind = \"pkcs11\"\nmodule = {:?}\ntoken = {:?}\npin_file = \"token.pin\"",
            module().map(|path| text(&path)).unwrap_or_default(),
            device.id
        ),
    };
    let sandbox = match &device.softhsm_conf {
        None => String::new(),
        Some(_) => format!("\n[sandbox]\nwrite = [{:?}]\n", text(&folder.join("token"))),
    };
    format!(
        "# The settings of one device, as the maker of a product writes them.\n\
         [key_store]\n{keys}\n\n\
         [poll]\ninterval_seconds = 1\n\n\
         [update]\n\
         # Starts the payload; waits while a file named hold is there, to show a slow start.\n\
         restart = {{ command = [\"/bin/sh\", \"-c\", {:?}] }}\n\n\
         [[health]]\ncommand = [\"/bin/sh\", \"-c\", {:?}]\n{sandbox}",
        format!("cd '{state}' && while [ -e '{hold}' ]; do sleep 0.1; done; {start} > started"),
        format!("test -s '{state}/started'"),
    )
}

/// A fresh SoftHSM token for one device, where SoftHSM is installed.
fn token(layout: &Layout, id: &str) -> Outcome<Option<PathBuf>> {
    if module().is_none() {
        return Ok(None);
    }
    let folder = layout.device(id);
    make_folder(&folder.join("token"))?;
    let conf = folder.join("softhsm2.conf");
    let tokens = text(&folder.join("token"));
    files::write_new(&conf, format!("directories.tokendir = {tokens}\n").as_bytes(), 0o600)?;
    let new_pin = |name: &str| -> Outcome<String> {
        let path = folder.join(name);
        passphrase::new_pin_file(&path)?;
        files::read_text(&path, 1024).map(|text| text.trim().to_owned())
    };
    let (pin, officer) = (new_pin("token.pin")?, new_pin("token.officer-pin")?);
    // The tool takes its PINs as arguments only; they guard a token that lies beside them.
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", id])
        .args(["--pin", &pin, "--so-pin", &officer])
        .env("SOFTHSM2_CONF", &conf)
        .output();
    match made {
        Ok(output) if output.status.success() => Ok(Some(conf)),
        Ok(output) => Err(Failure::failed(
            "SoftHSM made no token",
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            "Mend the installation of SoftHSM, or remove it: a sealed file serves as well.",
        )),
        // The module without its tool: as if it were not installed.
        Err(_) => Ok(None),
    }
}

/// The SoftHSM module, where it is installed.
fn module() -> Option<PathBuf> {
    MODULES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned)
}

const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
