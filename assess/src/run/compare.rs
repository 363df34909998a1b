//! Images side by side: which files and bytes differ, and what is the same although each
//! device must have its own.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    hash::Hasher,
};

use serde::Serialize;

use crate::{
    blob::Blob,
    model::Location,
    walk::{Leaf, Place},
};

/// Two images byte by byte and file by file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Name of the first image, which all others are compared with.
    pub first: String,
    /// Name of the second image.
    pub second: String,
    /// Whether they are the same bytes: then they say nothing about two devices.
    pub identical: bool,
    /// Bytes that are the same at the same offset, in blocks of 4 KiB; 0 for directories.
    pub bytes_same: u64,
    /// Bytes that differ there, or that one of them has not.
    pub bytes_different: u64,
    /// The first regions that differ: offset and length.
    pub regions: Vec<Region>,
    /// How many regions differ.
    pub regions_different: usize,
    /// Files with the same path and content.
    pub files_same: usize,
    /// How many files have the same path and other content.
    pub files_different: usize,
    /// How many are only in the first.
    pub files_only_first: usize,
    /// How many are only in the second.
    pub files_only_second: usize,
    /// The first paths that differ; `-` before one that only the first has, `+` the second.
    pub paths: Vec<String>,
}

/// A run of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Region {
    /// Where it starts.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
}

/// A file that is the same in several images although it should differ.
pub(super) struct Same {
    pub(super) digest: [u8; 32],
    pub(super) what: &'static str,
    pub(super) locations: BTreeSet<Location>,
}

/// What is in each image, by path and digest.
#[derive(Default)]
pub(super) struct Inventory {
    images: BTreeMap<u32, Image>,
    /// Files that should differ: digest, what they are, where.
    own: BTreeMap<([u8; 32], &'static str), BTreeSet<Location>>,
}

#[derive(Default)]
struct Image {
    name: String,
    bytes: u64,
    blocks: Vec<u64>,
    files: BTreeMap<String, [u8; 32]>,
}

impl Inventory {
    /// A new image; `blob` is the file as it lies there, where it is one file.
    pub(super) fn image(&mut self, owner: u32, name: &str, blob: Option<&Blob>) {
        let image = self.images.entry(owner).or_default();
        name.clone_into(&mut image.name);
        let Some(blob) = blob else { return };
        image.bytes = blob.len();
        let mut at = 0;
        while at < blob.len() && image.blocks.len() < MAX_BLOCKS {
            let chunk = blob.bytes(at, BLOCK * 64);
            if chunk.is_empty() {
                break;
            }
            for block in chunk.chunks(BLOCK) {
                let mut hasher = DefaultHasher::new();
                hasher.write(block);
                image.blocks.push(hasher.finish());
            }
            at += chunk.len() as u64;
        }
    }

    /// A leaf of an image.
    pub(super) fn leaf(&mut self, leaf: &Leaf<'_>, digest: [u8; 32], says_something: bool) {
        let Some(image) = self.images.get_mut(&leaf.place.owner) else { return };
        if image.files.len() >= MAX_FILES {
            return;
        }
        let key = path(leaf.place, &image.name, leaf.base);
        if let Some(what) = should_differ(&key).filter(|_| says_something) {
            let place = leaf.place;
            self.own.entry((digest, what)).or_default().insert(Location {
                owner: place.owner,
                file: place.file.clone(),
                path: place.path.clone(),
                offset: leaf.base,
                line: None,
            });
        }
        // Two slots of one image hold one path each.
        let free = std::iter::once(key.clone())
            .chain((2..1000).map(|n| format!("{key} #{n}")))
            .find(|k| !image.files.contains_key(k));
        if let Some(key) = free {
            image.files.insert(key, digest);
        }
    }

    /// What several images share and should not.
    pub(super) fn shared(&self) -> impl Iterator<Item = Same> {
        self.own.iter().filter_map(|((digest, what), locations)| {
            let owners: BTreeSet<u32> = locations.iter().map(|l| l.owner).collect();
            (owners.len() > 1).then(|| Same { digest: *digest, what, locations: locations.clone() })
        })
    }

    /// Every further image against the first one.
    pub(super) fn comparisons(&self) -> Vec<Comparison> {
        let mut images = self.images.values();
        let Some(first) = images.next() else { return Vec::new() };
        images.map(|second| compare(first, second)).collect()
    }
}

fn compare(first: &Image, second: &Image) -> Comparison {
    let mut out = Comparison {
        first: first.name.clone(),
        second: second.name.clone(),
        ..Comparison::default()
    };
    if first.bytes > 0 && second.bytes > 0 {
        bytes(first, second, &mut out);
    }
    let mut paths = Vec::new();
    for (path, digest) in &first.files {
        match second.files.get(path) {
            Some(other) if other == digest => out.files_same += 1,
            Some(_) => {
                out.files_different += 1;
                paths.push(path.clone());
            }
            None => {
                out.files_only_first += 1;
                paths.push(format!("-{path}"));
            }
        }
    }
    for path in second.files.keys().filter(|p| !first.files.contains_key(*p)) {
        out.files_only_second += 1;
        paths.push(format!("+{path}"));
    }
    paths.truncate(MAX_PATHS);
    out.paths = paths;
    out
}

fn bytes(first: &Image, second: &Image, out: &mut Comparison) {
    let size = first.bytes.max(second.bytes);
    let count = first.blocks.len().max(second.blocks.len());
    let mut regions: Vec<Region> = Vec::new();
    for index in 0..count {
        let offset = (index * BLOCK) as u64;
        let len = (size - offset).min(BLOCK as u64);
        let same = matches!(
            (first.blocks.get(index), second.blocks.get(index)),
            (Some(a), Some(b)) if a == b
        );
        if same {
            out.bytes_same += len;
            continue;
        }
        out.bytes_different += len;
        match regions.last_mut().filter(|r| r.offset + r.bytes == offset) {
            Some(last) => last.bytes += len,
            None => regions.push(Region { offset, bytes: len }),
        }
    }
    out.identical = out.bytes_different == 0 && first.bytes == second.bytes;
    out.regions_different = regions.len();
    regions.truncate(MAX_REGIONS);
    out.regions = regions;
}

/// The names on the way to a leaf, without containers and their offsets, which may differ
/// between two builds of one product.
fn path(place: &Place, image: &str, base: u64) -> String {
    let rest = place.path.strip_prefix(image).unwrap_or(&place.path);
    let names: Vec<&str> = rest
        .split('!')
        .map(|step| if step.contains("@0x") && !step.starts_with('/') { "" } else { step })
        .map(|step| step.trim_start_matches("./").trim_start_matches('/'))
        .filter(|step| !step.is_empty())
        .collect();
    match (names.is_empty(), base) {
        (true, _) => format!("bytes at 0x{base:x}"),
        (false, 0) => names.join("!"),
        (false, _) => format!("{} at 0x{base:x}", names.join("!")),
    }
}

/// What a file is that each device should have for itself.
fn should_differ(path: &str) -> Option<&'static str> {
    let lower = path.to_lowercase();
    let name = lower.rsplit(['/', '!']).next().unwrap_or("");
    let is_public = name.ends_with(".pub") || name.ends_with(".crt") || name.ends_with(".cer");
    if name == "machine-id" {
        Some("machine id")
    } else if matches!(name, "random-seed" | "urandom.seed" | "urandom" | "random.seed")
        || name.ends_with("_seed") && lower.contains("random")
    {
        Some("seed of the random generator")
    } else if !is_public
        && (name.starts_with("ssh_host_") || name.starts_with("dropbear_"))
        && name.contains("key")
    {
        Some("SSH host key")
    } else if matches!(name, "nvs_key" | "nvs_keys" | "nvs-keys") {
        Some("NVS encryption keys")
    } else if matches!(name, "art" | "caldata" | "devinfo" | "prodinfo" | "deviceinfo" | "mfgdata")
    {
        Some("factory data of the device")
    } else if IDENTITY.iter().any(|word| {
        name == *word
            || [".txt", ".conf", ".cfg", ".bin"]
                .iter()
                .any(|end| name.strip_suffix(end) == Some(*word))
    }) {
        Some("serial number or identifier")
    } else {
        None
    }
}

/// Not blank, and not a word that stands for "none yet".
pub(super) fn says_something(blob: &Blob) -> bool {
    let head = blob.bytes(0, 4096);
    let text = String::from_utf8_lossy(&head).trim().to_lowercase();
    let blank = head.iter().all(|b| *b == head[0]);
    let none = ["uninitialized", "unknown", "none", "null", "default", "todo", "n/a", "unset"];
    head.len() >= 4
        && !blank
        && !none.contains(&text.as_str())
        && !text.bytes().all(|b| matches!(b, b'0' | b':' | b'-' | b'x'))
}

const IDENTITY: &[&str] = &[
    "serial",
    "serialno",
    "serial_no",
    "serial-number",
    "serial_number",
    "serialnumber",
    "device_id",
    "device-id",
    "deviceid",
    "uuid",
    "device_uuid",
    "udid",
    "hwid",
    "hostid",
    "macaddr",
    "mac_address",
    "macaddress",
    "eui64",
    "deveui",
    "device_secret",
    "device-secret",
];

const BLOCK: usize = 4096;
const MAX_BLOCKS: usize = 4 << 20;
const MAX_FILES: usize = 400_000;
const MAX_REGIONS: usize = 64;
const MAX_PATHS: usize = 500;

#[cfg(test)]
mod tests {
    use crate::testing::{tar, whole};

    const ID: &[u8] = b"4f2a9c017b6d4e0f8a35c1d29e7b6f40\n";
    const OTHER: &[u8] = b"91c3e5a7402b4d6f9e81a3c5d7f90b12\n";

    #[test]
    fn a_machine_id_in_two_images_should_differ() {
        let rules = |a: &[u8], b: &[u8]| -> Vec<&'static str> {
            let found = whole(vec![
                ("a.tar", tar("etc/machine-id", a)),
                ("b.tar", tar("etc/machine-id", b)),
            ]);
            found.findings.iter().map(|f| f.rule).collect()
        };
        assert!(rules(ID, ID).contains(&"K-032"));
        assert!(!rules(ID, OTHER).contains(&"K-032"));
        assert!(!rules(b"uninitialized\n", b"uninitialized\n").contains(&"K-032"));
        assert!(!rules(b"", b"").contains(&"K-032"));
    }

    #[test]
    fn two_images_are_compared_by_file_and_by_byte() {
        let found = whole(vec![
            ("a.tar", tar("etc/machine-id", ID)),
            ("b.tar", tar("etc/machine-id", OTHER)),
        ]);
        let pair = &found.comparisons[0];
        assert_eq!((pair.files_same, pair.files_different), (0, 1));
        assert_eq!(pair.paths, ["etc/machine-id"]);
        assert!(!pair.identical && pair.bytes_different > 0 && pair.regions_different == 1);
        let same = whole(vec![("a.tar", tar("x", ID)), ("b.tar", tar("x", ID))]);
        assert!(same.comparisons[0].identical);
        assert_eq!(same.comparisons[0].files_same, 1);
    }

    #[test]
    fn one_image_is_compared_with_nothing() {
        assert!(whole(vec![("a.tar", tar("x", ID))]).comparisons.is_empty());
    }
}
