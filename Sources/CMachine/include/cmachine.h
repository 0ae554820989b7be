/* What Swift cannot say on bare-metal AArch64: system registers, barriers, the linker script's addresses. */
#pragma once
#include <stdint.h>

/* What the vectors save; the layout is repeated in vectors.S. */
struct machine_frame {
  uint64_t x[31];
  uint64_t sp;
  uint64_t elr;
  uint64_t spsr;
  uint64_t esr;
  uint64_t far;
  uint64_t vector; /* 0 to 15, in the order of the vector table */
};

#define MACHINE_READ(name, reg)                      \
  static inline uint64_t machine_read_##name(void) { \
    uint64_t value;                                  \
    __asm__ volatile("mrs %0, " reg : "=r"(value));  \
    return value;                                    \
  }
#define MACHINE_WRITE(name, reg)                                        \
  static inline void machine_write_##name(uint64_t value) {             \
    __asm__ volatile("msr " reg ", %0\n\tisb" ::"r"(value) : "memory"); \
  }

MACHINE_READ(counter, "cntvct_el0")
MACHINE_READ(counter_frequency, "cntfrq_el0")
MACHINE_READ(affinity, "mpidr_el1")
MACHINE_READ(interrupt_mask, "daif")
MACHINE_READ(features, "id_aa64pfr0_el1")
MACHINE_WRITE(icc_pmr, "S3_0_C4_C6_0")
MACHINE_WRITE(icc_ctlr, "S3_0_C12_C12_4")
#ifdef MACHINE_EL2
/* EL2 has a timer of its own, and takes group 0 interrupts, as FIQs: group 1 and IRQs are the guests'. */
#define MACHINE_GROUP 0
#define MACHINE_MASK_BIT 6
#define MACHINE_TIMER 3 /* in the order of the timer node: secure, EL1, virtual, EL2 */
#define MACHINE_PRIORITY 8 /* above all that guests may give theirs,
                              and below what wakes a core that waits for a lock */
#define MACHINE_MASK "1"
MACHINE_WRITE(timer_control, "cnthp_ctl_el2")
MACHINE_WRITE(timer_compare, "cnthp_cval_el2")
MACHINE_READ(icc_sre, "S3_4_C12_C9_5")
MACHINE_WRITE(icc_sre, "S3_4_C12_C9_5")
MACHINE_WRITE(icc_bpr, "S3_0_C12_C8_3")
MACHINE_WRITE(icc_igrpen, "S3_0_C12_C12_6")
MACHINE_READ(icc_iar, "S3_0_C12_C8_0")
MACHINE_READ(icc_rpr, "S3_0_C12_C11_3")
MACHINE_WRITE(icc_eoir, "S3_0_C12_C8_1")
#else
#define MACHINE_GROUP 1
#define MACHINE_MASK_BIT 7
#define MACHINE_TIMER 2
#define MACHINE_PRIORITY 0xa0
#define MACHINE_MASK "2"
MACHINE_WRITE(timer_control, "cntv_ctl_el0")
MACHINE_WRITE(timer_compare, "cntv_cval_el0")
MACHINE_READ(icc_sre, "S3_0_C12_C12_5")
MACHINE_WRITE(icc_sre, "S3_0_C12_C12_5")
MACHINE_WRITE(icc_bpr, "S3_0_C12_C12_3")
MACHINE_WRITE(icc_igrpen, "S3_0_C12_C12_7")
MACHINE_READ(icc_iar, "S3_0_C12_C12_0")
MACHINE_WRITE(icc_eoir, "S3_0_C12_C12_1")
#endif

/* The interrupt that wakes a core which waits for a lock, at EL2. */
#define MACHINE_WAKE 13
#define MACHINE_WAKE_PRIORITY 0

/* Interrupts of this level on this core; taken only while unmasked. */
static inline void machine_mask_irq(void) { __asm__ volatile("msr daifset, #" MACHINE_MASK ::: "memory"); }
static inline void machine_unmask_irq(void) { __asm__ volatile("msr daifclr, #" MACHINE_MASK ::: "memory"); }
static inline void machine_mask_all(void) { __asm__ volatile("msr daifset, #15" ::: "memory"); }
/* Sleeps until an interrupt is pending, masked or not. */
static inline void machine_wait_for_interrupt(void) { __asm__ volatile("dsb sy\n\twfi" ::: "memory"); }

/* A lock that is given out in the order of asking. All zeros is free. */
struct machine_lock {
  uint32_t next;
  uint32_t owner;
  uint32_t sleepers; /* a bit for each core that waits asleep: see lock.c */
};
#ifdef MACHINE_EL2
/* Functions, as there are many places that call them. */
void machine_lock_acquire(struct machine_lock *lock);
void machine_lock_release(struct machine_lock *lock);
/* From now on this core may sleep while it waits for a lock: it takes the interrupt MACHINE_WAKE. */
void machine_lock_may_sleep(void);
/* Whether the lock was free, and is now taken. */
static inline int machine_lock_try(struct machine_lock *lock) {
  uint64_t both, failed;
  __asm__ volatile(
      "1: ldaxr %0, [%2]\n\teor %1, %0, %0, ror #32\n\tcbnz %1, 2f\n\t"
      "add %0, %0, #1\n\tstxr %w1, %0, [%2]\n\tcbnz %w1, 1b\n2:"
      : "=&r"(both), "=&r"(failed)
      : "r"(lock)
      : "memory", "cc");
  return failed == 0;
}
#else /* an image at EL1 has one core */
static inline void machine_lock_acquire(struct machine_lock *lock) { (void)lock; }
static inline void machine_lock_release(struct machine_lock *lock) { (void)lock; }
static inline int machine_lock_try(struct machine_lock *lock) { return lock != 0; }
static inline void machine_lock_may_sleep(void) {}
#endif

/* Bits that cores set and clear at any time. Who sees or clears one sees all that was written before it was
   set. The second returns what was there. */
static inline uint32_t machine_bits(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline uint32_t machine_set_bits(uint32_t *word, uint32_t bits) {
  return __atomic_fetch_or(word, bits, __ATOMIC_ACQ_REL);
}
static inline void machine_clear_bits(uint32_t *word, uint32_t bits) {
  __atomic_fetch_and(word, ~bits, __ATOMIC_ACQUIRE);
}

/* Adds one; returns what was there. */
static inline uint64_t machine_count(uint64_t *counter) {
  return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

#ifdef MACHINE_EL2
/* What vectors.S saves of a guest, at the top of the core's stack; the layout is repeated there. */
struct machine_guest {
  uint64_t x[31];
  uint64_t elr;
  uint64_t spsr;
  uint32_t guest; /* which guest this is, and which of its cores */
  uint32_t core;
  uint64_t exits; /* how often it was left for an access or a call */
  uint64_t reserved;
};
_Static_assert(sizeof(struct machine_guest) % 16 == 0, "the stack pointer is aligned");
MACHINE_READ(esr, "esr_el2")
MACHINE_READ(far, "far_el2")
MACHINE_READ(hpfar, "hpfar_el2")
MACHINE_WRITE(hcr, "hcr_el2")
MACHINE_WRITE(vtcr, "vtcr_el2")
MACHINE_WRITE(vttbr, "vttbr_el2")
MACHINE_WRITE(cnthctl, "cnthctl_el2")
MACHINE_WRITE(cntvoff, "cntvoff_el2")
MACHINE_WRITE(vpidr, "vpidr_el2")
MACHINE_WRITE(vmpidr, "vmpidr_el2")
MACHINE_READ(midr, "midr_el1")
MACHINE_WRITE(guest_sctlr, "sctlr_el1")
MACHINE_WRITE(guest_esr, "esr_el1")
MACHINE_WRITE(guest_far, "far_el1")
MACHINE_WRITE(guest_elr, "elr_el1")
MACHINE_WRITE(guest_spsr, "spsr_el1")
MACHINE_READ(guest_vbar, "vbar_el1")
MACHINE_WRITE(guest_mdscr, "mdscr_el1")
MACHINE_WRITE(host_timer_control, "cnthp_ctl_el2")
MACHINE_WRITE(host_timer_compare, "cnthp_cval_el2")
MACHINE_WRITE(guest_timer_control, "cntv_ctl_el0")
MACHINE_WRITE(guest_physical_timer_control, "cntp_ctl_el0")
MACHINE_WRITE(icc_sgi0, "S3_0_C12_C11_7")
MACHINE_WRITE(icc_sgi1, "S3_0_C12_C11_5")
MACHINE_WRITE(guest_icc_igrpen, "S3_0_C12_C12_7")
MACHINE_WRITE(guest_icc_active, "S3_0_C12_C9_0")
MACHINE_WRITE(ich_vmcr, "S3_4_C12_C11_7")
/* Runs a guest on this core; its exceptions come back as machine_guest_trap on the stack that ends at the
   context. */
_Noreturn void machine_enter_guest(struct machine_guest *context);
/* What the walkers of every core remember of the guest in VTTBR_EL2 is gone. */
static inline void machine_invalidate_guest(void) {
  __asm__ volatile("dsb ishst\n\ttlbi vmalls12e1is\n\tdsb ish\n\tisb" ::: "memory");
}
/* The same of the guest whose VTTBR_EL2 is `base`, which need not be this core's. */
static inline void machine_invalidate_translation(uint64_t base) {
  uint64_t own;
  __asm__ volatile("mrs %0, vttbr_el2\n\tmsr vttbr_el2, %1\n\tisb" : "=&r"(own) : "r"(base) : "memory");
  machine_invalidate_guest();
  machine_write_vttbr(own);
}
/* Where a core of the board begins: called by the firmware with the number of the core, which has the stack
   of that number, from 1 on. It calls machine_core. */
void machine_secondary(void);
/* Orders tables of ours that were written before every later use of what they map. */
static inline void machine_mapped(void) { __asm__ volatile("dsb ish\n\tisb" ::: "memory"); }
/* The level 1 table of our own mapping. */
static inline uint64_t *machine_translation(void) {
  uint64_t base;
  __asm__ volatile("mrs %0, ttbr0_el2" : "=r"(base));
  return (uint64_t *)(base & 0x0000fffffffffffe);
}
/* What was written to memory is there for cores with their caches off, and is what they execute. The range
   consists of whole lines of 64 bytes. */
static inline void machine_clean(uint64_t start, uint64_t end) {
  for (uint64_t line = start; line < end; line += 64) __asm__ volatile("dc civac, %0" ::"r"(line) : "memory");
  __asm__ volatile("dsb ish\n\tic ialluis\n\tdsb ish\n\tisb" ::: "memory");
}
/* SMCCC call to the firmware below. */
static inline int64_t machine_smc(uint64_t function, uint64_t a, uint64_t b, uint64_t c) {
  register uint64_t x0 __asm__("x0") = function;
  register uint64_t x1 __asm__("x1") = a;
  register uint64_t x2 __asm__("x2") = b;
  register uint64_t x3 __asm__("x3") = c;
  __asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory");
  return (int64_t)x0;
}
#endif

/* Orders what went before against later accesses of other observers, devices included. */
static inline void machine_barrier(void) { __asm__ volatile("dmb osh" ::: "memory"); }
static inline void machine_store_barrier(void) { __asm__ volatile("dmb oshst" ::: "memory"); }
static inline void machine_load_barrier(void) { __asm__ volatile("dmb oshld" ::: "memory"); }
/* Waits until every access before it is complete. */
static inline void machine_synchronize(void) { __asm__ volatile("dsb sy\n\tisb" ::: "memory"); }

/* Linker script: a C array is imported by value, so each symbol comes through a function. */
#define MACHINE_SYMBOL(name)                         \
  static inline uint64_t machine_##name(void) {      \
    extern char __##name[];                          \
    return (uint64_t)(uintptr_t)__##name;            \
  }
MACHINE_SYMBOL(ram_start)
MACHINE_SYMBOL(ram_size)
MACHINE_SYMBOL(device_start)
MACHINE_SYMBOL(device_end)
MACHINE_SYMBOL(early_uart)
MACHINE_SYMBOL(image_start)
MACHINE_SYMBOL(image_end)
MACHINE_SYMBOL(text_end)
MACHINE_SYMBOL(rodata_end)
MACHINE_SYMBOL(stack_guard)
MACHINE_SYMBOL(stack_bottom)
MACHINE_SYMBOL(stack_top)
MACHINE_SYMBOL(exception_guard)
MACHINE_SYMBOL(exception_bottom)
MACHINE_SYMBOL(exception_top)
MACHINE_SYMBOL(fault_guard)
MACHINE_SYMBOL(heap_start)
MACHINE_SYMBOL(heap_end)
MACHINE_SYMBOL(device_memory_start)
MACHINE_SYMBOL(device_memory_end)
MACHINE_SYMBOL(core_stacks)
MACHINE_SYMBOL(core_stacks_end)
MACHINE_SYMBOL(core_stack_stride)

/* What x0 held at entry: the device tree, or 0 from a bare ELF boot. */
uint64_t machine_boot_argument(void);
/* Ends the emulator with an exit status by semihosting. Comes back to no one, but where nothing listens to
   semihosting it raises an undefined instruction exception. */
_Noreturn void machine_semihosting_exit(uint32_t status);
/* Writes memory to a new file by semihosting. Whether all of it was written. */
int machine_semihosting_write(const char *name, uint64_t start, uint64_t size);
/* PSCI SYSTEM_OFF by HVC or SMC; comes back only if there is no PSCI. */
void machine_psci_off(int by_smc);

/* A value that the compiler cannot follow, and plain accesses to it as an address: for faults on purpose. */
static inline uint64_t machine_opaque(uint64_t value) {
  __asm__ volatile("" : "+r"(value));
  return value;
}
static inline void machine_touch(uint64_t address) {
  __asm__ volatile("ldr xzr, [%0]" ::"r"(address) : "memory");
}
static inline void machine_overwrite(uint64_t address) {
  __asm__ volatile("str xzr, [%0]" ::"r"(address) : "memory");
}
