//! Hands each component its linker script.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for name in ["secure", "nonsecure"] {
        println!("cargo:rerun-if-changed={name}.ld");
        println!("cargo:rustc-link-arg-bin={name}=-T{here}/{name}.ld");
    }
}
