//! People: adding, removing, listing; and how many of them have to agree.

use std::sync::Arc;

use ringfort_cose::Reason;
use ringfort_lifecycle::Approvals;
use ringfort_pki::CertificateInfo;
use ringfort_store::OperatorRow;

use crate::factory::seconds_to_ms;
use crate::fleet::{Change, Policy};
use crate::invitations::{follow, must_be_free};
use crate::{
    Agreed, ApprovalView, Fleet, NewOperator, Operator, OperatorView, Permission, Refusal,
    Registered, Role,
};

impl Fleet {
    /// Adds an operator by the certificate that the Operator CA issued.
    ///
    /// A person who may approve is added by two where two administrators exist, like one who is
    /// invited ([`Fleet::invite`]).
    ///
    /// # Errors
    /// `role-forbids`; `malformed` for a name that cannot be; `already-exists` for a name or
    /// certificate in use; `key-already-known` for a key that was seen in another role.
    pub async fn add_operator(
        &self,
        who: &Operator,
        new: &NewOperator,
    ) -> Result<Agreed<Registered>, Refusal> {
        who.require(Permission::Administer)?;
        check_name(&new.name)?;
        let (new, who) = (new.clone(), who.clone());
        let policy = self.inner.policy.clone();
        let person = who.clone();
        self.change_by(&person, move |change| {
            Box::pin(async move {
                let key = CertificateInfo::parse(&new.certificate)?.key.fingerprint();
                must_be_free(change, &new.name).await?;
                let action = format!("add {} {}", new.role, crate::enrol::hex(&key));
                let waits = change.admit(&new.name, &action, new.role, &who, &policy).await?;
                match waits {
                    Some((given, required)) => Ok(Agreed::Waiting { given, required }),
                    None => Ok(Agreed::Done(enter(change, &new, &[]).await?)),
                }
            })
        })
        .await
    }

    /// Ends an operator's access, the connections that are open with that certificate, and the
    /// invitations that this person made.
    /// Nobody ends his own: whoever may do it is an administrator and stays one.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`.
    pub async fn remove_operator(
        &self,
        who: &Operator,
        fingerprint: &[u8; 32],
    ) -> Result<(), Refusal> {
        who.require(Permission::Administer)?;
        let (fingerprint, actor) = (*fingerprint, who.name().to_owned());
        let until = Arc::clone(&self.inner.login_until);
        self.change_by(who, move |change| {
            Box::pin(async move {
                let now_ms = change.now_ms;
                let row = change.operator(&fingerprint).await?.ok_or(Reason::NotFound)?;
                if row.removed_ms.is_none() && row.name == actor {
                    return Err(Refusal::new(Reason::RoleForbids, OWN_ACCESS));
                }
                if !change.remove_operator(&fingerprint, now_ms).await? {
                    return Err(Refusal::new(Reason::NotFound, row.name));
                }
                change.close_connections_of_operator(fingerprint);
                change.log("operator-removed", &format!("operator/{}", row.name), &[]).await?;
                // Who has no access any more lets nobody in.
                for name in change.withdraw_invitations_by(&row.name).await? {
                    let details = [("invited-by", row.name.as_str())];
                    let subject = format!("operator/{name}");
                    change.log("invitation-withdrawn", &subject, &details).await?;
                }
                follow(change, until).await
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
                    not_after_ms: row.not_after_ms,
                })
            })
            .collect()
    }

    /// What waits for a second person: who agrees to what.
    ///
    /// # Errors
    /// `role-forbids`.
    pub async fn approvals(&self, who: &Operator) -> Result<Vec<ApprovalView>, Refusal> {
        who.require(Permission::View)?;
        let rows = self.read().await?.open_approvals(self.now_ms()).await?;
        let view = |row: ringfort_store::ApprovalRow| ApprovalView {
            subject: row.subject,
            action: row.action,
            operator: row.operator,
            given_ms: row.given_ms,
            ends_ms: row.ends_ms,
        };
        Ok(rows.into_iter().map(view).collect())
    }
}

impl Change<'_> {
    /// Counts people who agree on an action, the one who asks included.
    ///
    /// It takes the policy's number of people where so many exist. Whoever once had access counts:
    /// removing the second person does not make the first one enough.
    pub(crate) async fn approve(
        &mut self,
        subject: &str,
        action: &str,
        operator: &Operator,
        policy: &Policy,
    ) -> Result<Approvals, Refusal> {
        self.approve_as(Permission::MoveDevices, subject, action, operator, policy).await
    }

    /// The same among those whose role has this permission.
    pub(crate) async fn approve_as(
        &mut self,
        permission: Permission,
        subject: &str,
        action: &str,
        operator: &Operator,
        policy: &Policy,
    ) -> Result<Approvals, Refusal> {
        let now_ms = self.now_ms;
        let ends_ms = now_ms.saturating_add(policy.approval_life_ms);
        self.put_approval(subject, action, operator.name(), now_ms, ends_ms).await?;
        let people = self.operators().await?;
        let may = |row: &&OperatorRow| {
            Role::from_name(&row.role).is_ok_and(|role| role.allows(permission))
        };
        // The consent of somebody who has lost access since is worth nothing.
        let stands = |name: &String| {
            Operator::is_host_name(name)
                || people.iter().filter(may).any(|p| p.name == *name && p.removed_ms.is_none())
        };
        let given = self.approvals(subject, action, now_ms).await?;
        let given = given.iter().filter(|name| stands(name)).count();
        let required = if operator.is_at_the_host() {
            policy.approvals
        } else {
            let mut names: Vec<&str> = people.iter().filter(may).map(|p| &*p.name).collect();
            names.sort_unstable();
            names.dedup();
            policy.approvals.min(u8::try_from(names.len()).unwrap_or(u8::MAX)).max(1)
        };
        Ok(Approvals { given: u8::try_from(given).unwrap_or(u8::MAX), required })
    }

    /// Whether a person may be let in now: nothing, or how many agree and how many have to.
    pub(crate) async fn admit(
        &mut self,
        name: &str,
        action: &str,
        role: Role,
        who: &Operator,
        policy: &Policy,
    ) -> Result<Option<(u8, u8)>, Refusal> {
        if !role.allows(Permission::MoveDevices) || who.is_at_the_host() {
            return Ok(None);
        }
        let subject = format!("operator/{name}");
        let agreed = self.approve_as(Permission::Administer, &subject, action, who, policy).await?;
        if agreed.given < agreed.required {
            self.log("operator-approved", &subject, &[("role", role.name())]).await?;
            return Ok(Some((agreed.given, agreed.required)));
        }
        self.clear_approvals(&subject).await?;
        Ok(None)
    }
}

/// Enters an operator whom the rules let in.
pub(crate) async fn enter(
    change: &mut Change<'_>,
    new: &NewOperator,
    details: &[(&str, &str)],
) -> Result<Registered, Refusal> {
    let certificate = CertificateInfo::parse(&new.certificate)?;
    let row = OperatorRow {
        fingerprint: certificate.fingerprint,
        name: new.name.clone(),
        role: new.role.name().to_owned(),
        key_digest: certificate.key.fingerprint(),
        added_ms: change.now_ms,
        removed_ms: None,
        not_after_ms: Some(seconds_to_ms(certificate.not_after)),
    };
    must_be_free(change, &row.name).await?;
    if change.operator(&row.fingerprint).await?.is_some() {
        return Err(Refusal::new(Reason::AlreadyExists, row.name));
    }
    change.note_keys(&[(row.key_digest, "operator".to_owned())]).await?;
    change.insert_operator(&row).await?;
    let details = [&[("role", row.role.as_str())], details].concat();
    change.log("operator-added", &format!("operator/{}", row.name), &details).await?;
    Ok(Registered {
        name: row.name,
        role: new.role,
        fingerprint: row.fingerprint,
        not_after_ms: seconds_to_ms(certificate.not_after),
        certificate: new.certificate.clone(),
    })
}

/// Refuses a name under which the audit log would be misread.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let readable = !name.is_empty()
        && name.len() <= 64
        && name.trim() == name
        && !name.contains(|c: char| c.is_control() || c == ':' || c == '/');
    match readable && !RESERVED.contains(&name) {
        true => Ok(()),
        false => Err(Refusal::new(
            Reason::Malformed,
            "a person's name has 1 to 64 bytes, none of them a colon, a slash or a control \
             character, no blanks at its ends, and is none of the hub's own",
        )),
    }
}

/// Who else stands in the audit log.
const OWN_ACCESS: &str = "another administrator ends this access, so that one always remains";
const RESERVED: [&str; 3] = ["hub", "device", "factory"];
