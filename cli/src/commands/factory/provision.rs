//! `ringfort factory provision`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::Reason;
use ringfort_messages::{Chain as CertificateChain, DeviceId, IdentityAnswer, IdentityRequest};
use ringfort_pki::{Csr, Idevid, Issued, Issuer, SubjectKey};
use ringfort_trust::{Anchors, Product};
use serde::Serialize;

use super::station::{Marks, Station};
use crate::commands::pki::authorities::{pki_failure, read_certificate};
use crate::failure::{Failure, Outcome};
use crate::product::ProductName;
use crate::{clock, files, keys};

/// Which device to give its identity.
#[derive(Args)]
pub struct Options {
    /// The device's request, made with `ringfort-agent identity request`
    pub request: PathBuf,

    /// The device's name, its serial number: unique in the fleet, for life
    #[arg(long, value_name = "NAME")]
    pub device: String,

    /// The device's product [default: the only one in the anchors]
    #[arg(long, value_name = "VENDOR/CLASS")]
    pub product: Option<ProductName>,

    /// The station's directory
    #[arg(long, default_value = "station")]
    pub dir: PathBuf,

    /// Where to write the identity file [default: NAME.identity beside the request]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Take the passphrase of the station's keys from this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
}

/// The device that has an identity now.
#[derive(Serialize)]
pub struct Report {
    device: String,
    ueid: String,
    product: String,
    key_store: &'static str,
    hardware_keys: bool,
    certificate: String,
    identity: PathBuf,
}

/// Checks the request, issues the identity, records the device.
pub fn run(options: &Options) -> Outcome<Report> {
    let device = device_id(&options.device)?;
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| options.request.with_file_name(format!("{device}.identity")));
    files::must_be_absent(&out)?;
    let mut station = Station::open(&options.dir)?;
    let bytes = files::read(&options.request, IdentityRequest::MAX_LEN)?;
    let request = Request::check(&options.request, &bytes)?;
    station.check_new(&request.marks)?;
    station.check_name_free(&device)?;

    let anchors = station.anchors.newest()?;
    let product = product(&anchors, options.product.as_ref())?;
    let factory_ca = read_certificate(&station.layout.factory_ca())?;
    let key = station.layout.factory_ca_key().with_extension("sealed");
    let signer = keys::open(&key.display().to_string(), options.pin_file.as_deref())?;
    let issuer = Issuer::new(&factory_ca, signer).map_err(pki_failure)?;
    let issued = issue(&station, &issuer, &request, &device, &product)?;
    let first = station.anchors.first()?;
    let chain = CertificateChain::new(&[&issued.der, &factory_ca]).map_err(no_identity)?;
    let identity = IdentityAnswer {
        ueid: request.request.ueid,
        device,
        vendor: product.vendor,
        class: product.class,
        chain,
        anchors: &first.bytes,
    };
    let identity = identity.encode().map_err(no_identity)?;
    let protection = request.request.protection;
    station.record(&device, &bytes, &identity, &request.marks)?;
    files::write_new(&out, &identity, files::PUBLIC)?;
    Ok(Report {
        device: device.to_string(),
        ueid: request.request.ueid.to_string(),
        product: format!("{}/{}", product.vendor_name, product.class_name),
        key_store: protection.store.name(),
        hardware_keys: protection.hardware_keys,
        certificate: hex::encode(issued.fingerprint),
        identity: out,
    })
}

/// A request whose proofs of possession were checked.
struct Request<'b> {
    request: IdentityRequest<'b>,
    idevid: SubjectKey,
    marks: Marks,
}

impl<'b> Request<'b> {
    fn check(path: &Path, bytes: &'b [u8]) -> Outcome<Request<'b>> {
        let refused = |reason: Reason| {
            Failure::refused(reason, format!("the request {} is refused", path.display()))
        };
        let request = IdentityRequest::decode(bytes).map_err(refused)?;
        let key = |der: &[u8]| {
            Csr::parse(der).map(|csr| csr.key().clone()).map_err(|e| refused(e.reason()))
        };
        let (idevid, attestation) = (key(request.idevid_csr)?, key(request.attestation_csr)?);
        if idevid == attestation {
            return Err(refused(Reason::KeyInTwoRoles)
                .why("Its identity and its attestation would have one key.")
                .next("Make the keys inside the device again, one for each role."));
        }
        let marks = Marks::of(&request, &idevid, &attestation);
        Ok(Request { request, idevid, marks })
    }
}

fn device_id(name: &str) -> Outcome<DeviceId> {
    // A name that starts with a dot could stand for another directory.
    DeviceId::new(name).ok().filter(|_| !name.starts_with('.')).ok_or_else(|| {
        Failure::usage(
            format!("\"{name}\" cannot be a device's name"),
            "A name has 1 to 64 letters, digits, dots, underscores or hyphens, no dot first.",
            "Use the serial number on the device's label.",
        )
    })
}

fn product(anchors: &Anchors<'_>, wanted: Option<&ProductName>) -> Outcome<Product> {
    let names: Vec<String> = anchors
        .products()
        .map(|product| format!("{}/{}", product.vendor_name, product.class_name))
        .collect();
    match wanted {
        Some(name) => anchors.product(&name.class_id()).ok_or_else(|| {
            Failure::refused(Reason::WrongDevice, format!("there is no product {name}"))
                .why(format!("The anchors name {}.", names.join(", ")))
                .next("Choose one of these, or add the product to the anchors.")
        }),
        None => match (anchors.products().next(), names.len()) {
            (Some(product), 1) => Ok(product),
            _ => Err(Failure::usage(
                "the device's product is missing",
                format!("The anchors name {}.", names.join(", ")),
                "Choose one with --product VENDOR/CLASS.",
            )),
        },
    }
}

fn issue(
    station: &Station,
    issuer: &Issuer,
    request: &Request<'_>,
    device: &DeviceId,
    product: &Product,
) -> Outcome<Issued> {
    let idevid = Idevid {
        device_id: device.as_str(),
        vendor: product.vendor_name.as_str(),
        model: product.class_name.as_str(),
        class_id: product.class.0,
        ueid: request.request.ueid.as_bytes(),
        lifetime_days: station.pki.plan().lifetimes.idevid_days,
    };
    issuer.issue_idevid(&request.idevid, &idevid, clock::now()).map_err(|error| {
        pki_failure(error).next("Choose a name of letters, digits, dots and hyphens.")
    })
}

fn no_identity(reason: Reason) -> Failure {
    Failure::refused(reason, "the identity file cannot be made")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} has an identity as {}", self.device, self.product)?;
        let hardware = if self.hardware_keys { "in hardware" } else { "not in hardware" };
        writeln!(f, "  key store    {}, {hardware}", self.key_store)?;
        writeln!(f, "  UEID         {}", self.ueid)?;
        writeln!(f, "  certificate  {}", self.certificate)?;
        write!(
            f,
            "Next, on the device: ringfort-agent identity install {}",
            self.identity.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::device_id;

    #[test]
    fn a_name_that_is_a_directory_is_refused() {
        for bad in [".", "..", ".hidden", "a/b", "", "a b"] {
            assert!(device_id(bad).is_err(), "{bad:?}");
        }
        assert!(device_id("dev-1.a").is_ok());
    }
}
