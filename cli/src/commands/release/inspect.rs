//! `ringfort release inspect`.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use ringfort_suit::{ComponentId, Envelope, Release};
use ringfort_trust::ids::{ClassId, VendorId};
use serde::Serialize;

use crate::clock;
use crate::envelope_file::{EnvelopeFile, Payload};
use crate::failure::Outcome;
use crate::output::Table;

/// What to show.
#[derive(Args)]
pub struct Options {
    /// The envelope, or a release's directory
    pub release: PathBuf,
}

/// What an envelope says. Its digests were checked, its signatures were not.
#[derive(Serialize)]
pub struct Report {
    file: PathBuf,
    size_bytes: usize,
    manifest_digest: String,
    sequence_number: u64,
    version: Option<String>,
    vendor: Option<String>,
    model: Option<String>,
    description: Option<String>,
    components: Vec<Component>,
    component_ids: Vec<String>,
    signers: Vec<Option<String>>,
    /// Why our devices would not run it, where they would not.
    not_a_release: Option<&'static str>,
    verified: bool,
}

#[derive(Serialize)]
struct Component {
    id: String,
    vendor_id: String,
    class_id: String,
    digest: String,
    size_bytes: u64,
    uri: String,
    payload: &'static str,
}

/// Reads the envelope.
pub fn run(options: &Options) -> Outcome<Report> {
    let file = EnvelopeFile::read(&options.release)?;
    let envelope = file.envelope()?;
    let manifest = envelope.manifest();
    let release = Release::of(&envelope);
    let mut components = Vec::new();
    for component in release.iter().flat_map(Release::components) {
        components.push(Component {
            id: id_text(&component.id),
            vendor_id: VendorId(component.vendor).to_string(),
            class_id: ClassId(component.class).to_string(),
            digest: component.digest.to_string(),
            size_bytes: component.size_bytes,
            uri: printable(component.uri),
            payload: match file.check_payload(component) {
                Ok(Payload::Intact) => "intact",
                Ok(Payload::Absent) => "absent",
                Err(failure) => failure.reason().map_or("unreadable", |reason| reason.code()),
            },
        });
    }
    let text = manifest.text();
    let first = manifest.components.at(0).ok();
    let of_first = |get: &dyn Fn(&ComponentId<'_>) -> Option<String>| first.as_ref().and_then(get);
    Ok(Report {
        size_bytes: file.bytes.len(),
        manifest_digest: envelope.manifest_digest().to_string(),
        sequence_number: manifest.sequence_number,
        version: of_first(&|id| Some(printable(text?.component_version(id)?))),
        vendor: of_first(&|id| Some(printable(text?.vendor_name(id)?))),
        model: of_first(&|id| Some(printable(text?.model_name(id)?))),
        description: text.and_then(|text| text.update_description()).map(printable),
        components,
        component_ids: manifest.components.iter().flatten().map(|id| id_text(&id)).collect(),
        signers: signers(&envelope),
        not_a_release: release.err().map(|reason| reason.code()),
        verified: false,
        file: file.path,
    })
}

fn signers(envelope: &Envelope<'_>) -> Vec<Option<String>> {
    let signer = |block: ringfort_suit::Block<'_>| block.signer().ok().map(|s| s.to_string());
    envelope.blocks().flatten().map(signer).collect()
}

/// The parts of a component identifier, as text where they are text.
fn id_text(id: &ComponentId<'_>) -> String {
    let part = |part: &[u8]| match std::str::from_utf8(part) {
        Ok(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) => {
            text.to_owned()
        }
        _ => format!("0x{}", hex::encode(part)),
    };
    id.parts().map(part).collect::<Vec<_>>().join("/")
}

/// Text from a file that nobody vouches for: without control characters, which could rewrite a
/// terminal.
fn printable(text: &str) -> String {
    crate::output::one_line(text)
}

/// Our own tools take the time of making for a sequence number; other makers count.
fn sequence_text(number: u64) -> String {
    match number {
        YEAR_2020..YEAR_2100 => format!("{number} ({})", clock::text(number)),
        number => number.to_string(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = "not stated";
        let mut head = Table::plain();
        head.row(["file", &format!("{}, {} bytes", self.file.display(), self.size_bytes)]);
        head.row(["version", self.version.as_deref().unwrap_or(unknown)]);
        head.row(["sequence", &sequence_text(self.sequence_number)]);
        let product = match (&self.vendor, &self.model) {
            (Some(vendor), Some(model)) => format!("{vendor}/{model}"),
            (name, None) | (None, name) => name.clone().unwrap_or_else(|| unknown.to_owned()),
        };
        head.row(["product", &product]);
        head.row(["brings", self.description.as_deref().unwrap_or(unknown)]);
        head.row(["manifest", &self.manifest_digest]);
        for (index, signer) in self.signers.iter().enumerate() {
            let label = if index == 0 { "signed by" } else { "" };
            head.row([label, signer.as_deref().unwrap_or("a key that is not named")]);
        }
        if self.signers.is_empty() {
            head.row(["signed by", "nobody yet"]);
        }
        writeln!(f, "{head}\n")?;
        if let Some(reason) = self.not_a_release {
            writeln!(f, "Components: {}", self.component_ids.join(", "))?;
            writeln!(f, "Not a release that Ringfort devices run: {reason}")?;
        } else {
            let mut table = Table::new(&["component", "bytes", "digest", "payload"]);
            for component in &self.components {
                let size = component.size_bytes.to_string();
                table.row([&component.id, &size, &component.digest, component.payload]);
            }
            writeln!(f, "{table}\n")?;
            if let Some(component) = self.components.first() {
                writeln!(f, "vendor id {}  class id {}", component.vendor_id, component.class_id)?;
            }
        }
        write!(f, "Signatures are not judged here; see `ringfort release verify`.")
    }
}

const YEAR_2020: u64 = 1_577_836_800;
const YEAR_2100: u64 = 4_102_444_800;
