// A program of real mode, as a BIOS would start it at 0000:7c00.

.section .head, "ax"
.code16
.globl _start
_start:
    cli
    cld
    xorw    %ax, %ax
    movw    %ax, %ds
    movw    %ax, %ss
    movw    $0x7c00, %sp

    movw    $greeting, %si
    call    print

    // The 8259s: vectors from 0x20 and 0x28 on, only the timer let through.
    movw    $pic_words, %si
1:  lodsb
    movzbw  %al, %dx
    testw   %dx, %dx
    jz      2f
    lodsb
    outb    %al, %dx
    jmp     1b
2:  movw    $on_timer, 4 * 0x20
    movw    %ax, 4 * 0x20 + 2
    // The 8254: channel 0, square wave, 100 Hz.
    movb    $0x36, %al
    outb    %al, $0x43
    movw    $11932, %ax
    outb    %al, $0x40
    movb    %ah, %al
    outb    %al, $0x40

3:  sti
    hlt
    cli
    cmpb    $3, ticks
    jb      3b
    movw    $farewell, %si
    call    print
    // ACPI's control register: sleep type 5, which is off for Roost.
    movw    $0x604, %dx
    movw    $0x3400, %ax
    outw    %ax, %dx
4:  hlt
    jmp     4b

on_timer:
    pushw   %ax
    pushw   %dx
    pushw   %si
    incb    ticks
    movw    $tick, %si
    call    print
    movb    $0x20, %al
    outb    %al, $0x20
    popw    %si
    popw    %dx
    popw    %ax
    iretw

// Prints the text at SI on the 16550.
print:
    movw    $0x3fd, %dx
5:  inb     %dx, %al
    testb   $0x20, %al
    jz      5b
    lodsb
    testb   %al, %al
    jz      6f
    movw    $0x3f8, %dx
    outb    %al, %dx
    jmp     print
6:  ret

pic_words:
    .byte   0x20, 0x11, 0x21, 0x20, 0x21, 4, 0x21, 1, 0x21, 0xfe
    .byte   0xa0, 0x11, 0xa1, 0x28, 0xa1, 2, 0xa1, 1, 0xa1, 0xff, 0
ticks:
    .byte   0
greeting:
    .asciz  "real: greetings from 16 bits\r\n"
tick:
    .asciz  "real: tick\r\n"
farewell:
    .asciz  "real: goodbye\r\n"
