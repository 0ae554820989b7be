/* A bare guest as an SCMI agent over virtio-scmi (virtio 1.4 §5.17), with rings of its own making: repeated
   tokens, commands in one burst, wrong lengths and headers, an event queue without a buffer for long, and
   then a trip of its temperature, which comes late but comes. It says '.' for what was as it should be, and a
   letter for what was not. */
#include "guest.h"

#define SCMI WINDOW(4)
enum { BASE = 0x10, SYSTEM = 0x12, PERFORMANCE = 0x13, CLOCK = 0x14, SENSOR = 0x15 };
enum { NOT_SUPPORTED = -1, INVALID = -2, NOT_FOUND = -4, PROTOCOL_ERROR = -10 };
enum { NOTIFICATION = 3, ROOM = 136 };

/* Queue 0 is that of commands, queue 1 that of events. */
static u64 area(u32 queue) { return RINGS + queue * 0x4000; }
/* A command's memory, and behind it that of its response. */
static u64 command(u32 slot) { return DATA + 0x1000 + slot * 0x200; }
static u64 response(u32 slot) { return command(slot) + 0x100; }
static u16 used(u32 queue) { return read16(area(queue) + 0x2002); }
static u32 header(u32 token, u32 protocol, u32 message) { return token << 18 | protocol << 10 | message; }

static void start(void) {
  for (u64 at = RINGS; at < RINGS + 0x8000; at += 8) write64(at, 0);
  reset_device(SCMI);
  write32(SCMI + STATUS, 3);
  write32(SCMI + DRIVER_SELECT, 0);
  write32(SCMI + DRIVER_FEATURES, 1); /* P2A_CHANNELS */
  write32(SCMI + DRIVER_SELECT, 1);
  write32(SCMI + DRIVER_FEATURES, 1); /* VERSION_1 */
  write32(SCMI + STATUS, 11);
  for (u32 queue = 0; queue < 2; queue++) {
    write32(SCMI + QUEUE_SELECT, queue);
    write32(SCMI + QUEUE_SIZE, RING_SIZE);
    write_address(SCMI + DESCRIPTORS, area(queue));
    write_address(SCMI + DRIVER_AREA, area(queue) + 0x1000);
    write_address(SCMI + DEVICE_AREA, area(queue) + 0x2000);
    write32(SCMI + QUEUE_READY, 1);
  }
  write32(SCMI + STATUS, 15);
}

/* Makes a descriptor available without a notification. */
static void make_available(u32 queue, u16 head) {
  u64 ring = area(queue) + 0x1000;
  u16 index = read16(ring + 2);
  write16(ring + 4 + 2 * (index % RING_SIZE), head);
  barrier();
  write16(ring + 2, index + 1);
  barrier();
}
static int wait_used(u32 queue, u16 count) {
  for (u32 i = 0; i < 10000000; i++)
    if (used(queue) == count) return 1;
  return 0;
}

/* Puts a command of `length` bytes into a slot; its words are there already. */
static void post(u32 slot, u32 length) {
  write32(response(slot) + 4, 0x5555);
  descriptor(area(0), 2 * slot, command(slot), length, NEXT, 2 * slot + 1);
  descriptor(area(0), 2 * slot + 1, response(slot), ROOM, WRITE, 0);
  make_available(0, 2 * slot);
}
/* A whole command with a header; returns its status, or 1 without an answer to it. */
static int send(u32 head, u32 length, u32 a, u32 b, u32 c, u32 d) {
  u16 before = used(0);
  write32(command(0), head);
  write32(command(0) + 4, a);
  write32(command(0) + 8, b);
  write32(command(0) + 12, c);
  write32(command(0) + 16, d);
  post(0, length);
  write32(SCMI + NOTIFY, 0);
  if (!wait_used(0, before + 1) || read32(response(0)) != head) return 1;
  return (int)read32(response(0) + 4);
}
static u32 value(void) { return read32(response(0) + 8); }
static int counter_works(void) {
  return send(header(9, CLOCK, 6), 8, 0, 0, 0, 0) == 0 && value() == 62500000;
}

static void tokens(void) {
  /* The same one again and again: every command is carried out. */
  for (u32 level = 500; level <= 2000; level += 500) {
    expect(send(header(7, PERFORMANCE, 7), 12, 0, level, 0, 0) == 0, 't');
    expect(send(header(7, PERFORMANCE, 8), 8, 0, 0, 0, 0) == 0 && value() == level, 'u');
  }
  /* And in one burst, with one notification. */
  u16 before = used(0);
  for (u32 slot = 0; slot < 8; slot++) {
    write32(command(slot), header(7, CLOCK, 6));
    write32(command(slot) + 4, slot & 1 ? 3 : 0);
    post(slot, 8);
  }
  write32(SCMI + NOTIFY, 0);
  int good = wait_used(0, before + 8);
  for (u32 slot = 0; slot < 8; slot++)
    good = good && (int)read32(response(slot) + 4) == (slot & 1 ? NOT_FOUND : 0);
  expect(good, 'b');
}

static void malformed(void) {
  expect(send(header(1, CLOCK, 6), 4, 0, 0, 0, 0) == PROTOCOL_ERROR && counter_works(), 's');
  expect(send(header(1, CLOCK, 6), 12, 0, 0, 0, 0) == PROTOCOL_ERROR && counter_works(), 'l');
  expect(send(header(1, CLOCK, 6) | 1u << 28, 8, 0, 0, 0, 0) == PROTOCOL_ERROR && counter_works(), 'r');
  expect(send(header(1, CLOCK, 6) | 1 << 8, 8, 0, 0, 0, 0) == PROTOCOL_ERROR && counter_works(), 'y');
  expect(send(header(1, 0x1a, 0), 4, 0, 0, 0, 0) == NOT_SUPPORTED && counter_works(), 'p');
  expect(send(header(1, CLOCK, 7), 16, 2, 8, 0, 0) == INVALID && counter_works(), 'i');
  expect(send(header(1, PERFORMANCE, 7), 12, 1, 500, 0, 0) == NOT_FOUND && counter_works(), 'o');
}

/* Notifications without a place: nothing else is held up by them, and they come when there is one. */
static void events(void) {
  /* Trip point 0 in both directions between what the highest and the lowest level lead to. */
  while (send(header(2, SENSOR, 6), 12, 0, 0, 0, 0) == 0 && value() < 36500) {}
  expect(send(header(2, SENSOR, 5), 20, 0, 3, 36000, 0) == 0, 'c');
  expect(send(header(2, SENSOR, 4), 12, 0, 1, 0, 0) == 0, 'n');
  expect(send(header(2, PERFORMANCE, 7), 12, 0, 500, 0, 0) == 0, 'L');
  while (send(header(2, SENSOR, 6), 12, 0, 0, 0, 0) == 0 && value() > 35000) {}
  expect(used(1) == 0 && counter_works(), 'w');
  descriptor(area(1), 0, DATA, ROOM, WRITE, 0);
  make_available(1, 0);
  write32(SCMI + NOTIFY, 1);
  expect(wait_used(1, 1), 'e');
  expect(read32(area(1) + 0x2008) == 16 && read32(DATA) == (header(0, SENSOR, 0) | NOTIFICATION << 8), 'h');
  expect(read32(DATA + 4) == 0 && read32(DATA + 8) == 0 && read32(DATA + 12) == 0, 'd'); /* downwards */
  expect(counter_works(), 'g');
}

void guest_main(u64 tree) {
  (void)tree;
  expect(read32(SCMI + 8) == 32, 'D');
  start();
  expect(send(header(0, BASE, 0), 4, 0, 0, 0, 0) == 0 && value() == 0x20001, 'v');
  tokens();
  malformed();
  events();
  put('\n');
  send(header(3, SYSTEM, 3), 12, 0, 0, 0, 0);
  for (;;) {}
}
void guest_secondary(u64 context) { (void)context; }
