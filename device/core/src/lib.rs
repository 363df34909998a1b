//! The device's state machines, free of I/O.
