//! Hands the linker script to the image.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rerun-if-changed=nonsecure.ld");
    println!("cargo:rerun-if-env-changed=RINGFORT_GATEWAY");
    println!("cargo:rustc-link-arg-bin=updates=-T{here}/nonsecure.ld");
}
