//! Disks for tests: a store of pages, a driver whose disk does what the test says, and a client.

mod client;
mod drive;
mod pages;

pub(crate) use client::Client;
pub(crate) use drive::{Drive, Silent};
pub(crate) use pages::HeapPages;
