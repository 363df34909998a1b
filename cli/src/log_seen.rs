//! What an operator's folder has seen of the hub's audit log. Every command that reaches the hub
//! follows the log from there, so that a hub cannot show one log today and another tomorrow.

use std::path::Path;

use ringfort_api::model::Checkpoint;
use ringfort_cose::PublicKey;
use ringfort_fleet::audit::{Head, open_checkpoint};
use ringfort_store::{Frontier, leaf_hash};
use serde::{Deserialize, Serialize};

use crate::failure::Outcome;
use crate::files;

/// What stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The newest head that follows from all before it: a signed note.
    pub checkpoint: String,
    /// The tree at that head, or further on with entries that no head vouches for yet; hexadecimal.
    pub frontier: String,
}

/// Why the log is not the one that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// It is shorter.
    Smaller {
        /// Entries that were seen.
        seen: u64,
        /// Entries that it has.
        now: u64,
    },
    /// It has other entries than those that were seen.
    Forked {
        /// Entries that were seen.
        seen: u64,
    },
    /// Its head is signed by another key, or by none.
    Unsigned,
}

/// Where following a log has led.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It is what it was, or continues it: to be remembered.
    Remember(Seen),
    /// It may continue what was seen: the entries from this place on are needed.
    Needs {
        /// The place of the first one.
        from: u64,
    },
    /// It is not what was seen.
    Alarm(Alarm),
}

impl Seen {
    /// Reads what was remembered; none for nothing, or for what cannot be read.
    pub fn read(folder: &Path) -> Option<Seen> {
        let text = files::read_text(&folder.join(FILE), MAX_BYTES).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Remembers it.
    pub fn write(&self, folder: &Path) -> Outcome<()> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        files::replace(&folder.join(FILE), text.as_bytes(), 0o600)
    }

    fn open(&self, keys: &[PublicKey]) -> Option<(Head, Frontier)> {
        let head = keys.iter().find_map(|key| open_checkpoint(&self.checkpoint, key).ok())?;
        let frontier = Frontier::from_bytes(&hex::decode(&self.frontier).ok()?)?;
        (frontier.size() >= head.size).then_some((head, frontier))
    }
}

/// Compares what a hub shows with what was seen. `entries` are those from the place on that an
/// earlier step asked for. The last of the keys signs now; what was seen may be signed by any.
pub fn follow(
    seen: Option<&Seen>,
    shown: &Checkpoint,
    entries: &[Vec<u8>],
    keys: &[PublicKey],
) -> Step {
    let head = keys.last().map(|key| open_checkpoint(&shown.checkpoint, key));
    let Some(Ok(head)) = head else {
        return Step::Alarm(Alarm::Unsigned);
    };
    let as_shown = Seen { checkpoint: shown.checkpoint.clone(), frontier: shown.frontier.clone() };
    // A file that was damaged is no reason to trust less than with none.
    let Some((last, mut frontier)) = seen.and_then(|seen| seen.open(keys)) else {
        let fits = as_shown
            .open(keys)
            .is_some_and(|(head, tree)| tree.size() == head.size && tree.root() == head.root);
        return match fits {
            true => Step::Remember(as_shown),
            false => Step::Alarm(Alarm::Forked { seen: 0 }),
        };
    };
    if head.size < frontier.size() {
        return Step::Alarm(Alarm::Smaller { seen: frontier.size(), now: head.size });
    }
    let missing = usize::try_from(head.size - frontier.size()).unwrap_or(usize::MAX);
    for entry in entries.iter().take(missing) {
        frontier.push(leaf_hash(entry));
    }
    match frontier.size() == head.size {
        true if frontier.root() == head.root => Step::Remember(Seen {
            checkpoint: shown.checkpoint.clone(),
            frontier: hex::encode(frontier.to_bytes()),
        }),
        true => Step::Alarm(Alarm::Forked { seen: last.size }),
        false if entries.is_empty() => Step::Needs { from: frontier.size() },
        // Some of the way: the head of before stands until the rest has come.
        false => Step::Remember(Seen {
            checkpoint: seen.map(|seen| seen.checkpoint.clone()).unwrap_or_default(),
            frontier: hex::encode(frontier.to_bytes()),
        }),
    }
}

/// How many entries a tree has.
pub fn size(frontier: &str) -> u64 {
    let tree = hex::decode(frontier).ok().and_then(|bytes| Frontier::from_bytes(&bytes));
    tree.map_or(0, |tree| tree.size())
}

impl std::fmt::Display for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Alarm::Smaller { seen, now } => {
                write!(f, "it has {now} entries, and {seen} were seen before")
            }
            Alarm::Forked { seen } => {
                write!(f, "it does not continue the {seen} entries that were seen before")
            }
            Alarm::Unsigned => f.write_str("its head is not signed by the hub's evidence key"),
        }
    }
}

/// In the operator's folder.
pub const FILE: &str = "audit-seen.json";
const MAX_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use ringfort_cose::{Sign, SoftSigner};
    use ringfort_fleet::audit::checkpoint;
    use ringfort_trust::ids::FleetId;

    use super::*;

    struct Log {
        key: SoftSigner,
        entries: Vec<Vec<u8>>,
    }

    impl Log {
        fn new(count: u8) -> Log {
            let entries = (0..count).map(|number| vec![number; 3]).collect();
            // Signs the same head the same way twice, so that what is remembered can be compared.
            Log { key: SoftSigner::generate_ed25519().unwrap(), entries }
        }

        fn tree(&self) -> Frontier {
            let mut tree = Frontier::default();
            self.entries.iter().for_each(|entry| tree.push(leaf_hash(entry)));
            tree
        }

        fn shown(&self) -> Checkpoint {
            let tree = self.tree();
            let head = Head { size: tree.size(), root: tree.root() };
            Checkpoint {
                checkpoint: checkpoint(&FleetId([1; 16]), &head, &self.key).unwrap(),
                frontier: hex::encode(tree.to_bytes()),
                hand_overs: Vec::new(),
            }
        }

        /// What somebody remembers who has seen this.
        fn seen(&self) -> Seen {
            match self.follow(None, &[]) {
                Step::Remember(seen) => seen,
                step => panic!("{step:?}"),
            }
        }

        fn follow(&self, seen: Option<&Seen>, entries: &[Vec<u8>]) -> Step {
            follow(seen, &self.shown(), entries, &[self.key.public_key()])
        }
    }

    #[test]
    fn a_log_that_only_grows_is_followed() {
        let mut log = Log::new(5);
        let seen = log.seen();
        assert_eq!(log.follow(Some(&seen), &[]), Step::Remember(log.seen()));
        log.entries.extend([b"f".to_vec(), b"g".to_vec()]);
        assert_eq!(log.follow(Some(&seen), &[]), Step::Needs { from: 5 });
        let Step::Remember(next) = log.follow(Some(&seen), &log.entries[5..]) else { panic!() };
        assert_eq!(next, log.seen());
    }

    #[test]
    fn a_long_way_is_gone_in_steps() {
        let mut log = Log::new(3);
        let seen = log.seen();
        log.entries.extend((10..20).map(|number| vec![number]));
        let Step::Remember(half) = log.follow(Some(&seen), &log.entries[3..8]) else { panic!() };
        assert_eq!(half.checkpoint, seen.checkpoint, "no head vouches for what is new yet");
        assert_eq!(log.follow(Some(&half), &[]), Step::Needs { from: 8 });
        let Step::Remember(whole) = log.follow(Some(&half), &log.entries[8..]) else { panic!() };
        assert_eq!(whole, log.seen());
    }

    #[test]
    fn a_log_that_was_cut_is_named() {
        let mut log = Log::new(5);
        let seen = log.seen();
        log.entries.pop();
        let step = log.follow(Some(&seen), &[]);
        assert_eq!(step, Step::Alarm(Alarm::Smaller { seen: 5, now: 4 }));
    }

    #[test]
    fn a_log_with_another_past_is_named() {
        let mut log = Log::new(5);
        let seen = log.seen();
        log.entries[1] = b"another".to_vec();
        let step = log.follow(Some(&seen), &[]);
        assert_eq!(step, Step::Alarm(Alarm::Forked { seen: 5 }), "of the same length");
        log.entries.push(b"more".to_vec());
        let step = log.follow(Some(&seen), &log.entries[5..]);
        assert_eq!(step, Step::Alarm(Alarm::Forked { seen: 5 }), "and of a longer one");
    }

    #[test]
    fn a_head_of_another_key_is_no_head() {
        let (log, other) = (Log::new(5), Log::new(5));
        let shown = other.shown();
        let step = follow(Some(&log.seen()), &shown, &[], &[log.key.public_key()]);
        assert_eq!(step, Step::Alarm(Alarm::Unsigned));
        assert_eq!(follow(None, &log.shown(), &[], &[]), Step::Alarm(Alarm::Unsigned));
    }

    #[test]
    fn what_was_seen_under_the_key_before_still_counts() {
        let mut log = Log::new(5);
        let (seen, before) = (log.seen(), log.key.public_key());
        log.key = SoftSigner::generate_ed25519().unwrap();
        let keys = [before, log.key.public_key()];
        let step = follow(Some(&seen), &log.shown(), &[], &keys);
        assert_eq!(step, Step::Remember(log.seen()));
        log.entries[1] = b"another".to_vec();
        let step = follow(Some(&seen), &log.shown(), &[], &keys);
        assert_eq!(step, Step::Alarm(Alarm::Forked { seen: 5 }));
        // The key before signs no head any more.
        let step = follow(Some(&seen), &log.shown(), &[], &[keys[1], keys[0]]);
        assert_eq!(step, Step::Alarm(Alarm::Unsigned));
    }

    #[test]
    fn a_tree_that_is_not_the_heads_is_not_remembered() {
        let log = Log::new(5);
        let shown = Checkpoint { frontier: Log::new(4).shown().frontier, ..log.shown() };
        let step = follow(None, &shown, &[], &[log.key.public_key()]);
        assert_eq!(step, Step::Alarm(Alarm::Forked { seen: 0 }));
        let damaged = Seen { frontier: "00".into(), ..log.seen() };
        assert_eq!(log.follow(Some(&damaged), &[]), Step::Remember(log.seen()));
    }
}
