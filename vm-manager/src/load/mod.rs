//! Loading: which bytes of which file go where in a guest's RAM, and getting them there.
//!
//! It is done in two parts. A [`Plan`] is made from the headers of the files: it says where the
//! kernel, the initial RAM disk, the device tree and further files go, and all that can be wrong
//! with that is found before anything is written. A [`Loader`] then copies, a slice at a time, so
//! that the CPU that does it has time for others between two slices.
//!
//! ```text
//! VmConfig ──► Request ──► Plan ──► (device tree, from its addresses) ──► Loader ──► RAM
//! ```
//!
//! Guest RAM is zero before, so that what lies between the files, and behind the data of a
//! segment, need not be written.

mod gzip;
mod source;

pub use source::{ReadError, Source};
