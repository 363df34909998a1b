//! The faults that `ringfort hub doctor` knows. One table; the command, its list, the documents
//! and the tests are made from it.

use serde::Serialize;

macro_rules! faults {
    ($( $variant:ident $name:literal $meaning:literal $next:literal; )*) => {
        /// Something about a hub that is wrong, or will be.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $( #[doc = $meaning] $variant, )*
        }

        impl Fault {
            /// Every fault, in the order of the table.
            pub const ALL: &'static [Fault] = &[ $( Fault::$variant, )* ];

            /// Its name: stable, for scripts.
            pub const fn name(self) -> &'static str {
                match self { $( Fault::$variant => $name, )* }
            }

            /// What it means, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $( Fault::$variant => $meaning, )* }
            }

            /// What to do about it, in one sentence.
            pub const fn next_step(self) -> &'static str {
                match self { $( Fault::$variant => $next, )* }
            }
        }
    };
}

faults! {
    // The directory.
    SettingsUnreadable "settings-unreadable"
        "The settings of the hub or of its PKI cannot be read."
        "Correct the line that is named, or take the file from a backup.";
    ModeTooWide "mode-too-wide"
        "Somebody else than the hub's user may read or change a secret or the registry."
        "Run chmod as shown; if others could read a key, replace it.";
    DiskNearlyFull "disk-nearly-full"
        "The disk that holds the hub's data is nearly full; a hub that cannot write serves nobody."
        "Make room, or move the directory to a larger disk while the hub is stopped.";

    // Keys.
    PinMissing "pin-missing"
        "What opens the hub's keys is not where hub.toml says, or cannot be used."
        "Put the PIN there (mode 0600), or correct pin in hub.toml.";
    KeyMissing "key-missing"
        "A key of the hub is not there."
        "Take it from a backup; if there is none, replace the key by a new anchors version.";
    KeyDoesNotOpen "key-does-not-open"
        "A key of the hub does not open: its bytes were changed, or the PIN is another's."
        "Take file and PIN from the same backup.";

    // Certificates.
    CertificateUnreadable "certificate-unreadable"
        "A certificate of the PKI is missing or is not one."
        "Copy it again from the directory of the root, or from a backup.";
    CertificateDoesNotFit "certificate-does-not-fit"
        "A certificate is for another key than the one that lies beside it."
        "Take certificate and key from the same backup.";
    CertificateEnded "certificate-ended"
        "A certificate has ended: what it vouched for is refused."
        "Replace it now; `ringfort pki` makes new authorities and the anchors that name them.";
    CertificateEnds30 "certificate-ends-in-30-days"
        "A certificate ends within 30 days."
        "Replace it this week: devices must have time to take the new anchors.";
    CertificateEnds90 "certificate-ends-in-90-days"
        "A certificate ends within 90 days."
        "Set a date for its replacement, and bring those who sign anchors together.";
    CertificateEnds365 "certificate-ends-in-365-days"
        "A certificate ends within a year."
        "Plan its replacement.";
    CrlEnds "crl-ends"
        "A revocation list of the PKI has ended or ends within 30 days; others refuse to go on."
        "Sign a new one with the root's key.";

    EarlierDeviceCaDone "earlier-device-ca-done"
        "The last certificate of a Device CA that was replaced has ended: its key is of no use."
        "Remove the key that is named (not the certificate beside it) and start the hub anew.";
    PublicCertificateNotRenewed "public-certificate-not-renewed"
        "The authority gives no certificate for operators; the one in force stays until it ends."
        "Do what its word asks for; it is tried again by itself, and soon after the hub starts anew.";

    // Anchors.
    AnchorsBroken "anchors-broken"
        "The anchors in the directory are missing, damaged or not signed as they have to be."
        "Put every version of this PKI's anchors into the directory anchors: 1.cbor, 2.cbor and so on.";
    AnchorsOfAnotherFleet "anchors-of-another-fleet"
        "The anchors belong to another fleet than the hub."
        "Put this PKI's own anchors into the directory anchors.";
    AnchorsNameAnotherOrderKey "anchors-name-another-order-key"
        "The newest anchors do not name the hub's order key, so no device obeys it."
        "Use the key that the anchors name, or sign anchors that name this one.";
    AnchorsNameAnotherServerCa "anchors-name-another-server-ca"
        "The newest anchors do not name the hub's Server CA, so no device talks to it."
        "Use the Server CA that the anchors name, or sign anchors that name this one.";
    AnchorsNameAnotherAddress "anchors-name-another-address"
        "Devices are told another address than the one in hub.toml."
        "Correct hub.toml, or sign anchors with the new address and keep the old one served.";
    EveryAnchorKeyNeeded "every-anchor-key-needed"
        "Every anchor key has to sign: the loss of one ends all rotation for ever."
        "Sign anchors with one more anchor key, or with a lower threshold.";
    OneSignerSuffices "one-signer-suffices"
        "One release key alone can sign software for a product."
        "Sign anchors with at least three release keys for the product, of which two must sign.";
    NoSpareAddress "no-spare-address"
        "The anchors name no spare address: after the loss of the hub's name devices learn no new one."
        "Sign anchors that name one: any server for static files, under another name.";

    // Settings.
    SingleApproval "single-approval"
        "One person alone can retire devices and deploy to the whole fleet."
        "Add a second operator or administrator, and set approvals = 2 in hub.toml.";
    TooFewPeople "too-few-people"
        "Two people have to agree, and of those who could only one is left: nothing of that kind can be done."
        "Add another; where that takes two too, set approvals = 1 for as long as it takes.";
    DeveloperProduct "developer-product"
        "A product is for developers: its certificates live 30 days, and its devices never ship."
        "Keep it for desks; ship products of another class.";
    AddressOfThisMachine "address-of-this-machine"
        "The hub is to be reached under a name that leads each device to itself."
        "Give the host name under which devices and operators reach the hub.";
    AddressIsNumber "address-is-number"
        "The hub is to be reached under a bare IP address, which devices keep when the hub moves."
        "Give a host name that you control.";
    PortTaken "port-taken"
        "The hub does not run, and something else uses its port or nothing may use it."
        "Stop what uses it, or change listen in hub.toml; ports below 1024 need CAP_NET_BIND_SERVICE.";

    // Data.
    DatabaseMissing "database-missing"
        "There is no database where the hub's should be."
        "Run `ringfort hub init`, or restore a backup with `ringfort hub restore`.";
    DatabaseDamaged "database-damaged"
        "The database cannot be read, or its pages do not fit together."
        "Stop the hub and restore the newest backup with `ringfort hub restore`.";
    DatabaseNewer "database-newer"
        "The database was written by a newer ringfort than this one."
        "Install that version again; a database never goes back.";
    ObjectMissing "object-missing"
        "An object that the registry knows is not on the disk: devices cannot fetch it."
        "Take it from a backup, or publish its release again.";
    ObjectDamaged "object-damaged"
        "An object on the disk is not what its name says: devices refuse it."
        "Remove the file, then publish its release again or take it from a backup.";
    ClockBehind "clock-behind"
        "The clock is behind the newest record of the hub: what it signs now seems to be from before."
        "Set the clock, and keep it set (chrony, systemd-timesyncd).";
    NotAcknowledged "restore-not-acknowledged"
        "The hub was restored from a backup and waits: it gives no orders and no certificates."
        "Retire and suspend again what was since, then run `ringfort hub acknowledge`.";

    // The running hub.
    HubDoesNotAnswer "hub-does-not-answer"
        "The hub does not answer this operator."
        "See whether it runs, and its log; then the address and certificate in the operator's folder.";
    OperatorCertificateEnds "operator-certificate-ends"
        "The operator's own certificate has ended or ends within 30 days."
        "Run `ringfort user renew` before; afterwards an administrator has to invite anew.";
    AnchorsNotPublished "anchors-not-published"
        "The directory holds newer anchors than the hub serves."
        "Run `ringfort pki anchors publish`, or restart the hub.";
    AuditNotAsSeen "audit-log-not-as-seen"
        "The hub's audit log is shorter than the one this operator saw before, or has another past."
        "After a restore run `ringfort audit accept`; else compare exports, and find out who changed it.";
    KeysShared "keys-shared"
        "The registry holds a public key for more than one device, which the hub never lets happen."
        "Find out who changed the database, and restore a backup from before.";
    DevicesAlarmed "devices-alarmed"
        "Devices have alarms that nobody has settled."
        "Look at them with `ringfort device list --alarmed`.";
}

/// A fault that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The fault's name.
    pub fault: &'static str,
    /// Where it is: a file, a key, a certificate, an address.
    pub at: String,
    /// What was seen there.
    pub seen: String,
    /// What it means.
    pub meaning: &'static str,
    /// What to do next.
    pub next_step: &'static str,
}

impl Finding {
    /// A finding of this fault.
    pub fn new(fault: Fault, at: impl Into<String>, seen: impl Into<String>) -> Finding {
        Finding {
            fault: fault.name(),
            at: at.into(),
            seen: seen.into(),
            meaning: fault.meaning(),
            next_step: fault.next_step(),
        }
    }
}

/// The table as a document.
pub fn table() -> String {
    let mut text = String::from(
        "# What `ringfort hub doctor` finds\n\n\
         Made from the definitions in the code by `ringfort hub doctor --list`.\n\n\
         | fault | what it means | what to do next |\n|---|---|---|\n",
    );
    for fault in Fault::ALL {
        text.push_str(&format!(
            "| `{}` | {} | {} |\n",
            fault.name(),
            fault.meaning(),
            fault.next_step()
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own_and_says_what_to_do() {
        let mut names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Fault::ALL.len());
        assert!(Fault::ALL.len() >= 20);
        for fault in Fault::ALL {
            assert!(fault.meaning().ends_with('.') && fault.next_step().ends_with('.'));
        }
    }
}
