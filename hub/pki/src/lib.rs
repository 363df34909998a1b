//! Certificate authorities, profiles, issuing, CRLs, certificate requests.
//!
//! Pure functions: bytes in, bytes out, the time is an argument. Keys come as
//! `Arc<dyn ringfort_cose::Sign>`, so this crate never sees a private key. Randomness (serial
//! numbers) comes from aws-lc-rs.
//!
//! - [`Plan`] names a PKI and bounds its lifetimes; [`Plan::create_root`] makes a root,
//!   [`Plan::issue_authority`] an authority under it.
//! - [`Issuer`] is a CA certificate with the signer that belongs to it. It issues the profiles
//!   [`Idevid`], [`Ldevid`], [`Server`] and [`Operator`], and signs CRLs ([`Crl`]).
//! - [`Csr::parse`] reads a PKCS #10 request and checks its proof of possession.
//! - [`certs_only`] and [`csr_attributes`] are the two EST bodies that are not certificates.
//! - [`CertificateInfo::parse`] reads what the hub needs to know about a certificate.
//!
//! Times are Unix seconds, UTC.
#![forbid(unsafe_code)]

mod authority;
mod cms;
mod crl;
mod csr;
mod csr_attributes;
mod error;
mod info;
mod issuer;
mod key;
mod name;
mod pem;
mod profile;
mod serial;
mod signer;
mod tlv;

pub use authority::{Lifetimes, Plan, Role};
pub use cms::certs_only;
pub use crl::{Crl, CrlPolicy, RevocationReason, Revoked};
pub use csr::{Csr, NamesAllowed};
pub use csr_attributes::csr_attributes;
pub use error::Error;
pub use info::{CertificateInfo, validity};
pub use issuer::{Idevid, Issued, Issuer, Ldevid, Operator, Server, ServerName};
pub use key::{KeyKind, SubjectKey};
pub use pem::{CERTIFICATE, CRL, PUBLIC_KEY, from_pem, to_pem};
pub use serial::SerialNumber;
pub use signer::sign_der;

/// The SHA-256 digest of some bytes: a certificate's fingerprint is that of its DER, a key's that
/// of its SubjectPublicKeyInfo DER.
pub fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    out
}
