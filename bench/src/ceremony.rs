//! A hub's directory, made by the executable's own commands as people make one: PKI, anchors,
//! factory site, hub. Its name is "quickstart", so that it serves this machine only.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs the commands in an empty directory.
pub fn hold(ringfort: &Path, directory: &Path, quota: usize) -> Result<()> {
    let [devices, operators] = free_ports()?;
    for name in ["pin", "other-pin"] {
        let path = directory.join(name);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "the {name} of a measurement")?;
    }
    let run = |arguments: &str| run(ringfort, directory, arguments);
    for key in ["a1", "a2", "a3", "r1", "r2", "r3", "c1"] {
        run(&format!("release keygen {key} --pin-file pin"))?;
    }
    run("factory init --site plant --pin-file pin")?;
    run(&format!(
        "pki init --name quickstart --root root --backup-root backup \
         --hub-address localhost:{devices} --anchor-key a1.pub a2.pub a3.pub \
         --product bench.example/gateway --release-key r1.pub r2.pub r3.pub --command-key c1.pub \
         --root-pin-file pin --backup-root-pin-file other-pin --site station/plant.request \
         --quota {quota}"
    ))?;
    for key in ["a1", "a2"] {
        run(&format!("pki anchors sign hub/anchors/1.cbor --key {key}.sealed --pin-file pin"))?;
    }
    run("factory accept --answer hub/sites/plant.answer --anchors hub/anchors")?;
    run(&format!("hub init --operator-address localhost:{operators} --approvals 1"))?;
    fs::write(directory.join("ports"), format!("{devices} {operators}"))?;
    Ok(())
}

fn run(ringfort: &Path, directory: &Path, arguments: &str) -> Result<()> {
    let done = Command::new(ringfort)
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", ringfort.display()))?;
    let error = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "ringfort {arguments}: {}\n{error}", done.status);
    Ok(())
}

/// Two ports that were free a moment ago.
fn free_ports() -> Result<[u16; 2]> {
    let sockets = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    Ok([sockets[0].local_addr()?.port(), sockets[1].local_addr()?.port()])
}
