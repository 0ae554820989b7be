// What libfdt uses of the C library's string functions, in as few bytes as possible: newlib's are written for
// speed and take more than a kilobyte.
#include <stddef.h>

// The compiler must not make a call of the function itself out of the loops.
#define PLAIN __attribute__((no_builtin, minsize))

PLAIN size_t strlen(const char *text) {
  const char *end = text;
  while (*end) end++;
  return (size_t)(end - text);
}

PLAIN char *strrchr(const char *text, int character) {
  const char *found = NULL;
  do {
    if (*text == (char)character) found = text;
  } while (*text++);
  return (char *)found;
}

PLAIN void *memchr(const void *bytes, int value, size_t count) {
  for (const unsigned char *byte = bytes; count--; byte++) {
    if (*byte == (unsigned char)value) return (void *)byte;
  }
  return NULL;
}

PLAIN int memcmp(const void *left, const void *right, size_t count) {
  const unsigned char *a = left, *b = right;
  for (; count--; a++, b++) {
    if (*a != *b) return *a - *b;
  }
  return 0;
}
