//! What busybox lacks in the Linux guest, as a static program that calls the kernel itself: the toolchain for
//! bare metal is the only one that the build asks for.
//!
//! ```text
//! helper counter          prints the CPU's counter: ticks since the machine was started
//! helper wait-edge FILE   returns when the GPIO whose `value` file this is has become 1
//! helper wait-key FILE    returns when the power key of this input device is pressed
//! helper run FILE ...     becomes that program, interruptible by Ctrl-C again: a shell's background job is not
//! helper load FILE read|write sequential|random BYTES DEPTH COUNT
//!                         makes so many requests of so many bytes to a disk, so many at once
//! helper lines COUNT      writes so many lines of 80 characters
//! ```
#![no_std]
#![no_main]

#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
mod arch;
mod load;

use core::ffi::{CStr, c_char};
use core::panic::PanicInfo;

use arch::{EXECVE, EXIT, LSEEK, OPENAT, PPOLL, READ, RT_SIGACTION, WRITE, call};

const AT_FDCWD: isize = -100;
const POLLPRI: i16 = 2;
const POLLERR: i16 = 8;
const SIGINT: usize = 2;
const SIGQUIT: usize = 3;

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
        (Some(b"wait-key"), Some(file)) => wait_key(file),
        // The kernel ends the arguments with a null pointer, and the environment is behind it.
        (Some(b"run"), Some(file)) => {
            run(file, arguments.wrapping_add(2), arguments.wrapping_add(count + 1))
        }
        (Some(b"load"), Some(file)) => {
            let number = |index| number(argument(index)?.to_bytes());
            let word = |index| argument(index).map(CStr::to_bytes);
            load(file, [word(3), word(4)], [number(5), number(6), number(7)])
        }
        (Some(b"lines"), Some(count)) => number(count.to_bytes()).and_then(load::lines),
        _ => None,
    };
    if done.is_some() { 0 } else { 1 }
}

fn counter() -> Option<()> {
    print_number(arch::counter())?;
    print("\n")
}

fn load(file: &CStr, words: [Option<&[u8]>; 2], numbers: [Option<usize>; 3]) -> Option<()> {
    let [direction, order] = words;
    let [bytes, depth, count] = numbers;
    let direction = match direction? {
        b"read" => load::Direction::Read,
        b"write" => load::Direction::Write,
        _ => return None,
    };
    let order = match order? {
        b"sequential" => load::Order::Sequential,
        b"random" => load::Order::Random,
        _ => return None,
    };
    load::disk(file, load::Load { direction, order, bytes: bytes?, depth: depth?, count: count? })
}

fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(usize::from(digit))
    })
}

fn print(text: &str) -> Option<()> {
    check(call(WRITE, [1, text.as_ptr().addr(), text.len(), 0])).map(|_| ())
}

fn print_number(mut value: u64) -> Option<()> {
    let mut text = [0; 20];
    let mut start = text.len();
    loop {
        start -= 1;
        *text.get_mut(start)? = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    print(core::str::from_utf8(text.get(start..)?).ok()?)
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

/// Input devices say what happens in `struct input_event` (include/uapi/linux/input.h): two words of time, a type, a
/// code, a value.
fn wait_key(path: &CStr) -> Option<()> {
    const KEY: [u8; 2] = 1_u16.to_ne_bytes();
    const POWER: [u8; 2] = 116_u16.to_ne_bytes();
    const PRESSED: [u8; 4] = 1_i32.to_ne_bytes();
    let file = check(call(OPENAT, [AT_FDCWD as usize, path.as_ptr().addr(), 0, 0]))?;
    let mut event = [0_u8; 24];
    loop {
        let buffer = event.as_mut_ptr().expose_provenance();
        check(call(READ, [file, buffer, event.len(), 0]))?;
        let [.., a, b, c, d, e, f, g, h] = event;
        if [a, b] == KEY && [c, d] == POWER && [e, f, g, h] == PRESSED {
            return Some(());
        }
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

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        call(EXIT, [2, 0, 0, 0]);
    }
}
