//! `ringfort hub restore`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::Reason;
use ringfort_fleet::Restored;
use ringfort_keystore::{read_private, write_private_new};
use ringfort_store::{Outside, Store, StoreConfig, StoreError};
use serde::Serialize;

use super::archive::Contents;
use super::backup::{DATABASE, database_failure, now_ms};
use super::config::HubConfig;
use super::open::fleet_failure;
use crate::failure::{Failure, Outcome};
use crate::keys::key_failure;
use crate::{clock, files, runtime};

/// What to restore, and where to.
#[derive(Args)]
pub struct Options {
    /// A directory that `ringfort hub backup` made
    pub backup: PathBuf,

    /// The hub's directory, to be made
    #[arg(long, default_value = "hub")]
    pub dir: PathBuf,

    /// What opens the hub's keys (a file of mode 0600), to be copied to where hub.toml says; it is
    /// in no backup
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
}

/// A hub that was restored.
#[derive(Serialize)]
pub struct Report {
    name: String,
    directory: PathBuf,
    backup_made: String,
    state: &'static str,
    /// The PIN file that has to be put there before the hub can serve.
    missing_pin: Option<PathBuf>,
}

/// Puts a hub back, in the state `restored`: it serves, but gives no order and issues no
/// certificate until an administrator acknowledges.
pub fn run(options: &Options) -> Outcome<Report> {
    let directory = &options.dir;
    let contents = Contents::read(&options.backup)?;
    files::must_be_absent_or_empty(directory)?;
    let known = read_pin(options)?;
    files::new_directory(directory)?;
    let restored = put_back(options, &contents, known.as_ref().map(|pin| &pin[..]));
    if restored.is_err() {
        // What was begun is taken back: half a hub must not be mistaken for one.
        let _ = std::fs::remove_dir_all(directory);
    }
    restored
}

fn put_back(options: &Options, contents: &Contents, pin: Option<&[u8]>) -> Outcome<Report> {
    let directory = &options.dir;
    for entry in &contents.files {
        entry.copy(&options.backup, directory)?;
    }
    let mut config = HubConfig::read(directory)?;
    if config.pin.starts_with("tpm:") {
        // The TPM that opened it stays with the machine that was lost.
        config.pin = "file:pin".to_owned();
        config.tpm = None;
        config.replace(directory)?;
    }
    let place = config.pin.strip_prefix("file:").map(|name| directory.join(name));
    let missing_pin = match (place, pin) {
        (Some(place), Some(pin)) => {
            write_private_new(&place, pin).map_err(key_failure)?;
            None
        }
        (place, _) => place,
    };
    runtime::new()?.block_on(mark(directory, contents))?;
    Ok(Report {
        name: contents.name.clone(),
        directory: directory.clone(),
        backup_made: clock::text(contents.made_ms.unsigned_abs() / 1000),
        state: "restored",
        missing_pin,
    })
}

async fn mark(directory: &Path, contents: &Contents) -> Outcome<()> {
    let failed = |error: StoreError| database_failure(directory, &error);
    let mut database = Outside::open(&directory.join(DATABASE)).await.map_err(failed)?;
    let schema = database.schema().await.map_err(failed)?;
    let damage = database.damage().await.map_err(failed)?;
    database.close().await.map_err(failed)?;
    if schema.held > schema.known {
        return Err(Failure::refused(Reason::Unsupported, "the backup is of a newer ringfort")
            .why(format!(
                "Its database has version {}, and this program knows {}.",
                schema.held, schema.known
            ))
            .next(format!("Restore it with ringfort {} or newer.", contents.program)));
    }
    if let Some(first) = damage.first() {
        return Err(Failure::refused(
            Reason::StorageFailed,
            "the database of the backup is damaged",
        )
        .why(format!("{first}."))
        .next("Take another backup; nothing was restored from this one."));
    }
    let store = Store::open(StoreConfig::in_directory(directory)).await.map_err(failed)?;
    let marked = Restored::mark(&store, contents.made_ms, now_ms()).await;
    store.close().await;
    marked.map(drop).map_err(fleet_failure)
}

fn read_pin(options: &Options) -> Outcome<Option<zeroize::Zeroizing<Vec<u8>>>> {
    let read = |path: &PathBuf| read_private(path, MAX_PIN).map_err(key_failure);
    options.pin_file.as_ref().map(read).transpose()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory.display();
        writeln!(f, "The hub {} as of {} is restored in {directory}", self.name, self.backup_made)?;
        writeln!(f, "  it gives no orders and no certificates until you acknowledge that")?;
        if let Some(pin) = &self.missing_pin {
            writeln!(f, "  put the PIN of its keys into {} (mode 0600)", pin.display())?;
        }
        writeln!(f, "Next: ringfort hub serve --dir {directory}")?;
        writeln!(f, "      ringfort device move DEVICE retired   (for each one retired since)")?;
        write!(f, "      ringfort hub acknowledge --dir OPERATOR")
    }
}

const MAX_PIN: usize = 1024;
