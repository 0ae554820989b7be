// virtio 1.4 §2.7 and §2.8: the ring layouts as C sees them on a little-endian machine, with the accesses to
// fields that the other side writes at the same time. For the harness and the floors only.
#pragma once

#include <stdint.h>

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4, DESC_AVAIL = 1 << 7, DESC_USED = 1 << 15 };

/// §2.8.10: values of the flags of an event suppression structure.
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2 };

struct split_desc {
  uint64_t addr;
  uint32_t len;
  uint16_t flags, next;
};

struct split_avail {
  uint16_t flags, idx, ring[];  // then le16 used_event
};

struct split_used_elem {
  uint32_t id, len;
};

struct split_used {
  uint16_t flags, idx;
  struct split_used_elem ring[];  // then le16 avail_event
};

struct packed_desc {
  uint64_t addr;
  uint32_t len;
  uint16_t id, flags;
};

struct packed_event {
  uint16_t off_wrap, flags;
};

static inline uint16_t load16(const uint16_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline uint16_t load16_acquire(const uint16_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void store16(uint16_t *p, uint16_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline void store16_release(uint16_t *p, uint16_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline void full_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/// §2.7.10: whether moving an index from `old` to `now` passes the one the other side asked to hear about.
static inline int need_event(uint16_t event, uint16_t now, uint16_t old) {
  return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}
