// Counts heap calls. The linker redirects every reference to these functions in every object of the process,
// whatever its language (`--wrap=malloc` and so on), so no peer can allocate unseen.

#include <stddef.h>

#include "bench.h"

static uint64_t count;

uint64_t allocation_count(void) { return count; }

#define WRAP(result, name, parameters, arguments) \
  result __real_##name parameters;                \
  result __wrap_##name parameters {               \
    count++;                                      \
    return __real_##name arguments;               \
  }

WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *old, size_t size), (old, size))
WRAP(int, posix_memalign, (void **out, size_t alignment, size_t size), (out, alignment, size))
WRAP(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
