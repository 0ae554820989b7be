// The device loop of `device-operations`: a VMM written in C that makes one library call for each operation.
// This loop is counted too, as it is part of what such a VMM pays.

#include "bench.h"

static uint32_t notifications;

#define WEAK __attribute__((weak))
#define OPERATIONS(prefix, linkage)                                                                     \
  int32_t prefix##_pop(void *device) linkage;                                                           \
  bool prefix##_next(void *device, uint64_t *address, uint32_t *length, bool *writable) linkage;        \
  void prefix##_used(void *device, uint16_t head, uint32_t written) linkage;                            \
  bool prefix##_notify(void *device) linkage;                                                           \
  uint32_t prefix##_ops_service(void *device, uint32_t budget, uint64_t *sum) {                         \
    uint32_t count = 0;                                                                                 \
    int32_t head;                                                                                       \
    for (; count < budget && (head = prefix##_pop(device)) >= 0; count++) {                             \
      uint64_t address;                                                                                 \
      uint32_t length, written = 0;                                                                     \
      bool writable;                                                                                    \
      while (prefix##_next(device, &address, &length, &writable)) {                                     \
        *sum += address + length;                                                                       \
        if (writable) written += length;                                                                \
      }                                                                                                 \
      prefix##_used(device, (uint16_t)head, written);                                                   \
    }                                                                                                   \
    notifications += prefix##_notify(device);                                                           \
    return count;                                                                                       \
  }

OPERATIONS(rv14, WEAK)
OPERATIONS(rv18, WEAK)
