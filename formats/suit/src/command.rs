//! Command sequences.

use ringfort_cose::Reason;
use ringfort_cose::cbor::{Kind, Reader, WellFormed};

use crate::limits;
use crate::parameter::Parameters;

/// An encoded command sequence. One that came out of a parsed envelope has been read to its end,
/// nested ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence<'b>(pub(crate) &'b [u8]);

impl<'b> Sequence<'b> {
    /// The commands, in order.
    pub fn commands(&self) -> Commands<'b> {
        let opened = WellFormed::read(self.0).and_then(|mut reader| {
            let elements = reader.array()?;
            if !elements.is_multiple_of(2) {
                return Err(Reason::Malformed);
            }
            Ok((reader, elements / 2))
        });
        match opened {
            Ok((reader, left)) => Commands { reader: Ok(reader), left },
            Err(reason) => Commands { reader: Err(reason), left: 1 },
        }
    }

    pub(crate) fn check(&self, depth: u8, budget: &mut Budget) -> Result<(), Reason> {
        if depth > limits::NESTING {
            return Err(Reason::TooLarge);
        }
        for command in self.commands() {
            budget.spend()?;
            match command? {
                Command::OverrideParameters(parameters) => {
                    parameters.iter().try_for_each(|parameter| parameter.map(drop))?;
                }
                Command::RunSequence(sequence) => sequence.check(depth + 1, budget)?,
                Command::TryEach(branches) => {
                    for branch in branches.iter() {
                        branch?.map_or(Ok(()), |branch| branch.check(depth + 1, budget))?;
                    }
                }
                Command::SetComponentIndex(index) => {
                    index.iter().try_for_each(|index| index.map(drop))?;
                }
                Command::Condition(..) | Command::Action(..) => {}
            }
        }
        Ok(())
    }
}

/// How many commands may still be read.
pub(crate) struct Budget(u32);

impl Budget {
    pub(crate) fn full() -> Budget {
        Budget(limits::COMMANDS)
    }

    pub(crate) fn spend(&mut self) -> Result<(), Reason> {
        self.0 = self.0.checked_sub(1).ok_or(Reason::TooLarge)?;
        Ok(())
    }
}

/// Iterates over the commands of a sequence; ends after the first error.
#[derive(Clone, Debug)]
pub struct Commands<'b> {
    reader: Result<Reader<'b>, Reason>,
    left: u64,
}

impl<'b> Iterator for Commands<'b> {
    type Item = Result<Command<'b>, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let command = match &mut self.reader {
            Ok(reader) => Command::read(reader),
            Err(reason) => Err(*reason),
        };
        if command.is_err() {
            self.left = 0;
        }
        Some(command)
    }
}

/// One command with its argument. Reporting policies are the four bits of SUIT_Rep_Policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'b> {
    /// Something that has to hold, and its reporting policy.
    Condition(Condition, u8),
    /// Something to do, and its reporting policy.
    Action(Action, u8),
    /// Which components the commands that follow speak of.
    SetComponentIndex(Index<'b>),
    /// Sets parameters.
    OverrideParameters(Parameters<'b>),
    /// Runs the first of several sequences that does not fail.
    TryEach(TryEach<'b>),
    /// Runs a sequence.
    RunSequence(Sequence<'b>),
}

impl<'b> Command<'b> {
    fn read(reader: &mut Reader<'b>) -> Result<Command<'b>, Reason> {
        let code = reader.i64()?;
        if let Some(condition) = Condition::from_code(code) {
            return Ok(Command::Condition(condition, read_policy(reader)?));
        }
        if let Some(action) = Action::from_code(code) {
            return Ok(Command::Action(action, read_policy(reader)?));
        }
        match code {
            SET_COMPONENT_INDEX => Index::read(reader).map(Command::SetComponentIndex),
            OVERRIDE_PARAMETERS => Parameters::read(reader).map(Command::OverrideParameters),
            TRY_EACH => TryEach::read(reader).map(Command::TryEach),
            RUN_SEQUENCE => reader.bytes().map(Sequence).map(Command::RunSequence),
            _ => Err(Reason::Unsupported),
        }
    }
}

fn read_policy(reader: &mut Reader<'_>) -> Result<u8, Reason> {
    let policy = reader.u8()?;
    if policy > 0x0f { Err(Reason::Malformed) } else { Ok(policy) }
}

/// A condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The component is of the vendor in the parameters.
    VendorIdentifier,
    /// The component is of the class in the parameters.
    ClassIdentifier,
    /// The component holds the image whose digest and size stand in the parameters.
    ImageMatch,
    /// The component is to be written to the slot in the parameters.
    ComponentSlot,
    /// The component holds the content in the parameters.
    CheckContent,
    /// Never holds.
    Abort,
    /// The device is the one in the parameters.
    DeviceIdentifier,
    /// The component's version compares as the parameters say
    /// (draft-ietf-suit-update-management).
    Version,
}

impl Condition {
    /// The command's code.
    pub const fn code(self) -> i64 {
        match self {
            Condition::VendorIdentifier => 1,
            Condition::ClassIdentifier => 2,
            Condition::ImageMatch => 3,
            Condition::ComponentSlot => 5,
            Condition::CheckContent => 6,
            Condition::Abort => 14,
            Condition::DeviceIdentifier => 24,
            Condition::Version => 28,
        }
    }

    fn from_code(code: i64) -> Option<Condition> {
        let all = [
            Condition::VendorIdentifier,
            Condition::ClassIdentifier,
            Condition::ImageMatch,
            Condition::ComponentSlot,
            Condition::CheckContent,
            Condition::Abort,
            Condition::DeviceIdentifier,
            Condition::Version,
        ];
        all.into_iter().find(|condition| condition.code() == code)
    }
}

/// A directive whose only argument is its reporting policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write the content in the parameters.
    Write,
    /// Fetch from the URI in the parameters.
    Fetch,
    /// Copy from the source component.
    Copy,
    /// Start the component.
    Invoke,
    /// Swap with the source component.
    Swap,
}

impl Action {
    /// The command's code.
    pub const fn code(self) -> i64 {
        match self {
            Action::Write => 18,
            Action::Fetch => 21,
            Action::Copy => 22,
            Action::Invoke => 23,
            Action::Swap => 31,
        }
    }

    fn from_code(code: i64) -> Option<Action> {
        let all = [Action::Write, Action::Fetch, Action::Copy, Action::Invoke, Action::Swap];
        all.into_iter().find(|action| action.code() == code)
    }
}

/// Which components: one, several, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index<'b> {
    /// All of them.
    All,
    /// The one at this position.
    One(u64),
    /// Those in this encoded array of positions.
    Several(&'b [u8]),
}

impl<'b> Index<'b> {
    fn read(reader: &mut Reader<'b>) -> Result<Index<'b>, Reason> {
        match reader.kind()? {
            Kind::Unsigned => reader.u64().map(Index::One),
            Kind::Bool if reader.bool()? => Ok(Index::All),
            Kind::Array => reader.raw().map(Index::Several),
            _ => Err(Reason::Malformed),
        }
    }

    /// The positions named; nothing for [`Index::All`].
    pub fn iter(&self) -> impl Iterator<Item = Result<u64, Reason>> + use<'b> {
        let (one, list) = match *self {
            Index::All => (None, None),
            Index::One(index) => (Some(index), None),
            Index::Several(array) => (None, Some(array)),
        };
        let mut opened = list.map(|array| {
            let mut reader = WellFormed::read(array)?;
            let count = reader.array()?;
            if count == 0 { Err(Reason::Malformed) } else { Ok((reader, count)) }
        });
        let several = core::iter::from_fn(move || match opened.take()? {
            Ok((_, 0)) => None,
            Ok((mut reader, left)) => {
                let index = reader.u64();
                opened = index.is_ok().then_some(Ok((reader, left - 1)));
                Some(index)
            }
            Err(reason) => Some(Err(reason)),
        });
        one.into_iter().map(Ok).chain(several)
    }
}

/// The sequences of a try-each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryEach<'b> {
    /// The encoded array.
    array: &'b [u8],
}

impl<'b> TryEach<'b> {
    fn read(reader: &mut Reader<'b>) -> Result<TryEach<'b>, Reason> {
        let array = reader.raw()?;
        let mut inner = WellFormed::read(array)?;
        let count = inner.array()?;
        for position in 1..=count {
            match inner.kind()? {
                // Only the last may be null.
                Kind::Null if position == count && count > 1 => inner.null()?,
                _ => drop(inner.bytes()?),
            }
        }
        if count == 0 { Err(Reason::Malformed) } else { Ok(TryEach { array }) }
    }

    /// The sequences, in order; a last `None` means that it is no failure if none succeeds.
    pub fn iter(&self) -> impl Iterator<Item = Result<Option<Sequence<'b>>, Reason>> + use<'b> {
        let mut reader = WellFormed::read(self.array);
        let count = reader.as_mut().map_or(1, |reader| reader.array().unwrap_or(0));
        (0..count).map(move |_| {
            let reader = reader.as_mut().map_err(|reason| *reason)?;
            match reader.kind()? {
                Kind::Null => reader.null().map(|()| None),
                _ => reader.bytes().map(|bytes| Some(Sequence(bytes))),
            }
        })
    }
}

// Codes of the directives with arguments of their own.
pub(crate) const SET_COMPONENT_INDEX: i64 = 12;
pub(crate) const TRY_EACH: i64 = 15;
pub(crate) const OVERRIDE_PARAMETERS: i64 = 20;
pub(crate) const RUN_SEQUENCE: i64 = 32;
