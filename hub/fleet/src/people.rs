//! Operators and what their roles allow.

use std::fmt;

use ringfort_cose::Reason;

use crate::Refusal;

/// What a person, or a machine that acts for one, may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Looks, and uploads releases and their objects. Cannot deploy.
    Publisher,
    /// Looks, deploys, moves devices, hands in factory batches. Cannot publish.
    Operator,
    /// Everything, people and trust included.
    Admin,
}

/// Something that a role allows or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Look at devices, releases, deployments and the audit log.
    View,
    /// Upload objects and releases.
    Publish,
    /// Create, pause, resume and halt deployments.
    Deploy,
    /// Move devices through their lifecycle, settle alarms.
    MoveDevices,
    /// Hand in factory batches.
    ImportBatches,
    /// Add and revoke factory sites, add anchors, add and remove operators.
    Administer,
}

impl Role {
    /// Every role, least first.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Publisher, Role::Operator, Role::Admin];

    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Publisher => "publisher",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// The role with this name.
    ///
    /// # Errors
    /// `malformed`.
    pub fn from_name(name: &str) -> Result<Role, Refusal> {
        let found = Role::ALL.into_iter().find(|role| role.name() == name);
        found.ok_or_else(|| Refusal::new(Reason::Malformed, format!("no role is called {name}")))
    }

    /// The whole table of what roles allow.
    pub const fn allows(self, permission: Permission) -> bool {
        use Permission::{Administer, Deploy, ImportBatches, MoveDevices, Publish, View};
        match (self, permission) {
            (Role::Admin, _) | (_, View) | (Role::Publisher, Publish) => true,
            (Role::Operator, Deploy | MoveDevices | ImportBatches) => true,
            (Role::Viewer | Role::Publisher, Deploy | MoveDevices | ImportBatches)
            | (Role::Viewer | Role::Operator, Publish)
            | (Role::Viewer | Role::Publisher | Role::Operator, Administer) => false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who asks. From [`crate::Fleet::operator`], or [`Operator::at_the_host`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    name: String,
    role: Role,
    /// SHA-256 of the certificate; none for whoever works at the hub's own machine.
    certificate: Option<[u8; 32]>,
}

impl Operator {
    /// Whoever works on the hub's own machine with its directory: for `hub init`, before there is
    /// any operator, and for repair. Never to be made out of a network request.
    pub fn at_the_host(name: &str) -> Operator {
        Operator { name: format!("host:{name}"), role: Role::Admin, certificate: None }
    }

    /// Not a person of the registry, but somebody with the hub's directory in his hands.
    pub(crate) fn is_at_the_host(&self) -> bool {
        Operator::is_host_name(&self.name)
    }

    /// No registered name has a colon.
    pub(crate) fn is_host_name(name: &str) -> bool {
        name.starts_with("host:")
    }

    pub(crate) fn registered(name: String, role: Role, certificate: [u8; 32]) -> Operator {
        Operator { name, role, certificate: Some(certificate) }
    }

    pub(crate) fn certificate(&self) -> Option<[u8; 32]> {
        self.certificate
    }

    /// The name that goes into the audit log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Refuses what the role does not allow.
    ///
    /// # Errors
    /// `role-forbids`.
    pub fn require(&self, permission: Permission) -> Result<(), Refusal> {
        match self.role.allows(permission) {
            true => Ok(()),
            false => Err(Refusal::new(
                Reason::RoleForbids,
                format!("{} has the role {}", self.name, self.role),
            )),
        }
    }
}

/// An operator to add.
#[derive(Clone, Debug)]
pub struct NewOperator {
    /// A name that no other operator has.
    pub name: String,
    /// The role.
    pub role: Role,
    /// The client certificate, DER, issued by the Operator CA.
    pub certificate: Vec<u8>,
}

/// An operator as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorView {
    /// The name.
    pub name: String,
    /// The role.
    pub role: Role,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// Since when, Unix milliseconds.
    pub added_ms: i64,
    /// Until when, if access has ended.
    pub removed_ms: Option<i64>,
    /// When the certificate ends, where that is known.
    pub not_after_ms: Option<i64>,
}

/// An operator who was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The name.
    pub name: String,
    /// The role.
    pub role: Role,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// When the certificate ends.
    pub not_after_ms: i64,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
}

/// An invitation that was just made: the only time that its secret is seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Who is invited.
    pub name: String,
    /// The role.
    pub role: Role,
    /// What proves the invitation.
    pub secret: [u8; crate::SECRET_BYTES],
    /// Until when it works.
    pub ends_ms: i64,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invitation({}, {})", self.name, self.role)
    }
}

/// An invitation that can still be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationView {
    /// Who is invited.
    pub name: String,
    /// The role.
    pub role: Role,
    /// By whom.
    pub invited_by: String,
    /// Until when.
    pub ends_ms: i64,
}

/// Somebody's consent to something that takes two people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalView {
    /// What it is about: a device, `operator/…`, `release/…`, `hub`.
    pub subject: String,
    /// What is to be done.
    pub action: String,
    /// Who consents.
    pub operator: String,
    /// Since when.
    pub given_ms: i64,
    /// Until when.
    pub ends_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_allows_exactly_its_row() {
        use Permission::{Administer, Deploy, ImportBatches, MoveDevices, Publish, View};
        let all = [View, Publish, Deploy, MoveDevices, ImportBatches, Administer];
        let table: [(Role, &[Permission]); 4] = [
            (Role::Viewer, &[View]),
            (Role::Publisher, &[View, Publish]),
            (Role::Operator, &[View, Deploy, MoveDevices, ImportBatches]),
            (Role::Admin, &all),
        ];
        for (role, allowed) in table {
            for permission in all {
                let operator = Operator::registered("x".to_owned(), role, [0; 32]);
                let result = operator.require(permission);
                match allowed.contains(&permission) {
                    true => assert_eq!(result, Ok(()), "{role} {permission:?}"),
                    false => assert_eq!(result.unwrap_err().reason, Reason::RoleForbids),
                }
            }
            assert_eq!(Role::from_name(role.name()), Ok(role));
        }
    }
}
