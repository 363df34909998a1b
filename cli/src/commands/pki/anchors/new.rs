//! `ringfort pki anchors new`, and what `pki init` shares with it.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::{AwsLc, Reason, Sha256Digest};
use ringfort_trust::ids::{AnchorsVersion, UnixTime};
use ringfort_trust::{AnchorsSpec, Document, KeySpec, ProductSpec, Role};
use serde::Serialize;

use crate::address::Address;
use crate::anchors::Chain;
use crate::commands::pki::authorities::read_certificate;
use crate::failure::{Failure, Outcome};
use crate::product::ProductName;
use crate::{clock, files, keys};

/// What to change from the newest version to the next.
#[derive(Args)]
pub struct Options {
    /// The anchors so far: a directory with 1.cbor, 2.cbor and so on
    #[arg(long, value_name = "DIR", default_value = "hub/anchors")]
    pub from: PathBuf,

    /// Where to write the new version [default: beside the others]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Anchor key to add
    #[arg(long, value_name = "PUB", num_args = 1..)]
    pub anchor_key: Vec<PathBuf>,

    /// How many anchor keys have to sign
    #[arg(long, value_name = "M")]
    pub anchor_threshold: Option<u8>,

    /// Command key to add
    #[arg(long, value_name = "PUB", num_args = 1..)]
    pub command_key: Vec<PathBuf>,

    /// How many command keys have to sign a command
    #[arg(long, value_name = "K")]
    pub command_threshold: Option<u8>,

    /// Order key to add, after the hub's was replaced
    #[arg(long, value_name = "PUB", num_args = 1..)]
    pub order_key: Vec<PathBuf>,

    /// Key of any role to drop: its public file, or at least 8 digits of its thumbprint
    #[arg(long, value_name = "KEY", num_args = 1..)]
    pub drop_key: Vec<String>,

    /// Factory site whose station keys to drop: none of its batches is taken any more
    #[arg(long, value_name = "SITE", num_args = 1..)]
    pub drop_site: Vec<String>,

    /// Product to add, or whose release keys to replace: VENDOR/CLASS
    #[arg(long, value_name = "VENDOR/CLASS", requires = "release_key")]
    pub product: Option<ProductName>,

    /// Release key of that product
    #[arg(long, value_name = "PUB", num_args = 1.., requires = "product")]
    pub release_key: Vec<PathBuf>,

    /// How many of the product's release keys have to sign
    #[arg(long, value_name = "K", default_value_t = 2)]
    pub release_threshold: u8,

    /// Product to drop
    #[arg(long, value_name = "VENDOR/CLASS")]
    pub drop_product: Option<ProductName>,

    /// Server CA certificate to add (PEM)
    #[arg(long, value_name = "PEM", num_args = 1..)]
    pub server_ca: Vec<PathBuf>,

    /// Server CA certificate to drop (PEM)
    #[arg(long, value_name = "PEM", num_args = 1..)]
    pub drop_server_ca: Vec<PathBuf>,

    /// The hub's new address
    #[arg(long, value_name = "ADDRESS")]
    pub hub_address: Option<String>,

    /// The new spare address: https://HOST/PATH, where version N is found at PATH/N.cbor
    #[arg(long, value_name = "URL")]
    pub spare_address: Option<String>,

    /// Manifest digest of a release to revoke
    #[arg(long, value_name = "DIGEST", num_args = 1..)]
    pub revoke: Vec<String>,
}

/// The document that was written, still without signatures.
#[derive(Serialize)]
pub struct Report {
    file: PathBuf,
    version: u64,
    size_bytes: usize,
}

/// Writes the next version.
pub fn run(options: &Options) -> Outcome<Report> {
    let chain = Chain::read(&options.from)?;
    let newest = chain.newest()?;
    let mut spec = next_version(newest.document());
    let was = spec.clone();
    change(&mut spec, options)?;
    if spec == was {
        return Err(Failure::usage(
            "nothing would change",
            "No option asks for a change.",
            "See `ringfort pki anchors new --help`.",
        ));
    }
    let directory = if options.from.is_dir() {
        options.from.clone()
    } else {
        options.from.parent().unwrap_or(Path::new("")).to_owned()
    };
    let beside = directory.join(format!("{}.cbor", spec.version.0));
    let file = options.out.clone().unwrap_or(beside);
    let bytes = encode(&spec)?;
    files::write_new(&file, &bytes, files::PUBLIC)?;
    Ok(Report { file, version: spec.version.0, size_bytes: bytes.len() })
}

/// The start of the version after this document.
pub fn next_version(document: &Document<'_>) -> AnchorsSpec {
    let mut spec = AnchorsSpec::of(document);
    spec.version = AnchorsVersion(spec.version.0 + 1);
    spec.time_floor = UnixTime(clock::now().max(spec.time_floor.0));
    spec
}

/// The document's bytes, without signatures.
pub fn encode(spec: &AnchorsSpec) -> Outcome<Vec<u8>> {
    spec.encode(&AwsLc).map_err(|reason| {
        let failure = Failure::refused(reason, "these anchors cannot be made");
        match reason {
            Reason::ThresholdInvalid => failure
                .why(
                    "A threshold is at least 1 and at most the number of keys; of release keys \
                     it is below their number, so that one lost key never ends a product.",
                )
                .next("Name more keys, or choose another threshold: 2 of 3 is a good start."),
            Reason::KeyInTwoRoles => failure
                .why("One key stands in two places; a key has one role.")
                .next("Make a key of its own for each role with `ringfort pki keygen`."),
            Reason::TooLarge => failure
                .why("A document holds at most 24 keys, 8 of a role, and 8 KiB.")
                .next("Drop keys or products that are no longer needed."),
            _ => failure,
        }
    })
}

/// Keys of one role from their public files; each is called by the stem of its file.
pub fn key_specs(role: Role, paths: &[PathBuf]) -> Outcome<Vec<KeySpec>> {
    paths
        .iter()
        .map(|path| Ok(KeySpec::new(role, keys::read_public(path)?, &key_name(path))))
        .collect()
}

/// A product with its release keys.
pub fn product_spec(name: &ProductName, threshold: u8, keys: &[KeySpec]) -> ProductSpec {
    ProductSpec {
        vendor: name.vendor_id(),
        class: name.class_id(),
        vendor_name: name.vendor.clone(),
        class_name: name.class.clone(),
        threshold,
        keys: keys.to_vec(),
    }
}

/// A spare address as documents hold it.
pub fn spare_address(text: &str) -> Outcome<String> {
    let plain = text.trim_end_matches('/');
    if !plain.starts_with("https://") {
        return Err(Failure::usage(
            format!("\"{text}\" cannot be a spare address"),
            "It has to be an https:// address of a plain file host.",
            "Write it like https://files.example.com/anchors",
        ));
    }
    Ok(plain.to_owned())
}

fn change(spec: &mut AnchorsSpec, options: &Options) -> Outcome<()> {
    for key in &options.drop_key {
        drop_key(spec, key)?;
    }
    for site in &options.drop_site {
        let of_site = |key: &KeySpec| key.site.is_some_and(|own| own.to_string() == *site);
        if !spec.keys.iter().any(of_site) {
            return Err(Failure::refused(Reason::NotFound, format!("cannot drop the site {site}"))
                .why("The newest anchors name no station of that site.")
                .next("Look it up with `ringfort pki anchors inspect`."));
        }
        spec.keys.retain(|key| !of_site(key));
    }
    spec.keys.extend(key_specs(Role::Anchor, &options.anchor_key)?);
    spec.keys.extend(key_specs(Role::Command, &options.command_key)?);
    spec.keys.extend(key_specs(Role::Order, &options.order_key)?);
    spec.anchor_threshold = options.anchor_threshold.unwrap_or(spec.anchor_threshold);
    spec.command_threshold = options.command_threshold.unwrap_or(spec.command_threshold);
    for name in options.drop_product.iter().chain(&options.product) {
        spec.products.retain(|product| product.class != name.class_id());
    }
    if let Some(name) = &options.product {
        let keys = key_specs(Role::Release, &options.release_key)?;
        spec.products.push(product_spec(name, options.release_threshold, &keys));
    }
    for path in &options.drop_server_ca {
        let der = read_certificate(path)?;
        spec.server_cas.retain(|kept| *kept != der);
    }
    for path in &options.server_ca {
        spec.server_cas.push(read_certificate(path)?);
    }
    if let Some(address) = &options.hub_address {
        let address = Address::parse(address)?;
        let quickstart = Address::parse(&spec.hub).is_ok_and(|hub| hub.is_loopback());
        address.check_for(quickstart)?;
        spec.hub = address.url();
    }
    if let Some(address) = &options.spare_address {
        spec.spare = Some(spare_address(address)?);
    }
    for digest in &options.revoke {
        let digest = Sha256Digest::from_hex(digest).map_err(|_| {
            Failure::usage(
                format!("\"{digest}\" is not a manifest digest"),
                "A digest has 64 hexadecimal digits.",
                "See `ringfort release inspect`.",
            )
        })?;
        spec.revoked.push(digest);
    }
    Ok(())
}

fn drop_key(spec: &mut AnchorsSpec, name: &str) -> Outcome<()> {
    let by_digits = name.len() >= 8 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let wanted = if by_digits && !Path::new(name).exists() {
        name.to_ascii_lowercase()
    } else {
        keys::thumbprint(&keys::read_public(Path::new(name))?).to_string()
    };
    let is_wanted = |key: &KeySpec| keys::thumbprint(&key.key).to_string().starts_with(&wanted);
    let all = spec.keys.iter().chain(spec.products.iter().flat_map(|product| &product.keys));
    let mut found: Vec<_> =
        all.filter(|key| is_wanted(key)).map(|key| key.key.as_bytes().to_vec()).collect();
    found.sort_unstable();
    found.dedup();
    if found.len() != 1 {
        return Err(Failure::refused(Reason::NotFound, format!("cannot drop the key {name}"))
            .why(format!("{} keys of the newest anchors have that name.", found.len()))
            .next("Look it up with `ringfort pki anchors inspect`."));
    }
    spec.keys.retain(|key| !is_wanted(key));
    for product in &mut spec.products {
        product.keys.retain(|key| !is_wanted(key));
    }
    Ok(())
}

fn key_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut end = stem.len().min(ringfort_trust::KeyEntry::MAX_NAME);
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    stem[..end].to_owned()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        writeln!(f, "Wrote version {} of the anchors, without signatures: {file}", self.version)?;
        writeln!(
            f,
            "Next: look at it with `ringfort pki anchors inspect {file}`; then each signer"
        )?;
        write!(f, "runs `ringfort pki anchors sign {file} --key KEY` on his own machine.")
    }
}
