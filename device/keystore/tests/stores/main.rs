//! Every key store against real parts: files, SoftHSM2 tokens, TLS.
//!
//! Debian packages: softhsm2, opensc; with feature `tpm` swtpm, tpm2-tools, libtss2-dev.
#![allow(clippy::unwrap_used)] // helpers of tests

mod conformance;
mod pkcs11;
mod support;
#[cfg(feature = "tpm")]
mod swtpm;
mod tls;
#[cfg(feature = "tpm")]
mod tpm;
