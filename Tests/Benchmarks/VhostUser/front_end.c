// A vhost-user front end and driver in one, for measuring block daemons: no guest, no VMM. It shares one
// memory file, keeps a number of random reads in flight on one split ring, and polls for their end.
//
//   front_end SOCKET DEPTH REQUESTS BYTES (poll | event)
//
// poll: the driver wants no notifications and looks at the used index; event: it sleeps on an eventfd until a
// used buffer notification comes. Prints the time of a request in nanoseconds.

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ring_size = 256, sectors_of_disk = 1 << 21, memory_size = 64 << 20 };
enum { get_features = 1, set_features = 2, set_owner = 3, set_memory_table = 5, set_ring_size = 8,
       set_ring_addresses = 9, set_ring_base = 10, set_ring_kick = 12, set_ring_call = 13,
       get_protocol_features = 15, set_protocol_features = 16, set_ring_enable = 18 };

static const uint64_t has_protocol = 1ull << 30, event_index = 1ull << 29, version_1 = 1ull << 32;

struct descriptor { uint64_t address; uint32_t length; uint16_t flags, next; };
struct used { uint32_t id, length; };

static struct {
  struct descriptor table[ring_size];
  struct { uint16_t flags, index, ring[ring_size], used_event; } available;
  char gap[4096];
  struct { uint16_t flags, index; struct used ring[ring_size]; uint16_t available_event; } used;
  struct { uint32_t type, reserved; uint64_t sector; } header[ring_size];
  uint8_t status[ring_size];
} *shared;

static int connection, kick, call;

static void check(int good, const char *what) {
  if (good) return;
  fprintf(stderr, "front_end: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void send_message(uint32_t request, const void *payload, uint32_t size, int fd) {
  struct { uint32_t request, flags, size; char payload[256]; } message = {request, 1, size, {0}};
  union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control = {0};
  if (size > 0) memcpy(message.payload, payload, size);
  struct iovec vector = {&message, 12 + size};
  struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
  if (fd >= 0) {
    header.msg_control = &control;
    header.msg_controllen = sizeof control;
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  check(sendmsg(connection, &header, 0) == (ssize_t)(12 + size), "send");
}

static uint64_t ask(uint32_t request) {
  struct { uint32_t request, flags, size; uint32_t low, high; } reply;
  send_message(request, NULL, 0, -1);
  check(recv(connection, &reply, sizeof reply, MSG_WAITALL) == sizeof reply, "receive");
  return reply.low | (uint64_t)reply.high << 32;
}

static void set_up(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  connection = socket(AF_UNIX, SOCK_STREAM, 0);
  check(connect(connection, (struct sockaddr *)&address, sizeof address) == 0, path);
  int memory = memfd_create("guest", 0);
  check(ftruncate(memory, memory_size) == 0, "memory");
  shared = mmap(NULL, memory_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  check(shared != MAP_FAILED, "mmap");
  uint64_t base = (uintptr_t)shared, features = ask(get_features);
  check((features & (version_1 | event_index)) == (version_1 | event_index), "features");
  features &= version_1 | event_index | has_protocol;
  send_message(set_owner, NULL, 0, -1);
  if (features & has_protocol) {
    uint64_t none = ask(get_protocol_features) & 0;
    send_message(set_protocol_features, &none, sizeof none, -1);
  }
  send_message(set_features, &features, sizeof features, -1);
  uint64_t table[] = {1, 0, memory_size, base, 0};
  send_message(set_memory_table, table, sizeof table, memory);
  uint32_t size[] = {0, ring_size}, start[] = {0, 0}, on[] = {0, 1};
  send_message(set_ring_size, size, sizeof size, -1);
  send_message(set_ring_base, start, sizeof start, -1);
  uint64_t areas[] = {
      0, (uintptr_t)shared->table, (uintptr_t)&shared->used, (uintptr_t)&shared->available, 0};
  send_message(set_ring_addresses, areas, sizeof areas, -1);
  uint64_t ring = 0;
  send_message(set_ring_call, &ring, sizeof ring, call = eventfd(0, 0));
  send_message(set_ring_kick, &ring, sizeof ring, kick = eventfd(0, 0));
  if (features & has_protocol) send_message(set_ring_enable, on, sizeof on, -1);
}

// Three descriptors for each slot: header, data, status. Data lies behind the rings.
static void prepare(int slot, uint32_t bytes) {
  uint64_t base = (uintptr_t)shared;
  struct descriptor *d = &shared->table[3 * slot];
  d[0] = (struct descriptor){(uintptr_t)&shared->header[slot] - base, 16, 1, (uint16_t)(3 * slot + 1)};
  d[1] = (struct descriptor){(1 << 20) + (uint64_t)slot * bytes, bytes, 3, (uint16_t)(3 * slot + 2)};
  d[2] = (struct descriptor){(uintptr_t)&shared->status[slot] - base, 1, 2, 0};
}

static void submit(int slot, uint32_t bytes) {
  static uint64_t state = 88172645463325252ull;
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  shared->header[slot].sector = state % (sectors_of_disk - bytes / 512) & ~7ull;
  shared->status[slot] = 0xff;
  uint16_t index = shared->available.index;
  shared->available.ring[index % ring_size] = (uint16_t)(3 * slot);
  __atomic_store_n(&shared->available.index, index + 1, __ATOMIC_RELEASE);
}

// Tells the device of what was made available since `from`, if it wants to know.
static void notify(uint16_t from) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  uint16_t now = shared->available.index;
  uint16_t event = __atomic_load_n(&shared->used.available_event, __ATOMIC_RELAXED);
  if ((uint16_t)(now - event - 1) >= (uint16_t)(now - from)) return;
  uint64_t one = 1;
  check(write(kick, &one, sizeof one) == sizeof one, "kick");
}

int main(int count, char **words) {
  if (count != 6) return 2;
  int depth = atoi(words[2]), is_event = strcmp(words[5], "event") == 0;
  long requests = atol(words[3]), begun = 0, done = 0;
  uint32_t bytes = (uint32_t)atoi(words[4]);
  set_up(words[1]);
  for (int slot = 0; slot < depth; slot++) prepare(slot, bytes);
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  uint16_t seen = 0;
  // Half a ring behind: never reached while polling.
  shared->available.used_event = is_event ? 0 : 0x8000;
  for (; begun < depth; begun++) submit((int)begun, bytes);
  notify(0);
  while (done < requests) {
    uint16_t used = __atomic_load_n(&shared->used.index, __ATOMIC_ACQUIRE);
    if (used == seen && is_event) {
      shared->available.used_event = seen;
      __atomic_thread_fence(__ATOMIC_SEQ_CST);
      // The daemon may have made the descriptor one that does not block.
      struct pollfd waiting = {call, POLLIN, 0};
      uint64_t events;
      if (__atomic_load_n(&shared->used.index, __ATOMIC_ACQUIRE) == seen && poll(&waiting, 1, 20000) == 1)
        check(read(call, &events, sizeof events) == sizeof events, "call");
      continue;
    }
    uint16_t from = shared->available.index;
    for (; seen != used; seen++, done++) {
      int slot = (int)shared->used.ring[seen % ring_size].id / 3;
      check(shared->status[slot] == 0, "a request failed");
      if (begun < requests) submit(slot, bytes), begun++;
    }
    if (!is_event) shared->available.used_event = (uint16_t)(seen + 0x8000);
    if (shared->available.index != from) notify(from);
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%.1f\n", ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / (double)requests);
}
