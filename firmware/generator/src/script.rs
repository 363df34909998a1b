//! Linker scripts.

use crate::check::Product;
use crate::place::{AGENT_STACK, Placed};

/// The script of one partition at its place. `stack` bytes come first in its RAM, so that a stack
/// that overflows leaves the region; the heap comes last, with room for one block of `heap` bytes.
pub fn partition(placed: &Placed, stack: u32, heap: u32, entry: &str) -> String {
    let heap = if heap == 0 { 0 } else { heap.next_multiple_of(8) + HEAP_BLOCK };
    format!(
        "/* Made by the generator. */
MEMORY
{{
  CODE (rx) : ORIGIN = {:#x}, LENGTH = {:#x}
  RAM (rw) : ORIGIN = {:#x}, LENGTH = {:#x}
}}
ENTRY({entry})
SECTIONS
{{
  .text ORIGIN(CODE) : {{ *(.text .text.* .gnu.linkonce.t.*) *(.rodata .rodata.*) \
*(.init .fini) . = ALIGN(8); }} > CODE
  .data : {{ *(.data .data.*) . = ALIGN(8); }} > RAM AT> CODE
  .bss (NOLOAD) : {{ *(.bss .bss.*) *(COMMON) . = ALIGN(8); __bss_end = .; }} > RAM
  .heap (NOLOAD) : {{ __heap_start = .; . += {heap:#x}; __heap_end = .; }} > RAM
  /DISCARD/ : {{ *(.ARM.exidx .ARM.exidx.* .ARM.extab .ARM.extab.*) *(.comment) \
*(.ARM.attributes) *(.note*) *(.eh_frame*) }}
}}
",
        placed.code.base,
        placed.code.size,
        placed.ram.base + stack,
        placed.ram.size - stack,
    )
}

/// What `c/lib/heap.c` keeps of each block.
const HEAP_BLOCK: u32 = 8;

/// What the manager's script includes.
pub fn manager(product: &Product) -> String {
    let manager = &product.manifest.manager;
    let map = &product.board.memory;
    format!(
        "/* Made by the generator. */
MEMORY
{{
  CODE (rx) : ORIGIN = {:#x}, LENGTH = {:#x}
  RAM (rw) : ORIGIN = {:#x}, LENGTH = {:#x}
}}
SPM_STACK = {:#x};
AGENT_STACK = {AGENT_STACK:#x};
",
        map.secure_code.base,
        manager.code_bytes.get_ref(),
        map.secure_ram.base,
        manager.ram_bytes.get_ref(),
        manager.stack_bytes.get_ref(),
    )
}
