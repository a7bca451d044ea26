//! Any text is a configuration or an error of one printable line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vm_manager::config::VmConfig;

fuzz_target!(|text: &[u8]| {
    if let Err(error) = VmConfig::parse("x.toml", text) {
        let shown = error.to_string();
        assert!(shown.starts_with("x.toml:") && !shown.chars().any(char::is_control));
    }
});
