/* SPDX-License-Identifier: Apache-2.0
 * What calls of vireo.h cost: `cost NAME COUNT` does one thing COUNT times. Run in callgrind with 100 and
 * with 1100, the difference of the instructions inside the library, by 1000, is the cost of one. Backends do
 * nothing. */
#include "../driver.h"

static uint32_t last_token;

static vireo_status read_now(void *context, uint64_t sector, const vireo_segment *segments, size_t count,
                             uint32_t token) {
  (void)context;
  (void)sector;
  (void)segments;
  (void)count;
  last_token = token;
  return VIREO_OK;
}

static vireo_status read_later(void *context, uint64_t sector, const vireo_segment *segments, size_t count,
                               uint32_t token) {
  read_now(context, sector, segments, count, token);
  return VIREO_PENDING;
}

static uint32_t fill(void *context, void *bytes, uint32_t byte_count) {
  (void)context;
  (void)bytes;
  return byte_count;
}

/* A request of header, 512 bytes and status; what the queue holds of them is sent at once. */
static void requests(driver *guest, unsigned count, int later) {
  static const piece pieces[3] = {{DATA, 16, 0}, {DATA + 0x1000, 512, 1}, {DATA + 0x2000, 1, 1}};
  unsigned head, i;
  uint32_t length;
  for (i = 0; i < count; i++) offer(guest, 0, 3 * i, pieces, 3);
  OK(vireo_device_notify(guest->device, 0));
  if (later) {
    OK(vireo_block_complete(guest->device, last_token, VIREO_OK));
    OK(vireo_device_poll(guest->device));
  }
  for (i = 0; i < count; i++) CHECK(take_used(guest, 0, &head, &length) && length == 513);
}

static void draw(driver *guest) {
  static const piece buffer = {DATA, 16, 1};
  offer(guest, 0, 0, &buffer, 1);
  OK(vireo_device_notify(guest->device, 0));
  expect_used(guest, 0, 0, 16);
}

static vireo_device *make(const char *name, unsigned char *ram) {
  static vireo_region region;
  static line wire;
  vireo_device_settings common = common_settings(&region, ram, &wire);
  vireo_block_settings block;
  vireo_entropy_settings entropy;
  vireo_device *device = NULL;
  memset(&block, 0, sizeof block);
  memset(&entropy, 0, sizeof entropy);
  block.struct_size = sizeof block;
  block.sector_count = 64;
  block.flags = VIREO_BLOCK_READ_ONLY;
  block.read = strcmp(name, "later") == 0 ? read_later : read_now;
  entropy.struct_size = sizeof entropy;
  entropy.fill = fill;
  if (strcmp(name, "entropy") == 0) {
    OK(vireo_entropy_create(aligned(vireo_entropy_size()), vireo_entropy_size(), &common, &entropy, &device));
  } else {
    OK(vireo_block_create(aligned(vireo_block_size()), vireo_block_size(), &common, &block, &device));
  }
  return device;
}

int main(int count, char **arguments) {
  const char *name = count == 3 ? arguments[1] : "";
  unsigned long rounds = count == 3 ? strtoul(arguments[2], NULL, 10) : 0;
  driver guest;
  memset(&guest, 0, sizeof guest);
  guest.ram = (unsigned char *)aligned(RAM_SIZE);
  guest.device = make(name, guest.ram);
  start(&guest, VIREO_F_EVENT_IDX, 1);
  memset(guest.ram + DATA, 0, 16);
  while (rounds-- != 0) {
    uint64_t value;
    if (strcmp(name, "block") == 0) requests(&guest, 1, 0);
    else if (strcmp(name, "batch") == 0) requests(&guest, 5, 0);
    else if (strcmp(name, "later") == 0) requests(&guest, 1, 1);
    else if (strcmp(name, "entropy") == 0) draw(&guest);
    else if (strcmp(name, "read") == 0) OK(vireo_device_read(guest.device, STATUS, 4, &value));
    else if (strcmp(name, "write") == 0) OK(vireo_device_write(guest.device, QUEUE_SEL, 4, 0));
    else if (strcmp(name, "poll") == 0) OK(vireo_device_poll(guest.device));
    else {
      fprintf(stderr, "usage: cost block|batch|later|entropy|read|write|poll COUNT\n");
      return 2;
    }
  }
  return 0;
}
