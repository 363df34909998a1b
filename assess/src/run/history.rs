//! Where the older versions of a work tree lie, and whether all of them are there.

use std::path::{Path, PathBuf};

use super::History;

/// The object store of a repository.
#[derive(Debug)]
pub(super) struct Store {
    /// What can be read of it.
    pub(super) state: History,
    /// The directory that holds it.
    pub(super) directory: PathBuf,
    /// Its files, sorted.
    pub(super) files: Vec<PathBuf>,
    /// Why it is not whole.
    pub(super) problems: Vec<&'static str>,
}

/// The store of the work tree in `directory`; `None` where there is no repository.
///
/// In a further work tree and in a submodule `.git` is a file that names the store.
pub(super) fn of(directory: &Path, wanted: bool) -> Option<Store> {
    let git = directory.join(".git");
    let kind = git.symlink_metadata().ok()?.file_type();
    let mut store = Store {
        state: History::LeftOut,
        directory: git.clone(),
        files: Vec::new(),
        problems: Vec::new(),
    };
    if !wanted {
        return Some(store);
    }
    store.state = History::Read;
    if kind.is_dir() {
        store.files = below(&git);
    } else if let Some(elsewhere) = kind.is_file().then(|| named(directory, &git)).flatten() {
        store.files = below(&elsewhere.join("objects"));
        // What else lies there belongs to the other work tree, but for these two.
        store.files.extend(["config", "packed-refs"].map(|name| elsewhere.join(name)));
        store.files.retain(|file| file.is_file());
        store.directory = elsewhere;
    } else {
        store.problems.push("a link or a file that names no repository: history was not read");
    }
    store.files.sort();
    store.problems.extend(cuts(&store));
    if !store.problems.is_empty() {
        store.state = History::Cut;
    }
    Some(store)
}

/// The repository that a `.git` file names, where it is one.
fn named(directory: &Path, file: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(file).ok()?;
    let own = directory.join(text.strip_prefix("gitdir:")?.trim());
    let common = match std::fs::read_to_string(own.join("commondir")) {
        Ok(text) => own.join(text.trim()),
        Err(_) => own,
    };
    (common.join("HEAD").is_file() && common.join("objects").is_dir()).then_some(common)
}

/// What keeps a store from being whole.
fn cuts(store: &Store) -> impl Iterator<Item = &'static str> + use<> {
    let objects = store.directory.join("objects");
    let says = |path: PathBuf| std::fs::metadata(path).is_ok_and(|m| m.len() > 0);
    let promised = store.files.iter().any(|f| f.extension().is_some_and(|e| e == "promisor"));
    [
        (says(store.directory.join("shallow")), "a shallow clone: older versions are not in it"),
        (promised, "a partial clone: some versions are not in it"),
        (
            says(objects.join("info/alternates")),
            "versions that lie in another repository (alternates) were not read",
        ),
    ]
    .into_iter()
    .filter_map(|(cut, words)| cut.then_some(words))
}

fn below(directory: &Path) -> Vec<PathBuf> {
    ignore::WalkBuilder::new(directory)
        .standard_filters(false)
        .hidden(false)
        .follow_links(false)
        .build()
        .flatten()
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .map(ignore::DirEntry::into_path)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, process::Command};

    use crate::{Assessment, History, Input, Options, run};

    const SECRET: &str = "TOKEN = \"gl·pat-x9Kq2LmN7pRs4TvW1yZb\"\n";

    fn git(directory: &Path, arguments: &[&str]) {
        let made = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"])
            .args(["-c", "protocol.file.allow=always"])
            .args(arguments)
            .current_dir(directory)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// A repository whose first commit holds a token and whose second one does not.
    fn repository(root: &Path) -> std::path::PathBuf {
        let one = root.join("one");
        fs::create_dir_all(one.join("src")).unwrap();
        git(&one, &["init", "-q"]);
        fs::write(one.join("src/ci.py"), SECRET.replace('·', "")).unwrap();
        git(&one, &["add", "."]);
        git(&one, &["commit", "-qm", "one"]);
        fs::write(one.join("src/ci.py"), "TOKEN = os.environ['T']\n").unwrap();
        git(&one, &["commit", "-qam", "two"]);
        one
    }

    fn assess(path: &Path, history: bool) -> Assessment {
        let options = Options { today: "2026-11-22".into(), history, ..Options::default() };
        run(&[Input::Path(path.into())], &options, &mut ())
    }

    fn place(found: &Assessment) -> Option<&str> {
        found.findings.iter().find(|f| f.rule == "S-010").map(|f| f.locations[0].path.as_str())
    }

    #[test]
    fn a_token_of_an_older_version_is_found_loose_and_packed_and_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        let one = repository(root.path());
        for step in ["loose", "packed"] {
            let found = assess(&one, true);
            let path = place(&found).unwrap_or_else(|| panic!("{step}"));
            assert!(path.contains("!/src/ci.py@"), "{path}");
            assert_eq!(found.inputs[0].history, History::Read);
            git(&one, &["gc", "-q"]);
        }
        let found = assess(&one, false);
        assert!(place(&found).is_none());
        assert_eq!(found.inputs[0].history, History::LeftOut);
    }

    #[test]
    fn a_further_work_tree_has_the_history_of_its_repository() {
        let root = tempfile::tempdir().unwrap();
        let one = repository(root.path());
        git(&one, &["worktree", "add", "-q", "../two"]);
        let found = assess(&root.path().join("two"), true);
        assert!(place(&found).is_some());
        assert_eq!(found.inputs[0].history, History::Read);
    }

    #[test]
    fn a_shallow_clone_says_that_older_versions_were_not_read() {
        let root = tempfile::tempdir().unwrap();
        let one = repository(root.path());
        let from = format!("file://{}", one.display());
        git(root.path(), &["clone", "-q", "--depth", "1", &from, "cut"]);
        let found = assess(&root.path().join("cut"), true);
        assert!(place(&found).is_none());
        assert_eq!(found.inputs[0].history, History::Cut);
        assert!(found.inputs[0].unread.iter().any(|u| u.reason.contains("shallow")));
    }

    #[test]
    fn a_git_file_that_names_no_repository_is_reported_and_not_followed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("elsewhere")).unwrap();
        fs::write(root.path().join("elsewhere/a.py"), SECRET.replace('·', "")).unwrap();
        let tree = root.path().join("tree");
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join(".git"), "gitdir: ../elsewhere\n").unwrap();
        let found = assess(&tree, true);
        assert!(place(&found).is_none());
        assert_eq!(found.inputs[0].history, History::Cut);
    }
}
