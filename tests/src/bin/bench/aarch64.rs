//! The figures of AArch64.

mod device_tree;
mod linux;
mod operations;

use crate::figure::Figure;

/// Measures.
pub(crate) fn measure() -> Vec<Figure> {
    eprintln!("bench: operations, memory, size (about a minute)");
    let mut figures = operations::measure();
    eprintln!("bench: Linux to its prompt, on Roost and on bare QEMU (some minutes)");
    figures.extend(linux::measure());
    figures
}
