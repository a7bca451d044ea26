// Power-on. One 32-bit entry for two boot protocols: PVH (Xen, docs/misc/pvh.pandoc), by which QEMU and KVM's tools start
// an ELF kernel, and Multiboot2 (GNU, version 2.0), by which GRUB does.

.section .note.pvh, "a", @note
    .balign 4
    .long   4, 4, 18                // name size, content size, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz  "Xen"
    .long   roost_entry

.section .head, "a"
    .balign 8
.global roost_image_head
roost_image_head:
    .long   0xe85250d6              // magic
    .long   0                       // i386, protected mode
    .long   2f - roost_image_head
    .long   -(0xe85250d6 + (2f - roost_image_head))
    .balign 8
    .short  3, 0                    // entry address
    .long   12, roost_entry
    .balign 8
    .short  6, 0                    // modules on page boundaries
    .long   8
    .balign 8
    .short  0, 0                    // the end
    .long   8
2:

.section .text.boot, "ax"
.code32
// 32-bit protected mode, flat, no paging. EAX: the magic of Multiboot2, or anything; EBX: what the boot loader tells.
.global roost_entry
roost_entry:
    cli
    cld
    movl    %eax, %esi
    movl    %ebx, %edi
    movl    $__boot_stack_top - 16, %esp
    // Long mode? CPUID 8000_0001 EDX 29.
    movl    $0x80000000, %eax
    cpuid
    cmpl    $0x80000001, %eax
    jb      no_long_mode
    movl    $0x80000001, %eax
    cpuid
    btl     $29, %edx
    jnc     no_long_mode
    btl     $20, %edx               // NX: data is never executed
    jnc     no_long_mode
    // The first 4 GiB at themselves, in pages of 2 MiB, until Rust has better tables.
    movl    $roost_boot_pml4, %eax
    movl    $roost_boot_pdpt + 3, (%eax)
    movl    $roost_boot_pdpt, %eax
    movl    $roost_boot_pd + 3, %ecx
    movl    $4, %edx
1:  movl    %ecx, (%eax)
    addl    $8, %eax
    addl    $0x1000, %ecx
    decl    %edx
    jnz     1b
    movl    $roost_boot_pd, %eax
    movl    $0x83, %ecx
    movl    $2048, %edx
2:  movl    %ecx, (%eax)
    addl    $8, %eax
    addl    $0x200000, %ecx
    decl    %edx
    jnz     2b
    call    roost_long_mode
    lgdt    roost_boot_gdt_pointer
    ljmpl   $0x08, $roost_entry64

// Switches paging and long mode on, with the boot tables. Clobbers EAX, ECX, EDX.
roost_long_mode:
    movl    %cr4, %eax
    orl     $0x20, %eax             // PAE
    movl    %eax, %cr4
    movl    $roost_boot_pml4, %eax
    movl    %eax, %cr3
    movl    $0xc0000080, %ecx       // EFER: LME, NXE
    rdmsr
    orl     $0x900, %eax
    wrmsr
    movl    %cr0, %eax
    andl    $0x9fffffff, %eax       // caches on
    orl     $0x80010023, %eax       // PG, WP, NE, MP, PE
    andl    $0xfffffff3, %eax       // no TS, no EM
    movl    %eax, %cr0
    ret

// Says on the first serial port why nothing happens.
no_long_mode:
    movl    $3f, %esi
1:  movw    $0x3fd, %dx
    inb     %dx, %al
    testb   $0x20, %al
    jz      1b
    lodsb
    testb   %al, %al
    jz      2f
    movw    $0x3f8, %dx
    outb    %al, %dx
    jmp     1b
2:  hlt
    jmp     2b
3:  .asciz  "\r\nroost: cannot start: the CPU has no 64-bit mode with NX\r\n"

.code64
roost_entry64:
    movw    $0x10, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %ss
    xorl    %eax, %eax
    movw    %ax, %fs
    movw    %ax, %gs
    leaq    __boot_stack_top - 16, %rsp
    xorl    %ebp, %ebp
    movl    %edi, %edi              // what the boot loader tells
    movl    %esi, %esi              // its magic
    call    {prepare}               // -> RAX: the root of our tables, or 0: halt
    testq   %rax, %rax
    jz      9f
    movq    %rax, %cr3
    leaq    __boot_stack_top - 16, %rsp
    xorl    %ebp, %ebp
    call    {primary}
9:  cli
    hlt
    jmp     9b

// Another CPU comes from the trampoline in 32-bit protected mode, without paging.
.code32
roost_ap_entry32:
    movw    $0x18, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %ss
    movl    $roost_ap_stack_top, %esp
    call    roost_long_mode
    ljmpl   $0x08, $roost_ap_entry64
.code64
roost_ap_entry64:
    movw    $0x10, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %ss
    xorl    %eax, %eax
    movw    %ax, %fs
    movw    %ax, %gs
    movq    roost_ap_record(%rip), %rdi
    movq    {secondary_root}(%rdi), %rax
    movq    %rax, %cr3
    movq    {secondary_stack}(%rdi), %rsp
    subq    $16, %rsp
    xorl    %ebp, %ebp
    call    {secondary}
9:  cli
    hlt
    jmp     9b

// What is copied to a page below 1 MiB, where another CPU starts in real mode (SDM vol. 3A, 9.4.4).
.section .rodata.trampoline, "a"
.code16
.global roost_trampoline
roost_trampoline:
    cli
    cld
    movw    %cs, %ax
    movw    %ax, %ds
    lgdtl   roost_trampoline_gdt - roost_trampoline
    movl    %cr0, %eax
    orl     $1, %eax
    movl    %eax, %cr0
    ljmpl   $0x20, $roost_ap_entry32
    .balign 8
roost_trampoline_gdt:
    .word   39
    .long   roost_boot_gdt
.global roost_trampoline_end
roost_trampoline_end:

.section .rodata.gdt, "a"
    .balign 16
roost_boot_gdt:
    .quad   0
    .quad   0x00af9b000000ffff      // 0x08: code, 64 bits
    .quad   0x00cf93000000ffff      // 0x10: data
    .quad   0x00cf93000000ffff      // 0x18: data
    .quad   0x00cf9b000000ffff      // 0x20: code, 32 bits
roost_boot_gdt_pointer:
    .word   39
    .quad   roost_boot_gdt

.section .bss.boot, "aw", @nobits
    .balign 4096
roost_boot_pml4:
    .skip   4096
roost_boot_pdpt:
    .skip   4096
roost_boot_pd:
    .skip   4 * 4096
    .skip   64
roost_ap_stack_top:
.global roost_ap_record
roost_ap_record:
    .skip   8
.code64
