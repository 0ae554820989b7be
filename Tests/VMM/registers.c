/* SPDX-License-Identifier: Apache-2.0
 * System registers: the timer, the CPU interface of the interrupt controller, and what the guest is told of
 * its processor. Time is virtual: it passes with the instructions, and jumps when the guest sleeps. */
#include "vmm.h"

#define REGISTER(op0, op1, crn, crm, op2) ((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
enum {
  ID_AA64PFR0 = REGISTER(3, 0, 0, 4, 0),
  ICC_PMR = REGISTER(3, 0, 4, 6, 0),
  ICC_SGI1R = REGISTER(3, 0, 12, 11, 5),
  ICC_IAR1 = REGISTER(3, 0, 12, 12, 0),
  ICC_EOIR1 = REGISTER(3, 0, 12, 12, 1),
  ICC_SRE = REGISTER(3, 0, 12, 12, 5),
  ICC_IGRPEN1 = REGISTER(3, 0, 12, 12, 7),
  CNTFRQ = REGISTER(3, 3, 14, 0, 0),
  CNTVCT = REGISTER(3, 3, 14, 0, 2),
  CNTV_TVAL = REGISTER(3, 3, 14, 3, 0),
  CNTV_CTL = REGISTER(3, 3, 14, 3, 1),
  CNTV_CVAL = REGISTER(3, 3, 14, 3, 2)
};
enum { ENABLE = 1, MASK = 2, STATUS = 4 }; /* of CNTV_CTL */

static struct {
  uint64_t now, compare, control;
  int was_due;
} timer;

static int is_due(void) { return (timer.control & ENABLE) && timer.now >= timer.compare; }

static void drive_line(void) {
  timer.was_due = is_due();
  interrupt_line(TIMER_INTERRUPT, timer.was_due && !(timer.control & MASK));
}

int time_passes(uint32_t ticks) {
  timer.now += ticks;
  if (is_due() == timer.was_due) return 0;
  drive_line();
  return 1;
}

int time_jumps(void) {
  if ((timer.control & (ENABLE | MASK)) != ENABLE) return 0;
  if (timer.now < timer.compare) timer.now = timer.compare;
  drive_line();
  return 1;
}

int register_is_interface(unsigned name) {
  return name == ICC_PMR || name >> 6 == REGISTER(3, 0, 12, 8, 0) >> 6;
}

int register_read(unsigned name, uint64_t *value) {
  switch (name) {
  case ID_AA64PFR0: *value = 0x01000011; break; /* EL0 and EL1, FP and SIMD, a GIC with system registers */
  case ICC_IAR1: *value = interrupt_acknowledge(); break;
  case ICC_SRE: *value = 7; break;
  case CNTFRQ: *value = TICKS_PER_SECOND; break;
  case CNTVCT: *value = timer.now; break;
  case CNTV_TVAL: *value = (uint32_t)(timer.compare - timer.now); break;
  case CNTV_CTL: *value = timer.control | (is_due() ? STATUS : 0); break;
  case CNTV_CVAL: *value = timer.compare; break;
  default:
    *value = 0;
    return register_is_interface(name);
  }
  return 1;
}

int register_write(unsigned name, uint64_t value) {
  switch (name) {
  case ICC_SGI1R: interrupt_self(value >> 24 & 15); break;
  case ICC_EOIR1: interrupt_end((uint32_t)value); break;
  case ICC_IGRPEN1: interrupt_enable_group((uint32_t)value); break;
  case CNTV_TVAL: timer.compare = timer.now + (uint64_t)(int64_t)(int32_t)value; break;
  case CNTV_CTL: timer.control = value & (ENABLE | MASK); break;
  case CNTV_CVAL: timer.compare = value; break;
  default: return register_is_interface(name);
  }
  drive_line();
  return 1;
}
