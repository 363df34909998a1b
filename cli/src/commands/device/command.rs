//! `ringfort device command`: the consent of people to wipe, unlock or decommission one device.
//!
//! `sign`, `cosign` and `inspect` need no hub and no network; `send` hands the command to the hub, which can
//! withhold it and cannot change it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use ringfort_api::model::{DeviceCommand, NewCommand, Outcome as Asked};
use ringfort_cose::{AwsLc, Reason, Sign, SignError};
use ringfort_trust::ids::{DeviceId, Nonce, OrderNumber, UnixTime};
use ringfort_trust::{Anchors, CommandAction, CommandClaims};
use serde::Serialize;

use crate::anchors::Chain;
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use crate::output::{Table, conclude, progress};
use crate::{clock, files, keys};

/// The commands of the group.
#[derive(Subcommand)]
pub enum Command {
    /// Sign a command with a command key, offline
    Sign(SignOptions),
    /// Add another person's signature to a command, offline
    Cosign(CosignOptions),
    /// Show what a command says, and whether it stands
    Inspect {
        /// The command
        file: PathBuf,
        /// The fleet's anchors: the newest document with those before it beside it, or their folder
        #[arg(long, value_name = "PATH")]
        anchors: PathBuf,
    },
    /// Hand a command to the hub; the device gets it at its next check-in
    Send {
        /// The device's id
        id: String,
        /// The command
        file: PathBuf,
        /// Why; it stands in the audit log
        #[arg(long)]
        note: String,
    },
}

/// What to sign.
#[derive(Args)]
pub struct SignOptions {
    /// The device's id
    #[arg(long, value_name = "ID")]
    device: String,

    /// What the device is to do
    #[arg(long, value_enum)]
    action: Action,

    /// The fleet's anchors: the newest document with those before it beside it, or their folder
    #[arg(long, value_name = "PATH")]
    anchors: PathBuf,

    /// The command key: a sealed key file, or a PKCS#11 URI (RFC 7512)
    #[arg(long)]
    key: String,

    /// Take the key's passphrase from this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,

    /// For how many days the device takes it: 1 to 30
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=30))]
    days: u64,

    /// Its number, above every earlier one of this key for this device [default: the time now, ms]
    #[arg(long)]
    number: Option<u64>,

    /// For debug-unlock: the nonce that `ringfort-agent status` shows on the device
    #[arg(long, value_name = "HEX")]
    nonce: Option<String>,

    /// Where to write it [default: ID.ACTION.command]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What to sign too.
#[derive(Args)]
pub struct CosignOptions {
    /// The command; the signature is added in place
    file: PathBuf,

    /// The fleet's anchors: the newest document with those before it beside it, or their folder
    #[arg(long, value_name = "PATH")]
    anchors: PathBuf,

    /// The command key: a sealed key file, or a PKCS#11 URI (RFC 7512)
    #[arg(long)]
    key: String,

    /// Take the key's passphrase from this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

/// What a command does.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    /// Destroy the operational keys and the operator's data; the device enters again with new ones
    WipeOperational,
    /// Unlock debugging until the next reset
    DebugUnlock,
    /// Destroy every key and the software: the device is out of use for ever
    Decommission,
}

impl Command {
    /// Runs the command and shows what came of it.
    pub fn run(self, dir: Option<&Path>, json: bool) -> ExitCode {
        match self {
            Command::Sign(options) => conclude(sign(&options), json),
            Command::Cosign(options) => conclude(cosign(&options), json),
            Command::Inspect { file, anchors } => conclude(inspect(&file, &anchors), json),
            Command::Send { id, file, note } => conclude(send(dir, &id, &file, note), json),
        }
    }
}

/// Reads a command file; what it says is for those to judge who have anchors.
pub fn read(file: &Path) -> Outcome<Vec<u8>> {
    files::read(file, ringfort_trust::Command::MAX_LEN)
}

fn sign(options: &SignOptions) -> Outcome<Signed> {
    let device = DeviceId::new(&options.device)
        .map_err(|reason| Failure::refused(reason, "this is not the id of a device"))?;
    let action = options.action.into();
    let nonce = nonce_for(action, options.nonce.as_deref())?;
    let out = options.out.clone().unwrap_or_else(|| {
        PathBuf::from(format!("{device}.{}.command", CommandAction::name(action)))
    });
    files::must_be_absent(&out)?;
    let chain = Chain::read(&options.anchors)?;
    let anchors = chain.newest()?;
    let now = clock::now();
    let claims = CommandClaims {
        fleet: anchors.fleet(),
        device,
        issued: UnixTime(now),
        expires: UnixTime(now + options.days * clock::DAY_S),
        number: OrderNumber(options.number.unwrap_or(now * 1000)),
        action,
        nonce,
    };
    let signer = open_signer(&claims, &anchors, &options.key, options.pin_file.as_deref())?;
    let command = claims.sign(&AwsLc, &[signer.as_ref()]).map_err(not_signed)?;
    files::write_new(&out, &command, files::PUBLIC)?;
    let said = Said::of(&command, &anchors)?;
    Ok(Signed { file: out, command: said })
}

fn cosign(options: &CosignOptions) -> Outcome<Signed> {
    let command = read(&options.file)?;
    let chain = Chain::read(&options.anchors)?;
    let anchors = chain.newest()?;
    let so_far = verified(&command, &anchors)?;
    if so_far.is_complete() {
        return Err(Failure::refused(
            Reason::AlreadyExists,
            format!("enough people have signed {}", options.file.display()),
        )
        .why("With more signatures than it takes, one command could be parted into two.")
        .next("Hand it to the hub: ringfort device command send"));
    }
    let key = (&*options.key, options.pin_file.as_deref());
    let signer = open_signer(so_far.claims(), &anchors, key.0, key.1)?;
    if so_far.signers().contains(&keys::thumbprint(&signer.public_key())) {
        return Err(Failure::refused(
            Reason::AlreadyExists,
            format!("{} has signed {} already", options.key, options.file.display()),
        )
        .why("One key counts once, however often it signs.")
        .next("Hand the file to the next signer."));
    }
    let signed =
        CommandClaims::add_signature(&command, &AwsLc, signer.as_ref()).map_err(not_signed)?;
    files::replace(&options.file, &signed, files::PUBLIC)?;
    let said = Said::of(&signed, &anchors)?;
    Ok(Signed { file: options.file.clone(), command: said })
}

/// Opens a command key of the anchors. A signer sees what he signs before he gives his passphrase.
fn open_signer(
    claims: &CommandClaims,
    anchors: &Anchors<'_>,
    key: &str,
    pin_file: Option<&Path>,
) -> Outcome<Arc<dyn Sign>> {
    progress(format_args!(
        "Signing: {} {}, number {}, until {}",
        claims.action.name(),
        claims.device,
        claims.number,
        clock::text(claims.expires.0)
    ));
    let signer = keys::open(key, pin_file)?;
    let thumbprint = keys::thumbprint(&signer.public_key());
    match anchors.command_key(&thumbprint, &AwsLc) {
        Ok(_) => Ok(signer),
        Err(reason) => Err(Failure::refused(reason, format!("{key} is not a command key"))
            .why("The anchors name it for no commands; no device would follow them.")
            .next("Sign with a key that was named by --command-key in the anchors.")),
    }
}

fn inspect(file: &Path, anchors: &Path) -> Outcome<Said> {
    let command = read(file)?;
    let chain = Chain::read(anchors)?;
    Said::of(&command, &chain.newest()?)
}

fn send(dir: Option<&Path>, id: &str, file: &Path, note: String) -> Outcome<Sent> {
    let wanted = NewCommand { command: hex::encode(read(file)?), note };
    let operator = Operator::open(dir)?;
    operator.wait(operator.client().give_command(id, &wanted)).map(Sent)
}

/// The nonce belongs to debug-unlock and to nothing else.
fn nonce_for(action: CommandAction, given: Option<&str>) -> Outcome<Option<Nonce>> {
    match (action, given) {
        (CommandAction::DebugUnlock, Some(text)) => {
            let mut nonce = Nonce([0; 16]);
            hex::decode_to_slice(text, &mut nonce.0).map_err(|_| {
                Failure::usage(
                    "the nonce is not 32 hexadecimal digits",
                    "It proves that the command is for this device as it is now.",
                    "Copy `debug nonce` from `ringfort-agent status` on the device.",
                )
            })?;
            Ok(Some(nonce))
        }
        (CommandAction::DebugUnlock, None) => Err(Failure::usage(
            "debug-unlock needs --nonce",
            "A command to unlock is for this device as it is now, and works once.",
            "Copy `debug nonce` from `ringfort-agent status` on the device.",
        )),
        (_, Some(_)) => Err(Failure::usage(
            "--nonce goes with debug-unlock only",
            "Other commands are for whenever the device is heard next.",
            "Leave it out.",
        )),
        (_, None) => Ok(None),
    }
}

fn not_signed(error: SignError) -> Failure {
    match error {
        SignError::Object(reason) => Failure::refused(reason, "nothing was signed"),
        error => Failure::failed(
            "nothing was signed",
            format!("{error}."),
            "Check the key, then try again.",
        ),
    }
}

impl From<Action> for CommandAction {
    fn from(action: Action) -> CommandAction {
        match action {
            Action::WipeOperational => CommandAction::WipeOperational,
            Action::DebugUnlock => CommandAction::DebugUnlock,
            Action::Decommission => CommandAction::Decommission,
        }
    }
}

/// A command whose signatures, be they enough or not, verify under these anchors, and that has not
/// expired.
fn verified(command: &[u8], anchors: &Anchors<'_>) -> Outcome<ringfort_trust::Command> {
    let refused = |reason| Failure::refused(reason, "the command is refused");
    let parsed =
        ringfort_trust::Command::verify_so_far(command, anchors, &AwsLc).map_err(refused)?;
    match parsed.claims().expires.0 > clock::now() {
        true => Ok(parsed),
        false => Err(refused(Reason::Expired)),
    }
}

/// What a command says, and who signed it.
#[derive(Serialize)]
struct Said {
    digest: String,
    device: String,
    action: &'static str,
    number: u64,
    expires: String,
    signers: Vec<String>,
    threshold: usize,
    complete: bool,
}

impl Said {
    fn of(command: &[u8], anchors: &Anchors<'_>) -> Outcome<Said> {
        let parsed = verified(command, anchors)?;
        let claims = parsed.claims();
        Ok(Said {
            digest: parsed.digest().to_string(),
            device: claims.device.to_string(),
            action: claims.action.name(),
            number: claims.number.0,
            expires: clock::text(claims.expires.0),
            signers: parsed.signers().iter().map(ToString::to_string).collect(),
            threshold: parsed.threshold(),
            complete: parsed.is_complete(),
        })
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::plain();
        table.row(["device", &self.device]);
        table.row(["action", self.action]);
        table.row(["number", &self.number.to_string()]);
        table.row(["until", &self.expires]);
        for signer in &self.signers {
            table.row(["signed by", &signer[..16]]);
        }
        let count = format!("{} of {}", self.signers.len(), self.threshold);
        table.row(["signatures", &count]);
        table.row(["command", &self.digest]);
        table.fmt(f)
    }
}

#[derive(Serialize)]
struct Signed {
    file: PathBuf,
    #[serde(flatten)]
    command: Said,
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, device) = (self.file.display(), &self.command.device);
        writeln!(f, "{}", self.command)?;
        if !self.command.complete {
            writeln!(f, "Written to {file}. No device follows it before others have signed it.")?;
            return write!(
                f,
                "Next: each of them runs ringfort device command cosign {file} --anchors ANCHORS --key KEY"
            );
        }
        writeln!(
            f,
            "Written to {file}. It does nothing until a hub has brought it to the device."
        )?;
        match self.command.action {
            "decommission" => write!(
                f,
                "Next: ringfort device move {device} --to retired --command {file} --note WHY"
            ),
            _ => write!(f, "Next: ringfort device command send {device} {file} --note WHY"),
        }
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Sent(Asked<DeviceCommand>);

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Asked::Done { result } => {
                write!(f, "{} is given to the device at its next check-in", result.action)
            }
            Asked::Waiting { given, required } => super::waiting(f, *given, *required),
        }
    }
}
