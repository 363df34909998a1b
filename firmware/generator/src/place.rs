//! Addresses: each partition gets code and RAM, by the sizes that the first link found.

use crate::check::{Product, Resolved};
use crate::manifest::Range;
use crate::refusal::Refusal;

/// What the first link of a partition found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Code, constants and initial data, in bytes.
    pub code: u32,
    /// Data, initialised or not, in bytes.
    pub data: u32,
}

/// Where a partition lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Code, constants and initial data.
    pub code: Range,
    /// Stack, then data.
    pub ram: Range,
}

/// Regions of the MPU begin and end at multiples of this.
pub const GRAIN: u32 = 32;
/// The gateway, seen from the start of the secure image.
pub const GATEWAY: Range = Range { base: 0x400, size: 0x100 };
/// The part of it that is non-secure callable.
pub const VENEERS: u32 = 0x40;
/// Bytes for the context that the non-secure side has in Secure state.
pub const AGENT_STACK: u32 = 1024;

impl Product {
    /// Gives every partition its addresses, in the order of [`Product::partitions`].
    ///
    /// # Errors
    /// A [`Refusal`] that names the budget which was exceeded.
    pub fn place(&self, measured: &[Measured]) -> Result<Vec<Placed>, Refusal> {
        let manager = &self.manifest.manager;
        let map = &self.board.memory;
        let mut code_at = map.secure_code.base + manager.code_bytes.get_ref();
        let mut ram_at = map.secure_ram.base + manager.ram_bytes.get_ref();
        let mut placed = Vec::new();
        for (p, size) in self.partitions.iter().zip(measured) {
            let one = self.place_one(p, *size, code_at, ram_at)?;
            code_at = one.code.base + one.code.size;
            ram_at = one.ram.base + one.ram.size;
            placed.push(one);
        }
        for (end, range, what) in
            [(code_at, map.secure_code, "code"), (ram_at, map.secure_ram, "RAM")]
        {
            if end > range.base + range.size {
                let reason = format!(
                    "all together need {:#x} bytes of secure {what}; the board has {:#x}",
                    end - range.base,
                    range.size
                );
                return Err(self.refuse(&manager.code_bytes, reason));
            }
        }
        Ok(placed)
    }

    fn place_one(
        &self,
        p: &Resolved,
        size: Measured,
        code_at: u32,
        ram_at: u32,
    ) -> Result<Placed, Refusal> {
        let name = p.partition.name.get_ref();
        for (used, budget, what) in [
            (size.code, &p.partition.code_bytes, "code"),
            (size.data, &p.partition.data_bytes, "data"),
        ] {
            if used > *budget.get_ref() {
                let reason = format!(
                    "{name} has {used} bytes of {what}; its budget is {}",
                    budget.get_ref()
                );
                return Err(self.refuse(budget, reason));
            }
        }
        let ram = p.partition.stack_bytes.get_ref() + size.data;
        Ok(Placed {
            code: Range { base: code_at, size: up(size.code.max(1)) },
            ram: Range { base: ram_at, size: up(ram) },
        })
    }
}

/// The next multiple of the grain.
pub fn up(bytes: u32) -> u32 {
    bytes.next_multiple_of(GRAIN)
}
