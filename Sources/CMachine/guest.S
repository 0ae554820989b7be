// Exceptions of a guest, at EL2: everything the guest's registers hold goes to its context, which TPIDR_EL2
// points to, and comes back from there. The guest's FP and SIMD registers are left alone: an image for EL2
// has no instruction that touches them.

#ifdef MACHINE_EL2

#define CONTEXT_X30 240         // struct machine_guest
#define CONTEXT_SPSR 256

  .macro save_guest
  stp x0, x1, [sp, #-16]!
  mrs x0, tpidr_el2
  stp x2, x3, [x0, #16]
  stp x4, x5, [x0, #32]
  stp x6, x7, [x0, #48]
  stp x8, x9, [x0, #64]
  stp x10, x11, [x0, #80]
  stp x12, x13, [x0, #96]
  stp x14, x15, [x0, #112]
  stp x16, x17, [x0, #128]
  stp x18, x19, [x0, #144]
  stp x20, x21, [x0, #160]
  stp x22, x23, [x0, #176]
  stp x24, x25, [x0, #192]
  stp x26, x27, [x0, #208]
  stp x28, x29, [x0, #224]
  mrs x4, elr_el2
  mrs x5, spsr_el2
  ldp x2, x3, [sp], #16
  stp x30, x4, [x0, #CONTEXT_X30]
  str x5, [x0, #CONTEXT_SPSR]
  stp x2, x3, [x0]
  mov x29, xzr
  .endm

  .text
  .globl guest_synchronous, guest_interrupt, guest_error, machine_enter_guest

guest_synchronous:
  save_guest
  bl machine_guest_trap
  b resume_guest

guest_interrupt:
  save_guest
  bl machine_guest_interrupt
  b resume_guest

guest_error:
  save_guest
  bl machine_guest_error

resume_guest:
  mrs x0, tpidr_el2
  ldr x5, [x0, #CONTEXT_SPSR]
  ldp x30, x4, [x0, #CONTEXT_X30]
  msr spsr_el2, x5
  msr elr_el2, x4
  ldp x2, x3, [x0, #16]
  ldp x4, x5, [x0, #32]
  ldp x6, x7, [x0, #48]
  ldp x8, x9, [x0, #64]
  ldp x10, x11, [x0, #80]
  ldp x12, x13, [x0, #96]
  ldp x14, x15, [x0, #112]
  ldp x16, x17, [x0, #128]
  ldp x18, x19, [x0, #144]
  ldp x20, x21, [x0, #160]
  ldp x22, x23, [x0, #176]
  ldp x24, x25, [x0, #192]
  ldp x26, x27, [x0, #208]
  ldp x28, x29, [x0, #224]
  ldp x0, x1, [x0]
  eret

// machine_enter_guest(context, stack top): runs the guest on this core; comes back only through the vectors.
machine_enter_guest:
  msr tpidr_el2, x0
  mov sp, x1
  isb
  b resume_guest

#endif
