//! Writes the seeds of the targets `anchors`, `batch`, `messages`, `slot_content`, `slot_records` and
//! `token`.

use std::path::Path;

use boot::SlotHeader;
use ringfort_cose::Sha256Digest;
use ringfort_fuzz::fleet::{FLEET, Zeros, anchors, spec};
use ringfort_fuzz::Agreeable;
use ringfort_fuzz::flash::{IDENTITY, Ram};
use ringfort_messages::{
    AuditHead, BatchSpec, Chain, CheckIn, CheckInAnswer, ClassId, ClassStatus, DeviceId,
    IdentityAnswer, IdentityRequest, Link, LinkId, List, Nonce, OrderNumber, Problem, Protection,
    RecordSpec, Report, Running, SequenceNumber, SiteId, StoreKind, Text, TimeRequest, Ueid,
    UnixTime, UpdateState, UpdateStatus, VendorId,
};
use ringfort_suit::{NewComponent, NewRelease, sign};
use ringfort_trust::ids::AnchorsVersion;
use ringfort_trust::{CommandAction, CommandClaims, Content, Order, Task, TokenClaims};
use slots::{Candidate, Pin, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = DeviceId::new("dev-a")?;
    let (ueid, class) = (Ueid::from_random([8; 16]), ClassId([2; 16]));
    let digest = Sha256Digest([3; 32]);
    let protection =
        Protection { store: StoreKind::Tpm2, hardware_keys: true, hardware_counter: true };
    let audit = AuditHead { size: 9, root: digest };
    let claims = TokenClaims {
        fleet: FLEET,
        device,
        issued: UnixTime(1_800_000_100),
        expires: UnixTime(1_800_086_500),
        nonce: Some(Nonce([5; 16])),
        content: Content::Time(audit),
    };
    let order = |task| {
        let order = Order { number: OrderNumber(7), task, min_anchors: AnchorsVersion(1) };
        TokenClaims { content: Content::Order(order), ..claims }
    };
    let command = |action| CommandClaims {
        fleet: FLEET,
        device,
        issued: claims.issued,
        expires: claims.expires,
        number: OrderNumber(7),
        action,
        nonce: (action == CommandAction::DebugUnlock).then_some(Nonce([5; 16])),
    };
    let hub = Zeros(2);
    let install = order(Task::Install { manifest: digest });
    let wipe = Task::Command { action: CommandAction::WipeOperational, command: digest };
    write("token", "time", &claims.sign(&Agreeable, &hub)?)?;
    write("token", "install", &install.sign(&Agreeable, &hub)?)?;
    let offline = TokenClaims { nonce: None, ..install };
    write("token", "offline", &offline.sign(&Agreeable, &hub)?)?;
    write("token", "wipe", &order(wipe).sign(&Agreeable, &hub)?)?;
    for action in CommandAction::ALL {
        write("token", action.name(), &command(action).sign(&Agreeable, &[&Zeros(3)])?)?;
    }

    write("anchors", "first", &anchors())?;
    write("anchors", "second", &spec(2).sign(&Agreeable, &[&Zeros(1)])?)?;
    write("anchors", "unsigned", &spec(3).encode(&Agreeable)?)?;

    let record = RecordSpec {
        ueid,
        device,
        class,
        protection,
        anchors: digest,
        idevid: vec![1; 8],
        idevid_csr: vec![2; 8],
        attestation_csr: vec![3; 8],
    };
    let batch = BatchSpec {
        fleet: FLEET,
        site: SiteId::new("plant-1")?,
        number: 1,
        previous: None,
        closed: claims.issued,
        records: vec![record.clone(), record],
    };
    write("batch", "first", &batch.sign(&Agreeable, &Zeros(5))?)?;
    let second = BatchSpec { number: 2, previous: Some(digest), ..batch };
    write("batch", "second", &second.sign(&Agreeable, &Zeros(5))?)?;

    let link = Link::issue(LinkId { counter: 4, random: [6; 16] }, &device, |_| [7; 32]);
    let sequence = SequenceNumber(1_800_000_000);
    let running = Some(Running { sequence, manifest: digest, version: Text::new("1.1")? });
    let check_in = CheckIn {
        nonce: Nonce([5; 16]),
        last_order: OrderNumber(7),
        link: Some(link),
        anchors: AnchorsVersion(1),
        agent: Text::new("agent 1")?,
        protection,
        classes: List::from_slice(&[ClassStatus { class, floor: sequence, running }])?,
        update: Some(UpdateStatus {
            order: OrderNumber(7),
            state: UpdateState::Trial,
            reason: None,
        }),
        audit: Some(audit),
    };
    write("messages", "check-in", &check_in.encode()?)?;
    let first = CheckIn { link: None, update: None, audit: None, ..check_in };
    write("messages", "check-in-first", &first.encode()?)?;
    let answer = CheckInAnswer {
        token: &[1; 8],
        command: Some(&[2; 8]),
        link,
        newest_anchors: AnchorsVersion(2),
        interval_seconds: 300,
    };
    write("messages", "answer", &answer.encode()?)?;
    let report = Report {
        order: OrderNumber(7),
        class,
        sequence,
        manifest: digest,
        state: UpdateState::Failed,
        reason: Some(ringfort_cose::Reason::ImageDigest.into()),
        detail: Text::new("component 0")?,
        version: Text::new("1.0")?,
    };
    write("messages", "report", &report.encode()?)?;
    write("messages", "time-request", &TimeRequest { nonce: Nonce([5; 16]) }.encode()?)?;
    let problem = Problem {
        code: ringfort_cose::Reason::NotFound.into(),
        detail: Text::new("no such object")?,
        exchange: Text::new("b0c4")?,
    };
    write("messages", "problem", &problem.encode()?)?;
    let request = IdentityRequest {
        ueid,
        protection,
        idevid_csr: &[2; 8],
        attestation_csr: &[3; 8],
        agent: Text::new("agent 1")?,
    };
    write("messages", "identity-request", &request.encode()?)?;
    let identity = IdentityAnswer {
        ueid,
        device,
        vendor: VendorId([1; 16]),
        class,
        chain: Chain::new(&[&[1; 8], &[2; 8]])?,
        anchors: &[4; 16],
    };
    write("messages", "identity", &identity.encode()?)?;
    write("messages", "link", &link.encode()?)?;
    slots()
}

/// A slot, and the record log at four moments of a device's life.
fn slots() -> Result<(), Box<dyn std::error::Error>> {
    let component = |name: &str| NewComponent {
        id: vec![name.as_bytes().to_vec()],
        vendor: IDENTITY.vendor,
        class: IDENTITY.class,
        digest: Sha256Digest([0; 32]),
        size_bytes: 64,
        uri: "coap://images.example/a".into(),
    };
    let release = NewRelease {
        sequence_number: 1_800_000_000,
        version: "1.1".into(),
        components: vec![component("secure"), component("nonsecure")],
        ..NewRelease::default()
    };
    let anchors = anchors();
    let envelope = release.build(&Agreeable)?;
    let signed = sign(&Agreeable, &Zeros(6), &envelope)?;
    for (name, envelope) in [("unsigned", &envelope), ("signed", &signed)] {
        let lengths = [envelope, &anchors].map(|part| u32::try_from(part.len()));
        let header = SlotHeader { envelope: lengths[0]?, anchors: lengths[1]? };
        write("slot_content", name, &[&header.to_bytes(), &envelope[..], &anchors].concat())?;
    }

    let moment = |name: &str, store: &Store<&mut Ram>, ram: &[u8]| {
        let used = ram[..0x2000].iter().rposition(|byte| *byte != 0xff).map_or(0, |at| at + 1);
        let counter = u8::try_from(store.state().counter).unwrap_or(u8::MAX);
        write("slot_records", name, &[&[0, counter], &ram[..used]].concat())
    };
    let mut ram = Ram::holding(0, &[]);
    let pin = Pin { sequence: 7, digest: [7; 32], anchors_version: 1, anchors_digest: [0; 32] };
    let mut store = Store::provision(&mut ram, &anchors, 1)?;
    let id = store.begin(&Candidate { pin, len: 64 })?;
    store.finish(id, |_, _| Ok(()))?;
    let log = store.hardware().bytes.clone();
    moment("written", &store, &log)?;
    store.arm(id)?;
    store.spend(id)?;
    let log = store.hardware().bytes.clone();
    moment("trial", &store, &log)?;
    store.confirm(id)?;
    let log = store.hardware().bytes.clone();
    moment("confirmed", &store, &log)?;
    let next = store.begin(&Candidate { pin: Pin { sequence: 8, ..pin }, len: 64 })?;
    store.finish(next, |_, _| Ok(()))?;
    store.arm(next)?;
    store.revert(next, ringfort_cose::Reason::HealthCheckFailed)?;
    let log = store.hardware().bytes.clone();
    moment("reverted", &store, &log)?;
    Ok(())
}

fn write(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), bytes)
}
