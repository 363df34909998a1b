//! `ringfort pki first-fleet`: everything that a first fleet needs, by the same steps that people
//! take on machines of their own, in folders that can be taken apart afterwards.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::address::Address;
use crate::commands::pki::{anchors, init};
use crate::commands::release::keygen;
use crate::commands::{factory, hub};
use crate::failure::{Failure, Outcome};
use crate::product::ProductName;
use crate::{files, output, passphrase, words};

/// What to make.
#[derive(Args)]
pub struct Options {
    /// Name of the fleet, in every authority's name
    #[arg(long)]
    pub name: String,

    /// Address under which devices reach the hub, for years: HOST or HOST:PORT
    #[arg(long, value_name = "ADDRESS")]
    pub hub_address: String,

    /// Address under which operators reach the hub [default: the devices' host, port 8444]
    #[arg(long, value_name = "ADDRESS")]
    pub operator_address: Option<String>,

    /// Where the anchors are found when the hub is not: https://HOST/PATH, any file host
    #[arg(long, value_name = "URL")]
    pub spare_address: Option<String>,

    /// The product: the vendor's and the class's name
    #[arg(long, value_name = "VENDOR/CLASS")]
    pub product: ProductName,

    /// Name of the site that makes the first devices
    #[arg(long, default_value = "bench")]
    pub site: String,

    /// Where to make it all; folders of these names must not be there yet
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub into: PathBuf,
}

/// The fleet that was made.
#[derive(Serialize)]
pub struct Report {
    name: String,
    people: PathBuf,
    root: PathBuf,
    backup_root: PathBuf,
    hub: PathBuf,
    station: PathBuf,
    operator: PathBuf,
    devices: String,
    operators: String,
}

/// Makes keys for people, roots, anchors, a hub and a station.
pub fn run(options: &Options) -> Outcome<Report> {
    let place = Place::new(&options.into)?;
    let devices = Address::parse(&options.hub_address)?;
    let operators = match &options.operator_address {
        Some(address) => Address::parse(address)?,
        None => Address { host: devices.host.clone(), port: OPERATOR_PORT },
    };
    for address in [&devices, &operators] {
        address.check_for(false)?;
    }
    for folder in place.all() {
        files::must_be_absent(Path::new(folder))?;
    }
    let authority = operators.authority();
    let made = make(options, &place, &devices, &authority);
    if made.is_err() {
        // None of them was there before: the same command can be run again.
        for folder in place.all() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
    made?;
    Ok(Report {
        name: options.name.clone(),
        devices: devices.authority(),
        operators: authority,
        people: place.people.into(),
        root: place.root.into(),
        backup_root: place.backup_root.into(),
        hub: place.hub.into(),
        station: place.station.into(),
        operator: place.operator.into(),
    })
}

fn make(options: &Options, place: &Place, devices: &Address, operators: &str) -> Outcome<()> {
    files::new_directory(Path::new(&place.people))?;
    output::progress("Making the keys of people: each with a passphrase of its own …");
    for (role, count) in [("anchor", 3), ("release", 3), ("command", 2)] {
        for number in 1..=count {
            let name = format!("{role}-{number}");
            let pin = place.new_pin(&name)?;
            keygen::run(&words::options(&[&place.person(&name), "--pin-file", &pin])?)?;
        }
    }
    output::progress("Making the roots, the hub's authorities and the station …");
    trust(options, place, devices)?;
    let Place { hub, operator, .. } = place;
    let step = ["--dir", hub, "--operator", operator, "--operator-address", operators];
    hub::init::run(&words::options(&step)?).map(drop)
}

fn trust(options: &Options, place: &Place, devices: &Address) -> Outcome<()> {
    let Place { root, backup_root, hub, station, .. } = place;
    let (root_pin, backup_pin) = (place.new_pin("root")?, place.new_pin("backup-root")?);
    let station_pin = place.new_pin("station")?;
    factory::init::run(&words::options(&[
        "--dir",
        station,
        "--site",
        &options.site,
        "--pin-file",
        &station_pin,
    ])?)?;
    let request = format!("{station}/{}.request", options.site);
    let keys = |role: &str, count: u8| -> Vec<String> {
        (1..=count).map(|n| format!("{}.pub", place.person(&format!("{role}-{n}")))).collect()
    };
    let (anchor, release, command) = (keys("anchor", 3), keys("release", 3), keys("command", 2));
    let (address, product) = (devices.url(), options.product.to_string());
    let mut init = vec![
        "--name",
        &options.name,
        "--root",
        root,
        "--backup-root",
        backup_root,
        "--hub",
        hub,
        "--root-pin-file",
        &root_pin,
        "--backup-root-pin-file",
        &backup_pin,
        "--hub-address",
        &address,
        "--product",
        &product,
        "--site",
        &request,
        "--anchor-key",
    ];
    init.extend(anchor.iter().map(String::as_str));
    init.push("--release-key");
    init.extend(release.iter().map(String::as_str));
    init.push("--command-key");
    init.extend(command.iter().map(String::as_str));
    // Without one, it is said so; the question was asked by this command's option.
    init.extend(["--spare-address", options.spare_address.as_deref().unwrap_or_default()]);
    init::run(&words::options(&init)?)?;
    let document = format!("{hub}/anchors/1.cbor");
    for name in ["anchor-1", "anchor-2"] {
        let (key, pin) = (format!("{}.sealed", place.person(name)), place.pin(name));
        let step = [&*document, "--key", &key, "--pin-file", &pin];
        anchors::sign::run(&words::options(&step)?)?;
    }
    let answer = format!("{hub}/sites/{}.answer", options.site);
    let anchors = format!("{hub}/anchors");
    factory::accept::run(&words::options(&[
        "--dir",
        station,
        "--answer",
        &answer,
        "--anchors",
        &anchors,
    ])?)?;
    // The station opens its keys by itself; it stands at the factory, with its passphrase.
    std::fs::rename(&station_pin, format!("{station}/{}", factory::STATION_PIN)).map_err(|error| {
        Failure::failed(
            "cannot move the station's passphrase",
            files::sentence(&error),
            "Try again.",
        )
    })
}

/// Where everything goes. Paths are text, because they become words of a command line.
struct Place {
    people: String,
    root: String,
    backup_root: String,
    hub: String,
    station: String,
    operator: String,
}

impl Place {
    fn new(into: &Path) -> Outcome<Place> {
        let into = into.to_str().ok_or_else(|| {
            Failure::usage("the folder's name is not text", "It is not UTF-8.", "Name another one.")
        })?;
        let inside = |name: &str| match into {
            "." => name.to_owned(),
            into => format!("{into}/{name}"),
        };
        Ok(Place {
            people: inside("people"),
            root: inside("root"),
            backup_root: inside("backup-root"),
            hub: inside("hub"),
            station: inside("station"),
            operator: inside("operator"),
        })
    }

    fn all(&self) -> [&str; 6] {
        let Place { people, root, backup_root, hub, station, operator } = self;
        [people, root, backup_root, hub, station, operator].map(String::as_str)
    }

    fn person(&self, name: &str) -> String {
        format!("{}/{name}", self.people)
    }

    fn pin(&self, name: &str) -> String {
        format!("{}/{name}.pin", self.people)
    }

    fn new_pin(&self, name: &str) -> Outcome<String> {
        let pin = self.pin(name);
        passphrase::new_pin_file(Path::new(&pin)).map(|_| pin)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { name, people, root, backup_root, hub, station, operator, .. } = self;
        writeln!(
            f,
            "The fleet {name} is made. Everything is on this machine still; take it apart:"
        )?;
        writeln!(
            f,
            "  {}  keys of people, each with its .pin: to one person each",
            people.display()
        )?;
        writeln!(f, "  {}, {}  to two places, off line", root.display(), backup_root.display())?;
        writeln!(f, "  {}  to the machine that is {}", hub.display(), self.devices)?;
        writeln!(f, "  {}  to the bench or the factory", station.display())?;
        writeln!(f, "  {}  the first administrator's, at {}", operator.display(), self.operators)?;
        write!(f, "Next: ringfort hub serve --dir {}", hub.display())
    }
}

/// The port for operators, where no other is named.
const OPERATOR_PORT: u16 = 8444;
