//! The composition root.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
#[expect(unsafe_code, reason = "the entry symbol")]
#[unsafe(no_mangle)]
fn roost_main(machine: hv_core::machine::Machine) -> ! {
    hv_core::console::write(b"hello from roost\r\n");
    let text = alloc::format!("{machine:?}\r\n");
    hv_core::console::write(text.as_bytes());
    let (n, notes) = hv_core::host::start_cpus(|_| loop { hv_core::host::sleep() });
    let text = alloc::format!("{n} {notes:?} {:?} {:?}\r\n", hv_core::memory::counters(), hv_core::memory::heap_bytes());
    hv_core::console::write(text.as_bytes());
    hv_core::host::end(hv_core::machine::End::Exit(3));
    panic!("x");
}
extern crate alloc;

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    hv_core::panic::panicked(info)
}
