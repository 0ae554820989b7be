/* SPDX-License-Identifier: Apache-2.0
 * The PL011 of the machine, and a person at it who types a command whenever the guest asks for one. */
#include "vmm.h"

#include <stdio.h>
#include <string.h>

enum { DATA = 0x00, FLAGS = 0x18, MASK = 0x38, RECEIVE_EMPTY = 1 << 4, RECEIVED = 1 << 4 | 1 << 6 };

static const char prompt[] = "vireo> ";

static struct {
  const char *const *commands;
  unsigned count, next;
  const char *typing; /* what is left of a command */
  char line[256];     /* the end of what the guest wrote */
  size_t used;
  uint32_t mask;
} port;

void type_at_prompt(const char *const *commands, unsigned count) {
  port.commands = commands;
  port.count = count;
}

static void drive_line(void) {
  int waiting = port.typing != NULL && *port.typing != 0;
  interrupt_line(SERIAL_INTERRUPT, waiting && (port.mask & RECEIVED));
}

uint64_t serial_read(uint64_t offset) {
  uint64_t value = 0;
  switch (offset) {
  case DATA:
    if (port.typing != NULL && *port.typing != 0) value = (unsigned char)*port.typing++;
    break;
  case FLAGS: value = port.typing != NULL && *port.typing != 0 ? 0 : RECEIVE_EMPTY; break;
  case MASK: value = port.mask; break;
  default: break;
  }
  drive_line();
  return value;
}

void serial_write(uint64_t offset, uint32_t value) {
  if (offset == MASK) port.mask = value;
  if (offset == DATA) {
    putchar((int)(value & 0xff));
    if (value == '\n' || port.used == sizeof port.line) port.used = 0;
    if (value != '\n') port.line[port.used++] = (char)value;
  }
  drive_line();
}

int serial_progress(void) {
  size_t length = sizeof prompt - 1;
  if (port.typing != NULL && *port.typing != 0) return 0;
  if (port.next == port.count || port.used != length || memcmp(port.line, prompt, length) != 0) return 0;
  port.typing = port.commands[port.next++];
  port.used = 0;
  drive_line();
  return 1;
}
