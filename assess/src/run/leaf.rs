//! What the scanner finds in one leaf, on its way into the index and the findings.

use super::{examine::Event, state::State};
use crate::{
    keys::{
        self, About, Fingerprint, FingerprintKey, Kind, Record,
        extract::{self, Found},
        sealed::{self, Outcome, Sealed},
    },
    model::Location,
    rules::{Rule, valid},
    walk::{Leaf, LeafKind},
};

pub(super) struct LeafFinds<'s, 'k, 'l> {
    pub(super) state: &'s mut State<'k>,
    pub(super) leaf: &'l Leaf<'l>,
}

impl LeafFinds<'_, '_, '_> {
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Hit { rule, secret, whole, at, line } => {
                self.hit(rule, &secret, &whole, self.location(at, line));
            }
            Event::Key { found, at, line } => self.key(*found, self.location(at, line)),
            Event::Component { name, version, at } => self.component(name, version, at),
        }
    }

    fn location(&self, offset: u64, line: Option<u32>) -> Location {
        let place = self.leaf.place;
        // A line counts from the start of the file only when the leaf does too.
        let line = line.filter(|_| self.leaf.base == 0);
        Location {
            owner: place.owner,
            file: place.file.clone(),
            path: place.path.clone(),
            offset,
            line,
        }
    }

    fn record(&mut self, kind: Kind, fingerprint: Fingerprint, location: Location, about: About) {
        let about =
            About { mode: self.leaf.mode, in_program: self.leaf.kind == LeafKind::Elf, ..about };
        let owner = location.owner;
        self.state.index.insert(Record { owner, kind, fingerprint, location, about });
    }

    /// Tries the well-known passwords; what they open goes into the index.
    fn try_words(
        &mut self,
        inside: &Sealed,
        location: &Location,
        label: &mut String,
    ) -> Option<&'static str> {
        match sealed::open(inside, &mut self.state.hash_rounds) {
            Outcome::Opened { password, objects } => {
                for object in objects {
                    let nothing = || Fingerprint([0; 32]);
                    let note = " under a well-known password";
                    let (kind, fingerprint, about) = extract::object_about(object, note, nothing);
                    let about = About { opened_with: Some(password), ..about };
                    self.record(kind, fingerprint, location.clone(), about);
                }
                Some(password)
            }
            Outcome::Locked => None,
            Outcome::NotTried(why) => {
                label.push_str(&format!("; no password was tried: {why}"));
                None
            }
        }
    }
}

impl LeafFinds<'_, '_, '_> {
    fn hit(&mut self, rule: &'static Rule, secret: &[u8], whole: &[u8], location: Location) {
        let detail = match rule.kind {
            None => crate::unpack::clean(&String::from_utf8_lossy(whole)).trim().to_owned(),
            Some(_) => hint(secret),
        };
        if let Some(kind) = rule.kind {
            let default_password =
                if kind == Kind::PasswordHash && self.state.tried_hashes < MAX_TRIED {
                    self.state.tried_hashes += 1;
                    std::str::from_utf8(secret).ok().and_then(keys::crypt::default_password)
                } else {
                    None
                };
            let shape = (kind == Kind::Password).then(|| shape(self.state.key, secret)).flatten();
            let about = About {
                label: rule.title.to_owned(),
                shape,
                default_password,
                mode: self.leaf.mode,
                ..About::default()
            };
            self.state.index.insert(Record {
                owner: location.owner,
                kind,
                fingerprint: self.state.key.of("secret", secret),
                location: location.clone(),
                about,
            });
        }
        self.state.add(rule.id, secret, detail, location);
    }

    fn key(&mut self, found: Found, location: Location) {
        let mut about = found.about;
        if let Some(inside) = found.sealed {
            about.opened_with = self.try_words(&inside, &location, &mut about.label);
        }
        // Private parts without a public half are indexed under the key, not in the open.
        let fingerprint = match found.kind {
            Kind::Symmetric | Kind::EncryptedKey | Kind::KeyStore => {
                self.state.key.of("secret", &found.fingerprint.0)
            }
            _ => found.fingerprint,
        };
        self.record(found.kind, fingerprint, location, about);
    }

    fn component(&mut self, name: &'static str, version: String, at: u64) {
        let location = self.location(at, None);
        let places = self.state.components.entry((name, version)).or_default();
        if places.len() < 64 {
            places.insert(location);
        }
    }
}

/// Four characters of a long secret, nothing but the length of a short one.
fn hint(secret: &[u8]) -> String {
    if secret.len() >= 16 {
        let head = crate::unpack::clean(&String::from_utf8_lossy(&secret[..4]));
        format!("{head}… ({} characters)", secret.len())
    } else {
        format!("{} characters", secret.len())
    }
}

/// The pattern of a password that differs from its siblings in a few digits only.
fn shape(key: &FingerprintKey, secret: &[u8]) -> Option<Fingerprint> {
    let digits = secret.iter().filter(|b| b.is_ascii_digit()).count();
    let rest = secret.len() - digits;
    if !(2..=6).contains(&digits) || rest < 4 || valid::placeholder(secret) {
        return None;
    }
    let pattern: Vec<u8> =
        secret.iter().map(|b| if b.is_ascii_digit() { b'9' } else { *b }).collect();
    Some(key.of("shape", &pattern))
}

const MAX_TRIED: u32 = 64;
