//! Crystal-box assessment of source, firmware and fleet.
