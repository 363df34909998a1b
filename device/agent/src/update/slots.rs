//! Slots A and B as directories, and the pointer to the one that runs.
//!
//! ```text
//! slots/a/manifest        digest of the manifest that the slot is for
//! slots/a/release.suit    its envelope
//! slots/a/component-0     the payload: a file, or the directory that was unpacked
//! slots/a/component-0.part   while it is fetched
//! slots/a/component-0.tree   digest of what was unpacked, sealed by the key store
//! slots/current -> a
//! ```
//!
//! With a program for slots the payload is the image of a place of its own, a partition for
//! instance: `component-0.part` goes there, is read back, and is removed; `current` is the boot
//! loader's word.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use ringfort_cose::{AwsLc, Reason, Sha256Digest};
use ringfort_device::Slot;
use ringfort_keystore::KeyStore;
use ringfort_suit::{Envelope, Release};

use super::download::{Limits, download};
use super::{manifest_of, unpack};
use crate::disk::{Disk, storage};
use crate::hub::Hub;
use crate::{AgentConfig, AgentError, PayloadKind, SlotsConfig};

#[derive(Clone)]
pub(crate) struct Slots {
    dir: PathBuf,
    disk: Disk,
    kind: PayloadKind,
    limits: Limits,
    unpack: unpack::Bounds,
    /// Where the images of A and B are read back, with a program for slots.
    images: Option<[PathBuf; 2]>,
}

impl Slots {
    pub(crate) fn new(config: &AgentConfig, disk: &Disk) -> Slots {
        let update = &config.update;
        Slots {
            dir: config.slots_dir(),
            disk: disk.clone(),
            kind: update.payload,
            limits: Limits {
                max_bytes: update.max_payload_bytes,
                window: update.rate_window(),
                bytes_per_window: update.bytes_per_window(),
            },
            unpack: unpack::Bounds {
                bytes: update.max_unpacked_bytes,
                entries: update.max_entries,
            },
            images: match &update.slots {
                SlotsConfig::Directory => None,
                SlotsConfig::Command { a, b, .. } => Some([a.clone(), b.clone()]),
            },
        }
    }

    /// Do the slots hold whole images that a program writes?
    pub(crate) fn are_images(&self) -> bool {
        self.images.is_some()
    }

    pub(crate) fn create(&self) -> Result<(), AgentError> {
        self.disk.create_dir(&self.dir)
    }

    /// The slot that `current` points at.
    pub(crate) fn current(&self) -> Option<Slot> {
        let target = fs::read_link(self.dir.join("current")).ok()?;
        [Slot::A, Slot::B].into_iter().find(|slot| target == Path::new(slot.name()))
    }

    /// The envelope with this manifest digest, if a slot has it.
    pub(crate) fn envelope(&self, manifest: &Sha256Digest) -> Option<Vec<u8>> {
        [Slot::A, Slot::B]
            .into_iter()
            .filter_map(|slot| fs::read(self.path(slot, "release.suit")).ok())
            .find(|envelope| manifest_of(envelope).as_ref() == Some(manifest))
    }

    /// Empties the slot, unless it was prepared for this very manifest.
    pub(crate) fn prepare(&self, slot: Slot, manifest: &Sha256Digest) -> Result<(), AgentError> {
        let marker = self.path(slot, "manifest");
        if fs::read(&marker).is_ok_and(|held| held == manifest.to_string().as_bytes()) {
            return Ok(());
        }
        self.disk.remove(&self.dir.join(slot.name()))?;
        self.disk.create_dir(&self.dir.join(slot.name()))?;
        self.disk.replace(&marker, manifest.to_string().as_bytes(), 0o644)
    }

    pub(crate) fn store_envelope(&self, slot: Slot, envelope: &[u8]) -> Result<(), AgentError> {
        let path = self.path(slot, "release.suit");
        if fs::read(&path).is_ok_and(|held| held == envelope) {
            return Ok(());
        }
        self.disk.replace(&path, envelope, 0o644)
    }

    /// Fetches a payload and puts it in its place, unless it is there already.
    pub(crate) async fn write<H: Hub>(
        &self,
        hub: &mut H,
        keys: &dyn KeyStore,
        slot: Slot,
        component: u8,
        digest: &Sha256Digest,
        size_bytes: u64,
    ) -> Result<(), AgentError> {
        if self.verify_component(slot, component, digest, size_bytes, keys).is_ok() {
            return Ok(());
        }
        let place = self.component(slot, component);
        let part = place.with_extension("part");
        download(hub, &self.disk, &part, digest, size_bytes, &self.limits).await?;
        if self.are_images() {
            // What is on the medium already was found above; the rest is the program's.
            return Ok(());
        }
        match self.kind {
            PayloadKind::File => {
                fs::set_permissions(&part, Permissions::from_mode(0o755))
                    .map_err(storage(&part))?;
                self.disk.rename(&part, &place)
            }
            PayloadKind::Tar => {
                let draft = place.with_extension("new");
                self.disk.remove(&draft)?;
                self.disk.remove(&place)?;
                unpack::unpack(&self.disk, &part, &draft, &self.unpack)?;
                let tree = unpack::tree_digest(&draft)?;
                let sealed = keys.seal(&tree_context(digest), &tree.0)?;
                self.disk.replace(&place.with_extension("tree"), &sealed, 0o600)?;
                self.disk.rename(&draft, &place)?;
                self.disk.remove(&part)
            }
        }
    }

    /// After the program wrote an image: compares what is on the medium with its digest, and
    /// removes the file that it came from.
    pub(crate) fn settle_image(
        &self,
        slot: Slot,
        digest: &Sha256Digest,
        size_bytes: u64,
    ) -> Result<(), AgentError> {
        self.read_back(slot, digest, size_bytes)?;
        self.disk.remove(&self.component(slot, 0).with_extension("part"))
    }

    fn read_back(
        &self,
        slot: Slot,
        digest: &Sha256Digest,
        size_bytes: u64,
    ) -> Result<(), AgentError> {
        let Some(images) = &self.images else { return Ok(()) };
        let path = &images[slot as usize];
        let file = File::open(path).map_err(storage(path))?;
        // From the medium, not from what the kernel remembers of the writing.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        let (found, size) = hash(file.take(size_bytes), path)?;
        let differs =
            |reason| Err(AgentError::slot(reason, format!("read back from {}", path.display())));
        match (size == size_bytes, found == *digest) {
            (false, _) => differs(Reason::ImageSize),
            (true, false) => differs(Reason::ImageDigest),
            (true, true) => Ok(()),
        }
    }

    /// Does the slot still hold what its manifest says?
    pub(crate) fn verify(
        &self,
        slot: Slot,
        manifest: &Sha256Digest,
        keys: &dyn KeyStore,
    ) -> Result<(), AgentError> {
        let path = self.path(slot, "release.suit");
        let bytes = fs::read(&path).map_err(storage(&path))?;
        let damaged = |reason| AgentError::answer(reason, "the slot's manifest");
        let envelope = Envelope::parse(&bytes, &AwsLc).map_err(damaged)?;
        if envelope.manifest_digest() != *manifest {
            return Err(damaged(Reason::ManifestDigest));
        }
        let release = Release::of(&envelope).map_err(damaged)?;
        for (index, component) in (0..).zip(release.components()) {
            self.verify_component(slot, index, &component.digest, component.size_bytes, keys)?;
        }
        Ok(())
    }

    /// Removes what a slot holds.
    pub(crate) fn remove(&self, slot: Slot) -> Result<(), AgentError> {
        self.disk.remove(&self.dir.join(slot.name()))
    }

    /// Points `current` at a slot, by one atomic rename.
    pub(crate) fn activate(&self, slot: Option<Slot>) -> Result<(), AgentError> {
        let current = self.dir.join("current");
        match slot {
            Some(slot) if self.current() == Some(slot) => Ok(()),
            Some(slot) => self.disk.point(&current, slot.name()),
            None => self.disk.remove(&current),
        }
    }

    fn verify_component(
        &self,
        slot: Slot,
        component: u8,
        digest: &Sha256Digest,
        size_bytes: u64,
        keys: &dyn KeyStore,
    ) -> Result<(), AgentError> {
        if self.are_images() {
            return match component {
                0 => self.read_back(slot, digest, size_bytes),
                _ => Err(AgentError::slot(Reason::Unsupported, "a second image for one slot")),
            };
        }
        let place = self.component(slot, component);
        let differs = |reason| AgentError::answer(reason, format!("{}", place.display()));
        match self.kind {
            PayloadKind::File => {
                let (found, size) = hash_file(&place)?;
                if size != size_bytes {
                    return Err(differs(Reason::ImageSize));
                }
                if found != *digest {
                    return Err(differs(Reason::ImageDigest));
                }
            }
            PayloadKind::Tar => {
                let path = place.with_extension("tree");
                let sealed = fs::read(&path).map_err(storage(&path))?;
                let tree = keys.unseal(&tree_context(digest), &sealed)?;
                if unpack::tree_digest(&place)?.0[..] != tree[..] {
                    return Err(differs(Reason::ImageDigest));
                }
            }
        }
        Ok(())
    }

    fn component(&self, slot: Slot, component: u8) -> PathBuf {
        self.path(slot, &format!("component-{component}"))
    }

    fn path(&self, slot: Slot, name: &str) -> PathBuf {
        self.dir.join(slot.name()).join(name)
    }
}

/// SHA-256 and size of a file.
pub(super) fn hash_file(path: &Path) -> Result<(Sha256Digest, u64), AgentError> {
    hash(File::open(path).map_err(storage(path))?, path)
}

fn hash(mut file: impl Read, path: &Path) -> Result<(Sha256Digest, u64), AgentError> {
    let (mut context, mut size) = (Context::new(&SHA256), 0);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((finish(context), size)),
            Ok(read) => {
                context.update(&buffer[..read]);
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(storage(path)(error)),
        }
    }
}

pub(super) fn finish(context: Context) -> Sha256Digest {
    let mut out = Sha256Digest([0; 32]);
    out.0.copy_from_slice(context.finish().as_ref());
    out
}

fn tree_context(payload: &Sha256Digest) -> Vec<u8> {
    [b"ringfort-agent/tree/1/", &payload.0[..]].concat()
}
