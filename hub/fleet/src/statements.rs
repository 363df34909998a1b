//! What operators sign about devices with their own keys: kept in the audit log, so that every
//! export of it carries them away from the hub.

use ringfort_cose::{AwsLc, Reason};
use ringfort_lifecycle::State;
use ringfort_messages::Statement;
use ringfort_pki::SubjectKey;
use ringfort_trust::ids::DeviceId;

use crate::enrol::hex;
use crate::{Fleet, Operator, Permission, Refusal};

impl Fleet {
    /// Takes an operator's signed statement about the state that a device is to have. It moves
    /// nothing by itself, with one exception: a device in stock that is stated to be suspended is
    /// suspended as soon as it enrols. So the suspensions of a hub that was lost hold at the one
    /// in its place before the devices come back.
    ///
    /// # Errors
    /// `role-forbids`; those of [`Statement::verify`]; `wrong-fleet`; `wrong-recipient` for one
    /// about another device; `untrusted-signer` for a key that is not this operator's;
    /// `not-found` for a device that is not known.
    pub async fn add_statement(
        &self,
        who: &Operator,
        id: &DeviceId,
        statement: &[u8],
    ) -> Result<(), Refusal> {
        who.require(Permission::MoveDevices)?;
        let said = Statement::verify(statement, &AwsLc)?;
        if said.fleet != self.inner.fleet {
            return Err(Reason::WrongFleet.into());
        }
        if said.device != *id {
            return Err(Refusal::new(Reason::WrongRecipient, said.device.to_string()));
        }
        let to = State::from_name(said.to)?;
        let key = SubjectKey::try_from(&said.key)?.fingerprint();
        let operators = self.read().await?.operators().await?;
        let is_own = operators.iter().any(|known| {
            known.name == who.name() && known.removed_ms.is_none() && known.key_digest == key
        });
        if !is_own {
            return Err(Refusal::new(
                Reason::UntrustedSigner,
                format!("the key is not one of {}", who.name()),
            ));
        }
        let (device, statement) = (*id, hex(statement));
        self.change_by(who, move |change| {
            Box::pin(async move {
                let id = device.as_str();
                let row = change.device(id).await?.ok_or(Reason::NotFound)?;
                let details = [("to", to.name()), ("statement", statement.as_str())];
                change.log(STATED, id, &details).await?;
                if to == State::Suspended && row.state == State::Provisioned.name() {
                    let now_ms = change.now_ms;
                    let code = Reason::ApprovalRequired.code();
                    change.set_device_alarm(id, Some(code), now_ms).await?;
                    let note = "suspended by statement, as soon as it enrols";
                    let details = [("alarm", code), ("note", note)];
                    change.log("alarm-raised", id, &details).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// The kind of an audit entry that holds a statement.
pub const STATED: &str = "lifecycle-stated";
