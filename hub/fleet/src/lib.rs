//! Devices, lifecycle, releases, deployments: the rules.
