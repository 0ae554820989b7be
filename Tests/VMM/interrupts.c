/* SPDX-License-Identifier: Apache-2.0
 * A GICv3 for one core: as much of it as a guest with one group and no priorities can see. */
#include "vmm.h"

enum { ARCHITECTURE = 3 << 4 }; /* GICv3, in PIDR2 of a frame */

static struct {
  uint32_t enabled[INTERRUPT_COUNT / 32];
  uint32_t latched[INTERRUPT_COUNT / 32]; /* pending by an edge or by hand */
  uint32_t lines[INTERRUPT_COUNT / 32];
  uint32_t active[INTERRUPT_COUNT / 32];
  uint32_t group[INTERRUPT_COUNT / 32];
  uint32_t edge[INTERRUPT_COUNT / 32];    /* bit set: edge-triggered */
  uint32_t control, waker, group_enable;
} gic = {.waker = 6};

static uint32_t bit(uint32_t id) { return UINT32_C(1) << (id % 32); }

void interrupt_line(uint32_t id, int level) {
  uint32_t *word = &gic.lines[id / 32];
  if (level && !(*word & bit(id)) && (gic.edge[id / 32] & bit(id))) gic.latched[id / 32] |= bit(id);
  *word = level ? *word | bit(id) : *word & ~bit(id);
}

/* Interrupts of word `i` that wait. */
static uint32_t waiting(unsigned i) {
  uint32_t pending = gic.latched[i] | (gic.lines[i] & ~gic.edge[i]);
  return gic.group_enable & 1 ? pending & gic.enabled[i] & gic.group[i] & ~gic.active[i] : 0;
}

int interrupt_is_pending(void) {
  unsigned i;
  for (i = 0; i < INTERRUPT_COUNT / 32; i++) {
    if (waiting(i) != 0) return 1;
  }
  return 0;
}

uint32_t interrupt_acknowledge(void) {
  uint32_t id;
  for (id = 0; id < INTERRUPT_COUNT; id++) {
    if (waiting(id / 32) & bit(id)) {
      gic.active[id / 32] |= bit(id);
      gic.latched[id / 32] &= ~bit(id);
      return id;
    }
  }
  return 1023;
}

void interrupt_end(uint32_t id) {
  if (id < INTERRUPT_COUNT) gic.active[id / 32] &= ~bit(id);
}

void interrupt_self(uint32_t id) { gic.latched[0] |= bit(id); }

void interrupt_enable_group(uint32_t value) { gic.group_enable = value; }

/* The registers that have a bit for each interrupt, the same in both frames; `first` is the number of the
 * first interrupt of the frame and `count` how many it has. */
static uint32_t bits_read(uint64_t offset, unsigned first, unsigned count) {
  unsigned word = (unsigned)(offset % 0x80) / 4, i, value = 0;
  if (offset >= 0xc00 && offset < 0xd00) {
    unsigned id = (unsigned)(offset - 0xc00) * 4;
    for (i = 0; i < 16; i++) {
      if (id + i < INTERRUPT_COUNT && (gic.edge[(id + i) / 32] & bit(id + i))) value |= 2u << (2 * i);
    }
    return value;
  }
  if (word * 32 < first || word * 32 >= first + count) return 0;
  switch (offset & ~UINT64_C(0x7f)) {
  case 0x080: return gic.group[word];
  case 0x100:
  case 0x180: return gic.enabled[word];
  case 0x200:
  case 0x280: return gic.latched[word] | (gic.lines[word] & ~gic.edge[word]);
  case 0x300:
  case 0x380: return gic.active[word];
  default: return 0;
  }
}

static void bits_write(uint64_t offset, uint32_t value, unsigned first, unsigned count) {
  unsigned word = (unsigned)(offset % 0x80) / 4, i;
  if (offset >= 0xc00 && offset < 0xd00) {
    unsigned id = (unsigned)(offset - 0xc00) * 4;
    for (i = 0; i < 16; i++) {
      if (id + i < first || id + i >= first + count) continue;
      if (value & 2u << (2 * i)) gic.edge[(id + i) / 32] |= bit(id + i);
      else gic.edge[(id + i) / 32] &= ~bit(id + i);
    }
    return;
  }
  if (word * 32 < first || word * 32 >= first + count) return;
  switch (offset & ~UINT64_C(0x7f)) {
  case 0x080: gic.group[word] = value; break;
  case 0x100: gic.enabled[word] |= value; break;
  case 0x180: gic.enabled[word] &= ~value; break;
  case 0x200: gic.latched[word] |= value; break;
  case 0x280: gic.latched[word] &= ~value; break;
  case 0x300: gic.active[word] |= value; break;
  case 0x380: gic.active[word] &= ~value; break;
  default: break; /* priorities and routes: there is one core, and one priority will do */
  }
}

uint64_t distributor_read(uint64_t offset, unsigned size) {
  (void)size;
  switch (offset) {
  case 0x0: return gic.control;
  case 0x4: return INTERRUPT_COUNT / 32 - 1;
  case 0xffe8: return ARCHITECTURE;
  default: return bits_read(offset, 32, INTERRUPT_COUNT - 32);
  }
}

void distributor_write(uint64_t offset, unsigned size, uint64_t value) {
  if (offset == 0) gic.control = (uint32_t)value;
  else if (size == 4) bits_write(offset, (uint32_t)value, 32, INTERRUPT_COUNT - 32);
}

uint64_t redistributor_read(uint64_t offset, unsigned size) {
  (void)size;
  if (offset >= FRAME_SIZE) return bits_read(offset - FRAME_SIZE, 0, 32);
  switch (offset) {
  case 0x08: return 1u << 4; /* core 0.0.0.0, and the last one */
  case 0x14: return gic.waker;
  case 0xffe8: return ARCHITECTURE;
  default: return 0;
  }
}

void redistributor_write(uint64_t offset, unsigned size, uint64_t value) {
  if (offset >= FRAME_SIZE) {
    if (size == 4) bits_write(offset - FRAME_SIZE, (uint32_t)value, 0, 32);
  } else if (offset == 0x14) {
    gic.waker = value & 2 ? 6 : 0; /* asleep, and told so at once */
  }
}
