/* Functions of the C library in place of newlib's. Those use SIMD registers, which at EL2 are a guest's:
   there all of these are needed, compiled without FP and SIMD, and the build checks that none is left. At EL1
   newlib's memset stays, for its speed; the others, which only libfdt uses, take a kilobyte less here. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The compiler would turn the loops below into calls of the functions that they are. */
#define NO_BUILTIN __attribute__((no_builtin))

#ifdef MACHINE_EL2
NO_BUILTIN void *memset(void *target, int value, size_t count) {
  unsigned char *next = target;
  uint64_t pattern = 0x0101010101010101u * (unsigned char)value;
  for (; count > 0 && ((uintptr_t)next & 7) != 0; count--) *next++ = (unsigned char)value;
  uint64_t *words = (uint64_t *)(void *)next;
  for (; count >= 16; count -= 16) {
    *words++ = pattern;
    *words++ = pattern;
  }
  for (next = (unsigned char *)words; count > 0; count--) *next++ = (unsigned char)value;
  return target;
}
#endif

NO_BUILTIN int memcmp(const void *a, const void *b, size_t count) {
  const unsigned char *left = a, *right = b;
  for (; count > 0; count--, left++, right++)
    if (*left != *right) return *left - *right;
  return 0;
}

NO_BUILTIN void *memchr(const void *text, int value, size_t count) {
  const unsigned char *next = text;
  for (; count > 0; count--, next++)
    if (*next == (unsigned char)value) return (void *)(uintptr_t)next;
  return NULL;
}

NO_BUILTIN size_t strlen(const char *text) {
  const char *end = text;
  while (*end) end++;
  return (size_t)(end - text);
}

NO_BUILTIN char *strrchr(const char *text, int value) {
  const char *last = NULL;
  for (;; text++) {
    if (*text == (char)value) last = text;
    if (*text == 0) return (char *)(uintptr_t)last;
  }
}
