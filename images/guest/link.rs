//! The build script of guests: names their linker script.

use std::env;

fn main() {
    let target = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let script = format!("{}/../guest/guest-{target}.ld", env!("CARGO_MANIFEST_DIR"));
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rustc-link-arg-bins=-T{script}");
    let arguments: &[&str] = match target.as_str() {
        // Guests move themselves to where they are loaded.
        "aarch64" => &["-pie", "--no-dynamic-linker", "-znotext", "-zseparate-code"],
        _ => &["-no-pie", "-zseparate-code", "-znoexecstack"],
    };
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
