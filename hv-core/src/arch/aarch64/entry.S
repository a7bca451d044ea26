// The way into a guest and out of it, and the exception vectors of EL2. Arm ARM D1.3.
//
// The frame of roost_enter, while the guest runs:   sp + 0    x29, x30 of the host
//                                                   sp + 16   x19 of the host
//                                                   sp + 24   the guest's registers (x0 of the call)

.section .text.entry, "ax"

// x0: the guest's registers. Runs the guest until it exits, and returns in x0 by which vector: 0 synchronous, 1 IRQ, 2 FIQ,
// 3 SError. Preserves x19 and x29 only: whoever calls it says so to the compiler, which then saves what it still needs, and no more.
.global roost_enter
.type roost_enter, %function
roost_enter:
    stp     x29, x30, [sp, #-32]!
    stp     x19, x0, [sp, #16]
    ldp     x30, x1, [x0, #240]     // x30, pc
    ldr     x2, [x0, #256]          // pstate
    msr     elr_el2, x1
    msr     spsr_el2, x2
    ldp     x2, x3, [x0, #16]
    ldp     x4, x5, [x0, #32]
    ldp     x6, x7, [x0, #48]
    ldp     x8, x9, [x0, #64]
    ldp     x10, x11, [x0, #80]
    ldp     x12, x13, [x0, #96]
    ldp     x14, x15, [x0, #112]
    ldp     x16, x17, [x0, #128]
    ldp     x18, x19, [x0, #144]
    ldp     x20, x21, [x0, #160]
    ldp     x22, x23, [x0, #176]
    ldp     x24, x25, [x0, #192]
    ldp     x26, x27, [x0, #208]
    ldp     x28, x29, [x0, #224]
    ldp     x0, x1, [x0]
    eret
    dsb     nsh                     // no speculation past the ERET
    isb

.macro guest_exit kind
    .balign 128
    stp     x0, x1, [sp, #-16]!
    ldr     x0, [sp, #40]
    mov     x1, #\kind
    b       roost_exit
.endm

roost_exit:
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    ldp     x2, x3, [sp], #16       // the guest's x0, x1
    stp     x2, x3, [x0]
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x30, x2, [x0, #240]
    str     x3, [x0, #256]
    mov     x0, x1
    ldr     x19, [sp, #16]
    ldp     x29, x30, [sp], #32
    ret

// An exception in EL2 itself is a bug of ours, but for one instruction that may not exist (HLT, see
// semihosting). It runs on this CPU's emergency stack, since the stack may be what failed.
.macro host_exception kind
    .balign 128
    msr     tpidr_el0, x0           // a scratch register: only a dying host gets here
    mrs     x0, tpidr_el2
    ldr     x0, [x0, {percpu_emergency_stack}]
    stp     x29, x30, [x0, #-32]!
    str     x1, [x0, #16]
    mov     x1, #\kind
    b       roost_host_exception
.endm

roost_host_exception:
    mov     x29, sp
    mov     sp, x0
    stp     x2, x3, [sp, #-160]!
    stp     x4, x5, [sp, #16]
    stp     x6, x7, [sp, #32]
    stp     x8, x9, [sp, #48]
    stp     x10, x11, [sp, #64]
    stp     x12, x13, [sp, #80]
    stp     x14, x15, [sp, #96]
    stp     x16, x17, [sp, #112]
    stp     x18, x29, [sp, #128]
    mov     x0, x1                  // kind
    ldr     x1, [sp, #160]          // x29 at the exception, for the backtrace
    bl      {host_exception}        // returns only if the instruction may be skipped
    ldp     x18, x29, [sp, #128]
    ldp     x16, x17, [sp, #112]
    ldp     x14, x15, [sp, #96]
    ldp     x12, x13, [sp, #80]
    ldp     x10, x11, [sp, #64]
    ldp     x8, x9, [sp, #48]
    ldp     x6, x7, [sp, #32]
    ldp     x4, x5, [sp, #16]
    ldp     x2, x3, [sp], #160
    mov     x0, sp
    mov     sp, x29
    ldr     x1, [x0, #16]
    ldp     x29, x30, [x0]
    mrs     x0, tpidr_el0
    eret

.balign 2048
.global roost_vectors
roost_vectors:
    host_exception 0                // current EL, SP_EL0
    host_exception 1
    host_exception 2
    host_exception 3
    host_exception 0                // current EL, SP_ELx
    host_exception 1
    host_exception 2
    host_exception 3
    guest_exit 0                    // lower EL, AArch64
    guest_exit 1
    guest_exit 2
    guest_exit 3
    guest_exit 0                    // lower EL, AArch32: a 32-bit program of the guest
    guest_exit 1
    guest_exit 2
    guest_exit 3

// extern "C" fn roost_fp_save(state: *mut FpState), roost_fp_restore(state: *const FpState):
// 32 vector registers of 16 bytes, FPSR, FPCR.
.arch armv8-a+fp+simd
.global roost_fp_save
roost_fp_save:
    stp     q0, q1, [x0]
    stp     q2, q3, [x0, #32]
    stp     q4, q5, [x0, #64]
    stp     q6, q7, [x0, #96]
    stp     q8, q9, [x0, #128]
    stp     q10, q11, [x0, #160]
    stp     q12, q13, [x0, #192]
    stp     q14, q15, [x0, #224]
    stp     q16, q17, [x0, #256]
    stp     q18, q19, [x0, #288]
    stp     q20, q21, [x0, #320]
    stp     q22, q23, [x0, #352]
    stp     q24, q25, [x0, #384]
    stp     q26, q27, [x0, #416]
    stp     q28, q29, [x0, #448]
    stp     q30, q31, [x0, #480]
    mrs     x1, fpsr
    mrs     x2, fpcr
    add     x0, x0, #512
    stp     x1, x2, [x0]
    ret
.global roost_fp_restore
roost_fp_restore:
    ldp     q0, q1, [x0]
    ldp     q2, q3, [x0, #32]
    ldp     q4, q5, [x0, #64]
    ldp     q6, q7, [x0, #96]
    ldp     q8, q9, [x0, #128]
    ldp     q10, q11, [x0, #160]
    ldp     q12, q13, [x0, #192]
    ldp     q14, q15, [x0, #224]
    ldp     q16, q17, [x0, #256]
    ldp     q18, q19, [x0, #288]
    ldp     q20, q21, [x0, #320]
    ldp     q22, q23, [x0, #352]
    ldp     q24, q25, [x0, #384]
    ldp     q26, q27, [x0, #416]
    ldp     q28, q29, [x0, #448]
    ldp     q30, q31, [x0, #480]
    add     x0, x0, #512
    ldp     x1, x2, [x0]
    msr     fpsr, x1
    msr     fpcr, x2
    ret
