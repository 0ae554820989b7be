/* From start.S to Swift's main, and the two ways to end. */
#include "cmachine.h"

extern int main(int, char **);

static uint64_t boot_argument;

uint64_t machine_boot_argument(void) { return boot_argument; }

_Noreturn void machine_start(uint64_t argument) {
  boot_argument = argument;
  machine_semihosting_exit((uint32_t)main(0, 0));
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
