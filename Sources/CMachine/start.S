// Entry of an image, by the Linux boot protocol or as a bare ELF: goes to the exception level of the image
// (levels.h), turns the MMU and the caches on with the mapping of the linker script, clears .bss and calls
// main on its own stack.

#include "levels.h"

#define TABLE 0b11              // a table at levels 1 and 2, a page at level 3
#define BLOCK 0b01
#define ATTRIBUTES_DEVICE (0 << 2 | TABLE_ONES)
#define ATTRIBUTES_MEMORY (1 << 2 | 3 << 8 | TABLE_ONES)        // write-back, inner shareable
#define READ_ONLY (1 << 7)
#define ACCESSED (1 << 10)
#define CONTEXT_SIZE 272        // struct machine_guest, at the top of each stack at EL2
#define NEVER_EXECUTE_HIGH 0x0060               // bits 63:48 of an entry: PXN and UXN, at EL2 XN
#ifdef MACHINE_EL2
#define IMAGE_BLOCKS 4
#else
#define IMAGE_BLOCKS 2
#endif

  .macro address register, symbol
  adrp \register, \symbol
  add \register, \register, :lo12:\symbol
  .endm

  .section .text.head, "ax"
  .globl _head, _start
_head:                          // the 64-byte header of arm64 Linux images
  b _start
  .long 0
  .quad 0x200000                // text_offset
  .quad __image_size
  .quad 0b1010                  // little endian, 4 KiB pages, anywhere in memory
  .quad 0, 0, 0
  .ascii "ARM\x64"
  .long 0

#ifdef MACHINE_EL2
  .macro set_level
  mov x0, #(1 << 31)            // HCR_EL2: RW, and FMO: our interrupts are FIQs. Stage 2 comes with a guest
  orr x0, x0, #(1 << 3)
  msr hcr_el2, x0
  mov x0, #0x22ff               // CPTR_EL2: no trap of FP, SIMD and SVE
  msr cptr_el2, x0
  msr hstr_el2, xzr
  address x0, vectors
  msr vbar_el2, x0
  msr spsel, #1                 // SP_EL0 is the guest's
  .endm

  .section .text.machine_secondary, "ax"
  .globl machine_secondary
machine_secondary:
  msr daifset, #0b1111
  mov x19, x0                   // the number of the core
  set_level
  address x0, __core_stacks     // the stack of core 1 is the first
  ldr x1, =__core_stack_stride
  madd x0, x19, x1, x0
  sub x0, x0, #CONTEXT_SIZE
  mov sp, x0
  isb
  bl load_translation           // the tables are in use: nothing is taken out of the caches
  mov x29, xzr
  mov x30, xzr
  mov x0, x19
  bl machine_core
  b .

  .section .text.head, "ax"
#endif

_start:
  msr daifset, #0b1111
  mov x19, x0                   // the device tree, or 0 from a bare ELF boot
  mrs x0, CurrentEL
  cmp x0, #(2 << 2)
#ifdef MACHINE_EL2
  b.eq at_el2
  adr x0, message_level
  b early_failure

at_el2:
  set_level
  address x0, __stack_top - CONTEXT_SIZE
  mov sp, x0
  isb
#else
  b.eq from_el2
  b.lo at_el1
  adr x0, message_level
  b early_failure

from_el2:
  mov x0, #(1 << 31)            // HCR_EL2.RW: EL1 is AArch64; nothing is trapped
  msr hcr_el2, x0
  mov x0, #0b11                 // the timer and the counter are EL1's
  msr cnthctl_el2, x0
  msr cntvoff_el2, xzr
  mov x0, #0x33ff               // CPTR_EL2: RES1 bits, no trap of FP and SIMD
  msr cptr_el2, x0
  msr hstr_el2, xzr
  msr vttbr_el2, xzr
  mrs x0, midr_el1
  msr vpidr_el2, x0
  mrs x0, mpidr_el1
  msr vmpidr_el2, x0
  mrs x0, id_aa64pfr0_el1       // a GIC with system registers: let EL1 use them
  ubfx x0, x0, #24, #4
  cbz x0, 1f
  mrs x0, S3_4_C12_C9_5         // ICC_SRE_EL2
  orr x0, x0, #(1 << 0)         // SRE
  orr x0, x0, #(1 << 3)         // Enable, for EL1
  msr S3_4_C12_C9_5, x0
  isb
1:
  ldr x0, =0x30d00800           // SCTLR_EL1: RES1 bits, MMU and caches off
  msr sctlr_el1, x0
  mov x0, #0b1111000100         // EL1t, all exceptions masked
  msr spsr_el2, x0
  adr x0, at_el1
  msr elr_el2, x0
  eret

at_el1:
  mov x0, #(0b11 << 20)         // CPACR_EL1: FP and SIMD
  msr cpacr_el1, x0
  address x0, vectors
  msr vbar_el1, x0
  msr spsel, #1                 // exceptions have a stack of their own: a full stack can still be reported
  address x0, __exception_top
  mov sp, x0
  msr spsel, #0
  address x0, __stack_top
  mov sp, x0
  isb
#endif

  bl build_tables
  bl enable_mmu

  address x0, __bss_start
  address x1, __bss_end
2:
  cmp x0, x1
  b.hs 3f
  stp xzr, xzr, [x0], #16
  b 2b
3:
  mov x29, xzr                  // the end of a backtrace
  mov x30, xzr
  mov x0, x19
  bl machine_start
  b .

// Fills the tables: level 1 with two entries, level 2 for devices and for RAM, level 3 for the image.
build_tables:
  address x0, tables
  mov x1, x0
  address x2, tables_end
1:
  stp xzr, xzr, [x1], #16
  cmp x1, x2
  b.lo 1b

  add x1, x0, #0x1000           // level 2 of the first GiB: devices
  orr x2, x1, #TABLE
  str x2, [x0]
  ldr x2, =__device_start
  ldr x3, =__device_end
  mov x4, #(BLOCK | ATTRIBUTES_DEVICE | ACCESSED)
  movk x4, #NEVER_EXECUTE_HIGH, lsl #48
  mov x9, x30
  bl map_blocks

  add x1, x0, #0x2000           // level 2 of the GiB that holds RAM
  ldr x2, =__ram_start
  ldr x3, =__ram_size
  add x3, x2, x3
  lsr x5, x2, #30
  orr x6, x1, #TABLE
  str x6, [x0, x5, lsl #3]
  mov x4, #(BLOCK | ATTRIBUTES_MEMORY | ACCESSED)
  movk x4, #NEVER_EXECUTE_HIGH, lsl #48
  bl map_blocks

  lsr x6, x19, #30              // the device tree may lie above that: two blocks, as it may straddle them
  cmp x6, x5
  b.ne 2f
  and x2, x19, #~0x1fffff
  add x3, x2, #0x400000
  bl map_blocks
2:
  add x5, x0, #0x3000           // level 3 of the image, one table a block
  address x2, __image_start
  mov x6, #IMAGE_BLOCKS
  ubfx x7, x2, #21, #9
  add x7, x1, x7, lsl #3
3:
  orr x8, x5, #TABLE
  str x8, [x7], #8
  add x5, x5, #0x1000
  subs x6, x6, #1
  b.ne 3b

  add x5, x0, #0x3000
  address x3, __text_end
  mov x4, #(TABLE | ATTRIBUTES_MEMORY | ACCESSED | READ_ONLY)
  movk x4, #TEXT_NEVER_EXECUTE_HIGH, lsl #48
  bl map_pages
  address x3, __rodata_end
  movk x4, #NEVER_EXECUTE_HIGH, lsl #48
  bl map_pages
  address x3, __image_end
  mov x4, #(TABLE | ATTRIBUTES_MEMORY | ACCESSED)
  movk x4, #NEVER_EXECUTE_HIGH, lsl #48
  bl map_pages

  add x5, x0, #0x3000           // no page at the guards
  address x2, __image_start
  address x3, __stack_guard
  bl unmap_page
  address x3, __exception_guard
  bl unmap_page
  address x3, __fault_guard
  bl unmap_page
  address x10, __core_stacks    // and none at the lowest page of each further stack
  address x11, __core_stacks_end
  ldr x12, =__core_stack_stride
1:
  cmp x10, x11
  b.hs 2f
  mov x3, x10
  bl unmap_page
  add x10, x10, x12
  b 1b
2:
  ret x9

  .section .text.map, "ax"
// Maps x2 up to x3 by blocks with attributes x4 in the level 2 table x1; stops at the end of the table.
map_blocks:
  ubfx x7, x2, #21, #9
1:
  cmp x2, x3
  b.hs 2f
  orr x8, x2, x4
  str x8, [x1, x7, lsl #3]
  add x2, x2, #0x200000
  add x7, x7, #1
  tbz x7, #9, 1b
2:
  ret

// Maps x2 up to x3 by pages with attributes x4 at the level 3 entry x5; both move on.
map_pages:
  cmp x2, x3
  b.hs 1f
  orr x8, x2, x4
  str x8, [x5], #8
  add x2, x2, #0x1000
  b map_pages
1:
  ret

// Clears the entry of page x3 in the level 3 tables x5, which start at address x2.
unmap_page:
  sub x3, x3, x2
  lsr x3, x3, #12
  str xzr, [x5, x3, lsl #3]
  ret

  .section .text.enable_mmu, "ax"
enable_mmu:
  address x0, tables
  address x1, tables_end
  dsb sy
  mov x2, x0
1:
  dc ivac, x2                   // what a cache still holds of the tables is older than what was just written
  add x2, x2, #64
  cmp x2, x1
  b.lo 1b
  b load_translation

  .section .text.load_translation, "ax"
load_translation:
  address x0, tables
  mov x2, #0xff00               // MAIR: 0 device nGnRnE, 1 write-back
  msr EL(mair), x2
  ldr x2, =TRANSLATION_CONTROL  // 39 bits, 4 KiB, write-back inner shareable walks, 40 bits out
  msr EL(tcr), x2
  msr EL(ttbr0), x0
  INVALIDATE_TRANSLATIONS
  ic iallu
  dsb sy
  isb
  mrs x2, EL(sctlr)
  orr x2, x2, #(1 << 0)         // M
  orr x2, x2, #(1 << 2)         // C
  orr x2, x2, #(1 << 12)        // I
  orr x2, x2, #(1 << 19)        // WXN: writable is never executable
  bic x2, x2, #(1 << 1)         // no alignment checks of normal memory
  msr EL(sctlr), x2
  isb
  ret

  .section .text.early_failure, "ax"
// Writes the message at x0 to the UART, before anything is set up, and ends the run.
early_failure:
  mov x2, x0
  ldr x1, =__early_uart
1:
  ldrb w3, [x2], #1
  cbz w3, 2f
  str w3, [x1]
  b 1b
2:
  adr x1, early_exit
  mov x0, #0x18                 // semihosting SYS_EXIT
  hlt #0xf000
3:
  wfi
  b 3b

  .balign 8
early_exit:
  .quad 0x20026, 1

  .section .text.early_message, "ax"
message_level:
#ifdef MACHINE_EL2
  .asciz "vireo: this image needs EL2: start QEMU with -M virt,virtualization=on\n"
#else
  .asciz "vireo: started at EL3; this image needs EL1 or EL2\n"
#endif

  .section .tables, "aw", %nobits
  .balign 4096
tables:
  .skip 4096 * (3 + IMAGE_BLOCKS)
tables_end:
