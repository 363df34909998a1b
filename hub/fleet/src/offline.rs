//! Orders for a medium: what a technician carries to a device that reaches no hub.

use ringfort_cose::{AwsLc, Reason, Sha256Digest};
use ringfort_lifecycle::{Right, State};
use ringfort_store::Contact;
use ringfort_trust::ids::{AnchorsVersion, DeviceId, OrderNumber, UnixTime};
use ringfort_trust::{Content, Order, Task, Token, TokenClaims};

use crate::fleet::Change;
use crate::{
    DeploymentState, Fleet, Operator, Permission, Refusal, Restored, UpdateState, commands,
};

/// An order for a medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfflineOrder {
    /// The token, without a nonce.
    pub token: Vec<u8>,
    /// Its number.
    pub number: OrderNumber,
    /// `install`, `wipe-operational`, `debug-unlock` or `decommission`.
    pub action: &'static str,
    /// Digest of the release's manifest, of an order to install.
    pub manifest: Option<Sha256Digest>,
    /// The command that it names, if it names one.
    pub command: Option<Vec<u8>>,
    /// The anchors that the device has to hold first.
    pub min_anchors: AnchorsVersion,
    /// Until when the device takes it.
    pub expires: UnixTime,
}

impl Fleet {
    /// Signs the order that the device would be given at its next check-in: to carry out its open
    /// command, or to install what is offered to it. It answers no request, so a halt does not
    /// reach it any more: it is good for `life_s` seconds, at most 30 days.
    ///
    /// # Errors
    /// `role-forbids`; `malformed` for a life of nought or beyond the bound; `hub-restored`;
    /// `not-found` for an unknown device and one for which nothing is open; `lifecycle-forbids`.
    pub async fn offline_order(
        &self,
        who: &Operator,
        id: &DeviceId,
        life_s: u64,
    ) -> Result<OfflineOrder, Refusal> {
        who.require(Permission::Deploy)?;
        who.require(Permission::MoveDevices)?;
        self.require_acknowledged()?;
        if !(1..=Token::MAX_LIFE_SECONDS).contains(&life_s) {
            return Err(Refusal::new(Reason::Malformed, "an order is good for 1 s to 30 days"));
        }
        let wanted = Wanted {
            device: *id,
            min_anchors: self.newest_anchors()?.version,
            restored: self.restored(),
            expires: UnixTime(self.now_ms().unsigned_abs() / 1000 + life_s),
        };
        let expires = wanted.expires;
        let (order, command) = self
            .change_by(who, move |change| Box::pin(async move { wanted.give(change).await }))
            .await?;
        let claims = TokenClaims {
            fleet: self.inner.fleet,
            device: *id,
            issued: UnixTime(expires.0 - life_s),
            expires,
            nonce: None,
            content: Content::Order(order),
        };
        Ok(OfflineOrder {
            token: claims.sign(&AwsLc, &*self.inner.order_key)?,
            number: order.number,
            action: order.task.name(),
            manifest: match order.task {
                Task::Install { manifest } => Some(manifest),
                Task::Command { .. } => None,
            },
            command,
            min_anchors: order.min_anchors,
            expires,
        })
    }
}

struct Wanted {
    device: DeviceId,
    min_anchors: AnchorsVersion,
    restored: Option<Restored>,
    expires: UnixTime,
}

impl Wanted {
    async fn give(self, change: &mut Change<'_>) -> Result<(Order, Option<Vec<u8>>), Refusal> {
        let id = self.device.as_str();
        let row = change.device(id).await?;
        let row =
            row.ok_or_else(|| Refusal::new(Reason::NotFound, format!("no device is called {id}")))?;
        let state = State::from_name(&row.state)?;
        match self.command(change, state).await? {
            Some((order, command)) => Ok((order, Some(command))),
            None => Ok((self.install(change, state).await?, None)),
        }
    }

    async fn command(
        &self,
        change: &mut Change<'_>,
        state: State,
    ) -> Result<Option<(Order, Vec<u8>)>, Refusal> {
        let id = self.device.as_str();
        let Some(row) = change.open_command(id).await? else { return Ok(None) };
        let task = commands::task_of(&row)?;
        let Task::Command { action, .. } = task else { return Ok(None) };
        if row.entered || row.expires_ms <= change.now_ms {
            return Ok(None);
        }
        if !commands::reaches(state, action) {
            let detail = format!("{id} is {state}: it cannot be told to {}", action.name());
            return Err(Refusal::new(Reason::LifecycleForbids, detail));
        }
        let number = self.number(change, row.last_order).await?;
        change.set_command_order(&row.digest, number).await?;
        Ok(Some((self.order(change, number, task).await?, row.document)))
    }

    async fn install(&self, change: &mut Change<'_>, state: State) -> Result<Order, Refusal> {
        let id = self.device.as_str();
        let nothing = || Refusal::new(Reason::NotFound, format!("nothing is open for {id}"));
        let offer = change.open_offer(id).await?.ok_or_else(nothing)?;
        if !state.may(Right::Update) {
            return Err(Refusal::new(Reason::LifecycleForbids, format!("{id} is {state}")));
        }
        let begun = offer.state != UpdateState::Offered.name();
        let offered = match DeploymentState::from_name(&offer.deployment_state) {
            Some(DeploymentState::Running) => true,
            Some(DeploymentState::Paused) => begun,
            Some(DeploymentState::Halted) | None => false,
        };
        if !offered || offer.state == UpdateState::Trial.name() {
            return Err(nothing());
        }
        let number = self.number(change, offer.last_order).await?;
        change.set_target_order(&offer.deployment, id, number).await?;
        let task = Task::Install { manifest: Sha256Digest(offer.manifest) };
        self.order(change, number, task).await
    }

    /// The number that the order has already, or the next one above all that were given out.
    async fn number(&self, change: &mut Change<'_>, given: i64) -> Result<i64, Refusal> {
        let floor = self.restored.map_or(0, |restored| restored.order_floor);
        if given > 0 && given >= floor {
            return Ok(given);
        }
        let mut contact = self.contact(change).await?;
        let number = contact.last_order.saturating_add(1).max(change.now_ms).max(floor);
        contact.last_order = number;
        change.put_contact(self.device.as_str(), &contact);
        Ok(number)
    }

    async fn contact(&self, change: &mut Change<'_>) -> Result<Contact, Refusal> {
        Ok(change.contact(self.device.as_str()).await?.unwrap_or_default())
    }

    async fn order(
        &self,
        change: &mut Change<'_>,
        number: i64,
        task: Task,
    ) -> Result<Order, Refusal> {
        let (text, expires) = (number.to_string(), self.expires.0.to_string());
        let details = [
            ("order", &*text),
            ("action", task.name()),
            ("medium", "offline"),
            ("expires", &expires),
        ];
        change.log("order-given", self.device.as_str(), &details).await?;
        let number = OrderNumber(number.unsigned_abs());
        Ok(Order { number, task, min_anchors: self.min_anchors })
    }
}
