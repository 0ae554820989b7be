// Shared by the harness and by every peer: the ring's place in memory, the two peer tables, the workload.
//
// One process holds all peers. The harness plays the other side itself (a driver loop for device peers, a
// device loop for driver peers), so each peer meets exactly the same bytes. Whatever a peer does inside its
// `*_service`, `*_submit` or `*_reap` function is counted; nothing outside of those is.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { RING_SIZE = 256, RING_MASK = RING_SIZE - 1, MAX_CHAIN = 3 };

/// What a run negotiated. Split unless `FEATURE_PACKED`. `WORK_BLOCK`: the device reads block requests.
enum { FEATURE_EVENT_IDX = 1, FEATURE_IN_ORDER = 2, FEATURE_PACKED = 4, FEATURE_INDIRECT = 8 };
enum { WORK_BLOCK = 16 };

/// Guest memory (one region, guest address 0 at `base`) and the three areas of the queue in it.
struct vq_mem {
  uint8_t *base;
  uint64_t len;
  uint64_t desc, avail, used;
  uint16_t size;
  uint32_t features;
};

/// A device-side peer. `service` takes at most `budget` chains, walks each whole, adds address + length of
/// every descriptor to `*sum`, returns each chain with the total of its writable lengths as its used length,
/// decides once about notifying the driver, and returns how many chains it served. A block peer reads the
/// request header instead (type + sector go to `*sum`), and writes 64 bytes of data and the status.
struct dev_peer {
  const char *row, *name;
  uint32_t features;
  void *(*make)(const struct vq_mem *memory);
  uint32_t (*service)(void *device, uint32_t budget, uint64_t *sum);
  uint32_t chains;  // bit n set: measured with chains of n descriptors
};

/// A driver-side peer. `submit` makes `count` chains of `chain` descriptors available (see `bench_segment`)
/// and decides once about notifying the device. `reap` takes back up to `count` chains and returns how many
/// it got in bits 32-63 and the sum of their used lengths in bits 0-31.
struct drv_peer {
  const char *row, *name;
  uint32_t features;
  void *(*make)(struct vq_mem *memory);
  uint32_t (*submit)(void *driver, uint32_t count, uint32_t chain);
  uint64_t (*reap)(void *driver, uint32_t count);
  uint32_t chains;
};

/// All peers of this build; a table ends at a null row. A peer whose `make` is null was not linked.
extern const struct dev_peer dev_peers[];
extern const struct drv_peer drv_peers[];

/// Guest memory of the harness, and a queue laid out in it with all areas zero.
enum { MEMORY_SIZE = 4 << 20 };
struct vq_mem bench_memory(uint32_t features);

/// The device loop that driver peers meet: the C floor of the queue's format, under names that are not
/// counted.
void *mock_make(const struct vq_mem *memory);
uint32_t mock_serve(const struct vq_mem *memory, void *device, uint32_t budget, uint64_t *sum);

/// Runs `rounds` rounds of one batch each; ends the process unless every chain was served, walked whole and
/// given back with the right length.
struct dev_run { void *device; struct driver *driver; };
struct dev_run dev_begin(const struct dev_peer *peer, struct driver *driver);
void dev_rounds(
    const struct dev_peer *peer, struct dev_run run, uint32_t rounds, uint32_t batch, uint32_t chain);
struct drv_run { void *driver, *device; struct vq_mem memory; uint32_t serial; };
struct drv_run drv_begin(const struct drv_peer *peer);
void drv_rounds(
    const struct drv_peer *peer, struct drv_run *run, uint32_t rounds, uint32_t batch, uint32_t chain);

/// One descriptor of the workload.
struct segment {
  uint64_t address;
  uint32_t length;
  bool writable;
};

enum { BUFFER_BASE = 0x10000, BUFFER_STRIDE = 128, BUFFER_COUNT = 256 };

/// §5.2.6: the header that stands in the first 16 bytes of every buffer. The sector is the buffer's number.
struct block_header { uint32_t type, reserved; uint64_t sector; };
enum { BLOCK_TYPE = 0 };

/// The workload. Chain number `serial` uses its own 128 bytes: one descriptor = 64 readable bytes, three
/// descriptors = 16 readable, 64 writable and 1 writable (the shape of a block request).
static inline struct segment bench_segment(uint32_t serial, uint32_t chain, uint32_t index) {
  uint64_t buffer = BUFFER_BASE + (uint64_t)(serial % BUFFER_COUNT) * BUFFER_STRIDE;
  if (chain == 1) return (struct segment){buffer, 64, false};
  if (index == 0) return (struct segment){buffer, 16, false};
  if (index == 1) return (struct segment){buffer + 16, 64, true};
  return (struct segment){buffer + 80, 1, true};
}

/// Bytes a device writes into one chain of the workload.
static inline uint32_t bench_written(uint32_t chain) { return chain == 1 ? 0 : 65; }

/// What a whole chain adds to the device's sum.
static inline uint64_t bench_sum(uint32_t serial, uint32_t chain, bool block) {
  if (block) return BLOCK_TYPE + serial % BUFFER_COUNT;
  uint64_t sum = 0;
  for (uint32_t i = 0; i < chain; i++) {
    struct segment segment = bench_segment(serial, chain, i);
    sum += segment.address + segment.length;
  }
  return sum;
}

/// Ends the process with the text of the broken condition: a peer that skips work must not get a figure.
#define require(condition) ((condition) ? (void)0 : bench_fail(#condition, __FILE__, __LINE__))
_Noreturn void bench_fail(const char *condition, const char *file, int line);

/// Heap calls made since the process began, counted by the linker's `--wrap` (see allocations.c).
uint64_t allocation_count(void);
