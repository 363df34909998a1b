#![no_main]
//! The first byte chooses a format, whose reader gets the rest whatever it looks like.

use libfuzzer_sys::fuzz_target;
use ringfort_assess::{
    blob::Blob,
    unpack::{Fact, Limits, Meta, Sink, Skipped, UnpackError, formats},
};

struct Bounded {
    limits: Limits,
    left: u64,
    members: u64,
}

impl Sink for Bounded {
    fn member(&mut self, _: &str, _: Blob, _: Meta) -> Result<(), UnpackError> {
        self.members += 1;
        if self.members > self.limits.members { Err(UnpackError::Bound("members")) } else { Ok(()) }
    }
    fn skipped(&mut self, _: &str, _: Skipped) {}
    fn unread(&mut self, _: &str, _: u64, _: u64, _: &UnpackError) {}
    fn charge(&mut self, bytes: u64) -> Result<(), UnpackError> {
        self.left = self.left.checked_sub(bytes).ok_or(UnpackError::Bound("expansion"))?;
        Ok(())
    }
    fn limits(&self) -> &Limits {
        &self.limits
    }
    fn fact(&mut self, _: Fact) {}
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let all: Vec<_> = formats().collect();
    let format = all[usize::from(*choice) % all.len()];
    let limits = Limits { members: 2000, member_bytes: 4 << 20, table_bytes: 1 << 20, ..Limits::default() };
    let blob = Blob::from_vec(rest.to_vec());
    let mut sink = Bounded { limits, left: 4 << 20, members: 0 };
    let _ = format.detect(&blob);
    if let Ok(end) = format.unpack(&blob, &mut sink) {
        assert!(end <= blob.len(), "{format:?} claims {end} of {}", blob.len());
    }
});
