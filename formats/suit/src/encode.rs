//! Encoding the model: deterministic, whatever the order and form it was read in.

use alloc::vec::Vec;

use ringfort_cose::cbor::Writer;
use ringfort_cose::{Reason, Sha256Digest};

use crate::command::{self, Command, Index, Sequence, TryEach};
use crate::digest;
use crate::envelope::{self, Envelope};
use crate::manifest::{self, Components, Manifest, Member};
use crate::parameter::{Parameter, Parameters};

type Out = Writer<Vec<u8>>;

/// Encodes an envelope from its model: every command and parameter is written anew.
/// Authentication blocks and text are taken over as they are. For an envelope that was read in
/// deterministic form the result is the same, byte for byte; for another its digest, and so its
/// signatures, no longer hold.
///
/// # Errors
/// `too-large`; `malformed` for a model that was not parsed.
pub fn encode(parsed: &Envelope<'_>) -> Result<Vec<u8>, Reason> {
    let blocks = parsed.blocks().map(|block| block.map(|block| block.bytes().to_vec()));
    let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
    let model = &parsed.manifest;
    let severed_sequence = |member: &Option<Member<'_>>| {
        severed(member).map(|content| sequence(Sequence(content))).transpose()
    };
    let mut parts = alloc::vec![
        (envelope::AUTHENTICATION, wrapper(&parsed.authentication.digest, &blocks)?),
        (envelope::MANIFEST, encode_manifest(model)?),
    ];
    parts.extend(
        severed_sequence(&model.payload_fetch)?.map(|bytes| (envelope::PAYLOAD_FETCH, bytes)),
    );
    parts.extend(severed_sequence(&model.install)?.map(|bytes| (envelope::INSTALL, bytes)));
    parts.extend(severed(&model.text).map(|bytes| (envelope::TEXT, bytes.to_vec())));
    assemble(&parts)
}

/// What the envelope holds of a member that was severed.
fn severed<'b>(member: &Option<Member<'b>>) -> Option<&'b [u8]> {
    match member {
        Some(Member::Severed { content, .. }) => *content,
        _ => None,
    }
}

/// The envelope around its parts.
pub(crate) fn assemble(parts: &[(i64, Vec<u8>)]) -> Result<Vec<u8>, Reason> {
    let mut out = Writer::to_vec();
    out.tag(envelope::TAG_ENVELOPE)?.map(parts.len() as u64)?;
    for (key, content) in parts {
        out.i64(*key)?.bytes(content)?;
    }
    out.finish()
}

/// The authentication wrapper.
pub(crate) fn wrapper(digest: &Sha256Digest, blocks: &[Vec<u8>]) -> Result<Vec<u8>, Reason> {
    let mut out = Writer::to_vec();
    out.array(1 + blocks.len() as u64)?.bytes(&encode_digest(digest)?)?;
    for block in blocks {
        out.bytes(block)?;
    }
    out.finish()
}

/// A SUIT_Digest.
pub(crate) fn encode_digest(digest: &Sha256Digest) -> Result<Vec<u8>, Reason> {
    let mut out = Writer::to_vec();
    out.array(2)?.i64(digest::SHA_256)?.bytes(&digest.0)?;
    out.finish()
}

/// Writes one parameter, key and value.
pub(crate) fn parameter(out: &mut Out, parameter: &Parameter<'_>) -> Result<(), Reason> {
    out.i64(parameter.key())?;
    match parameter {
        Parameter::VendorIdentifier(uuid)
        | Parameter::ClassIdentifier(uuid)
        | Parameter::DeviceIdentifier(uuid) => out.bytes(uuid)?,
        Parameter::ImageDigest(digest) => out.bytes(&encode_digest(digest)?)?,
        Parameter::ComponentSlot(number)
        | Parameter::ImageSize(number)
        | Parameter::SourceComponent(number) => out.u64(*number)?,
        Parameter::StrictOrder(value) | Parameter::SoftFailure(value) => out.bool(*value)?,
        Parameter::Content(bytes)
        | Parameter::InvokeArguments(bytes)
        | Parameter::FetchArguments(bytes)
        | Parameter::Version(bytes) => out.bytes(bytes)?,
        Parameter::Uri(uri) => out.text(uri)?,
    };
    Ok(())
}

fn encode_manifest(model: &Manifest<'_>) -> Result<Vec<u8>, Reason> {
    let mut entries = Vec::new();
    let mut add =
        |key: i64, value: Result<Vec<u8>, Reason>| value.map(|value| entries.push((key, value)));
    add(manifest::VERSION, item(|out| out.u64(1).map(drop)))?;
    add(manifest::SEQUENCE_NUMBER, item(|out| out.u64(model.sequence_number).map(drop)))?;
    add(manifest::COMMON, wrapped(&common(model)?))?;
    if let Some(uri) = model.reference_uri {
        add(manifest::REFERENCE_URI, item(|out| out.text(uri).map(drop)))?;
    }
    if let Some(version) = model.set_version {
        add(manifest::SET_VERSION, wrapped(version))?;
    }
    for (key, member) in [
        (manifest::VALIDATE, model.validate),
        (manifest::LOAD, model.load),
        (manifest::INVOKE, model.invoke),
    ] {
        if let Some(member) = member {
            add(key, wrapped(&sequence(member)?))?;
        }
    }
    for (key, member) in
        [(manifest::PAYLOAD_FETCH, model.payload_fetch), (manifest::INSTALL, model.install)]
    {
        match member {
            Some(Member::Inside(content)) => add(key, wrapped(&sequence(Sequence(content))?))?,
            Some(Member::Severed { digest, .. }) => add(key, encode_digest(&digest))?,
            None => {}
        }
    }
    match model.text {
        Some(Member::Inside(content)) => add(manifest::TEXT, wrapped(content))?,
        Some(Member::Severed { digest, .. }) => add(manifest::TEXT, encode_digest(&digest))?,
        None => {}
    }
    map_of(&entries)
}

fn common(model: &Manifest<'_>) -> Result<Vec<u8>, Reason> {
    let mut entries = alloc::vec![(manifest::COMPONENTS, components(&model.components)?)];
    if let Some(shared) = model.shared {
        entries.push((manifest::SHARED, wrapped(&sequence(shared)?)?));
    }
    map_of(&entries)
}

fn components(components: &Components<'_>) -> Result<Vec<u8>, Reason> {
    let mut out = Writer::to_vec();
    out.array(components.count() as u64)?;
    for id in components.iter() {
        let id = id?;
        out.array(id.parts().count() as u64)?;
        for part in id.parts() {
            out.bytes(part)?;
        }
    }
    out.finish()
}

fn sequence(sequence: Sequence<'_>) -> Result<Vec<u8>, Reason> {
    let mut out = Writer::to_vec();
    out.array(2 * sequence.commands().count() as u64)?;
    for each in sequence.commands() {
        write_command(&mut out, &each?)?;
    }
    out.finish()
}

fn write_command(out: &mut Out, written: &Command<'_>) -> Result<(), Reason> {
    match written {
        Command::Condition(condition, policy) => {
            out.i64(condition.code())?.u64(u64::from(*policy))?;
        }
        Command::Action(action, policy) => {
            out.i64(action.code())?.u64(u64::from(*policy))?;
        }
        Command::SetComponentIndex(index) => {
            out.i64(command::SET_COMPONENT_INDEX)?;
            write_index(out, index)?;
        }
        Command::OverrideParameters(parameters) => {
            out.i64(command::OVERRIDE_PARAMETERS)?;
            write_parameters(out, parameters)?;
        }
        Command::TryEach(branches) => {
            out.i64(command::TRY_EACH)?;
            write_try_each(out, branches)?;
        }
        Command::RunSequence(inner) => {
            out.i64(command::RUN_SEQUENCE)?.bytes(&sequence(*inner)?)?;
        }
    }
    Ok(())
}

fn write_index(out: &mut Out, index: &Index<'_>) -> Result<(), Reason> {
    match index {
        Index::All => out.bool(true)?,
        Index::One(index) => out.u64(*index)?,
        Index::Several(_) => {
            out.array(index.iter().count() as u64)?;
            for each in index.iter() {
                out.u64(each?)?;
            }
            out
        }
    };
    Ok(())
}

fn write_parameters(out: &mut Out, parameters: &Parameters<'_>) -> Result<(), Reason> {
    let mut sorted = parameters.iter().collect::<Result<Vec<_>, _>>()?;
    sorted.sort_by_key(Parameter::key);
    out.map(sorted.len() as u64)?;
    sorted.iter().try_for_each(|each| parameter(out, each))
}

fn write_try_each(out: &mut Out, branches: &TryEach<'_>) -> Result<(), Reason> {
    out.array(branches.iter().count() as u64)?;
    for branch in branches.iter() {
        match branch? {
            Some(branch) => out.bytes(&sequence(branch)?)?,
            None => out.null()?,
        };
    }
    Ok(())
}

/// A map of small keys, which stand in ascending order.
fn map_of(entries: &[(i64, Vec<u8>)]) -> Result<Vec<u8>, Reason> {
    let mut out = Writer::to_vec();
    out.map(entries.len() as u64)?;
    for (key, value) in entries {
        out.i64(*key)?.raw(value)?;
    }
    out.finish()
}

/// A byte string around encoded content.
fn wrapped(content: &[u8]) -> Result<Vec<u8>, Reason> {
    item(|out| out.bytes(content).map(drop))
}

fn item(write: impl FnOnce(&mut Out) -> Result<(), Reason>) -> Result<Vec<u8>, Reason> {
    let mut out = Writer::to_vec();
    write(&mut out)?;
    out.finish()
}
