//! The build script of guests: names their linker script.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest/guest.ld");
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rustc-link-arg-bins=-T{script}");
    for argument in ["-pie", "--no-dynamic-linker", "-znotext", "-zseparate-code"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
