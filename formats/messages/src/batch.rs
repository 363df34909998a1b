//! The factory batch: what a station made, signed by its key, carried by file.

use ringfort_cose::cbor::{Deterministic, Limits, Reader};
use ringfort_cose::{Reason, Sha256Digest, Sign1, Thumbprint, Verify};
use ringfort_trust::Anchors;
use ringfort_trust::ids::{ClassId, DeviceId, FleetId, SiteId, Ueid, UnixTime};

use crate::BATCH;
use crate::identity::{Chain, read_csr};
use crate::status::Protection;
use crate::wire::{bytes_up_to, field, required, time};

/// A batch whose signature verifies with the station key that the anchors name for its site.
///
/// Batches of a site form a chain: each names the SHA-256 of the one before. Whether the hub has
/// that one is [`Batch::follows`]; quota, serial range and end date of the site, and uniqueness in
/// the fleet, are for the hub.
#[derive(Clone, Debug)]
pub struct Batch<'b> {
    /// The fleet.
    pub fleet: FleetId,
    /// The site.
    pub site: SiteId,
    /// The number, from 1, without gaps.
    pub number: u64,
    /// SHA-256 of the whole batch before; none for number 1.
    pub previous: Option<Sha256Digest>,
    /// When the station closed the batch, by its own clock: information, not proof.
    pub closed: UnixTime,
    /// SHA-256 of this whole batch.
    pub digest: Sha256Digest,
    /// The station key that signed.
    pub signer: Thumbprint,
    records: Records<'b>,
}

/// One device of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'b> {
    /// Its UEID.
    pub ueid: Ueid,
    /// Its name, the serial number.
    pub device: DeviceId,
    /// Its product's class id.
    pub class: ClassId,
    /// What protects its keys.
    pub protection: Protection,
    /// SHA-256 of the anchors document that it was given.
    pub anchors: Sha256Digest,
    /// Its IDevID certificate, in DER.
    pub idevid: &'b [u8],
    /// The PKCS#10 request for it, in DER: proof of possession.
    pub idevid_csr: &'b [u8],
    /// The PKCS#10 request of its attestation key, in DER: proof of possession.
    pub attestation_csr: &'b [u8],
}

impl<'b> Batch<'b> {
    /// Bytes of a batch at most.
    pub const MAX_LEN: usize = Limits::BATCH.length;
    /// Records of a batch at most.
    pub const MAX_RECORDS: u64 = 4096;

    /// Parses and verifies a batch.
    ///
    /// # Errors
    /// `too-large`, `malformed`, `unknown-field`, `unsupported`, `wrong-type`;
    /// `untrusted-signer` when the signer is no station key, or that of another site;
    /// `algorithm-not-allowed`, `bad-signature`; `wrong-fleet`.
    pub fn verify(
        bytes: &'b [u8],
        anchors: &Anchors<'_>,
        verifier: &(impl Verify + ?Sized),
    ) -> Result<Batch<'b>, Reason> {
        let sign1 = Sign1::parse_object_within(bytes, BATCH, Limits::BATCH)?;
        let signer = sign1.header().signer()?;
        let (key, site) = anchors.station_key(&signer, verifier)?;
        let payload = sign1.verify_object(verifier, BATCH, &key.key)?;
        let batch = Batch::read(payload, signer, verifier.sha256(&[bytes]))?;
        if batch.fleet != anchors.fleet() {
            return Err(Reason::WrongFleet);
        }
        if batch.site != site {
            return Err(Reason::UntrustedSigner);
        }
        Ok(batch)
    }

    /// The devices.
    pub fn records(&self) -> Records<'b> {
        self.records.clone()
    }

    /// Is this the batch after the last one of its site that was taken (its number and digest)?
    ///
    /// # Errors
    /// `batch-replayed` for a number that was taken; `batch-gap` for one further on, or when the
    /// batch before is not the one that was taken.
    pub fn follows(&self, last: Option<(u64, Sha256Digest)>) -> Result<(), Reason> {
        let (last_number, last_digest) = match last {
            Some((number, digest)) => (number, Some(digest)),
            None => (0, None),
        };
        if self.number <= last_number {
            return Err(Reason::BatchReplayed);
        }
        if last_number.checked_add(1) != Some(self.number) || self.previous != last_digest {
            return Err(Reason::BatchGap);
        }
        Ok(())
    }

    fn read(payload: &'b [u8], signer: Thumbprint, digest: Sha256Digest) -> Result<Self, Reason> {
        let mut reader = Deterministic::read_within(payload, Limits::BATCH)?;
        let (mut fleet, mut site, mut number, mut previous) = (None, None, None, None);
        let (mut closed, mut records) = (None, None);
        for _ in 0..reader.map()? {
            match field(&mut reader)? {
                1 => fleet = Some(FleetId(reader.bytes_of()?)),
                2 => site = Some(SiteId::new(reader.text()?)?),
                3 => number = Some(reader.u64()?),
                4 => previous = Some(Sha256Digest(reader.bytes_of()?)),
                5 => closed = Some(time(&mut reader)?),
                6 => records = Some(Records::read(&mut reader)?),
                _ => return Err(Reason::UnknownField),
            }
        }
        reader.end()?;
        let number = required(number)?;
        if number == 0 || (number == 1) != previous.is_none() {
            return Err(Reason::Malformed);
        }
        Ok(Batch {
            fleet: required(fleet)?,
            site: required(site)?,
            number,
            previous,
            closed: required(closed)?,
            digest,
            signer,
            records: required(records)?,
        })
    }
}

/// Iterates over the records of a batch.
#[derive(Clone, Debug)]
pub struct Records<'b> {
    reader: Reader<'b>,
    left: u64,
}

impl<'b> Records<'b> {
    /// How many records are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    fn read(reader: &mut Reader<'b>) -> Result<Records<'b>, Reason> {
        let count = reader.array()?;
        if count > Batch::MAX_RECORDS {
            return Err(Reason::TooLarge);
        }
        if count == 0 {
            return Err(Reason::Malformed);
        }
        let records = Records { reader: reader.clone(), left: count };
        for _ in 0..count {
            Record::read(reader)?;
        }
        Ok(records)
    }
}

impl<'b> Iterator for Records<'b> {
    type Item = Record<'b>;

    fn next(&mut self) -> Option<Record<'b>> {
        self.left = self.left.checked_sub(1)?;
        // Parsing has read each record once, so none is lost here.
        Record::read(&mut self.reader).ok()
    }
}

impl<'b> Record<'b> {
    fn read(reader: &mut Reader<'b>) -> Result<Record<'b>, Reason> {
        let (mut ueid, mut device, mut class, mut protection) = (None, None, None, None);
        let (mut anchors, mut idevid) = (None, None);
        let (mut idevid_csr, mut attestation_csr) = (None, None);
        for _ in 0..reader.map()? {
            match field(reader)? {
                1 => ueid = Some(Ueid::from_bytes(reader.bytes()?)?),
                2 => device = Some(DeviceId::new(reader.text()?)?),
                3 => class = Some(ClassId(reader.bytes_of()?)),
                4 => protection = Some(Protection::read(reader)?),
                5 => anchors = Some(Sha256Digest(reader.bytes_of()?)),
                6 => idevid = Some(bytes_up_to(reader, Chain::MAX_CERTIFICATE_LEN)?),
                7 => idevid_csr = Some(read_csr(reader)?),
                8 => attestation_csr = Some(read_csr(reader)?),
                _ => return Err(Reason::UnknownField),
            }
        }
        Ok(Record {
            ueid: required(ueid)?,
            device: required(device)?,
            class: required(class)?,
            protection: required(protection)?,
            anchors: required(anchors)?,
            idevid: required(idevid)?,
            idevid_csr: required(idevid_csr)?,
            attestation_csr: required(attestation_csr)?,
        })
    }
}

#[cfg(feature = "alloc")]
pub use make::{BatchSpec, RecordSpec};

#[cfg(feature = "alloc")]
mod make {
    //! Making a batch at the station.

    use alloc::vec::Vec;

    use ringfort_cose::cbor::Writer;
    use ringfort_cose::{Reason, Sha256Digest, Sign, SignError, Thumbprint, Verify};
    use ringfort_trust::ids::{ClassId, DeviceId, FleetId, SiteId, Ueid, UnixTime};

    use super::{Batch, Record};
    use crate::BATCH;
    use crate::status::Protection;

    /// What a batch is to say. The fields are those of [`Batch`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[allow(missing_docs)]
    pub struct BatchSpec {
        pub fleet: FleetId,
        pub site: SiteId,
        pub number: u64,
        pub previous: Option<Sha256Digest>,
        pub closed: UnixTime,
        pub records: Vec<RecordSpec>,
    }

    /// One device of a batch that is being made. The fields are those of [`Record`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[allow(missing_docs)]
    pub struct RecordSpec {
        pub ueid: Ueid,
        pub device: DeviceId,
        pub class: ClassId,
        pub protection: Protection,
        pub anchors: Sha256Digest,
        pub idevid: Vec<u8>,
        pub idevid_csr: Vec<u8>,
        pub attestation_csr: Vec<u8>,
    }

    impl BatchSpec {
        /// Signs the batch with the station key.
        ///
        /// # Errors
        /// [`SignError`] from the signer; `malformed` or `too-large` inside it for a batch that no
        /// hub would take.
        pub fn sign(
            &self,
            verifier: &(impl Verify + ?Sized),
            signer: &dyn Sign,
        ) -> Result<Vec<u8>, SignError> {
            let payload = self.payload()?;
            Batch::read(&payload, Thumbprint([0; 32]), Sha256Digest([0; 32]))?;
            let batch = ringfort_cose::sign1(verifier, signer, BATCH, &payload)?;
            if batch.len() > Batch::MAX_LEN {
                return Err(Reason::TooLarge.into());
            }
            Ok(batch)
        }

        fn payload(&self) -> Result<Vec<u8>, Reason> {
            let mut out = Writer::to_vec();
            out.map(5 + u64::from(self.previous.is_some()))?;
            out.u64(1)?.bytes(&self.fleet.0)?;
            out.u64(2)?.text(self.site.as_str())?;
            out.u64(3)?.u64(self.number)?;
            if let Some(previous) = &self.previous {
                out.u64(4)?.bytes(&previous.0)?;
            }
            out.u64(5)?.u64(self.closed.0)?;
            out.u64(6)?.array(self.records.len() as u64)?;
            for record in &self.records {
                record.write(&mut out)?;
            }
            out.finish()
        }
    }

    impl RecordSpec {
        /// A copy of a record that was read.
        pub fn of(record: &Record<'_>) -> RecordSpec {
            RecordSpec {
                ueid: record.ueid,
                device: record.device,
                class: record.class,
                protection: record.protection,
                anchors: record.anchors,
                idevid: record.idevid.to_vec(),
                idevid_csr: record.idevid_csr.to_vec(),
                attestation_csr: record.attestation_csr.to_vec(),
            }
        }

        fn write(&self, out: &mut Writer<Vec<u8>>) -> Result<(), Reason> {
            out.map(8)?;
            out.u64(1)?.bytes(self.ueid.as_bytes())?;
            out.u64(2)?.text(self.device.as_str())?;
            out.u64(3)?.bytes(&self.class.0)?;
            out.u64(4)?;
            self.protection.write(out)?;
            out.u64(5)?.bytes(&self.anchors.0)?;
            out.u64(6)?.bytes(&self.idevid)?;
            out.u64(7)?.bytes(&self.idevid_csr)?;
            out.u64(8)?.bytes(&self.attestation_csr).map(drop)
        }
    }
}
