#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

int clinux_open(const char *path, int is_writable) {
  int fd = open(path, (is_writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

ssize_t clinux_random(void *bytes, size_t byte_count) {
  ssize_t result = getrandom(bytes, byte_count, 0);
  return result < 0 ? -errno : result;
}

int clinux_is_in_memory(int fd) {
  struct statfs system;
  if (fstatfs(fd, &system) < 0) return 0;
  return system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC;
}

ssize_t clinux_read_at(int fd, const struct iovec *vectors, unsigned count, uint64_t offset) {
  ssize_t result = preadv(fd, vectors, (int)count, (off_t)offset);
  return result < 0 ? -errno : result;
}

ssize_t clinux_write_at(int fd, const struct iovec *vectors, unsigned count, uint64_t offset) {
  ssize_t result = pwritev(fd, vectors, (int)count, (off_t)offset);
  return result < 0 ? -errno : result;
}

struct clinux_ring {
  struct io_uring ring;
};

// Debian 12's liburing declares the calls that limit and start a ring, and does not export them.
static int change_ring(struct io_uring *ring, unsigned operation, void *argument, unsigned count) {
  return syscall(__NR_io_uring_register, ring->ring_fd, operation, argument, count) < 0 ? -errno : 0;
}

// The entries that the functions below queue. A ring with every other one could open files and make sockets
// where a filter of system calls keeps the process itself from it.
static int limit_operations(struct io_uring *ring) {
  static const __u8 operations[] = {
      IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE};
  enum { count = sizeof operations / sizeof operations[0] };
  struct io_uring_restriction allowed[count];
  memset(allowed, 0, sizeof allowed);
  for (size_t i = 0; i < count; i++) {
    allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
    allowed[i].sqe_op = operations[i];
  }
  return change_ring(ring, IORING_REGISTER_RESTRICTIONS, allowed, count);
}

struct clinux_ring *clinux_ring_create(unsigned capacity, int eventfd, int *error) {
  struct clinux_ring *ring = malloc(sizeof *ring);
  *error = -ENOMEM;
  if (ring == NULL) return NULL;
  // Limits can be set only before the ring starts, on kernels that have them.
  int has_limits = 1;
  *error = io_uring_queue_init(capacity, &ring->ring, IORING_SETUP_R_DISABLED);
  if (*error == -EINVAL) {
    has_limits = 0;
    *error = io_uring_queue_init(capacity, &ring->ring, 0);
  }
  if (*error < 0) {
    free(ring);
    return NULL;
  }
  *error = io_uring_register_eventfd(&ring->ring, eventfd);
  if (*error == 0 && has_limits) *error = limit_operations(&ring->ring);
  if (*error == 0 && has_limits) *error = change_ring(&ring->ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
  if (*error == 0) return ring;
  clinux_ring_destroy(ring);
  return NULL;
}

void clinux_ring_destroy(struct clinux_ring *ring) {
  io_uring_queue_exit(&ring->ring);
  free(ring);
}

// Queues the entry that `prepare` fills, or says that there is no room.
#define QUEUE(ring, tag, prepare)                              \
  do {                                                         \
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);  \
    if (sqe == NULL) return -EBUSY;                            \
    prepare;                                                   \
    io_uring_sqe_set_data64(sqe, tag);                         \
    return 0;                                                  \
  } while (0)

int clinux_ring_read(
    struct clinux_ring *ring, int fd, const struct iovec *vectors, unsigned count, uint64_t offset,
    uint64_t tag) {
  QUEUE(ring, tag, io_uring_prep_readv(sqe, fd, vectors, count, offset));
}

int clinux_ring_write(
    struct clinux_ring *ring, int fd, const struct iovec *vectors, unsigned count, uint64_t offset,
    int is_durable, uint64_t tag) {
  QUEUE(ring, tag, io_uring_prep_writev2(sqe, fd, vectors, count, offset, is_durable ? RWF_DSYNC : 0));
}

int clinux_ring_sync(struct clinux_ring *ring, int fd, uint64_t tag) {
  QUEUE(ring, tag, io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC));
}

int clinux_ring_punch(struct clinux_ring *ring, int fd, uint64_t offset, uint64_t byte_count, uint64_t tag) {
  int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  QUEUE(ring, tag, io_uring_prep_fallocate(sqe, fd, mode, (off_t)offset, (off_t)byte_count));
}

int clinux_ring_submit(struct clinux_ring *ring) {
  int result = io_uring_submit(&ring->ring);
  // The kernel stops behind an operation that it refuses, which is complete then.
  return result < 0 ? result : (int)io_uring_sq_ready(&ring->ring);
}

int clinux_ring_has_completion(struct clinux_ring *ring) { return io_uring_cq_ready(&ring->ring) != 0; }

int clinux_ring_complete(struct clinux_ring *ring, uint64_t *tag, int32_t *result) {
  struct io_uring_cqe *cqe;
  if (io_uring_peek_cqe(&ring->ring, &cqe) != 0) return 0;
  *tag = io_uring_cqe_get_data64(cqe);
  *result = cqe->res;
  io_uring_cqe_seen(&ring->ring, cqe);
  return 1;
}
