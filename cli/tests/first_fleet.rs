//! What the shortcuts refuse. That they do what they say is shown by the pages in docs/, which
//! `tests/documents.rs` runs.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::Bench;

const FIRST_FLEET: &str = "pki first-fleet --name acme --hub-address hub.acme.example:8443 --product acme.example/gateway";
const FOLDERS: [&str; 6] = ["people", "root", "backup-root", "hub", "station", "operator"];

#[test]
fn a_first_fleet_is_not_made_for_this_machine_only_nor_over_what_is_there() {
    let bench = Bench::new();
    for address in ["localhost:8443", "127.0.0.1", "192.0.2.7:8443"] {
        bench
            .run(&FIRST_FLEET.replace("hub.acme.example:8443", address))
            .refused("uri-not-allowed");
    }
    fs::create_dir(bench.path("root")).unwrap();
    fs::write(bench.path("root/root.sealed"), "an earlier root").unwrap();
    bench.run(FIRST_FLEET).refused("already-exists");
    assert_eq!(fs::read(bench.path("root/root.sealed")).unwrap(), b"an earlier root");
    fs::remove_dir_all(bench.path("root")).unwrap();
    // A step that fails takes the others back.
    bench.run(&format!("{FIRST_FLEET} --site a/b")).wrong_usage("cannot be a site's name");
    assert!(FOLDERS.iter().all(|folder| !bench.path(folder).exists()));

    let made = bench.ok(&format!("{FIRST_FLEET} --json")).json();
    assert_eq!(made["operators"], "hub.acme.example:8444");
    assert!(FOLDERS.iter().all(|folder| bench.path(folder).exists()));

    bring_up_refuses_what_it_cannot_finish(&bench);
    only_the_pin_beside_a_key_that_its_owner_alone_can_read_opens_it(&bench);
    only_a_site_that_is_there_can_be_dropped(&bench);
}

fn bring_up_refuses_what_it_cannot_finish(bench: &Bench) {
    let bring_up = "--dir operator factory bring-up device --device dev-1";
    bench.run(&format!("{bring_up} --restart true")).wrong_usage("--health");
    // The hub is asked before anything is begun; it does not serve.
    let ran = bench.run(&format!("{bring_up} --restart true --health true"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(!bench.path("device").exists(), "{ran:?}");
}

fn only_the_pin_beside_a_key_that_its_owner_alone_can_read_opens_it(bench: &Bench) {
    fs::write(bench.path("payload"), "a payload").unwrap();
    let new = "release new payload --product acme.example/gateway --key people/release-1.sealed";
    let signed = bench.ok(&format!("{new} --version 1.0 --json")).json();
    assert_eq!(signed["signatures"], 1);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(bench.path("people/release-1.pin"), open).unwrap();
    bench.run(&format!("{new} --version 1.1")).failed("release-1.pin");
    fs::remove_file(bench.path("people/release-1.pin")).unwrap();
    bench.run(&format!("{new} --version 1.2")).failed("no passphrase");
}

fn only_a_site_that_is_there_can_be_dropped(bench: &Bench) {
    let drop = "pki anchors new --from hub/anchors --drop-site";
    bench.run(&format!("{drop} nowhere")).refused("not-found");
    assert!(!bench.path("hub/anchors/2.cbor").exists());
    bench.ok(&format!("{drop} bench"));
    let shown = bench.ok("pki anchors inspect hub/anchors/2.cbor").out;
    assert!(!shown.contains("station bench"), "{shown}");
}
