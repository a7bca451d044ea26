//! Offsets of the registers of virtio devices over MMIO (virtio 1.2, 4.2.2).

pub(crate) const MAGIC: usize = 0x00;
pub(crate) const VERSION: usize = 0x04;
pub(crate) const DEVICE_ID: usize = 0x08;
pub(crate) const DRIVER_FEATURES: usize = 0x20;
pub(crate) const DRIVER_FEATURES_SEL: usize = 0x24;
pub(crate) const QUEUE_SEL: usize = 0x30;
pub(crate) const QUEUE_NUM_MAX: usize = 0x34;
pub(crate) const QUEUE_NUM: usize = 0x38;
pub(crate) const QUEUE_READY: usize = 0x44;
pub(crate) const QUEUE_NOTIFY: usize = 0x50;
pub(crate) const INTERRUPT_STATUS: usize = 0x60;
pub(crate) const STATUS: usize = 0x70;
/// The low halves of the addresses of the areas; the high ones follow.
pub(crate) const DESCRIPTORS: usize = 0x80;
pub(crate) const AVAILABLE: usize = 0x90;
pub(crate) const USED: usize = 0xa0;
/// Behind the last one, the device's configuration included.
pub(crate) const END: usize = 0x200;
