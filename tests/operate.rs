//! docs/operate.md, run as it stands: each block of commands and settings, in the folder of a team
//! that followed docs/first-fleet.md, with what the page promises of it. The part on ways back is
//! run by tests/ways_back.rs.

#![allow(clippy::unwrap_used)]

#[path = "operate/devices.rs"]
mod devices;
#[path = "operate/hub.rs"]
mod hub;
mod pages;
mod pebble;
#[path = "operate/people.rs"]
mod people;

use pages::blocks;

/// A block that no test runs is a promise that nobody looks at. A scene that takes a section up has
/// to run all of it ([`pages::Section`]); here it is asked whether each section has a scene.
#[test]
fn every_block_of_the_pages_is_run_by_a_test() {
    for page in ["first-fleet.md", "ci.md", "factory.md"] {
        assert!(DOCUMENTS.contains(&format!("\"{page}\"")), "no test follows {page}");
    }
    for block in blocks("operate.md") {
        let named = format!("\"{}\"", block.section);
        let place = format!("{}:{}, {named}", block.page, block.line);
        assert!(SCENES.iter().any(|scene| scene.contains(&named)), "{place}: no scene runs it");
    }
    for page in ["first-fleet.md", "ci.md", "factory.md", "operate.md"] {
        for block in blocks(page) {
            let place = format!("{page}:{}", block.line);
            let is_known = ["sh", "toml", "yaml"].contains(&&*block.language);
            assert!(is_known, "{place}: say what it is behind the fence, or nobody runs it");
        }
    }
}

const DOCUMENTS: &str = include_str!("documents.rs");
const SCENES: [&str; 6] = [
    include_str!("operate/people.rs"),
    include_str!("operate/hub.rs"),
    include_str!("operate/devices.rs"),
    include_str!("ways_back/authorities.rs"),
    include_str!("ways_back/trust.rs"),
    include_str!("ways_back/proxies.rs"),
];
