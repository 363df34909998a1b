//! Searches the bytes of a leaf: one pass with all keywords, then patterns, key readers
//! and component signatures where a keyword stands.

use std::{collections::HashSet, sync::OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex_automata::{Input, meta::Regex};

use crate::{
    encoded,
    keys::extract::{self, Found, Word},
    rules::{self, Capture, Pattern, components::COMPONENTS},
    walk::{Leaf, LeafKind},
};

/// A match of a pattern rule.
pub(crate) struct Hit<'a> {
    pub(crate) rule: &'static rules::Rule,
    pub(crate) secret: &'a [u8],
    pub(crate) whole: &'a [u8],
    /// Offset in the leaf's file.
    pub(crate) at: u64,
    /// Line, for text.
    pub(crate) line: Option<u32>,
}

/// Takes what the scanner finds.
pub(crate) trait Finds {
    fn hit(&mut self, hit: &Hit<'_>);
    /// `at` is the offset in the leaf's file.
    fn key(&mut self, found: Found, at: u64, line: Option<u32>);
    fn component(&mut self, name: &'static str, version: &str, at: u64);
}

/// Searches a leaf.
pub(crate) fn scan(leaf: &Leaf<'_>, out: &mut dyn Finds) {
    let scanner = scanner();
    let path = leaf.place.name();
    let is_text = leaf.kind == LeafKind::Text;
    let allowed: Vec<bool> =
        scanner.patterns.iter().map(|p| p.rule.only.admits(path, is_text)).collect();
    let mut done = HashSet::new();
    let mut lines = 1u32;
    let mut at = 0u64;
    while at < leaf.blob.len() {
        let from = at.saturating_sub(BACK);
        let data = leaf.blob.bytes(from, (at - from) as usize + CHUNK + AHEAD);
        let skip = (at - from) as usize;
        if data.len() <= skip {
            break;
        }
        let window = Window {
            data: &data,
            base: leaf.base + from,
            own: skip..(skip + CHUNK).min(data.len()),
            first_line: lines,
            is_text,
            path,
        };
        scanner.window(&window, &allowed, &mut done, out);
        if !is_text {
            let mut keys = Vec::new();
            if from == 0 {
                extract::whole(&data, &mut keys);
            }
            extract::binary(&data, &mut keys);
            for found in keys.into_iter().filter(|f| window.own.contains(&f.at)) {
                let place = window.base + found.at as u64;
                out.key(found, place, None);
            }
        } else {
            inside(scanner, &window, &allowed, 0, out);
            lines += memchr::memchr_iter(b'\n', &data[window.own.clone()]).count() as u32;
        }
        at += CHUNK as u64;
    }
}

/// Searches the texts under base64 that begin in a window, and those inside of them: what is found
/// has the place of the outermost.
fn inside(
    scanner: &Scanner,
    window: &Window<'_>,
    allowed: &[bool],
    depth: u32,
    out: &mut dyn Finds,
) {
    for found in encoded::texts(window.data, window.own.clone()) {
        let (at, line) = (window.base + found.at as u64, window.line(found.at));
        let mut out = Outside { out, at, line };
        let text = Window {
            data: &found.text,
            base: 0,
            own: 0..found.text.len(),
            first_line: 1,
            is_text: true,
            path: window.path,
        };
        scanner.window(&text, allowed, &mut HashSet::new(), &mut out);
        if depth < ENCODINGS {
            inside(scanner, &text, allowed, depth + 1, &mut out);
        }
    }
}

/// Gives what is found in an encoded text the place of that text.
struct Outside<'a> {
    out: &'a mut dyn Finds,
    at: u64,
    line: Option<u32>,
}

impl Finds for Outside<'_> {
    fn hit(&mut self, hit: &Hit<'_>) {
        self.out.hit(&Hit { at: self.at, line: self.line, ..*hit });
    }

    fn key(&mut self, found: Found, _: u64, _: Option<u32>) {
        self.out.key(found, self.at, self.line);
    }

    fn component(&mut self, name: &'static str, version: &str, _: u64) {
        self.out.component(name, version, self.at);
    }
}

struct Window<'a> {
    data: &'a [u8],
    /// Offset of `data` in the file.
    base: u64,
    /// The part whose keywords belong to this window; the rest is context.
    own: std::ops::Range<usize>,
    first_line: u32,
    is_text: bool,
    path: &'a str,
}

impl Window<'_> {
    fn line(&self, at: usize) -> Option<u32> {
        if !self.is_text {
            return None;
        }
        let own = self.own.start.min(at)..at.max(self.own.start);
        let count = memchr::memchr_iter(b'\n', &self.data[own]).count() as u32;
        Some(if at >= self.own.start {
            self.first_line + count
        } else {
            self.first_line - count.min(self.first_line - 1)
        })
    }

    /// The line, or in binary data the run of printable characters, around a keyword.
    fn region(&self, at: usize, end: usize, lines: u8) -> (usize, usize) {
        let stop = |b: &u8| {
            if self.is_text {
                *b == b'\n'
            } else {
                !(0x20..0x7f).contains(b) && !matches!(*b, b'\t' | b'\n' | b'\r')
            }
        };
        let low = at.saturating_sub(LINE_BACK);
        let high = (end + LINE_AHEAD).min(self.data.len());
        let from = self.data[low..at].iter().rposition(stop).map_or(low, |p| low + p + 1);
        let next =
            |from: usize| self.data[from..high].iter().position(stop).map_or(high, |p| from + p);
        let mut to = next(end);
        for _ in 1..lines {
            if self.is_text && to < high {
                to = next(to + 1);
            }
        }
        (from, to)
    }
}

enum Target {
    Rule(usize),
    Key(Word),
    Component(usize),
}

struct Scanner {
    automaton: AhoCorasick,
    /// What each keyword leads to.
    targets: Vec<Vec<Target>>,
    patterns: Vec<Pattern>,
    components: Vec<OnceLock<Option<Regex>>>,
}

impl Scanner {
    fn new() -> Self {
        let patterns: Vec<Pattern> =
            rules::all().filter(|r| !r.pattern.is_empty()).map(Pattern::new).collect();
        let mut words: Vec<&str> = Vec::new();
        let mut targets: Vec<Vec<Target>> = Vec::new();
        let mut add =
            |word: &'static str, target: Target| match words.iter().position(|w| *w == word) {
                Some(at) => targets[at].push(target),
                None => {
                    words.push(word);
                    targets.push(vec![target]);
                }
            };
        for (index, pattern) in patterns.iter().enumerate() {
            for word in pattern.rule.keywords {
                add(word, Target::Rule(index));
            }
        }
        for (word, what) in extract::WORDS {
            add(word, Target::Key(*what));
        }
        for (index, component) in COMPONENTS.iter().enumerate() {
            add(component.keyword, Target::Component(index));
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&words)
            .unwrap_or_else(|error| unreachable!("some hundred short words: {error}"));
        let components = COMPONENTS.iter().map(|_| OnceLock::new()).collect();
        Self { automaton, targets, patterns, components }
    }

    fn window(
        &self,
        window: &Window<'_>,
        allowed: &[bool],
        done: &mut HashSet<(usize, u64)>,
        out: &mut dyn Finds,
    ) {
        let mut tried: Vec<(usize, usize)> = vec![(usize::MAX, 0); self.patterns.len()];
        let mut keys_to = 0;
        for found in self.automaton.find_overlapping_iter(window.data) {
            if !window.own.contains(&found.start()) {
                continue;
            }
            for target in &self.targets[found.pattern().as_usize()] {
                match target {
                    Target::Rule(index) if allowed[*index] => {
                        let lines = self.patterns[*index].rule.lines;
                        let region = window.region(found.start(), found.end(), lines);
                        if tried[*index] != region {
                            tried[*index] = region;
                            self.rule(*index, window, region, done, out);
                        }
                    }
                    Target::Rule(_) => {}
                    Target::Key(word) => {
                        if found.start() < keys_to {
                            continue;
                        }
                        let mut keys = Vec::new();
                        extract::at_word(*word, window.data, found.start(), &mut keys);
                        for key in keys {
                            keys_to = keys_to.max(key.end);
                            let at = window.base + key.at as u64;
                            let line = window.line(key.at);
                            out.key(key, at, line);
                        }
                    }
                    Target::Component(index) if !window.is_text => {
                        self.component(*index, window, found.start(), out);
                    }
                    Target::Component(_) => {}
                }
            }
        }
    }

    fn rule(
        &self,
        index: usize,
        window: &Window<'_>,
        (from, to): (usize, usize),
        done: &mut HashSet<(usize, u64)>,
        out: &mut dyn Finds,
    ) {
        let pattern = &self.patterns[index];
        let Some(regex) = pattern.regex() else { return };
        let line = &window.data[from..to];
        let near = from.saturating_sub(NEAR)..(to + NEAR).min(window.data.len());
        for captures in regex.captures_iter(Input::new(line)).take(64) {
            let Some(whole) = captures.get_group(0) else { continue };
            let group = (1..captures.group_len()).find_map(|g| captures.get_group(g));
            let group = group.unwrap_or(whole);
            let capture = Capture {
                secret: &line[group.range()],
                whole: &line[whole.range()],
                line,
                near: &window.data[near.clone()],
                path: window.path,
            };
            let at = window.base + (from + group.start) as u64;
            if (pattern.rule.check)(&capture) && done.insert((index, at)) {
                out.hit(&Hit {
                    rule: pattern.rule,
                    secret: capture.secret,
                    whole: capture.whole,
                    at,
                    line: window.line(from + group.start),
                });
            }
        }
    }

    fn component(&self, index: usize, window: &Window<'_>, at: usize, out: &mut dyn Finds) {
        let component = &COMPONENTS[index];
        let slot = self.components[index].get_or_init(|| rules::compile(component.pattern));
        let Some(regex) = slot else { return };
        let from = at.saturating_sub(16);
        let near = &window.data[from..window.data.len().min(at + 160)];
        let Some(captures) = regex.captures_iter(Input::new(near)).next() else { return };
        let version = (1..captures.group_len())
            .find_map(|group| captures.get_group(group))
            .map(|g| String::from_utf8_lossy(&near[g.range()]).into_owned())
            .unwrap_or_default();
        out.component(component.name, &version, window.base + at as u64);
    }
}

fn scanner() -> &'static Scanner {
    static SCANNER: OnceLock<Scanner> = OnceLock::new();
    SCANNER.get_or_init(Scanner::new)
}

const CHUNK: usize = 1 << 20;
const BACK: u64 = 4096;
const AHEAD: usize = 64 << 10;
/// How far around a line a check may look.
const NEAR: usize = 2048;
/// Texts under base64 inside texts under base64.
const ENCODINGS: u32 = 2;
const LINE_BACK: usize = 1024;
const LINE_AHEAD: usize = 2048;
