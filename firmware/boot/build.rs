//! Hands the linker script to the image, and to nothing else.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rerun-if-changed=boot.ld");
    println!("cargo:rustc-link-arg-bin=boot=-T{here}/boot.ld");
}
