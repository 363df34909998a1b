//! Pictures, sound, films and fonts: how far one reaches by its own structure. A magic number
//! alone is no proof: headers of firmware begin like fonts, and a picture may have a file system
//! behind it.

use crate::{blob::Blob, unpack::Fields};

/// How far a medium reaches.
pub(super) enum Extent {
    /// Up to here; what follows is something else.
    To(u64),
    /// Its structure tells no end.
    Open,
}

/// The medium that the blob starts with.
pub(super) fn extent(blob: &Blob) -> Option<Extent> {
    let head = blob.bytes(0, 16);
    let kind = KINDS
        .iter()
        .find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    let extent = (kind?.2)(blob)?;
    match extent {
        Extent::To(end) if end == 0 || end > blob.len() => None,
        other => Some(other),
    }
}

type Measure = fn(&Blob) -> Option<Extent>;

const KINDS: &[(usize, &[u8], Measure)] = &[
    (0, b"\x89PNG\r\n\x1a\n", |b| to(png(b))),
    (0, b"\xff\xd8\xff", |b| to(jpeg(b))),
    (0, b"GIF8", |b| to(gif(b))),
    (8, b"WEBPVP8", |b| to(riff(b))),
    (8, b"WAVEfmt ", |b| to(riff(b))),
    (0, b"OggS", |b| to(ogg(b))),
    (4, b"ftyp", |b| to(boxes(b))),
    (0, b"wOFF", |b| to(word(b, 8))),
    (0, b"wOF2", |b| to(word(b, 8))),
    (0, b"\0\x01\0\0", |b| to(font(b))),
    (0, b"OTTO", |b| to(font(b))),
    (0, b"\0\0\x01\0", |b| to(icon(b))),
    (0, b"BM", |b| to(bitmap(b))),
    (0, b"ID3\x03", tagged_sound),
    (0, b"ID3\x04", tagged_sound),
    (0, b"fLaC\0\0\0\x22", |_| Some(Extent::Open)),
];

fn to(end: Option<u64>) -> Option<Extent> {
    end.map(Extent::To)
}

fn word(blob: &Blob, at: u64) -> Option<u64> {
    blob.bytes(at, 4).be32(0).ok().map(u64::from)
}

fn png(blob: &Blob) -> Option<u64> {
    let mut at = 8;
    loop {
        let head = blob.exact(at, 8).ok()?;
        let kind = &head[4..8];
        if !kind.iter().all(u8::is_ascii_alphabetic) {
            return None;
        }
        at += 12 + u64::from(head.be32(0).ok()?);
        if kind == b"IEND" {
            return Some(at);
        }
    }
}

fn jpeg(blob: &Blob) -> Option<u64> {
    let mut at = 2;
    loop {
        let marker = blob.exact(at, 4).or_else(|_| blob.exact(at, 2)).ok()?;
        match (marker[0], marker[1]) {
            (0xff, 0xd9) => return Some(at + 2),
            (0xff, 0xff) => at += 1,
            (0xff, 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, 0xc0..) => {
                at += 2 + u64::from(marker.be16(2).ok()?);
                if marker[1] == 0xda {
                    at = scan_end(blob, at)?;
                }
            }
            _ => return None,
        }
    }
}

/// The next marker behind the coded data of a picture.
fn scan_end(blob: &Blob, mut at: u64) -> Option<u64> {
    while at < blob.len() {
        let chunk = blob.bytes(at, 64 << 10);
        for place in memchr::memchr_iter(0xff, &chunk) {
            match chunk.get(place + 1) {
                Some(0 | 0xff | 0xd0..=0xd7) => {}
                Some(_) => return Some(at + place as u64),
                // The last byte of the chunk: looked at again with what follows.
                None => {}
            }
        }
        at += (chunk.len().max(2) - 1) as u64;
    }
    None
}

fn gif(blob: &Blob) -> Option<u64> {
    let colours = |flags: u8| if flags & 0x80 != 0 { 3u64 << ((flags & 7) + 1) } else { 0 };
    let mut at = 13 + colours(*blob.exact(0, 13).ok()?.get(10)?);
    loop {
        match blob.exact(at, 1).ok()?[0] {
            0x3b => return Some(at + 1),
            0x21 => at = blocks(blob, at + 2)?,
            0x2c => {
                let flags = blob.exact(at, 10).ok()?[9];
                at = blocks(blob, at + 11 + colours(flags))?;
            }
            _ => return None,
        }
    }
}

fn blocks(blob: &Blob, mut at: u64) -> Option<u64> {
    loop {
        let len = u64::from(blob.exact(at, 1).ok()?[0]);
        at += 1 + len;
        if len == 0 {
            return Some(at);
        }
    }
}

fn riff(blob: &Blob) -> Option<u64> {
    let head = blob.exact(0, 12).ok()?;
    let end = 8 + u64::from(head.le32(4).ok()?);
    head.starts_with(b"RIFF").then_some(end)
}

fn ogg(blob: &Blob) -> Option<u64> {
    let mut at = 0;
    while let Ok(head) = blob.exact(at, 27) {
        if !head.starts_with(b"OggS") {
            break;
        }
        let count = usize::from(head[26]);
        let sizes = blob.exact(at + 27, count).ok()?;
        at += 27 + count as u64 + sizes.iter().map(|s| u64::from(*s)).sum::<u64>();
    }
    Some(at)
}

fn boxes(blob: &Blob) -> Option<u64> {
    let mut at = 0;
    while let Ok(head) = blob.exact(at, 8) {
        if !head[4..8].iter().all(|b| b.is_ascii_alphanumeric() || *b == b' ') {
            break;
        }
        let len = match head.be32(0).ok()? {
            0 => blob.len() - at,
            1 => blob.exact(at + 8, 8).ok()?.be64(0).ok()?,
            len => u64::from(len),
        };
        if len < 8 {
            break;
        }
        at = at.checked_add(len)?;
    }
    Some(at)
}

fn font(blob: &Blob) -> Option<u64> {
    let count = usize::from(blob.exact(0, 12).ok()?.be16(4).ok()?);
    let mut end = 0;
    let mut known = false;
    for index in 0..count.min(65) {
        let entry = blob.exact(12 + index as u64 * 16, 16).ok()?;
        if !entry[..4].iter().all(|b| (0x20..0x7f).contains(b)) {
            return None;
        }
        known |= matches!(&entry[..4], b"head" | b"cmap");
        let (at, len) = (entry.be32(8).ok()?, entry.be32(12).ok()?);
        end = end.max(u64::from(at) + u64::from(len));
    }
    (known && count <= 64).then(|| end.next_multiple_of(4).min(blob.len().max(end)))
}

fn icon(blob: &Blob) -> Option<u64> {
    let count = u64::from(blob.exact(0, 6).ok()?.le16(4).ok()?);
    let mut end = 0;
    for index in 0..count.min(65) {
        let entry = blob.exact(6 + index * 16, 16).ok()?;
        let (len, at) = (entry.le32(8).ok()?, entry.le32(12).ok()?);
        if u64::from(at) < 6 + count * 16 || len == 0 || entry[3] != 0 {
            return None;
        }
        end = end.max(u64::from(at) + u64::from(len));
    }
    ((1..=64).contains(&count)).then_some(end)
}

fn bitmap(blob: &Blob) -> Option<u64> {
    let head = blob.exact(0, 18).ok()?;
    let (size, pixels, form) = (head.le32(2).ok()?, head.le32(10).ok()?, head.le32(14).ok()?);
    let fits = head[6..10] == [0; 4]
        && matches!(form, 12 | 40 | 52 | 56 | 64 | 108 | 124)
        && (14 + form..size).contains(&pixels);
    fits.then_some(u64::from(size))
}

/// Sound behind an ID3 tag: its frames tell no end.
fn tagged_sound(blob: &Blob) -> Option<Extent> {
    let size = blob.exact(6, 4).ok()?;
    if size.iter().any(|b| *b >= 0x80) {
        return None;
    }
    let size = size.iter().fold(0u64, |size, b| size << 7 | u64::from(*b));
    let mut frame = blob.bytes(10 + size, 64 << 10);
    let start = frame.iter().position(|b| *b != 0)?;
    frame.drain(..start);
    (frame.len() > 2 && frame[0] == 0xff && frame[1] & 0xe0 == 0xe0).then_some(Extent::Open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(raw: Vec<u8>) -> Option<u64> {
        match extent(&Blob::from_vec(raw)) {
            Some(Extent::To(end)) => Some(end),
            _ => None,
        }
    }

    fn with_more(raw: &[u8]) -> Vec<u8> {
        [raw, &[7; 5000]].concat()
    }

    #[test]
    fn a_picture_ends_where_its_structure_says() {
        let png = [
            b"\x89PNG\r\n\x1a\n".as_slice(),
            b"\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0....",
            b"\0\0\0\x04IDATabcd....",
            b"\0\0\0\0IEND....",
        ]
        .concat();
        assert_eq!(end(with_more(&png)), Some(png.len() as u64));
        let gif =
            b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
        assert_eq!(end(with_more(gif)), Some(gif.len() as u64));
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xda\0\x04cd12\xff\x0034\xff\xd056\xff\xd9";
        assert_eq!(end(with_more(jpeg)), Some(jpeg.len() as u64));
        let mut bmp = b"BM\x40\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bmp.resize(0x40, 1);
        assert_eq!(end(with_more(&bmp)), Some(0x40));
    }

    #[test]
    fn a_magic_number_alone_is_no_medium() {
        for head in [
            b"\0\x01\0\0\0\x10\0\x80\0\x03\0\x20".as_slice(),
            b"\0\0\x01\0\x01\0",
            b"BM6ACME1",
            b"\xff\xd8\xff\xe0",
            b"\x89PNG\r\n\x1a\n",
            b"GIF8 firmware",
            b"ID3\x03\0\0\0\0\0\x0a",
        ] {
            assert!(extent(&Blob::from_vec(with_more(head))).is_none(), "{head:?}");
        }
    }

    #[test]
    fn a_cut_picture_is_none() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0....\0\0\xff\xffIDATab";
        assert!(extent(&Blob::from_vec(png.to_vec())).is_none());
    }
}
