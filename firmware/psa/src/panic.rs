//! A partition that panics says so and ends.

use crate::service;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    service::panic()
}
