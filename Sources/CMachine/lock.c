#include "cmachine.h"

#ifdef MACHINE_EL2
__attribute__((noinline)) void machine_lock_wait(struct machine_lock *lock) { machine_lock_acquire(lock); }
__attribute__((noinline)) void machine_lock_give(struct machine_lock *lock) { machine_lock_release(lock); }
#endif
