//! A station's directory.
//!
//! ```text
//! pki.toml, site            the PKI and the name of the site; written by accept
//! keys/                     factory-ca.sealed, station.sealed
//! certs/                    factory-ca.pem, root.pem
//! anchors/                  1.cbor and so on
//! pending/DEVICE/           request.cbor, identity.cbor: provisioned, in no batch yet
//! done/DEVICE/              the same, in a batch
//! batches/N.cbor            the batches, 1.cbor first
//! seen                      every key and UEID ever seen, one a line
//! ```
//! A device's directory appears by one rename; `seen` is a copy that speeds up the search for
//! duplicates and is brought up to date from `pending` whenever the station is opened.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use ringfort_cose::{AwsLc, Reason, Sha256Digest, Verify};
use ringfort_messages::{DeviceId, IdentityAnswer, IdentityRequest};
use ringfort_pki::{Csr, SubjectKey};
use ringfort_trust::ids::{FleetId, SiteId};

use crate::anchors::Chain;
use crate::commands::pki::record::Record;
use crate::failure::{Failure, Outcome};
use crate::files;

/// Where things are in a station's directory.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of this directory.
    pub fn new(root: &Path) -> Layout {
        Layout { root: root.to_owned() }
    }

    /// The sealed keys.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Stem of the Factory CA's key.
    pub fn factory_ca_key(&self) -> PathBuf {
        self.keys().join("factory-ca")
    }

    /// Stem of the station key.
    pub fn station_key(&self) -> PathBuf {
        self.keys().join("station")
    }

    /// The certificates.
    pub fn certs(&self) -> PathBuf {
        self.root.join("certs")
    }

    /// The Factory CA's certificate.
    pub fn factory_ca(&self) -> PathBuf {
        self.certs().join("factory-ca.pem")
    }

    /// The anchors.
    pub fn anchors(&self) -> PathBuf {
        self.root.join("anchors")
    }

    /// Devices in no batch yet.
    pub fn pending(&self) -> PathBuf {
        self.root.join("pending")
    }

    /// Devices in a batch.
    pub fn done(&self) -> PathBuf {
        self.root.join("done")
    }

    /// The batches.
    pub fn batches(&self) -> PathBuf {
        self.root.join("batches")
    }

    fn seen(&self) -> PathBuf {
        self.root.join("seen")
    }

    fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }
}

/// A station that may provision, opened by one process at a time.
pub struct Station {
    /// Where things are.
    pub layout: Layout,
    /// The site.
    pub site: SiteId,
    /// The fleet.
    pub fleet: FleetId,
    /// The PKI.
    pub pki: Record,
    /// The anchors.
    pub anchors: Chain,
    seen: HashSet<String>,
    _lock: File,
}

/// What is remembered of a device so that it is never seen twice.
pub struct Marks(Vec<String>);

impl Station {
    /// Opens a station that has accepted its certificates.
    pub fn open(directory: &Path) -> Outcome<Station> {
        let layout = Layout::new(directory);
        if !layout.factory_ca().exists() {
            return Err(Failure::failed(
                format!("{} is not a station that can provision", directory.display()),
                "It has no certificate for its Factory CA yet.",
                "Make it with `ringfort factory init`, then `ringfort factory accept`.",
            ));
        }
        let lock = lock(&layout.lock())?;
        let pki = Record::read(directory)?;
        let site_text = files::read_text(&directory.join(SITE), 64)?;
        let site = SiteId::new(site_text.trim())
            .map_err(|reason| Failure::refused(reason, "the station's site has no valid name"))?;
        let anchors = Chain::read(&layout.anchors())?;
        let fleet = pki.fleet_id()?;
        let seen = read_seen(&layout.seen())?;
        let mut station = Station { layout, site, fleet, pki, anchors, seen, _lock: lock };
        for device in station.pending()? {
            let marks = station.read_device(&device)?.marks()?;
            station.remember(&marks)?;
        }
        Ok(station)
    }

    /// Refuses a device whose key or UEID was seen before.
    pub fn check_new(&self, marks: &Marks) -> Outcome<()> {
        let Some(known) = marks.0.iter().find(|mark| self.seen.contains(*mark)) else {
            return Ok(());
        };
        let (kind, digest) = known.split_once(' ').unwrap_or(("key", known));
        let failure = Failure::refused(Reason::KeyAlreadyKnown, "the device is refused");
        Err(failure.why(format!("Its {kind} was seen at this station before: {digest}.")).next(
            "If its identity file got lost, it is still in the station's directory. Otherwise \
                 two devices hold one key: find out how, and make a new one inside the device.",
        ))
    }

    /// Refuses a name that a device of this station has.
    pub fn check_name_free(&self, device: &DeviceId) -> Outcome<()> {
        for directory in [self.layout.pending(), self.layout.done()] {
            let path = directory.join(device.as_str());
            if path.exists() {
                let refused =
                    Failure::refused(Reason::AlreadyExists, format!("{device} exists already"));
                return Err(refused.why("A device's name is unique in its fleet, for life.").next(
                    format!(
                        "Choose another name. The identity file of {device} is {}",
                        path.join(IDENTITY).display()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Records a device durably: first its directory, by one rename, then its marks.
    pub fn record(
        &mut self,
        device: &DeviceId,
        request: &[u8],
        identity: &[u8],
        marks: &Marks,
    ) -> Outcome<PathBuf> {
        let draft = self.layout.pending().join(format!(".{device}.{}", std::process::id()));
        let place = self.layout.pending().join(device.as_str());
        files::new_directory(&draft)?;
        files::write_new(&draft.join(REQUEST), request, files::PUBLIC)?;
        files::write_new(&draft.join(IDENTITY), identity, files::PUBLIC)?;
        rename(&draft, &place)?;
        self.remember(marks)?;
        Ok(place.join(IDENTITY))
    }

    /// The devices that are in no batch yet, by name.
    pub fn pending(&self) -> Outcome<Vec<DeviceId>> {
        names(&self.layout.pending())
    }

    /// What was recorded of a pending device.
    pub fn read_device(&self, device: &DeviceId) -> Outcome<DeviceFiles> {
        let directory = self.layout.pending().join(device.as_str());
        Ok(DeviceFiles {
            request: files::read(&directory.join(REQUEST), IdentityRequest::MAX_LEN)?,
            identity: files::read(&directory.join(IDENTITY), IdentityAnswer::MAX_LEN)?,
        })
    }

    /// Notes that a pending device is in a batch.
    pub fn mark_done(&self, device: &DeviceId) -> Outcome<()> {
        let from = self.layout.pending().join(device.as_str());
        if !from.exists() {
            return Ok(());
        }
        rename(&from, &self.layout.done().join(device.as_str()))
    }

    /// Number and bytes of the last batch; none before the first.
    pub fn last_batch(&self) -> Outcome<Option<(u64, Vec<u8>)>> {
        let mut last = 0;
        for name in names_in(&self.layout.batches())? {
            let number = name.strip_suffix(".cbor").and_then(|n| n.parse::<u64>().ok());
            last = last.max(number.unwrap_or(0));
        }
        if last == 0 {
            return Ok(None);
        }
        let path = self.layout.batches().join(format!("{last}.cbor"));
        Ok(Some((last, files::read(&path, ringfort_messages::Batch::MAX_LEN)?)))
    }

    fn remember(&mut self, marks: &Marks) -> Outcome<()> {
        let path = self.layout.seen();
        let new: Vec<&String> = marks.0.iter().filter(|m| !self.seen.contains(*m)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let text: String = new.iter().map(|mark| format!("{mark}\n")).collect();
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(|e| cannot("write", &path, &e))?;
        self.seen.extend(marks.0.iter().cloned());
        Ok(())
    }
}

/// The files of one device.
pub struct DeviceFiles {
    /// What the device asked.
    pub request: Vec<u8>,
    /// What it got.
    pub identity: Vec<u8>,
}

impl DeviceFiles {
    fn marks(&self) -> Outcome<Marks> {
        let damaged = |reason| Failure::refused(reason, "a recorded device is damaged");
        let request = IdentityRequest::decode(&self.request).map_err(damaged)?;
        let key = |der: &[u8]| {
            Csr::parse(der).map(|csr| csr.key().clone()).map_err(|e| damaged(e.reason()))
        };
        Ok(Marks::of(&request, &key(request.idevid_csr)?, &key(request.attestation_csr)?))
    }
}

impl Marks {
    /// What to remember of a device: its UEID and its two keys, whatever their role.
    pub fn of(
        request: &IdentityRequest<'_>,
        idevid: &SubjectKey,
        attestation: &SubjectKey,
    ) -> Marks {
        let digest = |key: &SubjectKey| format!("key {}", hex::encode(key.fingerprint()));
        Marks(vec![format!("UEID {}", request.ueid), digest(idevid), digest(attestation)])
    }
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> Sha256Digest {
    AwsLc.sha256(&[bytes])
}

/// One process at a time; the lock ends with the process.
fn lock(path: &Path) -> Outcome<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|e| cannot("open", path, &e))?;
    file.lock().map_err(|e| cannot("lock", path, &e))?;
    Ok(file)
}

fn read_seen(path: &Path) -> Outcome<HashSet<String>> {
    if !path.exists() {
        return Ok(HashSet::new());
    }
    let text = fs::read_to_string(path).map_err(|e| cannot("read", path, &e))?;
    // A last line without its end was torn; its device is pending, so it is written again.
    let end = text.rfind('\n').map_or(0, |at| at + 1);
    if end < text.len() {
        files::replace(path, &text.as_bytes()[..end], files::PUBLIC)?;
    }
    Ok(text[..end].lines().map(ToOwned::to_owned).collect())
}

fn names(directory: &Path) -> Outcome<Vec<DeviceId>> {
    // A name that is no device's is a draft that was cut short: nothing was promised for it.
    let is_device = |name: &String| !name.starts_with('.');
    let mut devices: Vec<DeviceId> = names_in(directory)?
        .iter()
        .filter(|n| is_device(n))
        .flat_map(|n| DeviceId::new(n))
        .collect();
    devices.sort_unstable();
    Ok(devices)
}

fn names_in(directory: &Path) -> Outcome<Vec<String>> {
    let entries = fs::read_dir(directory).map_err(|e| cannot("read", directory, &e))?;
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.map(|e| e.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect::<std::io::Result<_>>().map_err(|e| cannot("read", directory, &e))
}

fn rename(from: &Path, to: &Path) -> Outcome<()> {
    let sync = |path: &Path| match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    };
    fs::rename(from, to)
        .and_then(|()| sync(from))
        .and_then(|()| sync(to))
        .map_err(|e| cannot("write", to, &e))
}

fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(
        format!("cannot {verb} {}", path.display()),
        files::sentence(error),
        "Check free space and who may write there.",
    )
}

/// The file with the site's name.
pub const SITE: &str = "site";
/// A device's request.
const REQUEST: &str = "request.cbor";
/// A device's identity.
const IDENTITY: &str = "identity.cbor";
