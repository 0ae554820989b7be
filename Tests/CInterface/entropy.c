/* SPDX-License-Identifier: Apache-2.0
 * The entropy device of vireo.h, as a VMM uses it: C99, also compiled as C++. */
#include "driver.h"

/* A source that counts, and runs dry. */
typedef struct source {
  uint32_t left;
  unsigned char next;
  vireo_device *reentered; /* called from within the callback, which must be refused */
} source;

static uint32_t fill(void *context, void *bytes, uint32_t byte_count) {
  source *self = (source *)context;
  unsigned char *target = (unsigned char *)bytes;
  uint32_t count = byte_count < self->left ? byte_count : self->left, i;
  if (self->reentered != NULL) CHECK(vireo_device_poll(self->reentered) == VIREO_WRONG_STATE);
  for (i = 0; i < count; i++) target[i] = self->next++;
  self->left -= count;
  return count;
}

/* Claims more than there is room for. */
static uint32_t boast(void *context, void *bytes, uint32_t byte_count) {
  (void)context;
  memset(bytes, 0x5a, byte_count);
  return UINT32_MAX;
}

typedef struct machine {
  unsigned char *ram;
  vireo_region region;
  line wire;
  source random;
  driver guest;
  void *storage;
} machine;

static void make(machine *self, vireo_entropy_function *function, unsigned char *ram) {
  vireo_device_settings common;
  vireo_entropy_settings settings;
  memset(self, 0, sizeof *self);
  self->ram = ram;
  common = common_settings(&self->region, ram, &self->wire);
  memset(&settings, 0, sizeof settings);
  settings.struct_size = sizeof settings;
  settings.fill = function;
  settings.context = &self->random;
  self->storage = aligned(vireo_entropy_size());
  self->guest.ram = ram;
  OK(vireo_entropy_create(self->storage, vireo_entropy_size(), &common, &settings, &self->guest.device));
}

static void refuse_arguments(void) {
  unsigned char *ram = (unsigned char *)aligned(RAM_SIZE);
  void *storage = aligned(vireo_entropy_size() + 64);
  size_t size = vireo_entropy_size();
  vireo_region region;
  line wire = {0, 0};
  source random = {0, 0, NULL};
  vireo_device_settings common = common_settings(&region, ram, &wire), bad;
  vireo_entropy_settings settings, without;
  vireo_device *device = NULL;
  uint64_t value;
  memset(&settings, 0, sizeof settings);
  settings.struct_size = sizeof settings;
  settings.fill = fill;
  settings.context = &random;
#define REFUSED(call) CHECK((call) == VIREO_BAD_ARGUMENT)
  REFUSED(vireo_entropy_create(NULL, size, &common, &settings, &device));
  REFUSED(vireo_entropy_create(storage, size - 1, &common, &settings, &device));
  REFUSED(vireo_entropy_create((char *)storage + 8, size, &common, &settings, &device));
  REFUSED(vireo_entropy_create(storage, size, NULL, &settings, &device));
  REFUSED(vireo_entropy_create(storage, size, &common, NULL, &device));
  REFUSED(vireo_entropy_create(storage, size, &common, &settings, NULL));
  without = settings;
  without.fill = NULL;
  REFUSED(vireo_entropy_create(storage, size, &common, &without, &device));
  without = settings;
  without.struct_size = 3;
  REFUSED(vireo_entropy_create(storage, size, &common, &without, &device));
  bad = common;
  bad.interrupt = NULL;
  REFUSED(vireo_entropy_create(storage, size, &bad, &settings, &device));
  bad = common;
  bad.regions = NULL;
  REFUSED(vireo_entropy_create(storage, size, &bad, &settings, &device));
  bad = common;
  bad.region_count = 0;
  REFUSED(vireo_entropy_create(storage, size, &bad, &settings, &device));
  bad = common;
  bad.struct_size = 0;
  REFUSED(vireo_entropy_create(storage, size, &bad, &settings, &device));
  CHECK(device == NULL);

  REFUSED(vireo_device_read(NULL, 0, 4, &value));
  REFUSED(vireo_device_write(NULL, 0, 4, 0));
  memset(storage, 0, size); /* memory that is no device */
  REFUSED(vireo_device_poll((vireo_device *)storage));
  OK(vireo_entropy_create(storage, size, &common, &settings, &device));
  REFUSED(vireo_device_read(device, 0, 4, NULL));
  REFUSED(vireo_device_set_budget(device, 0));
  REFUSED(vireo_device_set_budget(device, 32769));
  REFUSED(vireo_device_save(device, NULL, 8, &size));
  REFUSED(vireo_device_save(device, storage, 8, NULL));
  free(storage);
  free(ram);
}

/* Requests are answered, with interrupts, by either kind of notification. */
static void serve(machine *self) {
  driver *guest = &self->guest;
  piece buffer = {DATA, 5, 1};
  int more = 1;
  self->random.left = 100;
  self->random.next = 1;
  self->random.reentered = guest->device;
  start(guest, 0, 1);
  CHECK(get(guest, DEVICE_ID) == 4);
  submit(guest, 0, 3, &buffer, 1);
  expect_used(guest, 0, 3, 5);
  CHECK(memcmp(self->ram + DATA, "\1\2\3\4\5", 5) == 0);
  CHECK(self->wire.level == 1 && get(guest, INTERRUPT_STATUS) == 1);
  put(guest, INTERRUPT_ACK, 1);
  CHECK(self->wire.level == 0);

  offer(guest, 0, 4, &buffer, 1);
  OK(vireo_device_notify(guest->device, 0));
  expect_used(guest, 0, 4, 5);

  OK(vireo_device_defer(guest->device, 1));
  submit(guest, 0, 5, &buffer, 1);
  expect_nothing(guest, 0);
  OK(vireo_device_run(guest->device, &more));
  CHECK(more == 0);
  expect_used(guest, 0, 5, 5);
  OK(vireo_device_defer(guest->device, 0));

  OK(vireo_device_set_budget(guest->device, 1));
  offer(guest, 0, 6, &buffer, 1);
  offer(guest, 0, 7, &buffer, 1);
  OK(vireo_device_notify(guest->device, 0));
  expect_used(guest, 0, 6, 5);
  expect_nothing(guest, 0);
  OK(vireo_device_run(guest->device, &more));
  expect_used(guest, 0, 7, 5);
  OK(vireo_device_run(guest->device, &more));
  CHECK(more == 0);
  OK(vireo_device_set_budget(guest->device, 256));
}

/* A request that waits for the source is answered by a poll, or by the device that takes over. */
static void move(machine *self) {
  driver *guest = &self->guest;
  piece buffer = {DATA, 8, 1};
  unsigned char bytes[4096];
  size_t size = 0, needed = 0;
  machine other;
  int more = 0;
  self->random.left = 0;
  start(guest, VIREO_F_EVENT_IDX, 1);
  submit(guest, 0, 0, &buffer, 1);
  expect_nothing(guest, 0);
  CHECK(vireo_device_save(guest->device, NULL, 0, &needed) == VIREO_TOO_SMALL);
  CHECK(needed > 64 && needed < sizeof bytes);
  CHECK(vireo_device_save(guest->device, bytes, needed - 1, &size) == VIREO_TOO_SMALL);
  OK(vireo_device_save(guest->device, bytes, needed, &size));
  CHECK(size == needed);

  make(&other, fill, self->ram);
  OK(vireo_device_restore(other.guest.device, bytes, size));
  memcpy(other.guest.available, guest->available, sizeof guest->available);
  memcpy(other.guest.used, guest->used, sizeof guest->used);
  CHECK(get(&other.guest, STATUS) == 15);
  other.random.left = 100;
  other.random.next = 77;
  expect_nothing(&other.guest, 0);
  OK(vireo_device_run(other.guest.device, &more));
  CHECK(more == 0);
  expect_used(&other.guest, 0, 0, 8);
  CHECK(self->ram[DATA] == 77 && other.wire.level == 1);
  submit(&other.guest, 0, 1, &buffer, 1);
  expect_used(&other.guest, 0, 1, 8);
  abuse_restore(&other.guest, bytes, size);
  free(other.storage);

  /* The device that was saved goes on as well, here with a checkpoint of the ring it knew. */
  start(guest, 0, 1);
  submit(guest, 0, 0, &buffer, 1);
  OK(vireo_device_save(guest->device, bytes, sizeof bytes, &size));
  OK(vireo_device_run(guest->device, NULL));
  expect_nothing(guest, 0);
  self->random.left = 8;
  OK(vireo_device_poll(guest->device));
  expect_used(guest, 0, 0, 8);
}

/* A guest that breaks the protocol is told so, and nothing else happens. */
static void survive(machine *self) {
  driver *guest = &self->guest;
  piece nowhere = {RAM_SIZE - 4, 16, 1}, readable = {DATA, 16, 0};
  self->random.left = UINT32_MAX;
  start(guest, 0, 1);
  submit(guest, 0, 0, &nowhere, 1);
  CHECK(get(guest, STATUS) == (15 | 64));
  CHECK(vireo_device_fault(guest->device) == VIREO_ADDRESS_OUTSIDE_MEMORY);
  expect_nothing(guest, 0);
  start(guest, 0, 1);
  OK(vireo_device_fault(guest->device));
  submit(guest, 0, 0, &readable, 1);
  CHECK(vireo_device_fault(guest->device) == VIREO_DRIVER_FAULT);
  start(guest, 0, 1);
  submit(guest, 0, QUEUE_SIZE, &readable, 0);
  CHECK(vireo_device_fault(guest->device) == VIREO_INDEX_OUT_OF_RANGE);
  abuse_registers(guest);
  serve(self);
}

/* Several devices live side by side, each with its own state. */
static void live_together(unsigned char *ram) {
  machine first, second;
  piece buffer = {DATA, 4, 1};
  unsigned char *other_ram = (unsigned char *)aligned(RAM_SIZE);
  make(&first, fill, ram);
  make(&second, boast, other_ram);
  first.random.left = 100;
  start(&first.guest, 0, 1);
  start(&second.guest, 0, 1);
  submit(&second.guest, 0, 2, &buffer, 1);
  expect_used(&second.guest, 0, 2, 4); /* a boast is cut to the room there was */
  expect_nothing(&first.guest, 0);
  CHECK(first.wire.events == 0 && second.wire.events == 1);
  CHECK(other_ram[DATA + 3] == 0x5a && other_ram[DATA + 4] == 0xa5);
  put(&second.guest, STATUS, 0);
  CHECK(get(&first.guest, STATUS) == 15);
  free(first.storage);
  free(second.storage);
  free(other_ram);
}

int main(void) {
  machine self;
  unsigned char *ram = (unsigned char *)aligned(RAM_SIZE);
  CHECK(vireo_version() == ((uint32_t)VIREO_VERSION_MAJOR << 16 | VIREO_VERSION_MINOR));
  CHECK(vireo_device_align() != 0 && (vireo_device_align() & (vireo_device_align() - 1)) == 0);
  refuse_arguments();
  make(&self, fill, ram);
  serve(&self);
  self.random.reentered = NULL;
  move(&self);
  survive(&self);
  live_together(ram);
  free(self.storage);
  free(ram);
  printf("entropy device: %u checks passed\n", checks);
  return 0;
}
