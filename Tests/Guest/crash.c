/* A guest whose exception vectors are nowhere: the first exception would repeat for ever. The other guest
   goes on. */
#include "hostile.h"

void guest_main(u64 tree) {
  (void)tree;
  if (base() >= OTHER_MEMORY) {
    for (u64 start = ticks(); ticks() - start < 6000000;) {}
    expect(request(0, 0, DATA, 512) == 255, 'q'); /* no queue, no answer */
    start_rings();
    expect(request(0, 0, DATA, 512) == 0, 'r');
    hvc(OFF, 0, 0, 0);
  }
  __asm__ volatile("msr vbar_el1, xzr\n\tisb\n\tbr xzr" ::: "memory");
}
void guest_secondary(u64 context) { (void)context; }
