//! The Rust tables of the manager, and the names that Rust partitions and applications use.

use std::fmt::Write;

use crate::check::{Product, Resolved};
use crate::elf::Elf;
use crate::manifest::{OnError, OnFault, Range};
use crate::place::{GATEWAY, Placed, VENEERS};

/// The tables, for `include!` in the manager.
pub fn tables(product: &Product, placed: &[Placed], elves: &[Elf]) -> String {
    let mut out = String::from("// Made by the generator.\n");
    let count = product.partitions.len();
    let _ = writeln!(out, "pub const THREADS: usize = {};", count + 2);
    let _ = writeln!(out, "pub const SLOTS: usize = {};", product.manifest.manager.slots.get_ref());
    out.push_str("pub static TABLES: Tables = Tables {\n    partitions: &[\n");
    for ((p, at), elf) in product.partitions.iter().zip(placed).zip(elves) {
        partition(&mut out, product, p, at, elf);
    }
    out.push_str("    ],\n    services: &[\n");
    for (index, p) in product.partitions.iter().enumerate() {
        services(&mut out, product, index, p);
    }
    out.push_str("    ],\n    interrupts: &[\n");
    for (index, p) in product.partitions.iter().enumerate() {
        let signals = p.signals.iter().skip(p.partition.service.len());
        for (irq, signal) in p.partition.irq.iter().zip(signals) {
            let irq = irq.get_ref();
            let _ = writeln!(
                out,
                "        Interrupt {{ number: {}, owner: {index}, signal: {signal:#x}, enabled: {} }},",
                irq.line.get_ref(),
                irq.enabled
            );
        }
    }
    let theirs = &product.manifest.nonsecure;
    let _ = writeln!(
        out,
        "    ],\n    nonsecure: Nonsecure {{ on_fault: {}, on_error: {}, slots: {} }},\n}};",
        on_fault(theirs.on_fault),
        on_error(theirs.on_error),
        theirs.slots.get_ref()
    );
    board(&mut out, product);
    out
}

fn partition(out: &mut String, product: &Product, p: &Resolved, at: &Placed, elf: &Elf) {
    let own = &p.partition;
    let data = elf.segments.iter().find(|s| at.ram.base <= s.at && !s.file.is_empty());
    let (data_at, data_len, data_from) = data
        .map_or((at.ram.base + at.ram.size, 0, at.code.base), |s| {
            (s.at, s.file.len() as u32, s.load)
        });
    let signals = p.signals.iter().fold(8, |all, signal| all | signal);
    let mut regions = vec![region(at.code, 3, true, 0), region(at.ram, 1, false, 0)];
    regions.push(gateway(product));
    for r in &p.regions {
        let access = if r.read_only { 3 } else { 1 };
        regions.push(region(r.range, access, false, u32::from(!r.is_memory)));
    }
    let _ = writeln!(
        out,
        "        Partition {{
            name: {:?}, id: {}, entry: {:#x},
            code: {}, ram: {}, stack: {},
            data: Span {{ at: {data_at:#x}, len: {data_len} }}, data_from: {data_from:#x},
            mpu: {},
            on_fault: {}, on_error: {}, deadline_ms: {}, restarts: {}, may_reset: {},
            signals: {signals:#x},
        }},",
        own.name.get_ref(),
        own.id.get_ref(),
        elf.entry,
        span(at.code),
        span(at.ram),
        own.stack_bytes.get_ref(),
        mpu(&regions),
        on_fault(own.on_fault),
        on_error(own.on_error),
        own.deadline_ms.get_ref(),
        own.restarts,
        own.may_reset,
    );
}

fn services(out: &mut String, product: &Product, owner: usize, p: &Resolved) {
    for (service, signal) in p.partition.service.iter().zip(&p.signals) {
        let service = service.get_ref();
        let name = service.name.get_ref();
        let callers = product.partitions.iter().enumerate().fold(0u32, |all, (index, other)| {
            let calls = other.partition.depends.iter().any(|d| d.get_ref() == name);
            all | u32::from(calls) << index
        });
        let _ = writeln!(
            out,
            "        Service {{ sid: {:#x}, version: {}, strict: {}, stateless: {}, nonsecure: {}, \
             owner: {owner}, signal: {signal:#x}, callers: {callers:#x} }}, // {name}",
            service.sid.get_ref(),
            service.version.get_ref(),
            service.strict,
            service.stateless,
            service.nonsecure,
        );
    }
}

fn board(out: &mut String, product: &Product) {
    let map = &product.board.memory;
    let sau = [
        (map.nonsecure_code, 0),
        (map.nonsecure_ram, 0),
        (Range { base: 0x4000_0000, size: 0x1000_0000 }, 0),
        (Range { base: map.secure_code.base + GATEWAY.base, size: VENEERS }, 2),
    ];
    let mut theirs = [0u32; 4];
    let mut words: Vec<(u32, u32)> = Vec::new();
    let mut set = |at: u32, bit: u32| match words.iter_mut().find(|(word, _)| *word == at) {
        Some((_, value)) => *value |= 1 << bit,
        None => words.push((at, 1 << bit)),
    };
    for name in &product.manifest.nonsecure.peripherals {
        let known = product.board.peripheral.iter().find(|p| p.name == *name.get_ref());
        let Some(peripheral) = known else { continue };
        if let Some(gate) = peripheral.gate {
            set(gate.nonsecure, gate.bit);
            set(gate.nonsecure_unprivileged, gate.bit);
        }
        for line in &peripheral.lines {
            if let Some(word) = theirs.get_mut(usize::from(*line / 32)) {
                *word |= 1 << (line % 32);
            }
        }
    }
    for region in product.partitions.iter().flat_map(|p| &p.regions) {
        if let Some(gate) = region.peripheral.as_ref().and_then(|p| p.gate) {
            set(gate.unprivileged, gate.bit);
        }
    }
    let manager_ram = Range {
        base: map.secure_ram.base + product.manifest.manager.stack_bytes.get_ref(),
        size: 0,
    };
    let agent =
        Range { base: manager_ram.base.next_multiple_of(32), size: crate::place::AGENT_STACK };
    let idle = Range { base: agent.base + agent.size, size: 128 };
    let _ = writeln!(out, "pub const HANDOFF: u32 = {:#x};", map.handoff.base);
    let _ = writeln!(
        out,
        "pub static BOARD: Board = Board {{
    nonsecure_code: {}, nonsecure_ram: {},
    sau: &{:#x?},
    mpc: &{:#x?},
    words: &{:#x?},
    nonsecure_interrupts: {theirs:#x?},
    agent_mpu: {},
    idle_mpu: {},
    retained: {:#x},
}};",
        span(map.nonsecure_code),
        span(map.nonsecure_ram),
        sau.map(|(range, flag)| [range.base, (range.base + (range.size - 32)) | flag | 1]),
        product.mpc,
        words.iter().map(|(at, value)| [*at, *value]).collect::<Vec<_>>(),
        mpu(&[region(agent, 1, false, 0), gateway(product)]),
        mpu(&[region(idle, 1, false, 0), gateway(product)]),
        map.retained.base,
    );
}

fn gateway(product: &Product) -> [u32; 2] {
    let base = product.board.memory.secure_code.base + GATEWAY.base;
    region(Range { base, size: GATEWAY.size }, 3, true, 0)
}

/// RBAR and RLAR: access 1 is read and write, 3 is read.
fn region(range: Range, access: u32, execute: bool, attribute: u32) -> [u32; 2] {
    let limit = range.base + (range.size - 32);
    [range.base | access << 1 | u32::from(!execute), limit | attribute << 1 | 1]
}

fn mpu(regions: &[[u32; 2]]) -> String {
    let mut all = [[0u32; 2]; 8];
    for (to, from) in all.iter_mut().zip(regions) {
        *to = *from;
    }
    let pairs: Vec<String> = all.iter().map(|[a, b]| format!("[{a:#x}, {b:#x}]")).collect();
    format!("[{}]", pairs.join(", "))
}

fn span(range: Range) -> String {
    format!("Span {{ at: {:#x}, len: {:#x} }}", range.base, range.size)
}

fn on_fault(policy: OnFault) -> &'static str {
    match policy {
        OnFault::Restart => "OnFault::Restart",
        OnFault::Reset => "OnFault::Reset",
    }
}

fn on_error(policy: OnError) -> &'static str {
    match policy {
        OnError::Error => "OnError::Error",
        OnError::Reset => "OnError::Reset",
    }
}

/// Names for Rust: ids, versions and handles of services; ids, signals and regions of partitions.
pub fn names(product: &Product) -> String {
    let mut out = String::from("// Made by the generator.\n/// Services.\npub mod sid {\n");
    let mut index = 0;
    for service in product.partitions.iter().flat_map(|p| &p.partition.service) {
        let service = service.get_ref();
        let name = service.name.get_ref();
        index += 1;
        let _ = writeln!(out, "    pub const {name}: u32 = {:#x};", service.sid.get_ref());
        let _ = writeln!(out, "    pub const {name}_VERSION: u32 = {};", service.version.get_ref());
        if service.stateless {
            let handle = 0x4000_0000 + index;
            let _ = writeln!(out, "    pub const {name}_HANDLE: u32 = {handle:#x};");
        }
    }
    out.push_str("}\n");
    for p in &product.partitions {
        let own = &p.partition;
        let _ = writeln!(out, "/// The partition `{0}`.\npub mod {0} {{", own.name.get_ref());
        let _ = writeln!(out, "    pub const ID: i32 = {};", own.id.get_ref());
        let names = own.service.iter().map(|s| s.get_ref().name.get_ref());
        let names = names.chain(own.irq.iter().map(|i| i.get_ref().signal.get_ref()));
        for (name, signal) in names.zip(&p.signals) {
            let _ = writeln!(out, "    pub const {name}_SIGNAL: u32 = {signal:#x};");
        }
        if !own.health.is_empty() {
            let handles: Vec<String> = own
                .health
                .iter()
                .map(|name| format!("super::sid::{}_HANDLE", name.get_ref()))
                .collect();
            let (count, all) = (handles.len(), handles.join(", "));
            let _ = writeln!(out, "    pub const HEALTH: [u32; {count}] = [{all}];");
        }
        if let Some(trial) = &own.trial_ms {
            let _ = writeln!(out, "    pub const TRIAL_MS: u32 = {};", trial.get_ref());
        }
        for region in &p.regions {
            let (label, range) = (&region.label, region.range);
            let _ = writeln!(out, "    pub const {label}: usize = {:#x};", range.base);
            let _ = writeln!(out, "    pub const {label}_SIZE: usize = {:#x};", range.size);
        }
        out.push_str("}\n");
    }
    out
}
