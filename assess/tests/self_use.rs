//! The assessment of this repository, its history included, is clean but for what
//! `accepted.toml` justifies, and nothing there is stale.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use ringfort_assess::{Assessment, Input, Options, Severity, Suppressions, model::Finding, run};

/// The files as they are now, then every version that leads to them: all that a full clone
/// brings, and what a shallow one brings where this is one.
#[test]
fn this_repository_and_its_history_are_clean() {
    let root = root();
    let tree = assess(&root, false);
    assert!(tree.inputs[0].coverage.read_permille() >= 990, "{:#?}", tree.inputs[0].unread);
    let mut runs = vec![tree];
    let copy = tempfile::tempdir().unwrap();
    if root.join(".git").exists() {
        history(&root, copy.path());
        let past = assess(copy.path(), true);
        assert!(past.inputs[0].opened.contains_key("git-pack"), "{:?}", past.inputs[0].opened);
        assert!(past.inputs[0].files > 500, "{} files", past.inputs[0].files);
        runs.push(past);
    }
    let open: Vec<&Finding> = runs
        .iter()
        .flat_map(|run| &run.findings)
        .filter(|f| f.suppressed.is_none() && f.severity >= Severity::High)
        .collect();
    assert!(open.is_empty(), "{open:#?}");
    // What one run does not use, the other may; what is only in history, the last one must,
    // unless its history is cut.
    let stale = |run: &Assessment, history: bool| -> BTreeSet<String> {
        let here = run.stale_suppressions.iter().filter(|s| s.accepted.history == history);
        here.map(|s| format!("{} {} {}", s.accepted.rule, s.accepted.fingerprint, s.why)).collect()
    };
    let mut unused = stale(runs.last().unwrap(), true);
    let both = runs.iter().map(|run| stale(run, false));
    unused.extend(both.reduce(|all, one| &all & &one).unwrap());
    assert!(unused.is_empty(), "{unused:#?}");
}

fn root() -> PathBuf {
    let assess = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
    assess.parent().unwrap().to_owned()
}

fn accepted() -> Suppressions {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("accepted.toml");
    Suppressions::parse(&fs::read_to_string(path).unwrap()).unwrap()
}

fn assess(directory: &Path, history: bool) -> Assessment {
    let options = Options { suppressions: accepted(), history, ..Options::default() };
    run(&[Input::Path(directory.into())], &options, &mut ())
}

/// Writes a repository into `to` that holds what HEAD of `from` leads to and nothing else: no
/// branch of somebody else and nothing that was never committed.
fn history(from: &Path, to: &Path) {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "safe.directory=*", "-C"]).arg(from).args(arguments);
        command
    };
    let packs = to.join(".git/objects/pack");
    fs::create_dir_all(&packs).unwrap();
    let pack = fs::File::create(packs.join("pack-head.pack")).unwrap();
    let mut packing = git(&["pack-objects", "--revs", "--stdout", "-q"])
        .stdin(Stdio::piped())
        .stdout(pack)
        .spawn()
        .unwrap();
    packing.stdin.take().unwrap().write_all(b"HEAD\n").unwrap();
    assert!(packing.wait().unwrap().success());
    let shallow = git(&["rev-parse", "--is-shallow-repository"]).output().unwrap();
    if String::from_utf8_lossy(&shallow.stdout).trim() == "true" {
        let head = git(&["rev-parse", "HEAD"]).output().unwrap();
        fs::write(to.join(".git/shallow"), head.stdout).unwrap();
    }
}
