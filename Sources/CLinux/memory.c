#include "clinux.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// Guest memory. Its files belong to another process, which can shorten them at any time; an access beyond the
// end then raises SIGBUS. The handler puts a page of zeros there and notes it.
static char *area;
static size_t area_byte_count;
static size_t page_byte_count;
static volatile sig_atomic_t was_lost;

static void on_bus_error(int signal_number, siginfo_t *info, void *context) {
  (void)context;
  char *address = info->si_addr;
  if (address >= area && address < area + area_byte_count) {
    char *page = (char *)((uintptr_t)address & ~(page_byte_count - 1));
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (mmap(page, page_byte_count, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED) {
      was_lost = 1;
      return;
    }
  }
  // Not guest memory: die of it, as without the handler.
  signal(signal_number, SIG_DFL);
}

void *clinux_reserve(size_t byte_count, size_t alignment) {
  page_byte_count = (size_t)sysconf(_SC_PAGESIZE);
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  char *start = mmap(NULL, byte_count + alignment, PROT_NONE, flags, -1, 0);
  if (start == MAP_FAILED) return NULL;
  area = (char *)(((uintptr_t)start + alignment - 1) & ~(alignment - 1));
  if (area > start) munmap(start, (size_t)(area - start));
  if (area < start + alignment) munmap(area + byte_count, (size_t)(start + alignment - area));
  area_byte_count = byte_count;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGBUS, &action, NULL) < 0) return NULL;
  return area;
}

void clinux_release(void *address, size_t byte_count) {
  if (area == address) area_byte_count = 0;
  munmap(address, byte_count);
}

int clinux_map(void *address, size_t byte_count, int fd, off_t offset) {
  void *result = mmap(address, byte_count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset);
  return result == MAP_FAILED ? -errno : 0;
}

int clinux_unmap(void *address, size_t byte_count) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  return mmap(address, byte_count, PROT_NONE, flags, -1, 0) == MAP_FAILED ? -errno : 0;
}

int clinux_memory_was_lost(void) {
  int result = was_lost;
  was_lost = 0;
  return result;
}

int64_t clinux_byte_count(int fd) {
  struct stat status;
  if (fstat(fd, &status) < 0) return -errno;
  if (!S_ISBLK(status.st_mode)) return status.st_size;
  uint64_t byte_count;
  return ioctl(fd, BLKGETSIZE64, &byte_count) < 0 ? -errno : (int64_t)byte_count;
}
