//! Releases of a quickstart: built, signed by two people, published, deployed, waited for.

use std::time::Instant;

use ringfort_api::client::After;
use ringfort_api::model::Target;
use serde_json::Value;

use super::commands::{Answer, Ringfort};
use super::devices::Payload;
use super::layout::Layout;
use super::setup::{PRODUCT, pin, sealed, text, words};
use super::{PATIENCE, not_interrupted};
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;

/// Builds a release and has these people sign it. `sequence` is the Unix time unless given.
pub fn build(
    ringfort: &Ringfort,
    layout: &Layout,
    payload: &Payload,
    version: &str,
    sequence: Option<u64>,
    signers: &[&str],
) -> Outcome<Value> {
    let folder = text(&layout.release(version));
    let sequence = sequence.map_or_else(String::new, |number| format!("--sequence={number}"));
    let mut arguments = words(&[
        "release new",
        &text(&payload.file),
        "--product",
        PRODUCT,
        "--version",
        version,
        "--out",
        &folder,
    ]);
    arguments.extend((!sequence.is_empty()).then_some(sequence));
    let made = ringfort.must(&arguments)?;
    for signer in signers {
        ringfort.must(&words(&[
            "release sign",
            &folder,
            "--key",
            &sealed(layout, signer),
            "--pin-file",
            &pin(layout, signer),
        ]))?;
    }
    Ok(made)
}

/// Hands a release to the hub; a refusal is an answer.
pub fn publish(ringfort: &Ringfort, layout: &Layout, version: &str) -> Outcome<Answer> {
    ringfort.ask(&words(&[
        "release publish",
        &text(&layout.release(version)),
        "--dir",
        &text(layout.root()),
    ]))
}

/// Offers a published release to one device, or to all of its class; a refusal is an answer.
pub fn deploy(
    ringfort: &Ringfort,
    layout: &Layout,
    version: &str,
    device: Option<&str>,
) -> Outcome<Answer> {
    let mut arguments = words(&[
        "--dir",
        &text(layout.root()),
        "deploy create --release",
        &text(&layout.release(version)),
    ]);
    arguments.extend(device.map(|id| format!("--device={id}")));
    ringfort.ask(&arguments)
}

/// Waits until every device of a deployment is in a state that `reached` takes.
pub fn wait(
    operator: &Operator,
    deployment: &str,
    what: &str,
    reached: impl Fn(&Target) -> bool,
) -> Outcome<Vec<Target>> {
    let deadline = Instant::now() + PATIENCE;
    let page = After { after: None, limit: Some(100) };
    loop {
        let targets = operator.wait(operator.client().targets(deployment, &page))?.items;
        if !targets.is_empty() && targets.iter().all(&reached) {
            return Ok(targets);
        }
        if Instant::now() >= deadline {
            let seen: Vec<String> = targets.iter().map(shown).collect();
            return Err(Failure::failed(
                format!("no {what} within {} s", PATIENCE.as_secs()),
                format!("The hub shows {}.", seen.join(", ")),
                "Look at the files in the folder log.",
            ));
        }
        not_interrupted()?;
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Whether a device's way through a deployment has come to its end.
pub fn ended(target: &Target) -> bool {
    ["confirmed", "refused", "failed", "reverted"].contains(&target.state.as_str())
}

/// A text member of a JSON value; empty when it is not there.
pub fn member<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn shown(target: &Target) -> String {
    let reason = target.reason.as_deref().map(|code| format!(" [{code}]")).unwrap_or_default();
    format!("{} {}{reason}", target.device, target.state)
}
