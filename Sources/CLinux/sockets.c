#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

// What one message can carry (vhost-user: a descriptor for each memory region, at most 8).
enum { fd_limit = 8 };

static int unix_address(const char *path, struct sockaddr_un *address) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  size_t length = strlen(path);
  if (length >= sizeof address->sun_path) return -ENAMETOOLONG;
  memcpy(address->sun_path, path, length);
  return 0;
}

static int connection(const char *path, int flags) {
  struct sockaddr_un address;
  int error = unix_address(path, &address);
  if (error < 0) return error;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) return -errno;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  error = -errno;
  close(fd);
  return error;
}

int clinux_connect(const char *path) { return connection(path, 0); }

int clinux_connect_now(const char *path) { return connection(path, SOCK_NONBLOCK); }

int clinux_listen(const char *path) {
  struct sockaddr_un address;
  int error = unix_address(path, &address);
  if (error < 0) return error;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  // A socket that refuses connections was left by a process that is gone; anything else is not ours to take.
  struct stat status;
  if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode)) {
    int probe = clinux_connect(path);
    if (probe >= 0) close(probe);
    if (probe == -ECONNREFUSED) unlink(path);
  }
  mode_t mask = umask(0177);
  int result = bind(fd, (struct sockaddr *)&address, sizeof address);
  error = -errno;
  umask(mask);
  if (result == 0 && listen(fd, 1) == 0) return fd;
  if (result == 0) error = -errno;
  close(fd);
  return error;
}

int clinux_accept(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return -errno;
  // A peer that stops within a message, or does not read its replies, must not hold us up for ever.
  struct timeval patience = {.tv_sec = 5};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return fd;
}

int clinux_socket_pair(int pair[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
}

ssize_t clinux_receive(int socket, void *bytes, size_t byte_count, int *fds, int *fd_count) {
  // Room for more than the caller takes, so that what is too much is seen and closed here.
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(2 * fd_limit * sizeof(int))];
  } control;
  struct iovec vector = {bytes, byte_count};
  struct msghdr message = {
      .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t result;
  do {
    result = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (result < 0 && errno == EINTR);
  int room = *fd_count, error = 0;
  *fd_count = 0;
  if (result < 0) return -errno;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      if (*fd_count < room) {
        fds[(*fd_count)++] = fd;
      } else {
        close(fd);
        error = -EMFILE;
      }
    }
  }
  if (message.msg_flags & MSG_CTRUNC) error = -EMFILE;
  if (error == 0) return result;
  while (*fd_count > 0) close(fds[--*fd_count]);
  return error;
}

int clinux_send(int socket, const void *bytes, size_t byte_count, const int *fds, int fd_count) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(fd_limit * sizeof(int))];
  } control;
  if (fd_count > fd_limit) return -EINVAL;
  struct iovec vector = {(void *)bytes, byte_count};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (fd_count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
  }
  while (vector.iov_len > 0) {
    ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return -errno;
    vector.iov_base = (char *)vector.iov_base + sent;
    vector.iov_len -= (size_t)sent;
    message.msg_control = NULL;
    message.msg_controllen = 0;
  }
  return 0;
}
