use sqlx::FromRow;

use super::Exactly;
use crate::{Hash, Read, StoreError, Write};

/// A person, or a machine that acts for one, with a certificate for the operator listener.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct OperatorRow {
    /// SHA-256 of the certificate.
    #[sqlx(try_from = "Exactly<32>")]
    pub fingerprint: Hash,
    /// The name: of one person, who has two certificates for as long as a renewal takes.
    pub name: String,
    /// The role.
    pub role: String,
    /// SHA-256 of the public key.
    #[sqlx(try_from = "Exactly<32>")]
    pub key_digest: Hash,
    /// Since when.
    pub added_ms: i64,
    /// Until when.
    pub removed_ms: Option<i64>,
    /// When the certificate ends; absent where an older program added it.
    pub not_after_ms: Option<i64>,
}

/// A name that somebody may register a key for, once.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct InvitationRow {
    /// SHA-256 of the secret.
    #[sqlx(try_from = "Exactly<32>")]
    pub secret_digest: Hash,
    /// Who is invited.
    pub name: String,
    /// The role.
    pub role: String,
    /// By whom.
    pub invited_by: String,
    /// When.
    pub made_ms: i64,
    /// Until when.
    pub ends_ms: i64,
    /// When it was used.
    pub used_ms: Option<i64>,
}

/// Somebody's consent to something that takes two people.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ApprovalRow {
    /// What it is about.
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

impl Read {
    /// The operator with this certificate, removed ones included.
    pub async fn operator(
        &mut self,
        fingerprint: &Hash,
    ) -> Result<Option<OperatorRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM operators WHERE fingerprint = $1")
            .bind(&fingerprint[..])
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// Every operator, removed ones included, by name.
    pub async fn operators(&mut self) -> Result<Vec<OperatorRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM operators ORDER BY name, added_ms")
            .fetch_all(self.connection().await?)
            .await?)
    }

    /// The invitation with this secret, used and ended ones included.
    pub async fn invitation(
        &mut self,
        secret_digest: &Hash,
    ) -> Result<Option<InvitationRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM invitations WHERE secret_digest = $1")
            .bind(&secret_digest[..])
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// Invitations that can still be used, by name.
    pub async fn open_invitations(
        &mut self,
        now_ms: i64,
    ) -> Result<Vec<InvitationRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM invitations WHERE used_ms IS NULL AND ends_ms > $1 ORDER BY name",
        )
        .bind(now_ms)
        .fetch_all(self.connection().await?)
        .await?)
    }

    /// Every consent that still stands, the oldest first.
    pub async fn open_approvals(&mut self, now_ms: i64) -> Result<Vec<ApprovalRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM approvals WHERE ends_ms > $1 ORDER BY given_ms, subject, operator",
        )
        .bind(now_ms)
        .fetch_all(self.connection().await?)
        .await?)
    }

    /// Who approved this action on this subject and still stands by it.
    pub async fn approvals(
        &mut self,
        subject: &str,
        action: &str,
        now_ms: i64,
    ) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT operator FROM approvals \
             WHERE subject = $1 AND action = $2 AND ends_ms > $3 ORDER BY given_ms",
        )
        .bind(subject)
        .bind(action)
        .bind(now_ms)
        .fetch_all(self.connection().await?)
        .await?)
    }
}

impl Write {
    /// Enters an operator.
    pub async fn insert_operator(&mut self, row: &OperatorRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO operators (fingerprint, name, role, key_digest, added_ms, not_after_ms) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&row.fingerprint[..])
        .bind(&row.name)
        .bind(&row.role)
        .bind(&row.key_digest[..])
        .bind(row.added_ms)
        .bind(row.not_after_ms)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Notes an invitation, and forgets those that ended long ago.
    pub async fn insert_invitation(&mut self, row: &InvitationRow) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM invitations WHERE ends_ms < $1")
            .bind(row.made_ms.saturating_sub(KEPT_MS))
            .execute(self.change().await?)
            .await?;
        sqlx::query(
            "INSERT INTO invitations (secret_digest, name, role, invited_by, made_ms, ends_ms) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&row.secret_digest[..])
        .bind(&row.name)
        .bind(&row.role)
        .bind(&row.invited_by)
        .bind(row.made_ms)
        .bind(row.ends_ms)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Uses an invitation up. False when it was used before.
    pub async fn use_invitation(
        &mut self,
        secret_digest: &Hash,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE invitations SET used_ms = $2 WHERE secret_digest = $1 AND used_ms IS NULL",
        )
        .bind(&secret_digest[..])
        .bind(at_ms)
        .execute(self.change().await?)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Takes back every invitation of this name that was not used. Says how many there were.
    pub async fn withdraw_invitations(&mut self, name: &str) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM invitations WHERE name = $1 AND used_ms IS NULL")
            .bind(name)
            .execute(self.change().await?)
            .await?;
        Ok(done.rows_affected())
    }

    /// Takes back every invitation that this person made and that was not used. Says for whom.
    pub async fn withdraw_invitations_by(
        &mut self,
        invited_by: &str,
    ) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "DELETE FROM invitations WHERE invited_by = $1 AND used_ms IS NULL RETURNING name",
        )
        .bind(invited_by)
        .fetch_all(self.change().await?)
        .await?)
    }

    /// Ends an operator's access. False when there was none to end.
    pub async fn remove_operator(
        &mut self,
        fingerprint: &Hash,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE operators SET removed_ms = $2 WHERE fingerprint = $1 AND removed_ms IS NULL",
        )
        .bind(&fingerprint[..])
        .bind(at_ms)
        .execute(self.change().await?)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Notes an approval, or renews it.
    pub async fn put_approval(
        &mut self,
        subject: &str,
        action: &str,
        operator: &str,
        given_ms: i64,
        ends_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO approvals (subject, action, operator, given_ms, ends_ms) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (subject, action, operator) \
             DO UPDATE SET given_ms = excluded.given_ms, ends_ms = excluded.ends_ms",
        )
        .bind(subject)
        .bind(action)
        .bind(operator)
        .bind(given_ms)
        .bind(ends_ms)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Drops every approval about a subject: it was used, or what it was for has changed.
    pub async fn clear_approvals(&mut self, subject: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM approvals WHERE subject = $1")
            .bind(subject)
            .execute(self.change().await?)
            .await?;
        Ok(())
    }
}

/// How long an invitation is kept after its end.
const KEPT_MS: i64 = 30 * 24 * 3600 * 1000;
