//! What a command key signs: the consent of people to one irreversible act on one device.

use ringfort_cose::{Reason, Sha256Digest, Sign1, Thumbprint, Verify};

use crate::COMMAND;
use crate::anchors::Anchors;
use crate::claims::{Claims, MAX_LIFE_SECONDS, MAX_TOKEN_LEN};
use crate::ids::{DeviceId, FleetId, Nonce, OrderNumber, UnixTime};
use crate::token::Task;

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandAction {
    /// Wipe the operational keys and data; the factory identity stays.
    WipeOperational,
    /// Unlock debugging until the next reset.
    DebugUnlock,
    /// Put the device out of use for ever.
    Decommission,
}

impl CommandAction {
    /// Every action.
    pub const ALL: [CommandAction; 3] =
        [CommandAction::WipeOperational, CommandAction::DebugUnlock, CommandAction::Decommission];

    /// The number in orders and commands: 2, 3, 4. (1 is install, which needs no command.)
    pub const fn number(self) -> u64 {
        match self {
            CommandAction::WipeOperational => 2,
            CommandAction::DebugUnlock => 3,
            CommandAction::Decommission => 4,
        }
    }

    /// The name in logs and documents.
    pub const fn name(self) -> &'static str {
        match self {
            CommandAction::WipeOperational => "wipe-operational",
            CommandAction::DebugUnlock => "debug-unlock",
            CommandAction::Decommission => "decommission",
        }
    }

    /// The action with this number.
    ///
    /// # Errors
    /// `unsupported`.
    pub fn from_number(number: u64) -> Result<CommandAction, Reason> {
        CommandAction::ALL
            .into_iter()
            .find(|action| action.number() == number)
            .ok_or(Reason::Unsupported)
    }
}

/// What a command says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandClaims {
    /// iss: the fleet.
    pub fleet: FleetId,
    /// aud: the device.
    pub device: DeviceId,
    /// iat.
    pub issued: UnixTime,
    /// exp, after `issued` by at most [`Command::MAX_LIFE_SECONDS`].
    pub expires: UnixTime,
    /// Above every earlier command of the same key for this device.
    pub number: OrderNumber,
    /// What to do.
    pub action: CommandAction,
    /// The nonce read from the device before; present for debug-unlock and for nothing else.
    pub nonce: Option<Nonce>,
}

impl CommandClaims {
    /// Signs the claims with a command key.
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
        let claims = Claims {
            fleet: Some(self.fleet),
            device: Some(self.device),
            issued: Some(self.issued),
            expires: Some(self.expires),
            nonce: self.nonce,
            action: Some(self.action.number()),
            number: Some(self.number),
            ..Claims::default()
        };
        let payload = claims.write()?;
        CommandClaims::from_claims(Claims::read(&payload)?)?;
        ringfort_cose::sign1(verifier, signer, COMMAND, &payload)
    }

    fn from_claims(claims: Claims) -> Result<CommandClaims, Reason> {
        let common = claims.common()?;
        let (action, number) = match claims {
            Claims {
                action: Some(action),
                number: Some(number),
                manifest: None,
                command: None,
                min_anchors: None,
                audit: None,
                ..
            } => (CommandAction::from_number(action)?, number),
            _ => return Err(Reason::Malformed),
        };
        if (action == CommandAction::DebugUnlock) != claims.nonce.is_some() {
            return Err(Reason::Malformed);
        }
        Ok(CommandClaims {
            fleet: common.fleet,
            device: common.device,
            issued: common.issued,
            expires: common.expires,
            number,
            action,
            nonce: claims.nonce,
        })
    }
}

/// A command whose signature verifies with a command key of the anchors, for their fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    claims: CommandClaims,
    signer: Thumbprint,
    digest: Sha256Digest,
}

impl Command {
    /// Bytes of a command at most.
    pub const MAX_LEN: usize = MAX_TOKEN_LEN;
    /// Seconds from iat to exp at most: 30 days.
    pub const MAX_LIFE_SECONDS: u64 = MAX_LIFE_SECONDS;

    /// Parses and verifies.
    ///
    /// # Errors
    /// As [`crate::Token::verify`].
    pub fn verify(
        bytes: &[u8],
        anchors: &Anchors<'_>,
        verifier: &(impl Verify + ?Sized),
    ) -> Result<Command, Reason> {
        if bytes.len() > Command::MAX_LEN {
            return Err(Reason::TooLarge);
        }
        let sign1 = Sign1::parse_object(bytes, COMMAND)?;
        let signer = sign1.header().signer()?;
        let key = anchors.command_key(&signer, verifier)?;
        let payload = sign1.verify_object(verifier, COMMAND, &key.key)?;
        let claims = CommandClaims::from_claims(Claims::read(payload)?)?;
        if claims.fleet != anchors.fleet() {
            return Err(Reason::WrongIssuer);
        }
        Ok(Command { claims, signer, digest: verifier.sha256(&[bytes]) })
    }

    /// What it says.
    pub fn claims(&self) -> &CommandClaims {
        &self.claims
    }

    /// The command key that signed: which [`CommandLedger`] applies.
    pub fn signer(&self) -> Thumbprint {
        self.signer
    }

    /// SHA-256 of the whole command: what the order names.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// Judges the command that an accepted order names. The returned ledger has to be stored
    /// before the device acts, in one record with the act itself: after a power cut the same
    /// command is a replay.
    ///
    /// `now` is the device's best time and not before its floor; `debug_nonce` is the nonce that
    /// the device gave out for unlocking, if it did.
    ///
    /// # Errors
    /// `untrusted-signer` for another key's ledger; `command-digest` when the order names another
    /// command or another action; `wrong-recipient`; `expired`; `order-replayed`;
    /// `nonce-mismatch`.
    pub fn accept(
        &self,
        task: &Task,
        device: &DeviceId,
        now: UnixTime,
        debug_nonce: Option<&Nonce>,
        ledger: &CommandLedger,
    ) -> Result<CommandLedger, Reason> {
        if self.signer != ledger.key {
            return Err(Reason::UntrustedSigner);
        }
        if *task != (Task::Command { action: self.claims.action, command: self.digest }) {
            return Err(Reason::CommandDigest);
        }
        if self.claims.device != *device {
            return Err(Reason::WrongRecipient);
        }
        if self.claims.expires <= now {
            return Err(Reason::Expired);
        }
        if self.claims.number <= ledger.last {
            return Err(Reason::OrderReplayed);
        }
        // Present for debug-unlock and for nothing else, as parsing has checked.
        if self.claims.nonce.is_some() && self.claims.nonce.as_ref() != debug_nonce {
            return Err(Reason::NonceMismatch);
        }
        Ok(CommandLedger { key: ledger.key, last: self.claims.number })
    }
}

/// What a device remembers of one command key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandLedger {
    /// The key.
    pub key: Thumbprint,
    /// The number of the last command accepted; 0 for none.
    pub last: OrderNumber,
}
