//! The files between a device and the station of its factory. Nothing secret crosses.

use minicbor::encode::Write;
use ringfort_cose::Reason;
use ringfort_cose::cbor::{Reader, Writer};
use ringfort_trust::Document;
use ringfort_trust::ids::{ClassId, DeviceId, Text, Ueid, VendorId};

use crate::status::Protection;
use crate::wire::{bytes_up_to, encoders, field, open, required, text};

/// What a device hands to the station: who it is, and its two public keys, each in a PKCS#10
/// request (RFC 2986) whose own signature is the proof of possession. The names in the requests
/// are not looked at: the station writes the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityRequest<'b> {
    /// The device's UEID, made by the device itself.
    pub ueid: Ueid,
    /// What protects its keys.
    pub protection: Protection,
    /// The request for the IDevID certificate, in DER.
    pub idevid_csr: &'b [u8],
    /// The request that registers the attestation key, in DER. No certificate is issued for it.
    pub attestation_csr: &'b [u8],
    /// Name and version of the agent.
    pub agent: Text<64>,
}

impl<'b> IdentityRequest<'b> {
    /// Bytes of a request file at most.
    pub const MAX_LEN: usize = 8 * 1024;
    /// Bytes of one PKCS#10 request at most.
    pub const MAX_CSR_LEN: usize = 2048;

    /// Reads a request file.
    ///
    /// # Errors
    /// `too-large`, `malformed`, `unknown-field`, `unsupported`.
    pub fn decode(bytes: &'b [u8]) -> Result<IdentityRequest<'b>, Reason> {
        let mut reader = open(bytes, IdentityRequest::MAX_LEN)?;
        let (mut ueid, mut protection, mut agent) = (None, None, None);
        let (mut idevid_csr, mut attestation_csr) = (None, None);
        for _ in 0..reader.map()? {
            match field(&mut reader)? {
                1 => ueid = Some(Ueid::from_bytes(reader.bytes()?)?),
                2 => protection = Some(Protection::read(&mut reader)?),
                3 => idevid_csr = Some(read_csr(&mut reader)?),
                4 => attestation_csr = Some(read_csr(&mut reader)?),
                5 => agent = Some(text(&mut reader)?),
                _ => return Err(Reason::UnknownField),
            }
        }
        reader.end()?;
        Ok(IdentityRequest {
            ueid: required(ueid)?,
            protection: required(protection)?,
            idevid_csr: required(idevid_csr)?,
            attestation_csr: required(attestation_csr)?,
            agent: required(agent)?,
        })
    }

    encoders!();

    fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        out.map(5)?;
        out.u64(1)?.bytes(self.ueid.as_bytes())?;
        out.u64(2)?;
        self.protection.write(out)?;
        out.u64(3)?.bytes(self.idevid_csr)?;
        out.u64(4)?.bytes(self.attestation_csr)?;
        out.u64(5)?.text(self.agent.as_str()).map(drop)
    }
}

pub(crate) fn read_csr<'b>(reader: &mut Reader<'b>) -> Result<&'b [u8], Reason> {
    bytes_up_to(reader, IdentityRequest::MAX_CSR_LEN)
}

/// What the station hands back: the device's certificate and what it is to believe. The device
/// takes it at the factory and never again: trust begins here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityAnswer<'b> {
    /// The UEID of the request; the device refuses another.
    pub ueid: Ueid,
    /// The name that the factory gave.
    pub device: DeviceId,
    /// The product's vendor id.
    pub vendor: VendorId,
    /// The product's class id.
    pub class: ClassId,
    /// The IDevID certificate first, then the certificates above it, without the root; in DER.
    pub chain: Chain<'b>,
    /// The anchors document, version 1. Its SHA-256 is the digest that the device pins.
    pub anchors: &'b [u8],
}

impl<'b> IdentityAnswer<'b> {
    /// Bytes of an answer file at most.
    pub const MAX_LEN: usize = 24 * 1024;

    /// Reads an answer file.
    ///
    /// # Errors
    /// `too-large`, `malformed`, `unknown-field`.
    pub fn decode(bytes: &'b [u8]) -> Result<IdentityAnswer<'b>, Reason> {
        let mut reader = open(bytes, IdentityAnswer::MAX_LEN)?;
        let (mut ueid, mut device, mut vendor, mut class) = (None, None, None, None);
        let (mut chain, mut anchors) = (None, None);
        for _ in 0..reader.map()? {
            match field(&mut reader)? {
                1 => ueid = Some(Ueid::from_bytes(reader.bytes()?)?),
                2 => device = Some(DeviceId::new(reader.text()?)?),
                3 => vendor = Some(VendorId(reader.bytes_of()?)),
                4 => class = Some(ClassId(reader.bytes_of()?)),
                5 => chain = Some(Chain::read(&mut reader)?),
                6 => anchors = Some(bytes_up_to(&mut reader, Document::MAX_LEN)?),
                _ => return Err(Reason::UnknownField),
            }
        }
        reader.end()?;
        Ok(IdentityAnswer {
            ueid: required(ueid)?,
            device: required(device)?,
            vendor: required(vendor)?,
            class: required(class)?,
            chain: required(chain)?,
            anchors: required(anchors)?,
        })
    }

    encoders!();

    fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        out.map(6)?;
        out.u64(1)?.bytes(self.ueid.as_bytes())?;
        out.u64(2)?.text(self.device.as_str())?;
        out.u64(3)?.bytes(&self.vendor.0)?;
        out.u64(4)?.bytes(&self.class.0)?;
        out.u64(5)?.array(self.chain.iter().count() as u64)?;
        for certificate in self.chain.iter() {
            out.bytes(certificate)?;
        }
        out.u64(6)?.bytes(self.anchors).map(drop)
    }
}

/// One to three certificates in DER, the holder's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain<'b> {
    certificates: [Option<&'b [u8]>; Chain::MAX],
}

impl<'b> Chain<'b> {
    /// Certificates at most.
    pub const MAX: usize = 3;
    /// Bytes of one certificate at most.
    pub const MAX_CERTIFICATE_LEN: usize = 2048;

    /// A chain of these certificates.
    ///
    /// # Errors
    /// `malformed` for none; `too-large` beyond a bound.
    pub fn new(certificates: &[&'b [u8]]) -> Result<Chain<'b>, Reason> {
        let mut chain = Chain { certificates: [None; Chain::MAX] };
        if certificates.is_empty() || certificates.iter().any(|der| der.is_empty()) {
            return Err(Reason::Malformed);
        }
        let long = |der: &&[u8]| der.len() > Chain::MAX_CERTIFICATE_LEN;
        if certificates.len() > Chain::MAX || certificates.iter().any(long) {
            return Err(Reason::TooLarge);
        }
        for (slot, der) in chain.certificates.iter_mut().zip(certificates) {
            *slot = Some(der);
        }
        Ok(chain)
    }

    /// The certificates.
    pub fn iter(&self) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        self.certificates.into_iter().flatten()
    }

    fn read(reader: &mut Reader<'b>) -> Result<Chain<'b>, Reason> {
        let count = reader.array()?;
        let mut certificates: [&'b [u8]; Chain::MAX] = [&[]; Chain::MAX];
        if count > Chain::MAX as u64 {
            return Err(Reason::TooLarge);
        }
        for slot in certificates.iter_mut().take(count as usize) {
            *slot = reader.bytes()?;
        }
        Chain::new(certificates.get(..count as usize).unwrap_or_default())
    }
}
