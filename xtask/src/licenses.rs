//! The licences of the crates that are inside the program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run::{cargo, output};

/// Each crate with its licence, then each different licence text with the crates that carry it.
pub fn texts() -> Result<String> {
    let inside = output(cargo().args([
        "tree", "--locked", "-p", "ringfort", "-e", "normal", "--prefix", "none", "-f", "{p}",
    ]))?;
    let metadata = output(cargo().args(["metadata", "--locked", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let mut list = String::from("The program contains these crates:\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let mut packages: Vec<&Value> = packages.iter().filter(|p| !p["source"].is_null()).collect();
    packages.sort_by_key(|p| (p["name"].as_str(), p["version"].as_str()));
    for package in packages {
        let text = |field: &str| package[field].as_str().unwrap_or_default();
        let name = format!("{} v{}", text("name"), text("version"));
        if !inside.lines().any(|line| line.trim_end_matches(" (*)").starts_with(&name)) {
            continue;
        }
        list += &format!("{name}  {}  {}\n", text("license"), text("repository"));
        let folder = Path::new(text("manifest_path")).parent().unwrap_or(Path::new("/"));
        for file in license_files(folder)? {
            let text =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            texts
                .entry(String::from_utf8_lossy(&text).trim().to_owned())
                .or_default()
                .push(name.clone());
        }
    }
    for (text, crates) in texts {
        list += &format!("\n{}\n{}:\n\n{text}\n", "-".repeat(72), crates.join(", "));
    }
    Ok(list)
}

fn license_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        let is_license =
            ["LICENSE", "LICENCE", "COPYING", "NOTICE"].iter().any(|word| name.starts_with(word));
        if is_license && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
