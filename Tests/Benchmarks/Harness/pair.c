// `pair`: driver and device on a core each, sharing memory as a guest and a VMM do. The C driver keeps
// `depth` chains outstanding and publishes up to 32 at a time; wall-clock ns a chain. What the machine itself
// allows is measured beside it: a round trip over two cache lines, and a one-way stream of 64-byte lines.

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "driver.h"
#include "virtio.h"

enum { LINE = 64, STREAM_LINES = 128, PUBLISH = 32 };

static int cores[2];

/// The first two processors this process may use; fewer than two means that there is nothing to measure.
static bool find_cores(void) {
  cpu_set_t set;
  int found = 0;
  if (sched_getaffinity(0, sizeof set, &set)) return false;
  for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
    if (CPU_ISSET(i, &set)) cores[found++] = i;
  return found == 2;
}

/// Starts `body` on the second core; the affinity stands in the attribute, so it never shares ours.
static pthread_t start(void *(*body)(void *), void *argument) {
  pthread_attr_t attributes;
  cpu_set_t set;
  pthread_t thread;
  CPU_ZERO(&set);
  CPU_SET(cores[1], &set);
  require(!pthread_attr_init(&attributes));
  require(!pthread_attr_setaffinity_np(&attributes, sizeof set, &set));
  require(!pthread_create(&thread, &attributes, body, argument));
  return thread;
}

static void stay_on_first_core(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cores[0], &set);
  require(!sched_setaffinity(0, sizeof set, &set));
}

// --- What the machine allows ---

static _Alignas(LINE) uint32_t ping[LINE], pong[LINE], stream[STREAM_LINES][LINE / 4];
static uint32_t exchanges;

static void *answer(void *unused) {
  for (uint32_t i = 1; i <= exchanges; i++) {
    while (__atomic_load_n(&ping[0], __ATOMIC_ACQUIRE) != i) {}
    __atomic_store_n(&pong[0], i, __ATOMIC_RELEASE);
  }
  return unused;
}

static double round_trip(uint32_t count) {
  ping[0] = pong[0] = 0;
  exchanges = count;
  pthread_t thread = start(answer, 0);
  double begin = nanoseconds();
  for (uint32_t i = 1; i <= count; i++) {
    __atomic_store_n(&ping[0], i, __ATOMIC_RELEASE);
    while (__atomic_load_n(&pong[0], __ATOMIC_ACQUIRE) != i) {}
  }
  double spent = nanoseconds() - begin;
  pthread_join(thread, 0);
  return spent / count;
}

static void *drain(void *unused) {
  for (uint32_t i = 1; i <= exchanges; i++) {
    while (__atomic_load_n(&stream[i % STREAM_LINES][0], __ATOMIC_ACQUIRE) != i) {}
    if (i % PUBLISH == 0) __atomic_store_n(&pong[0], i, __ATOMIC_RELEASE);
  }
  return unused;
}

static double one_way(uint32_t count) {
  count -= count % PUBLISH;
  memset(stream, 0, sizeof stream);
  pong[0] = 0;
  exchanges = count;
  pthread_t thread = start(drain, 0);
  double begin = nanoseconds();
  for (uint32_t i = 1; i <= count; i++) {
    if (i % PUBLISH == 0)
      while (i - __atomic_load_n(&pong[0], __ATOMIC_ACQUIRE) >= STREAM_LINES) {}
    __atomic_store_n(&stream[i % STREAM_LINES][0], i, __ATOMIC_RELEASE);
  }
  while (__atomic_load_n(&pong[0], __ATOMIC_ACQUIRE) != count) {}
  double spent = nanoseconds() - begin;
  pthread_join(thread, 0);
  return spent / count;
}

// --- Peers ---

struct serving {
  const struct dev_peer *peer;
  void *device;
  uint64_t sum;
  uint32_t total;
};

static void *serve(void *argument) {
  struct serving *serving = argument;
  uint32_t done = 0;
  while (done < serving->total)
    done += serving->peer->service(serving->device, PUBLISH, &serving->sum);
  return 0;
}

static double pair(const struct dev_peer *peer, uint32_t depth, uint32_t chain, uint32_t total) {
  static struct driver driver;
  struct dev_run run = dev_begin(peer, &driver);
  struct serving serving = {peer, run.device, 0, total};
  uint64_t expected = 0, written = 0;
  uint32_t submitted = 0, done = 0;
  pthread_t thread = start(serve, &serving);
  double begin = nanoseconds();
  while (done < total) {
    uint32_t batch = depth - (submitted - done), left = total - submitted;
    if (batch > PUBLISH) batch = PUBLISH;
    if (batch > left) batch = left;
    if (batch > 0) driver_fill(&driver, batch, chain, &expected);
    submitted += batch;
    done += driver_take(&driver, chain, &written);
  }
  double spent = nanoseconds() - begin;
  pthread_join(thread, 0);
  require(serving.sum == expected && written == (uint64_t)total * bench_written(chain));
  return spent / total;
}

enum { REPETITIONS = 7, MAX_PEERS = 64 };

static void print(const char *name, double *samples) {
  double middle = median(samples, REPETITIONS);
  printf("%s\t%.2f\t%.2f\n", name, middle, samples[0]);
}

static bool takes_part(const struct dev_peer *peer, uint32_t chain) {
  bool whole_batch = strncmp(peer->row, "device-operations", 17) && !(peer->features & WORK_BLOCK);
  return peer->make && whole_batch && (peer->chains >> chain & 1);
}

/// Prints name, median and best. Skipped, with a note, where two cores are not to be had.
void pair_peers(uint32_t total) {
  static const struct { uint32_t depth, chain; } loads[] = {{1, 1}, {128, 1}, {64, 3}};
  static double trip[REPETITIONS], way[REPETITIONS], samples[MAX_PEERS][REPETITIONS];
  if (!find_cores()) {
    fprintf(stderr, "two cores are needed to measure a pair\n");
    return;
  }
  stay_on_first_core();
  for (int i = 0; i < REPETITIONS; i++) {
    trip[i] = round_trip(total / 4);
    way[i] = one_way(total);
  }
  print("pair/machine/round-trip", trip);
  print("pair/machine/stream", way);
  for (unsigned load = 0; load < sizeof loads / sizeof *loads; load++) {
    uint32_t depth = loads[load].depth, chain = loads[load].chain, chains = depth == 1 ? total / 4 : total;
    for (int i = 0; i < REPETITIONS; i++)
      for (const struct dev_peer *peer = dev_peers; peer->row; peer++)
        if (takes_part(peer, chain)) samples[peer - dev_peers][i] = pair(peer, depth, chain, chains);
    for (const struct dev_peer *peer = dev_peers; peer->row; peer++) {
      if (!takes_part(peer, chain)) continue;
      char name[128];
      snprintf(name, sizeof name, "pair/%s/%s/d%un%u", peer->row, peer->name, depth, chain);
      print(name, samples[peer - dev_peers]);
    }
  }
}
