//! The update partition, on both boards: a release from start to confirmation, and every way in
//! which one is refused, given up or reverted. The application asks by a script; all that it can
//! ask for is in there.

mod life;
mod package;
mod refused;
mod run;
mod shape;

use harness::release::Fleet;

use crate::device::{Bench, Device, MACHINES};
use crate::flows::Tally;
pub use package::{Package, document, order, pack};
pub use run::loaders;

pub fn all(bench: &Bench, only: Option<&str>) -> bool {
    let mut tally = Tally::default();
    for machine in MACHINES {
        let fleet = Fleet::new(&bench.images, 2, 80 * 1024);
        let factory = Device::new(bench, "update", machine, &fleet);
        factory.factory_slot(&fleet.slot(&fleet.good(1), 1));
        let mut test = Test { fleet, factory, machine, tally };
        test.first_image();
        for (name, case) in CASES {
            if only.is_none_or(|part| name.contains(part)) {
                case(&mut test, name);
            }
        }
        tally = test.tally;
    }
    tally.end("update")
}

type Case = fn(&mut Test, &str);

const CASES: &[(&str, Case)] = &[
    ("good_update_is_written_tried_accepted_and_confirmed", Test::good_update),
    ("manifests_and_orders_refused_at_start", Test::refused_at_start),
    ("calls_out_of_their_state", Test::out_of_state),
    ("order_with_a_nonce", Test::nonces),
    ("order_replayed", Test::replayed),
    ("image_cut_short", Test::cut_short),
    ("image_with_extra_bytes", Test::extra_bytes),
    ("image_with_a_wrong_digest", Test::wrong_digest),
    ("blocks_out_of_line_tfmv_5", Test::blocks),
    ("messages_out_of_shape_tfmv_9", Test::messages),
    ("power_cut_in_every_state", Test::power_cuts),
    ("staged_release_rejected", Test::staged),
    ("trial_rejected_by_the_application", Test::rejected),
    ("trial_with_a_health_check_that_fails", Test::unhealthy),
    ("trial_in_which_a_partition_fails", Test::crashed),
    ("trial_that_is_never_accepted", Test::hangs),
    ("anchors_turned", Test::anchors),
];

struct Test {
    fleet: Fleet,
    /// A device that runs release 1, confirmed.
    factory: Device,
    machine: &'static str,
    tally: Tally,
}

impl Test {
    /// A device of its own that runs release 1.
    fn device(&self, name: &str) -> Device {
        self.factory.copy(name)
    }

    /// A good release with a good order.
    fn package(&self, release: u8, number: u64) -> Package {
        let release = self.fleet.good(release);
        pack(&release, &order(&self.fleet, release.digest(), number))
    }

    fn check(&mut self, what: &str, holds: bool, seen: &dyn std::fmt::Debug) {
        let what = format!("{}: {what}", self.machine);
        self.tally.check(&what, holds, seen);
    }
}

/// Statuses of PSA Firmware Update 1.0.
const SUCCESS: i32 = 0;
const SUCCESS_REBOOT: i32 = 1;
const NOT_PERMITTED: i32 = -133;
const INVALID_ARGUMENT: i32 = -135;
const BAD_STATE: i32 = -137;
const BUFFER_TOO_SMALL: i32 = -138;
const DOES_NOT_EXIST: i32 = -140;
const STORAGE_FAILURE: i32 = -146;
const INVALID_SIGNATURE: i32 = -149;

/// Its states.
const READY: u32 = 0;
const WRITING: u32 = 1;
const CANDIDATE: u32 = 2;
const STAGED: u32 = 3;
const FAILED: u32 = 4;
const TRIAL: u32 = 5;
const REJECTED: u32 = 6;
const UPDATED: u32 = 7;
