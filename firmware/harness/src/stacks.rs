//! How deep each stack of the secure image is used behind the boot loader: a device takes a release,
//! tries it, confirms it, and takes new anchors.

use std::path::Path;

use harness::release::Fleet;

use crate::device::{Bench, Device, MACHINES, Run};
use crate::painted::{RAM, depths};
use crate::script::op;
use crate::update::{Package, document, loaders, order, pack};

/// Prints the deepest use of each stack; false when a run did not come to its end.
pub fn print(bench: &Bench, list: &Path) -> bool {
    MACHINES.iter().all(|machine| match measure(bench, machine, list) {
        Ok(stacks) => {
            for (name, used, bytes) in stacks {
                println!("{machine} stack of {name:<23} {used:>6} of {bytes} bytes, behind boot");
            }
            true
        }
        Err(reason) => {
            println!("{machine} stacks: NOT MEASURED: {reason}");
            false
        }
    })
}

/// A start from power-on: what the application does, and its states in the end.
type Start<'s> = (&'s [[u32; 3]], &'s [Package]);

fn measure(
    bench: &Bench,
    machine: &'static str,
    list: &Path,
) -> Result<Vec<(String, usize, usize)>, String> {
    let list = std::fs::read_to_string(list).map_err(|e| format!("{}: {e}", list.display()))?;
    let fleet = Fleet::new(&bench.images, 2, 80 * 1024);
    let device = Device::new(bench, "stacks", machine, &fleet);
    device.factory_slot(&fleet.slot(&fleet.good(1), 1));
    let next = fleet.good(2);
    let release = [pack(&next, &order(&fleet, next.digest(), 10))];
    let anchors = [document(&fleet, 2)];
    let confirm = [[op::QUERY, 0, 0], [op::CALL, 0, 0], [op::ACCEPT, 0, 0], [op::CLEAN, 0, 0]];
    let update = [
        [op::CHALLENGE, 0, 0],
        [op::START, 0, 0],
        [op::WRITE, 0, u32::MAX],
        [op::FINISH, 0, 0],
        [op::INSTALL, 0, 0],
    ];
    let trial = [confirm.as_slice(), &[[op::ANCHORS, 0, 0]]].concat();
    let starts: [Start<'_>; 3] = [(&confirm, &[]), (&update, &release), (&trial, &anchors)];
    let mut deepest: Vec<(String, usize, usize)> = Vec::new();
    for (script, packages) in starts {
        let memory = one(&device, script, packages)?;
        let now = depths(&list, &memory)?;
        deepest.resize(now.len(), (String::new(), 0, 0));
        for (most, (name, used, bytes)) in deepest.iter_mut().zip(now) {
            *most = (name, used.max(most.1), bytes);
        }
    }
    Ok(deepest)
}

/// The stacks' memory once the script is carried out, every call of it with success.
fn one(device: &Device, script: &[[u32; 3]], packages: &[Package]) -> Result<Vec<u8>, String> {
    let hanging = [script, &[[op::HANG, 0, 0]]].concat();
    let run = Run { arguments: loaders(device, &hanging, packages), ..Run::default() };
    let calls = |said: &str| said.lines().filter(|line| line.starts_with("op ")).count();
    let whole = || {
        let said = device.nonsecure_so_far();
        calls(said.rsplit_once('\n').map_or("", |(whole, _)| whole))
    };
    // The monitor sees memory by its non-secure address, and may read all of it.
    let area = (RAM.0 - 0x1000_0000, RAM.1);
    let memory = device.memory_when(run, "pmemsave", &[area], |_| whole() == script.len());
    let said = device.nonsecure_so_far();
    let failed = |line: &&str| {
        line.starts_with("op ") && line.split(' ').nth(2).is_none_or(|status| status > "00000001")
    };
    match said.lines().find(failed) {
        Some(line) => Err(format!("a call failed: {line}")),
        None if calls(&said) < script.len() => Err(format!("it ended early: {said}")),
        None => Ok(memory),
    }
}
