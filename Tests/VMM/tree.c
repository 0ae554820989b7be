/* SPDX-License-Identifier: Apache-2.0
 * The device tree of the machine, written with libfdt. */
#include "vmm.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

enum { CONTROLLER = 1, SHARED = 0, PRIVATE = 1, LEVEL = 4 };

static void must(int error) {
  if (error != 0) die("the device tree: %s", fdt_strerror(error));
}

/* A range of addresses, two cells each. */
static void put_registers(void *tree, const uint64_t *ranges, unsigned count) {
  fdt64_t cells[4];
  unsigned i;
  for (i = 0; i < 2 * count; i++) cells[i] = cpu_to_fdt64(ranges[i]);
  must(fdt_property(tree, "reg", cells, (int)(16 * count)));
}

static void put_range(void *tree, uint64_t base, uint64_t size) {
  uint64_t range[2] = {base, size};
  put_registers(tree, range, 1);
}

static void put_interrupt(void *tree, uint32_t kind, uint32_t id) {
  fdt32_t cells[3] = {cpu_to_fdt32(kind), cpu_to_fdt32(id), cpu_to_fdt32(LEVEL)};
  must(fdt_property(tree, "interrupts", cells, sizeof cells));
}

static void put_timer(void *tree) {
  static const uint32_t ids[] = {13, 14, TIMER_INTERRUPT - 16, 10}; /* secure, EL1, virtual, EL2 */
  fdt32_t cells[12];
  unsigned i;
  for (i = 0; i < 4; i++) {
    cells[3 * i] = cpu_to_fdt32(PRIVATE);
    cells[3 * i + 1] = cpu_to_fdt32(ids[i]);
    cells[3 * i + 2] = cpu_to_fdt32(LEVEL);
  }
  must(fdt_begin_node(tree, "timer"));
  must(fdt_property_string(tree, "compatible", "arm,armv8-timer"));
  must(fdt_property(tree, "interrupts", cells, sizeof cells));
  must(fdt_end_node(tree));
}

static void put_controller(void *tree) {
  const uint64_t ranges[] = {DISTRIBUTOR_BASE, FRAME_SIZE, REDISTRIBUTOR_BASE, REDISTRIBUTOR_SIZE};
  must(fdt_begin_node(tree, "interrupt-controller@8000000"));
  must(fdt_property_string(tree, "compatible", "arm,gic-v3"));
  must(fdt_property(tree, "interrupt-controller", NULL, 0));
  must(fdt_property_u32(tree, "#interrupt-cells", 3));
  must(fdt_property_u32(tree, "phandle", CONTROLLER));
  put_registers(tree, ranges, 2);
  must(fdt_end_node(tree));
}

static void put_slot(void *tree, unsigned slot) {
  char name[40];
  snprintf(name, sizeof name, "virtio_mmio@%llx", (unsigned long long)(SLOTS_BASE + slot * SLOT_SIZE));
  must(fdt_begin_node(tree, name));
  must(fdt_property_string(tree, "compatible", "virtio,mmio"));
  put_range(tree, SLOTS_BASE + slot * SLOT_SIZE, SLOT_SIZE);
  put_interrupt(tree, SHARED, SLOT_INTERRUPT - 32 + slot);
  must(fdt_property(tree, "dma-coherent", NULL, 0));
  must(fdt_end_node(tree));
}

void write_tree(void *place, size_t size, const char *options, size_t initrd_size) {
  unsigned slot;
  must(fdt_create(place, (int)size));
  must(fdt_finish_reservemap(place));
  must(fdt_begin_node(place, ""));
  must(fdt_property_string(place, "compatible", "linux,dummy-virt"));
  must(fdt_property_u32(place, "#address-cells", 2));
  must(fdt_property_u32(place, "#size-cells", 2));
  must(fdt_property_u32(place, "interrupt-parent", CONTROLLER));
  must(fdt_begin_node(place, "chosen"));
  must(fdt_property_string(place, "bootargs", options));
  if (initrd_size != 0) {
    must(fdt_property_u64(place, "linux,initrd-start", RAM_BASE + INITRD_OFFSET));
    must(fdt_property_u64(place, "linux,initrd-end", RAM_BASE + INITRD_OFFSET + initrd_size));
  }
  must(fdt_property_string(place, "stdout-path", "/pl011@9000000"));
  must(fdt_end_node(place));
  must(fdt_begin_node(place, "memory@40000000"));
  must(fdt_property_string(place, "device_type", "memory"));
  put_range(place, RAM_BASE, RAM_SIZE);
  must(fdt_end_node(place));
  must(fdt_begin_node(place, "cpus"));
  must(fdt_property_u32(place, "#address-cells", 1));
  must(fdt_property_u32(place, "#size-cells", 0));
  must(fdt_begin_node(place, "cpu@0"));
  must(fdt_property_string(place, "device_type", "cpu"));
  must(fdt_property_string(place, "compatible", "arm,cortex-a53"));
  must(fdt_property_u32(place, "reg", 0));
  must(fdt_end_node(place));
  must(fdt_end_node(place));
  must(fdt_begin_node(place, "psci"));
  must(fdt_property_string(place, "compatible", "arm,psci-1.0"));
  must(fdt_property_string(place, "method", "hvc"));
  must(fdt_end_node(place));
  put_timer(place);
  put_controller(place);
  must(fdt_begin_node(place, "pl011@9000000"));
  must(fdt_property(place, "compatible", "arm,pl011\0arm,primecell", 24));
  put_range(place, SERIAL_BASE, SERIAL_SIZE);
  put_interrupt(place, SHARED, SERIAL_INTERRUPT - 32);
  must(fdt_end_node(place));
  for (slot = 0; slot < SLOT_COUNT; slot++) put_slot(place, slot);
  must(fdt_end_node(place));
  must(fdt_finish(place));
}
