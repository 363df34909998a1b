//! What a slot holds, and whether it may run on this device.

use ringfort_cose::{Reason, Verify};
use ringfort_suit::{Outline, OutlineComponent};
use ringfort_trust::Pinned;
use ringfort_trust::ids::ClassId;
use slots::{Area, Hardware, Pin};

/// The components of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The secure image, component `["secure"]`: the partition manager and its partitions.
    Secure,
    /// The non-secure image, component `["nonsecure"]`: the application.
    Nonsecure,
}

impl Part {
    /// Both, in the order in which they lie in a slot.
    pub const ALL: [Part; 2] = [Part::Secure, Part::Nonsecure];

    /// The part's name in a manifest.
    pub fn name(self) -> &'static [u8] {
        match self {
            Part::Secure => b"secure",
            Part::Nonsecure => b"nonsecure",
        }
    }
}

/// Brings a component to where it runs.
pub trait Memory<H> {
    /// Copies `size` bytes from flash address `at` to where the part runs, and gives the SHA-256
    /// of what arrived there.
    ///
    /// # Errors
    /// `image-size` when it does not fit there; `storage-failed`.
    fn load(
        &mut self,
        hardware: &mut H,
        part: Part,
        at: u32,
        size: u32,
    ) -> Result<[u8; 32], Reason>;
}

/// What this device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Identity {
    /// SUIT vendor id.
    pub vendor: [u8; 16],
    /// SUIT class id.
    pub class: [u8; 16],
    /// SUIT device id.
    pub device: [u8; 16],
}

/// A slot that was found good, for the second judgement, which measures the parts anew.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// What the manifest states for each part.
    pub stated: [[u8; 32]; 2],
    /// Sizes in bytes.
    pub sizes: [u32; 2],
    /// The class that the manifest names.
    pub class: [u8; 16],
    /// The manifest's sequence number.
    pub sequence: u64,
    /// Signatures that the anchors ask for.
    pub threshold: u32,
    /// Where in the scratch the anchors begin, and where they end.
    pub anchors: [u32; 2],
}

/// The first bytes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotHeader {
    /// Bytes of the envelope, which follows.
    pub envelope: u32,
    /// Bytes of the anchors, which follow the envelope.
    pub anchors: u32,
}

/// Marks a slot that holds something.
pub const SLOT_MAGIC: u32 = 0x5331_4652;

impl SlotHeader {
    /// Bytes of a header.
    pub const LEN: usize = 12;

    /// The header as it stands in flash.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (words, _) = bytes.as_chunks_mut::<4>();
        for (to, from) in words.iter_mut().zip([SLOT_MAGIC, self.envelope, self.anchors]) {
            *to = from.to_le_bytes();
        }
        bytes
    }

    /// Reads the header of a slot.
    ///
    /// # Errors
    /// `not-found` without one, `too-large` when the parts do not fit; `storage-failed`.
    pub fn read<H: Hardware>(hardware: &mut H, area: Area) -> Result<Self, Reason> {
        let mut bytes = [0; Self::LEN];
        hardware.read(area.at, &mut bytes)?;
        let (words, _) = bytes.as_chunks::<4>();
        let [magic, envelope, anchors] = words else { return Err(Reason::Internal) };
        if u32::from_le_bytes(*magic) != SLOT_MAGIC {
            return Err(Reason::NotFound);
        }
        let header =
            Self { envelope: u32::from_le_bytes(*envelope), anchors: u32::from_le_bytes(*anchors) };
        let total = header.envelope.checked_add(header.anchors).ok_or(Reason::TooLarge)?;
        let room = hardware.layout().envelope_max - Self::LEN as u32;
        if total > room { Err(Reason::TooLarge) } else { Ok(header) }
    }
}

/// Judges the slot at `area` against its record and against what the device is. `scratch` takes
/// the only copy of envelope and anchors that is ever looked at.
///
/// # Errors
/// `anchors-digest`, `manifest-digest`, `untrusted-signer`, `bad-signature`,
/// `threshold-not-met`, `wrong-device`, `image-size`, `image-digest`, or what
/// the readers of envelope and anchors find.
pub fn examine<H: Hardware, V: Verify>(
    hardware: &mut H,
    area: Area,
    pin: &Pin,
    identity: &Identity,
    verifier: &V,
    memory: &mut impl Memory<H>,
    scratch: &mut [u8],
) -> Result<Image, Reason> {
    let header = SlotHeader::read(hardware, area)?;
    let total = header.envelope + header.anchors;
    let scratch = scratch.get_mut(..total as usize).ok_or(Reason::TooLarge)?;
    hardware.read(area.at + SlotHeader::LEN as u32, scratch)?;
    let (envelope, anchors) =
        scratch.split_at_checked(header.envelope as usize).ok_or(Reason::TooLarge)?;

    let anchors = Pinned::open(anchors, &pin.anchors_digest, verifier);
    let signers = good(&anchors)?.signers(&ClassId(identity.class));
    let signers = good(&signers)?;
    let outline = Outline::read(envelope, verifier);
    let outline = good(&outline)?;
    outline.verify(verifier, signers.threshold, |kid| signers.key(kid, verifier))?;
    if outline.manifest_digest.0 != pin.digest || outline.sequence_number != pin.sequence {
        return Err(Reason::ManifestDigest);
    }
    let mut image = Image {
        stated: [[0; 32]; 2],
        sizes: [0; 2],
        class: [0; 16],
        sequence: outline.sequence_number,
        threshold: signers.threshold as u32,
        anchors: [header.envelope, total],
    };
    if outline.components != Part::ALL.len() {
        return Err(Reason::WrongDevice);
    }
    let mut at = area.at + hardware.layout().envelope_max;
    let end = area.at + area.len;
    outline.for_each(|index, component| {
        let (part, size) = fitting(index, component, identity)?;
        if size > end - at {
            return Err(Reason::ImageSize);
        }
        let loaded = memory.load(hardware, part, at, size);
        let digest = good(&loaded)?;
        if digest != component.digest {
            return Err(Reason::ImageDigest);
        }
        set(&mut image.stated, index, *component.digest);
        set(&mut image.sizes, index, size);
        image.class = *component.class;
        at += hardware.layout().whole_units(size);
        Ok(())
    })?;
    Ok(image)
}

/// Which part a component is, and its size: parts come in slot order, each once, for this vendor
/// and class.
///
/// # Errors
/// `wrong-device`.
pub(crate) fn fitting(
    index: usize,
    component: &OutlineComponent<'_>,
    identity: &Identity,
) -> Result<(Part, u32), Reason> {
    let part = *Part::ALL.get(index).ok_or(Reason::WrongDevice)?;
    if component.id != part.name()
        || *component.vendor != identity.vendor
        || *component.class != identity.class
    {
        return Err(Reason::WrongDevice);
    }
    Ok((part, component.size_bytes))
}

/// What a reader gave, where it lies: moving it out takes more code than reading it did.
pub(crate) fn good<T>(result: &Result<T, Reason>) -> Result<&T, Reason> {
    result.as_ref().map_err(|reason| *reason)
}

fn set<T, const N: usize>(all: &mut [T; N], index: usize, value: T) {
    if let Some(place) = all.get_mut(index) {
        *place = value;
    }
}
