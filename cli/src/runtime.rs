//! The runtime of the commands that talk to networks or databases.

use tokio::runtime::Runtime;

use crate::failure::{Failure, Outcome};
use crate::files;

/// A runtime with as many threads as the machine has.
pub fn new() -> Outcome<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| {
        Failure::failed("cannot start", files::sentence(&e), "Check the limits of this machine.")
    })
}
