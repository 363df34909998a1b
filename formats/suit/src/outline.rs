//! The short reader of a boot loader.

use ringfort_cose::cbor::Scan;
use ringfort_cose::{Algorithm, PublicKey, Reason, Sha256Digest, Thumbprint, Verify};

use crate::limits;

/// The outline of a release: what a boot loader has to know of it, read from the one form that
/// [`crate::NewRelease`] writes.
///
/// Of envelope, authentication, sequence number, components and shared sequence it takes fewer
/// forms than [`crate::Envelope`] and [`crate::Release`] do, never more, and says the same of
/// those that it takes. The text and the other sequences are not looked at: a boot loader shows
/// none and executes none. The manifest's digest covers them.
#[derive(Clone, Copy, Debug)]
pub struct Outline<'b> {
    /// The digest that names the manifest; compared with the manifest.
    pub manifest_digest: Sha256Digest,
    /// The sequence number.
    pub sequence_number: u64,
    /// How many components there are.
    pub components: usize,
    digest_item: &'b [u8],
    blocks: Scan<'b>,
    block_count: u32,
    ids: Scan<'b>,
    shared: Scan<'b>,
}

/// One component of an outline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlineComponent<'b> {
    /// The only part of its identifier.
    pub id: &'b [u8],
    /// Vendor UUID.
    pub vendor: &'b [u8; 16],
    /// Class UUID.
    pub class: &'b [u8; 16],
    /// SHA-256 of the payload.
    pub digest: &'b [u8; 32],
    /// Size of the payload in bytes.
    pub size_bytes: u32,
}

impl<'b> Outline<'b> {
    /// Reads an envelope and compares the digest of its manifest. Whose it is says only
    /// [`Outline::verify`].
    ///
    /// # Errors
    /// `malformed` for anything but the one form; `manifest-digest`; `too-large`.
    #[inline(never)]
    pub fn read(bytes: &'b [u8], verifier: &impl Verify) -> Result<Outline<'b>, Reason> {
        let mut envelope = Scan::new(bytes);
        envelope.literal(&[0xd8, 0x6b]);
        let parts = envelope.take(Scan::MAP);
        envelope.literal(&[0x02]);
        let mut wrapper = envelope.inner();
        envelope.literal(&[0x03]);
        let before = envelope.rest();
        let mut manifest = envelope.inner();
        let item_len = before.len() - envelope.rest().len();
        envelope.ok()?;
        if parts == 3 {
            // The text, severed.
            envelope.literal(&[0x17]);
            envelope.bytes();
        }
        if parts > 3 || envelope.end().is_err() {
            return Err(Reason::UnknownField);
        }

        let elements = wrapper.take(Scan::ARRAY);
        let digest_item = wrapper.bytes();
        let digest = read_digest(digest_item)?;
        let block_count = elements.saturating_sub(1);
        if u64::from(block_count) > limits::BLOCKS {
            return Err(Reason::TooLarge);
        }
        let item = before.get(..item_len).unwrap_or_default();
        if verifier.sha256(&[item]).0 != *digest {
            return Err(Reason::ManifestDigest);
        }

        manifest.take(Scan::MAP);
        manifest.literal(&[0x01, 0x01, 0x02]);
        let sequence_number = manifest.take_long(Scan::UNSIGNED);
        manifest.literal(&[0x03]);
        let mut common = manifest.inner();
        common.literal(&[0xa2, 0x02]);
        let components = common.take(Scan::ARRAY);
        let ids = common;
        common.skip(components);
        common.literal(&[0x04]);
        let mut shared = common.inner();
        common.end()?;
        let commands = shared.take(Scan::ARRAY);
        if components as usize > limits::COMPONENTS || commands != 8 * components {
            return Err(Reason::Malformed);
        }
        Ok(Outline {
            manifest_digest: Sha256Digest(*digest),
            sequence_number,
            components: components as usize,
            digest_item,
            blocks: wrapper,
            block_count,
            ids,
            shared,
        })
    }

    /// Verifies *every* authentication block with the key that `key_of` gives for the thumbprint
    /// it names, and asks for `threshold` different ones.
    ///
    /// # Errors
    /// What `key_of` and the verifier say; `malformed` for a block of another form;
    /// `threshold-not-met`.
    #[inline(never)]
    pub fn verify(
        &self,
        verifier: &impl Verify,
        threshold: usize,
        mut key_of: impl FnMut(&Thumbprint) -> Result<PublicKey, Reason>,
    ) -> Result<(), Reason> {
        let mut different = 0;
        let mut blocks = self.blocks;
        for index in 0..self.block_count {
            let block = Block::read(&mut blocks);
            let block = good(&block)?;
            let key = key_of(&block.signer);
            let key = good(&key)?;
            key.check_algorithm(block.algorithm)?;
            let message = [
                &[0x84, 0x6a][..],
                b"Signature1",
                &[0x58, PROTECTED_LEN as u8],
                block.protected,
                &[0x40, 0x58, DIGEST_ITEM_LEN as u8],
                self.digest_item,
            ];
            verifier.verify(block.algorithm, key, &message, block.signature)?;
            // A signer that signed twice counts once.
            let mut earlier = self.blocks;
            different += 1;
            for _ in 0..index {
                let before = Block::read(&mut earlier);
                if good(&before)?.signer == block.signer {
                    different -= 1;
                    break;
                }
            }
        }
        blocks.end()?;
        if different < threshold.max(1) { Err(Reason::ThresholdNotMet) } else { Ok(()) }
    }

    /// Gives each component to `each`, in the manifest's order.
    ///
    /// # Errors
    /// `malformed` for anything but the one form, and what `each` says.
    #[inline(always)]
    pub fn for_each(
        &self,
        mut each: impl FnMut(usize, &OutlineComponent<'b>) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let (mut ids, mut shared) = (self.ids, self.shared);
        for index in 0..self.components {
            let component = OutlineComponent::read(index, &mut ids, &mut shared)?;
            each(index, &component)?;
        }
        shared.end()
    }
}

impl<'b> OutlineComponent<'b> {
    #[inline(never)]
    fn read(
        index: usize,
        ids: &mut Scan<'b>,
        shared: &mut Scan<'b>,
    ) -> Result<OutlineComponent<'b>, Reason> {
        ids.literal(&[0x81]);
        let id = ids.bytes();
        // set-component-index, override-parameters of four, vendor.
        shared.literal(&[0x0c, index as u8, 0x14, 0xa4, 0x01]);
        let vendor = shared.bytes_of();
        shared.literal(&[0x02]);
        let class = shared.bytes_of();
        shared.literal(&[0x03]);
        let digest = shared.bytes();
        shared.literal(&[0x0e]);
        let size_bytes = shared.take(Scan::UNSIGNED);
        // condition-vendor-identifier and condition-class-identifier, reported always.
        shared.literal(&[0x01, 0x0f, 0x02, 0x0f]);
        ids.ok()?;
        shared.ok()?;
        Ok(OutlineComponent { id, vendor, class, digest: read_digest(digest)?, size_bytes })
    }
}

/// An authentication block: COSE_Sign1, alg and kid protected, nothing unprotected, detached.
struct Block<'b> {
    protected: &'b [u8],
    algorithm: Algorithm,
    signer: Thumbprint,
    signature: &'b [u8],
}

impl<'b> Block<'b> {
    #[inline(never)]
    fn read(blocks: &mut Scan<'b>) -> Result<Block<'b>, Reason> {
        let mut scan = blocks.inner();
        scan.literal(&[0xd2, 0x84]);
        let protected = scan.bytes();
        scan.literal(&[0xa0, 0xf6]);
        let signature = scan.bytes();
        scan.end()?;
        let mut header = Scan::new(protected);
        header.literal(&[0xa2, 0x01]);
        let algorithm = header.take(NEGATIVE);
        header.literal(&[0x04]);
        let signer = Thumbprint(*header.bytes_of());
        header.end()?;
        if protected.len() != PROTECTED_LEN {
            return Err(Reason::Malformed);
        }
        let algorithm = match algorithm {
            8 => Algorithm::Esp256,
            6 => Algorithm::Es256,
            18 => Algorithm::Ed25519,
            _ => return Err(Reason::AlgorithmNotAllowed),
        };
        Ok(Block { protected, algorithm, signer, signature })
    }
}

/// What a reader gave, where it lies: moving it out takes more code than reading it did.
fn good<T>(result: &Result<T, Reason>) -> Result<&T, Reason> {
    result.as_ref().map_err(|reason| *reason)
}

/// SUIT_Digest with SHA-256.
#[inline(never)]
fn read_digest(item: &[u8]) -> Result<&[u8; 32], Reason> {
    let mut scan = Scan::new(item);
    scan.literal(&[0x82, 0x2f]);
    let digest = scan.bytes_of();
    scan.end().map(|()| digest)
}

const NEGATIVE: u8 = 1;
/// Bytes of a protected header with a one-byte algorithm and a thumbprint.
const PROTECTED_LEN: usize = 38;
/// Bytes of a SUIT_Digest with SHA-256.
const DIGEST_ITEM_LEN: usize = 36;
