// Fits Vireo's peer (Tests/Benchmarks/VireoPeer, Swift) into the tables.

#include <stdlib.h>

#include "bench.h"
#include "vireo.h"

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

/// A VMM in C over the public C interface, one call for each operation: the loop of operations.c.
struct vireo_vmm {
  vireo_region region;
  vireo_queue *queue;
  vireo_buffer buffer;
  uint32_t notifications;
};

void *vireo_vmm_make(const struct vq_mem *m) {
  struct vireo_vmm *vmm = calloc(1, sizeof *vmm);
  size_t size = (vireo_queue_storage_size() + 15) & ~(size_t)15;
  uint64_t features = VIREO_F_VERSION_1 | (m->features & FEATURE_EVENT_IDX ? VIREO_F_EVENT_IDX : 0);
  vmm->region = (vireo_region){.guest_address = 0, .byte_count = m->len, .host = m->base};
  void *storage = aligned_alloc(16, size);
  require(vireo_queue_create(storage, size, &vmm->region, 1, m->size, &vmm->queue) == VIREO_OK);
  require(vireo_queue_make_ready(vmm->queue, m->size, m->desc, m->avail, m->used, features) == VIREO_OK);
  return vmm;
}

static inline void vmm_look(const vireo_element *element, uint64_t *sum, uint32_t *written) {
  *sum += element->guest_address + element->byte_count;
  if (element->device_writable) *written += element->byte_count;
}

uint32_t vireo_vmm_service(void *device, uint32_t budget, uint64_t *sum) {
  struct vireo_vmm *vmm = device;
  uint32_t count = 0;
  for (; count < budget && vireo_queue_next(vmm->queue, &vmm->buffer) == VIREO_OK; count++) {
    vireo_element element;
    uint32_t written = 0;
    int32_t follows;
    while ((follows = vireo_buffer_walk(vmm->queue, &vmm->buffer, &element)) > 0)
      vmm_look(&element, sum, &written);
    if (follows < 0) break;
    vmm_look(&element, sum, &written);
    if (vireo_queue_use(vmm->queue, &vmm->buffer, written) != VIREO_OK) break;
  }
  if (vireo_queue_end_service(vmm->queue) & VIREO_NOTIFY) vmm->notifications++;
  return count;
}
