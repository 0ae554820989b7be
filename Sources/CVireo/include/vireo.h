/* SPDX-License-Identifier: Apache-2.0
 *
 * vireo.h - the C interface of Vireo: virtio 1.4 in a library without a runtime.
 *
 * This header covers the device side of a virtqueue. The embedder owns guest memory, register traps and
 * notifications; the library owns the ring: every index, address and length that a guest writes is checked
 * here, and no guest can make a function of this header crash, loop or allocate.
 *
 * Threads: the functions keep no state of their own. Calls on different queues may run at the same time;
 * calls on one queue must not.
 *
 * Memory: objects live in storage that the caller provides. No function allocates. The library needs no more
 * of the C library than memcpy, memmove and memset.
 *
 * Stability: within a major version functions and constants are only added. Structures marked "opaque" keep
 * their size within a major version; their contents are not part of the interface.
 */
#ifndef VIREO_H
#define VIREO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIREO_VERSION_MAJOR 0
#define VIREO_VERSION_MINOR 1

/* What a function did. Everything from VIREO_DRIVER_FAULT on means that the guest's driver broke the
 * protocol: set DEVICE_NEEDS_RESET (virtio 1.4 section 2.1.2) and stop using the queue. */
typedef enum vireo_status {
  VIREO_OK = 0,
  VIREO_EMPTY = 1,            /* nothing (more) to return: no buffer available, no element left */
  VIREO_BAD_ARGUMENT = 2,     /* a null pointer, storage too small or misaligned, overlapping regions */
  VIREO_WRONG_STATE = 3,      /* the buffer was used already, or the queue is not ready */
  VIREO_DRIVER_FAULT = 16,    /* a fault without a name of its own below */
  VIREO_ADDRESS_OUTSIDE_MEMORY = 17,
  VIREO_MISALIGNED_RING = 18,
  VIREO_INVALID_QUEUE_SIZE = 19,
  VIREO_INDEX_OUT_OF_RANGE = 20,
  VIREO_CHAIN_TOO_LONG = 21,
  VIREO_AVAILABLE_INDEX_JUMPED = 22,
  VIREO_READABLE_AFTER_WRITABLE = 23,
  VIREO_INVALID_INDIRECT_TABLE = 24
} vireo_status;

/* Device-independent feature bits that change how a queue works (virtio 1.4 section 6). */
#define VIREO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIREO_F_EVENT_IDX (UINT64_C(1) << 29)
#define VIREO_F_VERSION_1 (UINT64_C(1) << 32)
#define VIREO_F_RING_PACKED (UINT64_C(1) << 34)
#define VIREO_F_IN_ORDER (UINT64_C(1) << 35)

/* One contiguous piece of guest memory. `host` and `guest_address` agree in their last four bits. A ring or
 * an element that crosses from one region into another is refused, even where the two adjoin. */
typedef struct vireo_region {
  uint64_t guest_address;
  uint64_t byte_count;
  void *host;
} vireo_region;

/* One element of a buffer: host memory checked to be within a region, and its direction. */
typedef struct vireo_element {
  uint64_t guest_address;
  void *host;
  uint32_t byte_count;
  uint32_t device_writable; /* 1: the device may write it; 0: the device may read it */
} vireo_element;

/* A virtqueue, device side. Opaque; lives in the caller's storage. */
typedef struct vireo_queue vireo_queue;

/* A buffer taken from a queue and not yet used. Opaque; zero-initialise it, and pass it back to
 * vireo_queue_use exactly once. */
typedef struct vireo_buffer {
  uint64_t opaque[16];
} vireo_buffer;

/* Bytes of storage for one queue, aligned to 16. */
size_t vireo_queue_storage_size(void);

/* Makes a queue of up to `maximum_size` (1 to 32768) descriptors in `storage`, not ready.
 * `regions` must stay valid and unchanged as long as the queue is used. */
vireo_status vireo_queue_create(void *storage, size_t storage_size, const vireo_region *regions,
                                size_t region_count, uint16_t maximum_size, vireo_queue **queue);

/* Starts from an empty ring at the given guest addresses, with the features negotiated. On a fault the queue
 * stays unready. */
vireo_status vireo_queue_make_ready(vireo_queue *queue, uint16_t size, uint64_t descriptor_area,
                                    uint64_t driver_area, uint64_t device_area, uint64_t features);

/* Back to the unready state. Buffers in flight are forgotten: using them later is refused with
 * VIREO_WRONG_STATE and touches nothing. */
vireo_status vireo_queue_reset(vireo_queue *queue);

/* Takes the next available buffer, or returns VIREO_EMPTY. A service call takes at most 256 buffers; after
 * vireo_queue_end_service the next one begins. In the packed format use a buffer before taking the next one:
 * until then the same buffer is returned again, for its length is not known yet. */
vireo_status vireo_queue_next(vireo_queue *queue, vireo_buffer *buffer);

/* The next element of a buffer, or VIREO_EMPTY after the last. */
vireo_status vireo_buffer_next(const vireo_queue *queue, vireo_buffer *buffer, vireo_element *element);

/* Marks a buffer as used, `written` bytes of it having been written from the start of its device-writable
 * part. Any order. The driver sees it after vireo_queue_end_service. */
vireo_status vireo_queue_use(vireo_queue *queue, vireo_buffer *buffer, uint32_t written);

/* Results of vireo_queue_end_service, as bits. */
#define VIREO_NOTIFY 1u /* send the driver a used buffer notification */
#define VIREO_MORE 2u   /* buffers are waiting that no notification will announce: serve again */

/* Ends a service call: publishes what was used and says what is left to do. */
uint32_t vireo_queue_end_service(vireo_queue *queue);

#ifdef __cplusplus
}
#endif
#endif
