//! The anchors document as parsed: bounded and consistent in itself, but nothing to believe yet.

use ringfort_cose::cbor::{Deterministic, Reader};
use ringfort_cose::{MultiSign, PublicKey, Reason, Sha256Digest, Verify};

use crate::ANCHORS;
use crate::ids::{AnchorsVersion, ClassId, FleetId, SiteId, Text, UnixTime, VendorId};
use crate::keys::{KeyEntry, Role, TrustedKeys};
use crate::time::read_time;

/// An anchors document whose structure and own rules hold. Its signatures are not checked: for
/// decisions take [`crate::Anchors`], which dereferences to this.
#[derive(Clone, Debug)]
pub struct Document<'b> {
    bytes: &'b [u8],
    fleet: FleetId,
    version: AnchorsVersion,
    time_floor: UnixTime,
    keys: List<'b>,
    anchor_threshold: usize,
    products: List<'b>,
    server_cas: List<'b>,
    hub: &'b str,
    spare: Option<&'b str>,
    revoked: List<'b>,
    command_threshold: usize,
}

impl<'b> Document<'b> {
    /// Bytes of a document at most, signatures included.
    pub const MAX_LEN: usize = 8 * 1024;
    /// Keys in all.
    pub const MAX_KEYS: u64 = 24;
    /// Products.
    pub const MAX_PRODUCTS: u64 = 16;
    /// Server CA certificates.
    pub const MAX_SERVER_CAS: u64 = 4;
    /// Bytes of one Server CA certificate at most.
    pub const MAX_CERTIFICATE_LEN: usize = 2048;
    /// Revoked manifests.
    pub const MAX_REVOKED: u64 = 64;
    /// Bytes of an address at most.
    pub const MAX_ADDRESS_LEN: usize = 255;

    /// Parses a document and checks every rule that needs no key.
    ///
    /// # Errors
    /// `too-large` beyond a bound; `malformed`, `unknown-field`, `unsupported`, `wrong-type`;
    /// `key-in-two-roles` when one key stands in two entries; `threshold-invalid` for a threshold
    /// of nought, one above the number of keys, or k = n > 1 for releases.
    pub fn parse(bytes: &'b [u8]) -> Result<Document<'b>, Reason> {
        if bytes.len() > Document::MAX_LEN {
            return Err(Reason::TooLarge);
        }
        let document = read_body(bytes, MultiSign::parse_object(bytes, ANCHORS)?)?;
        document.check_keys()?;
        document.check_products()?;
        Ok(document)
    }

    /// The bytes that were parsed.
    pub fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// SHA-256 of the whole document, signatures included: what the factory pins for version 1.
    pub fn digest(&self, verifier: &(impl Verify + ?Sized)) -> Sha256Digest {
        verifier.sha256(&[self.bytes])
    }

    /// The fleet.
    pub fn fleet(&self) -> FleetId {
        self.fleet
    }

    /// The version, from 1.
    pub fn version(&self) -> AnchorsVersion {
        self.version
    }

    /// A time that had passed when people signed this.
    pub fn time_floor(&self) -> UnixTime {
        self.time_floor
    }

    /// Every key, in the order in which it stands; products name release keys by this position.
    pub fn keys(&self) -> Keys<'b> {
        Keys { list: self.keys.clone() }
    }

    /// The keys of one role. Release keys are asked for by product:
    /// [`crate::Anchors::release_keys`].
    pub fn keys_of(&self, role: Role) -> impl Iterator<Item = KeyEntry> + use<'b> {
        self.keys().filter(move |entry| entry.role == role)
    }

    /// How many different anchor keys have to sign.
    pub fn anchor_threshold(&self) -> usize {
        self.anchor_threshold
    }

    /// How many different command keys have to sign a command: 1 unless the document says more.
    pub fn command_threshold(&self) -> usize {
        self.command_threshold
    }

    /// The products.
    pub fn products(&self) -> Products<'b> {
        Products { list: self.products.clone() }
    }

    /// The product with this class id.
    pub fn product(&self, class: &ClassId) -> Option<Product> {
        self.products().find(|product| product.class == *class)
    }

    /// The Server CA certificates (DER) that a device's TLS trusts, these and no others.
    pub fn server_cas(&self) -> Certificates<'b> {
        Certificates { list: self.server_cas.clone() }
    }

    /// The hub's device address: `https://host` or `https://host:port`.
    pub fn hub(&self) -> &'b str {
        self.hub
    }

    /// The spare address, where version N is found at `<spare>/N.cbor`.
    pub fn spare(&self) -> Option<&'b str> {
        self.spare
    }

    /// The digests of revoked manifests.
    pub fn revoked(&self) -> Revoked<'b> {
        Revoked { list: self.revoked.clone() }
    }

    /// Is this manifest revoked?
    pub fn is_revoked(&self, manifest: &Sha256Digest) -> bool {
        self.revoked().any(|digest| digest == *manifest)
    }

    fn check_keys(&self) -> Result<(), Reason> {
        let mut counts = [0usize; Role::ALL.len()];
        for (index, entry) in self.keys().enumerate() {
            if self.keys().take(index).any(|earlier| earlier.key == entry.key) {
                return Err(Reason::KeyInTwoRoles);
            }
            // Roles are numbered from 1.
            let slot = entry.role.number().saturating_sub(1) as usize;
            let count = counts.get_mut(slot).ok_or(Reason::Malformed)?;
            *count += 1;
            if *count > TrustedKeys::MAX {
                return Err(Reason::TooLarge);
            }
        }
        if self.anchor_threshold == 0 || self.anchor_threshold > counts[0] {
            return Err(Reason::ThresholdInvalid);
        }
        let command_keys = counts[COMMAND_SLOT];
        if self.command_threshold > DEFAULT_COMMAND_THRESHOLD.max(command_keys) {
            return Err(Reason::ThresholdInvalid);
        }
        Ok(())
    }

    fn check_products(&self) -> Result<(), Reason> {
        let mut used = 0u32;
        for (index, product) in self.products().enumerate() {
            if self.products().take(index).any(|earlier| earlier.class == product.class) {
                return Err(Reason::Malformed);
            }
            product.check_threshold()?;
            for position in product.key_positions() {
                let entry = self.keys().nth(usize::from(*position)).ok_or(Reason::Malformed)?;
                if entry.role != Role::Release {
                    return Err(Reason::KeyInTwoRoles);
                }
                used |= 1 << position;
            }
        }
        let idle = |(index, entry): (usize, KeyEntry)| {
            entry.role == Role::Release && used & 1 << index == 0
        };
        if self.keys().enumerate().any(idle) { Err(Reason::Malformed) } else { Ok(()) }
    }
}

/// A product: a vendor and a class, and who may sign its releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// SUIT vendor id.
    pub vendor: VendorId,
    /// SUIT class id, unique in the document.
    pub class: ClassId,
    /// The vendor's name.
    pub vendor_name: Text<{ Product::MAX_NAME }>,
    /// The class's name.
    pub class_name: Text<{ Product::MAX_NAME }>,
    /// Different release keys that have to sign. Below the number of keys, unless that is 1.
    pub threshold: usize,
    keys: [u8; TrustedKeys::MAX],
    key_count: usize,
}

impl Product {
    /// Bytes of a name at most.
    pub const MAX_NAME: usize = 64;

    /// The product's release keys, by their position in [`Document::keys`], ascending.
    pub fn key_positions(&self) -> &[u8] {
        self.keys.get(..self.key_count).unwrap_or_default()
    }

    /// k of n: at least one, at most n, and below n as soon as there is more than one, so that one
    /// lost key never ends a product.
    fn check_threshold(&self) -> Result<(), Reason> {
        let (k, n) = (self.threshold, self.key_count);
        let fits = k >= 1 && if n == 1 { k == 1 } else { k < n };
        if fits { Ok(()) } else { Err(Reason::ThresholdInvalid) }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Product, Reason> {
        let mut product = Product {
            vendor: VendorId([0; 16]),
            class: ClassId([0; 16]),
            vendor_name: Text::EMPTY,
            class_name: Text::EMPTY,
            threshold: 0,
            keys: [0; TrustedKeys::MAX],
            key_count: 0,
        };
        expect_fields(reader, 6)?;
        for field in 1..=6 {
            expect_field(reader, field)?;
            match field {
                1 => product.vendor = VendorId(reader.bytes_of()?),
                2 => product.class = ClassId(reader.bytes_of()?),
                3 => product.vendor_name = read_name(reader)?,
                4 => product.class_name = read_name(reader)?,
                5 => product.threshold = usize::from(reader.u8()?),
                _ => product.read_positions(reader)?,
            }
        }
        Ok(product)
    }

    fn read_positions(&mut self, reader: &mut Reader<'_>) -> Result<(), Reason> {
        let count = reader.array()?;
        if count > TrustedKeys::MAX as u64 {
            return Err(Reason::TooLarge);
        }
        let mut lowest = 0;
        for slot in self.keys.iter_mut().take(count as usize) {
            let position = reader.u8()?;
            if position < lowest || u64::from(position) >= Document::MAX_KEYS {
                return Err(Reason::Malformed);
            }
            *slot = position;
            lowest = position + 1;
            self.key_count += 1;
        }
        Ok(())
    }
}

/// A list inside the document: its place, and how many items it has.
#[derive(Clone, Debug)]
struct List<'b> {
    reader: Reader<'b>,
    left: u64,
}

impl<'b> List<'b> {
    /// Opens a list of `range` items and reads past it, item by item.
    fn read<T>(
        reader: &mut Reader<'b>,
        range: core::ops::RangeInclusive<u64>,
        mut item: impl FnMut(&mut Reader<'b>) -> Result<T, Reason>,
    ) -> Result<List<'b>, Reason> {
        let count = reader.array()?;
        if count > *range.end() {
            return Err(Reason::TooLarge);
        }
        if count < *range.start() {
            return Err(Reason::Malformed);
        }
        let list = List { reader: reader.clone(), left: count };
        for _ in 0..count {
            item(reader)?;
        }
        Ok(list)
    }

    /// The next item. Parsing has read each once, so none is lost here.
    fn next<T>(&mut self, item: impl FnOnce(&mut Reader<'b>) -> Result<T, Reason>) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        item(&mut self.reader).ok()
    }
}

macro_rules! list_iterator {
    ($(#[$doc:meta])* $name:ident, $item:ty, $read:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name<'b> {
            list: List<'b>,
        }

        impl<'b> Iterator for $name<'b> {
            type Item = $item;

            fn next(&mut self) -> Option<$item> {
                self.list.next($read)
            }
        }
    };
}

list_iterator! {
    /// Iterates over the keys of a document.
    Keys, KeyEntry, KeyEntry::read
}
list_iterator! {
    /// Iterates over the products of a document.
    Products, Product, Product::read
}
list_iterator! {
    /// Iterates over Server CA certificates, in DER.
    Certificates, &'b [u8], read_certificate
}
list_iterator! {
    /// Iterates over the digests of revoked manifests.
    Revoked, Sha256Digest, read_digest
}

fn read_body<'b>(bytes: &'b [u8], object: MultiSign<'b>) -> Result<Document<'b>, Reason> {
    let mut reader = Deterministic::read(object.payload_unverified())?;
    let fields = reader.map()?;
    // Fields come in ascending order; all but 10 and 11 have to be there.
    expect_field(&mut reader, 1)?;
    let fleet = FleetId(reader.bytes_of()?);
    expect_field(&mut reader, 2)?;
    let version = AnchorsVersion(reader.u64()?);
    expect_field(&mut reader, 3)?;
    let time_floor = read_time(&mut reader)?;
    expect_field(&mut reader, 4)?;
    let keys = List::read(&mut reader, 1..=Document::MAX_KEYS, KeyEntry::read)?;
    expect_field(&mut reader, 5)?;
    let anchor_threshold = usize::from(reader.u8()?);
    expect_field(&mut reader, 6)?;
    let products = List::read(&mut reader, 0..=Document::MAX_PRODUCTS, Product::read)?;
    expect_field(&mut reader, 7)?;
    let server_cas = List::read(&mut reader, 1..=Document::MAX_SERVER_CAS, read_certificate)?;
    expect_field(&mut reader, 8)?;
    let hub = read_address(&mut reader, check_origin)?;
    expect_field(&mut reader, 9)?;
    let revoked = List::read(&mut reader, 0..=Document::MAX_REVOKED, read_digest)?;
    if !(9..=11).contains(&fields) {
        return Err(Reason::UnknownField);
    }
    let (mut spare, mut command_threshold) = (None, DEFAULT_COMMAND_THRESHOLD);
    for _ in 9..fields {
        // The reader has seen to the order of the fields, and that none stands twice.
        match reader.u64() {
            Ok(10) => spare = Some(read_address(&mut reader, check_base)?),
            Ok(11) => command_threshold = read_command_threshold(&mut reader)?,
            Ok(..MAX_FIELD) => return Err(Reason::Malformed),
            _ => return Err(Reason::UnknownField),
        }
    }
    reader.end()?;
    if version.0 == 0 {
        return Err(Reason::Malformed);
    }
    Ok(Document {
        bytes,
        fleet,
        version,
        time_floor,
        keys,
        anchor_threshold,
        products,
        server_cas,
        hub,
        spare,
        revoked,
        command_threshold,
    })
}

/// Two or more: a document that asks for one says nothing, so that it has one encoding.
fn read_command_threshold(reader: &mut Reader<'_>) -> Result<usize, Reason> {
    match reader.u8()? {
        0 => Err(Reason::ThresholdInvalid),
        1 => Err(Reason::Malformed),
        threshold => Ok(threshold.into()),
    }
}

fn expect_fields(reader: &mut Reader<'_>, fields: u64) -> Result<(), Reason> {
    if reader.map()? == fields { Ok(()) } else { Err(Reason::Malformed) }
}

/// The next key of a map is this one.
fn expect_field(reader: &mut Reader<'_>, field: u64) -> Result<(), Reason> {
    match reader.u64() {
        Ok(found) if found == field => Ok(()),
        Ok(found) if found < MAX_FIELD => Err(Reason::Malformed),
        _ => Err(Reason::UnknownField),
    }
}

fn read_name(reader: &mut Reader<'_>) -> Result<Text<{ Product::MAX_NAME }>, Reason> {
    let name = Text::new(reader.text()?)?;
    if name.is_empty() { Err(Reason::Malformed) } else { Ok(name) }
}

fn read_digest(reader: &mut Reader<'_>) -> Result<Sha256Digest, Reason> {
    reader.bytes_of().map(Sha256Digest)
}

fn read_certificate<'b>(reader: &mut Reader<'b>) -> Result<&'b [u8], Reason> {
    let der = reader.bytes()?;
    match der.len() {
        0 => Err(Reason::Malformed),
        1..=Document::MAX_CERTIFICATE_LEN => Ok(der),
        _ => Err(Reason::TooLarge),
    }
}

fn read_address<'b>(
    reader: &mut Reader<'b>,
    check: impl Fn(&str) -> bool,
) -> Result<&'b str, Reason> {
    let address = reader.text()?;
    if address.len() > Document::MAX_ADDRESS_LEN {
        return Err(Reason::TooLarge);
    }
    if check(address) { Ok(address) } else { Err(Reason::UriNotAllowed) }
}

/// `https://host[:port]`, nothing after it.
fn check_origin(address: &str) -> bool {
    address.strip_prefix("https://").is_some_and(|rest| !rest.contains('/') && is_plain(rest))
}

/// `https://host[:port][/path]`, without a slash at its end.
fn check_base(address: &str) -> bool {
    address
        .strip_prefix("https://")
        .is_some_and(|rest| !rest.starts_with('/') && !rest.ends_with('/') && is_plain(rest))
}

/// Printable, without what would start a user name, a query or a fragment.
fn is_plain(rest: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"@?#\\\"<>".contains(&byte);
    !rest.is_empty() && rest.bytes().all(plain)
}

/// One above the largest field number of any map in the document.
const MAX_FIELD: u64 = 12;

/// Where the keys of commands are counted.
const COMMAND_SLOT: usize = Role::Command.number() as usize - 1;

/// Signatures that a command takes where a document says nothing.
pub(crate) const DEFAULT_COMMAND_THRESHOLD: usize = 1;

/// Positions of keys fit a mask of 32 bits.
const _: () = assert!(Document::MAX_KEYS <= 32);

/// The site whose station key this is.
impl Document<'_> {
    /// The site of a station key, if this is one.
    pub fn station_site(&self, key: &PublicKey) -> Option<SiteId> {
        self.keys_of(Role::Station).find(|entry| entry.key == *key).and_then(|entry| entry.site)
    }
}
