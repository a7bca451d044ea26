//! How a vCPU of a PC starts.

use crate::guest::GuestPhysAddr;

/// The state in which a vCPU starts. In all of them interrupts are off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// Linux's 64-bit protocol: long mode with these tables and this GDT of four descriptors, flat segments with selectors
    /// 0x10 and 0x18, RSI the address of the parameters.
    Long {
        /// RIP.
        entry: GuestPhysAddr,
        /// RSI.
        parameters: GuestPhysAddr,
        /// CR3.
        page_tables: GuestPhysAddr,
        /// The base of the GDT; its limit is 31.
        gdt: GuestPhysAddr,
    },
    /// PVH: 32-bit protected mode without paging, flat segments, EBX the address of the start info.
    Pvh {
        /// EIP.
        entry: GuestPhysAddr,
        /// EBX.
        start_info: GuestPhysAddr,
    },
    /// Multiboot: as for PVH, EAX [`Start::MULTIBOOT_EAX`], EBX the address of the information.
    Multiboot {
        /// EIP.
        entry: GuestPhysAddr,
        /// EBX.
        information: GuestPhysAddr,
    },
    /// Real mode.
    Real {
        /// CS; its base is 16 times as much.
        segment: u16,
        /// IP.
        offset: u16,
    },
}

impl Start {
    /// What EAX is when a multiboot kernel starts (Multiboot Specification 0.6.96, 3.2).
    pub const MULTIBOOT_EAX: u32 = 0x2bad_b002;

    /// Where a start-up IPI of this vector has a CPU start: at the first byte of that page (SDM vol. 3A, 9.4.4).
    #[must_use]
    pub const fn startup(vector: u8) -> Self {
        Self::Real { segment: (vector as u16) << 8, offset: 0 }
    }
}
