//! The key that signs the audit log's heads, and its way to the next one. The store knows whom a key
//! handed over to; the files follow, and a run that was cut in between is finished by the next one
//! that opens the hub.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfort_cose::{Algorithm, Sign};
use ringfort_fleet::{HandOver, Operator, hand_over};
use ringfort_store::Store;

use super::config::HubConfig;
use super::open::{HOST, Hub, fleet_failure};
use super::{lock, rotate};
use crate::failure::{Failure, Outcome};
use crate::{keys, runtime};

/// Makes the next key and has the present one hand over to it.
pub fn replace(directory: &Path) -> Outcome<HandOver> {
    let config = HubConfig::read(directory)?;
    let _lock = lock::take(directory)?;
    let was_cut = public(directory, NEXT).exists();
    runtime::new()?.block_on(async {
        let hub = Hub::open(directory, config.clone()).await?;
        let done = match was_cut && !public(directory, NEXT).exists() {
            true => Ok(newest(hub.fleet.hand_overs())),
            false => hand_over(&hub, directory, &config).await.map(Some),
        };
        hub.fleet.close().await;
        done?.ok_or_else(|| {
            let why = "Its audit log does not say whom the evidence key handed over to.";
            Failure::failed("the hub cannot be used", why, "Ask `ringfort hub doctor`.")
        })
    })
}

/// Opens the key that signs now, by one that reads the named key file.
pub async fn current(
    directory: &Path,
    store: &Store,
    open: impl Fn(&str) -> Outcome<Arc<dyn Sign>>,
) -> Outcome<Arc<dyn Sign>> {
    let named = newest(&hand_over::all(store).await.map_err(fleet_failure)?);
    let waits = public(directory, NEXT);
    // A file that cannot be read is of a run that was cut before anybody heard of its key.
    let taken = |named: HandOver| keys::read_public(&waits).is_ok_and(|key| key == named.key);
    if named.is_some_and(taken) {
        put_in_place(directory)?;
    }
    open(NOW)
}

async fn hand_over(hub: &Hub, directory: &Path, config: &HubConfig) -> Outcome<HandOver> {
    // What a run left that was cut before anybody heard of its key.
    for draft in [sealed(directory, NEXT), public(directory, NEXT)] {
        // One that cannot be removed is refused by name in the next step.
        let _ = std::fs::remove_file(&draft);
    }
    let passphrase = config.passphrase(directory)?;
    let made = keys::make(&directory.join("keys").join(NEXT), Algorithm::Esp256, &passphrase)?;
    let who = Operator::at_the_host(HOST);
    let handed = hub.fleet.hand_over_evidence(&who, made.key.as_ref()).await;
    let handed = handed.map_err(fleet_failure)?;
    put_in_place(directory)?;
    Ok(handed)
}

/// The private half first: as long as the public one waits, the way is not at its end.
fn put_in_place(directory: &Path) -> Outcome<()> {
    for file in [sealed, public] {
        rotate::put(&file(directory, NEXT), &file(directory, NOW), None)?;
    }
    Ok(())
}

fn newest(hand_overs: &[String]) -> Option<HandOver> {
    let key = hand_over::newest(hand_overs)?;
    Some(HandOver { number: hand_overs.len() as u64, key })
}

fn sealed(directory: &Path, stem: &str) -> PathBuf {
    directory.join(format!("keys/{stem}.sealed"))
}

fn public(directory: &Path, stem: &str) -> PathBuf {
    directory.join(format!("keys/{stem}.pub"))
}

const NOW: &str = "evidence";
const NEXT: &str = "evidence-next";
