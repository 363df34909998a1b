// The copying and filling that the compiler asks for: small rather than fast, words where they fit.
    .section .text.memory, "ax"
    .thumb
    .macro entry name
    .global \name
    .type \name, %function
\name:
    .endm

    entry memcpy
    entry memmove
    entry __aeabi_memcpy
    entry __aeabi_memcpy4
    entry __aeabi_memcpy8
    entry __aeabi_memmove
    entry __aeabi_memmove4
    entry __aeabi_memmove8
    mov r12, r0
    subs r3, r0, r1
    cmp r3, r2
    blo 3f
    orr r3, r0, r1
    lsls r3, r3, #30
    bne 2f
1:  subs r2, #4
    ittt hs
    ldrhs r3, [r1], #4
    strhs r3, [r0], #4
    bhs 1b
    adds r2, #4
2:  subs r2, #1
    ittt hs
    ldrbhs r3, [r1], #1
    strbhs r3, [r0], #1
    bhs 2b
    mov r0, r12
    bx lr
// The target lies behind the source and overlaps it: from the end.
3:  adds r1, r1, r2
    adds r0, r0, r2
4:  subs r2, #1
    ittt hs
    ldrbhs r3, [r1, #-1]!
    strbhs r3, [r0, #-1]!
    bhs 4b
    mov r0, r12
    bx lr

    entry __aeabi_memclr
    entry __aeabi_memclr4
    entry __aeabi_memclr8
    movs r2, #0
    entry __aeabi_memset
    entry __aeabi_memset4
    entry __aeabi_memset8
    mov r3, r1
    mov r1, r2
    mov r2, r3
    entry memset
    mov r12, r0
    orr r3, r0, r2
    lsls r3, r3, #30
    bne 1f
    uxtb r1, r1
    orr r1, r1, r1, lsl #8
    orr r1, r1, r1, lsl #16
2:  subs r2, #4
    it hs
    strhs r1, [r12], #4
    bhi 2b
    bx lr
1:  subs r2, #1
    it hs
    strbhs r1, [r12], #1
    bhi 1b
    bx lr
    .purgem entry
