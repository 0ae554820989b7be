/* Two guests as SCMI agents over HVC. The first tries every resource of its own, and that it acts; what is no
   resource of its own, and messages that are none; and then both share the clock of the entropy source: the
   second holds it while the first does not, releases it a while later, and ends when the first has it again.
   The first says '.' for what was as it should be, and a letter for what was not. */
#include "guest.h"

#define PAGE 0x0b000000ul
#define RNG WINDOW(3)
#define REAL_TIME 0x09010000ul
#define FUNCTION 0x82000010ul
enum { BASE = 0x10, POWER, SYSTEM, PERFORMANCE, CLOCK, SENSOR, RESETS, VOLTAGE, POWERCAP };
enum {
  NOT_SUPPORTED = -1, INVALID = -2, DENIED = -3, NOT_FOUND = -4, OUT_OF_RANGE = -5, PROTOCOL_ERROR = -10,
};
enum { SOURCE = 1, REAL_TIME_CLOCK = 2 };
enum { VALUE = PAGE + 0x20 }; /* the first word of a response after its status */

/* A command of up to three words, all of them with the same token; returns its status. */
static int send_words(u32 protocol, u32 message, u32 count, u32 a, u32 b, u32 c) {
  write32(PAGE + 0x10, 0);
  write32(PAGE + 0x14, 4 + 4 * count);
  write32(PAGE + 0x18, protocol << 10 | message);
  write32(PAGE + 0x1c, a);
  write32(PAGE + 0x20, b);
  write32(PAGE + 0x24, c);
  barrier();
  write32(PAGE + 4, 0);
  barrier();
  if (hvc(FUNCTION, 0, 0, 0) != 0) return 1;
  if (read32(PAGE + 4) != 1 || read32(PAGE + 0x18) != (protocol << 10 | message)) return 2;
  return (int)read32(PAGE + 0x1c);
}
static int get(u32 protocol, u32 message, u32 id) { return send_words(protocol, message, 1, id, 0, 0); }
static int set(u32 protocol, u32 message, u32 a, u32 b) { return send_words(protocol, message, 2, a, b, 0); }
static int is(u32 protocol, u32 message, u32 id, u32 value) {
  return get(protocol, message, id) == 0 && read32(VALUE) == value;
}
static int clock_on(u32 id, u32 on) { return send_words(CLOCK, 7, 3, id, on, 0); }
static int power(u32 id, u32 off) { return send_words(POWER, 4, 3, 0, id, off << 30); }
static int reset(u32 id, u32 flags) { return send_words(RESETS, 4, 3, id, flags, 0); }

static u64 frequency(void) {
  u64 value;
  __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(value));
  return value;
}
static void wait_milliseconds(u64 count) {
  u64 end = ticks() + frequency() * count / 1000;
  while (ticks() < end) {}
}

/* What is not there, not the guest's, or no message. */
static void strangers(void) {
  expect(is(BASE, 0, 0, 0x20001) || send_words(BASE, 0, 0, 0, 0, 0) == 0, 'b');
  expect(send_words(0x1a, 0, 0, 0, 0, 0) == NOT_SUPPORTED, 'p');
  expect(get(CLOCK, 6, 3) == NOT_FOUND && get(CLOCK, 6, ~0u) == NOT_FOUND, 'c');
  expect(get(POWER, 5, 2) == NOT_FOUND && get(RESETS, 3, 2) == NOT_FOUND, 'd');
  expect(get(PERFORMANCE, 8, 1) == NOT_FOUND && get(POWERCAP, 4, 1) == NOT_FOUND, 'l');
  expect(get(VOLTAGE, 8, 2) == NOT_FOUND && set(SENSOR, 6, 6, 0) == NOT_FOUND, 'v');
  expect(power(2, 1) == NOT_FOUND && reset(2, 1) == NOT_FOUND && clock_on(3, 0) == NOT_FOUND, 's');
  expect(clock_on(0, 0) == DENIED, 'r');                         /* the counter is everybody's */
  expect(send_words(CLOCK, 6, 2, 0, 0, 0) == PROTOCOL_ERROR, 'n'); /* a word too many */
  expect(send_words(CLOCK, 7, 3, SOURCE, 8, 0) == INVALID, 'i');
  write32(PAGE + 0x14, 0x10000); /* a length that no message has */
  write32(PAGE + 4, 0);
  barrier();
  expect(hvc(FUNCTION, 0, 0, 0) == 0 && read32(PAGE + 4) & 2, 'm');
  expect(hvc(FUNCTION, 0, 0, 0) == 0, 'a'); /* nothing to serve */
  expect(hvc(FUNCTION + 1, 0, 0, 0) == ~0ul, 'f');
  expect(get(CLOCK, 6, 0) == 0 && read32(VALUE) == frequency(), 'g');
}

/* Power and reset of the guest's entropy device, and of its real-time clock. */
static void devices(void) {
  expect(read32(RNG + 8) == 4, 'e');
  write32(RNG + STATUS, 3);
  expect(read32(RNG + STATUS) == 3 && reset(0, 1) == 0 && read32(RNG + STATUS) == 0, 'u');
  expect(reset(0, 2) == 0 && read32(RNG + 8) == 0, 'h'); /* held */
  expect(reset(0, 0) == 0 && read32(RNG + 8) == 4, 'j');
  write32(RNG + STATUS, 1);
  expect(power(0, 1) == 0 && read32(RNG + 8) == 0, 'k');
  write32(RNG + STATUS, 1); /* to nobody */
  expect(power(0, 0) == 0 && read32(RNG + 8) == 4 && read32(RNG + STATUS) == 0, 'q');

  expect(read32(REAL_TIME + 0xfe0) == 0, 't');
  expect(power(1, 0) == 0 && clock_on(REAL_TIME_CLOCK, 1) == 0 && read32(REAL_TIME) == 0, 'x');
  expect(reset(1, 0) == 0 && read32(REAL_TIME + 0xfe0) == 0x31 && read32(REAL_TIME) > 1700000000u, 'y');
  write32(REAL_TIME + 8, 1000);
  expect(read32(REAL_TIME) == 1000, 'w');
  expect(send_words(CLOCK, 5, 3, 0, REAL_TIME_CLOCK, 32768 * 32) == PROTOCOL_ERROR, 'z');
  expect(clock_on(REAL_TIME_CLOCK, 0) == 0 && read32(REAL_TIME) == 0, 'A');
  expect(clock_on(REAL_TIME_CLOCK, 1) == 0 && read32(REAL_TIME) - 1000 < 3, 'B');
  expect(power(1, 1) == 0 && power(1, 0) == 0 && read32(REAL_TIME) > 1700000000u, 'C'); /* forgotten */
}

static u64 work(void) {
  u64 start = ticks();
  for (volatile u32 i = 0; i < 3000000; i++) {}
  return ticks() - start;
}

/* Levels take their time, and voltage and cap limit them. */
static void levels(void) {
  u64 fast = work();
  expect(is(PERFORMANCE, 8, 0, 2000) && set(PERFORMANCE, 7, 0, 500) == 0, 'D');
  expect(is(PERFORMANCE, 8, 0, 500), 'E');
  u64 slow = work();
  expect(slow > 3 * fast, 'F'); /* a quarter of the time, and the other core's turns */
  expect(set(PERFORMANCE, 7, 0, 3000) == OUT_OF_RANGE && set(PERFORMANCE, 7, 0, 600) == INVALID, 'G');
  expect(set(PERFORMANCE, 7, 0, 2000) == 0 && is(PERFORMANCE, 8, 0, 2000), 'H');
  expect(send_words(VOLTAGE, 7, 3, 0, 0, 900000) == 0 && is(VOLTAGE, 8, 0, 900000), 'I');
  expect(is(PERFORMANCE, 8, 0, 1000), 'J');
  expect(send_words(VOLTAGE, 7, 3, 0, 0, 1000000) == 0 && is(PERFORMANCE, 8, 0, 2000), 'K');
  expect(send_words(POWERCAP, 5, 3, 0, 0, 600) == 0 && is(PERFORMANCE, 8, 0, 1000), 'L');
  expect(send_words(POWERCAP, 5, 3, 0, 0, 0) == 0 && is(PERFORMANCE, 8, 0, 2000), 'M');
  expect(set(SENSOR, 6, 0, 0) == 0 && read32(VALUE) > 25000 && read32(VALUE) < 90000, 'N');
}

/* The entropy device's queue, of one buffer at a time. */
static void start_entropy(void) {
  for (u64 at = RINGS; at < RINGS + 0x4000; at += 8) write64(at, 0);
  reset_device(RNG);
  write32(RNG + STATUS, 3);
  write32(RNG + DRIVER_SELECT, 0);
  write32(RNG + DRIVER_FEATURES, 0);
  write32(RNG + DRIVER_SELECT, 1);
  write32(RNG + DRIVER_FEATURES, 1);
  write32(RNG + STATUS, 11);
  write32(RNG + QUEUE_SELECT, 0);
  write32(RNG + QUEUE_SIZE, RING_SIZE);
  write_address(RNG + DESCRIPTORS, RINGS);
  write_address(RNG + DRIVER_AREA, AVAILABLE);
  write_address(RNG + DEVICE_AREA, USED);
  write32(RNG + QUEUE_READY, 1);
  write32(RNG + STATUS, 15);
  descriptor(RINGS, 0, DATA, 64, WRITE, 0);
}
static void ask(void) {
  u16 index = read16(AVAILABLE + 2);
  write16(AVAILABLE + 4 + 2 * (index % RING_SIZE), 0);
  barrier();
  write16(AVAILABLE + 2, index + 1);
  barrier();
  write32(RNG + NOTIFY, 0);
}
/* Whether what was asked for comes. */
static int comes(u64 milliseconds) {
  u64 end = ticks() + frequency() * milliseconds / 1000;
  while (read16(USED + 2) != read16(AVAILABLE + 2)) {
    if (ticks() > end) return 0;
  }
  return 1;
}
enum { FOR_EVER = 100000, A_WHILE = 20 };

static void first(void) {
  strangers();
  devices();
  levels();
  start_entropy();
  ask();
  expect(comes(FOR_EVER), 'O');
  /* Off, as the other has not decided: its buffer waits, until the other holds the clock. */
  expect(clock_on(SOURCE, 0) == 0, 'P');
  ask();
  expect(comes(FOR_EVER), 'Q');
  /* The other holds it. */
  expect(clock_on(SOURCE, 1) == 0 && clock_on(SOURCE, 0) == 0, 'R');
  ask();
  expect(comes(FOR_EVER), 'S');
  /* The other releases it. */
  u64 end = ticks() + frequency() * FOR_EVER / 1000;
  do ask();
  while (comes(A_WHILE) && ticks() < end);
  expect(!comes(A_WHILE), 'T');
  expect(clock_on(SOURCE, 1) == 0 && comes(FOR_EVER), 'U');
  expect(is(PERFORMANCE, 8, 0, 2000), 'V');
}

/* Sees the clock as it is until it decides; the first guest's levels are not its own. Its console is not
   shown: returns whether all was well. */
static int second(void) {
  u64 end = ticks() + frequency() * FOR_EVER / 1000;
  int isOff = 0, isFull = 1;
  while (!isOff && ticks() < end) {
    isOff = send_words(CLOCK, 11, 2, SOURCE, 0, 0) == 0 && read32(VALUE + 4) == 0;
    isFull = isFull && is(PERFORMANCE, 8, 0, 2000) && is(VOLTAGE, 8, 0, 1000000);
    wait_milliseconds(1);
  }
  wait_milliseconds(A_WHILE);
  int isHeld = clock_on(SOURCE, 1) == 0;
  wait_milliseconds(10 * A_WHILE);
  return isOff && isFull && isHeld && clock_on(SOURCE, 0) == 0;
}

void guest_main(u64 tree) {
  (void)tree;
  int good = 1;
  if (core_number() == 0) {
    first();
    put('\n');
  } else {
    good = second();
  }
  set(SYSTEM, 3, 0, good ? 0 : 1); /* off, this guest alone; or another start, which the host reports */
  for (;;) {}
}
void guest_secondary(u64 context) { (void)context; }
