//! The chain of anchors: kept whole, served for ever, grown one verified version at a time.

use ringfort_cose::{AwsLc, Reason, Sha256Digest, Verify};
use ringfort_store::AnchorsRow;
use ringfort_trust::ids::{AnchorsVersion, ClassId};
use ringfort_trust::{Anchors, Document, Role as KeyRole};

use crate::fleet::{key_digest, key_role};
use crate::releases::without_dropped_signers;
use crate::{DeploymentState, Fleet, Operator, Permission, Refusal};

impl Fleet {
    /// One version of the anchors, for anyone who asks.
    ///
    /// # Errors
    /// `not-found` above the newest.
    pub async fn anchors(&self, version: AnchorsVersion) -> Result<Vec<u8>, Refusal> {
        let version = i64::try_from(version.0).map_err(|_| Reason::NotFound)?;
        let row = self.read().await?.anchors(version).await?;
        Ok(row.ok_or(Reason::NotFound)?.document)
    }

    /// The newest version of the anchors.
    ///
    /// # Errors
    /// `not-found` before version 1 was added.
    pub fn anchors_version(&self) -> Result<AnchorsVersion, Refusal> {
        Ok(self.newest_anchors()?.version)
    }

    /// Adds the next version: version 1 when there is none, else the one that the newest signers
    /// and its own have signed.
    ///
    /// # Errors
    /// `role-forbids`; those of [`Anchors::verify_next`]; `wrong-fleet`; `key-already-known` when
    /// it names a key that was seen in another role.
    pub async fn add_anchors(
        &self,
        who: &Operator,
        document: &[u8],
    ) -> Result<AnchorsVersion, Refusal> {
        who.require(Permission::Administer)?;
        let current = self.newest_anchors().ok();
        let anchors = match &current {
            Some(current) => current.open()?.verify_next(document, &AwsLc)?,
            // Nothing vouches for the first but the people who hand it over at the hub itself.
            None => Anchors::verify_first(document, &AwsLc.sha256(&[document]), &AwsLc)?,
        };
        if anchors.fleet() != self.inner.fleet {
            return Err(Reason::WrongFleet.into());
        }
        let version = anchors.version();
        let keys = keys_of(&anchors)?;
        let row = AnchorsRow {
            version: i64::try_from(version.0).map_err(|_| Reason::TooLarge)?,
            digest: anchors.digest(&AwsLc).0,
            document: document.to_vec(),
            added_ms: self.now_ms(),
        };
        self.change_by(who, move |change| {
            Box::pin(async move {
                change.note_keys(&keys).await?;
                change.insert_anchors(&row).await?;
                let digest = Sha256Digest(row.digest).to_string();
                let subject = format!("anchors/{}", row.version);
                change.log("anchors-added", &subject, &[("sha256", &digest)]).await
            })
        })
        .await?;
        self.load_anchors().await?;
        self.halt_what_lost_its_signers().await?;
        Ok(version)
    }

    /// Deployments whose release is revoked, or has too few signers left, are halted: devices with
    /// the new anchors would refuse it.
    async fn halt_what_lost_its_signers(&self) -> Result<(), Refusal> {
        let newest = self.newest_anchors()?;
        let mut read = self.read().await?;
        let mut lost = Vec::new();
        for row in read.deployments(i64::MAX).await? {
            if row.state == DeploymentState::Halted.name() {
                continue;
            }
            let release = read.release(&row.manifest).await?.ok_or(Reason::NotFound)?;
            let class = ClassId(release.class);
            let judged = without_dropped_signers(release.envelope, &class, &newest.open()?);
            if let Err(refusal) = judged {
                lost.push((row.deployment, refusal.reason));
            }
        }
        drop(read);
        if lost.is_empty() {
            return Ok(());
        }
        self.change("hub", move |change| {
            Box::pin(async move {
                for (deployment, reason) in lost {
                    change.halt_deployment(&deployment, reason).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

fn keys_of(anchors: &Document<'_>) -> Result<Vec<([u8; 32], String)>, Refusal> {
    KeyRole::ALL
        .into_iter()
        .flat_map(|role| anchors.keys_of(role).map(move |entry| (entry, role)))
        .map(|(entry, role)| Ok((key_digest(&entry.key)?, key_role(role))))
        .collect()
}
