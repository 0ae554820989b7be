#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// Of a header with its count of buffers, as virtio 1 has it.
enum { header_byte_count = 12 };

int clinux_tap(const char *name) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  if (strlen(name) >= sizeof request.ifr_name) return -ENAMETOOLONG;
  strcpy(request.ifr_name, name);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -errno;
  int byte_count = header_byte_count, little_endian = 1;
  if (ioctl(fd, TUNSETIFF, &request) == 0 && ioctl(fd, TUNSETVNETHDRSZ, &byte_count) == 0 &&
      ioctl(fd, TUNSETVNETLE, &little_endian) == 0) {
    return fd;
  }
  int error = -errno;
  close(fd);
  return error;
}

int clinux_tap_offloads(int fd, int checksum, int tcp4, int tcp6, int ecn) {
  unsigned long offloads = checksum ? TUN_F_CSUM : 0;
  if (tcp4) offloads |= TUN_F_TSO4;
  if (tcp6) offloads |= TUN_F_TSO6;
  if (ecn) offloads |= TUN_F_TSO_ECN;
  return ioctl(fd, TUNSETOFFLOAD, offloads) < 0 ? -errno : 0;
}

int clinux_do_not_block(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

void clinux_allow_unsent(int socket, int byte_count) {
  // As much as the system allows. With less the socket works as well.
  setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &byte_count, sizeof byte_count);
}

ssize_t clinux_send_vectors(int socket, const struct iovec *vectors, unsigned count) {
  struct msghdr message = {.msg_iov = (struct iovec *)vectors, .msg_iovlen = count};
  ssize_t result = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return result < 0 ? -errno : result;
}

ssize_t clinux_write_vectors(int fd, const struct iovec *vectors, unsigned count) {
  ssize_t result = writev(fd, vectors, (int)count);
  return result < 0 ? -errno : result;
}

ssize_t clinux_read(int fd, void *bytes, size_t byte_count) {
  ssize_t result = read(fd, bytes, byte_count);
  return result < 0 ? -errno : result;
}
