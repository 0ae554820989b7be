#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <linux/magic.h>
#include <sys/random.h>
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

struct clinux_ring *clinux_ring_create(unsigned capacity, int eventfd, int *error) {
  struct clinux_ring *ring = malloc(sizeof *ring);
  *error = -ENOMEM;
  if (ring == NULL) return NULL;
  *error = io_uring_queue_init(capacity, &ring->ring, 0);
  if (*error < 0) {
    free(ring);
    return NULL;
  }
  *error = io_uring_register_eventfd(&ring->ring, eventfd);
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
  return result < 0 ? result : 0;
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
