//! Git object stores: pack files and loose objects, with the names that their trees
//! give to the blobs. SHA-1 object ids only.

use std::collections::{BTreeMap, HashMap, VecDeque};

use flate2::bufread::ZlibDecoder;
use sha1::{Digest, Sha1};

use super::{Fields, Format, Meta, Sink, UnpackError, clean, spool};
use crate::blob::Blob;

pub(super) const FORMATS: &[Format] = &[
    Format {
        name: "git-pack",
        about: "git pack file, version 2 (SHA-1 ids)",
        magics: &[(0, b"PACK")],
        carved: false,
        detect: |b| b.exact(0, 12).is_ok_and(|h| matches!(h.be32(4), Ok(2 | 3))),
        unpack: unpack_pack,
    },
    Format {
        name: "git-object",
        about: "loose git object",
        magics: &[(0, &[0x78, 0x01]), (0, &[0x78, 0x9c]), (0, &[0x78, 0xda])],
        carved: false,
        detect: |b| loose_kind(b).is_some(),
        unpack: unpack_loose,
    },
];

/// An object id.
pub(crate) type Id = [u8; 20];

/// The id of a blob with this content.
pub(crate) fn blob_id(content: &Blob) -> Id {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    let mut at = 0;
    while at < content.len() {
        let chunk = content.bytes(at, 1 << 16);
        hash.update(&chunk);
        at += chunk.len().max(1) as u64;
    }
    hash.finalize().into()
}

fn loose_kind(blob: &Blob) -> Option<&'static str> {
    use std::io::Read;
    let mut head = [0; 7];
    ZlibDecoder::new(blob.reader(0)).read_exact(&mut head).ok()?;
    ["blob ", "tree ", "commit ", "tag "].into_iter().find(|k| head.starts_with(k.as_bytes()))
}

fn unpack_loose(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let kind = loose_kind(blob).ok_or(UnpackError::Corrupt("git object"))?;
    let (content, problem) = spool(&mut ZlibDecoder::new(blob.reader(0)), sink)?;
    let head = content.bytes(0, 64);
    let start = head.iter().position(|&b| b == 0).ok_or(UnpackError::Corrupt("git object"))?;
    if let Some(error) = problem {
        sink.unread("", 0, blob.len(), &error);
    }
    if kind != "tree " {
        sink.member("", content.tail(start as u64 + 1), Meta::default())?;
    }
    Ok(blob.len())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    None(u8),
    Offset(u64),
    Id(Id),
}

struct Entry {
    base: Base,
    data: u64,
    size: u64,
}

struct Pack {
    blob: Blob,
    entries: BTreeMap<u64, Entry>,
    ids: HashMap<Id, u64>,
    cache: VecDeque<(u64, Vec<u8>)>,
    cached: usize,
}

fn unpack_pack(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let (mut pack, end) = Pack::scan(blob, sink)?;
    let mut names = Names::default();
    let mut blobs = Vec::new();
    let mut later: Vec<u64> = pack.entries.keys().copied().collect();
    // A base named by id may come later in the pack: go round until nothing is gained.
    while !later.is_empty() {
        let before = later.len();
        let mut again = Vec::new();
        for at in later {
            match pack.kind(at, 0) {
                Some(3) => blobs.push(at),
                Some(kind @ (1 | 2 | 4)) => match pack.object(at, 0) {
                    Ok(data) => {
                        sink.charge(data.len() as u64)?;
                        let id = id_of(kind, &data);
                        pack.ids.insert(id, at);
                        if kind == 2 {
                            names.tree(&data, id);
                        } else {
                            let name = format!("/commit {}", hex::encode(&id[..6]));
                            sink.member(&name, Blob::from_vec(data), Meta::default())?;
                        }
                    }
                    Err(error) => sink.unread("", at, 0, &error),
                },
                _ => again.push(at),
            }
        }
        if again.len() == before {
            for at in &again {
                sink.unread("", *at, 0, &UnpackError::Corrupt("git delta without its base"));
            }
            break;
        }
        // Blobs may be bases of what is left.
        if !again.is_empty() {
            for &at in &blobs {
                if let Ok(data) = pack.object(at, 0) {
                    pack.ids.insert(id_of(3, &data), at);
                }
            }
        }
        later = again;
    }
    for at in blobs {
        match pack.object(at, 0) {
            Ok(data) => {
                sink.charge(data.len() as u64)?;
                let id = id_of(3, &data);
                let meta = Meta { mode: None, offset: Some(at), raw: false };
                let name = names.of(&id).unwrap_or_else(|| version("(no name)", &id));
                sink.member(&name, Blob::from_vec(data), meta)?;
            }
            Err(error) => sink.unread("", at, 0, &error),
        }
    }
    Ok(end)
}

impl Pack {
    fn scan(blob: &Blob, sink: &mut dyn Sink) -> Result<(Self, u64), UnpackError> {
        let count = u64::from(blob.exact(0, 12)?.be32(8)?);
        if count > 10 * sink.limits().members {
            return Err(UnpackError::Bound("objects in one git pack"));
        }
        let mut entries = BTreeMap::new();
        let mut at = 12;
        for _ in 0..count {
            let start = at;
            let mut byte = blob.exact(at, 1)?[0];
            at += 1;
            let kind = byte >> 4 & 7;
            let mut size = u64::from(byte & 15);
            let mut shift = 4;
            while byte & 0x80 != 0 && shift < 57 {
                byte = blob.exact(at, 1)?[0];
                at += 1;
                size |= u64::from(byte & 0x7f) << shift;
                shift += 7;
            }
            let base = match kind {
                1..=4 => Base::None(kind),
                6 => {
                    let mut byte = blob.exact(at, 1)?[0];
                    at += 1;
                    let mut back = u64::from(byte & 0x7f);
                    while byte & 0x80 != 0 && back < 1 << 48 {
                        byte = blob.exact(at, 1)?[0];
                        at += 1;
                        back = (back + 1) << 7 | u64::from(byte & 0x7f);
                    }
                    let base = start.checked_sub(back).filter(|_| back > 0);
                    Base::Offset(base.ok_or(UnpackError::Corrupt("git delta offset"))?)
                }
                7 => {
                    let raw = blob.exact(at, 20)?;
                    at += 20;
                    Base::Id(raw.try_into().map_err(|_| UnpackError::Corrupt("git id"))?)
                }
                _ => return Err(UnpackError::Corrupt("git object type")),
            };
            let mut decoder = ZlibDecoder::new(blob.reader(at));
            let plain = std::io::copy(&mut decoder, &mut Counter { left: size })?;
            if plain != size {
                return Err(UnpackError::Corrupt("git object size"));
            }
            entries.insert(start, Entry { base, data: at, size });
            at = decoder.into_inner().position();
        }
        let pack = Self {
            blob: blob.clone(),
            entries,
            ids: HashMap::new(),
            cache: VecDeque::new(),
            cached: 0,
        };
        Ok((pack, (at + 20).min(blob.len())))
    }

    fn base(&self, entry: &Entry) -> Option<u64> {
        match &entry.base {
            Base::None(_) => None,
            Base::Offset(at) => Some(*at),
            Base::Id(id) => self.ids.get(id).copied(),
        }
    }

    fn kind(&self, at: u64, depth: u32) -> Option<u8> {
        let entry = self.entries.get(&at)?;
        match entry.base {
            Base::None(kind) => Some(kind),
            _ if depth > MAX_CHAIN => None,
            _ => self.kind(self.base(entry)?, depth + 1),
        }
    }

    fn object(&mut self, at: u64, depth: u32) -> Result<Vec<u8>, UnpackError> {
        if let Some((_, data)) = self.cache.iter().find(|(key, _)| *key == at) {
            return Ok(data.clone());
        }
        let entry = self.entries.get(&at).ok_or(UnpackError::Corrupt("git delta base"))?;
        if entry.size > OBJECT_LIMIT {
            return Err(UnpackError::Bound("git object size"));
        }
        if depth > MAX_CHAIN {
            return Err(UnpackError::Bound("git delta chain"));
        }
        let (size, start) = (entry.size as usize, entry.data);
        let is_delta = !matches!(entry.base, Base::None(_));
        let base = self.base(entry);
        let mut data = Vec::with_capacity(size);
        std::io::Read::read_to_end(
            &mut std::io::Read::take(ZlibDecoder::new(self.blob.reader(start)), size as u64),
            &mut data,
        )?;
        if is_delta {
            let base = base.ok_or(UnpackError::Corrupt("git delta base"))?;
            let base = self.object(base, depth + 1)?;
            data = apply(&base, &data)?;
        }
        self.cached += data.len();
        self.cache.push_front((at, data.clone()));
        while self.cached > CACHE_BYTES || self.cache.len() > 256 {
            let Some((_, old)) = self.cache.pop_back() else { break };
            self.cached -= old.len();
        }
        Ok(data)
    }
}

struct Counter {
    left: u64,
}

impl std::io::Write for Counter {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.left = self
            .left
            .checked_sub(data.len() as u64)
            .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidData))?;
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn apply(base: &[u8], delta: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let mut at = 0;
    if varint(delta, &mut at)? != base.len() as u64 {
        return Err(UnpackError::Corrupt("git delta base size"));
    }
    let size = varint(delta, &mut at)?;
    if size > OBJECT_LIMIT {
        return Err(UnpackError::Bound("git object size"));
    }
    let mut out = Vec::with_capacity(size as usize);
    while at < delta.len() {
        let op = delta[at];
        at += 1;
        if op & 0x80 != 0 {
            let mut field = |bits: u8, from: u8| -> Result<usize, UnpackError> {
                let mut value = 0;
                for bit in 0..bits {
                    if op >> (from + bit) & 1 == 1 {
                        value |= usize::from(delta.part(at, 1)?[0]) << (8 * bit);
                        at += 1;
                    }
                }
                Ok(value)
            };
            let offset = field(4, 0)?;
            let len = match field(3, 4)? {
                0 => 0x10000,
                len => len,
            };
            out.extend_from_slice(base.part(offset, len)?);
        } else if op != 0 {
            out.extend_from_slice(delta.part(at, usize::from(op))?);
            at += usize::from(op);
        } else {
            return Err(UnpackError::Corrupt("git delta instruction"));
        }
        if out.len() as u64 > size {
            return Err(UnpackError::Corrupt("git delta size"));
        }
    }
    Ok(out)
}

fn varint(data: &[u8], at: &mut usize) -> Result<u64, UnpackError> {
    let mut value = 0;
    for shift in (0..56).step_by(7) {
        let byte = data.part(*at, 1)?[0];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(UnpackError::Corrupt("git delta number"))
}

fn id_of(kind: u8, data: &[u8]) -> Id {
    let name = match kind {
        1 => "commit",
        2 => "tree",
        3 => "blob",
        _ => "tag",
    };
    let mut hash = Sha1::new();
    hash.update(format!("{name} {}\0", data.len()));
    hash.update(data);
    hash.finalize().into()
}

/// The names that trees give to files: each id with the tree that it was first seen in.
#[derive(Debug, Default)]
pub struct Names(HashMap<Id, (Id, String)>);

impl Names {
    /// Takes the names of a loose tree object; anything else is left alone.
    pub(crate) fn loose(&mut self, blob: &Blob) {
        use std::io::Read;
        if loose_kind(blob) != Some("tree ") {
            return;
        }
        let mut data = Vec::new();
        let mut reader = ZlibDecoder::new(blob.reader(0)).take(OBJECT_LIMIT);
        if reader.read_to_end(&mut data).is_ok()
            && let Some(start) = data.iter().position(|&b| b == 0)
        {
            let content = &data[start + 1..];
            self.tree(content, id_of(2, content));
        }
    }

    fn tree(&mut self, data: &[u8], id: Id) {
        let mut rest = data;
        while let Some(space) = rest.iter().position(|&b| b == b' ') {
            let Some(end) = rest.iter().position(|&b| b == 0) else { return };
            let Some(child) = rest.get(end + 1..end + 21) else { return };
            if space < end
                && let Ok(child) = Id::try_from(child)
                && self.0.len() < MAX_NAMES
            {
                let name = clean(&String::from_utf8_lossy(&rest[space + 1..end]));
                self.0.entry(child).or_insert((id, name));
            }
            rest = &rest[end + 21..];
        }
    }

    /// `/src/main.c@0123456789ab`, where a tree names the id.
    pub(crate) fn of(&self, id: &Id) -> Option<String> {
        let mut parts = Vec::new();
        let mut next = *id;
        while let Some((parent, name)) = self.0.get(&next) {
            parts.push(name.as_str());
            next = *parent;
            if parts.len() > 64 {
                break;
            }
        }
        parts.reverse();
        (!parts.is_empty()).then(|| version(&parts.join("/"), id))
    }
}

fn version(path: &str, id: &Id) -> String {
    format!("/{path}@{}", hex::encode(&id[..6]))
}

const MAX_CHAIN: u32 = 256;
const MAX_NAMES: usize = 1 << 20;
const OBJECT_LIMIT: u64 = 24 << 20;
const CACHE_BYTES: usize = 16 << 20;
