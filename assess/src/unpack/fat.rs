//! FAT12, FAT16 and FAT32 with long names.

use std::io::Write;

use super::{Fields, Format, Meta, Sink, UnpackError, clean, unclaimed::Claimed};
use crate::blob::{Blob, Spool};

pub(super) const FORMATS: &[Format] = &[Format {
    name: "fat",
    about: "FAT12, FAT16, FAT32 with long names (exFAT is not read)",
    magics: &[(510, &[0x55, 0xaa])],
    carved: true,
    detect: |b| Fat::open(b).is_ok(),
    unpack: |b, s| {
        let fat = Fat::open(b)?;
        let end = fat.total;
        if b.len() < end {
            s.unread("", b.len(), 0, &UnpackError::Truncated { at: b.len() });
        }
        let mut walk =
            Walk { fat: &fat, members: 0, above: Vec::new(), claimed: Claimed::default() };
        walk.claimed.add(0, fat.data);
        let root = walk.fat.root(s, &mut walk.claimed)?;
        walk.directory(s, &root, "")?;
        let end = end.min(b.len());
        walk.claimed.rest(b, end, s)?;
        Ok(end)
    },
}];

struct Fat {
    blob: Blob,
    kind: Kind,
    cluster_bytes: u64,
    table: u64,
    root_at: u64,
    root_bytes: u64,
    root_cluster: u32,
    data: u64,
    clusters: u32,
    total: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fat12,
    Fat16,
    Fat32,
}

impl Fat {
    fn open(blob: &Blob) -> Result<Self, UnpackError> {
        let boot = blob.exact(0, 512)?;
        let sector = u64::from(boot.le16(11)?);
        let per_cluster = u64::from(boot[13]);
        let reserved = u64::from(boot.le16(14)?);
        let tables = u64::from(boot[16]);
        let root_entries = u64::from(boot.le16(17)?);
        let small = u64::from(boot.le16(19)?);
        let total = if small != 0 { small } else { u64::from(boot.le32(32)?) };
        let small_table = u64::from(boot.le16(22)?);
        let table_sectors = if small_table != 0 { small_table } else { u64::from(boot.le32(36)?) };
        let sane = matches!(boot[0], 0xeb | 0xe9)
            && matches!(sector, 512 | 1024 | 2048 | 4096)
            && per_cluster.is_power_of_two()
            && reserved > 0
            && (1..=2).contains(&tables)
            && table_sectors > 0
            && boot[21] >= 0xf0;
        if !sane {
            return Err(UnpackError::Corrupt("FAT boot sector"));
        }
        let root_sectors = (root_entries * 32).div_ceil(sector);
        let first_data = reserved + tables * table_sectors + root_sectors;
        let clusters = total.checked_sub(first_data).ok_or(BAD)? / per_cluster;
        let kind = match clusters {
            0..4085 if root_entries > 0 => Kind::Fat12,
            4085..65525 if root_entries > 0 => Kind::Fat16,
            _ if root_entries == 0 => Kind::Fat32,
            _ => return Err(BAD),
        };
        Ok(Self {
            blob: blob.clone(),
            kind,
            cluster_bytes: per_cluster * sector,
            table: reserved * sector,
            root_at: (reserved + tables * table_sectors) * sector,
            root_bytes: root_sectors * sector,
            root_cluster: boot.le32(44)?,
            data: first_data * sector,
            clusters: u32::try_from(clusters).map_err(|_| BAD)?,
            total: total * sector,
        })
    }

    fn root(&self, sink: &mut dyn Sink, claimed: &mut Claimed) -> Result<Vec<u8>, UnpackError> {
        if self.kind == Kind::Fat32 {
            self.listing(sink, self.root_cluster, claimed)
        } else {
            self.blob.exact(self.root_at, self.root_bytes as usize)
        }
    }

    fn listing(
        &self,
        sink: &mut dyn Sink,
        cluster: u32,
        claimed: &mut Claimed,
    ) -> Result<Vec<u8>, UnpackError> {
        let limit = sink.limits().table_bytes as u64;
        let mut out = Spool::default();
        self.chain(sink, cluster, limit, &mut out, claimed)?;
        let out = out.finish();
        Ok(out.bytes(0, out.len() as usize))
    }

    fn next(&self, cluster: u32) -> Result<Option<u32>, UnpackError> {
        let cluster64 = u64::from(cluster);
        let (value, end) = match self.kind {
            Kind::Fat12 => {
                let word = self.blob.exact(self.table + cluster64 + cluster64 / 2, 2)?.le16(0)?;
                let value = if cluster & 1 == 0 { word & 0xfff } else { word >> 4 };
                (u32::from(value), 0xff8)
            }
            Kind::Fat16 => {
                let word = self.blob.exact(self.table + cluster64 * 2, 2)?.le16(0)?;
                (u32::from(word), 0xfff8)
            }
            Kind::Fat32 => {
                let word = self.blob.exact(self.table + cluster64 * 4, 4)?.le32(0)?;
                (word & 0x0fff_ffff, 0x0fff_fff8)
            }
        };
        Ok((value < end).then_some(value))
    }

    fn chain(
        &self,
        sink: &mut dyn Sink,
        first: u32,
        size: u64,
        out: &mut Spool,
        claimed: &mut Claimed,
    ) -> Result<(), UnpackError> {
        let mut cluster = Some(first);
        let mut steps = 0;
        while let Some(now) = cluster {
            if out.len() >= size {
                break;
            }
            steps += 1;
            if now < 2 || now - 2 >= self.clusters || steps > self.clusters {
                return Err(UnpackError::Corrupt("FAT chain"));
            }
            let want = (size - out.len()).min(self.cluster_bytes);
            sink.charge(want)?;
            let at = self.data + u64::from(now - 2) * self.cluster_bytes;
            out.write_all(&self.blob.exact(at, want as usize)?)?;
            claimed.add(at, self.cluster_bytes);
            cluster = self.next(now)?;
        }
        Ok(())
    }
}

struct Walk<'a> {
    fat: &'a Fat,
    members: u64,
    above: Vec<u32>,
    claimed: Claimed,
}

impl Walk<'_> {
    fn directory(
        &mut self,
        sink: &mut dyn Sink,
        listing: &[u8],
        path: &str,
    ) -> Result<(), UnpackError> {
        let mut long: Vec<u16> = Vec::new();
        for entry in listing.chunks_exact(32) {
            match (entry[0], entry[11]) {
                (0, _) => break,
                (0xe5, _) => long.clear(),
                (_, 0x0f) => {
                    let mut part: Vec<u16> = Vec::with_capacity(13);
                    for at in (1..11).chain(14..26).chain(28..32).step_by(2) {
                        part.push(entry.le16(at)?);
                    }
                    part.extend_from_slice(&long);
                    long = part;
                    long.truncate(300);
                }
                (_, attributes) if attributes & 0x08 != 0 => long.clear(),
                (_, attributes) => {
                    let name = name(entry, &std::mem::take(&mut long));
                    if name == "." || name == ".." {
                        continue;
                    }
                    self.members += 1;
                    if self.members > sink.limits().members {
                        return Err(UnpackError::Bound("members"));
                    }
                    self.entry(sink, entry, attributes, &format!("{path}/{name}"))?;
                }
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        sink: &mut dyn Sink,
        entry: &[u8],
        attributes: u8,
        full: &str,
    ) -> Result<(), UnpackError> {
        let first = u32::from(entry.le16(26)?) | u32::from(entry.le16(20)?) << 16;
        if attributes & 0x10 != 0 {
            if self.above.contains(&first) || self.above.len() > 64 {
                sink.unread(full, 0, 0, &UnpackError::Corrupt("directory cycle"));
                return Ok(());
            }
            self.above.push(first);
            let done = self
                .fat
                .listing(sink, first, &mut self.claimed)
                .and_then(|listing| self.directory(sink, &listing, full));
            self.above.pop();
            return match done {
                Err(error) if error.ends_walk() => Err(error),
                Err(error) => {
                    sink.unread(full, 0, 0, &error);
                    Ok(())
                }
                Ok(()) => Ok(()),
            };
        }
        let size = u64::from(entry.le32(28)?);
        let mut out = Spool::default();
        if size > 0
            && let Err(error) = self.fat.chain(sink, first, size, &mut out, &mut self.claimed)
        {
            sink.unread(full, 0, size - out.len(), &error);
        }
        sink.member(full, out.finish(), Meta::default())
    }
}

fn name(entry: &[u8], long: &[u16]) -> String {
    if !long.is_empty() {
        let end = long.iter().position(|&c| c == 0 || c == 0xffff).unwrap_or(long.len());
        return clean(&String::from_utf16_lossy(&long[..end]));
    }
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_lowercase();
    let (stem, extension) = (part(&entry[..8]), part(&entry[8..11]));
    clean(&if extension.is_empty() { stem } else { format!("{stem}.{extension}") })
}

const BAD: UnpackError = UnpackError::Corrupt("FAT geometry");
