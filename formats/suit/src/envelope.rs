//! The envelope: authentication wrapper, manifest, severed parts.

use ringfort_cose::cbor::{Kind, Reader, WellFormed};
use ringfort_cose::{PublicKey, Reason, Sha256Digest, Signers, TrustedKey, Verify};

use crate::authentication::{Authentication, Blocks};
use crate::digest;
use crate::manifest::{Manifest, Member};

/// A parsed envelope. Every digest in it has been checked; whose it is says only a `verify` call.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'b> {
    pub(crate) authentication: Authentication<'b>,
    pub(crate) manifest: Manifest<'b>,
    /// The parts as they stand in the envelope, with the heads of their byte strings.
    #[cfg(feature = "alloc")]
    pub(crate) parts: Parts<'b>,
}

/// The byte strings of an envelope, heads included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts<'b> {
    pub authentication: Option<&'b [u8]>,
    pub manifest: Option<&'b [u8]>,
    pub payload_fetch: Option<&'b [u8]>,
    pub install: Option<&'b [u8]>,
    pub text: Option<&'b [u8]>,
}

impl<'b> Envelope<'b> {
    /// Parses an envelope (CBOR tag 107) and checks the digests of the manifest and of each severed
    /// part that is there.
    ///
    /// # Errors
    /// `malformed`, `too-large`; `wrong-type` without the tag; `unknown-field` for an unknown key
    /// of envelope or manifest; `unsupported` for unknown commands and parameters, dependencies,
    /// delegation and integrated payloads; `manifest-digest`; `algorithm-not-allowed` for digests
    /// other than SHA-256 and for signatures of other kinds.
    pub fn parse(
        bytes: &'b [u8],
        verifier: &(impl Verify + ?Sized),
    ) -> Result<Envelope<'b>, Reason> {
        let mut reader = WellFormed::read(bytes)?;
        if reader.kind()? != Kind::Tag || reader.tag()? != TAG_ENVELOPE {
            return Err(Reason::WrongType);
        }
        let parts = Parts::read(&mut reader)?;
        reader.end()?;

        let wrapper = content(parts.authentication.ok_or(Reason::Malformed)?)?;
        let authentication = Authentication::parse(wrapper)?;
        let manifest_part = parts.manifest.ok_or(Reason::Malformed)?;
        digest::check(verifier, manifest_part, &authentication.digest)?;
        let mut manifest = Manifest::parse(content(manifest_part)?)?;
        for (member, part) in [
            (&mut manifest.payload_fetch, parts.payload_fetch),
            (&mut manifest.install, parts.install),
            (&mut manifest.text, parts.text),
        ] {
            attach(verifier, member, part)?;
        }
        manifest.check_members()?;
        Ok(Envelope {
            authentication,
            manifest,
            #[cfg(feature = "alloc")]
            parts,
        })
    }

    /// The manifest. Not to be believed before a `verify` call returned `Ok`.
    pub fn manifest(&self) -> &Manifest<'b> {
        &self.manifest
    }

    /// The digest that names the manifest everywhere: the one in the authentication wrapper,
    /// SHA-256 over the manifest with the head of its byte string.
    pub fn manifest_digest(&self) -> Sha256Digest {
        self.authentication.digest
    }

    /// The authentication blocks, in the order in which they stand.
    pub fn blocks(&self) -> Blocks<'b> {
        self.authentication.blocks()
    }

    /// Verifies *every* authentication block with the allowed key that its protected kid (a key
    /// thumbprint) names, and asks for `threshold` different keys.
    ///
    /// # Errors
    /// `untrusted-signer` for a block without kid, or whose kid names no allowed key;
    /// `algorithm-not-allowed`, `bad-signature`, `threshold-not-met`.
    pub fn verify_threshold(
        &self,
        verifier: &(impl Verify + ?Sized),
        allowed: &[TrustedKey],
        threshold: usize,
    ) -> Result<Signers, Reason> {
        let mut signers = Signers::NONE;
        for block in self.blocks() {
            let block = block?;
            let index = Signers::find(allowed, &block.signer()?)?;
            let trusted = allowed.get(index).ok_or(Reason::UntrustedSigner)?;
            block.verify(verifier, &trusted.key, self.authentication.digest_item)?;
            signers.insert(index);
        }
        signers.require(threshold)?;
        Ok(signers)
    }

    /// Verifies that this one key signed, with or without kid. A block whose kid names this key has
    /// to verify; else one of the others has to.
    ///
    /// # Errors
    /// `threshold-not-met` when nobody signed, `untrusted-signer` when only keys did that name
    /// themselves as others, `algorithm-not-allowed`, `bad-signature`.
    pub fn verify_single(
        &self,
        verifier: &(impl Verify + ?Sized),
        key: &PublicKey,
    ) -> Result<(), Reason> {
        let own = key.thumbprint(verifier);
        let mut verdict = Err(Reason::ThresholdNotMet);
        for block in self.blocks() {
            let block = block?;
            let outcome = block.verify(verifier, key, self.authentication.digest_item);
            match block.signer() {
                Ok(signer) if signer == own => {
                    outcome?;
                    verdict = Ok(());
                }
                Ok(_) => verdict = verdict.or(outcome.map_err(|_| Reason::UntrustedSigner)),
                Err(_) => verdict = verdict.or(outcome),
            }
        }
        verdict
    }
}

impl<'b> Parts<'b> {
    fn read(reader: &mut Reader<'b>) -> Result<Parts<'b>, Reason> {
        let mut parts = Parts::default();
        for _ in 0..reader.map()? {
            let part = match reader.kind()? {
                // Integrated payloads are named by text.
                Kind::Text => return Err(Reason::Unsupported),
                _ => match reader.i64().map_err(|_| Reason::UnknownField)? {
                    AUTHENTICATION => &mut parts.authentication,
                    MANIFEST => &mut parts.manifest,
                    PAYLOAD_FETCH => &mut parts.payload_fetch,
                    INSTALL => &mut parts.install,
                    TEXT => &mut parts.text,
                    DELEGATION | DEPENDENCY_RESOLUTION => return Err(Reason::Unsupported),
                    _ => return Err(Reason::UnknownField),
                },
            };
            if reader.kind()? != Kind::Bytes {
                return Err(Reason::Malformed);
            }
            *part = Some(reader.raw()?);
        }
        Ok(parts)
    }
}

/// Puts a severed part into its place in the manifest, if its digest is the one signed.
fn attach<'b>(
    verifier: &(impl Verify + ?Sized),
    member: &mut Option<Member<'b>>,
    part: Option<&'b [u8]>,
) -> Result<(), Reason> {
    let Some(part) = part else { return Ok(()) };
    match member {
        Some(Member::Severed { digest, content: place }) => {
            digest::check(verifier, part, digest)?;
            *place = Some(content(part)?);
            Ok(())
        }
        // A part that nothing signed asks for.
        _ => Err(Reason::ManifestDigest),
    }
}

/// The content of a byte string.
fn content(part: &[u8]) -> Result<&[u8], Reason> {
    let mut reader = WellFormed::read(part)?;
    reader.bytes()
}

pub(crate) const TAG_ENVELOPE: u64 = 107;

// Keys of the envelope.
const DELEGATION: i64 = 1;
pub(crate) const AUTHENTICATION: i64 = 2;
pub(crate) const MANIFEST: i64 = 3;
const DEPENDENCY_RESOLUTION: i64 = 15;
pub(crate) const PAYLOAD_FETCH: i64 = 16;
pub(crate) const INSTALL: i64 = 20;
pub(crate) const TEXT: i64 = 23;
