//! The authentication wrapper: the manifest's digest and the blocks that sign it.

use ringfort_cose::cbor::{Dialect, Kind, Reader, WellFormed};
use ringfort_cose::{PublicKey, Reason, Sha256Digest, Sign1, Tagging, Thumbprint, Verify};

use crate::{digest, limits};

/// The content of the wrapper.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authentication<'b> {
    pub digest: Sha256Digest,
    /// The encoded SUIT_Digest: what each block signs, detached.
    pub digest_item: &'b [u8],
    wrapper: &'b [u8],
}

impl<'b> Authentication<'b> {
    pub(crate) fn parse(wrapper: &'b [u8]) -> Result<Authentication<'b>, Reason> {
        let mut reader = WellFormed::read(wrapper)?;
        let elements = reader.array()?;
        if elements > 1 + limits::BLOCKS {
            return Err(Reason::TooLarge);
        }
        let digest_item = reader.bytes().map_err(|_| Reason::Malformed)?;
        let mut digest_reader = WellFormed::read(digest_item)?;
        let digest = digest::read(&mut digest_reader)?;
        digest_reader.end()?;
        let authentication = Authentication { digest, digest_item, wrapper };
        authentication.blocks().try_for_each(|block| block.map(drop))?;
        Ok(authentication)
    }

    pub(crate) fn blocks(&self) -> Blocks<'b> {
        Blocks { wrapper: self.wrapper, reader: None, left: 0 }
    }
}

/// Iterates over the authentication blocks.
#[derive(Clone, Debug)]
pub struct Blocks<'b> {
    wrapper: &'b [u8],
    reader: Option<Reader<'b>>,
    left: u64,
}

impl<'b> Blocks<'b> {
    fn read_next(&mut self) -> Result<Option<Block<'b>>, Reason> {
        if self.reader.is_none() {
            let mut reader = WellFormed::read(self.wrapper)?;
            self.left = reader.array()?.checked_sub(1).ok_or(Reason::Malformed)?;
            reader.bytes()?;
            self.reader = Some(reader);
        }
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let reader = self.reader.as_mut().ok_or(Reason::Malformed)?;
        Block::parse(reader.bytes()?).map(Some)
    }
}

impl<'b> Iterator for Blocks<'b> {
    type Item = Result<Block<'b>, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.read_next();
        if next.is_err() {
            self.left = 0;
        }
        next.transpose()
    }
}

/// One authentication block: a tagged COSE_Sign1 with a detached payload.
#[derive(Clone, Copy, Debug)]
pub struct Block<'b> {
    sign1: Sign1<'b>,
    bytes: &'b [u8],
}

impl<'b> Block<'b> {
    fn parse(bytes: &'b [u8]) -> Result<Block<'b>, Reason> {
        let mut reader = WellFormed::read(bytes)?;
        if reader.kind()? != Kind::Tag {
            return Err(Reason::Malformed);
        }
        match reader.tag()? {
            COSE_SIGN1 => {}
            // A MAC is no signature: with a public key as its key anybody can make one.
            COSE_MAC0 | COSE_MAC => return Err(Reason::AlgorithmNotAllowed),
            COSE_SIGN => return Err(Reason::Unsupported),
            _ => return Err(Reason::WrongType),
        }
        let sign1 = Sign1::parse(bytes, Dialect::WellFormed, Tagging::Tagged)?;
        if sign1.payload_unverified().is_some() {
            return Err(Reason::Malformed);
        }
        Ok(Block { sign1, bytes })
    }

    /// The block as it is encoded.
    pub fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// Who says to have signed: the protected kid, as a key thumbprint.
    ///
    /// # Errors
    /// `untrusted-signer` when there is none, or one of another form.
    pub fn signer(&self) -> Result<Thumbprint, Reason> {
        self.sign1.header().signer()
    }

    pub(crate) fn verify(
        &self,
        verifier: &(impl Verify + ?Sized),
        key: &PublicKey,
        digest_item: &[u8],
    ) -> Result<(), Reason> {
        self.sign1.verify_detached(verifier, key, &[], digest_item)
    }
}

const COSE_MAC0: u64 = 17;
const COSE_SIGN1: u64 = 18;
const COSE_MAC: u64 = 97;
const COSE_SIGN: u64 = 98;
