//! People who come, renew their keys and go.

use std::fs;

use crate::pages::{Section, Team, blocks, is_inside};

#[test]
fn people_come_by_invitation_renew_their_keys_and_go() {
    if !is_inside("people::people_come_by_invitation_renew_their_keys_and_go") {
        return;
    }
    let mut team = Team::new();
    team.run(&blocks("first-fleet.md")[0]);
    // As it lies there before `hub init`, which the page begins with.
    team.ok("rm -r operator hub/hub.toml hub/hub.db*");
    let mut page = Section::of(PAGE, "People");
    team.run(&page.next());
    team.run(&page.next());
    team.run(&page.next());
    assert!(!team.home("admin.invitation").exists(), "it works once");

    team.run(&page.next());
    assert!(!team.home("olga.invitation").exists());
    let added = fs::read_to_string(team.home("ci.pem")).unwrap();
    assert!(added.contains("BEGIN CERTIFICATE"), "{added}");
    team.ok("ringfort --dir olga device list");
    let (let_in, said) = team.try_run("ringfort --dir olga user add eve --role viewer");
    assert!(!let_in && said.contains("role-forbids"), "{said}");
    let said = team.run(&page.next());
    for person in ["admin", "olga", "ci"] {
        assert!(said.contains(person), "{said}");
    }
    let (let_in, said) = team.try_run("ringfort --dir olga device list");
    assert!(!let_in && said.contains("certificate-revoked"), "{said}");

    let before = fs::read_to_string(team.home("operator/operator.toml")).unwrap();
    team.run(&page.next());
    let after = fs::read_to_string(team.home("operator/operator.toml")).unwrap();
    assert!(before.contains("operator.pem") && after.contains("operator-2.pem"), "{after}");
    assert!(team.home("operator/operator.pem").exists(), "it vouches for what was signed");
    team.ok("ringfort --dir operator device list");

    // The machine's certificate asks for more than its share, in one connection, and for thirty at a
    // time: one after the other might take as long as a share takes to fill.
    let many = "curl --silent --noproxy '*' --cacert operator/server-ca.pem --cert ci.pem \
                --key ci.key --parallel --parallel-max 30 --no-progress-meter \
                --output /dev/null --write-out '%{http_code}\\n' \
                'https://hub.acme.example:8444/api/v1/status?[1-400]'";
    let answers = |of: &str, said: &str| said.lines().filter(|line| *line == of).count();
    let said = team.ok(many);
    assert_eq!(answers("200", &said), 400, "{said}");
    let mut block = page.next();
    // Twenty times slower than on the page: a busy machine may not ask for more than its share is.
    assert!(block.text.contains("per_second = 20\n"), "{}", block.text);
    block.text = block.text.replace("per_second = 20\n", "per_second = 1\n");
    team.set("hub/hub.toml", &block);
    team.stop("hub serve");
    team.start("hub serve");
    let said = team.ok(many);
    let (served, refused) = (answers("200", &said), answers("429", &said));
    assert!(served > 0 && refused > 0 && served + refused == 400, "{said}");
    team.ok("ringfort --dir operator device list");
}

const PAGE: &str = "operate.md";
