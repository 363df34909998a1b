//! Attacks on envelopes, each with its positive twin.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    CLASS, VENDOR, bstr, digest_item, envelope, judge, judge_single, manifest, p256, release,
    signed, trusted,
};
use ringfort_cose::{AwsLc, PublicKey, Reason, Sign, SoftSigner, Tagging, Verify, sign1_detached};
use ringfort_suit::{Envelope, Release, encode, limits, sign, strip};

/// Set component 0, set parameters, ask vendor and class.
fn shared() -> Vec<u8> {
    let mut out = vec![0x88, 0x0c, 0x00, 0x14, 0xa4, 0x01];
    out.extend(bstr(&VENDOR));
    out.push(0x02);
    out.extend(bstr(&CLASS));
    out.push(0x03);
    out.extend(bstr(&digest_item(&AwsLc.sha256(&[b"payload"]))));
    out.extend([0x0e, 0x07, 0x01, 0x0f, 0x02, 0x0f]);
    out
}

/// Set the URI, fetch.
fn install() -> Vec<u8> {
    vec![0x84, 0x14, 0xa1, 0x15, 0x61, b'x', 0x15, 0x02]
}

fn parse(bytes: &[u8]) -> Result<(), Reason> {
    Envelope::parse(bytes, &AwsLc).map(drop)
}

/// The verdict on a manifest with this install sequence.
fn parse_install(sequence: &[u8]) -> Result<(), Reason> {
    parse(&envelope(&manifest(&shared(), sequence), &[], &[]))
}

#[test]
fn two_of_three_release_keys_are_enough() {
    let (a, b, c) = (p256(), SoftSigner::generate_ed25519().unwrap(), p256());
    let allowed = trusted(&[&a, &b, &c]);
    assert_eq!(judge(&signed(&[&a, &b]), &allowed, 2), Ok(()));
    assert_eq!(judge(&signed(&[&c, &b]), &allowed, 2), Ok(()));
    assert_eq!(judge(&signed(&[&a, &b, &c]), &allowed, 2), Ok(()));
    assert_eq!(judge(&signed(&[&a]), &allowed, 2), Err(Reason::ThresholdNotMet));
    assert_eq!(judge(&signed(&[]), &allowed, 1), Err(Reason::ThresholdNotMet));
    assert_eq!(judge(&signed(&[]), &allowed, 0), Err(Reason::ThresholdNotMet));
}

#[test]
fn one_key_that_signs_twice_does_not_meet_a_threshold_of_two() {
    let (a, b) = (p256(), p256());
    // The same key listed twice does not help either.
    let allowed = trusted(&[&a, &a, &b]);
    let unsigned = release(1).build(&AwsLc).unwrap();
    let digest = Envelope::parse(&unsigned, &AwsLc).unwrap().manifest_digest();
    let block = |signer: &SoftSigner| {
        let kid = signer.public_key().thumbprint(&AwsLc);
        sign1_detached(signer, Tagging::Tagged, Some(&kid.0), &[], &digest_item(&digest)).unwrap()
    };
    let with = |blocks: &[Vec<u8>]| {
        let parsed = Envelope::parse(&unsigned, &AwsLc).unwrap();
        let mut wrapper = vec![0x81 + blocks.len() as u8];
        wrapper.extend(bstr(&digest_item(&parsed.manifest_digest())));
        blocks.iter().for_each(|block| wrapper.extend(bstr(block)));
        // Tag, map head, key 2, then the old wrapper of 41 bytes with its head.
        [&unsigned[..4], &bstr(&wrapper), &unsigned[4 + 2 + 39..]].concat()
    };
    let twice = with(&[block(&a), block(&a)]);
    assert_eq!(judge(&twice, &allowed, 2), Err(Reason::ThresholdNotMet));
    assert_eq!(judge(&twice, &allowed, 1), Ok(()));
    assert_eq!(judge(&with(&[block(&a), block(&b)]), &allowed, 2), Ok(()));
    // Signing again with the tool replaces the block.
    let again = sign(&AwsLc, &a, &signed(&[&a])).unwrap();
    assert_eq!(Envelope::parse(&again, &AwsLc).unwrap().blocks().count(), 1);
}

#[test]
fn a_damaged_spare_block_refuses_the_envelope() {
    let (a, b, c) = (p256(), p256(), p256());
    let allowed = trusted(&[&a, &b, &c]);
    let whole = signed(&[&a, &b, &c]);
    assert_eq!(judge(&whole, &allowed, 2), Ok(()));
    // The third block's signature ends before the head of the manifest (key 3).
    let third = Envelope::parse(&whole, &AwsLc).unwrap().blocks().last().unwrap().unwrap();
    let at = whole.windows(third.bytes().len()).position(|w| w == third.bytes()).unwrap();
    let mut damaged = whole.clone();
    damaged[at + third.bytes().len() - 1] ^= 1;
    assert_eq!(judge(&damaged, &allowed, 2), Err(Reason::BadSignature));
}

#[test]
fn an_unknown_spare_block_refuses_the_envelope_until_it_is_stripped() {
    let (a, b, old) = (p256(), p256(), p256());
    let allowed = trusted(&[&a, &b]);
    let bytes = signed(&[&a, &b, &old]);
    assert_eq!(judge(&bytes, &allowed, 2), Err(Reason::UntrustedSigner));
    let kid = old.public_key().thumbprint(&AwsLc);
    let stripped = strip(&AwsLc, &[kid], &bytes).unwrap();
    assert_eq!(judge(&stripped, &allowed, 2), Ok(()));
    assert_eq!(stripped, signed_again(&bytes, &[kid]));
}

/// Stripping leaves everything else as it stands: shown by another way to the same bytes.
fn signed_again(bytes: &[u8], without: &[ringfort_cose::Thumbprint]) -> Vec<u8> {
    let parsed = Envelope::parse(bytes, &AwsLc).unwrap();
    let kept: Vec<_> = parsed
        .blocks()
        .map(Result::unwrap)
        .filter(|block| !without.contains(&block.signer().unwrap()))
        .collect();
    let all = encode(&parsed).unwrap();
    assert_eq!(all, bytes);
    let mut wrapper = vec![0x81 + kept.len() as u8];
    wrapper.extend(bstr(&digest_item(&parsed.manifest_digest())));
    kept.iter().for_each(|block| wrapper.extend(bstr(block.bytes())));
    let mut old = vec![0x81 + parsed.blocks().count() as u8];
    old.extend(bstr(&digest_item(&parsed.manifest_digest())));
    parsed.blocks().for_each(|block| old.extend(bstr(block.unwrap().bytes())));
    [&bytes[..4], &bstr(&wrapper), &bytes[4 + bstr(&old).len()..]].concat()
}

#[test]
fn a_stranger_is_refused_and_named_as_such() {
    let (a, stranger) = (p256(), p256());
    let bytes = signed(&[&stranger]);
    assert_eq!(judge(&bytes, &trusted(&[&a]), 1), Err(Reason::UntrustedSigner));
    assert_eq!(judge(&bytes, &trusted(&[&stranger]), 1), Ok(()));
    assert_eq!(judge_single(&bytes, &a.public_key()), Err(Reason::UntrustedSigner));
    assert_eq!(judge_single(&bytes, &stranger.public_key()), Ok(()));
}

#[test]
fn a_kid_of_a_trusted_key_over_a_strangers_signature_is_refused() {
    let (a, stranger) = (p256(), p256());
    let made = manifest(&shared(), &install());
    let digest = AwsLc.sha256(&[&bstr(&made)]);
    let kid = a.public_key().thumbprint(&AwsLc);
    let block = |signer: &SoftSigner| {
        sign1_detached(signer, Tagging::Tagged, Some(&kid.0), &[], &digest_item(&digest)).unwrap()
    };
    let forged = envelope(&made, &[block(&stranger)], &[]);
    assert_eq!(judge(&forged, &trusted(&[&a]), 1), Err(Reason::BadSignature));
    assert_eq!(judge(&envelope(&made, &[block(&a)], &[]), &trusted(&[&a]), 1), Ok(()));
}

#[test]
fn a_block_without_kid_is_refused_under_anchors_and_taken_by_verify_single() {
    let a = p256();
    let made = manifest(&shared(), &install());
    let digest = digest_item(&AwsLc.sha256(&[&bstr(&made)]));
    let block = sign1_detached(&a, Tagging::Tagged, None, &[], &digest).unwrap();
    let bytes = envelope(&made, &[block], &[]);
    assert_eq!(judge(&bytes, &trusted(&[&a]), 1), Err(Reason::UntrustedSigner));
    assert_eq!(judge_single(&bytes, &a.public_key()), Ok(()));
    assert_eq!(judge_single(&bytes, &p256().public_key()), Err(Reason::BadSignature));
}

#[test]
fn every_flipped_bit_of_a_two_signer_envelope_is_refused() {
    let (a, b) = (p256(), SoftSigner::generate_ed25519().unwrap());
    let allowed = trusted(&[&a, &b]);
    let bytes = signed(&[&a, &b]);
    assert_eq!(judge(&bytes, &allowed, 2), Ok(()));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(judge(&flipped, &allowed, 2).is_err(), "bit {bit} was accepted");
    }
}

#[test]
fn every_prefix_of_an_envelope_is_refused() {
    let a = p256();
    let bytes = signed(&[&a]);
    assert_eq!(judge(&bytes, &trusted(&[&a]), 1), Ok(()));
    for len in 0..bytes.len() {
        assert!(judge(&bytes[..len], &trusted(&[&a]), 1).is_err());
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(judge(&longer, &trusted(&[&a]), 1), Err(Reason::Malformed));
}

#[test]
fn a_changed_manifest_does_not_have_its_digest() {
    let a = p256();
    let mut bytes = signed(&[&a]);
    let uri = b"objects/0";
    let at = bytes.windows(uri.len()).position(|window| window == uri).unwrap();
    bytes[at] ^= 1;
    assert_eq!(judge(&bytes, &trusted(&[&a]), 1), Err(Reason::ManifestDigest));
    bytes[at] ^= 1;
    assert_eq!(judge(&bytes, &trusted(&[&a]), 1), Ok(()));
}

#[test]
fn a_severed_text_is_checked_by_its_digest() {
    let a = p256();
    let mut bytes = signed(&[&a]);
    let text = b"Brighter.";
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
    bytes[at] ^= 1;
    assert_eq!(judge(&bytes, &trusted(&[&a]), 1), Err(Reason::ManifestDigest));
    bytes[at] ^= 1;
    assert_eq!(judge(&bytes, &trusted(&[&a]), 1), Ok(()));
}

#[test]
fn a_severed_text_may_be_left_out_and_the_rest_holds() {
    let a = p256();
    let bytes = signed(&[&a]);
    let whole = Envelope::parse(&bytes, &AwsLc).unwrap();
    assert_eq!(Release::of(&whole).unwrap().version, Some("1.1"));
    // The text is the last part: key 0x17, then its byte string. Three entries become two.
    let text = bstr(whole.manifest().text.unwrap().content().unwrap());
    let mut without = bytes[..bytes.len() - text.len() - 1].to_vec();
    assert_eq!(without[2], 0xa3);
    without[2] = 0xa2;
    assert_eq!(judge(&without, &trusted(&[&a]), 1), Ok(()));
    let envelope = Envelope::parse(&without, &AwsLc).unwrap();
    let release = Release::of(&envelope).unwrap();
    assert_eq!((release.version, release.components().len()), (None, 1));
}

#[test]
fn a_severed_install_that_was_swapped_is_refused() {
    let digest = digest_item(&AwsLc.sha256(&[&bstr(&install())]));
    let mut made = manifest(&shared(), &[]);
    made.truncate(made.len() - 1);
    made.extend(&digest);
    let right = envelope(&made, &[], &[(0x14, install())]);
    assert_eq!(parse(&right), Ok(()));
    let mut other = install();
    *other.last_mut().unwrap() = 0x03;
    assert_eq!(parse(&envelope(&made, &[], &[(0x14, other)])), Err(Reason::ManifestDigest));
    // The same bytes under the name of another part.
    let moved = envelope(&made, &[], &[(0x10, install())]);
    assert_eq!(parse(&moved), Err(Reason::ManifestDigest));
}

#[test]
fn a_part_that_the_manifest_does_not_ask_for_is_refused() {
    let made = manifest(&shared(), &install());
    assert_eq!(parse(&envelope(&made, &[], &[])), Ok(()));
    let more = envelope(&made, &[], &[(0x14, install())]);
    assert_eq!(parse(&more), Err(Reason::ManifestDigest));
}

#[test]
fn unknown_keys_of_the_envelope_are_refused() {
    let made = manifest(&shared(), &install());
    assert_eq!(parse(&envelope(&made, &[], &[(0x0a, vec![0x80])])), Err(Reason::UnknownField));
    // Delegation, dependency resolution, an integrated payload named "#".
    assert_eq!(parse(&envelope(&made, &[], &[(0x01, vec![0x80])])), Err(Reason::Unsupported));
    assert_eq!(parse(&envelope(&made, &[], &[(0x0f, vec![0x80])])), Err(Reason::Unsupported));
    let mut integrated = envelope(&made, &[], &[]);
    integrated[2] += 1;
    integrated.extend([0x61, b'#', 0x41, 0x00]);
    assert_eq!(parse(&integrated), Err(Reason::Unsupported));
}

#[test]
fn unknown_keys_of_the_manifest_are_refused() {
    let with = |entry: &[u8]| {
        let mut made = manifest(&shared(), &install());
        made[0] += 1;
        made.extend(entry);
        parse(&envelope(&made, &[], &[]))
    };
    // Text (0x17) with a digest is known.
    assert_eq!(with(&[&[0x17][..], &digest_item(&AwsLc.sha256(&[]))].concat()), Ok(()));
    assert_eq!(with(&[0x18, 0x63, 0x00]), Err(Reason::UnknownField));
    assert_eq!(with(&[0x20, 0x00]), Err(Reason::UnknownField));
    assert_eq!(with(&[0x61, b'a', 0x00]), Err(Reason::UnknownField));
    assert_eq!(with(&[0x05, 0x81, 0x41, 0x00]), Err(Reason::Unsupported));
}

#[test]
fn unknown_commands_and_parameters_are_refused() {
    assert_eq!(parse_install(&install()), Ok(()));
    // A custom command (-1), process-dependency (11), wait (29), one that nobody defined (99).
    for command in [&[0x20][..], &[0x0b], &[0x18, 0x1d], &[0x18, 0x63]] {
        let sequence = [&[0x82][..], command, &[0x0f]].concat();
        assert_eq!(parse_install(&sequence), Err(Reason::Unsupported), "{command:?}");
    }
    // Encryption info (19), a custom parameter (-1).
    for parameter in [0x13, 0x20] {
        let sequence = [0x82, 0x14, 0xa1, parameter, 0x41, 0x00];
        assert_eq!(parse_install(&sequence), Err(Reason::Unsupported), "{parameter}");
    }
    // Commands without an argument, and with a policy of too many bits.
    assert_eq!(parse_install(&[0x81, 0x15]), Err(Reason::Malformed));
    assert_eq!(parse_install(&[0x82, 0x15, 0x10]), Err(Reason::Malformed));
}

#[test]
fn another_manifest_version_is_refused() {
    let mut made = manifest(&shared(), &install());
    assert_eq!(made[..3], [0xa4, 0x01, 0x01]);
    made[2] = 2;
    assert_eq!(parse(&envelope(&made, &[], &[])), Err(Reason::Unsupported));
}

#[test]
fn sequences_nested_beyond_the_bound_are_refused() {
    let nested = |depth: usize| {
        (0..depth).fold(install(), |inner, _| [&[0x82, 0x18, 0x20][..], &bstr(&inner)].concat())
    };
    assert_eq!(parse_install(&nested(usize::from(limits::NESTING))), Ok(()));
    let beyond = nested(usize::from(limits::NESTING) + 1);
    assert_eq!(parse_install(&beyond), Err(Reason::TooLarge));
    assert_eq!(parse_install(&nested(1000)), Err(Reason::TooLarge));
}

#[test]
fn arrays_nested_a_thousand_deep_are_refused() {
    let deep = [vec![0x81; 1000], vec![0x00]].concat();
    assert_eq!(parse(&deep), Err(Reason::TooLarge));
    assert_eq!(parse(&[&[0xd8, 0x6b][..], &deep].concat()), Err(Reason::TooLarge));
    assert_eq!(parse_install(&[&[0x82, 0x14][..], &deep].concat()), Err(Reason::TooLarge));
    // The same inside an authentication block.
    let made = manifest(&shared(), &install());
    assert_eq!(parse(&envelope(&made, &[deep], &[])), Err(Reason::TooLarge));
}

#[test]
fn lengths_that_overflow_are_refused() {
    for head in [0x5b, 0x7b, 0x9b, 0xbb, 0xdb] {
        let bytes = [&[0xd8, 0x6b, head][..], &[0xff; 8]].concat();
        assert!(matches!(parse(&bytes), Err(Reason::Malformed | Reason::TooLarge)), "{head:x}");
        let sequence = [&[head][..], &[0xff; 8]].concat();
        let outcome = parse_install(&sequence);
        assert!(matches!(outcome, Err(Reason::Malformed | Reason::TooLarge)), "{head:x}");
    }
}

#[test]
fn duplicate_keys_are_refused_whatever_their_form() {
    let made = manifest(&shared(), &install());
    let bytes = envelope(&made, &[], &[]);
    assert_eq!(parse(&bytes), Ok(()));
    // Key 3 a second time, in one byte and in two.
    for key in [&[0x03][..], &[0x18, 0x03]] {
        let mut twice = bytes.clone();
        twice[2] += 1;
        twice.extend(key);
        twice.extend(bstr(&made));
        assert_eq!(parse(&twice), Err(Reason::Malformed));
    }
    // Within parameters.
    let sequence = [0x82, 0x14, 0xa2, 0x0e, 0x01, 0x18, 0x0e, 0x02];
    assert_eq!(parse_install(&sequence), Err(Reason::Malformed));
}

#[test]
fn keys_in_another_order_and_longer_heads_are_accepted() {
    let made = manifest(&shared(), &install());
    let bytes = envelope(&made, &[], &[]);
    let mut swapped = bytes[..3].to_vec();
    let (authentication, manifest) = bytes[3..].split_at(bytes.len() - 4 - bstr(&made).len());
    swapped.extend(manifest);
    swapped.extend(authentication);
    assert_eq!(parse(&swapped), Ok(()));
    assert_ne!(swapped, bytes);
}

#[test]
fn indefinite_lengths_are_refused() {
    let made = manifest(&shared(), &install());
    let bytes = envelope(&made, &[], &[]);
    let mut indefinite = bytes.clone();
    indefinite[2] = 0xbf;
    indefinite.push(0xff);
    assert_eq!(parse(&indefinite), Err(Reason::Malformed));
    let sequence = [&[0x9f][..], &install()[1..], &[0xff]].concat();
    assert_eq!(parse_install(&sequence), Err(Reason::Malformed));
}

/// A COSE_Sign1 or COSE_Mac0 by hand: tag, algorithm, signature.
fn block_by_hand(tag: u8, algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    let protected = [&[0xa1, 0x01][..], algorithm].concat();
    let mut out = vec![tag, 0x84];
    out.extend(bstr(&protected));
    out.extend([0xa0, 0xf6]);
    out.extend(bstr(signature));
    out
}

#[test]
fn a_mac_with_the_public_key_is_refused() {
    let a = p256();
    let made = manifest(&shared(), &install());
    // COSE_Mac0 (tag 17) and COSE_Sign1 (tag 18), both with HMAC 256/256 (5).
    for tag in [0xd1, 0xd2] {
        let tagged = AwsLc.sha256(&[a.public_key().as_bytes(), &made]);
        let block = block_by_hand(tag, &[0x05], &tagged.0);
        let outcome = judge_single(&envelope(&made, &[block], &[]), &a.public_key());
        assert_eq!(outcome, Err(Reason::AlgorithmNotAllowed), "{tag:x}");
    }
}

#[test]
fn no_algorithm_and_reserved_algorithms_are_refused() {
    let a = p256();
    let made = manifest(&shared(), &install());
    // 0 is reserved; "none" as text; ES384, ESP384, ES512, EdDSA without a curve.
    let algorithms: [&[u8]; 6] =
        [&[0x00], b"\x64none", &[0x38, 0x22], &[0x38, 0x32], &[0x38, 0x23], &[0x27]];
    for algorithm in algorithms {
        let block = block_by_hand(0xd2, algorithm, &[0; 64]);
        let outcome = judge_single(&envelope(&made, &[block], &[]), &a.public_key());
        assert_eq!(outcome, Err(Reason::AlgorithmNotAllowed), "{algorithm:x?}");
    }
    // An empty protected header names none either.
    let empty = [0xd2, 0x84, 0x40, 0xa0, 0xf6, 0x40].to_vec();
    let outcome = judge_single(&envelope(&made, &[empty], &[]), &a.public_key());
    assert_eq!(outcome, Err(Reason::AlgorithmNotAllowed));
}

#[test]
fn es256_with_a_p384_key_is_refused() {
    // An uncompressed P-384 point has 97 bytes.
    assert_eq!(PublicKey::from_bytes(&[0x04; 97]), Err(Reason::AlgorithmNotAllowed));
    assert!(PublicKey::from_bytes(p256().public_key().as_bytes()).is_ok());
    // A signature of P-384's length under ES256.
    let a = p256();
    let made = manifest(&shared(), &install());
    let block = block_by_hand(0xd2, &[0x26], &[1; 96]);
    let outcome = judge_single(&envelope(&made, &[block], &[]), &a.public_key());
    assert_eq!(outcome, Err(Reason::BadSignature));
}

#[test]
fn an_ed25519_algorithm_with_a_p256_key_is_refused() {
    let (a, e) = (p256(), SoftSigner::generate_ed25519().unwrap());
    let made = manifest(&shared(), &install());
    let digest = digest_item(&AwsLc.sha256(&[&bstr(&made)]));
    let block = sign1_detached(&e, Tagging::Tagged, None, &[], &digest).unwrap();
    let bytes = envelope(&made, &[block], &[]);
    assert_eq!(judge_single(&bytes, &a.public_key()), Err(Reason::AlgorithmNotAllowed));
    assert_eq!(judge_single(&bytes, &e.public_key()), Ok(()));
}

#[test]
fn a_block_with_a_payload_of_its_own_is_refused() {
    let made = manifest(&shared(), &install());
    let mut block = block_by_hand(0xd2, &[0x28], &[0; 64]);
    let at = block.iter().position(|byte| *byte == 0xf6).unwrap();
    assert_eq!(parse(&envelope(&made, &[block.clone()], &[])), Ok(()));
    block[at] = 0x40;
    assert_eq!(parse(&envelope(&made, &[block], &[])), Err(Reason::Malformed));
}

#[test]
fn a_component_beyond_the_list_is_not_run() {
    let run = |index: u8| {
        let mut shared = shared();
        assert_eq!(shared[1..3], [0x0c, 0x00]);
        shared[2] = index;
        let bytes = envelope(&manifest(&shared, &install()), &[], &[]);
        let envelope = Envelope::parse(&bytes, &AwsLc).unwrap();
        ringfort_suit::check(envelope.manifest())
    };
    assert_eq!(run(0), Ok(()));
    assert_eq!(run(1), Err(Reason::Malformed));
}

#[test]
fn too_many_components_commands_or_blocks_are_refused() {
    let most = limits::COMPONENTS as u8;
    assert!(release(most).build(&AwsLc).is_ok());
    assert_eq!(release(most + 1).build(&AwsLc), Err(Reason::TooLarge));
    let commands = |count: u16| {
        let mut out = vec![0x99];
        out.extend((2 * count).to_be_bytes());
        (0..count).for_each(|_| out.extend([0x0c, 0x00]));
        out
    };
    // Two commands stand in the shared sequence besides.
    assert_eq!(parse_install(&commands(limits::COMMANDS as u16 - 4)), Ok(()));
    assert_eq!(parse_install(&commands(limits::COMMANDS as u16)), Err(Reason::TooLarge));
    let made = manifest(&shared(), &install());
    let blocks = |count: u64| {
        let block = block_by_hand(0xd2, &[0x28], &[0; 64]);
        (0..count).map(|_| block.clone()).collect::<Vec<_>>()
    };
    assert_eq!(parse(&envelope(&made, &blocks(limits::BLOCKS), &[])), Ok(()));
    let outcome = parse(&envelope(&made, &blocks(limits::BLOCKS + 1), &[]));
    assert_eq!(outcome, Err(Reason::TooLarge));
}

#[test]
fn a_payload_fetched_before_vendor_and_class_were_asked_is_no_release() {
    let of = |shared: &[u8]| {
        let mut made = manifest(shared, &install());
        made[0] += 1;
        made.extend([0x07, 0x43, 0x82, 0x03, 0x0f]);
        let bytes = envelope(&made, &[], &[]);
        let envelope = Envelope::parse(&bytes, &AwsLc)?;
        Release::of(&envelope).map(drop)
    };
    assert_eq!(of(&shared()), Ok(()));
    let mut without_class = shared();
    without_class[0] -= 2;
    without_class.truncate(without_class.len() - 2);
    assert_eq!(of(&without_class), Err(Reason::Unsupported));
}
