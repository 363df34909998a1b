//! What the agent takes from itself, on Linux: landlock for files and for listening, seccomp for
//! system calls that it never needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, path_beneath_rules,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads};

use crate::{AgentConfig, KeyStoreConfig, SlotsConfig};

/// Applies what can be applied, to this thread and all that it starts, and returns what could not
/// be. To be called before other threads exist.
pub(crate) fn apply(config: &AgentConfig) -> Vec<String> {
    let mut missing = Vec::new();
    match restrict_files(config) {
        Ok(RulesetStatus::FullyEnforced) => {}
        Ok(RulesetStatus::PartiallyEnforced) => {
            missing.push("landlock: this kernel knows a part of the rules only".to_owned());
        }
        Ok(RulesetStatus::NotEnforced) => missing.push("landlock: not in this kernel".to_owned()),
        Err(error) => missing.push(format!("landlock: {error}")),
    }
    if let Err(error) = restrict_calls() {
        missing.push(format!("seccomp: {error}"));
    }
    missing
}

fn restrict_files(config: &AgentConfig) -> Result<RulesetStatus, landlock::RulesetError> {
    let abi = ABI::V5;
    let (read, write) = paths(config);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        // No rule follows for it: the agent listens nowhere.
        .handle_access(AccessNet::BindTcp)?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::from_read(abi)))?
        .add_rules(path_beneath_rules(write, AccessFs::from_all(abi)))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// What may be read, and what may be written.
fn paths(config: &AgentConfig) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut read: Vec<PathBuf> = READ.iter().map(PathBuf::from).collect();
    let mut write = vec![config.state.clone()];
    read.push(config.file.clone());
    match &config.key_store {
        KeyStoreConfig::SealedFile { directory, secret_file } => {
            write.push(directory.clone());
            read.extend(secret_file.clone());
        }
        KeyStoreConfig::Pkcs11 { module, pin_file, .. } => {
            read.push(module.parent().unwrap_or(Path::new("/")).to_owned());
            read.push(pin_file.clone());
        }
        KeyStoreConfig::Tpm { tcti, directory, .. } => {
            write.push(directory.clone());
            write.extend(tcti.strip_prefix("device:").map(PathBuf::from));
        }
    }
    if let SlotsConfig::Command { a, b, .. } = &config.update.slots {
        // The runner writes them; the agent reads them back.
        read.extend([a.clone(), b.clone()]);
    }
    read.extend(config.sandbox.read.iter().cloned());
    write.extend(config.commands.data.iter().cloned());
    write.extend(config.sandbox.write.iter().cloned());
    (read, write)
}

/// Calls that change the machine, look into other processes, or start programs, fail with EPERM.
fn restrict_calls() -> Result<(), seccompiler::Error> {
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> =
        FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    apply_filter_all_threads(&program)
}

/// Libraries, name resolution, the kernel's own words about this boot.
const READ: [&str; 10] = [
    "/usr",
    "/lib",
    "/lib64",
    "/etc",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/credentials",
    "/proc/sys/kernel/random",
    "/proc/self",
    "/dev",
];

const FORBIDDEN: [i64; 31] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_userfaultfd,
];

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::testing::in_child;

    #[test]
    fn inside_only_the_state_is_written_and_no_program_started() {
        in_child(
            "sandbox::tests::inside_only_the_state_is_written_and_no_program_started",
            |dir| {
                let (state, outside) = (dir.join("state"), dir.join("outside"));
                std::fs::create_dir(&state).unwrap();
                let config = AgentConfig::parse(
                    "[update]\n[[health]]\ncommand = [\"/bin/true\"]\n",
                    &state.join("agent.toml"),
                )
                .unwrap();
                std::fs::write(&outside, b"before").unwrap();
                assert!(Command::new("/bin/true").status().is_ok());
                let missing = apply(&config);
                std::fs::write(state.join("file"), b"x").unwrap();
                assert!(Command::new("/bin/true").status().is_err(), "seccomp: {missing:?}");
                // Where the kernel has no landlock the log says so, and nothing more can be asked.
                if !missing.iter().any(|line| line.starts_with("landlock")) {
                    assert!(std::fs::write(&outside, b"after").is_err());
                    assert!(std::fs::read(&outside).is_err());
                    assert!(std::net::TcpListener::bind("127.0.0.1:0").is_err());
                }
                assert!(std::fs::read("/etc/hostname").is_ok());
            },
        );
    }
}
