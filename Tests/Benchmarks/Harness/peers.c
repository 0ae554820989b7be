// The table of peers. Everything of one process stands here, so a figure can only be compared with another of
// the same run. rust-vmm's peers are weak: a machine where they could not be built still measures the rest.

#include "bench.h"

#define DEVICE(prefix, service)                                      \
  void *prefix##_make(const struct vq_mem *) __attribute__((weak));  \
  uint32_t service(void *, uint32_t, uint64_t *) __attribute__((weak));
#define DRIVER(prefix)                                                       \
  void *prefix##_make(struct vq_mem *) __attribute__((weak));                \
  uint32_t prefix##_submit(void *, uint32_t, uint32_t) __attribute__((weak)); \
  uint64_t prefix##_reap(void *, uint32_t) __attribute__((weak));

enum { N1 = 1 << 1, N3 = 1 << 3, EVENT = FEATURE_EVENT_IDX, PACKED = EVENT | FEATURE_PACKED,
       ORDERED = EVENT | FEATURE_IN_ORDER, PACKED_ORDERED = PACKED | FEATURE_IN_ORDER };

DEVICE(ref, ref_service)
DEVICE(ref, ref_lazy_service)
DEVICE(ref, ref_in_order_service)
DEVICE(ref_packed, ref_packed_service)
DEVICE(ref_packed, ref_packed_in_order_service)
DEVICE(rv18, rv18_service)
DEVICE(rv18, rv18_ops_service)
DEVICE(rv18, rv18_block_service)
DEVICE(rv14, rv14_service)
DEVICE(rv14, rv14_ops_service)
DEVICE(rv14, rv14_block_service)

void *vireo_make(const struct vq_mem *);
uint32_t vireo_service(void *, uint32_t, uint64_t *);
void *vireo_vmm_make(const struct vq_mem *);
uint32_t vireo_vmm_service(void *, uint32_t, uint64_t *);
uint32_t vireo_block_service(void *, uint32_t, uint64_t *);

const struct dev_peer dev_peers[] = {
    {"device-split", "ref", EVENT, ref_make, ref_service, N1 | N3},
    {"device-split", "ref_lazy", EVENT, ref_make, ref_lazy_service, N1 | N3},
    {"device-split", "vireo", EVENT, vireo_make, vireo_service, N1 | N3},
    {"device-split", "rust-vmm-0.14", EVENT, rv14_make, rv14_service, N1 | N3},
    {"device-split", "rust-vmm-0.18", EVENT, rv18_make, rv18_service, N1 | N3},
    {"device-operations", "vireo", EVENT, vireo_vmm_make, vireo_vmm_service, N1 | N3},
    {"device-operations", "rust-vmm-0.14", EVENT, rv14_make, rv14_ops_service, N1 | N3},
    {"device-operations", "rust-vmm-0.18", EVENT, rv18_make, rv18_ops_service, N1 | N3},
    {"device-block", "vireo", EVENT | WORK_BLOCK, vireo_make, vireo_block_service, N3},
    {"device-block", "rust-vmm-0.14", EVENT | WORK_BLOCK, rv14_make, rv14_block_service, N3},
    {"device-block", "rust-vmm-0.18", EVENT | WORK_BLOCK, rv18_make, rv18_block_service, N3},
    {"device-split-in-order", "ref", ORDERED, ref_make, ref_in_order_service, N1 | N3},
    {"device-split-in-order", "vireo", ORDERED, vireo_make, vireo_service, N1 | N3},
    {"device-packed", "ref", PACKED, ref_packed_make, ref_packed_service, N1 | N3},
    {"device-packed", "vireo", PACKED, vireo_make, vireo_service, N1 | N3},
    {"device-packed-in-order", "ref", PACKED_ORDERED, ref_packed_make, ref_packed_in_order_service, N1 | N3},
    {"device-packed-in-order", "vireo", PACKED_ORDERED, vireo_make, vireo_service, N1 | N3},
    {0},
};

DRIVER(floor)

void *vireo_driver_peer_make(struct vq_mem *);
uint32_t vireo_submit(void *, uint32_t, uint32_t);
uint64_t vireo_reap(void *, uint32_t);
#define VIREO vireo_driver_peer_make, vireo_submit, vireo_reap

const struct drv_peer drv_peers[] = {
    {"driver-split", "floor", EVENT, floor_make, floor_submit, floor_reap, N1 | N3},
    {"driver-split", "vireo", EVENT, VIREO, N1 | N3},
    {"driver-split-indirect", "vireo", EVENT | FEATURE_INDIRECT, VIREO, N3},
    {"driver-split-in-order", "vireo", ORDERED, VIREO, N1 | N3},
    {"driver-packed", "vireo", PACKED, VIREO, N1 | N3},
    {"driver-packed-in-order", "vireo", PACKED_ORDERED, VIREO, N1 | N3},
    {0},
};
