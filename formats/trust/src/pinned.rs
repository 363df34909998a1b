//! The short reader of a boot loader.

use ringfort_cose::cbor::Scan;
use ringfort_cose::{PublicKey, Reason, Sha256Digest, Thumbprint, Verify};

use crate::ids::ClassId;

/// An anchors document that the device verified before, and whose digest it noted in a place that
/// only it writes. Its digest is compared; its rules and signatures were checked when it was
/// noted, and are not again. It answers what a boot loader asks, and says the same as
/// [`crate::Anchors::verify_pinned`].
#[derive(Clone, Copy, Debug)]
pub struct Pinned<'b> {
    keys: Scan<'b>,
    key_count: u32,
    products: Scan<'b>,
    product_count: u32,
    revoked: Scan<'b>,
    revoked_count: u32,
}

/// Who may sign releases of one class.
#[derive(Clone, Copy, Debug)]
pub struct PinnedSigners<'b> {
    /// How many different keys have to sign.
    pub threshold: usize,
    document: Pinned<'b>,
    positions: Scan<'b>,
    position_count: u32,
}

impl<'b> Pinned<'b> {
    /// Opens the document with this digest.
    ///
    /// # Errors
    /// `anchors-digest`; `malformed`.
    #[inline(never)]
    pub fn open(
        bytes: &'b [u8],
        expected: &[u8; 32],
        verifier: &impl Verify,
    ) -> Result<Pinned<'b>, Reason> {
        if verifier.sha256(&[bytes]).0 != *expected {
            return Err(Reason::AnchorsDigest);
        }
        let mut object = Scan::new(bytes);
        object.literal(&[0xd8, 0x62, 0x84]);
        object.skip(2);
        let mut body = object.inner();
        // Fields 1 to 3, 5, 7 and 8 are for others.
        body.take(Scan::MAP);
        body.skip(6);
        let (keys, key_count) = list(&mut body, 4);
        body.skip(2);
        let (products, product_count) = list(&mut body, 6);
        body.skip(4);
        let (revoked, revoked_count) = list(&mut body, 9);
        body.ok()?;
        Ok(Pinned { keys, key_count, products, product_count, revoked, revoked_count })
    }

    /// Who may sign releases of this class.
    ///
    /// # Errors
    /// `wrong-device` for a class that the anchors do not name.
    #[inline(never)]
    pub fn signers(&self, class: &ClassId) -> Result<PinnedSigners<'b>, Reason> {
        let mut products = self.products;
        for _ in 0..self.product_count {
            products.literal(&[0xa6, 0x01]);
            products.skip(1);
            products.literal(&[0x02]);
            let found = products.bytes_of::<16>();
            products.skip(4);
            products.literal(&[0x05]);
            let threshold = products.take(Scan::UNSIGNED) as usize;
            products.literal(&[0x06]);
            let mut positions = products;
            let position_count = positions.take(Scan::ARRAY);
            products.skip(1);
            products.ok()?;
            if *found == class.0 {
                return Ok(PinnedSigners { threshold, document: *self, positions, position_count });
            }
        }
        Err(Reason::WrongDevice)
    }

    /// Is this manifest revoked?
    #[inline(never)]
    pub fn is_revoked(&self, manifest: &Sha256Digest) -> bool {
        let mut revoked = self.revoked;
        (0..self.revoked_count).any(|_| *revoked.bytes_of::<32>() == manifest.0)
    }

    /// The key at a position; `None` for keys of other algorithms than ESP256.
    fn key(&self, position: u32) -> Option<PublicKey> {
        let mut keys = self.keys;
        keys.skip(position);
        keys.take(Scan::MAP);
        // The role, then the key: EC2, ESP256, P-256, x, y.
        keys.literal(&[0x01]);
        keys.take(Scan::UNSIGNED);
        keys.literal(&[0x02, 0xa5, 0x01, 0x02, 0x03, 0x28, 0x20, 0x01, 0x21]);
        let x = keys.bytes_of::<32>();
        keys.literal(&[0x22]);
        let y = keys.bytes_of::<32>();
        if keys.ok().is_err() || position >= self.key_count {
            return None;
        }
        let mut point = [0x04; 65];
        point[1..33].copy_from_slice(x);
        point[33..].copy_from_slice(y);
        Some(PublicKey::P256(point))
    }
}

impl PinnedSigners<'_> {
    /// The key with this thumbprint, if it may sign. Keys of other algorithms than ESP256 are
    /// passed over.
    ///
    /// # Errors
    /// `untrusted-signer`.
    #[inline(never)]
    pub fn key(
        &self,
        thumbprint: &Thumbprint,
        verifier: &impl Verify,
    ) -> Result<PublicKey, Reason> {
        let mut positions = self.positions;
        for _ in 0..self.position_count {
            let position = positions.take(Scan::UNSIGNED);
            let Some(key) = self.document.key(position) else { continue };
            if key.thumbprint(verifier) == *thumbprint {
                return Ok(key);
            }
        }
        Err(Reason::UntrustedSigner)
    }
}

/// Field `number`, an array: its first item, and how many there are.
fn list<'b>(body: &mut Scan<'b>, number: u8) -> (Scan<'b>, u32) {
    body.literal(&[number]);
    let mut items = *body;
    let count = items.take(Scan::ARRAY);
    body.skip(1);
    (items, count)
}
