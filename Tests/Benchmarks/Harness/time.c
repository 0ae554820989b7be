// `time`: nanoseconds of one chain, inside the peer only, at batch 32. Peers take turns in short pieces, the
// median piece counts, and what two clock readings cost is taken off; the report divides by the floor of the
// same row, timed in the same minute. Batch 1 is not timed: the clock costs more than the call.

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "driver.h"

enum { BATCH = 32, ROUNDS = 100, MAX_PIECES = 1001, MAX_PEERS = 64 };

static double device_piece(const struct dev_peer *peer, uint32_t chain, double cost) {
  static struct driver driver;
  struct dev_run run = dev_begin(peer, &driver);
  dev_rounds(peer, run, 8, BATCH, chain);
  double total = 0;
  uint64_t expected = 0, sum = 0, written = 0;
  for (int i = 0; i < ROUNDS; i++) {
    driver_fill(&driver, BATCH, chain, &expected);
    double begin = nanoseconds();
    uint32_t k = peer->service(run.device, BATCH, &sum);
    total += nanoseconds() - begin - cost;
    require(k == BATCH && driver_take(&driver, chain, &written) == BATCH);
  }
  require(sum == expected);
  return total / (ROUNDS * BATCH);
}

static double driver_piece(const struct drv_peer *peer, uint32_t chain, double cost) {
  struct drv_run run = drv_begin(peer);
  drv_rounds(peer, &run, 8, BATCH, chain);
  double total = 0;
  uint64_t sum = 0;
  for (int i = 0; i < ROUNDS; i++) {
    double begin = nanoseconds();
    uint32_t k = peer->submit(run.driver, BATCH, chain);
    total += nanoseconds() - begin - cost;
    require(k == BATCH && mock_serve(&run.memory, run.device, BATCH, &sum) == BATCH);
    begin = nanoseconds();
    uint64_t reaped = peer->reap(run.driver, BATCH);
    total += nanoseconds() - begin - cost;
    require(reaped >> 32 == BATCH);
  }
  return total / (ROUNDS * BATCH);
}

static double samples[MAX_PEERS][MAX_PIECES];

static void time_chain(uint32_t chain, int pieces, double cost) {
  for (int piece = 0; piece < pieces; piece++) {
    int slot = 0;
    for (const struct dev_peer *peer = dev_peers; peer->row; peer++, slot++)
      if (peer->make && peer->chains >> chain & 1) samples[slot][piece] = device_piece(peer, chain, cost);
    for (const struct drv_peer *peer = drv_peers; peer->row; peer++, slot++)
      if (peer->make && peer->chains >> chain & 1) samples[slot][piece] = driver_piece(peer, chain, cost);
  }
  int slot = 0;
  for (const struct dev_peer *peer = dev_peers; peer->row; peer++, slot++)
    if (peer->make && peer->chains >> chain & 1)
      printf("%s/%s/b%dn%u\t%.2f\n", peer->row, peer->name, BATCH, chain, median(samples[slot], pieces));
  for (const struct drv_peer *peer = drv_peers; peer->row; peer++, slot++)
    if (peer->make && peer->chains >> chain & 1)
      printf("%s/%s/b%dn%u\t%.2f\n", peer->row, peer->name, BATCH, chain, median(samples[slot], pieces));
}

void time_peers(int pieces) {
  require(pieces <= MAX_PIECES);
  double cost = clock_cost();
  time_chain(1, pieces, cost);
  time_chain(3, pieces, cost);
}
