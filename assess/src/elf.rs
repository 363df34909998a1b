//! What the headers of an ELF file say about its hardening, and what constants of a
//! Cortex-M image say about its memory protection.

use crate::{blob::Blob, unpack::Fields};

/// Hardening of one linked ELF file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hardening {
    /// A program (with an entry that the system starts), not only a library.
    pub program: bool,
    /// Uses shared libraries.
    pub dynamic: bool,
    /// Loadable at any address.
    pub pie: bool,
    /// The stack is not executable.
    pub nx: bool,
    /// Relocations become read-only.
    pub relro: bool,
    /// All symbols are bound at start, so that the whole table is read-only.
    pub now: bool,
    /// Calls the stack protector.
    pub canary: bool,
    /// Calls checked string functions.
    pub fortify: bool,
    /// Calls string functions that could be checked.
    pub checkable: bool,
    /// A segment is writable and executable.
    pub rwx: bool,
    /// RPATH or RUNPATH.
    pub rpath: Option<String>,
    /// Has debug sections.
    pub debug: bool,
}

/// Reads the hardening of a Linux program or library; `None` for other ELF files.
#[must_use]
pub(crate) fn hardening(blob: &Blob) -> Option<Hardening> {
    let elf = Elf::open(blob)?;
    if !matches!(elf.kind, 2 | 3) {
        return None;
    }
    let mut out = Hardening { pie: elf.kind == 3, nx: false, ..Hardening::default() };
    let mut interp = false;
    let mut stack_seen = false;
    let mut dynamic = None;
    let mut loads = Vec::new();
    for segment in elf.segments() {
        match segment.kind {
            1 => {
                out.rwx |= segment.flags & 3 == 3;
                loads.push((segment.address, segment.offset, segment.size));
            }
            2 => dynamic = Some((segment.offset, segment.size)),
            3 => interp = true,
            0x6474_e551 => {
                stack_seen = true;
                out.nx = segment.flags & 1 == 0;
            }
            0x6474_e552 => out.relro = true,
            _ => {}
        }
    }
    out.dynamic = dynamic.is_some();
    if !interp && !out.dynamic && !stack_seen {
        // Bare metal: these marks mean nothing there.
        return None;
    }
    out.program = interp || elf.kind == 2;
    if let Some((offset, size)) = dynamic {
        elf.dynamic(offset, size.min(1 << 16), &loads, &mut out);
    }
    out.debug = elf.has_section(b".debug_info");
    Some(out)
}

struct Elf<'a> {
    blob: &'a Blob,
    wide: bool,
    big: bool,
    kind: u16,
    programs: (u64, u64, u64),
    sections: (u64, u64, u64, u64),
}

struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    size: u64,
}

impl<'a> Elf<'a> {
    fn open(blob: &'a Blob) -> Option<Self> {
        let head = blob.bytes(0, 64);
        if head.len() < 52 || !head.starts_with(b"\x7fELF") {
            return None;
        }
        let mut elf = Self {
            blob,
            wide: head[4] == 2,
            big: head[5] == 2,
            kind: 0,
            programs: (0, 0, 0),
            sections: (0, 0, 0, 0),
        };
        elf.kind = elf.u16(&head, 16)?;
        let half = |at| elf.u16(&head, at).map(u64::from);
        (elf.programs, elf.sections) = if elf.wide {
            (
                (elf.word(&head, 32)?, half(54)?, half(56)?),
                (elf.word(&head, 40)?, half(58)?, half(60)?, half(62)?),
            )
        } else {
            (
                (elf.word(&head, 28)?, half(42)?, half(44)?),
                (elf.word(&head, 32)?, half(46)?, half(48)?, half(50)?),
            )
        };
        Some(elf)
    }

    fn u16(&self, raw: &[u8], at: usize) -> Option<u16> {
        if self.big { raw.be16(at) } else { raw.le16(at) }.ok()
    }

    fn u32(&self, raw: &[u8], at: usize) -> Option<u32> {
        if self.big { raw.be32(at) } else { raw.le32(at) }.ok()
    }

    /// A word of the file's class.
    fn word(&self, raw: &[u8], at: usize) -> Option<u64> {
        if !self.wide {
            return self.u32(raw, at).map(u64::from);
        }
        if self.big { raw.be64(at) } else { raw.le64(at) }.ok()
    }

    fn segments(&self) -> Vec<Segment> {
        let (at, size, count) = self.programs;
        (0..count.min(256))
            .filter_map(|index| {
                let raw = self.blob.bytes(at.checked_add(index * size)?, 56);
                Some(if self.wide {
                    Segment {
                        kind: self.u32(&raw, 0)?,
                        flags: self.u32(&raw, 4)?,
                        offset: self.word(&raw, 8)?,
                        address: self.word(&raw, 16)?,
                        size: self.word(&raw, 32)?,
                    }
                } else {
                    Segment {
                        kind: self.u32(&raw, 0)?,
                        offset: self.word(&raw, 4)?,
                        address: self.word(&raw, 8)?,
                        size: self.word(&raw, 16)?,
                        flags: self.u32(&raw, 24)?,
                    }
                })
            })
            .collect()
    }

    fn dynamic(&self, offset: u64, size: u64, loads: &[(u64, u64, u64)], out: &mut Hardening) {
        let raw = self.blob.bytes(offset, size as usize);
        let step = if self.wide { 16 } else { 8 };
        let (mut strings, mut strings_len) = (None, 0);
        let mut paths = Vec::new();
        for at in (0..raw.len()).step_by(step) {
            let (Some(tag), Some(value)) = (self.word(&raw, at), self.word(&raw, at + step / 2))
            else {
                break;
            };
            match tag {
                0 => break,
                5 => strings = Some(value),
                10 => strings_len = value,
                15 | 29 => paths.push(value),
                24 => out.now = true,
                30 => out.now |= value & 8 != 0,
                0x6fff_fffb => {
                    out.now |= value & 1 != 0;
                }
                _ => {}
            }
        }
        let file_offset = strings.and_then(|address| {
            loads.iter().find_map(|(at, offset, size)| {
                (*at..at.saturating_add(*size)).contains(&address).then(|| offset + (address - at))
            })
        });
        let Some(at) = file_offset else { return };
        let table = self.blob.bytes(at, strings_len.min(4 << 20) as usize);
        for name in table.split(|b| *b == 0) {
            match name {
                b"__stack_chk_fail" | b"__stack_smash_handler" | b"__stack_chk_guard" => {
                    out.canary = true
                }
                b"strcpy" | b"memcpy" | b"sprintf" | b"strcat" | b"snprintf" | b"printf"
                | b"strncpy" => {
                    out.checkable = true;
                }
                _ if name.starts_with(b"__") && name.ends_with(b"_chk") => out.fortify = true,
                _ => {}
            }
        }
        let text = |from: u64| {
            table.get(from as usize..).map(|rest| crate::unpack::text(&rest[..rest.len().min(256)]))
        };
        out.rpath = paths.into_iter().find_map(text).filter(|p| !p.is_empty());
    }

    fn has_section(&self, name: &[u8]) -> bool {
        let (at, size, count, names) = self.sections;
        let header = |index: u64| self.blob.bytes(at.saturating_add(index * size), 64);
        let raw = header(names);
        let fields = if self.wide {
            self.word(&raw, 24).zip(self.word(&raw, 32))
        } else {
            self.word(&raw, 16).zip(self.word(&raw, 20))
        };
        let Some((offset, len)) = fields.filter(|_| count > 0) else { return false };
        let table = self.blob.bytes(offset, len.min(1 << 20) as usize);
        memchr::memmem::find(&table, name).is_some()
    }
}

/// What can be told of a Cortex-M image from its vector table and constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CortexM {
    /// The MPU's registers are named.
    pub(crate) mpu: bool,
    /// The SAU's registers are named.
    pub(crate) sau: bool,
    /// A secure gateway instruction is present.
    pub(crate) gateway: bool,
    /// The four fault vectors are one.
    pub(crate) one_fault_handler: bool,
}

/// Reads a raw Cortex-M image; `None` when the start is no plausible vector table.
#[must_use]
pub(crate) fn cortex_m(blob: &Blob) -> Option<CortexM> {
    if !(1024..16 << 20).contains(&blob.len()) {
        return None;
    }
    let table = blob.bytes(0, 64);
    let vector = |index: usize| table.le32(index * 4).ok();
    let stack = vector(0)?;
    let reset = vector(1)?;
    let stack_fits = matches!(stack >> 24, 0x10 | 0x20 | 0x21 | 0x30 | 0x38) && stack % 4 == 0;
    let handlers: Vec<u32> = (1..16).filter_map(vector).filter(|v| *v != 0).collect();
    let near = |v: u32| v & 1 == 1 && v.abs_diff(reset) < 2 * blob.len() as u32;
    if !stack_fits || handlers.len() < 5 || !handlers.iter().all(|v| near(*v)) {
        return None;
    }
    let mut out = CortexM {
        mpu: false,
        sau: false,
        gateway: false,
        one_fault_handler: (4..7).all(|i| vector(i) == vector(3)),
    };
    let mut at = 0;
    while at < blob.len() {
        let chunk = blob.bytes(at, 1 << 20);
        for place in memchr::memmem::find_iter(&chunk, &[0xed, 0x00, 0xe0]) {
            match place.checked_sub(1).map(|p| chunk[p]) {
                Some(0x90..=0xac) => out.mpu = true,
                Some(0xd0..=0xdc) => out.sau = true,
                _ => {}
            }
        }
        out.gateway |= memchr::memmem::find(&chunk, &[0x7f, 0xe9, 0x7f, 0xe9]).is_some();
        at += chunk.len().max(1) as u64;
    }
    Some(out)
}
