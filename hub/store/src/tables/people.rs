use sqlx::FromRow;

use super::Exactly;
use crate::{Hash, Read, StoreError, Write};

/// A person, or a machine that acts for one, with a certificate for the operator listener.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct OperatorRow {
    /// SHA-256 of the certificate.
    #[sqlx(try_from = "Exactly<32>")]
    pub fingerprint: Hash,
    /// The name, unique among those who are not removed.
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
}

impl Read {
    /// The operator with this certificate, removed ones included.
    pub async fn operator(
        &mut self,
        fingerprint: &Hash,
    ) -> Result<Option<OperatorRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM operators WHERE fingerprint = $1")
            .bind(&fingerprint[..])
            .fetch_optional(self.connection())
            .await?)
    }

    /// Every operator, removed ones included, by name.
    pub async fn operators(&mut self) -> Result<Vec<OperatorRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM operators ORDER BY name, added_ms")
            .fetch_all(self.connection())
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
        .fetch_all(self.connection())
        .await?)
    }
}

impl Write {
    /// Enters an operator.
    pub async fn insert_operator(&mut self, row: &OperatorRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO operators (fingerprint, name, role, key_digest, added_ms) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&row.fingerprint[..])
        .bind(&row.name)
        .bind(&row.role)
        .bind(&row.key_digest[..])
        .bind(row.added_ms)
        .execute(self.change().await?)
        .await?;
        Ok(())
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
