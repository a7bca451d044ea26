// The way into a guest and out of it. Intel SDM vol. 3C, 27 and 28; AMD APM vol. 2, 15.5 and 15.6.
//
// Both stubs keep of the caller's registers RBX, RBP and RSP only: whoever calls them says so to the compiler, which then saves
// what it still needs, and no more. The guest's general registers are in memory in the order of encodings.

.section .text.entry, "ax"

.macro guest_general_load base
    mov     rcx, [\base + 8]
    mov     rdx, [\base + 16]
    mov     rbx, [\base + 24]
    mov     rbp, [\base + 40]
    mov     rsi, [\base + 48]
    mov     r8, [\base + 64]
    mov     r9, [\base + 72]
    mov     r10, [\base + 80]
    mov     r11, [\base + 88]
    mov     r12, [\base + 96]
    mov     r13, [\base + 104]
    mov     r14, [\base + 112]
    mov     r15, [\base + 120]
.endm

.macro guest_general_store base
    mov     [\base + 8], rcx
    mov     [\base + 16], rdx
    mov     [\base + 24], rbx
    mov     [\base + 40], rbp
    mov     [\base + 48], rsi
    mov     [\base + 56], rdi
    mov     [\base + 64], r8
    mov     [\base + 72], r9
    mov     [\base + 80], r10
    mov     [\base + 88], r11
    mov     [\base + 96], r12
    mov     [\base + 104], r13
    mov     [\base + 112], r14
    mov     [\base + 120], r15
.endm

// SVM. RAX: the physical address of the VMCB, which has RAX and RSP; the other registers are in the page behind it. RAX is what it
// was after the exit, too. The global interrupt flag is clear before and after, so that nothing is taken between STI and CLI;
// RFLAGS.IF lets interrupts end the guest's run (15.21.1).
// QEMU 7.2 gives the guest the shadow of STI that the host has, and not that of the VMCB (15.21.5). A REP with its trap flag set never
// leaves it there, and each exit tells of a shadow in which the guest never was. So the host has one where the guest has.
.global roost_svm_enter
roost_svm_enter:
    push    rbx
    push    rbp
    guest_general_load rax + {svm_registers}
    mov     rdi, [rax + {svm_registers} + 56]
    sti
    test    byte ptr [rax + {svm_shadow}], 1
    jz      1f
    sti
1:  vmrun   rax
    cli
    guest_general_store rax + {svm_registers}
    pop     rbp
    pop     rbx
    ret

// VMX. RDI: the guest's registers; RSP is in the VMCS. ESI: 0 if the VMCS was not launched since it was cleared. Returns 0 in EAX
// after an exit, and 1 if VMLAUNCH or VMRESUME failed.
// The frame while the guest runs:   rsp + 0    the guest's registers
//                                   rsp + 8    RBP of the host
//                                   rsp + 16   RBX of the host
.global roost_vmx_enter
roost_vmx_enter:
    push    rbx
    push    rbp
    push    rdi
    cmp     rsp, [rdi + {host_rsp}]
    jne     3f
1:  test    esi, esi
    guest_general_load rdi
    mov     rax, [rdi]
    mov     rdi, [rdi + 56]
    jz      2f
    vmresume
    jmp     4f
2:  vmlaunch
4:  mov     eax, 1
    pop     rdi
    pop     rbp
    pop     rbx
    ret
3:  mov     [rdi + {host_rsp}], rsp
    mov     eax, {host_rsp_field}
    vmwrite rax, rsp
    jmp     1b

// HOST_RIP: RSP is what it was at VMLAUNCH or VMRESUME.
.global roost_vmx_exit
roost_vmx_exit:
    push    rax
    mov     rax, [rsp + 8]
    guest_general_store rax
    pop     qword ptr [rax]
    pop     rdi
    pop     rbp
    pop     rbx
    xor     eax, eax
    ret
