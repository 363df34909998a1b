//! The audit log: what an entry says, signed heads of it, and checking both without the hub.
//!
//! An entry is a deterministic CBOR array `[1, position, Unix ms, leaf hash of the entry before,
//! who, kind, subject, {text: text}]`. The log is the Merkle tree of RFC 9162 section 2.1.1 over
//! these bytes. Because each entry also names the one before, [`verify`] can say *which* entry was
//! altered, not only that one was.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringfort_cose::cbor::{Deterministic, Writer};
use ringfort_cose::{PublicKey, Reason, Sign, SignError};
use ringfort_store::{Hash, leaf_hash, root};
use ringfort_trust::ids::FleetId;

use crate::note::{self, Note};

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place, from 0.
    pub position: u64,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Leaf hash of the entry before; zeros for the first.
    pub previous: Hash,
    /// Who did it: an operator's name, `device`, `factory` or `hub`.
    pub who: String,
    /// What happened, `device-moved` for instance.
    pub kind: String,
    /// What it happened to: a device id, or `deployment/…`, `site/…`, `release/…` and the like.
    pub subject: String,
    /// More about it, by name.
    pub details: Vec<(String, String)>,
}

impl Entry {
    /// The bytes that are hashed.
    ///
    /// # Errors
    /// `too-large` never in practice: the buffer grows.
    pub fn encode(&self) -> Result<Vec<u8>, Reason> {
        let mut details: Vec<_> = self.details.iter().collect();
        // The order of deterministic CBOR (RFC 8949 section 4.2.1): shorter names first.
        details.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        let mut out = Writer::to_vec();
        out.array(8)?.u64(VERSION)?.u64(self.position)?.i64(self.at_ms)?.bytes(&self.previous)?;
        out.text(&self.who)?.text(&self.kind)?.text(&self.subject)?;
        out.map(details.len() as u64)?;
        for (name, value) in details {
            out.text(name)?.text(value)?;
        }
        out.finish()
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// `malformed` and its kind; `unsupported` for another version.
    pub fn decode(bytes: &[u8]) -> Result<Entry, Reason> {
        let mut reader = Deterministic::read(bytes)?;
        reader.array_of(8)?;
        if reader.u64()? != VERSION {
            return Err(Reason::Unsupported);
        }
        let position = reader.u64()?;
        let at_ms = reader.i64()?;
        let previous = reader.bytes_of()?;
        let who = reader.text()?.to_owned();
        let kind = reader.text()?.to_owned();
        let subject = reader.text()?.to_owned();
        let mut details = Vec::new();
        for _ in 0..reader.map()? {
            details.push((reader.text()?.to_owned(), reader.text()?.to_owned()));
        }
        reader.end()?;
        Ok(Entry { position, at_ms, previous, who, kind, subject, details })
    }
}

/// A head of the log: its size and root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

/// Why a log is not what was signed. The text names the entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// The checkpoint is not one, or not one of this log.
    #[error("the checkpoint cannot be read: {0}")]
    Checkpoint(&'static str),
    /// The checkpoint's signature is not this key's.
    #[error("the checkpoint is not signed with this key")]
    Signature,
    /// An entry was taken out.
    #[error("entry {position} is missing")]
    Missing {
        /// Its place.
        position: u64,
    },
    /// An entry stands where another belongs.
    #[error("entry {found} stands in the place of entry {position}")]
    Moved {
        /// The place.
        position: u64,
        /// The entry that stands there.
        found: u64,
    },
    /// An entry is not what it was.
    #[error("entry {position} was altered")]
    Altered {
        /// Its place.
        position: u64,
    },
}

/// Checks entries from the first on against a checkpoint, without the hub. Entries after those
/// that the checkpoint covers are not judged.
///
/// # Errors
/// [`Broken`], which names the first entry that is not what it was.
pub fn verify<E: AsRef<[u8]>>(
    entries: &[E],
    checkpoint: &str,
    key: &PublicKey,
) -> Result<Head, Broken> {
    let head = open_checkpoint(checkpoint, key)?;
    let size = usize::try_from(head.size).map_err(|_| Broken::Checkpoint("its size"))?;
    let covered = entries.get(..size).unwrap_or(entries);
    let decoded: Vec<Option<Entry>> =
        covered.iter().map(|entry| Entry::decode(entry.as_ref()).ok()).collect();
    for (place, entry) in (0_u64..).zip(&decoded) {
        let Some(entry) = entry else { return Err(Broken::Altered { position: place }) };
        if entry.position != place {
            let elsewhere = decoded.iter().flatten().any(|other| other.position == place);
            return Err(match elsewhere {
                true => Broken::Moved { position: place, found: entry.position },
                false => Broken::Missing { position: place },
            });
        }
    }
    if covered.len() < size {
        return Err(Broken::Missing { position: covered.len() as u64 });
    }
    let leaves: Vec<Hash> = covered.iter().map(|entry| leaf_hash(entry.as_ref())).collect();
    let mut before = [0; 32];
    for (place, (entry, leaf)) in decoded.iter().flatten().zip(&leaves).enumerate() {
        if entry.previous != before {
            return Err(Broken::Altered { position: culprit(&leaves, place, entry, &head) });
        }
        before = *leaf;
    }
    if root(leaves) != head.root {
        // Every entry but the last is vouched for by the one after it.
        return Err(Broken::Altered { position: head.size.saturating_sub(1) });
    }
    Ok(head)
}

/// Signs a head as a checkpoint: a signed note in the form of C2SP tlog-checkpoint.
///
/// # Errors
/// What the signer says.
pub fn checkpoint(fleet: &FleetId, head: &Head, key: &dyn Sign) -> Result<String, SignError> {
    let origin = origin(fleet);
    let text = format!("{origin}\n{}\n{}\n", head.size, STANDARD.encode(head.root));
    note::sign(&origin, &text, &[key])
}

/// Reads a checkpoint and verifies its signature.
///
/// # Errors
/// [`Broken::Checkpoint`], [`Broken::Signature`].
pub fn open_checkpoint(note: &str, key: &PublicKey) -> Result<Head, Broken> {
    let note = Note::read(note).ok_or(Broken::Checkpoint("no signature"))?;
    let mut lines = note.text.split('\n');
    let origin = lines.next().unwrap_or_default();
    let size: u64 = lines
        .next()
        .filter(|size| *size == "0" || !size.starts_with(['0', '+']))
        .and_then(|size| size.parse().ok())
        .ok_or(Broken::Checkpoint("its size"))?;
    let root = lines.next().and_then(|root| STANDARD.decode(root).ok());
    let root: Hash =
        root.and_then(|root| root.try_into().ok()).ok_or(Broken::Checkpoint("its root hash"))?;
    match note.is_signed_by(origin, key) {
        true => Ok(Head { size, root }),
        false => Err(Broken::Signature),
    }
}

/// The link between an entry and the one before does not hold: which of the two was altered? If
/// the entry before were what this one says it is, would the tree be what was signed?
fn culprit(leaves: &[Hash], place: usize, entry: &Entry, head: &Head) -> u64 {
    let restored = leaves.iter().enumerate().map(|(index, leaf)| match index + 1 == place {
        true => entry.previous,
        false => *leaf,
    });
    let before = place > 0 && root(restored) == head.root;
    (place - usize::from(before)) as u64
}

/// The fleet whose log a checkpoint says that it is of; not verified.
pub fn fleet_of(checkpoint: &str) -> Option<FleetId> {
    checkpoint.lines().next()?.strip_prefix("ringfort/")?.parse().ok()
}

fn origin(fleet: &FleetId) -> String {
    format!("ringfort/{fleet}")
}

const VERSION: u64 = 1;

#[cfg(test)]
mod tests {
    use ringfort_cose::SoftSigner;

    use super::*;

    fn fleet() -> FleetId {
        FleetId([7; 16])
    }

    fn log(count: u64) -> Vec<Entry> {
        let mut previous = [0; 32];
        (0..count)
            .map(|position| {
                let entry = Entry {
                    position,
                    at_ms: 1_000 + position as i64,
                    previous,
                    who: "alice".to_owned(),
                    kind: "device-moved".to_owned(),
                    subject: format!("dev-{position}"),
                    details: vec![("to".to_owned(), "deployed".to_owned())],
                };
                previous = leaf_hash(&entry.encode().unwrap());
                entry
            })
            .collect()
    }

    fn bytes(entries: &[Entry]) -> Vec<Vec<u8>> {
        entries.iter().map(|entry| entry.encode().unwrap()).collect()
    }

    fn signed(entries: &[Vec<u8>], key: &SoftSigner) -> String {
        let root = root(entries.iter().map(|entry| leaf_hash(entry)));
        checkpoint(&fleet(), &Head { size: entries.len() as u64, root }, key).unwrap()
    }

    #[test]
    fn an_untouched_log_verifies_with_both_kinds_of_key() {
        for key in [SoftSigner::generate_p256().unwrap(), SoftSigner::generate_ed25519().unwrap()] {
            for count in [0, 1, 2, 7, 8, 33] {
                let entries = bytes(&log(count));
                let note = signed(&entries, &key);
                assert_eq!(verify(&entries, &note, &key.public_key()).unwrap().size, count);
            }
        }
    }

    #[test]
    fn one_altered_entry_is_named() {
        let key = SoftSigner::generate_p256().unwrap();
        let honest = log(9);
        let note = signed(&bytes(&honest), &key);
        for position in 0..9 {
            let mut entries = honest.clone();
            entries[position].details[0].1 = "retired".to_owned();
            let broken = verify(&bytes(&entries), &note, &key.public_key()).unwrap_err();
            assert_eq!(broken, Broken::Altered { position: position as u64 });

            let mut entries = honest.clone();
            entries[position].previous[0] ^= 1;
            let broken = verify(&bytes(&entries), &note, &key.public_key()).unwrap_err();
            assert_eq!(broken, Broken::Altered { position: position as u64 });

            let mut entries = bytes(&honest);
            entries[position] = b"not an entry".to_vec();
            let broken = verify(&entries, &note, &key.public_key()).unwrap_err();
            assert_eq!(broken, Broken::Altered { position: position as u64 });
        }
    }

    #[test]
    fn one_removed_entry_is_named() {
        let key = SoftSigner::generate_p256().unwrap();
        let honest = bytes(&log(9));
        let note = signed(&honest, &key);
        for position in 0..9 {
            let mut entries = honest.clone();
            entries.remove(position);
            let broken = verify(&entries, &note, &key.public_key()).unwrap_err();
            assert_eq!(broken, Broken::Missing { position: position as u64 });
        }
    }

    #[test]
    fn two_entries_that_changed_places_are_named() {
        let key = SoftSigner::generate_p256().unwrap();
        let mut entries = bytes(&log(9));
        let note = signed(&entries, &key);
        entries.swap(3, 6);
        let broken = verify(&entries, &note, &key.public_key()).unwrap_err();
        assert_eq!(broken, Broken::Moved { position: 3, found: 6 });
    }

    #[test]
    fn a_log_rewritten_from_the_middle_does_not_verify() {
        let key = SoftSigner::generate_p256().unwrap();
        let note = signed(&bytes(&log(9)), &key);
        let mut entries = log(9);
        entries[4].who = "mallory".to_owned();
        for position in 5..9 {
            entries[position].previous = leaf_hash(&entries[position - 1].encode().unwrap());
        }
        assert!(matches!(
            verify(&bytes(&entries), &note, &key.public_key()),
            Err(Broken::Altered { .. })
        ));
    }

    #[test]
    fn a_checkpoint_of_another_key_or_with_another_text_is_refused() {
        let key = SoftSigner::generate_p256().unwrap();
        let other = SoftSigner::generate_p256().unwrap();
        let entries = bytes(&log(3));
        let note = signed(&entries, &key);
        assert!(verify(&entries, &note, &key.public_key()).is_ok());
        assert_eq!(verify(&entries, &note, &other.public_key()), Err(Broken::Signature));
        let larger = note.replacen("\n3\n", "\n2\n", 1);
        assert_eq!(verify(&entries, &larger, &key.public_key()), Err(Broken::Signature));
        for cut in 0..note.len() {
            if note.is_char_boundary(cut) && cut < note.len() - 1 {
                assert!(verify(&entries, &note[..cut], &key.public_key()).is_err(), "cut {cut}");
            }
        }
    }

    #[test]
    fn entries_after_the_checkpoint_are_not_judged() {
        let key = SoftSigner::generate_p256().unwrap();
        let entries = bytes(&log(5));
        let note = signed(&entries[..3], &key);
        assert_eq!(verify(&entries, &note, &key.public_key()).unwrap().size, 3);
    }
}
