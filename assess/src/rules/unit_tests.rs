//! Unit tests inside a source file of the product: the modules under `#[cfg(test)]` of a Rust file
//! are compiled for tests alone, so what they hold counts as found in tests.

use std::collections::HashMap;
use std::ops::Range;

use crate::{
    model::Location,
    walk::{Leaf, LeafKind},
};

/// The test modules of the files in which something was found.
#[derive(Debug, Default)]
pub(crate) struct UnitTests(HashMap<String, Vec<Range<u64>>>);

impl UnitTests {
    /// Notes the test modules of a leaf, if it is a Rust file.
    pub(crate) fn note(&mut self, leaf: &Leaf<'_>) {
        if leaf.kind != LeafKind::Text || leaf.base != 0 || !leaf.place.name().ends_with(".rs") {
            return;
        }
        let modules = modules(&leaf.blob.bytes(0, MAX_FILE));
        if !modules.is_empty() && self.0.len() < MAX_FILES {
            self.0.insert(leaf.place.path.clone(), modules);
        }
    }

    /// Whether a place lies in one.
    pub(crate) fn hold(&self, place: &Location) -> bool {
        self.0.get(&place.path).is_some_and(|all| all.iter().any(|m| m.contains(&place.offset)))
    }
}

/// From `#[cfg(test)]` to the brace that closes the module, both at the start of a line, as rustfmt
/// sets them. Anything else is taken for the product's own code.
fn modules(text: &[u8]) -> Vec<Range<u64>> {
    let mut found = Vec::new();
    let mut state = State::Outside;
    let mut at = 0;
    for line in text.split_inclusive(|b| *b == b'\n') {
        let end = at + line.len() as u64;
        let words = line.trim_ascii_end();
        state = match state {
            State::Outside | State::Attribute(_) if words == b"#[cfg(test)]" => {
                State::Attribute(at)
            }
            State::Attribute(start) if opens_a_module(words) => State::Inside(start),
            // Further attributes and comments may stand between.
            State::Attribute(start) if words.starts_with(b"#[") || words.starts_with(b"//") => {
                State::Attribute(start)
            }
            State::Inside(start) if words == b"}" => {
                found.push(start..end);
                State::Outside
            }
            State::Inside(start) => State::Inside(start),
            State::Outside | State::Attribute(_) => State::Outside,
        };
        at = end;
    }
    found
}

fn opens_a_module(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"pub ").unwrap_or(line);
    line.starts_with(b"mod ") && line.ends_with(b"{")
}

#[derive(Clone, Copy)]
enum State {
    Outside,
    /// The attribute was seen, at this offset.
    Attribute(u64),
    /// Within the module that it began at this offset.
    Inside(u64),
}

/// More than any source file that people write.
const MAX_FILE: usize = 4 << 20;
const MAX_FILES: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_test_module_is_lowered_and_one_beside_it_is_not() {
        let test = "#[cfg(test)]\nmod tests {\n    const PASSWORD: &str = \"tr0ub4dor-7\";\n}\n";
        let code = "const PASSWORD: &str = \"tr0ub4dor-7\";\n";
        for (text, high) in
            [(test.to_owned(), 0), (code.to_owned(), 1), (format!("{code}{test}"), 1)]
        {
            let input = crate::Input::Bytes("lib.rs".into(), text.clone().into_bytes());
            let found = crate::run(&[input], &crate::Options::default(), &mut ());
            assert_eq!(found.findings.len(), 1, "{text}");
            let severe = |f: &&crate::model::Finding| f.severity >= crate::Severity::High;
            assert_eq!(found.findings.iter().filter(severe).count(), high, "{text}");
            assert_eq!(found.findings[0].lowered.is_some(), high == 0, "{text}");
        }
    }

    /// What of a file counts as its unit tests.
    fn held(text: &str) -> String {
        let part = |m: Range<u64>| &text[m.start as usize..m.end as usize];
        modules(text.as_bytes()).into_iter().map(part).collect()
    }

    #[test]
    fn a_test_module_reaches_from_its_attribute_to_its_brace() {
        let tests = "#[cfg(test)]\n#[allow(unused)]\n// why\nmod tests {\n    fn a() {\n    }\n}\n";
        assert_eq!(held(&format!("fn main() {{\n}}\n{tests}fn after() {{\n}}\n")), tests);
        assert_eq!(held(&tests.replace('\n', "\r\n")), tests.replace('\n', "\r\n"));
    }

    #[test]
    fn code_of_the_product_is_none() {
        for text in [
            "fn main() {\n    let password = \"x\";\n}\n",
            "#[cfg(test)]\nfn helper() {\n}\nmod real {\n}\n",
            "#[cfg(test)]\nmod tests;\nmod real {\n}\n",
            "#[cfg(not(test))]\nmod real {\n}\n",
            "// #[cfg(test)]\nmod real {\n}\n",
            "#[cfg(test)]\n\nconst A: u8 = 1;\nmod real {\n}\n",
            // Never closed: nothing is held.
            "#[cfg(test)]\nmod tests {\n",
        ] {
            assert_eq!(held(text), "", "{text}");
        }
    }
}
