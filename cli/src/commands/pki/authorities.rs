//! Making the authorities of a PKI, and the hub's other keys.

use std::path::Path;
use std::sync::Arc;

use ringfort_cose::{Algorithm, PublicKey, Sign};
use ringfort_keystore::{Passphrase, SealedSecret};
use ringfort_pki::{CERTIFICATE, CRL, Crl, Issuer, Plan, Role, SubjectKey, from_pem, to_pem};

use crate::failure::{Failure, Outcome};
use crate::keys::{self, key_failure};
use crate::{clock, files, passphrase};

/// A root that was just made.
pub struct Root {
    /// Its certificate and its opened key.
    pub issuer: Issuer,
    /// The files' stem: "root" or "backup-root".
    pub stem: &'static str,
}

/// Makes a root in its own directory: sealed key, certificate and a CRL.
pub fn make_root(
    plan: &Plan,
    role: &Role,
    directory: &Path,
    passphrase: &Passphrase,
) -> Outcome<Root> {
    let stem = root_stem(role);
    let key = make_key(&directory.join(stem), passphrase)?;
    let issuer = plan.create_root(role, key, clock::now()).map_err(pki_failure)?;
    write_certificate(&directory.join(format!("{stem}.pem")), issuer.certificate_der())?;
    Ok(Root { issuer, stem })
}

/// Opens the root in a directory: the root proper, or the backup root.
pub fn open_root(directory: &Path, pin_file: Option<&Path>) -> Outcome<Root> {
    let found = ROOTS.into_iter().find(|stem| directory.join(format!("{stem}.sealed")).exists());
    let stem = found.ok_or_else(|| {
        Failure::failed(
            format!("there is no root in {}", directory.display()),
            "It holds neither root.sealed nor backup-root.sealed.",
            "Name the directory that `ringfort pki init` made for the root.",
        )
    })?;
    let signer =
        keys::open(&directory.join(format!("{stem}.sealed")).display().to_string(), pin_file)?;
    let certificate = read_certificate(&directory.join(format!("{stem}.pem")))?;
    let issuer = Issuer::new(&certificate, signer).map_err(pki_failure)?;
    Ok(Root { issuer, stem })
}

/// The public halves of what [`make_hub_keys`] made.
pub struct HubKeys {
    /// Signs orders and time.
    pub order: PublicKey,
    /// The Server CA's certificate, DER.
    pub server_ca: Vec<u8>,
}

/// Makes the keys that live in the hub, sealed for it, and the certificates of its authorities.
pub fn make_hub_keys(
    plan: &Plan,
    root: &Issuer,
    hub: &Path,
    passphrase: &Passphrase,
) -> Outcome<HubKeys> {
    let made = make_keys(plan, root, hub, AUTHORITIES, passphrase)?;
    make_key(&hub.join("keys/evidence"), passphrase)?;
    SealedSecret::create(&hub.join("keys/link.sealed"), passphrase).map_err(key_failure)?;
    Ok(made)
}

/// Makes a Server CA and an order key in a directory, for a hub that goes on with the rest.
pub fn make_next_keys(
    plan: &Plan,
    root: &Issuer,
    next: &Path,
    passphrase: &Passphrase,
) -> Outcome<HubKeys> {
    make_keys(plan, root, next, &[("server-ca", Role::Server)], passphrase)
}

/// Makes one authority in a directory, for a hub that goes on with the rest; what it signs by.
pub fn make_next_authority(
    plan: &Plan,
    root: &Issuer,
    (stem, role): (&str, &Role),
    next: &Path,
    passphrase: &Passphrase,
) -> Outcome<Issuer> {
    let (keys_dir, certs_dir) = (next.join("keys"), next.join("certs"));
    files::new_directory(&keys_dir)?;
    files::new_directory(&certs_dir)?;
    let signer = make_key(&keys_dir.join(stem), passphrase)?;
    let key = SubjectKey::try_from(&signer.public_key()).map_err(pki_failure)?;
    let issued = plan.issue_authority(root, role, &key, clock::now()).map_err(pki_failure)?;
    write_certificate(&certs_dir.join(format!("{stem}.pem")), &issued.der)?;
    Issuer::new(&issued.der, signer).map_err(pki_failure)
}

fn make_keys(
    plan: &Plan,
    root: &Issuer,
    directory: &Path,
    authorities: &[(&str, Role)],
    passphrase: &Passphrase,
) -> Outcome<HubKeys> {
    let (keys_dir, certs_dir) = (directory.join("keys"), directory.join("certs"));
    files::new_directory(&keys_dir)?;
    files::new_directory(&certs_dir)?;
    let mut server_ca = Vec::new();
    for (name, role) in authorities {
        let signer = make_key(&keys_dir.join(name), passphrase)?;
        let key = SubjectKey::try_from(&signer.public_key()).map_err(pki_failure)?;
        let issued = plan.issue_authority(root, role, &key, clock::now()).map_err(pki_failure)?;
        write_certificate(&certs_dir.join(format!("{name}.pem")), &issued.der)?;
        if *role == Role::Server {
            server_ca = issued.der;
        }
    }
    let order = make_key(&keys_dir.join("order"), passphrase)?.public_key();
    Ok(HubKeys { order, server_ca })
}

/// The hub's passphrase: a new random one in a PIN file of its own, or the one given.
pub fn hub_passphrase(hub: &Path, pin_file: Option<&Path>) -> Outcome<Passphrase> {
    match pin_file {
        Some(path) => passphrase::existing(Some(path), "the hub's keys"),
        None => passphrase::new_pin_file(&hub.join("pin")),
    }
}

/// Writes an authority's empty CRL beside its certificate.
pub fn write_crl(issuer: &Issuer, path: &Path) -> Outcome<()> {
    let now = clock::now();
    let crl =
        Crl::sign(issuer, 0, [], now * 1000, now, issuer.info().not_after).map_err(pki_failure)?;
    let pem = to_pem(CRL, &crl.der).map_err(pki_failure)?;
    files::write_new(path, pem.as_bytes(), files::PUBLIC)
}

/// Writes a certificate as PEM.
pub fn write_certificate(path: &Path, der: &[u8]) -> Outcome<()> {
    let pem = to_pem(CERTIFICATE, der).map_err(pki_failure)?;
    files::write_new(path, pem.as_bytes(), files::PUBLIC)
}

/// Reads a certificate, DER, from a PEM file.
pub fn read_certificate(path: &Path) -> Outcome<Vec<u8>> {
    let text = files::read_text(path, MAX_PEM)?;
    from_pem(CERTIFICATE, &text).map_err(|error| {
        Failure::refused(error.reason(), format!("{} is not a certificate", path.display()))
            .why(format!("{error}."))
            .next("Name a PEM file that begins with BEGIN CERTIFICATE.")
    })
}

/// What the PKI refused, as a person reads it.
pub fn pki_failure(error: ringfort_pki::Error) -> Failure {
    Failure::refused(error.reason(), error.to_string())
}

/// The stem of a root's files.
pub fn root_stem(role: &Role) -> &'static str {
    match role {
        Role::BackupRoot | Role::LaterBackupRoot { .. } => ROOTS[1],
        _ => ROOTS[0],
    }
}

fn make_key(stem: &Path, passphrase: &Passphrase) -> Outcome<Arc<dyn Sign>> {
    Ok(keys::make(stem, Algorithm::Esp256, passphrase)?.key)
}

/// The authorities whose keys live in the hub.
const AUTHORITIES: &[(&str, Role)] =
    &[(DEVICE_CA, Role::Device), ("server-ca", Role::Server), (OPERATOR_CA, Role::Operator)];

/// The stem of the files of the authority that issues operational certificates.
pub const DEVICE_CA: &str = "device-ca";
/// The stem of the files of the authority that issues people's certificates.
pub const OPERATOR_CA: &str = "operator-ca";
/// The stems of the files of root and backup root.
pub const ROOTS: [&str; 2] = ["root", "backup-root"];
const MAX_PEM: usize = 64 * 1024;
