//! Anchors: a document that has proved itself.

use core::ops::Deref;

use ringfort_cose::{MultiSign, Reason, Sha256Digest, Thumbprint, TrustedKey, Verify};

use crate::ANCHORS;
use crate::document::Document;
use crate::ids::{ClassId, SiteId};
use crate::keys::{ReleaseKeys, Role, TrustedKeys};

/// An anchors document that may be believed. There are three ways to one: the digest that the
/// factory wrote ([`Anchors::verify_first`]), the anchors before it ([`Anchors::verify_next`]), or
/// the digest that the device itself noted when it verified it ([`Anchors::verify_pinned`]).
#[derive(Clone, Debug)]
pub struct Anchors<'b> {
    document: Document<'b>,
}

impl<'b> Anchors<'b> {
    /// Version 1, as the factory wrote it beside the IDevID: its digest is the expected one, and
    /// its own anchor keys signed it.
    ///
    /// # Errors
    /// Those of [`Document::parse`]; `anchors-digest`; `anchors-not-sequential` for another
    /// version; `untrusted-signer`, `bad-signature`, `algorithm-not-allowed`, `threshold-not-met`.
    pub fn verify_first(
        bytes: &'b [u8],
        expected: &Sha256Digest,
        verifier: &(impl Verify + ?Sized),
    ) -> Result<Anchors<'b>, Reason> {
        let document = pinned(bytes, expected, verifier)?;
        if document.version().0 != FIRST_VERSION {
            return Err(Reason::AnchorsNotSequential);
        }
        let own = keys_of(&document, Role::Anchor, verifier);
        MultiSign::parse_object(bytes, ANCHORS)?.verify_threshold(
            verifier,
            &own,
            document.anchor_threshold(),
        )?;
        Ok(Anchors { document })
    }

    /// A document of any version that was verified before, and whose digest was noted in a place
    /// that only the device writes. No signature is checked again.
    ///
    /// # Errors
    /// Those of [`Document::parse`]; `anchors-digest`.
    pub fn verify_pinned(
        bytes: &'b [u8],
        expected: &Sha256Digest,
        verifier: &(impl Verify + ?Sized),
    ) -> Result<Anchors<'b>, Reason> {
        Ok(Anchors { document: pinned(bytes, expected, verifier)? })
    }

    /// The version after this one: of the same fleet, signed by enough anchor keys of this version
    /// *and* by enough of its own.
    ///
    /// Every signature has to verify with an anchor key of one of the two. A signer who stands in
    /// both counts for both.
    ///
    /// # Errors
    /// Those of [`Document::parse`]; `wrong-fleet`; `anchors-not-sequential` for any version but
    /// the next; `untrusted-signer`, `bad-signature`, `algorithm-not-allowed`,
    /// `threshold-not-met`; `clock-regressed` when its time floor lies before this one's.
    pub fn verify_next<'n>(
        &self,
        bytes: &'n [u8],
        verifier: &(impl Verify + ?Sized),
    ) -> Result<Anchors<'n>, Reason> {
        let next = Document::parse(bytes)?;
        if next.fleet() != self.fleet() {
            return Err(Reason::WrongFleet);
        }
        if self.version().0.checked_add(1) != Some(next.version().0) {
            return Err(Reason::AnchorsNotSequential);
        }
        let old_keys = keys_of(self, Role::Anchor, verifier);
        let new_keys = keys_of(&next, Role::Anchor, verifier);
        let mut allowed = [UNUSED; 2 * TrustedKeys::MAX];
        let mut len = 0;
        let added = new_keys.iter().filter(|key| old_keys.find(&key.thumbprint).is_err());
        for (slot, key) in allowed.iter_mut().zip(old_keys.iter().chain(added)) {
            *slot = *key;
            len += 1;
        }
        let allowed = allowed.get(..len).unwrap_or_default();
        let signers = MultiSign::parse_object(bytes, ANCHORS)?.verify_all(verifier, allowed)?;
        let signed_by = |keys: &TrustedKeys| {
            let signed = |key: &&TrustedKey| {
                signers.contains(
                    allowed
                        .iter()
                        .position(|entry| entry.thumbprint == key.thumbprint)
                        .unwrap_or(usize::MAX),
                )
            };
            keys.iter().filter(signed).count()
        };
        if signed_by(&old_keys) < self.anchor_threshold()
            || signed_by(&new_keys) < next.anchor_threshold()
        {
            return Err(Reason::ThresholdNotMet);
        }
        if next.time_floor() < self.time_floor() {
            return Err(Reason::ClockRegressed);
        }
        Ok(Anchors { document: next })
    }

    /// The document.
    pub fn document(&self) -> &Document<'b> {
        &self.document
    }

    /// The keys of one role, with thumbprints. For releases take [`Anchors::release_keys`].
    pub fn trusted_keys(&self, role: Role, verifier: &(impl Verify + ?Sized)) -> TrustedKeys {
        keys_of(&self.document, role, verifier)
    }

    /// Who may sign releases of this class, and how many have to.
    ///
    /// # Errors
    /// `wrong-device` for a class that the anchors do not name.
    pub fn release_keys(
        &self,
        class: &ClassId,
        verifier: &(impl Verify + ?Sized),
    ) -> Result<ReleaseKeys, Reason> {
        let product = self.product(class).ok_or(Reason::WrongDevice)?;
        let keys = product
            .key_positions()
            .iter()
            .filter_map(|position| self.keys().nth(usize::from(*position)))
            .map(|entry| entry.key);
        Ok(ReleaseKeys { threshold: product.threshold, keys: TrustedKeys::collect(keys, verifier) })
    }

    /// The order key with this thumbprint.
    ///
    /// # Errors
    /// `untrusted-signer`.
    pub fn order_key(
        &self,
        thumbprint: &Thumbprint,
        verifier: &(impl Verify + ?Sized),
    ) -> Result<TrustedKey, Reason> {
        self.trusted_keys(Role::Order, verifier).find(thumbprint).copied()
    }

    /// The command key with this thumbprint.
    ///
    /// # Errors
    /// `untrusted-signer`.
    pub fn command_key(
        &self,
        thumbprint: &Thumbprint,
        verifier: &(impl Verify + ?Sized),
    ) -> Result<TrustedKey, Reason> {
        self.trusted_keys(Role::Command, verifier).find(thumbprint).copied()
    }

    /// The station key with this thumbprint, and its site.
    ///
    /// # Errors
    /// `untrusted-signer`.
    pub fn station_key(
        &self,
        thumbprint: &Thumbprint,
        verifier: &(impl Verify + ?Sized),
    ) -> Result<(TrustedKey, SiteId), Reason> {
        let key = *self.trusted_keys(Role::Station, verifier).find(thumbprint)?;
        let site = self.station_site(&key.key).ok_or(Reason::UntrustedSigner)?;
        Ok((key, site))
    }
}

impl<'b> Deref for Anchors<'b> {
    type Target = Document<'b>;

    fn deref(&self) -> &Document<'b> {
        &self.document
    }
}

fn pinned<'b>(
    bytes: &'b [u8],
    expected: &Sha256Digest,
    verifier: &(impl Verify + ?Sized),
) -> Result<Document<'b>, Reason> {
    if bytes.len() > Document::MAX_LEN {
        return Err(Reason::TooLarge);
    }
    if verifier.sha256(&[bytes]) != *expected {
        return Err(Reason::AnchorsDigest);
    }
    Document::parse(bytes)
}

fn keys_of(document: &Document<'_>, role: Role, verifier: &(impl Verify + ?Sized)) -> TrustedKeys {
    TrustedKeys::collect(document.keys_of(role).map(|entry| entry.key), verifier)
}

const FIRST_VERSION: u64 = 1;
const UNUSED: TrustedKey =
    TrustedKey { thumbprint: Thumbprint([0; 32]), key: ringfort_cose::PublicKey::Ed25519([0; 32]) };
