/* SPDX-License-Identifier: Apache-2.0
 * A virtual machine monitor for one AArch64 guest: the processor is Unicorn's, the virtio devices are
 * libvireo.a's, and all else is in this folder.
 *
 *   vmm [-i INITRD] [-o OPTIONS] IMAGE DISK [COMMAND...]
 *
 * boots IMAGE, types the commands at its prompt, and ends with its exit status. IMAGE is the image of the
 * drivers or a Linux kernel, which wants an initial RAM disk, and options on its command line. */
#include "vmm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fflush(stdout);
  fprintf(stderr, "vmm: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  exit(2);
}

/* ---- what is where */

uint64_t machine_read(uint64_t address, unsigned size) {
  if (address - DISTRIBUTOR_BASE < FRAME_SIZE) return distributor_read(address - DISTRIBUTOR_BASE, size);
  if (address - REDISTRIBUTOR_BASE < REDISTRIBUTOR_SIZE) {
    return redistributor_read(address - REDISTRIBUTOR_BASE, size);
  }
  if (address - SERIAL_BASE < SERIAL_SIZE) return serial_read(address - SERIAL_BASE);
  address -= SLOTS_BASE;
  if (address >= SLOT_COUNT * SLOT_SIZE) return 0;
  return slot_read((unsigned)(address / SLOT_SIZE), address % SLOT_SIZE, size);
}

void machine_write(uint64_t address, unsigned size, uint64_t value) {
  if (address - DISTRIBUTOR_BASE < FRAME_SIZE) distributor_write(address - DISTRIBUTOR_BASE, size, value);
  if (address - REDISTRIBUTOR_BASE < REDISTRIBUTOR_SIZE) {
    redistributor_write(address - REDISTRIBUTOR_BASE, size, value);
  }
  if (address - SERIAL_BASE < SERIAL_SIZE) serial_write(address - SERIAL_BASE, (uint32_t)value);
  address -= SLOTS_BASE;
  if (address >= SLOT_COUNT * SLOT_SIZE) return;
  slot_write((unsigned)(address / SLOT_SIZE), address % SLOT_SIZE, size, value);
}

int machine_progress(void) { return devices_progress() || serial_progress(); }

/* ---- the start */

/* Reads a file into the guest's memory, up to `limit`. */
static size_t load(const char *path, unsigned char *ram, size_t offset, size_t limit) {
  FILE *file = fopen(path, "rb");
  size_t size;
  if (file == NULL) die("no file at %s", path);
  size = fread(ram + offset, 1, limit - offset, file);
  if (size == limit - offset) die("%s is too large", path);
  fclose(file);
  return size;
}

/* Reads the image, which says itself how much memory it takes. */
static void load_image(const char *path, unsigned char *ram) {
  const unsigned char *header = ram + IMAGE_OFFSET;
  uint64_t size;
  if (load(path, ram, IMAGE_OFFSET, TREE_OFFSET) < 64 || memcmp(header + 56, "ARM\x64", 4) != 0) {
    die("%s is no arm64 image", path);
  }
  memcpy(&size, header + 16, 8);
  if (size > TREE_OFFSET - IMAGE_OFFSET) die("%s is too large", path);
}

int main(int count, char **arguments) {
  static char lines[16][80];
  static const char *commands[16];
  const char *initrd = NULL, *options = "";
  unsigned char *ram;
  size_t initrd_size = 0;
  int option, i, status;
  while ((option = getopt(count, arguments, "+i:o:")) != -1) {
    if (option == 'i') initrd = optarg;
    else if (option == 'o') options = optarg;
    else return 2;
  }
  arguments += optind;
  count -= optind;
  if (count < 2 || count > 2 + 16) die("usage: vmm [-i INITRD] [-o OPTIONS] IMAGE DISK [COMMAND...]");
  for (i = 2; i < count; i++) {
    snprintf(lines[i - 2], sizeof lines[0], "%s\r", arguments[i]);
    commands[i - 2] = lines[i - 2];
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (posix_memalign((void **)&ram, 0x200000, RAM_SIZE) != 0) die("no memory for the guest");
  memset(ram, 0, RAM_SIZE);
  make_processor(ram);
  load_image(arguments[0], ram);
  if (initrd != NULL) initrd_size = load(initrd, ram, INITRD_OFFSET, RAM_SIZE);
  write_tree(ram + TREE_OFFSET, TREE_SIZE, options, initrd_size);
  make_devices(ram, arguments[1]);
  type_at_prompt(commands, (unsigned)(count - 2));
  status = run_processor(RAM_BASE + IMAGE_OFFSET, RAM_BASE + TREE_OFFSET);
  report_devices();
  if (status == 0 && !echo_is_complete()) die("not everything came back from vireo.echo");
  return status;
}
