//! `ringfort pki init`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_keystore::Passphrase;
use ringfort_pki::{Plan, Role};
use ringfort_trust::ids::{AnchorsVersion, UnixTime};
use ringfort_trust::{AnchorsSpec, KeySpec, Role as KeyRole};
use serde::Serialize;
use uuid::Uuid;

use super::add_site::{certify, station_name};
use super::anchors::new::{encode, key_specs, product_spec, spare_address};
use super::authorities::{
    HubKeys, Root, hub_passphrase, make_hub_keys, make_root, root_stem, write_certificate,
    write_crl,
};
use super::record::{QUICKSTART, Record};
use crate::address::Address;
use crate::failure::{Failure, Outcome};
use crate::product::ProductName;
use crate::site_files::{SiteLimits, SiteRequest};
use crate::{ask, clock, files, output, passphrase};

/// What to make.
#[derive(Args)]
pub struct Options {
    /// Name of the PKI, in every authority's name; "quickstart" stays on this machine
    #[arg(long)]
    pub name: String,

    /// Organization in every authority's name [default: the name]
    #[arg(long)]
    pub organisation: Option<String>,

    /// Directory for the root, to be made; best on a medium that is then locked away
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,

    /// Directory for the backup root, to be made; best on another medium, in another place
    #[arg(long, value_name = "DIR")]
    pub backup_root: PathBuf,

    /// Directory for the hub, to be made
    #[arg(long, value_name = "DIR", default_value = "hub")]
    pub hub: PathBuf,

    /// Address under which devices reach the hub: HOST or HOST:PORT [asked for on a terminal]
    #[arg(long, value_name = "ADDRESS")]
    pub hub_address: Option<String>,

    /// Where the anchors are found when the hub is not: https://HOST/PATH, any file host [asked
    /// for on a terminal; default: none]
    #[arg(long, value_name = "URL")]
    pub spare_address: Option<String>,

    /// Public halves of the anchor keys, made with `ringfort pki keygen`
    #[arg(long, value_name = "PUB", num_args = 1.., required = true)]
    pub anchor_key: Vec<PathBuf>,

    /// How many anchor keys have to sign
    #[arg(long, value_name = "M", default_value_t = 2)]
    pub anchor_threshold: u8,

    /// A product: the vendor's and the class's name; may be repeated
    #[arg(long, value_name = "VENDOR/CLASS", num_args = 1.., required = true)]
    pub product: Vec<ProductName>,

    /// Public halves of the release keys, made with `ringfort release keygen`
    #[arg(long, value_name = "PUB", num_args = 1.., required = true)]
    pub release_key: Vec<PathBuf>,

    /// How many release keys have to sign a release
    #[arg(long, value_name = "K", default_value_t = 2)]
    pub release_threshold: u8,

    /// Public halves of the command keys: people who may consent to wipe, unlock, decommission
    #[arg(long, value_name = "PUB", num_args = 1..)]
    pub command_key: Vec<PathBuf>,

    /// How many command keys have to sign a command
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub command_threshold: u8,

    /// Requests of factory sites, made with `ringfort factory init`; more can be added later
    #[arg(long, value_name = "REQUEST", num_args = 1..)]
    pub site: Vec<PathBuf>,

    /// How much each of these sites may do
    #[command(flatten)]
    pub limits: SiteLimits,

    /// Everything ends after so many days [default: roots 25 years, authorities 5 years]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=9131))]
    pub valid_days: Option<u32>,

    /// Take the root's passphrase from this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub root_pin_file: Option<PathBuf>,

    /// Take the backup root's passphrase from this file (mode 0600); not the same passphrase
    #[arg(long, value_name = "FILE")]
    pub backup_root_pin_file: Option<PathBuf>,

    /// Seal the hub's keys under the passphrase in this file [default: a new one in HUB/pin]
    #[arg(long, value_name = "FILE")]
    pub hub_pin_file: Option<PathBuf>,
}

/// What was made.
#[derive(Serialize)]
pub struct Report {
    name: String,
    fleet: String,
    root: PathBuf,
    backup_root: PathBuf,
    hub: PathBuf,
    anchors: PathBuf,
    anchor_threshold: u8,
    sites: Vec<Site>,
}

#[derive(Serialize)]
struct Site {
    site: String,
    answer: PathBuf,
}

/// Makes roots, authorities, hub keys and the unsigned anchors.
pub fn run(options: &Options) -> Outcome<Report> {
    let inputs = Inputs::read(options)?;
    let (root_pass, backup_pass) = root_passphrases(options)?;
    let hub_pass = {
        files::new_directory(&options.hub)?;
        hub_passphrase(&options.hub, options.hub_pin_file.as_deref())?
    };
    let plan = inputs.record.plan();
    let root = new_root(&plan, &Role::Root, &options.root, &root_pass, &inputs.record)?;
    let backup =
        new_root(&plan, &Role::BackupRoot, &options.backup_root, &backup_pass, &inputs.record)?;

    let hub_keys = make_hub_keys(&plan, &root.issuer, &options.hub, &hub_pass)?;
    inputs.record.write(&options.hub)?;
    for root in [&root, &backup] {
        let certificate = options.hub.join("certs").join(format!("{}.pem", root.stem));
        write_certificate(&certificate, root.issuer.certificate_der())?;
        write_crl(&root.issuer, &certificate.with_extension("crl"))?;
    }
    let mut sites = Vec::new();
    for request in &inputs.sites {
        let answer = certify(&inputs.record, &root.issuer, request, &options.limits, &options.hub)?;
        sites.push(Site { site: request.site.to_string(), answer });
    }
    let anchors = write_anchors(options, &inputs, &hub_keys)?;
    Ok(Report {
        name: inputs.record.name,
        fleet: inputs.record.fleet,
        root: options.root.clone(),
        backup_root: options.backup_root.clone(),
        hub: options.hub.clone(),
        anchors,
        anchor_threshold: options.anchor_threshold,
        sites,
    })
}

/// Everything that can be judged before anything is written.
struct Inputs {
    record: Record,
    address: Address,
    spare: Option<String>,
    keys: Vec<KeySpec>,
    release_keys: Vec<KeySpec>,
    sites: Vec<SiteRequest>,
}

impl Inputs {
    fn read(options: &Options) -> Outcome<Inputs> {
        check_places(options)?;
        let quickstart = options.name == QUICKSTART;
        let record = Record {
            name: options.name.clone(),
            organisation: options.organisation.clone().unwrap_or_else(|| options.name.clone()),
            fleet: Uuid::new_v4().to_string(),
            valid_days: options.valid_days.or(quickstart.then_some(QUICKSTART_DAYS)),
        };
        if quickstart && record.valid_days.is_some_and(|days| days > QUICKSTART_DAYS) {
            return Err(Failure::usage(
                "a PKI named \"quickstart\" cannot live that long",
                format!("It ends after at most {QUICKSTART_DAYS} days, so that nobody ships it."),
                "Choose another name for a PKI that is meant to stay.",
            ));
        }
        // What lies in files is read before anybody is asked.
        let mut keys = key_specs(KeyRole::Anchor, &options.anchor_key)?;
        keys.extend(key_specs(KeyRole::Command, &options.command_key)?);
        let release_keys = key_specs(KeyRole::Release, &options.release_key)?;
        let sites =
            options.site.iter().map(|path| SiteRequest::read(path)).collect::<Outcome<Vec<_>>>()?;
        let address = ask::or(
            options.hub_address.as_deref(),
            "Address under which devices reach the hub, for years",
            None,
            "--hub-address",
            |text| {
                let address = Address::parse(text)?;
                address.check_for(quickstart).map(|()| address)
            },
        )?;
        let spare = ask::or(
            options.spare_address.as_deref(),
            "Spare address for the anchors, at another provider (https://HOST/PATH, or nothing)",
            Some(""),
            "--spare-address",
            |text| match text {
                "" => Ok(None),
                text => spare_address(text).map(Some),
            },
        )?;
        let inputs = Inputs { record, address, spare, keys, release_keys, sites };
        // The same rules as at the end, with stand-ins for what is not made yet: a wrong threshold
        // or a key in two roles is found before any key is made.
        encode(&inputs.spec(options, Vec::new(), vec![b"to come".to_vec()])?)?;
        Ok(inputs)
    }

    fn spec(
        &self,
        options: &Options,
        order: Vec<KeySpec>,
        server_cas: Vec<Vec<u8>>,
    ) -> Outcome<AnchorsSpec> {
        let station = |request: &SiteRequest| {
            KeySpec::station(request.station, &station_name(&request.site), request.site)
        };
        let mut keys = self.keys.clone();
        keys.extend(order);
        keys.extend(self.sites.iter().map(station));
        let product = |name| product_spec(name, options.release_threshold, &self.release_keys);
        Ok(AnchorsSpec {
            fleet: self.record.fleet_id()?,
            version: AnchorsVersion(1),
            time_floor: UnixTime(clock::now()),
            keys,
            anchor_threshold: options.anchor_threshold,
            command_threshold: options.command_threshold,
            products: options.product.iter().map(product).collect(),
            server_cas,
            hub: self.address.url(),
            spare: self.spare.clone(),
            revoked: Vec::new(),
        })
    }
}

fn check_places(options: &Options) -> Outcome<()> {
    let places =
        [("root", &options.root), ("backup root", &options.backup_root), ("hub", &options.hub)];
    for (index, (name, place)) in places.iter().enumerate() {
        for (other_name, other) in &places[index + 1..] {
            if files::same_or_nested(place, other) {
                return Err(Failure::usage(
                    format!("the {name} and the {other_name} cannot share a directory"),
                    format!(
                        "{} and {} are one place, or one lies inside the other: whoever takes one has both.",
                        place.display(),
                        other.display()
                    ),
                    "Give each a directory of its own, best on separate media.",
                ));
            }
        }
        files::must_be_absent_or_empty(place)?;
    }
    Ok(())
}

fn root_passphrases(options: &Options) -> Outcome<(Passphrase, Passphrase)> {
    if options.root_pin_file.is_none() {
        output::progress("Two roots, two passphrases, best two people.");
    }
    let of_root = (options.root_pin_file.as_deref(), "the root");
    let of_backup = (options.backup_root_pin_file.as_deref(), "the backup root");
    passphrase::new_pair(of_root, of_backup)
}

fn new_root(
    plan: &Plan,
    role: &Role,
    directory: &Path,
    passphrase: &Passphrase,
    record: &Record,
) -> Outcome<Root> {
    output::progress(format_args!("Making the {} …", root_stem(role).replace('-', " ")));
    files::new_directory(directory)?;
    record.write(directory)?;
    make_root(plan, role, directory, passphrase)
}

fn write_anchors(options: &Options, inputs: &Inputs, hub: &HubKeys) -> Outcome<PathBuf> {
    let order = KeySpec::new(KeyRole::Order, hub.order, "hub");
    let spec = inputs.spec(options, vec![order], vec![hub.server_ca.clone()])?;
    let directory = options.hub.join("anchors");
    files::new_directory(&directory)?;
    let path = directory.join("1.cbor");
    files::write_new(&path, &encode(&spec)?, files::PUBLIC)?;
    Ok(path)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hub, anchors) = (self.hub.display(), self.anchors.display());
        writeln!(f, "Made the PKI {} for fleet {}", self.name, self.fleet)?;
        writeln!(f, "  {}  the root: lock it away", self.root.display())?;
        writeln!(
            f,
            "  {}  the backup root: lock it away somewhere else",
            self.backup_root.display()
        )?;
        writeln!(f, "  {hub}  the hub's keys and certificates: move it to the hub's machine")?;
        for site in &self.sites {
            let answer = site.answer.display();
            writeln!(
                f,
                "  {answer}  for site {}: hand it over with the signed anchors",
                site.site
            )?;
        }
        writeln!(
            f,
            "Next: {} anchor keys have to sign what devices will believe. Each signer runs",
            self.anchor_threshold
        )?;
        writeln!(f, "  ringfort pki anchors sign {anchors} --key KEY.sealed")?;
        write!(f, "Then: ringfort hub init --dir {hub}")
    }
}

const QUICKSTART_DAYS: u32 = 30;
