/* SPDX-License-Identifier: Apache-2.0
 * A virtual machine monitor for one AArch64 guest: the processor is Unicorn's, the virtio devices are
 * libvireo.a's, and all else is in this folder.
 *
 *   vmm IMAGE DISK [COMMAND...]   boots IMAGE, types the commands at its prompt, and ends with its exit
 *   status
 *
 * Unicorn has no interrupts, timer or GIC. So the instructions of the image that need them (and those that
 * end it) are found beforehand and done here; an interrupt is taken between two instructions, as the
 * architecture says. Time is virtual: it passes when it is looked at, and jumps when the guest sleeps. */
#include "vmm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

enum { EXIT = 0x18 }; /* semihosting's SYS_EXIT */
enum { MASKED = 1 << 7, SP_IS_EL1 = 1, EL1_MASKED = 0x3c5, VECTOR_SP0 = 0x080, VECTOR_SPX = 0x280 };

static uc_engine *cpu;
static unsigned char *ram;
static uint64_t ticks, timer_compare, timer_control;
static int is_over, exit_status, is_stepping, must_step;

void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fflush(stdout);
  fprintf(stderr, "vmm: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  exit(2);
}

static void must(uc_err error, const char *what) {
  if (error != UC_ERR_OK) die("%s: %s", what, uc_strerror(error));
}

static uint64_t get(int reg) {
  uint64_t value = 0;
  must(uc_reg_read(cpu, reg, &value), "a register");
  return value;
}

static void set(int reg, uint64_t value) { must(uc_reg_write(cpu, reg, &value), "a register"); }

/* General register `index` as an operand: 31 is zero. */
static int operand(unsigned index) {
  return index < 29 ? UC_ARM64_REG_X0 + (int)index : UC_ARM64_REG_X29 + (int)index - 29;
}

static void set_system(uint32_t op1, uint32_t crn, uint32_t crm, uint32_t op2, uint64_t value) {
  uc_arm64_cp_reg reg = {.op0 = 3, .op1 = op1, .crn = crn, .crm = crm, .op2 = op2, .val = value};
  must(uc_reg_write(cpu, UC_ARM64_REG_CP_REG, &reg), "a system register");
}

/* ---- the timer */

static void drive_timer(void) {
  interrupt_line(TIMER_INTERRUPT, (timer_control & 3) == 1 && ticks >= timer_compare);
}

/* ---- instructions that are done here */

#define REGISTER(op1, crn, crm, op2) (1u << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
enum {
  ID_AA64PFR0 = REGISTER(0, 0, 4, 0), ICC_PMR = REGISTER(0, 4, 6, 0), ICC_IAR1 = REGISTER(0, 12, 12, 0),
  ICC_EOIR1 = REGISTER(0, 12, 12, 1), ICC_BPR1 = REGISTER(0, 12, 12, 3), ICC_CTLR = REGISTER(0, 12, 12, 4),
  ICC_SRE = REGISTER(0, 12, 12, 5), ICC_IGRPEN1 = REGISTER(0, 12, 12, 7), CNTFRQ = REGISTER(3, 14, 0, 0),
  CNTVCT = REGISTER(3, 14, 0, 2), CNTV_CTL = REGISTER(3, 14, 3, 1), CNTV_CVAL = REGISTER(3, 14, 3, 2)
};

static int is_ours(unsigned reg) {
  switch (reg) {
  case ID_AA64PFR0: case ICC_PMR: case ICC_IAR1: case ICC_EOIR1: case ICC_BPR1: case ICC_CTLR: case ICC_SRE:
  case ICC_IGRPEN1: case CNTFRQ: case CNTVCT: case CNTV_CTL: case CNTV_CVAL: return 1;
  default: return 0;
  }
}

static uint64_t read_system(unsigned reg) {
  switch (reg) {
  case ID_AA64PFR0: return 0x01000011; /* EL0 and EL1, FP and SIMD, a GIC with system registers */
  case ICC_IAR1: return interrupt_acknowledge();
  case ICC_SRE: return 7;
  case CNTFRQ: return TICKS_PER_SECOND;
  case CNTVCT: return ticks += 50; /* somebody looks at it */
  case CNTV_CTL: return timer_control | (ticks >= timer_compare ? 4 : 0);
  case CNTV_CVAL: return timer_compare;
  default: return 0;
  }
}

static void write_system(unsigned reg, uint64_t value) {
  if (reg == ICC_EOIR1) interrupt_end((uint32_t)value);
  if (reg == ICC_IGRPEN1) interrupt_enable_group((uint32_t)value);
  if (reg == CNTV_CTL) timer_control = value;
  if (reg == CNTV_CVAL) timer_compare = value;
  drive_timer();
}

#define MRS 0xd5300000u
#define MSR 0xd5100000u
#define UNMASK 0xd50340ffu /* msr daifclr */
#define ERET 0xd69f03e0u
#define HALT 0xd45e0000u   /* hlt #0xf000: semihosting */
#define CALL 0xd4000002u   /* hvc #0: PSCI */
#define SLEEP 0xd503207fu  /* wfi */

static void end(int status) {
  is_over = 1;
  exit_status = status;
  must(uc_emu_stop(cpu), "stopping");
}

static void on_instruction(uc_engine *unused, uint64_t address, uint32_t size, void *context) {
  uint32_t word;
  (void)unused;
  (void)size;
  (void)context;
  memcpy(&word, ram + (address - RAM_BASE), 4);
  if (word == HALT) { /* semihosting: SYS_EXIT with a block of two words */
    uint64_t block[2], place = get(UC_ARM64_REG_X1) - RAM_BASE;
    if (get(UC_ARM64_REG_X0) != EXIT || place > RAM_SIZE - sizeof block) {
      die("semihosting is for the exit only");
    }
    memcpy(block, ram + place, sizeof block);
    end((int)block[1]);
  } else if (word == CALL) {
    end(0); /* PSCI, of which only SYSTEM_OFF is used */
  } else if (word == ERET || (word & 0xfffff0ff) == UNMASK) {
    /* An interrupt that waits is to be taken right after. */
    if (is_stepping || !interrupt_is_pending()) return;
    must_step = 1;
    must(uc_emu_stop(cpu), "stopping");
  } else {
    unsigned reg = word >> 5 & 0x7fff;
    if ((word & 0xfff00000) == MRS) {
      if ((word & 31) != 31) set(operand(word & 31), read_system(reg));
    } else {
      write_system(reg, (word & 31) == 31 ? 0 : get(operand(word & 31)));
    }
    set(UC_ARM64_REG_PC, address + 4);
  }
}

/* Hooks every instruction that is done here. Data that looks like one is never executed. */
static void hook_instructions(size_t image_size) {
  size_t offset;
  for (offset = IMAGE_OFFSET; offset + 4 <= IMAGE_OFFSET + image_size; offset += 4) {
    uint64_t address = RAM_BASE + offset;
    uint32_t word;
    uc_hook hook;
    memcpy(&word, ram + offset, 4);
    if (word == HALT || word == CALL || word == ERET || (word & 0xfffff0ff) == UNMASK ||
        (((word & 0xfff00000) == MRS || (word & 0xfff00000) == MSR) && is_ours(word >> 5 & 0x7fff))) {
      must(uc_hook_add(cpu, &hook, UC_HOOK_CODE, (void *)on_instruction, NULL, address, address), "a hook");
    }
  }
}

/* ---- registers in memory. An interrupt that comes of an access is taken soon after it. */

static void stop_for_interrupt(void) {
  if (interrupt_is_pending()) must(uc_emu_stop(cpu), "stopping");
}

static uint64_t on_read(uc_engine *unused, uint64_t offset, unsigned size, void *base) {
  uint64_t address = (uint64_t)(uintptr_t)base + offset;
  (void)unused;
  if (address < REDISTRIBUTOR_BASE) return distributor_read(address - DISTRIBUTOR_BASE, size);
  if (address < SERIAL_BASE) return redistributor_read(address - REDISTRIBUTOR_BASE, size);
  if (address < SLOTS_BASE) return serial_read(address - SERIAL_BASE);
  address -= SLOTS_BASE;
  if (address >= SLOT_COUNT * SLOT_SIZE) return 0;
  return slot_read((unsigned)(address / SLOT_SIZE), address % SLOT_SIZE, size);
}

static void on_write(uc_engine *unused, uint64_t offset, unsigned size, uint64_t value, void *base) {
  uint64_t address = (uint64_t)(uintptr_t)base + offset;
  (void)unused;
  if (address < REDISTRIBUTOR_BASE) distributor_write(address - DISTRIBUTOR_BASE, size, value);
  else if (address < SERIAL_BASE) redistributor_write(address - REDISTRIBUTOR_BASE, size, value);
  else if (address < SLOTS_BASE) serial_write(address - SERIAL_BASE, (uint32_t)value);
  else if (address < SLOTS_BASE + SLOT_COUNT * SLOT_SIZE) {
    address -= SLOTS_BASE;
    slot_write((unsigned)(address / SLOT_SIZE), address % SLOT_SIZE, size, value);
  }
  stop_for_interrupt();
}

static void map_registers(uint64_t base, size_t size) {
  void *context = (void *)(uintptr_t)base;
  must(uc_mmio_map(cpu, base, size, on_read, context, on_write, context), "mapping registers");
}

/* ---- running */

/* Takes an interrupt: to EL1h with all masked, from the stack pointer in use (Arm ARM, D1.3). */
static void take_interrupt(void) {
  uint64_t state = get(UC_ARM64_REG_PSTATE), vector = get(UC_ARM64_REG_VBAR_EL1) + VECTOR_SPX;
  set_system(0, 4, 0, 0, state); /* SPSR_EL1 */
  set_system(0, 4, 0, 1, get(UC_ARM64_REG_PC)); /* ELR_EL1 */
  if (!(state & SP_IS_EL1)) {
    vector = get(UC_ARM64_REG_VBAR_EL1) + VECTOR_SP0;
    set(UC_ARM64_REG_SP_EL0, get(UC_ARM64_REG_SP));
    set(UC_ARM64_REG_SP, get(UC_ARM64_REG_SP_EL1));
  }
  set(UC_ARM64_REG_PSTATE, (state & 0xf0000000) | EL1_MASKED);
  set(UC_ARM64_REG_PC, vector);
}

/* The guest sleeps: the backends go on, or the person types, or time passes up to the timer. */
static void wait_for_interrupt(void) {
  while (!interrupt_is_pending()) {
    if (devices_progress() || serial_progress()) continue;
    if ((timer_control & 3) != 1) die("the guest sleeps for ever");
    if (ticks < timer_compare) ticks = timer_compare;
    drive_timer();
  }
}

static void run(uint64_t entry) {
  set(UC_ARM64_REG_PC, entry);
  while (!is_over) {
    uint64_t address = get(UC_ARM64_REG_PC), after;
    uc_err error;
    uint32_t word = 0;
    is_stepping = must_step;
    must_step = 0;
    error = uc_emu_start(cpu, address, UINT64_MAX & ~UINT64_C(3), 0, is_stepping ? 1 : 0);
    is_stepping = 0;
    after = get(UC_ARM64_REG_PC);
    if (error != UC_ERR_OK) {
      die("the guest fails at %#llx: %s", (unsigned long long)after, uc_strerror(error));
    }
    if (is_over || must_step) continue;
    if (after >= RAM_BASE + 4 && after < RAM_BASE + RAM_SIZE) memcpy(&word, ram + (after - 4 - RAM_BASE), 4);
    if (word == SLEEP) wait_for_interrupt();
    if (interrupt_is_pending() && !(get(UC_ARM64_REG_PSTATE) & MASKED)) take_interrupt();
  }
}

static size_t load_image(const char *path) {
  FILE *file = fopen(path, "rb");
  size_t size;
  if (file == NULL) die("no image at %s", path);
  size = fread(ram + IMAGE_OFFSET, 1, TREE_OFFSET - IMAGE_OFFSET, file);
  if (size < 64 || memcmp(ram + IMAGE_OFFSET + 56, "ARM\x64", 4) != 0) die("%s is no arm64 image", path);
  fclose(file);
  return size;
}

int main(int count, char **arguments) {
  static char lines[16][80];
  static const char *commands[16];
  int i;
  if (count < 3 || count > 3 + 16) die("usage: vmm IMAGE DISK [COMMAND...]");
  for (i = 3; i < count; i++) {
    snprintf(lines[i - 3], sizeof lines[0], "%s\r", arguments[i]);
    commands[i - 3] = lines[i - 3];
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (posix_memalign((void **)&ram, 0x200000, RAM_SIZE) != 0) die("no memory for the guest");
  memset(ram, 0, RAM_SIZE);
  must(uc_open(UC_ARCH_ARM64, UC_MODE_ARM, &cpu), "the processor");
  must(uc_ctl_set_cpu_model(cpu, UC_CPU_ARM64_A72), "the processor's model");
  must(uc_mem_map_ptr(cpu, RAM_BASE, RAM_SIZE, UC_PROT_ALL, ram), "mapping RAM");
  map_registers(DISTRIBUTOR_BASE, FRAME_SIZE);
  map_registers(REDISTRIBUTOR_BASE, REDISTRIBUTOR_SIZE);
  map_registers(SERIAL_BASE, 0x1000);
  map_registers(SLOTS_BASE, 0x1000);
  set_system(6, 1, 1, 0, 1 << 10); /* SCR_EL3.RW: EL1 is AArch64, as firmware would have it */
  hook_instructions(load_image(arguments[1]));
  write_tree(ram + TREE_OFFSET, TREE_SIZE);
  make_devices(ram, arguments[2]);
  type_at_prompt(commands, (unsigned)(count - 3));
  set(UC_ARM64_REG_X0, RAM_BASE + TREE_OFFSET);
  run(RAM_BASE + IMAGE_OFFSET);
  report_devices();
  if (exit_status == 0 && !echo_is_complete()) die("not everything came back from vireo.echo");
  uc_close(cpu);
  return exit_status;
}
