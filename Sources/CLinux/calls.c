// Which system calls a server may still make once its files are open. What is not listed fails with EPERM.

#include "clinux.h"

#include <errno.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static const int allowed[] = {
    // Data, of files, eventfds, taps, sockets and terminals.
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64),
    SCMP_SYS(pwrite64), SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(io_uring_enter), SCMP_SYS(getrandom),
    // Connections and their descriptors.
    SCMP_SYS(accept4), SCMP_SYS(shutdown), SCMP_SYS(setsockopt), SCMP_SYS(close), SCMP_SYS(fcntl),
    SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(lseek),
    // The record of the rings, which a front end keeps.
    SCMP_SYS(memfd_create), SCMP_SYS(ftruncate),
    // Waiting.
    SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_gettime), SCMP_SYS(restart_syscall),
    // Memory: what is mapped is never executable, see below.
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
    // Signals and the end, also by abort(), and that of a sanitizer's thread.
    SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
    SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(tgkill), SCMP_SYS(exit), SCMP_SYS(exit_group),
};

// The C library's headers name these, but not the structure of which they are made, of 44 bytes.
#define TCGETS2_NUMBER _IOC(_IOC_READ, 'T', 0x2a, 44)
#define TCSETS2_NUMBER _IOC(_IOC_WRITE, 'T', 0x2b, 44)

// A terminal gets its settings back in the end, but nothing can be pushed into it, for one.
static const unsigned long allowed_ioctls[] = {
    TUNSETOFFLOAD, BLKGETSIZE64, TIOCGWINSZ, TCGETS, TCSETS, TCGETS2_NUMBER, TCSETS2_NUMBER,
};

// What it takes to connect and to hand the connection on; in a build with a sanitizer also what that takes:
// memory for its records, its report, the end of its threads.
static const int connecting[] = {
    SCMP_SYS(read), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(connect), SCMP_SYS(sendmsg), SCMP_SYS(close),
    SCMP_SYS(clock_gettime), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn), SCMP_SYS(exit_group),
    SCMP_SYS(exit), SCMP_SYS(futex), SCMP_SYS(sched_yield),
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(write),
    SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(gettid),
    SCMP_SYS(getpid), SCMP_SYS(readlink),
#endif
};

static int allow(scmp_filter_ctx filter, const int *calls, size_t count) {
  for (size_t i = 0; i < count; i++) {
    // A call that this architecture does not have is not one to allow.
    if (calls[i] < 0) continue;
    int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    if (result < 0) return result;
  }
  return 0;
}

// Rules for a server.
static int allow_serving(scmp_filter_ctx filter) {
  int result = allow(filter, allowed, sizeof allowed / sizeof allowed[0]);
  if (result < 0) return result;
  for (size_t i = 0; i < sizeof allowed_ioctls / sizeof allowed_ioctls[0]; i++) {
    struct scmp_arg_cmp is_this = {.arg = 1, .op = SCMP_CMP_EQ, .datum_a = allowed_ioctls[i]};
    result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, is_this);
    if (result < 0) return result;
  }
  struct scmp_arg_cmp not_executable = {.arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC};
  result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_executable);
  if (result < 0) return result;
  return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_executable);
}

// Rules for a connector.
static int allow_connecting(scmp_filter_ctx filter) {
  int result = allow(filter, connecting, sizeof connecting / sizeof connecting[0]);
  if (result < 0) return result;
  struct scmp_arg_cmp is_local = {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_UNIX};
  return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, is_local);
}

static int limit(int (*add_rules)(scmp_filter_ctx)) {
  // A kernel without such filters.
  if (prctl(PR_GET_SECCOMP) < 0) return 0;
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (filter == NULL) return -ENOMEM;
  int result = add_rules(filter);
  if (result == 0) result = seccomp_load(filter);
  seccomp_release(filter);
  return result;
}

int clinux_limit_calls(void) { return limit(allow_serving); }

int clinux_limit_calls_to_connecting(void) { return limit(allow_connecting); }
