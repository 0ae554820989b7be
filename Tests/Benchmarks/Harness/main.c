// vireo-bench count | time PIECES | pair CHAINS | copy PIECES
//
// count: run under callgrind (see Toolchain/bench). Each cell runs a fixed number of chains after a warm-up,
//   then callgrind is asked to dump what was collected under the cell's name. Printed: cell, chains, heap
//   calls.
// time:  printed: cell, ns a chain (see time.c).
// copy:  printed: cell, ns a chain, ns of memcpy, ns of an empty chain (see copy.c).
// pair:  printed: cell, median and best ns a chain with driver and device on two cores (see pair.c).

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

#include "driver.h"

void time_peers(int pieces);
void pair_peers(uint32_t chains);
void count_worst(void);
void count_scmi(void);
void copy_payloads(int pieces);

enum { COUNT_CHAINS = 1920 };

static const uint32_t batches[] = {32, 1}, chain_lengths[] = {1, 3};

/// Row, peer, batch and chain length in one word; the key in callgrind's dumps and in ceilings.tsv.
static const char *cell_name(const char *row, const char *peer, uint32_t batch, uint32_t chain) {
  static char name[128];
  snprintf(name, sizeof name, "%s/%s/b%un%u", row, peer, batch, chain);
  return name;
}

static void count_device(const struct dev_peer *peer, uint32_t batch, uint32_t chain) {
  static struct driver driver;
  struct dev_run run = dev_begin(peer, &driver);
  dev_rounds(peer, run, 40, batch, chain);
  uint64_t allocations = allocation_count();
  CALLGRIND_ZERO_STATS;
  dev_rounds(peer, run, COUNT_CHAINS / batch, batch, chain);
  allocations = allocation_count() - allocations;
  const char *name = cell_name(peer->row, peer->name, batch, chain);
  CALLGRIND_DUMP_STATS_AT(name);
  printf("%s\t%d\t%lu\n", name, COUNT_CHAINS, (unsigned long)allocations);
}

static void count_driver(const struct drv_peer *peer, uint32_t batch, uint32_t chain) {
  struct drv_run run = drv_begin(peer);
  drv_rounds(peer, &run, 40, batch, chain);
  uint64_t allocations = allocation_count();
  CALLGRIND_ZERO_STATS;
  drv_rounds(peer, &run, COUNT_CHAINS / batch, batch, chain);
  allocations = allocation_count() - allocations;
  const char *name = cell_name(peer->row, peer->name, batch, chain);
  CALLGRIND_DUMP_STATS_AT(name);
  printf("%s\t%d\t%lu\n", name, COUNT_CHAINS, (unsigned long)allocations);
}

static void count_all(void) {
  for (int b = 0; b < 2; b++)
    for (int n = 0; n < 2; n++) {
      for (const struct dev_peer *peer = dev_peers; peer->row; peer++)
        if (peer->make && peer->chains >> chain_lengths[n] & 1)
          count_device(peer, batches[b], chain_lengths[n]);
      for (const struct drv_peer *peer = drv_peers; peer->row; peer++)
        if (peer->make && peer->chains >> chain_lengths[n] & 1)
          count_driver(peer, batches[b], chain_lengths[n]);
    }
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "count")) {
    count_all();
    count_worst();
    count_scmi();
  } else if (argc > 2 && !strcmp(argv[1], "time")) time_peers(atoi(argv[2]));
  else if (argc > 2 && !strcmp(argv[1], "copy")) copy_payloads(atoi(argv[2]));
  else if (argc > 2 && !strcmp(argv[1], "pair")) pair_peers((uint32_t)atoi(argv[2]));
  else return 2;
  return 0;
}
