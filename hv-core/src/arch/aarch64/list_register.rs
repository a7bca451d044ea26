//! List registers: how virtual interrupts are handed to the hardware of one CPU.
//!
//! GICv3 has them as `ICH_LR<n>_EL2` (GIC specification IHI 0069, 12.4.9), GICv2 as `GICH_LR<n>`
//! (IHI 0048, 5.3.11). The virtual GIC speaks of [`ListRegister`]s; the codecs here
//! know the bits.

/// The interrupt group: Group 0 is signalled as FIQ, Group 1 as IRQ.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Group {
    /// Group 0.
    #[default]
    Zero,
    /// Group 1.
    One,
}

/// What state a list register holds its interrupt in. An empty list register is `None` of
/// [`ListRegister`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Waits to be acknowledged.
    Pending,
    /// Acknowledged, and not yet deactivated.
    Active,
    /// Acknowledged, and pending once more.
    PendingAndActive,
}

/// What stands behind the virtual interrupt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backing {
    /// Nothing physical.
    Software,
    /// Nothing physical, and the guest's end of interrupt raises a maintenance interrupt.
    SoftwareEoi,
    /// This physical interrupt, which the guest's deactivation deactivates.
    Hardware(u32),
}

/// One virtual interrupt in a list register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListRegister {
    /// The virtual interrupt, 0 to 1019.
    pub intid: u32,
    /// The CPU that sent it, 0 to 7: for SGIs on GICv2 only, else 0.
    pub source: u8,
    /// Priority, 0 the highest.
    pub priority: u8,
    /// Group 0 or 1.
    pub group: Group,
    /// Pending, active or both.
    pub state: State,
    /// What stands behind it.
    pub backing: Backing,
}

/// Whether the hardware raises the underflow maintenance interrupt: none or one list register is in
/// use (`ICH_HCR_EL2.UIE`, `GICH_HCR.UIE`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Underflow {
    /// It does not.
    Quiet,
    /// It does: more interrupts wait than there are list registers.
    Signalled,
}

/// The list registers of the CPU on which the vCPU is loaded.
pub trait ListRegisters {
    /// How many there are, 1 to 64 (4 or 16 in practice).
    fn count(&self) -> usize;
    /// A set bit for each list register that holds no interrupt (`ICH_ELRSR_EL2`, `GICH_ELRSR`).
    fn empty(&self) -> u64;
    /// The content of register `index`; `None` when it is empty or does not exist.
    fn get(&self, index: usize) -> Option<ListRegister>;
    /// Replaces the content of register `index`.
    fn set(&mut self, index: usize, content: Option<ListRegister>);
    /// Switches the underflow maintenance interrupt.
    fn set_underflow(&mut self, underflow: Underflow);
}
