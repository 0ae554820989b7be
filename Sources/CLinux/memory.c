#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// Guest memory. Its files belong to another process, which can shorten them at any time; an access beyond the
// end then raises SIGBUS. The handler puts a page of zeros there and notes it. It takes no lock: what it
// reads is atomic, or set before the first area begins.
static struct area {
  // NULL for a place that is free. Written last when an area begins, and first when it ends.
  char *_Atomic start;
  _Atomic size_t byte_count;
  _Atomic int was_lost;
} areas[64];
enum { area_limit = sizeof areas / sizeof areas[0] };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// Set once, before the first area begins.
static pthread_once_t once = PTHREAD_ONCE_INIT;
static size_t page_byte_count;
static int handler_error;

static struct area *area_at(char *address) {
  for (int i = 0; i < area_limit; i++) {
    char *start = areas[i].start;
    if (start == NULL || address < start || address >= start + areas[i].byte_count) continue;
    // Another area may have begun in this place between the two; what holds `address` lives, so it does not.
    if (areas[i].start == start) return &areas[i];
  }
  return NULL;
}

static void on_bus_error(int signal_number, siginfo_t *info, void *context) {
  (void)context;
  struct area *area = area_at(info->si_addr);
  if (area != NULL) {
    char *page = (char *)((uintptr_t)info->si_addr & ~(page_byte_count - 1));
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (mmap(page, page_byte_count, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED) {
      area->was_lost = 1;
      return;
    }
  }
  // Not guest memory: die of it, as without the handler.
  signal(signal_number, SIG_DFL);
}

// Whether there was a place for the area.
static int enter(char *start, size_t byte_count) {
  int was_entered = 0;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < area_limit && !was_entered; i++) {
    if (areas[i].start != NULL) continue;
    areas[i].byte_count = byte_count;
    areas[i].was_lost = 0;
    areas[i].start = start;
    was_entered = 1;
  }
  pthread_mutex_unlock(&lock);
  return was_entered;
}

static void set_handler(void) {
  page_byte_count = (size_t)sysconf(_SC_PAGESIZE);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGBUS, &action, NULL) < 0) handler_error = errno;
}

int clinux_address_bits(void) {
#if __has_feature(thread_sanitizer)
  return 36;
#else
  return 42;
#endif
}

void *clinux_reserve(size_t byte_count, size_t alignment) {
  pthread_once(&once, set_handler);
  if (handler_error != 0) {
    errno = handler_error;
    return NULL;
  }
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  char *start = mmap(NULL, byte_count + alignment, PROT_NONE, flags, -1, 0);
  if (start == MAP_FAILED) return NULL;
  char *aligned = (char *)(((uintptr_t)start + alignment - 1) & ~(alignment - 1));
  if (aligned > start) munmap(start, (size_t)(aligned - start));
  munmap(aligned + byte_count, (size_t)(start + alignment - aligned));
  if (enter(aligned, byte_count)) return aligned;
  munmap(aligned, byte_count);
  errno = ENOMEM;
  return NULL;
}

void clinux_release(void *address) {
  struct area *area = area_at(address);
  if (area == NULL) return;
  // Before another area can take the place.
  size_t byte_count = area->byte_count;
  area->start = NULL;
  munmap(address, byte_count);
}

int clinux_memory_was_lost(void *address) {
  struct area *area = area_at(address);
  return area != NULL && atomic_exchange(&area->was_lost, 0);
}

int clinux_map(void *address, size_t byte_count, int fd, off_t offset) {
  void *result = mmap(address, byte_count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset);
  return result == MAP_FAILED ? -errno : 0;
}

int clinux_unmap(void *address, size_t byte_count) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  return mmap(address, byte_count, PROT_NONE, flags, -1, 0) == MAP_FAILED ? -errno : 0;
}

int clinux_memory_file(const char *name, size_t byte_count) {
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  if (ftruncate(fd, (off_t)byte_count) == 0 &&
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
    return fd;
  }
  int error = -errno;
  close(fd);
  return error;
}

int64_t clinux_byte_count(int fd) {
  struct stat status;
  if (fstat(fd, &status) < 0) return -errno;
  if (!S_ISBLK(status.st_mode)) return status.st_size;
  uint64_t byte_count;
  return ioctl(fd, BLKGETSIZE64, &byte_count) < 0 ? -errno : (int64_t)byte_count;
}
