// The exception vectors. At EL1, code runs on SP_EL0, so an exception finds its own stack even when the other
// is full. Interrupts save what a function call may change and return; everything else is reported and ends
// the run. At EL2, SP_EL0 is a guest's.

#include "levels.h"

#define FRAME_SIZE 304          // struct machine_frame, rounded up to 16
#define FRAME_SP 248
#define FRAME_ELR 256
#define FRAME_ESR 272
#define FRAME_VECTOR 288
#define CALLER_SIZE 592         // x0-x18, x29, x30, q0-q7, q16-q31, FPCR, FPSR, ELR, SPSR

// Each vector is a section of its own: the linker script puts small functions behind those that leave room.
  .macro vector index
  .section .text.vector.\index, "ax"
  .balign 128
  .endm

  .macro fatal index
  vector \index
  sub sp, sp, #FRAME_SIZE
  stp x0, x1, [sp]
  mov x0, #\index
  b exception_entry
  .endm

  // From inside a handler: what failed may be its stack, so go on with the last one.
  .macro fatal_nested index
  vector \index
  msr EL(tpidr), x0
#ifdef MACHINE_EL2
  // For the report of what the code itself did. What a guest had there is not needed any more.
  .if \index == 4
  mov x0, sp
  msr sp_el0, x0
  .endif
#endif
  adrp x0, __fault_top
  add x0, x0, :lo12:__fault_top
  mov sp, x0
  mrs x0, EL(tpidr)
  sub sp, sp, #FRAME_SIZE
  stp x0, x1, [sp]
  mov x0, #\index
  b exception_entry
  .endm

#ifdef MACHINE_EL2
// Exceptions of a guest: everything the guest's registers hold goes to its context, and comes back from
// there. The context is at the top of the core's stack, where the stack pointer is while the guest runs. The
// guest's FP and SIMD registers are left alone: an image for EL2 has no instruction that touches them.
#define CONTEXT_X30 240         // struct machine_guest
#define CONTEXT_SPSR 256

  .macro save_guest
  stp x0, x1, [sp]
  stp x2, x3, [sp, #16]
  stp x4, x5, [sp, #32]
  stp x6, x7, [sp, #48]
  stp x8, x9, [sp, #64]
  stp x10, x11, [sp, #80]
  stp x12, x13, [sp, #96]
  stp x14, x15, [sp, #112]
  stp x16, x17, [sp, #128]
  stp x18, x19, [sp, #144]
  stp x20, x21, [sp, #160]
  stp x22, x23, [sp, #176]
  stp x24, x25, [sp, #192]
  stp x26, x27, [sp, #208]
  stp x28, x29, [sp, #224]
  mrs x4, elr_el2
  mrs x5, spsr_el2
  stp x30, x4, [sp, #CONTEXT_X30]
  str x5, [sp, #CONTEXT_SPSR]
  mov x29, xzr
  mov x0, sp
  .endm
#endif

// Saves the rest, and reports.
  .macro report_exception
  stp x2, x3, [sp, #16]
  stp x4, x5, [sp, #32]
  stp x6, x7, [sp, #48]
  stp x8, x9, [sp, #64]
  stp x10, x11, [sp, #80]
  stp x12, x13, [sp, #96]
  stp x14, x15, [sp, #112]
  stp x16, x17, [sp, #128]
  stp x18, x19, [sp, #144]
  stp x20, x21, [sp, #160]
  stp x22, x23, [sp, #176]
  stp x24, x25, [sp, #192]
  stp x26, x27, [sp, #208]
  stp x28, x29, [sp, #224]
  str x30, [sp, #240]
  mrs x1, sp_el0
  str x1, [sp, #FRAME_SP]
  mrs x1, EL(elr)
  mrs x2, EL(spsr)
  stp x1, x2, [sp, #FRAME_ELR]
  mrs x1, EL(esr)
  mrs x2, EL(far)
  stp x1, x2, [sp, #FRAME_ESR]
  str x0, [sp, #FRAME_VECTOR]
  mov x0, sp
  mov x29, xzr
  bl machine_exception
  b .
  .endm

// Serves an interrupt of ours.
  .macro serve_interrupt
  sub sp, sp, #CALLER_SIZE
  stp x0, x1, [sp]
  stp x2, x3, [sp, #16]
  stp x4, x5, [sp, #32]
  stp x6, x7, [sp, #48]
  stp x8, x9, [sp, #64]
  stp x10, x11, [sp, #80]
  stp x12, x13, [sp, #96]
  stp x14, x15, [sp, #112]
  stp x16, x17, [sp, #128]
  stp x18, x29, [sp, #144]
  mrs x0, EL(elr)
  mrs x1, EL(spsr)
  stp x30, x0, [sp, #160]
#ifdef MACHINE_EL2
  str x1, [sp, #176]
#else
  mrs x0, fpcr
  stp x1, x0, [sp, #176]
  mrs x0, fpsr
  str x0, [sp, #192]
  stp q0, q1, [sp, #208]
  stp q2, q3, [sp, #240]
  stp q4, q5, [sp, #272]
  stp q6, q7, [sp, #304]
  stp q16, q17, [sp, #336]
  stp q18, q19, [sp, #368]
  stp q20, q21, [sp, #400]
  stp q22, q23, [sp, #432]
  stp q24, q25, [sp, #464]
  stp q26, q27, [sp, #496]
  stp q28, q29, [sp, #528]
  stp q30, q31, [sp, #560]
#endif
  bl machine_interrupt
#ifdef MACHINE_EL2
  ldr x1, [sp, #176]
#else
  ldp q0, q1, [sp, #208]
  ldp q2, q3, [sp, #240]
  ldp q4, q5, [sp, #272]
  ldp q6, q7, [sp, #304]
  ldp q16, q17, [sp, #336]
  ldp q18, q19, [sp, #368]
  ldp q20, q21, [sp, #400]
  ldp q22, q23, [sp, #432]
  ldp q24, q25, [sp, #464]
  ldp q26, q27, [sp, #496]
  ldp q28, q29, [sp, #528]
  ldp q30, q31, [sp, #560]
  ldr x0, [sp, #192]
  msr fpsr, x0
  ldp x1, x0, [sp, #176]
  msr fpcr, x0
#endif
  msr EL(spsr), x1
  ldp x30, x0, [sp, #160]
  msr EL(elr), x0
  ldp x18, x29, [sp, #144]
  ldp x16, x17, [sp, #128]
  ldp x14, x15, [sp, #112]
  ldp x12, x13, [sp, #96]
  ldp x10, x11, [sp, #80]
  ldp x8, x9, [sp, #64]
  ldp x6, x7, [sp, #48]
  ldp x4, x5, [sp, #32]
  ldp x2, x3, [sp, #16]
  ldp x0, x1, [sp]
  add sp, sp, #CALLER_SIZE
  eret
  .endm

  vector 0
  .balign 2048
  .globl vectors
vectors:
#ifdef MACHINE_EL2
  fatal_nested 0
  fatal_nested 1
  fatal_nested 2
  fatal_nested 3
  fatal_nested 4
  fatal_nested 5
  vector 6
  serve_interrupt
  fatal_nested 7
  vector 8
  save_guest
  bl machine_guest_trap
  b resume_guest
  fatal_nested 9
  vector 10
  save_guest
  bl machine_guest_interrupt
  b resume_guest
  vector 11
  save_guest
  bl machine_guest_error
#else
  fatal 0
  vector 1
  b interrupt_entry
  fatal 2
  fatal 3
  fatal_nested 4
  fatal_nested 5
  fatal_nested 6
  fatal_nested 7
  fatal 8
  fatal 9
  fatal 10
  fatal 11
#endif
  fatal 12
  fatal 13
#ifdef MACHINE_EL2
resume_guest:
  ldr x5, [sp, #CONTEXT_SPSR]
  ldp x30, x4, [sp, #CONTEXT_X30]
  msr spsr_el2, x5
  msr elr_el2, x4
  ldp x0, x1, [sp]
  ldp x2, x3, [sp, #16]
  ldp x4, x5, [sp, #32]
  ldp x6, x7, [sp, #48]
  ldp x8, x9, [sp, #64]
  ldp x10, x11, [sp, #80]
  ldp x12, x13, [sp, #96]
  ldp x14, x15, [sp, #112]
  ldp x16, x17, [sp, #128]
  ldp x18, x19, [sp, #144]
  ldp x20, x21, [sp, #160]
  ldp x22, x23, [sp, #176]
  ldp x24, x25, [sp, #192]
  ldp x26, x27, [sp, #208]
  ldp x28, x29, [sp, #224]
  eret
#endif
  fatal 14
#ifdef MACHINE_EL2
  .globl machine_enter_guest
// machine_enter_guest(context): runs the guest on this core, whose stack ends at the context from now on;
// comes back only through the vectors.
machine_enter_guest:
  mov sp, x0
  isb
  b resume_guest
#endif
  vector 15
  sub sp, sp, #FRAME_SIZE
  stp x0, x1, [sp]
  mov x0, #15
  .globl exception_entry
exception_entry:
  report_exception

#ifndef MACHINE_EL2
  .section .text.interrupt_entry, "ax"
interrupt_entry:
  serve_interrupt
#endif
