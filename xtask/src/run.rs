//! Starting programs and saying what was started.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Runs `command` to its end with the terminal's own streams; an exit code other than 0 is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("cannot start: {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// What `command` wrote to standard output, without the last line's end; an exit code other than 0
/// is an error.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let done = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start: {shown}"))?;
    if !done.status.success() {
        bail!("{shown}: {}", done.status);
    }
    let text = String::from_utf8(done.stdout).with_context(|| format!("{shown}: not text"))?;
    Ok(text.trim_end().to_owned())
}

/// Runs `command` quietly and says whether it ended with exit code 0.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Does what needs a network, and again after a while where it failed: mirrors and lines have their
/// moments. The last failure counts.
pub fn over_network(mut work: impl FnMut() -> Result<()>) -> Result<()> {
    for pause in PAUSES {
        match work() {
            Ok(()) => return Ok(()),
            Err(error) => eprintln!("{error:#}\nonce more in {} s", pause.as_secs()),
        }
        std::thread::sleep(pause);
    }
    work()
}

/// Between tries of what needs a network.
pub const PAUSES: [Duration; 4] = [
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
    Duration::from_secs(120),
];

/// Whether `name` is a program on the search path.
pub fn on_path(name: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    // Debian keeps some tools of administrators outside an ordinary user's path.
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).any(|folder| folder.join(name).is_file())
}

/// The repository's root, whichever folder the task was started in.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cargo that runs this task.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// A folder for tools that outlive one build: `$XDG_CACHE_HOME/ringfort` or `~/.cache/ringfort`.
pub fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set: no place for downloaded tools")?;
    let folder = base.join("ringfort");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    Ok(folder)
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
