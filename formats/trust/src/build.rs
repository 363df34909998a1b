//! Making anchors documents, on machines with memory.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ringfort_cose::cbor::Writer;
use ringfort_cose::{PublicKey, Reason, Sha256Digest, Sign, SignError, Verify};

use crate::ANCHORS;
use crate::document::{DEFAULT_COMMAND_THRESHOLD, Document, Product};
use crate::ids::{AnchorsVersion, ClassId, FleetId, SiteId, Text, UnixTime, VendorId};
use crate::keys::{KeyEntry, Role};

/// What an anchors document is to say. Encoded, it is signed by people one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorsSpec {
    /// The fleet, fixed for life.
    pub fleet: FleetId,
    /// The version.
    pub version: AnchorsVersion,
    /// A time that has passed: at least that of the version before.
    pub time_floor: UnixTime,
    /// The keys that sign anchors, commands, orders and factory batches. Release keys stand with
    /// their products.
    pub keys: Vec<KeySpec>,
    /// How many different anchor keys have to sign.
    pub anchor_threshold: u8,
    /// How many different command keys have to sign a command.
    pub command_threshold: u8,
    /// The products.
    pub products: Vec<ProductSpec>,
    /// Server CA certificates in DER.
    pub server_cas: Vec<Vec<u8>>,
    /// The hub's device address: `https://host` or `https://host:port`.
    pub hub: String,
    /// The spare address, where version N is found at `<spare>/N.cbor`.
    pub spare: Option<String>,
    /// Digests of revoked manifests.
    pub revoked: Vec<Sha256Digest>,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// What it may sign; never [`Role::Release`] in [`AnchorsSpec::keys`], always in a product.
    pub role: Role,
    /// The key.
    pub key: PublicKey,
    /// Its name for people; may be empty. At most 32 bytes.
    pub name: String,
    /// The site of a station key.
    pub site: Option<SiteId>,
}

/// A product and its release keys. A key may stand in several products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductSpec {
    /// SUIT vendor id.
    pub vendor: VendorId,
    /// SUIT class id.
    pub class: ClassId,
    /// The vendor's name, 1 to 64 bytes.
    pub vendor_name: String,
    /// The class's name, 1 to 64 bytes.
    pub class_name: String,
    /// How many different release keys have to sign.
    pub threshold: u8,
    /// The release keys.
    pub keys: Vec<KeySpec>,
}

impl AnchorsSpec {
    /// What a document says: the start of its next version, or a view that owns its parts.
    pub fn of(document: &Document<'_>) -> AnchorsSpec {
        let all: Vec<KeyEntry> = document.keys().collect();
        AnchorsSpec {
            fleet: document.fleet(),
            version: document.version(),
            time_floor: document.time_floor(),
            keys: all.iter().filter(|entry| entry.role != Role::Release).map(KeySpec::of).collect(),
            anchor_threshold: document.anchor_threshold() as u8,
            command_threshold: document.command_threshold() as u8,
            products: document.products().map(|product| ProductSpec::of(&product, &all)).collect(),
            server_cas: document.server_cas().map(<[u8]>::to_vec).collect(),
            hub: document.hub().to_string(),
            spare: document.spare().map(ToString::to_string),
            revoked: document.revoked().collect(),
        }
    }

    /// The document without any signature yet.
    ///
    /// # Errors
    /// Those of [`Document::parse`]: no document is made that no device would take.
    pub fn encode(&self, verifier: &(impl Verify + ?Sized)) -> Result<Vec<u8>, Reason> {
        self.sign(verifier, &[]).map_err(|error| match error {
            SignError::Object(reason) => reason,
            _ => Reason::Internal,
        })
    }

    /// The document with the signatures of these keys. More can be added by
    /// [`AnchorsSpec::add_signature`].
    ///
    /// # Errors
    /// [`SignError`] from a signer, or with a reason of [`Document::parse`] inside.
    pub fn sign(
        &self,
        verifier: &(impl Verify + ?Sized),
        signers: &[&dyn Sign],
    ) -> Result<Vec<u8>, SignError> {
        let document = ringfort_cose::multi_sign(verifier, signers, ANCHORS, &self.payload()?)?;
        Document::parse(&document)?;
        Ok(document)
    }

    /// Adds one signature to a document, which may come from another machine. Whether the key is
    /// an anchor key of this version or the one before is for the verifier to find.
    ///
    /// # Errors
    /// [`SignError`] from the signer, or with a reason of [`Document::parse`] inside.
    pub fn add_signature(
        document: &[u8],
        verifier: &(impl Verify + ?Sized),
        signer: &dyn Sign,
    ) -> Result<Vec<u8>, SignError> {
        Document::parse(document)?;
        let signed = ringfort_cose::add_signature(verifier, signer, ANCHORS, document)?;
        Document::parse(&signed)?;
        Ok(signed)
    }

    fn payload(&self) -> Result<Vec<u8>, Reason> {
        let entries = self.key_entries()?;
        let mut out = Writer::to_vec();
        // One signature is what a document means that says nothing.
        let says = usize::from(self.command_threshold) != DEFAULT_COMMAND_THRESHOLD;
        out.map(9 + u64::from(self.spare.is_some()) + u64::from(says))?;
        out.u64(1)?.bytes(&self.fleet.0)?;
        out.u64(2)?.u64(self.version.0)?;
        out.u64(3)?.u64(self.time_floor.0)?;
        out.u64(4)?.array(entries.len() as u64)?;
        for entry in &entries {
            entry.write(&mut out)?;
        }
        out.u64(5)?.u64(self.anchor_threshold.into())?;
        out.u64(6)?.array(self.products.len() as u64)?;
        for product in &self.products {
            product.write(&mut out, &entries)?;
        }
        out.u64(7)?.array(self.server_cas.len() as u64)?;
        for der in &self.server_cas {
            out.bytes(der)?;
        }
        out.u64(8)?.text(&self.hub)?;
        out.u64(9)?.array(self.revoked.len() as u64)?;
        for digest in &self.revoked {
            out.bytes(&digest.0)?;
        }
        if let Some(spare) = &self.spare {
            out.u64(10)?.text(spare)?;
        }
        if says {
            out.u64(11)?.u64(self.command_threshold.into())?;
        }
        out.finish()
    }

    /// Every key once. A release key that several products list has the name of the first.
    fn key_entries(&self) -> Result<Vec<KeyEntry>, Reason> {
        let mut entries: Vec<KeyEntry> = Vec::new();
        for spec in &self.keys {
            if spec.role == Role::Release {
                return Err(Reason::KeyInTwoRoles);
            }
            entries.push(spec.entry()?);
        }
        for spec in self.products.iter().flat_map(|product| &product.keys) {
            if spec.role != Role::Release {
                return Err(Reason::KeyInTwoRoles);
            }
            let listed = |entry: &KeyEntry| entry.role == Role::Release && entry.key == spec.key;
            if !entries.iter().any(listed) {
                entries.push(spec.entry()?);
            }
        }
        Ok(entries)
    }
}

impl KeySpec {
    /// A key with its role and name, for any role but [`Role::Station`].
    pub fn new(role: Role, key: PublicKey, name: &str) -> KeySpec {
        KeySpec { role, key, name: name.to_string(), site: None }
    }

    /// The station key of a site.
    pub fn station(key: PublicKey, name: &str, site: SiteId) -> KeySpec {
        KeySpec { role: Role::Station, key, name: name.to_string(), site: Some(site) }
    }

    fn of(entry: &KeyEntry) -> KeySpec {
        KeySpec {
            role: entry.role,
            key: entry.key,
            name: entry.name.as_str().to_string(),
            site: entry.site,
        }
    }

    fn entry(&self) -> Result<KeyEntry, Reason> {
        let name = Text::new(&self.name)?;
        Ok(KeyEntry { role: self.role, key: self.key, name, site: self.site })
    }
}

impl ProductSpec {
    fn of(product: &Product, all: &[KeyEntry]) -> ProductSpec {
        ProductSpec {
            vendor: product.vendor,
            class: product.class,
            vendor_name: product.vendor_name.as_str().to_string(),
            class_name: product.class_name.as_str().to_string(),
            threshold: product.threshold as u8,
            keys: product
                .key_positions()
                .iter()
                .filter_map(|position| all.get(usize::from(*position)))
                .map(KeySpec::of)
                .collect(),
        }
    }

    fn write(&self, out: &mut Writer<Vec<u8>>, entries: &[KeyEntry]) -> Result<(), Reason> {
        let mut positions: Vec<u64> = Vec::new();
        for spec in &self.keys {
            let at = entries.iter().position(|entry| entry.key == spec.key);
            positions.push(at.ok_or(Reason::Internal)? as u64);
        }
        positions.sort_unstable();
        out.map(6)?;
        out.u64(1)?.bytes(&self.vendor.0)?;
        out.u64(2)?.bytes(&self.class.0)?;
        out.u64(3)?.text(&self.vendor_name)?;
        out.u64(4)?.text(&self.class_name)?;
        out.u64(5)?.u64(self.threshold.into())?;
        out.u64(6)?.array(positions.len() as u64)?;
        for position in positions {
            out.u64(position)?;
        }
        Ok(())
    }
}
