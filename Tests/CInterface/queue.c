/* SPDX-License-Identifier: Apache-2.0
 * The C interface as an embedder uses it: C99, also compiled as C++; run under a sanitizer too.
 * A driver written here by hand puts buffers on a split ring; the library serves them. */
#include "vireo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE 8u
#define GUEST UINT64_C(0x10000)
#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);         \
      exit(1);                                                                \
    }                                                                         \
    checks++;                                                                 \
  } while (0)

static unsigned checks;
static unsigned char memory[8192] __attribute__((aligned(4096)));
static unsigned char second[64] __attribute__((aligned(16)));

enum { DESCRIPTORS = 0, AVAILABLE = 1024, USED = 2048, DATA = 4096 };

static void put16(unsigned offset, unsigned value) {
  memory[offset] = (unsigned char)value;
  memory[offset + 1] = (unsigned char)(value >> 8);
}

static unsigned get16(unsigned offset) { return memory[offset] | (unsigned)memory[offset + 1] << 8; }

static void put_descriptor(unsigned index, uint64_t address, uint32_t length, unsigned flags, unsigned next) {
  unsigned at = DESCRIPTORS + 16 * index, i;
  for (i = 0; i < 8; i++) memory[at + i] = (unsigned char)(address >> (8 * i));
  for (i = 0; i < 4; i++) memory[at + 8 + i] = (unsigned char)(length >> (8 * i));
  put16(at + 12, flags);
  put16(at + 14, next);
}

static void make_available(unsigned head) {
  unsigned index = get16(AVAILABLE + 2);
  put16(AVAILABLE + 4 + 2 * (index % SIZE), head);
  put16(AVAILABLE + 2, index + 1);
}

static vireo_status ready(vireo_queue *queue) {
  memset(memory, 0, sizeof memory);
  return vireo_queue_make_ready(queue, SIZE, GUEST + DESCRIPTORS, GUEST + AVAILABLE, GUEST + USED,
                                VIREO_F_VERSION_1);
}

/* A request of 4 readable and 4 writable bytes is answered, in place. */
static void serve(vireo_queue *queue) {
  vireo_buffer buffer = {{0}};
  vireo_element readable, writable, none;
  CHECK(ready(queue) == VIREO_OK);
  memcpy(memory + DATA, "ping", 4);
  put_descriptor(3, GUEST + DATA, 4, 1, 5);
  put_descriptor(5, GUEST + DATA + 64, 4, 2, 0);
  make_available(3);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_OK);
  CHECK(vireo_buffer_next(queue, &buffer, &readable) == VIREO_OK);
  CHECK(readable.device_writable == 0 && readable.byte_count == 4 && readable.host == memory + DATA);
  CHECK(vireo_buffer_next(queue, &buffer, &writable) == VIREO_OK);
  CHECK(writable.device_writable == 1 && writable.guest_address == GUEST + DATA + 64);
  CHECK(vireo_buffer_next(queue, &buffer, &none) == VIREO_EMPTY);
  memcpy(writable.host, "pong", 4);
  CHECK(vireo_queue_use(queue, &buffer, 4) == VIREO_OK);
  CHECK(vireo_queue_use(queue, &buffer, 4) == VIREO_WRONG_STATE);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_EMPTY);
  CHECK(get16(USED + 2) == 0);
  CHECK(vireo_queue_end_service(queue) == VIREO_NOTIFY);
  CHECK(get16(USED + 2) == 1 && get16(USED + 4) == 3 && get16(USED + 8) == 4);
  CHECK(memcmp(memory + DATA + 64, "pong", 4) == 0);
}

/* The walk tells whether another element follows, through tables and other regions too. `rest` is behind the
 * memory that has the rings. */
static void walk(vireo_queue *queue, unsigned char *rest) {
  vireo_buffer buffer = {{0}};
  vireo_element element;
  unsigned i;
  CHECK(vireo_queue_make_ready(queue, SIZE, GUEST + DESCRIPTORS, GUEST + AVAILABLE, GUEST + USED,
                               VIREO_F_VERSION_1 | VIREO_F_INDIRECT_DESC) == VIREO_OK);
  memset(memory, 0, sizeof memory);
  put_descriptor(0, GUEST + DATA, 4, 1, 1);
  put_descriptor(1, GUEST + sizeof memory + 16, 5, 3, 2); /* in the second region */
  put_descriptor(2, GUEST + DATA, 6, 2, 0);
  put_descriptor(4, GUEST + DATA, 64, 4, 0); /* a table of four entries, of which three are linked */
  for (i = 0; i < 4; i++) put_descriptor(256 + i, GUEST + DATA + 100 * i, 10 + i, i < 2 ? 1 : 0, i + 1);
  make_available(0);
  make_available(4);
  make_available(2);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == -VIREO_WRONG_STATE);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_OK);
  CHECK(vireo_buffer_walk(queue, &buffer, NULL) == -VIREO_BAD_ARGUMENT);
  CHECK(vireo_buffer_walk(queue, NULL, &element) == -VIREO_BAD_ARGUMENT);
  CHECK(vireo_buffer_walk(NULL, &buffer, &element) == -VIREO_BAD_ARGUMENT);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == 1);
  CHECK(element.byte_count == 4 && element.host == memory + DATA && element.device_writable == 0);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == 1);
  CHECK(element.byte_count == 5 && element.host == rest + 16 && element.device_writable == 1);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == 0);
  CHECK(element.byte_count == 6 && element.device_writable == 1);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == -VIREO_EMPTY);
  CHECK(vireo_queue_use(queue, &buffer, 11) == VIREO_OK);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == -VIREO_WRONG_STATE);

  CHECK(vireo_queue_next(queue, &buffer) == VIREO_OK);
  for (i = 0; i < 3; i++) {
    CHECK(vireo_buffer_walk(queue, &buffer, &element) == (i < 2));
    CHECK(element.byte_count == 10 + i && element.guest_address == GUEST + DATA + 100 * i);
  }
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == -VIREO_EMPTY);
  CHECK(vireo_buffer_next(queue, &buffer, &element) == VIREO_EMPTY);
  CHECK(vireo_queue_use(queue, &buffer, 0) == VIREO_OK);

  CHECK(vireo_queue_next(queue, &buffer) == VIREO_OK);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == 0);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == -VIREO_EMPTY);
  CHECK(vireo_queue_use(queue, &buffer, 6) == VIREO_OK);
  CHECK(vireo_queue_end_service(queue) == VIREO_NOTIFY);
  CHECK(get16(USED + 2) == 3 && get16(USED + 4) == 0 && get16(USED + 12) == 4 && get16(USED + 20) == 2);
  CHECK(get16(USED + 8) == 11 && get16(USED + 24) == 6);
}

static void put_packed(unsigned index, uint32_t length, unsigned id, unsigned flags) {
  put_descriptor(index, GUEST + DATA, length, id, flags);
}

/* A packed ring behind the same calls. */
static void serve_packed(vireo_queue *queue) {
  vireo_buffer buffer = {{0}};
  vireo_element element;
  CHECK(vireo_queue_make_ready(queue, SIZE, GUEST + DESCRIPTORS, GUEST + AVAILABLE, GUEST + USED,
                               VIREO_F_VERSION_1 | VIREO_F_RING_PACKED) == VIREO_OK);
  memset(memory, 0, sizeof memory);
  put_packed(0, 7, 0, 0x81); /* available, and another one follows */
  put_packed(1, 8, 5, 0x82);
  put_packed(2, 9, 6, 0x80);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_OK);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == 1 && element.byte_count == 7);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == 0 && element.byte_count == 8);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == -VIREO_EMPTY);
  CHECK(vireo_queue_use(queue, &buffer, 8) == VIREO_OK);
  CHECK(vireo_queue_use(queue, &buffer, 8) == VIREO_WRONG_STATE);
  /* Not walked at all: the library finds its end. */
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_OK);
  CHECK(vireo_queue_use(queue, &buffer, 0) == VIREO_OK);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_EMPTY);
  CHECK(vireo_queue_end_service(queue) == VIREO_NOTIFY);
  CHECK(get16(12) == 5 && get16(14) == 0x8082 && get16(8) == 8);
  CHECK(get16(44) == 6 && get16(46) == 0x8080);
}

/* What a walk has found wrong stays so, and the buffer can still be used. */
static void end_early(vireo_queue *queue) {
  vireo_buffer buffer = {{0}};
  vireo_element element;
  CHECK(ready(queue) == VIREO_OK);
  put_descriptor(0, GUEST + DATA, 1, 1, 0); /* a loop */
  put_descriptor(1, GUEST + DATA, 1, 3, 2);
  put_descriptor(2, GUEST + DATA, 1, 0, 0);
  put_descriptor(3, GUEST + DATA, 1, 1, SIZE);
  make_available(0);
  make_available(1);
  make_available(3);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_OK);
  while (vireo_buffer_next(queue, &buffer, &element) == VIREO_OK) {}
  CHECK(vireo_buffer_next(queue, &buffer, &element) == VIREO_CHAIN_TOO_LONG);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == -VIREO_CHAIN_TOO_LONG);
  CHECK(vireo_queue_use(queue, &buffer, 0) == VIREO_OK);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_OK);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == 1);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == -VIREO_READABLE_AFTER_WRITABLE);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) < 0);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_OK);
  CHECK(vireo_buffer_walk(queue, &buffer, &element) == -VIREO_INDEX_OUT_OF_RANGE);
  CHECK(vireo_buffer_next(queue, &buffer, &element) == VIREO_INDEX_OUT_OF_RANGE);
}

/* What a hostile driver writes comes back as a status, and the queue works again after a reset. */
static void survive(vireo_queue *queue) {
  vireo_buffer buffer = {{0}};
  vireo_element element;
  vireo_status status = VIREO_OK;
  unsigned i;
  CHECK(ready(queue) == VIREO_OK);
  put_descriptor(0, GUEST + DATA, 1, 1, 0); /* a loop */
  make_available(0);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_OK);
  for (i = 0; i < 2 * SIZE && status == VIREO_OK; i++) status = vireo_buffer_next(queue, &buffer, &element);
  CHECK(status == VIREO_CHAIN_TOO_LONG && i == SIZE); /* the last that can be says that one more follows */

  CHECK(ready(queue) == VIREO_OK);
  CHECK(vireo_queue_use(queue, &buffer, 0) == VIREO_WRONG_STATE); /* from before the reset */
  put_descriptor(1, UINT64_MAX - 7, 16, 2, 0);
  make_available(1);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_OK);
  CHECK(vireo_buffer_next(queue, &buffer, &element) == VIREO_ADDRESS_OUTSIDE_MEMORY);

  CHECK(ready(queue) == VIREO_OK);
  make_available(SIZE);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_INDEX_OUT_OF_RANGE);

  CHECK(ready(queue) == VIREO_OK);
  put16(AVAILABLE + 2, SIZE + 1);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_AVAILABLE_INDEX_JUMPED);

  CHECK(vireo_queue_make_ready(queue, 3, GUEST, GUEST, GUEST, 0) == VIREO_INVALID_QUEUE_SIZE);
  CHECK(vireo_queue_make_ready(queue, SIZE, GUEST + 8, GUEST, GUEST, 0) == VIREO_MISALIGNED_RING);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_EMPTY);
  serve(queue);
}

int main(void) {
  vireo_region regions[2];
  vireo_queue *queue = NULL;
  size_t size = vireo_queue_storage_size();
  void *storage = NULL;
  vireo_buffer buffer = {{0}};
  CHECK(posix_memalign(&storage, 16, size) == 0);
  regions[0].guest_address = GUEST;
  regions[0].byte_count = sizeof memory;
  regions[0].host = memory;
  regions[1] = regions[0];
  CHECK(vireo_queue_create(storage, size, regions, 2, 256, &queue) == VIREO_BAD_ARGUMENT); /* overlap */
  CHECK(vireo_queue_create(storage, size - 1, regions, 1, 256, &queue) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_queue_create(NULL, size, regions, 1, 256, &queue) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_queue_create(storage, size, regions, 1, 0, &queue) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_queue_create(storage, size, regions, 1, 256, &queue) == VIREO_OK);
  CHECK(vireo_queue_next(queue, NULL) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_queue_next(queue, &buffer) == VIREO_EMPTY);
  CHECK(vireo_queue_use(queue, &buffer, 0) == VIREO_WRONG_STATE);
  serve(queue);
  survive(queue);
  end_early(queue);
  serve_packed(queue);
  CHECK(vireo_queue_reset(queue) == VIREO_OK);
  regions[1].guest_address = GUEST + sizeof memory;
  regions[1].byte_count = sizeof second;
  regions[1].host = second;
  CHECK(vireo_queue_create(storage, size, regions, 2, 256, &queue) == VIREO_OK);
  walk(queue, second);
  serve(queue);
  survive(queue);
  free(storage);
  printf("C interface: %u checks passed\n", checks);
  return 0;
}
