// `count`, third part: what each SCMI message costs through the shared memory entry, on a board of 16
// resources of each kind that four agents use, all of them subscribed to all there is. The parameters are
// valid, of the last resource, and ask for as much as a response can hold.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

#include "bench.h"

void *vireo_scmi_make(void *area, long byte_count) __attribute__((weak));
int32_t vireo_scmi_send(void *peer, uint8_t agent, const uint32_t *words, long count);
bool vireo_scmi_serve(void *peer);
uint32_t vireo_scmi_events(void *peer);

enum { RESOURCES = 16, AGENTS = 4, LAST = RESOURCES - 1, PARAMETERS = 6 };

/// SHARED: every agent did this before, with every resource. OWN: the first agent did, with every resource.
enum { PLAIN, OWN, SHARED };

/// `id`: which parameter names the resource, or -1.
struct message {
  uint8_t protocol, message;
  const char *name;
  int count, id, before;
  uint32_t parameters[PARAMETERS];
};

#define COMMON(protocol, name)                                                                          \
  {protocol, 0x0, name "-PROTOCOL_VERSION", 0, -1, PLAIN, {0}},                                        \
  {protocol, 0x1, name "-PROTOCOL_ATTRIBUTES", 0, -1, PLAIN, {0}},                                     \
  {protocol, 0x2, name "-PROTOCOL_MESSAGE_ATTRIBUTES", 1, -1, PLAIN, {0x2}},                           \
  {protocol, 0x10, name "-NEGOTIATE_PROTOCOL_VERSION", 1, -1, PLAIN, {0}}

static const struct message messages[] = {
    COMMON(0x10, "BASE"),
    {0x10, 0x3, "BASE_DISCOVER_VENDOR", 0, -1, PLAIN, {0}},
    {0x10, 0x4, "BASE_DISCOVER_SUB_VENDOR", 0, -1, PLAIN, {0}},
    {0x10, 0x5, "BASE_DISCOVER_IMPLEMENTATION_VERSION", 0, -1, PLAIN, {0}},
    {0x10, 0x6, "BASE_DISCOVER_LIST_PROTOCOLS", 1, -1, PLAIN, {0}},
    {0x10, 0x7, "BASE_DISCOVER_AGENT", 1, -1, PLAIN, {AGENTS}},
    {0x10, 0x8, "BASE_NOTIFY_ERRORS", 1, -1, OWN, {1}},
    {0x10, 0x9, "BASE_SET_DEVICE_PERMISSIONS", 3, -1, PLAIN, {AGENTS, 1, 0}},
    {0x10, 0xA, "BASE_SET_PROTOCOL_PERMISSIONS", 4, -1, PLAIN, {AGENTS, 1, 0x14, 0}},
    {0x10, 0xB, "BASE_RESET_AGENT_CONFIGURATION", 2, -1, PLAIN, {1, 1}},
    COMMON(0x11, "POWER"),
    {0x11, 0x3, "POWER_DOMAIN_ATTRIBUTES", 1, 0, PLAIN, {LAST}},
    {0x11, 0x4, "POWER_STATE_SET", 3, 1, SHARED, {0, LAST, 0}},
    {0x11, 0x5, "POWER_STATE_GET", 1, 0, PLAIN, {LAST}},
    {0x11, 0x6, "POWER_STATE_NOTIFY", 2, 0, SHARED, {LAST, 1}},
    {0x11, 0x7, "POWER_STATE_CHANGE_REQUESTED_NOTIFY", 2, 0, SHARED, {LAST, 1}},
    {0x11, 0x8, "POWER_DOMAIN_NAME_GET", 1, 0, PLAIN, {LAST}},
    COMMON(0x12, "SYSTEM"),
    {0x12, 0x3, "SYSTEM_POWER_STATE_SET", 2, -1, PLAIN, {0, 0}},
    {0x12, 0x4, "SYSTEM_POWER_STATE_GET", 0, -1, PLAIN, {0}},
    {0x12, 0x5, "SYSTEM_POWER_STATE_NOTIFY", 1, -1, SHARED, {1}},
    COMMON(0x13, "PERFORMANCE"),
    {0x13, 0x3, "PERFORMANCE_DOMAIN_ATTRIBUTES", 1, 0, PLAIN, {LAST}},
    {0x13, 0x4, "PERFORMANCE_DESCRIBE_LEVELS", 2, 0, PLAIN, {LAST, 0}},
    {0x13, 0x5, "PERFORMANCE_LIMITS_SET", 3, 0, SHARED, {LAST, 9, 2}},
    {0x13, 0x6, "PERFORMANCE_LIMITS_GET", 1, 0, PLAIN, {LAST}},
    {0x13, 0x7, "PERFORMANCE_LEVEL_SET", 2, 0, SHARED, {LAST, 8}},
    {0x13, 0x8, "PERFORMANCE_LEVEL_GET", 1, 0, PLAIN, {LAST}},
    {0x13, 0x9, "PERFORMANCE_NOTIFY_LIMITS", 2, 0, SHARED, {LAST, 1}},
    {0x13, 0xA, "PERFORMANCE_NOTIFY_LEVEL", 2, 0, SHARED, {LAST, 1}},
    {0x13, 0xB, "PERFORMANCE_DESCRIBE_FASTCHANNEL", 2, 0, PLAIN, {LAST, 7}},
    {0x13, 0xC, "PERFORMANCE_DOMAIN_NAME_GET", 1, 0, PLAIN, {LAST}},
    COMMON(0x14, "CLOCK"),
    {0x14, 0x3, "CLOCK_ATTRIBUTES", 1, 0, PLAIN, {LAST}},
    {0x14, 0x4, "CLOCK_DESCRIBE_RATES", 2, -1, PLAIN, {0, 0}},
    {0x14, 0x5, "CLOCK_RATE_SET", 4, 1, SHARED, {8, LAST, 1000, 0}},
    {0x14, 0x6, "CLOCK_RATE_GET", 1, 0, PLAIN, {LAST}},
    {0x14, 0x7, "CLOCK_CONFIG_SET", 3, 0, SHARED, {LAST, 1, 0}},
    {0x14, 0x8, "CLOCK_NAME_GET", 1, 0, PLAIN, {LAST}},
    {0x14, 0x9, "CLOCK_RATE_NOTIFY", 2, 0, SHARED, {LAST, 1}},
    {0x14, 0xA, "CLOCK_RATE_CHANGE_REQUESTED_NOTIFY", 2, 0, SHARED, {LAST, 1}},
    {0x14, 0xB, "CLOCK_CONFIG_GET", 2, 0, PLAIN, {LAST, 1}},
    {0x14, 0xC, "CLOCK_POSSIBLE_PARENTS_GET", 2, 0, PLAIN, {LAST, 0}},
    {0x14, 0xD, "CLOCK_PARENT_SET", 2, 0, SHARED, {LAST, 1}},
    {0x14, 0xE, "CLOCK_PARENT_GET", 1, 0, PLAIN, {LAST}},
    {0x14, 0xF, "CLOCK_GET_PERMISSIONS", 1, 0, PLAIN, {LAST}},
    COMMON(0x15, "SENSOR"),
    {0x15, 0x3, "SENSOR_DESCRIPTION_GET", 1, -1, PLAIN, {0}},
    {0x15, 0x4, "SENSOR_TRIP_POINT_NOTIFY", 2, 0, SHARED, {LAST, 1}},
    {0x15, 0x5, "SENSOR_TRIP_POINT_CONFIG", 4, 0, SHARED, {LAST, 3, 5, 0}},
    {0x15, 0x6, "SENSOR_READING_GET", 2, 0, PLAIN, {LAST, 0}},
    {0x15, 0x7, "SENSOR_AXIS_DESCRIPTION_GET", 2, 0, PLAIN, {LAST, 0}},
    {0x15, 0x8, "SENSOR_LIST_UPDATE_INTERVALS", 2, 0, PLAIN, {LAST, 0}},
    {0x15, 0x9, "SENSOR_CONFIG_GET", 1, 0, PLAIN, {LAST}},
    {0x15, 0xA, "SENSOR_CONFIG_SET", 2, 0, SHARED, {LAST, 1}},
    {0x15, 0xB, "SENSOR_CONTINUOUS_UPDATE_NOTIFY", 2, 0, SHARED, {LAST, 1}},
    {0x15, 0xC, "SENSOR_NAME_GET", 1, 0, PLAIN, {LAST}},
    {0x15, 0xD, "SENSOR_AXIS_NAME_GET", 2, 0, PLAIN, {LAST, 0}},
    COMMON(0x16, "RESET"),
    {0x16, 0x3, "RESET_DOMAIN_ATTRIBUTES", 1, 0, PLAIN, {LAST}},
    {0x16, 0x4, "RESET", 3, 0, SHARED, {LAST, 1, 0}},
    {0x16, 0x5, "RESET_NOTIFY", 2, 0, SHARED, {LAST, 1}},
    {0x16, 0x6, "RESET_DOMAIN_NAME_GET", 1, 0, PLAIN, {LAST}},
    COMMON(0x17, "VOLTAGE"),
    {0x17, 0x3, "VOLTAGE_DOMAIN_ATTRIBUTES", 1, 0, PLAIN, {LAST}},
    {0x17, 0x4, "VOLTAGE_DESCRIBE_LEVELS", 2, -1, PLAIN, {0, 0}},
    {0x17, 0x5, "VOLTAGE_CONFIG_SET", 2, 0, SHARED, {LAST, 7}},
    {0x17, 0x6, "VOLTAGE_CONFIG_GET", 1, 0, PLAIN, {LAST}},
    {0x17, 0x7, "VOLTAGE_LEVEL_SET", 3, 0, SHARED, {LAST, 0, 0x80000000}},
    {0x17, 0x8, "VOLTAGE_LEVEL_GET", 1, 0, PLAIN, {LAST}},
    {0x17, 0x9, "VOLTAGE_DOMAIN_NAME_GET", 1, 0, PLAIN, {LAST}},
    COMMON(0x18, "POWERCAP"),
    {0x18, 0x3, "POWERCAP_DOMAIN_ATTRIBUTES", 1, 0, PLAIN, {LAST}},
    {0x18, 0x4, "POWERCAP_CAP_GET", 1, 0, PLAIN, {LAST}},
    {0x18, 0x5, "POWERCAP_CAP_SET", 3, 0, SHARED, {LAST, 0, 8}},
    {0x18, 0x6, "POWERCAP_PAI_GET", 1, 0, PLAIN, {LAST}},
    {0x18, 0x7, "POWERCAP_PAI_SET", 3, 0, SHARED, {LAST, 0, 5}},
    {0x18, 0x8, "POWERCAP_DOMAIN_NAME_GET", 1, 0, PLAIN, {LAST}},
    {0x18, 0x9, "POWERCAP_MEASUREMENTS_GET", 1, 0, PLAIN, {LAST}},
    {0x18, 0xA, "POWERCAP_CAP_NOTIFY", 2, 0, SHARED, {LAST, 1}},
    {0x18, 0xB, "POWERCAP_MEASUREMENTS_NOTIFY", 4, 0, SHARED, {LAST, 1, 0, 9}},
    {0x18, 0xC, "POWERCAP_DESCRIBE_FASTCHANNEL", 2, 0, PLAIN, {LAST, 5}},
    COMMON(0x19, "PINCTRL"),
    {0x19, 0x3, "PINCTRL_ATTRIBUTES", 2, 0, PLAIN, {LAST, 1}},
    {0x19, 0x4, "PINCTRL_LIST_ASSOCIATIONS", 3, 0, PLAIN, {LAST, 1, 0}},
    {0x19, 0x5, "PINCTRL_SETTINGS_GET", 2, 0, PLAIN, {LAST, 1 << 18 | 1 << 16}},
    {0x19, 0x6, "PINCTRL_SETTINGS_CONFIGURE", 5, 0, OWN, {LAST, LAST, 1 << 10 | 1 << 2 | 1, 3, 7}},
    {0x19, 0x7, "PINCTRL_REQUEST", 2, 0, OWN, {LAST, 1}},
    {0x19, 0x8, "PINCTRL_RELEASE", 2, 0, PLAIN, {LAST, 1}},
    {0x19, 0x9, "PINCTRL_NAME_GET", 2, 0, PLAIN, {LAST, 1}},
    {0x19, 0xA, "PINCTRL_SET_PERMISSIONS", 3, 1, PLAIN, {AGENTS, LAST, 1}},
};

enum { MESSAGES = sizeof messages / sizeof *messages };

/// The shared memory area of the first agent.
static volatile uint32_t area[40] __attribute__((aligned(8)));

static uint32_t header(const struct message *m) { return m->message | (uint32_t)m->protocol << 10; }

/// What comes before: statuses are not looked at, as not every resource can do everything.
static void prepare(void *peer) {
  for (uint8_t agent = 1; agent <= AGENTS; agent++)
    for (const struct message *m = messages; m < messages + MESSAGES; m++) {
      if (m->before == PLAIN || (m->before == OWN && agent > 1)) continue;
      for (uint32_t id = 0; id < (m->id < 0 ? 1 : RESOURCES); id++) {
        uint32_t words[1 + PARAMETERS] = {header(m)};
        memcpy(words + 1, m->parameters, sizeof m->parameters);
        if (m->id >= 0) words[1 + m->id] = id;
        vireo_scmi_send(peer, agent, words, 1 + m->count);
      }
    }
}

/// The version that a protocol has: what NEGOTIATE_PROTOCOL_VERSION asks for.
static uint32_t version(uint8_t protocol) {
  switch (protocol) {
    case 0x11: case 0x15: case 0x16: return 0x30001;
    case 0x13: return 0x40000;
    case 0x14: return 0x30000;
    case 0x18: return 0x20000;
    case 0x19: return 0x10000;
    default: return 0x20001;
  }
}

static void count_message(const struct message *m) {
  void *peer = vireo_scmi_make((void *)area, sizeof area);
  prepare(peer);
  require(area[1] & 1);
  area[4] = 0;
  area[5] = 4 + 4 * (uint32_t)m->count;
  area[6] = header(m) | 0x155u << 18;
  for (int i = 0; i < m->count; i++) area[7 + i] = m->parameters[i];
  if (m->message == 0x10) area[7] = version(m->protocol);
  area[1] = 0;
  uint64_t allocations = allocation_count();
  CALLGRIND_ZERO_STATS;
  bool answered = vireo_scmi_serve(peer);
  char name[128];
  snprintf(name, sizeof name, "scmi/%s/vireo", m->name);
  CALLGRIND_DUMP_STATS_AT(name);
  require(answered && area[1] & 1 && area[6] == (header(m) | 0x155u << 18));
  if (area[7] != 0) {
    fprintf(stderr, "%s: status %d\n", m->name, (int32_t)area[7]);
    exit(1);
  }
  printf("%s\t1\t%lu\n", name, (unsigned long)(allocation_count() - allocations));
  free(peer);
}

/// Whatever happens on the board reaches the first agent, which asked for all of it.
static void check_events(void) {
  void *peer = vireo_scmi_make((void *)area, sizeof area);
  require(vireo_scmi_events(peer) == 0);
  prepare(peer);
  require(vireo_scmi_events(peer) > 8);
  free(peer);
}

/// A message that the platform has stands in the table, and the other way round.
static void check_table(void) {
  void *peer = vireo_scmi_make((void *)area, sizeof area);
  for (uint32_t protocol = 0x10; protocol <= 0x1F; protocol++)
    for (uint32_t message = 0; message < 0x100; message++) {
      uint32_t words[] = {0x2 | protocol << 10, message};
      bool is_there = vireo_scmi_send(peer, 1, words, 2) == 0, is_listed = false;
      for (int i = 0; i < MESSAGES; i++)
        is_listed |= messages[i].protocol == protocol && messages[i].message == message;
      require(is_there == is_listed);
    }
  free(peer);
}

void count_scmi(void) {
  if (!vireo_scmi_make) return;
  check_table();
  check_events();
  for (int i = 0; i < MESSAGES; i++) count_message(&messages[i]);
}
