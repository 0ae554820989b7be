/* What newlib and Swift's allocator ask of the platform. Text goes through Machine's Serial and not through
   stdio, so there are no files: every operation on one fails. The linker drops what an image does not use. */
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "cmachine.h"

void *_sbrk(ptrdiff_t increment) {
  static uint64_t end;
  if (end == 0) end = machine_heap_start();
  ptrdiff_t left = (ptrdiff_t)(machine_heap_end() - end), used = (ptrdiff_t)(end - machine_heap_start());
  if (increment > left || increment < -used) {
    errno = ENOMEM;
    return (void *)-1;
  }
  void *previous = (void *)end;
  end += (uint64_t)increment;
  return previous;
}

static int no_file(void) {
  errno = EBADF;
  return -1;
}
int _write(int file, const char *bytes, int count) { (void)file; (void)bytes; (void)count; return no_file(); }
int _read(int file, char *bytes, int count) { (void)file; (void)bytes; (void)count; return no_file(); }
int _close(int file) { (void)file; return no_file(); }
int _fstat(int file, struct stat *result) { (void)file; (void)result; return no_file(); }
int _isatty(int file) { (void)file; errno = ENOTTY; return 0; }
int _lseek(int file, int offset, int origin) { (void)file; (void)offset; (void)origin; return no_file(); }
int _getpid(void) { return 1; }
int _kill(int process, int signal) { (void)process; machine_semihosting_exit(128u + (uint32_t)signal); }
_Noreturn void _exit(int status) { machine_semihosting_exit((uint32_t)status); }

#ifdef MACHINE_EL2
/* The first core of an image at EL2 takes all memory while it starts, and nobody gives any back: what newlib
   would keep of each piece is not needed. Out of line, for the build looks who calls this. */
static __attribute__((noinline)) void *heap_take(size_t alignment, size_t size) {
  static uint64_t end;
  if (end == 0) end = machine_heap_start();
  uint64_t start = (end + alignment - 1) & -(uint64_t)alignment;
  if (start < end || start > machine_heap_end() || size > machine_heap_end() - start) return NULL;
  end = start + size;
  return (void *)start;
}

void *memalign(size_t alignment, size_t size) { return heap_take(alignment, size); }
void *malloc(size_t size) { return heap_take(16, size); }
void *calloc(size_t count, size_t size) {
  size_t all;
  void *result = __builtin_mul_overflow(count, size, &all) ? NULL : heap_take(16, all);
  return result ? memset(result, 0, all) : NULL;
}
void free(void *place) { (void)place; }
#endif

int posix_memalign(void **result, size_t alignment, size_t size) {
  *result = memalign(alignment, size);
  return *result ? 0 : ENOMEM;
}
