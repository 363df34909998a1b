use sqlx::FromRow;

use super::{DeploymentRow, Exactly};
use crate::{Hash, Read, StoreError, Write};

/// One device's way through one deployment.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct TargetRow {
    /// The deployment.
    pub deployment: String,
    /// The device.
    pub device: String,
    /// How far it is.
    pub state: String,
    /// What a success rests on.
    pub grade: Option<String>,
    /// Why it is in that state, a reason code.
    pub reason: Option<String>,
    /// What the device said about it.
    pub detail: Option<String>,
    /// First order number given to the device for it; 0 for none.
    pub first_order: i64,
    /// Last order number given to the device for it; 0 for none.
    pub last_order: i64,
    /// Since when it is in that state.
    pub since_ms: i64,
    /// When silence counts as failure.
    pub deadline_ms: Option<i64>,
}

/// A device's one open target with all that an answer to a check-in needs.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Offer {
    /// The deployment.
    pub deployment: String,
    /// The state of the deployment.
    pub deployment_state: String,
    /// Digest of the release's manifest.
    #[sqlx(try_from = "Exactly<32>")]
    pub manifest: Hash,
    /// The release's class.
    #[sqlx(try_from = "Exactly<16>")]
    pub class: [u8; 16],
    /// The release's sequence number.
    pub sequence: i64,
    /// How far the device is.
    pub state: String,
    /// First order number given to the device for it; 0 for none.
    pub first_order: i64,
    /// Last order number given to the device for it; 0 for none.
    pub last_order: i64,
    /// When silence counts as failure.
    pub deadline_ms: Option<i64>,
    /// How long the device may take to begin, download, begin its trial, confirm.
    pub offered_ms: i64,
    /// See above.
    pub downloading_ms: i64,
    /// See above.
    pub written_ms: i64,
    /// See above.
    pub trial_ms: i64,
}

/// The release that a device confirmed last.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Confirmed {
    /// Its class.
    #[sqlx(try_from = "Exactly<16>")]
    pub class: [u8; 16],
    /// Digest of its manifest.
    #[sqlx(try_from = "Exactly<32>")]
    pub manifest: Hash,
    /// Its sequence number.
    pub sequence: i64,
}

/// What to write into a target.
#[derive(Clone, Debug)]
pub struct TargetChange<'a> {
    /// How far it is.
    pub state: &'a str,
    /// Is that state not terminal?
    pub open: bool,
    /// What a success rests on.
    pub grade: Option<&'a str>,
    /// Why, a reason code.
    pub reason: Option<&'a str>,
    /// What the device said about it.
    pub detail: Option<&'a str>,
    /// When silence counts as failure.
    pub deadline_ms: Option<i64>,
    /// Now.
    pub at_ms: i64,
}

impl Read {
    /// A device's open target. At most one exists.
    pub async fn open_offer(&mut self, device: &str) -> Result<Option<Offer>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT t.deployment, d.state AS deployment_state, d.manifest, d.class, r.sequence, \
             t.state, t.first_order, t.last_order, t.deadline_ms, d.offered_ms, \
             d.downloading_ms, d.written_ms, d.trial_ms FROM targets t \
             JOIN deployments d ON d.deployment = t.deployment \
             JOIN releases r ON r.manifest = d.manifest WHERE t.device = $1 AND t.open = 1",
        )
        .bind(device)
        .fetch_optional(self.connection().await?)
        .await?)
    }

    /// A device's target in a deployment.
    pub async fn target(
        &mut self,
        deployment: &str,
        device: &str,
    ) -> Result<Option<TargetRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM targets WHERE deployment = $1 AND device = $2")
            .bind(deployment)
            .bind(device)
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// A device's target that an order number was given out for.
    pub async fn target_by_order(
        &mut self,
        device: &str,
        order: i64,
    ) -> Result<Option<TargetRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM targets WHERE device = $1 AND first_order > 0 \
             AND first_order <= $2 AND last_order >= $2",
        )
        .bind(device)
        .bind(order)
        .fetch_optional(self.connection().await?)
        .await?)
    }

    /// At most `limit` targets of a deployment, by device, after `after`.
    pub async fn targets_of_deployment(
        &mut self,
        deployment: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<TargetRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM targets WHERE deployment = $1 AND device > $2 \
             ORDER BY device LIMIT $3",
        )
        .bind(deployment)
        .bind(after)
        .bind(limit)
        .fetch_all(self.connection().await?)
        .await?)
    }

    /// The release that a device confirmed last.
    pub async fn last_confirmed(&mut self, device: &str) -> Result<Option<Confirmed>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT r.class, r.manifest, r.sequence FROM targets t \
             JOIN deployments d ON d.deployment = t.deployment \
             JOIN releases r ON r.manifest = d.manifest \
             WHERE t.device = $1 AND t.state = 'confirmed' ORDER BY t.since_ms DESC, d.number DESC \
             LIMIT 1",
        )
        .bind(device)
        .fetch_optional(self.connection().await?)
        .await?)
    }

    /// A device's targets, newest deployment first.
    pub async fn targets_of_device(
        &mut self,
        device: &str,
        limit: i64,
    ) -> Result<Vec<TargetRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT t.* FROM targets t JOIN deployments d ON d.deployment = t.deployment \
             WHERE t.device = $1 ORDER BY d.number DESC LIMIT $2",
        )
        .bind(device)
        .bind(limit)
        .fetch_all(self.connection().await?)
        .await?)
    }

    /// Targets whose deadline has passed.
    pub async fn targets_due(
        &mut self,
        now_ms: i64,
        limit: i64,
    ) -> Result<Vec<TargetRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM targets WHERE deadline_ms <= $1 ORDER BY deadline_ms LIMIT $2",
        )
        .bind(now_ms)
        .bind(limit)
        .fetch_all(self.connection().await?)
        .await?)
    }

    /// Open targets of the devices that a new deployment is for.
    pub async fn open_targets_for(
        &mut self,
        class: &[u8; 16],
        device: Option<&str>,
    ) -> Result<Vec<TargetRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT t.* FROM targets t JOIN devices d ON d.device = t.device \
             WHERE t.open = 1 AND d.class = $1 AND ($2 IS NULL OR d.device = $2) \
             ORDER BY t.device",
        )
        .bind(&class[..])
        .bind(device)
        .fetch_all(self.connection().await?)
        .await?)
    }

    /// Does a device's open target, to which an order was given, name this object or manifest?
    pub async fn device_may_fetch(
        &mut self,
        device: &str,
        digest: &Hash,
    ) -> Result<bool, StoreError> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM targets t JOIN deployments d ON d.deployment = t.deployment \
             LEFT JOIN release_objects o ON o.manifest = d.manifest AND o.digest = $2 \
             WHERE t.device = $1 AND t.open = 1 AND t.last_order > 0 \
             AND (d.manifest = $2 OR o.digest IS NOT NULL)",
        )
        .bind(device)
        .bind(&digest[..])
        .fetch_optional(self.connection().await?)
        .await?;
        Ok(found.is_some())
    }

    /// How many devices of a class, or in all, are in one of two states.
    pub async fn count_devices_in(
        &mut self,
        class: Option<&[u8; 16]>,
        states: [&str; 2],
    ) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT COUNT(*) FROM devices WHERE ($1 IS NULL OR class = $1) AND state IN ($2, $3)",
        )
        .bind(class.map(|class| &class[..]))
        .bind(states[0])
        .bind(states[1])
        .fetch_one(self.connection().await?)
        .await?)
    }
}

impl Write {
    /// Gives a device a part in a deployment.
    pub async fn insert_target(
        &mut self,
        deployment: &str,
        device: &str,
        change: &TargetChange<'_>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO targets (deployment, device, state, open, grade, reason, detail, \
             since_ms, deadline_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(deployment)
        .bind(device)
        .bind(change.state)
        .bind(i64::from(change.open))
        .bind(change.grade)
        .bind(change.reason)
        .bind(change.detail)
        .bind(change.at_ms)
        .bind(change.deadline_ms)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Gives every device of a class (or the one) that is in one of two states and has no open
    /// target its part in a deployment, in one statement: `installed` to those that say they run
    /// its release, `offered` to the others. Returns how many it was.
    pub async fn insert_targets(
        &mut self,
        deployment: &DeploymentRow,
        device: Option<&str>,
        states: [&str; 2],
        offered: &TargetChange<'_>,
        installed: &TargetChange<'_>,
    ) -> Result<u64, StoreError> {
        let mut inserted = 0;
        for (change, runs_it) in [(installed, 1_i64), (offered, 0)] {
            let done = sqlx::query(
                "INSERT INTO targets (deployment, device, state, open, grade, since_ms, \
                 deadline_ms) SELECT $1, d.device, $2, $3, $4, $5, $6 FROM devices d \
                 LEFT JOIN running r ON r.device = d.device AND r.class = d.class \
                 WHERE d.class = $7 AND ($8 IS NULL OR d.device = $8) AND d.state IN ($9, $10) \
                 AND CASE WHEN r.manifest = $11 THEN 1 ELSE 0 END = $12 \
                 AND NOT EXISTS (SELECT 1 FROM targets t WHERE t.device = d.device \
                 AND (t.open = 1 OR t.deployment = $1))",
            )
            .bind(&deployment.deployment)
            .bind(change.state)
            .bind(i64::from(change.open))
            .bind(change.grade)
            .bind(change.at_ms)
            .bind(change.deadline_ms)
            .bind(&deployment.class[..])
            .bind(device)
            .bind(states[0])
            .bind(states[1])
            .bind(&deployment.manifest[..])
            .bind(runs_it)
            .execute(self.change().await?)
            .await?;
            inserted += done.rows_affected();
        }
        Ok(inserted)
    }

    /// Moves an open target on. False, and nothing is written, when it is not open: a terminal
    /// state is terminal here too.
    pub async fn change_target(
        &mut self,
        deployment: &str,
        device: &str,
        change: &TargetChange<'_>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE targets SET state = $3, open = $4, grade = $5, reason = $6, detail = $7, \
             since_ms = $8, deadline_ms = $9 \
             WHERE deployment = $1 AND device = $2 AND open = 1",
        )
        .bind(deployment)
        .bind(device)
        .bind(change.state)
        .bind(i64::from(change.open))
        .bind(change.grade)
        .bind(change.reason)
        .bind(change.detail)
        .bind(change.at_ms)
        .bind(change.deadline_ms)
        .execute(self.change().await?)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Notes the order number under which a device is given its open target.
    pub async fn set_target_order(
        &mut self,
        deployment: &str,
        device: &str,
        order: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE targets SET last_order = $3, first_order = CASE WHEN first_order = 0 \
             THEN $3 ELSE first_order END WHERE deployment = $1 AND device = $2 AND open = 1",
        )
        .bind(deployment)
        .bind(device)
        .bind(order)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Stops the deadlines of a deployment's open targets that are in `state`, or of all.
    pub async fn stop_deadlines(
        &mut self,
        deployment: &str,
        state: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE targets SET deadline_ms = NULL WHERE deployment = $1 AND open = 1 \
             AND ($2 IS NULL OR state = $2)",
        )
        .bind(deployment)
        .bind(state)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Sets the deadline of a deployment's open targets that are in `state` and have none.
    pub async fn start_deadlines(
        &mut self,
        deployment: &str,
        state: &str,
        deadline_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE targets SET deadline_ms = $3 WHERE deployment = $1 AND open = 1 \
             AND state = $2 AND deadline_ms IS NULL",
        )
        .bind(deployment)
        .bind(state)
        .bind(deadline_ms)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }
}
