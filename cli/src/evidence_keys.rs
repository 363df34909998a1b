//! The keys that an operator's folder knows as the hub's evidence key: the one that signs the heads of
//! the audit log now, and those before it, for logs that were exported in their time.

use std::path::{Path, PathBuf};

use ringfort_cose::PublicKey;
use ringfort_fleet::{audit, hand_over};
use ringfort_keystore::public_key_to_pem;

use crate::failure::Outcome;
use crate::{files, keys};

/// At least one key, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceKeys(Vec<PublicKey>);

impl EvidenceKeys {
    /// A key that somebody named.
    pub fn of(key: PublicKey) -> EvidenceKeys {
        EvidenceKeys(vec![key])
    }

    /// Those of a folder.
    pub fn read(folder: &Path) -> Outcome<EvidenceKeys> {
        let newest = keys::read_public(&folder.join(EVIDENCE_KEY))?;
        let before = (1..).map(|number| before(folder, number)).take_while(|path| path.exists());
        let mut found = before.map(|path| keys::read_public(&path)).collect::<Outcome<Vec<_>>>()?;
        // A run that was cut kept it under its number already.
        found.retain(|key| *key != newest);
        found.push(newest);
        Ok(EvidenceKeys(found))
    }

    /// All, the one that signs now last.
    pub fn all(&self) -> &[PublicKey] {
        &self.0
    }

    /// The one that signs now.
    pub fn newest(&self) -> &PublicKey {
        &self.0[self.0.len() - 1]
    }

    /// With those that the newest of them handed over to.
    pub fn with(mut self, hand_overs: &[String]) -> EvidenceKeys {
        let after = hand_over::successors(self.newest(), hand_overs);
        self.0.extend(after);
        self
    }

    /// With the one of them that signed a head as the one that signs now: a hub that was restored has
    /// the key of its backup.
    pub fn with_signer_last(mut self, checkpoint: &str) -> EvidenceKeys {
        let signer = self.signer_of(checkpoint, &[]);
        self.0.retain(|key| *key != signer);
        self.0.push(signer);
        self
    }

    /// The one of them, or of those that they handed over to, that signed a head; else the newest.
    pub fn signer_of(&self, checkpoint: &str, hand_overs: &[String]) -> PublicKey {
        let after = self.0.iter().flat_map(|key| hand_over::successors(key, hand_overs));
        let signed = |key: &PublicKey| audit::open_checkpoint(checkpoint, key).is_ok();
        self.0.iter().copied().chain(after).find(signed).unwrap_or(*self.newest())
    }

    /// Keeps them in a folder.
    pub fn write(&self, folder: &Path) -> Outcome<()> {
        if EvidenceKeys::read(folder)? == *self {
            return Ok(());
        }
        for (key, number) in self.0[..self.0.len() - 1].iter().zip(1..) {
            replace(&before(folder, number), key)?;
        }
        replace(&folder.join(EVIDENCE_KEY), self.newest())
    }
}

fn replace(path: &Path, key: &PublicKey) -> Outcome<()> {
    files::replace(path, public_key_to_pem(key).as_bytes(), files::PUBLIC)
}

fn before(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("evidence-{number}.pub"))
}

/// The file of the key that signs now.
pub const EVIDENCE_KEY: &str = "evidence.pub";

#[cfg(test)]
mod tests {
    use ringfort_cose::{Sign, SoftSigner};
    use ringfort_trust::ids::FleetId;

    use super::*;

    fn made(count: usize) -> (Vec<PublicKey>, Vec<String>) {
        let keys: Vec<_> = (0..count).map(|_| SoftSigner::generate_ed25519().unwrap()).collect();
        let notes = keys.windows(2).zip(1..).map(|(two, number)| {
            hand_over::sign(&FleetId([1; 16]), number, &two[0], &two[1]).unwrap()
        });
        (keys.iter().map(Sign::public_key).collect(), notes.collect())
    }

    #[test]
    fn a_folder_keeps_every_key_that_it_has_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, notes) = made(4);
        replace(&folder.path().join(EVIDENCE_KEY), &keys[0]).unwrap();
        for count in [1, 1, 3] {
            let known = EvidenceKeys::read(folder.path()).unwrap().with(&notes[..count]);
            known.write(folder.path()).unwrap();
            assert_eq!(EvidenceKeys::read(folder.path()).unwrap().all(), &keys[..=count]);
        }
    }

    #[test]
    fn a_run_that_was_cut_loses_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, notes) = made(2);
        replace(&folder.path().join(EVIDENCE_KEY), &keys[0]).unwrap();
        replace(&before(folder.path(), 1), &keys[0]).unwrap();
        let known = EvidenceKeys::read(folder.path()).unwrap();
        assert_eq!(known.all(), &keys[..1]);
        known.with(&notes).write(folder.path()).unwrap();
        assert_eq!(EvidenceKeys::read(folder.path()).unwrap().all(), keys);
    }
}
