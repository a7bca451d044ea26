// The first instructions of a guest: by PVH (Xen, "x86/HVM direct boot ABI") or multiboot 1, in 32-bit protected mode
// without paging. EAX and EBX say which, and where the loader's information is. The loader has zeroed what starts as zero.

.section .note.guest, "a", @note
.balign 4
.long   4, 4, 18                // lengths of owner and content; XEN_ELFNOTE_PHYS32_ENTRY
.asciz  "Xen"
.long   _start

.section .head, "ax"
.code32
.globl _start
_start:
    cli
    cld
    movl    %eax, %ebp
    movl    %ebx, %esi

    // The first 4 GiB in pages of 2 MiB; of these, the last GiB is not cached, for devices are there.
    movl    $guest_directories, %edi
    movl    $0x83, %eax         // present, writable, large
    movl    $2048, %ecx
1:  movl    %eax, (%edi)
    cmpl    $0xc0000000, %eax
    jb      2f
    orl     $0x18, (%edi)       // PWT, PCD
2:  movl    $0, 4(%edi)
    addl    $0x200000, %eax
    addl    $8, %edi
    loop    1b
    movl    $guest_directory_pointers, %edi
    movl    $guest_directories + 3, %eax
    movl    $4, %ecx
3:  movl    %eax, (%edi)
    addl    $4096, %eax
    addl    $8, %edi
    loop    3b
    movl    $guest_directory_pointers + 3, guest_page_table

    lgdt    guest_gdt_pointer
    ljmp    $0x08, $4f
4:  movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    $_stack_end, %esp
    call    guest_enter_long_mode
    ljmp    $0x18, $5f

.code64
5:  movl    $_stack_end, %esp
    xorl    %eax, %eax
    movl    %eax, %fs
    movl    %eax, %gs
    movl    %ebp, %edi
    movl    %esi, %esi
    xorl    %ebp, %ebp
    call    guest_boot
6:  hlt
    jmp     6b

// Turns paging on; what follows is compatibility mode. Uses EAX, ECX, EDX.
.code32
guest_enter_long_mode:
    movl    %cr4, %eax
    orl     $0x620, %eax        // PAE, OSFXSR, OSXMMEXCPT
    movl    %eax, %cr4
    movl    $guest_page_table, %eax
    movl    %eax, %cr3
    movl    $0xc0000080, %ecx   // EFER
    rdmsr
    orl     $0x100, %eax        // LME
    wrmsr
    movl    %cr0, %eax
    andl    $0x9ffffff1, %eax   // caches on; no emulation of x87, no trap of it
    orl     $0x80010022, %eax   // PG, WP, NE, MP
    movl    %eax, %cr0
    ret

// Where a start-up IPI has a CPU begin, once it is copied to page 8 (smp.rs).
.section .rodata.guest_startup, "a"
.globl guest_startup, guest_startup_end
.code16
guest_startup:
    cli
    cld
    xorw    %ax, %ax
    movw    %ax, %ds
    lgdtl   0x8000 + guest_startup_gdt_pointer - guest_startup
    movl    %cr0, %eax
    orl     $1, %eax
    movl    %eax, %cr0
    ljmpl   $0x08, $guest_secondary
.balign 8
guest_startup_gdt_pointer:
    .word   guest_gdt_end - guest_gdt - 1
    .long   guest_gdt
guest_startup_end:

.text
.code32
guest_secondary:
    movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    guest_secondary_stack, %esp
    call    guest_enter_long_mode
    ljmp    $0x18, $7f
.code64
7:  movl    guest_secondary_stack, %esp
    xorl    %eax, %eax
    movl    %eax, %fs
    movl    %eax, %gs
    xorl    %ebp, %ebp
    call    guest_on_secondary
8:  hlt
    jmp     8b

.section .rodata.guest_gdt, "a"
.balign 16
guest_gdt:
    .quad   0
    .quad   0x00cf9b000000ffff  // 0x08: code, 32 bits
    .quad   0x00cf93000000ffff  // 0x10: data
    .quad   0x00af9b000000ffff  // 0x18: code, 64 bits
guest_gdt_end:
guest_gdt_pointer:
    .word   guest_gdt_end - guest_gdt - 1
    .long   guest_gdt
    .long   0

.bss
.balign 4096
.globl guest_page_table, guest_directory_pointers
guest_page_table:
    .skip   4096
guest_directory_pointers:
    .skip   4096
guest_directories:
    .skip   4 * 4096
.globl guest_secondary_stack
guest_secondary_stack:
    .skip   8
