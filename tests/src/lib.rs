//! Helpers for the whole-machine tests.
