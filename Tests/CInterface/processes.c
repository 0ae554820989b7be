/* SPDX-License-Identifier: Apache-2.0
 * A disk whose device is served by one process after the other: each restores the state that the last one
 * saved in the middle of work, goes on, saves it and ends. Guest RAM and the disk are shared; all else of a
 * process ends with it. Every write reaches the disk once, and every request is answered once. C99, also
 * compiled as C++. */
#include "driver.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECTORS = 256, WRITES = 200, SLOTS = QUEUE_SIZE / 4 };
enum { HEADER = DATA, PAYLOAD = DATA + 0x1000, RESULT = DATA + 0x8000 };
enum { WRITE = 1, UNTOUCHED = 0xee };

/* What outlives a process. */
typedef struct shared {
  unsigned char ram[RAM_SIZE] __attribute__((aligned(4096)));
  unsigned char written[SECTORS]; /* how often each sector was written */
  unsigned char state[8192];
  size_t state_size;
  driver guest;                   /* the guest's driver; its device is another in each process */
  unsigned sent, answered;
  unsigned char busy[SLOTS];      /* requests under way, as the guest knows */
  unsigned late, moves;
} shared;

static shared *all;

/* The backend of one process: some requests end at once, the others later. */
static struct {
  uint32_t tokens[SLOTS];
  uint64_t sectors[SLOTS];
  unsigned count, calls;
} disk;

static vireo_status disk_read(void *context, uint64_t sector, const vireo_segment *segments, size_t count,
                              uint32_t token) {
  (void)context;
  (void)sector;
  (void)segments;
  (void)count;
  (void)token;
  return VIREO_IO_ERROR;
}

static vireo_status disk_write(void *context, uint64_t sector, const vireo_segment *segments, size_t count,
                               int durable, uint32_t token) {
  (void)context;
  (void)durable;
  CHECK(count == 1 && segments[0].byte_count == 512);
  CHECK(((const unsigned char *)segments[0].host)[511] == (unsigned char)sector);
  switch (disk.calls++ % 4) {
  case 0: return VIREO_BUSY;
  case 1: all->written[sector]++; return VIREO_OK;
  default:
    disk.tokens[disk.count] = token;
    disk.sectors[disk.count++] = sector;
    return VIREO_PENDING;
  }
}

/* Ends the newest request that is under way. */
static void end_one(driver *guest) {
  disk.count--;
  all->written[disk.sectors[disk.count]]++;
  all->late++;
  OK(vireo_block_complete(guest->device, disk.tokens[disk.count], VIREO_OK));
}

/* The guest writes the next sector, if it has a slot for that. */
static void send(driver *guest) {
  unsigned n = 0;
  piece pieces[3];
  while (n < SLOTS && all->busy[n]) n++;
  if (n == SLOTS || all->sent == WRITES) return;
  all->busy[n] = 1;
  store(guest, HEADER + 16 * n, 8, WRITE);
  store(guest, HEADER + 16 * n + 8, 8, all->sent);
  memset(guest->ram + PAYLOAD + 512 * n, (int)all->sent, 512);
  guest->ram[RESULT + n] = UNTOUCHED;
  pieces[0].offset = HEADER + 16 * n;
  pieces[0].byte_count = 16;
  pieces[0].device_writable = 0;
  pieces[1].offset = PAYLOAD + 512 * n;
  pieces[1].byte_count = 512;
  pieces[1].device_writable = 0;
  pieces[2].offset = RESULT + n;
  pieces[2].byte_count = 1;
  pieces[2].device_writable = 1;
  all->sent++;
  submit(guest, 0, 4 * n, pieces, 3);
}

/* The guest takes what was answered. */
static void reap(driver *guest) {
  unsigned head;
  uint32_t length;
  while (take_used(guest, 0, &head, &length)) {
    CHECK(head % 4 == 0 && all->busy[head / 4] && length == 1);
    CHECK(guest->ram[RESULT + head / 4] == 0);
    all->busy[head / 4] = 0;
    all->answered++;
  }
}

static void make_device(driver *guest, vireo_region *region, line *wire) {
  vireo_device_settings common = common_settings(region, all->ram, wire);
  vireo_block_settings settings;
  memset(&settings, 0, sizeof settings);
  settings.struct_size = sizeof settings;
  settings.sector_count = SECTORS;
  settings.read = disk_read;
  settings.write = disk_write;
  OK(vireo_block_create(aligned(vireo_block_size()), vireo_block_size(), &common, &settings, &guest->device));
}

/* One process: `steps` steps of work, and the state is saved wherever that leads. */
static void serve(unsigned steps) {
  vireo_region region;
  line wire = {0, 0};
  driver *guest = &all->guest;
  vireo_status status;
  guest->ram = all->ram;
  make_device(guest, &region, &wire);
  if (all->state_size == 0) {
    start(guest, VIREO_F_EVENT_IDX, 1);
  } else {
    OK(vireo_device_restore(guest->device, all->state, all->state_size));
    OK(vireo_device_run(guest->device, NULL));
  }
  while (steps-- != 0) {
    send(guest);
    if (steps % 3 == 0 && disk.count != 0) end_one(guest);
    if (steps % 2 == 0) OK(vireo_device_poll(guest->device));
    reap(guest);
  }
  while ((status = vireo_device_save(guest->device, all->state, sizeof all->state, &all->state_size)) ==
         VIREO_BUSY) {
    CHECK(disk.count != 0);
    end_one(guest);
  }
  CHECK(status == VIREO_OK);
}

int main(void) {
  unsigned i, steps = 1;
  all = (shared *)mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(all != MAP_FAILED);
  while (all->answered < WRITES) {
    int status = 0;
    pid_t child;
    CHECK(++all->moves < 1000);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      serve(steps);
      _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    steps = steps % 11 + 1;
  }
  CHECK(all->sent == WRITES && all->answered == WRITES && all->late != 0);
  for (i = 0; i < SECTORS; i++) CHECK(all->written[i] == (i < WRITES ? 1 : 0));
  printf("a disk served by %u processes: %u writes, %u of them late\n", all->moves, all->answered, all->late);
  return 0;
}
