//! `ringfort release keygen`, and `ringfort pki keygen` for the keys of other roles.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ringfort_cose::Algorithm;
use serde::Serialize;

use crate::failure::Outcome;
use crate::{keys, passphrase};

/// What to make.
#[derive(Args)]
pub struct Options {
    /// Name of the key: makes NAME.sealed and NAME.pub
    pub name: PathBuf,

    /// Kind of key
    #[arg(long, value_enum, default_value_t = Kind::P256)]
    pub kind: Kind,

    /// Take the passphrase from the first line of this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
}

/// The kinds of key that sign.
#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    /// ECDSA on P-256 (ESP256)
    P256,
    /// Ed25519
    Ed25519,
}

/// The key that was made.
#[derive(Serialize)]
pub struct Report {
    sealed: PathBuf,
    public: PathBuf,
    thumbprint: String,
}

/// Makes the key.
pub fn run(options: &Options) -> Outcome<Report> {
    let algorithm = match options.kind {
        Kind::P256 => Algorithm::Esp256,
        Kind::Ed25519 => Algorithm::Ed25519,
    };
    let name = options.name.display().to_string();
    keys::must_be_free(&options.name)?;
    let passphrase = passphrase::new(options.pin_file.as_deref(), &name)?;
    let made = keys::make(&options.name, algorithm, &passphrase)?;
    let thumbprint = keys::thumbprint(&made.key.public_key()).to_string();
    Ok(Report { sealed: made.sealed, public: made.public, thumbprint })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Made a key: {}", &self.thumbprint)?;
        writeln!(f, "  {}  sealed; stays with its owner", self.sealed.display())?;
        write!(f, "  {}  public; hand it to whoever makes the anchors", self.public.display())
    }
}
