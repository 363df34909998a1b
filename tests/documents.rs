//! The pages that a team follows, run as they stand.
//!
//! Every ```sh block of a page is run in its order by `sh -e`. The paragraph before it says where:
//! "In a terminal of its own" starts it and goes on when it has said the word in backticks, "At the
//! site" runs it in the folder of a second machine, anything else in the folder of the first. The
//! pages' host name, address and medium belong to this test alone: it runs itself in namespaces
//! with a loopback, an /etc/hosts and a /mnt of their own.

#![allow(clippy::unwrap_used)]

mod namespaces;

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Commands of ringfort that lead to a confirmed device, at most.
const COMMANDS: usize = 6;

#[test]
fn a_team_with_a_contractors_factory_follows_its_pages() {
    follow(
        "a_team_with_a_contractors_factory_follows_its_pages",
        &["first-fleet.md", "factory.md"],
    );
}

#[test]
fn a_team_that_signs_in_ci_follows_its_pages() {
    follow("a_team_that_signs_in_ci_follows_its_pages", &["first-fleet.md", "ci.md"]);
}

/// Runs the pages that go on in one folder, in this order.
fn follow(test: &str, pages: &[&str]) {
    if std::env::var_os(INSIDE).is_none() {
        return in_namespaces(test);
    }
    let mut team = Team::new();
    for page in pages {
        for block in blocks(page) {
            eprintln!("{}:{} {:?}\n{}", block.page, block.line, block.place, block.text);
            team.run(&block);
        }
    }
}

#[test]
fn a_first_fleet_takes_six_commands() {
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

/// Two machines, and what runs in terminals of its own.
struct Team {
    directory: tempfile::TempDir,
    path: String,
    terminals: Vec<Terminal>,
}

impl Team {
    fn new() -> Team {
        let directory = tempfile::tempdir().unwrap();
        for folder in ["bin", "home", "site"] {
            fs::create_dir(directory.path().join(folder)).unwrap();
        }
        let bin = directory.path().join("bin");
        for name in ["ringfort", "ringfort-agent"] {
            symlink(env!("CARGO_BIN_EXE_ringfort"), bin.join(name)).unwrap();
        }
        fs::create_dir(directory.path().join("tokens")).unwrap();
        fs::write(
            directory.path().join("softhsm2.conf"),
            format!("directories.tokendir = {}\n", directory.path().join("tokens").display()),
        )
        .unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Team { directory, path, terminals: Vec::new() }
    }

    fn run(&mut self, block: &Block) {
        let folder = match block.place {
            Place::Site => "site",
            Place::Home | Place::Terminal(_) => "home",
        };
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", &block.text])
            .current_dir(self.directory.path().join(folder))
            .env("PATH", &self.path)
            .env("HOME", self.directory.path().join(folder))
            .env("SOFTHSM2_CONF", self.directory.path().join("softhsm2.conf"))
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null());
        match &block.place {
            Place::Terminal(word) => {
                let terminal = Terminal::open(&mut command);
                terminal.wait_for(word);
                self.terminals.push(terminal);
            }
            Place::Home | Place::Site => {
                let output = command.output().unwrap();
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said);
                eprintln!("{said}");
                if !output.status.success() {
                    for terminal in &self.terminals {
                        eprintln!("--- a terminal:\n{}", terminal.said());
                    }
                    panic!("{}:{}: {}\n{said}", block.page, block.line, output.status);
                }
            }
        }
    }
}

/// A command that goes on while others run; it ends with this value.
struct Terminal {
    process: Child,
    said: Arc<Mutex<String>>,
}

impl Terminal {
    fn open(command: &mut Command) -> Terminal {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut process = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(process.stdout.take().unwrap()), Box::new(process.stderr.take().unwrap())];
        for mut stream in streams {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    said.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
                }
            });
        }
        Terminal { process, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn wait_for(&self, word: &str) {
        let patience = Instant::now() + Duration::from_secs(120);
        while !self.said().contains(word) {
            assert!(Instant::now() < patience, "{word:?} was never said:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The shell, what it runs, and what that has forked. If all have ended, that is wanted.
        let group = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.process.wait();
    }
}

/// A block of commands and where it stands.
struct Block {
    page: String,
    line: usize,
    text: String,
    place: Place,
    /// The paragraph before it has a number: a step of the page.
    numbered: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Home,
    Site,
    /// A terminal of its own, until this was said.
    Terminal(String),
}

fn blocks(page: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut blocks = Vec::new();
    let (mut paragraph, mut ended, mut block) = (String::new(), false, None);
    for (number, line) in text.lines().enumerate() {
        match (line, &mut block) {
            ("```sh", None) => block = Some(Vec::new()),
            ("```", Some(lines)) => {
                blocks.push(Block {
                    page: page.to_owned(),
                    line: number + 1 - lines.len(),
                    text: lines.join("\n"),
                    place: place(&paragraph),
                    numbered: paragraph.starts_with("**"),
                });
                (block, ended) = (None, true);
            }
            (line, Some(lines)) => lines.push(line),
            ("", None) => ended = true,
            (line, None) => {
                if std::mem::take(&mut ended) {
                    paragraph.clear();
                }
                paragraph.push_str(line);
                paragraph.push(' ');
            }
        }
    }
    assert!(block.is_none() && !blocks.is_empty(), "{page}");
    blocks
}

fn place(paragraph: &str) -> Place {
    if paragraph.contains("In a terminal of its own") {
        let word = paragraph.rsplit('`').nth(1).expect("the word that it says stands in backticks");
        return Place::Terminal(word.to_owned());
    }
    if paragraph.starts_with("At the site") { Place::Site } else { Place::Home }
}

/// Runs one test of this program again, where the pages' names and addresses are its own.
fn in_namespaces(test: &str) {
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost hub.acme.example\n::1 localhost\n").unwrap();
    let script = r#"
        mount --bind "$1" /etc/hosts
        mount -t tmpfs tmpfs /mnt
        PATH="$PATH:/usr/sbin:/sbin" ip link set lo up
        exec "$2" --exact "$3" --nocapture"#;
    let program = std::env::current_exe().unwrap();
    let status = namespaces::unshare()
        .args(["--mount", "--net", "sh", "-e", "-c", script, "sh"])
        .args([&hosts, &program, &PathBuf::from(test)])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// Set where the test runs in namespaces of its own.
const INSIDE: &str = "RINGFORT_TEST_INSIDE";
