/* From start.S to Swift's main, and the two ways to end. */
#include <string.h>
#include "cmachine.h"

extern int main(int, char **);

static uint64_t boot_argument;

uint64_t machine_boot_argument(void) { return boot_argument; }

_Noreturn void machine_start(uint64_t argument) {
  boot_argument = argument;
  machine_semihosting_exit((uint32_t)main(0, 0));
}

static uint64_t semihosting(uint64_t function, uint64_t *block) {
  register uint64_t operation __asm__("x0") = function;
  register void *argument __asm__("x1") = block;
  __asm__ volatile("hlt #0xf000" : "+r"(operation) : "r"(argument) : "memory");
  return operation;
}

int machine_semihosting_write(const char *name, uint64_t start, uint64_t size) {
  uint64_t to_open[3] = {(uint64_t)name, 5 /* wb */, strlen(name)};
  uint64_t file = semihosting(1, to_open);
  if (file == UINT64_MAX) return 0;
  uint64_t to_write[3] = {file, start, size}, to_close[1] = {file};
  uint64_t left = semihosting(5, to_write);
  return semihosting(2, to_close) == 0 && left == 0;
}

_Noreturn void machine_semihosting_exit(uint32_t status) {
  uint64_t block[2] = {0x20026, status}; /* ADP_Stopped_ApplicationExit */
  register uint64_t operation __asm__("x0") = 0x18;
  register void *argument __asm__("x1") = block;
  __asm__ volatile("hlt #0xf000" ::"r"(operation), "r"(argument) : "memory");
  for (;;) machine_wait_for_interrupt();
}

void machine_psci_off(int by_smc) {
  register uint64_t function __asm__("x0") = 0x84000008;
  if (by_smc)
    __asm__ volatile("smc #0" : "+r"(function)::"x1", "x2", "x3", "memory");
  else
    __asm__ volatile("hvc #0" : "+r"(function)::"x1", "x2", "x3", "memory");
}
