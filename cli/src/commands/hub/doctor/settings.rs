//! hub.toml, and what it asks of the machine.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::super::config::HubConfig;
use super::fault::{Fault, Finding};
use crate::address::Address;
use crate::commands::pki::record::Record;

/// Looks at the settings; gives them back where they can be read.
pub fn examine(
    directory: &Path,
    record: &Record,
    running: bool,
    findings: &mut Vec<Finding>,
) -> Option<HubConfig> {
    if let Err(failure) = record.fleet_id() {
        findings.push(Finding::new(Fault::SettingsUnreadable, "pki.toml", failure.summary()));
    }
    let config = match HubConfig::read(directory) {
        Ok(config) => config,
        Err(failure) => {
            findings.push(Finding::new(Fault::SettingsUnreadable, "hub.toml", failure.summary()));
            return None;
        }
    };
    if config.approvals < 2 && !record.is_quickstart() {
        let seen = format!("approvals = {}", config.approvals);
        findings.push(Finding::new(Fault::SingleApproval, "hub.toml", seen));
    }
    for (name, listener) in [("devices", &config.devices), ("operators", &config.operators)] {
        match listener.address() {
            Err(failure) => findings.push(Finding::new(
                Fault::SettingsUnreadable,
                format!("hub.toml, {name}"),
                failure.summary(),
            )),
            Ok(address) => findings.extend(judge_address(name, &address, record.is_quickstart())),
        }
        if !running && let Some(seen) = cannot_listen(listener.listen) {
            let at = format!("{name}, {}", listener.listen);
            findings.push(Finding::new(Fault::PortTaken, at, seen));
        }
    }
    Some(config)
}

fn judge_address(name: &str, address: &Address, quickstart: bool) -> Option<Finding> {
    let fault = match (quickstart, address.is_loopback(), address.ip()) {
        (true, ..) | (false, false, None) => return None,
        (false, true, _) => Fault::AddressOfThisMachine,
        (false, false, Some(_)) => Fault::AddressIsNumber,
    };
    Some(Finding::new(fault, format!("hub.toml, {name}"), address.url()))
}

/// Why nothing can listen there now.
fn cannot_listen(address: SocketAddr) -> Option<String> {
    let error = TcpListener::bind(address).err()?;
    Some(match error.kind() {
        ErrorKind::AddrInUse => "another process listens there".to_owned(),
        ErrorKind::PermissionDenied => "this user may not listen there".to_owned(),
        _ => crate::files::sentence(&error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_device_finds_are_named_outside_a_quickstart() {
        let fault = |text: &str, quickstart| {
            judge_address("devices", &Address::parse(text).unwrap(), quickstart)
                .map(|finding| finding.fault)
        };
        assert_eq!(fault("localhost", false), Some("address-of-this-machine"));
        assert_eq!(fault("127.0.0.1", false), Some("address-of-this-machine"));
        assert_eq!(fault("192.0.2.7", false), Some("address-is-number"));
        assert_eq!(fault("hub.example.com", false), None);
        assert_eq!(fault("localhost", true), None);
    }
}
