//! Commands: what is refused, each with the same thing done right.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Fleet, MANIFEST, NONCE, NOW, command, device, first_of, flips, key};
use ringfort_cose::{AwsLc, Reason, Sha256Digest, Sign, SignError, SoftSigner, Verify};
use ringfort_trust::ids::{AnchorsVersion, DeviceId, Nonce, OrderNumber, UnixTime};
use ringfort_trust::{
    AnchorsSpec, Command, CommandAction, CommandClaims, CommandLedger, CommandLedgers, Document,
    KeySpec, Role, Task, TrustedKeys,
};

const DAY: u64 = 86_400;

/// What a test may change of the situation in which a command is judged.
struct Judged {
    task: Task,
    now: UnixTime,
    ledgers: CommandLedgers,
}

/// Judges a command that the fleet's one command key signed. The last one had number 2.
fn judge(
    fleet: &Fleet,
    claims: &CommandClaims,
    change: impl Fn(&mut Judged),
) -> Result<OrderNumber, Reason> {
    let anchors = fleet.first();
    let bytes = claims.sign(&AwsLc, &[&fleet.command]).unwrap();
    let command = Command::verify(&bytes, &first_of(&anchors), &AwsLc)?;
    let key = fleet.command.public_key().thumbprint(&AwsLc);
    let mut judged = Judged {
        task: Task::Command { action: claims.action, command: command.digest() },
        now: NOW,
        ledgers: CommandLedgers::default(),
    };
    judged.ledgers.put(CommandLedger { key, last: OrderNumber(2) }).unwrap();
    change(&mut judged);
    let Judged { task, now, ledgers } = judged;
    let after = command.accept(&task, &device(), now, Some(&NONCE), &ledgers)?;
    Ok(after.of(&key).last)
}

#[test]
fn a_command_is_done_once_in_time_for_its_device_and_its_order() {
    let fleet = Fleet::new();
    for action in CommandAction::ALL {
        let claims = command(action);
        assert_eq!(judge(&fleet, &claims, |_| {}), Ok(OrderNumber(3)));
        let replayed = judge(&fleet, &claims, |judged| {
            let key = fleet.command.public_key().thumbprint(&AwsLc);
            judged.ledgers.put(CommandLedger { key, last: OrderNumber(3) }).unwrap();
        });
        assert_eq!(replayed, Err(Reason::OrderReplayed));
        let late = judge(&fleet, &claims, |judged| judged.now.0 += 30 * DAY);
        assert_eq!(late, Err(Reason::Expired));
        let other = CommandClaims { device: DeviceId::new("dev-b").unwrap(), ..claims };
        assert_eq!(judge(&fleet, &other, |_| {}), Err(Reason::WrongRecipient));
        let install = judge(&fleet, &claims, |judged| {
            judged.task = Task::Install { manifest: MANIFEST };
        });
        assert_eq!(install, Err(Reason::CommandDigest));
        let another = judge(&fleet, &claims, |judged| {
            judged.task = Task::Command { action, command: Sha256Digest([0; 32]) };
        });
        assert_eq!(another, Err(Reason::CommandDigest));
    }
}

#[test]
fn an_order_cannot_turn_a_command_into_another() {
    let fleet = Fleet::new();
    let judged = judge(&fleet, &command(CommandAction::WipeOperational), |judged| {
        let Task::Command { action, .. } = &mut judged.task else { unreachable!() };
        *action = CommandAction::Decommission;
    });
    assert_eq!(judged, Err(Reason::CommandDigest));
}

#[test]
fn unlocking_needs_the_nonce_that_the_device_gave() {
    let fleet = Fleet::new();
    let claims =
        CommandClaims { nonce: Some(Nonce([1; 16])), ..command(CommandAction::DebugUnlock) };
    assert_eq!(judge(&fleet, &claims, |_| {}), Err(Reason::NonceMismatch));
    for (action, nonce) in
        [(CommandAction::DebugUnlock, None), (CommandAction::Decommission, Some(NONCE))]
    {
        let signed = CommandClaims { nonce, ..command(action) }.sign(&AwsLc, &[&fleet.command]);
        assert_eq!(signed, Err(SignError::Object(Reason::Malformed)));
    }
}

#[test]
fn the_hub_cannot_sign_commands() {
    let fleet = Fleet::new();
    let anchors = fleet.first();
    let anchors = first_of(&anchors);
    let claims = command(CommandAction::Decommission);
    let forged = claims.sign(&AwsLc, &[&fleet.order]).unwrap();
    assert_eq!(Command::verify(&forged, &anchors, &AwsLc), Err(Reason::UntrustedSigner));
    let real = claims.sign(&AwsLc, &[&fleet.command]).unwrap();
    assert!(Command::verify(&real, &anchors, &AwsLc).is_ok());
    let digest = AwsLc.sha256(&[&real]);
    assert_eq!(Command::verify(&real, &anchors, &AwsLc).unwrap().digest(), digest);
}

#[test]
fn any_flipped_bit_of_a_command_is_refused() {
    let (fleet, people) = (Fleet::new(), People::new());
    let anchors = people.anchors(&fleet, 2);
    let anchors = first_of(&anchors);
    let bytes = people.signed(&command(CommandAction::DebugUnlock), &[0, 1]);
    assert!(Command::verify(&bytes, &anchors, &AwsLc).is_ok());
    for (bit, flipped) in flips(&bytes) {
        let reason = Command::verify(&flipped, &anchors, &AwsLc).expect_err("flipped");
        assert_ne!(reason, Reason::Internal, "bit {bit}");
    }
}

// Several people.

/// Three people with command keys, beside the one of [`Fleet`].
struct People([SoftSigner; 3]);

impl People {
    fn new() -> People {
        People([key(), SoftSigner::generate_ed25519().unwrap(), key()])
    }

    fn spec(&self, fleet: &Fleet, threshold: u8) -> AnchorsSpec {
        let mut spec = fleet.spec();
        let keys = self.0.iter().map(|key| KeySpec::new(Role::Command, key.public_key(), ""));
        spec.keys.retain(|key| key.role != Role::Command);
        spec.keys.extend(keys);
        spec.command_threshold = threshold;
        spec
    }

    fn anchors(&self, fleet: &Fleet, threshold: u8) -> Vec<u8> {
        fleet.signed(&self.spec(fleet, threshold))
    }

    /// Signed by one after the other.
    fn signed(&self, claims: &CommandClaims, who: &[usize]) -> Vec<u8> {
        let unsigned = claims.sign(&AwsLc, &[]).unwrap();
        who.iter().fold(unsigned, |command, who| {
            CommandClaims::add_signature(&command, &AwsLc, &self.0[*who]).unwrap()
        })
    }
}

#[test]
fn two_people_have_to_sign_a_command_where_the_anchors_say_so() {
    let (fleet, people) = (Fleet::new(), People::new());
    let claims = command(CommandAction::Decommission);
    let anchors = people.anchors(&fleet, 2);
    let anchors = first_of(&anchors);
    let verify = |who: &[usize]| {
        Command::verify(&people.signed(&claims, who), &anchors, &AwsLc)
            .map(|command| command.signers().len())
    };
    for alone in [&[][..], &[0], &[1], &[2], &[0, 0], &[2, 2, 2]] {
        assert_eq!(verify(alone), Err(Reason::ThresholdNotMet), "{alone:?}");
    }
    for two in [[0, 1], [1, 2], [2, 0]] {
        assert_eq!(verify(&two), Ok(2), "{two:?}");
    }
    assert_eq!(verify(&[0, 1, 2]), Ok(3));
    // One suffices where the anchors say nothing.
    let one = people.anchors(&fleet, 1);
    assert!(Command::verify(&people.signed(&claims, &[1]), &first_of(&one), &AwsLc).is_ok());
    assert!(Command::verify(&people.signed(&claims, &[]), &first_of(&one), &AwsLc).is_err());
}

#[test]
fn a_strangers_signature_beside_enough_others_refuses_the_command() {
    let (fleet, people) = (Fleet::new(), People::new());
    let anchors = people.anchors(&fleet, 2);
    let anchors = first_of(&anchors);
    let enough = people.signed(&command(CommandAction::WipeOperational), &[0, 1]);
    assert!(Command::verify(&enough, &anchors, &AwsLc).is_ok());
    let stranger = key();
    for other in [&stranger, &fleet.order, &fleet.anchor[0], &fleet.release[0]] {
        let more = CommandClaims::add_signature(&enough, &AwsLc, other).unwrap();
        assert_eq!(Command::verify(&more, &anchors, &AwsLc), Err(Reason::UntrustedSigner));
    }
}

#[test]
fn a_command_signed_by_too_few_is_never_acted_on() {
    let (fleet, people) = (Fleet::new(), People::new());
    let anchors = people.anchors(&fleet, 2);
    let anchors = first_of(&anchors);
    let action = CommandAction::Decommission;
    let accept = |who: &[usize]| {
        let bytes = people.signed(&command(action), who);
        let so_far = Command::verify_so_far(&bytes, &anchors, &AwsLc).unwrap();
        assert_eq!((so_far.signers().len(), so_far.threshold()), (who.len(), 2));
        let task = Task::Command { action, command: so_far.digest() };
        so_far.accept(&task, &device(), NOW, None, &CommandLedgers::default()).map(drop)
    };
    assert_eq!(accept(&[]), Err(Reason::ThresholdNotMet));
    assert_eq!(accept(&[2]), Err(Reason::ThresholdNotMet));
    assert_eq!(accept(&[2, 1]), Ok(()));
}

#[test]
fn each_of_its_keys_keeps_the_number_of_a_command() {
    let (fleet, people) = (Fleet::new(), People::new());
    let anchors = people.anchors(&fleet, 2);
    let anchors = first_of(&anchors);
    let action = CommandAction::WipeOperational;
    let accept = |number, who: &[usize], ledgers: &CommandLedgers| {
        let claims = CommandClaims { number: OrderNumber(number), ..command(action) };
        let bytes = people.signed(&claims, who);
        let command = Command::verify(&bytes, &anchors, &AwsLc).unwrap();
        let task = Task::Command { action, command: command.digest() };
        command.accept(&task, &device(), NOW, None, ledgers)
    };
    let after = accept(10, &[0, 1], &CommandLedgers::default()).unwrap();
    assert_eq!(after.iter().count(), 2);
    // Whoever of the two signs with the third: what both have given is a replay.
    for (number, who) in [(10, [0, 1]), (10, [1, 2]), (10, [2, 0]), (9, [0, 2]), (0, [1, 2])] {
        assert_eq!(accept(number, &who, &after), Err(Reason::OrderReplayed), "{number} {who:?}");
    }
    let later = accept(11, &[1, 2], &after).unwrap();
    let last = |who: usize| later.of(&people.0[who].public_key().thumbprint(&AwsLc)).last.0;
    assert_eq!([last(0), last(1), last(2)], [10, 11, 11]);
}

#[test]
fn a_key_that_signs_again_replaces_its_signature() {
    let people = People::new();
    let claims = command(CommandAction::WipeOperational);
    let once = people.signed(&claims, &[1]);
    assert_eq!(people.signed(&claims, &[1, 1]).len(), once.len());
    assert_eq!(CommandClaims::read_unverified(&once), Ok(claims));
}

#[test]
fn eight_signatures_fit_into_a_command() {
    let fleet = Fleet::new();
    let signers: Vec<SoftSigner> = (0..TrustedKeys::MAX).map(|_| key()).collect();
    let mut spec = fleet.spec();
    spec.keys.retain(|key| key.role != Role::Command);
    spec.keys.extend(signers.iter().map(|key| KeySpec::new(Role::Command, key.public_key(), "")));
    spec.command_threshold = 8;
    let anchors = fleet.signed(&spec);
    let claims = CommandClaims {
        device: DeviceId::new(&"d".repeat(64)).unwrap(),
        number: OrderNumber(u64::MAX),
        ..command(CommandAction::DebugUnlock)
    };
    let all: Vec<&dyn Sign> = signers.iter().map(|signer| signer as &dyn Sign).collect();
    let bytes = claims.sign(&AwsLc, &all).unwrap();
    let command = Command::verify(&bytes, &first_of(&anchors), &AwsLc).unwrap();
    assert_eq!(command.signers().len(), 8);
    let padded = [bytes, vec![0; Command::MAX_LEN]].concat();
    let refused = Command::verify(&padded, &first_of(&anchors), &AwsLc);
    assert_eq!(refused, Err(Reason::TooLarge));
}

#[test]
fn newer_anchors_can_ask_for_more_people() {
    let (fleet, people) = (Fleet::new(), People::new());
    let alone = people.signed(&command(CommandAction::Decommission), &[0]);
    let first = people.anchors(&fleet, 1);
    let first = first_of(&first);
    assert!(Command::verify(&alone, &first, &AwsLc).is_ok());
    let spec = AnchorsSpec { version: AnchorsVersion(2), ..people.spec(&fleet, 2) };
    let second = fleet.signed(&spec);
    let second = first.verify_next(&second, &AwsLc).unwrap();
    assert_eq!(second.command_threshold(), 2);
    assert_eq!(Command::verify(&alone, &second, &AwsLc), Err(Reason::ThresholdNotMet));
}

#[test]
fn a_threshold_for_commands_fits_their_keys_and_has_one_encoding() {
    let (fleet, people) = (Fleet::new(), People::new());
    let encode = |threshold| people.spec(&fleet, threshold).encode(&AwsLc);
    for threshold in [0, 4, 255] {
        assert_eq!(encode(threshold), Err(Reason::ThresholdInvalid), "{threshold}");
    }
    for threshold in 1..=3 {
        let bytes = encode(threshold).unwrap();
        let document = Document::parse(&bytes).unwrap();
        assert_eq!(document.command_threshold(), usize::from(threshold));
        assert_eq!(AnchorsSpec::of(&document), people.spec(&fleet, threshold));
    }
    // Without a spare address the field stands alone behind the others.
    let without = AnchorsSpec { spare: None, ..people.spec(&fleet, 2) };
    let bytes = without.encode(&AwsLc).unwrap();
    assert_eq!(Document::parse(&bytes).unwrap().command_threshold(), 2);
    // A document that says "one" would be a second form of one that says nothing.
    let object = ringfort_cose::MultiSign::parse_object(&bytes, ringfort_trust::ANCHORS).unwrap();
    let payload = object.payload_unverified();
    let ending = |last: &[u8]| {
        let changed = [&payload[..payload.len() - 2], last].concat();
        let made = ringfort_cose::multi_sign(&AwsLc, &[], ringfort_trust::ANCHORS, &changed);
        Document::parse(&made.unwrap()).map(drop)
    };
    assert_eq!(ending(&[11, 2]), Ok(()));
    assert_eq!(ending(&[11, 1]), Err(Reason::Malformed));
    assert_eq!(ending(&[11, 0]), Err(Reason::ThresholdInvalid));
    assert_eq!(ending(&[12, 2]), Err(Reason::UnknownField));
    // A fleet without command keys names no threshold, and takes no commands.
    let mut none = fleet.spec();
    none.keys.retain(|key| key.role != Role::Command);
    assert!(none.encode(&AwsLc).is_ok());
    none.command_threshold = 2;
    assert_eq!(none.encode(&AwsLc), Err(Reason::ThresholdInvalid));
}
