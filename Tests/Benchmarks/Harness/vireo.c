// Fits Vireo's peer (Tests/Benchmarks/VireoPeer, Swift) into the tables.

#include "bench.h"

void *vireo_device_make(
    uint8_t *base, uint64_t len, uint64_t desc, uint64_t avail, uint64_t used, uint16_t size,
    uint32_t features);
void *vireo_driver_make(
    uint8_t *shared, uint64_t address, intptr_t len, uint16_t size, uint32_t features, uint64_t *areas);

/// Shared memory of the driver's own making: between the areas' usual place and the payload's, and the
/// tables.
enum { SHARED = 0x100000, SHARED_SIZE = 0x40000 };

void *vireo_make(const struct vq_mem *m) {
  return vireo_device_make(m->base, m->len, m->desc, m->avail, m->used, m->size, m->features);
}

void *vireo_driver_peer_make(struct vq_mem *m) {
  uint64_t areas[3];
  void *driver = vireo_driver_make(m->base + SHARED, SHARED, SHARED_SIZE, m->size, m->features, areas);
  m->desc = areas[0];
  m->avail = areas[1];
  m->used = areas[2];
  return driver;
}
