//! The runner: it restarts the payload, works the slots, and checks health. Nothing else.
//!
//! A service starts it before it takes its own rights away: what the sandbox forbids to the agent,
//! running programs for instance, the runner may still do, but only by these verbs, and only with
//! the commands that its own reading of `agent.toml` gave it.
//!
//! One line asks, one line answers: `restart`, `health`, `slot a`, `unlock`, `write b`,
//! `activate b`, `confirm b`, `current`; `ok` (for `current` with the slot), or `failed` and a text.

use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::config::loopback_address;
use crate::slot_verb::SlotVerb;
use crate::{AgentConfig, AgentError, HealthCheck};

/// Who runs programs for the agent.
pub(crate) trait Runner: Send {
    /// Restarts what runs the payload.
    fn restart(&mut self) -> impl Future<Output = Result<(), String>> + Send;

    /// Runs every health check until it passes, within the time that all may take together.
    fn health(&mut self) -> impl Future<Output = Result<(), String>> + Send;

    /// Tells the slot command which slot is active.
    fn slot(&mut self, slot: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Unlocks debugging until the next reset.
    fn unlock(&mut self) -> impl Future<Output = Result<(), String>> + Send;

    /// Asks the program for slots. What `current` printed comes back.
    fn slots(&mut self, verb: SlotVerb) -> impl Future<Output = Result<String, String>> + Send {
        async move { Err(format!("no program for slots: {}", verb.line())) }
    }
}

/// Serves the verbs on standard input and output until the agent ends. This is the whole of the
/// runner's process; the command that starts it is given to [`crate::run_sandboxed`].
///
/// # Errors
/// [`AgentError::Runner`] when standard input or output break.
pub fn serve(config: &AgentConfig) -> Result<(), AgentError> {
    let broken = |error: std::io::Error| AgentError::Runner(error.to_string());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
    let mut runner = LocalRunner { config: config.clone() };
    // Between the verbs there is nothing else to do.
    for line in std::io::stdin().lines() {
        let line = line.map_err(broken)?;
        let done = runtime.block_on(async {
            let nothing = |()| String::new();
            match line.as_str() {
                "restart" => runner.restart().await.map(nothing),
                "health" => runner.health().await.map(nothing),
                "slot a" => runner.slot("a").await.map(nothing),
                "slot b" => runner.slot("b").await.map(nothing),
                "slot none" => runner.slot("none").await.map(nothing),
                "unlock" => runner.unlock().await.map(nothing),
                other => match SlotVerb::of_line(other) {
                    Some(verb) => runner.slots(verb).await,
                    None => Err("not a verb".to_owned()),
                },
            }
        });
        let reply = match done {
            Ok(said) if said.is_empty() => "ok\n".to_owned(),
            Ok(said) => format!("ok {}\n", said.replace(['\n', '\r'], " ")),
            Err(detail) => format!("failed {}\n", detail.replace(['\n', '\r'], " ")),
        };
        let mut out = std::io::stdout();
        out.write_all(reply.as_bytes()).and_then(|()| out.flush()).map_err(broken)?;
    }
    Ok(())
}

/// Runs programs itself.
pub(crate) struct LocalRunner {
    pub(crate) config: AgentConfig,
}

impl Runner for LocalRunner {
    async fn restart(&mut self) -> Result<(), String> {
        let restart = &self.config.update.restart;
        let limit = Duration::from_secs(restart.timeout_seconds);
        let Some(command) = &restart.command else { return Ok(()) };
        run(command, &[], limit).await?;
        if restart.reboots {
            sleep(limit).await;
            return Err("the machine did not restart".into());
        }
        Ok(())
    }

    async fn health(&mut self) -> Result<(), String> {
        let grace = Duration::from_secs(self.config.update.health_grace_seconds);
        let deadline = Instant::now() + grace;
        for check in &self.config.health {
            loop {
                match try_check(check).await {
                    Ok(()) => break,
                    Err(detail) if Instant::now() + RETRY_AFTER >= deadline => return Err(detail),
                    Err(_) => sleep(RETRY_AFTER).await,
                }
            }
        }
        Ok(())
    }

    async fn slot(&mut self, slot: &str) -> Result<(), String> {
        match &self.config.update.slot_command {
            Some(command) => run(command, &[slot], SLOT_TIMEOUT).await,
            None => Ok(()),
        }
    }

    async fn unlock(&mut self) -> Result<(), String> {
        match &self.config.commands.debug_unlock {
            Some(command) => run(command, &[], UNLOCK_TIMEOUT).await,
            None => Err("no program unlocks debugging here".into()),
        }
    }

    async fn slots(&mut self, verb: SlotVerb) -> Result<String, String> {
        verb.run(&self.config).await
    }
}

async fn try_check(check: &HealthCheck) -> Result<(), String> {
    let limit = Duration::from_secs(check.timeout_seconds);
    if let Some(command) = &check.command {
        return run(command, &[], limit).await;
    }
    if let Some(address) = &check.http {
        return match timeout(limit, probe(address)).await {
            Ok(result) => result.map_err(|error| format!("{address}: {error}")),
            Err(_) => Err(format!("{address}: no answer in time")),
        };
    }
    match &check.pid_file {
        Some(path) => stays_alive(path, Duration::from_secs(check.alive_seconds)).await,
        None => Err("an empty health check".into()),
    }
}

/// Runs a program to its end, without a shell; what it says goes to the log.
async fn run(command: &[String], more: &[&str], limit: Duration) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("no program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .args(more)
        .stdin(Stdio::null())
        // Standard output is the runner's own channel to the agent.
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    match timeout(limit, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{program}: {status}")),
        Ok(Err(error)) => Err(format!("{program}: {error}")),
        Err(_) => Err(format!("{program}: not done in {} s", limit.as_secs())),
    }
}

/// Asks for the status line only.
async fn probe(address: &str) -> Result<(), String> {
    let (host, port, path) = loopback_address(address).ok_or("not a loopback address")?;
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect((host, port)).await.map_err(text)?;
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(text)?;
    let mut line = Vec::new();
    let mut head = stream.take(256);
    while !line.contains(&b'\n') && head.read_buf(&mut line).await.map_err(text)? > 0 {}
    let line = String::from_utf8_lossy(&line);
    let status = line.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(status) => Err(format!("status {status}")),
        None => Err("not an HTTP answer".into()),
    }
}

/// Is the process that the file names alive, and the same one, from now for so long?
async fn stays_alive(path: &Path, wanted: Duration) -> Result<(), String> {
    let named = || -> Result<Pid, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let number = text.trim().parse().ok().filter(|number: &i32| *number > 1);
        number
            .and_then(Pid::from_raw)
            .ok_or_else(|| format!("{} does not hold a process number", path.display()))
    };
    let first = named()?;
    let end = Instant::now() + wanted;
    loop {
        if named()? != first {
            return Err(format!("process {} was replaced", first.as_raw_nonzero()));
        }
        rustix::process::test_kill_process(first)
            .map_err(|_| format!("process {} has ended", first.as_raw_nonzero()))?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        sleep(left.min(RETRY_AFTER)).await;
    }
}

/// Asks a runner in a process of its own.
pub(crate) struct ProcessRunner {
    _child: Child,
    input: ChildStdin,
    output: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl ProcessRunner {
    /// Takes over a process that was started with pipes. To be called inside the runtime.
    pub(crate) fn start(mut command: std::process::Command) -> Result<ProcessRunner, AgentError> {
        let failed = |error: std::io::Error| AgentError::Runner(error.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = Command::from(command).kill_on_drop(true).spawn().map_err(failed)?;
        let pipe = || AgentError::Runner("it has no pipes".into());
        let (input, output) =
            (child.stdin.take().ok_or_else(pipe)?, child.stdout.take().ok_or_else(pipe)?);
        Ok(ProcessRunner { _child: child, input, output: BufReader::new(output).lines() })
    }

    async fn ask(&mut self, verb: &str) -> Result<String, String> {
        let broken = |error: std::io::Error| format!("the runner ended: {error}");
        self.input.write_all(format!("{verb}\n").as_bytes()).await.map_err(broken)?;
        self.input.flush().await.map_err(broken)?;
        match self.output.next_line().await.map_err(broken)? {
            Some(line) => match line.strip_prefix("ok") {
                Some(said) => Ok(said.trim().to_owned()),
                None => Err(line.strip_prefix("failed ").unwrap_or(&line).to_owned()),
            },
            None => Err("the runner ended".into()),
        }
    }
}

impl Runner for ProcessRunner {
    async fn restart(&mut self) -> Result<(), String> {
        self.ask("restart").await.map(drop)
    }

    async fn health(&mut self) -> Result<(), String> {
        self.ask("health").await.map(drop)
    }

    async fn slot(&mut self, slot: &str) -> Result<(), String> {
        self.ask(&format!("slot {slot}")).await.map(drop)
    }

    async fn slots(&mut self, verb: SlotVerb) -> Result<String, String> {
        self.ask(&verb.line()).await
    }

    async fn unlock(&mut self) -> Result<(), String> {
        self.ask("unlock").await.map(drop)
    }
}

const RETRY_AFTER: Duration = Duration::from_millis(500);
const SLOT_TIMEOUT: Duration = Duration::from_secs(30);
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn runner(text: &str) -> LocalRunner {
        let config = AgentConfig::parse(text, Path::new("/nonexistent/agent.toml")).unwrap();
        LocalRunner { config }
    }

    #[tokio::test]
    async fn a_hook_that_fails_or_is_missing_is_a_failed_restart() {
        let hook = |program: &str| {
            runner(&format!("[update]\nrestart = {{ command = [\"{program}\"] }}\n"))
        };
        assert_eq!(hook("/bin/true").restart().await, Ok(()));
        assert!(hook("/bin/false").restart().await.unwrap_err().contains("exit status: 1"));
        assert!(hook("/nonexistent/hook").restart().await.is_err());
    }

    #[tokio::test]
    async fn a_command_check_passes_and_fails() {
        let check = |program: &str| {
            runner(&format!(
                "[update]\nhealth_grace_seconds = 0\n[[health]]\ncommand = [\"{program}\"]\n"
            ))
        };
        assert_eq!(check("/bin/true").health().await, Ok(()));
        assert!(check("/bin/false").health().await.is_err());
    }

    #[tokio::test]
    async fn an_http_probe_wants_a_success() {
        for (answer, healthy) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
            ("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", false),
            ("SSH-2.0-x\r\n", false),
            ("", false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 512];
                let read = stream.read(&mut request).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                String::from_utf8_lossy(&request[..read]).into_owned()
            });
            let result = probe(&format!("http://127.0.0.1:{port}/health?x=1")).await;
            assert_eq!(result.is_ok(), healthy, "{answer:?}: {result:?}");
            assert!(server.await.unwrap().starts_with("GET /health?x=1 HTTP/1.0\r\n"));
        }
    }

    #[tokio::test]
    async fn a_process_has_to_be_alive_and_stay_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let moment = Duration::from_millis(1);
        assert!(stays_alive(&file, moment).await.is_err());
        std::fs::write(&file, "nonsense").unwrap();
        assert!(stays_alive(&file, moment).await.is_err());
        std::fs::write(&file, "1").unwrap();
        assert!(stays_alive(&file, moment).await.is_err(), "never the first process");
        let mut child = Command::new("/bin/sleep").arg("600").kill_on_drop(true).spawn().unwrap();
        std::fs::write(&file, format!("{}\n", child.id().unwrap())).unwrap();
        assert_eq!(stays_alive(&file, moment).await, Ok(()));
        child.kill().await.unwrap();
        assert!(stays_alive(&file, moment).await.unwrap_err().contains("has ended"));
    }

    #[tokio::test]
    async fn a_process_runner_speaks_the_lines() {
        // A runner written in shell: it knows one verb.
        let mut command = std::process::Command::new("/bin/sh");
        command.args([
            "-c",
            "while read verb; do case \"$verb\" in restart) echo ok;; *) echo failed no $verb;; esac; done",
        ]);
        let mut runner = ProcessRunner::start(command).unwrap();
        assert_eq!(runner.restart().await, Ok(()));
        assert_eq!(runner.health().await, Err("no health".into()));
        assert_eq!(runner.slot("b").await, Err("no slot b".into()));
        let mut gone = ProcessRunner::start(std::process::Command::new("/bin/true")).unwrap();
        assert!(gone.restart().await.is_err());
    }
}
