//! Any archive is read or refused, and gives nothing from outside of itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vm_manager::bundle::Bundle;

fuzz_target!(|archive: &[u8]| {
    match Bundle::parse(archive) {
        Ok(bundle) => {
            let bounds = archive.as_ptr_range();
            for (_, data) in bundle.files().filter(|(_, data)| !data.is_empty()) {
                let range = data.as_ptr_range();
                assert!(bounds.start <= range.start && range.end <= bounds.end);
            }
        }
        Err(error) => assert!(error.offset <= archive.len() && !error.to_string().is_empty()),
    }
});
