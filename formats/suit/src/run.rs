//! Running command sequences.

use ringfort_cose::{Reason, Sha256Digest};

use crate::command::{Action, Budget, Command, Condition, Index, Sequence};
use crate::limits;
use crate::manifest::{ComponentId, Manifest, Member};
use crate::parameter::Parameter;

/// Which sequence to run. The shared sequence runs before each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Phase {
    PayloadFetch,
    Install,
    Validate,
    Load,
    Invoke,
}

/// What a device answers and does. Each call gets the component with the parameters set so far.
/// An error ends the run, unless it is a condition's inside a try-each.
pub trait Platform<'b> {
    /// Is the component of `target.vendor`?
    ///
    /// # Errors
    /// `wrong-device`.
    fn vendor_identifier(&mut self, target: &Target<'b>) -> Result<(), Reason>;

    /// Is the component of `target.class`?
    ///
    /// # Errors
    /// `wrong-device`.
    fn class_identifier(&mut self, target: &Target<'b>) -> Result<(), Reason>;

    /// Is this `target.device`?
    ///
    /// # Errors
    /// `wrong-recipient`.
    fn device_identifier(&mut self, target: &Target<'b>) -> Result<(), Reason>;

    /// Will the component be written to `target.slot`?
    ///
    /// # Errors
    /// `wrong-device`.
    fn component_slot(&mut self, target: &Target<'b>) -> Result<(), Reason>;

    /// Does the component hold the image of `target.digest` and `target.size`?
    ///
    /// # Errors
    /// `image-digest`, `image-size`.
    fn image_match(&mut self, target: &Target<'b>) -> Result<(), Reason>;

    /// Fetches `target.uri` into the component.
    ///
    /// # Errors
    /// Whatever stands in the way.
    fn fetch(&mut self, target: &Target<'b>) -> Result<(), Reason>;

    /// Starts the component.
    ///
    /// # Errors
    /// Whatever stands in the way.
    fn invoke(&mut self, target: &Target<'b>) -> Result<(), Reason>;
}

/// A component with the parameters that are set for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'b> {
    /// Position in the manifest's list of components.
    pub index: usize,
    /// The component.
    pub id: ComponentId<'b>,
    /// Vendor UUID.
    pub vendor: Option<[u8; 16]>,
    /// Class UUID.
    pub class: Option<[u8; 16]>,
    /// Device UUID.
    pub device: Option<[u8; 16]>,
    /// Digest of the image.
    pub digest: Option<Sha256Digest>,
    /// Size of the image in bytes.
    pub size: Option<u64>,
    /// The slot.
    pub slot: Option<u64>,
    /// Where to fetch from.
    pub uri: Option<&'b str>,
    /// Arguments of invoke.
    pub invoke_arguments: Option<&'b [u8]>,
}

impl Target<'_> {
    const NONE: Target<'static> = Target {
        index: 0,
        id: ComponentId::NONE,
        vendor: None,
        class: None,
        device: None,
        digest: None,
        size: None,
        slot: None,
        uri: None,
        invoke_arguments: None,
    };
}

/// Can every command of the manifest be executed? Nothing is executed.
///
/// Executed are: set-component-index, override-parameters, try-each of conditions and parameters,
/// run-sequence, fetch, invoke, abort, and the conditions that [`Platform`] answers.
///
/// # Errors
/// `unsupported` for every other command or parameter, `malformed` for a component beyond the list.
pub fn check(manifest: &Manifest<'_>) -> Result<(), Reason> {
    manifest.sequences().try_for_each(|sequence| check_sequence(manifest, sequence, false))
}

/// Runs the shared sequence and that of the phase, for each phase given. The whole manifest is
/// checked first, so that nothing is executed if anything is unsupported.
///
/// # Errors
/// As [`check`]; `not-found` when a severed sequence was left out; else what the platform says.
pub fn run<'b>(
    manifest: &Manifest<'b>,
    phases: &[Phase],
    platform: &mut (impl Platform<'b> + ?Sized),
) -> Result<(), Reason> {
    check(manifest)?;
    for phase in phases {
        if let Some(sequence) = of_phase(manifest, *phase)? {
            let mut machine = Machine::new(manifest, platform)?;
            if let Some(shared) = manifest.shared {
                machine.run(shared)?;
            }
            machine.run(sequence)?;
        }
    }
    Ok(())
}

fn of_phase<'b>(manifest: &Manifest<'b>, phase: Phase) -> Result<Option<Sequence<'b>>, Reason> {
    let severable = |member: Option<Member<'b>>| match member {
        None => Ok(None),
        Some(member) => Ok(Some(Sequence(member.content().ok_or(Reason::NotFound)?))),
    };
    match phase {
        Phase::PayloadFetch => severable(manifest.payload_fetch),
        Phase::Install => severable(manifest.install),
        Phase::Validate => Ok(manifest.validate),
        Phase::Load => Ok(manifest.load),
        Phase::Invoke => Ok(manifest.invoke),
    }
}

fn check_sequence(
    manifest: &Manifest<'_>,
    sequence: Sequence<'_>,
    in_try_each: bool,
) -> Result<(), Reason> {
    for command in sequence.commands() {
        match command? {
            Command::Condition(Condition::CheckContent | Condition::Version, _) => {
                return Err(Reason::Unsupported);
            }
            Command::Condition(..) => {}
            // A branch that fails later must not have done anything.
            Command::Action(Action::Fetch | Action::Invoke, _) if !in_try_each => {}
            Command::Action(..) => return Err(Reason::Unsupported),
            Command::SetComponentIndex(index) => {
                for index in index.iter() {
                    if index? >= manifest.components.count() as u64 {
                        return Err(Reason::Malformed);
                    }
                }
            }
            Command::OverrideParameters(parameters) => {
                for parameter in parameters.iter() {
                    check_parameter(&parameter?)?;
                }
            }
            Command::TryEach(branches) => {
                for branch in branches.iter() {
                    if let Some(branch) = branch? {
                        check_sequence(manifest, branch, true)?;
                    }
                }
            }
            Command::RunSequence(inner) => check_sequence(manifest, inner, in_try_each)?,
        }
    }
    Ok(())
}

fn check_parameter(parameter: &Parameter<'_>) -> Result<(), Reason> {
    match parameter {
        Parameter::VendorIdentifier(_)
        | Parameter::ClassIdentifier(_)
        | Parameter::DeviceIdentifier(_)
        | Parameter::ImageDigest(_)
        | Parameter::ImageSize(_)
        | Parameter::ComponentSlot(_)
        | Parameter::Uri(_)
        | Parameter::InvokeArguments(_) => Ok(()),
        Parameter::StrictOrder(_)
        | Parameter::SoftFailure(_)
        | Parameter::Content(_)
        | Parameter::SourceComponent(_)
        | Parameter::FetchArguments(_)
        | Parameter::Version(_) => Err(Reason::Unsupported),
    }
}

/// The state of one phase.
struct Machine<'b, 'p, P: ?Sized> {
    targets: [Target<'b>; limits::COMPONENTS],
    count: usize,
    /// Which components the next command speaks of, one bit each.
    selected: u32,
    budget: Budget,
    platform: &'p mut P,
}

impl<'b, 'p, P: Platform<'b> + ?Sized> Machine<'b, 'p, P> {
    fn new(manifest: &Manifest<'b>, platform: &'p mut P) -> Result<Machine<'b, 'p, P>, Reason> {
        let mut targets = [Target::NONE; limits::COMPONENTS];
        for (index, (target, id)) in targets.iter_mut().zip(manifest.components.iter()).enumerate()
        {
            (target.index, target.id) = (index, id?);
        }
        let count = manifest.components.count();
        Ok(Machine { targets, count, selected: 1, budget: Budget::full(), platform })
    }

    fn run(&mut self, sequence: Sequence<'b>) -> Result<(), Reason> {
        for command in sequence.commands() {
            self.budget.spend()?;
            match command? {
                Command::Condition(condition, _) => {
                    self.for_each_selected(|platform, target| answer(platform, condition, target))?;
                }
                Command::Action(Action::Fetch, _) => {
                    self.for_each_selected(|platform, target| platform.fetch(target))?;
                }
                Command::Action(Action::Invoke, _) => {
                    self.for_each_selected(|platform, target| platform.invoke(target))?;
                }
                Command::Action(..) => return Err(Reason::Unsupported),
                Command::SetComponentIndex(index) => self.select(index)?,
                Command::OverrideParameters(parameters) => {
                    for parameter in parameters.iter() {
                        let parameter = parameter?;
                        self.for_each_selected(|_, target| set(target, &parameter))?;
                    }
                }
                Command::TryEach(branches) => {
                    let mut verdict = Ok(());
                    for branch in branches.iter() {
                        verdict = branch?.map_or(Ok(()), |branch| self.run(branch));
                        if verdict.is_ok() {
                            break;
                        }
                    }
                    verdict?;
                }
                Command::RunSequence(inner) => self.run(inner)?,
            }
        }
        Ok(())
    }

    fn select(&mut self, index: Index<'b>) -> Result<(), Reason> {
        self.selected = if index == Index::All { u32::MAX } else { 0 };
        for index in index.iter() {
            let index = usize::try_from(index?).map_err(|_| Reason::Malformed)?;
            if index >= self.count {
                return Err(Reason::Malformed);
            }
            self.selected |= 1 << index;
        }
        Ok(())
    }

    fn for_each_selected(
        &mut self,
        mut act: impl FnMut(&mut P, &mut Target<'b>) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let selected = self.selected;
        for target in self.targets.iter_mut().take(self.count) {
            if selected & (1 << target.index) != 0 {
                act(self.platform, target)?;
            }
        }
        Ok(())
    }
}

/// Asks a condition. One whose parameter was never set cannot hold.
fn answer<'b>(
    platform: &mut (impl Platform<'b> + ?Sized),
    condition: Condition,
    target: &Target<'b>,
) -> Result<(), Reason> {
    let set = match condition {
        Condition::VendorIdentifier => target.vendor.is_some(),
        Condition::ClassIdentifier => target.class.is_some(),
        Condition::DeviceIdentifier => target.device.is_some(),
        Condition::ComponentSlot => target.slot.is_some(),
        Condition::ImageMatch => target.digest.is_some(),
        Condition::Abort => return Err(Reason::WrongDevice),
        Condition::CheckContent | Condition::Version => return Err(Reason::Unsupported),
    };
    if !set {
        return Err(Reason::Malformed);
    }
    match condition {
        Condition::VendorIdentifier => platform.vendor_identifier(target),
        Condition::ClassIdentifier => platform.class_identifier(target),
        Condition::DeviceIdentifier => platform.device_identifier(target),
        Condition::ComponentSlot => platform.component_slot(target),
        _ => platform.image_match(target),
    }
}

fn set<'b>(target: &mut Target<'b>, parameter: &Parameter<'b>) -> Result<(), Reason> {
    match *parameter {
        Parameter::VendorIdentifier(uuid) => target.vendor = Some(uuid),
        Parameter::ClassIdentifier(uuid) => target.class = Some(uuid),
        Parameter::DeviceIdentifier(uuid) => target.device = Some(uuid),
        Parameter::ImageDigest(digest) => target.digest = Some(digest),
        Parameter::ImageSize(size) => target.size = Some(size),
        Parameter::ComponentSlot(slot) => target.slot = Some(slot),
        Parameter::Uri(uri) => target.uri = Some(uri),
        Parameter::InvokeArguments(arguments) => target.invoke_arguments = Some(arguments),
        _ => return Err(Reason::Unsupported),
    }
    Ok(())
}
