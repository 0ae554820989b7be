/* SPDX-License-Identifier: Apache-2.0 */
/* The entry point of one fuzz target: the command that links it names the target's function in TARGET. */
#include <stddef.h>
#include <stdint.h>

void TARGET(const uint8_t *data, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count) {
  TARGET(data, count);
  return 0;
}
