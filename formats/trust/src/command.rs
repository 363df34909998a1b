//! What command keys sign: the consent of people to one irreversible act on one device.
//! As many of them sign as the anchors ask for, one after the other.

use ringfort_cose::{MultiSign, Reason, Sha256Digest, Signers, Thumbprint, Verify};

use crate::COMMAND;
use crate::anchors::Anchors;
#[cfg(feature = "alloc")]
use crate::claims::Common;
use crate::claims::{Claims, MAX_LIFE_SECONDS};
use crate::ids::{DeviceId, FleetId, Nonce, OrderNumber, UnixTime};
use crate::keys::{Role, TrustedKeys};
use crate::ledger::CommandLedgers;
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
    /// Above every earlier command of each of its keys for this device.
    pub number: OrderNumber,
    /// What to do.
    pub action: CommandAction,
    /// The nonce read from the device before; present for debug-unlock and for nothing else.
    pub nonce: Option<Nonce>,
}

impl CommandClaims {
    /// The command with the signatures of these keys. Others can be added by
    /// [`CommandClaims::add_signature`].
    ///
    /// # Errors
    /// [`ringfort_cose::SignError`] from a signer; `malformed` or `too-large` inside it for
    /// claims that no device would take.
    #[cfg(feature = "alloc")]
    pub fn sign(
        &self,
        verifier: &(impl Verify + ?Sized),
        signers: &[&dyn ringfort_cose::Sign],
    ) -> Result<alloc::vec::Vec<u8>, ringfort_cose::SignError> {
        let CommandClaims { fleet, device, issued, expires, .. } = *self;
        let claims = Claims {
            action: Some(self.action.number()),
            number: Some(self.number),
            ..Common { fleet, device, issued, expires }.claims(self.nonce)
        };
        let payload = claims.write()?;
        CommandClaims::from_claims(Claims::read(&payload)?)?;
        ringfort_cose::multi_sign(verifier, signers, COMMAND, &payload)
    }

    /// Adds one signature to a command, which may come from another machine. Whether the key is a
    /// command key is for the verifier to find.
    ///
    /// # Errors
    /// [`ringfort_cose::SignError`] from the signer, or with a reason of
    /// [`CommandClaims::read_unverified`] inside.
    #[cfg(feature = "alloc")]
    pub fn add_signature(
        command: &[u8],
        verifier: &(impl Verify + ?Sized),
        signer: &dyn ringfort_cose::Sign,
    ) -> Result<alloc::vec::Vec<u8>, ringfort_cose::SignError> {
        CommandClaims::read_unverified(command)?;
        let signed = ringfort_cose::add_signature(verifier, signer, COMMAND, command)?;
        CommandClaims::read_unverified(&signed)?;
        Ok(signed)
    }

    /// What a command says, whoever signed it: for people who are asked to sign it too.
    ///
    /// # Errors
    /// `too-large`, `malformed`, `unknown-field`, `unsupported`, `wrong-type`.
    pub fn read_unverified(bytes: &[u8]) -> Result<CommandClaims, Reason> {
        let object = parse(bytes)?;
        CommandClaims::from_claims(Claims::read(object.payload_unverified())?)
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

/// A command whose signatures all verify with command keys of the anchors, for their fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    claims: CommandClaims,
    signers: [Thumbprint; TrustedKeys::MAX],
    signer_count: usize,
    threshold: usize,
    digest: Sha256Digest,
}

impl Command {
    /// Bytes of a command at most: eight signatures are within it.
    pub const MAX_LEN: usize = 1280;
    /// Seconds from iat to exp at most: 30 days.
    pub const MAX_LIFE_SECONDS: u64 = MAX_LIFE_SECONDS;

    /// Parses and verifies: as many different command keys signed as the anchors ask for, and
    /// every signature in it is one of theirs.
    ///
    /// # Errors
    /// As [`Command::verify_so_far`], and `threshold-not-met`.
    pub fn verify(
        bytes: &[u8],
        anchors: &Anchors<'_>,
        verifier: &(impl Verify + ?Sized),
    ) -> Result<Command, Reason> {
        let command = Command::verify_so_far(bytes, anchors, verifier)?;
        match command.is_complete() {
            true => Ok(command),
            false => Err(Reason::ThresholdNotMet),
        }
    }

    /// Parses and verifies the signatures that there are, which may be too few: for people who add
    /// theirs one after the other. No device takes such a command.
    ///
    /// # Errors
    /// `too-large`, `malformed`, `unknown-field`, `unsupported`, `wrong-type`;
    /// `untrusted-signer`, `algorithm-not-allowed`, `bad-signature`, `wrong-issuer`.
    pub fn verify_so_far(
        bytes: &[u8],
        anchors: &Anchors<'_>,
        verifier: &(impl Verify + ?Sized),
    ) -> Result<Command, Reason> {
        let object = parse(bytes)?;
        let keys = anchors.trusted_keys(Role::Command, verifier);
        let signed: Signers = object.verify_all(verifier, &keys)?;
        let claims = CommandClaims::from_claims(Claims::read(object.payload_unverified())?)?;
        if claims.fleet != anchors.fleet() {
            return Err(Reason::WrongIssuer);
        }
        let mut command = Command {
            claims,
            signers: [Thumbprint([0; 32]); TrustedKeys::MAX],
            signer_count: 0,
            threshold: anchors.command_threshold(),
            digest: verifier.sha256(&[bytes]),
        };
        let signers = keys.iter().enumerate().filter(|(index, _)| signed.contains(*index));
        for (slot, (_, key)) in command.signers.iter_mut().zip(signers) {
            *slot = key.thumbprint;
            command.signer_count += 1;
        }
        Ok(command)
    }

    /// What it says.
    pub fn claims(&self) -> &CommandClaims {
        &self.claims
    }

    /// The different command keys that signed: each has its [`CommandLedger`].
    pub fn signers(&self) -> &[Thumbprint] {
        self.signers.get(..self.signer_count).unwrap_or_default()
    }

    /// How many different command keys have to sign.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// Have enough signed?
    pub fn is_complete(&self) -> bool {
        self.signer_count >= self.threshold.max(1)
    }

    /// SHA-256 of the whole command: what the order names.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// Judges the command that an accepted order names. The returned ledgers have to be stored
    /// before the device acts, in one record with the act itself: after a power cut the same
    /// command is a replay.
    ///
    /// `now` is the device's best time and not before its floor; `debug_nonce` is the nonce that
    /// the device gave out for unlocking, if it did.
    ///
    /// # Errors
    /// `threshold-not-met`; `command-digest` when the order names another command or another
    /// action; `wrong-recipient`; `expired`; `order-replayed` when any of its keys has given this
    /// number or a higher one before; `nonce-mismatch`; `too-large` for ledgers of keys that the
    /// anchors do not name.
    pub fn accept(
        &self,
        task: &Task,
        device: &DeviceId,
        now: UnixTime,
        debug_nonce: Option<&Nonce>,
        ledgers: &CommandLedgers,
    ) -> Result<CommandLedgers, Reason> {
        if !self.is_complete() {
            return Err(Reason::ThresholdNotMet);
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
        if self.signers().iter().any(|key| self.claims.number <= ledgers.of(key).last) {
            return Err(Reason::OrderReplayed);
        }
        // Present for debug-unlock and for nothing else, as parsing has checked.
        if self.claims.nonce.is_some() && self.claims.nonce.as_ref() != debug_nonce {
            return Err(Reason::NonceMismatch);
        }
        let mut after = *ledgers;
        for key in self.signers() {
            after.put(CommandLedger { key: *key, last: self.claims.number })?;
        }
        Ok(after)
    }
}

fn parse(bytes: &[u8]) -> Result<MultiSign<'_>, Reason> {
    if bytes.len() > Command::MAX_LEN {
        return Err(Reason::TooLarge);
    }
    MultiSign::parse_object(bytes, COMMAND)
}

/// What a device remembers of one command key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandLedger {
    /// The key.
    pub key: Thumbprint,
    /// The number of the last command accepted; 0 for none.
    pub last: OrderNumber,
}
