//! `ringfort release verify`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::{AwsLc, Reason, TrustedKey};
use ringfort_suit::{Envelope, Release};
use ringfort_trust::ids::ClassId;
use ringfort_trust::{Anchors, Role};
use serde::Serialize;

use crate::anchors::Chain;
use crate::envelope_file::{EnvelopeFile, Payload};
use crate::failure::Outcome;
use crate::keys;

/// What to judge, and whom to believe.
#[derive(Args)]
#[command(group(clap::ArgGroup::new("trust").required(true).args(["anchors", "key"])))]
pub struct Options {
    /// The envelope, or a release's directory
    pub release: PathBuf,

    /// Believe these anchors, as a device does: a file, or a directory with 1.cbor and so on
    #[arg(long, value_name = "ANCHORS")]
    pub anchors: Option<PathBuf>,

    /// Believe this one key (PEM), and judge any standard SUIT envelope by it
    #[arg(long, value_name = "PUBLIC.pem")]
    pub key: Option<PathBuf>,
}

/// A release that was accepted.
#[derive(Debug, Serialize)]
pub struct Report {
    ok: bool,
    file: PathBuf,
    manifest_digest: String,
    sequence_number: u64,
    version: Option<String>,
    signers: Vec<String>,
    threshold: usize,
    payloads_checked: usize,
    payloads: usize,
}

/// Judges the release.
pub fn run(options: &Options) -> Outcome<Report> {
    let file = EnvelopeFile::read(&options.release)?;
    let envelope = file.envelope()?;
    let trust = match (&options.anchors, &options.key) {
        (Some(path), _) => by_anchors(&file, &envelope, path)?,
        (None, Some(path)) => by_key(&file, &envelope, path)?,
        // The command line asks for one of the two.
        (None, None) => return Err(file.refused(Reason::UntrustedSigner)),
    };
    // A standard envelope need not be a release that our devices would run.
    let release = Release::of(&envelope).ok();
    let mut intact = 0;
    for component in release.iter().flat_map(Release::components) {
        if file.check_payload(component)? == Payload::Intact {
            intact += 1;
        }
    }
    Ok(Report {
        ok: true,
        manifest_digest: envelope.manifest_digest().to_string(),
        sequence_number: envelope.manifest().sequence_number,
        version: release.and_then(|release| release.version.map(str::to_owned)),
        signers: trust.signers,
        threshold: trust.threshold,
        payloads_checked: intact,
        payloads: envelope.manifest().components.count(),
        file: file.path,
    })
}

struct Trust {
    signers: Vec<String>,
    threshold: usize,
}

fn by_anchors(file: &EnvelopeFile, envelope: &Envelope<'_>, path: &Path) -> Outcome<Trust> {
    let chain = Chain::read(path)?;
    let anchors = chain.newest()?;
    let refused = |reason| file.refused(reason);
    let release = Release::of(envelope).map_err(refused)?;
    if anchors.is_revoked(&release.manifest_digest) {
        return Err(refused(Reason::ReleaseRevoked));
    }
    let mut trust = Trust { signers: Vec::new(), threshold: 0 };
    for component in release.components() {
        let class = ClassId(component.class);
        let keys = anchors.release_keys(&class, &AwsLc).map_err(|reason| {
            refused(reason)
                .why(format!("The anchors name no product with class {class}."))
                .next("Check the product it was made for, or add it to the anchors.")
        })?;
        let signers = envelope.verify_threshold(&AwsLc, &keys.keys, keys.threshold);
        let signers = signers.map_err(|reason| match reason {
            Reason::ThresholdNotMet => refused(reason)
                .why(format!(
                    "{} of {} needed signatures are there; its product has {} release keys.",
                    envelope.blocks().count(),
                    keys.threshold,
                    keys.keys.len()
                ))
                .next("Let another signer run `ringfort release sign`."),
            reason => refused(reason),
        })?;
        if trust.threshold < keys.threshold {
            let signed = keys.keys.iter().enumerate().filter(|(index, _)| signers.contains(*index));
            trust.signers = signed.map(|(_, key)| name(&anchors, key)).collect();
            trust.threshold = keys.threshold;
        }
    }
    Ok(trust)
}

fn by_key(file: &EnvelopeFile, envelope: &Envelope<'_>, path: &Path) -> Outcome<Trust> {
    let key = keys::read_public(path)?;
    envelope.verify_single(&AwsLc, &key).map_err(|reason| match reason {
        Reason::ThresholdNotMet => file.refused(reason).why("Nobody signed it."),
        Reason::UntrustedSigner => file.refused(reason).why("Only other keys signed it.").next(
            "Ask for a signature by this key, or judge it by the key or the anchors it is meant for.",
        ),
        reason => file.refused(reason),
    })?;
    Ok(Trust { signers: vec![keys::thumbprint(&key).to_string()], threshold: 1 })
}

/// A release key's name in the anchors, or its thumbprint.
fn name(anchors: &Anchors<'_>, key: &TrustedKey) -> String {
    let entry = anchors.keys_of(Role::Release).find(|entry| entry.key == key.key);
    let name = entry.map(|entry| entry.name.to_string()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| key.thumbprint.to_string())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Valid: {}", self.file.display())?;
        if let Some(version) = &self.version {
            writeln!(f, "  version   {version}, sequence {}", self.sequence_number)?;
        } else {
            writeln!(f, "  sequence  {}", self.sequence_number)?;
        }
        writeln!(f, "  manifest  {}", self.manifest_digest)?;
        writeln!(f, "  signed by {} ({} needed)", self.signers.join(", "), self.threshold)?;
        if self.payloads_checked == self.payloads {
            write!(f, "  payloads  {} of {} are beside it and intact", self.payloads, self.payloads)
        } else {
            write!(
                f,
                "  payloads  {} of {} are beside it and intact; the others were not checked",
                self.payloads_checked, self.payloads
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::ProductName;
    use crate::{files, keys};
    use proptest::prelude::*;
    use ringfort_cose::{Sha256Digest, Sign, SoftSigner};
    use ringfort_suit::{NewComponent, NewRelease};

    fn envelope(signer: &dyn Sign) -> Vec<u8> {
        let product: ProductName = "example.com/gateway".parse().unwrap();
        let component = NewComponent {
            id: vec![b"image".to_vec()],
            vendor: product.vendor_id().0,
            class: product.class_id().0,
            digest: Sha256Digest([7; 32]),
            size_bytes: 9,
            uri: "objects/7".to_owned(),
        };
        let release = NewRelease {
            sequence_number: 5,
            version: "1.0".to_owned(),
            components: vec![component],
            ..NewRelease::default()
        };
        ringfort_suit::sign(&AwsLc, signer, &release.build(&AwsLc).unwrap()).unwrap()
    }

    fn judge(directory: &Path, bytes: &[u8]) -> Outcome<Report> {
        let release = directory.join("x.suit");
        files::replace(&release, bytes, files::PUBLIC)?;
        run(&Options { release, anchors: None, key: Some(directory.join("key.pem")) })
    }

    #[test]
    fn every_flipped_bit_is_refused_with_a_reason() {
        let signer = SoftSigner::generate_p256().unwrap();
        let good = envelope(&signer);
        let directory = tempfile::tempdir().unwrap();
        let pem = ringfort_keystore::public_key_to_pem(&signer.public_key());
        files::write_new(&directory.path().join("key.pem"), pem.as_bytes(), files::PUBLIC).unwrap();
        assert_eq!(
            keys::read_public(&directory.path().join("key.pem")).unwrap(),
            signer.public_key()
        );
        judge(directory.path(), &good).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let refused = judge(directory.path(), &bad).err();
            let reason = refused.as_ref().and_then(crate::failure::Failure::reason);
            assert!(reason.is_some(), "bit {bit}: {refused:?}");
        }
        for end in 0..good.len() {
            let reason = judge(directory.path(), &good[..end]).unwrap_err().reason();
            assert!(reason.is_some(), "cut at {end}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn spliced_and_random_bytes_never_pass_and_never_panic(
            at in 0usize..300,
            taken in 0usize..40,
            put in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let signer = SoftSigner::generate_p256().unwrap();
            let good = envelope(&signer);
            let mut bad = good.clone();
            let at = at.min(bad.len());
            let end = (at + taken).min(bad.len());
            bad.splice(at..end, put);
            prop_assume!(bad != good);
            let file = EnvelopeFile { path: "x.suit".into(), bytes: bad };
            let judged = file.envelope().and_then(|envelope| {
                envelope
                    .verify_single(&AwsLc, &signer.public_key())
                    .map_err(|reason| file.refused(reason))
            });
            prop_assert!(judged.is_err_and(|failure| failure.reason().is_some()));
        }
    }
}
