//! What a device remembers of each order key.

use ringfort_cose::{Reason, Sha256Digest, Thumbprint, Verify};

use crate::anchors::Anchors;
use crate::command::CommandLedger;
use crate::ids::{OrderNumber, UnixTime};
use crate::keys::{Role, TrustedKeys};
use crate::token::Task;

/// What a device remembers of one order key. It is kept per key, so that anchors that drop a
/// stolen key drop the numbers and times that the thief signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderLedger {
    /// The key.
    pub key: Thumbprint,
    /// The number of the last order that ended, in whatever state; 0 for none.
    pub last_finished: OrderNumber,
    /// The order being carried out.
    pub in_progress: Option<InProgress>,
    /// The latest time that this key signed; a part of the time floor.
    pub last_time: UnixTime,
}

/// An order that was accepted and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InProgress {
    /// Its number.
    pub number: OrderNumber,
    /// SHA-256 of the whole token, so that the same bytes are known again.
    pub token: Sha256Digest,
    /// What it asks for.
    pub task: Task,
}

impl OrderLedger {
    /// The ledger of a key from which nothing was accepted yet.
    pub const fn new(key: Thumbprint) -> OrderLedger {
        OrderLedger {
            key,
            last_finished: OrderNumber(0),
            in_progress: None,
            last_time: UnixTime(0),
        }
    }

    /// The ledger after the order in progress has ended: its number is never accepted again.
    #[must_use]
    pub fn finished(mut self) -> OrderLedger {
        if let Some(order) = self.in_progress.take() {
            self.last_finished = self.last_finished.max(order.number);
        }
        self
    }
}

/// The ledgers of all order keys of the current anchors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderLedgers {
    ledgers: [Option<OrderLedger>; TrustedKeys::MAX],
}

impl OrderLedgers {
    /// The ledgers that there are.
    pub fn iter(&self) -> impl Iterator<Item = &OrderLedger> {
        self.ledgers.iter().flatten()
    }

    /// The ledger of a key; a new one if nothing was accepted from it yet.
    pub fn of(&self, key: &Thumbprint) -> OrderLedger {
        self.iter().find(|ledger| ledger.key == *key).copied().unwrap_or(OrderLedger::new(*key))
    }

    /// Puts a ledger in its place.
    ///
    /// # Errors
    /// `too-large` for a ninth key: [`OrderLedgers::keep_only`] was not called with the anchors
    /// that brought it.
    pub fn put(&mut self, ledger: OrderLedger) -> Result<(), Reason> {
        let own = |slot: &&mut Option<OrderLedger>| slot.is_some_and(|old| old.key == ledger.key);
        if let Some(slot) = self.ledgers.iter_mut().find(own) {
            *slot = Some(ledger);
            return Ok(());
        }
        let free = self.ledgers.iter_mut().find(|slot| slot.is_none());
        *free.ok_or(Reason::TooLarge)? = Some(ledger);
        Ok(())
    }

    /// Forgets every key that the anchors do not name: its numbers, its time, and the order that
    /// it gave. To be called with each new version, in the same durable step.
    pub fn keep_only(&mut self, anchors: &Anchors<'_>, verifier: &(impl Verify + ?Sized)) {
        let keys = anchors.trusted_keys(Role::Order, verifier);
        for slot in &mut self.ledgers {
            if slot.is_some_and(|ledger| keys.find(&ledger.key).is_err()) {
                *slot = None;
            }
        }
    }

    /// The latest time that any of these keys signed: the part [`crate::TimeFloor::orders`].
    pub fn latest_time(&self) -> UnixTime {
        self.iter().map(|ledger| ledger.last_time).max().unwrap_or_default()
    }
}

/// What is remembered of all command keys of the current anchors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandLedgers {
    ledgers: [Option<CommandLedger>; TrustedKeys::MAX],
}

impl CommandLedgers {
    /// The ledgers that there are.
    pub fn iter(&self) -> impl Iterator<Item = &CommandLedger> {
        self.ledgers.iter().flatten()
    }

    /// The ledger of a key; a new one if nothing was accepted from it yet.
    pub fn of(&self, key: &Thumbprint) -> CommandLedger {
        let known = self.iter().find(|ledger| ledger.key == *key).copied();
        known.unwrap_or(CommandLedger { key: *key, last: OrderNumber(0) })
    }

    /// Puts a ledger in its place.
    ///
    /// # Errors
    /// `too-large` for a ninth key: [`CommandLedgers::keep_only`] was not called with the anchors
    /// that brought it.
    pub fn put(&mut self, ledger: CommandLedger) -> Result<(), Reason> {
        let own = |slot: &&mut Option<CommandLedger>| slot.is_some_and(|old| old.key == ledger.key);
        if let Some(slot) = self.ledgers.iter_mut().find(own) {
            *slot = Some(ledger);
            return Ok(());
        }
        let free = self.ledgers.iter_mut().find(|slot| slot.is_none());
        *free.ok_or(Reason::TooLarge)? = Some(ledger);
        Ok(())
    }

    /// Forgets every key that the anchors do not name. To be called with each new version, in the
    /// same durable step.
    pub fn keep_only(&mut self, anchors: &Anchors<'_>, verifier: &(impl Verify + ?Sized)) {
        let keys = anchors.trusted_keys(Role::Command, verifier);
        for slot in &mut self.ledgers {
            if slot.is_some_and(|ledger| keys.find(&ledger.key).is_err()) {
                *slot = None;
            }
        }
    }
}
