//! What a release says, found by running its sequences.

use core::fmt;

use ringfort_cose::{Reason, Sha256Digest};

use crate::envelope::Envelope;
use crate::limits;
use crate::manifest::ComponentId;
use crate::run::{Phase, Platform, Target, run};

/// A release: which payload goes into which component of which devices.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Release<'b> {
    /// The sequence number.
    pub sequence_number: u64,
    /// The digest that names the manifest.
    pub manifest_digest: Sha256Digest,
    /// The version that people read: that of the first component, from the text. None when there
    /// is no text, or it was severed and left out.
    pub version: Option<&'b str>,
    components: [Component<'b>; limits::COMPONENTS],
    count: usize,
}

/// One component of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component<'b> {
    /// The component.
    pub id: ComponentId<'b>,
    /// Vendor UUID that the device has to have.
    pub vendor: [u8; 16],
    /// Class UUID that the device has to have.
    pub class: [u8; 16],
    /// The one device that it is for, if it is for one.
    pub device: Option<[u8; 16]>,
    /// SHA-256 of the payload.
    pub digest: Sha256Digest,
    /// Size of the payload in bytes.
    pub size_bytes: u64,
    /// Where the payload is.
    pub uri: &'b str,
}

impl<'b> Release<'b> {
    /// Runs the sequences of an envelope and notes what they ask for. Whether the envelope is to be
    /// believed says a `verify` call, not this.
    ///
    /// Each component has to be asked its vendor and class *before* its payload is fetched, to be
    /// fetched once, and to be compared with digest and size when it is validated. Slots are the
    /// device's own affair: a manifest that chooses one is not a release of ours.
    ///
    /// # Errors
    /// `unsupported` for a manifest of another shape; else as [`run`].
    pub fn of(envelope: &Envelope<'b>) -> Result<Release<'b>, Reason> {
        let manifest = envelope.manifest();
        let mut notes = Notes { found: [Found::default(); limits::COMPONENTS] };
        run(manifest, &[Phase::PayloadFetch, Phase::Install], &mut notes)?;
        // A comparison while installing is no validation.
        notes.found.iter_mut().for_each(|found| found.matched = false);
        run(manifest, &[Phase::Validate], &mut notes)?;

        let mut components = [Component::NONE; limits::COMPONENTS];
        let count = manifest.components.count();
        let mut first = None;
        for (index, place) in components.iter_mut().take(count).enumerate() {
            let found = notes.found.get(index).ok_or(Reason::Malformed)?;
            let id = manifest.components.at(index)?;
            first = first.or(Some(id));
            *place = found.component(id).ok_or(Reason::Unsupported)?;
        }
        let version = first.zip(manifest.text()).and_then(|(id, text)| text.component_version(&id));
        Ok(Release {
            sequence_number: manifest.sequence_number,
            manifest_digest: envelope.manifest_digest(),
            version,
            components,
            count,
        })
    }

    /// The components, in the manifest's order; at least one.
    pub fn components(&self) -> &[Component<'b>] {
        self.components.get(..self.count).unwrap_or(&[])
    }
}

impl fmt::Debug for Release<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Release")
            .field("sequence_number", &self.sequence_number)
            .field("manifest_digest", &self.manifest_digest)
            .field("version", &self.version)
            .field("components", &self.components())
            .finish()
    }
}

impl Component<'_> {
    const NONE: Component<'static> = Component {
        id: ComponentId::NONE,
        vendor: [0; 16],
        class: [0; 16],
        device: None,
        digest: Sha256Digest([0; 32]),
        size_bytes: 0,
        uri: "",
    };
}

/// Says yes to every condition, and notes it.
struct Notes<'b> {
    found: [Found<'b>; limits::COMPONENTS],
}

/// What was noted about one component.
#[derive(Clone, Copy, Default)]
struct Found<'b> {
    vendor: Option<[u8; 16]>,
    class: Option<[u8; 16]>,
    device: Option<[u8; 16]>,
    /// Digest, size and URI at the time of the fetch.
    fetched: Option<(Sha256Digest, u64, &'b str)>,
    matched: bool,
}

impl<'b> Found<'b> {
    fn component(&self, id: ComponentId<'b>) -> Option<Component<'b>> {
        let (digest, size_bytes, uri) = self.fetched.filter(|_| self.matched)?;
        let (vendor, class) = (self.vendor?, self.class?);
        Some(Component { id, vendor, class, device: self.device, digest, size_bytes, uri })
    }
}

impl<'b> Notes<'b> {
    fn of(&mut self, target: &Target<'b>) -> Result<&mut Found<'b>, Reason> {
        self.found.get_mut(target.index).ok_or(Reason::Malformed)
    }
}

/// Notes a value; a second one has to be the same.
fn note<T: PartialEq + Copy>(place: &mut Option<T>, value: Option<T>) -> Result<(), Reason> {
    if place.is_some() && *place != value {
        return Err(Reason::Unsupported);
    }
    *place = value;
    Ok(())
}

impl<'b> Platform<'b> for Notes<'b> {
    fn vendor_identifier(&mut self, target: &Target<'b>) -> Result<(), Reason> {
        note(&mut self.of(target)?.vendor, target.vendor)
    }

    fn class_identifier(&mut self, target: &Target<'b>) -> Result<(), Reason> {
        note(&mut self.of(target)?.class, target.class)
    }

    fn device_identifier(&mut self, target: &Target<'b>) -> Result<(), Reason> {
        note(&mut self.of(target)?.device, target.device)
    }

    fn component_slot(&mut self, _: &Target<'b>) -> Result<(), Reason> {
        Err(Reason::Unsupported)
    }

    fn image_match(&mut self, target: &Target<'b>) -> Result<(), Reason> {
        let found = self.of(target)?;
        let (digest, size, _) = found.fetched.ok_or(Reason::Unsupported)?;
        if (target.digest, target.size) != (Some(digest), Some(size)) {
            return Err(Reason::Unsupported);
        }
        found.matched = true;
        Ok(())
    }

    fn fetch(&mut self, target: &Target<'b>) -> Result<(), Reason> {
        let found = self.of(target)?;
        let asked = found.vendor.is_some() && found.class.is_some();
        let wanted = target.digest.zip(target.size).zip(target.uri);
        let ((digest, size), uri) = wanted.filter(|_| asked).ok_or(Reason::Unsupported)?;
        note(&mut found.fetched, Some((digest, size, uri)))
    }

    fn invoke(&mut self, _: &Target<'b>) -> Result<(), Reason> {
        Ok(())
    }
}
