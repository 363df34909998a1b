//! Flash images for fault injection, made on the host by the slots' own code: each holds one bad
//! release that a sound loader refuses, and nothing that it may boot.

use harness::release::{Fleet, Images, Made, Release, SLOT_A};
use ringfort_cose::Reason;
use slots::{Candidate, Flash, FlashError, Hardware, Layout, Pin, Sha256, Store, TAG_BYTES, hmac};

use crate::device::{FLASH_LEN, SECRET};

const FLASH_AT: u32 = 0x8000_0000;
const FUSES: usize = 0xff_f000;

/// Exit code of the first instructions of a bad image.
pub const BAD: i32 = 0x77;

/// A flash image and what is wrong with it.
pub struct Scene {
    pub name: &'static str,
    pub flash: Vec<u8>,
    /// Whether the faults in cryptographic code are tried on it too.
    pub crypto: bool,
    /// Whether a sound loader boots it: the twin of the attacks.
    pub good: bool,
    /// What comes over the console of a device that waits for it, and why it is refused.
    pub line: Option<(Vec<u8>, Option<Reason>)>,
}

/// A fleet whose images end the emulator with their first instructions.
pub fn fleet() -> Fleet {
    let mut secure = vec![0; 0x58];
    let words = [
        (0, 0x3801_4000u32),
        (4, 0x1002_0045),
        (0x44, 0x4901_2020),
        (0x48, 0xe7fe_beab),
        (0x4c, 0x1002_0050),
        (0x50, 0x20026),
        (0x54, BAD as u32),
    ];
    for (at, word) in words {
        secure[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    let images = Images { secure, nonsecure: (0..100).collect() };
    Fleet::new(&images, 2, 0)
}

/// Every scene, those without an attack among them.
pub fn all(fleet: &Fleet) -> Vec<Scene> {
    let good = fleet.good(5);
    let scene = |name, crypto, flash| Scene { name, flash, crypto, good: false, line: None };
    let mut scenes =
        vec![Scene { good: true, ..scene("good", false, trial(fleet, &good, &good, 0)) }];
    let forged = good.clone().with_bad_signature();
    scenes.push(scene("forged-signature", true, trial(fleet, &good, &forged, 0)));
    let flipped = good.clone().with_flipped_payload(1, 50);
    scenes.push(scene("flipped-payload", true, trial(fleet, &good, &flipped, 0)));
    let few = fleet.release(&Made { number: 5, signers: Some(vec![11]), ..Made::default() });
    scenes.push(scene("one-signature-of-two", false, trial(fleet, &good, &few, 0)));
    let other = Made { number: 5, class: Some([0xc2; 16]), ..Made::default() };
    let other = fleet.release(&other);
    scenes.push(scene("wrong-class", false, trial(fleet, &other, &other, 0)));
    scenes.push(scene("budget-spent", false, trial(fleet, &good, &good, 3)));

    // The same, each attempt spent by a start of its own: the newest record stands alone.
    let mut flash = trial(fleet, &good, &good, 0);
    for _ in 0..3 {
        let mut store = Store::mount(Host::of(flash)).expect("a record");
        let id = store.state().spare();
        store.spend(id).expect("an attempt");
        flash = store.into_hardware().bytes;
    }
    scenes.push(scene("budget-spent-over-starts", false, flash));

    // The first start: no record, and what the factory wrote is not what was signed.
    let mut device = Host::new(fleet);
    device.put(SLOT_A, &fleet.slot(&forged, 1));
    scenes.push(scene("forged-at-the-factory", false, device.bytes));

    // The same, and what the factory wrote brings anchors of its own, whose keys signed it.
    let foreign = fleet.good_under(5, 2);
    let mut device = Host::new(fleet);
    device.put(SLOT_A, &fleet.slot(&foreign, 2));
    scenes.push(scene("foreign-anchors-at-the-factory", false, device.bytes));

    // Release 5 is confirmed; an older one lies in its slot.
    let mut device = Host::new(fleet);
    device.put(SLOT_A, &fleet.slot(&good, 1));
    let mut store = started(device, fleet, &good).expect("a record");
    let id = store.state().spare();
    store.confirm(id).expect("a confirmation");
    let mut flash = store.into_hardware().bytes;
    let older = fleet.good(3);
    let slot = fleet.slot(&older, 1);
    let at = (SLOT_A - FLASH_AT) as usize;
    flash[at..at + slot.len()].copy_from_slice(&slot);
    scenes.push(scene("older-release-in-the-slot", false, flash));

    // Records and slot of an older release, and a counter that has moved on since.
    let mut flash = trial(fleet, &older, &older, 0);
    flash[FUSES] = 0xfc;
    scenes.push(scene("older-records", false, flash));
    scenes.extend(recovery(fleet));
    scenes
}

/// Release 5 was confirmed and is gone from its slot, the other slot was never written: the device
/// waits for a release, and this is what comes.
fn recovery(fleet: &Fleet) -> Vec<Scene> {
    let mut device = Host::new(fleet);
    let good = fleet.good(5);
    device.put(SLOT_A, &fleet.slot(&good, 1));
    let mut store = started(device, fleet, &good).expect("a record");
    let id = store.state().spare();
    store.confirm(id).expect("a confirmation");
    let mut device = store.into_hardware();
    device.put(SLOT_A, &[0xff; 0x4000]);
    let flash = device.bytes;

    let next = fleet.good(6);
    let made = |made: Made| fleet.release(&Made { number: 6, ..made });
    let scene = |name, crypto, release: &Release, reason: Option<Reason>| Scene {
        name,
        flash: flash.clone(),
        crypto,
        good: reason.is_none(),
        line: Some((release.stream(), reason)),
    };
    let bad = |name, release: &Release, reason| scene(name, false, release, Some(reason));
    // Anchors that somebody wrote over the device's, and a release by their keys.
    let mut foreign = Host::of(flash.clone());
    foreign.put(layout().anchors[0].at, fleet.anchors(2));
    let foreign = Scene {
        flash: foreign.bytes,
        ..bad("recovery-foreign-anchors", &fleet.good_under(6, 2), Reason::AnchorsDigest)
    };
    let (forged, flipped) =
        (next.clone().with_bad_signature(), next.clone().with_flipped_payload(1, 50));
    vec![
        scene("recovery-good", false, &next, None),
        scene("recovery-forged-signature", true, &forged, Some(Reason::BadSignature)),
        scene("recovery-flipped-payload", true, &flipped, Some(Reason::ImageDigest)),
        bad(
            "recovery-one-signature-of-two",
            &made(Made { signers: Some(vec![11]), ..Made::default() }),
            Reason::ThresholdNotMet,
        ),
        bad("recovery-older-release", &fleet.good(3), Reason::SequenceTooLow),
        bad(
            "recovery-wrong-class",
            &made(Made { class: Some([0xc2; 16]), ..Made::default() }),
            Reason::WrongDevice,
        ),
        foreign,
    ]
}

/// A device whose slot A holds `held`, on trial by a record that names `recorded`.
fn trial(fleet: &Fleet, recorded: &Release, held: &Release, spent: u32) -> Vec<u8> {
    let mut device = Host::new(fleet);
    device.put(SLOT_A, &fleet.slot(held, 1));
    let mut store = started(device, fleet, recorded).expect("a record");
    let id = store.state().spare();
    for _ in 0..spent {
        store.spend(id).expect("an attempt");
    }
    store.into_hardware().bytes
}

fn started(device: Host, fleet: &Fleet, release: &Release) -> Result<Store<Host>, Reason> {
    let anchors = fleet.anchors(1);
    let digest = Sha256::digest(anchors);
    let mut scratch = vec![0; anchors.len()];
    let mut store = Store::adopt_anchors(device, anchors.len() as u32, &digest, &mut scratch)?;
    let pin = Pin {
        sequence: release.sequence(),
        digest: release.digest().0,
        anchors_version: 1,
        anchors_digest: digest,
    };
    let id = store.adopt(&Candidate { pin, len: 0 }, |_, _| Ok(()))?;
    store.arm(id)?;
    Ok(store)
}

/// The board's flash in this process's memory.
struct Host {
    bytes: Vec<u8>,
    layout: Layout,
    key: [u8; 32],
}

impl Host {
    fn new(fleet: &Fleet) -> Host {
        let mut host = Host::of(vec![0xff; FLASH_LEN]);
        host.put(host.layout.anchors[0].at, fleet.anchors(1));
        host
    }

    fn of(bytes: Vec<u8>) -> Host {
        Host { bytes, layout: layout(), key: hmac(&SECRET, &[b"ringfort/record/1"]) }
    }

    fn put(&mut self, at: u32, bytes: &[u8]) {
        let at = (at - FLASH_AT) as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

fn layout() -> Layout {
    mps2::map::LAYOUT
}

impl Flash for Host {
    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashError> {
        let at = (at - FLASH_AT) as usize;
        into.copy_from_slice(self.bytes.get(at..at + into.len()).ok_or(FlashError)?);
        Ok(())
    }

    fn program(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.put(at, bytes);
        Ok(())
    }

    fn erase(&mut self, at: u32) -> Result<(), FlashError> {
        self.put(at, &[0xff; 0x1000]);
        Ok(())
    }
}

impl Hardware for Host {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn counter(&mut self) -> u32 {
        self.bytes[FUSES..].iter().map(|byte| byte.count_zeros()).sum()
    }

    fn advance(&mut self, value: u32) -> Result<(), FlashError> {
        for bit in self.counter()..value {
            self.bytes[FUSES + bit as usize / 8] &= !(1 << (bit % 8));
        }
        Ok(())
    }

    fn tag(&self, bytes: &[u8]) -> [u8; TAG_BYTES] {
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&hmac(&self.key, &[bytes])[..TAG_BYTES]);
        tag
    }
}
