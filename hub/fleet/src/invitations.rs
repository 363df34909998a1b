//! How people get in: an invitation works once, for an hour, to register a key that its holder
//! made. The key never comes here, only a request for a certificate that proves possession of it.
//!
//! The hub keeps the SHA-256 of an invitation's secret, never the secret. While no invitation is
//! open nobody without a certificate is heard at all: [`Fleet::login_is_open`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ringfort_cose::{AwsLc, Reason, Verify};
use ringfort_pki::{Csr, Issuer, Operator as Profile};
use ringfort_store::InvitationRow;

use crate::fleet::{Change, random};
use crate::operators::{check_name, enter};
use crate::{
    Agreed, Fleet, Invitation, InvitationView, NewOperator, Operator, Permission, Refusal,
    Registered, Role,
};

/// Certifies the keys of people and of machines that act for them.
#[derive(Clone, Debug)]
pub struct OperatorAuthority {
    /// The Operator CA.
    pub issuer: Issuer,
    /// How long its certificates are valid.
    pub lifetime_days: u32,
}

impl OperatorAuthority {
    /// The certificate for this person's key, DER.
    pub(crate) fn issue(&self, name: &str, csr: &Csr, now_ms: i64) -> Result<Vec<u8>, Refusal> {
        let profile = Profile { name, lifetime_days: self.lifetime_days };
        let now = now_ms.unsigned_abs() / 1000;
        Ok(self.issuer.issue_operator(csr.key(), &profile, now)?.der)
    }
}

impl Fleet {
    /// Invites somebody. An earlier invitation of the same name ends.
    ///
    /// Who invites a person that may approve has to be joined by another where two administrators
    /// exist: else one of them could be two people.
    ///
    /// # Errors
    /// `role-forbids`; `malformed` for a name that cannot be; `already-exists` for one in use.
    pub async fn invite(
        &self,
        who: &Operator,
        name: &str,
        role: Role,
    ) -> Result<Agreed<Invitation>, Refusal> {
        who.require(Permission::Administer)?;
        check_name(name)?;
        let secret = random::<SECRET_BYTES>()?;
        let now_ms = self.now_ms();
        let row = InvitationRow {
            secret_digest: AwsLc.sha256(&[&secret]).0,
            name: name.to_owned(),
            role: role.name().to_owned(),
            invited_by: who.name().to_owned(),
            made_ms: now_ms,
            ends_ms: now_ms.saturating_add(LIFE_MS),
            used_ms: None,
        };
        let invitation = Invitation { name: row.name.clone(), role, secret, ends_ms: row.ends_ms };
        let (who, policy) = (who.clone(), self.inner.policy.clone());
        let until = Arc::clone(&self.inner.login_until);
        let person = who.clone();
        self.change_by(&person, move |change| {
            Box::pin(async move {
                must_be_free(change, &row.name).await?;
                let action = format!("invite {}", row.role);
                let waits = change.admit(&row.name, &action, role, &who, &policy).await?;
                if let Some((given, required)) = waits {
                    return Ok(Agreed::Waiting { given, required });
                }
                change.withdraw_invitations(&row.name).await?;
                change.insert_invitation(&row).await?;
                let details = [("role", row.role.as_str())];
                change.log("operator-invited", &format!("operator/{}", row.name), &details).await?;
                follow(change, until).await?;
                Ok(Agreed::Done(invitation))
            })
        })
        .await
    }

    /// Registers the key of somebody who was invited. The invitation is used up by it.
    ///
    /// # Errors
    /// `invitation-invalid` for a secret that is unknown or was used; `expired`; `already-exists`
    /// when the name was taken meanwhile; `key-already-known` for a key that was seen before.
    pub async fn redeem(
        &self,
        authority: &OperatorAuthority,
        secret: &[u8; SECRET_BYTES],
        csr: &Csr,
    ) -> Result<Registered, Refusal> {
        let digest = AwsLc.sha256(&[secret]).0;
        let found = self.read().await?.invitation(&digest).await?;
        let row = found.filter(|row| row.used_ms.is_none()).ok_or(Reason::InvitationInvalid)?;
        if row.ends_ms <= self.now_ms() {
            return Err(Refusal::new(Reason::Expired, format!("the invitation of {}", row.name)));
        }
        let role = Role::from_name(&row.role)?;
        let certificate = authority.issue(&row.name, csr, self.now_ms())?;
        let new = NewOperator { name: row.name.clone(), role, certificate };
        let until = Arc::clone(&self.inner.login_until);
        self.change(&row.name.clone(), move |change| {
            Box::pin(async move {
                let now_ms = change.now_ms;
                // Of two at once one comes second.
                if !change.use_invitation(&digest, now_ms).await? {
                    return Err(Reason::InvitationInvalid.into());
                }
                let registered = enter(change, &new, &[("invited-by", &row.invited_by)]).await?;
                follow(change, until).await?;
                Ok(registered)
            })
        })
        .await
    }

    /// Adds an operator whose key and request an administrator was handed: a machine, say.
    ///
    /// # Errors
    /// As for [`Fleet::add_operator`].
    pub async fn register(
        &self,
        who: &Operator,
        authority: &OperatorAuthority,
        name: &str,
        role: Role,
        csr: &Csr,
    ) -> Result<Agreed<Registered>, Refusal> {
        who.require(Permission::Administer)?;
        check_name(name)?;
        let certificate = authority.issue(name, csr, self.now_ms())?;
        self.add_operator(who, &NewOperator { name: name.to_owned(), role, certificate }).await
    }

    /// Invitations that can still be used.
    ///
    /// # Errors
    /// `role-forbids`.
    pub async fn invitations(&self, who: &Operator) -> Result<Vec<InvitationView>, Refusal> {
        who.require(Permission::View)?;
        let rows = self.read().await?.open_invitations(self.now_ms()).await?;
        rows.into_iter()
            .map(|row| {
                Ok(InvitationView {
                    role: Role::from_name(&row.role)?,
                    name: row.name,
                    invited_by: row.invited_by,
                    ends_ms: row.ends_ms,
                })
            })
            .collect()
    }

    /// Takes back the invitations of this name.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`.
    pub async fn withdraw(&self, who: &Operator, name: &str) -> Result<(), Refusal> {
        who.require(Permission::Administer)?;
        let name = name.to_owned();
        let until = Arc::clone(&self.inner.login_until);
        self.change_by(who, move |change| {
            Box::pin(async move {
                if change.withdraw_invitations(&name).await? == 0 {
                    return Err(Refusal::new(Reason::NotFound, name));
                }
                change.log("invitation-withdrawn", &format!("operator/{name}"), &[]).await?;
                follow(change, until).await
            })
        })
        .await
    }

    /// Whether an invitation can be used now. Cheap: to be asked at every connection.
    pub fn login_is_open(&self) -> bool {
        self.now_ms() < self.inner.login_until.load(Ordering::Acquire)
    }

    pub(crate) async fn load_invitations(&self) -> Result<(), Refusal> {
        let open = self.read().await?.open_invitations(self.now_ms()).await?;
        self.inner.login_until.store(last_end(&open), Ordering::Release);
        Ok(())
    }
}

/// Until when somebody without a certificate is heard follows from what is open after the commit.
pub(crate) async fn follow(change: &mut Change<'_>, until: Arc<AtomicI64>) -> Result<(), Refusal> {
    let now_ms = change.now_ms;
    let end = last_end(&change.open_invitations(now_ms).await?);
    change.after_commit(move || until.store(end, Ordering::Release));
    Ok(())
}

fn last_end(open: &[InvitationRow]) -> i64 {
    open.iter().map(|row| row.ends_ms).max().unwrap_or(0)
}

/// Refuses the name of somebody who has access.
pub(crate) async fn must_be_free(change: &mut Change<'_>, name: &str) -> Result<(), Refusal> {
    let known = change.operators().await?;
    match known.iter().any(|other| other.name == name && other.removed_ms.is_none()) {
        true => Err(Refusal::new(Reason::AlreadyExists, name)),
        false => Ok(()),
    }
}

/// Too many to guess, whatever the time.
pub const SECRET_BYTES: usize = 16;
/// How long an invitation works.
const LIFE_MS: i64 = 3600 * 1000;
