//! `generator check|headers|build MANIFEST [--out FOLDER] [--target FOLDER]`

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use generator::Product;
use generator::build::Build;

const HELP: &str = "\
generator check MANIFEST                    says what is wrong, with the line
generator headers MANIFEST --out FOLDER     psa_manifest/*.h, names.rs and libringfort_ns.a
generator build MANIFEST --out FOLDER       the same, and the secure image
          [--target FOLDER]                 cargo's folder for the target
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let [what, manifest, ..] = arguments.as_slice() else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let absolute = |path: String| std::path::absolute(&path).unwrap_or_else(|_| path.into());
    let out = absolute(value("--out").unwrap_or_else(|| "target/product".to_owned()));
    let target = value("--target").map_or_else(|| workspace.join("target"), absolute);
    let manifest: PathBuf = absolute(manifest.clone());
    let build = Build { manifest, out, workspace, target };
    let done = match what.as_str() {
        "check" => Product::read(&build.manifest).map(drop).map_err(|r| r.to_string()),
        "headers" => headers(&build),
        "build" => headers(&build).and_then(|()| image(&build)),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn headers(build: &Build) -> Result<(), String> {
    let product = build.prepare()?;
    build.nonsecure_library(&product).map(drop)
}

fn image(build: &Build) -> Result<(), String> {
    let sizes = build.all()?;
    let [code, ram] = sizes.manager;
    println!("{:<16} {:>7} {:>7} {:>7}", "", "code", "data", "stack");
    println!("{:<16} {code:>7} {ram:>7}", "manager");
    for (name, [code, data, stack]) in &sizes.partitions {
        println!("{name:<16} {code:>7} {data:>7} {stack:>7}");
    }
    println!("{:<16} {:>7}", "image", sizes.image);
    Ok(())
}
