//! C headers: `psa_manifest/sid.h`, `pid.h`, and one per partition.

use std::fmt::Write;

use crate::check::{Product, Resolved};

/// Every header: its path below the folder for headers, and its text.
pub fn headers(product: &Product) -> Vec<(String, String)> {
    let mut all = vec![
        ("psa_manifest/sid.h".to_owned(), sid(product)),
        ("psa_manifest/pid.h".to_owned(), pid(product)),
    ];
    for p in &product.partitions {
        all.push((format!("psa_manifest/{}.h", header(p)), partition(p)));
    }
    all
}

fn guarded(name: &str, body: &str) -> String {
    format!("/* Made by the generator. */\n#ifndef {name}\n#define {name}\n{body}#endif\n")
}

fn sid(product: &Product) -> String {
    let mut out = String::new();
    let mut index = 0;
    for service in product.partitions.iter().flat_map(|p| &p.partition.service) {
        let service = service.get_ref();
        let name = service.name.get_ref();
        index += 1;
        let _ = writeln!(out, "#define {name}_SID ({:#x}u)", service.sid.get_ref());
        let _ = writeln!(out, "#define {name}_VERSION ({}u)", service.version.get_ref());
        if service.stateless {
            let handle = 0x4000_0000 + index;
            let _ = writeln!(out, "#define {name}_HANDLE ((psa_handle_t){handle:#x})");
        }
    }
    guarded("PSA_MANIFEST_SID_H", &out)
}

fn pid(product: &Product) -> String {
    let mut out = String::new();
    for p in &product.partitions {
        // The standard's name for the id is the partition's.
        let name = p.partition.name.get_ref().to_uppercase();
        let _ = writeln!(out, "#define {name} ({})", p.partition.id.get_ref());
    }
    guarded("PSA_MANIFEST_PID_H", &out)
}

fn partition(p: &Resolved) -> String {
    let mut out = String::new();
    let own = &p.partition;
    let names = own.service.iter().map(|s| s.get_ref().name.get_ref());
    let names = names.chain(own.irq.iter().map(|i| i.get_ref().signal.get_ref()));
    for (signal, bits) in names.zip(&p.signals) {
        let _ = writeln!(out, "#define {signal}_SIGNAL ({bits:#x}u)");
    }
    for region in &p.regions {
        let (label, range) = (&region.label, region.range);
        let _ = writeln!(out, "#define {label}_BASE ({:#x}u)", range.base);
        let _ = writeln!(out, "#define {label}_SIZE ({:#x}u)", range.size);
    }
    let _ = writeln!(out, "void {}(void);", own.entry);
    guarded(&format!("PSA_MANIFEST_{}_H", header(p).to_uppercase()), &out)
}

/// The name of a partition's header, without its ending.
fn header(p: &Resolved) -> &str {
    p.partition.header.as_ref().unwrap_or(&p.partition.name).get_ref()
}
