//! Takes a signed release from wherever it comes and writes it to the spare slot. Recovery does
//! it over the console, the update partition from its staging area.

use ringfort_cose::{Reason, Verify};
use ringfort_suit::Outline;
use ringfort_trust::Pinned;
use ringfort_trust::ids::ClassId;
use slots::{Candidate, Hardware, Layout, Pin, SlotId, State, Store};

use crate::image::{Identity, Memory, Part, SLOT_MAGIC, SlotHeader, examine, fitting, good};

/// Where a release comes from: first [`SLOT_MAGIC`] and the length of the envelope, each as four
/// bytes little-endian, then the envelope, then the components in slot order, without padding.
pub trait Source {
    /// Fills `into` with the next bytes.
    ///
    /// # Errors
    /// `transfer-failed` when no more come.
    fn next(&mut self, into: &mut [u8]) -> Result<(), Reason>;
}

/// Verifies envelope and number under the current anchors, writes the slot, reads it back, and
/// records it as written. Nothing is erased before the envelope was found good.
///
/// # Errors
/// What [`examine`] finds, `release-revoked`, and what [`slots::State::admits`] finds. The slot
/// that was being written then stays worth nothing.
#[inline(never)]
pub fn install<H: Hardware, V: Verify>(
    store: &mut Store<H>,
    source: &mut impl Source,
    identity: &Identity,
    verifier: &V,
    memory: &mut impl Memory<H>,
    scratch: &mut [u8],
) -> Result<SlotId, Reason> {
    let layout = *store.hardware().layout();
    let state = *store.state();
    let header = read_envelope(store, source, scratch, state.anchors.len)?;
    let (candidate, sizes) = admit(&state, &layout, header, identity, verifier, scratch)?;

    let id = store.begin(&candidate)?;
    write_header(store, id, header, scratch)?;
    let mut at = layout.envelope_max;
    for size in sizes {
        let mut left = size;
        while left > 0 {
            let step = left.min(CHUNK as u32);
            let mut chunk = [0; CHUNK];
            let chunk = chunk.get_mut(..step as usize).ok_or(Reason::Internal)?;
            source.next(chunk)?;
            store.write(id, at, chunk)?;
            at += layout.whole_units(step);
            left -= step;
        }
    }
    store.finish(id, |hardware, state| {
        let pin = state.slot(id).pin;
        let area = *id.of(&layout.slots);
        examine(hardware, area, &pin, identity, verifier, memory, scratch).map(drop)
    })?;
    Ok(id)
}

/// Judges an envelope under the current anchors: `scratch` holds the envelope and the anchors
/// behind it, as `header` says. Gives what the slot's record will bind, and the components' sizes.
///
/// # Errors
/// `anchors-digest`, `untrusted-signer`, `bad-signature`, `threshold-not-met`, `wrong-device`,
/// `release-revoked`, `image-size`, what [`slots::State::admits`] finds, or what the readers of
/// envelope and anchors find.
#[inline(always)]
pub fn admit<V: Verify>(
    state: &State,
    layout: &Layout,
    header: SlotHeader,
    identity: &Identity,
    verifier: &V,
    scratch: &[u8],
) -> Result<(Candidate, [u32; 2]), Reason> {
    let whole = scratch.get(..(header.envelope + header.anchors) as usize);
    let (envelope, anchors) = whole
        .and_then(|whole| whole.split_at_checked(header.envelope as usize))
        .ok_or(Reason::TooLarge)?;
    let anchors = Pinned::open(anchors, &state.anchors.digest, verifier);
    let anchors = good(&anchors)?;
    let signers = anchors.signers(&ClassId(identity.class));
    let signers = good(&signers)?;
    let outline = Outline::read(envelope, verifier);
    let outline = good(&outline)?;
    outline.verify(verifier, signers.threshold, |kid| signers.key(kid, verifier))?;
    let digest = outline.manifest_digest;
    if anchors.is_revoked(&digest) {
        return Err(Reason::ReleaseRevoked);
    }
    state.admits(outline.sequence_number, &digest.0)?;
    let mut sizes = [0; 2];
    let mut len = layout.envelope_max;
    let room = state.spare().of(&layout.slots).len;
    if outline.components != Part::ALL.len() {
        return Err(Reason::WrongDevice);
    }
    outline.for_each(|index, component| {
        let (_, size) = fitting(index, component, identity)?;
        // Before it is rounded up: that would wrap.
        if size > room {
            return Err(Reason::ImageSize);
        }
        if let Some(place) = sizes.get_mut(index) {
            *place = size;
        }
        len = len.checked_add(layout.whole_units(size)).ok_or(Reason::ImageSize)?;
        Ok(())
    })?;
    let pin = Pin {
        sequence: outline.sequence_number,
        digest: digest.0,
        anchors_version: state.anchors.version,
        anchors_digest: state.anchors.digest,
    };
    Ok((Candidate { pin, len }, sizes))
}

/// Reads the envelope, and the current anchors behind it.
fn read_envelope<H: Hardware>(
    store: &mut Store<H>,
    source: &mut impl Source,
    scratch: &mut [u8],
    anchors: u32,
) -> Result<SlotHeader, Reason> {
    let mut head = [0; 8];
    source.next(&mut head)?;
    let (words, _) = head.as_chunks::<4>();
    let [magic, len] = words else { return Err(Reason::Internal) };
    if u32::from_le_bytes(*magic) != SLOT_MAGIC {
        return Err(Reason::Malformed);
    }
    let envelope = u32::from_le_bytes(*len);
    let layout = *store.hardware().layout();
    let room = layout.envelope_max - SlotHeader::LEN as u32;
    if envelope.checked_add(anchors).is_none_or(|total| total > room) {
        return Err(Reason::TooLarge);
    }
    let from = *store.state().anchors.area.of(&layout.anchors);
    let (first, rest) = scratch.split_at_mut_checked(envelope as usize).ok_or(Reason::TooLarge)?;
    source.next(first)?;
    let rest = rest.get_mut(..anchors as usize).ok_or(Reason::TooLarge)?;
    store.hardware().read(from.at, rest)?;
    Ok(SlotHeader { envelope, anchors })
}

/// Writes header, envelope and anchors as one run of bytes, in whole chunks.
///
/// # Errors
/// What [`Store::write`] finds.
pub fn write_header<H: Hardware>(
    store: &mut Store<H>,
    id: SlotId,
    header: SlotHeader,
    scratch: &[u8],
) -> Result<(), Reason> {
    let whole = scratch.get(..(header.envelope + header.anchors) as usize).unwrap_or_default();
    let mut bytes = header.to_bytes().into_iter().chain(whole.iter().copied());
    let mut at = 0;
    loop {
        let mut chunk = [0; CHUNK];
        let mut len = 0;
        for (to, from) in chunk.iter_mut().zip(&mut bytes) {
            *to = from;
            len += 1;
        }
        if len == 0 {
            return Ok(());
        }
        store.write(id, at, chunk.get(..len).unwrap_or_default())?;
        at += CHUNK as u32;
    }
}

/// Bytes written at a time: a whole number of any write unit.
const CHUNK: usize = 256;
