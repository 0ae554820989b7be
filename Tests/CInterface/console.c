/* SPDX-License-Identifier: Apache-2.0
 * The console device of vireo.h, as a VMM uses it: C99, also compiled as C++. */
#include "driver.h"

enum { RECEIVE, TRANSMIT, CONTROL_RECEIVE, CONTROL_TRANSMIT, SECOND_RECEIVE, SECOND_TRANSMIT };
enum { READY = 0, ADD = 1, REMOVE = 2, PORT_READY = 3, CONSOLE_PORT = 4, RESIZE = 5, OPEN = 6, NAME = 7 };

typedef struct terminal {
  char output[VIREO_CONSOLE_PORTS][256];
  uint32_t written[VIREO_CONSOLE_PORTS];
  uint32_t room;
  const char *input;
  uint32_t input_port;
  int open[VIREO_CONSOLE_PORTS];
  char emergency;
} terminal;

static uint32_t terminal_write(void *context, uint32_t port, const void *bytes, uint32_t byte_count) {
  terminal *self = (terminal *)context;
  uint32_t count = byte_count < self->room ? byte_count : self->room;
  CHECK(self->written[port] + count < sizeof self->output[port]);
  memcpy(self->output[port] + self->written[port], bytes, count);
  self->written[port] += count;
  self->room -= count;
  return count;
}

static int terminal_has_input(void *context, uint32_t port) {
  terminal *self = (terminal *)context;
  return port == self->input_port && *self->input != 0;
}

static uint32_t terminal_read(void *context, uint32_t port, void *bytes, uint32_t byte_count) {
  terminal *self = (terminal *)context;
  uint32_t count = (uint32_t)strlen(self->input);
  CHECK(port == self->input_port);
  if (count > byte_count) count = byte_count;
  memcpy(bytes, self->input, count);
  self->input += count;
  return count;
}

static void terminal_open(void *context, uint32_t port, int open) {
  ((terminal *)context)->open[port] = open;
}

static void terminal_emergency(void *context, uint8_t byte) { ((terminal *)context)->emergency = (char)byte; }

typedef struct machine {
  vireo_region region;
  line wire;
  terminal host;
  driver guest;
  void *storage;
} machine;

static void make(machine *self, unsigned char *ram, uint32_t flags) {
  vireo_device_settings common;
  vireo_console_settings settings, bad;
  memset(self, 0, sizeof *self);
  common = common_settings(&self->region, ram, &self->wire);
  memset(&settings, 0, sizeof settings);
  settings.struct_size = sizeof settings;
  settings.context = &self->host;
  settings.flags = flags;
  settings.columns = 80;
  settings.rows = 25;
  settings.write = terminal_write;
  settings.has_input = terminal_has_input;
  settings.read = terminal_read;
  settings.driver_open = terminal_open;
  settings.emergency_write = terminal_emergency;
  self->host.room = 1000;
  self->host.input = "";
  self->storage = aligned(vireo_console_size());
  self->guest.ram = ram;
#define REFUSED(field, value)                                                                                \
  bad = settings;                                                                                            \
  bad.field = value;                                                                                         \
  CHECK(vireo_console_create(self->storage, vireo_console_size(), &common, &bad, &self->guest.device) ==     \
        VIREO_BAD_ARGUMENT)
  REFUSED(struct_size, 1);
  REFUSED(flags, 8);
  REFUSED(write, NULL);
  REFUSED(has_input, NULL);
  REFUSED(read, NULL);
  OK(vireo_console_create(self->storage, vireo_console_size(), &common, &settings, &self->guest.device));
}

static void write_text(driver *guest, unsigned queue, unsigned head, const char *text) {
  piece buffer = {DATA + 0x1000, (uint32_t)strlen(text), 0};
  memcpy(guest->ram + buffer.offset, text, buffer.byte_count);
  submit(guest, queue, head, &buffer, 1);
}

/* One port: output, input, size, an emergency. */
static void talk(machine *self) {
  driver *guest = &self->guest;
  piece buffer = {DATA, 64, 1};
  self->host.written[0] = 0;
  OK(vireo_device_write(guest->device, CONFIGURATION + 8, 4, '!'));
  CHECK(self->host.emergency == '!');
  start(guest, 5, 2);
  CHECK(get(guest, DEVICE_ID) == 3 && get(guest, CONFIGURATION) == (80 | 25 << 16));
  self->host.room = 3;
  write_text(guest, TRANSMIT, 0, "hello");
  expect_nothing(guest, TRANSMIT);
  self->host.room = 100;
  OK(vireo_device_poll(guest->device));
  expect_used(guest, TRANSMIT, 0, 0);
  CHECK(self->host.written[0] == 5 && memcmp(self->host.output[0], "hello", 5) == 0);
  submit(guest, RECEIVE, 0, &buffer, 1);
  expect_nothing(guest, RECEIVE);
  self->host.input = "input";
  OK(vireo_device_poll(guest->device));
  expect_used(guest, RECEIVE, 0, 5);
  CHECK(memcmp(guest->ram + DATA, "input", 5) == 0);
  put(guest, INTERRUPT_ACK, 3);
  OK(vireo_console_resize(guest->device, 0, 100, 40));
  OK(vireo_device_poll(guest->device));
  CHECK(get(guest, CONFIGURATION) == (100 | 40 << 16) && get(guest, INTERRUPT_STATUS) == 2);
  OK(vireo_console_resize(guest->device, 0, 80, 25));
  OK(vireo_device_poll(guest->device));
}

static void send_control(driver *guest, unsigned port, unsigned event, unsigned value) {
  piece message = {DATA + 0x2000, 8, 0};
  store(guest, message.offset, 4, port);
  store(guest, message.offset + 4, 2, event);
  store(guest, message.offset + 6, 2, value);
  submit(guest, CONTROL_TRANSMIT, 0, &message, 1);
  expect_used(guest, CONTROL_TRANSMIT, 0, 0);
}

/* The next control message is this one. */
static void expect_control(driver *guest, unsigned port, unsigned event, unsigned value) {
  piece buffer = {DATA + 0x3000, 128, 1};
  unsigned head;
  uint32_t length;
  submit(guest, CONTROL_RECEIVE, 0, &buffer, 1);
  CHECK(take_used(guest, CONTROL_RECEIVE, &head, &length) && length >= 8);
  CHECK(load32(guest, buffer.offset) == port);
  CHECK(load16(guest, buffer.offset + 4) == event);
  CHECK(load16(guest, buffer.offset + 6) == value);
}

/* Several ports come, are used, and go. */
static void use_ports(machine *self) {
  driver *guest = &self->guest;
  CHECK(vireo_console_add_port(guest->device, VIREO_CONSOLE_PORTS, NULL, 0) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_console_add_port(guest->device, 1, NULL, 16) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_console_add_port(guest->device, 0, NULL, 0) == VIREO_WRONG_STATE);
  CHECK(vireo_console_remove_port(guest->device, 1) == VIREO_WRONG_STATE);
  CHECK(vireo_console_set_open(guest->device, 1, 1) == VIREO_WRONG_STATE);
  CHECK(vireo_console_resize(guest->device, 1, 1, 1) == VIREO_WRONG_STATE);
  start(guest, 2, 6);
  CHECK(get(guest, CONFIGURATION + 4) == VIREO_CONSOLE_PORTS);
  send_control(guest, 0, READY, 1);
  expect_control(guest, 0, ADD, 0);
  send_control(guest, 0, PORT_READY, 1);
  expect_control(guest, 0, CONSOLE_PORT, 1);
  expect_control(guest, 0, RESIZE, 0);
  expect_control(guest, 0, OPEN, 1);
  OK(vireo_console_add_port(guest->device, 1, "log", 0));
  OK(vireo_device_poll(guest->device));
  expect_control(guest, 1, ADD, 0);
  send_control(guest, 1, PORT_READY, 1);
  expect_control(guest, 1, NAME, 0);
  CHECK(memcmp(guest->ram + DATA + 0x3000 + 8, "log", 3) == 0);
  expect_control(guest, 1, OPEN, 1);
  send_control(guest, 1, OPEN, 1);
  CHECK(self->host.open[1] == 1);
  self->host.room = 100;
  write_text(guest, SECOND_TRANSMIT, 0, "second");
  expect_used(guest, SECOND_TRANSMIT, 0, 0);
  CHECK(memcmp(self->host.output[1], "second", 6) == 0);
}

/* Saved within a buffer: the rest of it reaches the next host, and nothing of it twice. */
static void move(machine *self, unsigned char *ram) {
  driver *guest = &self->guest;
  unsigned char bytes[4096];
  size_t size = 0;
  machine other;
  self->host.room = 2;
  write_text(guest, SECOND_TRANSMIT, 1, "abcdef");
  expect_nothing(guest, SECOND_TRANSMIT);
  OK(vireo_device_save(guest->device, bytes, sizeof bytes, &size));
  make(&other, ram, VIREO_CONSOLE_MULTIPORT);
  OK(vireo_console_add_port(other.guest.device, 1, "log", 0));
  OK(vireo_device_restore(other.guest.device, bytes, size));
  CHECK(other.host.open[1] == 1);
  memcpy(other.guest.available, guest->available, sizeof guest->available);
  memcpy(other.guest.used, guest->used, sizeof guest->used);
  OK(vireo_device_run(other.guest.device, NULL));
  expect_used(&other.guest, SECOND_TRANSMIT, 1, 0);
  CHECK(other.host.written[1] == 4 && memcmp(other.host.output[1], "cdef", 4) == 0);
  /* A port that the next host does not have is taken away from the guest. */
  OK(vireo_device_save(other.guest.device, bytes, sizeof bytes, &size));
  OK(vireo_device_reset(other.guest.device));
  OK(vireo_console_remove_port(other.guest.device, 1));
  OK(vireo_device_restore(other.guest.device, bytes, size));
  CHECK(other.host.open[1] == 0);
  expect_control(&other.guest, 1, REMOVE, 0);
  abuse_restore(&other.guest, bytes, size);
  abuse_registers(&other.guest);
  free(other.storage);
}

int main(void) {
  machine self, plain;
  unsigned char *ram = (unsigned char *)aligned(RAM_SIZE);
  make(&plain, ram, 0);
  talk(&plain);
  CHECK(vireo_console_add_port(plain.guest.device, 1, NULL, 0) == VIREO_BAD_ARGUMENT);
  abuse_registers(&plain.guest);
  talk(&plain);
  free(plain.storage);
  make(&self, ram, VIREO_CONSOLE_MULTIPORT);
  use_ports(&self);
  move(&self, ram);
  free(self.storage);
  free(ram);
  printf("console device: %u checks passed\n", checks);
  return 0;
}
