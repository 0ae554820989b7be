// Entry of the test guests in C: a Linux-style image for any address, with a stack for each core, and
// exception vectors that note what came and go on.

#define STACKS 0x110000         // of 64 KiB each, by the core's affinity level 0, with its record at the top
#define CLASS 0                 // struct record
#define COUNT 8
#define INTERRUPTS 16
#define LAST 24
#define KEEP 32
#define SCRATCH 40

  .section .text.head, "ax"
  .globl _start, secondary_entry
_start:
  b 1f
  .long 0
  .quad 0                       // text_offset
  .quad 0x200000                // image_size
  .quad 0b1010
  .quad 0, 0, 0
  .ascii "ARM\x64"
  .long 0
1:
  mov x19, x0
  bl set_up
  mov x0, x19
  bl guest_main
  b .

secondary_entry:
  mov x19, x0
  bl set_up
  mov x0, x19
  bl guest_secondary
  b .

set_up:
  adr x0, vectors
  msr vbar_el1, x0
  adr x0, _start
  movz x1, #(STACKS >> 16), lsl #16
  add x0, x0, x1
  mrs x1, mpidr_el1
  and x1, x1, #0xff
  add x0, x0, x1, lsl #16
  sub x0, x0, #64
  msr tpidr_el1, x0
  stp xzr, xzr, [x0]
  stp xzr, xzr, [x0, #16]
  stp xzr, xzr, [x0, #32]
  sub sp, x0, #64
  mov x0, #(0b11 << 20)         // CPACR_EL1: FP and SIMD
  msr cpacr_el1, x0
  isb
  ret

// Notes the exception class and goes on: after the instruction, or after the call of what cannot be fetched.
synchronous:
  msr tpidr_el0, x9
  mrs x9, tpidr_el1
  str x10, [x9, #SCRATCH]
  ldr x10, [x9, #COUNT]
  add x10, x10, #1
  str x10, [x9, #COUNT]
  mrs x10, esr_el1
  lsr x10, x10, #26
  str x10, [x9, #CLASS]
  cmp x10, #0x21
  mrs x10, elr_el1
  add x10, x10, #4
  csel x10, x30, x10, eq
  msr elr_el1, x10
  ldr x10, [x9, #SCRATCH]
  mrs x9, tpidr_el0
  eret

// Counts the interrupt, and ends it unless the record says to keep it active.
interrupt:
  msr tpidr_el0, x9
  mrs x9, tpidr_el1
  str x10, [x9, #SCRATCH]
  ldr x10, [x9, #INTERRUPTS]
  add x10, x10, #1
  str x10, [x9, #INTERRUPTS]
  mrs x10, S3_0_C12_C12_0       // ICC_IAR1_EL1
  str x10, [x9, #LAST]
  ldr x10, [x9, #KEEP]
  cbnz x10, 1f
  ldr x10, [x9, #LAST]
  msr S3_0_C12_C12_1, x10       // ICC_EOIR1_EL1
1:
  ldr x10, [x9, #SCRATCH]
  mrs x9, tpidr_el0
  eret

  .balign 2048
vectors:
  .rept 4
  b synchronous
  .balign 128
  b interrupt
  .balign 128
  b .
  .balign 128
  b .
  .balign 128
  .endr
