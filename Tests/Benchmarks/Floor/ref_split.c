// The floor of the device side, split ring: plain C, every check that a device needs, nothing else. It knows
// the ring size at compile time, has one memory region from guest address 0 and calls nothing. Checked: the
// jump of avail.idx, head and next index, chain length, the sum of the lengths, and that every buffer lies in
// memory. `ref` publishes used.idx for each chain, `ref_lazy` once a batch, `ref_in_order` writes one used
// element a batch (§2.7.9 In-order use of descriptors). Only the mock that driver peers meet follows indirect
// tables.

#include <stdlib.h>

#include "../Harness/bench.h"
#include "../Harness/virtio.h"

struct ref {
  uint8_t *base;
  uint64_t len;
  struct split_desc *desc;
  struct split_avail *avail;
  struct split_used *used;
  uint16_t position;  // in both rings: chains are used in the order they were made available
  uint32_t notifications;
};

void *ref_make(const struct vq_mem *memory) {
  require(memory->size == RING_SIZE);
  struct ref *ref = calloc(1, sizeof *ref);
  ref->base = memory->base;
  ref->len = memory->len;
  ref->desc = (void *)(memory->base + memory->desc);
  ref->avail = (void *)(memory->base + memory->avail);
  ref->used = (void *)(memory->base + memory->used);
  return ref;
}

static inline __attribute__((always_inline)) bool walk(
    const struct split_desc *table, uint64_t memory, uint8_t *base, struct split_used_elem *elem,
    uint64_t *sum) {
  uint64_t total = 0, folded = 0;
  uint32_t writable = 0;
  uint32_t index = elem->id, count = RING_SIZE;
  for (unsigned steps = 0; steps < RING_SIZE; steps++) {
    if (index >= count) return false;
    const volatile struct split_desc *desc = &table[index];
    uint64_t addr = desc->addr;
    uint32_t len = desc->len;
    uint16_t flags = desc->flags;
    if (addr >= memory || len > memory - addr) return false;
    if (base && (flags & DESC_INDIRECT)) {
      table = (void *)(base + addr);
      count = len / sizeof *table;
      index = 0;
      continue;
    }
    if (flags & DESC_WRITE) writable += len;
    total += len;
    folded += addr + len;
    if (!(flags & DESC_NEXT)) {
      elem->len = writable;
      *sum += folded;
      return total <= UINT32_MAX;
    }
    index = desc->next;
  }
  return false;
}

enum publication { EACH, ONCE, IN_ORDER };

static inline __attribute__((always_inline)) uint32_t service(
    struct ref *ref, uint32_t budget, uint64_t *sum, enum publication publication, uint8_t *base) {
  struct split_avail *avail = ref->avail;
  struct split_used *used = ref->used;
  const struct split_desc *table = ref->desc;
  uint64_t memory = ref->len, folded = 0;
  uint16_t position = ref->position, ready = (uint16_t)(load16_acquire(&avail->idx) - position);
  if (ready > RING_SIZE) return 0;
  uint16_t end = (uint16_t)(position + (ready < budget ? ready : budget)), old = position;
  struct split_used_elem elem = {0};
  while (position != end) {
    elem.id = load16(&avail->ring[position & RING_MASK]);
    if (!walk(table, memory, base, &elem, &folded)) return 0;
    if (publication != IN_ORDER) used->ring[position & RING_MASK] = elem;
    position++;
    if (publication == EACH) store16_release(&used->idx, position);
  }
  *sum += folded;
  ref->position = position;
  if (publication == IN_ORDER && position != old) used->ring[old & RING_MASK] = elem;
  if (publication != EACH) store16_release(&used->idx, position);
  store16((uint16_t *)&used->ring[RING_SIZE], position);
  full_fence();
  if (need_event(load16(&avail->ring[RING_SIZE]), position, old)) ref->notifications++;
  return (uint16_t)(position - old);
}

uint32_t ref_service(void *device, uint32_t budget, uint64_t *sum) {
  return service(device, budget, sum, EACH, 0);
}

uint32_t ref_lazy_service(void *device, uint32_t budget, uint64_t *sum) {
  return service(device, budget, sum, ONCE, 0);
}

uint32_t ref_in_order_service(void *device, uint32_t budget, uint64_t *sum) {
  return service(device, budget, sum, IN_ORDER, 0);
}

uint32_t ref_mock(void *device, uint32_t budget, uint64_t *sum, bool in_order) {
  struct ref *ref = device;
  return service(ref, budget, sum, in_order ? IN_ORDER : ONCE, ref->base);
}
