//! The example envelopes of the draft.
#![allow(clippy::unwrap_used)]

mod common;

use common::{draft_key, judge_single, p256, vector, vectors};
use ringfort_cose::{AwsLc, Reason, Sign};
use ringfort_suit::{Action, Command, Envelope, Phase, Platform, Release, Target, encode, run};

#[test]
fn all_thirteen_decode_and_their_digests_match() {
    assert_eq!(vectors().len(), 13);
    for name in vectors() {
        let bytes = vector(&name);
        let envelope = Envelope::parse(&bytes, &AwsLc);
        let number = name.as_bytes()[7] - b'0';
        assert_eq!(envelope.unwrap().manifest().sequence_number, u64::from(number), "{name}");
    }
}

#[test]
fn the_seven_signatures_verify_and_the_six_unsigned_do_not() {
    let key = draft_key();
    let (mut good, mut unsigned) = (0, 0);
    for name in vectors() {
        let verdict = judge_single(&vector(&name), &key);
        if name.contains("unsigned") {
            assert_eq!(verdict, Err(Reason::ThresholdNotMet), "{name}");
            unsigned += 1;
        } else {
            assert_eq!(verdict, Ok(()), "{name}");
            let other = judge_single(&vector(&name), &p256().public_key());
            assert_eq!(other, Err(Reason::BadSignature), "{name}");
            good += 1;
        }
    }
    assert_eq!((good, unsigned), (7, 6));
}

#[test]
fn all_thirteen_are_encoded_from_the_model_byte_for_byte() {
    for name in vectors() {
        let bytes = vector(&name);
        let envelope = Envelope::parse(&bytes, &AwsLc).unwrap();
        assert_eq!(encode(&envelope).unwrap(), bytes, "{name}");
    }
}

#[test]
fn every_flipped_bit_of_a_signed_example_is_refused() {
    let key = draft_key();
    for name in vectors().iter().filter(|name| !name.contains("unsigned")) {
        let bytes = vector(name);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(judge_single(&flipped, &key).is_err(), "{name}: bit {bit} was accepted");
        }
        assert_eq!(judge_single(&bytes, &key), Ok(()));
    }
}

#[test]
fn what_no_device_executes_is_refused_before_anything_is_executed() {
    // Copy stands in example 4, swap and write in none, so example 4 fetches before it copies.
    let bytes = vector("example4-unsigned.suit");
    let envelope = Envelope::parse(&bytes, &AwsLc).unwrap();
    let copies = envelope.manifest().sequences().flat_map(|sequence| sequence.commands());
    assert!(copies.flatten().any(|command| matches!(command, Command::Action(Action::Copy, _))));
    let mut log = Log::default();
    let phases = [Phase::PayloadFetch, Phase::Install];
    assert_eq!(run(envelope.manifest(), &phases, &mut log), Err(Reason::Unsupported));
    assert_eq!(log.calls, Vec::<String>::new());

    // Its positive twin: example 1 fetches.
    let bytes = vector("example1-unsigned.suit");
    let envelope = Envelope::parse(&bytes, &AwsLc).unwrap();
    assert_eq!(run(envelope.manifest(), &phases, &mut log), Ok(()));
    let expected = ["vendor 0", "class 0", "fetch 0 http://example.com/file.bin", "match 0 34768"];
    assert_eq!(log.calls, expected);
}

#[test]
fn try_each_takes_the_branch_whose_slot_fits() {
    let bytes = vector("example3-unsigned.suit");
    let envelope = Envelope::parse(&bytes, &AwsLc).unwrap();
    for (slot, uri) in [(0, "http://example.com/file1.bin"), (1, "http://example.com/file2.bin")] {
        let mut log = Log { slot, ..Log::default() };
        assert_eq!(run(envelope.manifest(), &[Phase::Install], &mut log), Ok(()));
        assert!(log.calls.contains(&format!("fetch 0 {uri}")), "{:?}", log.calls);
    }
    let mut neither = Log { slot: 2, ..Log::default() };
    let outcome = run(envelope.manifest(), &[Phase::Install], &mut neither);
    assert_eq!(outcome, Err(Reason::WrongDevice));
    assert!(!neither.calls.iter().any(|call| call.starts_with("fetch")));
}

#[test]
fn a_severed_install_is_run_when_it_is_there_and_missed_when_it_is_not() {
    let whole = vector("example2-severable-signed.suit");
    let envelope = Envelope::parse(&whole, &AwsLc).unwrap();
    let mut log = Log::default();
    assert_eq!(run(envelope.manifest(), &[Phase::Install], &mut log), Ok(()));
    assert!(log.calls.iter().any(|call| call.starts_with("fetch 0 http")));
    let text = envelope.manifest().text().unwrap();
    let id = envelope.manifest().components.at(0).unwrap();
    assert_eq!(text.language(), Some("en-US"));
    assert!(text.manifest_description().unwrap().starts_with("## Example 2"));
    assert!(text.component_description(&id).unwrap().starts_with("This component"));
    assert_eq!(text.component_version(&id), None);

    let severed = vector("example2-signed.suit");
    let envelope = Envelope::parse(&severed, &AwsLc).unwrap();
    let outcome = run(envelope.manifest(), &[Phase::Install], &mut Log::default());
    assert_eq!(outcome, Err(Reason::NotFound));
    assert!(envelope.manifest().text().is_none());
}

#[test]
fn a_manifest_that_says_too_little_is_no_release() {
    // Example 0 fetches nothing, example 3 chooses a slot, example 4 copies.
    for name in ["example0-signed.suit", "example3-signed.suit", "example4-signed.suit"] {
        let bytes = vector(name);
        let envelope = Envelope::parse(&bytes, &AwsLc).unwrap();
        assert_eq!(Release::of(&envelope), Err(Reason::Unsupported), "{name}");
    }
    // Example 1 says all of it.
    let bytes = vector("example1-signed.suit");
    let envelope = Envelope::parse(&bytes, &AwsLc).unwrap();
    let release = Release::of(&envelope).unwrap();
    let [component] = release.components() else { panic!("one component") };
    assert_eq!((component.size_bytes, component.uri), (34768, "http://example.com/file.bin"));
    assert_eq!(component.id.parts().collect::<Vec<_>>(), [&[0][..]]);
}

/// Notes what is asked of it.
#[derive(Default)]
struct Log {
    slot: u64,
    calls: Vec<String>,
}

impl<'b> Platform<'b> for Log {
    fn vendor_identifier(&mut self, target: &Target<'b>) -> Result<(), Reason> {
        self.calls.push(format!("vendor {}", target.index));
        Ok(())
    }

    fn class_identifier(&mut self, target: &Target<'b>) -> Result<(), Reason> {
        self.calls.push(format!("class {}", target.index));
        Ok(())
    }

    fn device_identifier(&mut self, _: &Target<'b>) -> Result<(), Reason> {
        Err(Reason::WrongRecipient)
    }

    fn component_slot(&mut self, target: &Target<'b>) -> Result<(), Reason> {
        if target.slot == Some(self.slot) { Ok(()) } else { Err(Reason::WrongDevice) }
    }

    fn image_match(&mut self, target: &Target<'b>) -> Result<(), Reason> {
        self.calls.push(format!("match {} {}", target.index, target.size.unwrap_or_default()));
        Ok(())
    }

    fn fetch(&mut self, target: &Target<'b>) -> Result<(), Reason> {
        self.calls.push(format!("fetch {} {}", target.index, target.uri.unwrap_or_default()));
        Ok(())
    }

    fn invoke(&mut self, target: &Target<'b>) -> Result<(), Reason> {
        self.calls.push(format!("invoke {}", target.index));
        Ok(())
    }
}
