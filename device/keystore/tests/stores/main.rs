//! Every key store against real parts: files, SoftHSM2 tokens, TLS.
//!
//! Debian packages: softhsm2, opensc.
#![allow(clippy::unwrap_used)] // helpers of tests

mod conformance;
mod pkcs11;
mod support;
mod tls;
