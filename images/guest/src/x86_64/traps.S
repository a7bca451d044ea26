// The 256 gates. An interrupt (32 and up) saves what a call may change; an exception saves all, for whoever asks why.


.text
.balign 16
.globl guest_gates
guest_gates:
.set guest_vector, 0
.rept 256
    .balign 16
    .if guest_vector >= 32
        pushq   %rdi
        movl    $guest_vector, %edi
        jmp     guest_interrupt
    .else
        // Those of these push an error code themselves (SDM vol. 3A, 6.15).
        .if guest_vector != 8 && (guest_vector < 10 || guest_vector > 14) && guest_vector != 17 && guest_vector != 21 && guest_vector != 29 && guest_vector != 30
            pushq   $0
        .endif
        pushq   $guest_vector
        jmp     guest_exception
    .endif
    .set guest_vector, guest_vector + 1
.endr

guest_interrupt:
    pushq   %rax
    pushq   %rcx
    pushq   %rdx
    pushq   %rsi
    pushq   %r8
    pushq   %r9
    pushq   %r10
    pushq   %r11
    cld
    call    guest_on_interrupt
    popq    %r11
    popq    %r10
    popq    %r9
    popq    %r8
    popq    %rsi
    popq    %rdx
    popq    %rcx
    popq    %rax
    popq    %rdi
    iretq

// Builds a `trap::Frame`.
guest_exception:
    .irp    register, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    pushq   %\register
    .endr
    movq    %rsp, %rdi
    cld
    call    guest_on_exception
    .irp    register, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
    popq    %\register
    .endr
    addq    $16, %rsp
    iretq

// Calls RDI with RSI. A trap that is expected comes back from here with 1, by guest_attempt_trapped.
.globl guest_attempt, guest_attempt_trapped
guest_attempt:
    .irp    register, rbx, rbp, r12, r13, r14, r15
    pushq   %\register
    .endr
    subq    $8, %rsp
    movq    %rsp, guest_attempt_stack
    movq    %rdi, %rax
    movq    %rsi, %rdi
    call    *%rax
    xorl    %eax, %eax
    jmp     1f
guest_attempt_trapped:
    movl    $1, %eax
1:  addq    $8, %rsp
    .irp    register, r15, r14, r13, r12, rbp, rbx
    popq    %\register
    .endr
    ret

.bss
.balign 8
.globl guest_attempt_stack
guest_attempt_stack:
    .skip   8
