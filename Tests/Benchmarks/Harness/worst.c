// `count`, second part: what the longest single service call costs, on legal and on hostile rings. The figure
// is the instruction count of one call, so a VMM knows how long one notification can hold it. Every legal
// ring must be served in full, every hostile one in full or refused, and in either case the call must return.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

#include "bench.h"
#include "virtio.h"

enum { TABLES = 0x100000, TABLE_STRIDE = RING_SIZE * 16 };

static struct split_desc *split_table(const struct vq_mem *m) { return (void *)(m->base + m->desc); }
static struct packed_desc *packed_ring(const struct vq_mem *m) { return (void *)(m->base + m->desc); }

/// Makes `count` heads available: `head`, or with `-1` descriptor i for entry i.
static void offer(const struct vq_mem *m, int head, uint16_t count) {
  struct split_avail *avail = (void *)(m->base + m->avail);
  for (uint16_t i = 0; i < RING_SIZE; i++) avail->ring[i] = head < 0 ? i : (uint16_t)head;
  avail->ring[RING_SIZE] = 0xffff;
  store16_release(&avail->idx, count);
}

/// Every descriptor holds 64 readable bytes and leads to the next, and the last one to `last_next`.
static void link_all(const struct vq_mem *m, uint16_t last_flags, uint16_t last_next) {
  for (uint16_t i = 0; i < RING_SIZE; i++)
    split_table(m)[i] = (struct split_desc){BUFFER_BASE, 64, DESC_NEXT, (uint16_t)(i + 1)};
  split_table(m)[RING_SIZE - 1].flags = last_flags;
  split_table(m)[RING_SIZE - 1].next = last_next;
}

static void split_full(const struct vq_mem *m) {
  for (uint16_t i = 0; i < RING_SIZE; i++) split_table(m)[i] = (struct split_desc){BUFFER_BASE, 64, 0, 0};
  offer(m, -1, RING_SIZE);
}

static void split_longest(const struct vq_mem *m) {
  link_all(m, 0, 0);
  offer(m, 0, 1);
}

/// As many indirect tables as the ring has entries, each as long as the queue allows a chain to be.
static void split_indirect(const struct vq_mem *m) {
  for (uint16_t i = 0; i < RING_SIZE; i++) {
    uint64_t table = TABLES + (uint64_t)i * TABLE_STRIDE;
    struct split_desc *entry = (void *)(m->base + table);
    for (uint16_t j = 0; j < RING_SIZE; j++)
      entry[j] = (struct split_desc){BUFFER_BASE, 64, j + 1 < RING_SIZE ? DESC_NEXT : 0, (uint16_t)(j + 1)};
    split_table(m)[i] = (struct split_desc){table, TABLE_STRIDE, DESC_INDIRECT, 0};
  }
  offer(m, -1, RING_SIZE);
}

static void split_shared_longest(const struct vq_mem *m) {
  link_all(m, 0, 0);
  offer(m, 0, RING_SIZE);
}

static void split_loop(const struct vq_mem *m) {
  link_all(m, DESC_NEXT, 0);
  offer(m, 0, RING_SIZE);
}

static void split_bad_head(const struct vq_mem *m) { offer(m, 0xffff, RING_SIZE); }

static void split_bad_next(const struct vq_mem *m) {
  link_all(m, DESC_NEXT, RING_SIZE);
  offer(m, 0, RING_SIZE);
}

static void split_outside(const struct vq_mem *m) {
  link_all(m, 0, 0);
  split_table(m)[RING_SIZE - 1].addr = m->len - 1;
  offer(m, 0, RING_SIZE);
}

static void split_jump(const struct vq_mem *m) { offer(m, 0, RING_SIZE + 1); }

static void packed_fill(const struct vq_mem *m, uint16_t flags, uint16_t last_flags) {
  struct packed_event *event = (void *)(m->base + m->avail);
  event->flags = EVENT_DISABLE;
  for (uint16_t i = 0; i < RING_SIZE; i++)
    packed_ring(m)[i] = (struct packed_desc){BUFFER_BASE, 64, i, (uint16_t)(DESC_AVAIL | flags)};
  packed_ring(m)[RING_SIZE - 1].flags = (uint16_t)(DESC_AVAIL | last_flags);
}

static void packed_full(const struct vq_mem *m) { packed_fill(m, 0, 0); }
static void packed_longest(const struct vq_mem *m) { packed_fill(m, DESC_NEXT, 0); }
static void packed_endless(const struct vq_mem *m) { packed_fill(m, DESC_NEXT, DESC_NEXT); }

static void packed_indirect(const struct vq_mem *m) {
  packed_fill(m, DESC_INDIRECT, DESC_INDIRECT);
  for (uint16_t i = 0; i < RING_SIZE; i++) {
    uint64_t table = TABLES + (uint64_t)i * TABLE_STRIDE;
    struct packed_desc *entry = (void *)(m->base + table);
    for (uint16_t j = 0; j < RING_SIZE; j++) entry[j] = (struct packed_desc){BUFFER_BASE, 64, 0, 0};
    packed_ring(m)[i].addr = table;
    packed_ring(m)[i].len = TABLE_STRIDE;
  }
}

static void packed_outside(const struct vq_mem *m) {
  packed_longest(m);
  packed_ring(m)[RING_SIZE - 1].addr = m->len - 1;
}

/// `served`: what a call with budget 256 must return on a legal ring, -1 on a hostile one.
static const struct scenario {
  const char *name;
  uint32_t features;
  void (*build)(const struct vq_mem *);
  int served;
} scenarios[] = {
    {"legal-full-ring", 0, split_full, RING_SIZE},
    {"legal-longest-chain", 0, split_longest, 1},
    {"legal-indirect-full", FEATURE_INDIRECT, split_indirect, RING_SIZE},
    {"hostile-shared-longest-chain", 0, split_shared_longest, -1},
    {"hostile-loop", 0, split_loop, -1},
    {"hostile-bad-head", 0, split_bad_head, -1},
    {"hostile-bad-next", 0, split_bad_next, -1},
    {"hostile-outside-memory", 0, split_outside, -1},
    {"hostile-index-jump", 0, split_jump, -1},
    {"legal-full-ring", FEATURE_PACKED, packed_full, RING_SIZE},
    {"legal-longest-chain", FEATURE_PACKED, packed_longest, 1},
    {"legal-indirect-full", FEATURE_PACKED | FEATURE_INDIRECT, packed_indirect, RING_SIZE},
    {"hostile-endless-chain", FEATURE_PACKED, packed_endless, -1},
    {"hostile-outside-memory", FEATURE_PACKED, packed_outside, -1},
};

static void count_scenario(const struct scenario *scenario, const struct dev_peer *peer, uint32_t budget) {
  struct vq_mem memory = bench_memory(FEATURE_EVENT_IDX | scenario->features);
  scenario->build(&memory);
  void *device = peer->make(&memory);
  uint64_t sum = 0, allocations = allocation_count();
  CALLGRIND_ZERO_STATS;
  uint32_t served = peer->service(device, budget, &sum);
  char name[128];
  const char *format = memory.features & FEATURE_PACKED ? "packed" : "split";
  snprintf(name, sizeof name, "worst-%s/%s/%s/budget%u", format, scenario->name, peer->name, budget);
  CALLGRIND_DUMP_STATS_AT(name);
  uint32_t full = budget < (uint32_t)scenario->served ? budget : (uint32_t)scenario->served;
  require(scenario->served < 0 ? served <= budget : served == full);
  printf("%s\t1\t%lu\n", name, (unsigned long)(allocation_count() - allocations));
}

void count_worst(void) {
  static const uint32_t budgets[] = {1, RING_SIZE};
  for (const struct dev_peer *peer = dev_peers; peer->row; peer++) {
    bool packed = !strcmp(peer->row, "device-packed");
    if (!peer->make || (!packed && strcmp(peer->row, "device-split"))) continue;
    if (strcmp(peer->name, "vireo") && strcmp(peer->name, "ref")) continue;
    for (unsigned i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
      if (!!(scenarios[i].features & FEATURE_PACKED) != packed) continue;
      if ((scenarios[i].features & FEATURE_INDIRECT) && !strcmp(peer->name, "ref")) continue;
      for (int b = 0; b < 2; b++) count_scenario(&scenarios[i], peer, budgets[b]);
    }
  }
}
