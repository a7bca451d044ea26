//! What the `pc` machine needs of x86-64.
