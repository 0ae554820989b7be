/* Every register of every window and of the interrupt controller, at every width; what is no plain access;
   firmware calls and system registers. */
#include "hostile.h"

static u32 seed = 0x2545f491;
static u32 random(void) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  return seed ^= seed << 5;
}

static void touch(u64 at, u32 width, u32 value) {
  switch (width) {
    case 0: read8(at); write8(at, (u8)value); break;
    case 1: read16(at); write16(at, (u16)value); break;
    case 2: read32(at); write32(at, value); break;
    default: read64(at); write64(at, (u64)value << 32 | value); break;
  }
}

/* The console would write what it is given at emerg_wr. */
static int is_emergency(u32 slot, u32 offset) { return slot == 0 && offset >= 0x100 && offset < 0x110; }

void sweep_windows(void) {
  u64 before = record()->count;
  for (u32 slot = 0; slot < 8; slot++) {
    for (u32 width = 0; width < 4; width++) {
      for (u32 offset = 0; offset < 0x1000; offset += 1u << width) {
        if (is_emergency(slot, offset)) continue;
        touch(WINDOW(slot) + offset, width, 0);
        touch(WINDOW(slot) + offset, width, ~0u);
        touch(WINDOW(slot) + offset, width, random());
      }
    }
    reset_device(WINDOW(slot));
  }
  expect(record()->count == before, 'a');
  expect(read32(DISK) == 0x74726976, 'b');
}

void sweep_controller(void) {
  u64 before = record()->count;
  for (u32 offset = 0; offset < 0x10000; offset += 4) touch(DISTRIBUTOR + offset, 2, ~0u);
  for (u32 offset = 0; offset < 0x10000; offset += 8) touch(DISTRIBUTOR + offset, 3, random());
  for (u32 offset = 0; offset < 0x1000; offset++) touch(DISTRIBUTOR + offset, 0, random());
  /* The frames of this guest, of the other, of no one, and what lies behind them. */
  for (u64 offset = 0; offset < 0xa0000; offset += 4) touch(REDISTRIBUTOR(0) + offset, 2, ~0u);
  for (u64 offset = 0x10000; offset < 0x11000; offset++) touch(REDISTRIBUTOR(0) + offset, 0, 0);
  expect(record()->count == before, 'c');
  /* Nothing of it has reached what is not the guest's: interrupts 32 to 63, and those of the other guest. */
  expect(read32(DISTRIBUTOR + 0x104) == 0 && read32(DISTRIBUTOR + 0x204) == 0, 'd');
  expect((read32(DISTRIBUTOR + 0x114) & 0xff00ffff) == 0, 'e');
  /* Quiet again. */
  for (u32 offset = 0x180; offset < 0x400; offset += 4)
    if (offset & 0x80) write32(DISTRIBUTOR + offset, ~0u), write32(REDISTRIBUTOR(0) + 0x10000 + offset, ~0u);
}

#define ABORTS(letter, ...)                          \
  do {                                               \
    u64 before = record()->count;                    \
    __asm__ volatile(__VA_ARGS__);                   \
    expect(record()->count == before + 1, letter);   \
  } while (0)

void try_accesses(void) {
  u64 at = WINDOW(0), x = 0, y = 0;
  ABORTS('f', "ldp %0, %1, [%2]" : "=&r"(x), "=&r"(y) : "r"(at) : "memory", "cc");
  ABORTS('g', "stp %0, %1, [%2]" ::"r"(x), "r"(y), "r"(at) : "memory", "cc");
  ABORTS('h', "ldr %w0, [%1], #4" : "=&r"(x), "+r"(at)::"memory", "cc");
  ABORTS('i', "str %w0, [%1, #4]!" : "+r"(x), "+r"(at)::"memory", "cc");
  at = WINDOW(0);
  ABORTS('j', "ldr q0, [%0]" ::"r"(at) : "memory", "cc");
  ABORTS('k', "st1 {v0.4s}, [%0]" ::"r"(at) : "memory", "cc");
  ABORTS('l', "ldr s1, [%0, #0x70]" ::"r"(at) : "memory", "cc");
  ABORTS('m', "ldxr %w0, [%1]" : "=&r"(x) : "r"(at) : "memory", "cc");
  ABORTS('n', "dc zva, %0" ::"r"(at) : "memory", "cc");
  /* Not aligned, and over the end of a window: what the processor makes of it. */
  __asm__ volatile("ldr %w0, [%1]" : "=&r"(x) : "r"(at + 1) : "memory", "cc");
  __asm__ volatile("ldr %0, [%1]\n\tstr %0, [%1]" : "=&r"(x) : "r"(at + 0xffc) : "memory", "cc");
  /* Into nothing: an abort, or no effect, but the guest goes on. */
  u64 places[] = {WINDOW(0), HOST_IMAGE, OTHER_MEMORY, NOWHERE, DISTRIBUTOR, 0};
  for (u32 i = 0; i < sizeof places / sizeof *places; i++) {
    u64 place = places[i];
    __asm__ volatile("dc ivac, %0\n\tdc cvac, %0\n\tic ivau, %0" ::"r"(place) : "memory", "cc");
    __asm__ volatile("ldp x9, x10, [%0]\n\tstp x9, x10, [%0]" ::"r"(place) : "x9", "x10", "memory", "cc");
    write64(place, ~0ul);
    read32(place);
    /* To be executed: comes back behind the call. */
    __asm__ volatile("blr %0" ::"r"(place) : "x30", "memory", "cc");
  }
  expect(read32(WINDOW(0)) == 0x74726976, 'o');
}

static void registers(u64 value) {
#define WRITE(name) __asm__ volatile("msr " name ", %0\n\tisb" ::"r"(value) : "memory", "cc");
#define READ(name) __asm__ volatile("mrs x9, " name ::: "x9", "memory", "cc");
  WRITE("S3_0_C12_C11_5") WRITE("S3_0_C12_C11_6") WRITE("S3_0_C12_C11_7") /* SGI1R, ASGI1R, SGI0R */
  WRITE("S3_0_C12_C12_6") READ("S3_0_C12_C12_6")                          /* IGRPEN0 */
  WRITE("S3_0_C12_C8_3") WRITE("S3_0_C12_C8_4") WRITE("S3_0_C12_C8_1")    /* BPR0, AP0R0, EOIR0 */
  READ("S3_0_C12_C8_0") READ("S3_0_C12_C8_2")                             /* IAR0, HPPIR0 */
  WRITE("S3_0_C4_C6_0") WRITE("S3_0_C12_C12_4") WRITE("S3_0_C12_C11_1")   /* PMR, CTLR, DIR */
  WRITE("S3_0_C12_C12_3") WRITE("S3_0_C12_C12_5")                         /* BPR1, SRE */
  READ("S3_1_C15_C2_0") WRITE("S3_1_C15_C2_0") WRITE("S3_1_C15_C2_1")     /* of the implementation */
  WRITE("actlr_el1") WRITE("cntp_cval_el0") WRITE("cntkctl_el1") WRITE("csselr_el1") WRITE("oslar_el1")
  WRITE("S3_4_C1_C1_0") READ("S3_4_C1_C1_0") WRITE("S3_4_C2_C1_0")        /* HCR_EL2, VTTBR_EL2 */
  WRITE("S3_4_C12_C11_0") WRITE("S3_4_C12_C9_5")                          /* ICH_HCR_EL2, ICC_SRE_EL2 */
}

void try_calls(void) {
  u32 special[] = {OFF,        RESET,      0x84000002, 0x84000001, 0xc4000001,
                   0x84000012, 0xc4000012, 0x84000003, 0xc4000003};
  for (u32 i = 0; i < 2000; i++) {
    /* Half of them near what exists. */
    u32 function = i & 1 ? random() : 0x80000000 | (random() & 0x4700003f);
    int ends = 0;
    for (u32 j = 0; j < sizeof special / sizeof *special; j++) ends |= function == special[j];
    if (ends) continue;
    u64 a = (u64)random() << 32 | random(), b = random() & 3;
    hvc(function, a, b, a);
    smc(function, b, a, b);
    hvc_other(function, a, a, a);
  }
  expect(hvc(VERSION, 0, 0, 0) == 0x10001 && smc(VERSION, 0, 0, 0) == 0x10001, 'q');
  registers(~0ul);
  registers(0x0000010000ffffff); /* all cores but this, all targets */
  for (u64 identifier = 0; identifier < 16; identifier++) registers(identifier << 24 | 0xffff);
  registers(0);
  expect(hvc(VERSION, 0, 0, 0) == 0x10001, 'r');
}

/* Random writes to all windows at once with the first core. */
void race(void) {
  while (!race_ends) {
    u32 slot = random() % 5, offset = (random() & 0x1ff) & ~3u;
    if (!is_emergency(slot, offset)) touch(WINDOW(slot) + offset, 2, random() & 0x1f);
    race_rounds++;
  }
}
