//! The secure console: one line for what happened, facts as `name=value` in hexadecimal.

use mps2::Console;

use crate::arch::FaultReport;

/// Switches it on.
pub fn open() {
    Console::open();
}

/// A line.
#[inline(never)]
pub fn line(what: &str, facts: &[(&str, u32)]) {
    begin(what);
    for (name, value) in facts {
        fact(name, *value);
    }
    end();
}

/// The line of a fault.
#[inline(never)]
pub fn fault(name: Option<&str>, number: u32, report: &FaultReport, pc: u32) {
    begin("fault ");
    text(name.unwrap_or("nonsecure"));
    text(match number {
        3 => " HardFault",
        4 => " MemManage",
        5 => " BusFault",
        6 => " UsageFault",
        _ => " SecureFault",
    });
    fact("cfsr", report.status);
    fact("sfsr", report.secure);
    if let Some(address) = report.address {
        fact("address", address);
    }
    if pc != 0 {
        fact("pc", pc);
    }
    end();
}

/// The beginning of a line.
pub fn begin(what: &str) {
    text("spm: ");
    text(what);
}

/// A fact in it.
pub fn fact(name: &str, value: u32) {
    text(" ");
    text(name);
    text("=");
    Console.hex(value);
}

/// Text in it.
pub fn text(text: &str) {
    Console.text(text);
}

/// Its end.
pub fn end() {
    text("\n");
}
