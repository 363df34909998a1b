use std::sync::Arc;

use ringfort_cose::Sign;

use crate::name::NameBuilder;
use crate::profile::{Extensions, Purpose};
use crate::signer::key_of;
use crate::{Error, Issued, Issuer, SubjectKey};

/// How a PKI is called and how long its certificates live.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The organization in every authority's name; 1 to 64 characters.
    pub organisation: String,
    /// What the authorities are called, for instance "Example" or "quickstart".
    pub name: String,
    /// Lifetimes.
    pub lifetimes: Lifetimes,
}

/// Lifetimes in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Root and backup root.
    pub root_days: u32,
    /// A site's Factory CA. As devices outlive it, the hub trusts it as an anchor.
    pub factory_ca_days: u32,
    /// Device, Server and Operator CA.
    pub authority_days: u32,
    /// Factory identities; none for no end.
    pub idevid_days: Option<u32>,
    /// Operational certificates.
    pub ldevid_days: u32,
    /// Certificates of listeners.
    pub server_days: u32,
    /// Certificates of operators.
    pub operator_days: u32,
}

/// The authorities of a PKI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Issues the other authorities.
    Root,
    /// The same, with a key kept elsewhere: for a drill or after a loss.
    BackupRoot,
    /// Issues factory identities at one site.
    Factory {
        /// The site's name.
        site: String,
    },
    /// A root in the place of one that was lost: the second, the third and so on.
    LaterRoot {
        /// 2 or more.
        number: u16,
    },
    /// The same for the backup root.
    LaterBackupRoot {
        /// 2 or more.
        number: u16,
    },
    /// Issues operational certificates.
    Device,
    /// The same in the place of an earlier one: the second, the third and so on.
    LaterDevice {
        /// 2 or more.
        number: u16,
    },
    /// Issues the certificates of the hub's listeners.
    Server,
    /// Issues certificates of people and automation.
    Operator,
    /// The same in the place of an earlier one: the second, the third and so on.
    LaterOperator {
        /// 2 or more.
        number: u16,
    },
}

impl Role {
    /// Whether it signs itself.
    pub fn is_root(&self) -> bool {
        use Role::{BackupRoot, LaterBackupRoot, LaterRoot, Root};
        matches!(self, Root | BackupRoot | LaterRoot { .. } | LaterBackupRoot { .. })
    }
}

impl Lifetimes {
    /// For products: 25 years, 5 years, 90 days; factory identities do not end.
    pub const STANDARD: Lifetimes = Lifetimes {
        root_days: 9131,
        factory_ca_days: 9131,
        authority_days: 1826,
        idevid_days: None,
        ldevid_days: 90,
        server_days: 90,
        operator_days: 365,
    };

    /// Everything ends after so many days.
    pub const fn all_end_in(days: u32) -> Lifetimes {
        let bounded = if days < 90 { days } else { 90 };
        Lifetimes {
            root_days: days,
            factory_ca_days: days,
            authority_days: days,
            idevid_days: Some(days),
            ldevid_days: bounded,
            server_days: bounded,
            operator_days: days,
        }
    }
}

impl Plan {
    /// Makes a root (or the backup root) that signs itself.
    ///
    /// # Errors
    /// The role is not a root's, a name does not fit, or the signer fails.
    pub fn create_root(
        &self,
        role: &Role,
        signer: Arc<dyn Sign>,
        now: u64,
    ) -> Result<Issuer, Error> {
        if !role.is_root() {
            return Err(Error::NotAnIssuer("only a root signs itself"));
        }
        let key = key_of(signer.as_ref())?;
        let extensions = Extensions::authority(&key, None, 1, None)?;
        Issuer::self_signed(self.subject(role)?, signer, extensions, self.lifetimes.root_days, now)
    }

    /// Issues an authority under a root. The key may live elsewhere, at a factory for instance.
    ///
    /// # Errors
    /// The role is a root's, a name does not fit, or the root's signer fails.
    pub fn issue_authority(
        &self,
        root: &Issuer,
        role: &Role,
        key: &SubjectKey,
        now: u64,
    ) -> Result<Issued, Error> {
        let (purpose, days) = match role {
            Role::Root
            | Role::BackupRoot
            | Role::LaterRoot { .. }
            | Role::LaterBackupRoot { .. } => {
                return Err(Error::NotAnIssuer("a root is issued by nobody"));
            }
            Role::Factory { .. } => (Purpose::Client, self.lifetimes.factory_ca_days),
            Role::Device
            | Role::LaterDevice { .. }
            | Role::Operator
            | Role::LaterOperator { .. } => (Purpose::Client, self.lifetimes.authority_days),
            Role::Server => (Purpose::Server, self.lifetimes.authority_days),
        };
        let extensions = Extensions::authority(key, Some(&root.identifier()), 0, Some(purpose))?;
        root.issue_authority(self.subject(role)?, key, extensions, days, now)
    }

    fn subject(&self, role: &Role) -> Result<x509_cert::name::Name, Error> {
        let name = &self.name;
        let common = match role {
            Role::Root => format!("{name} Root CA"),
            Role::BackupRoot => format!("{name} Backup Root CA"),
            Role::Factory { site } => format!("{name} Factory CA {site}"),
            Role::Device => format!("{name} Device CA"),
            Role::LaterDevice { number } => format!("{name} Device CA {number}"),
            Role::Server => format!("{name} Server CA"),
            Role::Operator => format!("{name} Operator CA"),
            Role::LaterRoot { number } => format!("{name} Root CA {number}"),
            Role::LaterBackupRoot { number } => format!("{name} Backup Root CA {number}"),
            Role::LaterOperator { number } => format!("{name} Operator CA {number}"),
        };
        NameBuilder::default().organisation(&self.organisation)?.common_name(&common)?.build()
    }
}
