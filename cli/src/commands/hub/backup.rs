//! `ringfort hub backup`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::Reason;
use ringfort_keystore::{SealedKey, SealedSecret};
use ringfort_store::{Outside, StoreError, object_file};
use serde::Serialize;

use super::archive::{self, Contents, Entry};
use super::config::HubConfig;
use crate::commands::pki::record::Record;
use crate::failure::{Failure, Outcome};
use crate::keys::key_failure;
use crate::{clock, files, runtime};

/// What to back up, and where to.
#[derive(Args)]
pub struct Options {
    /// The directory to make
    pub backup: PathBuf,

    /// The hub's directory; the hub may be serving
    #[arg(long, default_value = "hub")]
    pub dir: PathBuf,
}

/// A backup that was made.
#[derive(Serialize)]
pub struct Report {
    backup: PathBuf,
    name: String,
    made: String,
    files: usize,
    objects: usize,
    bytes: u64,
}

/// Copies a hub as it is at one moment: the database first, then the objects that it names, which
/// never change. Keys are copied sealed; what opens them is not.
pub fn run(options: &Options) -> Outcome<Report> {
    let (hub, backup) = (&options.dir, &options.backup);
    let record = Record::read(hub)?;
    HubConfig::read(hub)?;
    if files::same_or_nested(hub, backup) {
        return Err(Failure::usage(
            "a backup cannot lie in the hub's directory",
            "What destroys the one destroys the other.",
            "Name a directory on another disk.",
        ));
    }
    files::new_directory(backup)?;
    let made = copy(hub, backup, record);
    if made.is_err() {
        // What was begun is taken back, so that the same command can be run again.
        let _ = std::fs::remove_dir_all(backup);
    }
    made
}

fn copy(hub: &Path, backup: &Path, record: Record) -> Outcome<Report> {
    let made_ms = now_ms();
    let (schema, objects) = runtime::new()?.block_on(copy_database(hub, backup))?;
    let database = archive::entry(backup, DATABASE).map_err(|error| {
        Failure::failed("cannot read the copy", files::sentence(&error), "Check the disk.")
    })?;
    let mut entries = vec![database];
    for path in plain_files(hub)? {
        entries.push(archive::copy(hub, &path, backup)?);
    }
    for (digest, size) in &objects {
        entries.push(copy_object(hub, backup, digest, *size)?);
    }
    let report = Report {
        backup: backup.to_owned(),
        name: record.name.clone(),
        made: clock::text(made_ms.unsigned_abs() / 1000),
        files: entries.len() - objects.len(),
        objects: objects.len(),
        bytes: entries.iter().map(|entry| entry.size).sum(),
    };
    let contents = Contents {
        format: archive::FORMAT,
        name: record.name,
        fleet: record.fleet,
        made_ms,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        schema,
        files: entries,
    };
    contents.write(backup)?;
    Ok(report)
}

async fn copy_database(hub: &Path, backup: &Path) -> Outcome<(i64, Vec<([u8; 32], u64)>)> {
    let copied = async {
        let mut database = Outside::open(&hub.join(DATABASE)).await?;
        database.copy_to(&backup.join(DATABASE)).await?;
        database.close().await?;
        // Everything else is decided by the copy, not by a database that goes on.
        let mut copy = Outside::open(&backup.join(DATABASE)).await?;
        let (schema, objects) = (copy.schema().await?, copy.objects().await?);
        copy.close().await?;
        Ok::<_, StoreError>((schema.held, objects))
    };
    let copied = copied.await.map_err(|error| database_failure(hub, &error))?;
    // SQLite leaves it to us that the copy is on disk before it counts.
    let synced = std::fs::File::open(backup.join(DATABASE)).and_then(|file| file.sync_all());
    synced.map_err(|error| {
        Failure::failed("the copy is not safe", files::sentence(&error), "Check the disk.")
    })?;
    Ok(copied)
}

/// What a hub's directory holds besides database and objects: all but what opens its keys.
fn plain_files(hub: &Path) -> Outcome<Vec<String>> {
    let mut paths = vec!["hub.toml".to_owned(), "pki.toml".to_owned()];
    for (folder, endings) in FOLDERS {
        paths.extend(archive::names(hub, folder, endings));
    }
    for sealed in paths.iter().filter(|path| path.ends_with(".sealed")) {
        let file = hub.join(sealed);
        if let Err(error) = SealedKey::read(&file)
            && SealedSecret::read(&file).is_err()
        {
            // Better no backup than one with a key that anyone can use.
            return Err(key_failure(error));
        }
    }
    Ok(paths)
}

fn copy_object(hub: &Path, backup: &Path, digest: &[u8; 32], size: u64) -> Outcome<Entry> {
    let path = object_file(Path::new("objects"), digest).display().to_string();
    let entry = archive::copy(hub, &path, backup)?;
    match entry.sha256 == hex::encode(digest) && entry.size == size {
        true => Ok(entry),
        false => Err(Failure::refused(Reason::ImageDigest, format!("{path} is damaged"))
            .why("Its bytes do not have the SHA-256 that names it.")
            .next(
                "Remove it and publish the release again; `ringfort hub doctor` lists them all.",
            )),
    }
}

/// What a database refused that was opened beside the hub.
pub fn database_failure(hub: &Path, error: &StoreError) -> Failure {
    Failure::failed(
        format!("the database in {} cannot be read", hub.display()),
        format!("{error}."),
        "Check free space and owner, and ask `ringfort hub doctor`.",
    )
}

/// Unix milliseconds now.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { backup, name, made, files, objects, bytes } = self;
        let backup = backup.display();
        writeln!(f, "The hub {name} as of {made} is in {backup}")?;
        writeln!(f, "  {files} files and {objects} objects, {bytes} bytes")?;
        writeln!(f, "  its keys are sealed; what opens them is not in it: keep the PIN elsewhere")?;
        write!(f, "To put it back: ringfort hub restore {backup} --dir HUB --pin-file PIN")
    }
}

/// The database's file.
pub const DATABASE: &str = "hub.db";
const FOLDERS: &[(&str, &[&str])] = &[
    ("keys", &[".sealed", ".pub"]),
    ("certs", &[".pem", ".crl"]),
    ("anchors", &[".cbor"]),
    ("sites", &[".toml", ".answer"]),
];
