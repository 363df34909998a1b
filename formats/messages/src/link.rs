//! The link: how the hub notices that two parties hold one identity, without hardware.
//!
//! Each check-in answer carries a new link; the device stores it before use and presents it next.
//! The hub takes the current one, or the one before it, for an answer may have been lost; either
//! makes a *new* current. So of two holders one always falls out, at its next check-in.

use minicbor::encode::Write;
use ringfort_cose::Reason;
use ringfort_cose::cbor::{Reader, Writer};
use ringfort_trust::ids::DeviceId;

/// A link as it travels. Only the hub can make or check one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it names.
    pub id: LinkId,
    mac: [u8; 32],
}

/// What a link names: what the hub stores of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkId {
    /// One more than that of the link before.
    pub counter: u64,
    /// Random bytes, so that a link cannot be foretold.
    pub random: [u8; 16],
}

impl Link {
    /// Makes a link. `hmac` is HMAC-SHA-256 under the hub's link key, over the parts given to it,
    /// one after the other.
    pub fn issue(id: LinkId, device: &DeviceId, hmac: impl FnOnce(&[&[u8]]) -> [u8; 32]) -> Link {
        Link { id, mac: mac(id, device, hmac) }
    }

    /// Did this hub make the link, for this device?
    ///
    /// # Errors
    /// `clone-suspected`.
    pub fn verify(
        &self,
        device: &DeviceId,
        hmac: impl FnOnce(&[&[u8]]) -> [u8; 32],
    ) -> Result<(), Reason> {
        let expected = mac(self.id, device, hmac);
        // No early end: the time taken says nothing about how many bytes agree.
        let difference =
            expected.iter().zip(&self.mac).fold(0, |sum, (left, right)| sum | (left ^ right));
        if core::hint::black_box(difference) == 0 { Ok(()) } else { Err(Reason::CloneSuspected) }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Link, Reason> {
        reader.array_of(3)?;
        let id = LinkId { counter: reader.u64()?, random: reader.bytes_of()? };
        Ok(Link { id, mac: reader.bytes_of()? })
    }

    pub(crate) fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        out.array(3)?.u64(self.id.counter)?;
        out.bytes(&self.id.random)?.bytes(&self.mac).map(drop)
    }

    /// Reads a link on its own, as a device stores it.
    ///
    /// # Errors
    /// `malformed`, `too-large`.
    pub fn decode(bytes: &[u8]) -> Result<Link, Reason> {
        let mut reader = crate::wire::open(bytes, Link::MAX_LEN)?;
        let link = Link::read(&mut reader)?;
        reader.end()?;
        Ok(link)
    }

    crate::wire::encoders!();

    /// Bytes of an encoded link at most.
    pub const MAX_LEN: usize = 64;
}

/// What the hub remembers of a device's links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkState {
    /// The one that was issued last; none before the first check-in.
    pub current: Option<LinkId>,
    /// The one that was presented for it; none when it was the first.
    pub previous: Option<LinkId>,
}

/// What a presented link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkVerdict {
    /// The current one: the usual case.
    Current,
    /// The one before, or none at the first check-in: the last answer was lost.
    Previous,
}

impl LinkState {
    /// Judges the link of a check-in, whose MAC [`Link::verify`] has checked already.
    ///
    /// # Errors
    /// `clone-suspected`: suspend the device, and so every holder of its identity.
    pub fn judge(&self, presented: Option<LinkId>) -> Result<LinkVerdict, Reason> {
        match (self.current, presented) {
            (Some(current), Some(presented)) if current == presented => Ok(LinkVerdict::Current),
            _ if self.previous == presented => Ok(LinkVerdict::Previous),
            _ => Err(Reason::CloneSuspected),
        }
    }

    /// The state after a link was accepted, and the next link. `random` is fresh.
    ///
    /// The next state has to be stored, durably, before the answer is sent.
    #[must_use]
    pub fn advance(&self, verdict: LinkVerdict, random: [u8; 16]) -> (LinkState, LinkId) {
        let last = self.current.map_or(0, |current| current.counter);
        let next = LinkId { counter: last.saturating_add(1), random };
        let previous = match verdict {
            LinkVerdict::Current => self.current,
            LinkVerdict::Previous => self.previous,
        };
        (LinkState { current: Some(next), previous }, next)
    }

    /// At a hub that was restored from a backup: may this link, whose MAC verifies, be adopted as
    /// the current one? It has to be later than what the backup knows; once per device.
    ///
    /// # Errors
    /// `clone-suspected`.
    pub fn adopt_after_restore(&self, presented: LinkId) -> Result<LinkState, Reason> {
        let last = self.current.map_or(0, |current| current.counter);
        if presented.counter <= last {
            return Err(Reason::CloneSuspected);
        }
        Ok(LinkState { current: Some(presented), previous: self.current })
    }
}

fn mac(id: LinkId, device: &DeviceId, hmac: impl FnOnce(&[&[u8]]) -> [u8; 32]) -> [u8; 32] {
    // Fixed lengths before the one part that varies, so no two inputs are alike.
    hmac(&[LABEL, &id.counter.to_be_bytes(), &id.random, device.as_str().as_bytes()])
}

const LABEL: &[u8] = b"ringfort/link/1";

#[cfg(test)]
mod tests {
    use super::*;

    fn hmac(parts: &[&[u8]]) -> [u8; 32] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[7; 32]);
        let mut context = aws_lc_rs::hmac::Context::with_key(&key);
        parts.iter().for_each(|part| context.update(part));
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }

    fn device(name: &str) -> DeviceId {
        DeviceId::new(name).unwrap()
    }

    /// One check-in: judges, advances, returns the link that the answer would carry.
    fn check_in(state: &mut LinkState, presented: Option<LinkId>) -> Result<LinkId, Reason> {
        let verdict = state.judge(presented)?;
        let (next, link) =
            state.advance(verdict, [state.current.map_or(0, |c| c.counter as u8); 16]);
        *state = next;
        Ok(link)
    }

    #[test]
    fn a_link_of_another_device_counter_or_random_is_refused() {
        let id = LinkId { counter: 5, random: [9; 16] };
        let link = Link::issue(id, &device("dev-a"), hmac);
        assert_eq!(link.verify(&device("dev-a"), hmac), Ok(()));
        assert_eq!(link.verify(&device("dev-b"), hmac), Err(Reason::CloneSuspected));
        let bytes = link.encode().unwrap();
        assert_eq!(Link::decode(&bytes), Ok(link));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let judged =
                Link::decode(&flipped).and_then(|link| link.verify(&device("dev-a"), hmac));
            assert!(judged.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_device_goes_on_after_any_lost_answers() {
        let mut state = LinkState::default();
        // The first answers are lost: the device has no link yet.
        check_in(&mut state, None).unwrap();
        check_in(&mut state, None).unwrap();
        let mut held = check_in(&mut state, None).unwrap();
        for round in 0..50 {
            let answered = check_in(&mut state, Some(held)).unwrap();
            if round % 3 != 0 {
                held = answered;
            }
        }
        assert!(state.judge(Some(held)).is_ok());
    }

    #[test]
    fn of_two_holders_one_falls_out_whoever_comes_first() {
        for clone_first in [true, false] {
            let mut state = LinkState::default();
            let shared = check_in(&mut state, None).unwrap();
            let (first, second) = (check_in(&mut state, Some(shared)), shared);
            let mut holders = [first.unwrap(), second];
            if clone_first {
                holders.reverse();
            }
            let mut refused = false;
            for _ in 0..2 {
                for holder in &mut holders {
                    match check_in(&mut state, Some(*holder)) {
                        Ok(next) => *holder = next,
                        Err(reason) => {
                            assert_eq!(reason, Reason::CloneSuspected);
                            refused = true;
                        }
                    }
                }
            }
            assert!(refused, "clone first: {clone_first}");
        }
    }

    #[test]
    fn a_clone_without_a_link_is_refused_once_the_device_presented_its_own() {
        let mut state = LinkState::default();
        let held = check_in(&mut state, None).unwrap();
        check_in(&mut state, Some(held)).unwrap();
        assert_eq!(state.judge(None), Err(Reason::CloneSuspected));
    }

    #[test]
    fn a_restored_hub_adopts_later_links_only() {
        let mut state = LinkState::default();
        let held = check_in(&mut state, None).unwrap();
        let backup = state;
        let newer = check_in(&mut state, Some(held)).unwrap();
        let newest = check_in(&mut state, Some(newer)).unwrap();
        assert_eq!(backup.judge(Some(newest)), Err(Reason::CloneSuspected));
        let adopted = backup.adopt_after_restore(newest).unwrap();
        assert_eq!(adopted.judge(Some(newest)), Ok(LinkVerdict::Current));
        assert_eq!(backup.adopt_after_restore(held), Err(Reason::CloneSuspected));
    }
}
