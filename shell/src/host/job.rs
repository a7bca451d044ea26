//! Operations that take longer than a poll.

use crate::error::Error;
use alloc::string::String;
use alloc::sync::Arc;

/// Names one job of the host.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct JobId(pub u64);

/// How far a job is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JobStatus {
    /// It goes on.
    Running {
        /// Bytes done.
        done_bytes: u64,
        /// Bytes in all; zero when the job does not count bytes.
        total_bytes: u64,
        /// What it does, such as `loading linux/Image`. Shared, so that polling costs nothing.
        what: Arc<str>,
    },
    /// It ended, and answers with what to print (nothing, if empty).
    Done(Result<String, Error>),
}
