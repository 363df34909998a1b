//! Range requests (RFC 9110, section 14): one range of bytes, for a transfer that resumes.

use std::ops::Range;

/// What a Range header asks of an object of some size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// All of it: no header, one in other units, more than one range, or one that is not a range.
    All,
    /// This part; never empty, never past the end.
    Part(Range<u64>),
    /// Nothing that exists.
    Nothing,
}

/// Reads a Range header.
pub(crate) fn asked(header: Option<&str>, size_bytes: u64) -> Asked {
    let spec = header.and_then(|header| header.trim().strip_prefix("bytes="));
    let Some((first, last)) = spec.and_then(|spec| spec.split_once('-')) else {
        return Asked::All;
    };
    // A list of ranges has a comma, which is not a digit.
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Asked::All,
        (Some(first), _) if first >= size_bytes && is_end(last) => Asked::Nothing,
        (Some(first), Some(last)) => Asked::Part(first..last.saturating_add(1).min(size_bytes)),
        (Some(first), None) if last.is_empty() => Asked::Part(first..size_bytes),
        (None, Some(0)) if first.is_empty() => Asked::Nothing,
        (None, Some(_)) if first.is_empty() && size_bytes == 0 => Asked::Nothing,
        (None, Some(suffix)) if first.is_empty() => {
            Asked::Part(size_bytes.saturating_sub(suffix)..size_bytes)
        }
        _ => Asked::All,
    }
}

fn is_end(last: &str) -> bool {
    last.is_empty() || number(last).is_some()
}

/// Digits only: no sign, no space. A number beyond 64 bits is as good as the largest.
fn number(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Asked, asked};

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let table = [
            (None, Asked::All),
            (Some("bytes=0-"), Asked::Part(0..10)),
            (Some("bytes=3-"), Asked::Part(3..10)),
            (Some("bytes=9-"), Asked::Part(9..10)),
            (Some("bytes=0-0"), Asked::Part(0..1)),
            (Some("bytes=2-4"), Asked::Part(2..5)),
            (Some("bytes=2-99"), Asked::Part(2..10)),
            (Some("bytes=-3"), Asked::Part(7..10)),
            (Some("bytes=-99"), Asked::Part(0..10)),
            (Some("bytes=2-18446744073709551615"), Asked::Part(2..10)),
            (Some("bytes=2-99999999999999999999"), Asked::Part(2..10)),
            (Some("bytes=10-"), Asked::Nothing),
            (Some("bytes=10-12"), Asked::Nothing),
            (Some("bytes=99999999999999999999-"), Asked::Nothing),
            (Some("bytes=-0"), Asked::Nothing),
            (Some("bytes=4-2"), Asked::All),
            (Some("bytes=0-1,3-4"), Asked::All),
            (Some("bytes=-"), Asked::All),
            (Some("bytes=+1-2"), Asked::All),
            (Some("bytes=a-b"), Asked::All),
            (Some("bytes=12-b"), Asked::All),
            (Some("items=0-1"), Asked::All),
            (Some("bytes"), Asked::All),
        ];
        for (header, expected) in table {
            assert_eq!(asked(header, 10), expected, "{header:?}");
        }
        assert_eq!(asked(Some("bytes=0-"), 0), Asked::Nothing);
        assert_eq!(asked(Some("bytes=-1"), 0), Asked::Nothing);
        assert_eq!(asked(None, 0), Asked::All);
    }
}
