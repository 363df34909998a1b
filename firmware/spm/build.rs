//! Hands the linker script to the image, and to nothing else.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rerun-if-changed=spm.ld");
    println!("cargo:rerun-if-env-changed=RINGFORT_TABLES");
    println!("cargo:rustc-link-arg-bin=spm=-T{here}/spm.ld");
    // The limits of the board and the budgets of the manifest, from the generator.
    if let Ok(folder) = std::env::var("RINGFORT_TABLES") {
        println!("cargo:rerun-if-changed={folder}/tables.rs");
        println!("cargo:rerun-if-changed={folder}/memory.ld");
        println!("cargo:rustc-link-arg-bin=spm=-L{folder}");
    }
}
