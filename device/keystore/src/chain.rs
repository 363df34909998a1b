//! Certificate chains in PEM files, for the stores that keep them beside the keys.

use std::path::Path;

use crate::Error;
use crate::files::{read_private_if_there, replace_private};
use crate::store::MAX_CHAIN_BYTES;

/// Writes a chain of DER certificates in place of the one before.
pub(crate) fn write(path: &Path, chain: &[Vec<u8>]) -> Result<(), Error> {
    let blocks: Vec<_> =
        chain.iter().map(|der| pem::Pem::new("CERTIFICATE", der.as_slice())).collect();
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    replace_private(path, pem::encode_many_config(&blocks, config).as_bytes())
}

/// Reads a chain; empty when there is none.
pub(crate) fn read(path: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let Some(text) = read_private_if_there(path, MAX_CHAIN_BYTES * 2)? else {
        return Ok(Vec::new());
    };
    let blocks = pem::parse_many(&text[..])
        .map_err(|_| Error::malformed(path, "not a chain of certificates in PEM"))?;
    Ok(blocks.into_iter().map(pem::Pem::into_contents).collect())
}
