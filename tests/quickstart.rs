//! The first thing a newcomer runs, run as he runs it: the real executable, real processes, real
//! sockets on loopback.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

fn quickstart(folder: &Path, payload: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_ringfort"))
        .args(["quickstart", "--json", "--dir"])
        .arg(folder)
        .arg("--payload")
        .arg(payload)
        .stdin(Stdio::null())
        .output()
        .expect("quickstart starts");
    assert!(
        output.status.success(),
        "quickstart failed: {}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    serde_json::from_slice(&output.stdout).expect("standard output is one JSON object")
}

#[test]
fn c33_one_command_leads_from_the_factory_to_confirmed_updates_and_refused_attacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let payload = folder.path().join("firmware.bin");
    std::fs::write(&payload, vec![0x5a; 300_000]).expect("a payload");
    let place = folder.path().join("q");

    let first = quickstart(&place, &payload);
    check(&first, "1.1");
    one_exchange_has_one_id_in_both_logs(&place);

    // The same folder again: the same devices take the next release.
    let second = quickstart(&place, &payload);
    check(&second, "1.2");
    assert_eq!(ids(&first), ids(&second));
}

fn check(object: &Value, release: &str) {
    let devices = object["devices"].as_array().expect("devices");
    assert_eq!(devices.len(), 2);
    for device in devices {
        assert_eq!(device["update"], "confirmed", "{device}");
        assert_eq!(device["lifecycle"], "deployed", "{device}");
        assert_eq!(device["release"], release, "{device}");
    }
    // The tests install SoftHSM: the second device must hold its keys in it.
    assert_eq!(devices[0]["key_store"], "sealed-file");
    assert_eq!(devices[1]["key_store"], "pkcs11");
    assert_eq!(
        object["refusals"],
        serde_json::json!({
            "wrong-signer": "untrusted-signer",
            "older-version": "sequence-too-low",
            "cloned-key": "key-already-known",
            "no-client-certificate": "no-client-certificate",
            "written-not-booted": "trial-not-confirmed",
        })
    );
    assert!(object["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    assert!(object["hub_rss_mib"].as_u64().is_some_and(|mib| mib > 0));
}

/// What the hub calls an exchange is what the device calls it.
fn one_exchange_has_one_id_in_both_logs(place: &Path) {
    let log = |name: &str| {
        let path = place.join("log").join(format!("{name}.log"));
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let (hub, device) = (log("hub"), log("dev-a"));
    let named: Vec<&str> = device
        .split("exchange=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|id| id.len() == 32)
        .collect();
    assert!(named.len() > 3, "the device names its exchanges: {device}");
    for id in named {
        assert!(hub.contains(&format!("id={id}")), "{id} is not in the hub's log");
    }
}

fn ids(object: &Value) -> Vec<&str> {
    let devices = object["devices"].as_array().expect("devices");
    devices.iter().filter_map(|device| device["id"].as_str()).collect()
}
