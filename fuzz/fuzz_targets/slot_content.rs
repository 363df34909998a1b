//! Whatever a slot holds, judging it ends; where the full readers take what the boot loader's short
//! ones took, they understand the same.
#![no_main]

use boot::{SlotHeader, examine};
use libfuzzer_sys::fuzz_target;
use ringfort_cose::Sha256Digest;
use ringfort_fuzz::Agreeable;
use ringfort_fuzz::flash::{IDENTITY, Ram, SLOT, Zeros};
use ringfort_suit::{Envelope, Outline, Release};
use ringfort_trust::ids::ClassId;
use ringfort_trust::{Document, Pinned};
use slots::Pin;

fuzz_target!(|data: &[u8]| {
    let mut flash = Ram::holding(SLOT.at, &data[..data.len().min(SLOT.len as usize)]);
    let Ok(header) = SlotHeader::read(&mut flash, SLOT) else { return };
    let start = SLOT.at as usize + SlotHeader::LEN;
    let slot = flash.bytes[start..].to_vec();
    let (envelope, rest) = slot.split_at(header.envelope as usize);
    let anchors = &rest[..header.anchors as usize];

    let sequence = Outline::read(envelope, &Agreeable).map_or(0, |o| o.sequence_number);
    let pin = Pin { sequence, digest: [0; 32], anchors_version: 1, anchors_digest: [0; 32] };
    let mut scratch = vec![0; 0x3000];
    let judged =
        examine(&mut flash, SLOT, &pin, &IDENTITY, &Agreeable, &mut Zeros, &mut scratch);
    let Ok(image) = judged else { return };

    if let Ok(parsed) = Envelope::parse(envelope, &Agreeable) {
        assert_eq!(parsed.manifest().sequence_number, image.sequence);
        assert_eq!(parsed.manifest_digest(), Sha256Digest(pin.digest));
        if let Ok(release) = Release::of(&parsed) {
            assert_eq!(release.components().len(), image.sizes.len());
            for (component, size) in release.components().iter().zip(image.sizes) {
                assert_eq!((component.vendor, component.class), (IDENTITY.vendor, IDENTITY.class));
                assert_eq!((component.device, component.size_bytes), (None, u64::from(size)));
            }
        }
    }

    // A document that the device would have taken means the same to both readers.
    let Ok(document) = Document::parse(anchors) else { return };
    let pinned = Pinned::open(anchors, &[0; 32], &Agreeable).expect("it was opened");
    let digest = Sha256Digest(image.stated[0]);
    assert_eq!(pinned.is_revoked(&digest), document.is_revoked(&digest));
    let class = ClassId(IDENTITY.class);
    let (short, full) = (pinned.signers(&class), document.product(&class));
    assert_eq!(short.map(|s| s.threshold).ok(), full.map(|product| product.threshold));
});
