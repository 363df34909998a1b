//! People: adding, removing, listing.

use ringfort_cose::Reason;
use ringfort_pki::CertificateInfo;
use ringfort_store::OperatorRow;

use crate::{Fleet, NewOperator, Operator, OperatorView, Permission, Refusal, Role};

impl Fleet {
    /// Adds an operator by the certificate that the Operator CA issued.
    ///
    /// # Errors
    /// `role-forbids`; `malformed` for a name that is empty, too long or has control characters;
    /// `already-exists` for a name or certificate in use; `key-already-known` for a key that was
    /// seen in another role.
    pub async fn add_operator(&self, who: &Operator, new: &NewOperator) -> Result<(), Refusal> {
        who.require(Permission::Administer)?;
        if new.name.is_empty() || new.name.len() > 64 || new.name.chars().any(char::is_control) {
            return Err(Refusal::new(Reason::Malformed, "an operator's name has 1 to 64 bytes"));
        }
        let certificate = CertificateInfo::parse(&new.certificate)?;
        let row = OperatorRow {
            fingerprint: certificate.fingerprint,
            name: new.name.clone(),
            role: new.role.name().to_owned(),
            key_digest: certificate.key.fingerprint(),
            added_ms: self.now_ms(),
            removed_ms: None,
        };
        self.change(who.name(), move |change| {
            Box::pin(async move {
                let known = change.operators().await?;
                let taken = known.iter().any(|other| {
                    other.fingerprint == row.fingerprint
                        || (other.name == row.name && other.removed_ms.is_none())
                });
                if taken {
                    return Err(Refusal::new(Reason::AlreadyExists, row.name));
                }
                let role = "operator".to_owned();
                change.note_keys(&[(row.key_digest, role)]).await?;
                change.insert_operator(&row).await?;
                let subject = format!("operator/{}", row.name);
                change.log("operator-added", &subject, &[("role", &row.role)]).await
            })
        })
        .await
    }

    /// Ends an operator's access.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`.
    pub async fn remove_operator(
        &self,
        who: &Operator,
        fingerprint: &[u8; 32],
    ) -> Result<(), Refusal> {
        who.require(Permission::Administer)?;
        let fingerprint = *fingerprint;
        self.change(who.name(), move |change| {
            Box::pin(async move {
                let now_ms = change.now_ms;
                let row = change.operator(&fingerprint).await?.ok_or(Reason::NotFound)?;
                if !change.remove_operator(&fingerprint, now_ms).await? {
                    return Err(Refusal::new(Reason::NotFound, row.name));
                }
                change.log("operator-removed", &format!("operator/{}", row.name), &[]).await
            })
        })
        .await
    }

    /// Every operator, those whose access has ended included.
    ///
    /// # Errors
    /// `role-forbids`.
    pub async fn operators(&self, who: &Operator) -> Result<Vec<OperatorView>, Refusal> {
        who.require(Permission::View)?;
        let rows = self.read().await?.operators().await?;
        rows.into_iter()
            .map(|row| {
                Ok(OperatorView {
                    role: Role::from_name(&row.role)?,
                    name: row.name,
                    fingerprint: row.fingerprint,
                    added_ms: row.added_ms,
                    removed_ms: row.removed_ms,
                })
            })
            .collect()
    }
}
