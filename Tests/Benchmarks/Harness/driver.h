// The driver loop that every device peer meets: in C, uncounted, in ring order (so it is legal with and
// without VIRTIO_F_IN_ORDER), asking for no used buffer notification.
#pragma once

#include "bench.h"

struct driver {
  struct vq_mem memory;
  uint16_t next_desc, next_avail, next_used;  // free-running on a split ring
  bool avail_wrap, used_wrap;
  uint32_t serial;                    // of the next chain
  uint32_t first, last;               // serials in flight: first..<last
  uint16_t id_of[RING_SIZE];          // by serial: the id a device must give back
  uint16_t count_of[RING_SIZE];       // by serial: descriptors
};

void driver_make(struct driver *driver, const struct vq_mem *memory);

/// Makes `batch` chains of `chain` descriptors available; adds what a device must sum up to `*sum`.
void driver_fill(struct driver *driver, uint32_t batch, uint32_t chain, uint64_t *sum);

/// Takes back every used chain; adds the used lengths to `*written`. With VIRTIO_F_IN_ORDER one entry may
/// stand for a batch, and then the chains it skipped count as completely written (§2.7.9, §2.8.8).
uint32_t driver_take(struct driver *driver, uint32_t chain, uint64_t *written);
