// A guest of a few instructions: a Linux-style image that tries what a guest may and may not do, says what
// went wrong through the console's emergency write, and powers off. Every check is a letter; '.' means it
// passed.

  .text
  .globl _start
_start:
  b start
  .long 0
  .quad 0                       // text_offset
  .quad 0x100000                // image_size
  .quad 0b1010
  .quad 0, 0, 0
  .ascii "ARM\x64"
  .long 0

// Prints '.' if w0 equals w1, else `letter`.
  .macro expect letter
  mov w2, #'.'
  mov w3, #\letter
  cmp w0, w1
  csel w2, w2, w3, eq
  str w2, [x20, #0x108]         // virtio 1.4 §5.3.4: emerg_wr of the console in window 0
  .endm

  .macro immediate register, value
  movz \register, #((\value) & 0xffff)
  movk \register, #(((\value) >> 16) & 0xffff), lsl #16
  .endm

start:
  adr x0, vectors
  msr vbar_el1, x0
  isb
  immediate x20, 0x0a000000

  ldr w0, [x20]                 // MagicValue
  immediate x1, 0x74726976
  expect 'm'
  ldr w0, [x20, #0x004]         // Version
  mov w1, #2
  expect 'v'
  ldr w0, [x20, #0x008]         // DeviceID: a console
  mov w1, #3
  expect 'c'
  immediate x9, 0x0a001000
  ldr w0, [x9, #0x008]          // the second window: a disk
  mov w1, #2
  expect 'd'
  str w0, [x20]                 // read-only registers stay as they are
  ldr w0, [x20, #0x008]
  mov w1, #3
  expect 'r'
  ldrh w0, [x20]                // control registers take 32 bits only
  mov w1, #0
  expect 'h'
  ldrsb x0, [x9, #0x100]        // the configuration space takes bytes: capacity is a multiple of 256 sectors
  mov x1, #0
  expect 'b'
  immediate x9, 0x0a00f000      // beyond the last window: reads zero
  ldr w0, [x9]
  mov w1, #0
  expect 'e'
  str w1, [x9]
  immediate x9, 0x09000000      // the host's UART is not the guest's
  ldr w0, [x9, #0x18]
  expect 'u'
  immediate x9, 0x40200000      // neither is the host's image
  ldr w0, [x9]
  expect 'i'
  str w1, [x9]
  immediate x9, 0x09020000      // nor fw_cfg, whose DMA reaches everything
  ldr w0, [x9]
  expect 'f'

  immediate x9, 0x08000000      // the distributor: no enable bit but of the guest's own interrupts
  mov w2, #-1
  str w2, [x9, #0x104]
  ldr w0, [x9, #0x104]
  mov w1, #0
  expect 'g'
  mov w2, #-1
  str w2, [x9, #0x114]          // interrupts 160 to 191: the guest owns 176 to 180
  ldr w0, [x9, #0x114]
  immediate x1, 0x1f0000
  expect 'o'

  immediate x0, 0x84000000      // PSCI_VERSION, by HVC and by SMC
  hvc #0
  immediate x1, 0x10001
  expect 'p'
  immediate x0, 0x84000000
  smc #0
  immediate x1, 0x10001
  expect 's'
  immediate x0, 0x8400dead      // no such function
  hvc #0
  mov w1, #-1
  expect 'n'

  mov w21, #0                   // what cannot be emulated comes back as an abort
  ldp w0, w1, [x20]
  mov w0, w21
  mov w1, #0x25
  expect 'l'
  mov w21, #0
  ldr w0, [x20], #4
  mov w0, w21
  mov w1, #0x25
  expect 'x'
  mov w21, #0
  immediate x9, 0x0a000000      // nothing to execute there
  adr x22, 1f
  br x9
1:
  mov w0, w21
  mov w1, #0x21
  expect 'j'

  mov w2, #'\n'
  str w2, [x20, #0x108]
  immediate x0, 0x84000008      // SYSTEM_OFF
  hvc #0
  b .

// Notes the exception class in w21 and goes on: after the instruction, or at x22 after a fetch.
abort:
  mrs x23, esr_el1
  lsr x21, x23, #26
  mrs x23, elr_el1
  add x23, x23, #4
  cmp w21, #0x21
  csel x23, x22, x23, eq
  msr elr_el1, x23
  eret

  .balign 2048
vectors:
  .rept 16
  b abort
  .balign 128
  .endr
