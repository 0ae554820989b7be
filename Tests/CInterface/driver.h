/* SPDX-License-Identifier: Apache-2.0
 * A virtio driver in its simplest form, for tests: registers through vireo_device_read and _write, split
 * rings written by hand in a piece of "guest RAM", one buffer at a time. Included by each test program. */
#ifndef DRIVER_H
#define DRIVER_H

#include "vireo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);         \
      exit(1);                                                                \
    }                                                                         \
    checks++;                                                                 \
  } while (0)
#define OK(call) CHECK((call) == VIREO_OK)

static unsigned checks;

enum {
  QUEUE_SIZE = 16,
  RING_STRIDE = 0x1000, /* a queue's three areas */
  AVAILABLE = 0x400,
  USED = 0x800,
  DATA = 0x20000,       /* behind the rings */
  RAM_SIZE = 0x40000
};
#define GUEST UINT64_C(0x80000000)

/* virtio-mmio registers (virtio 1.4 section 4.2.2). */
enum {
  MAGIC = 0x000, DEVICE_ID = 0x008, DEVICE_FEATURES = 0x010, DEVICE_FEATURES_SEL = 0x014,
  DRIVER_FEATURES = 0x020, DRIVER_FEATURES_SEL = 0x024, QUEUE_SEL = 0x030, QUEUE_SIZE_MAX = 0x034,
  QUEUE_SIZE_REGISTER = 0x038, QUEUE_READY = 0x044, QUEUE_NOTIFY = 0x050, INTERRUPT_STATUS = 0x060,
  INTERRUPT_ACK = 0x064, STATUS = 0x070, QUEUE_DESC = 0x080, QUEUE_DRIVER = 0x090, QUEUE_DEVICE = 0x0a0,
  CONFIGURATION = 0x100
};

typedef struct driver {
  vireo_device *device;
  unsigned char *ram;        /* RAM_SIZE bytes at GUEST */
  unsigned available[32];    /* the index of each queue's available ring */
  unsigned used[32];         /* how far each used ring was read */
} driver;

/* One element of a buffer. */
typedef struct piece {
  unsigned offset; /* into the RAM */
  uint32_t byte_count;
  int device_writable;
} piece;

static inline uint32_t get(driver *self, unsigned offset) {
  uint64_t value = 0;
  OK(vireo_device_read(self->device, offset, 4, &value));
  return (uint32_t)value;
}

static inline void put(driver *self, unsigned offset, uint32_t value) {
  OK(vireo_device_write(self->device, offset, 4, value));
}

static inline unsigned load16(driver *self, unsigned offset) {
  return self->ram[offset] | (unsigned)self->ram[offset + 1] << 8;
}

static inline uint32_t load32(driver *self, unsigned offset) {
  return load16(self, offset) | (uint32_t)load16(self, offset + 2) << 16;
}

static inline void store(driver *self, unsigned offset, unsigned byte_count, uint64_t value) {
  while (byte_count-- != 0) {
    self->ram[offset++] = (unsigned char)value;
    value >>= 8;
  }
}

static inline void put_address(driver *self, unsigned reg, unsigned offset) {
  put(self, reg, (uint32_t)(GUEST + offset));
  put(self, reg + 4, (uint32_t)((GUEST + offset) >> 32));
}

static inline void enable_queue(driver *self, unsigned queue) {
  unsigned ring = queue * RING_STRIDE;
  memset(self->ram + ring, 0, RING_STRIDE);
  self->available[queue] = self->used[queue] = 0;
  put(self, QUEUE_SEL, queue);
  put(self, QUEUE_SIZE_REGISTER, QUEUE_SIZE);
  put_address(self, QUEUE_DESC, ring);
  put_address(self, QUEUE_DRIVER, ring + AVAILABLE);
  put_address(self, QUEUE_DEVICE, ring + USED);
  put(self, QUEUE_READY, 1);
}

/* Reset to DRIVER_OK with `queues` queues and VERSION_1 plus those `features` that are offered. */
static inline void start(driver *self, uint64_t features, unsigned queues) {
  uint64_t offered;
  unsigned i;
  put(self, STATUS, 0);
  put(self, STATUS, 1);
  put(self, STATUS, 3);
  put(self, DEVICE_FEATURES_SEL, 1);
  offered = (uint64_t)get(self, DEVICE_FEATURES) << 32;
  put(self, DEVICE_FEATURES_SEL, 0);
  offered |= get(self, DEVICE_FEATURES);
  CHECK((offered & VIREO_F_VERSION_1) != 0);
  features = (features & offered) | VIREO_F_VERSION_1;
  for (i = 0; i < 2; i++) {
    put(self, DRIVER_FEATURES_SEL, i);
    put(self, DRIVER_FEATURES, (uint32_t)(features >> (32 * i)));
  }
  put(self, STATUS, 11);
  CHECK(get(self, STATUS) == 11);
  for (i = 0; i < queues; i++) enable_queue(self, i);
  put(self, STATUS, 15);
  CHECK(get(self, STATUS) == 15);
}

/* Makes a buffer available in descriptors from `head` on, without a notification. */
static inline void offer(driver *self, unsigned queue, unsigned head, const piece *pieces, unsigned count) {
  unsigned ring = queue * RING_STRIDE, i;
  for (i = 0; i < count; i++) {
    unsigned at = ring + 16 * (head + i);
    store(self, at, 8, GUEST + pieces[i].offset);
    store(self, at + 8, 4, pieces[i].byte_count);
    store(self, at + 12, 2, (i + 1 < count ? 1u : 0u) | (pieces[i].device_writable ? 2u : 0u));
    store(self, at + 14, 2, head + i + 1);
  }
  store(self, ring + AVAILABLE + 4 + 2 * (self->available[queue] % QUEUE_SIZE), 2, head);
  self->available[queue] = (self->available[queue] + 1) & 0xffff;
  store(self, ring + AVAILABLE + 2, 2, self->available[queue]);
}

/* The same, and a notification by the register. */
static inline void submit(driver *self, unsigned queue, unsigned head, const piece *pieces, unsigned count) {
  offer(self, queue, head, pieces, count);
  put(self, QUEUE_NOTIFY, queue);
}

/* Whether a buffer came back; then its head and length. */
static inline int take_used(driver *self, unsigned queue, unsigned *head, uint32_t *length) {
  unsigned ring = queue * RING_STRIDE + USED, entry;
  if (load16(self, ring + 2) == self->used[queue]) return 0;
  entry = ring + 4 + 8 * (self->used[queue] % QUEUE_SIZE);
  *head = load32(self, entry);
  *length = load32(self, entry + 4);
  self->used[queue] = (self->used[queue] + 1) & 0xffff;
  return 1;
}

/* A buffer came back, and it is this one. */
static inline void expect_used(driver *self, unsigned queue, unsigned head, uint32_t length) {
  unsigned actual_head = 0;
  uint32_t actual_length = 0;
  CHECK(take_used(self, queue, &actual_head, &actual_length));
  CHECK(actual_head == head);
  CHECK(actual_length == length);
}

static inline void expect_nothing(driver *self, unsigned queue) {
  unsigned head;
  uint32_t length;
  CHECK(!take_used(self, queue, &head, &length));
}

/* ---- what every test program needs around a device */

typedef struct line {
  int level;
  unsigned events;
} line;

static inline void drive_line(void *context, int asserted) {
  line *self = (line *)context;
  self->level = asserted;
  if (asserted) self->events++;
}

static inline void *aligned(size_t byte_count) {
  void *memory = NULL;
  CHECK(posix_memalign(&memory, 4096, byte_count) == 0);
  memset(memory, 0xa5, byte_count);
  return memory;
}

/* Guest RAM of RAM_SIZE bytes at GUEST, and the settings of a device over it. */
static inline vireo_device_settings common_settings(vireo_region *region, unsigned char *ram, line *wire) {
  vireo_device_settings settings;
  memset(&settings, 0, sizeof settings);
  region->guest_address = GUEST;
  region->byte_count = RAM_SIZE;
  region->host = ram;
  settings.struct_size = sizeof settings;
  settings.regions = region;
  settings.region_count = 1;
  settings.interrupt = drive_line;
  settings.interrupt_context = wire;
  return settings;
}

/* Accesses that no driver makes: every width at every offset, with odd values. The device must stand them,
 * and a reset makes it as new. */
static inline void abuse_registers(driver *self) {
  static const uint32_t widths[] = {0, 1, 2, 3, 4, 5, 8, 9, 0xffffffffu};
  static const uint64_t values[] = {0, 1, 0xff, 0x8000, UINT64_C(0x123456789abcdef0), UINT64_MAX};
  uint64_t value, offset;
  unsigned i, j;
  for (offset = 0; offset < 0x160; offset++) {
    for (i = 0; i < sizeof widths / sizeof *widths; i++) {
      OK(vireo_device_read(self->device, offset, widths[i], &value));
      for (j = 0; j < sizeof values / sizeof *values; j++) {
        OK(vireo_device_write(self->device, offset, widths[i], values[j]));
      }
    }
  }
  for (i = 0; i < 64; i++) {
    OK(vireo_device_read(self->device, UINT64_MAX >> i, 4, &value));
    OK(vireo_device_write(self->device, UINT64_MAX >> i, 4, 1));
    OK(vireo_device_notify(self->device, UINT32_MAX >> (i % 32)));
  }
  OK(vireo_device_poll(self->device));
  OK(vireo_device_run(self->device, NULL));
  OK(vireo_device_reset(self->device));
  CHECK(get(self, STATUS) == 0);
  CHECK(get(self, MAGIC) == 0x74726976);
}

/* Every saved state that differs from `bytes` in one byte, or is shorter, and many that differ in several,
 * are restored or refused, and nothing else happens. Leaves the device reset. */
static inline void abuse_restore(driver *self, const unsigned char *bytes, size_t size) {
  unsigned char *changed = (unsigned char *)malloc(size + 1);
  uint32_t random = 0x2545f491;
  size_t i;
  unsigned j;
  CHECK(changed != NULL);
  for (i = 0; i < size; i++) {
    CHECK(vireo_device_restore(self->device, bytes, i) != VIREO_OK);
    CHECK(get(self, STATUS) == 0);
    for (j = 0; j < 5; j++) {
      memcpy(changed, bytes, size);
      changed[i] = (unsigned char)(j == 4 ? 0xff : changed[i] ^ (1u << (2 * j)));
      vireo_device_restore(self->device, changed, size);
      OK(vireo_device_notify(self->device, j));
      OK(vireo_device_poll(self->device));
      OK(vireo_device_run(self->device, NULL));
      OK(vireo_device_reset(self->device));
    }
  }
  for (i = 0; i < 2000; i++) {
    memcpy(changed, bytes, size);
    for (j = 0; j <= i % 8; j++) {
      random = random * 1664525 + 1013904223;
      changed[(random >> 8) % size] = (unsigned char)(i % 3 == 0 ? random >> 28 : random >> 4);
    }
    vireo_device_restore(self->device, changed, size);
    for (j = 0; j < 4; j++) put(self, QUEUE_NOTIFY, j);
    OK(vireo_device_poll(self->device));
    OK(vireo_device_run(self->device, NULL));
    OK(vireo_device_reset(self->device));
  }
  memcpy(changed, bytes, size);
  changed[size] = 0;
  CHECK(vireo_device_restore(self->device, changed, size + 1) == VIREO_BAD_STATE);
  changed[4] = 99;
  CHECK(vireo_device_restore(self->device, changed, size) == VIREO_UNKNOWN_VERSION);
  CHECK(vireo_device_restore(self->device, NULL, size) == VIREO_BAD_ARGUMENT);
  free(changed);
}

#endif
