/* SPDX-License-Identifier: Apache-2.0
 * A small virtual machine monitor around libvireo.a: what its parts know of each other. */
#ifndef VMM_H
#define VMM_H

#include <stddef.h>
#include <stdint.h>

/* ---- the machine: QEMU's "virt" as far as the guest needs it */

#define RAM_BASE UINT64_C(0x40000000)
#define RAM_SIZE UINT64_C(0x08000000)
#define IMAGE_OFFSET 0x200000u  /* text_offset of the image */
#define TREE_OFFSET 0x4000000u  /* the device tree, well behind the image */
#define TREE_SIZE 0x10000u
#define INITRD_OFFSET 0x4200000u /* the initial RAM disk, up to the end of the RAM */
#define DISTRIBUTOR_BASE UINT64_C(0x08000000)
#define REDISTRIBUTOR_BASE UINT64_C(0x080a0000)
#define REDISTRIBUTOR_SIZE 0x20000u
#define FRAME_SIZE 0x10000u
#define SERIAL_BASE UINT64_C(0x09000000)
#define SERIAL_SIZE 0x1000u
#define SLOTS_BASE UINT64_C(0x0a000000)
#define SLOT_SIZE 0x200u
#define SLOT_COUNT 4u
#define SERIAL_INTERRUPT 33u /* the first shared interrupts are numbered from 32 */
#define SLOT_INTERRUPT 48u
#define TIMER_INTERRUPT 27u
#define INTERRUPT_COUNT 256u
#define TICKS_PER_SECOND 62500000u

/* Ends the program with a message and status 2: something the VMM or its host cannot do. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- main.c */

/* The registers in memory, at physical addresses. */
uint64_t machine_read(uint64_t address, unsigned size);
void machine_write(uint64_t address, unsigned size, uint64_t value);
/* Lets all that is outside of the guest go on. Whether it had anything to do. */
int machine_progress(void);

/* ---- processor.c */

/* Makes the processor of a guest with RAM_SIZE bytes of memory, which are zero. */
void make_processor(void *memory);
/* Runs the guest until it ends, with an argument in X0. Its exit status. */
int run_processor(uint64_t entry, uint64_t argument);

/* ---- registers.c: system registers by their encoding, op0 to op2; and time */

/* Whether the register is done here. */
int register_read(unsigned name, uint64_t *value);
int register_write(unsigned name, uint64_t value);
/* Whether it is of the interrupt controller's CPU interface. */
int register_is_interface(unsigned name);
/* Whether that did something to the timer. */
int time_passes(uint32_t ticks);
/* To when the timer is due. Whether it is on. */
int time_jumps(void);

/* ---- interrupts.c: a GICv3 with one core */

/* Sets the level of an interrupt's line. */
void interrupt_line(uint32_t id, int level);
/* Whether an interrupt waits for the core. */
int interrupt_is_pending(void);
/* The CPU interface: ICC_IAR1_EL1 and ICC_EOIR1_EL1, and the register that switches it on. */
uint32_t interrupt_acknowledge(void);
void interrupt_end(uint32_t id);
/* ICC_SGI1R_EL1: the core interrupts itself. */
void interrupt_self(uint32_t id);
void interrupt_enable_group(uint32_t value);
/* The frames, accessed as memory. */
uint64_t distributor_read(uint64_t offset, unsigned size);
void distributor_write(uint64_t offset, unsigned size, uint64_t value);
uint64_t redistributor_read(uint64_t offset, unsigned size);
void redistributor_write(uint64_t offset, unsigned size, uint64_t value);

/* ---- tree.c */

/* Writes the device tree of the machine, with options for the guest and the size of its initial RAM disk. */
void write_tree(void *place, size_t size, const char *options, size_t initrd_size);

/* ---- devices.c: what is behind the virtio slots */

/* Makes the devices. The disk is a file that is read, and not written back. */
void make_devices(void *ram, const char *disk_path);
uint64_t slot_read(unsigned slot, uint64_t offset, unsigned size);
void slot_write(unsigned slot, uint64_t offset, unsigned size, uint64_t value);
/* Lets the backends go on. Whether they had anything to do. */
int devices_progress(void);
/* Saves every device, forgets it, and goes on with a new one in other storage, restored from that. */
void move_devices(void);
/* How often that was done, and what the console's port was sent and gave back. */
void report_devices(void);
/* Whether the guest sent back everything that the port vireo.echo was given. */
int echo_is_complete(void);

/* ---- serial.c: a PL011, and a person who types */

void type_at_prompt(const char *const *commands, unsigned count);
uint64_t serial_read(uint64_t offset);
void serial_write(uint64_t offset, uint32_t value);
/* Types the next command if the guest waits for one. Whether it did. */
int serial_progress(void);
#endif
