//! `docs/assess.md`, made from the definitions.

use std::fmt::Write;

use crate::{
    keys::{debian, known},
    rules, unpack,
};

/// The whole document.
#[must_use]
pub fn docs() -> String {
    let mut out = String::from(HEAD);
    let _ = writeln!(out, "\n## What is read\n\n| format | what |\n|---|---|");
    let mut seen = Vec::new();
    for format in unpack::formats() {
        if !seen.contains(&format.name) {
            seen.push(format.name);
            let _ = writeln!(
                out,
                "| {} | {}{} |",
                format.name,
                format.about,
                if format.carved { "; also found inside raw dumps" } else { "" }
            );
        }
    }
    let _ = writeln!(out, "\n## Not checked\n");
    for line in super::NOT_CHECKED {
        let _ = writeln!(out, "- {line}");
    }
    debian_weak(&mut out);
    let _ = writeln!(
        out,
        "\n## Rules\n\n{} rules, {} component signatures, {} publicly known keys (list of {}). Each rule is shown with a case that it finds and one that it does not; a middle dot in them stands for nothing and keeps this page from being a finding itself.",
        rules::all().count(),
        rules::components::COMPONENTS.len(),
        known::count(),
        known::made_on()
    );
    let all: Vec<&rules::Rule> = rules::all().collect();
    // By id within a group; the groups in the order of the definitions.
    let group = |rule: &rules::Rule| all.iter().position(|r| r.id[..1] == rule.id[..1]);
    let mut order: Vec<(Option<usize>, &rules::Rule)> =
        all.iter().map(|r| (group(r), *r)).collect();
    order.sort_by_key(|(group, rule)| (*group, rule.id));
    for (_, rule) in order {
        let requirements: Vec<String> =
            rule.requirements.iter().map(|r| rules::requirements::label(r)).collect();
        let _ = writeln!(
            out,
            "\n### {}\n\n**{}: {}.** {} *Fix:* {}. Requirements: {}.",
            rule.id,
            rule.severity.word(),
            rule.title,
            rule.about,
            rule.fix.trim_end_matches('.'),
            requirements.join(", ")
        );
        examples(rule, &mut out);
    }
    let _ = writeln!(
        out,
        "\n## Requirements\n\n{}\n\n| id | status | asks for (our words) | silence counts as support |\n|---|---|---|---|",
        rules::requirements::VERSION
    );
    for r in rules::requirements::REQUIREMENTS {
        use rules::requirements::Evidence::{Across, Any, Image, Other, Signed};
        let evidence = match r.evidence {
            Any => "after source or an image was read that its rules judge",
            Image => "after an image was read that its rules judge",
            Across => "after two images were compared",
            Signed => "after only signed images were seen",
            Other => "never: this tool does not test it",
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            rules::requirements::label(r.id),
            r.status,
            r.text,
            evidence
        );
    }
    out
}

/// One sample that the rule finds and one that it does not; a test holds both.
fn debian_weak(out: &mut String) {
    let Some(list) = debian::list() else { return };
    let _ = writeln!(
        out,
        "\n## Debian-weak keys\n\nRule [K-036](#k-036) knows {} keys (list of {}): what OpenSSL 0.9.8c-1 to 0.9.8g-8 of Debian and its descendants could make (CVE-2008-0166), derived by this project's own program, `assess/examples/debian_weak`, for every process id from 0 to 32,767. An RSA key is known by its modulus, whatever its exponent. The list holds no keys but shortened fingerprints: of 101 million other keys, one is expected to be taken for one of these. `rnd`: the command read a file of seeds, ~/.rnd; `noread`: it could not, or there was none and it was old (0.9.8c); `nornd`: there was none (0.9.8g). le32 is i386 and 32-bit Arm, le64 is amd64, be32 is PowerPC, SPARC and PA-RISC.\n",
        list.count(),
        list.made_on
    );
    for set in &list.sets {
        let _ = writeln!(out, "- {set}");
    }
}

fn examples(rule: &rules::Rule, out: &mut String) {
    if let Some((_, yes, no)) = rules::shown::SHOWN.iter().find(|s| s.0 == rule.id) {
        let _ = writeln!(out, "\n- found: {yes}\n- not found: {no}");
        return;
    }
    for (word, samples) in [("found", rule.hits), ("not found", rule.misses)] {
        if let Some((path, content)) = samples.first() {
            let content = printable(&content.replace("``", "'"));
            let _ = writeln!(
                out,
                "{}- {word}: `` {content} `` in `{path}`",
                if word == "found" { "\n" } else { "" }
            );
        }
    }
}

/// Control characters as a page can show them.
fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' => out.push('⏎'),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

const HEAD: &str = "<!-- Made from the definitions in assess/ by a test. Change those, then run the test with RINGFORT_BLESS=1. -->
# Assessment

`ringfort assess PATH|IMAGE…` reads source trees and firmware images and answers first: *is any private key or credential shared?* It needs no network. Everything it knows is inside the program.

Exit code: 0 no finding at or above `--fail-on` (default: high), 1 findings, 2 wrong usage, 3 not tested (an input could not be opened or has nothing in it, or less than `--min-coverage` percent of its bytes was read; findings win over 3).

## Places

A place is a path through everything that was opened, with offsets: `flash.bin!squashfs@0x10000!/etc/ssl/device.key`. After it stands `:line` in text and `+0xoffset` in other files.

## Coverage

Every byte of an input is one of three: *understood* (its format is known and was read to the end), *searched* (looked through for keys, credentials and text, but the structure is not known), *not read* (dense data of unknown format, damaged, or beyond a bound). Bytes of a compressed container count in the proportion of what came out of it. Of a container whose reader gave up, all counts as not read that nothing came out of. A program counts as understood when its format is recognised, a picture as far as its own structure reaches; what stands behind it, or behind the text of an installer script, is opened like anything else. What lies in ext or FAT and belongs to no file (deleted files, the journal) is searched as raw bytes under the name `(unclaimed 0x…)`; deleted files of JFFS2 and UBIFS are read as `(no name)`. `--coverage` lists every region that was not read. Nothing in such a region was tested.

In source, files that git ignores are left out unless `--ignored` is given; history is read unless `--no-history` is given, each version of a file once and under its own name. Of a shallow or partial clone the report says that older versions were not read. Symbolic links are not followed, device nodes are not opened.

## Images side by side

With several images the report says which files and which bytes differ (`--coverage` lists them, the JSON document has them too), and finding [K-032](#k-032) names files that each device must have for itself and that are the same. An unpacked root file system (a directory with `bin` or `lib`, no `.git`, and one of `etc/passwd`, `etc/inittab`, `etc/os-release` or `etc/init.d`) counts as an image; any other directory is source, which the first screen says.

Stores and keys under a password are tried with a short list of well-known passwords: the empty one, `changeit`, `changeme`, `password` and the like. What opens is indexed like any other key. The work is bounded for a run; a key that was left out says so.

## Verdicts

A requirement *fails* when an open finding of severity medium or higher speaks against it. *Evidence supports* means that enough was read, that there was something which the rules for it judge (source, settings, programs, keys, certain files; the reason names the rules), and that they found nothing, accepted findings among it: it is no pass, a test case of the standard needs a person. Everything else is *not tested*. *Not applicable* is what you declare, with a reason. One image alone never supports uniqueness across devices.

## Severity and place

A finding whose places are all in documentation, tests (a Rust file's modules under `#[cfg(test)]` among them), examples or a well-known library of others has a lower severity, and says so: medium for keys, passwords and tokens and in libraries, low for code and settings elsewhere. One place outside keeps the rule's severity. What is shared between images or devices is never lowered.

## Suppressions

A file in TOML, given with `--suppress`:

```toml
[[accept]]
rule = \"P-010\"
fingerprint = \"…\"            # from the report; of the content, not of the line
owner = \"who@decided\"
reason = \"why it is acceptable\"
expires = \"2027-06-30\"

[[accept_together]]            # several for one reason
findings = [\"S-010 …\", \"P-010 …\"]
owner = \"who@decided\"
reason = \"revoked on 2026-03-01; stands in older versions only\"
expires = \"2027-06-30\"
history = true                 # a clone without the whole history does not call it unused

[[not_applicable]]
requirement = \"5.8-3\"
reason = \"no sensors\"
```

One without owner, reason or date is refused. Expired and unused ones are reported.

Fingerprints of secrets are keyed hashes. The key is built in unless `--fingerprint-key FILE` names one; under the built-in key a short password can be guessed from its fingerprint, so give a key of your own before a report leaves the house.
";

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_is_what_the_definitions_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/assess.md");
        let made = super::docs();
        if std::env::var_os("RINGFORT_BLESS").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).is_ok_and(|there| there == made),
            "docs/assess.md is old: run this test with RINGFORT_BLESS=1"
        );
    }
}
