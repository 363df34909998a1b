//! What the hub's order key signs: orders and signed time (CWT in COSE_Sign1).

use ringfort_cose::cbor::Reader;
use ringfort_cose::{Reason, Sha256Digest, Sign1, Thumbprint, Verify};

use crate::ORDER;
use crate::anchors::Anchors;
#[cfg(feature = "alloc")]
use crate::claims::Common;
use crate::claims::{Claims, MAX_LIFE_SECONDS, MAX_TOKEN_LEN};
use crate::command::CommandAction;
use crate::ids::{AnchorsVersion, DeviceId, FleetId, Nonce, OrderNumber, UnixTime};
use crate::ledger::{InProgress, OrderLedger};
use crate::time::TimeFloor;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// iss: the fleet.
    pub fleet: FleetId,
    /// aud: the device.
    pub device: DeviceId,
    /// iat.
    pub issued: UnixTime,
    /// exp, after `issued` by at most [`Token::MAX_LIFE_SECONDS`].
    pub expires: UnixTime,
    /// The nonce of the request that this answers. Absent only in an order for an offline medium.
    pub nonce: Option<Nonce>,
    /// An order, or the time alone.
    pub content: Content,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Do something.
    Order(Order),
    /// Nothing to do: the time, and the latest head of the hub's audit log.
    Time(AuditHead),
}

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its number, above every earlier one of the same key.
    pub number: OrderNumber,
    /// What to do.
    pub task: Task,
    /// The anchors that the device has to hold first, or later ones.
    pub min_anchors: AnchorsVersion,
}

/// What an order asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Install the release with this manifest digest (the one in the SUIT authentication wrapper).
    Install {
        /// SHA-256 of the manifest.
        manifest: Sha256Digest,
    },
    /// Do what a command says.
    Command {
        /// What it says.
        action: CommandAction,
        /// SHA-256 of the whole command.
        command: Sha256Digest,
    },
}

/// A head of the hub's audit log (a Merkle tree, RFC 9162 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// Entries in the tree.
    pub size: u64,
    /// Its root hash.
    pub root: Sha256Digest,
}

impl AuditHead {
    /// Reads `[size, root]`.
    ///
    /// # Errors
    /// `malformed`.
    pub fn read(reader: &mut Reader<'_>) -> Result<AuditHead, Reason> {
        reader.array_of(2)?;
        Ok(AuditHead { size: reader.u64()?, root: Sha256Digest(reader.bytes_of()?) })
    }

    /// Writes `[size, root]`.
    ///
    /// # Errors
    /// `too-large` when the buffer is full.
    pub fn write<W: minicbor::encode::Write>(
        &self,
        out: &mut ringfort_cose::cbor::Writer<W>,
    ) -> Result<(), Reason> {
        out.array(2)?.u64(self.size)?.bytes(&self.root.0).map(drop)
    }
}

impl TokenClaims {
    /// Signs the claims with the order key.
    ///
    /// # Errors
    /// [`ringfort_cose::SignError`] from the signer; `malformed` or `too-large` inside it for
    /// claims that no device would take.
    #[cfg(feature = "alloc")]
    pub fn sign(
        &self,
        verifier: &(impl Verify + ?Sized),
        signer: &dyn ringfort_cose::Sign,
    ) -> Result<alloc::vec::Vec<u8>, ringfort_cose::SignError> {
        let payload = self.to_claims().write()?;
        TokenClaims::from_claims(Claims::read(&payload)?)?;
        ringfort_cose::sign1(verifier, signer, ORDER, &payload)
    }

    #[cfg(feature = "alloc")]
    fn to_claims(self) -> Claims {
        let TokenClaims { fleet, device, issued, expires, .. } = self;
        let mut claims = Common { fleet, device, issued, expires }.claims(self.nonce);
        match self.content {
            Content::Time(audit) => claims.audit = Some(audit),
            Content::Order(order) => {
                claims.number = Some(order.number);
                claims.min_anchors = Some(order.min_anchors);
                match order.task {
                    Task::Install { manifest } => {
                        claims.action = Some(INSTALL);
                        claims.manifest = Some(manifest);
                    }
                    Task::Command { action, command } => {
                        claims.action = Some(action.number());
                        claims.command = Some(command);
                    }
                }
            }
        }
        claims
    }

    fn from_claims(claims: Claims) -> Result<TokenClaims, Reason> {
        let common = claims.common()?;
        let content = match claims {
            Claims {
                action: None,
                number: None,
                manifest: None,
                command: None,
                min_anchors: None,
                audit: Some(audit),
                nonce: Some(_),
                ..
            } => Content::Time(audit),
            Claims {
                action: Some(action),
                number: Some(number),
                manifest,
                command,
                min_anchors: Some(min_anchors),
                audit: None,
                ..
            } => Content::Order(Order {
                number,
                task: Task::from_claims(action, manifest, command)?,
                min_anchors,
            }),
            _ => return Err(Reason::Malformed),
        };
        Ok(TokenClaims {
            fleet: common.fleet,
            device: common.device,
            issued: common.issued,
            expires: common.expires,
            nonce: claims.nonce,
            content,
        })
    }
}

impl Task {
    /// The name of the action: `install`, `wipe-operational`, `debug-unlock` or `decommission`.
    pub const fn name(&self) -> &'static str {
        match self {
            Task::Install { .. } => "install",
            Task::Command { action, .. } => action.name(),
        }
    }

    fn from_claims(
        action: u64,
        manifest: Option<Sha256Digest>,
        command: Option<Sha256Digest>,
    ) -> Result<Task, Reason> {
        match (action, manifest, command) {
            (INSTALL, Some(manifest), None) => Ok(Task::Install { manifest }),
            (INSTALL, _, _) | (_, Some(_), _) | (_, _, None) => Err(Reason::Malformed),
            (action, None, Some(command)) => {
                Ok(Task::Command { action: CommandAction::from_number(action)?, command })
            }
        }
    }
}

/// A token whose signature verifies with an order key of the anchors, for their fleet. Whether
/// the device acts on it is [`Token::accept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    claims: TokenClaims,
    signer: Thumbprint,
    digest: Sha256Digest,
}

impl Token {
    /// Bytes of a token at most.
    pub const MAX_LEN: usize = MAX_TOKEN_LEN;
    /// Seconds from iat to exp at most: 30 days. The usual life is 24 hours.
    pub const MAX_LIFE_SECONDS: u64 = MAX_LIFE_SECONDS;

    /// Parses and verifies.
    ///
    /// # Errors
    /// `too-large`, `malformed`, `unknown-field`, `unsupported`, `wrong-type`;
    /// `untrusted-signer`, `algorithm-not-allowed`, `bad-signature`; `wrong-issuer` when it comes
    /// from another fleet.
    pub fn verify(
        bytes: &[u8],
        anchors: &Anchors<'_>,
        verifier: &(impl Verify + ?Sized),
    ) -> Result<Token, Reason> {
        if bytes.len() > Token::MAX_LEN {
            return Err(Reason::TooLarge);
        }
        let sign1 = Sign1::parse_object(bytes, ORDER)?;
        let signer = sign1.header().signer()?;
        let key = anchors.order_key(&signer, verifier)?;
        let payload = sign1.verify_object(verifier, ORDER, &key.key)?;
        let claims = TokenClaims::from_claims(Claims::read(payload)?)?;
        if claims.fleet != anchors.fleet() {
            return Err(Reason::WrongIssuer);
        }
        Ok(Token { claims, signer, digest: verifier.sha256(&[bytes]) })
    }

    /// What it says.
    pub fn claims(&self) -> &TokenClaims {
        &self.claims
    }

    /// The order key that signed: which [`OrderLedger`] applies.
    pub fn signer(&self) -> Thumbprint {
        self.signer
    }

    /// SHA-256 of the whole token.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// Judges the token. The returned ledger has to be stored before the device acts.
    ///
    /// An order with the very bytes of the one in progress is taken up again without its nonce
    /// being asked for: it was when the order was first accepted.
    ///
    /// # Errors
    /// `wrong-recipient`; `nonce-mismatch`; `expired`; `anchors-too-old`; `order-replayed` for a
    /// number that is not above the last finished one, lies below the one in progress, or is that
    /// of the one in progress with another task; `untrusted-signer` for another key's ledger.
    pub fn accept(&self, situation: &Situation, ledger: &OrderLedger) -> Result<Accepted, Reason> {
        if self.signer != ledger.key {
            return Err(Reason::UntrustedSigner);
        }
        if self.claims.device != situation.device {
            return Err(Reason::WrongRecipient);
        }
        let resumed = ledger.in_progress.is_some_and(|order| order.token == self.digest);
        let online = self.check_nonce(situation, resumed)?;
        let now = match online {
            // A fresh answer: it is the time, down to the floor.
            true => situation.floor.signed_time(self.claims.issued),
            false => situation.floor.signed_time(situation.now),
        };
        if self.claims.expires <= now {
            return Err(Reason::Expired);
        }
        let mut after = *ledger;
        after.last_time = after.last_time.max(self.claims.issued);
        let outcome = match self.claims.content {
            Content::Time(audit) => Outcome::Time { audit },
            Content::Order(order) => {
                if order.min_anchors > situation.anchors_version {
                    return Err(Reason::AnchorsTooOld);
                }
                let standing = self.standing(&order, ledger)?;
                after.in_progress =
                    Some(InProgress { number: order.number, token: self.digest, task: order.task });
                Outcome::Order { order, standing }
            }
        };
        Ok(Accepted { ledger: after, time: online.then_some(now), outcome })
    }

    /// Is an accepted order still to be carried out? Judged again just before the switch to trial,
    /// and never after.
    ///
    /// # Errors
    /// `expired`.
    pub fn check_life(&self, now: UnixTime, floor: &TimeFloor) -> Result<(), Reason> {
        if self.claims.expires <= floor.signed_time(now) {
            return Err(Reason::Expired);
        }
        Ok(())
    }

    /// Does the token answer a fresh request? It has to, unless it comes from an offline medium
    /// or is taken up again.
    fn check_nonce(&self, situation: &Situation, resumed: bool) -> Result<bool, Reason> {
        match (situation.channel, self.claims.nonce) {
            (Channel::Online { nonce }, Some(echo)) if echo == nonce => Ok(true),
            _ if resumed => Ok(false),
            (Channel::Offline, None) => Ok(false),
            _ => Err(Reason::NonceMismatch),
        }
    }

    fn standing(&self, order: &Order, ledger: &OrderLedger) -> Result<Standing, Reason> {
        if order.number <= ledger.last_finished {
            return Err(Reason::OrderReplayed);
        }
        match ledger.in_progress {
            None => Ok(Standing::New),
            Some(current) if current.token == self.digest => Ok(Standing::Resumed),
            Some(current) if order.number > current.number => Ok(Standing::New),
            Some(current) if order.number == current.number && order.task == current.task => {
                Ok(Standing::Renewed)
            }
            Some(_) => Err(Reason::OrderReplayed),
        }
    }
}

/// What the device knows when it judges a token.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// Its own id.
    pub device: DeviceId,
    /// How the token came.
    pub channel: Channel,
    /// The device's best time: signed time and what has passed since by its own counter. Where it
    /// has none, the floor. Never a clock that nobody signed for.
    pub now: UnixTime,
    /// Its time floor.
    pub floor: TimeFloor,
    /// The version of the anchors that the token was verified with.
    pub anchors_version: AnchorsVersion,
}

/// How a token came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// As the answer to a request with this nonce.
    Online {
        /// The nonce of the request.
        nonce: Nonce,
    },
    /// From a file or another medium, or from the device's own store.
    Offline,
}

/// A token that the device may act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The signer's ledger, to be stored first.
    pub ledger: OrderLedger,
    /// The time to set the clock to, in either direction; none from an offline medium, which only
    /// raises the floor (by the ledger).
    pub time: Option<UnixTime>,
    /// What to do.
    pub outcome: Outcome,
}

/// What an accepted token means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Carry out an order.
    Order {
        /// The order.
        order: Order,
        /// How it relates to the one in progress.
        standing: Standing,
    },
    /// Nothing to do.
    Time {
        /// The hub's latest audit head: report one that is smaller or forked.
        audit: AuditHead,
    },
}

/// How an order relates to the one in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A new order. One in progress with a lower number is superseded.
    New,
    /// The one in progress, signed again: same number, same task.
    Renewed,
    /// The one in progress, byte for byte.
    Resumed,
}

/// The action number of an install order; those of commands follow it.
pub(crate) const INSTALL: u64 = 1;
