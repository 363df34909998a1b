//! Where a hub is met, what its backup is worth, and what is wrong with it.

use std::fs;
use std::process::Command;

use crate::pages::{Section, Team, blocks, is_inside, trust};
use crate::pebble::{Habits, Pebble};

#[test]
fn devices_and_people_share_port_443_and_people_meet_a_public_certificate() {
    if !is_inside("hub::devices_and_people_share_port_443_and_people_meet_a_public_certificate") {
        return;
    }
    let mut team = Team::new();
    // The same first fleet, whose devices are told the usual port.
    for mut block in blocks("first-fleet.md").into_iter().filter(|block| block.numbered).take(3) {
        block.text = block.text.replace(":8443", "");
        team.run(&block);
    }
    team.hasten("device");
    team.stop("hub serve");

    let mut page = Section::of(PAGE, "Addresses and ports");
    team.set("hub/hub.toml", &page.next());
    public_certificate(&team);
    let credentials = team.home("credentials").display().to_string();
    team.environment.push(("CREDENTIALS_DIRECTORY", credentials));
    team.start("hub serve");
    team.set("operator/operator.toml", &page.next());
    team.ok("ringfort --dir operator device list");
    // Devices are met at the same port with what the anchors name.
    for block in blocks("first-fleet.md").into_iter().filter(|block| block.numbered).skip(3) {
        team.run(&block);
    }
    team.stop("hub serve");

    let mut page = Section::of(PAGE, "A certificate by ACME");
    let habits = Habits { tls_port: 443, lifetime_s: 90 * 86_400, blocked: &[] };
    let pebble = Pebble::start(&team.home("pebble"), &habits);
    // Address and terms are an authority's own.
    let mut block = page.next();
    for (of_the_page, own) in [
        ("https://acme.example.org/directory", &pebble.directory),
        ("https://acme.example.org/terms-2026.pdf", &pebble.terms()),
    ] {
        assert!(block.text.contains(of_the_page), "{}", block.text);
        block.text = block.text.replace(of_the_page, own);
    }
    team.set("hub/hub.toml", &block);
    trust(&(fs::read_to_string(pebble.trust()).unwrap() + &pebble.root()));
    team.start("hub serve");
    let list = "ringfort --dir operator device list";
    team.wait("people meet the authority's certificate", || team.try_run(list).0);
    for file in ["hub/keys/acme-account.sealed", "hub/acme/people.pem", "hub/acme/state.json"] {
        assert!(team.home(file).exists(), "{file}");
    }
    team.until_heard("gw-0001");
}

/// What an authority that everybody trusts would issue, where the page says that it lies.
fn public_certificate(team: &Team) {
    let made = team.ok("mkdir hub/people public credentials
         openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
             -subj '/CN=A public authority' -keyout public/ca.key -out public/ca.pem
         openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
             -subj '/CN=people.acme.example' -keyout credentials/people-key -out public/people.csr
         echo 'subjectAltName=DNS:people.acme.example' > public/names
         openssl x509 -req -in public/people.csr -CA public/ca.pem -CAkey public/ca.key \
             -CAcreateserial -days 20 -extfile public/names -out hub/people/fullchain.pem
         chmod 600 credentials/people-key");
    assert!(!made.contains("error"), "{made}");
    trust(&fs::read_to_string(team.home("public/ca.pem")).unwrap());
}

#[test]
fn a_hub_is_backed_up_lost_restored_and_examined() {
    if !is_inside("hub::a_hub_is_backed_up_lost_restored_and_examined") {
        return;
    }
    let mut team = Team::with_a_first_fleet();
    team.ok("ringfort --dir operator factory bring-up second --device gw-0002 \
             --restart true --health true");
    let mut page = Section::of(PAGE, "Back up");
    team.run(&page.next());
    team.run(&page.next());
    drop(page);
    // What opens the keys is not in it.
    let pin = fs::read_to_string(team.home("hub/pin")).unwrap();
    let found = Command::new("grep").args(["-r", "-F", "-q", pin.trim(), "/mnt"]).status().unwrap();
    assert_eq!(found.code(), Some(1), "the backup holds the PIN");

    // What the backup does not know, and then the machine is gone.
    team.ok("ringfort --dir operator device move gw-0002 --to retired --note stolen");
    team.ok("ringfort --dir operator device list");
    team.stop("hub serve");
    team.ok("mv hub lost");
    let mut page = Section::of(PAGE, "Restore");
    team.run(&page.next());
    let serve = page.next();
    assert_eq!(serve.text, "ringfort hub serve --dir hub");
    team.run(&serve);
    team.until("gw-0002", "known as before", |shown| shown["device"]["state"] == "provisioned");
    let said = team.ok("ringfort --dir operator device list");
    assert!(said.contains("is not the one that was seen"), "{said}");
    let (_, findings) = team.try_run("ringfort hub doctor --dir hub");
    assert!(findings.contains("restore-not-acknowledged"), "{findings}");
    let agent = || team.heard("ringfort-agent");
    team.until("gw-0001", "it is told", |_| agent().contains("hub-restored"));
    // One word leads from the device's log to the hub's, as "Logs" says.
    let said = agent();
    let (_, exchange) = said.rsplit_once("exchange=").expect("the agent logs its exchanges");
    let word = exchange.trim_start_matches('"');
    let word = &word[..word.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap()];
    assert!(word.len() >= 8, "{exchange}");
    let hub = team.heard("hub serve --dir hub");
    assert!(hub.contains(word), "{word} in {hub}");
    team.run(&page.next());
    let said = team.ok("ringfort --dir operator device list");
    assert!(said.contains("retired") && !said.contains("warning"), "{said}");
    // The device goes on, and takes what is signed and ordered after it.
    team.ok("ringfort release new /bin/date --product acme.example/gateway --version 1.1 \
             --key people/release-1.sealed people/release-2.sealed");
    team.ok("ringfort --dir operator deploy create --release release-1.1 --publish \
             --device gw-0001 --wait 300");

    let mut page = Section::of(PAGE, "See what is wrong");
    let said = team.run(&page.next());
    assert!(said.contains("That is what to look at.") && said.contains("That, too."), "{said}");
    assert!(said.contains("no-spare-address"), "{said}");
    let found: serde_json::Value =
        serde_json::from_slice(&fs::read(team.home("findings.json")).unwrap()).unwrap();
    let findings = found["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["next_step"].is_string()), "{found}");
    assert!(!findings.iter().any(|finding| finding["fault"] == "restore-not-acknowledged"));
}

const PAGE: &str = "operate.md";
