//! The evidence key's way from one key to the next: each hand-over is a signed note in which a key
//! names its successor. Whoever knows any of the keys finds the one that signs now, without asking
//! anybody else.
//!
//! The text has three lines: `ringfort/<fleet id>/evidence-key`, the number of the hand-over from 1,
//! and the successor's COSE_Key (RFC 9052 section 7) in base64. Both keys sign: the one before says
//! who comes after it, and the one after that it is there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringfort_cose::cbor::{Deterministic, Writer};
use ringfort_cose::{PublicKey, Reason, Sign, SignError};
use ringfort_store::Store;
use ringfort_trust::ids::FleetId;

use crate::note::{self, Note};
use crate::{Fleet, Operator, Permission, Refusal};

/// What a hand-over says, after both signatures were verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// Its number, from 1.
    pub number: u64,
    /// The key that signs from then on.
    pub key: PublicKey,
}

/// Signs a hand-over with both keys.
///
/// # Errors
/// What a signer says.
pub fn sign(
    fleet: &FleetId,
    number: u64,
    before: &dyn Sign,
    after: &dyn Sign,
) -> Result<String, SignError> {
    let name = name(fleet);
    let mut key = Writer::to_vec();
    after.public_key().write(&mut key)?;
    let text = format!("{name}\n{number}\n{}\n", STANDARD.encode(key.finish()?));
    note::sign(&name, &text, &[before, after])
}

/// Reads a hand-over by this key; none where it is not one, or not by this key.
pub fn open(note: &str, before: &PublicKey) -> Option<HandOver> {
    let note = Note::read(note)?;
    let lines: Vec<&str> = note.text.split('\n').collect();
    let [name, number, key] = lines[..] else { return None };
    if !(name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
        return None;
    }
    let key = STANDARD.decode(key).ok()?;
    let mut reader = Deterministic::read(&key).ok()?;
    let key = PublicKey::read(&mut reader).ok()?;
    reader.end().ok()?;
    // The key after signs too: its own hand-over must not pass for one to itself.
    let another = key != *before;
    let both = note.is_signed_by(name, before) && note.is_signed_by(name, &key);
    let number = number.parse().ok().filter(|number| *number > 0)?;
    (another && both).then_some(HandOver { number, key })
}

/// The keys that follow a known one, oldest first, by hand-overs in their order; empty when the
/// known one signs yet. Those that are not by the key in turn are passed over.
pub fn successors<N: AsRef<str>>(known: &PublicKey, hand_overs: &[N]) -> Vec<PublicKey> {
    let mut found = Vec::new();
    for note in hand_overs.iter().take(MAX) {
        if let Some(next) = open(note.as_ref(), found.last().unwrap_or(known)) {
            found.push(next.key);
        }
    }
    found
}

/// All hand-overs that a store holds, in their order.
///
/// # Errors
/// `internal` for one that is no text; what the store says.
pub async fn all(store: &Store) -> Result<Vec<String>, Refusal> {
    let mut read = store.read().await?;
    let mut found = Vec::new();
    while let Some(note) = read.meta(&place(found.len() + 1)).await? {
        found.push(String::from_utf8(note).map_err(|_| Reason::Internal)?);
    }
    Ok(found)
}

/// The key that the last of some hand-overs names; none where there is none.
pub fn newest(hand_overs: &[String]) -> Option<PublicKey> {
    let text = Note::read(hand_overs.last()?)?.text;
    let key = STANDARD.decode(text.split('\n').nth(2)?).ok()?;
    PublicKey::read(&mut Deterministic::read(&key).ok()?).ok()
}

impl Fleet {
    /// Hands the evidence key over to another one. The hub has to be opened anew with it: this one
    /// still signs with the key before.
    ///
    /// # Errors
    /// `role-forbids`; `key-already-known` for a key that was seen before, in this role or another;
    /// `too-large` after 256 of them; `internal` when a key does not sign.
    pub async fn hand_over_evidence(
        &self,
        who: &Operator,
        after: &dyn Sign,
    ) -> Result<HandOver, Refusal> {
        who.require(Permission::Administer)?;
        let key = after.public_key();
        let count = all(&self.inner.store).await?.len();
        if count >= MAX {
            return Err(Refusal::new(Reason::TooLarge, "the evidence key was replaced too often"));
        }
        let own = crate::fleet::key_digest(&key)?;
        let number = count as u64 + 1;
        let before = &*self.inner.evidence_key;
        let note = sign(&self.inner.fleet, number, before, after)?.into_bytes();
        let (meta, by) = (place(count + 1), key.thumbprint(&ringfort_cose::AwsLc).to_string());
        self.change_by(who, move |change| {
            Box::pin(async move {
                if change.known_key(&own).await?.is_some() {
                    return Err(Refusal::new(Reason::KeyAlreadyKnown, "the key was used before"));
                }
                change.note_keys(&[(own, "evidence".to_owned())]).await?;
                change.put_meta(&meta, &note).await?;
                change.log("evidence-key-replaced", "hub", &[("by", &by)]).await
            })
        })
        .await?;
        Ok(HandOver { number, key })
    }

    /// The hand-overs of the evidence key, in their order.
    pub fn hand_overs(&self) -> &[String] {
        &self.inner.hand_overs
    }
}

fn place(number: usize) -> String {
    format!("evidence-hand-over/{number}")
}

fn name(fleet: &FleetId) -> String {
    format!("{PREFIX}{fleet}{SUFFIX}")
}

const PREFIX: &str = "ringfort/";
const SUFFIX: &str = "/evidence-key";
/// Once a month for two decades.
const MAX: usize = 256;

#[cfg(test)]
mod tests {
    use ringfort_cose::SoftSigner;
    use ringfort_store::Hash;

    use super::*;
    use crate::audit::{Head, checkpoint, open_checkpoint};

    const FLEET: FleetId = FleetId([7; 16]);

    fn keys<const N: usize>() -> [SoftSigner; N] {
        std::array::from_fn(|place| match place % 2 {
            0 => SoftSigner::generate_p256().unwrap(),
            _ => SoftSigner::generate_ed25519().unwrap(),
        })
    }

    fn chain(keys: &[SoftSigner]) -> Vec<String> {
        let pairs = keys.windows(2).enumerate();
        pairs.map(|(at, two)| sign(&FLEET, at as u64 + 1, &two[0], &two[1]).unwrap()).collect()
    }

    #[test]
    fn any_of_the_keys_leads_to_the_one_that_signs_now() {
        let keys = keys::<4>();
        let notes = chain(&keys);
        for (at, key) in keys.iter().enumerate() {
            let after: Vec<PublicKey> = keys[at + 1..].iter().map(Sign::public_key).collect();
            assert_eq!(successors(&key.public_key(), &notes), after);
        }
        assert_eq!(newest(&notes), Some(keys[3].public_key()));
        assert_eq!(newest(&[]), None);
    }

    #[test]
    fn a_successor_that_the_key_before_did_not_name_is_not_followed() {
        let [key, after, thief] = keys();
        let known = key.public_key();
        let honest = sign(&FLEET, 1, &key, &after).unwrap();
        assert_eq!(open(&honest, &known).unwrap().key, after.public_key());
        // Signed by the thief alone, and with the honest signatures under another text.
        let forged = sign(&FLEET, 1, &thief, &thief).unwrap();
        assert_eq!(open(&forged, &known), None);
        let (text, _) = forged.split_once("\n\n").unwrap();
        let (_, signatures) = honest.split_once("\n\n").unwrap();
        assert_eq!(open(&format!("{text}\n\n{signatures}"), &known), None);
        assert_eq!(successors(&known, &[forged]), []);
    }

    #[test]
    fn a_successor_that_did_not_sign_itself_is_not_followed() {
        let [key, after] = keys();
        let note = sign(&FLEET, 1, &key, &after).unwrap();
        let lines: Vec<&str> = note.lines().collect();
        let alone = format!("{}\n", lines[..lines.len() - 1].join("\n"));
        assert_eq!(open(&alone, &key.public_key()), None);
        assert!(open(&note, &key.public_key()).is_some());
    }

    #[test]
    fn no_cut_and_no_changed_character_passes() {
        let [key, after] = keys();
        let note = sign(&FLEET, 1, &key, &after).unwrap();
        let known = key.public_key();
        for (at, character) in note.char_indices() {
            if at + 1 < note.len() {
                assert_eq!(open(&note[..at], &known), None, "cut at {at}");
            }
            let other = if character == 'A' { 'B' } else { 'A' };
            let end = at + character.len_utf8();
            let changed = format!("{}{other}{}", &note[..at], &note[end..]);
            assert_eq!(open(&changed, &known), None, "changed at {at}");
        }
    }

    #[test]
    fn neither_note_passes_for_the_other() {
        let [key, after] = keys();
        let head = Head { size: 1, root: Hash::default() };
        let checkpoint = checkpoint(&FLEET, &head, &key).unwrap();
        assert_eq!(open(&checkpoint, &key.public_key()), None);
        assert!(open_checkpoint(&checkpoint, &key.public_key()).is_ok());
        let note = sign(&FLEET, 1, &key, &after).unwrap();
        assert!(open_checkpoint(&note, &key.public_key()).is_err());
    }
}
