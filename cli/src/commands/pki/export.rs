//! `ringfort pki export`: what another relying party needs to know the fleet's devices.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use der::Decode;
use der::oid::AssociatedOid;
use ringfort_cose::Reason;
use ringfort_pki::{CERTIFICATE, CRL, CertificateInfo, from_pem, to_pem};
use serde::Serialize;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::{CrlNumber, CrlReason};

use super::authorities::pki_failure;
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use crate::{clock, files};

/// For whom, and where its files will lie.
#[derive(Args)]
pub struct Options {
    /// What the files are for
    #[arg(long = "for", value_name = "WHAT")]
    pub relying_party: RelyingParty,

    /// Directory of the files. Made if need be; a second export renews what is in it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// The operator's folder [default: ~/.config/ringfort]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Where these files will lie on the broker
    #[arg(long, value_name = "DIR", default_value = "/etc/mosquitto/ringfort")]
    pub at: String,

    /// The broker's own certificate with its chain, on the broker
    #[arg(long, value_name = "FILE", default_value = "/etc/mosquitto/certs/broker.pem")]
    pub certificate: String,

    /// The key of that certificate, on the broker
    #[arg(long, value_name = "FILE", default_value = "/etc/mosquitto/certs/broker.key")]
    pub key: String,

    /// The port that devices connect to
    #[arg(long, value_name = "PORT", default_value_t = 8883, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,

    /// A device may use the topics below TOPIC/<its id>
    #[arg(long, value_name = "TOPIC", default_value = "devices")]
    pub topics: String,
}

/// Whom files can be made for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RelyingParty {
    /// The MQTT broker Mosquitto, 2.0 or later
    Mosquitto,
}

/// What was exported.
#[derive(Serialize)]
pub struct Report {
    directory: PathBuf,
    device_ca: String,
    crl: Revocations,
    files: Vec<Written>,
    #[serde(skip)]
    at: String,
}

/// What stands in the CRL.
#[derive(Serialize)]
struct Revocations {
    number: u64,
    certificates: usize,
    on_hold: usize,
    this_update: String,
    next_update: String,
}

#[derive(Serialize)]
struct Written {
    name: &'static str,
    #[serde(rename = "is")]
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum How {
    New,
    Renewed,
    Kept,
}

/// Asks the hub for the Device CA and its CRL, and writes them with what the broker reads them by.
pub fn run(options: &Options, dir: Option<&Path>) -> Outcome<Report> {
    let RelyingParty::Mosquitto = options.relying_party;
    check_words(options)?;
    let again = prepare(&options.out)?;
    let operator = Operator::open(options.dir.as_deref().or(dir))?;
    let authority = operator.wait(operator.client().device_ca())?;
    let crl = operator.wait(operator.client().device_crl())?;

    let (device_ca, chain) = chain(&authority.certificate, &authority.roots)?;
    let revocations = Revocations::read(&crl).ok_or_else(|| {
        Failure::refused(Reason::Malformed, "the hub's CRL cannot be read")
            .next("Check that hub and ringfort are of one version.")
    })?;
    let mut crl = to_pem(CRL, &crl).map_err(pki_failure)?;
    let (device_ca, mut chain) = (device_ca, chain);
    // Devices that have not renewed yet show certificates of the authority before.
    for earlier in &authority.earlier {
        let (_, above) = self::chain(&earlier.certificate, &authority.roots)?;
        chain.push_str(&above);
        crl.push_str(&earlier.crl);
    }
    if !again {
        files::new_directory(&options.out)?;
    }
    let files = vec![
        renew(&options.out, CA_FILE, &chain)?,
        renew(&options.out, CRL_FILE, &crl)?,
        keep(&options.out, ACL_FILE, &acl(options))?,
        keep(&options.out, CONF_FILE, &configuration(options))?,
    ];
    let (directory, at) = (options.out.clone(), options.at.clone());
    Ok(Report { directory, device_ca, crl: revocations, files, at })
}

/// What goes into the broker's files must not be able to end a line or name other topics.
fn check_words(options: &Options) -> Outcome<()> {
    for (option, text) in
        [("--at", &options.at), ("--certificate", &options.certificate), ("--key", &options.key)]
    {
        if text.trim() != text || text.is_empty() || text.chars().any(char::is_control) {
            return Err(Failure::usage(
                format!("{option} is no path for a line of mosquitto.conf"),
                "It is empty, has blanks around it, or has control characters.",
                "Name a plain absolute path.",
            ));
        }
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let topic = &options.topics;
    if topic.is_empty() || !topic.chars().all(plain) || topic.split('/').any(str::is_empty) {
        return Err(Failure::usage(
            format!("--topics {topic:?} cannot stand in front of a device's id"),
            "It is made of letters, digits and . _ - with single / between; no wildcards.",
            "Name a topic such as devices or plant/devices.",
        ));
    }
    Ok(())
}

/// Whether the directory holds an earlier export; anything else in it is left alone.
fn prepare(out: &Path) -> Outcome<bool> {
    if out.join(CRL_FILE).is_file() {
        return Ok(true);
    }
    files::must_be_absent_or_empty(out).map(|_| false)
}

/// The Device CA and the root that issued it. The other root is not for the broker to trust.
fn chain(certificate: &str, roots: &[String]) -> Outcome<(String, String)> {
    let der = from_pem(CERTIFICATE, certificate).map_err(pki_failure)?;
    let info = CertificateInfo::parse(&der).map_err(pki_failure)?;
    for root in roots {
        let issuer = from_pem(CERTIFICATE, root).map_err(pki_failure)?;
        let issuer = CertificateInfo::parse(&issuer).map_err(pki_failure)?;
        if info.is_signed_by(&der, &issuer) {
            return Ok((info.subject_text, format!("{certificate}{root}")));
        }
    }
    Err(Failure::refused(Reason::UnknownCertificate, "no root of the hub issued its Device CA")
        .next("Put the root's certificate into the hub's directory certs and start the hub anew."))
}

impl Revocations {
    fn read(der: &[u8]) -> Option<Revocations> {
        let list: CertificateList = CertificateList::from_der(der).ok()?;
        let list = list.tbs_cert_list;
        let extensions = list.crl_extensions.as_deref().unwrap_or_default();
        let number = extensions
            .iter()
            .find(|e| e.extn_id == CrlNumber::OID)
            .and_then(|e| CrlNumber::from_der(e.extn_value.as_bytes()).ok())?
            .0;
        let number = number.as_bytes().iter().try_fold(0u64, |n, byte| {
            n.checked_mul(256).and_then(|n| n.checked_add(u64::from(*byte)))
        })?;
        let entries = list.revoked_certificates.unwrap_or_default();
        let on_hold = entries.iter().filter(|entry| {
            let extensions = entry.crl_entry_extensions.as_deref().unwrap_or_default();
            extensions.iter().any(|e| {
                e.extn_id == CrlReason::OID
                    && CrlReason::from_der(e.extn_value.as_bytes())
                        == Ok(CrlReason::CertificateHold)
            })
        });
        Some(Revocations {
            number,
            on_hold: on_hold.count(),
            certificates: entries.len(),
            this_update: clock::text(list.this_update.to_unix_duration().as_secs()),
            next_update: clock::text(list.next_update?.to_unix_duration().as_secs()),
        })
    }
}

/// Puts new contents in place by a rename: the broker may read at any time.
fn renew(directory: &Path, name: &'static str, text: &str) -> Outcome<Written> {
    let path = directory.join(name);
    let how = if path.exists() { How::Renewed } else { How::New };
    files::replace(&path, text.as_bytes(), files::PUBLIC)?;
    Ok(Written { name, how })
}

/// Writes what a person may have changed since: once.
fn keep(directory: &Path, name: &'static str, text: &str) -> Outcome<Written> {
    let path = directory.join(name);
    if path.exists() {
        return Ok(Written { name, how: How::Kept });
    }
    files::write_new(&path, text.as_bytes(), files::PUBLIC)?;
    Ok(Written { name, how: How::New })
}

fn acl(options: &Options) -> String {
    let topics = &options.topics;
    format!(
        "# %u is the device's id, out of its certificate. There is no rule for anybody else.\n\
         pattern readwrite {topics}/%u/#\n"
    )
}

fn configuration(options: &Options) -> String {
    let Options { at, certificate, key, port, .. } = options;
    format!(
        "\
# The listener of the fleet's devices, for Mosquitto 2.0 or later.
# Other clients have listeners of their own, each with its own settings.
per_listener_settings true

listener {port}
tls_version tlsv1.2

# The broker's own certificate.
certfile {certificate}
keyfile {key}

# A device shows its operational certificate. Its issuer has to have a CRL, so certificates of
# the PKI's other authorities are refused although they come from the same root.
cafile {at}/{CA_FILE}
crlfile {at}/{CRL_FILE}
require_certificate true
allow_anonymous false

# The certificate's common name is the device's id. It is the user's name and the client's id,
# so that no device can end another one's session.
use_identity_as_username true
use_username_as_clientid true
acl_file {at}/{ACL_FILE}
"
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (directory, at) = (self.directory.display(), &self.at);
        let Revocations { number, certificates, on_hold, next_update, .. } = &self.crl;
        writeln!(f, "{directory} holds what a Mosquitto broker needs")?;
        for Written { name, how } in &self.files {
            let how = match how {
                How::New => "new",
                How::Renewed => "renewed",
                How::Kept => "kept as it was",
            };
            writeln!(f, "  {name:<18} {how}")?;
        }
        writeln!(f, "CRL {number}: {certificates} revoked, {on_hold} of them on hold")?;
        writeln!(f, "  it ends {next_update}; after that the broker refuses every device")?;
        if self.files.iter().any(|file| file.name == CONF_FILE && file.how == How::New) {
            writeln!(f, "Next, on the broker:")?;
            writeln!(f, "  1. copy the files to {at}, readable for the broker's user")?;
            writeln!(f, "  2. put the broker's own certificate where {CONF_FILE} names it")?;
            writeln!(f, "  3. add to /etc/mosquitto/mosquitto.conf: include_dir {at}")?;
            writeln!(f, "  4. systemctl restart mosquitto")?;
            write!(f, "Then repeat this command at least every hour, copy, and reload the broker.")
        } else {
            writeln!(f, "Next: copy {CA_FILE} and {CRL_FILE} to {at} on the broker, then")?;
            writeln!(f, "  systemctl reload mosquitto   new connections are judged by this CRL")?;
            write!(f, "  systemctl restart mosquitto  open ones too")
        }
    }
}

const CA_FILE: &str = "device-ca.pem";
const CRL_FILE: &str = "device-ca.crl.pem";
const ACL_FILE: &str = "acl";
const CONF_FILE: &str = "ringfort.conf";
