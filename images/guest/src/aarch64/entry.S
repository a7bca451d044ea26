// The first instructions of a guest: a Linux Image header (Documentation/arm64/booting.rst), so that every loader of
// Linux takes it, and then what Rust needs: its own relocation, zeroed memory, a stack, an identity map.

.section .head, "ax"
.globl _start
_start:
    b       guest_start
    .long   0
    .quad   0                       // text_offset
    .quad   _image_size             // with what starts as zero
    .quad   0xa                     // little endian, 4 KiB pages, anywhere in RAM
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

.text
guest_start:
    mov     x19, x0                 // the device tree, when the loader is one for Linux
    msr     daifset, #0xf

    // Zero the .bss.
    adrp    x1, _bss_start
    add     x1, x1, :lo12:_bss_start
    adrp    x2, _bss_end
    add     x2, x2, :lo12:_bss_end
1:  cmp     x1, x2
    b.hs    2f
    stp     xzr, xzr, [x1], #16
    b       1b

    // R_AARCH64_RELATIVE is all that a static PIE has: *(offset + moved) = addend + moved.
2:  adrp    x3, _start
    add     x3, x3, :lo12:_start
    ldr     x4, guest_linked_at
    sub     x3, x3, x4
    adrp    x1, _rela_start
    add     x1, x1, :lo12:_rela_start
    adrp    x2, _rela_end
    add     x2, x2, :lo12:_rela_end
3:  cmp     x1, x2
    b.hs    4f
    ldp     x4, x5, [x1], #16
    ldr     x6, [x1], #8
    cmp     w5, #1027
    b.ne    3b
    add     x6, x6, x3
    str     x6, [x4, x3]
    b       3b

4:  adrp    x1, _stack_end
    add     x1, x1, :lo12:_stack_end
    mov     sp, x1
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x19
    bl      guest_boot
5:  wfi
    b       5b

// A CPU that PSCI starts: x0 is the address of its `Start` block {stack, vectors, function, argument}.
.globl guest_secondary
guest_secondary:
    msr     daifset, #0xf
    ldp     x1, x2, [x0]
    mov     sp, x1
    msr     vbar_el1, x2
    mov     x19, x0
    bl      guest_enable_mmu
    ldp     x1, x0, [x19, #16]
    mov     x29, xzr
    mov     x30, xzr
    blr     x1
6:  wfi
    b       6b

// Turns the MMU on with the table that `guest_boot` filled. EL1 only.
.globl guest_enable_mmu
guest_enable_mmu:
    adrp    x1, guest_identity_map
    add     x1, x1, :lo12:guest_identity_map
    msr     ttbr0_el1, x1
    ldr     x1, =0xff04             // attribute 0: Device-nGnRE, 1: normal, write-back
    msr     mair_el1, x1
    // 39-bit addresses from TTBR0, 4 KiB granule, inner shareable, write-back, 40-bit output; the same for TTBR1, whose
    // walks are off until a test turns them on.
    ldr     x1, =0x2b5993519
    msr     tcr_el1, x1
    isb
    tlbi    vmalle1
    dsb     nsh
    isb
    mrs     x1, sctlr_el1
    mov     x2, #0x1005             // M, C, I
    orr     x1, x1, x2
    bic     x1, x1, #2              // A: no alignment checks on normal memory
    msr     sctlr_el1, x1
    isb
    ret

.balign 8
guest_linked_at:
    .quad   0x40200000              // as guest.ld says
