/* Calls of a partition: the number in r12, arguments and result as the C convention has them. */
    .syntax unified
    .thumb
    .arch armv8-m.main

    .macro entry name, number
    .section .text.\name, "ax", %progbits
    .global \name
    .type \name, %function
    .thumb_func
\name:
    mov r12, #\number
    svc #0
    bx lr
    .size \name, . - \name
    .endm

    entry psa_version, 1
    entry psa_connect, 2
    entry ringfort_call, 3
    entry psa_close, 4
    entry ringfort_failure, 5
    entry psa_wait, 16
    entry psa_get, 17
    entry psa_set_rhandle, 18
    entry psa_read, 19
    entry psa_skip, 20
    entry psa_write, 21
    entry psa_reply, 22
    entry psa_notify, 23
    entry psa_clear, 24
    entry psa_eoi, 25
    entry psa_panic, 26
    entry psa_rot_lifecycle_state, 27
    entry psa_irq_enable, 28
    entry psa_irq_disable, 29
    entry ringfort_print, 30
    entry ringfort_reset, 31
