//! A network and mounts of a test's own, also where it is not root.

use std::process::{Command, Stdio};

/// `unshare` as root, as root of a user namespace, or by sudo where that asks for no password.
pub fn unshare() -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new("unshare");
    }
    let succeeds = |command: &mut Command| {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    };
    let probe = ["--map-root-user", "--mount", "--net", "mount", "-t", "tmpfs", "tmpfs", "/mnt"];
    if succeeds(Command::new("unshare").args(probe)) {
        let mut command = Command::new("unshare");
        command.arg("--map-root-user");
        return command;
    }
    assert!(
        succeeds(Command::new("sudo").args(["-n", "true"])),
        "neither root, nor user namespaces, nor sudo without a password: the pages cannot be run"
    );
    let mut command = Command::new("sudo");
    command.args(["-n", "--preserve-env", "unshare"]);
    command
}
