use sqlx::FromRow;

use super::{Exactly, StateCount};
use crate::{Hash, Read, StoreError, Write};

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct DeploymentRow {
    /// Its id.
    pub deployment: String,
    /// Its place in the order of creation, from 1.
    pub number: i64,
    /// Digest of the release's manifest.
    #[sqlx(try_from = "Exactly<32>")]
    pub manifest: Hash,
    /// The release's class.
    #[sqlx(try_from = "Exactly<16>")]
    pub class: [u8; 16],
    /// The one device it is for; absent for the whole class.
    pub target_device: Option<String>,
    /// Its state.
    pub state: String,
    /// How long a device may take to begin.
    pub offered_ms: i64,
    /// How long to download.
    pub downloading_ms: i64,
    /// How long to begin its trial.
    pub written_ms: i64,
    /// How long to confirm.
    pub trial_ms: i64,
    /// Who created it.
    pub created_by: String,
    /// When.
    pub created_ms: i64,
    /// When its state changed last.
    pub changed_ms: i64,
}

/// A deployment to enter.
#[derive(Clone, Debug)]
pub struct NewDeployment {
    /// Its id.
    pub deployment: String,
    /// Digest of the release's manifest.
    pub manifest: Hash,
    /// The release's class.
    pub class: [u8; 16],
    /// The one device it is for; absent for the whole class.
    pub target_device: Option<String>,
    /// Its state.
    pub state: &'static str,
    /// How long a device may take to begin, download, begin its trial, confirm.
    pub deadlines_ms: [i64; 4],
    /// Who creates it.
    pub created_by: String,
    /// Now.
    pub created_ms: i64,
}

impl Read {
    /// Whether a release was ever offered to its class as a whole, and to how many devices besides
    /// this one it was offered one by one.
    pub async fn devices_deployed_to(
        &mut self,
        class: &[u8; 16],
        manifest: &Hash,
        device: &str,
    ) -> Result<(bool, i64), StoreError> {
        Ok(sqlx::query_as(
            "SELECT COUNT(*) > COUNT(target_device), \
             COUNT(DISTINCT CASE WHEN target_device <> $3 THEN target_device END) \
             FROM deployments WHERE class = $1 AND manifest = $2",
        )
        .bind(&class[..])
        .bind(&manifest[..])
        .bind(device)
        .fetch_one(self.connection().await?)
        .await?)
    }

    /// A deployment.
    pub async fn deployment(
        &mut self,
        deployment: &str,
    ) -> Result<Option<DeploymentRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM deployments WHERE deployment = $1")
            .bind(deployment)
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// Deployments, newest first.
    pub async fn deployments(&mut self, limit: i64) -> Result<Vec<DeploymentRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM deployments ORDER BY number DESC LIMIT $1")
            .bind(limit)
            .fetch_all(self.connection().await?)
            .await?)
    }

    /// The newest running deployment that is for a device or for the whole of its class, provided
    /// that it is newer than every one in which the device has had a part.
    pub async fn deployment_to_join(
        &mut self,
        device: &str,
        class: &[u8; 16],
    ) -> Result<Option<DeploymentRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM deployments d WHERE d.class = $2 AND d.state = 'running' \
             AND (d.target_device IS NULL OR d.target_device = $1) AND d.number > COALESCE((SELECT MAX(o.number) \
             FROM targets t JOIN deployments o ON o.deployment = t.deployment \
             WHERE t.device = $1), 0) ORDER BY d.number DESC LIMIT 1",
        )
        .bind(device)
        .bind(&class[..])
        .fetch_optional(self.connection().await?)
        .await?)
    }

    /// How many devices of a deployment are in each state that has any.
    pub async fn deployment_counts(
        &mut self,
        deployment: &str,
    ) -> Result<Vec<StateCount>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT state, COUNT(*) AS devices FROM targets WHERE deployment = $1 \
             GROUP BY state ORDER BY state",
        )
        .bind(deployment)
        .fetch_all(self.connection().await?)
        .await?)
    }
}

impl Write {
    /// Enters a deployment. Returns its number.
    pub async fn insert_deployment(&mut self, new: &NewDeployment) -> Result<i64, StoreError> {
        let [offered, downloading, written, trial] = new.deadlines_ms;
        let connection = self.change().await?;
        Ok(sqlx::query_scalar(
            "INSERT INTO deployments (deployment, number, manifest, class, target_device, state, \
             offered_ms, downloading_ms, written_ms, trial_ms, created_by, created_ms, \
             changed_ms) SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8, \
             $9, $10, $11, $11 FROM deployments RETURNING number",
        )
        .bind(&new.deployment)
        .bind(&new.manifest[..])
        .bind(&new.class[..])
        .bind(&new.target_device)
        .bind(new.state)
        .bind(offered)
        .bind(downloading)
        .bind(written)
        .bind(trial)
        .bind(&new.created_by)
        .bind(new.created_ms)
        .fetch_one(connection)
        .await?)
    }

    /// Writes a deployment's state.
    pub async fn set_deployment_state(
        &mut self,
        deployment: &str,
        state: &str,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE deployments SET state = $2, changed_ms = $3 WHERE deployment = $1")
            .bind(deployment)
            .bind(state)
            .bind(at_ms)
            .execute(self.change().await?)
            .await?;
        Ok(())
    }
}
