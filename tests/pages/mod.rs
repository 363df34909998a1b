//! The project's pages, followed as their reader does: block by block, as they stand.
//!
//! A ```sh block is run by `sh -e`. The paragraph before it says where: "In a terminal of its own"
//! starts it and goes on when it has said the word in backticks, "At the site" runs it in the
//! folder of a second machine, anything else in the folder of the first. A ```toml block is put
//! into the file that the page speaks of. The pages' names, addresses and media belong to one test
//! alone: it runs itself in namespaces with a loopback, an /etc/hosts and a /mnt of its own.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

#[allow(clippy::duplicate_mod, reason = "a test has it from elsewhere too")]
#[path = "../namespaces/mod.rs"]
mod namespaces;

/// A fenced block and where it stands.
#[derive(Clone, Debug)]
pub struct Block {
    pub page: String,
    /// The title above it.
    pub section: String,
    pub line: usize,
    /// What stands behind the fence: `sh`, `toml`, `yaml`.
    pub language: String,
    pub text: String,
    pub place: Place,
    /// The paragraph before it has a number: a step of the page.
    pub numbered: bool,
}

/// Where a block is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Home,
    Site,
    /// A terminal of its own, until this was said.
    Terminal(String),
}

/// The blocks of one section of a page, which have to be run all, in their order.
pub struct Section {
    blocks: VecDeque<Block>,
    title: String,
}

impl Section {
    pub fn of(page: &str, title: &str) -> Section {
        let blocks = blocks(page).into_iter().filter(|block| block.section == title);
        let section = Section { blocks: blocks.collect(), title: title.to_owned() };
        assert!(!section.blocks.is_empty(), "{page} has nothing to run under {title:?}");
        section
    }

    /// The next block.
    pub fn next(&mut self) -> Block {
        let title = &self.title;
        self.blocks.pop_front().unwrap_or_else(|| panic!("no more blocks under {title:?}"))
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.blocks.is_empty(), "not run under {:?}: {:?}", self.title, self.blocks);
        }
    }
}

/// Every fenced block of a page. A fence may stand in a list.
pub fn blocks(page: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut blocks = Vec::new();
    let (mut paragraph, mut ended, mut section) = (String::new(), false, String::new());
    let mut block: Option<(String, Vec<&str>)> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut block) {
            (Some(language), None) => block = Some((language.to_owned(), Vec::new())),
            (Some(_), Some((language, lines))) => {
                blocks.push(Block {
                    page: page.to_owned(),
                    section: section.clone(),
                    line: number + 1 - lines.len(),
                    language: std::mem::take(language),
                    text: lines.join("\n"),
                    place: place(&paragraph),
                    numbered: paragraph.starts_with("**"),
                });
                (block, ended) = (None, true);
            }
            (None, Some((_, lines))) => lines.push(line),
            (None, None) if line.is_empty() => ended = true,
            (None, None) => {
                if std::mem::take(&mut ended) {
                    paragraph.clear();
                }
                paragraph.push_str(line);
                paragraph.push(' ');
                if line.starts_with('#') {
                    section = line.trim_start_matches(['#', ' ']).to_owned();
                }
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

/// Two machines, and what runs in terminals of its own.
pub struct Team {
    directory: tempfile::TempDir,
    path: String,
    /// More of the environment of everything that is started from now on.
    pub environment: Vec<(&'static str, String)>,
    terminals: Vec<(Block, Option<Terminal>)>,
}

impl Team {
    pub fn new() -> Team {
        let directory = tempfile::tempdir().unwrap();
        for folder in ["bin", "home", "site", "job"] {
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
        Team { directory, path, environment: Vec::new(), terminals: Vec::new() }
    }

    /// One that has followed docs/first-fleet.md to its confirmed device.
    pub fn with_a_first_fleet() -> Team {
        let mut team = Team::new();
        for block in blocks("first-fleet.md").into_iter().filter(|block| block.numbered) {
            let made = block.text.contains("bring-up");
            team.run(&block);
            if made {
                team.hasten("device");
            }
        }
        team
    }

    /// Has a device ask every second, not every five.
    pub fn hasten(&self, device: &str) {
        let file = self.home(device).join("agent.toml");
        let text = fs::read_to_string(&file).unwrap();
        let faster = text.replace("interval_seconds = 5", "interval_seconds = 1");
        assert_ne!(faster, text);
        fs::write(file, faster).unwrap();
    }

    /// A path of the first machine.
    pub fn home(&self, name: &str) -> PathBuf {
        self.directory.path().join("home").join(name)
    }

    /// Runs a block of commands, which has to succeed; what it said.
    pub fn run(&mut self, block: &Block) -> String {
        assert_eq!(block.language, "sh", "{}:{}", block.page, block.line);
        eprintln!("{}:{} {:?}\n{}", block.page, block.line, block.place, block.text);
        let folder = match block.place {
            Place::Site => "site",
            Place::Home | Place::Terminal(_) => "home",
        };
        match &block.place {
            Place::Terminal(_) => {
                self.terminals.push((block.clone(), None));
                self.open(self.terminals.len() - 1);
                String::new()
            }
            Place::Home | Place::Site => {
                self.succeed(folder, &block.text, &format!("{}:{}", block.page, block.line))
            }
        }
    }

    /// Runs a command of the test's own where the first machine's are; it has to succeed.
    pub fn ok(&self, command: &str) -> String {
        self.succeed("home", command, "the test")
    }

    /// Runs one, and says whether it succeeded and what it said.
    pub fn try_run(&self, command: &str) -> (bool, String) {
        let output = self.shell("home", command).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// The JSON value that a command prints, whatever its exit code.
    pub fn json(&self, command: &str) -> Value {
        let output = self.shell("home", command).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{command}: {error}: {}", String::from_utf8_lossy(&output.stderr))
        })
    }

    /// What the hub shows of a device.
    pub fn device(&self, id: &str) -> Value {
        self.json(&format!("ringfort --dir operator device show {id} --json"))
    }

    /// Waits until what the hub shows of a device is so.
    pub fn until(&self, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut shown = Value::Null;
        self.wait(what, || {
            shown = self.device(id);
            is_so(&shown)
        });
        shown
    }

    /// Waits for something that comes about elsewhere.
    pub fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "never: {what}\n{}", self.said());
            std::thread::sleep(A_MOMENT);
        }
    }

    pub fn until_state(&self, id: &str, state: &str) -> Value {
        self.until(id, state, |shown| shown["device"]["state"] == state)
    }

    /// Waits until a device was heard once more.
    pub fn until_heard(&self, id: &str) {
        let before = self.device(id)["device"]["last_seen_ms"].clone();
        self.until(id, "heard", |shown| shown["device"]["last_seen_ms"] != before);
    }

    /// The kinds of what happened to a device, oldest first.
    pub fn history(&self, id: &str) -> Vec<String> {
        let command = format!("ringfort --dir operator device history {id} --limit 200 --json");
        let events = self.json(&command);
        let kind = |event: &Value| event["kind"].as_str().unwrap().to_owned();
        events.as_array().unwrap().iter().map(kind).collect()
    }

    /// Runs the script of a workflow's step as a CI machine does, with these secrets; the folder
    /// that it worked in.
    pub fn job(&self, block: &Block, environment: &[(&str, String)]) -> PathBuf {
        let mut lines = block.text.lines().skip_while(|line| line.trim() != "run: |").skip(1);
        let first = lines.next().expect("the step has a script");
        let depth = first.len() - first.trim_start().len();
        let within = |line: &&str| line.len() - line.trim_start().len() >= depth;
        let script: Vec<&str> = std::iter::once(first).chain(lines.take_while(within)).collect();
        for (name, _) in environment {
            assert!(block.text.contains(&format!("${name}")), "{name} is not used");
        }
        let mut command = self.shell("job", &script.join("\n"));
        let output = command.envs(environment.iter().cloned()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}:{}\n{said}", block.page, block.line);
        self.directory.path().join("job")
    }

    /// Puts settings into a file of the first machine: each key of the block in the place of what
    /// the file has.
    pub fn set(&self, file: &str, block: &Block) {
        assert_eq!(block.language, "toml", "{}:{}", block.page, block.line);
        let file = self.home(file);
        let mut all: toml::Table = fs::read_to_string(&file).unwrap().parse().unwrap();
        let new: toml::Table = block.text.parse().unwrap();
        all.extend(new);
        fs::write(file, toml::to_string(&all).unwrap()).unwrap();
    }

    /// Starts something that goes on as long as the value is kept.
    pub fn background(&self, command: &str) -> impl Sized + use<> {
        Terminal::open(&mut self.shell("home", command))
    }

    /// Ends what runs in a terminal, as Ctrl-C does, and waits until it has ended.
    pub fn stop(&mut self, command: &str) {
        let at = self.terminal(command);
        self.terminals[at].1.take().expect("it runs").stop();
    }

    /// Starts again what ran in a terminal.
    pub fn start(&mut self, command: &str) {
        let at = self.terminal(command);
        self.open(at);
    }

    /// What a terminal said since it was started last.
    pub fn heard(&self, command: &str) -> String {
        let terminal = &self.terminals[self.terminal(command)].1;
        terminal.as_ref().map_or_else(String::new, Terminal::said)
    }

    fn terminal(&self, command: &str) -> usize {
        let is_it = |(block, _): &(Block, Option<Terminal>)| block.text.contains(command);
        self.terminals.iter().position(is_it).unwrap_or_else(|| panic!("nothing runs {command}"))
    }

    fn open(&mut self, at: usize) {
        let block = self.terminals[at].0.clone();
        let Place::Terminal(word) = &block.place else { panic!("{block:?}") };
        let terminal = Terminal::open(&mut self.shell("home", &block.text));
        terminal.wait_for(word);
        self.terminals[at].1 = Some(terminal);
    }

    fn succeed(&self, folder: &str, script: &str, whose: &str) -> String {
        let output = self.shell(folder, script).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        eprintln!("{said}");
        assert!(
            output.status.success(),
            "{whose}: {}\n{script}\n{said}{}",
            output.status,
            self.said()
        );
        said
    }

    fn shell(&self, folder: &str, script: &str) -> Command {
        let folder = self.directory.path().join(folder);
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", script])
            .current_dir(&folder)
            .env("PATH", &self.path)
            .env("HOME", &folder)
            .env("SOFTHSM2_CONF", self.directory.path().join("softhsm2.conf"))
            .env_remove("XDG_CONFIG_HOME")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        // This machine's own ways to the world and its trust are none of the pages'.
        for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "RINGFORT_LOG"] {
            command.env_remove(name);
        }
        command
    }

    /// Everything that the terminals said.
    fn said(&self) -> String {
        let open = self.terminals.iter().filter_map(|(_, terminal)| terminal.as_ref());
        open.map(|terminal| format!("--- a terminal:\n{}\n", terminal.said())).collect()
    }
}

/// A command that goes on while others run; it ends with this value.
struct Terminal {
    process: Child,
    said: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Terminal {
    fn open(command: &mut Command) -> Terminal {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut process = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(process.stdout.take().unwrap()), Box::new(process.stderr.take().unwrap())];
        let readers = streams.map(|mut stream| {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    said.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
                }
            })
        });
        Terminal { process, said, readers: readers.into() }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn wait_for(&self, word: &str) {
        let patience = Instant::now() + PATIENCE;
        while !self.said().contains(word) {
            let has_ended = self.readers.iter().all(JoinHandle::is_finished);
            assert!(
                !has_ended && Instant::now() < patience,
                "{word:?} was never said:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(mut self) {
        self.signal(rustix::process::Signal::INT);
        let _ = self.process.wait();
        // What the shell started has ended too when nobody can write to the terminal any more.
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
    }

    /// To the shell, what it runs, and what that has forked. If all have ended, that is wanted.
    fn signal(&self, signal: rustix::process::Signal) {
        let group = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.signal(rustix::process::Signal::KILL);
        let _ = self.process.wait();
    }
}

/// Whether this process runs where the pages' names and addresses are its own. Where it does not,
/// it runs one test of this program again, where they are, and that has succeeded.
pub fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts");
    fs::write(&hosts, HOSTS).unwrap();
    let trusted = directory.path().join("trusted.pem");
    let script = r#"
        mount --bind "$1" /etc/hosts
        if [ -e "$4" ]; then cp "$4" "$5" && mount --bind "$5" "$4"; fi
        mount -t tmpfs tmpfs /mnt
        PATH="$PATH:/usr/sbin:/sbin" ip link set lo up
        exec "$2" --exact "$3" --nocapture"#;
    let program = std::env::current_exe().unwrap();
    let status = namespaces::unshare()
        .args(["--mount", "--net", "sh", "-e", "-c", script, "sh"])
        .args([&hosts, &program, &PathBuf::from(test), &PathBuf::from(TRUSTED), &trusted])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    false
}

/// Has this machine, as the test sees it, trust an authority.
pub fn trust(authority: &str) {
    assert!(Path::new(TRUSTED).exists(), "the package ca-certificates is installed");
    fs::write(TRUSTED, authority).unwrap();
}

/// Writes a file for its owner alone.
pub fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

const HOSTS: &str = "127.0.0.1 localhost hub.acme.example people.acme.example\n::1 localhost\n\
                     127.0.0.2 acme.example.org\n";
/// What the machine trusts.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Set where the test runs in namespaces of its own.
const INSIDE: &str = "RINGFORT_TEST_INSIDE";
const PATIENCE: Duration = Duration::from_secs(300);
const A_MOMENT: Duration = Duration::from_millis(100);
