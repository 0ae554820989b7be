/* SPDX-License-Identifier: Apache-2.0
 * The network device of vireo.h, as a VMM uses it: C99, also compiled as C++. */
#include "driver.h"

enum { RECEIVE = 0, TRANSMIT = 1, CONTROL = 2, HEADER = 12 };
enum { CHECKSUM = 1, GUEST_CHECKSUM = 2, MAC = 1 << 5, STATUS_FIELD = 1 << 16, CONTROL_QUEUE = 1 << 17,
       CONTROL_RX = 1 << 18, ANNOUNCE = 1 << 21, CONTROL_MAC = 1 << 23 };

typedef struct link_end {
  unsigned char sent[2048];
  size_t sent_count;
  vireo_network_offload sent_offload;
  int is_busy;
  unsigned char waiting[2048];
  uint32_t waiting_count; /* 0: none */
  vireo_network_offload waiting_offload;
  unsigned dropped;
  uint32_t allowed;
} link_end;

static vireo_status link_transmit(void *context, const vireo_segment *segments, size_t count,
                                  const vireo_network_offload *offload) {
  link_end *self = (link_end *)context;
  size_t i;
  if (self->is_busy) return VIREO_BUSY;
  self->sent_count = 0;
  for (i = 0; i < count; i++) {
    CHECK(self->sent_count + segments[i].byte_count <= sizeof self->sent);
    memcpy(self->sent + self->sent_count, segments[i].host, segments[i].byte_count);
    self->sent_count += segments[i].byte_count;
  }
  self->sent_offload = *offload;
  return VIREO_OK;
}

static int link_waiting(void *context, vireo_network_frame *frame) {
  link_end *self = (link_end *)context;
  uint32_t prefix = self->waiting_count < 64 ? self->waiting_count : 64;
  if (self->waiting_count == 0) return 0;
  frame->byte_count = self->waiting_count;
  frame->offload = self->waiting_offload;
  memcpy(frame->prefix, self->waiting, prefix);
  return 1;
}

static vireo_status link_receive(void *context, const vireo_segment *segments, size_t count) {
  link_end *self = (link_end *)context;
  uint32_t done = 0;
  size_t i;
  for (i = 0; i < count; i++) {
    memcpy(segments[i].host, self->waiting + done, segments[i].byte_count);
    done += segments[i].byte_count;
  }
  CHECK(done == self->waiting_count);
  self->waiting_count = 0;
  return VIREO_OK;
}

static void link_drop(void *context) {
  link_end *self = (link_end *)context;
  self->waiting_count = 0;
  self->dropped++;
}

static void link_allow(void *context, uint32_t offloads) { ((link_end *)context)->allowed = offloads; }

typedef struct machine {
  vireo_region region;
  line wire;
  link_end host;
  driver guest;
  void *storage;
} machine;

static const uint8_t address[6] = {2, 0, 0, 0, 0, 1};

static void make(machine *self, unsigned char *ram, uint32_t flags) {
  vireo_device_settings common;
  vireo_network_settings settings, bad;
  memset(self, 0, sizeof *self);
  common = common_settings(&self->region, ram, &self->wire);
  memset(&settings, 0, sizeof settings);
  settings.struct_size = sizeof settings;
  settings.context = &self->host;
  settings.flags = flags;
  memcpy(settings.mac, address, 6);
  settings.transmit_offloads = VIREO_NETWORK_CHECKSUM;
  settings.receive_offloads = VIREO_NETWORK_CHECKSUM;
  settings.transmit = link_transmit;
  settings.waiting = link_waiting;
  settings.receive = link_receive;
  settings.drop = link_drop;
  settings.allow_offloads = link_allow;
  self->storage = aligned(vireo_network_size());
  self->guest.ram = ram;
#define REFUSED(field, value)                                                                                \
  bad = settings;                                                                                            \
  bad.field = value;                                                                                         \
  CHECK(vireo_network_create(self->storage, vireo_network_size(), &common, &bad, &self->guest.device) ==     \
        VIREO_BAD_ARGUMENT)
  REFUSED(struct_size, 1);
  REFUSED(flags, 2);
  REFUSED(mac[0], 1);
  REFUSED(mtu, 1279);
  REFUSED(transmit_offloads, 1);
  REFUSED(receive_offloads, 0x10000);
  REFUSED(transmit, NULL);
  REFUSED(waiting, NULL);
  REFUSED(receive, NULL);
  REFUSED(drop, NULL);
  REFUSED(allow_offloads, NULL);
  OK(vireo_network_create(self->storage, vireo_network_size(), &common, &settings, &self->guest.device));
}

/* A frame of `count` bytes to `to`, into `bytes`. */
static void make_frame(unsigned char *bytes, const uint8_t *to, unsigned count) {
  unsigned i;
  memcpy(bytes, to, 6);
  for (i = 6; i < count; i++) bytes[i] = (unsigned char)(i * 7);
}

static void transmit(machine *self, unsigned head, unsigned count) {
  piece buffer = {DATA, HEADER + count, 0};
  make_frame(self->guest.ram + DATA + HEADER, address, count);
  submit(&self->guest, TRANSMIT, head, &buffer, 1);
}

/* Lets a frame arrive; whether the guest got it. */
static int receive(machine *self, const uint8_t *to, unsigned count) {
  piece buffer = {DATA + 0x1000, 2048, 1};
  unsigned head;
  uint32_t length;
  memset(self->guest.ram + buffer.offset, 0, 2048);
  offer(&self->guest, RECEIVE, 0, &buffer, 1);
  make_frame(self->host.waiting, to, count);
  self->host.waiting_count = count;
  OK(vireo_device_poll(self->guest.device));
  CHECK(self->host.waiting_count == 0);
  if (!take_used(&self->guest, RECEIVE, &head, &length)) {
    /* It waits for the next. */
    self->guest.available[RECEIVE] = (self->guest.available[RECEIVE] - 1) & 0xffff;
    store(&self->guest, RECEIVE * RING_STRIDE + AVAILABLE + 2, 2, self->guest.available[RECEIVE]);
    return 0;
  }
  CHECK(length == HEADER + count);
  CHECK(memcmp(self->guest.ram + buffer.offset + HEADER, self->host.waiting, count) == 0);
  return 1;
}

/* A command of the control queue; its answer. */
static unsigned command(machine *self, unsigned group, unsigned number, const void *bytes, unsigned count) {
  piece pieces[2] = {{DATA + 0x3000, 0, 0}, {DATA + 0x4000, 1, 1}};
  driver *guest = &self->guest;
  store(guest, DATA + 0x3000, 1, group);
  store(guest, DATA + 0x3001, 1, number);
  memcpy(guest->ram + DATA + 0x3002, bytes, count);
  pieces[0].byte_count = 2 + count;
  submit(guest, CONTROL, 0, pieces, 2);
  expect_used(guest, CONTROL, 0, 1);
  return guest->ram[DATA + 0x4000];
}

static const uint8_t other_address[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t group_address[6] = {0x33, 0x33, 0, 0, 0, 1};

static void serve(machine *self) {
  driver *guest = &self->guest;
  unsigned dropped;
  self->host.is_busy = 0;
  start(guest, CHECKSUM | GUEST_CHECKSUM | MAC | STATUS_FIELD | CONTROL_QUEUE | CONTROL_RX | ANNOUNCE, 3);
  CHECK(get(guest, DEVICE_ID) == 1 && self->host.allowed == VIREO_NETWORK_CHECKSUM);
  CHECK(get(guest, CONFIGURATION) == 2 && (get(guest, CONFIGURATION + 4) & 0xffffff) == 0x010100);
  transmit(self, 0, 60);
  expect_used(guest, TRANSMIT, 0, 0);
  CHECK(self->host.sent_count == 60 && memcmp(self->host.sent, guest->ram + DATA + HEADER, 60) == 0);
  store(guest, DATA, 1, 1); /* NEEDS_CSUM */
  store(guest, DATA + 6, 2, 20);
  store(guest, DATA + 8, 2, 16);
  transmit(self, 1, 60);
  expect_used(guest, TRANSMIT, 1, 0);
  CHECK(self->host.sent_offload.checksum == 2 && self->host.sent_offload.checksum_start == 20);
  CHECK(self->host.sent_offload.checksum_offset == 16 && self->host.sent_offload.segmentation == 0);
  store(guest, DATA, 8, 0);
  store(guest, DATA + 8, 4, 0);
  self->host.is_busy = 1;
  transmit(self, 2, 70);
  expect_nothing(guest, TRANSMIT);
  self->host.is_busy = 0;
  OK(vireo_device_poll(guest->device));
  expect_used(guest, TRANSMIT, 2, 0);
  CHECK(self->host.sent_count == 70);

  CHECK(receive(self, address, 100) == 1);
  dropped = self->host.dropped;
  CHECK(receive(self, other_address, 100) == 0 && self->host.dropped == dropped + 1);
  CHECK(command(self, 0, 0, "\1", 1) == 0); /* promiscuous */
  CHECK(receive(self, other_address, 100) == 1);
  CHECK(command(self, 0, 0, "\0", 1) == 0);
  CHECK(command(self, 9, 9, "\0", 1) == 1);
  self->host.waiting_offload.checksum = 1;
  CHECK(receive(self, address, 100) == 1 && guest->ram[DATA + 0x1000] == 2); /* DATA_VALID */
  self->host.waiting_offload.segmentation = 1; /* nobody agreed to that */
  CHECK(receive(self, address, 100) == 0);
  memset(&self->host.waiting_offload, 0, sizeof self->host.waiting_offload);

  put(guest, INTERRUPT_ACK, 3);
  OK(vireo_network_set_link(guest->device, 0));
  OK(vireo_device_poll(guest->device));
  CHECK((get(guest, CONFIGURATION + 4) & 0x10000) == 0 && get(guest, INTERRUPT_STATUS) == 2);
  CHECK(receive(self, address, 100) == 0);
  OK(vireo_network_set_link(guest->device, 1));
  OK(vireo_network_announce(guest->device));
  OK(vireo_device_poll(guest->device));
  CHECK((get(guest, CONFIGURATION + 4) & 0x30000) == 0x30000);
}

/* The filter goes along, and so does a frame that waits for room. */
static void move(machine *self, unsigned char *ram) {
  driver *guest = &self->guest;
  unsigned char bytes[8192];
  size_t size = 0;
  machine other;
  uint8_t table[20] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 1};
  CHECK(command(self, 1, 0, table, sizeof table) == 0);
  self->host.is_busy = 1;
  transmit(self, 3, 80);
  expect_nothing(guest, TRANSMIT);
  OK(vireo_device_save(guest->device, bytes, sizeof bytes, &size));
  make(&other, ram, 0);
  OK(vireo_device_restore(other.guest.device, bytes, size));
  memcpy(other.guest.available, guest->available, sizeof guest->available);
  memcpy(other.guest.used, guest->used, sizeof guest->used);
  CHECK(other.host.allowed == VIREO_NETWORK_CHECKSUM);
  OK(vireo_device_run(other.guest.device, NULL));
  expect_used(&other.guest, TRANSMIT, 3, 0);
  CHECK(other.host.sent_count == 80);
  CHECK(receive(&other, other_address, 90) == 1);
  CHECK(receive(&other, group_address, 90) == 1);
  CHECK((get(&other.guest, CONFIGURATION + 4) & 0x30000) == 0x30000);
  abuse_restore(&other.guest, bytes, size);
  abuse_registers(&other.guest);
  serve(&other);
  free(other.storage);
}

/* A frame of any length that a backend claims does no harm. */
static void survive_backend(machine *self) {
  static const uint32_t lengths[] = {1, 13, 65594, 0x7fffffff, 0xffffffff};
  unsigned i;
  start(&self->guest, MAC, 2);
  for (i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    self->host.waiting_count = lengths[i];
    OK(vireo_device_poll(self->guest.device));
    CHECK(self->host.waiting_count == 0);
  }
}

int main(void) {
  machine self, wide;
  unsigned char *ram = (unsigned char *)aligned(RAM_SIZE);
  memset(ram, 0, RAM_SIZE);
  make(&wide, ram, VIREO_NETWORK_MULTIQUEUE);
  start(&wide.guest, 1 << 22 | CONTROL_QUEUE, 9);
  CHECK(get(&wide.guest, CONFIGURATION + 8) == 4);
  abuse_registers(&wide.guest);
  free(wide.storage);
  make(&self, ram, 0);
  serve(&self);
  move(&self, ram);
  survive_backend(&self);
  free(self.storage);
  free(ram);
  printf("network device: %u checks passed\n", checks);
  return 0;
}
