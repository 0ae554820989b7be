/* The guest beside the hostile one: its memory, its disk and its interrupts stay what it made of them. Says
   '+' for each round that finds them so; once it found something else, that is said in every round. */
#include "hostile.h"

#define MEMORY (base() + 0x2000000)
#define MEMORY_SIZE 0x400000ul
#define SECTORS 64u

static u64 mix(u64 x) {
  x ^= x >> 31;
  x *= 0x9e3779b97f4a7c15ul;
  return x ^ x >> 29;
}

static void fill(u64 at, u64 size, u64 round) {
  for (u64 i = 0; i < size; i += 8) write64(at + i, mix(round * 0x100000001 + i));
}
static int holds(u64 at, u64 size, u64 round) {
  for (u64 i = 0; i < size; i += 8)
    if (read64(at + i) != mix(round * 0x100000001 + i)) return 0;
  return 1;
}

static void accept_all_interrupts(void) {
  u64 frame = REDISTRIBUTOR(core_number()) + 0x10000;
  write32(frame + 0x280, ~0u);
  write32(frame + 0x100, ~0u);
  for (u32 word = 4; word < 0x24; word += 4) write32(DISTRIBUTOR + 0x100 + word, ~0u);
  __asm__ volatile("msr S3_0_C12_C12_7, %0\n\tisb\n\tmsr daifclr, #2" ::"r"(1ul) : "memory");
}

void witness(void) {
  accept_all_interrupts();
  start_rings();
  /* No interrupt for used buffers: none is then right at all. */
  write16(AVAILABLE, 1);
  char wrong = '+';
  for (u64 round = 0;; round++) {
    fill(MEMORY, MEMORY_SIZE, round);
    fill(DATA, SECTORS * 512, round);
    if (request(1, 128, DATA, SECTORS * 512) != 0) wrong = 'W';
    fill(DATA, SECTORS * 512, ~round);
    if (request(0, 128, DATA, SECTORS * 512) != 0) wrong = 'R';
    if (!holds(DATA, SECTORS * 512, round)) wrong = 'D';
    if (!holds(MEMORY, MEMORY_SIZE, round)) wrong = 'M';
    if (record()->interrupts != 0) wrong = 'I';
    if (record()->count != 0) wrong = 'X';
    put(wrong);
    put('\n');
  }
}
