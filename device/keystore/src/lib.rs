//! Key stores: sealed file, PKCS#11.
