// The floor of the driver side, split ring: plain C with a private free list and private copies of what it
// needs to release a chain, so nothing a device writes into the ring is believed. Checked on reclaim: the
// jump of used.idx, the id, that the id is in flight, and the used length against the chain's writable bytes.

#include <stdlib.h>

#include "../Harness/bench.h"
#include "../Harness/virtio.h"

struct slot {
  uint16_t next;      // free list, or the rest of a chain in flight
  uint16_t count;     // descriptors of the chain, 0 = not in flight
  uint32_t writable;  // bytes the device may write
  uint32_t token;     // the caller's name for the chain
};

struct driver_floor {
  struct split_desc *desc;
  struct split_avail *avail;
  struct split_used *used;
  uint16_t *used_event, *avail_event;
  uint16_t free_head, free_count;
  uint16_t next_avail, next_used;
  uint32_t serial, kicks;
  struct slot slots[RING_SIZE];
};

void *floor_make(struct vq_mem *memory) {
  require(memory->size == RING_SIZE);
  struct driver_floor *driver = calloc(1, sizeof *driver);
  driver->desc = (void *)(memory->base + memory->desc);
  driver->avail = (void *)(memory->base + memory->avail);
  driver->used = (void *)(memory->base + memory->used);
  driver->used_event = &driver->avail->ring[RING_SIZE];
  driver->avail_event = (uint16_t *)&driver->used->ring[RING_SIZE];
  driver->free_count = RING_SIZE;
  for (unsigned i = 0; i < RING_SIZE; i++) driver->slots[i].next = (uint16_t)(i + 1);
  return driver;
}

static inline __attribute__((always_inline)) bool add(struct driver_floor *driver, uint32_t chain) {
  if (driver->free_count < chain) return false;
  uint16_t head = driver->free_head, index = head;
  uint32_t writable = 0;
  for (uint32_t i = 0; i < chain; i++) {
    struct segment segment = bench_segment(driver->serial, chain, i);
    uint16_t next = driver->slots[index].next, flags = i + 1 < chain ? DESC_NEXT : 0;
    if (segment.writable) {
      flags |= DESC_WRITE;
      writable += segment.length;
    }
    driver->desc[index] = (struct split_desc){segment.address, segment.length, flags, next};
    index = next;
  }
  driver->free_head = index;
  driver->free_count -= chain;
  driver->slots[head].count = (uint16_t)chain;
  driver->slots[head].writable = writable;
  driver->slots[head].token = driver->serial++;
  store16(&driver->avail->ring[driver->next_avail++ & RING_MASK], head);
  return true;
}

uint32_t floor_submit(void *self, uint32_t count, uint32_t chain) {
  struct driver_floor *driver = self;
  uint16_t old = driver->next_avail;
  uint32_t done = 0;
  while (done < count && add(driver, chain)) done++;
  store16_release(&driver->avail->idx, driver->next_avail);
  full_fence();
  if (need_event(load16(driver->avail_event), driver->next_avail, old)) driver->kicks++;
  return done;
}

uint64_t floor_reap(void *self, uint32_t count) {
  struct driver_floor *driver = self;
  uint16_t ready = (uint16_t)(load16_acquire(&driver->used->idx) - driver->next_used);
  if (ready > RING_SIZE) return 0;
  if (ready < count) count = ready;
  uint64_t written = 0;
  for (uint32_t i = 0; i < count; i++) {
    const volatile struct split_used_elem *elem = &driver->used->ring[driver->next_used & RING_MASK];
    uint32_t id = elem->id, len = elem->len;
    if (id >= RING_SIZE || driver->slots[id].count == 0 || len > driver->slots[id].writable) return 0;
    uint16_t last = (uint16_t)id;
    for (uint16_t step = 1; step < driver->slots[id].count; step++) last = driver->slots[last].next;
    driver->free_count += driver->slots[id].count;
    driver->slots[last].next = driver->free_head;
    driver->free_head = (uint16_t)id;
    driver->slots[id].count = 0;
    driver->next_used++;
    written += len;
  }
  store16(driver->used_event, (uint16_t)(driver->next_used - 1));
  return (uint64_t)count << 32 | (uint32_t)written;
}
