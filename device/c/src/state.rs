//! What survives a power cut, in flash: a record and the anchors document, each in the half of its
//! area that does not hold the newest one. A record counts when its digest is whole; what is torn
//! reads as not written.

use ringfort_cose::cbor::{Deterministic, Kind, Writer};
use ringfort_cose::{Reason, Sha256Digest, Verify};
use ringfort_device::{Identity, Record};
use ringfort_trust::Document;
use ringfort_trust::ids::{AnchorsVersion, ClassId, DeviceId, Ueid, VendorId};

use crate::port::{Area, Failure, Geometry, Port};
use crate::verifier::RustCrypto;

/// An image, as its manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) digest: Sha256Digest,
    pub(crate) size_bytes: u32,
}

/// Everything but the anchors document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) identity: Identity,
    pub(crate) record: Record,
    /// What each slot holds.
    pub(crate) images: [Option<Image>; 2],
}

/// Where the newest of something lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    half: u32,
    number: u64,
}

/// Reads the newest record.
pub(crate) fn load(port: &mut impl Port, buffer: &mut [u8]) -> Result<(Stored, Place), Failure> {
    let (place, length) = newest(port, Area::State, buffer, None)?.ok_or(Failure::State)?;
    let bytes = buffer.get(..length).ok_or(Failure::State)?;
    Ok((Stored::decode(bytes).map_err(|_| Failure::State)?, place))
}

/// Writes a record in place of the one before the newest.
pub(crate) fn store(
    port: &mut impl Port,
    stored: &Stored,
    last: Option<Place>,
    buffer: &mut [u8],
) -> Result<Place, Failure> {
    let length = stored.encode_into(buffer).map_err(|_| Failure::TooLarge)?.len();
    let bytes = buffer.get(..length).ok_or(Failure::TooLarge)?;
    let number = last.map_or(0, |place| place.number).wrapping_add(1);
    let half = last.map_or(0, |place| 1 - place.half);
    write(port, Area::State, Place { half, number }, bytes)
}

/// Reads the anchors document with this digest into the buffer, and says how long it is.
pub(crate) fn load_anchors(
    port: &mut impl Port,
    digest: &Sha256Digest,
    buffer: &mut [u8],
) -> Result<usize, Failure> {
    let found = newest(port, Area::Anchors, buffer, Some(digest))?;
    found.map(|(_, length)| length).ok_or(Failure::State)
}

/// Writes an anchors document; the one of the version before stays.
pub(crate) fn store_anchors(
    port: &mut impl Port,
    version: AnchorsVersion,
    document: &[u8],
) -> Result<(), Failure> {
    let place = Place { half: (version.0 % 2) as u32, number: version.0 };
    write(port, Area::Anchors, place, document).map(drop)
}

/// Do the areas fit what goes into them?
pub(crate) fn check_geometry(port: &impl Port) -> Result<(), Failure> {
    let needs = [
        (Area::State, 2 * (HEADER + Stored::MAX_LEN) as u32),
        (Area::Anchors, 2 * (HEADER + Document::MAX_LEN) as u32),
        (Area::SlotA, 1),
        (Area::SlotB, 1),
    ];
    for (area, least) in needs {
        let Geometry { size_bytes, erase_bytes, program_bytes } = port.geometry(area);
        let halves = matches!(area, Area::State | Area::Anchors);
        let blocks = erase_bytes.checked_mul(if halves { 2 } else { 1 });
        let fits = blocks.is_some_and(|blocks| blocks > 0 && size_bytes.is_multiple_of(blocks))
            && program_bytes.is_power_of_two()
            && program_bytes <= UNIT_MAX
            && erase_bytes.is_multiple_of(program_bytes)
            && size_bytes >= least;
        if !fits {
            return Err(Failure::Argument);
        }
    }
    Ok(())
}

/// The newest whole one of the two halves, or the one with this digest.
fn newest(
    port: &mut impl Port,
    area: Area,
    buffer: &mut [u8],
    wanted: Option<&Sha256Digest>,
) -> Result<Option<(Place, usize)>, Failure> {
    let mut found: Option<Place> = None;
    for half in [0, 1] {
        if let Some((number, _, digest)) = read(port, area, half, buffer)?
            && wanted.is_none_or(|wanted| *wanted == digest)
            && found.is_none_or(|other| other.number < number)
        {
            found = Some(Place { half, number });
        }
    }
    // Read again: the other half may have been read over it.
    let Some(place) = found else { return Ok(None) };
    let again = read(port, area, place.half, buffer)?;
    Ok(again.map(|(_, length, _)| (place, length)))
}

/// Reads one half into the buffer: number, length and digest, if it is whole.
fn read(
    port: &mut impl Port,
    area: Area,
    half: u32,
    buffer: &mut [u8],
) -> Result<Option<(u64, usize, Sha256Digest)>, Failure> {
    let base = port.geometry(area).size_bytes / 2 * half;
    let mut header = [0; HEADER];
    port.flash_read(area, base, &mut header)?;
    let Some((magic, rest)) = header.split_first_chunk::<8>() else { return Ok(None) };
    let Some((number, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
    let Some((length, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
    let Some((digest, _)) = rest.split_first_chunk::<32>() else { return Ok(None) };
    let length = usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let Some(bytes) = buffer.get_mut(..length).filter(|_| magic == MAGIC) else { return Ok(None) };
    port.flash_read(area, base + HEADER as u32, bytes)?;
    let content = RustCrypto.sha256(&[bytes]);
    // The header's own digest: a torn one is no header.
    let whole = RustCrypto.sha256(&[&header[..24], &content.0]);
    let number = u64::from_be_bytes(*number);
    Ok((whole.0 == *digest).then_some((number, length, content)))
}

fn write(port: &mut impl Port, area: Area, place: Place, bytes: &[u8]) -> Result<Place, Failure> {
    let geometry = port.geometry(area);
    let half_bytes = geometry.size_bytes / 2;
    let base = half_bytes * place.half;
    let length = u32::try_from(HEADER + bytes.len()).map_err(|_| Failure::TooLarge)?;
    if length > half_bytes {
        return Err(Failure::TooLarge);
    }
    port.flash_erase(area, base, length.next_multiple_of(geometry.erase_bytes))?;
    let mut header = [0xff; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&place.number.to_be_bytes());
    header[16..24].copy_from_slice(&(bytes.len() as u64).to_be_bytes());
    let content = RustCrypto.sha256(&[bytes]);
    let digest = RustCrypto.sha256(&[&header[..24], &content.0]);
    header[24..56].copy_from_slice(&digest.0);
    // The header ends on a unit of every size; it comes last, and makes the rest count.
    program(port, area, base + HEADER as u32, bytes)?;
    port.flash_program(area, base, &header)?;
    Ok(place)
}

/// Programs bytes of any length: whole units, the last one filled up as erased.
pub(crate) fn program(
    port: &mut impl Port,
    area: Area,
    offset: u32,
    bytes: &[u8],
) -> Result<(), Failure> {
    let unit = port.geometry(area).program_bytes as usize;
    let whole = bytes.len() / unit * unit;
    let (units, rest) = bytes.split_at(whole);
    if !units.is_empty() {
        port.flash_program(area, offset, units)?;
    }
    if !rest.is_empty() {
        let mut last = [0xff; UNIT_MAX as usize];
        last[..rest.len()].copy_from_slice(rest);
        let last = last.get(..unit).ok_or(Failure::Argument)?;
        port.flash_program(area, offset + whole as u32, last)?;
    }
    Ok(())
}

impl Stored {
    const MAX_LEN: usize = Record::MAX_LEN + 512;

    fn encode_into<'o>(&self, buffer: &'o mut [u8]) -> Result<&'o [u8], Reason> {
        let mut record = [0; Record::MAX_LEN];
        let record = self.record.encode_into(&mut record)?;
        let mut out = Writer::into_slice(buffer);
        out.array(8)?.u64(VERSION)?;
        out.text(self.identity.device.as_str())?.bytes(self.identity.ueid.as_bytes())?;
        out.bytes(&self.identity.vendor.0)?.bytes(&self.identity.class.0)?.bytes(record)?;
        for image in self.images {
            match image {
                None => out.null()?,
                Some(image) => {
                    out.array(2)?.bytes(&image.digest.0)?.u64(image.size_bytes.into())?
                }
            };
        }
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Stored, Reason> {
        let mut reader = Deterministic::read(bytes)?;
        reader.array_of(8)?;
        if reader.u64()? != VERSION {
            return Err(Reason::Unsupported);
        }
        let identity = Identity {
            device: DeviceId::new(reader.text()?)?,
            ueid: Ueid::from_bytes(reader.bytes()?)?,
            vendor: VendorId(reader.bytes_of()?),
            class: ClassId(reader.bytes_of()?),
        };
        let record = Record::decode(reader.bytes()?)?;
        let mut images = [None; 2];
        for image in &mut images {
            *image = match reader.kind()? {
                Kind::Null => {
                    reader.null()?;
                    None
                }
                _ => {
                    reader.array_of(2)?;
                    Some(Image {
                        digest: Sha256Digest(reader.bytes_of()?),
                        size_bytes: reader.u32()?,
                    })
                }
            };
        }
        reader.end()?;
        Ok(Stored { identity, record, images })
    }
}

const MAGIC: &[u8; 8] = b"ringfrt1";
/// Magic, number, length, the digest over them and over the content's, and nothing.
const HEADER: usize = 64;
const UNIT_MAX: u32 = 64;
const VERSION: u64 = 1;
