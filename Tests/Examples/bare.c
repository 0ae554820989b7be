/* SPDX-License-Identifier: Apache-2.0
 * vireo.h on a bare AArch64 machine: no operating system and no C library. What vireo.h says that the library
 * asks for is all that is here beside it. QEMU's virt board starts it, and its semihosting ends it. */
#include "vireo.h"

/* ---- what the library asks for; compiled as freestanding, so that no loop becomes a call of itself */

uint64_t __stack_chk_guard = UINT64_C(0x595e9fbd94fda766);

static long semihosting(long operation, const void *argument) {
  register long result __asm__("x0") = operation;
  register const void *block __asm__("x1") = argument;
  __asm__ volatile("hlt #0xf000" : "+r"(result) : "r"(block) : "memory");
  return result;
}

static void end(const char *text, uint64_t status) {
  const uint64_t block[] = {0x20026 /* ADP_Stopped_ApplicationExit */, status};
  semihosting(4 /* SYS_WRITE0 */, text);
  for (;;) semihosting(0x18 /* SYS_EXIT */, block);
}

void __stack_chk_fail(void) { end("failed: the stack is damaged\n", 1); }

void *memset(void *to, int value, size_t count) {
  unsigned char *target = to;
  while (count-- != 0) *target++ = (unsigned char)value;
  return to;
}

void *memmove(void *to, const void *from, size_t count) {
  unsigned char *target = to;
  const unsigned char *source = from;
  if ((uintptr_t)to - (uintptr_t)from >= count) {
    while (count-- != 0) *target++ = *source++;
  } else {
    while (count-- != 0) target[count] = source[count];
  }
  return to;
}

void *memcpy(void *to, const void *from, size_t count) { return memmove(to, from, count); }

int memcmp(const void *left, const void *right, size_t count) {
  const unsigned char *a = left, *b = right;
  for (; count != 0; count--, a++, b++) {
    if (*a != *b) return *a - *b;
  }
  return 0;
}

/* ---- the start, at EL1 with all off: a stack, FP and SIMD, and memory that allows unaligned accesses */

unsigned char stack[128 * 1024] __attribute__((aligned(16)));

/* 512 blocks of 1 GiB, of which the one with the RAM is mapped: accessed, inner shareable, attributes 0. */
uint64_t table[512] __attribute__((aligned(4096))) = {0, 0x40000000 | 1 << 10 | 3 << 8 | 1};

__asm__(
    ".globl _start\n"
    "_start:\n"
    "  adrp x0, stack\n  add x0, x0, :lo12:stack\n  add x0, x0, #128 * 1024\n  mov sp, x0\n"
    "  mov x0, #3 << 20\n  msr cpacr_el1, x0\n"
    "  mov x0, #0xff\n  msr mair_el1, x0\n"    /* attributes 0: normal memory, write-back */
    "  ldr x0, =0x803519\n  msr tcr_el1, x0\n" /* 39 bits of TTBR0, write-back; no TTBR1 */
    "  adrp x0, table\n  msr ttbr0_el1, x0\n"
    "  isb\n  tlbi vmalle1\n  dsb nsh\n  isb\n"
    "  mrs x0, sctlr_el1\n  mov x1, #0x1005\n  orr x0, x0, x1\n  msr sctlr_el1, x0\n  isb\n"
    "  bl run\n");

/* ---- an entropy device and a driver of a few lines */

#define CHECK(condition)                                   \
  do {                                                     \
    if (!(condition)) end("failed: " #condition "\n", 1); \
  } while (0)

enum { AVAILABLE = 0x400, USED = 0x800, DATA = 0x1000, SIZE = 0x2000 };
#define GUEST UINT64_C(0x80000000)

static unsigned char storage[64 * 1024] __attribute__((aligned(4096)));
static unsigned char ram[SIZE] __attribute__((aligned(4096)));
static vireo_device *device;

static uint32_t fill(void *context, void *bytes, uint32_t byte_count) {
  memset(bytes, *(const int *)context, byte_count);
  return byte_count;
}

static void interrupt(void *context, int level) { *(int *)context = level; }

static void put(unsigned offset, uint32_t value) {
  CHECK(vireo_device_write(device, offset, 4, value) == VIREO_OK);
}

static void start(void) {
  static const uint32_t writes[][2] = {
      {0x70, 0}, {0x70, 1}, {0x70, 3}, {0x24, 1}, {0x20, 1 /* VERSION_1 */}, {0x70, 11},
      {0x30, 0}, {0x38, 8}, {0x80, (uint32_t)GUEST}, {0x90, (uint32_t)GUEST + AVAILABLE},
      {0xa0, (uint32_t)GUEST + USED}, {0x44, 1}, {0x70, 15}};
  uint64_t status = 0;
  for (unsigned i = 0; i < sizeof writes / sizeof *writes; i++) put(writes[i][0], writes[i][1]);
  CHECK(vireo_device_read(device, 0x70, 4, &status) == VIREO_OK && status == 15);
}

void run(void);
void run(void) {
  int value = 0x42, level = 0;
  const vireo_region region = {GUEST, SIZE, ram};
  const vireo_device_settings common = {
      sizeof common, &region, 1, .interrupt = interrupt, .interrupt_context = &level};
  const vireo_entropy_settings settings = {.struct_size = sizeof settings, .fill = fill, .context = &value};
  CHECK(vireo_entropy_size() <= sizeof storage && 4096 % vireo_device_align() == 0);
  CHECK(vireo_entropy_create(storage, sizeof storage, &common, &settings, &device) == VIREO_OK);
  start();
  /* One descriptor: 16 bytes at DATA, which the device writes. */
  const struct {
    uint64_t address;
    uint32_t count;
    uint16_t flags, next;
  } descriptor = {GUEST + DATA, 16, 2, 0};
  memcpy(ram, &descriptor, sizeof descriptor);
  ram[AVAILABLE + 2] = 1;
  put(0x50, 0);
  CHECK(level == 1 && ram[USED + 2] == 1 && ram[USED + 8] == 16);
  for (unsigned i = 0; i < 32; i++) CHECK(ram[DATA + i] == (i < 16 ? 0x42 : 0));
  end("bare: all checks passed\n", 0);
}
