/* A disk driver that lies: about where its rings and buffers are, about its chains, and about how often. The
   device may use what is well-formed, must not touch what is not the guest's, and says DEVICE_NEEDS_RESET to
   what it cannot use. The second time all of this is done the second core writes the same registers
   meanwhile: then only what the disk does after it counts. */
#include "hostile.h"

static u64 places[] = {HOST_IMAGE, STAGED_KERNEL, OTHER_MEMORY, NOWHERE,    0,          DISTRIBUTOR,
                       WINDOW(1),  0x09000000,    OWN_END - 64, ~0ul - 15, ~0ul << 40};
#define PLACES (sizeof places / sizeof *places)

static int alone = 1;
static void expect_refused(char letter) {
  if (alone) expect(read32(DISK + STATUS) & NEEDS_RESET || read32(DISK + QUEUE_READY) == 0, letter);
}

/* Whether the disk still does what it should. */
static int works(void) {
  for (int i = 0; i < 200; i++) {
    start_rings();
    if (request(0, 8, DATA, 512) == 0) return 1;
  }
  return 0;
}

void try_rings(int is_alone) {
  alone = is_alone;
  for (u32 i = 0; i < PLACES; i++) {
    for (u32 area = 0; area < 3; area++) {
      start_disk(area == 0 ? places[i] : RINGS, area == 1 ? places[i] : AVAILABLE,
                 area == 2 ? places[i] : USED, RING_SIZE);
      write32(DISK + NOTIFY, 0);
      expect_refused('v');
    }
    /* And as a buffer of a request, the whole of it and from the guest's own memory on. */
    for (u32 type = 0; type < 2; type++) {
      start_rings();
      request(type, 0, places[i], 0x1000);
      expect_refused('w');
      start_rings();
      request(type, 0, places[i], 0xffffffff);
      expect_refused('x');
    }
  }
  u32 sizes[] = {0, 3, 0x8000, 0xffff, 0x10000, ~0u};
  for (u32 i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    start_disk(RINGS, AVAILABLE, USED, sizes[i]);
    write32(DISK + NOTIFY, 0);
    expect_refused('y');
  }
  expect(works(), 's');
}

/* One chain that begins with descriptor 0, and a notification of every queue. */
static void chain(void) {
  offer(0);
  for (u32 queue = 0; queue < 4; queue++) write32(DISK + NOTIFY, queue);
  write32(DISK + NOTIFY, ~0u);
}

void try_chains(void) {
  start_rings(); /* to itself */
  descriptor(RINGS, 0, DATA, 16, NEXT, 0);
  chain();
  expect_refused('z');
  start_rings(); /* in a circle, and beyond the end */
  descriptor(RINGS, 0, DATA, 16, NEXT, 1);
  descriptor(RINGS, 1, DATA, 16, NEXT | WRITE, 0);
  chain();
  expect_refused('z');
  start_rings();
  descriptor(RINGS, 0, DATA, 16, NEXT, 0xffff);
  chain();
  expect_refused('z');
  start_rings();
  offer(0xffff);
  expect_refused('z');
  start_rings(); /* tables of no, odd and huge length, in themselves and in others */
  u32 lengths[] = {0, 8, 24, 16 * 65536, 0xfffffff0};
  for (u32 i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    descriptor(RINGS, 0, DATA, lengths[i], INDIRECT, 0);
    descriptor(DATA, 0, DATA, 16, NEXT, 0);
    chain();
    start_rings();
    descriptor(RINGS, 0, DATA, lengths[i], INDIRECT | NEXT | WRITE, 0);
    descriptor(DATA, 0, DATA, 64, INDIRECT | NEXT, 1);
    chain();
    start_rings();
  }
  descriptor(RINGS, 0, RINGS, 64 * 16, INDIRECT, 0); /* the ring as a table of itself */
  chain();
  start_rings(); /* the data area is the ring itself: the device writes what it reads */
  request(0, 0, RINGS, 0x4000);
  start_rings();
  request(0, 0, USED, 0x1000);
  start_rings(); /* more available than there is */
  write16(AVAILABLE + 2, 0x8000);
  chain();
  expect_refused('z');
  expect(works(), 't');

  /* Storms: notifications of nothing and of much, and resets in flight. */
  start_rings();
  for (u32 i = 0; i < 5000; i++) write32(DISK + NOTIFY, 0);
  for (u32 i = 0; i < 300; i++) {
    start_rings();
    write32(HEADER, i & 1);
    write64(HEADER + 8, 0);
    descriptor(RINGS, 0, HEADER, 16, NEXT, 1);
    descriptor(RINGS, 1, DATA, 0x10000, i & 1 ? NEXT : NEXT | WRITE, 2);
    descriptor(RINGS, 2, HEADER + 16, 1, WRITE, 0);
    for (u32 j = 0; j < RING_SIZE; j++) write16(AVAILABLE + 4 + 2 * j, 0);
    write16(AVAILABLE + 2, (u16)(i % RING_SIZE + 1));
    barrier();
    write32(DISK + NOTIFY, 0);
    write32(DISK + STATUS, 0);
  }
  expect(works(), 'u');
}
