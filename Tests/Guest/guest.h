/* What the test guests in C share: single accesses, firmware calls, the console's emergency write, and a
   disk's ring. The MMU is off: everything is device memory, so accesses are aligned. */
#pragma once
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* What the vectors note for each core; the layout is repeated in start.S. */
struct record {
  u64 class, count, interrupts, last, keep, scratch;
};
static inline volatile struct record *record(void) {
  u64 at;
  __asm__ volatile("mrs %0, tpidr_el1" : "=r"(at));
  return (volatile struct record *)at;
}

#define ACCESS(bits, type, suffix, width)                                             \
  static inline type read##bits(u64 at) {                                             \
    type value;                                                                       \
    __asm__ volatile("ldr" suffix " %" width "0, [%1]" : "=r"(value) : "r"(at) : "memory", "cc"); \
    return value;                                                                     \
  }                                                                                   \
  static inline void write##bits(u64 at, type value) {                                \
    __asm__ volatile("str" suffix " %" width "0, [%1]" ::"r"(value), "r"(at) : "memory", "cc"); \
  }
ACCESS(8, u8, "b", "w")
ACCESS(16, u16, "h", "w")
ACCESS(32, u32, "", "w")
ACCESS(64, u64, "", "x")

static inline void barrier(void) { __asm__ volatile("dsb sy" ::: "memory"); }
static inline u64 ticks(void) {
  u64 value;
  __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value)::"memory");
  return value;
}
static inline u32 core_number(void) {
  u64 value;
  __asm__ volatile("mrs %0, mpidr_el1" : "=r"(value));
  return value & 0xff;
}
extern __attribute__((visibility("hidden"))) char _start[], secondary_entry[];
static inline u64 base(void) { return (u64)_start; }

#define CALL(name, instruction)                                                             \
  static inline u64 name(u64 function, u64 a, u64 b, u64 c) {                               \
    register u64 x0 __asm__("x0") = function;                                               \
    register u64 x1 __asm__("x1") = a;                                                      \
    register u64 x2 __asm__("x2") = b;                                                      \
    register u64 x3 __asm__("x3") = c;                                                      \
    __asm__ volatile(instruction : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory", "cc"); \
    return x0;                                                                              \
  }
CALL(hvc, "hvc #0")
CALL(smc, "smc #0")
CALL(hvc_other, "hvc #0xbeef")
enum { OFF = 0x84000008, RESET = 0x84000009, VERSION = 0x84000000 };
#define CPU_ON 0xc4000003ul

#define WINDOW(slot) (0x0a000000ul + (slot) * 0x1000ul)
#define DISK WINDOW(1)
#define DISTRIBUTOR 0x08000000ul
#define REDISTRIBUTOR(core) (0x080a0000ul + (core) * 0x20000ul)

/* virtio 1.4 §5.3.4: emerg_wr of the console. */
static inline void put(char c) { write32(WINDOW(0) + 0x108, (u32)c); }
static inline void put_number(u64 value) {
  u64 divisor = 1;
  while (value / divisor >= 10) divisor *= 10;
  for (; divisor; divisor /= 10) put((char)('0' + value / divisor % 10));
}
/* '.' or the letter of what went wrong. */
static inline void expect(int good, char letter) { put(good ? '.' : letter); }

/* virtio 1.4 §4.2.2: the registers that a driver sets up a queue with. */
enum {
  DRIVER_FEATURES = 0x20, DRIVER_SELECT = 0x24, QUEUE_SELECT = 0x30, QUEUE_SIZE = 0x38, QUEUE_READY = 0x44,
  NOTIFY = 0x50, INTERRUPT_STATUS = 0x60, INTERRUPT_ACK = 0x64, STATUS = 0x70, DESCRIPTORS = 0x80,
  DRIVER_AREA = 0x90, DEVICE_AREA = 0xa0,
};
#define NEEDS_RESET 0x40

static inline void reset_device(u64 window) {
  write32(window + STATUS, 0);
  for (int i = 0; i < 100000 && read32(window + STATUS) != 0; i++) {}
}
static inline void write_address(u64 at, u64 value) {
  write32(at, (u32)value);
  write32(at + 4, (u32)(value >> 32));
}
/* Brings the disk up with queue 0 at these addresses; returns its status. */
static inline u32 start_disk(u64 descriptors, u64 driver, u64 device, u32 size) {
  reset_device(DISK);
  write32(DISK + STATUS, 1);
  write32(DISK + STATUS, 3);
  write32(DISK + DRIVER_SELECT, 0);
  write32(DISK + DRIVER_FEATURES, 1u << 28); /* INDIRECT_DESC */
  write32(DISK + DRIVER_SELECT, 1);
  write32(DISK + DRIVER_FEATURES, 1); /* VERSION_1 */
  write32(DISK + STATUS, 11);
  write32(DISK + QUEUE_SELECT, 0);
  write32(DISK + QUEUE_SIZE, size);
  write_address(DISK + DESCRIPTORS, descriptors);
  write_address(DISK + DRIVER_AREA, driver);
  write_address(DISK + DEVICE_AREA, device);
  write32(DISK + QUEUE_READY, 1);
  write32(DISK + STATUS, 15);
  return read32(DISK + STATUS);
}

/* The disk's rings within the guest's own memory. */
#define RING_SIZE 64u
#define RINGS (base() + 0x400000)
#define AVAILABLE (RINGS + 0x1000)
#define USED (RINGS + 0x2000)
#define HEADER (RINGS + 0x3000)
#define DATA (RINGS + 0x8000)
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

static inline void descriptor(u64 table, u32 index, u64 at, u32 length, u16 flags, u16 next) {
  write64(table + 16 * index, at);
  write32(table + 16 * index + 8, length);
  write16(table + 16 * index + 12, flags);
  write16(table + 16 * index + 14, next);
}
static inline void start_rings(void) {
  for (u64 at = RINGS; at < RINGS + 0x4000; at += 8) write64(at, 0);
  start_disk(RINGS, AVAILABLE, USED, RING_SIZE);
}
/* Makes `head` available and notifies. */
static inline void offer(u16 head) {
  u16 index = read16(AVAILABLE + 2);
  write16(AVAILABLE + 4 + 2 * (index % RING_SIZE), head);
  barrier();
  write16(AVAILABLE + 2, index + 1);
  barrier();
  write32(DISK + NOTIFY, 0);
}
/* A request as a driver makes it: type 0 reads, 1 writes; returns its status byte, 255 for no answer. */
static inline u8 request(u32 type, u64 sector, u64 at, u32 length) {
  u16 before = read16(USED + 2);
  write32(HEADER, type);
  write32(HEADER + 4, 0);
  write64(HEADER + 8, sector);
  write8(HEADER + 16, 255);
  descriptor(RINGS, 0, HEADER, 16, NEXT, 1);
  descriptor(RINGS, 1, at, length, type == 0 ? NEXT | WRITE : NEXT, 2);
  descriptor(RINGS, 2, HEADER + 16, 1, WRITE, 0);
  offer(0);
  for (int i = 0; i < 10000000 && read16(USED + 2) == before; i++) {
    if ((i & 0xfff) == 0xfff && read32(DISK + STATUS) & NEEDS_RESET) break;
  }
  barrier();
  return read8(HEADER + 16);
}
