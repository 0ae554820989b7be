/* A guest whose exception vectors are nowhere: the first exception would repeat for ever. The other guest
   goes on. */
#include "hostile.h"

void guest_main(u64 tree) {
  (void)tree;
  if (base() >= OTHER_MEMORY) {
    for (u64 start = ticks(); ticks() - start < 6000000;) {}
    int is_silent = request(0, 0, DATA, 512) == 255; /* no queue, no answer */
    start_rings();
    if (is_silent && request(0, 0, DATA, 512) == 0) hvc(OFF, 0, 0, 0);
    for (;;) {} /* which the test takes for a failure */
  }
  __asm__ volatile("msr vbar_el1, xzr\n\tisb\n\tbr xzr" ::: "memory");
}
void guest_secondary(u64 context) { (void)context; }
