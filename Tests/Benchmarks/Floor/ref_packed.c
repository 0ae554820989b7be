// The floor of the device side, packed ring (virtio 1.4 §2.8), in plain C with the checks of ref_split.c. The
// ring position is also the bound of a chain: a chain may not be longer than the ring. `ref_packed_in_order`
// writes one used descriptor a batch.

#include <stdlib.h>

#include "../Harness/bench.h"
#include "../Harness/virtio.h"

/// A ring position and its wrap counter, as in an event suppression structure: wrap in bit 15.
static inline uint16_t advance(uint16_t position, uint16_t count) {
  uint16_t next = position + count;
  return (next & 0x7fff) >= RING_SIZE ? (uint16_t)((next - RING_SIZE) ^ 0x8000) : next;
}

struct ref_packed {
  uint64_t len;
  struct packed_desc *ring;
  struct packed_event *driver_event, *device_event;
  uint16_t position;  // both next available and next used: chains are used in the order they came
  uint32_t notifications;
};

struct packed_chain {
  uint16_t id, count;
  uint32_t written;
};

void *ref_packed_make(const struct vq_mem *memory) {
  require(memory->size == RING_SIZE);
  struct ref_packed *ref = calloc(1, sizeof *ref);
  ref->len = memory->len;
  ref->ring = (void *)(memory->base + memory->desc);
  ref->driver_event = (void *)(memory->base + memory->avail);
  ref->device_event = (void *)(memory->base + memory->used);
  ref->position = 0x8000;
  return ref;
}

/// §2.8.1: available when the AVAIL bit equals the wrap counter and the USED bit does not.
static inline bool is_available(uint16_t flags, uint16_t position) {
  return (flags & (DESC_AVAIL | DESC_USED)) == (position & 0x8000 ? DESC_AVAIL : DESC_USED);
}

static inline __attribute__((always_inline)) bool walk(
    const struct packed_desc *ring, uint64_t memory, uint16_t index, uint16_t flags,
    struct packed_chain *chain, uint64_t *sum) {
  uint64_t total = 0, folded = 0;
  uint32_t writable = 0;
  for (uint16_t count = 1; count <= RING_SIZE; count++) {
    const volatile struct packed_desc *desc = &ring[index];
    uint64_t addr = desc->addr;
    uint32_t len = desc->len;
    if (count > 1) flags = desc->flags;
    if (addr >= memory || len > memory - addr) return false;
    if (flags & DESC_WRITE) writable += len;
    total += len;
    folded += addr + len;
    if (!(flags & DESC_NEXT)) {
      *chain = (struct packed_chain){desc->id, count, writable};
      *sum += folded;
      return total <= UINT32_MAX;
    }
    index = (index + 1) & RING_MASK;
  }
  return false;
}

static inline void publish(struct packed_desc *ring, uint16_t position, struct packed_chain chain) {
  struct packed_desc *desc = &ring[position & 0x7fff];
  uint16_t flags = position & 0x8000 ? DESC_AVAIL | DESC_USED : 0;
  desc->id = chain.id;
  desc->len = chain.written;
  store16_release(&desc->flags, chain.written ? flags | DESC_WRITE : flags);
}

/// §2.8.10: whether the driver asked to hear about a position between `old` and `now`.
static inline bool is_wanted(const struct packed_event *event, uint16_t old, uint16_t now) {
  uint16_t flags = load16(&event->flags);
  if (flags != EVENT_DESC) return flags == EVENT_ENABLE && old != now;
  uint16_t asked = load16(&event->off_wrap), wrap = now & 0x8000;
  uint16_t lap = (asked & 0x8000) == wrap ? 0 : RING_SIZE, old_lap = (old & 0x8000) == wrap ? 0 : RING_SIZE;
  return need_event((asked & 0x7fff) - lap, now & 0x7fff, (old & 0x7fff) - old_lap);
}

static inline __attribute__((always_inline)) uint32_t service(
    struct ref_packed *ref, uint32_t budget, uint64_t *sum, bool in_order) {
  struct packed_desc *ring = ref->ring;
  uint64_t memory = ref->len, folded = 0;
  uint16_t position = ref->position, old = position;
  struct packed_chain chain = {0};
  uint32_t count = 0;
  for (; count < budget; count++) {
    uint16_t flags = load16_acquire(&ring[position & 0x7fff].flags);
    if (!is_available(flags, position)) break;
    if (!walk(ring, memory, position & 0x7fff, flags, &chain, &folded)) return 0;
    if (!in_order) publish(ring, position, chain);
    position = advance(position, chain.count);
  }
  *sum += folded;
  ref->position = position;
  if (in_order && count > 0) publish(ring, old, chain);
  store16(&ref->device_event->off_wrap, position);
  store16(&ref->device_event->flags, EVENT_DESC);
  full_fence();
  if (is_wanted(ref->driver_event, old, position)) ref->notifications++;
  return count;
}

uint32_t ref_packed_service(void *device, uint32_t budget, uint64_t *sum) {
  return service(device, budget, sum, false);
}

uint32_t ref_packed_in_order_service(void *device, uint32_t budget, uint64_t *sum) {
  return service(device, budget, sum, true);
}

uint32_t ref_packed_mock(void *device, uint32_t budget, uint64_t *sum, bool in_order) {
  return service(device, budget, sum, in_order);
}
