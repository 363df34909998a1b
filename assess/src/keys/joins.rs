//! The joins over the index.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dashu_int::UBig;

use super::{Fingerprint, Index, Kind, Record, debian, known, math};
use crate::model::OwnerKind;

/// One answer: a rule that holds for a set of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Rule id.
    pub rule: &'static str,
    /// What it is about.
    pub fingerprint: Fingerprint,
    /// What was seen, in words.
    pub detail: String,
    /// Indices into [`Index::records`].
    pub records: Vec<usize>,
}

pub(super) fn run(index: &Index, today: &str) -> Vec<Join> {
    let mut all = Joins { index, out: Vec::new() };
    let groups = all.groups();
    all.private(&groups);
    all.public(&groups);
    all.public_on_two(&groups);
    all.secrets(&groups);
    all.certificates(&groups, today);
    all.strength();
    all.shapes();
    all.out
}

type Groups = BTreeMap<(Kind, Fingerprint), Vec<usize>>;

struct Joins<'a> {
    index: &'a Index,
    out: Vec<Join>,
}

impl<'a> Joins<'a> {
    fn groups(&self) -> Groups {
        let mut groups = Groups::new();
        for (at, record) in self.index.records.iter().enumerate() {
            groups.entry((record.kind, record.fingerprint)).or_default().push(at);
        }
        groups
    }

    fn record(&self, at: usize) -> &'a Record {
        &self.index.records[at]
    }

    /// Different images or devices among the records.
    fn products(&self, records: &[usize]) -> usize {
        let owners: BTreeSet<u32> = records
            .iter()
            .map(|at| self.record(*at).owner)
            .filter(|o| {
                self.index.owners.get(*o as usize).is_some_and(|o| o.kind != OwnerKind::Source)
            })
            .collect();
        owners.len()
    }

    fn add(
        &mut self,
        rule: &'static str,
        fingerprint: Fingerprint,
        detail: String,
        records: &[usize],
    ) {
        self.out.push(Join { rule, fingerprint, detail, records: records.to_vec() });
    }

    fn private(&mut self, groups: &Groups) {
        for ((kind, print), records) in groups.iter().filter(|((k, _), _)| *k == Kind::PrivateKey) {
            debug_assert_eq!(*kind, Kind::PrivateKey);
            let label = self.record(records[0]).about.label.clone();
            let public: Vec<usize> = [Kind::Certificate, Kind::PublicKey]
                .iter()
                .filter_map(|k| groups.get(&(*k, *print)))
                .flatten()
                .copied()
                .collect();
            let products = self.products(records);
            let known = known::source(&print.0);
            if products > 1 && known.is_none() {
                let detail = format!("{label}, in {products} images or devices");
                self.add("K-001", *print, detail, records);
            }
            let built_in = records.iter().all(|at| self.record(*at).about.in_program);
            if let Some(source) = known {
                let rule = if built_in { "K-029" } else { "K-003" };
                self.add(rule, *print, format!("{label}; known from {source}"), records);
            } else {
                self.plain_private(*print, &label, records, &public);
            }
            let elsewhere: Vec<usize> = public
                .iter()
                .copied()
                .filter(|p| records.iter().all(|r| self.record(*r).owner != self.record(*p).owner))
                .collect();
            if let Some(first) = elsewhere.first().filter(|_| known.is_none()) {
                let seen = self.record(*first);
                let owner = &self.index.owners[seen.owner as usize].name;
                let detail = format!("{label}; its public half is in {owner}");
                let both: Vec<usize> = records.iter().chain(&elsewhere).copied().collect();
                self.add("K-005", *print, detail, &both);
            }
            let open: Vec<usize> = records
                .iter()
                .copied()
                .filter(|at| self.record(*at).about.mode.is_some_and(|m| m & 0o004 != 0))
                .filter(|at| {
                    self.index.owners[self.record(*at).owner as usize].kind == OwnerKind::Image
                })
                .collect();
            if !open.is_empty() {
                self.add("K-026", *print, label.clone(), &open);
            }
        }
        self.sealed(groups);
    }

    /// What is under a password: opened by a well-known one, or not.
    fn sealed(&mut self, groups: &Groups) {
        for ((kind, print), records) in groups {
            let first = self.record(records[0]);
            let (closed, opened) = match kind {
                Kind::EncryptedKey => ("K-018", "K-034"),
                Kind::KeyStore => ("K-021", "K-033"),
                _ => continue,
            };
            let label = first.about.label.clone();
            match first.about.opened_with {
                Some("") => {
                    self.add(
                        opened,
                        *print,
                        format!("{label}: the empty password opens it"),
                        records,
                    );
                }
                Some(word) => {
                    self.add(opened, *print, format!("{label}: the password is {word}"), records);
                }
                None => self.add(closed, *print, label, records),
            }
        }
    }

    /// One public key with several devices or images that no certificate explains.
    fn public_on_two(&mut self, groups: &Groups) {
        for ((kind, print), records) in groups {
            let is_certificate = *kind == Kind::Certificate;
            if !matches!(kind, Kind::Certificate | Kind::PublicKey)
                || groups.contains_key(&(Kind::PrivateKey, *print))
                || known::source(&print.0).is_some()
            {
                continue;
            }
            let own: Vec<usize> = records
                .iter()
                .copied()
                .filter(|at| {
                    let about = &self.record(*at).about;
                    !about.in_program && !about.certificate.as_ref().is_some_and(|c| c.ca)
                })
                .collect();
            let label = self.record(records[0]).about.label.clone();
            let devices = self.owners_of(&own, OwnerKind::Device);
            let images = self.owners_of(&own, OwnerKind::Image);
            // A key that comes with a certificate too is answered once, at the certificate.
            let explained = !is_certificate && groups.contains_key(&(Kind::Certificate, *print));
            if devices > 1 && !explained {
                self.add("K-030", *print, format!("{label}, on {devices} devices"), &own);
            } else if images > 1 && !is_certificate && !explained {
                self.add("K-031", *print, format!("{label}, in {images} images"), &own);
            }
        }
    }

    fn owners_of(&self, records: &[usize], kind: OwnerKind) -> usize {
        let owners: BTreeSet<u32> = records
            .iter()
            .map(|at| self.record(*at).owner)
            .filter(|o| self.index.owners.get(*o as usize).is_some_and(|o| o.kind == kind))
            .collect();
        owners.len()
    }

    fn plain_private(
        &mut self,
        print: Fingerprint,
        label: &str,
        records: &[usize],
        public: &[usize],
    ) {
        // Found only in stores and keys that a well-known password opened: those say so.
        if records.iter().all(|at| self.record(*at).about.opened_with.is_some()) {
            return;
        }
        let ca = public
            .iter()
            .any(|at| self.record(*at).about.certificate.as_ref().is_some_and(|c| c.ca));
        let path = |at: &usize| self.record(*at).location.path.as_str();
        let host =
            |p: &str| p.contains("ssh_host_") || p.contains("dropbear") && p.contains("host_key");
        let rule = if ca {
            "K-017"
        } else if records.iter().any(|at| host(path(at))) {
            "K-019"
        } else if label.starts_with("OpenPGP") {
            "K-025"
        } else if records.iter().all(|at| self.record(*at).about.label.ends_with("in a constant")) {
            "K-024"
        } else {
            "K-002"
        };
        self.add(rule, print, label.to_owned(), records);
    }

    fn public(&mut self, groups: &Groups) {
        let mut seen = BTreeSet::new();
        for ((kind, print), records) in groups {
            if !matches!(kind, Kind::Certificate | Kind::PublicKey) || !seen.insert(*print) {
                continue;
            }
            let has_private = groups.contains_key(&(Kind::PrivateKey, *print));
            let built_in = records.iter().all(|at| self.record(*at).about.in_program);
            if let Some(source) = known::source(&print.0).filter(|_| !has_private && !built_in) {
                let mut all = records.clone();
                if *kind == Kind::PublicKey {
                    all.extend(groups.get(&(Kind::Certificate, *print)).into_iter().flatten());
                }
                let label = &self.record(records[0]).about.label;
                self.add("K-004", *print, format!("{label}; known from {source}"), &all);
            }
        }
        for ((_, print), records) in groups.iter().filter(|((k, _), _)| *k == Kind::PublicKey) {
            let login: Vec<usize> = records
                .iter()
                .copied()
                .filter(|at| self.record(*at).location.path.contains("authorized_keys"))
                .collect();
            if !login.is_empty() {
                let label = self.record(login[0]).about.label.clone();
                self.add("K-020", *print, label, &login);
            }
        }
    }

    fn secrets(&mut self, groups: &Groups) {
        for ((kind, print), records) in groups {
            let first = self.record(records[0]);
            let products = self.products(records);
            let rule = match kind {
                Kind::PasswordHash => "K-007",
                Kind::Password | Kind::Token | Kind::Symmetric => "K-008",
                _ => continue,
            };
            if products > 1 {
                let detail = format!("{}, in {products} images or devices", first.about.label);
                self.add(rule, *print, detail, records);
            }
            if let Some(password) = first.about.default_password {
                let word = if password.is_empty() { "the empty password" } else { password };
                let detail = format!("{}: the password is {word}", first.about.label);
                self.add("K-022", *print, detail, records);
            }
        }
    }

    fn certificates(&mut self, groups: &Groups, today: &str) {
        let mut by_certificate: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
        for ((_, print), records) in groups.iter().filter(|((k, _), _)| *k == Kind::Certificate) {
            let mut different = BTreeSet::new();
            for at in records {
                if let Some(certificate) = &self.record(*at).about.certificate {
                    by_certificate.entry(certificate.sha256).or_default().push(*at);
                    if !certificate.ca {
                        different.insert(certificate.sha256);
                    }
                }
            }
            if different.len() > 1 {
                let detail = format!("{} certificates on one key", different.len());
                self.add("K-006", *print, detail, records);
            }
        }
        for (sha256, records) in by_certificate {
            let Some(certificate) = self.record(records[0]).about.certificate.clone() else {
                continue;
            };
            let print = Fingerprint(sha256);
            if let Some(hash) = certificate.weak_signature.filter(|_| !certificate.self_signed) {
                let detail = format!("{}: signed with {hash}", certificate.subject);
                self.add("K-015", print, detail, &records);
            }
            let (from, to) = &certificate.validity;
            let year = |t: &str| t.get(..4).and_then(|y| y.parse::<u32>().ok()).unwrap_or(0);
            // 99991231 says "no end" (RFC 5280); initial device identities use it.
            let long = year(to) > year(from) + 10 && year(to) != 9999 && !certificate.ca;
            let ended = !certificate.ca && to.get(..8).is_some_and(|day| day < today);
            if long || ended {
                let day = to.get(..8).unwrap_or(to);
                let detail = format!("{}: ends {day}", certificate.subject);
                self.add("K-016", print, detail, &records);
            }
        }
    }

    fn strength(&mut self) {
        let mut moduli: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        let mut degenerate: BTreeMap<Fingerprint, Vec<usize>> = BTreeMap::new();
        let mut short: BTreeMap<Fingerprint, Vec<usize>> = BTreeMap::new();
        let mut all: BTreeMap<Fingerprint, Vec<usize>> = BTreeMap::new();
        for (at, record) in self.index.records.iter().enumerate() {
            let Some(key) = &record.about.key else { continue };
            let print = Fingerprint(key.spki_sha256);
            all.entry(print).or_default().push(at);
            if key.degenerate {
                degenerate.entry(print).or_default().push(at);
            }
            let is_rsa = key.rsa.is_some() || key.name.starts_with("DSA");
            // A modulus of 2048 bits may come out a bit shorter.
            let limit = if is_rsa { 2040 } else { 224 };
            if key.bits > 0 && key.bits < limit {
                short.entry(print).or_default().push(at);
            }
            if let Some((modulus, _)) = &key.rsa {
                moduli.entry(modulus.clone()).or_default().push(at);
            }
        }
        for (print, records) in all {
            let weak = self.record(records[0]).about.key.clone().filter(|key| debian::is_weak(key));
            if let Some(key) = weak {
                self.add("K-036", print, key.name.clone(), &records);
            }
        }
        for (print, records) in degenerate {
            let label = self.record(records[0]).about.label.clone();
            self.add("K-027", print, label, &records);
        }
        for (print, records) in short {
            let label = self.record(records[0]).about.label.clone();
            self.add("K-014", print, label, &records);
        }
        let list: Vec<(Vec<u8>, Vec<usize>)> = moduli.into_iter().collect();
        let numbers: Vec<UBig> = list.iter().map(|(m, _)| UBig::from_be_bytes(m)).collect();
        for ((modulus, records), number) in list.iter().zip(&numbers) {
            self.one_modulus(modulus, records, number);
        }
        self.common_primes(&list, &numbers);
    }

    fn one_modulus(&mut self, modulus: &[u8], records: &[usize], number: &UBig) {
        let Some(key) = self.record(records[0]).about.key.clone() else { return };
        let print = Fingerprint(key.spki_sha256);
        let label = key.name.clone();
        let exponents: BTreeSet<&Vec<u8>> = records
            .iter()
            .filter_map(|at| self.record(*at).about.key.as_ref()?.rsa.as_ref().map(|r| &r.1))
            .collect();
        if exponents.len() > 1 {
            let detail = format!("{label}, {} exponents on one modulus", exponents.len());
            self.add("K-028", print, detail, records);
        }
        for exponent in exponents {
            let value = exponent.iter().take(8).fold(0u64, |n, b| n << 8 | u64::from(*b));
            let odd = exponent.last().is_some_and(|b| b & 1 == 1);
            let rule = if !odd
                || value == 1 && exponent.len() == 1
                || exponent.len() * 2 > modulus.len()
            {
                "K-013"
            } else if exponent.len() <= 2 && value < 65537 {
                "K-035"
            } else {
                continue;
            };
            self.add(rule, print, format!("{label}, exponent {value}"), records);
        }
        if let Some(factor) = math::small_factor(number) {
            self.add("K-012", print, format!("{label}, divisible by {factor}"), records);
        } else if math::close_primes(number) {
            self.add("K-011", print, label, records);
        } else if math::is_roca(number) {
            self.add("K-010", print, label, records);
        }
    }

    fn common_primes(&mut self, list: &[(Vec<u8>, Vec<usize>)], numbers: &[UBig]) {
        let mut by_factor: HashMap<UBig, Vec<usize>> = HashMap::new();
        for (at, factor) in math::batch_gcd(numbers).into_iter().enumerate() {
            // A shared factor of a few bits is damage, and K-012 says so.
            if let Some(factor) = factor.filter(|f| *f > UBig::from(u64::MAX)) {
                let factor = if factor == numbers[at] { UBig::ZERO } else { factor };
                by_factor.entry(factor).or_default().push(at);
            }
        }
        let mut found: Vec<Vec<usize>> = by_factor.into_values().collect();
        found.sort();
        for keys in found {
            let records: Vec<usize> = keys.iter().flat_map(|k| list[*k].1.clone()).collect();
            let Some(key) = self.record(records[0]).about.key.clone() else { continue };
            let detail = format!("{} keys of {} share a prime", keys.len(), key.name);
            self.add("K-009", Fingerprint(key.spki_sha256), detail, &records);
        }
    }

    fn shapes(&mut self) {
        let mut shapes: BTreeMap<Fingerprint, Vec<usize>> = BTreeMap::new();
        for (at, record) in self.index.records.iter().enumerate() {
            if let Some(shape) = record.about.shape {
                shapes.entry(shape).or_default().push(at);
            }
        }
        for (shape, records) in shapes {
            let different: BTreeSet<_> =
                records.iter().map(|at| self.record(*at).fingerprint).collect();
            if self.products(&records) > 1 && different.len() > 1 {
                let detail = format!("{} passwords of one pattern", different.len());
                self.add("K-023", shape, detail, &records);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keys::About, model::Location};

    fn index(entries: &[(&str, OwnerKind, Kind, u8)]) -> Index {
        let mut index = Index::default();
        for (name, owner_kind, kind, print) in entries {
            let owner = index.owner(name, *owner_kind);
            index.insert(Record {
                owner,
                kind: *kind,
                fingerprint: Fingerprint([*print; 32]),
                location: Location {
                    owner,
                    file: (*name).into(),
                    path: (*name).into(),
                    offset: 0,
                    line: None,
                },
                about: About { label: "EC P-256".into(), ..About::default() },
            });
        }
        index
    }

    fn rules(entries: &[(&str, OwnerKind, Kind, u8)]) -> Vec<&'static str> {
        index(entries).joins("20261122").into_iter().map(|j| j.rule).collect()
    }

    use Kind::{Certificate, PrivateKey, PublicKey};
    use OwnerKind::{Device, Image, Source};

    #[test]
    fn one_public_key_on_two_devices_is_seen_without_a_certificate() {
        let shared = [("a", Device, PublicKey, 1), ("b", Device, PublicKey, 1)];
        assert_eq!(rules(&shared), ["K-030"]);
        assert!(rules(&[("a", Device, PublicKey, 1), ("b", Device, PublicKey, 2)]).is_empty());
    }

    #[test]
    fn one_device_certificate_on_two_devices_is_seen_once() {
        let shared = [
            ("a", Device, Certificate, 1),
            ("a", Device, PublicKey, 1),
            ("b", Device, Certificate, 1),
            ("b", Device, PublicKey, 1),
        ];
        assert_eq!(rules(&shared), ["K-030"]);
    }

    #[test]
    fn one_private_key_on_two_owners_is_seen_without_a_certificate() {
        assert!(
            rules(&[("a", Image, PrivateKey, 1), ("b", Image, PrivateKey, 1)]).contains(&"K-001")
        );
        assert!(
            rules(&[("a", Image, PrivateKey, 1), ("b", Device, PrivateKey, 1)]).contains(&"K-001")
        );
        assert!(
            !rules(&[("a", Image, PrivateKey, 1), ("b", Image, PrivateKey, 2)]).contains(&"K-001")
        );
    }

    #[test]
    fn a_public_key_in_two_images_is_a_question_and_in_one_it_is_none() {
        assert_eq!(rules(&[("a", Image, PublicKey, 1), ("b", Image, PublicKey, 1)]), ["K-031"]);
        assert!(rules(&[("a", Image, PublicKey, 1), ("b", Source, PublicKey, 1)]).is_empty());
    }
}
