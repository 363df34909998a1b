//! The life of a device, without attack.

use std::path::Path;

use crate::device::{Device, Images, Run};
use crate::release::Fleet;

pub fn all(images: &Images, folder: &Path) -> bool {
    for machine in ["mps2-an505", "mps2-an521"] {
        let fleet = Fleet::new(images, 2, 200 * 1024);
        let device = Device::new(&folder.join(machine), images, machine, &fleet);
        device.factory_slot(&fleet.slot(&fleet.good(1), 1));
        for command in [0, 0x46474e01, 0] {
            let outcome = device.run(&Run { command, ..Run::default() });
            println!("{outcome:?}");
        }
    }
    true
}
