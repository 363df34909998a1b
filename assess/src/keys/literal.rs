//! Bytes as programs, dumps and settings write them out: lists of numbers, string constants with
//! escapes, hexadecimal digits.

/// Numbers of a list as bytes: `0x30, 0x82`, `48, 130`, `48, -126`, `(byte) 0x30`, `\x30\x82`,
/// `.byte` lines. Also how far it reaches.
pub(super) fn numbers(text: &[u8]) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        match rest[0] {
            b',' | b' ' | b'\n' | b'\r' | b'\t' | b'"' => at += 1,
            b'/' if rest.starts_with(b"/*") => match memchr::memmem::find(rest, b"*/") {
                Some(end) => at += end + 2,
                None => break,
            },
            b'/' if rest.starts_with(b"//") => match memchr::memchr(b'\n', rest) {
                Some(end) => at += end + 1,
                None => break,
            },
            b'(' | b'.' => match WORDS.iter().find(|word| rest.starts_with(word)) {
                Some(word) => at += word.len(),
                None => break,
            },
            b'0' | b'\\' if matches!(rest.get(1), Some(b'x' | b'X')) => {
                let digits = rest[2..].iter().take(2).take_while(|b| b.is_ascii_hexdigit()).count();
                let value = std::str::from_utf8(&rest[2..2 + digits]).ok();
                match value.and_then(|v| u8::from_str_radix(v, 16).ok()) {
                    Some(value) => out.push(value),
                    None => break,
                }
                at += 2 + digits;
                at += suffix(&text[at..]);
            }
            byte if byte.is_ascii_digit() || byte == b'-' => {
                let sign = usize::from(byte == b'-');
                let digits = rest[sign..].iter().take(4).take_while(|b| b.is_ascii_digit()).count();
                let value = std::str::from_utf8(&rest[..sign + digits]).ok();
                // Bytes of Java have a sign.
                match value.and_then(|v| v.parse::<i16>().ok()) {
                    Some(value @ -128..=255) => out.push(value as u8),
                    _ => break,
                }
                at += sign + digits;
                at += suffix(&text[at..]);
            }
            _ => break,
        }
    }
    (out, at)
}

/// `0x30u8` and `0x30U`.
fn suffix(text: &[u8]) -> usize {
    if text.starts_with(b"u8") { 2 } else { usize::from(matches!(text.first(), Some(b'u' | b'U'))) }
}

const WORDS: &[&[u8]] = &[b"(byte)", b"(char)", b"(uint8_t)", b"(unsigned char)", b".byte"];

/// The bytes of string constants that stand one behind the other, from the first byte inside the
/// first one's quotes, and how far they reach.
pub(super) fn string(text: &[u8], quote: u8) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' => at += escape(&text[at..], &mut out),
            byte if byte == quote => {
                // The next constant is part of the same value.
                let gap = text[at + 1..].iter().take(80).position(|b| {
                    !(b.is_ascii_whitespace() || matches!(b, b'\\' | b'+' | b'b' | b'L'))
                });
                match gap.map(|gap| at + 1 + gap).filter(|next| text[*next] == quote) {
                    Some(next) => at = next + 1,
                    None => return (out, at),
                }
            }
            b'\n' => return (out, at),
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
    (out, at)
}

/// One escape of C or Python; returns its length.
fn escape(text: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(kind) = text.get(1) else { return 1 };
    let digits = |from: usize, most: usize, base: u32| {
        let run = text[from..].iter().take(most).take_while(|b| char::from(**b).is_digit(base));
        let run = run.count();
        let value = std::str::from_utf8(&text[from..from + run]).ok();
        (run, value.and_then(|v| u16::from_str_radix(v, base).ok()).unwrap_or(0))
    };
    match kind {
        b'x' => {
            let (run, value) = digits(2, 2, 16);
            out.push(value as u8);
            2 + run
        }
        b'0'..=b'7' => {
            let (run, value) = digits(1, 3, 8);
            out.push(value as u8);
            1 + run
        }
        b'\n' => 2,
        other => {
            out.push(match other {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'a' => 7,
                b'b' => 8,
                b'v' => 11,
                b'f' => 12,
                other => *other,
            });
            2
        }
    }
}

/// Hexadecimal digits with or without `:`, `-` or blanks between the bytes, also as the lines of a
/// dump with addresses and text beside them. Also how far they reach.
pub(super) fn hexadecimal(text: &[u8]) -> (Vec<u8>, usize) {
    let mut out: Vec<u8> = Vec::new();
    let mut at = 0;
    let mut line = 0;
    while at < text.len() {
        match text[at] {
            b' ' | b':' | b'-' | b'\t' => at += 1,
            b'\r' | b'\n' => {
                at += 1;
                (line, at) = (0, at + address(&text[at..]));
            }
            // The same bytes as text.
            _ if text[at] == b'|' || line >= 16 && text[..at].ends_with(b"  ") => {
                match memchr::memchr(b'\n', &text[at..]) {
                    Some(end) => at += end,
                    None => break,
                }
            }
            byte if byte.is_ascii_hexdigit() => {
                let Ok(value) = hex::decode(text.get(at..at + 2).unwrap_or_default()) else {
                    break;
                };
                out.extend(value);
                at += 2;
                line += 1;
            }
            _ => break,
        }
    }
    (out, at)
}

/// The length of the address in front of a line of a dump.
fn address(line: &[u8]) -> usize {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let marked = matches!(line[digits..], [b':', b' ' | b'\t', ..] | [b' ', b' ', ..]);
    if (4..=16).contains(&digits) && marked { digits } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_every_language_are_one() {
        let expected = vec![0x30, 0x82, 0x01, 0xff];
        for list in [
            "0x30, 0x82, 0x01, 0xff};",
            "48,130,1,255]",
            "48, -126, 1, -1}",
            "(byte)0x30, (byte) 0x82, (byte)1, (byte)0xFF }",
            "0x30u8, 0x82u8, 1u8, 255u8]",
            "\\x30\\x82\\x01\\xff\"",
            "0x30, 0x82 // head\n  .byte 0x01 /* one */, 0xff\n;",
        ] {
            assert_eq!(numbers(list.as_bytes()).0, expected, "{list}");
        }
        assert_eq!(numbers(b"48, 300, 1").0, [48]);
    }

    #[test]
    fn string_constants_with_escapes_are_joined() {
        assert_eq!(string(b"0\\202\\1\\x04a\\n\"; next", b'"').0, b"0\x82\x01\x04a\n");
        assert_eq!(string(b"ab\"\n  \"cd\" + \"ef\", \"g\"", b'"').0, b"abcdef");
        assert_eq!(string(b"0w\\x02\\\\'", b'\'').0, b"0w\x02\\");
    }

    #[test]
    fn dumps_and_runs_of_digits_are_one() {
        let bytes: Vec<u8> = (0..40).collect();
        let digits = hex::encode(&bytes);
        let pairs: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let dump: Vec<String> = pairs
            .chunks(16)
            .enumerate()
            .map(|(n, line)| format!("{:08x}  {}  |.text..........|", n * 16, line.join(" ")))
            .collect();
        let xxd: Vec<String> = pairs
            .chunks(16)
            .enumerate()
            .map(|(n, line)| {
                let pairs: Vec<String> = line.chunks(2).map(|pair| pair.concat()).collect();
                format!("{:08x}: {}  abcdef..........", n * 16, pairs.join(" "))
            })
            .collect();
        for text in [
            digits,
            pairs.join(":"),
            pairs.join(" "),
            dump.join("\n")[10..].to_owned(),
            xxd.join("\n")[10..].to_owned(),
        ] {
            assert_eq!(hexadecimal(text.as_bytes()).0[..32], bytes[..32], "{text}");
        }
    }
}
