//! Precision and recall on credentials as programs, settings, logs and manuals write them:
//! each labelled template of `data/templates.tsv` is filled in with several values.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

use ringfort_assess::{Input, Options, run};

#[test]
fn precision_and_recall_on_filled_in_templates_are_at_least_three_quarters() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut hits, mut missed, mut wrong) = (0u32, Vec::new(), Vec::new());
    let templates: Vec<&str> = TEMPLATES.lines().filter(|l| !l.starts_with('#')).collect();
    for line in &templates {
        let mut parts = line.splitn(3, '\t');
        let secret = parts.next() == Some("yes");
        let (path, text) = (parts.next().unwrap(), parts.next().unwrap());
        for _ in 0..ROUNDS {
            let content = random.fill(&text.replace("\\n", "\n")) + "\n";
            let input = Input::Bytes(path.to_owned(), content.clone().into_bytes());
            let options = Options { today: "2026-11-22".into(), ..Options::default() };
            let found = run(&[input], &options, &mut ());
            let reported = found.findings.iter().any(|f| f.rule.starts_with(['S', 'P', 'K']));
            match (secret, reported) {
                (true, true) => hits += 1,
                (true, false) => missed.push(*line),
                (false, true) => wrong.push(*line),
                (false, false) => {}
            }
        }
    }
    missed.dedup();
    wrong.dedup();
    let positives = templates.iter().filter(|l| l.starts_with("yes")).count() * ROUNDS;
    let recall = f64::from(hits) / positives as f64;
    let precision = f64::from(hits) / (f64::from(hits) + (wrong.len() * ROUNDS) as f64);
    println!("recall {recall:.2} precision {precision:.2}\nmissed {missed:#?}\nwrong {wrong:#?}");
    assert!(templates.len() >= 250);
    assert!(recall >= 0.75 && precision >= 0.75, "{recall:.2} {precision:.2}");
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn letters(&mut self, count: usize, alphabet: &[u8]) -> String {
        (0..count).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    /// Replaces every `{WORD}` that stands for a value.
    fn fill(&mut self, template: &str) -> String {
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let value = after.split_once('}').and_then(|(name, tail)| {
                let value = self.value(name)?;
                rest = tail;
                Some(value)
            });
            match value {
                Some(value) => out.push_str(&value),
                None => {
                    out.push('{');
                    rest = after;
                }
            }
        }
        out + rest
    }

    fn value(&mut self, name: &str) -> Option<String> {
        const HEX: &[u8] = b"0123456789abcdef";
        const WORD: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        Some(match name {
            "PW" => PASSWORDS[self.below(PASSWORDS.len())].replace('·', ""),
            "TOKEN" => {
                let count = [20, 24, 32, 40][self.below(4)];
                self.letters(count, WORD)
            }
            "HEX16" => self.letters(16, HEX),
            "HEX32" | "MD5" => self.letters(32, HEX),
            "HEX40" => self.letters(40, HEX),
            "SHA" => self.letters(64, HEX),
            "B64" => self.letters(40, BASE64),
            "NUM" => self.letters(9, b"123456789"),
            "NAME" => NAMES[self.below(NAMES.len())].to_owned(),
            "UUID" => {
                let parts: Vec<String> =
                    [8, 4, 4, 4, 12].iter().map(|n| self.letters(*n, HEX)).collect();
                parts.join("-")
            }
            _ => return None,
        })
    }
}

const TEMPLATES: &str = include_str!("data/templates.tsv");
const ROUNDS: usize = 3;
const NAMES: &[&str] =
    &["primary", "displayName", "user_profile", "settings", "deviceState", "left_panel"];
const PASSWORDS: &[&str] = &[
    "Tr0ub·4dor",
    "sun·shine42",
    "qaz2·wsx9",
    "letme·1n!",
    "Summer·2021",
    "kJ8#m·Q2z",
    "hunter·22!",
    "dragon·fly7",
    "monkey·123",
    "P4ss1·234x",
    "gw-47·11-x",
    "blueHou·se77",
];
