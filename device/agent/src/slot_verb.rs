//! The four verbs of a product's own program for slots, as the runner runs them.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use ringfort_device::Slot;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::{AgentConfig, SlotsConfig};

/// What the program is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotVerb {
    /// Put the image that was fetched for this slot onto it, durably.
    Write(Slot),
    /// Let the next boot run this slot, on trial; none where nothing was installed before.
    Activate(Option<Slot>),
    /// The slot that runs is to stay.
    Confirm(Slot),
    /// Say which slot the machine runs from.
    Current,
}

impl SlotVerb {
    /// Every one, as a line of the runner's input.
    #[cfg(test)]
    const ALL: [SlotVerb; 8] = [
        SlotVerb::Write(Slot::A),
        SlotVerb::Write(Slot::B),
        SlotVerb::Activate(Some(Slot::A)),
        SlotVerb::Activate(Some(Slot::B)),
        SlotVerb::Activate(None),
        SlotVerb::Confirm(Slot::A),
        SlotVerb::Confirm(Slot::B),
        SlotVerb::Current,
    ];

    /// The verb and its argument.
    pub(crate) fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            SlotVerb::Write(slot) => ("write", Some(slot.name())),
            SlotVerb::Activate(slot) => ("activate", Some(slot.map_or("none", Slot::name))),
            SlotVerb::Confirm(slot) => ("confirm", Some(slot.name())),
            SlotVerb::Current => ("current", None),
        }
    }

    /// The line that asks the runner for it.
    pub(crate) fn line(self) -> String {
        match self.words() {
            (verb, Some(argument)) => format!("{verb} {argument}"),
            (verb, None) => verb.to_owned(),
        }
    }

    /// Reads such a line. Nothing else is ever run.
    pub(crate) fn of_line(line: &str) -> Option<SlotVerb> {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match (verb, argument) {
            ("activate", "none") => Some(SlotVerb::Activate(None)),
            ("activate", slot) => slot_named(slot).map(|slot| SlotVerb::Activate(Some(slot))),
            ("write", slot) => slot_named(slot).map(SlotVerb::Write),
            ("confirm", slot) => slot_named(slot).map(SlotVerb::Confirm),
            ("current", "") => Some(SlotVerb::Current),
            _ => None,
        }
    }

    /// Runs the program of the configuration. What it prints comes back for `current`; for the
    /// others it goes nowhere. What it writes to standard error goes to the log.
    pub(crate) async fn run(self, config: &AgentConfig) -> Result<String, String> {
        let SlotsConfig::Command { command, timeout_seconds, .. } = &config.update.slots else {
            return Err("there is no program for slots".into());
        };
        let (program, arguments) = command.split_first().ok_or("no program")?;
        let failed = |error: std::io::Error| format!("{program}: {error}");
        let (verb, argument) = self.words();
        let input = match self {
            SlotVerb::Write(slot) => {
                let path = config.fetched_image(slot);
                let file = File::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                Stdio::from(file)
            }
            _ => Stdio::null(),
        };
        let output = if self == SlotVerb::Current { Stdio::piped() } else { Stdio::null() };
        let mut child = Command::new(program)
            .args(arguments)
            .arg(verb)
            .args(argument)
            .stdin(input)
            .stdout(output)
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let printed = child.stdout.take();
        let done = async {
            let mut text = Vec::new();
            if let Some(printed) = printed {
                printed.take(MAX_PRINTED).read_to_end(&mut text).await.map_err(failed)?;
            }
            let status = child.wait().await.map_err(failed)?;
            match status.success() {
                true => Ok(String::from_utf8_lossy(&text).trim().to_owned()),
                false => Err(format!("{program} {}: {status}", self.line())),
            }
        };
        match timeout(Duration::from_secs(*timeout_seconds), done).await {
            Ok(result) => result,
            Err(_) => Err(format!("{program} {}: not done in {timeout_seconds} s", self.line())),
        }
    }
}

/// The slot with this name.
pub(crate) fn slot_named(name: &str) -> Option<Slot> {
    [Slot::A, Slot::B].into_iter().find(|slot| slot.name() == name)
}

/// A slot's name is one letter.
const MAX_PRINTED: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_read_as_it_was_written() {
        for verb in SlotVerb::ALL {
            assert_eq!(SlotVerb::of_line(&verb.line()), Some(verb));
        }
    }

    #[test]
    fn nothing_but_the_verbs_is_read() {
        for line in
            ["", "write", "write c", "write none", "write a b", "current a", "erase a", "WRITE a"]
        {
            assert_eq!(SlotVerb::of_line(line), None, "{line}");
        }
    }
}
