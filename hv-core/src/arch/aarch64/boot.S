// Power-on. A Linux Image header (Documentation/arch/arm64/booting.rst of Linux), so that QEMU, U-Boot
// and GRUB load this anywhere in RAM; then what must happen before compiled code may run.

.section .head, "ax"
.global roost_image_head
roost_image_head:
    b       roost_boot              // code0
    .long   0                       // code1
    .quad   0                       // text_offset from a 2 MiB boundary
    .quad   __image_size            // what we use, with .bss
    .quad   0b1010                  // little endian, 4 KiB pages, anywhere in RAM
    .quad   0
    .quad   0
    .quad   0
    .ascii  "ARM\x64"
    .long   0

.section .text.boot, "ax"
// x0: the physical address of the device tree. MMU off, data cache off, interrupts masked.
roost_boot:
    msr     daifset, #0b1111
    mov     x19, x0
    mrs     x20, CurrentEL
    cmp     x20, #(2 << 2)
    b.eq    1f
    // Not EL2: the system registers below do not exist here. Rust says so on the UART.
    b       2f
1:  // Our own EL2 state, from unknown: no traps of our own, stage 1 off, little endian.
    ldr     x1, ={sctlr_res1}
    msr     sctlr_el2, x1
    mov     x1, #(1 << 31)          // HCR_EL2.RW
    msr     hcr_el2, x1
    ldr     x1, =0x33ff             // CPTR_EL2: RES1, no traps
    msr     cptr_el2, x1
    msr     tpidr_el2, xzr
    isb
2:  // Drop stale clean lines over what is written with the cache off: data, and constants that are relocated.
    adrp    x1, __text_end
    adrp    x2, __image_end
    mrs     x3, ctr_el0
    ubfx    x3, x3, #16, #4
    mov     x4, #4
    lsl     x3, x4, x3
3:  dc      ivac, x1
    add     x1, x1, x3
    cmp     x1, x2
    b.lo    3b
    dsb     sy
    // .bss
    adrp    x1, __bss_start
    adrp    x2, __bss_end
4:  stp     xzr, xzr, [x1], #16
    cmp     x1, x2
    b.lo    4b
    // R_AARCH64_RELATIVE (1027): *(base + offset) = base + addend
    adrp    x5, roost_image_head
    add     x5, x5, :lo12:roost_image_head
    adrp    x1, __rela_start
    add     x1, x1, :lo12:__rela_start
    adrp    x2, __rela_end
    add     x2, x2, :lo12:__rela_end
5:  cmp     x1, x2
    b.hs    6f
    ldp     x3, x4, [x1], #16       // r_offset, r_info
    ldr     x6, [x1], #8            // r_addend
    cmp     x4, #1027
    b.ne    5b
    add     x6, x6, x5
    str     x6, [x3, x5]
    b       5b
6:  adrp    x1, __boot_stack_top
    mov     sp, x1
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x19
    mov     x1, x20
    bl      {prepare}               // -> x0: the root of our tables, or 0: halt
    cbz     x0, 9f
    adrp    x1, roost_enable_mmu
    add     x1, x1, :lo12:roost_enable_mmu
    blr     x1
    mov     x0, x19
    b       {primary}
9:  wfi
    b       9b

// x0: the root of our tables. Switches the MMU and the caches on. Clobbers x1, x2.
roost_enable_mmu:
    ldr     x1, ={mair}
    msr     mair_el2, x1
    ldr     x1, ={tcr}
    mrs     x2, id_aa64mmfr0_el1    // PARange goes to TCR_EL2.PS; 52 bits need another format
    and     x2, x2, #0xf
    cmp     x2, #5
    b.ls    1f
    mov     x2, #5
1:  bfi     x1, x2, #16, #3
    msr     tcr_el2, x1
    msr     ttbr0_el2, x0
    adrp    x1, roost_vectors
    add     x1, x1, :lo12:roost_vectors
    msr     vbar_el2, x1
    ic      iallu
    tlbi    alle2
    dsb     sy
    isb
    ldr     x1, ={sctlr_on}
    msr     sctlr_el2, x1
    isb
    ret

// PSCI CPU_ON enters here. x0: the physical address of this CPU's SecondaryBoot. MMU off.
.global roost_secondary_boot
roost_secondary_boot:
    msr     daifset, #0b1111
    mrs     x1, CurrentEL
    cmp     x1, #(2 << 2)
    b.ne    9f
    mov     x19, x0
    ldr     x1, ={sctlr_res1}
    msr     sctlr_el2, x1
    mov     x1, #(1 << 31)
    msr     hcr_el2, x1
    ldr     x1, =0x33ff
    msr     cptr_el2, x1
    isb
    ldr     x0, [x19, {secondary_root}]
    bl      roost_enable_mmu
    ldr     x1, [x19, {secondary_stack}]
    mov     sp, x1
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x19
    b       {secondary}
9:  wfi
    b       9b
