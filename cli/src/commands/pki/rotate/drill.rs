//! A rotation rehearsed: the real root, throw-away keys, and a device that holds a copy of the
//! anchors. The copy has throw-away anchor keys, so that nothing that a real device would take is
//! ever signed.

use std::fmt;
use std::path::{Path, PathBuf};

use ringfort_cose::{AwsLc, PublicKey, Sign, SoftSigner, Verify};
use ringfort_pki::CertificateInfo;
use ringfort_trust::{Anchors, AnchorsSpec, KeySpec, Role};
use serde::Serialize;
use uuid::Uuid;

use super::{Options, order_name, replaced};
use crate::address::Address;
use crate::anchors::Chain;
use crate::commands::pki::anchors::new::{encode, next_version};
use crate::commands::pki::authorities::{
    HubKeys, Root, hub_passphrase, make_hub_keys, open_root, pki_failure, read_certificate,
};
use crate::commands::pki::record::Record;
use crate::failure::{Failure, Outcome};
use crate::{clock, files, keys};

/// What was rehearsed, and what was not.
#[derive(Serialize)]
pub struct Rehearsal {
    pub(super) root: String,
    pub(super) done: Vec<String>,
    pub(super) not_rehearsed: Vec<String>,
}

/// Rehearses; leaves nothing behind.
pub fn run(
    options: &Options,
    record: &Record,
    chain: &Chain,
    address: Option<&Address>,
) -> Outcome<Rehearsal> {
    let place = Place::new()?;
    let (root, named, opened) = known_root(options)?;
    let mut done = vec![opened];

    let passphrase = hub_passphrase(&place.0, None)?;
    let fresh = make_hub_keys(&record.plan(), &root.issuer, &place.0, &passphrase)?;
    for name in ["device-ca", "server-ca", "operator-ca"] {
        let der = read_certificate(&place.0.join("certs").join(format!("{name}.pem")))?;
        let info = CertificateInfo::parse(&der).map_err(pki_failure)?;
        if !info.is_signed_by(&der, root.issuer.info()) {
            return Err(broken(format!("what the {named} certified for {name} does not verify")));
        }
    }
    done.push("it certified a Device CA, a Server CA and an Operator CA; each verifies".to_owned());

    let newest = chain.newest()?;
    let real = changed(next_version(newest.document()), &fresh, options, address);
    let size = encode(&real)?.len();
    done.push(format!(
        "version {} of the anchors can be written: {size} of {} bytes before signatures",
        real.version,
        ringfort_trust::Document::MAX_LEN
    ));
    let signers: Vec<String> =
        newest.keys_of(Role::Anchor).map(|entry| entry.name.to_string()).collect();
    let needed = newest.anchor_threshold();

    let rehearsed = Copy::of(&newest)?;
    let next = changed(rehearsed.spec.clone(), &fresh, options, address);
    rehearsed.take(next, &fresh, &newest, options.new_hub.is_some(), &mut done)?;
    let not_rehearsed = vec![
        format!("the anchor keys themselves: {needed} of {} have to sign", signers.join(", ")),
        "the spare address, and the hub's own restart".to_owned(),
    ];
    Ok(Rehearsal { root: named, done, not_rehearsed })
}

/// Opens a root that the hub knows; how it is called, and an account of that.
pub(super) fn known_root(options: &Options) -> Outcome<(Root, String, String)> {
    let root = open_root(&options.root, options.pin_file.as_deref())?;
    let named = root.stem.replace('-', " ");
    let until = clock::text(root.issuer.info().not_after);
    let known = read_certificate(&options.hub.join("certs").join(format!("{}.pem", root.stem)))?;
    if known != root.issuer.certificate_der() {
        return Err(Failure::failed(
            format!("the {named} is not the one that the hub's directory names"),
            format!("{} holds another certificate.", options.hub.join("certs").display()),
            "Look for the right medium before you need it.",
        ));
    }
    let opened = format!("the {named} opened; its key fits its certificate, which ends {until}");
    Ok((root, named, opened))
}

/// The same change as in earnest.
fn changed(
    mut spec: AnchorsSpec,
    fresh: &HubKeys,
    options: &Options,
    address: Option<&Address>,
) -> AnchorsSpec {
    if options.new_hub.is_some() {
        return replaced(spec, fresh, address);
    }
    let name = order_name(spec.version.0);
    spec.keys.push(KeySpec::new(Role::Order, fresh.order, &name));
    spec.server_cas.push(fresh.server_ca.clone());
    spec
}

/// The newest anchors of another fleet, with other anchor keys.
struct Copy {
    /// What comes after it.
    spec: AnchorsSpec,
    document: Vec<u8>,
    signers: Vec<SoftSigner>,
}

impl Copy {
    fn of(newest: &Anchors<'_>) -> Outcome<Copy> {
        let mut spec = AnchorsSpec::of(newest.document());
        spec.fleet = Uuid::new_v4()
            .to_string()
            .parse()
            .map_err(|reason| Failure::refused(reason, "no fleet for the drill"))?;
        let count = newest.keys_of(Role::Anchor).count();
        spec.keys.retain(|key| key.role != Role::Anchor);
        let mut signers = Vec::new();
        for number in 0..count {
            let signer = SoftSigner::generate_p256().map_err(|error| broken(error.to_string()))?;
            let name = format!("drill {number}");
            spec.keys.push(KeySpec::new(Role::Anchor, signer.public_key(), &name));
            signers.push(signer);
        }
        let document = signed(&spec, &signers)?;
        spec.version.0 += 1;
        Ok(Copy { spec, document, signers })
    }

    /// A device that holds the copy takes what follows.
    fn take(
        &self,
        next: AnchorsSpec,
        fresh: &HubKeys,
        newest: &Anchors<'_>,
        drops: bool,
        done: &mut Vec<String>,
    ) -> Outcome<()> {
        let unsigned = encode(&next)?;
        let next = signed(&next, &self.signers)?;
        let refused = |reason| Failure::refused(reason, "a device would not take the anchors");
        let digest = AwsLc.sha256(&[&self.document]);
        let held = Anchors::verify_pinned(&self.document, &digest, &AwsLc).map_err(refused)?;
        if held.verify_next(&unsigned, &AwsLc).is_ok() {
            return Err(broken("a device would take anchors that nobody signed".to_owned()));
        }
        let taken = held.verify_next(&next, &AwsLc).map_err(refused)?;
        let trusts = |der: &[u8]| taken.server_cas().any(|known| known == der);
        let names = |key: &PublicKey| taken.order_key(&keys::thumbprint(key), &AwsLc).is_ok();
        if !trusts(&fresh.server_ca) || !names(&fresh.order) {
            return Err(broken("a device would not know the new keys".to_owned()));
        }
        let old_cas = newest.server_cas().filter(|der| trusts(der)).count();
        let old_keys = newest.keys_of(Role::Order).filter(|entry| names(&entry.key)).count();
        if drops && old_cas + old_keys > 0 {
            return Err(broken("a device would still know the old hub".to_owned()));
        }
        done.push(
            "a device with a copy of the anchors, under throw-away anchor keys, refused them \
             unsigned and took them signed"
                .to_owned(),
        );
        done.push(match drops {
            true => "it trusts the new hub, and nothing of the old one".to_owned(),
            false => "it trusts the new keys and, until the version after, the old ones".to_owned(),
        });
        Ok(())
    }
}

fn signed(spec: &AnchorsSpec, signers: &[SoftSigner]) -> Outcome<Vec<u8>> {
    let mut document = encode(spec)?;
    for signer in signers {
        document = AnchorsSpec::add_signature(&document, &AwsLc, signer)
            .map_err(|error| broken(error.to_string()))?;
    }
    Ok(document)
}

pub(super) fn broken(what: String) -> Failure {
    Failure::failed(
        format!("the drill failed: {what}"),
        "The rotation would fail in earnest too.",
        "Mend it now, while nothing is lost.",
    )
}

/// A directory that goes with the value.
pub(super) struct Place(PathBuf);

impl Place {
    /// A new one for this run alone.
    pub(super) fn new() -> Outcome<Place> {
        let name = format!("ringfort-drill-{}", Uuid::new_v4());
        let place = Place(std::env::temp_dir().join(name));
        files::new_directory(&place.0)?;
        Ok(place)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The keys in it are sealed under a passphrase that is gone with it; nothing else can be
        // done where it cannot be removed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Rehearsed with the {}; nothing was changed, and no key of it is left:",
            self.root
        )?;
        for step in &self.done {
            writeln!(f, "  done           {step}")?;
        }
        for (index, step) in self.not_rehearsed.iter().enumerate() {
            let end = if index + 1 == self.not_rehearsed.len() { "" } else { "\n" };
            write!(f, "  not rehearsed  {step}{end}")?;
        }
        Ok(())
    }
}
