/* SPDX-License-Identifier: Apache-2.0
 * The SCMI platform of vireo.h, as a firmware uses it: C99, also compiled as C++. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vireo.h"

#define CHECK(condition)                                                    \
  do {                                                                      \
    if (!(condition)) {                                                     \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);       \
      exit(1);                                                              \
    }                                                                       \
  } while (0)

enum { POWER, CPU, UART, RESET, SUPPLY, COUNT };

static const int64_t frequencies[] = {500000, 1000000};
static const int64_t rates[] = {100, 200, 400};
static const int64_t levels[] = {-5, 1800000};

static const vireo_scmi_resource table[COUNT] = {
    {VIREO_SCMI_POWER, 0, "power", NULL, 0},
    {VIREO_SCMI_PERFORMANCE, 0, "cpu", frequencies, 2},
    {VIREO_SCMI_CLOCK, 0, "uart clock with a long name", rates, 3},
    {VIREO_SCMI_RESET, VIREO_SCMI_ASYNCHRONOUS, "reset", NULL, 0},
    {VIREO_SCMI_VOLTAGE, 0, "supply", levels, 2}};

typedef struct board {
  int64_t state[COUNT], value[COUNT];
  int later;          /* what may be left for later is */
  int32_t failure;    /* returned by everything that is set */
  uint32_t operation; /* the last one left for later */
  vireo_scmi *scmi;   /* called from within the callback, which must be refused */
} board;

static int32_t get(void *context, uint32_t resource, vireo_scmi_property property, int64_t *value) {
  board *self = (board *)context;
  CHECK(resource < COUNT);
  if (self->scmi != NULL) CHECK(vireo_scmi_reset_agent(self->scmi, 1) == VIREO_WRONG_STATE);
  *value = property == VIREO_SCMI_STATE ? self->state[resource] : self->value[resource];
  return 0;
}

static int32_t set(void *context, uint32_t resource, vireo_scmi_property property, int64_t value,
                   uint32_t operation) {
  board *self = (board *)context;
  CHECK(resource < COUNT);
  if (self->failure != 0) return self->failure;
  if (property == VIREO_SCMI_STATE) self->state[resource] = value;
  else self->value[resource] = value;
  if (operation == 0 || !self->later) return 0;
  self->operation = operation;
  return VIREO_SCMI_LATER;
}

static vireo_scmi_settings good_settings(board *context) {
  vireo_scmi_settings settings;
  memset(&settings, 0, sizeof settings);
  settings.struct_size = sizeof settings;
  settings.vendor = "Vendor";
  settings.sub_vendor = "Sub-vendor";
  settings.implementation_version = 7;
  settings.resources = table;
  settings.resource_count = COUNT;
  settings.context = context;
  settings.get = get;
  settings.set = set;
  return settings;
}

static void *aligned(size_t size) {
  void *storage = NULL;
  CHECK(posix_memalign(&storage, vireo_device_align(), size) == 0);
  memset(storage, 0xa5, size);
  return storage;
}

/* Sends a command of `count` parameters; the response's words are in `reply`. Returns how many there are. */
static size_t call(vireo_scmi *scmi, uint32_t agent, uint32_t protocol, uint32_t message,
                   const uint32_t *parameters, size_t count, uint32_t reply[34]) {
  uint32_t command[8];
  size_t size = 0;
  command[0] = message | protocol << 10 | 3u << 18;
  if (count != 0) memcpy(command + 1, parameters, 4 * count);
  memset(reply, 0xa5, 136);
  CHECK(vireo_scmi_handle(scmi, agent, command, 4 + 4 * count, reply, 136, &size) == VIREO_OK);
  CHECK(size >= 8 && size % 4 == 0 && size <= 136 && reply[0] == command[0]);
  return size / 4;
}

static int32_t status(vireo_scmi *scmi, uint32_t agent, uint32_t protocol, uint32_t message, uint32_t a,
                      uint32_t b, uint32_t c, size_t count) {
  uint32_t parameters[3], reply[34];
  parameters[0] = a, parameters[1] = b, parameters[2] = c;
  call(scmi, agent, protocol, message, parameters, count, reply);
  return (int32_t)reply[1];
}

static void refuse_arguments(board *context) {
  vireo_scmi_settings settings = good_settings(context);
  vireo_scmi_resource bad[COUNT];
  static const int64_t descending[] = {2, 1};
  static const int64_t huge[] = {INT64_C(1) << 40};
  void *storage = aligned(vireo_scmi_size() + 16);
  size_t size = vireo_scmi_size();
  vireo_scmi *scmi = NULL;
  CHECK(vireo_scmi_create(NULL, size, &settings, &scmi) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_scmi_create(storage, size - 1, &settings, &scmi) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_scmi_create((char *)storage + 1, size, &settings, &scmi) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_scmi_create(storage, size, NULL, &scmi) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_scmi_create(storage, size, &settings, NULL) == VIREO_BAD_ARGUMENT);
  settings.struct_size--;
  CHECK(vireo_scmi_create(storage, size, &settings, &scmi) == VIREO_BAD_ARGUMENT);
  settings = good_settings(context);
  settings.set = NULL;
  CHECK(vireo_scmi_create(storage, size, &settings, &scmi) == VIREO_BAD_ARGUMENT);
  settings = good_settings(context);
  settings.resources = bad;
  memcpy(bad, table, sizeof bad);
  bad[UART].values = descending, bad[UART].value_count = 2;
  CHECK(vireo_scmi_create(storage, size, &settings, &scmi) == VIREO_BAD_ARGUMENT);
  memcpy(bad, table, sizeof bad);
  bad[SUPPLY].values = huge, bad[SUPPLY].value_count = 1;
  CHECK(vireo_scmi_create(storage, size, &settings, &scmi) == VIREO_BAD_ARGUMENT);
  memcpy(bad, table, sizeof bad);
  bad[CPU].value_count = 0;
  CHECK(vireo_scmi_create(storage, size, &settings, &scmi) == VIREO_BAD_ARGUMENT);
  memcpy(bad, table, sizeof bad);
  bad[POWER].values = rates, bad[POWER].value_count = 1;
  CHECK(vireo_scmi_create(storage, size, &settings, &scmi) == VIREO_BAD_ARGUMENT);
  memcpy(bad, table, sizeof bad);
  memset(&bad[RESET].kind, 0x7f, sizeof bad[RESET].kind);
  CHECK(vireo_scmi_create(storage, size, &settings, &scmi) == VIREO_BAD_ARGUMENT);
  /* Not a platform. */
  memset(storage, 0, size);
  CHECK(vireo_scmi_reset_agent((vireo_scmi *)storage, 1) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_scmi_reset_agent(NULL, 1) == VIREO_BAD_ARGUMENT);
  free(storage);
}

static void use_resources(vireo_scmi *scmi, board *self, uint32_t first, uint32_t second) {
  uint32_t reply[34], parameter = 0;
  /* Base: vendor, and the protocols that the first agent sees: 0x11, 0x13, 0x14, 0x16, 0x17. */
  CHECK(call(scmi, first, 0x10, 3, NULL, 0, reply) == 6 && memcmp(reply + 2, "Vendor", 7) == 0);
  CHECK(call(scmi, first, 0x10, 6, &parameter, 1, reply) == 5);
  CHECK(reply[2] == 5 && reply[3] == 0x16141311 && reply[4] == 0x17);
  /* Clock: rates, rate, on and off with two agents. The second one calls it clock 0 too. */
  self->value[UART] = 200;
  CHECK(call(scmi, first, 0x14, 6, &parameter, 1, reply) == 4 && reply[2] == 200 && reply[3] == 0);
  CHECK(status(scmi, first, 0x14, 7, 0, 1, 0, 3) == 0 && self->state[UART] == 1);
  CHECK(status(scmi, second, 0x14, 7, 0, 1, 0, 2) == 0);
  CHECK(status(scmi, first, 0x14, 7, 0, 0, 0, 3) == 0 && self->state[UART] == 1);
  CHECK(vireo_scmi_reset_agent(scmi, second) == VIREO_OK && self->state[UART] == 0);
  CHECK(status(scmi, second, 0x14, 6, 1, 0, 0, 1) == -4);
  CHECK(status(scmi, second, 0x11, 5, 0, 0, 0, 1) == -1);
  /* Power, performance, voltage. */
  CHECK(status(scmi, first, 0x11, 4, 0, 0, 0, 3) == 0 && self->state[POWER] == 1);
  CHECK(status(scmi, first, 0x13, 7, 0, 1000000, 0, 2) == 0 && self->value[CPU] == 1000000);
  CHECK(status(scmi, first, 0x13, 7, 0, 700000, 0, 2) == -2);
  CHECK(status(scmi, first, 0x17, 7, 0, 0, (uint32_t)-5, 3) == 0 && self->value[SUPPLY] == -5);
  CHECK(call(scmi, first, 0x17, 8, &parameter, 1, reply) == 3 && (int32_t)reply[2] == -5);
  self->value[SUPPLY] = INT64_C(1) << 40; /* what no voltage is */
  CHECK(status(scmi, first, 0x17, 8, 0, 0, 0, 1) == -9);
  self->value[CPU] = 3; /* no level */
  CHECK(status(scmi, first, 0x13, 8, 0, 0, 0, 1) == -9);
  /* A failure of the board is the agent's answer. */
  self->failure = -9;
  CHECK(status(scmi, first, 0x11, 4, 0, 1u << 30, 0, 3) != 0);
  self->failure = 0;
}

static void wait_for_events(vireo_scmi *scmi, board *self, uint32_t first, uint32_t second) {
  uint32_t message[32], parameters[3] = {0, 5, 0}, reply[34];
  size_t size = 0;
  CHECK(vireo_scmi_next(scmi, first, message, 128, &size) == VIREO_EMPTY);
  self->later = 1;
  /* RESET, autonomous and asynchronous. */
  CHECK(call(scmi, first, 0x16, 4, parameters, 3, reply) == 2 && reply[1] == 0 && self->operation != 0);
  CHECK(vireo_scmi_next(scmi, first, message, 128, &size) == VIREO_EMPTY);
  CHECK(vireo_scmi_finish(scmi, 0, 0) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_scmi_finish(scmi, self->operation, 1) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_scmi_finish(scmi, UINT32_MAX, 0) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_scmi_finish(scmi, self->operation, 0) == VIREO_OK);
  CHECK(vireo_scmi_finish(scmi, self->operation, 0) == VIREO_OK); /* ignored */
  CHECK(vireo_scmi_next(scmi, first, message, 127, &size) == VIREO_TOO_SMALL);
  CHECK(vireo_scmi_next(scmi, first, message, 128, &size) == VIREO_OK);
  CHECK(size == 12 && message[0] == (reply[0] | 2u << 8) && message[1] == 0 && message[2] == 0);
  CHECK(vireo_scmi_next(scmi, first, message, 128, &size) == VIREO_EMPTY);
  self->later = 0;
  /* The second agent has no channel for events, and so cannot ask for any. */
  CHECK(status(scmi, second, 0x14, 5, 1, 0, 100, 3) != 0);
}

static void send_nonsense(vireo_scmi *scmi, uint32_t agent) {
  unsigned char bytes[300], reply[300];
  size_t size = 0, length;
  uint32_t random = 1;
  int round;
  for (length = 0; length < 4; length++)
    CHECK(vireo_scmi_handle(scmi, agent, bytes, length, reply, 300, &size) == VIREO_TOO_SMALL);
  CHECK(vireo_scmi_handle(scmi, agent, bytes, 257, reply, 300, &size) == VIREO_TOO_SMALL);
  memset(bytes, 0, sizeof bytes);
  CHECK(vireo_scmi_handle(scmi, agent, bytes, 4, reply, 7, &size) == VIREO_TOO_SMALL);
  CHECK(vireo_scmi_handle(scmi, 0, bytes, 4, reply, 8, &size) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_scmi_handle(scmi, 99, bytes, 4, reply, 8, &size) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_scmi_handle(scmi, agent, NULL, 4, reply, 8, &size) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_scmi_grant(scmi, agent, COUNT, 0) == VIREO_BAD_ARGUMENT);
  CHECK(vireo_scmi_grant(scmi, 99, 0, 0) == VIREO_BAD_ARGUMENT);
  for (round = 0; round < 20000; round++) {
    size_t i, room;
    for (i = 0; i < 24; i++) {
      random = random * 1664525u + 1013904223u;
      bytes[i] = (unsigned char)(random >> 24);
    }
    bytes[1] &= 0x7c, bytes[1] |= (unsigned char)(0x40 + 4 * (random % 8)), bytes[2] = 0, bytes[3] = 0;
    length = 4 + random % 21, room = 8 + random / 32 % 128;
    memset(reply, 0xa5, sizeof reply);
    CHECK(vireo_scmi_handle(scmi, agent, bytes, length, reply, room, &size) == VIREO_OK);
    CHECK(size >= 8 && size <= room && reply[room] == 0xa5);
    while (vireo_scmi_next(scmi, agent, reply, 128, &size) == VIREO_OK) CHECK(size >= 4 && size <= 128);
  }
}

int main(void) {
  board self;
  vireo_scmi_settings settings;
  vireo_scmi *scmi = NULL;
  void *storage = aligned(vireo_scmi_size());
  uint32_t first = 0, second = 0, i, agent;
  memset(&self, 0, sizeof self);
  refuse_arguments(&self);
  settings = good_settings(&self);
  CHECK(vireo_scmi_create(storage, vireo_scmi_size(), &settings, &scmi) == VIREO_OK);
  CHECK(vireo_scmi_add_agent(scmi, "first", VIREO_SCMI_EVENTS, &first) == VIREO_OK && first == 1);
  CHECK(vireo_scmi_add_agent(scmi, "second", VIREO_SCMI_VERSION_20, &second) == VIREO_OK && second == 2);
  CHECK(vireo_scmi_add_agent(scmi, "third", 8, &agent) == VIREO_BAD_ARGUMENT);
  for (i = 0; i < COUNT; i++) CHECK(vireo_scmi_grant(scmi, first, i, 0) == VIREO_OK);
  CHECK(vireo_scmi_grant(scmi, first, 0, 0) == VIREO_WRONG_STATE);
  CHECK(vireo_scmi_grant(scmi, second, UART, 0) == VIREO_OK);
  use_resources(scmi, &self, first, second);
  wait_for_events(scmi, &self, first, second);
  self.scmi = scmi;
  CHECK(status(scmi, first, 0x14, 6, 0, 0, 0, 1) == 0);
  self.scmi = NULL;
  send_nonsense(scmi, first);
  for (i = 3; i <= 8; i++) CHECK(vireo_scmi_add_agent(scmi, "more", 0, &agent) == VIREO_OK && agent == i);
  CHECK(vireo_scmi_add_agent(scmi, "too many", 0, &agent) == VIREO_BUSY);
  free(storage);
  puts("scmi: ok");
  return 0;
}
