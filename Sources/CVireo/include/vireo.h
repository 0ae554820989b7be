/* SPDX-License-Identifier: Apache-2.0
 *
 * vireo.h - the C interface of Vireo: virtio 1.4 devices in a library without a runtime.
 *
 * DESCRIPTION
 *   Two layers, which can be used side by side:
 *
 *   vireo_device   a whole device behind a virtio-mmio register window (virtio 1.4 section 4.2): create one
 *                  for its type, forward the guest's register accesses, and give it a backend as a table of
 *                  functions. Block, network, console, entropy and SCMI devices are there.
 *   vireo_queue    the device side of one virtqueue, for those who have a transport and devices of their own.
 *
 *   Beside them, vireo_scmi is an SCMI platform for transports of the embedder's own.
 *
 *   The embedder owns guest memory, traps, interrupts and backends; the library owns the protocol. Every
 *   index, address and length that a guest writes is checked here: no guest can make a function of this
 *   header crash, loop or allocate, and a guest that breaks the protocol finds DEVICE_NEEDS_RESET set.
 *
 * A VMM IN SIX STEPS
 *   1. Describe guest memory as a table of vireo_region.
 *   2. Allocate vireo_entropy_size() bytes, aligned to vireo_device_align(), and call vireo_entropy_create().
 *   3. On a trapped access to the device's window call vireo_device_read() or vireo_device_write(), then
 *      vireo_device_run() as long as it sets `more`.
 *   4. Drive the interrupt line as the `interrupt` callback says.
 *   5. When the backend has news call vireo_device_poll(), then vireo_device_run() as in step 3.
 *   6. Announce the window in the device tree: compatible = "virtio,mmio", 0x200 bytes or more.
 *
 * THREADS
 *   The library has no state of its own and starts no threads. Calls on different devices or queues may run
 *   at the same time; calls on one must not: hold a lock of yours. Callbacks run within the call that caused
 *   them, on its thread; within one, calls on the same device are refused with VIREO_WRONG_STATE. Only
 *   vireo_version() and the functions that return sizes may be called at any time.
 *
 * MEMORY
 *   Objects live in storage that the caller provides, moves nowhere and frees when it no longer uses them;
 *   there is nothing to destroy. No function allocates. All that the library may ask of its surroundings is
 *   memcmp, memcpy, memmove, memset, __stack_chk_fail and __stack_chk_guard, which any C library has. The
 *   create functions need up to 64 KiB of stack, all others 16 KiB beside what their callbacks need.
 *
 * RETURN VALUE
 *   A vireo_status, unless said. A null pointer where none is allowed is VIREO_BAD_ARGUMENT.
 *
 * STABILITY
 *   Within a major version functions, constants and fields at the end of "settings" structures are only
 *   added, and what is there keeps its meaning. Settings structures begin with their size, so that a program
 *   that was compiled with an older header goes on working. Structures marked "opaque" keep their size; their
 *   contents are not part of the interface. States saved by an older version of the same major version can be
 *   restored.
 */
#ifndef VIREO_H
#define VIREO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIREO_VERSION_MAJOR 0
#define VIREO_VERSION_MINOR 3

/* The version of the library: the major version times 65536, plus the minor version. */
uint32_t vireo_version(void);

/* What a function did. Everything from VIREO_DRIVER_FAULT on means that the guest's driver broke the
 * protocol: set DEVICE_NEEDS_RESET (virtio 1.4 section 2.1.2) and stop using the queue. */
typedef enum vireo_status {
  VIREO_OK = 0,
  VIREO_EMPTY = 1,            /* nothing (more) to return: no buffer available, no element left */
  VIREO_BAD_ARGUMENT = 2,     /* a null pointer, storage too small or misaligned, overlapping regions */
  VIREO_WRONG_STATE = 3,      /* the buffer was used already, the queue is not ready, or the call is within a
                               * callback of the same device */
  VIREO_BUSY = 4,             /* something is with the backend: complete it, poll, and try again */
  VIREO_PENDING = 5,          /* of a callback: the request ends later, by a completion call */
  VIREO_UNKNOWN_TOKEN = 6,    /* no request has this token: completed before, or never started */
  VIREO_TOO_SMALL = 7,        /* the bytes do not fit into the room given */
  VIREO_BAD_STATE = 8,        /* not a saved state: cut off, too long, or with impossible values */
  VIREO_UNKNOWN_VERSION = 9,  /* a saved state of a version that this library does not read */
  VIREO_OTHER_DEVICE = 10,    /* a saved state of another type, or of a device with more features or queues */
  VIREO_IO_ERROR = 11,        /* of a callback or completion: the request failed */
  VIREO_UNSUPPORTED = 12,     /* of a callback or completion: there is no such operation */
  VIREO_DRIVER_FAULT = 16,    /* a fault without a name of its own below */
  VIREO_ADDRESS_OUTSIDE_MEMORY = 17,
  VIREO_MISALIGNED_RING = 18,
  VIREO_INVALID_QUEUE_SIZE = 19,
  VIREO_INDEX_OUT_OF_RANGE = 20,
  VIREO_CHAIN_TOO_LONG = 21,
  VIREO_AVAILABLE_INDEX_JUMPED = 22,
  VIREO_READABLE_AFTER_WRITABLE = 23,
  VIREO_INVALID_INDIRECT_TABLE = 24
} vireo_status;

/* Device-independent feature bits that change how a queue works (virtio 1.4 section 6). */
#define VIREO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIREO_F_EVENT_IDX (UINT64_C(1) << 29)
#define VIREO_F_VERSION_1 (UINT64_C(1) << 32)
#define VIREO_F_RING_PACKED (UINT64_C(1) << 34)
#define VIREO_F_IN_ORDER (UINT64_C(1) << 35)

/* One contiguous piece of guest memory. `host` and `guest_address` agree in their last four bits. A ring or
 * an element that crosses from one region into another is refused, even where the two adjoin. */
typedef struct vireo_region {
  uint64_t guest_address;
  uint64_t byte_count;
  void *host;
} vireo_region;

/* One element of a buffer: host memory checked to be within a region, and its direction. */
typedef struct vireo_element {
  uint64_t guest_address;
  void *host;
  uint32_t byte_count;
  uint32_t device_writable; /* 1: the device may write it; 0: the device may read it */
} vireo_element;

/* A virtqueue, device side. Opaque; lives in the caller's storage. */
typedef struct vireo_queue vireo_queue;

/* A buffer taken from a queue and not yet used. Opaque; zero-initialise it, and pass it back to
 * vireo_queue_use exactly once. */
typedef struct vireo_buffer {
  uint64_t opaque[16];
} vireo_buffer;

/* Bytes of storage for one queue, aligned to 16. */
size_t vireo_queue_storage_size(void);

/* Makes a queue of up to `maximum_size` (1 to 32768) descriptors in `storage`, not ready.
 * `regions` must stay valid and unchanged as long as the queue is used. */
vireo_status vireo_queue_create(void *storage, size_t storage_size, const vireo_region *regions,
                                size_t region_count, uint16_t maximum_size, vireo_queue **queue);

/* Starts from an empty ring at the given guest addresses, with the features negotiated. On a fault the queue
 * stays unready. */
vireo_status vireo_queue_make_ready(vireo_queue *queue, uint16_t size, uint64_t descriptor_area,
                                    uint64_t driver_area, uint64_t device_area, uint64_t features);

/* Back to the unready state. Buffers in flight are forgotten: using them later is refused with
 * VIREO_WRONG_STATE and touches nothing. */
vireo_status vireo_queue_reset(vireo_queue *queue);

/* Takes the next available buffer, or returns VIREO_EMPTY. A service call takes at most 256 buffers; after
 * vireo_queue_end_service the next one begins. In the packed format use a buffer before taking the next one:
 * until then the same buffer is returned again, for its length is not known yet. */
vireo_status vireo_queue_next(vireo_queue *queue, vireo_buffer *buffer);

/* The next element of a buffer, or VIREO_EMPTY after the last. */
vireo_status vireo_buffer_next(const vireo_queue *queue, vireo_buffer *buffer, vireo_element *element);

/* The same, and whether another element follows: 1, or 0 with the last one, which spares a call. A negative
 * result is a vireo_status with its sign changed: what vireo_buffer_next would have returned. */
int32_t vireo_buffer_walk(const vireo_queue *queue, vireo_buffer *buffer, vireo_element *element);

/* Marks a buffer as used, `written` bytes of it having been written from the start of its device-writable
 * part. Any order. The driver sees it after vireo_queue_end_service. */
vireo_status vireo_queue_use(vireo_queue *queue, vireo_buffer *buffer, uint32_t written);

/* Results of vireo_queue_end_service, as bits. */
#define VIREO_NOTIFY 1u /* send the driver a used buffer notification */
#define VIREO_MORE 2u   /* buffers are waiting that no notification will announce: serve again */

/* Ends a service call: publishes what was used and says what is left to do. */
uint32_t vireo_queue_end_service(vireo_queue *queue);

/* ---------------------------------------------------------------- devices ----------------------------------
 * */

/* A device. Opaque; lives in the caller's storage. */
typedef struct vireo_device vireo_device;

/* Drives the device's interrupt line: level-sensitive, active high, as a virtio-mmio node describes it.
 * Called with 1 for each new event, even while the line is high already, so that an edge-triggered line can
 * pulse; with 0 when the driver has acknowledged all events. */
typedef void vireo_interrupt_function(void *context, int asserted);

/* What all devices have in common. */
typedef struct vireo_device_settings {
  size_t struct_size;                   /* sizeof(vireo_device_settings) */
  const vireo_region *regions;          /* guest memory, the largest region first; kept, not copied */
  size_t region_count;
  vireo_interrupt_function *interrupt;
  void *interrupt_context;              /* for `interrupt`; may be null, as every context */
  uint64_t withheld_features;           /* feature bits 0 to 63 that are not to be offered; usually 0 */
} vireo_device_settings;

/* The alignment of every device's storage, in bytes. A power of two. */
size_t vireo_device_align(void);

/* A guest's read of `byte_count` bytes at `offset` of the register window. Any width, offset and alignment
 * may be given, for they come from the guest: what the window does not have reads as 0. `value` gets the
 * bytes as a little-endian number. */
vireo_status vireo_device_read(vireo_device *device, uint64_t offset, uint32_t byte_count, uint64_t *value);

/* A guest's write to the register window; the same holds. A write to QueueNotify serves that queue before it
 * returns, within its budget, unless notifications are deferred. */
vireo_status vireo_device_write(vireo_device *device, uint64_t offset, uint32_t byte_count, uint64_t value);

/* An available buffer notification that came by another way than the register, such as an ioeventfd. `queue`
 * comes from the guest: one that does not exist is ignored. */
vireo_status vireo_device_notify(vireo_device *device, uint32_t queue);

/* 1: notifications only mark their queue, and vireo_device_run() does the work, for a VMM that serves devices
 * on a thread of their own. 0, as at creation: notifications serve their queue. */
vireo_status vireo_device_defer(vireo_device *device, int deferred);

/* Serves every queue that has work, once, within its budget. `more` (may be null) is set to 1 when there is
 * still some: call again, at the latest when nothing else is to be done, for no notification will come. */
vireo_status vireo_device_run(vireo_device *device, int *more);

/* The backend has news: completions, input, a new size, a link that went up. Takes at most what the budgets
 * allow; follow it with vireo_device_run(). */
vireo_status vireo_device_poll(vireo_device *device);

/* Bounds the buffers that one call takes from each queue: 1 to 32768. At creation 256. */
vireo_status vireo_device_set_budget(vireo_device *device, uint32_t buffers);

/* Resets the device as its driver would, for a reset of the whole guest. VIREO_BUSY: some request is still
 * with the backend; complete it and poll, and the reset ends. No callback gets guest memory after a reset. */
vireo_status vireo_device_reset(vireo_device *device);

/* What the driver did: VIREO_OK, or, since it broke the protocol, the status from VIREO_DRIVER_FAULT on that
 * says how. The guest sees DEVICE_NEEDS_RESET then. Not part of a saved state. */
vireo_status vireo_device_fault(vireo_device *device);

/* Saves what the driver can tell about the device into `capacity` bytes. `size` gets the length, also with
 * VIREO_TOO_SMALL, so that a call with capacity 0 (and a null pointer) asks for it; it does not change while
 * the guest is stopped. Guest memory, settings and backend are not in it: they are the embedder's.
 *
 * The guest's processors are stopped, and neither notify, run nor poll is called from then on. VIREO_BUSY:
 * the backend is at some requests; complete them and save again. Buffers that the device has not finished go
 * back to their rings, so a state can be saved in the middle of work, and the device may also go on
 * afterwards (vireo_device_run()). */
vireo_status vireo_device_save(vireo_device *device, void *bytes, size_t capacity, size_t *size);

/* Continues where a device stopped whose state this is, in this process or another one: a device of the same
 * type, made with the same settings, over the same guest memory. Call vireo_device_run() then.
 *
 * The bytes may come from anyone: what is wrong with them is a status (VIREO_BAD_STATE,
 * VIREO_UNKNOWN_VERSION, VIREO_OTHER_DEVICE), and the device is then as after a reset. VIREO_BUSY: see
 * vireo_device_reset(). */
vireo_status vireo_device_restore(vireo_device *device, const void *bytes, size_t size);

/* ---------------------------------------------------------------- entropy ----------------------------------
 * */

/* Writes up to `byte_count` random bytes and returns how many. 0: none now; the guest waits, and the next
 * vireo_device_poll() asks again. `bytes` is guest memory. */
typedef uint32_t vireo_entropy_function(void *context, void *bytes, uint32_t byte_count);

typedef struct vireo_entropy_settings {
  size_t struct_size; /* sizeof(vireo_entropy_settings) */
  vireo_entropy_function *fill;
  void *context;
} vireo_entropy_settings;

/* Bytes of storage for an entropy device. */
size_t vireo_entropy_size(void);

/* Makes an entropy device (virtio 1.4 section 5.4), in reset state. */
vireo_status vireo_entropy_create(void *storage, size_t storage_size, const vireo_device_settings *common,
                                  const vireo_entropy_settings *settings, vireo_device **device);

/* ---------------------------------------------------------------- block ------------------------------------
 * */

/* A piece of guest memory, checked, for a backend to read or write in place. The guest may change its
 * contents at any time. */
typedef struct vireo_segment {
  uint64_t guest_address;
  uint32_t byte_count;
  uint32_t reserved;
  void *host;
} vireo_segment;

/* Sectors that a request discards, zeroes or erases. */
typedef struct vireo_block_range {
  uint64_t sector;
  uint32_t sector_count;
  uint32_t flags; /* VIREO_BLOCK_UNMAP: zeroed sectors may be deallocated */
} vireo_block_range;
#define VIREO_BLOCK_UNMAP 1u

/* The most segments of a request. */
#define VIREO_BLOCK_SEGMENTS_MAX 256u

/* Flags of vireo_block_settings. */
#define VIREO_BLOCK_READ_ONLY 1u

/* A disk. Its functions are asked only for what lies within `sector_count` sectors of 512 bytes, in whole
 * sectors, and each returns
 *   VIREO_OK           done;
 *   VIREO_PENDING      under way: vireo_block_complete() will end it, with this token, from outside the
 *   callback; VIREO_BUSY         nothing was done for lack of room: the device asks again at its next poll;
 *   VIREO_UNSUPPORTED  the guest is told so; anything else: an I/O error.
 * At most 64 requests are under way, each of at most VIREO_BLOCK_SEGMENTS_MAX segments. The list of segments
 * or ranges is lent for the call; the memory of the segments stays valid until the request ends. A read that
 * fails after VIREO_PENDING zeroes what it did not read, for the guest is told that all of its buffer was
 * written. */
typedef struct vireo_block_settings {
  size_t struct_size; /* sizeof(vireo_block_settings) */
  void *context;      /* for all functions */
  uint64_t sector_count;
  uint32_t block_size;         /* best unit of transfer, a power of two from 512; 0 stands for 512 */
  uint32_t queue_count;        /* request queues, 1 to 8; 0 stands for 1 */
  uint32_t flags;              /* VIREO_BLOCK_* */
  uint32_t range_sector_count; /* most sectors in one range of `discard` and so on; 0 stands for 2 GiB */
  char identifier[20];         /* what the guest reads as the serial number; filled up with NUL */
  vireo_status (*read)(void *context, uint64_t sector, const vireo_segment *segments, size_t count,
                       uint32_t token);
  /* `durable`: on persistent storage before it ends. Null only with VIREO_BLOCK_READ_ONLY. */
  vireo_status (*write)(void *context, uint64_t sector, const vireo_segment *segments, size_t count,
                        int durable, uint32_t token);
  /* Puts all writes that ended on persistent storage. The functions below may be null, and are not offered
   * then. */
  vireo_status (*flush)(void *context, uint32_t token);
  vireo_status (*discard)(void *context, const vireo_block_range *ranges, size_t count, uint32_t token);
  vireo_status (*write_zeroes)(void *context, const vireo_block_range *ranges, size_t count, int durable,
                               uint32_t token);
  vireo_status (*secure_erase)(void *context, const vireo_block_range *ranges, size_t count, uint32_t token);
  /* The guest no longer wants this pending request. It still ends, with any status and the sooner the better:
   * the reset that forgot it waits for that. May be null. */
  void (*cancel)(void *context, uint32_t token);
} vireo_block_settings;

/* Bytes of storage for a block device. */
size_t vireo_block_size(void);

/* Makes a block device (virtio 1.4 section 5.2), in reset state. */
vireo_status vireo_block_create(void *storage, size_t storage_size, const vireo_device_settings *common,
                                const vireo_block_settings *settings, vireo_device **device);

/* A pending request ended: VIREO_OK, VIREO_UNSUPPORTED, or VIREO_IO_ERROR. The guest hears of it at the next
 * vireo_device_poll(), which takes over all completions at once. A token is good for one completion:
 * VIREO_UNKNOWN_TOKEN otherwise. Not from within a callback. */
vireo_status vireo_block_complete(vireo_device *device, uint32_t token, vireo_status result);

/* The size changed. The guest is told at the next vireo_device_poll(). */
vireo_status vireo_block_resize(vireo_device *device, uint64_t sector_count);

/* ---------------------------------------------------------------- console ----------------------------------
 * */

/* How many ports a console has with VIREO_CONSOLE_MULTIPORT. They are numbered from 0. */
#define VIREO_CONSOLE_PORTS 8u

/* Flags of vireo_console_settings. */
#define VIREO_CONSOLE_MULTIPORT 1u /* several ports, and the control queues that go with them */

/* The host's end of the ports. Bytes lie in guest memory. */
typedef struct vireo_console_settings {
  size_t struct_size; /* sizeof(vireo_console_settings) */
  void *context;      /* for all functions */
  uint32_t flags;     /* VIREO_CONSOLE_* */
  uint16_t columns;   /* of port 0, in characters */
  uint16_t rows;
  /* Takes what the guest wrote and returns how many bytes; less than all: busy, and the rest comes again when
   * the device is polled. */
  uint32_t (*write)(void *context, uint32_t port, const void *bytes, uint32_t byte_count);
  /* Whether there is input: 0 or 1. */
  int (*has_input)(void *context, uint32_t port);
  /* Writes input to `bytes` and returns how many bytes. */
  uint32_t (*read)(void *context, uint32_t port, void *bytes, uint32_t byte_count);
  /* The guest opened or closed its end. May be null. */
  void (*driver_open)(void *context, uint32_t port, int open);
  /* One character from a guest that has crashed or not yet come up. May be null, and is not offered then. */
  void (*emergency_write)(void *context, uint8_t byte);
} vireo_console_settings;

/* Bytes of storage for a console device. */
size_t vireo_console_size(void);

/* Makes a console device (virtio 1.4 section 5.3), in reset state. Port 0 is there, open, and a console. */
vireo_status vireo_console_create(void *storage, size_t storage_size, const vireo_device_settings *common,
                                  const vireo_console_settings *settings, vireo_device **device);

/* Flags of vireo_console_add_port. */
#define VIREO_PORT_CONSOLE 1u /* a console, not just a stream */
#define VIREO_PORT_CLOSED 2u  /* closed at the host's end */

/* The four functions below take effect at the next vireo_device_poll(). VIREO_WRONG_STATE: the port is there
 * already, or is not there; VIREO_BAD_ARGUMENT: there cannot be such a port.
 *
 * Adds a port. `name` (null for none) is a string of which the guest sees the first 64 bytes. A console has
 * 80 columns and 25 rows until it is resized. */
vireo_status vireo_console_add_port(vireo_device *device, uint32_t port, const char *name, uint32_t flags);
/* Takes a port away. */
vireo_status vireo_console_remove_port(vireo_device *device, uint32_t port);
/* Opens (1) or closes (0) the host's end of a port. Output to a closed port is lost. */
vireo_status vireo_console_set_open(vireo_device *device, uint32_t port, int open);
/* Changes the size of a console, in characters. */
vireo_status vireo_console_resize(vireo_device *device, uint32_t port, uint16_t columns, uint16_t rows);

/* ---------------------------------------------------------------- network ----------------------------------
 * */

/* Offloads, as a set. */
#define VIREO_NETWORK_CHECKSUM 0x2u /* partial checksums */
#define VIREO_NETWORK_TCP4 0x80u    /* TCP over IPv4 to be segmented */
#define VIREO_NETWORK_TCP6 0x100u   /* TCP over IPv6 to be segmented */
#define VIREO_NETWORK_ECN 0x200u    /* TCP to be segmented, with ECN */
#define VIREO_NETWORK_UDP 0x400u    /* UDP to be fragmented */

/* What is left to do for a frame. All zero: nothing, and nobody has checked the checksum. */
typedef struct vireo_network_offload {
  uint8_t checksum;     /* 0: unchecked; 1: checked (received frames only); 2: partial */
  uint8_t segmentation; /* 0: none; 1: TCP4; 2: TCP6; 3: UDP */
  uint8_t has_ecn;
  uint8_t reserved;
  /* Of a partial checksum: the field `checksum_offset` bytes after `checksum_start` holds the pseudo header's
   * sum, to be replaced by the checksum from `checksum_start` to the end. It lies within the frame. */
  uint16_t checksum_start;
  uint16_t checksum_offset;
  uint16_t segment_size;  /* the most payload of a piece */
  uint16_t header_length; /* a hint at the length of all headers; 0 when unknown */
} vireo_network_offload;

/* A frame that waits to be received. */
typedef struct vireo_network_frame {
  uint32_t byte_count; /* without the checksum of the link */
  vireo_network_offload offload;
  uint8_t prefix[64];  /* its first bytes, zero beyond its end: they decide which queue it goes to, if any */
} vireo_network_frame;

/* Flags of vireo_network_settings. */
#define VIREO_NETWORK_MULTIQUEUE 1u /* up to four pairs of queues, with automatic receive steering */

/* A link. Frames are Ethernet, from the destination address on, without a checksum at their end. */
typedef struct vireo_network_settings {
  size_t struct_size; /* sizeof(vireo_network_settings) */
  void *context;      /* for all functions */
  uint32_t flags;     /* VIREO_NETWORK_MULTIQUEUE */
  uint8_t mac[6];     /* the device's address; not a group's */
  uint16_t mtu;       /* the largest MTU, from 1280, which is then offered; 0 to leave it open */
  uint32_t transmit_offloads; /* what `transmit` does: VIREO_NETWORK_* */
  uint32_t receive_offloads;  /* what a waiting frame may leave to do */
  /* Sends a frame of at least 14 bytes, whose memory is lent for the call. VIREO_OK: sent, queued or lost;
   * VIREO_BUSY: no room, the frame comes again when the device is polled. */
  vireo_status (*transmit)(void *context, const vireo_segment *segments, size_t count,
                           const vireo_network_offload *offload);
  /* Describes the frame to be received next, which stays the next until it is received or dropped: 1; 0 when
   * there is none. `frame` is all zero before. */
  int (*waiting)(void *context, vireo_network_frame *frame);
  /* Writes the waiting frame to `segments`, which have exactly its length, and forgets it. Anything but
   * VIREO_OK: the frame is lost. */
  vireo_status (*receive)(void *context, const vireo_segment *segments, size_t count);
  /* Forgets the waiting frame. */
  void (*drop)(void *context);
  /* From now on no frame may wait that leaves more than `offloads` to do. May be null without
   * `receive_offloads`. */
  void (*allow_offloads)(void *context, uint32_t offloads);
} vireo_network_settings;

/* Bytes of storage for a network device. */
size_t vireo_network_size(void);

/* Makes a network device (virtio 1.4 section 5.1), in reset state and with the link up. */
vireo_status vireo_network_create(void *storage, size_t storage_size, const vireo_device_settings *common,
                                  const vireo_network_settings *settings, vireo_device **device);

/* The link went up (1) or down (0). The guest is told at the next vireo_device_poll(). While it is down,
 * frames of both directions are dropped. */
vireo_status vireo_network_set_link(vireo_device *device, int up);

/* Asks the guest to announce itself to its peers, as after a move to another host, at the next
 * vireo_device_poll(). */
vireo_status vireo_network_announce(vireo_device *device);

/* ---------------------------------------------------------------- SCMI -------------------------------------
 * */

/* The longest SCMI message, with its header, in bytes. */
#define VIREO_SCMI_MESSAGE_BYTES 256u

/* Flags of vireo_scmi_device_settings. */
#define VIREO_SCMI_DEVICE_EVENTS 1u /* the platform has notifications or delayed responses, and the two
                                     * functions for them */

/* An SCMI platform as one agent sees it: bytes in, bytes out. It may be a vireo_scmi, below, or the
 * embedder's. A message is its header, 4 bytes little-endian, and its payload, in private memory that is lent
 * for the call. */
typedef struct vireo_scmi_device_settings {
  size_t struct_size; /* sizeof(vireo_scmi_device_settings) */
  void *context;      /* for all functions */
  uint32_t flags;     /* VIREO_SCMI_DEVICE_* */
  /* The agent starts, and when its device was restored. Without `receives_events` the platform denies
   * requests for notifications and delayed responses with NOT_SUPPORTED. May be null. */
  void (*start)(void *context, int receives_events);
  /* Carries out a command and writes the response, at least header and status, to `room` bytes. Returns its
   * length. A length below 8 or above `room` is answered with GENERIC_ERROR. */
  uint32_t (*respond)(void *context, const void *command, uint32_t byte_count, void *response, uint32_t room);
  /* Whether a notification or delayed response waits: 0 or 1. */
  int (*has_event)(void *context);
  /* Writes the next one to `room` bytes and forgets it. Returns its length; 0 when there is none after
   * all. */
  uint32_t (*next_event)(void *context, void *event, uint32_t room);
  /* The agent is gone: what it holds is released, what it subscribed to is forgotten. May be null. */
  void (*reset)(void *context);
} vireo_scmi_device_settings;

/* Bytes of storage for an SCMI device. */
size_t vireo_scmi_device_size(void);

/* Makes an SCMI device (virtio 1.4 section 5.17), in reset state. vireo_device_poll() sends the events that
 * came up since. */
vireo_status vireo_scmi_device_create(void *storage, size_t storage_size,
                                      const vireo_device_settings *common,
                                      const vireo_scmi_device_settings *settings, vireo_device **device);

/* ---------------------------------------------------------------------------------------------------------
 * The SCMI platform: the Arm System Control and Management Interface 3.2 and 2.0, for embedders that bring
 * their own transport, such as shared memory with a doorbell, SMC or HVC, or a mailbox.
 *
 *   Describe the resources as a table, create the platform, add agents, and grant each of them what it may
 *   see: to the agent the first resource of a kind is number 0, the next one 1, and so on. Then pass on what
 *   agents send, and send them what vireo_scmi_next() has. Agents are not trusted; resources that several of
 *   them use are on as long as one wants them on.
 */

/* An SCMI platform. Opaque; lives in the caller's storage. */
typedef struct vireo_scmi vireo_scmi;

typedef enum vireo_scmi_kind {
  VIREO_SCMI_POWER = 0,       /* a power domain: state on or off */
  VIREO_SCMI_PERFORMANCE = 1, /* a performance domain: its value is its level, a frequency in kilohertz */
  VIREO_SCMI_CLOCK = 2,       /* a clock: state on or off, its value is the rate in hertz */
  VIREO_SCMI_RESET = 3,       /* a reset domain: state asserted or not; setting its value resets it */
  VIREO_SCMI_VOLTAGE = 4      /* a voltage domain: state on or off, its value is the level in microvolts */
} vireo_scmi_kind;

typedef enum vireo_scmi_property { VIREO_SCMI_STATE = 0, VIREO_SCMI_VALUE = 1 } vireo_scmi_property;

/* A resource of the board. At most 32 of one kind. */
typedef struct vireo_scmi_resource {
  vireo_scmi_kind kind;
  uint32_t flags;        /* VIREO_SCMI_ASYNCHRONOUS or 0 */
  const char *name;      /* of which 63 bytes count */
  const int64_t *values; /* what it can be set to, in ascending order */
  size_t value_count;    /* 1 to 4095; 0 for a power or reset domain */
} vireo_scmi_resource;

/* A reset or voltage domain whose commands can be answered before they are done. Clocks always can be. */
#define VIREO_SCMI_ASYNCHRONOUS 1u

/* What `set` returns for something that vireo_scmi_finish() will report as done. */
#define VIREO_SCMI_LATER 1

typedef struct vireo_scmi_settings {
  size_t struct_size; /* sizeof(vireo_scmi_settings) */
  const char *vendor, *sub_vendor;
  uint32_t implementation_version;
  const vireo_scmi_resource *resources; /* kept, not copied, with all that it points to */
  size_t resource_count;
  void *context; /* of the callbacks */
  /* Callbacks, with the place of the resource in the table. 0, or an SCMI status, which is negative. */
  int32_t (*get)(void *context, uint32_t resource, vireo_scmi_property property, int64_t *value);
  /* `value` is one of the resource's. With an `operation` other than 0 it may be done later. */
  int32_t (*set)(void *context, uint32_t resource, vireo_scmi_property property, int64_t value,
                 uint32_t operation);
} vireo_scmi_settings;

/* Bytes of storage for an SCMI platform, aligned to vireo_device_align(). */
size_t vireo_scmi_size(void);

/* Makes a platform without agents. VIREO_BAD_ARGUMENT also for a table that is not as it should be. */
vireo_status vireo_scmi_create(void *storage, size_t storage_size, const vireo_scmi_settings *settings,
                               vireo_scmi **scmi);

/* Flags of vireo_scmi_add_agent. */
#define VIREO_SCMI_EVENTS 1u     /* its transport carries delayed responses and notifications */
#define VIREO_SCMI_VERSION_20 2u /* it is shown SCMI 2.0 */
#define VIREO_SCMI_TRUSTED 4u    /* it may reset other agents */

/* Adds an agent and tells its number, 1 or more. VIREO_BUSY: there are eight already. */
vireo_status vireo_scmi_add_agent(vireo_scmi *scmi, const char *name, uint32_t flags, uint32_t *agent);

/* Lets an agent see a resource, by its place in the table, and use it unless `read_only`. VIREO_WRONG_STATE:
 * it sees it already. */
vireo_status vireo_scmi_grant(vireo_scmi *scmi, uint32_t agent, uint32_t resource, int read_only);

/* Carries out the command of an agent, header and parameters, and writes the response, header, status and
 * return values. The command is read once, and the response written at last, so both may be in memory that
 * the agent writes. VIREO_TOO_SMALL, and nothing is done: fewer than 4 bytes of command, more than 256, or
 * room for fewer than 8 bytes of response. */
vireo_status vireo_scmi_handle(vireo_scmi *scmi, uint32_t agent, const void *command, size_t command_size,
                               void *response, size_t capacity, size_t *response_size);

/* Takes the next delayed response or notification for an agent, of at most 128 bytes, which is the least
 * `capacity`. Call it when the agent's channel has room, after the response of a command was sent.
 * VIREO_EMPTY: there is none. */
vireo_status vireo_scmi_next(vireo_scmi *scmi, uint32_t agent, void *message, size_t capacity,
                             size_t *message_size);

/* What `set` left for later is done, with SCMI status 0 or a negative one. An operation that is not under way
 * is ignored. */
vireo_status vireo_scmi_finish(vireo_scmi *scmi, uint32_t operation, int32_t status);

/* The agent starts over: what it holds is released, what it is owed forgotten. */
vireo_status vireo_scmi_reset_agent(vireo_scmi *scmi, uint32_t agent);

#ifdef __cplusplus
}
#endif
#endif
