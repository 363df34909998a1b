//! What a device says and hears: check-in, report, signed time.
//!
//! A check-in is one operation of the writer: it judges the link, takes in what the device says of
//! itself, decides what it is to do, and stores the next link. The token is signed after that is
//! on disk. An order keeps its number until it ends; each check-in signs it anew for its nonce, so
//! a lost answer costs nothing, and a halt or an expiry is seen at the next check-in.

use ringfort_cose::{AwsLc, Reason, Sha256Digest, Verify};
use ringfort_lifecycle::{Right, State};
use ringfort_messages::{CheckIn, CheckInAnswer, Link, LinkId, LinkState, Report, UpdateStatus};
use ringfort_store::{CommandRow, Contact, Frontier, Offer, Running, Want};
use ringfort_trust::ids::{AnchorsVersion, Nonce, OrderNumber, UnixTime};
use ringfort_trust::{AuditHead, Content, Order, Task, TokenClaims};

use crate::enrol::suspend_as_clone;
use crate::factory::protection_text;
use crate::fleet::{Change, LDEVID, random};
use crate::targets::{self, Said};
use crate::{
    DeploymentState, DeviceSession, Fleet, Grade, Refusal, Restored, UpdateState, commands,
};

/// The answer to a check-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The token: an order, or signed time.
    pub token: Vec<u8>,
    /// The command that the order names, if it names one.
    pub command: Option<Vec<u8>>,
    /// The link to present next.
    pub link: Link,
    /// The newest anchors that the hub has.
    pub newest_anchors: AnchorsVersion,
    /// Seconds until the next check-in, before jitter.
    pub interval_seconds: u32,
}

impl Answer {
    /// The body of the answer.
    ///
    /// # Errors
    /// `internal` never in practice: what the hub makes is within the bounds.
    pub fn encode(&self) -> Result<Vec<u8>, Refusal> {
        let answer = CheckInAnswer {
            token: &self.token,
            command: self.command.as_deref(),
            link: self.link,
            newest_anchors: self.newest_anchors,
            interval_seconds: self.interval_seconds,
        };
        answer.encode().map_err(|error| Refusal::internal("an answer cannot be written", error))
    }
}

impl Fleet {
    /// Signs the time for a device.
    ///
    /// # Errors
    /// `lifecycle-forbids`.
    pub async fn signed_time(
        &self,
        session: &DeviceSession,
        nonce: Nonce,
    ) -> Result<Vec<u8>, Refusal> {
        session.require(Right::Time)?;
        let stored = self.read().await?.audit_frontier().await?;
        self.sign_token(session, nonce, Content::Time(head_of(&stored)))
    }

    /// Takes a check-in and answers it.
    ///
    /// # Errors
    /// `wrong-certificate-kind`, `lifecycle-forbids`; `clone-suspected` when the link is neither
    /// the current one nor the one before: the device is then suspended; `order-replayed` for an
    /// order number from a far future; `hub-restored` while a restored hub waits for an
    /// administrator.
    pub async fn check_in(
        &self,
        session: &DeviceSession,
        check_in: &CheckIn,
    ) -> Result<Answer, Refusal> {
        session.require(Right::CheckIn)?;
        self.require_acknowledged()?;
        let device = session.device;
        // Checked here, off the writer; what it is worth is judged inside.
        let presented = match &check_in.link {
            None => Ok(None),
            Some(link) => {
                link.verify(&device, |parts| self.link_mac(parts)).map(|()| Some(link.id))
            }
        };
        let newest_anchors = self.newest_anchors()?.version;
        let visit = Visit {
            session: session.clone(),
            check_in: *check_in,
            presented,
            random: random()?,
            newest_anchors,
            restored: self.restored(),
        };
        let outcome = self
            .change_wanting(Want::Contact(device.as_str().to_owned()), "device", move |change| {
                Box::pin(async move { visit.take(change).await })
            })
            .await?;
        let Some(Next { link, content, command }) = outcome else {
            return Err(Refusal::new(
                Reason::CloneSuspected,
                "the link is neither the current one nor the one before",
            ));
        };
        Ok(Answer {
            link: Link::issue(link, &device, |parts| self.link_mac(parts)),
            newest_anchors,
            interval_seconds: match check_in.anchors < newest_anchors {
                true => self.inner.policy.poll_interval_s.min(SOON_S),
                false => self.inner.policy.poll_interval_s,
            },
            token: self.sign_token(session, check_in.nonce, content)?,
            command,
        })
    }

    /// Takes a report. The same report twice is the same as once; one about an update that has
    /// ended changes nothing.
    ///
    /// # Errors
    /// `wrong-certificate-kind`, `lifecycle-forbids`; `not-found` for an order that this device was
    /// not given; `manifest-digest` when the order was for another manifest.
    pub async fn report(&self, session: &DeviceSession, report: &Report) -> Result<(), Refusal> {
        session.require(Right::CheckIn)?;
        let (session, report) = (session.clone(), *report);
        self.change("device", move |change| {
            Box::pin(async move {
                let session = change.still(session).await?;
                session.require(Right::CheckIn)?;
                let order = order_to_sql(report.order)?;
                let device = session.device;
                let said = Said {
                    state: report.state,
                    reason: report.reason,
                    detail: (!report.detail.is_empty()).then(|| report.detail.to_string()),
                };
                if let Some(command) = change.command_by_order(device.as_str(), order).await? {
                    if command.digest != report.manifest.0 {
                        return Err(Refusal::new(
                            Reason::CommandDigest,
                            format!("order {order} is for another command"),
                        ));
                    }
                    return commands::hear(change, &device, &command, &said).await;
                }
                session.require(Right::Update)?;
                let target = change.target_by_order(device.as_str(), order).await?;
                let target = target.ok_or_else(|| {
                    Refusal::new(Reason::NotFound, format!("{device} has no order {order}"))
                })?;
                let deployment = change.deployment(&target.deployment).await?;
                let deployment = deployment.ok_or(Reason::NotFound)?;
                if deployment.manifest != report.manifest.0 {
                    return Err(Refusal::new(
                        Reason::ManifestDigest,
                        format!("order {order} is for another manifest"),
                    ));
                }
                if targets::hear(change, &session, &target, &said).await? {
                    targets::confirmed(change, &device, &deployment).await?;
                }
                Ok(())
            })
        })
        .await
    }

    fn sign_token(
        &self,
        session: &DeviceSession,
        nonce: Nonce,
        content: Content,
    ) -> Result<Vec<u8>, Refusal> {
        let issued = UnixTime(self.now_ms().unsigned_abs() / 1000);
        let claims = TokenClaims {
            fleet: self.inner.fleet,
            device: session.device,
            issued,
            expires: UnixTime(issued.0.saturating_add(self.inner.policy.order_life_s)),
            nonce: Some(nonce),
            content,
        };
        Ok(claims.sign(&AwsLc, &*self.inner.order_key)?)
    }
}

/// What a check-in is answered.
struct Next {
    link: LinkId,
    content: Content,
    command: Option<Vec<u8>>,
}

/// A check-in inside the writer.
struct Visit {
    session: DeviceSession,
    check_in: CheckIn,
    /// The link that was presented, if its MAC verifies.
    presented: Result<Option<LinkId>, Reason>,
    random: [u8; 16],
    newest_anchors: AnchorsVersion,
    restored: Option<Restored>,
}

impl Visit {
    /// What to answer; nothing when the link was wrong.
    async fn take(mut self, change: &mut Change<'_>) -> Result<Option<Next>, Refusal> {
        self.session = change.still(self.session).await?;
        self.session.require(Right::CheckIn)?;
        let device = self.session.device;
        let id = device.as_str();
        // Of a device that was never heard nobody knows whether something is open: it is looked up.
        let never = || Contact { open: true, ..Contact::default() };
        let mut contact = change.contact(id).await?.unwrap_or_else(never);
        let said_order = order_to_sql(self.check_in.last_order)?;
        if said_order > change.now_ms.saturating_add(FAR_FUTURE_MS) {
            return Err(Refusal::new(Reason::OrderReplayed, "an order number from a far future"));
        }
        let Ok((links, link, adopted)) = self.judge_link(&contact) else {
            suspend_as_clone(change, &self.session, "a link that is not its own").await?;
            contact.last_seen_ms = self.now_ms(change);
            change.put_contact(id, &contact);
            return Ok(None);
        };
        if adopted {
            let counter = link.counter.to_string();
            change.log("link-adopted", id, &[("next", &*counter)]).await?;
        }
        if self.session.first_use {
            self.use_certificate(change).await?;
        }
        contact.last_order = contact.last_order.max(said_order);
        // Where nothing is open, nothing can be said about it: what has ended stays.
        if let (true, Some(update)) = (contact.open || contact.commanded, &self.check_in.update) {
            // Where this confirms a release, what it runs is judged also when it says as before.
            if self.hear_update(change, update).await? {
                contact.reported = None;
            }
        }
        self.hear_running(change, &mut contact).await?;
        let commanded = match contact.commanded {
            true => self.command(change, &mut contact).await?,
            false => None,
        };
        let (content, command) = match commanded {
            Some((content, command)) => (content, Some(command)),
            None if contact.open => (self.decide(change, &mut contact).await?, None),
            None => (Content::Time(head_of(change.audit_tree())), None),
        };
        contact.last_seen_ms = self.now_ms(change);
        contact.link_counter = i64::try_from(link.counter).unwrap_or(i64::MAX);
        contact.link_current = links.current.map(link_to_bytes);
        contact.link_previous = links.previous.map(link_to_bytes);
        contact.anchors_version = i64::try_from(self.check_in.anchors.0).unwrap_or(i64::MAX);
        contact.agent_version = self.check_in.agent.to_string();
        if let Some(audit) = &self.check_in.audit {
            contact.audit_size = i64::try_from(audit.size).unwrap_or(i64::MAX);
        }
        change.put_contact(id, &contact);
        Ok(Some(Next { link, content, command }))
    }

    /// Now; at a restored hub never before it was restored, so that a device's first check-in
    /// since then is known for ever.
    fn now_ms(&self, change: &Change<'_>) -> i64 {
        self.restored.map_or(change.now_ms, |restored| change.now_ms.max(restored.restored_ms))
    }

    /// The links to remember, the one to answer with, and whether the lost hub had given the one
    /// that was presented.
    fn judge_link(&self, contact: &Contact) -> Result<(LinkState, LinkId, bool), Reason> {
        // A link that this hub did not make, of a device to which it never gave one, is of the hub
        // that was here before.
        let presented = match self.presented {
            Err(_) if contact.link_counter == 0 && contact.link_current.is_none() => None,
            presented => presented?,
        };
        let mut state = LinkState {
            current: contact.link_current.as_deref().and_then(link_from_bytes),
            previous: contact.link_previous.as_deref().and_then(link_from_bytes),
        };
        if state.current.is_none() {
            // The chain begins, or begins again after an enrolment or an approval: then the holder
            // of any link that this hub once gave the device may take it up, and becomes the one.
            state.current = presented;
        }
        let first = |restored: Restored| contact.last_seen_ms < restored.restored_ms;
        let (verdict, adopted) = match (state.judge(presented), presented) {
            (Err(_), Some(link)) if self.restored.is_some_and(first) => {
                state = state.adopt_after_restore(link)?;
                (state.judge(presented)?, true)
            }
            (verdict, _) => (verdict?, false),
        };
        // Counters go on through a new beginning, so that no link is ever made twice.
        let (mut next, mut link) = state.advance(verdict, self.random);
        let floor = u64::try_from(contact.link_counter).unwrap_or(0);
        if link.counter <= floor {
            link.counter = floor.saturating_add(1);
            next.current = Some(link);
        }
        Ok((next, link, adopted))
    }

    /// The first use of a renewed certificate ends the ones before it.
    async fn use_certificate(&self, change: &mut Change<'_>) -> Result<(), Refusal> {
        let (id, now_ms) = (self.session.device.as_str(), change.now_ms);
        let own = &self.session.fingerprint;
        change.mark_certificate_used(own, now_ms).await?;
        change.revoke_earlier_certificates(id, LDEVID, own, now_ms).await?;
        change.touch(&self.session.device);
        Ok(())
    }

    async fn hear_update(
        &self,
        change: &mut Change<'_>,
        update: &UpdateStatus,
    ) -> Result<bool, Refusal> {
        let order = order_to_sql(update.order)?;
        let id = self.session.device.as_str();
        let said = Said { state: update.state, reason: update.reason, detail: None };
        if let Some(command) = change.command_by_order(id, order).await? {
            commands::hear(change, &self.session.device, &command, &said).await?;
            return Ok(false);
        }
        // An order that this hub does not know is one that another order key gave, or that was
        // lost with a backup. There is nothing to note it on.
        let Some(target) = change.target_by_order(id, order).await? else { return Ok(false) };
        targets::hear(change, &self.session, &target, &said).await
    }

    /// What it says it runs is written only when it says something new.
    async fn hear_running(
        &self,
        change: &mut Change<'_>,
        contact: &mut Contact,
    ) -> Result<(), Refusal> {
        let digest = self.running_digest();
        if contact.reported.as_deref() == Some(&digest.0[..]) {
            return Ok(());
        }
        let id = self.session.device.as_str();
        let since_ms = change.now_ms;
        let classes: Vec<_> = self.check_in.classes.iter().map(|class| class.class.0).collect();
        // Else one device could fill the disk with names of classes.
        change.keep_running(id, &classes).await?;
        for class in self.check_in.classes.iter() {
            let running = class.running.as_ref();
            let row = Running {
                class: class.class.0,
                sequence: i64::try_from(running.map_or(0, |r| r.sequence.0)).unwrap_or(i64::MAX),
                manifest: running.map(|running| running.manifest.0),
                version: running.map(|running| running.version.to_string()).unwrap_or_default(),
                floor: i64::try_from(class.floor.0).unwrap_or(i64::MAX),
                since_ms,
            };
            change.put_running(id, &row).await?;
        }
        let protection = protection_text(&self.check_in.protection);
        change.set_device_protection(id, &protection).await?;
        contact.reported = Some(digest.0.to_vec());
        self.compare_with_success(change).await
    }

    /// A device that runs something else than what it confirmed last has fallen back. The success
    /// stays on record, and an alarm says that it does not hold.
    async fn compare_with_success(&self, change: &mut Change<'_>) -> Result<(), Refusal> {
        let (id, now_ms) = (self.session.device.as_str(), change.now_ms);
        let Some(confirmed) = change.last_confirmed(id).await? else { return Ok(()) };
        let class = self.check_in.classes.iter().find(|c| c.class.0 == confirmed.class);
        let Some(class) = class else { return Ok(()) };
        let row = change.device(id).await?.ok_or(Reason::UnknownCertificate)?;
        let code = Reason::TrialNotConfirmed.code();
        // A newer release on trial is not a fall; an image without a manifest is one.
        let fell = class.running.is_none_or(|running| {
            running.manifest.0 != confirmed.manifest
                && running.sequence.0 < confirmed.sequence.unsigned_abs()
        });
        match (fell, row.alarm.as_deref()) {
            (true, None) => {
                change.set_device_alarm(id, Some(code), now_ms).await?;
                let details = [("alarm", code), ("note", "runs something older than it confirmed")];
                change.log("alarm-raised", id, &details).await
            }
            (false, Some(alarm)) if alarm == code => {
                change.set_device_alarm(id, None, now_ms).await?;
                change.log("alarm-settled", id, &[("alarm", code)]).await
            }
            _ => Ok(()),
        }
    }

    fn running_digest(&self) -> Sha256Digest {
        let mut text = protection_text(&self.check_in.protection);
        for class in self.check_in.classes.iter() {
            text.push_str(&format!(";{} {} {:?}", class.class, class.floor, class.running));
        }
        AwsLc.sha256(&[text.as_bytes()])
    }

    /// What the device is to do.
    async fn decide(
        &self,
        change: &mut Change<'_>,
        contact: &mut Contact,
    ) -> Result<Content, Refusal> {
        let id = self.session.device.as_str();
        let time = |change: &Change<'_>| Content::Time(head_of(change.audit_tree()));
        let Some(offer) = change.open_offer(id).await? else { return Ok(time(change)) };
        if self.runs(&offer) {
            // It was heard of no other way, but it runs and is the floor: confirmed.
            let state = match offer.last_order {
                0 => UpdateState::AlreadyInstalled,
                _ => UpdateState::Confirmed,
            };
            targets::end(change, &self.session, &offer.deployment, state, Grade::Reported).await?;
            return Ok(time(change));
        }
        let behind = self.check_in.anchors < self.newest_anchors;
        if behind || !self.session.state.may(Right::Update) || !self.is_offered(&offer) {
            return Ok(time(change));
        }
        let number = match self.can_renew(&offer) {
            true => offer.last_order,
            false => {
                let number = self.next_number(change, contact);
                change.set_target_order(&offer.deployment, id, number).await?;
                let (text, manifest) = (number.to_string(), Sha256Digest(offer.manifest));
                let manifest = manifest.to_string();
                let details = [
                    ("order", &*text),
                    ("deployment", &*offer.deployment),
                    ("manifest", &*manifest),
                ];
                change.log("order-given", id, &details).await?;
                number
            }
        };
        contact.last_order = contact.last_order.max(number);
        Ok(Content::Order(Order {
            number: OrderNumber(number.unsigned_abs()),
            task: Task::Install { manifest: Sha256Digest(offer.manifest) },
            min_anchors: self.newest_anchors,
        }))
    }

    /// The order that brings the device's open command, and the command. Nothing where it cannot
    /// be told now: its anchors are old, or it is no longer to be told.
    async fn command(
        &self,
        change: &mut Change<'_>,
        contact: &mut Contact,
    ) -> Result<Option<(Content, Vec<u8>)>, Refusal> {
        let id = self.session.device.as_str();
        let Some(row) = change.open_command(id).await? else { return Ok(None) };
        let state = change.device(id).await?.ok_or(Reason::UnknownCertificate)?.state;
        let task = commands::task_of(&row)?;
        let Task::Command { action, .. } = task else { return Ok(None) };
        let told = commands::reaches(State::from_name(&state)?, action);
        let ended = row.entered || row.expires_ms <= change.now_ms;
        if !told || ended || self.check_in.anchors < self.newest_anchors {
            return Ok(None);
        }
        let number = match self.can_take_again(&row) {
            true => row.last_order,
            false => {
                let number = self.next_number(change, contact);
                change.set_command_order(&row.digest, number).await?;
                let (text, digest) = (number.to_string(), Sha256Digest(row.digest).to_string());
                let details = [("order", &*text), ("action", action.name()), ("command", &*digest)];
                change.log("order-given", id, &details).await?;
                number
            }
        };
        contact.last_order = contact.last_order.max(number);
        let order = Order {
            number: OrderNumber(number.unsigned_abs()),
            task,
            min_anchors: self.newest_anchors,
        };
        Ok(Some((Content::Order(order), row.document)))
    }

    /// Can the device still take the number that was given out for the command?
    fn can_take_again(&self, row: &CommandRow) -> bool {
        let lost = self.restored.is_some_and(|restored| row.last_order < restored.order_floor);
        let last = row.last_order.unsigned_abs();
        last > 0 && !lost && self.check_in.last_order.0 < last
    }

    /// The next order number: above every one that was ever given out or heard of.
    fn next_number(&self, change: &Change<'_>, contact: &Contact) -> i64 {
        let number = contact.last_order.saturating_add(1).max(change.now_ms);
        number.max(self.restored.map_or(0, |restored| restored.order_floor))
    }

    fn is_offered(&self, offer: &Offer) -> bool {
        let begun = offer.state != UpdateState::Offered.name();
        if offer.state == UpdateState::Trial.name() {
            return false;
        }
        match DeploymentState::from_name(&offer.deployment_state) {
            Some(DeploymentState::Running) => true,
            Some(DeploymentState::Paused) => begun,
            Some(DeploymentState::Halted) | None => false,
        }
    }

    /// Can the device still take the number that the order has? Not if it has used that number up
    /// and is no longer at it. What was given before a restore is renewed only for a device that
    /// is at it: the lost hub may have given others after it.
    fn can_renew(&self, offer: &Offer) -> bool {
        let lost = self.restored.is_some_and(|restored| offer.last_order < restored.order_floor);
        let last = offer.last_order.unsigned_abs();
        let at_it = self
            .check_in
            .update
            .is_some_and(|update| update.order.0 == last && !update.state.is_terminal());
        last > 0 && (at_it || (!lost && self.check_in.last_order.0 < last))
    }

    /// Does the device run the release, confirmed and with nothing under way?
    fn runs(&self, offer: &Offer) -> bool {
        let under_way =
            self.check_in.update.is_some_and(|update: UpdateStatus| !update.state.is_terminal());
        let class = self.check_in.classes.iter().find(|class| class.class.0 == offer.class);
        !under_way
            && class.is_some_and(|class| {
                class.floor.0 >= offer.sequence.unsigned_abs()
                    && class.running.is_some_and(|running| running.manifest.0 == offer.manifest)
            })
    }
}

pub(crate) fn head_of(frontier: &Frontier) -> AuditHead {
    AuditHead { size: frontier.size(), root: Sha256Digest(frontier.root()) }
}

fn order_to_sql(number: OrderNumber) -> Result<i64, Refusal> {
    i64::try_from(number.0).map_err(|_| Refusal::new(Reason::OrderReplayed, "an order number"))
}

fn link_to_bytes(link: LinkId) -> Vec<u8> {
    [&link.counter.to_be_bytes()[..], &link.random].concat()
}

fn link_from_bytes(bytes: &[u8]) -> Option<LinkId> {
    let (counter, random) = bytes.split_first_chunk::<8>()?;
    Some(LinkId { counter: u64::from_be_bytes(*counter), random: random.try_into().ok()? })
}

/// A device whose anchors are old comes back soon: it gets no order before it has the new ones.
const SOON_S: u32 = 5;
/// Order numbers are times; one that lies years ahead is an attack on the numbers.
const FAR_FUTURE_MS: i64 = 10 * 365 * 24 * 3600 * 1000;
