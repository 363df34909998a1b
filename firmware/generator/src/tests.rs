//! Every refusal with the line that it names, beside the manifest that is good.

use crate::manifest::Range;
use crate::place::{Measured, Placed};
use crate::{Product, Refusal};

const BOARD: &str = include_str!("../../board/mps2/board.toml");

const GOOD: &str = r#"board = "board.toml"
[manager]
code_bytes = 0x4000
ram_bytes = 0x1800
stack_bytes = 2048
slots = 8
[nonsecure]
on_fault = "restart"
on_error = "error"
slots = 5
peripherals = ["uart1"]
[[partition]]
name = "one"
id = 1
package = "one"
priority = 2
stack_bytes = 512
code_bytes = 0x1000
data_bytes = 0x200
on_fault = "restart"
on_error = "error"
deadline_ms = 100
[[partition.service]]
name = "ONE"
sid = 0x1001
version = 1
[[partition.mmio]]
name = "timer1"
[[partition.irq]]
signal = "TICK"
line = 4
[[partition]]
name = "two"
id = 2
package = "two"
priority = 3
stack_bytes = 512
code_bytes = 0x1000
data_bytes = 0x200
on_fault = "reset"
on_error = "reset"
deadline_ms = 200
depends = ["ONE"]
[[partition.service]]
name = "TWO"
sid = 0x1002
version = 1
"#;

fn parse(text: &str) -> Result<Product, Refusal> {
    Product::parse("product.toml", text, "board.toml", BOARD)
}

/// The manifest with one line in place of another, which stands there once, or as the `nth`.
fn with(nth: usize, from: &str, to: &str) -> (String, usize) {
    let mut seen = 0;
    let mut line = 0;
    let lines: Vec<&str> = GOOD
        .lines()
        .enumerate()
        .map(|(index, text)| {
            if text == from {
                seen += 1;
                if seen == nth {
                    line = index + 1;
                    return to;
                }
            }
            text
        })
        .collect();
    assert!(line > 0, "no line '{from}'");
    (lines.join("\n"), line)
}

/// Asserts the refusal of a changed line, `offset` lines below it.
fn refuses(nth: usize, from: &str, to: &str, offset: usize, reason: &str) {
    let (text, line) = with(nth, from, to);
    let refusal = parse(&text).unwrap_err();
    assert!(refusal.reason.contains(reason), "{refusal}");
    assert_eq!(refusal.line, line + offset, "{refusal}");
    assert!(refusal.to_string().starts_with(&format!("product.toml:{}: ", line + offset)));
}

fn mmio(count: usize) -> String {
    let area = |n: usize| {
        format!("[[partition.mmio]]\nbase = {:#x}\nsize = 0x20\n", 0x5004_0000 + n * 0x20)
    };
    (0..count).map(area).collect()
}

#[test]
fn a_good_manifest_is_taken_in_the_order_of_priority() {
    let product = parse(GOOD).unwrap();
    let names: Vec<&str> =
        product.partitions.iter().map(|p| p.partition.name.get_ref().as_str()).collect();
    assert_eq!(names, ["two", "one"]);
    assert_eq!(product.partitions[1].signals, [1 << 4, 1 << 5]);
}

#[test]
fn headers_have_the_names_that_c_asks_for() {
    let (text, _) = with(1, "name = \"one\"", "name = \"one\"\nheader = \"one_psa\"");
    let headers = crate::c::headers(&parse(&text).unwrap());
    let find = |path: &str| headers.iter().find(|(at, _)| at == path).map(|(_, text)| text);
    assert!(find("psa_manifest/one_psa.h").unwrap().contains("#define TICK_SIGNAL (0x20u)"));
    assert!(find("psa_manifest/two.h").unwrap().contains("#define TWO_SIGNAL"));
    assert_eq!(find("psa_manifest/one.h"), None);
    // The standard's name for a partition's id is the partition's own.
    assert!(find("psa_manifest/pid.h").unwrap().contains("#define ONE (1)\n"));
    let twice = "name = \"two\"\nheader = \"one\"";
    refuses(1, "name = \"two\"", twice, 1, "header 'one' stands on line");
    let taken = "name = \"two\"\nheader = \"pid\"";
    refuses(1, "name = \"two\"", taken, 1, "'pid' is no header");
}

#[test]
fn refuses_more_regions_than_the_mpu_has() {
    let at_limit = format!("name = \"timer1\"\n{}", mmio(4));
    let (text, _) = with(1, "name = \"timer1\"", at_limit.trim_end());
    assert!(parse(&text).is_ok());
    let too_many = format!("name = \"timer1\"\n{}", mmio(5));
    // The line that is one too many: the header of the fifth.
    refuses(1, "name = \"timer1\"", too_many.trim_end(), 1 + 4 * 3, "needs 9 MPU regions");
}

#[test]
fn refuses_overlapping_regions_of_one_partition() {
    let twice = "name = \"timer1\"\n[[partition.mmio]]\nbase = 0x50001020\nsize = 0x20";
    refuses(1, "name = \"timer1\"", twice, 2, "overlapping MPU regions fault");
}

#[test]
fn refuses_a_region_with_two_owners() {
    let both = "depends = [\"ONE\"]\n[[partition.mmio]]\nname = \"timer1\"";
    refuses(1, "depends = [\"ONE\"]", both, 2, "belongs to partition one already");
    refuses(1, "name = \"timer1\"", "name = \"uart1\"", 0, "belongs to the non-secure side");
}

#[test]
fn refuses_what_the_manager_owns() {
    refuses(1, "name = \"timer1\"", "name = \"uart0\"", 0, "the manager owns uart0");
    let code = "base = 0x10024000\nsize = 0x20";
    refuses(1, "name = \"timer1\"", code, 0, "overlaps secure code");
    let scs = "base = 0xe000e000\nsize = 0x1000";
    refuses(1, "name = \"timer1\"", scs, 0, "overlaps the system control space");
}

#[test]
fn refuses_what_the_mpu_cannot_draw() {
    let base = "base = 0x50040010\nsize = 0x20";
    refuses(1, "name = \"timer1\"", base, 0, "not 32-byte aligned");
    let size = "base = 0x50040000\nsize = 0x30";
    refuses(1, "name = \"timer1\"", size, 1, "not a multiple of 32");
    let end = "base = 0xffffffe0\nsize = 0x40";
    refuses(1, "name = \"timer1\"", end, 1, "past the end of memory");
}

#[test]
fn a_heap_has_room_for_one_block_as_large_as_itself() {
    let range = |base| Range { base, size: 0x1000 };
    let placed = Placed { code: range(0x1002_4000), ram: range(0x3800_a800) };
    let script = |heap| crate::script::partition(&placed, 512, heap, "partition_main");
    // Whole eights, and the eight bytes that are kept of a block.
    assert!(script(100).contains("__heap_start = .; . += 0x70; __heap_end = .;"));
    assert!(script(0).contains("__heap_start = .; . += 0x0; __heap_end = .;"));
}

#[test]
fn borders_follow_the_memory_map() {
    let product = parse(GOOD).unwrap();
    assert_eq!(product.mpc, [[0x5800_7000, 32, 94], [0x5800_9000, 0, 64]]);
    let board = |from: &str, to: &str| {
        assert!(BOARD.contains(from), "no '{from}'");
        Product::parse("product.toml", GOOD, "board.toml", &BOARD.replace(from, to))
    };
    let code = "nonsecure_code = { base = 0x00100000, size = 0x2f0000 }";
    let moved = board(code, "nonsecure_code = { base = 0x00200000, size = 0x100000 }").unwrap();
    assert_eq!(moved.mpc[0], [0x5800_7000, 64, 32]);
    for (size, reason) in [
        ("base = 0x00100000, size = 0x2f0400", "whole words of 0x8000 bytes"),
        ("base = 0x00104000, size = 0x10000", "whole words of 0x8000 bytes"),
        ("base = 0x00100000, size = 0x310000", "ends behind what it guards"),
    ] {
        let refusal = board(code, &format!("nonsecure_code = {{ {size} }}")).unwrap_err();
        assert!(refusal.reason.contains(reason), "{refusal}");
        assert!(refusal.to_string().starts_with("board.toml:"), "{refusal}");
    }
    let all = board(
        "memory = { base = 0x00000000, size = 0x400000 }",
        "memory = { base = 0, size = 0x30000000 }",
    );
    assert!(all.unwrap_err().reason.contains("behind one controller"));
    assert!(board("block = 0x400", "block = 0").unwrap_err().reason.contains("no such size"));
}

#[test]
fn refuses_unknown_names() {
    refuses(
        1,
        "depends = [\"ONE\"]",
        "depends = [\"NONE\"]",
        0,
        "no partition has a service 'NONE'",
    );
    refuses(1, "name = \"timer1\"", "name = \"timer9\"", 0, "the board has no 'timer9'");
    let theirs = "peripherals = [\"uart9\"]";
    refuses(1, "peripherals = [\"uart1\"]", theirs, 0, "the board has no 'uart9'");
    refuses(1, "slots = 8", "slotz = 8", 0, "unknown field");
}

#[test]
fn refuses_health_checks_that_cannot_be_made() {
    let depends = "depends = [\"ONE\"]";
    refuses(1, depends, &format!("{depends}\nhealth = [\"TWO\"]"), 1, "not under `depends`");
    refuses(1, depends, &format!("{depends}\nhealth = [\"ONE\"]"), 1, "not stateless");
    refuses(1, depends, &format!("{depends}\ntrial_ms = 999"), 1, "1 to 200 seconds");
    let (text, _) = with(1, depends, &format!("{depends}\nhealth = [\"ONE\"]\ntrial_ms = 5000"));
    let text = text.replace("name = \"ONE\"", "name = \"ONE\"\nstateless = true");
    let names = crate::rust::names(&parse(&text).unwrap());
    assert!(names.contains("pub const HEALTH: [u32; 1] = [super::sid::ONE_HANDLE];"), "{names}");
    assert!(names.contains("pub const TRIAL_MS: u32 = 5000;"), "{names}");
}

#[test]
fn refuses_cycles_that_would_deadlock() {
    refuses(1, "deadline_ms = 100", "deadline_ms = 100\ndepends = [\"TWO\"]", 1, "a deadlock");
    refuses(1, "deadline_ms = 100", "deadline_ms = 100\ndepends = [\"ONE\"]", 1, "a deadlock");
}

#[test]
fn refuses_a_deadline_shorter_than_what_it_waits_for() {
    refuses(1, "deadline_ms = 200", "deadline_ms = 100", 0, "must be longer than the 100 ms");
}

#[test]
fn refuses_duplicates_and_names_the_first() {
    refuses(1, "sid = 0x1002", "sid = 0x1001", 0, "SID '4097' stands on line 25 already");
    refuses(1, "id = 2", "id = 1", 0, "partition id '1' stands on line 14 already");
    refuses(1, "name = \"two\"", "name = \"one\"", 0, "partition 'one' stands on line 13");
    refuses(1, "name = \"TWO\"", "name = \"ONE\"", 0, "service 'ONE' stands on line 24");
    let irq = "depends = [\"ONE\"]\n[[partition.irq]]\nsignal = \"T\"\nline = 4";
    refuses(1, "depends = [\"ONE\"]", irq, 3, "interrupt line '4' stands on line 31");
}

#[test]
fn refuses_numbers_that_make_no_sense() {
    refuses(1, "id = 1", "id = 0", 0, "no partition id");
    refuses(1, "version = 1", "version = 0", 0, "1 or more");
    refuses(1, "stack_bytes = 512", "stack_bytes = 100", 0, "256 bytes or more");
    refuses(1, "stack_bytes = 2048", "stack_bytes = 100", 0, "512 bytes or more");
    refuses(1, "slots = 5", "slots = 9", 0, "at most all of them");
    refuses(1, "line = 4", "line = 200", 0, "no interrupt line");
    refuses(1, "on_fault = \"restart\"", "on_fault = \"ignore\"", 0, "unknown variant");
    // What is not there has no line: the partition's name has.
    let (text, line) = with(1, "package = \"one\"", "");
    let refusal = parse(&text).unwrap_err();
    assert!(refusal.reason.contains("nothing to run") && refusal.line == line - 2, "{refusal}");
}

#[test]
fn refuses_what_exceeds_its_budget() {
    let product = parse(GOOD).unwrap();
    let fits = [Measured { code: 0x1000, data: 0x200 }; 2];
    let placed = product.place(&fits).unwrap();
    assert_eq!(placed[0].code.base, 0x1002_4000);
    assert_eq!(placed[1].code.base, 0x1002_5000);
    assert_eq!(placed[1].ram.base % 32, 0);
    let refusal = product.place(&[fits[0], Measured { code: 0x1001, data: 0 }]).unwrap_err();
    // Position 1 by priority is `one`, whose budget stands on line 18.
    assert_eq!(refusal.line, 18, "{refusal}");
    let refusal = product.place(&[fits[0], Measured { code: 0, data: 0x201 }]).unwrap_err();
    assert_eq!(refusal.line, 19, "{refusal}");
}

#[test]
fn tables_give_each_partition_its_own_memory_only() {
    let product = parse(GOOD).unwrap();
    let placed = product.place(&[Measured { code: 64, data: 8 }; 2]).unwrap();
    for (index, a) in placed.iter().enumerate() {
        for b in &placed[index + 1..] {
            assert!(!a.code.overlaps(b.code) && !a.ram.overlaps(b.ram));
        }
    }
}
