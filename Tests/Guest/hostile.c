/* A guest that does what no guest should, in three lives, beside a guest whose memory and interrupts must not
   notice. In the first life its second core uses the same devices at the same time, and resets the guest in
   the middle of a transfer; in the second that core cannot be interrupted any more when the guest resets. */
#include "hostile.h"

/* Beyond what is loaded: survives a reset. */
#define LIFE (base() + 0x1f00000)

volatile u32 race_ends, race_rounds;
static volatile u32 second_life;

static void start_second_core(void) {
  expect(hvc(CPU_ON, 1, (u64)secondary_entry, LIFE) == 0, 'A');
}

static void bad_starts(void) {
  u64 entries[] = {0, HOST_IMAGE, OTHER_MEMORY, NOWHERE, WINDOW(0), base() + 2, ~0ul, OWN_END};
  u64 before = record()->count;
  for (u32 i = 0; i < sizeof entries / sizeof *entries; i++)
    expect((int64_t)hvc(CPU_ON, 1, entries[i], 0) == -9, 'B');
  u64 cores[] = {2, 3, 0x100, 1ul << 32, 1ul << 40, ~0ul};
  for (u32 i = 0; i < sizeof cores / sizeof *cores; i++)
    expect((int64_t)hvc(CPU_ON, cores[i], (u64)secondary_entry, 0) == -2, 'C');
  expect((int64_t)hvc(CPU_ON, 0, (u64)secondary_entry, 0) == -4, 'D');
  expect(record()->count == before, 'E');
}

/* An interrupt of the highest priority that is never ended, and active priorities above it: nothing of the
   guest's own interrupts this core again. */
static void cannot_be_interrupted(void) {
  record()->keep = 1;
  u64 frame = REDISTRIBUTOR(core_number()) + 0x10000;
  for (u32 i = 0; i < 16; i++) write8(frame + 0x400 + i, 0);
  write32(frame + 0x100, 0xffff);
  __asm__ volatile("msr S3_0_C12_C12_7, %0\n\tisb\n\tmsr daifclr, #2" ::"r"(1ul) : "memory");
  __asm__ volatile("msr S3_0_C12_C11_5, %0\n\tisb" ::"r"(3ul << 24 | 1ul << core_number()) : "memory");
  while (record()->interrupts == 0) {}
  __asm__ volatile("msr S3_0_C12_C9_0, %0\n\tisb\n\tmsr daifset, #15" ::"r"(0xfffffffful) : "memory");
}

static void first_life(void) {
  try_accesses();
  try_calls();
  bad_starts();
  sweep_controller();
  sweep_windows();
  try_rings(1);
  try_chains();
  start_second_core();
  sweep_windows();
  try_rings(0);
  try_chains();
  race_ends = 1;
  while (race_ends != 2) {}
  expect(race_rounds > 0, 'F');
  /* The second core resets the guest while this one transfers. */
  race_ends = 3;
  start_rings();
  for (;;) request(1, 0, DATA, 0x20000);
}

void guest_main(u64 tree) {
  (void)tree;
  if (base() >= OTHER_MEMORY) witness();
  u32 life = read32(LIFE);
  write32(LIFE, life + 1);
  put((char)('1' + life));
  switch (life) {
    case 0: first_life(); break;
    case 1:
      second_life = 0;
      start_second_core();
      while (!second_life) {}
      hvc(RESET, 0, 0, 0);
      break;
    default:
      expect(read32(DISK + STATUS) == 0 && read32(DISK + INTERRUPT_STATUS) == 0, 'G');
      start_rings();
      expect(request(0, 0, DATA, 512) == 0, 'H');
      put('\n');
      hvc(OFF, 0, 0, 0);
  }
  put('Z');
}

void guest_secondary(u64 context) {
  if (read32(context) == 1) {
    race();
    race_ends = 2;
    while (race_ends != 3) {}
    for (u64 start = ticks(); ticks() - start < 100000;) {}
    smc(RESET, 0, 0, 0);
  } else {
    cannot_be_interrupted();
    second_life = 1;
  }
  for (;;) {}
}
