//! `ringfort factory export`.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use ringfort_cose::{AwsLc, Reason, SignError};
use ringfort_messages::{Batch, BatchSpec, DeviceId, IdentityAnswer, IdentityRequest, RecordSpec};
use ringfort_trust::ids::UnixTime;
use serde::Serialize;

use super::station::{DeviceFiles, Station, sha256};
use crate::failure::{Failure, Outcome};
use crate::{clock, files, keys};

/// What to export.
#[derive(Args)]
pub struct Options {
    /// The station's directory
    #[arg(long, default_value = "station")]
    pub dir: PathBuf,

    /// Where to write the batch [default: SITE-NUMBER.batch]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Write an earlier batch again instead, for instance after its file was lost
    #[arg(long, value_name = "NUMBER")]
    pub again: Option<u64>,

    /// Take the passphrase of the station's keys from this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
}

/// The batch that was written.
#[derive(Serialize)]
pub struct Report {
    site: String,
    number: u64,
    devices: Vec<String>,
    digest: String,
    file: PathBuf,
}

/// Signs one batch, or writes an earlier one again.
pub fn run(options: &Options) -> Outcome<Report> {
    let station = Station::open(&options.dir)?;
    finish_cut_export(&station)?;
    let number = match options.again {
        Some(number) => number,
        None => sign_next(&station, options)?,
    };
    let path = station.layout.batches().join(format!("{number}.cbor"));
    let batch_bytes = files::read(&path, Batch::MAX_LEN)
        .map_err(|f| f.next("Run it without --again to make the next batch."))?;
    let anchors = station.anchors.newest()?;
    let batch = Batch::verify(&batch_bytes, &anchors, &AwsLc)
        .map_err(|reason| Failure::refused(reason, format!("{} is refused", path.display())))?;
    let default = PathBuf::from(format!("{}-{number}.batch", station.site));
    let file = options.out.clone().unwrap_or(default);
    files::write_new(&file, &batch_bytes, files::PUBLIC)?;
    Ok(Report {
        site: batch.site.to_string(),
        number,
        devices: batch.records().map(|record| record.device.to_string()).collect(),
        digest: batch.digest.to_string(),
        file,
    })
}

/// Moves the devices of the last batch, in case an export was cut after its batch was written.
fn finish_cut_export(station: &Station) -> Outcome<()> {
    let Some((_, bytes)) = station.last_batch()? else { return Ok(()) };
    let anchors = station.anchors.newest()?;
    let batch = Batch::verify(&bytes, &anchors, &AwsLc)
        .map_err(|reason| Failure::refused(reason, "the last batch of the station is refused"))?;
    batch.records().try_for_each(|record| station.mark_done(&record.device))
}

fn sign_next(station: &Station, options: &Options) -> Outcome<u64> {
    let mut devices = station.pending()?;
    devices.truncate(Batch::MAX_RECORDS as usize);
    if devices.is_empty() {
        return Err(Failure::refused(Reason::NotFound, "there is nothing to export")
            .why("No device was provisioned since the last batch.")
            .next("Provision devices first; --again NUMBER writes an earlier batch again."));
    }
    let records = devices
        .iter()
        .map(|device| record(&station.read_device(device)?))
        .collect::<Outcome<Vec<_>>>()?;
    let last = station.last_batch()?;
    let spec = BatchSpec {
        fleet: station.fleet,
        site: station.site,
        number: last.as_ref().map_or(1, |(number, _)| number + 1),
        previous: last.map(|(_, bytes)| sha256(&bytes)),
        closed: UnixTime(clock::now()),
        records,
    };
    let key = station.layout.station_key().with_extension("sealed");
    let signer = keys::open(&key.display().to_string(), options.pin_file.as_deref())?;
    let bytes = spec.sign(&AwsLc, signer.as_ref()).map_err(|error| match error {
        SignError::Object(reason) => Failure::refused(reason, "the batch cannot be made"),
        error => Failure::failed("no batch was signed", format!("{error}."), "Check the key."),
    })?;
    let path = station.layout.batches().join(format!("{}.cbor", spec.number));
    files::write_new(&path, &bytes, files::PUBLIC)?;
    devices.iter().try_for_each(|device: &DeviceId| station.mark_done(device))?;
    Ok(spec.number)
}

fn record(device: &DeviceFiles) -> Outcome<RecordSpec> {
    let damaged = |reason| Failure::refused(reason, "a recorded device is damaged");
    let request = IdentityRequest::decode(&device.request).map_err(damaged)?;
    let identity = IdentityAnswer::decode(&device.identity).map_err(damaged)?;
    Ok(RecordSpec {
        ueid: request.ueid,
        device: identity.device,
        class: identity.class,
        protection: request.protection,
        anchors: sha256(identity.anchors),
        idevid: identity.chain.iter().next().unwrap_or_default().to_vec(),
        idevid_csr: request.idevid_csr.to_vec(),
        attestation_csr: request.attestation_csr.to_vec(),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match self.devices.len() {
            1 => "1 device".to_owned(),
            n => format!("{n} devices"),
        };
        writeln!(f, "Batch {} of site {}: {count}", self.number, self.site)?;
        writeln!(f, "  digest {}", self.digest)?;
        write!(f, "Next: hand {} to the hub.", self.file.display())
    }
}
