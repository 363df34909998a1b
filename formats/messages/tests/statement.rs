//! Statements of operators: what was signed is read, and nothing else.
#![allow(clippy::unwrap_used)]

use ringfort_cose::{AwsLc, Reason, Sign, SignError, SoftSigner, sign1};
use ringfort_messages::{BATCH, DeviceId, FleetId, STATEMENT, Statement, UnixTime};

fn statement(signer: &SoftSigner) -> Statement<'static> {
    Statement {
        fleet: FleetId([7; 16]),
        device: DeviceId::new("dev-1").unwrap(),
        to: "retired",
        at: UnixTime(1_800_000_000),
        note: "stolen from the lorry",
        key: signer.public_key(),
    }
}

#[test]
fn a_statement_is_read_as_it_was_signed() {
    let signer = SoftSigner::generate_p256().unwrap();
    let said = statement(&signer);
    let bytes = said.sign(&AwsLc, &signer).unwrap();
    assert_eq!(Statement::verify(&bytes, &AwsLc), Ok(said));
}

#[test]
fn a_statement_in_anothers_name_is_refused() {
    let (signer, other) =
        (SoftSigner::generate_p256().unwrap(), SoftSigner::generate_p256().unwrap());
    let said = statement(&signer);
    assert!(matches!(said.sign(&AwsLc, &other), Err(SignError::Object(Reason::UntrustedSigner))));
    // The payload of one, signed by the other.
    let bytes = said.sign(&AwsLc, &signer).unwrap();
    let object = ringfort_cose::Sign1::parse_object(&bytes, STATEMENT).unwrap();
    let payload = object.payload_unverified().unwrap();
    let forged = sign1(&AwsLc, &other, STATEMENT, payload).unwrap();
    assert_eq!(Statement::verify(&forged, &AwsLc), Err(Reason::UntrustedSigner));
}

#[test]
fn another_object_of_the_same_key_is_no_statement() {
    let signer = SoftSigner::generate_p256().unwrap();
    let bytes = statement(&signer).sign(&AwsLc, &signer).unwrap();
    let object = ringfort_cose::Sign1::parse_object(&bytes, STATEMENT).unwrap();
    let payload = object.payload_unverified().unwrap();
    let batch = sign1(&AwsLc, &signer, BATCH, payload).unwrap();
    assert_eq!(Statement::verify(&batch, &AwsLc), Err(Reason::WrongType));
}

#[test]
fn no_byte_of_a_statement_can_be_changed_or_left_out() {
    let signer = SoftSigner::generate_p256().unwrap();
    let bytes = statement(&signer).sign(&AwsLc, &signer).unwrap();
    for len in 0..bytes.len() {
        assert!(Statement::verify(&bytes[..len], &AwsLc).is_err(), "{len}");
        let mut changed = bytes.clone();
        changed[len] ^= 1;
        assert!(Statement::verify(&changed, &AwsLc).is_err(), "{len}");
    }
}

#[test]
fn a_note_that_is_too_long_is_not_signed() {
    let signer = SoftSigner::generate_p256().unwrap();
    let note = "x".repeat(Statement::MAX_NOTE + 1);
    let said = Statement { note: &note, ..statement(&signer) };
    assert!(matches!(said.sign(&AwsLc, &signer), Err(SignError::Object(Reason::TooLarge))));
}
