// Interrupts and exceptions of the hypervisor itself. SDM vol. 3A, chapter 6.
//
// One stub for each vector, 16 bytes apart. Exceptions are bugs of ours; interrupts come only where a CPU opens a window for
// them, and are noted; an NMI is counted.

.section .text.entry, "ax"
.code64
    .balign 16
.global roost_stubs
roost_stubs:
.set vector, 0
.rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    pushq   $0
    .endif
    pushq   $vector
    .if vector == 2
    jmp     roost_nmi
    .elseif vector < 32
    jmp     roost_host_exception
    .else
    jmp     roost_host_interrupt
    .endif
    .set vector, vector + 1
.endr

roost_nmi:
    lock incq {nmi_count}(%rip)
    addq    $16, %rsp
    iretq

// Which interrupt it is, is kept for whoever opened the window.
roost_host_interrupt:
    pushq   %rax
    pushq   %rcx
    pushq   %rdx
    pushq   %rsi
    pushq   %rdi
    pushq   %r8
    pushq   %r9
    pushq   %r10
    pushq   %r11
    cld
    movq    72(%rsp), %rdi          // the CPU has aligned RSP, and 128 bytes are on it by now
    call    {interrupt}
    popq    %r11
    popq    %r10
    popq    %r9
    popq    %r8
    popq    %rdi
    popq    %rsi
    popq    %rdx
    popq    %rcx
    popq    %rax
    addq    $16, %rsp
    iretq

// Never returns. RDI: what the CPU pushed: vector, error code, RIP, CS, RFLAGS, RSP, SS. RSI: RBP then, for the backtrace.
roost_host_exception:
    cld
    movq    %rsp, %rdi
    movq    %rbp, %rsi
    andq    $-16, %rsp
    call    {host_exception}
1:  cli
    hlt
    jmp     1b
