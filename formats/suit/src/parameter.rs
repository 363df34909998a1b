//! Parameters of components.

use ringfort_cose::cbor::{Kind, Reader, WellFormed};
use ringfort_cose::{Reason, Sha256Digest};

use crate::digest;
use crate::manifest::read_uri;

/// An encoded map of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters<'b> {
    map: &'b [u8],
}

impl<'b> Parameters<'b> {
    pub(crate) fn read(reader: &mut Reader<'b>) -> Result<Parameters<'b>, Reason> {
        match reader.kind()? {
            Kind::Map => reader.raw().map(|map| Parameters { map }),
            _ => Err(Reason::Malformed),
        }
    }

    /// The parameters, in the order in which they stand; ends after the first error.
    pub fn iter(&self) -> impl Iterator<Item = Result<Parameter<'b>, Reason>> + use<'b> {
        let mut opened = Some(WellFormed::read(self.map).and_then(|mut reader| {
            let count = reader.map()?;
            if count == 0 { Err(Reason::Malformed) } else { Ok((reader, count)) }
        }));
        core::iter::from_fn(move || match opened.take()? {
            Ok((_, 0)) => None,
            Ok((mut reader, left)) => {
                let parameter = Parameter::read(&mut reader);
                opened = parameter.is_ok().then_some(Ok((reader, left - 1)));
                Some(parameter)
            }
            Err(reason) => Some(Err(reason)),
        })
    }
}

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter<'b> {
    /// Vendor, a UUID (RFC 9562).
    VendorIdentifier([u8; 16]),
    /// Class, a UUID.
    ClassIdentifier([u8; 16]),
    /// Digest of the image.
    ImageDigest(Sha256Digest),
    /// The slot to write to.
    ComponentSlot(u64),
    /// Whether commands have to run in order.
    StrictOrder(bool),
    /// Whether a failed condition ends the sequence without failing it.
    SoftFailure(bool),
    /// Size of the image in bytes.
    ImageSize(u64),
    /// Content to write or to compare.
    Content(&'b [u8]),
    /// Where to fetch from.
    Uri(&'b str),
    /// Position of the component to copy from or to swap with.
    SourceComponent(u64),
    /// Arguments of invoke.
    InvokeArguments(&'b [u8]),
    /// The device, a UUID.
    DeviceIdentifier([u8; 16]),
    /// Arguments of fetch.
    FetchArguments(&'b [u8]),
    /// What a version is compared with (draft-ietf-suit-update-management), encoded.
    Version(&'b [u8]),
}

impl<'b> Parameter<'b> {
    /// The parameter's key.
    pub const fn key(&self) -> i64 {
        match self {
            Parameter::VendorIdentifier(_) => 1,
            Parameter::ClassIdentifier(_) => 2,
            Parameter::ImageDigest(_) => 3,
            Parameter::ComponentSlot(_) => 5,
            Parameter::StrictOrder(_) => 12,
            Parameter::SoftFailure(_) => 13,
            Parameter::ImageSize(_) => 14,
            Parameter::Content(_) => 18,
            Parameter::Uri(_) => 21,
            Parameter::SourceComponent(_) => 22,
            Parameter::InvokeArguments(_) => 23,
            Parameter::DeviceIdentifier(_) => 24,
            Parameter::FetchArguments(_) => 25,
            Parameter::Version(_) => 28,
        }
    }

    fn read(reader: &mut Reader<'b>) -> Result<Parameter<'b>, Reason> {
        Ok(match reader.i64().map_err(|_| Reason::Unsupported)? {
            1 => Parameter::VendorIdentifier(read_uuid(reader)?),
            2 => Parameter::ClassIdentifier(read_uuid(reader)?),
            3 => {
                let mut inner = WellFormed::read(reader.bytes()?)?;
                let digest = digest::read(&mut inner)?;
                inner.end()?;
                Parameter::ImageDigest(digest)
            }
            5 => Parameter::ComponentSlot(reader.u64()?),
            12 => Parameter::StrictOrder(reader.bool()?),
            13 => Parameter::SoftFailure(reader.bool()?),
            14 => Parameter::ImageSize(reader.u64()?),
            18 => Parameter::Content(reader.bytes()?),
            21 => Parameter::Uri(read_uri(reader)?),
            22 => Parameter::SourceComponent(reader.u64()?),
            23 => Parameter::InvokeArguments(reader.bytes()?),
            24 => Parameter::DeviceIdentifier(read_uuid(reader)?),
            25 => Parameter::FetchArguments(reader.bytes()?),
            28 => Parameter::Version(reader.bytes()?),
            _ => return Err(Reason::Unsupported),
        })
    }
}

/// A UUID. A vendor may also be named by a private enterprise number, which is not supported.
fn read_uuid(reader: &mut Reader<'_>) -> Result<[u8; 16], Reason> {
    if reader.kind()? == Kind::Tag {
        return Err(Reason::Unsupported);
    }
    reader.bytes_of()
}
