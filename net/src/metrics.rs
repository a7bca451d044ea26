//! Figures for Prometheus: its text format (version 0.0.4), and as much of HTTP (RFC 9110, 9112) as `GET /metrics` needs.

mod exposition;
mod http;

pub use exposition::{Exposition, Family, Kind, Value};
pub use http::{LONGEST_HEAD, Request, Response, Status, parse};
