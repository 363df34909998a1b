//! `ringfort release publish`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_api::model;
use ringfort_suit::Release;
use serde::Serialize;

use crate::envelope_file::{EnvelopeFile, Payload};
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use crate::output;

/// What to publish, and as whom.
#[derive(Args)]
pub struct Options {
    /// The release's directory, or its envelope with `objects/` beside it
    pub release: PathBuf,

    /// The operator's folder [default: ~/.config/ringfort]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The release at the hub.
#[derive(Serialize)]
pub struct Report {
    #[serde(flatten)]
    release: model::Release,
    objects_sent: usize,
    objects_there: usize,
}

/// Uploads what the hub does not have yet: the payloads first, then the envelope.
pub fn run(options: &Options, dir: Option<&Path>) -> Outcome<Report> {
    let file = EnvelopeFile::read(&options.release)?;
    let envelope = file.envelope()?;
    let release = Release::of(&envelope).map_err(|reason| file.refused(reason))?;
    for component in release.components() {
        if file.check_payload(component)? == Payload::Absent {
            return Err(Failure::failed(
                format!("the payload {} is not beside {}", component.digest, file.path.display()),
                "The hub takes a release only with its payloads.",
                "Copy the whole directory that `ringfort release new` made.",
            ));
        }
    }
    let operator = Operator::open(options.dir.as_deref().or(dir))?;
    let (mut objects_sent, mut objects_there) = (0, 0);
    for component in release.components() {
        let object = file.objects().join(component.digest.to_string());
        output::progress(format_args!("Sending {} bytes …", component.size_bytes));
        let stored = operator.wait(operator.client().put_object(&component.digest, &object))?;
        if stored.present { objects_there += 1 } else { objects_sent += 1 }
    }
    let release = operator.wait(operator.client().add_release(file.bytes.clone()))?;
    Ok(Report { release, objects_sent, objects_there })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model::Release { version, sequence, manifest, .. } = &self.release;
        writeln!(f, "Published release {version}, sequence {sequence}")?;
        writeln!(f, "  manifest {manifest}")?;
        writeln!(
            f,
            "  payloads: {} sent, {} there already",
            self.objects_sent, self.objects_there
        )?;
        write!(f, "Next: ringfort deploy create --help")
    }
}
