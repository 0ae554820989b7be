// A process of its own that connects to one Unix socket, again and again. A server cannot make connections
// any more once it serves, and whoever took it over could only be connected where it was before.

#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// Milliseconds before an attempt: doubled after each that failed, or whose connection did not last.
enum { delay_min = 100, delay_max = 5000, lasting = 10000 };

static int longer(int delay) { return delay < delay_max / 2 ? 2 * delay : delay_max; }

// A connection, handed over on `owner`, each time that a byte comes there, until its other end is closed.
static void connect_when_asked(int owner, const char *path) {
  uint64_t connected = clinux_nanoseconds();
  int delay = delay_min;
  for (;;) {
    char asked;
    ssize_t count;
    do {
      count = read(owner, &asked, 1);
    } while (count < 0 && errno == EINTR);
    if (count <= 0) return;
    delay = clinux_nanoseconds() - connected > lasting * (uint64_t)1000000 ? delay_min : longer(delay);
    int fd;
    for (;;) {
      // Nobody asks twice: the only news can be that the owner is gone.
      struct pollfd end = {.fd = owner, .events = POLLIN};
      if (poll(&end, 1, delay) > 0) return;
      fd = clinux_connect_now(path);
      if (fd >= 0) break;
      delay = longer(delay);
    }
    connected = clinux_nanoseconds();
    if (clinux_send(owner, "", 1, &fd, 1) < 0) return;
    close(fd);
  }
}

static void run(int owner, const char *path) {
  // Of the owner's files there is none but the one that says when it ends.
  if (dup2(owner, 0) < 0) return;
  close_range(1, ~0U, 0);
  // Sent to a terminal's whole group; the owner decides.
  signal(SIGHUP, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  prctl(PR_SET_NAME, "vireo connector");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return;
  if (clinux_limit_calls_to_connecting() == 0) connect_when_asked(0, path);
}

int clinux_connector(const char *path) {
  int pair[2];
  int error = clinux_socket_pair(pair);
  if (error < 0) return error;
  // By way of a process that ends at once, so that nobody has to wait for the end of the one that stays.
  pid_t child = fork();
  if (child == 0) {
    pid_t own = fork();
    if (own == 0) run(pair[1], path);
    _exit(own < 0);
  }
  if (child < 0) error = -errno;
  close(pair[1]);
  int status = 0;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (status != 0) error = -EAGAIN;
  if (error == 0) error = clinux_do_not_block(pair[0]);
  if (error == 0) return pair[0];
  close(pair[0]);
  return error;
}
