//! Manifests and deployments.

use std::fs;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use ringfort_api::client::Client;
use ringfort_api::model::{NewDeployment, Outcome};
use ringfort_cose::{AwsLc, Sign, SoftSigner, TrustedKey, Verify};
use ringfort_keystore::{Passphrase, SealedKey};
use ringfort_messages::{ClassId, VendorId};
use ringfort_suit::{Envelope, NewComponent, NewRelease, Release, sign};

use crate::check_ins::machine_load;
use crate::cpu;
use crate::database::Targets;
use crate::raw::Limits;
use crate::seed::Site;
use crate::table::{Bar, Figure, Table, Unit};

/// Parsing a release and verifying its two signatures, as hub and agent do.
pub fn verification(raw: &Limits, table: &mut Table) -> Result<()> {
    let signers = [(); 3].map(|()| SoftSigner::generate_p256());
    let signers = signers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let payload = vec![7; 1000];
    let (vendor, class) = (VendorId([1; 16]), ClassId([2; 16]));
    let spec = release(vendor, class, &payload)?;
    let mut envelope = spec.build(&AwsLc).map_err(|reason| anyhow!("{reason:?}"))?;
    for signer in &signers[..2] {
        envelope = sign(&AwsLc, signer, &envelope)?;
    }
    let keys: Vec<TrustedKey> =
        signers.iter().map(|signer| TrustedKey::new(signer.public_key(), &AwsLc)).collect();
    let one = cpu::of_one(|| {
        let envelope = Envelope::parse(&envelope, &AwsLc).map_err(|r| anyhow!("{r:?}"))?;
        envelope.verify_threshold(&AwsLc, &keys, 2).map_err(|r| anyhow!("{r:?}"))?;
        Release::of(&envelope).map_err(|r| anyhow!("{r:?}"))?;
        Ok(())
    })?;
    table.add(
        Figure::new("manifest verification, 2 of 3 signatures", one, Unit::Cpu)
            .beside(2.0 * raw.verify, "(2 verifications)")
            .note("in this process: envelope, both signatures, every rule of a release"),
    );
    Ok(())
}

/// A deployment to the whole class, asked for through the operators' interface.
pub async fn deployment(site: &mut Site, table: &mut Table) -> Result<()> {
    let devices = site.devices;
    let client = site.hub()?.operator()?;
    let manifest = publish(site, &client).await?;
    let hub = site.hub()?;
    let new = NewDeployment { manifest, device: None, deadlines: None };
    let (begun, before) = (Instant::now(), hub.cpu()?);
    let created = client.create_deployment(&new).await?;
    let (seconds, used) = (begun.elapsed().as_secs_f64(), hub.cpu()? - before);
    let Outcome::Done { result: created } = created else { bail!("the deployment waits") };
    let raw = Targets::insert(&site.directory.join("hub"), &created.id).await?;
    table.add(
        Figure::new(format!("deployment to {devices} devices created"), seconds, Unit::Seconds)
            .beside(raw.inserted, "(the same rows inserted)")
            .bar(Bar::AtMost(5.0))
            .note(format!("{used:.2} s of the hub's CPU; {}", machine_load())),
    );
    let hub = site.hub()?;
    let (begun, before) = (Instant::now(), hub.cpu()?);
    client.halt(&created.id).await?;
    let (seconds, used) = (begun.elapsed().as_secs_f64(), hub.cpu()? - before);
    table.add(
        Figure::new(format!("deployment to {devices} devices halted"), seconds, Unit::Seconds)
            .beside(raw.halt().await?, "(the same rows changed)")
            .note(format!("{used:.2} s of the hub's CPU; {}", machine_load())),
    );
    Ok(())
}

/// Uploads a payload and a release of it that two people signed. Returns its manifest digest.
async fn publish(site: &Site, client: &Client) -> Result<String> {
    let payload = format!("a release of {:?}", SystemTime::now()).into_bytes();
    let digest = AwsLc.sha256(&[&payload]);
    let file = site.directory.join("payload");
    fs::write(&file, &payload)?;
    client.put_object(&digest, &file).await?;
    let mut envelope = release(site.vendor, site.class, &payload)?
        .build(&AwsLc)
        .map_err(|reason| anyhow!("{reason:?}"))?;
    for key in ["r1", "r2"] {
        envelope = sign(&AwsLc, &open(&site.directory, key)?, &envelope)?;
    }
    Ok(client.add_release(envelope).await?.manifest)
}

fn release(vendor: VendorId, class: ClassId, payload: &[u8]) -> Result<NewRelease> {
    let digest = AwsLc.sha256(&[payload]);
    Ok(NewRelease {
        sequence_number: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        version: "1.1".into(),
        components: vec![NewComponent {
            id: vec![b"app".to_vec()],
            vendor: vendor.0,
            class: class.0,
            digest,
            size_bytes: payload.len() as u64,
            uri: format!("objects/{digest}"),
        }],
        ..NewRelease::default()
    })
}

fn open(directory: &Path, key: &str) -> Result<impl Sign + use<>> {
    let passphrase = Passphrase::from_file(&directory.join("pin"))?;
    let sealed = SealedKey::read(&directory.join(format!("{key}.sealed")))
        .with_context(|| format!("{key}.sealed"))?;
    Ok(sealed.open(&passphrase)?)
}
