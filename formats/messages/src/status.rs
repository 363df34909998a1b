//! What a device says about itself: its key store, its software, its update.

use core::fmt;

use minicbor::encode::Write;
use ringfort_cose::cbor::{Reader, Writer};
use ringfort_cose::{Reason, Sha256Digest};
use ringfort_trust::ids::{ClassId, OrderNumber, SequenceNumber, Text};

use crate::wire::{field, required, text};

/// What keeps a device's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// A sealed file on the device's disk.
    SealedFile,
    /// A PKCS#11 module.
    Pkcs11,
    /// A TPM 2.0.
    Tpm2,
    /// OP-TEE.
    OpTee,
    /// A secure partition of the microcontroller.
    SecurePartition,
    /// A secure element behind a bus.
    SecureElement,
}

impl StoreKind {
    /// Every kind; the number on the wire is the position, from 1.
    pub const ALL: [StoreKind; 6] = [
        StoreKind::SealedFile,
        StoreKind::Pkcs11,
        StoreKind::Tpm2,
        StoreKind::OpTee,
        StoreKind::SecurePartition,
        StoreKind::SecureElement,
    ];

    /// The number on the wire: 1 to 6.
    pub const fn number(self) -> u64 {
        match self {
            StoreKind::SealedFile => 1,
            StoreKind::Pkcs11 => 2,
            StoreKind::Tpm2 => 3,
            StoreKind::OpTee => 4,
            StoreKind::SecurePartition => 5,
            StoreKind::SecureElement => 6,
        }
    }

    /// The name for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            StoreKind::SealedFile => "sealed-file",
            StoreKind::Pkcs11 => "pkcs11",
            StoreKind::Tpm2 => "tpm2",
            StoreKind::OpTee => "op-tee",
            StoreKind::SecurePartition => "secure-partition",
            StoreKind::SecureElement => "secure-element",
        }
    }

    /// The kind with this name.
    ///
    /// # Errors
    /// `unsupported`.
    pub fn from_name(name: &str) -> Result<StoreKind, Reason> {
        StoreKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or(Reason::Unsupported)
    }
}

/// What protects a device's keys and its floor. It is the device's own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protection {
    /// What keeps the keys.
    pub store: StoreKind,
    /// Do the keys live in hardware that does not give them out? A software token behind PKCS#11
    /// says no.
    pub hardware_keys: bool,
    /// Does a hardware counter keep the floor? Without one, restoring the disk restores the floor.
    pub hardware_counter: bool,
}

impl Protection {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Protection, Reason> {
        reader.array_of(3)?;
        let number = reader.u64()?;
        let store = StoreKind::ALL.into_iter().find(|kind| kind.number() == number);
        Ok(Protection {
            store: store.ok_or(Reason::Unsupported)?,
            hardware_keys: reader.bool()?,
            hardware_counter: reader.bool()?,
        })
    }

    pub(crate) fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        out.array(3)?.u64(self.store.number())?;
        out.bool(self.hardware_keys)?.bool(self.hardware_counter).map(drop)
    }
}

/// The software that a device runs of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassStatus {
    /// The class.
    pub class: ClassId,
    /// The highest confirmed sequence number; 0 for none.
    pub floor: SequenceNumber,
    /// What runs now; none where nothing was ever installed.
    pub running: Option<Running>,
}

/// A running release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// Its manifest digest.
    pub manifest: Sha256Digest,
    /// The version that people read; may be empty.
    pub version: Text<64>,
}

impl ClassStatus {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<ClassStatus, Reason> {
        let (mut class, mut floor, mut running) = (None, None, None);
        for _ in 0..reader.map()? {
            match field(reader)? {
                1 => class = Some(ClassId(reader.bytes_of()?)),
                2 => floor = Some(SequenceNumber(reader.u64()?)),
                3 => running = Some(Running::read(reader)?),
                _ => return Err(Reason::UnknownField),
            }
        }
        Ok(ClassStatus { class: required(class)?, floor: required(floor)?, running })
    }

    pub(crate) fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        out.map(2 + u64::from(self.running.is_some()))?;
        out.u64(1)?.bytes(&self.class.0)?;
        out.u64(2)?.u64(self.floor.0)?;
        if let Some(running) = &self.running {
            out.u64(3)?;
            running.write(out)?;
        }
        Ok(())
    }
}

impl Running {
    fn read(reader: &mut Reader<'_>) -> Result<Running, Reason> {
        let (mut sequence, mut manifest, mut version) = (None, None, None);
        for _ in 0..reader.map()? {
            match field(reader)? {
                1 => sequence = Some(SequenceNumber(reader.u64()?)),
                2 => manifest = Some(Sha256Digest(reader.bytes_of()?)),
                3 => version = Some(text(reader)?),
                _ => return Err(Reason::UnknownField),
            }
        }
        Ok(Running {
            sequence: required(sequence)?,
            manifest: required(manifest)?,
            version: required(version)?,
        })
    }

    fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        out.map(3)?;
        out.u64(1)?.u64(self.sequence.0)?;
        out.u64(2)?.bytes(&self.manifest.0)?;
        out.u64(3)?.text(self.version.as_str()).map(drop)
    }
}

/// The state of an update, at the device and at the hub alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UpdateState {
    /// The order was accepted.
    Offered,
    /// Its payloads are being fetched.
    Downloading,
    /// Slot and slot record are written.
    Written,
    /// The slot is armed for its first boot, or has booted and is not confirmed.
    Trial,
    /// Booted, healthy, floor written. Terminal; the only success.
    Confirmed,
    /// Not begun, with a reason. Terminal.
    Refused,
    /// Ended before the trial, with a reason. Terminal.
    Failed,
    /// The trial ended and the device went back. Terminal.
    Reverted,
}

impl UpdateState {
    /// Every state; the number on the wire is the position, from 1.
    pub const ALL: [UpdateState; 8] = [
        UpdateState::Offered,
        UpdateState::Downloading,
        UpdateState::Written,
        UpdateState::Trial,
        UpdateState::Confirmed,
        UpdateState::Refused,
        UpdateState::Failed,
        UpdateState::Reverted,
    ];

    /// The number on the wire: 1 to 8.
    pub const fn number(self) -> u64 {
        match self {
            UpdateState::Offered => 1,
            UpdateState::Downloading => 2,
            UpdateState::Written => 3,
            UpdateState::Trial => 4,
            UpdateState::Confirmed => 5,
            UpdateState::Refused => 6,
            UpdateState::Failed => 7,
            UpdateState::Reverted => 8,
        }
    }

    /// The name for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            UpdateState::Offered => "offered",
            UpdateState::Downloading => "downloading",
            UpdateState::Written => "written",
            UpdateState::Trial => "trial",
            UpdateState::Confirmed => "confirmed",
            UpdateState::Refused => "refused",
            UpdateState::Failed => "failed",
            UpdateState::Reverted => "reverted",
        }
    }

    /// The state with this name.
    ///
    /// # Errors
    /// `malformed`.
    pub fn from_name(name: &str) -> Result<UpdateState, Reason> {
        UpdateState::ALL.into_iter().find(|state| state.name() == name).ok_or(Reason::Malformed)
    }

    /// Has the update ended?
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            UpdateState::Confirmed
                | UpdateState::Refused
                | UpdateState::Failed
                | UpdateState::Reverted
        )
    }

    /// Does this state come with a reason? Exactly the terminal ones without success do.
    pub const fn has_reason(self) -> bool {
        matches!(self, UpdateState::Refused | UpdateState::Failed | UpdateState::Reverted)
    }

    /// May an update go from this state to the next one in a report? Phases may be skipped, for a
    /// report may be lost; none is ever taken back. The same state again is not a move.
    pub const fn may_become(self, next: UpdateState) -> bool {
        match (self, next) {
            (state, _) if state.is_terminal() => false,
            (UpdateState::Trial, UpdateState::Refused | UpdateState::Failed) => false,
            (UpdateState::Trial, UpdateState::Confirmed | UpdateState::Reverted) => true,
            (_, next) if next.is_terminal() => true,
            (from, to) => from.number() < to.number(),
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<UpdateState, Reason> {
        let number = reader.u64()?;
        let state = UpdateState::ALL.into_iter().find(|state| state.number() == number);
        state.ok_or(Reason::Unsupported)
    }
}

impl fmt::Display for UpdateState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The update in progress, or the result of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateStatus {
    /// The order.
    pub order: OrderNumber,
    /// How far it is.
    pub state: UpdateState,
    /// Why it ended without success; present exactly then.
    pub reason: Option<ReasonCode>,
}

impl UpdateStatus {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<UpdateStatus, Reason> {
        let (mut order, mut state, mut reason) = (None, None, None);
        for _ in 0..reader.map()? {
            match field(reader)? {
                1 => order = Some(OrderNumber(reader.u64()?)),
                2 => state = Some(UpdateState::read(reader)?),
                3 => reason = Some(ReasonCode::read(reader)?),
                _ => return Err(Reason::UnknownField),
            }
        }
        let state = required(state)?;
        if state.has_reason() != reason.is_some() {
            return Err(Reason::Malformed);
        }
        Ok(UpdateStatus { order: required(order)?, state, reason })
    }

    pub(crate) fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        out.map(2 + u64::from(self.reason.is_some()))?;
        out.u64(1)?.u64(self.order.0)?;
        out.u64(2)?.u64(self.state.number())?;
        if let Some(reason) = &self.reason {
            out.u64(3)?.text(reason.as_str())?;
        }
        Ok(())
    }
}

/// A reason code on the wire: 1 to 40 lower-case letters, digits and hyphens. It may be one that
/// only a newer version knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReasonCode(Text<40>);

impl ReasonCode {
    /// Takes a code.
    ///
    /// # Errors
    /// `malformed`, `too-large`.
    pub fn new(code: &str) -> Result<ReasonCode, Reason> {
        let text = Text::new(code)?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if code.is_empty() || !code.bytes().all(plain) {
            return Err(Reason::Malformed);
        }
        Ok(ReasonCode(text))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The reason with this code; none if this version does not know it.
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_code(self.as_str())
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<ReasonCode, Reason> {
        ReasonCode::new(reader.text()?)
    }
}

impl From<Reason> for ReasonCode {
    fn from(reason: Reason) -> ReasonCode {
        ReasonCode(Text::lossy(reason.code()))
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
