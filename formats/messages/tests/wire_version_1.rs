//! What goes over the wire between a hub and an agent of the first version, byte for byte.
//!
//! The bytes were written by this crate at version 0.1.0. They are not to be made anew: an agent
//! that was built then reads and writes exactly these, and stays in the field for years. Whoever
//! has to change them makes a new version of the message beside the old one.

#![allow(clippy::unwrap_used)]

use std::fmt::Debug;

use ringfort_cose::{Reason, Sha256Digest};
use ringfort_messages::{
    AnchorsVersion, AuditHead, CheckIn, CheckInAnswer, ClassId, ClassStatus, DeviceId, Link,
    LinkId, List, Nonce, OrderNumber, Problem, Protection, ReasonCode, Report, Running,
    SequenceNumber, StoreKind, Text, TimeRequest, UpdateState, UpdateStatus,
};

/// A status that flipped back, and agents that a new field broke (Azure/iot-hub-device-update#625,
/// #609, PR#655, #661): an agent of the first version says what it said then and is understood, and
/// what a newer hub says to it has nothing in it that the agent does not know.
#[test]
fn c29_messages_of_the_first_version_are_read_and_written_as_then() {
    let token = [0xd2; 5];
    let answer = CheckInAnswer {
        token: &token,
        command: None,
        link: link(),
        newest_anchors: AnchorsVersion(2),
        interval_seconds: 300,
    };
    let read = |bytes: &[u8]| CheckInAnswer::decode(bytes).map(|read| format!("{read:?}"));
    same("answer", ANSWER, answer.encode().unwrap(), read, format!("{answer:?}"));
    let read = |bytes: &[u8]| CheckIn::decode(bytes).map(|read| format!("{read:?}"));
    let first = check_in(None, None, None);
    same("first check-in", FIRST, first.encode().unwrap(), read, format!("{first:?}"));
    let running = Running {
        sequence: SequenceNumber(1_000_000),
        manifest: Sha256Digest([0xaa; 32]),
        version: Text::new("1.0").unwrap(),
    };
    let update = UpdateStatus {
        order: OrderNumber(7),
        state: UpdateState::Reverted,
        reason: Some(ReasonCode::from(Reason::HealthCheckFailed)),
    };
    let later = check_in(Some(link()), Some(running), Some(update));
    same("later check-in", LATER, later.encode().unwrap(), read, format!("{later:?}"));
    let report = Report {
        order: OrderNumber(7),
        class: ClassId([0xc1; 16]),
        sequence: SequenceNumber(1_000_000),
        manifest: Sha256Digest([0xaa; 32]),
        state: UpdateState::Failed,
        reason: Some(ReasonCode::from(Reason::ImageDigest)),
        detail: Text::new("slot b").unwrap(),
        version: Text::new("1.0").unwrap(),
    };
    let read = |bytes: &[u8]| Report::decode(bytes).map(|read| format!("{read:?}"));
    same("report", REPORT, report.encode().unwrap(), read, format!("{report:?}"));
    let problem = Problem {
        code: ReasonCode::from(Reason::LifecycleForbids),
        detail: Text::new("dev-a is retired").unwrap(),
        exchange: Text::new("0123456789abcdef").unwrap(),
    };
    let read = |bytes: &[u8]| Problem::decode(bytes).map(|read| format!("{read:?}"));
    same("problem", PROBLEM, problem.encode().unwrap(), read, format!("{problem:?}"));
    let time = TimeRequest { nonce: Nonce([1; 16]) };
    let read = |bytes: &[u8]| TimeRequest::decode(bytes).map(|read| format!("{read:?}"));
    same("time", TIME, time.encode().unwrap(), read, format!("{time:?}"));
}

/// The only message that a newer hub may say more in is the one that RFC 9290 leaves open.
#[test]
fn c29_a_new_field_would_be_refused_by_an_agent_of_the_first_version() {
    let grown = |recorded: &str| {
        let bytes = hex::decode(recorded).unwrap();
        // One more entry of a map of fewer than 23, with the key 22.
        [&[bytes[0] + 1], &bytes[1..], &[0x16, 0x60]].concat()
    };
    assert_eq!(CheckInAnswer::decode(&grown(ANSWER)).err(), Some(Reason::UnknownField));
    assert_eq!(CheckIn::decode(&grown(FIRST)).err(), Some(Reason::UnknownField));
    assert_eq!(Report::decode(&grown(REPORT)).err(), Some(Reason::UnknownField));
    assert!(Problem::decode(&grown(PROBLEM)).is_ok());
}

fn same<R: Debug>(
    what: &str,
    recorded: &str,
    written: Vec<u8>,
    read: impl Fn(&[u8]) -> Result<String, R>,
    meant: String,
) {
    assert_eq!(hex::encode(written), recorded, "{what} is written in another way");
    assert_eq!(read(&hex::decode(recorded).unwrap()).unwrap(), meant, "{what}");
}

fn check_in(link: Option<Link>, running: Option<Running>, update: Option<UpdateStatus>) -> CheckIn {
    CheckIn {
        nonce: Nonce([1; 16]),
        last_order: OrderNumber(6),
        audit: link.map(|_| AuditHead { size: 9, root: Sha256Digest([0xbb; 32]) }),
        link,
        anchors: AnchorsVersion(1),
        agent: Text::new("ringfort-agent 0.1.0").unwrap(),
        protection: Protection {
            store: StoreKind::SealedFile,
            hardware_keys: false,
            hardware_counter: false,
        },
        classes: List::from_slice(&[ClassStatus {
            class: ClassId([0xc1; 16]),
            floor: SequenceNumber(1_000_000),
            running,
        }])
        .unwrap(),
        update,
    }
}

fn link() -> Link {
    let device = DeviceId::new("dev-a").unwrap();
    Link::issue(LinkId { counter: 3, random: [2; 16] }, &device, |_| [4; 32])
}

const ANSWER: &str = "\
    a40145d2d2d2d2d2038303500202020202020202020202020202020258200404040404040404040404040404\
    04040404040404040404040404040404040404020519012c";
const FIRST: &str = "\
    a601500101010101010101010101010101010102060401057472696e67666f72742d6167656e7420302e312e\
    30068301f4f40781a20150c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1021a000f4240";
const LATER: &str = "\
    a901500101010101010101010101010101010102060383035002020202020202020202020202020202582004\
    040404040404040404040404040404040404040404040404040404040404040401057472696e67666f72742d\
    6167656e7420302e312e30068301f4f40781a30150c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1021a000f424003\
    a3011a000f4240025820aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0363\
    312e3008a30107020803736865616c74682d636865636b2d6661696c65640982095820bbbbbbbbbbbbbbbbbb\
    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const REPORT: &str = "\
    a801070250c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1031a000f4240045820aaaaaaaaaaaaaaaaaaaaaaaaaaaa\
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0507066c696d6167652d6469676573740766736c6f7420620863\
    312e30";
const PROBLEM: &str = "\
    a320716c6966656379636c652d666f726269647321706465762d612069732072657469726564227030313233\
    343536373839616263646566";
const TIME: &str = "a1015001010101010101010101010101010101";
