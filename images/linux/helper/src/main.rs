//! What busybox lacks in the Linux guest, as a static program that calls the kernel itself: the toolchain for
//! bare metal is the only one that the build asks for.
//!
//! ```text
//! helper counter          prints the virtual counter: ticks since the machine was started
//! helper wait-edge FILE   returns when the GPIO whose `value` file this is has become 1
//! helper run FILE ...     becomes that program, interruptible by Ctrl-C again: a shell's background job is not
//! ```
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_char};
use core::panic::PanicInfo;

// The kernel's numbers: include/uapi/asm-generic/unistd.h.
const OPENAT: usize = 56;
const READ: usize = 63;
const WRITE: usize = 64;
const LSEEK: usize = 62;
const PPOLL: usize = 73;
const RT_SIGACTION: usize = 134;
const EXECVE: usize = 221;
const EXIT: usize = 93;

const AT_FDCWD: isize = -100;
const POLLPRI: i16 = 2;
const POLLERR: i16 = 8;
const SIGINT: usize = 2;
const SIGQUIT: usize = 3;

global_asm!(
    ".globl _start",
    "_start:",
    "ldr x0, [sp]",
    "add x1, sp, #8",
    "bl helper_main",
    "mov x8, #93",
    "svc #0",
);

#[repr(C)]
struct PollFd {
    file: i32,
    events: i16,
    found: i16,
}

#[unsafe(no_mangle)]
extern "C" fn helper_main(count: usize, arguments: *const *const c_char) -> usize {
    let argument = |index: usize| {
        // SAFETY: the kernel passes `count` strings that end in a zero byte.
        (index < count).then(|| unsafe { CStr::from_ptr(*arguments.add(index)) })
    };
    let done = match (argument(1).map(CStr::to_bytes), argument(2)) {
        (Some(b"counter"), None) => counter(),
        (Some(b"wait-edge"), Some(file)) => wait_edge(file),
        // The kernel ends the arguments with a null pointer, and the environment is behind it.
        (Some(b"run"), Some(file)) => {
            run(file, arguments.wrapping_add(2), arguments.wrapping_add(count + 1))
        }
        _ => None,
    };
    if done.is_some() { 0 } else { 1 }
}

fn counter() -> Option<()> {
    let mut value: u64;
    // SAFETY: Linux lets programs read this register.
    unsafe { asm!("mrs {}, cntvct_el0", out(reg) value, options(nomem, nostack)) };
    let mut text = [b'\n'; 21];
    let mut start = text.len() - 1;
    loop {
        start -= 1;
        *text.get_mut(start)? = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    let text = text.get(start..)?;
    check(call(WRITE, [1, text.as_ptr().addr(), text.len(), 0])).map(|_| ())
}

/// Sysfs reports an edge as an exceptional condition of the file (Documentation/admin-guide/gpio/sysfs.rst).
fn wait_edge(path: &CStr) -> Option<()> {
    let file = check(call(OPENAT, [AT_FDCWD as usize, path.as_ptr().addr(), 0, 0]))?;
    let mut value = [0_u8; 4];
    loop {
        check(call(LSEEK, [file, 0, 0, 0]))?;
        check(call(READ, [file, value.as_mut_ptr().expose_provenance(), value.len(), 0]))?;
        if value[0] == b'1' {
            return Some(());
        }
        let mut poll = PollFd { file: file as i32, events: POLLPRI | POLLERR, found: 0 };
        check(call(PPOLL, [(&raw mut poll).expose_provenance(), 1, 0, 0]))?;
    }
}

/// POSIX has a shell start background jobs with both signals ignored, and shells leave it so.
fn run(
    file: &CStr,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) -> Option<()> {
    // `struct sigaction` of the kernel: handler (SIG_DFL is 0), flags, restorer, mask.
    let default = [0_usize; 4];
    for signal in [SIGINT, SIGQUIT] {
        check(call(
            RT_SIGACTION,
            [signal, (&raw const default).expose_provenance(), 0, size_of::<u64>()],
        ))?;
    }
    let pointers =
        [file.as_ptr().addr(), arguments.expose_provenance(), environment.expose_provenance(), 0];
    check(call(EXECVE, pointers)).map(|_| ())
}

fn check(result: isize) -> Option<usize> {
    usize::try_from(result).ok()
}

fn call(number: usize, arguments: [usize; 4]) -> isize {
    let [a, b, c, d] = arguments;
    let result: usize;
    // SAFETY: the kernel keeps all registers but x0; callers pass pointers to what they own.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c,
            in("x3") d, in("x4") 0, options(nostack));
    }
    result as isize
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        call(EXIT, [2, 0, 0, 0]);
    }
}
