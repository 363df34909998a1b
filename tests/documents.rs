//! The pages that a team follows to its first fleet, run as they stand.

#![allow(clippy::unwrap_used)]

mod pages;

use std::fs;

use pages::{Block, Team, blocks, is_inside};

/// Commands of ringfort that lead to a confirmed device, at most.
const COMMANDS: usize = 6;

#[test]
fn c15_a_team_with_a_contractors_factory_follows_its_pages() {
    follow(
        "c15_a_team_with_a_contractors_factory_follows_its_pages",
        &["first-fleet.md", "factory.md"],
    );
}

#[test]
fn a_team_that_signs_in_ci_follows_its_pages() {
    follow("a_team_that_signs_in_ci_follows_its_pages", &["first-fleet.md", "ci.md"]);
}

/// Runs the pages that go on in one folder, in this order, every block of them.
fn follow(test: &str, pages: &[&str]) {
    if !is_inside(test) {
        return;
    }
    let mut team = Team::new();
    for block in pages.iter().flat_map(|page| blocks(page)) {
        match &*block.language {
            "yaml" => sign_in_a_workflow(&team, &block),
            _ => drop(team.run(&block)),
        }
    }
}

/// The step of a workflow, with the secrets that the page says it needs: it makes CI's share of a
/// release, and leaves no key behind.
fn sign_in_a_workflow(team: &Team, block: &Block) {
    let secret = |name: &str| team.ok(&format!("base64 -w0 ci/{name}"));
    let pin = fs::read_to_string(team.home("ci/release-3.pin")).unwrap();
    let build = team.home("../job/build");
    fs::create_dir(&build).unwrap();
    fs::copy("/bin/date", build.join("firmware.bin")).unwrap();
    let environment = [
        ("SEALED", secret("release-3.sealed")),
        ("PIN", pin.trim().to_owned()),
        ("VERSION", "0.9".to_owned()),
    ];
    let folder = team.job(block, &environment);
    assert!(!folder.join("ci").exists(), "the keys are gone");
    let verify = |release: &str| {
        team.try_run(&format!("ringfort release verify {release} --anchors hub/anchors"))
    };
    let (taken, said) = verify("../job/release-0.9");
    assert!(!taken && said.contains("threshold-not-met"), "{said}");
    team.ok("ringfort release sign ../job/release-0.9 --key people/release-1.sealed");
    let (taken, said) = verify("../job/release-0.9");
    assert!(taken, "{said}");
}

#[test]
fn c27_a_first_fleet_takes_six_commands() {
    let before: Vec<Block> =
        blocks("first-fleet.md").into_iter().take_while(|block| block.numbered).collect();
    let commands: Vec<&str> = before
        .iter()
        .flat_map(|block| block.text.lines())
        .filter(|line| !line.starts_with(' '))
        .collect();
    assert!(commands.len() <= COMMANDS, "{commands:?}");
    assert!(commands.iter().all(|command| command.starts_with("ringfort")), "{commands:?}");
    assert!(commands.last().is_some_and(|last| last.contains("--wait")), "{commands:?}");
}
