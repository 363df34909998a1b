//! `ringfort device order`: the order that waits for a device, for a technician who carries it
//! there.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_api::model::NewOfflineOrder;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use crate::{clock, files};

/// For which device, and for how long.
#[derive(Args)]
pub struct Options {
    /// The device's id
    id: String,

    /// Directory to be made on the medium: the order, the command that it names, the anchors
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// For how many days the device takes it: 1 to 30. A halt does not reach it any more
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=30))]
    days: u64,
}

/// What was written.
#[derive(Serialize)]
pub struct Report {
    device: String,
    directory: PathBuf,
    order: u64,
    action: String,
    manifest: Option<String>,
    expires: String,
}

/// Has the hub sign the order, and writes all that the device needs beside the release.
pub fn run(dir: Option<&Path>, options: &Options) -> Outcome<Report> {
    let operator = Operator::open(dir)?;
    files::must_be_absent_or_empty(&options.out)?;
    let wanted = NewOfflineOrder { life_s: options.days * clock::DAY_S };
    let made = operator.wait(operator.client().offline_order(&options.id, &wanted))?;
    let bytes = |text: &str| {
        hex::decode(text).map_err(|error| {
            Failure::failed(
                "the hub's answer cannot be read",
                error.to_string(),
                "Look at its log.",
            )
        })
    };
    files::new_directory(&options.out)?;
    files::write_new(&options.out.join("order"), &bytes(&made.order)?, files::PUBLIC)?;
    if let Some(command) = &made.command {
        files::write_new(&options.out.join("command"), &bytes(command)?, files::PUBLIC)?;
    }
    let anchors = options.out.join("anchors");
    files::new_directory(&anchors)?;
    for version in 1..=made.min_anchors {
        let document = operator.wait(operator.client().anchors(version))?;
        files::write_new(&anchors.join(format!("{version}.cbor")), &document, files::PUBLIC)?;
    }
    Ok(Report {
        device: options.id.clone(),
        directory: options.out.clone(),
        order: made.number,
        action: made.action,
        manifest: made.manifest,
        expires: clock::text(u64::try_from(made.expires_ms / 1000).unwrap_or(0)),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory.display();
        writeln!(f, "{directory}: order {} for {}, {}", self.order, self.device, self.action)?;
        writeln!(
            f,
            "The device takes it until {}; a halt does not reach it any more.",
            self.expires
        )?;
        if let Some(manifest) = &self.manifest {
            writeln!(f, "Put the release {manifest} beside it: cp -r RELEASE {directory}/release")?;
        }
        write!(
            f,
            "Next, on the device, its agent stopped: ringfort-agent apply --order {directory}/order"
        )
    }
}
