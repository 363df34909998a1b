//! The rows and the statements. SQL that SQLite and PostgreSQL both take; times are Unix
//! milliseconds; an enumeration is text that the fleet crate defines.

mod audit;
mod certificates;
mod commands;
mod contacts;
mod deployments;
mod devices;
mod people;
mod releases;
mod sites;
mod targets;
mod trust;

pub use audit::AuditRow;
pub use certificates::{
    CertificateRow, EnrolmentRow, IdentityRow, KnownKey, NewCertificate, RevokedRow,
};
pub use commands::CommandRow;
pub use contacts::{Contact, Running};
pub use deployments::{DeploymentRow, NewDeployment};
pub use devices::{DeviceFilter, DeviceRow, NewDevice, StateCount};
pub use people::{ApprovalRow, InvitationRow, OperatorRow};
pub use releases::{NewRelease, ReleaseObject, ReleaseRow};
pub use sites::{NewSite, SiteRow};
pub use targets::{Confirmed, Offer, TargetChange, TargetRow};
pub use trust::AnchorsRow;

pub(crate) use certificates::{
    EnrolmentOf, IdentityOf, NewKey, enrolments_of, identities_of, insert_certificates,
    insert_known_keys,
};
pub(crate) use contacts::{ContactOf, contacts_of, upsert_contacts};
pub(crate) use devices::{DeviceState, update_device_states};

use sqlx::sqlite::{SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Sqlite, Type, error::BoxDynError};

use crate::Hash;

/// Exactly `N` bytes out of a BLOB column.
pub(crate) struct Exactly<const N: usize>([u8; N]);

impl<const N: usize> Type<Sqlite> for Exactly<N> {
    fn type_info() -> SqliteTypeInfo {
        <Vec<u8> as Type<Sqlite>>::type_info()
    }

    fn compatible(ty: &SqliteTypeInfo) -> bool {
        <Vec<u8> as Type<Sqlite>>::compatible(ty)
    }
}

impl<'r, const N: usize> Decode<'r, Sqlite> for Exactly<N> {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Exactly(<&[u8] as Decode<Sqlite>>::decode(value)?.try_into()?))
    }
}

impl<const N: usize> From<Exactly<N>> for [u8; N] {
    fn from(bytes: Exactly<N>) -> [u8; N] {
        bytes.0
    }
}

/// The same, or NULL.
pub(crate) struct MaybeHash(Option<Hash>);

impl Type<Sqlite> for MaybeHash {
    fn type_info() -> SqliteTypeInfo {
        <Vec<u8> as Type<Sqlite>>::type_info()
    }

    fn compatible(ty: &SqliteTypeInfo) -> bool {
        <Vec<u8> as Type<Sqlite>>::compatible(ty)
    }
}

impl<'r> Decode<'r, Sqlite> for MaybeHash {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        let bytes = <Option<&[u8]> as Decode<Sqlite>>::decode(value)?;
        Ok(MaybeHash(bytes.map(Hash::try_from).transpose()?))
    }
}

impl From<MaybeHash> for Option<Hash> {
    fn from(hash: MaybeHash) -> Option<Hash> {
        hash.0
    }
}
