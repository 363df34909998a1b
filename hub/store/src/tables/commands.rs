use sqlx::FromRow;

use super::Exactly;
use crate::{Hash, Read, StoreError, Write};

/// A command that people signed, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct CommandRow {
    /// SHA-256 of it.
    #[sqlx(try_from = "Exactly<32>")]
    pub digest: Hash,
    /// The device.
    pub device: String,
    /// What it does.
    pub action: String,
    /// Its number, which rises with each command of one key.
    pub number: i64,
    /// The command itself.
    pub document: Vec<u8>,
    /// Until when a device takes it.
    pub expires_ms: i64,
    /// How far it is.
    pub state: String,
    /// Is that state not terminal?
    pub open: bool,
    /// Why, a reason code.
    pub reason: Option<String>,
    /// What the device said about it.
    pub detail: Option<String>,
    /// First order number given to the device for it; 0 for none.
    pub first_order: i64,
    /// Last order number given to the device for it; 0 for none.
    pub last_order: i64,
    /// Has a device that was to be wiped asked to enter with a new key since?
    pub entered: bool,
    /// How many people agreed to it.
    pub approvals: i64,
    /// Who handed it in last.
    pub given_by: String,
    /// When.
    pub given_ms: i64,
    /// Since when it is in its state.
    pub since_ms: i64,
}

impl Read {
    /// A device's open command. At most one exists.
    pub async fn open_command(&mut self, device: &str) -> Result<Option<CommandRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM commands WHERE device = $1 AND open = 1")
            .bind(device)
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// A command by its digest.
    pub async fn command(&mut self, digest: &Hash) -> Result<Option<CommandRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM commands WHERE digest = $1")
            .bind(&digest[..])
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// A device's command that an order number was given out for.
    pub async fn command_by_order(
        &mut self,
        device: &str,
        order: i64,
    ) -> Result<Option<CommandRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM commands WHERE device = $1 AND first_order > 0 \
             AND first_order <= $2 AND last_order >= $2",
        )
        .bind(device)
        .bind(order)
        .fetch_optional(self.connection().await?)
        .await?)
    }

    /// At most `limit` commands of a device, newest first.
    pub async fn commands_of_device(
        &mut self,
        device: &str,
        limit: i64,
    ) -> Result<Vec<CommandRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM commands WHERE device = $1 ORDER BY given_ms DESC LIMIT $2",
        )
        .bind(device)
        .bind(limit)
        .fetch_all(self.connection().await?)
        .await?)
    }

    /// At most `limit` open commands that no device takes any more.
    pub async fn commands_ended(
        &mut self,
        now_ms: i64,
        limit: i64,
    ) -> Result<Vec<CommandRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM commands WHERE open = 1 AND expires_ms <= $1 \
             ORDER BY expires_ms LIMIT $2",
        )
        .bind(now_ms)
        .bind(limit)
        .fetch_all(self.connection().await?)
        .await?)
    }

    /// The highest number that a device took from a command key.
    pub async fn last_command_number(
        &mut self,
        device: &str,
        signer: &Hash,
        taken: [&str; 2],
    ) -> Result<i64, StoreError> {
        let number: Option<i64> = sqlx::query_scalar(
            "SELECT MAX(c.number) FROM commands c JOIN command_signers s ON s.digest = c.digest \
             WHERE c.device = $1 AND s.signer = $2 AND c.state IN ($3, $4)",
        )
        .bind(device)
        .bind(&signer[..])
        .bind(taken[0])
        .bind(taken[1])
        .fetch_one(self.connection().await?)
        .await?;
        Ok(number.unwrap_or(0))
    }

    /// Is this class a product for developers?
    pub async fn is_developer_product(&mut self, class: &[u8; 16]) -> Result<bool, StoreError> {
        let found: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM developer_products WHERE class = $1")
                .bind(&class[..])
                .fetch_one(self.connection().await?)
                .await?;
        Ok(found > 0)
    }

    /// The classes of the products for developers.
    pub async fn developer_products(&mut self) -> Result<Vec<[u8; 16]>, StoreError> {
        let rows: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT class FROM developer_products ORDER BY class")
                .fetch_all(self.connection().await?)
                .await?;
        Ok(rows.into_iter().filter_map(|row| row.try_into().ok()).collect())
    }

    /// How many devices of a class there are that are not in this state.
    pub async fn devices_of_class(
        &mut self,
        class: &[u8; 16],
        except_state: &str,
    ) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("SELECT COUNT(*) FROM devices WHERE class = $1 AND state <> $2")
            .bind(&class[..])
            .bind(except_state)
            .fetch_one(self.connection().await?)
            .await?)
    }
}

impl Write {
    /// Enters a command with the thumbprints of the keys that signed it. [`StoreError::Exists`]
    /// when it is known, or the device has an open one.
    pub async fn insert_command(
        &mut self,
        row: &CommandRow,
        signers: &[Hash],
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO commands (digest, device, action, number, document, expires_ms, \
             state, open, approvals, given_by, given_ms, since_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
        )
        .bind(&row.digest[..])
        .bind(&row.device)
        .bind(&row.action)
        .bind(row.number)
        .bind(&row.document)
        .bind(row.expires_ms)
        .bind(&row.state)
        .bind(row.open)
        .bind(row.approvals)
        .bind(&row.given_by)
        .bind(row.given_ms)
        .execute(self.change().await?)
        .await?;
        for signer in signers {
            sqlx::query("INSERT INTO command_signers (digest, signer) VALUES ($1, $2)")
                .bind(&row.digest[..])
                .bind(&signer[..])
                .execute(self.change().await?)
                .await?;
        }
        Ok(())
    }

    /// Writes how far a command is.
    pub async fn set_command_state(
        &mut self,
        digest: &Hash,
        state: &str,
        open: bool,
        reason: Option<&str>,
        detail: Option<&str>,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE commands SET state = $2, open = $3, reason = $4, detail = $5, since_ms = $6 \
             WHERE digest = $1",
        )
        .bind(&digest[..])
        .bind(state)
        .bind(open)
        .bind(reason)
        .bind(detail)
        .bind(at_ms)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Notes the number of an order that was given out for a command.
    pub async fn set_command_order(&mut self, digest: &Hash, order: i64) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE commands SET last_order = $2, \
             first_order = CASE WHEN first_order = 0 THEN $2 ELSE first_order END \
             WHERE digest = $1",
        )
        .bind(&digest[..])
        .bind(order)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Notes that a device that was to be wiped asked to enter with a new key.
    pub async fn set_command_entered(&mut self, digest: &Hash) -> Result<(), StoreError> {
        sqlx::query("UPDATE commands SET entered = 1 WHERE digest = $1")
            .bind(&digest[..])
            .execute(self.change().await?)
            .await?;
        Ok(())
    }

    /// Notes a product as one for developers.
    pub async fn insert_developer_product(
        &mut self,
        class: &[u8; 16],
        since_ms: i64,
        marked_by: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO developer_products (class, since_ms, marked_by) VALUES ($1, $2, $3)",
        )
        .bind(&class[..])
        .bind(since_ms)
        .bind(marked_by)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Writes whom a device was handed to.
    pub async fn set_device_owner(&mut self, device: &str, owner: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE devices SET owner = $2 WHERE device = $1")
            .bind(device)
            .bind(owner)
            .execute(self.change().await?)
            .await?;
        Ok(())
    }
}
