// The clock of the timed runs, and the median of what it showed.
#pragma once

#include <stdlib.h>
#include <time.h>

static inline double nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/// Sorts `values`.
static inline double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, by_value);
  return values[count / 2];
}

/// What two readings cost: to be taken off each span.
static inline double clock_cost(void) {
  enum { SAMPLES = 1001 };
  static double samples[SAMPLES];
  for (int i = 0; i < SAMPLES; i++) {
    double begin = nanoseconds();
    samples[i] = nanoseconds() - begin;
  }
  return median(samples, SAMPLES);
}
