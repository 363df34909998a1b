//! Mistakes that can be switched on, one at a time, to show that the simulator finds them.
//! Without the feature `planted` nothing of this is compiled: [`is`] is `false`. Those of the order
//! journal are in the update partition, which keeps it.

macro_rules! bugs {
    ($( $name:ident $what:literal; )*) => {
        /// A planted mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(not(feature = "planted"), allow(dead_code))]
        #[repr(u8)]
        pub enum Bug {
            /// No mistake.
            None,
            $( #[doc = $what] $name, )*
        }

        #[cfg(feature = "planted")]
        impl Bug {
            /// Every mistake with its description.
            pub const ALL: &'static [(Bug, &'static str)] = &[ $( (Bug::$name, $what), )* ];
        }
    };
}

bugs! {
    FloorBeforeConfirm "the floor rises when the trial begins";
    SlotNotInvalidated "writing starts without a record that says so";
    BudgetNotSpent "an attempt is not recorded";
    BudgetSpentAfterwards "the budget is one boot too large";
    CounterBeforeRecord "the counter moves before the record that names it";
    CounterNotFinished "a counter move that was cut is not finished";
    TagNotChecked "a record's tag is not compared";
    UnsettledTrusted "a record without its mark is acted upon";
    SettledErased "a record without its mark is copied over the last one that has it";
    MarkReadOnce "a record is copied over itself though its mark was believed before";
    LostTrusted "a record that is older than one that cannot be read gives its attempts back";
    SectorContinued "the first record after a reset follows the last one in its sector";
    NewestErased "the sector of the newest record is erased first";
    OldestWins "the oldest valid record wins";
    WrittenTooEarly "a slot is recorded as written before its last bytes are";
    ActiveOverwritten "an update is written over the running slot";
    AnchorsInPlace "new anchors are written over the current ones";
    ConfirmInTwoRecords "floor and active slot move in two records";
    RevertNotRecorded "a revert is not recorded";
    OrdersInPlace "orders: a record is written over the newest one";
    OrdersTagNotChecked "orders: a record's tag is not compared";
    OrdersMarkNotChecked "orders: a record without its mark is acted upon";
    OrdersMarkedTooEarly "orders: the mark is written before the record";
    OrdersRemainsLeft "orders: what was cut is left where it is";
    OrdersLastWins "orders: the second sector's record wins";
}

#[cfg(feature = "planted")]
mod switch {
    use core::sync::atomic::{AtomicU8, Ordering};

    use super::Bug;

    static PLANTED: AtomicU8 = AtomicU8::new(0);

    /// Switches one mistake on, for the whole process.
    pub fn plant(bug: Bug) {
        PLANTED.store(bug as u8, Ordering::Relaxed);
    }

    /// Whether this mistake is switched on.
    pub fn is(bug: Bug) -> bool {
        PLANTED.load(Ordering::Relaxed) == bug as u8
    }
}

#[cfg(feature = "planted")]
pub use switch::{is, plant};

/// Whether this mistake is switched on: never.
#[cfg(not(feature = "planted"))]
pub const fn is(_: Bug) -> bool {
    false
}
