/* SPDX-License-Identifier: Apache-2.0
 * The processor: Unicorn's, and what that leaves to its user. Tried with Unicorn 2.0.1 and 2.1.4.
 *
 * Interrupts: the guest runs at non-secure EL1 below an EL2 that has nothing in it. HCR_EL2.VI is then an
 * interrupt line to the guest, which Unicorn's processor knows and obeys.
 *
 * Exceptions: Unicorn only tells of them, by number. So its processor is made to take an interrupt, and where
 * an exception differs is written over it: the vector, SPSR_EL1, ESR_EL1 and FAR_EL1.
 *
 * Memory: before Unicorn translates an address, it wants that address to be mapped as if it were a physical
 * one. So all of the address space is mapped, what is neither RAM nor a register as if it were registers.
 *
 * Code in RAM is only noticed to be other code when the guest writes it: no device may write what is run. */
#include "vmm.h"

#include <string.h>
#include <unicorn/unicorn.h>

enum { UNDEFINED = 1, PREFETCH_ABORT = 3, DATA_ABORT = 4, HYPERVISOR_CALL = 11 }; /* Unicorn's numbers */
enum { MASKED = 1 << 7, INTERRUPT_VECTOR = 0x80, VECTOR_BITS = 0x1ff };

static uc_engine *cpu;
static unsigned char *ram;
static int is_over, exit_status;

static void must(uc_err error, const char *what) {
  if (error != UC_ERR_OK) die("%s: %s", what, uc_strerror(error));
}

static uint64_t get(int reg) {
  uint64_t value = 0;
  must(uc_reg_read(cpu, reg, &value), "a register");
  return value;
}

static void set(int reg, uint64_t value) { must(uc_reg_write(cpu, reg, &value), "a register"); }

static void set_system(uint32_t op1, uint32_t crn, uint32_t crm, uint32_t op2, uint64_t value) {
  uc_arm64_cp_reg reg = {.op0 = 3, .op1 = op1, .crn = crn, .crm = crm, .op2 = op2, .val = value};
  must(uc_reg_write(cpu, UC_ARM64_REG_CP_REG, &reg), "a system register");
}

static void end(int status) {
  is_over = 1;
  exit_status = status;
  must(uc_emu_stop(cpu), "stopping");
}

/* ---- the interrupt line */

static int line, must_look;

static void set_line(int level) {
  const uint64_t aarch64 = UINT64_C(1) << 31, to_guest = 1 << 4, pending = 1 << 7;
  line = level;
  set_system(4, 1, 1, 0, aarch64 | to_guest | (level ? pending : 0)); /* HCR_EL2 */
}

static void update_line(void) {
  int level = interrupt_is_pending();
  if (level == line) return;
  set_line(level);
  must_look = level;
}

/* Before each block of instructions. The processor looks at its line only where it leaves the code that was
 * made of them, which setting PC makes it do. */
static void on_block(uc_engine *unused, uint64_t address, uint32_t size, void *context) {
  (void)unused;
  (void)context;
  if (time_passes(size / 4)) update_line();
  if (!must_look) return;
  must_look = 0;
  set(UC_ARM64_REG_PC, address);
}

/* ---- system registers */

static unsigned name_of(const uc_arm64_cp_reg *reg) {
  return reg->op0 << 14 | reg->op1 << 11 | reg->crn << 7 | reg->crm << 3 | reg->op2;
}

/* Of a GIC's interface Unicorn knows nothing: behind such an instruction it has put an exception, and what
 * comes after it is code of its own. */
static void step_over(unsigned name) {
  if (register_is_interface(name)) set(UC_ARM64_REG_PC, get(UC_ARM64_REG_PC) + 4);
  update_line();
}

static uint32_t on_system_read(uc_engine *unused, uc_arm64_reg target, const uc_arm64_cp_reg *reg,
                               void *context) {
  uint64_t value;
  (void)unused;
  (void)context;
  if (!register_read(name_of(reg), &value)) return 0;
  if (target != UC_ARM64_REG_XZR) set((int)target, value);
  step_over(name_of(reg));
  return 1;
}

static uint32_t on_system_write(uc_engine *unused, uc_arm64_reg source, const uc_arm64_cp_reg *reg,
                                void *context) {
  (void)unused;
  (void)source;
  (void)context;
  if (!register_write(name_of(reg), reg->val)) return 0;
  step_over(name_of(reg));
  return 1;
}

/* ---- exceptions */

static struct {
  uc_context *context; /* what Unicorn saves of its processor */
  size_t size, place;  /* its bytes, and where in it the last exception is; zero until it is found */
  int is_underway, is_abort;
  uint64_t state, address; /* PSTATE before it, and the address of an abort */
  uint32_t syndrome;
} exception;

/* Unicorn has no register for the syndrome of an exception and the address of an abort, but both are in what
 * it saves, the address 8 bytes behind. So they are looked for there, after an abort at an odd address. */
static void find_exception(void) {
  enum { DATA_ABORT_CLASS = 0x25 };
  const uint32_t load_exclusive = 0xc85f7c41; /* ldxr x1, [x2] */
  const uint64_t odd = RAM_BASE + 0x1233;
  const unsigned char *bytes = (const unsigned char *)exception.context;
  size_t place;
  unsigned count = 0;
  memcpy(ram, &load_exclusive, 4);
  set(UC_ARM64_REG_X2, odd);
  must(uc_emu_start(cpu, RAM_BASE, 0, 0, 0), "an exception");
  for (place = 8; place + 16 <= exception.size; place += 8) {
    uint64_t address;
    uint32_t syndrome;
    memcpy(&syndrome, bytes + place, 4);
    memcpy(&address, bytes + place + 8, 8);
    if (address != odd || syndrome >> 26 != DATA_ABORT_CLASS) continue;
    exception.place = place;
    count++;
  }
  if (count != 1) die("this Unicorn does not tell what its exceptions are");
  set(UC_ARM64_REG_X2, 0);
  memset(ram, 0, 4);
}

/* PSCI 1.1 for a guest with one core, and SMCCC 1.1. */
static void call_firmware(void) {
  enum { VERSION = 0x10001, NOT_SUPPORTED = -1 };
  uint32_t function = (uint32_t)get(UC_ARM64_REG_X0), of = (uint32_t)get(UC_ARM64_REG_X1);
  int64_t result = NOT_SUPPORTED;
  switch (function) {
  case 0x84000000: result = VERSION; break;                              /* PSCI_VERSION */
  case 0x80000000: result = VERSION; break;                              /* SMCCC_VERSION */
  case 0x8400000a: result = of == 0x80000000 ? 0 : NOT_SUPPORTED; break; /* PSCI_FEATURES */
  case 0x84000008: end(0); break;                                        /* SYSTEM_OFF */
  case 0x84000009: end(1); break;                                        /* SYSTEM_RESET, as by a panic */
  default: break;
  }
  set(UC_ARM64_REG_X0, (uint64_t)result);
}

/* Semihosting's `hlt #0xf000` is undefined here. Only SYS_EXIT is done, whose block has two words. */
static int is_exit(void) {
  enum { HALT = 0xd45e0000, SYS_EXIT = 0x18 };
  uint64_t address = get(UC_ARM64_REG_PC) - RAM_BASE, block = get(UC_ARM64_REG_X1) - RAM_BASE, status;
  uint32_t word;
  if (address > RAM_SIZE - 4 || block > RAM_SIZE - 16 || get(UC_ARM64_REG_X0) != SYS_EXIT) return 0;
  memcpy(&word, ram + address, 4);
  if (word != HALT) return 0;
  memcpy(&status, ram + block + 8, 8);
  end((int)status);
  return 1;
}

static void on_exception(uc_engine *unused, uint32_t number, void *context) {
  const unsigned char *saved = (const unsigned char *)exception.context + exception.place;
  (void)unused;
  (void)context;
  if (number == HYPERVISOR_CALL) {
    call_firmware();
    return;
  }
  if (number == UNDEFINED && is_exit()) return;
  must(uc_context_save(cpu, exception.context), "saving the processor");
  must(uc_emu_stop(cpu), "stopping");
  if (exception.place == 0) return;
  memcpy(&exception.syndrome, saved, 4);
  memcpy(&exception.address, saved + 8, 8);
  exception.is_underway = 1;
  exception.is_abort = number == PREFETCH_ABORT || number == DATA_ABORT;
  exception.state = get(UC_ARM64_REG_PSTATE);
  set(UC_ARM64_REG_PSTATE, exception.state & ~(uint64_t)MASKED);
  set_line(1);
}

/* The processor took an interrupt, and stopped before its first instruction. */
static void finish_exception(void) {
  uint64_t vector = get(UC_ARM64_REG_PC);
  if ((vector & VECTOR_BITS) != INTERRUPT_VECTOR) die("no interrupt at %#llx", (unsigned long long)vector);
  exception.is_underway = 0;
  set(UC_ARM64_REG_PC, vector - INTERRUPT_VECTOR);
  set_system(0, 4, 0, 0, exception.state); /* SPSR_EL1 */
  set(UC_ARM64_REG_ESR_EL1, exception.syndrome);
  if (exception.is_abort) set(UC_ARM64_REG_FAR_EL1, exception.address);
  set_line(interrupt_is_pending());
}

/* ---- memory */

static uint64_t on_read(uc_engine *unused, uint64_t offset, unsigned size, void *base) {
  uint64_t value = machine_read((uint64_t)(uintptr_t)base + offset, size);
  (void)unused;
  update_line();
  return value;
}

static void on_write(uc_engine *unused, uint64_t offset, unsigned size, uint64_t value, void *base) {
  (void)unused;
  machine_write((uint64_t)(uintptr_t)base + offset, size, value);
  update_line();
}

/* Code at an address that is mapped as registers: a virtual one. */
static bool on_fetch(uc_engine *unused, uc_mem_type type, uint64_t address, int size, int64_t value,
                     void *context) {
  (void)unused;
  (void)type;
  (void)address;
  (void)size;
  (void)value;
  (void)context;
  return true;
}

static void map_registers(uint64_t base, uint64_t end) {
  void *context = (void *)(uintptr_t)base;
  must(uc_mmio_map(cpu, base, end - base, on_read, context, on_write, context), "mapping registers");
}

/* ---- running */

static void hook(int type, void *callback, int instruction) {
  uc_hook unused;
  must(uc_hook_add(cpu, &unused, type, callback, NULL, 1, 0, instruction), "a hook");
}

void make_processor(void *memory) {
  ram = memory;
  must(uc_open(UC_ARCH_ARM64, UC_MODE_ARM, &cpu), "the processor");
  must(uc_ctl_set_cpu_model(cpu, UC_CPU_ARM64_A53), "the processor's model");
  must(uc_ctl_exits_enable(cpu), "no address to stop at");
  must(uc_mem_map_ptr(cpu, RAM_BASE, RAM_SIZE, UC_PROT_ALL, ram), "mapping RAM");
  map_registers(0, RAM_BASE);
  map_registers(RAM_BASE + RAM_SIZE, UINT64_MAX - 0xfff);
  exception.size = uc_context_size(cpu);
  must(uc_context_alloc(cpu, &exception.context), "a context");
  hook(UC_HOOK_INTR, (void *)on_exception, 0);
  hook(UC_HOOK_MEM_FETCH_PROT, (void *)on_fetch, 0);
  find_exception();
  hook(UC_HOOK_BLOCK, (void *)on_block, 0);
  hook(UC_HOOK_INSN, (void *)on_system_read, UC_ARM64_INS_MRS);
  hook(UC_HOOK_INSN, (void *)on_system_write, UC_ARM64_INS_MSR);
  set_system(6, 1, 1, 0, 1 << 10 | 1 << 8 | 1); /* SCR_EL3: AArch64 below, HVC, and non-secure */
  set_line(0);
}

/* The guest sleeps: the backends go on, or the person types, or time passes up to the timer. */
static void wait_for_interrupt(void) {
  while (!interrupt_is_pending()) {
    if (!machine_progress() && !time_jumps()) die("the guest sleeps for ever");
  }
  update_line();
}

int run_processor(uint64_t entry, uint64_t argument) {
  set(UC_ARM64_REG_X0, argument);
  set(UC_ARM64_REG_PC, entry);
  while (!is_over) {
    uc_err error = uc_emu_start(cpu, get(UC_ARM64_REG_PC), 0, 0, 0);
    if (error != UC_ERR_OK) {
      die("the guest fails at %#llx: %s", (unsigned long long)get(UC_ARM64_REG_PC), uc_strerror(error));
    }
    if (exception.is_underway) finish_exception();
    else if (!is_over) wait_for_interrupt();
  }
  uc_context_free(exception.context);
  uc_close(cpu);
  return exit_status;
}
