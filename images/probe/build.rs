//! Names the linker script of the guests.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest/guest.ld");
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rustc-link-arg-bins=-T{script}");
    for argument in ["-pie", "--no-dynamic-linker", "-znotext", "-zseparate-code"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
