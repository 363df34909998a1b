//! Messages of the device API and of the factory batch.
