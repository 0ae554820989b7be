/* SPDX-License-Identifier: Apache-2.0
 * The SCMI device of vireo.h, as a VMM uses it: C99, also compiled as C++. */
#include "driver.h"

enum { COMMAND = 0, EVENT = 1, PROTOCOL_VERSION = 0x10 << 10, GENERIC_ERROR = -8 };

typedef struct platform {
  unsigned starts, resets;
  int receives_events;
  uint32_t answer;       /* the length that `respond` returns; 0: the right one */
  unsigned char event[16];
  uint32_t event_count;  /* 0: none */
  uint32_t command[4];
  uint32_t command_bytes;
} platform;

static void platform_start(void *context, int receives_events) {
  platform *self = (platform *)context;
  self->starts++;
  self->receives_events = receives_events;
}

static uint32_t platform_respond(void *context, const void *command, uint32_t byte_count, void *response,
                                 uint32_t room) {
  platform *self = (platform *)context;
  static const uint32_t version = 0x20000;
  CHECK(byte_count >= 4 && room >= 8);
  memcpy(self->command, command, byte_count < 16 ? byte_count : 16);
  self->command_bytes = byte_count;
  if (self->answer != 0) return self->answer;
  memcpy(response, command, 4);
  memset((char *)response + 4, 0, 4);
  if (room < 12) return 8;
  memcpy((char *)response + 8, &version, 4);
  return 12;
}

static int platform_has_event(void *context) { return ((platform *)context)->event_count != 0; }

static uint32_t platform_next_event(void *context, void *event, uint32_t room) {
  platform *self = (platform *)context;
  uint32_t count = self->event_count;
  CHECK(room == VIREO_SCMI_MESSAGE_BYTES);
  memcpy(event, self->event, sizeof self->event);
  self->event_count = 0;
  return count;
}

static void platform_reset(void *context) { ((platform *)context)->resets++; }

typedef struct machine {
  vireo_region region;
  line wire;
  platform host;
  driver guest;
  void *storage;
} machine;

static void make(machine *self, unsigned char *ram, uint32_t flags) {
  vireo_device_settings common;
  vireo_scmi_device_settings settings, bad;
  memset(self, 0, sizeof *self);
  common = common_settings(&self->region, ram, &self->wire);
  memset(&settings, 0, sizeof settings);
  settings.struct_size = sizeof settings;
  settings.context = &self->host;
  settings.flags = flags;
  settings.start = platform_start;
  settings.respond = platform_respond;
  settings.has_event = platform_has_event;
  settings.next_event = platform_next_event;
  settings.reset = platform_reset;
  self->storage = aligned(vireo_scmi_device_size());
  self->guest.ram = ram;
#define REFUSED(field, value)                                                                                \
  bad = settings;                                                                                            \
  bad.flags = VIREO_SCMI_DEVICE_EVENTS; \
  bad.field = value;                                                                                         \
  CHECK(vireo_scmi_device_create(self->storage, vireo_scmi_device_size(), &common, &bad,                     \
                                 &self->guest.device) == \
        VIREO_BAD_ARGUMENT)
  REFUSED(struct_size, 1);
  REFUSED(flags, 2);
  REFUSED(respond, NULL);
  REFUSED(has_event, NULL);
  REFUSED(next_event, NULL);
  OK(vireo_scmi_device_create(self->storage, vireo_scmi_device_size(), &common, &settings,
                              &self->guest.device));
}

/* Sends a command with `room` bytes for the response; the response's length. */
static uint32_t command(machine *self, uint32_t header, uint32_t byte_count, uint32_t room) {
  driver *guest = &self->guest;
  piece pieces[2];
  unsigned head;
  uint32_t length;
  pieces[0].offset = DATA;
  pieces[0].byte_count = byte_count;
  pieces[0].device_writable = 0;
  pieces[1].offset = DATA + 0x1000;
  pieces[1].byte_count = room;
  pieces[1].device_writable = 1;
  store(guest, DATA, 4, header);
  submit(guest, COMMAND, 0, pieces, 2);
  CHECK(take_used(guest, COMMAND, &head, &length) && head == 0);
  return length;
}

static void serve(machine *self) {
  driver *guest = &self->guest;
  static const uint32_t wrong[] = {1, 7, 65, 0xffffffff};
  piece buffer = {DATA + 0x2000, 64, 1};
  unsigned i;
  start(guest, 3, 2);
  CHECK(get(guest, DEVICE_ID) == 32 && self->host.receives_events == 1);
  CHECK(command(self, PROTOCOL_VERSION, 8, 64) == 12);
  CHECK(self->host.command[0] == PROTOCOL_VERSION && self->host.command_bytes == 8);
  CHECK(load32(guest, DATA + 0x1000 + 8) == 0x20000 && self->wire.level == 1);
  for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    self->host.answer = wrong[i];
    CHECK(command(self, PROTOCOL_VERSION, 4, 64) == 8);
    CHECK(load32(guest, DATA + 0x1000) == PROTOCOL_VERSION);
    CHECK(load32(guest, DATA + 0x1000 + 4) == (uint32_t)GENERIC_ERROR);
  }
  self->host.answer = 0;
  /* Events: one that waits for a buffer, and lengths that none has. */
  self->host.event[1] = 3; /* a notification */
  self->host.event_count = 12;
  OK(vireo_device_poll(guest->device));
  CHECK(self->host.event_count == 12);
  submit(guest, EVENT, 0, &buffer, 1);
  expect_used(guest, EVENT, 0, 12);
  submit(guest, EVENT, 0, &buffer, 1);
  for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    self->host.event[1] = 2; /* a delayed response */
    self->host.event_count = wrong[i] == 65 ? 257 : wrong[i];
    OK(vireo_device_poll(guest->device));
    expect_nothing(guest, EVENT);
  }
  OK(vireo_device_fault(guest->device));
}

static void move(machine *self, unsigned char *ram) {
  unsigned char bytes[1024];
  size_t size = 0;
  machine other;
  OK(vireo_device_save(self->guest.device, bytes, sizeof bytes, &size));
  make(&other, ram, VIREO_SCMI_DEVICE_EVENTS);
  OK(vireo_device_restore(other.guest.device, bytes, size));
  CHECK(other.host.starts == 1 && other.host.receives_events == 1);
  memcpy(other.guest.available, self->guest.available, sizeof other.guest.available);
  memcpy(other.guest.used, self->guest.used, sizeof other.guest.used);
  other.host.event[1] = 3;
  other.host.event_count = 16;
  OK(vireo_device_poll(other.guest.device));
  expect_used(&other.guest, EVENT, 0, 16);
  CHECK(command(&other, PROTOCOL_VERSION, 4, 8) == 8);
  OK(vireo_device_reset(other.guest.device));
  CHECK(other.host.resets >= 1);
  abuse_restore(&other.guest, bytes, size);
  abuse_registers(&other.guest);
  serve(&other);
  free(other.storage);
}

int main(void) {
  machine self, quiet;
  unsigned char *ram = (unsigned char *)aligned(RAM_SIZE);
  make(&quiet, ram, 0);
  start(&quiet.guest, 3, 1);
  CHECK(quiet.host.receives_events == 0 && command(&quiet, PROTOCOL_VERSION, 4, 12) == 12);
  free(quiet.storage);
  make(&self, ram, VIREO_SCMI_DEVICE_EVENTS);
  serve(&self);
  move(&self, ram);
  free(self.storage);
  free(ram);
  printf("SCMI device: %u checks passed\n", checks);
  return 0;
}
