//! The manifest: what is signed.

use ringfort_cose::cbor::{Kind, Reader, WellFormed};
use ringfort_cose::{Reason, Sha256Digest};

use crate::command::{Budget, Sequence};
use crate::text::Text;
use crate::{digest, limits};

/// A parsed manifest, version 1.
#[derive(Clone, Copy, Debug)]
pub struct Manifest<'b> {
    /// The sequence number, against rollback.
    pub sequence_number: u64,
    /// The components it speaks of.
    pub components: Components<'b>,
    /// Runs before every other sequence.
    pub shared: Option<Sequence<'b>>,
    /// Where the whole manifest can be found.
    pub reference_uri: Option<&'b str>,
    /// Version of the component set, of draft-ietf-suit-update-management; encoded.
    pub set_version: Option<&'b [u8]>,
    /// Checks what is installed.
    pub validate: Option<Sequence<'b>>,
    /// Prepares what is installed.
    pub load: Option<Sequence<'b>>,
    /// Starts what is installed.
    pub invoke: Option<Sequence<'b>>,
    /// Fetches payloads; may be severed.
    pub payload_fetch: Option<Member<'b>>,
    /// Installs payloads; may be severed.
    pub install: Option<Member<'b>>,
    /// Text for people; may be severed.
    pub text: Option<Member<'b>>,
}

/// A part of the manifest that may be severed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member<'b> {
    /// It stands in the manifest itself.
    Inside(&'b [u8]),
    /// The manifest holds its digest only.
    Severed {
        /// SHA-256 of the part with the head of its byte string.
        digest: Sha256Digest,
        /// The part, if the envelope has it. Its digest has been checked.
        content: Option<&'b [u8]>,
    },
}

impl<'b> Member<'b> {
    /// The part, wherever it stands; none when it was severed and left out.
    pub fn content(&self) -> Option<&'b [u8]> {
        match self {
            Member::Inside(content) => Some(content),
            Member::Severed { content, .. } => *content,
        }
    }

    fn read(reader: &mut Reader<'b>) -> Result<Member<'b>, Reason> {
        match reader.kind()? {
            Kind::Bytes => reader.bytes().map(Member::Inside),
            _ => Ok(Member::Severed { digest: digest::read(reader)?, content: None }),
        }
    }
}

impl<'b> Manifest<'b> {
    /// Parses a manifest. The contents of severable members are checked later, by
    /// [`Manifest::check_members`], when the severed ones are in their places.
    pub(crate) fn parse(bytes: &'b [u8]) -> Result<Manifest<'b>, Reason> {
        let mut reader = WellFormed::read(bytes)?;
        let (mut version, mut sequence_number, mut common) = (None, None, None);
        let mut manifest = Manifest {
            sequence_number: 0,
            components: Components { array: &[], count: 0 },
            shared: None,
            reference_uri: None,
            set_version: None,
            validate: None,
            load: None,
            invoke: None,
            payload_fetch: None,
            install: None,
            text: None,
        };
        for _ in 0..reader.map()? {
            match reader.i64().map_err(|_| Reason::UnknownField)? {
                VERSION => version = Some(reader.u64()?),
                SEQUENCE_NUMBER => sequence_number = Some(reader.u64()?),
                COMMON => common = Some(reader.bytes()?),
                REFERENCE_URI => manifest.reference_uri = Some(read_uri(&mut reader)?),
                SET_VERSION => manifest.set_version = Some(reader.bytes()?),
                VALIDATE => manifest.validate = Some(Sequence(reader.bytes()?)),
                LOAD => manifest.load = Some(Sequence(reader.bytes()?)),
                INVOKE => manifest.invoke = Some(Sequence(reader.bytes()?)),
                PAYLOAD_FETCH => manifest.payload_fetch = Some(Member::read(&mut reader)?),
                INSTALL => manifest.install = Some(Member::read(&mut reader)?),
                TEXT => manifest.text = Some(Member::read(&mut reader)?),
                COMPONENT_ID | COSWID | DEPENDENCY_RESOLUTION | UNINSTALL => {
                    return Err(Reason::Unsupported);
                }
                _ => return Err(Reason::UnknownField),
            }
        }
        reader.end()?;
        match version.ok_or(Reason::Malformed)? {
            1 => {}
            _ => return Err(Reason::Unsupported),
        }
        manifest.sequence_number = sequence_number.ok_or(Reason::Malformed)?;
        manifest.read_common(common.ok_or(Reason::Malformed)?)?;
        if let Some(version) = manifest.set_version {
            WellFormed::read(version)?;
        }
        Ok(manifest)
    }

    fn read_common(&mut self, bytes: &'b [u8]) -> Result<(), Reason> {
        let mut reader = WellFormed::read(bytes)?;
        for _ in 0..reader.map()? {
            match reader.i64().map_err(|_| Reason::UnknownField)? {
                DEPENDENCIES => return Err(Reason::Unsupported),
                COMPONENTS => self.components = Components::read(&mut reader)?,
                SHARED => self.shared = Some(Sequence(reader.bytes()?)),
                _ => return Err(Reason::UnknownField),
            }
        }
        reader.end()?;
        if self.components.count == 0 { Err(Reason::Malformed) } else { Ok(()) }
    }

    /// Reads every command, and the text, once, so that nothing in them is malformed later.
    pub(crate) fn check_members(&self) -> Result<(), Reason> {
        let mut budget = Budget::full();
        for sequence in self.sequences() {
            sequence.check(0, &mut budget)?;
        }
        self.text().map_or(Ok(()), |text| text.check())
    }

    /// All the sequences that are there.
    pub fn sequences(&self) -> impl Iterator<Item = Sequence<'b>> {
        let member =
            |member: Option<Member<'b>>| member.and_then(|member| member.content()).map(Sequence);
        [
            self.shared,
            member(self.payload_fetch),
            member(self.install),
            self.validate,
            self.load,
            self.invoke,
        ]
        .into_iter()
        .flatten()
    }

    /// The text, if the manifest has one and it was not left out.
    pub fn text(&self) -> Option<Text<'b>> {
        self.text?.content().map(Text)
    }
}

/// The list of component identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Components<'b> {
    /// The encoded array.
    array: &'b [u8],
    count: usize,
}

impl<'b> Components<'b> {
    fn read(reader: &mut Reader<'b>) -> Result<Components<'b>, Reason> {
        let array = reader.raw()?;
        let mut inner = WellFormed::read(array)?;
        let count = inner.array()?;
        let count = usize::try_from(count).map_err(|_| Reason::TooLarge)?;
        if count > limits::COMPONENTS {
            return Err(Reason::TooLarge);
        }
        let components = Components { array, count };
        components.iter().try_for_each(|id| id.map(drop))?;
        Ok(components)
    }

    /// How many there are: 1 to [`limits::COMPONENTS`].
    pub fn count(&self) -> usize {
        self.count
    }

    /// The identifiers, in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<ComponentId<'b>, Reason>> + use<'b> {
        let mut reader = WellFormed::read(self.array).and_then(|mut reader| {
            reader.array()?;
            Ok(reader)
        });
        (0..self.count).map(move |_| match &mut reader {
            Ok(reader) => ComponentId::read(reader),
            Err(reason) => Err(*reason),
        })
    }

    /// The identifier at `index`.
    ///
    /// # Errors
    /// `malformed` beyond the list.
    pub fn at(&self, index: usize) -> Result<ComponentId<'b>, Reason> {
        self.iter().nth(index).ok_or(Reason::Malformed)?
    }
}

/// A component identifier: a list of byte strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComponentId<'b> {
    encoded: &'b [u8],
}

impl<'b> ComponentId<'b> {
    pub(crate) const NONE: ComponentId<'static> = ComponentId { encoded: &[0x80] };

    pub(crate) fn read(reader: &mut Reader<'b>) -> Result<ComponentId<'b>, Reason> {
        let encoded = reader.raw()?;
        let mut parts = WellFormed::read(encoded)?;
        let count = parts.array()?;
        if count > limits::COMPONENT_ID_PARTS {
            return Err(Reason::TooLarge);
        }
        for _ in 0..count {
            parts.bytes()?;
        }
        Ok(ComponentId { encoded })
    }

    /// The identifier as CBOR.
    pub fn encoded(&self) -> &'b [u8] {
        self.encoded
    }

    /// The parts.
    pub fn parts(&self) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let mut reader = WellFormed::read(self.encoded).ok();
        let count = reader.as_mut().and_then(|reader| reader.array().ok()).unwrap_or(0);
        (0..count).filter_map(move |_| reader.as_mut()?.bytes().ok())
    }
}

pub(crate) fn read_uri<'b>(reader: &mut Reader<'b>) -> Result<&'b str, Reason> {
    let uri = reader.text()?;
    if uri.len() > limits::URI { Err(Reason::TooLarge) } else { Ok(uri) }
}

// Keys of the manifest.
pub(crate) const VERSION: i64 = 1;
pub(crate) const SEQUENCE_NUMBER: i64 = 2;
pub(crate) const COMMON: i64 = 3;
pub(crate) const REFERENCE_URI: i64 = 4;
const COMPONENT_ID: i64 = 5;
pub(crate) const SET_VERSION: i64 = 6;
pub(crate) const VALIDATE: i64 = 7;
pub(crate) const LOAD: i64 = 8;
pub(crate) const INVOKE: i64 = 9;
const COSWID: i64 = 14;
const DEPENDENCY_RESOLUTION: i64 = 15;
pub(crate) const PAYLOAD_FETCH: i64 = 16;
pub(crate) const INSTALL: i64 = 20;
pub(crate) const TEXT: i64 = 23;
const UNINSTALL: i64 = 24;

// Keys of the common part.
const DEPENDENCIES: i64 = 1;
pub(crate) const COMPONENTS: i64 = 2;
pub(crate) const SHARED: i64 = 4;
