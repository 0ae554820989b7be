// The C driver loop, split and packed.

#include "driver.h"

#include <string.h>

#include "virtio.h"

static struct split_avail *avail_of(const struct driver *driver) {
  return (void *)(driver->memory.base + driver->memory.avail);
}

/// Tells a split device to notify once it uses the entry before the next one: that is, never (§2.7.7.2).
static void want_no_notification(struct driver *driver) {
  store16(&avail_of(driver)->ring[RING_SIZE], (uint16_t)(driver->next_used - 1));
}

void driver_make(struct driver *driver, const struct vq_mem *memory) {
  memset(driver, 0, sizeof *driver);
  driver->memory = *memory;
  driver->avail_wrap = driver->used_wrap = true;
  if (memory->features & FEATURE_PACKED) {
    struct packed_event *event = (void *)(memory->base + memory->avail);
    store16(&event->flags, EVENT_DISABLE);
  } else {
    want_no_notification(driver);
  }
}

static void fill_split(struct driver *driver, uint32_t chain) {
  struct split_desc *desc = (void *)(driver->memory.base + driver->memory.desc);
  uint16_t head = driver->next_desc & RING_MASK;
  for (uint32_t i = 0; i < chain; i++) {
    struct segment segment = bench_segment(driver->serial, chain, i);
    uint16_t index = driver->next_desc++ & RING_MASK;
    uint16_t flags = (segment.writable ? DESC_WRITE : 0) | (i + 1 < chain ? DESC_NEXT : 0);
    desc[index] = (struct split_desc){segment.address, segment.length, flags, driver->next_desc & RING_MASK};
  }
  driver->id_of[driver->serial % RING_SIZE] = head;
  store16(&avail_of(driver)->ring[driver->next_avail++ & RING_MASK], head);
}

static void fill_packed(struct driver *driver, uint32_t chain) {
  struct packed_desc *ring = (void *)(driver->memory.base + driver->memory.desc);
  uint16_t id = (uint16_t)(driver->serial % RING_SIZE), head = driver->next_avail, head_flags = 0;
  for (uint32_t i = 0; i < chain; i++) {
    struct segment segment = bench_segment(driver->serial, chain, i);
    struct packed_desc *desc = &ring[driver->next_avail];
    uint16_t flags = (segment.writable ? DESC_WRITE : 0) | (i + 1 < chain ? DESC_NEXT : 0);
    flags |= driver->avail_wrap ? DESC_AVAIL : DESC_USED;
    desc->addr = segment.address;
    desc->len = segment.length;
    desc->id = id;
    if (i == 0) head_flags = flags; else store16(&desc->flags, flags);
    if (++driver->next_avail == RING_SIZE) {
      driver->next_avail = 0;
      driver->avail_wrap = !driver->avail_wrap;
    }
  }
  driver->id_of[id] = id;
  store16_release(&ring[head].flags, head_flags);
}

void driver_fill(struct driver *driver, uint32_t batch, uint32_t chain, uint64_t *sum) {
  bool packed = driver->memory.features & FEATURE_PACKED;
  for (uint32_t i = 0; i < batch; i++) {
    *sum += bench_sum(driver->serial, chain, driver->memory.features & WORK_BLOCK);
    driver->count_of[driver->serial % RING_SIZE] = (uint16_t)chain;
    if (packed) fill_packed(driver, chain); else fill_split(driver, chain);
    driver->serial++;
  }
  driver->last = driver->serial;
  if (!packed) store16_release(&avail_of(driver)->idx, driver->next_avail);
}

/// Releases the chains up to the one with `id`: exactly the oldest, or the end of a batch of used chains.
static uint32_t release(struct driver *driver, uint32_t chain, uint16_t id, uint32_t len, uint64_t *written) {
  uint32_t count = 0;
  for (;;) {
    require(driver->first != driver->last);
    uint32_t serial = driver->first++;
    count++;
    if (driver->id_of[serial % RING_SIZE] == id) break;
    require(driver->memory.features & FEATURE_IN_ORDER);
    *written += bench_written(chain);
  }
  *written += len;
  return count;
}

static uint32_t reap_split(struct driver *driver, uint32_t chain, uint64_t *written) {
  struct split_used *used = (void *)(driver->memory.base + driver->memory.used);
  uint16_t idx = load16_acquire(&used->idx);
  uint32_t count = 0;
  while (driver->next_used != idx) {
    struct split_used_elem elem = used->ring[driver->next_used & RING_MASK];
    uint32_t released = release(driver, chain, (uint16_t)elem.id, elem.len, written);
    driver->next_used += released;
    count += released;
  }
  want_no_notification(driver);
  return count;
}

static uint32_t reap_packed(struct driver *driver, uint32_t chain, uint64_t *written) {
  struct packed_desc *ring = (void *)(driver->memory.base + driver->memory.desc);
  uint32_t count = 0;
  while (driver->first != driver->last) {
    struct packed_desc *desc = &ring[driver->next_used];
    uint16_t flags = load16_acquire(&desc->flags);
    if (!!(flags & DESC_AVAIL) != driver->used_wrap || !!(flags & DESC_USED) != driver->used_wrap) break;
    uint32_t released = release(driver, chain, desc->id, flags & DESC_WRITE ? desc->len : 0, written);
    driver->next_used += released * chain;
    if (driver->next_used >= RING_SIZE) {
      driver->next_used -= RING_SIZE;
      driver->used_wrap = !driver->used_wrap;
    }
    count += released;
  }
  return count;
}

uint32_t driver_take(struct driver *driver, uint32_t chain, uint64_t *written) {
  bool packed = driver->memory.features & FEATURE_PACKED;
  return packed ? reap_packed(driver, chain, written) : reap_split(driver, chain, written);
}
