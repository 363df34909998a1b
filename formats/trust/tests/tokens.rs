//! Orders and signed time: what is refused, each with the same thing done right.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    Fleet, MANIFEST, NONCE, NOW, command, device, first_of, flips, key, order, signed_time,
};
use ringfort_cose::{AwsLc, Reason, Sha256Digest, Sign, SignError};
use ringfort_trust::ids::{AnchorsVersion, DeviceId, FleetId, Nonce, OrderNumber, UnixTime};
use ringfort_trust::{
    Accepted, AnchorsSpec, Channel, Command, CommandAction, Content, MAX_UNIX_TIME, ORDER, Order,
    OrderLedger, OrderLedgers, Outcome, Role, Situation, Standing, Task, TimeFloor, Token,
    TokenClaims,
};

const DAY: u64 = 86_400;

fn situation() -> Situation {
    Situation {
        device: device(),
        channel: Channel::Online { nonce: NONCE },
        now: NOW,
        floor: TimeFloor { build: UnixTime(0), anchors: NOW, orders: UnixTime(0) },
        anchors_version: AnchorsVersion(1),
    }
}

fn offline() -> Situation {
    Situation { channel: Channel::Offline, ..situation() }
}

/// Signs with the fleet's order key and verifies under its anchors.
fn token(fleet: &Fleet, claims: &TokenClaims) -> Token {
    let bytes = claims.sign(&AwsLc, &fleet.order).unwrap();
    verify(fleet, &bytes).unwrap()
}

fn verify(fleet: &Fleet, bytes: &[u8]) -> Result<Token, Reason> {
    let anchors = fleet.first();
    Token::verify(bytes, &first_of(&anchors), &AwsLc)
}

fn ledger(fleet: &Fleet) -> OrderLedger {
    OrderLedger::new(fleet.order.public_key().thumbprint(&AwsLc))
}

fn accept(token: &Token, ledger: &OrderLedger) -> Result<Accepted, Reason> {
    token.accept(&situation(), ledger)
}

fn standing(accepted: Result<Accepted, Reason>) -> Result<Standing, Reason> {
    match accepted?.outcome {
        Outcome::Order { standing, .. } => Ok(standing),
        Outcome::Time { .. } => panic!("an order was expected"),
    }
}

#[test]
fn an_order_with_the_nonce_is_accepted_and_gives_the_time() {
    let fleet = Fleet::new();
    let token = token(&fleet, &fleet.install(5));
    let accepted = accept(&token, &ledger(&fleet)).unwrap();
    assert_eq!(accepted.time, Some(UnixTime(NOW.0 + 100)));
    assert_eq!(accepted.ledger.last_time, UnixTime(NOW.0 + 100));
    assert_eq!(accepted.ledger.in_progress.unwrap().number, OrderNumber(5));
    assert_eq!(accepted.ledger.last_finished, OrderNumber(0));
    assert!(matches!(
        accepted.outcome,
        Outcome::Order {
            order: Order { task: Task::Install { manifest: MANIFEST }, .. },
            standing: Standing::New
        }
    ));
}

#[test]
fn any_flipped_bit_of_an_order_or_of_signed_time_is_refused() {
    let fleet = Fleet::new();
    let anchors = fleet.first();
    let anchors = first_of(&anchors);
    for claims in [fleet.install(5), signed_time()] {
        let bytes = claims.sign(&AwsLc, &fleet.order).unwrap();
        assert!(Token::verify(&bytes, &anchors, &AwsLc).is_ok());
        for (bit, flipped) in flips(&bytes) {
            let reason = Token::verify(&flipped, &anchors, &AwsLc).expect_err("flipped");
            assert_ne!(reason, Reason::Internal, "bit {bit}");
        }
    }
}

#[test]
fn only_an_order_key_of_the_anchors_signs_orders() {
    let fleet = Fleet::new();
    let claims = fleet.install(5);
    let stranger = key();
    for other in [&fleet.anchor[0] as &dyn Sign, &fleet.release[0], &fleet.command, &stranger] {
        let bytes = claims.sign(&AwsLc, other).unwrap();
        assert_eq!(verify(&fleet, &bytes), Err(Reason::UntrustedSigner));
    }
    assert!(verify(&fleet, &claims.sign(&AwsLc, &fleet.order).unwrap()).is_ok());
}

#[test]
fn a_command_cannot_pass_for_an_order_nor_an_order_for_a_command() {
    let fleet = Fleet::new();
    let anchors = fleet.first();
    let anchors = first_of(&anchors);
    let order = fleet.install(5).sign(&AwsLc, &fleet.command).unwrap();
    assert_eq!(Command::verify(&order, &anchors, &AwsLc), Err(Reason::WrongType));
    let order = ringfort_cose::multi_sign(&AwsLc, &[&fleet.command], ORDER, &[0xa0]).unwrap();
    assert_eq!(Command::verify(&order, &anchors, &AwsLc), Err(Reason::WrongType));
    let wipe = command(CommandAction::WipeOperational).sign(&AwsLc, &[&fleet.order]).unwrap();
    assert_eq!(Token::verify(&wipe, &anchors, &AwsLc), Err(Reason::WrongType));
}

#[test]
fn an_order_of_another_fleet_is_refused_even_under_a_shared_key() {
    let fleet = Fleet::new();
    let claims = TokenClaims { fleet: FleetId([0xf2; 16]), ..fleet.install(5) };
    let bytes = claims.sign(&AwsLc, &fleet.order).unwrap();
    assert_eq!(verify(&fleet, &bytes), Err(Reason::WrongIssuer));
}

#[test]
fn an_order_for_another_device_is_refused() {
    let fleet = Fleet::new();
    let claims = TokenClaims { device: DeviceId::new("dev-b").unwrap(), ..fleet.install(5) };
    let judged = accept(&token(&fleet, &claims), &ledger(&fleet));
    assert_eq!(judged.unwrap_err(), Reason::WrongRecipient);
}

#[test]
fn another_nonce_none_or_an_old_answer_is_refused_online() {
    let fleet = Fleet::new();
    let ledger = ledger(&fleet);
    let with = |nonce| token(&fleet, &TokenClaims { nonce, ..fleet.install(5) });
    assert!(accept(&with(Some(NONCE)), &ledger).is_ok());
    for nonce in [Some(Nonce([0x56; 16])), None] {
        assert_eq!(accept(&with(nonce), &ledger).unwrap_err(), Reason::NonceMismatch);
    }
}

#[test]
fn an_offline_order_has_no_nonce_and_moves_the_floor_only() {
    let fleet = Fleet::new();
    let ledger = ledger(&fleet);
    let plain = token(&fleet, &TokenClaims { nonce: None, ..fleet.install(5) });
    let accepted = plain.accept(&offline(), &ledger).unwrap();
    assert_eq!(accepted.time, None);
    assert_eq!(accepted.ledger.last_time, UnixTime(NOW.0 + 100));
    // A captured online answer on a medium.
    let captured = token(&fleet, &fleet.install(5));
    assert_eq!(captured.accept(&offline(), &ledger).unwrap_err(), Reason::NonceMismatch);
}

#[test]
fn an_expired_order_is_refused_by_the_floor_and_by_the_kept_time() {
    let fleet = Fleet::new();
    let ledger = ledger(&fleet);
    let claims = TokenClaims { nonce: None, ..fleet.install(5) };
    let token = token(&fleet, &claims);
    let end = claims.expires;
    let at = |now, floor| {
        let floor = TimeFloor { orders: floor, ..offline().floor };
        token.accept(&Situation { now, floor, ..offline() }, &ledger).map(drop)
    };
    let before = UnixTime(end.0 - 1);
    assert_eq!(at(before, UnixTime(0)), Ok(()));
    assert_eq!(at(end, UnixTime(0)), Err(Reason::Expired));
    assert_eq!(at(UnixTime(0), end), Err(Reason::Expired));
    assert_eq!(at(UnixTime(0), before), Ok(()));
    assert_eq!(token.check_life(before, &offline().floor), Ok(()));
    assert_eq!(token.check_life(end, &offline().floor), Err(Reason::Expired));
}

#[test]
fn a_fresh_answer_overrides_a_clock_that_runs_ahead() {
    let fleet = Fleet::new();
    let token = token(&fleet, &fleet.install(5));
    let ahead = Situation { now: UnixTime(NOW.0 + 400 * DAY), ..situation() };
    let accepted = token.accept(&ahead, &ledger(&fleet)).unwrap();
    assert_eq!(accepted.time, Some(UnixTime(NOW.0 + 100)));
    // But not below the floor.
    let floor = TimeFloor { build: UnixTime(NOW.0 + 400 * DAY), ..situation().floor };
    let judged = token.accept(&Situation { floor, ..situation() }, &ledger(&fleet));
    assert_eq!(judged.unwrap_err(), Reason::Expired);
}

#[test]
fn a_finished_number_and_all_below_it_are_refused() {
    let fleet = Fleet::new();
    let accepted = accept(&token(&fleet, &fleet.install(5)), &ledger(&fleet)).unwrap();
    let done = accepted.ledger.finished();
    assert_eq!((done.last_finished, done.in_progress), (OrderNumber(5), None));
    for number in [0, 1, 4, 5] {
        let judged = accept(&token(&fleet, &fleet.install(number)), &done);
        assert_eq!(judged.unwrap_err(), Reason::OrderReplayed, "{number}");
    }
    assert_eq!(standing(accept(&token(&fleet, &fleet.install(6)), &done)), Ok(Standing::New));
}

#[test]
fn number_nought_is_never_an_order() {
    let fleet = Fleet::new();
    let judged = accept(&token(&fleet, &fleet.install(0)), &ledger(&fleet));
    assert_eq!(judged.unwrap_err(), Reason::OrderReplayed);
}

#[test]
fn the_order_in_progress_is_taken_up_again_byte_for_byte_without_its_nonce() {
    let fleet = Fleet::new();
    let current = token(&fleet, &fleet.install(5));
    let held = accept(&current, &ledger(&fleet)).unwrap().ledger;
    // After a restart the device has no request under way.
    assert_eq!(standing(current.accept(&offline(), &held)), Ok(Standing::Resumed));
    assert_eq!(current.accept(&offline(), &ledger(&fleet)).unwrap_err(), Reason::NonceMismatch);
    // Still bound to its life.
    let late = Situation { now: UnixTime(NOW.0 + 2 * DAY), ..offline() };
    assert_eq!(current.accept(&late, &held).unwrap_err(), Reason::Expired);
}

#[test]
fn beside_an_order_in_progress_only_the_same_task_or_a_higher_number_is_taken() {
    let fleet = Fleet::new();
    let held = accept(&token(&fleet, &fleet.install(5)), &ledger(&fleet)).unwrap().ledger;
    let later = TokenClaims { issued: UnixTime(NOW.0 + 200), ..fleet.install(5) };
    assert_eq!(standing(accept(&token(&fleet, &later), &held)), Ok(Standing::Renewed));
    let other = Task::Install { manifest: Sha256Digest([0x3b; 32]) };
    let judged = accept(&token(&fleet, &order(other, 5)), &held);
    assert_eq!(judged.unwrap_err(), Reason::OrderReplayed);
    let judged = accept(&token(&fleet, &fleet.install(4)), &held);
    assert_eq!(judged.unwrap_err(), Reason::OrderReplayed);
    assert_eq!(standing(accept(&token(&fleet, &order(other, 6)), &held)), Ok(Standing::New));
}

#[test]
fn an_order_that_asks_for_newer_anchors_waits_for_them() {
    let fleet = Fleet::new();
    let mut claims = fleet.install(5);
    let Content::Order(order) = &mut claims.content else { unreachable!() };
    order.min_anchors = AnchorsVersion(2);
    let token = token(&fleet, &claims);
    assert_eq!(accept(&token, &ledger(&fleet)).unwrap_err(), Reason::AnchorsTooOld);
    let newer = Situation { anchors_version: AnchorsVersion(2), ..situation() };
    assert!(token.accept(&newer, &ledger(&fleet)).is_ok());
}

#[test]
fn anchors_that_drop_an_order_key_drop_its_orders_numbers_and_time() {
    let fleet = Fleet::new();
    let thief = TokenClaims {
        issued: UnixTime(MAX_UNIX_TIME.0 - 10),
        expires: MAX_UNIX_TIME,
        ..fleet.install(u64::MAX)
    };
    let bytes = thief.sign(&AwsLc, &fleet.order).unwrap();
    let stolen = verify(&fleet, &bytes).unwrap();
    let mut ledgers = OrderLedgers::default();
    let accepted = stolen.accept(&situation(), &ledgers.of(&stolen.signer())).unwrap();
    ledgers.put(accepted.ledger.finished()).unwrap();
    assert_eq!(ledgers.latest_time(), UnixTime(MAX_UNIX_TIME.0 - 10));
    assert_eq!(ledgers.of(&stolen.signer()).last_finished, OrderNumber(u64::MAX));

    let new = key();
    let first = fleet.first();
    let mut spec = AnchorsSpec { version: AnchorsVersion(2), ..fleet.spec() };
    let slot = spec.keys.iter_mut().find(|entry| entry.role == Role::Order).unwrap();
    slot.key = new.public_key();
    let second = fleet.signed(&spec);
    let first = first_of(&first);
    let second = first.verify_next(&second, &AwsLc).unwrap();

    // The same anchors keep the ledger; the new ones drop it.
    ledgers.keep_only(&first, &AwsLc);
    assert_eq!(ledgers.iter().count(), 1);
    ledgers.keep_only(&second, &AwsLc);
    assert_eq!(ledgers, OrderLedgers::default());
    assert_eq!(ledgers.latest_time(), UnixTime(0));
    assert_eq!(Token::verify(&bytes, &second, &AwsLc), Err(Reason::UntrustedSigner));
    let fresh = fleet.install(1).sign(&AwsLc, &new).unwrap();
    let fresh = Token::verify(&fresh, &second, &AwsLc).unwrap();
    assert_eq!(standing(accept(&fresh, &ledgers.of(&fresh.signer()))), Ok(Standing::New));
}

#[test]
fn a_ledger_of_another_key_is_not_used() {
    let fleet = Fleet::new();
    let other = OrderLedger::new(fleet.command.public_key().thumbprint(&AwsLc));
    let judged = accept(&token(&fleet, &fleet.install(5)), &other);
    assert_eq!(judged.unwrap_err(), Reason::UntrustedSigner);
}

#[test]
fn eight_ledgers_fit_and_a_ninth_does_not() {
    let mut ledgers = OrderLedgers::default();
    for index in 0..8 {
        ledgers.put(OrderLedger::new(ringfort_cose::Thumbprint([index; 32]))).unwrap();
    }
    let changed =
        OrderLedger { last_time: NOW, ..OrderLedger::new(ringfort_cose::Thumbprint([3; 32])) };
    ledgers.put(changed).unwrap();
    assert_eq!(ledgers.latest_time(), NOW);
    let ninth = ledgers.put(OrderLedger::new(ringfort_cose::Thumbprint([9; 32])));
    assert_eq!(ninth, Err(Reason::TooLarge));
}

// Signed time.

#[test]
fn signed_time_needs_its_nonce_and_touches_no_order() {
    let fleet = Fleet::new();
    let held = accept(&token(&fleet, &fleet.install(5)), &ledger(&fleet)).unwrap().ledger;
    let time = token(&fleet, &signed_time());
    let accepted = accept(&time, &held).unwrap();
    assert_eq!(accepted.ledger.in_progress, held.in_progress);
    assert!(matches!(accepted.outcome, Outcome::Time { audit } if audit.size == 7));
    assert_eq!(time.accept(&offline(), &held).unwrap_err(), Reason::NonceMismatch);
    let none = TokenClaims { nonce: None, ..signed_time() };
    let signed = none.sign(&AwsLc, &fleet.order);
    assert_eq!(signed, Err(SignError::Object(Reason::Malformed)));
}

#[test]
fn a_life_that_is_empty_or_too_long_is_not_signed() {
    let fleet = Fleet::new();
    let with = |seconds: i64| {
        let claims = fleet.install(5);
        let expires = UnixTime(claims.issued.0.saturating_add_signed(seconds));
        TokenClaims { expires, ..claims }.sign(&AwsLc, &fleet.order).map(drop)
    };
    let refused = |reason| Err(SignError::Object(reason));
    assert_eq!(with(0), refused(Reason::Malformed));
    assert_eq!(with(-1), refused(Reason::Malformed));
    assert_eq!(with(30 * 86_400 + 1), refused(Reason::TooLarge));
    assert_eq!(with(30 * 86_400), Ok(()));
    assert_eq!(with(1), Ok(()));
}
