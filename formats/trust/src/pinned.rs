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
    key_count: u64,
    products: Scan<'b>,
    product_count: u64,
    revoked: Scan<'b>,
    revoked_count: u64,
}

/// Who may sign releases of one class.
#[derive(Clone, Copy, Debug)]
pub struct PinnedSigners<'b> {
    /// How many different keys have to sign.
    pub threshold: usize,
    document: Pinned<'b>,
    positions: Scan<'b>,
    position_count: u64,
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
        object.literal(&[0xd8, 0x62, 0x84])?;
        object.bytes()?;
        object.skip()?;
        let mut body = Scan::new(object.bytes()?);
        body.take(Scan::MAP)?;
        for _ in 0..3 {
            body.skip()?;
            body.skip()?;
        }
        let (keys, key_count) = list(&mut body, 4)?;
        body.skip()?;
        body.skip()?;
        let (products, product_count) = list(&mut body, 6)?;
        for _ in 0..2 {
            body.skip()?;
            body.skip()?;
        }
        let (revoked, revoked_count) = list(&mut body, 9)?;
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
            products.literal(&[0xa6, 0x01])?;
            products.skip()?;
            products.literal(&[0x02])?;
            let found = products.bytes_of::<16>()?;
            for _ in 0..4 {
                products.skip()?;
            }
            products.literal(&[0x05])?;
            let threshold = products.take(Scan::UNSIGNED)? as usize;
            products.literal(&[0x06])?;
            let mut positions = products;
            let position_count = positions.take(Scan::ARRAY)?;
            products.skip()?;
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
        (0..self.revoked_count)
            .any(|_| revoked.bytes_of::<32>().is_ok_and(|digest| *digest == manifest.0))
    }

    fn key(&self, position: u64) -> Result<PublicKey, Reason> {
        let mut keys = self.keys;
        if position >= self.key_count {
            return Err(Reason::Malformed);
        }
        for _ in 0..position {
            keys.skip()?;
        }
        keys.take(Scan::MAP)?;
        // The role, then the key: EC2, ESP256, P-256, x, y.
        keys.literal(&[0x01])?;
        keys.take(Scan::UNSIGNED)?;
        keys.literal(&[0x02, 0xa5, 0x01, 0x02, 0x03, 0x28, 0x20, 0x01, 0x21])?;
        let x = keys.bytes_of::<32>()?;
        keys.literal(&[0x22])?;
        let y = keys.bytes_of::<32>()?;
        let mut point = [0x04; 65];
        for (to, from) in point.iter_mut().skip(1).zip(x.iter().chain(y)) {
            *to = *from;
        }
        Ok(PublicKey::P256(point))
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
            let position = positions.take(Scan::UNSIGNED)?;
            let Ok(key) = self.document.key(position) else { continue };
            if key.thumbprint(verifier) == *thumbprint {
                return Ok(key);
            }
        }
        Err(Reason::UntrustedSigner)
    }
}

/// Field `number`, an array: its first item, and how many there are.
fn list<'b>(body: &mut Scan<'b>, number: u8) -> Result<(Scan<'b>, u64), Reason> {
    body.literal(&[number])?;
    let mut items = *body;
    let count = items.take(Scan::ARRAY)?;
    body.skip()?;
    Ok((items, count))
}
