// `copy`: payload of one descriptor, in both directions, beside memcpy between the same two places. Printed:
// cell, ns of a chain, ns of memcpy, ns of a chain of which nothing is copied. 16 chains a service call.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "driver.h"
#include "virtio.h"

void *vireo_make(const struct vq_mem *);
uint32_t vireo_copy(void *device, uint32_t budget, void *buffer, intptr_t length, bool to_guest);

enum { BATCH = 16, ROUNDS = 20, PAYLOAD = 0x200000, LARGEST = 65536, MAX_PIECES = 1001 };

static _Alignas(64) uint8_t private_buffer[LARGEST];

struct copy_ring {
  struct vq_mem memory;
  void *device;
  uint16_t index;
};

static void offer(struct copy_ring *ring, uint32_t length, bool to_guest) {
  struct split_desc *desc = (void *)(ring->memory.base + ring->memory.desc);
  struct split_avail *avail = (void *)(ring->memory.base + ring->memory.avail);
  for (int i = 0; i < BATCH; i++) {
    uint16_t slot = ring->index++ & RING_MASK;
    desc[slot] = (struct split_desc){PAYLOAD, length, to_guest ? DESC_WRITE : 0, 0};
    avail->ring[slot] = slot;
  }
  avail->ring[RING_SIZE] = (uint16_t)(ring->index - BATCH - 1);
  store16_release(&avail->idx, ring->index);
}

static double chain_piece(
    struct copy_ring *ring, uint32_t length, uint32_t copied, bool to_guest, double cost) {
  double total = 0;
  for (int i = 0; i < ROUNDS; i++) {
    offer(ring, length, to_guest);
    double begin = nanoseconds();
    uint32_t served = vireo_copy(ring->device, BATCH, private_buffer, copied, to_guest);
    total += nanoseconds() - begin - cost;
    require(served == BATCH);
  }
  return total / (ROUNDS * BATCH);
}

static double memcpy_piece(uint8_t *guest, uint32_t length, bool to_guest, double cost) {
  void *(*volatile copy)(void *, const void *, size_t) = memcpy;  // one call each, none left out
  double total = 0;
  for (int i = 0; i < ROUNDS; i++) {
    double begin = nanoseconds();
    for (int j = 0; j < BATCH; j++)
      copy(to_guest ? guest : private_buffer, to_guest ? private_buffer : guest, length);
    total += nanoseconds() - begin - cost;
  }
  return total / (ROUNDS * BATCH);
}

void copy_payloads(int pieces) {
  static const uint32_t lengths[] = {64, 256, 1514, 4096, 16384, 65536};
  static double ours[MAX_PIECES], plain[MAX_PIECES], empty[MAX_PIECES];
  require(pieces <= MAX_PIECES);
  struct copy_ring ring = {.memory = bench_memory(FEATURE_EVENT_IDX)};
  ring.device = vireo_make(&ring.memory);
  double cost = clock_cost();
  for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++)
    for (int to_guest = 0; to_guest < 2; to_guest++) {
      for (int piece = 0; piece < pieces; piece++) {
        ours[piece] = chain_piece(&ring, lengths[i], lengths[i], to_guest, cost);
        empty[piece] = chain_piece(&ring, lengths[i], 0, to_guest, cost);
        plain[piece] = memcpy_piece(ring.memory.base + PAYLOAD, lengths[i], to_guest, cost);
      }
      printf("copy/%s/%u\t%.2f\t%.2f\t%.2f\n", to_guest ? "to guest" : "from guest", lengths[i],
             median(ours, pieces), median(plain, pieces), median(empty, pieces));
    }
}
