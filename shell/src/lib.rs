//! Roost's management shell: line editing, parsing, the command table, sessions, and output as
//! text and as JSON.
//!
//! A [`Session`](session::Session) is one user's connection. It is a polled state machine that
//! never blocks: bytes go in, bytes come out, and [`Session::poll`](session::Session::poll) does a
//! bounded amount of work against a [`Host`](host::Host), which the binary implements.
//!
//! ```text
//!   bytes ─► Session ─► Editor ─► Program ─► Command ─► Task ─► Host
//!             ▲            │      (statements,  (table,   (what takes
//!             │            ▼       on-error)     words)    time)
//!   bytes ◄─ Output ◄── prompt, echo, tables, JSON, guest consoles
//! ```
//!
//! `docs/shell.md` is the user's reference of all commands.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod access;
mod amount;
mod arguments;
mod command;
mod commands;
mod complete;
mod context;
mod cpu_set;
mod editor;
pub mod error;
mod escape_key;
mod history;
pub mod host;
mod matcher;
mod output;
mod program;
mod quoted;
mod replay;
pub mod session;
mod slip;
mod table;
mod task;
pub mod terminal_size;
#[cfg(test)]
mod testing;
mod vm_name;
mod words;
