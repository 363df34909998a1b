//! Making releases and their signatures.

use alloc::string::String;
use alloc::vec::Vec;

use ringfort_cose::cbor::Writer;
use ringfort_cose::{
    Reason, Sha256Digest, Sign, SignError, Tagging, Thumbprint, Verify, sign1_detached,
};

use crate::command::{Action, Condition, OVERRIDE_PARAMETERS, SET_COMPONENT_INDEX};
use crate::encode::{assemble, encode_digest, parameter, wrapper};
use crate::envelope::{self, Envelope};
use crate::parameter::Parameter;
use crate::release::Release;
use crate::{limits, manifest, text};

/// A release to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRelease {
    /// The sequence number; by custom the Unix time in seconds at which it was made.
    pub sequence_number: u64,
    /// The version that people read.
    pub version: String,
    /// Name of the vendor.
    pub vendor_name: Option<String>,
    /// Name of the model.
    pub model_name: Option<String>,
    /// What the update brings.
    pub description: Option<String>,
    /// The components, 1 to [`limits::COMPONENTS`].
    pub components: Vec<NewComponent>,
}

/// A component of a release to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewComponent {
    /// The component identifier, part by part.
    pub id: Vec<Vec<u8>>,
    /// Vendor UUID.
    pub vendor: [u8; 16],
    /// Class UUID.
    pub class: [u8; 16],
    /// SHA-256 of the payload.
    pub digest: Sha256Digest,
    /// Size of the payload in bytes.
    pub size_bytes: u64,
    /// Where the payload will be.
    pub uri: String,
}

impl NewRelease {
    /// Makes the envelope, not signed yet. The text is severed: it travels in the envelope, and a
    /// device that has no use for it may drop it.
    ///
    /// # Errors
    /// `too-large` beyond the bounds, `malformed` without a component.
    pub fn build(&self, verifier: &(impl Verify + ?Sized)) -> Result<Vec<u8>, Reason> {
        if self.components.is_empty() {
            return Err(Reason::Malformed);
        }
        let text = self.text()?;
        let text_digest = verifier.sha256(&[&byte_string(&text)?]);
        let made = self.manifest(&text_digest)?;
        let digest = verifier.sha256(&[&byte_string(&made)?]);
        let envelope = assemble(&[
            (envelope::AUTHENTICATION, wrapper(&digest, &[])?),
            (envelope::MANIFEST, made),
            (envelope::TEXT, text),
        ])?;
        // What is made here has to be readable, with the bounds that readers apply.
        Release::of(&Envelope::parse(&envelope, verifier)?)?;
        Ok(envelope)
    }

    fn manifest(&self, text_digest: &Sha256Digest) -> Result<Vec<u8>, Reason> {
        let mut common = Writer::to_vec();
        common.map(2)?.i64(manifest::COMPONENTS)?.array(self.components.len() as u64)?;
        for component in &self.components {
            write_id(&mut common, &component.id)?;
        }
        common.i64(manifest::SHARED)?.bytes(&self.shared()?)?;

        let mut out = Writer::to_vec();
        out.map(6)?.i64(manifest::VERSION)?.u64(1)?;
        out.i64(manifest::SEQUENCE_NUMBER)?.u64(self.sequence_number)?;
        out.i64(manifest::COMMON)?.bytes(&common.finish()?)?;
        out.i64(manifest::VALIDATE)?.bytes(&self.validate()?)?;
        out.i64(manifest::INSTALL)?.bytes(&self.install()?)?;
        out.i64(manifest::TEXT)?.raw(&encode_digest(text_digest)?)?;
        out.finish()
    }

    /// Sets each component's parameters and asks its vendor and class.
    fn shared(&self) -> Result<Vec<u8>, Reason> {
        self.per_component(4, |out, component| {
            out.i64(OVERRIDE_PARAMETERS)?.map(4)?;
            parameter(out, &Parameter::VendorIdentifier(component.vendor))?;
            parameter(out, &Parameter::ClassIdentifier(component.class))?;
            parameter(out, &Parameter::ImageDigest(component.digest))?;
            parameter(out, &Parameter::ImageSize(component.size_bytes))?;
            out.i64(Condition::VendorIdentifier.code())?.u64(REPORT_ALL)?;
            out.i64(Condition::ClassIdentifier.code())?.u64(REPORT_ALL)?;
            Ok(())
        })
    }

    fn install(&self) -> Result<Vec<u8>, Reason> {
        self.per_component(4, |out, component| {
            out.i64(OVERRIDE_PARAMETERS)?.map(1)?;
            parameter(out, &Parameter::Uri(&component.uri))?;
            out.i64(Action::Fetch.code())?.u64(REPORT_FAILURE)?;
            out.i64(Condition::ImageMatch.code())?.u64(REPORT_ALL)?;
            Ok(())
        })
    }

    fn validate(&self) -> Result<Vec<u8>, Reason> {
        self.per_component(2, |out, _| {
            out.i64(Condition::ImageMatch.code())?.u64(REPORT_ALL)?;
            Ok(())
        })
    }

    /// A sequence of so many commands for each component, the first of which selects it.
    fn per_component(
        &self,
        commands: usize,
        write: impl Fn(&mut Writer<Vec<u8>>, &NewComponent) -> Result<(), Reason>,
    ) -> Result<Vec<u8>, Reason> {
        let mut out = Writer::to_vec();
        out.array((2 * commands * self.components.len()) as u64)?;
        for (index, component) in self.components.iter().enumerate() {
            out.i64(SET_COMPONENT_INDEX)?.u64(index as u64)?;
            write(&mut out, component)?;
        }
        out.finish()
    }

    /// The version stands with the first component; an identifier may stand only once in the map.
    fn text(&self) -> Result<Vec<u8>, Reason> {
        let first = self.components.first().ok_or(Reason::Malformed)?;
        let of_component = [
            (text::VENDOR_NAME, self.vendor_name.as_deref()),
            (text::MODEL_NAME, self.model_name.as_deref()),
            (text::COMPONENT_VERSION, Some(self.version.as_str())),
        ];
        let mut out = Writer::to_vec();
        out.map(1)?.text(LANGUAGE)?.map(1 + u64::from(self.description.is_some()))?;
        if let Some(description) = &self.description {
            out.i64(text::UPDATE_DESCRIPTION)?.text(description)?;
        }
        write_id(&mut out, &first.id)?;
        out.map(of_component.iter().filter(|(_, text)| text.is_some()).count() as u64)?;
        for (key, text) in of_component {
            if let Some(text) = text {
                out.i64(key)?.text(text)?;
            }
        }
        out.finish()
    }
}

/// Adds one authentication block to an envelope: a COSE_Sign1 over the manifest digest with the
/// key's thumbprint as protected kid. A block that the same key made before is replaced. Nothing
/// else in the envelope changes.
///
/// # Errors
/// [`SignError`] from the signer; the errors of [`Envelope::parse`]; `too-large` beyond
/// [`limits::BLOCKS`].
pub fn sign(
    verifier: &(impl Verify + ?Sized),
    signer: &dyn Sign,
    envelope: &[u8],
) -> Result<Vec<u8>, SignError> {
    let parsed = Envelope::parse(envelope, verifier)?;
    let kid = signer.public_key().thumbprint(verifier);
    let payload = parsed.authentication.digest_item;
    let block = sign1_detached(signer, Tagging::Tagged, Some(&kid.0), &[], payload)?;
    let mut blocks = blocks_without(&parsed, &[kid])?;
    blocks.push(block);
    if blocks.len() as u64 > limits::BLOCKS {
        return Err(Reason::TooLarge.into());
    }
    Ok(with_blocks(&parsed, &blocks)?)
}

/// Removes the authentication blocks of these keys, which does not touch what is signed.
///
/// # Errors
/// The errors of [`Envelope::parse`].
pub fn strip(
    verifier: &(impl Verify + ?Sized),
    signers: &[Thumbprint],
    envelope: &[u8],
) -> Result<Vec<u8>, Reason> {
    let parsed = Envelope::parse(envelope, verifier)?;
    with_blocks(&parsed, &blocks_without(&parsed, signers)?)
}

fn blocks_without(parsed: &Envelope<'_>, signers: &[Thumbprint]) -> Result<Vec<Vec<u8>>, Reason> {
    let mut kept = Vec::new();
    for block in parsed.blocks() {
        let block = block?;
        if !block.signer().is_ok_and(|signer| signers.contains(&signer)) {
            kept.push(block.bytes().to_vec());
        }
    }
    Ok(kept)
}

/// The same envelope with other blocks; every other part as it stands, because digests cover it.
fn with_blocks(parsed: &Envelope<'_>, blocks: &[Vec<u8>]) -> Result<Vec<u8>, Reason> {
    let mut authentication = Writer::to_vec();
    authentication.array(1 + blocks.len() as u64)?.bytes(parsed.authentication.digest_item)?;
    for block in blocks {
        authentication.bytes(block)?;
    }
    let authentication = byte_string(&authentication.finish()?)?;
    let parts = [
        (envelope::AUTHENTICATION, Some(authentication.as_slice())),
        (envelope::MANIFEST, parsed.parts.manifest),
        (envelope::PAYLOAD_FETCH, parsed.parts.payload_fetch),
        (envelope::INSTALL, parsed.parts.install),
        (envelope::TEXT, parsed.parts.text),
    ];
    let mut out = Writer::to_vec();
    let count = parts.iter().filter(|(_, part)| part.is_some()).count();
    out.tag(envelope::TAG_ENVELOPE)?.map(count as u64)?;
    for (key, part) in parts {
        if let Some(part) = part {
            out.i64(key)?.raw(part)?;
        }
    }
    out.finish()
}

fn write_id(out: &mut Writer<Vec<u8>>, id: &[Vec<u8>]) -> Result<(), Reason> {
    out.array(id.len() as u64)?;
    for part in id {
        out.bytes(part)?;
    }
    Ok(())
}

fn byte_string(content: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut out = Writer::to_vec();
    out.bytes(content)?;
    out.finish()
}

const LANGUAGE: &str = "en";
/// SUIT_Rep_Policy: record and system information, on success and on failure.
const REPORT_ALL: u64 = 15;
/// SUIT_Rep_Policy: record on failure.
const REPORT_FAILURE: u64 = 2;
