/* SPDX-License-Identifier: Apache-2.0
 * The virtio devices: four of libvireo.a's, each with a backend of a few lines. Requests of the disk end
 * later and out of order. */
#include "vmm.h"

#include "vireo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK, ENTROPY, CONSOLE, NETWORK }; /* by slot */
enum { ECHO_PORT = 1, ECHO_BYTES = 6000, STATE_BYTES = 16384, PENDING = 64 };

static struct {
  vireo_device *device;
  void *storage;
} slots[SLOT_COUNT];
static vireo_region region;
static unsigned moves, accesses;
static size_t saved_bytes;

static void must(vireo_status status, const char *what) {
  if (status != VIREO_OK) die("%s: status %d", what, (int)status);
}

/* ---- the disk */

typedef struct request {
  vireo_segment segments[VIREO_BLOCK_SEGMENTS_MAX];
  size_t count;
  uint64_t sector;
  uint32_t token;
  int is_write;
} request;

static struct {
  unsigned char *bytes;
  uint64_t sector_count;
  request requests[PENDING];
  unsigned count;
  unsigned completed;
} disk;

static void perform(const request *self) {
  unsigned char *at = disk.bytes + self->sector * 512;
  size_t i;
  for (i = 0; i < self->count; i++) {
    const vireo_segment *segment = &self->segments[i];
    if (self->is_write) memcpy(at, segment->host, segment->byte_count);
    else memcpy(segment->host, at, segment->byte_count);
    at += segment->byte_count;
  }
}

static vireo_status begin(int is_write, uint64_t sector, const vireo_segment *segments, size_t count,
                          uint32_t token) {
  request *self;
  if (disk.count == PENDING || count > sizeof self->segments / sizeof *segments) return VIREO_BUSY;
  self = &disk.requests[disk.count++];
  memcpy(self->segments, segments, count * sizeof *segments);
  self->count = count;
  self->sector = sector;
  self->token = token;
  self->is_write = is_write;
  return VIREO_PENDING;
}

static vireo_status disk_read(void *context, uint64_t sector, const vireo_segment *segments, size_t count,
                              uint32_t token) {
  (void)context;
  return begin(0, sector, segments, count, token);
}

static vireo_status disk_write(void *context, uint64_t sector, const vireo_segment *segments, size_t count,
                               int durable, uint32_t token) {
  (void)context;
  (void)durable;
  return begin(1, sector, segments, count, token);
}

static vireo_status disk_flush(void *context, uint32_t token) {
  (void)context;
  (void)token;
  return disk.count == 0 ? VIREO_OK : VIREO_BUSY;
}

/* Ends a request, the newest first. */
static void complete_one(void) {
  request *self = &disk.requests[--disk.count];
  perform(self);
  disk.completed++;
  must(vireo_block_complete(slots[BLOCK].device, self->token, VIREO_OK), "completing a request");
}

static void load_disk(const char *path) {
  FILE *file = fopen(path, "rb");
  long size;
  if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 512) die("no disk at %s", path);
  rewind(file);
  disk.sector_count = (uint64_t)size / 512;
  disk.bytes = malloc(disk.sector_count * 512);
  if (disk.bytes == NULL || fread(disk.bytes, 512, disk.sector_count, file) != disk.sector_count) {
    die("cannot read %s", path);
  }
  fclose(file);
}

/* ---- random bytes */

static uint32_t random_fill(void *context, void *bytes, uint32_t byte_count) {
  static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
  uint32_t i;
  (void)context;
  for (i = 0; i < byte_count; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    ((unsigned char *)bytes)[i] = (unsigned char)(state >> 24);
  }
  return byte_count;
}

/* ---- the console's port vireo.echo */

static struct {
  unsigned sent, returned;
  int is_open, is_wrong, is_closed;
} echo;

static unsigned char echo_byte(unsigned position) { return (unsigned char)(position * 31 + (position >> 8)); }

static uint32_t console_write(void *context, uint32_t number, const void *bytes, uint32_t byte_count) {
  uint32_t count = byte_count < 200 ? byte_count : 200, i; /* a slow reader */
  (void)context;
  if (number != ECHO_PORT) {
    fwrite(bytes, 1, byte_count, stdout);
    return byte_count;
  }
  for (i = 0; i < count; i++) {
    if (((const unsigned char *)bytes)[i] != echo_byte(echo.returned++)) echo.is_wrong = 1;
  }
  return count;
}

static int console_has_input(void *context, uint32_t number) {
  (void)context;
  return number == ECHO_PORT && echo.is_open && echo.sent < ECHO_BYTES;
}

static uint32_t console_read(void *context, uint32_t number, void *bytes, uint32_t byte_count) {
  uint32_t i;
  (void)context;
  (void)number;
  for (i = 0; i < byte_count && i < 300 && echo.sent < ECHO_BYTES; i++) {
    ((unsigned char *)bytes)[i] = echo_byte(echo.sent++);
  }
  return i;
}

static void console_open(void *context, uint32_t number, int open) {
  (void)context;
  if (number == ECHO_PORT) echo.is_open = open;
}

int echo_is_complete(void) { return echo.returned == echo.sent && !echo.is_wrong; }

/* ---- a link to nowhere: frames are counted */

static unsigned frames;

static vireo_status link_transmit(void *context, const vireo_segment *segments, size_t count,
                                  const vireo_network_offload *offload) {
  (void)context;
  (void)segments;
  (void)count;
  (void)offload;
  frames++;
  return VIREO_OK;
}

static int link_waiting(void *context, vireo_network_frame *frame) {
  (void)context;
  (void)frame;
  return 0;
}

static vireo_status link_receive(void *context, const vireo_segment *segments, size_t count) {
  (void)context;
  (void)segments;
  (void)count;
  return VIREO_IO_ERROR;
}

static void link_drop(void *context) { (void)context; }

/* ---- the slots */

static void drive_line(void *context, int asserted) {
  interrupt_line(SLOT_INTERRUPT + (uint32_t)(uintptr_t)context, asserted);
}

static void *storage_of(size_t size) {
  void *storage = NULL;
  if (posix_memalign(&storage, vireo_device_align(), size) != 0) die("no memory");
  return storage;
}

/* Makes the device of one slot, in storage of its own. */
static void make_device(unsigned slot) {
  vireo_device_settings common = {.struct_size = sizeof common,
                                  .regions = &region,
                                  .region_count = 1,
                                  .interrupt = drive_line,
                                  .interrupt_context = (void *)(uintptr_t)slot};
  vireo_block_settings block = {.struct_size = sizeof block,
                                .sector_count = disk.sector_count,
                                .identifier = "a disk in memory",
                                .read = disk_read,
                                .write = disk_write,
                                .flush = disk_flush};
  vireo_entropy_settings entropy = {.struct_size = sizeof entropy, .fill = random_fill};
  vireo_console_settings console = {.struct_size = sizeof console,
                                    .flags = VIREO_CONSOLE_MULTIPORT,
                                    .columns = 80,
                                    .rows = 25,
                                    .write = console_write,
                                    .has_input = console_has_input,
                                    .read = console_read,
                                    .driver_open = console_open};
  vireo_network_settings network = {.struct_size = sizeof network,
                                    .mac = {2, 0, 0, 0, 0, 1},
                                    .transmit = link_transmit,
                                    .waiting = link_waiting,
                                    .receive = link_receive,
                                    .drop = link_drop};
  vireo_device **device = &slots[slot].device;
  void **storage = &slots[slot].storage;
  switch (slot) {
  case BLOCK:
    *storage = storage_of(vireo_block_size());
    must(vireo_block_create(*storage, vireo_block_size(), &common, &block, device), "block");
    break;
  case ENTROPY:
    *storage = storage_of(vireo_entropy_size());
    must(vireo_entropy_create(*storage, vireo_entropy_size(), &common, &entropy, device), "entropy");
    break;
  case CONSOLE:
    *storage = storage_of(vireo_console_size());
    must(vireo_console_create(*storage, vireo_console_size(), &common, &console, device), "console");
    must(vireo_console_add_port(*device, ECHO_PORT, "vireo.echo", echo.is_closed ? VIREO_PORT_CLOSED : 0),
         "the port");
    break;
  case NETWORK:
    *storage = storage_of(vireo_network_size());
    must(vireo_network_create(*storage, vireo_network_size(), &common, &network, device), "network");
    break;
  }
}

void make_devices(void *ram, const char *disk_path) {
  unsigned slot;
  load_disk(disk_path);
  region.guest_address = RAM_BASE;
  region.byte_count = RAM_SIZE;
  region.host = ram;
  for (slot = 0; slot < SLOT_COUNT; slot++) make_device(slot);
}

/* Serves a device until it has no more work: what a notification leaves beyond its budget. */
static void finish(unsigned slot) {
  int more;
  do must(vireo_device_run(slots[slot].device, &more), "run");
  while (more);
}

uint64_t slot_read(unsigned slot, uint64_t offset, unsigned size) {
  uint64_t value;
  must(vireo_device_read(slots[slot].device, offset, size, &value), "read");
  return value;
}

void slot_write(unsigned slot, uint64_t offset, unsigned size, uint64_t value) {
  /* Every so often the guest finds itself on new devices. */
  if (++accesses % 64 == 0) move_devices();
  must(vireo_device_write(slots[slot].device, offset, size, value), "write");
  finish(slot);
}

int devices_progress(void) {
  unsigned before = echo.sent + echo.returned, slot;
  int had_work = disk.count != 0;
  if (disk.count != 0) complete_one();
  if (echo.returned == ECHO_BYTES && !echo.is_closed) {
    echo.is_closed = had_work = 1;
    must(vireo_console_set_open(slots[CONSOLE].device, ECHO_PORT, 0), "closing the port");
  }
  for (slot = 0; slot < SLOT_COUNT; slot++) {
    must(vireo_device_poll(slots[slot].device), "poll");
    finish(slot);
  }
  return had_work || echo.sent + echo.returned != before;
}

void move_devices(void) {
  static unsigned char bytes[STATE_BYTES];
  unsigned slot;
  for (slot = 0; slot < SLOT_COUNT; slot++) {
    void *old = slots[slot].storage;
    size_t size = 0;
    vireo_status status;
    while ((status = vireo_device_save(slots[slot].device, bytes, sizeof bytes, &size)) == VIREO_BUSY) {
      if (disk.count == 0) return; /* a reset or suspension that is under way ends by itself */
      complete_one();
    }
    must(status, "save");
    saved_bytes += size;
    interrupt_line(SLOT_INTERRUPT + slot, 0);
    make_device(slot);
    memset(old, 0xdb, 64);
    free(old);
    must(vireo_device_restore(slots[slot].device, bytes, size), "restore");
    finish(slot);
  }
  moves++;
}

void report_devices(void) {
  printf("vmm: %u requests of the disk ended late, %u of %u bytes came back, %u frames went out, "
         "the devices moved %u times (%zu bytes)\n",
         disk.completed, echo.returned, echo.sent, frames, moves, saved_bytes);
}
