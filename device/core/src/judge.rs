//! May this release be installed?

use ringfort_cose::{Reason, Sha256Digest, Verify};
use ringfort_suit::{Envelope, Release};
use ringfort_trust::Anchors;

use crate::record::{Floor, Identity};

/// Judges an envelope: the digest that the order names, k of n release keys of the current
/// anchors, the product, the device, revocation, and the floor.
///
/// # Errors
/// Those of [`Envelope::parse`], [`Envelope::verify_threshold`] and [`Release::of`];
/// `manifest-digest` for another manifest than `wanted`; `wrong-device`, `wrong-recipient`;
/// `release-revoked`; `sequence-too-low`, `sequence-reused`, `sequence-jump`.
pub fn judge_release<'b>(
    bytes: &'b [u8],
    wanted: &Sha256Digest,
    identity: &Identity,
    floor: Option<&Floor>,
    anchors: &Anchors<'_>,
    verifier: &dyn Verify,
) -> Result<Release<'b>, Reason> {
    let envelope = Envelope::parse(bytes, &verifier)?;
    if envelope.manifest_digest() != *wanted {
        return Err(Reason::ManifestDigest);
    }
    let release_keys = anchors.release_keys(&identity.class, &verifier)?;
    envelope.verify_threshold(&verifier, &release_keys.keys, release_keys.threshold)?;
    let release = Release::of(&envelope)?;
    for component in release.components() {
        if component.vendor != identity.vendor.0 || component.class != identity.class.0 {
            return Err(Reason::WrongDevice);
        }
        if component.device.is_some_and(|device| device[..] != identity.ueid.as_bytes()[1..]) {
            return Err(Reason::WrongRecipient);
        }
    }
    if anchors.is_revoked(wanted) {
        return Err(Reason::ReleaseRevoked);
    }
    check_sequence(release.sequence_number, wanted, floor)?;
    Ok(release)
}

/// Above the floor by at most 2^32, or equal to it with the same manifest.
fn check_sequence(
    sequence: u64,
    manifest: &Sha256Digest,
    floor: Option<&Floor>,
) -> Result<(), Reason> {
    let height = floor.map_or(0, |floor| floor.sequence.0);
    if sequence < height {
        return Err(Reason::SequenceTooLow);
    }
    if floor.is_some_and(|floor| sequence == height && floor.manifest != *manifest) {
        return Err(Reason::SequenceReused);
    }
    if sequence - height > MAX_JUMP {
        return Err(Reason::SequenceJump);
    }
    Ok(())
}

const MAX_JUMP: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use ringfort_trust::ids::SequenceNumber;

    use super::*;

    #[test]
    fn the_floor_admits_the_same_release_and_higher_ones_within_the_jump() {
        let (own, other) = (Sha256Digest([1; 32]), Sha256Digest([2; 32]));
        let floor = Floor { sequence: SequenceNumber(100), manifest: own };
        let check = |sequence, manifest| check_sequence(sequence, manifest, Some(&floor));
        assert_eq!(check(99, &own), Err(Reason::SequenceTooLow));
        assert_eq!(check(100, &own), Ok(()));
        assert_eq!(check(100, &other), Err(Reason::SequenceReused));
        assert_eq!(check(101, &other), Ok(()));
        assert_eq!(check(100 + MAX_JUMP, &other), Ok(()));
        assert_eq!(check(101 + MAX_JUMP, &other), Err(Reason::SequenceJump));
        assert_eq!(check(u64::MAX, &other), Err(Reason::SequenceJump));
        assert_eq!(check_sequence(1_790_000_000, &own, None), Ok(()));
        assert_eq!(check_sequence(0, &own, None), Ok(()));
        assert_eq!(check_sequence(1 + MAX_JUMP, &own, None), Err(Reason::SequenceJump));
    }
}
