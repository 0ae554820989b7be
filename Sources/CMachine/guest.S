// Exceptions of a guest, at EL2: everything the guest's registers hold goes to its context, and comes back
// from there. The context is at the top of the core's stack, where the stack pointer is while the guest runs.
// The guest's FP and SIMD registers are left alone: an image for EL2 has no instruction that touches them.

#ifdef MACHINE_EL2

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

  .text
  .globl guest_synchronous, guest_interrupt, guest_error, machine_enter_guest

guest_interrupt:
  save_guest
  bl machine_guest_interrupt
  b resume_guest

guest_error:
  save_guest
  bl machine_guest_error

guest_synchronous:
  save_guest
  bl machine_guest_trap

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

// machine_enter_guest(context): runs the guest on this core, whose stack ends at the context from now on;
// comes back only through the vectors.
machine_enter_guest:
  mov sp, x0
  isb
  b resume_guest

#endif
