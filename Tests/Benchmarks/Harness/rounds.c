// One round = fill a batch, let the peer work, take the batch back, compare.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "driver.h"

void bench_fail(const char *condition, const char *file, int line) {
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
  exit(1);
}

struct vq_mem bench_memory(uint32_t features) {
  static uint8_t *base;
  if (!base) base = mmap(0, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(base != MAP_FAILED);
  memset(base, 0, BUFFER_BASE);
  for (uint32_t i = 0; i < BUFFER_COUNT; i++) {
    struct block_header header = {BLOCK_TYPE, 0, i};
    memcpy(base + BUFFER_BASE + i * BUFFER_STRIDE, &header, sizeof header);
  }
  return (struct vq_mem){
      .base = base, .len = MEMORY_SIZE, .desc = 0x1000, .avail = 0x3000, .used = 0x4000,
      .size = RING_SIZE, .features = features};
}

struct dev_run dev_begin(const struct dev_peer *peer, struct driver *driver) {
  struct vq_mem memory = bench_memory(peer->features);
  driver_make(driver, &memory);
  return (struct dev_run){peer->make(&memory), driver};
}

void dev_rounds(
    const struct dev_peer *peer, struct dev_run run, uint32_t rounds, uint32_t batch, uint32_t chain) {
  uint64_t expected = 0, sum = 0, written = 0;
  for (uint32_t i = 0; i < rounds; i++) {
    driver_fill(run.driver, batch, chain, &expected);
    uint32_t k = peer->service(run.device, batch, &sum);
    uint32_t r = driver_take(run.driver, chain, &written);
    require(k == batch && r == batch);
  }
  require(sum == expected);
  require(written == (uint64_t)rounds * batch * bench_written(chain));
}

void *ref_make(const struct vq_mem *);
void *ref_packed_make(const struct vq_mem *);
uint32_t ref_mock(void *, uint32_t, uint64_t *, bool in_order);
uint32_t ref_packed_mock(void *, uint32_t, uint64_t *, bool in_order);

void *mock_make(const struct vq_mem *memory) {
  return memory->features & FEATURE_PACKED ? ref_packed_make(memory) : ref_make(memory);
}

uint32_t mock_serve(const struct vq_mem *memory, void *device, uint32_t budget, uint64_t *sum) {
  bool packed = memory->features & FEATURE_PACKED, in_order = memory->features & FEATURE_IN_ORDER;
  return (packed ? ref_packed_mock : ref_mock)(device, budget, sum, in_order);
}

struct drv_run drv_begin(const struct drv_peer *peer) {
  struct drv_run run = {.memory = bench_memory(peer->features)};
  run.driver = peer->make(&run.memory);
  run.device = mock_make(&run.memory);
  return run;
}

void drv_rounds(
    const struct drv_peer *peer, struct drv_run *run, uint32_t rounds, uint32_t batch, uint32_t chain) {
  uint64_t expected = 0, sum = 0, written = 0;
  for (uint32_t i = 0; i < rounds; i++) {
    uint32_t k = peer->submit(run->driver, batch, chain);
    uint32_t served = mock_serve(&run->memory, run->device, batch, &sum);
    uint64_t reaped = peer->reap(run->driver, batch);
    require(k == batch && served == batch && reaped >> 32 == batch);
    written += (uint32_t)reaped;
    for (uint32_t j = 0; j < batch; j++) expected += bench_sum(run->serial++, chain, false);
  }
  require(sum == expected);
  require(written == (uint64_t)rounds * batch * bench_written(chain));
}
