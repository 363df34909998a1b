//! The bodies of the device API and the files of the factory: round trips and refusals.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use ringfort_cose::{Reason, Sha256Digest};
use ringfort_messages::{
    AnchorsVersion, AuditHead, Chain, CheckIn, CheckInAnswer, ClassId, ClassStatus, DeviceId,
    IdentityAnswer, IdentityRequest, Link, LinkId, List, Nonce, OrderNumber, Problem, Protection,
    ReasonCode, Report, Running, SequenceNumber, StoreKind, Text, TimeRequest, Ueid, UpdateState,
    UpdateStatus, VendorId,
};

fn link() -> impl Strategy<Value = Link> {
    (any::<u64>(), any::<[u8; 16]>(), any::<[u8; 32]>()).prop_map(|(counter, random, mac)| {
        Link::issue(LinkId { counter, random }, &device(), |_| mac)
    })
}

fn device() -> DeviceId {
    DeviceId::new("dev-a").unwrap()
}

fn protection() -> impl Strategy<Value = Protection> {
    (0..StoreKind::ALL.len(), any::<bool>(), any::<bool>()).prop_map(
        |(kind, hardware_keys, hardware_counter)| Protection {
            store: StoreKind::ALL[kind],
            hardware_keys,
            hardware_counter,
        },
    )
}

fn text<const N: usize>(pattern: &'static str) -> impl Strategy<Value = Text<N>> {
    pattern.prop_map(|text| Text::new(&text).unwrap())
}

fn class() -> impl Strategy<Value = ClassStatus> {
    let running = (any::<u64>(), any::<[u8; 32]>(), text("[ -~ä]{0,32}")).prop_map(
        |(sequence, manifest, version)| Running {
            sequence: SequenceNumber(sequence),
            manifest: Sha256Digest(manifest),
            version,
        },
    );
    (any::<[u8; 16]>(), any::<u64>(), proptest::option::of(running)).prop_map(
        |(class, floor, running)| ClassStatus {
            class: ClassId(class),
            floor: SequenceNumber(floor),
            running,
        },
    )
}

fn update() -> impl Strategy<Value = UpdateStatus> {
    (any::<u64>(), 0..UpdateState::ALL.len(), "[a-z][a-z0-9-]{0,39}").prop_map(
        |(order, state, code)| {
            let state = UpdateState::ALL[state];
            let reason = state.has_reason().then(|| ReasonCode::new(&code).unwrap());
            UpdateStatus { order: OrderNumber(order), state, reason }
        },
    )
}

fn audit() -> impl Strategy<Value = AuditHead> {
    (any::<u64>(), any::<[u8; 32]>())
        .prop_map(|(size, root)| AuditHead { size, root: Sha256Digest(root) })
}

prop_compose! {
    fn check_in()(
        nonce in any::<[u8; 16]>(),
        last_order in any::<u64>(),
        link in proptest::option::of(link()),
        anchors in any::<u64>(),
        agent in text("[ -~]{0,64}"),
        protection in protection(),
        classes in proptest::collection::vec(class(), 1..=8),
        update in proptest::option::of(update()),
        audit in proptest::option::of(audit()),
    ) -> CheckIn {
        CheckIn {
            nonce: Nonce(nonce),
            last_order: OrderNumber(last_order),
            link,
            anchors: AnchorsVersion(anchors),
            agent,
            protection,
            classes: List::from_slice(&classes).unwrap(),
            update,
            audit,
        }
    }
}

proptest! {
    #[test]
    fn a_check_in_is_read_back(check_in in check_in()) {
        let bytes = check_in.encode().unwrap();
        prop_assert!(bytes.len() <= CheckIn::MAX_LEN);
        prop_assert_eq!(CheckIn::decode(&bytes), Ok(check_in));
        let mut buffer = [0; CheckIn::MAX_LEN];
        prop_assert_eq!(check_in.encode_into(&mut buffer).unwrap(), &bytes);
        let mut short = vec![0; bytes.len() - 1];
        prop_assert_eq!(check_in.encode_into(&mut short), Err(Reason::TooLarge));
    }

    #[test]
    fn an_answer_is_read_back(
        token in proptest::collection::vec(any::<u8>(), 1..=1024),
        command in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..=1024)),
        link in link(),
        newest in any::<u64>(),
        interval in 1..=CheckInAnswer::MAX_INTERVAL_SECONDS,
    ) {
        let answer = CheckInAnswer {
            token: &token,
            command: command.as_deref(),
            link,
            newest_anchors: AnchorsVersion(newest),
            interval_seconds: interval,
        };
        let bytes = answer.encode().unwrap();
        prop_assert_eq!(CheckInAnswer::decode(&bytes), Ok(answer));
    }

    #[test]
    fn a_report_is_read_back(
        update in update(),
        class in any::<[u8; 16]>(),
        sequence in any::<u64>(),
        manifest in any::<[u8; 32]>(),
        detail in text("[ -~]{0,512}"),
        version in text("[ -~]{0,64}"),
    ) {
        let report = Report {
            order: update.order,
            class: ClassId(class),
            sequence: SequenceNumber(sequence),
            manifest: Sha256Digest(manifest),
            state: update.state,
            reason: update.reason,
            detail: if update.reason.is_some() { detail } else { Text::EMPTY },
            version,
        };
        let bytes = report.encode().unwrap();
        prop_assert!(bytes.len() <= Report::MAX_LEN);
        prop_assert_eq!(Report::decode(&bytes), Ok(report));
    }

    #[test]
    fn problems_and_time_requests_are_read_back(
        code in "[a-z][a-z0-9-]{0,39}",
        detail in text("[ -~]{0,256}"),
        exchange in text("[a-z0-9-]{0,64}"),
        nonce in any::<[u8; 16]>(),
    ) {
        let problem = Problem { code: ReasonCode::new(&code).unwrap(), detail, exchange };
        prop_assert_eq!(Problem::decode(&problem.encode().unwrap()), Ok(problem));
        let request = TimeRequest { nonce: Nonce(nonce) };
        prop_assert_eq!(TimeRequest::decode(&request.encode().unwrap()), Ok(request));
    }

    #[test]
    fn identity_files_are_read_back(
        ueid in any::<[u8; 16]>(),
        protection in protection(),
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..=2048), 5),
        above in 0..=2usize,
    ) {
        let ueid = Ueid::from_random(ueid);
        let request = IdentityRequest {
            ueid,
            protection,
            idevid_csr: &parts[0],
            attestation_csr: &parts[1],
            agent: Text::new("agent 1").unwrap(),
        };
        let bytes = request.encode().unwrap();
        prop_assert!(bytes.len() <= IdentityRequest::MAX_LEN);
        prop_assert_eq!(IdentityRequest::decode(&bytes), Ok(request));

        let chain: Vec<&[u8]> = parts.iter().map(Vec::as_slice).take(1 + above).collect();
        let answer = IdentityAnswer {
            ueid,
            device: device(),
            vendor: VendorId([1; 16]),
            class: ClassId([2; 16]),
            chain: Chain::new(&chain).unwrap(),
            anchors: &parts[4],
        };
        let bytes = answer.encode().unwrap();
        prop_assert!(bytes.len() <= IdentityAnswer::MAX_LEN);
        prop_assert_eq!(IdentityAnswer::decode(&bytes), Ok(answer));
    }

    #[test]
    fn any_bytes_are_refused_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..256),
    ) {
        prop_assert!(CheckIn::decode(&bytes).is_err());
        prop_assert!(CheckInAnswer::decode(&bytes).is_err());
        prop_assert!(Report::decode(&bytes).is_err());
        prop_assert!(IdentityRequest::decode(&bytes).is_err());
        prop_assert!(IdentityAnswer::decode(&bytes).is_err());
        let _ = (TimeRequest::decode(&bytes), Problem::decode(&bytes), Link::decode(&bytes));
    }

    /// Whatever one byte becomes, what is read can be written, and is then the very same bytes:
    /// there is one encoding of each message.
    #[test]
    fn there_is_one_encoding(
        check_in in check_in(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = check_in.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = CheckIn::decode(&bytes) {
            prop_assert_eq!(read.encode().unwrap(), bytes);
        }
    }
}

fn sample() -> CheckIn {
    CheckIn {
        nonce: Nonce([1; 16]),
        last_order: OrderNumber(0),
        link: None,
        anchors: AnchorsVersion(1),
        agent: Text::new("agent 1").unwrap(),
        protection: Protection {
            store: StoreKind::SealedFile,
            hardware_keys: false,
            hardware_counter: false,
        },
        classes: List::from_slice(&[status(1)]).unwrap(),
        update: None,
        audit: None,
    }
}

fn status(class: u8) -> ClassStatus {
    ClassStatus { class: ClassId([class; 16]), floor: SequenceNumber(0), running: None }
}

/// A map of one more entry, with this key and an empty text, at the end.
fn with_entry(bytes: &[u8], key: &[u8]) -> Vec<u8> {
    [&[bytes[0] + 1], &bytes[1..], key, &[0x60]].concat()
}

#[test]
fn a_field_that_nobody_defined_is_refused() {
    let bytes = sample().encode().unwrap();
    assert!(CheckIn::decode(&bytes).is_ok());
    for key in [&[0x17][..], &[0x20], &[0x61, b'x']] {
        assert_eq!(CheckIn::decode(&with_entry(&bytes, key)), Err(Reason::UnknownField));
    }
    // In RFC 9290 such a field is passed over.
    let problem = Problem {
        code: ReasonCode::from(Reason::Expired),
        detail: Text::EMPTY,
        exchange: Text::EMPTY,
    };
    let bytes = problem.encode().unwrap();
    for key in [&[0x17][..], &[0x37], &[0x61, b'x'], &[0x1b; 9]] {
        assert_eq!(Problem::decode(&with_entry(&bytes, key)), Ok(problem));
    }
    assert_eq!(Problem::decode(&[0xa0]), Err(Reason::Malformed));
}

#[test]
fn trailing_bytes_and_cuts_are_refused() {
    let bytes = sample().encode().unwrap();
    for len in 0..bytes.len() {
        assert_eq!(CheckIn::decode(&bytes[..len]), Err(Reason::Malformed), "{len}");
    }
    assert_eq!(CheckIn::decode(&[&bytes[..], &[0]].concat()), Err(Reason::Malformed));
}

#[test]
fn lengths_and_counts_beyond_their_bounds_are_refused() {
    assert_eq!(CheckIn::decode(&[0; CheckIn::MAX_LEN + 1]), Err(Reason::TooLarge));
    assert_eq!(Report::decode(&[0; Report::MAX_LEN + 1]), Err(Reason::TooLarge));
    assert_eq!(TimeRequest::decode(&[0; TimeRequest::MAX_LEN + 1]), Err(Reason::TooLarge));
    assert_eq!(Problem::decode(&[0; Problem::MAX_LEN + 1]), Err(Reason::TooLarge));
    let eight: Vec<ClassStatus> = (0..8).map(status).collect();
    let nine: Vec<ClassStatus> = (0..9).map(status).collect();
    assert!(List::<ClassStatus, 8>::from_slice(&eight).is_ok());
    assert_eq!(List::<ClassStatus, 8>::from_slice(&nine), Err(Reason::TooLarge));
    let none = CheckIn { classes: List::EMPTY, ..sample() };
    assert_eq!(CheckIn::decode(&none.encode().unwrap()), Err(Reason::Malformed));
    let twice = CheckIn { classes: List::from_slice(&[status(1); 2]).unwrap(), ..sample() };
    assert_eq!(CheckIn::decode(&twice.encode().unwrap()), Err(Reason::Malformed));
    assert_eq!(Chain::new(&[]), Err(Reason::Malformed));
    assert_eq!(Chain::new(&[&[]]), Err(Reason::Malformed));
    assert_eq!(Chain::new(&[&[1][..]; 4]), Err(Reason::TooLarge));
    assert_eq!(Chain::new(&[&[1; 2049]]), Err(Reason::TooLarge));
    assert!(Chain::new(&[&[1; 2048][..]; 3]).is_ok());
}

#[test]
fn an_interval_of_nought_or_beyond_a_week_is_refused() {
    let answer = |interval_seconds| {
        let id = LinkId { counter: 1, random: [0; 16] };
        let answer = CheckInAnswer {
            token: &[1],
            command: None,
            link: Link::issue(id, &device(), |_| [0; 32]),
            newest_anchors: AnchorsVersion(1),
            interval_seconds,
        };
        CheckInAnswer::decode(&answer.encode().unwrap()).map(drop)
    };
    assert_eq!(answer(0), Err(Reason::TooLarge));
    assert_eq!(answer(604_801), Err(Reason::TooLarge));
    assert_eq!(answer(604_800), Ok(()));
}

#[test]
fn a_reason_stands_with_the_states_that_have_one_and_no_others() {
    for state in UpdateState::ALL {
        for reason in [None, Some(ReasonCode::from(Reason::ImageDigest))] {
            let update = Some(UpdateStatus { order: OrderNumber(1), state, reason });
            let read = CheckIn::decode(&CheckIn { update, ..sample() }.encode().unwrap());
            let report = Report {
                order: OrderNumber(1),
                class: ClassId([1; 16]),
                sequence: SequenceNumber(1),
                manifest: Sha256Digest([1; 32]),
                state,
                reason,
                detail: Text::EMPTY,
                version: Text::EMPTY,
            };
            let fits = state.has_reason() == reason.is_some();
            assert_eq!(read.is_ok(), fits, "{state}");
            assert_eq!(report.encode().is_ok(), fits, "{state}");
        }
    }
}

#[test]
fn every_reason_travels_as_its_code_and_an_unknown_one_is_kept() {
    for reason in Reason::ALL {
        let code = ReasonCode::from(*reason);
        assert_eq!(ReasonCode::new(code.as_str()), Ok(code));
        assert_eq!(code.reason(), Some(*reason));
    }
    let later = ReasonCode::new("from-a-later-version").unwrap();
    assert_eq!(later.reason(), None);
    assert_eq!(ReasonCode::new(""), Err(Reason::Malformed));
    assert_eq!(ReasonCode::new("Expired"), Err(Reason::Malformed));
    assert_eq!(ReasonCode::new(&"a".repeat(41)), Err(Reason::TooLarge));
}

#[test]
fn update_states_go_forward_only_and_end() {
    use UpdateState::{Confirmed, Downloading, Failed, Offered, Refused, Reverted, Trial, Written};
    let table: [(UpdateState, &[UpdateState]); 8] = [
        (Offered, &[Downloading, Written, Trial, Confirmed, Refused, Failed, Reverted]),
        (Downloading, &[Written, Trial, Confirmed, Refused, Failed, Reverted]),
        (Written, &[Trial, Confirmed, Refused, Failed, Reverted]),
        (Trial, &[Confirmed, Reverted]),
        (Confirmed, &[]),
        (Refused, &[]),
        (Failed, &[]),
        (Reverted, &[]),
    ];
    for (from, allowed) in table {
        for to in UpdateState::ALL {
            assert_eq!(from.may_become(to), allowed.contains(&to), "{from} to {to}");
        }
        assert_eq!(from.is_terminal(), allowed.is_empty());
        assert_eq!(UpdateState::from_name(from.name()), Ok(from));
    }
}

#[test]
fn store_kinds_have_names_and_numbers_of_their_own() {
    for (index, kind) in StoreKind::ALL.into_iter().enumerate() {
        assert_eq!(kind.number(), index as u64 + 1);
        assert_eq!(StoreKind::from_name(kind.name()), Ok(kind));
    }
    assert_eq!(StoreKind::from_name("usb-stick"), Err(Reason::Unsupported));
}
