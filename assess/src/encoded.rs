//! Text that stands in base64 inside a text, as manifests and settings carry whole files.

use std::ops::Range;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Where an encoded text stands, and what it says.
pub(crate) struct Encoded {
    pub(crate) at: usize,
    pub(crate) text: Vec<u8>,
}

/// The encoded texts that begin in `own`, in both alphabets, wrapped or in one line.
///
/// Most runs of such characters are words, paths and digests: a run is decoded only when its
/// first 16 characters stand for 12 printable ones, which one in 100,000 does by chance.
pub(crate) fn texts(data: &[u8], own: Range<usize>) -> Vec<Encoded> {
    let mut found = Vec::new();
    let mut at = own.start;
    // A run that began before this window belongs to the one before.
    if at > 0 {
        while at < own.end && is_digit(data[at - 1]) && is_digit(data[at]) {
            at += 1;
        }
    }
    while at < own.end {
        let Some(start) = data[at..own.end].iter().position(|b| is_digit(*b)) else { break };
        let start = at + start;
        let end = run(data, start);
        at = end + 1;
        if end - start < SHORTEST || !speaks(&data[start..start + 16]) {
            continue;
        }
        let (digits, end) = unwrapped(data, start, end);
        at = end + 1;
        if let Some(text) = decode(&digits) {
            found.push(Encoded { at: start, text });
        }
    }
    found
}

/// What a whole value says, if it is text under base64.
pub(crate) fn text(value: &[u8]) -> Option<Vec<u8>> {
    let value = value.trim_ascii();
    let end = value.iter().rposition(|b| *b != b'=').map_or(0, |last| last + 1);
    let digits = &value[..end];
    (digits.len() >= 6 && value.len() - end <= 2 && digits.iter().all(|b| is_digit(*b)))
        .then(|| decode(digits))
        .flatten()
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// The end of the run that begins at `start`.
fn run(data: &[u8], start: usize) -> usize {
    let most = data.len().min(start + LONGEST);
    data[start..most].iter().position(|b| !is_digit(*b)).map_or(most, |len| start + len)
}

/// The digits of a run and of the lines that go on with it, and where they end.
fn unwrapped(data: &[u8], start: usize, end: usize) -> (Vec<u8>, usize) {
    let mut digits = data[start..end].to_vec();
    let (mut line, mut end) = (end - start, end);
    while line >= WRAPPED && digits.len() < LONGEST {
        let gap =
            data[end..].iter().take(64).position(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
        let Some(gap) = gap.filter(|gap| data[end..end + gap].contains(&b'\n')) else { break };
        let next = end + gap;
        let to = run(data, next);
        if to == next || to - next > line {
            break;
        }
        digits.extend_from_slice(&data[next..to]);
        (line, end) = (to - next, to);
    }
    digits.truncate(LONGEST);
    (digits, end)
}

fn speaks(head: &[u8]) -> bool {
    bytes(head).is_some_and(|bytes| bytes.iter().all(|b| is_text(*b)))
}

fn decode(digits: &[u8]) -> Option<Vec<u8>> {
    let mut digits = digits;
    // One digit alone stands for nothing: the run was cut, or a word stands right behind it.
    if digits.len() % 4 == 1 {
        digits = &digits[..digits.len() - 1];
    }
    let bytes = bytes(digits)?;
    let text = std::str::from_utf8(&bytes).ok()?;
    text.bytes().all(|b| is_text(b) || b >= 0x80).then_some(bytes)
}

fn bytes(digits: &[u8]) -> Option<Vec<u8>> {
    let standard: Vec<u8> = digits
        .iter()
        .map(|b| match b {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    ENGINE.decode(standard).ok()
}

fn is_text(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) || matches!(byte, b'\n' | b'\t' | b'\r')
}

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Digits below which nothing worth a look fits.
const SHORTEST: usize = 24;
/// Digits that are decoded of one text.
const LONGEST: usize = 64 << 10;
/// Digits in a line that is wrapped, at the least.
const WRAPPED: usize = 60;

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn said(data: &str) -> Vec<String> {
        let found = texts(data.as_bytes(), 0..data.len());
        found.into_iter().map(|e| String::from_utf8(e.text).unwrap()).collect()
    }

    #[test]
    fn a_text_in_one_line_and_in_wrapped_lines_is_read() {
        let text =
            "server: gw.acme.net\nuser: device\nport: 8883\ntopic: plant/7/state\n".repeat(3);
        let line = STANDARD.encode(&text);
        assert_eq!(said(&format!("data: \"{line}\"\n")), std::slice::from_ref(&text));
        let wrapped: Vec<&str> =
            line.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).unwrap()).collect();
        assert_eq!(said(&format!("data: |\n  {}\nend: 1\n", wrapped.join("\n  "))), [text]);
    }

    #[test]
    fn words_paths_and_digests_are_no_encoded_texts() {
        assert!(said("/usr/lib/x86_64-linux-gnu/libcryptsetup/tokens/systemd").is_empty());
        assert!(
            said("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08").is_empty()
        );
        assert!(said("thisIsAVeryLongIdentifierOfSomeProgramThatNobodyCanRead").is_empty());
    }

    #[test]
    fn a_text_belongs_to_the_window_in_which_it_begins() {
        let text = "user: device\nplace: plant 7, hall 3\n";
        let data = format!("x {} y", STANDARD.encode(text));
        assert_eq!(texts(data.as_bytes(), 0..10).len(), 1);
        assert_eq!(texts(data.as_bytes(), 10..data.len()).len(), 0);
    }

    #[test]
    fn a_value_is_read_whole_or_not_at_all() {
        assert_eq!(text(b"Y2hhbmdlbWU="), Some(b"changeme".to_vec()));
        assert_eq!(text(b"changeme!"), None);
        assert_eq!(text(b""), None);
    }
}
