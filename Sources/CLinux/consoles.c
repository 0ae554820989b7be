#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

// Bytes come as they are typed and nothing is echoed. What a signal is sent for stays as it is.
static void make_raw(struct termios *settings) {
  settings->c_iflag &= ~(tcflag_t)(BRKINT | PARMRK | INPCK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  settings->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
  settings->c_cflag = (settings->c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
  settings->c_cc[VMIN] = 1;
  settings->c_cc[VTIME] = 0;
}

int clinux_pty(char *name, size_t capacity) {
  int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -errno;
  int error = 0, other = -1;
  if (unlockpt(fd) < 0) error = -errno;
  if (error == 0) error = -ptsname_r(fd, name, capacity);
  // The settings stay when the end of the programs is closed. Only after it was open once can be seen that
  // nobody has it open.
  if (error == 0) other = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (error == 0 && other < 0) error = -errno;
  struct termios settings;
  if (error == 0 && tcgetattr(other, &settings) == 0) {
    make_raw(&settings);
    settings.c_oflag &= ~(tcflag_t)OPOST;
    settings.c_lflag &= ~(tcflag_t)ISIG;
    if (tcsetattr(other, TCSANOW, &settings) < 0) error = -errno;
  } else if (error == 0) {
    error = -errno;
  }
  if (other >= 0) close(other);
  if (error == 0) return fd;
  close(fd);
  return error;
}

int clinux_unshared(int fd, int is_writable) {
  struct stat status;
  if (fstat(fd, &status) < 0) return -errno;
  // Whether a file blocks is known to all who have it open; only another opening of it is our own.
  if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, (is_writable ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0) return own;
    int error = clinux_do_not_block(fd);
    if (error < 0) return error;
  }
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? -errno : copy;
}

ssize_t clinux_get(int fd, void *bytes, size_t byte_count) {
  ssize_t result;
  do {
    result = recv(fd, bytes, byte_count, MSG_DONTWAIT);
    if (result < 0 && errno == ENOTSOCK) result = read(fd, bytes, byte_count);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

ssize_t clinux_put(int fd, const void *bytes, size_t byte_count) {
  ssize_t result;
  do {
    result = send(fd, bytes, byte_count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (result < 0 && errno == ENOTSOCK) result = write(fd, bytes, byte_count);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

int clinux_is_hung_up(int fd) {
  struct pollfd polled = {.fd = fd};
  return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLERR)) != 0;
}

struct clinux_terminal {
  int fd;
  struct termios settings;
};

struct clinux_terminal *clinux_terminal_take(int fd) {
  struct clinux_terminal *terminal = malloc(sizeof *terminal);
  if (terminal == NULL) return NULL;
  terminal->fd = fd;
  struct termios settings;
  if (tcgetattr(fd, &settings) == 0) {
    terminal->settings = settings;
    make_raw(&settings);
    if (tcsetattr(fd, TCSANOW, &settings) == 0) return terminal;
  }
  free(terminal);
  return NULL;
}

void clinux_terminal_give_back(struct clinux_terminal *terminal) {
  tcsetattr(terminal->fd, TCSANOW, &terminal->settings);
  free(terminal);
}

int clinux_terminal_size(int fd, uint16_t *columns, uint16_t *rows) {
  struct winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0) return 0;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return 1;
}
