/* SPDX-License-Identifier: Apache-2.0
 * The block device of vireo.h, as a VMM uses it: C99, also compiled as C++. The disk is in memory, and ends
 * its requests when and how the test says. */
#include "driver.h"

enum { SECTORS = 64, HEADER = DATA, PAYLOAD = DATA + 0x1000, RESULT = DATA + 0x8000, REQUESTS = 8 };
enum { READ = 0, WRITE = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };
enum { DONE = 0, FAILED = 1, UNSUPPORTED = 2, UNTOUCHED = 0xee };

typedef struct pending {
  int is_write;
  uint64_t sector;
  vireo_segment segments[4];
  size_t count;
  uint32_t token;
} pending;

typedef struct disk {
  unsigned char bytes[SECTORS * 512];
  vireo_status answer; /* what every function returns */
  pending requests[REQUESTS];
  unsigned count;      /* of `requests` */
  unsigned flushes, durables, cancelled;
  uint32_t last_flags;
} disk;

static void move_data(disk *self, const pending *request) {
  unsigned char *at = self->bytes + request->sector * 512;
  size_t i;
  for (i = 0; i < request->count; i++) {
    const vireo_segment *segment = &request->segments[i];
    if (request->is_write) {
      memcpy(at, segment->host, segment->byte_count);
    } else {
      memcpy(segment->host, at, segment->byte_count);
    }
    at += segment->byte_count;
  }
}

static vireo_status begin(disk *self, int is_write, uint64_t sector, const vireo_segment *segments,
                          size_t count, uint32_t token) {
  pending request;
  size_t i, total = 0;
  CHECK(count <= 4);
  memset(&request, 0, sizeof request);
  request.is_write = is_write;
  request.sector = sector;
  request.count = count;
  request.token = token;
  for (i = 0; i < count; i++) {
    request.segments[i] = segments[i];
    total += segments[i].byte_count;
  }
  CHECK(total % 512 == 0 && sector + total / 512 <= SECTORS);
  if (self->answer == VIREO_OK) move_data(self, &request);
  if (self->answer == VIREO_PENDING) {
    CHECK(self->count < REQUESTS);
    self->requests[self->count++] = request;
  }
  return self->answer;
}

static vireo_status disk_read(void *context, uint64_t sector, const vireo_segment *segments, size_t count,
                              uint32_t token) {
  return begin((disk *)context, 0, sector, segments, count, token);
}

static vireo_status disk_write(void *context, uint64_t sector, const vireo_segment *segments, size_t count,
                               int durable, uint32_t token) {
  disk *self = (disk *)context;
  if (durable) self->durables++;
  return begin(self, 1, sector, segments, count, token);
}

static vireo_status disk_flush(void *context, uint32_t token) {
  disk *self = (disk *)context;
  (void)token;
  self->flushes++;
  return VIREO_OK;
}

static vireo_status disk_discard(void *context, const vireo_block_range *ranges, size_t count,
                                 uint32_t token) {
  disk *self = (disk *)context;
  size_t i;
  (void)token;
  for (i = 0; i < count; i++) memset(self->bytes + ranges[i].sector * 512, 0, ranges[i].sector_count * 512);
  self->last_flags = ranges[count - 1].flags;
  return VIREO_OK;
}

static vireo_status disk_zero(void *context, const vireo_block_range *ranges, size_t count, int durable,
                              uint32_t token) {
  (void)durable;
  return disk_discard(context, ranges, count, token);
}

static void disk_cancel(void *context, uint32_t token) {
  (void)token;
  ((disk *)context)->cancelled++;
}

typedef struct machine {
  vireo_region region;
  line wire;
  driver guest;
  void *storage;
} machine;

static vireo_block_settings disk_settings(disk *self) {
  vireo_block_settings settings;
  memset(&settings, 0, sizeof settings);
  settings.struct_size = sizeof settings;
  settings.context = self;
  settings.sector_count = SECTORS;
  settings.queue_count = 2;
  memcpy(settings.identifier, "twenty letters-of-id", 20);
  settings.read = disk_read;
  settings.write = disk_write;
  settings.flush = disk_flush;
  settings.discard = disk_discard;
  settings.write_zeroes = disk_zero;
  settings.cancel = disk_cancel;
  return settings;
}

static void make(machine *self, disk *storage, unsigned char *ram) {
  vireo_device_settings common;
  vireo_block_settings settings = disk_settings(storage), bad;
  memset(self, 0, sizeof *self);
  common = common_settings(&self->region, ram, &self->wire);
  self->storage = aligned(vireo_block_size());
  self->guest.ram = ram;
#define REFUSED(field, value)                                                                                \
  bad = settings;                                                                                            \
  bad.field = value;                                                                                         \
  CHECK(vireo_block_create(self->storage, vireo_block_size(), &common, &bad, &self->guest.device) ==         \
        VIREO_BAD_ARGUMENT)
  REFUSED(struct_size, sizeof settings - 1);
  REFUSED(sector_count, UINT64_MAX);
  REFUSED(block_size, 513);
  REFUSED(block_size, 256);
  REFUSED(queue_count, 9);
  REFUSED(flags, 2);
  REFUSED(read, NULL);
  REFUSED(write, NULL);
  OK(vireo_block_create(self->storage, vireo_block_size(), &common, &settings, &self->guest.device));
}

/* Sends request `n` with header and status in pieces of their own, `byte_count` bytes of data. */
static void request(driver *guest, unsigned queue, unsigned n, unsigned type, uint64_t sector,
                    uint32_t byte_count) {
  unsigned header = HEADER + 16 * n, data = PAYLOAD + 0x1000 * n, result = RESULT + n;
  piece pieces[3];
  unsigned count = 0;
  store(guest, header, 8, type);
  store(guest, header + 8, 8, sector);
  store(guest, result, 1, UNTOUCHED);
  pieces[count].offset = header;
  pieces[count].byte_count = 16;
  pieces[count++].device_writable = 0;
  if (byte_count != 0) {
    pieces[count].offset = data;
    pieces[count].byte_count = byte_count;
    pieces[count++].device_writable = type == READ || type == GET_ID;
  }
  pieces[count].offset = result;
  pieces[count].byte_count = 1;
  pieces[count++].device_writable = 1;
  submit(guest, queue, 3 * n % 12, pieces, count);
}

static unsigned result(driver *guest, unsigned n) { return guest->ram[RESULT + n]; }
static unsigned char *data(driver *guest, unsigned n) { return guest->ram + PAYLOAD + 0x1000 * n; }

/* Requests that end at once. */
static void serve(machine *self, disk *storage) {
  driver *guest = &self->guest;
  storage->answer = VIREO_OK;
  storage->durables = 0;
  start(guest, UINT64_C(0xffffff), 2);
  CHECK(get(guest, DEVICE_ID) == 2);
  CHECK(get(guest, CONFIGURATION) == SECTORS && get(guest, CONFIGURATION + 4) == 0);
  memset(data(guest, 0), 0x77, 1024);
  request(guest, 0, 0, WRITE, 3, 1024);
  expect_used(guest, 0, 0, 1);
  CHECK(result(guest, 0) == DONE && storage->bytes[3 * 512] == 0x77 && storage->bytes[5 * 512 - 1] == 0x77);
  memset(data(guest, 1), 0, 1024);
  request(guest, 1, 1, READ, 4, 512);
  expect_used(guest, 1, 3, 513);
  CHECK(result(guest, 1) == DONE && data(guest, 1)[511] == 0x77 && data(guest, 1)[512] == 0);
  request(guest, 0, 0, FLUSH, 0, 0);
  expect_used(guest, 0, 0, 1);
  CHECK(result(guest, 0) == DONE && storage->flushes != 0);
  request(guest, 0, 0, GET_ID, 0, 20);
  expect_used(guest, 0, 0, 21);
  CHECK(memcmp(data(guest, 0), "twenty letters-of-id", 20) == 0);
  store(guest, PAYLOAD, 8, 3);
  store(guest, PAYLOAD + 8, 4, 1);
  store(guest, PAYLOAD + 12, 4, VIREO_BLOCK_UNMAP);
  request(guest, 0, 0, WRITE_ZEROES, 0, 16);
  expect_used(guest, 0, 0, 1);
  CHECK(result(guest, 0) == DONE && storage->bytes[3 * 512] == 0 && storage->bytes[4 * 512] == 0x77);
  CHECK(storage->last_flags == VIREO_BLOCK_UNMAP);
  store(guest, PAYLOAD + 12, 4, 0);
  request(guest, 0, 0, DISCARD, 0, 16);
  expect_used(guest, 0, 0, 1);
  CHECK(result(guest, 0) == DONE);
  /* Beyond the end, a part of a sector, and what nobody offered: refused without asking the disk. */
  request(guest, 0, 0, READ, SECTORS, 512);
  expect_used(guest, 0, 0, 513);
  CHECK(result(guest, 0) == FAILED);
  request(guest, 0, 0, WRITE, 0, 100);
  expect_used(guest, 0, 0, 1);
  CHECK(result(guest, 0) == FAILED);
  request(guest, 0, 0, 14, 0, 16);
  expect_used(guest, 0, 0, 1);
  CHECK(result(guest, 0) == UNSUPPORTED);
  storage->answer = VIREO_IO_ERROR;
  request(guest, 0, 0, READ, 0, 512);
  expect_used(guest, 0, 0, 513);
  CHECK(result(guest, 0) == FAILED);
  storage->answer = VIREO_UNSUPPORTED;
  request(guest, 0, 0, WRITE, 0, 512);
  expect_used(guest, 0, 0, 1);
  CHECK(result(guest, 0) == UNSUPPORTED);
  CHECK(storage->durables == 0);
  put(guest, INTERRUPT_ACK, 3);
  OK(vireo_block_resize(guest->device, SECTORS / 2));
  OK(vireo_device_poll(guest->device));
  CHECK(get(guest, CONFIGURATION) == SECTORS / 2 && get(guest, INTERRUPT_STATUS) == 2);
  OK(vireo_block_resize(guest->device, SECTORS));
  OK(vireo_device_poll(guest->device));
  CHECK(vireo_block_resize(guest->device, UINT64_MAX) == VIREO_BAD_ARGUMENT);
}

/* Requests that end later, in another order; every wrong completion is refused. */
static void complete_later(machine *self, disk *storage) {
  driver *guest = &self->guest;
  unsigned n;
  storage->answer = VIREO_PENDING;
  storage->count = 0;
  storage->durables = 0;
  start(guest, 0, 1);
  for (n = 0; n < 4; n++) {
    memset(data(guest, n), (int)n + 1, 512);
    request(guest, 0, n, WRITE, 10 + n, 512);
  }
  expect_nothing(guest, 0);
  CHECK(storage->count == 4 && storage->durables == 4); /* without FLUSH every write is durable */
  CHECK(vireo_block_complete(guest->device, storage->requests[2].token ^ 0x100, VIREO_OK) ==
        VIREO_UNKNOWN_TOKEN);
  CHECK(vireo_block_complete(guest->device, 0xffffffff, VIREO_OK) == VIREO_UNKNOWN_TOKEN);
  CHECK(vireo_block_complete(guest->device, 63, VIREO_OK) == VIREO_UNKNOWN_TOKEN);
  move_data(storage, &storage->requests[2]);
  OK(vireo_block_complete(guest->device, storage->requests[2].token, VIREO_OK));
  CHECK(vireo_block_complete(guest->device, storage->requests[2].token, VIREO_OK) == VIREO_UNKNOWN_TOKEN);
  OK(vireo_block_complete(guest->device, storage->requests[0].token, VIREO_IO_ERROR));
  expect_nothing(guest, 0);
  CHECK(self->wire.level == 0);
  OK(vireo_device_poll(guest->device));
  CHECK(self->wire.level == 1);
  CHECK(vireo_block_complete(guest->device, storage->requests[2].token, VIREO_OK) == VIREO_UNKNOWN_TOKEN);
  CHECK(result(guest, 0) == FAILED && result(guest, 2) == DONE);
  CHECK(result(guest, 1) == UNTOUCHED && result(guest, 3) == UNTOUCHED);
  for (n = 0; n < 2; n++) {
    unsigned head;
    uint32_t length;
    CHECK(take_used(guest, 0, &head, &length) && length == 1 && (head == 0 || head == 6));
  }
  expect_nothing(guest, 0);

  /* A disk without room is asked again, and loses nothing. */
  storage->answer = VIREO_BUSY;
  request(guest, 0, 0, READ, 12, 512);
  expect_nothing(guest, 0);
  storage->answer = VIREO_OK;
  OK(vireo_device_poll(guest->device));
  expect_used(guest, 0, 0, 513);
  CHECK(data(guest, 0)[0] == 3);

  /* A reset waits for what is under way. */
  storage->cancelled = 0;
  CHECK(vireo_device_reset(guest->device) == VIREO_BUSY);
  CHECK(storage->cancelled == 2 && get(guest, STATUS) != 0);
  OK(vireo_block_complete(guest->device, storage->requests[1].token, VIREO_IO_ERROR));
  CHECK(get(guest, STATUS) != 0);
  OK(vireo_block_complete(guest->device, storage->requests[3].token, VIREO_OK));
  OK(vireo_device_poll(guest->device));
  CHECK(get(guest, STATUS) == 0 && result(guest, 1) == UNTOUCHED);
  expect_nothing(guest, 0);
}

/* Saved with requests under way and others in the ring, continued by another device: all of them are
 * answered, each once. */
static void move(machine *self, disk *storage, unsigned char *ram) {
  driver *guest = &self->guest;
  unsigned char bytes[4096];
  size_t size = 0;
  machine other;
  unsigned n;
  memset(storage->bytes, 0, sizeof storage->bytes);
  storage->answer = VIREO_PENDING;
  storage->count = 0;
  start(guest, VIREO_F_IN_ORDER, 1);
  for (n = 0; n < 2; n++) {
    memset(data(guest, n), (int)n + 1, 512);
    request(guest, 0, n, WRITE, n, 512);
  }
  OK(vireo_device_defer(guest->device, 1)); /* these stay in the ring */
  for (n = 2; n < 4; n++) {
    memset(data(guest, n), (int)n + 1, 512);
    request(guest, 0, n, WRITE, n, 512);
  }
  CHECK(vireo_device_save(guest->device, bytes, sizeof bytes, &size) == VIREO_BUSY && size == 0);
  for (n = 2; n-- != 0;) {
    move_data(storage, &storage->requests[n]);
    OK(vireo_block_complete(guest->device, storage->requests[n].token, VIREO_OK));
  }
  OK(vireo_device_save(guest->device, bytes, sizeof bytes, &size));

  make(&other, storage, ram);
  OK(vireo_device_restore(other.guest.device, bytes, size));
  memcpy(other.guest.available, guest->available, sizeof guest->available);
  memcpy(other.guest.used, guest->used, sizeof guest->used);
  memset(self->storage, 0xdd, vireo_block_size()); /* the first device is gone */
  storage->answer = VIREO_OK;
  CHECK(other.wire.level == 1);
  expect_used(&other.guest, 0, 0, 1);
  expect_used(&other.guest, 0, 3, 1);
  expect_nothing(&other.guest, 0);
  OK(vireo_device_run(other.guest.device, NULL));
  expect_used(&other.guest, 0, 6, 1);
  expect_used(&other.guest, 0, 9, 1);
  expect_nothing(&other.guest, 0);
  for (n = 0; n < 4; n++) CHECK(storage->bytes[n * 512] == n + 1 && result(&other.guest, n) == DONE);
  abuse_restore(&other.guest, bytes, size);
  abuse_registers(&other.guest);
  serve(&other, storage);
  free(other.storage);
}

/* A call that needs another type of device is refused. */
static void refuse_strangers(machine *self) {
  CHECK(vireo_console_resize(self->guest.device, 0, 1, 1) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_network_set_link(self->guest.device, 1) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_block_complete(NULL, 0, VIREO_OK) == VIREO_BAD_ARGUMENT);
}

int main(void) {
  static disk storage;
  machine self;
  unsigned char *ram = (unsigned char *)aligned(RAM_SIZE);
  make(&self, &storage, ram);
  refuse_strangers(&self);
  serve(&self, &storage);
  complete_later(&self, &storage);
  move(&self, &storage, ram);
  free(self.storage);
  free(ram);
  printf("block device: %u checks passed\n", checks);
  return 0;
}
